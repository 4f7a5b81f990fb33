"""What a tier makes of a region, as lines of text by the guest's instruction (S18).

Each tier says it in its own way; here they all become the same: pairs of an address and a line. Of
the llvm tier there are two: what LLVM gets ('llvm'), and what it makes of it ('assembly').
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.machine.pcode import Op, Var
from virtlab.machine.translation import layout
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_assembly import ENTER, LEAVE, assembly
from virtlab.machine.translation.llvm_node import label
from virtlab.machine.translation.python import PythonFunction
from virtlab.machine.translation.tiers import DONE, EMPTY, FAULT, TIERS
from virtlab.machine.translation.wasm import WasmFunction, wasm_module
from virtlab.machine.translation.wasm_read import read_module
from virtlab.machine.translation.wasm_short import shorthand
from virtlab.machine.translation.wasm_text import text_of
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs
    from virtlab.machine.translation.wasm_short import Line

__all__ = ["FORMS", "STATE", "Code", "code_of", "whole_code"]

STATE = {  # what p-code calls by their places: words of the state that no processor has
    f"r{layout.ANSWERED:x}": "answered",
    f"r{layout.WAITING:x}": "waiting",
}
FORMS = (*TIERS, "assembly")  # what code can be shown as
_REASONS = {str(DONE): "DONE", str(FAULT): "FAULT", str(EMPTY): "EMPTY"}


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
        One of `FORMS`.
    graph, needs, start
        Of the region, as a `Host` takes them.
    where
        Writes an address of the guest.

    Returns
    -------
    Code
        Nothing for the interpreter. Instead of assembly a line that says so where `llvmlite`, which
        makes it, is not installed.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> code_of("wasm", graph, needs(graph), (0, 0), hex).lines[-2:]
    [(0, 'leave DONE at 5'), (0, 'leave reason at address')]
    """
    if tier == "interpreter":
        return Code([], 0)
    if tier == "python":
        return _python(graph, needs, start)
    if tier == "llvm":
        return _llvm(graph, needs, start)
    if tier == "assembly":
        return _assembly(graph, needs, start, where)
    return _wasm(graph, needs, start, where)


def whole_code(
    tier: str,
    graph: Graph,
    needs: dict[Key, Needs],
    start: Key,
    where: Callable[[int], str] = hex,
) -> str:
    """Write all of a region's code, in the language of the tier.

    Parameters
    ----------
    tier, graph, needs, start, where
        As `code_of` takes them.

    Returns
    -------
    str
        WebAssembly's text format, Python's source, LLVM's representation, or an assembler's text.

    Raises
    ------
    InvalidInputError
        If it is to be assembly and `llvmlite` is not installed.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> for tier in FORMS[1:4]:
    ...     print(whole_code(tier, graph, needs(graph), (0, 0)).partition("(")[0])
    def at_00000000
    <BLANKLINE>
    define i32 @region
    """
    if tier == "python":
        return PythonFunction(graph, needs, start).source
    if tier == "llvm":
        return LlvmFunction(graph, start, (0, 0), drop_dead=_drops(graph, needs)).text
    if tier == "assembly":
        return assembly(graph, needs, start, where).text
    if tier == "wasm":
        return text_of(read_module(wasm_module([WasmFunction(graph, needs, start)])))
    return ""


def _python(graph: Graph, needs: dict[Key, Needs], start: Key) -> Code:
    """Take the source's lines; what begins a loop belongs to what follows, an end to the last."""
    function = PythonFunction(graph, needs, start)
    owner = {line: address for address, lines in function.lines.items() for line in lines}
    found: list[tuple[int, str]] = []
    waiting: list[str] = []
    for at, line in enumerate(function.source.splitlines(), start=1):
        text = line.removeprefix("    ")
        if text.lstrip().startswith("#"):
            continue
        if at in owner:
            found += [(owner[at], one) for one in (*waiting, text)]
            waiting.clear()
        elif waiting or not found or text.lstrip().startswith("while"):
            waiting.append(text)
        else:
            found.append((found[-1][0], text))
    found += [(found[-1][0] if found else start[0], one) for one in waiting]
    return Code(found, len(function.source))


def _llvm(graph: Graph, needs: dict[Key, Needs], start: Key) -> Code:
    """Take the blocks, each with the instruction that it begins with.

    What LLVM's optimizer makes of it is shorter and has no such order. Left out: how the function
    is entered, and cold blocks.
    """
    function = LlvmFunction(graph, start, (0, 0), drop_dead=_drops(graph, needs))
    begins = {f"{label(key)}:": key[0] if node.origins else -1 for key, node in graph.items()}
    cold = len("\n".join(function.cold))
    found: list[tuple[int, str]] = []
    now = -1
    for line in function.text[: len(function.text) - cold].splitlines()[1:]:
        now = begins.get(line.strip(), now)
        if now >= 0 and line.strip() not in ("", "}"):
            found.append((now, line.strip()))
    return Code(found, 0)


def _assembly(
    graph: Graph, needs: dict[Key, Needs], start: Key, where: Callable[[int], str]
) -> Code:
    """Take the processor's instructions; of how it is entered and left, say how many they are."""
    try:
        made = assembly(graph, needs, start, where)
    except InvalidInputError as error:
        return Code([(start[0], f"no assembly: {error}")], 0)
    lines = [(one.origin, f"{one.number:>3}  {one.text}") for one in made.lines if one.origin >= 0]
    numbers = {
        way: [one.number for one in made.lines if one.origin == way] for way in (ENTER, LEAVE)
    }
    cells = ", ".join(map(_word, made.cells))
    enter = (start[0], f"enter: {cells} ({_counted(numbers[ENTER])})")
    last = max(address for address, _ in lines) if lines else start[0]
    return Code([enter, *lines, (last, f"leave: {_counted(numbers[LEAVE])}")], made.size)


def _counted(numbers: list[int]) -> str:
    """Say how many lines, and where the first ones stand."""
    end = next((at for at in numbers if at + 1 not in numbers), 0)
    first = numbers[0] if numbers else 0
    return f"{len(numbers)} lines, from {first} to {end}" + (
        " and elsewhere" if end - first + 1 < len(numbers) else ""
    )


def _wasm(graph: Graph, needs: dict[Key, Needs], start: Key, where: Callable[[int], str]) -> Code:
    function = WasmFunction(graph, needs, start, marks=True)
    module = read_module(wasm_module([function]))
    nodes = [] if function.shape.nests else [key[0] for key in function.shape.order]
    lines = shorthand(module, module.functions[-1], _names(function), where, nodes)
    lines = _with_leaving(_without_making(lines))
    size = len(WasmFunction(graph, needs, start).code)
    return Code([(line.mark, "  " * line.depth + line.text) for line in lines], size)


def _drops(graph: Graph, needs: dict[Key, Needs]) -> bool:
    """Return whether flags are put off."""
    return any(needs[key].sets != node.sets for key, node in graph.items())


def _without_making(lines: list[Line]) -> list[Line]:
    """Write as one line what makes flags that were put off: after all else, for each recipe."""
    texts = [line.text for line in lines]
    last = len(texts) - 1 - texts[::-1].index("recipe = 0") if "recipe = 0" in texts else 0
    first = next((at for at, text in enumerate(texts) if text.startswith("if recipe == ")), last)
    if first >= last:
        return lines
    return [*lines[:first], lines[first]._replace(text="make flags put off"), *lines[last + 1 :]]


def _with_leaving(lines: list[Line]) -> list[Line]:
    """Write as one line what says where to go on, why, and jumps to where all is stored."""
    found: list[Line] = []
    at = 0
    while at < len(lines):
        texts = [*(line.text for line in lines[at : at + 4]), "", "", ""]
        is_it = texts[0].startswith("address = ") and texts[1].startswith("reason = ")
        if not is_it:
            found.append(lines[at])
            at += 1
            continue
        why = _REASONS.get(texts[1].removeprefix("reason = "), texts[1])
        to = texts[0].removeprefix("address = ")
        found.append(lines[at]._replace(text=f"leave {why} at {to}"))
        at += 3 if texts[2].startswith("goto") else 4
    return found


def _names(function: WasmFunction) -> dict[int, str]:
    """Return what a function's locals are called."""
    named: dict[str, Any] = vars(function)
    names = {local: _word(cell) for cell, local in function.place.items()}
    for word in (
        "left",
        "wide",
        "recipe",
        "condition",
        "target",
        "next",
        "reason",
        "address",
        "real",
    ):
        if isinstance(named.get(word), int):
            names[named[word]] = {"condition": "yes", "target": "to"}.get(word, word)
    names.update({local: f"kept{at}" for at, local in enumerate(named.get("keeps", ()))})
    return names


def _word(cell: Var) -> str:
    word = str(Op("", cell, ())).partition(" ")[0].lower()
    return STATE.get(word, word)
