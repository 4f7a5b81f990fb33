"""Control flow as loops and blocks: what WebAssembly wants of a graph (S18).

Machine code jumps anywhere; WebAssembly has blocks, loops, and branches out of them or back to
their start. Ramsey's method turns one into the other with the **dominator tree**: a node dominates
another if every way there leads through it. A node that a later one jumps back to is the start of a
loop; a node that several lead to is placed after a block which they can leave; all others are put
where they are jumped to.

It fails where a loop has two entrances (the graph is **irreducible**), as returns to several call
sites may make it; then a switch in a loop does the same, more slowly.

Source: Ramsey, "Beyond Relooper: Recursive Translation of Unstructured Control Flow to Structured
Control Flow" (ICFP 2022); Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.translation.lifting import Graph, Key

__all__ = ["Shape"]

_DEEPEST = 150  # Python calls a thousand functions deep, and for each block there are four


@dataclass(frozen=True)
class Shape:
    """How the nodes of a graph lie to one another.

    Attributes
    ----------
    graph
        Nodes.
    start
        The one that is entered.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Jump, Node
    >>> loop = {(0, 0): Node((0, 0), end=Jump((5, 0))), (5, 0): Node((5, 0), end=Jump((5, 0)))}
    >>> shape = Shape(loop, (0, 0))
    >>> shape.order, shape.loops, shape.is_reducible
    ([(0, 0), (5, 0)], {(5, 0)}, True)
    """

    graph: Graph
    start: Key

    @cached_property
    def order(self) -> list[Key]:
        """Nodes such that each comes before those it leads to, but for jumps back."""
        seen, done = {self.start}, []
        stack: list[tuple[Key, Iterator[Key]]] = [(self.start, iter(self._follow(self.start)))]
        while stack:
            key, rest = stack[-1]
            after = next((k for k in rest if k not in seen), None)
            if after is None:
                done.append(key)
                stack.pop()
            else:
                seen.add(after)
                stack.append((after, iter(self._follow(after))))
        return done[::-1]

    def _follow(self, key: Key) -> tuple[Key, ...]:
        return self.graph[key].follow

    @cached_property
    def number(self) -> dict[Key, int]:
        """Place in `order`."""
        return {key: at for at, key in enumerate(self.order)}

    @cached_property
    def before(self) -> dict[Key, list[Key]]:
        """Which nodes lead to each; one twice if both its ways do."""
        found: dict[Key, list[Key]] = {key: [] for key in self.order}
        for key in self.order:
            for after in self._follow(key):
                found[after].append(key)
        return found

    @cached_property
    def dominator(self) -> dict[Key, Key]:
        """The nearest other node that every way to a node leads through."""
        nearest = {self.start: self.start}
        changed = True
        while changed:
            changed = False
            for key in self.order[1:]:
                known = [other for other in self.before[key] if other in nearest]
                new = known[0]
                for other in known[1:]:
                    new = self._meet(new, other, nearest)
                if nearest.get(key) != new:
                    nearest[key], changed = new, True
        return nearest

    def _meet(self, one: Key, other: Key, nearest: dict[Key, Key]) -> Key:
        while one != other:
            while self.number[one] > self.number[other]:
                one = nearest[one]
            while self.number[other] > self.number[one]:
                other = nearest[other]
        return one

    def goes_back(self, key: Key, to: Key) -> bool:
        """Return whether a jump is one back.

        Parameters
        ----------
        key, to
            From and to which node.

        Returns
        -------
        bool
            A node that jumps to itself does too.

        Examples
        --------
        >>> from virtlab.machine.translation.lifting import Jump, Node
        >>> Shape({(0, 0): Node((0, 0), end=Jump((0, 0)))}, (0, 0)).goes_back((0, 0), (0, 0))
        True
        """
        return self.number[to] <= self.number[key]

    @cached_property
    def loops(self) -> set[Key]:
        """Nodes that a jump back leads to."""
        return {key for key in self.order if any(self.goes_back(k, key) for k in self.before[key])}

    @cached_property
    def merges(self) -> set[Key]:
        """Nodes that several ways lead to, jumps back not counted."""
        return {
            key
            for key in self.order
            if sum(not self.goes_back(k, key) for k in self.before[key]) > 1
        }

    @cached_property
    def children(self) -> dict[Key, list[Key]]:
        """The dominator tree, in order."""
        found: dict[Key, list[Key]] = {key: [] for key in self.order}
        for key in self.order[1:]:
            found[self.dominator[key]].append(key)
        return found

    @property
    def nests(self) -> bool:
        """Whether code can be made of loops and blocks, by functions that call themselves."""
        return self.is_reducible and self._depth <= _DEEPEST

    @cached_property
    def _depth(self) -> int:
        """How deep blocks lie in one another if each node's code has that of its children in it."""
        deepest: dict[Key, int] = {}
        for key in reversed(self.order):  # children come after their parents
            inner = self.children[key]
            own = 1 + sum(child in self.merges for child in inner)
            deepest[key] = own + max((deepest[child] for child in inner), default=0)
        return deepest[self.start]

    @cached_property
    def is_reducible(self) -> bool:
        """Whether each jump back leads to a node that dominates where it comes from."""
        backs = ((k, key) for key in self.loops for k in self.before[key] if self.goes_back(k, key))
        return all(self._meet(k, key, self.dominator) == key for k, key in backs)
