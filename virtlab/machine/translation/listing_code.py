"""What a tier makes of a region, as lines of text by the guest's instruction (S18).

Each tier says it in its own way; here they all become the same: pairs of an address and a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.machine.pcode import Op, Var
from virtlab.machine.translation.wasm import WasmFunction, wasm_module
from virtlab.machine.translation.wasm_read import read_module
from virtlab.machine.translation.wasm_short import shorthand

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs

__all__ = ["Code", "code_of"]


class Code(NamedTuple):
    """What a tier made of a region.

    Attributes
    ----------
    lines
        (address, line) each, in the order in which they run; the address is -1 for what belongs
        to no instruction.
    size
        Bytes of the code; 0 if the tier keeps none.
    """

    lines: list[tuple[int, str]]
    size: int


def code_of(
    tier: str, graph: Graph, needs: dict[Key, Needs], start: Key, where: Callable[[int], str]
) -> Code:
    """Translate a region, and say what became of it.

    Parameters
    ----------
    tier
        One of `virtlab.machine.translation.tiers.TIERS`.
    graph, needs, start
        Of the region, as a `Host` takes them.
    where
        Writes an address of the guest.

    Returns
    -------
    Code
        Nothing for the interpreter.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> code_of("wasm", graph, needs(graph), (0, 0), hex).lines[-1]
    (0, 'leave DONE at 5')
    """
    if tier == "interpreter":
        return Code([], 0)
    return _wasm(graph, needs, start, where)


def _wasm(graph: Graph, needs: dict[Key, Needs], start: Key, where: Callable[[int], str]) -> Code:
    function = WasmFunction(graph, needs, start, marks=True)
    module = read_module(wasm_module([function]))
    nodes = [] if function.shape.is_reducible else [key[0] for key in function.shape.order]
    lines = shorthand(module, module.functions[-1], _names(function), where, nodes)
    size = len(WasmFunction(graph, needs, start).code)
    return Code([(line.mark, "  " * line.depth + line.text) for line in lines], size)


def _names(function: WasmFunction) -> dict[int, str]:
    """Return what a function's locals are called."""
    named: dict[str, Any] = vars(function)
    names = {local: _word(cell) for cell, local in function.place.items()}
    for word in ("left", "wide", "recipe", "condition", "target", "next"):
        if isinstance(named.get(word), int):
            names[named[word]] = {"condition": "yes", "target": "to"}.get(word, word)
    names.update({local: f"kept{at}" for at, local in enumerate(named.get("keeps", ()))})
    return names


def _word(cell: Var) -> str:
    return str(Op("", cell, ())).partition(" ")[0].lower()
