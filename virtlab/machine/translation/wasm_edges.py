"""How a function of the wasm tier is entered, left, and goes on in the next one (S18).

Cells are locals: loaded when the function is entered, stored when it is left. What it returns
stands in a word of `LINKS`: the first words are why it came back, less than 0, or 0 if the driver
has to look where to go on. Each direct exit has a word of its own: 0 at first, and once the exit is
linked (`virtlab.machine.translation.links`) the number of the function that comes next, which the
driver calls at once. A tail call from function to function would do without the driver, but took
longer than even a look-up when measured, for all that wasmtime checks and keeps.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from virtlab.machine.pcode import REGISTER
from virtlab.machine.translation import layout
from virtlab.machine.translation.lifting import is_cell
from virtlab.machine.translation.tiers import DONE
from virtlab.machine.translation.wasm_code import (
    I32,
    I64,
    block_of,
    constant,
    local_get,
    local_set,
    unsigned_leb,
)
from virtlab.machine.translation.wasm_flags import made
from virtlab.machine.translation.wasm_memory import LOAD, STORE
from virtlab.machine.translation.wasm_values import END, WIDEN, WRAP, operator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtlab.machine.pcode import Var
    from virtlab.machine.translation.lifting import Graph
    from virtlab.machine.translation.liveness import Recipe

__all__ = ["Edges"]

_BR, _RETURN = b"\x0c", b"\x0f"


class Edges:
    """What a function begins and ends with, and its locals.

    Parameters
    ----------
    graph
        Of the region.
    recipes
        For flags that it does not compute.
    exits
        Which word of `LINKS` each of its direct exits has, by the address that it leads to; of one
        that is not here the driver looks where to go on.

    Attributes
    ----------
    locals
        Types of its locals.
    place
        Locals of cells.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> ways = [Edges(graph, [], exits).leave(5, DONE, 0).hex() for exits in ({}, {5: 9})]
    >>> ways[0], ways[1]  # 5 is the address; why is 0, or which word of `LINKS` to look into
    ('41052104410021030c00', '41052104410921030c00')
    """

    def __init__(self, graph: Graph, recipes: list[Recipe], exits: Mapping[int, int]) -> None:
        self.recipes, self.exits = recipes, exits
        self.locals: list[int] = []
        self.left, self.wide = self.local(I32), self.local(I64)
        self.place = {cell: self.local_for(cell) for cell in sorted(_cells_of(graph))}
        self.kept = [cell for cell in self.place if cell.space == REGISTER]
        self.changed = {cell for node in graph.values() for cell in node.sets}
        self.recipe = self.local(I32)
        self.keeps = [self.local(kind) for kind in _kinds_of(self.recipes)]
        self.reason, self.address, self.real = (self.local(I32) for _ in range(3))

    def local(self, kind: int) -> int:
        """Make a local.

        Parameters
        ----------
        kind
            I32 or I64.

        Returns
        -------
        int
            Its number.

        Examples
        --------
        See `local_for`.
        """
        self.locals.append(kind)
        return len(self.locals) - 1

    def local_for(self, var: Var) -> int:
        """Make a local for a value.

        Parameters
        ----------
        var
            The value.

        Returns
        -------
        int
            Number of the local.

        Examples
        --------
        >>> from virtlab.machine.translation.lifting import CELLS
        >>> edges = Edges({}, [], {})
        >>> edges.local_for(CELLS[0]) == len(edges.locals) - 1
        True
        """
        return self.local(I64 if var.size == 8 else I32)

    def enter(self) -> bytes:
        """Load what may be needed.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        >>> len(Edges({}, [], {}).enter())  # load `left`, keep it
        8
        """
        parts = [_from_memory(layout.LEFT, 4) + local_set(self.left)]
        parts += [
            _from_memory(cell.offset, cell.size) + local_set(self.place[cell]) for cell in self.kept
        ]
        return b"".join(parts)

    def exit(self) -> bytes:
        """Store what may have changed, and return.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        See the class.
        """
        parts = [
            _to_memory(cell.offset, cell.size, local_get(self.place[cell]))
            for cell in self.kept
            if cell in self.changed
        ]
        parts.append(_to_memory(layout.EIP, 4, local_get(self.address)))
        parts.append(_to_memory(layout.LEFT, 4, local_get(self.left)))
        if self.recipes:
            parts.append(_to_memory(layout.RECIPE, 4, local_get(self.recipe)))
            parts.append(_to_memory(layout.REAL, 4, local_get(self.real)))
            parts += [
                _to_memory(layout.KEPT + 8 * k, self._size(keep), local_get(keep))
                for k, keep in enumerate(self.keeps)
            ]
        word = local_get(self.reason) + constant(2) + operator("shl", 4)
        return b"".join(parts) + word + LOAD[4] + unsigned_leb(layout.LINKS) + _RETURN + END

    def _size(self, local: int) -> int:
        return 8 if self.locals[local] == I64 else 4

    def keep(self, at: int, leaf: Var, value: bytes) -> bytes:
        """Push a value as a local of `keeps` has it.

        Parameters
        ----------
        at
            Which local.
        leaf, value
            What is to be kept; code that pushes it.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        See `virtlab.machine.translation.wasm.WasmFunction`.
        """
        return value + (WIDEN if self._size(self.keeps[at]) > max(leaf.size, 4) else b"")

    def flags(self, numbers: Mapping[int, Recipe]) -> bytes:
        """Make the flags that were put off, if there are any.

        Parameters
        ----------
        numbers
            The recipes that may be kept, by their numbers.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        >>> Edges({}, [], {}).flags({})
        b''
        """
        code = b""
        for number, recipe in numbers.items():
            keeps = [
                local_get(keep) + (WRAP if self._size(keep) > max(leaf.size, 4) else b"")
                for keep, leaf in zip(self.keeps, recipe.leaves, strict=False)
            ]
            is_it = local_get(self.recipe) + constant(number) + operator("eq", 4)
            code += is_it + block_of("if") + made(recipe, keeps, self.place, self.local_for) + END
        return code + (constant(0) + local_set(self.recipe) if code else b"")

    def leave(self, address: int | bytes, reason: int, depth: int) -> bytes:
        """Go to where the function is left.

        Parameters
        ----------
        address
            Where the guest goes on: the address, or code that pushes it.
        reason
            Why it is left.
        depth
            Out of so many blocks more than one; one more if flags that were put off stay so.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        >>> Edges({}, [], {}).leave(5, DONE, 0).hex()  # address, why, out
        '41052104410021030c00'
        """
        why, code = reason, address if isinstance(address, bytes) else constant(address)
        if reason == DONE and isinstance(address, int):
            why = self.exits.get(address, reason)
        code += local_set(self.address) + constant(why) + local_set(self.reason)
        return code + _BR + unsigned_leb(depth + (reason != DONE))


def _cells_of(graph: Graph) -> set[Var]:
    found: set[Var] = set()
    for node in graph.values():
        found.update(node.sets, node.sets.values(), node.ending)
        found.update(var for op in node.ops for var in op.ins)
        found.update(*(moment.values for moment in node.moments.values()))
    return {var for var in found if is_cell(var)}


def _kinds_of(recipes: Iterable[Recipe]) -> list[int]:
    """Return of which type locals have to be that keep any recipe's leaves."""
    sizes = zip_longest(*([leaf.size for leaf in one.leaves] for one in recipes), fillvalue=0)
    return [I64 if max(places) > 4 else I32 for places in sizes]


def _from_memory(offset: int, size: int) -> bytes:
    return constant(0) + LOAD[size] + unsigned_leb(offset)


def _to_memory(offset: int, size: int, value: bytes) -> bytes:
    return constant(0) + value + STORE[size] + unsigned_leb(offset)
