"""Any graph as `while` and `if`: as it lies, or as one loop that asks where to go (S18).

A graph that is not reducible (`virtlab.machine.translation.control`), or that would be nested too
deeply for Python, becomes one loop: `way` says which node is next, and a few questions find it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.translation.python_control import Arrangement, Block, Choice, Loop, Way
from virtlab.machine.translation.python_node import Statement

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.control import Shape
    from virtlab.machine.translation.lifting import Key
    from virtlab.machine.translation.python_control import Falls, Write

__all__ = ["arranged", "flat"]

_DEEPEST, _LOOPS = 60, 15  # Python's parser allows 100 and 20
_INLINE = 6  # how deep nodes of a graph that is not reducible lie within one another


class _Flat(Arrangement):
    """All nodes in one loop that asks where to go."""

    def __init__(
        self, shape: Shape, write: Write, leave: Callable[[str, Key], list[str]], deep: int
    ) -> None:
        super().__init__(shape, write, leave)
        self.deep, self.depth = deep, 0
        self.labels = [
            key
            for key in shape.order
            if key == shape.start or (len(shape.before[key]) > 1 and not self._is_exit(key))
        ]
        if not deep:
            self.labels = [key for key in shape.order if not self._is_exit(key)]
        self.place = {key: at for at, key in enumerate(self.labels)}

    def written(self) -> Block:
        """Write all."""
        return [Way(0, asked=True), Loop(self._choose(0))]

    def _choose(self, first: int) -> Block:
        blocks: list[Block] = []
        at = first
        while at < len(self.labels):
            blocks.append(self._straight(self.labels[at], is_last=False)[0])
            at += 1
        return _halved(blocks, 0)

    def _go(self, to: Key) -> tuple[Block, Falls]:
        if self._is_exit(to):
            return super()._go(to)
        if to not in self.place and self.depth < self.deep:
            self.depth += 1
            parts = self._straight(to, is_last=False)[0]
            self.depth -= 1
            return parts, {}
        if to not in self.place:
            self.place[to] = len(self.labels)
            self.labels.append(to)
        return [Way(self.place[to], asked=True), Statement("continue", to[0])], {}


def _halved(blocks: list[Block], first: int) -> Block:
    """Find a block in few questions."""
    if len(blocks) == 1:
        return blocks[0]
    half = len(blocks) // 2
    return [
        Choice(f"way < {first + half}", _halved(blocks[:half], first)),
        *_halved(blocks[half:], first + half),
    ]


def arranged(shape: Shape, write: Write, leave: Callable[[str, Key], list[str]]) -> Block:
    """Write the nodes of a graph as `while` and `if`.

    Parameters
    ----------
    shape
        Of the graph.
    write
        Gives a node's statements, and the words for what its end reads.
    leave
        Gives the lines that leave for an address, at the end of a node.

    Returns
    -------
    list
        Parts.

    Examples
    --------
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import Jump, Node
    >>> graph = {(0, 0): Node((0, 0), end=Jump((0, 0)))}
    >>> write = lambda node: ([Statement("pass", 0)], ())
    >>> leave = lambda address, key: [f"return {address}"]
    >>> [type(part).__name__ for part in arranged(Shape(graph, (0, 0)), write, leave)]
    ['Loop']
    """
    if shape.is_reducible:
        try:
            parts, _ = Arrangement(shape, write, leave).tree(shape.start)
            deepest, loops = _deepest(parts)
            if deepest < _DEEPEST and loops < _LOOPS:
                return parts
        except RecursionError:
            pass
    for deep in (_INLINE, 0):
        parts = flat(shape, write, leave, deep)
        if _deepest(parts)[0] < _DEEPEST:
            break
    return parts


def flat(
    shape: Shape,
    write: Write,
    leave: Callable[[str, Key], list[str]],
    deep: int = _INLINE,
) -> Block:
    """Write the nodes of any graph in one loop that asks where to go.

    Parameters
    ----------
    shape, write, leave
        As `arranged` takes them.
    deep
        How deep nodes may lie within one another.

    Returns
    -------
    list
        Parts.

    Examples
    --------
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import Jump, Node
    >>> graph = {(0, 0): Node((0, 0), end=Jump((0, 0)))}
    >>> write = lambda node: ([Statement("pass", 0)], ())
    >>> leave = lambda address, key: [f"return {address}"]
    >>> [type(part).__name__ for part in flat(Shape(graph, (0, 0)), write, leave)]
    ['Way', 'Loop']
    """
    return _Flat(shape, write, leave, deep).written()


def _deepest(parts: Block) -> tuple[int, int]:
    """Return how deeply parts are nested, and how deeply loops."""
    deepest, loops, todo = 0, 0, [(parts, 1, 1)]
    while todo:
        block, depth, around = todo.pop()
        deepest, loops = max(deepest, depth), max(loops, around)
        for part in block:
            if isinstance(part, Loop):
                todo.append((part.inside, depth + 1, around + 1))
            elif isinstance(part, Choice):
                todo += ((inner, depth + 1, around) for inner in (part.yes, part.no) if inner)
    return deepest, loops
