"""A graph as `while` and `if`: what Python has instead of jumps (S18).

As in `virtlab.machine.translation.control`, a node that several lead to is written after the one
that dominates it, and a loop's start begins a `while True`. Python has no branch out of several
blocks at once, so:

- what follows a loop is written after the loop, and `break` leads there;
- what several ways lead to is written after the `if` that they are in, and simply comes next;
- where more than one thing may come next, the variable `way` says which, and each is guarded by an
  `if`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.machine.translation.lifting import Branch, Indirect, Jump, Leave
from virtlab.machine.translation.python_node import Statement
from virtlab.machine.translation.python_values import number, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from virtlab.machine.translation.control import Shape
    from virtlab.machine.translation.lifting import Key, Node

    Write = Callable[[Node], tuple[list[Statement], tuple[str, ...]]]
    Falls = dict[Key, list["Way"]]

__all__ = ["Arrangement", "Block", "Choice", "Loop", "Part", "Way", "negated"]

_OPPOSITES = (("==", "!="), ("!=", "=="), ("<", ">="), (">=", "<"), ("<=", ">"), (">", "<="))


@dataclass
class Way:
    """Says where to go, if somebody asks."""

    to: int
    asked: bool = False


@dataclass
class Choice:
    """An `if`."""

    condition: str
    yes: Block
    no: Block = field(default_factory=list)


@dataclass
class Loop:
    """A `while True`."""

    inside: Block


Part = Statement | Way | Choice | Loop
Block = list[Part]


@dataclass
class _Around:
    """The innermost loop: its nodes, and the ways out of it."""

    start: Key
    nodes: set[Key]
    exits: Falls = field(default_factory=dict)


def _merge(one: Falls, other: Falls) -> Falls:
    found = {key: list(ways) for key, ways in one.items()}
    for key, ways in other.items():
        found.setdefault(key, []).extend(ways)
    return found


def _ask(falls: Falls) -> None:
    for ways in falls.values():
        for way in ways:
            way.asked = True


class Arrangement:
    """The parts of a function that walks a graph.

    Parameters
    ----------
    shape
        Of the graph.
    write
        Gives a node's statements, and the words for what its end reads.
    leave
        Gives the lines that leave for an address, at the end of a node.

    Examples
    --------
    See `virtlab.machine.translation.python.PythonFunction`.
    """

    def __init__(self, shape: Shape, write: Write, leave: Callable[[str, Key], list[str]]) -> None:
        self.shape, self.write, self.leave = shape, write, leave
        self.around: list[_Around] = []
        self.bodies = {start: _body(shape, start) for start in shape.loops}
        self.after: defaultdict[Key, list[Key]] = defaultdict(list)
        self.below: defaultdict[Key, list[Key]] = defaultdict(list)
        for key in shape.order[1:]:
            self._put(key)

    def _put(self, key: Key) -> None:
        """Decide where a node is written: after a loop, after another node, or where it is met."""
        shape, over = self.shape, self.shape.dominator[key]
        left = [start for start, body in self.bodies.items() if over in body and key not in body]
        if self._is_exit(key):
            return
        if left:
            self.after[min(left, key=shape.number.__getitem__)].append(key)
        elif key in shape.merges:
            self.below[over].append(key)

    def _is_exit(self, key: Key) -> bool:
        node = self.shape.graph[key]
        return isinstance(node.end, Leave) and not node.ops

    def tree(self, key: Key, *, inside: bool = False) -> tuple[Block, Falls]:
        """Write a node and all that comes after it there; `inside` its own loop already."""
        parts: Block = []
        following: Key | None = key
        while following is not None:
            key, following = following, None
            if key in self.shape.loops and not inside:
                more, falls = self._loop(key)
                places = self.after[key]
            else:
                places = self.below[key]
                more, falls, following = self._straight(key, is_last=not places)
            inside = False
            parts += more
            for place in places:
                if set(falls) == {place} and place == places[-1]:
                    following = place
                    break
                more, falls = self._next(place, falls)
                parts += more
        return parts, falls

    def _next(self, key: Key, falls: Falls) -> tuple[Block, Falls]:
        """Write what comes next for those who want to go there."""
        if set(falls) == {key}:
            return self.tree(key)
        _ask(falls)
        rest = {to: ways for to, ways in falls.items() if to != key}
        parts, more = self.tree(key)
        return [Choice(f"way == {self.shape.number[key]}", parts)], _merge(rest, more)

    def _loop(self, key: Key) -> tuple[Block, Falls]:
        around = _Around(key, self.bodies[key])
        self.around.append(around)
        inside, falls = self.tree(key, inside=True)
        self.around.pop()
        if falls:
            raise AssertionError(f"what follows {falls} in a loop is missing")
        parts: Block = [Loop(_shortened(inside))]
        return self._settle(parts, around.exits)

    def _settle(self, parts: Block, exits: Falls) -> tuple[Block, Falls]:
        """Go on from where a loop was left: to what is around it, or to what comes next."""
        falls: Falls = {}
        inside = self.around[-1].nodes if self.around else set(self.shape.order)
        if len(exits) > 1 and inside.isdisjoint(exits):
            for to, ways in exits.items():
                self._leads(to, ways)
            return [*parts, Statement("break", next(iter(exits))[0])], {}
        for to, ways in exits.items():
            leads = self._leads(to, ways)
            if leads is None:
                falls[to] = ways
            elif len(exits) == 1:
                parts.append(leads)
            else:
                _ask(exits)
                parts.append(Choice(f"way == {self.shape.number[to]}", [leads]))
        return parts, falls

    def _leads(self, to: Key, ways: Iterable[Way]) -> Statement | None:
        """Return what leads out of this place, or None if that comes next."""
        if not self.around or (to in self.around[-1].nodes and to != self.around[-1].start):
            return None
        if to == self.around[-1].start:
            return Statement("continue", to[0])
        self.around[-1].exits.setdefault(to, []).extend(ways)
        return Statement("break", to[0])

    def _straight(self, key: Key, *, is_last: bool) -> tuple[Block, Falls, Key | None]:
        """Write a node and its end; return the node that comes next, if it is one and simple."""
        node = self.shape.graph[key]
        statements, ending = self.write(node)
        parts: Block = list(statements)
        if isinstance(node.end, Jump):
            if is_last and self._is_met(node.end.to):
                return parts, {}, node.end.to
            more, falls = self._go(node.end.to)
            return parts + more, falls, None
        if isinstance(node.end, Branch):
            more, falls, following = self._branch(node.end, ending[0], is_last=is_last)
            return parts + more, falls, following
        if isinstance(node.end, Leave):
            return [*parts, *self._left(number(node.end.address), key)], {}, None
        more, falls = self._sites(node.end, ending[0], key)
        return parts + more, falls, None

    def _branch(
        self, end: Branch, condition: str, *, is_last: bool
    ) -> tuple[Block, Falls, Key | None]:
        for one, other, words in (
            (end.yes, end.no, condition),
            (end.no, end.yes, negated(condition)),
        ):
            if is_last and self._is_met(other) and not self._is_met(one):
                way, falls = self._go(one)
                if not falls:
                    return [Choice(words, way)], {}, other
        yes, falls = self._go(end.yes)
        no, others = self._go(end.no)
        if not falls:
            return [Choice(condition, yes), *no], others, None
        if not others:
            return [Choice(negated(condition), no), *yes], falls, None
        return [Choice(condition, yes, no)], _merge(falls, others), None

    def _sites(self, end: Indirect, target: str, key: Key) -> tuple[Block, Falls]:
        parts: Block = []
        falls: Falls = {}
        inner = parts
        for site in end.sites:
            way, more = self._go(site)
            falls = _merge(falls, more)
            choice = Choice(f"{within(target)} == {number(site[0])}", way)
            inner.append(choice)
            if more:
                inner = choice.no
        inner += self._left(target, key)
        return parts, falls

    def _left(self, target: str, key: Key) -> Block:
        return [Statement(words, key[0]) for words in self.leave(target, key)]

    def _is_met(self, key: Key) -> bool:
        """Return whether a node is written where it is met."""
        outside = bool(self.around) and key not in self.around[-1].nodes
        return not (
            self._is_exit(key)
            or outside
            or key in self.shape.merges
            or (bool(self.around) and key == self.around[-1].start)
        )

    def _go(self, to: Key) -> tuple[Block, Falls]:
        if self._is_exit(to):
            end = self.shape.graph[to].end
            return self._left(number(end.address if isinstance(end, Leave) else 0), to), {}
        if self._is_met(to):
            return self.tree(to)
        way = Way(self.shape.number[to])
        leads = self._leads(to, [way])
        if leads is None:
            return [way], {to: [way]}
        return ([way, leads] if leads.words == "break" else [leads]), {}


def _shortened(inside: Block) -> Block:
    """Leave out what goes round at the end of a loop anyway."""
    if inside[1:] and _says(inside[-1], "continue"):
        return inside[:-1]
    if len(inside) > 1 and _says(inside[-1], "break") and isinstance(inside[-2], Choice):
        choice = inside[-2]
        if len(choice.yes) == 1 and _says(choice.yes[0], "continue") and not choice.no:
            return [*inside[:-2], Choice(negated(choice.condition), inside[-1:])]
    return inside


def _says(part: Part, words: str) -> bool:
    return isinstance(part, Statement) and part.words == words


def negated(condition: str) -> str:
    """Write the opposite of a condition.

    Parameters
    ----------
    condition
        Python.

    Returns
    -------
    str
        Python.

    Examples
    --------
    >>> negated("not zf"), negated("eax != 0"), negated("zf | cf"), negated("way == 3")
    ('zf', 'eax == 0', 'not (zf | cf)', 'way != 3')
    """
    if condition.startswith("not ") and within(condition[4:]) == condition[4:]:
        inner = condition[4:]
        return inner[1:-1] if inner.startswith("(") and inner.endswith(")") else inner
    words = condition.split(" ")
    for sign, other in _OPPOSITES:
        if len(words) == 3 and words[1] == sign:
            return f"{words[0]} {other} {words[2]}"
    return f"not {within(condition)}"


def _body(shape: Shape, start: Key) -> set[Key]:
    """Return the nodes of a loop: from which its start is reached again without leaving it."""
    found = {start}
    todo = [key for key in shape.before[start] if shape.goes_back(key, start)]
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo += shape.before[key]
    return found
