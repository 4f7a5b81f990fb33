"""How a function of the wasm tier is entered, left, and goes on in the next one (S18).

Cells are locals: loaded when the function is entered, stored when it is left. Where it is left by a
direct exit, the exit's slot in `LINKS` says which function comes next, if that is known
(`virtlab.machine.translation.links`): then a **tail call** goes there, which leaves nothing behind
on the stack. The next function takes its instructions from what is left, as it always does. If the
slot is empty the driver is asked.
"""

from __future__ import annotations

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
    local_tee,
    unsigned_leb,
)
from virtlab.machine.translation.wasm_values import END, operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtlab.machine.pcode import Var
    from virtlab.machine.translation.lifting import Graph
    from virtlab.machine.translation.liveness import Recipe

__all__ = ["Edges"]

_LOAD = {1: b"\x2d\x00", 2: b"\x2f\x00", 4: b"\x28\x00", 8: b"\x29\x00"}
_STORE = {1: b"\x3a\x00", 2: b"\x3b\x00", 4: b"\x36\x00", 8: b"\x37\x00"}
_BR, _RETURN = b"\x0c", b"\x0f"
_TAIL_CALL = b"\x13\x00\x00"  # return_call_indirect: a region's type, the only table


class Edges:
    """What a function begins and ends with, and its locals.

    Parameters
    ----------
    graph
        Of the region.
    recipes
        For flags that it does not compute.
    exits
        Numbers of its direct exits' slots, from 1, by the address they lead to; one that is not
        here goes to the driver.

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
    >>> edges = Edges(graph, [], {5: 1})
    >>> 0x13 in edges.exit(), 0x13 in Edges(graph, [], {}).exit()
    (True, False)
    """

    def __init__(self, graph: Graph, recipes: list[Recipe], exits: Mapping[int, int]) -> None:
        self.recipes, self.exits = recipes, exits
        self.locals: list[int] = []
        self.left, self.wide = self.local(I32), self.local(I64)
        self.place = {cell: self.local_for(cell) for cell in sorted(_cells_of(graph))}
        self.kept = [cell for cell in self.place if cell.space == REGISTER]
        self.changed = {cell for node in graph.values() for cell in node.sets}
        most = max((len(recipe.leaves) for recipe in self.recipes), default=0)
        self.recipe, self.keeps = self.local(I32), [self.local(I64) for _ in range(most)]
        self.reason, self.address, self.real = (self.local(I32) for _ in range(3))
        self.link = self.local(I32) if exits else 0  # what an exit's slot is found by; 0 is empty

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
        """Store what may have changed; go on in the next function, or return.

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
                _to_memory(layout.KEPT + 8 * k, 8, local_get(keep))
                for k, keep in enumerate(self.keeps)
            ]
        go_on = self._go_on() if self.exits else b""
        return b"".join(parts) + go_on + local_get(self.reason) + _RETURN + END

    def _go_on(self) -> bytes:
        """Go where the exit's slot says, if it says something."""
        slot = local_get(self.link) + _LOAD[4] + unsigned_leb(layout.LINKS) + local_tee(self.link)
        more = _from_memory(layout.CHAINED, 4) + constant(1) + operator("add", 4)
        count = _to_memory(layout.CHAINED, 4, more)
        return slot + block_of("if") + count + local_get(self.link) + _TAIL_CALL + END

    def leave(self, address: int | bytes, reason: int, depth: int) -> bytes:
        """Go to where the function is left.

        Parameters
        ----------
        address
            Where the guest goes on: the address, or code that pushes it.
        reason
            Why it is left.
        depth
            Out of so many blocks more than one.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        >>> Edges({}, [], {}).leave(5, DONE, 0).hex()  # address, reason, out
        '41052104410021030c00'
        """
        code = address if isinstance(address, bytes) else constant(address)
        code += local_set(self.address) + constant(reason) + local_set(self.reason)
        if self.recipes and reason == DONE:  # all flags are there
            code += constant(0) + local_set(self.recipe)
        if reason == DONE and isinstance(address, int) and address in self.exits:
            code += constant(4 * self.exits[address]) + local_set(self.link)
        return code + _BR + unsigned_leb(depth)


def _cells_of(graph: Graph) -> set[Var]:
    found: set[Var] = set()
    for node in graph.values():
        found.update(node.sets, node.sets.values(), node.ending)
        found.update(var for op in node.ops for var in op.ins)
        found.update(*(moment.values for moment in node.moments.values()))
    return {var for var in found if is_cell(var)}


def _from_memory(offset: int, size: int) -> bytes:
    return constant(0) + _LOAD[size] + unsigned_leb(offset)


def _to_memory(offset: int, size: int, value: bytes) -> bytes:
    return constant(0) + value + _STORE[size] + unsigned_leb(offset)
