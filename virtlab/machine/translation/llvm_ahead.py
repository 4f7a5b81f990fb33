"""One check for all accesses of a stretch of code that are at known distances (S18).

A function saves three registers in its frame; a loop whose body stands there four times reads four
elements of a matrix. Each access has to be in RAM, and each has a check of its own, though their
addresses differ by what is known beforehand. So where a stretch begins, the lowest of them is
checked once, with room for all. If that fails, nothing has been done yet: the function is left
there, for the interpreter. Behind the check an access is one instruction: a register, a distance.

A **stretch** is what follows a node up to where a loop begins or ends, other ways come in, or code
is entered. In it each address is followed through additions, subtractions, and products with
constants: it is a sum of registers as they were where the stretch began, each so many times, and a
constant. Accesses with the same registers make a **group**. It may have one that is not done on the
way that is taken: then more is asked than had to be, which is right, only not always worth it.
Where code often meets what is no RAM the translator makes other code (`Purpose.asks`).

Where no code of a function moves the stack pointer, its frame is checked once, where the function
is entered: for all loops, and for all accesses in it.

Writes are checked by page: a group that spans less than a page touches at most two of them.

Source: Gupta, "Optimizing Array Bound Checks Using Flow Analysis" (LOPLAS 1993), for checks that
are combined and made earlier.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.memory import PAGE
from virtlab.machine.pcode import CONST, PORTS, REGISTER
from virtlab.machine.translation.lifting import CELLS, is_cell
from virtlab.machine.translation.llvm_loops import inner_loops
from virtlab.machine.translation.llvm_unroll import COPY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.control import Shape
    from virtlab.machine.translation.lifting import Key, Node
    from virtlab.machine.translation.llvm_memory import Flat
    from virtlab.machine.translation.llvm_values import Lines

    Terms = tuple[tuple[Var, int], ...]
    Known = dict[Var, "Sum | None"]

__all__ = ["EVERYWHERE", "Ahead", "Group", "Sum", "groups_of"]

EVERYWHERE = (-1, 0)  # where a stretch would begin that is all of a function

_MASK = 0xFFFFFFFF
_ESP = CELLS[4]
_SPAN = 1 << 16  # bytes that a group's reads may be apart


class Sum(NamedTuple):
    """A number of 32 bits: registers, each so many times, and a constant.

    Attributes
    ----------
    terms
        (register, how many times), in order.
    constant
        What is added.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import CELLS
    >>> Sum.of(CELLS[0]).plus(Sum((), 4)).times(2)
    Sum(terms=((Var(space=1, offset=0, size=4), 2),), constant=8)
    """

    terms: Terms
    constant: int

    @classmethod
    def of(cls, register: Var) -> Sum:
        """Return a register as it is."""
        return cls(((register, 1),), 0)

    def plus(self, other: Sum, times: int = 1) -> Sum:
        """Add another, so many times."""
        terms = dict(self.terms)
        for register, factor in other.terms:
            terms[register] = terms.get(register, 0) + times * factor & _MASK
        left = tuple(sorted((register, factor) for register, factor in terms.items() if factor))
        return Sum(left, self.constant + times * other.constant & _MASK)

    def times(self, factor: int) -> Sum:
        """Multiply."""
        return Sum((), 0).plus(self, factor)


@dataclass
class Group:
    """Accesses of a stretch at known distances.

    Attributes
    ----------
    terms
        What their addresses have in common.
    reads, writes
        (Distance, bytes) of each; a distance is signed.
    nodes
        Where they are.

    Examples
    --------
    >>> group = Group((), [(8, 4)], [(-4, 4)])
    >>> group.low, group.high
    (-4, 12)
    """

    terms: Terms
    reads: list[tuple[int, int]] = field(default_factory=list)
    writes: list[tuple[int, int]] = field(default_factory=list)
    nodes: list[Key] = field(default_factory=list)

    @property
    def low(self) -> int:
        """Distance of the first byte."""
        return min(at for at, _ in self.reads + self.writes)

    @property
    def high(self) -> int:
        """Distance of what follows the last byte."""
        return max(at + size for at, size in self.reads + self.writes)

    def is_worth(self, begin: Key) -> bool:
        """Return whether one check is less work than one each, and says the same.

        Parameters
        ----------
        begin
            Where the stretch begins.

        Returns
        -------
        bool
            False of a single access that may not be done at all.

        Examples
        --------
        >>> Group((), [(8, 4)], [], [(5, 0)]).is_worth((0, 0))
        False
        >>> Group((), [(8, 4), (4, 4)], [], [(5, 0), (5, 0)]).is_worth((0, 0))
        True
        """
        is_sure = len(self.nodes) > 1 or begin in (self.nodes[0], EVERYWHERE)
        if self.high - self.low > _SPAN or not is_sure:
            return False
        places = [at for at, _ in self.writes]
        return not places or max(places) - min(places) < PAGE


def groups_of(
    shape: Shape, entries: Collection[Key]
) -> tuple[dict[tuple[Key, Terms], Group], dict[tuple[Key, int], tuple[Key, Sum]]]:
    """Find the accesses whose addresses are known from where their stretch begins.

    Parameters
    ----------
    shape
        Of a graph.
    entries
        Where it is entered.

    Returns
    -------
    groups
        By where a stretch begins, and what the addresses have in common.
    accesses
        By node and place in its operations: where its stretch begins, and its address.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import CELLS, Leave, Node
    >>> place, what, four = Var(2, -1, 4), Var(2, -2, 4), Var(CONST, 4, 4)
    >>> ops = [Op("INT_ADD", place, (CELLS[4], four)), Op("LOAD", what, (place,))]
    >>> groups, _ = groups_of(Shape({(0, 0): Node((0, 0), ops, end=Leave(9))}, (0, 0)), [(0, 0)])
    >>> [(group.terms[0][0] == CELLS[4], group.reads) for group in groups.values()]
    [(True, [(4, 4)])]
    """
    groups: dict[tuple[Key, Terms], Group] = {}
    accesses: dict[tuple[Key, int], tuple[Key, Sum]] = {}
    begins: dict[Key, Key] = {}
    after: dict[Key, Known] = {}
    inner, everything = inner_loops(shape), set(shape.order)
    ends = {shape.graph[key].sets.get(_ESP, _ESP) for key in shape.order}
    frame = ((_ESP, 1),) if ends == {_ESP} else None
    for key in shape.order:
        node = shape.graph[key]
        before = {begins.get(one) for one in shape.before[key]}
        begin = before.pop() if len(before) == 1 and key not in entries else None
        goes_on = begin is not None and key in inner.get(begin, everything)
        begin = begin if begin is not None and goes_on else key
        begins[key] = begin
        known = _met([after[one] for one in shape.before[key]]) if goes_on else {}
        for at, address in _followed(node, known):
            op = node.ops[at]
            where = EVERYWHERE if address.terms == frame else begin
            group = groups.setdefault((where, address.terms), Group(address.terms))
            distance = (address.constant ^ 1 << 31) - (1 << 31)
            is_read = op.code == "LOAD"
            size = op.result.size if is_read else op.ins[1].size
            (group.reads if is_read else group.writes).append((distance, size))
            group.nodes.append(key)
            accesses[key, at] = where, address
        after[key] = known
    return groups, accesses


def _met(ways: list[Known]) -> Known:
    """Return what is known where ways of one stretch meet: what all of them say."""
    cells = {cell for way in ways for cell in way}
    said = {cell: {way.get(cell, Sum.of(cell)) for way in ways} for cell in cells}
    return {cell: one.pop() if len(one) == 1 else None for cell, one in said.items()}


def _followed(node: Node, known: Known) -> Iterator[tuple[int, Sum]]:
    """Follow numbers through a node, change what is known; give accesses with known addresses."""
    made: Known = {}

    def of(var: Var) -> Sum | None:
        if var.size != 4:  # bytes of an address
            return None
        if var.space == CONST:
            return Sum((), var.offset & _MASK)
        if is_cell(var):
            return known.get(var, Sum.of(var) if var.space == REGISTER else None)
        return made.get(var)

    for at, op in enumerate(node.ops):
        if op.code in ("LOAD", "STORE"):
            address = of(op.ins[0]) if op.segment != PORTS else None
            if address is not None:
                yield at, address
        elif op.out is not None:
            made[op.out] = _computed(op, of)
    known.update({cell: of(value) for cell, value in node.sets.items() if cell.space == REGISTER})


def _computed(op: Op, of: Callable[[Var], Sum | None]) -> Sum | None:
    if op.code not in ("COPY", "INT_ADD", "INT_SUB", "INT_MULT"):
        return None
    ins = [found for var in op.ins if (found := of(var)) is not None]
    if len(ins) < len(op.ins):
        return None
    if op.code == "COPY":
        return ins[0]
    a, b = ins
    if op.code != "INT_MULT":
        return a.plus(b, 1 if op.code == "INT_ADD" else -1)
    if a.terms and b.terms:
        return None
    return a.times(b.constant) if a.terms else b.times(a.constant)


class Ahead:
    """What is checked where stretches of a function begin, and how to get at what was checked.

    Parameters
    ----------
    shape, entries
        As `groups_of` takes them.
    way
        To RAM, if it is such that one check can be for all.

    Examples
    --------
    See `virtlab.machine.translation.llvm.LlvmFunction`, which has one.
    """

    def __init__(self, shape: Shape, entries: Collection[Key], way: Flat | None) -> None:
        self._way = way
        groups, accesses = ({}, {}) if way is None else groups_of(shape, entries)
        self._groups: dict[Key, list[Group]] = defaultdict(list)
        for (begin, _), group in groups.items():
            if begin[1] % COPY == 0 and group.is_worth(begin):
                self._groups[begin].append(group)
        self._accesses = accesses
        self._places: dict[tuple[Key, Terms], tuple[str, int]] = {}

    def check(self, key: Key, lines: Lines, get: Callable[[Var], str]) -> str:
        """Add what is checked where a node begins.

        Parameters
        ----------
        key
            Of the node.
        lines
            Where lines are added.
        get
            Gives a register's value.

        Returns
        -------
        str
            Name of the truth that something is amiss; '' if nothing is checked.

        Examples
        --------
        See `place`.
        """
        amiss = ""
        for group in self._groups.get(key, []):
            first = str(group.low & _MASK)
            for register, factor in group.terms:
                value = get(register)
                if factor != 1:
                    value = lines.value(f"mul i32 {value}, {factor}")
                first = lines.value(f"add i32 {value}, {first}")
            for one in self._amiss(group, first, lines):
                amiss = lines.value(f"or i1 {amiss}, {one}") if amiss else one
            self._places[key, group.terms] = first, group.low
        return amiss

    def _amiss(self, group: Group, first: str, lines: Lines) -> Iterator[str]:
        """Add one comparison for all that is read, and at most two for what is written."""
        if self._way is None:
            return
        if group.reads:
            yield self._way.is_beyond(lines, first, group.high - group.low)
        places = [at - group.low for at, _ in group.writes]
        for distance in sorted({min(places), max(places)}) if places else ():
            at = lines.value(f"add i32 {first}, {distance}") if distance else first
            yield self._way.is_guarded(lines, at)

    def place(self, key: Key, at: int, lines: Lines) -> str:
        """Return the place of an access that was checked already.

        Parameters
        ----------
        key, at
            Of the node, and which of its operations.
        lines
            Where lines are added.

        Returns
        -------
        str
            Name of a pointer; '' if it was not checked.

        Examples
        --------
        >>> from virtlab.machine.pcode import Op, Var
        >>> from virtlab.machine.translation.control import Shape
        >>> from virtlab.machine.translation.lifting import CELLS, Leave, Node
        >>> from virtlab.machine.translation.llvm_memory import Flat
        >>> from virtlab.machine.translation.llvm_values import Lines
        >>> node = Node((0, 0), [Op("LOAD", Var(2, -2, 4), (CELLS[3],))], end=Leave(9))
        >>> ahead = Ahead(Shape({(0, 0): node}, (0, 0)), [(0, 0)], Flat(1 << 20))
        >>> lines = Lines()
        >>> ahead.check((0, 0), lines, lambda cell: "%ebx"), ahead.place((0, 0), 0, lines)
        ('%v2', '%v5')
        >>> lines.text[1]
        '  %v2 = icmp uge i32 %v1, 1048573'
        """
        begin, address = self._accesses.get((key, at), (key, Sum((), 0)))
        found = self._places.get((begin, address.terms))
        if (key, at) not in self._accesses or found is None or self._way is None:
            return ""
        first, low = found
        distance = (address.constant - low & _MASK ^ 1 << 31) - (1 << 31)
        return self._way.at(lines, first, distance)
