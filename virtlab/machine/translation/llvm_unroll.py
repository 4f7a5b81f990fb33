"""Loops that go round several times between two looks at the count (S18).

A short loop spends much of its time on what is not the guest's: to see whether enough instructions
are left, to count them, to keep what the flags would be made of. Its body is put down several times
in a row, each leading on to the next and the last back to the first. Then there is one look for all
of them, what they count is added up by LLVM, and flags are kept for the last alone.

Where a larger loop begins at the same place as a loop of one node, that node alone is put down
again: the larger one goes back to the first.

Here that is done to the graph, before LLVM sees it, and not by LLVM's own `loop-unroll`: LLVM must
not take a look at the count away, while we know that one for several rounds is as good. If fewer
instructions are left than all rounds may take, another tier does the rest, as it does always.

Source: any text on compilers, under *loop unrolling*.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from virtlab.machine.translation.lifting import Branch, Indirect, Jump
from virtlab.machine.translation.llvm_loops import body_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from virtlab.machine.translation.control import Shape
    from virtlab.machine.translation.lifting import Graph, Key, Node

__all__ = ["COPY", "ROUNDS", "unrolled"]

ROUNDS = 4
_LONGEST = 64  # instructions of all rounds of a loop
COPY = 1 << 16  # added to a key's second number: more than an instruction has operations


def unrolled(graph: Graph, shape: Shape, entries: Collection[Key] = ()) -> Graph:
    """Put the body of each innermost loop down several times.

    Parameters
    ----------
    graph
        Of a region, or of a part of it.
    shape
        Of the region, which tells loops from one another.
    entries
        Where the code is entered: a loop that is entered in the middle stays as it is.

    Returns
    -------
    Graph
        With the nodes it had, and more.

    Examples
    --------
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import Node, Var
    >>> loop = Node((5, 0), count=20, end=Branch(Var(0, 1, 1), (5, 0), (9, 0)))
    >>> graph = {(5, 0): loop, (9, 0): Node((9, 0))}
    >>> [node.follow for node in unrolled(graph, Shape(graph, (5, 0))).values()]
    [((5, 65536), (9, 0)), (), ((5, 131072), (9, 0)), ((5, 0), (9, 0))]
    """
    found = dict(graph)
    heads = {key for key in shape.loops if key[1] == 0}
    entered = {shape.start, *entries, *heads}
    for head in (key for key in heads if graph.get(key) is shape.graph[key]):
        body = {head} if head in shape.before[head] else body_of(shape, head)
        before = {k for key in body - {head} for k in shape.before[key]}
        if entered & body == {head} and before <= body:
            size = sum(graph[key].count for key in body)
            _unroll(found, head, body, min(_rounds(graph, body), _LONGEST // max(size, 1)))
    return found


def _rounds(graph: Graph, body: set[Key]) -> int:
    """Return how often a loop is put down; twice as often if it is one node that only reads."""
    is_short = len(body) == 1 and all(op.code != "STORE" for k in body for op in graph[k].ops)
    return 2 * ROUNDS if is_short else ROUNDS


def _unroll(graph: Graph, head: Key, body: set[Key], rounds: int) -> None:
    """Put one loop's body down so many times; each leads to the next."""
    original = {key: graph[key] for key in body}
    for number in range(rounds):
        after = (number + 1) % rounds

        def leads_to(key: Key, number: int = number, after: int = after) -> Key:
            if key == head:
                return _named(key, after)
            return _named(key, number) if key in body else key

        for key, node in original.items():
            graph[_named(key, number)] = _copied(node, _named(key, number), leads_to)


def _named(key: Key, number: int) -> Key:
    return key[0], key[1] + number * COPY


def _copied(node: Node, key: Key, leads_to: Callable[[Key], Key]) -> Node:
    end = node.end
    if isinstance(end, Jump):
        end = Jump(leads_to(end.to))
    elif isinstance(end, Branch):
        end = Branch(end.condition, leads_to(end.yes), leads_to(end.no))
    elif isinstance(end, Indirect):
        end = Indirect(end.target, tuple(leads_to(site) for site in end.sites))
    return replace(node, key=key, end=end)
