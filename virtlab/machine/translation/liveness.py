"""What need not be computed: above all, flags (S18).

An addition sets six flags, and the next one sets them again; of all the flags that a program sets,
few are ever read. A cell is **live** where something may still read it before it is written. Going
back through the graph until nothing changes finds for each node which are live at its end; going
back through a node then finds which operations are needed at all, the **hot** ones.

But an interrupt may come between two nodes, and an operation may fault, and then the handler sees
every flag. To compute them all for that would throw away what was won. So a node that sets flags
which nobody reads leaves a **recipe**: which flags, and from which values (mostly the two operands)
they can be made. Code keeps these values and the recipe's number; if the region is left early, the
flags are made then. Only one recipe is kept at a time, so a node that sets some flags needs the
others to be there already.

Where the region is left for good all flags have to be there, since nobody knows what comes. They
are live there; or code follows the recipe on the way out (`virtlab.machine.translation.tiers`):
then a loop does not compute in each turn what only the last one's are read of.

Source: any text on compilers; for flags, Bellard, "QEMU, a Fast and Portable Dynamic Translator"
(USENIX 2005), section 3.3, who keeps operands too ("lazy condition codes").
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.pcode import COMPUTED, CONST
from virtlab.machine.translation.layout import KEPT, REAL, RECIPE
from virtlab.machine.translation.lifting import CELLS, FLAG_CELLS, SYSTEM, Indirect, Leave, is_cell
from virtlab.machine.translation.regions import FAULTING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.lifting import Graph, Key, Node

__all__ = ["Needs", "Recipe", "live_out", "needs", "waiting"]

_FLAGS = frozenset(FLAG_CELLS)
_ALL = frozenset(CELLS)
_GENERAL = _ALL - _FLAGS


@dataclass(frozen=True)
class Recipe:
    """How to make flags that were not computed.

    Attributes
    ----------
    cells
        The flags, and the value that each has.
    leaves
        Values to keep.
    ops
        What makes the one from the other.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> a, zero = Var(2, -1, 4), Var(CONST, 0, 4)
    >>> is_zero = Op("INT_EQUAL", Var(2, -2, 1), (a, zero))
    >>> Recipe({FLAG_CELLS[3]: Var(2, -2, 1)}, (a,), (is_zero,)).flags([0])
    {Var(space=1, offset=518, size=1): 1}
    """

    cells: dict[Var, Var]
    leaves: tuple[Var, ...]
    ops: tuple[Op, ...]

    def flags(self, kept: Sequence[int]) -> dict[Var, int]:
        """Make the flags.

        Parameters
        ----------
        kept
            A value for each of `leaves`.

        Returns
        -------
        dict
            Flag to 0 or 1.

        Examples
        --------
        See the class.
        """
        known = dict(zip(self.leaves, kept, strict=False))

        def value(var: Var) -> int:
            found = var.offset if var.space == CONST else known[var]
            return found & (1 << 8 * var.size) - 1

        for op in self.ops:
            ins = tuple(value(var) for var in op.ins)
            known[op.result] = int(COMPUTED[op.code](ins, op.ins[0].size, op.result.size))
        return {cell: value(var) for cell, var in self.cells.items()}

    def follow(self, view: memoryview) -> None:
        """Make the flags that code has put off, of what it has kept in the buffer.

        Parameters
        ----------
        view
            The buffer of `virtlab.machine.translation.layout`.

        Examples
        --------
        >>> from virtlab.machine.pcode import Op, Var
        >>> a, zero = Var(2, -1, 4), Var(CONST, 0, 4)
        >>> is_zero = Op("INT_EQUAL", Var(2, -2, 1), (a, zero))
        >>> view = memoryview(bytearray(4096))
        >>> Recipe({FLAG_CELLS[3]: Var(2, -2, 1)}, (a,), (is_zero,)).follow(view)
        >>> view[FLAG_CELLS[3].offset]
        1
        """
        (real,) = struct.unpack_from("<I", view, REAL)
        kept = struct.unpack_from(f"<{len(self.leaves)}Q", view, KEPT)
        for cell, value in self.flags(kept).items():
            if not real >> FLAG_CELLS.index(cell) & 1:
                view[cell.offset] = value
        struct.pack_into("<I", view, RECIPE, 0)


@dataclass(frozen=True)
class Needs:
    """What of a node is needed.

    Attributes
    ----------
    hot
        Places of the operations that are done whenever the node runs.
    sets
        Cells that are written at the end of the node, and their values.
    recipe
        How to make the flags that it sets and that are not among them.

    Examples
    --------
    >>> Needs(frozenset(), {}, None).hot
    frozenset()
    """

    hot: frozenset[int]
    sets: dict[Var, Var]
    recipe: Recipe | None


def live_out(graph: Graph, *, at_exits: bool = True) -> dict[Key, set[Var]]:
    """Return which cells have to be there at the end of each node.

    Parameters
    ----------
    graph
        Of a region.
    at_exits
        Whether flags have to be there where the region is left; if not, it makes them there.

    Returns
    -------
    dict
        By key of the node. General registers always have to.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Node
    >>> live = live_out({(0, 0): Node((0, 0))})  # the region is left at once
    >>> len(live[0, 0])
    15
    """
    return _Flow(graph, at_exits=at_exits).live_out()


def needs(graph: Graph, *, drop_dead: bool = True, at_exits: bool = True) -> dict[Key, Needs]:
    """Return what of each node is needed.

    Parameters
    ----------
    graph
        Of a region.
    drop_dead
        Whether what nobody reads is dropped; without it each flag is computed, as a simple
        translator does.
    at_exits
        As `live_out` takes it.

    Returns
    -------
    dict
        By key of the node.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder, Instruction
    >>> from virtlab.machine.translation.lifting import lift
    >>> from virtlab.machine.translation.regions import find_region
    >>> code = bytes.fromhex("01d801d8ebfa")  # add eax, ebx; add eax, ebx; jmp back
    >>> def fetch(address: int) -> Instruction:
    ...     return Decoder().decode(address, code[address:] + bytes(15))
    >>> graph = lift(find_region(0, fetch))
    >>> lazy, eager = needs(graph)[0, 0], needs(graph, drop_dead=False)[0, 0]
    >>> len(graph[0, 0].ops), len(eager.hot), len(lazy.hot), [str(op) for op in lazy.recipe.ops][:1]
    (32, 17, 2, ['t-11 = INT_CARRY t-a, EBX'])
    """
    if not drop_dead:
        live = {*CELLS, *_temporaries(graph)}
        return {key: _of_node(node, live) for key, node in graph.items()}
    flow = _Flow(graph, at_exits=at_exits)
    return {key: flow.of_node(key, live)[0] for key, live in flow.live_out().items()}


def waiting(
    graph: Graph, needs: Mapping[Key, Needs], entries: Iterable[Key]
) -> dict[Key, set[int]]:
    """Return which recipe may be kept at the end of each node.

    Parameters
    ----------
    graph, needs
        Of a region.
    entries
        Where it is entered: there all flags are made.

    Returns
    -------
    dict
        By key of the node: `id` of each recipe, 0 if no flag may be put off there.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> waiting(graph, needs(graph), [(0, 0)])
    {(0, 0): {0}}
    """
    own = {
        key: {id(needs[key].recipe) if needs[key].recipe else 0}
        for key, node in graph.items()
        if not _FLAGS.isdisjoint(node.sets)
    }
    found: dict[Key, set[int]] = {key: set() for key in graph}
    todo = [(key, {0}) for key in entries]
    while todo:
        key, come = todo.pop()
        out = own.get(key, come)
        if out <= found[key]:
            continue
        found[key] = out | found[key]
        todo += ((after, found[key]) for after in graph[key].follow)
    return found


class _Flow:
    """Which cells are live where; what depends on the same cells is found out once."""

    def __init__(self, graph: Graph, *, at_exits: bool) -> None:
        self.graph, self.at_exits = graph, at_exits
        self.known: dict[tuple[Key, frozenset[Var]], tuple[Needs, set[Var]]] = {}

    def of_node(self, key: Key, live: set[Var]) -> tuple[Needs, set[Var]]:
        """Return what of a node is needed, and which cells are for that at its start."""
        node = self.graph[key]
        which = key, frozenset(live & node.sets.keys())
        if which not in self.known:
            found = _of_node(node, live)
            self.known[which] = found, _read(node, found)
        return self.known[which]

    def live_out(self) -> dict[Key, set[Var]]:
        """Go back through the graph until nothing changes."""
        at_start: dict[Key, set[Var]] = {key: set() for key in self.graph}
        at_end: dict[Key, set[Var]] = {key: set() for key in self.graph}
        todo = dict.fromkeys(reversed(self.graph))
        before: dict[Key, list[Key]] = {key: [] for key in self.graph}
        for key, node in self.graph.items():
            for after in node.follow:
                before[after].append(key)
        while todo:
            key = next(iter(todo))
            del todo[key]
            node = self.graph[key]
            leaves = self.at_exits and isinstance(node.end, Leave | Indirect)
            out = set(_ALL if leaves else _GENERAL)
            out = out.union(*(at_start[after] for after in node.follow))
            start = self.of_node(key, out)[1] | (out - node.sets.keys())
            at_end[key] = out
            if start != at_start[key]:
                at_start[key] = start
                todo.update(dict.fromkeys(before[key]))
        return at_end


def _temporaries(graph: Graph) -> set[Var]:
    return {cell for node in graph.values() for cell in node.sets if cell not in CELLS}


def _of_node(node: Node, live: set[Var]) -> Needs:
    sets = {cell: value for cell, value in node.sets.items() if cell in live or cell in SYSTEM}
    hot = _closure(node, {*sets.values(), *node.ending})
    put_off = {cell: value for cell, value in node.sets.items() if cell in _FLAGS - live}
    recipe = _recipe(node, put_off, hot) if put_off else None
    return Needs(frozenset(hot), sets, recipe)


def _recipe(node: Node, cells: dict[Var, Var], hot: set[int]) -> Recipe:
    """Go back from flags to values that are there anyway."""
    made_by = {op.out: at for at, op in enumerate(node.ops) if op.out is not None}
    used: set[int] = set()
    leaves: set[Var] = set()
    todo = list(cells.values())
    while todo:
        var = todo.pop()
        at = made_by.get(var)
        if var.space == CONST or at in used or var in leaves:
            continue
        if at is None or at in hot:
            leaves.add(var)
        else:
            used.add(at)
            todo += node.ops[at].ins
    for var in sorted(leaves, key=lambda leaf: made_by.get(leaf, -1), reverse=True):
        at = made_by.get(var)
        if at is None or node.ops[at].code in FAULTING:
            continue
        if all(v.space == CONST or v in leaves for v in node.ops[at].ins):
            leaves.discard(var)  # the other leaves can make it
            used.add(at)
    ops = tuple(node.ops[at] for at in sorted(used))
    return Recipe(cells, tuple(sorted(leaves)), ops)


def _closure(node: Node, wanted: set[Var]) -> set[int]:
    """Return the operations that make some values, and all that can fault; widen `wanted`."""
    found: set[int] = set()
    for at in range(len(node.ops) - 1, -1, -1):
        op = node.ops[at]
        if op.code in FAULTING or op.out in wanted:
            found.add(at)
            wanted.update(op.ins)
    return found


def _read(node: Node, needed: Needs) -> set[Var]:
    """Return the cells whose value at the start of a node something needs."""
    wanted = {*needed.sets.values(), *node.ending}
    for moment in node.moments.values():  # computed on the way out
        wanted.update(moment.values.values())
    _closure(node, wanted)
    if needed.recipe is not None:
        wanted.update(needed.recipe.leaves)
    missing = _FLAGS - node.sets.keys() if _FLAGS & node.sets.keys() else ()
    return {*_cells(wanted), *missing}


def _cells(places: Iterable[Var]) -> Iterable[Var]:
    return (var for var in places if is_cell(var))
