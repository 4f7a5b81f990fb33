"""One check for all accesses of a stretch of code that are at known distances (S18).

A function saves three registers in its frame; a loop whose body stands there four times reads four
elements of a matrix. Each access has to be in RAM, and each has a check of its own, though their
addresses differ by what is known beforehand. So where a stretch begins, the lowest of them is
checked once, with room for all. If that fails, nothing has been done yet: the function is left
there, for the interpreter. Behind the check an access is one instruction: a register, a distance.

A **stretch** is what follows a node up to where a loop begins or ends, other ways come in, or code
is entered. In it each address is followed (`virtlab.machine.translation.llvm_sums`) as a sum of
registers as they were where the stretch began, each so many times, and a constant. Accesses with
the same registers make a **group**. It may have one that is not done on the way that is taken: then
more is asked than had to be, which is right, only not always worth it. Where code often meets what
is no RAM the translator makes other code (`Purpose.asks`).

Where no code of a function moves the stack pointer, its frame is checked once, where the function
is entered: for all loops, and for all accesses in it.

Writes are checked by page: a group that spans less than a page touches at most two of them, and
mostly one. So a group with writes is asked about once, as if it were all written, and all in its
first byte's page; what has to be asked (one look for what is read, one for each page that is
written) is asked aside, if the answer is no.

Source: Gupta, "Optimizing Array Bound Checks Using Flow Analysis" (LOPLAS 1993), for checks that
are combined and made earlier.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.machine.memory import PAGE
from virtlab.machine.translation.lifting import CELLS
from virtlab.machine.translation.llvm_loops import inner_loops
from virtlab.machine.translation.llvm_memory import RARELY
from virtlab.machine.translation.llvm_sums import Sum, followed
from virtlab.machine.translation.llvm_unroll import COPY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from virtlab.machine.pcode import Var
    from virtlab.machine.translation.control import Shape
    from virtlab.machine.translation.lifting import Key
    from virtlab.machine.translation.llvm_memory import Flat
    from virtlab.machine.translation.llvm_sums import Known, Terms
    from virtlab.machine.translation.llvm_values import Lines

__all__ = ["EVERYWHERE", "Ahead", "Group", "groups_of"]

EVERYWHERE = (-1, 0)  # where a stretch would begin that is all of a function

_MASK = 0xFFFFFFFF
_LONGEST = 8  # bytes of an access: so far beyond a limit may be written what begins below it
_ESP = CELLS[4]
_SPAN = 1 << 16  # bytes that a group's reads may be apart


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

    @property
    def fits_a_page(self) -> bool:
        """Whether it is written to, of several accesses, and so short that it may lie in a page."""
        is_several = len(self.reads) + len(self.writes) > 1
        return bool(self.writes) and is_several and self.high - self.low < PAGE

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
    >>> from virtlab.machine.pcode import CONST, Op, Var
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
        for at, address in followed(node, known):
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


def _any(found: list[str], lines: Lines) -> str:
    """Add what joins truths; return the name of the truth that one of them holds; '' of none."""
    amiss = ""
    for one in found:
        amiss = lines.value(f"or i1 {amiss}, {one}") if amiss else one
    return amiss


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
        found = []
        for group in self._groups.get(key, []):
            first = str(group.low & _MASK)
            for register, factor in group.terms:
                value = get(register)
                if factor != 1:
                    value = lines.value(f"mul i32 {value}, {factor}")
                first = lines.value(f"add i32 {value}, {first}")
            found += self._amiss(group, first, lines)
            self._places[key, group.terms] = first, group.low
        return _any(found, lines)

    def ask_exactly(self, key: Key, lines: Lines, fine: str) -> None:
        """Add what is asked where `check` found something amiss; go on at `fine` if nothing is.

        Parameters
        ----------
        key, lines
            As `check` takes them.
        fine
            Label of a block. What is added leads there, or to the line after it; it is nothing if
            `check` has asked for just what has to be.

        Examples
        --------
        >>> from virtlab.machine.pcode import Op, Var
        >>> from virtlab.machine.translation.control import Shape
        >>> from virtlab.machine.translation.lifting import CELLS, Leave, Node
        >>> from virtlab.machine.translation.llvm_memory import Flat
        >>> from virtlab.machine.translation.llvm_values import Lines
        >>> ops = [Op("STORE", None, (cell, CELLS[0])) for cell in (CELLS[3], CELLS[3])]
        >>> shape = Shape({(0, 0): Node((0, 0), ops, end=Leave(9))}, (0, 0))
        >>> ahead, lines = Ahead(shape, [(0, 0)], Flat(1 << 20)), Lines()
        >>> _ = ahead.check((0, 0), lines, lambda cell: "%ebx")
        >>> ahead.ask_exactly((0, 0), lines, "fine")
        >>> lines.text[-2:]
        ['  br i1 %v13, label %v14, label %fine, !prof !0', 'v14:']
        """
        groups = self._groups.get(key, [])
        if any(group.fits_a_page for group in groups):
            firsts = [self._places[key, group.terms][0] for group in groups]
            each = zip(groups, firsts, strict=True)
            amiss = _any([one for it in each for one in self._each_amiss(*it, lines)], lines)
            leaves = lines.name()
            lines.add(f"br i1 {amiss}, label %{leaves}, label %{fine}{RARELY}")
            lines.text.append(f"{leaves}:")

    def _amiss(self, group: Group, first: str, lines: Lines) -> list[str]:
        """Add comparisons for a group; one if it may lie in one page, as if all were written."""
        if self._way is None or not group.fits_a_page:
            return self._each_amiss(group, first, lines)
        last = max(group.high - group.low - _LONGEST, 0)
        return [self._way.is_guarded(lines, first, last)]

    def _each_amiss(self, group: Group, first: str, lines: Lines) -> list[str]:
        """Add one comparison for all that is read, and at most two for what is written."""
        if self._way is None:
            return []
        found = []
        if group.reads:
            found.append(self._way.is_beyond(lines, first, group.high - group.low))
        places = [at - group.low for at, _ in group.writes]
        for distance in sorted({min(places), max(places)}) if places else ():
            at = lines.value(f"add i32 {first}, {distance}") if distance else first
            found.append(self._way.is_guarded(lines, at))
        return found

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
