"""Which part of a region is worth LLVM, and where it has to count (S18).

A program spends its time in loops. What LLVM gets is a loop with all that belongs to it: every node
from which one comes back to where one was, a **strongly connected** part of the graph. What lies
outside runs once for each time the loop is left, and stays with a tier that translates quickly.

Source: Tarjan, "Depth-First Search and Linear Graph Algorithms" (1972), for what is strongly
connected; here by two walks from one node, since only its own part is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.translation.lifting import Leave, Node, is_cell

if TYPE_CHECKING:
    from collections.abc import Collection

    from virtlab.machine.pcode import Var
    from virtlab.machine.translation.control import Shape
    from virtlab.machine.translation.lifting import Graph, Key

__all__ = ["cells_of", "checked", "head_of", "inner_loops", "longest_ways", "only"]


def cells_of(nodes: list[Node]) -> set[Var]:
    """Return the cells that nodes read or set.

    Parameters
    ----------
    nodes
        Of a function.

    Returns
    -------
    set
        Registers, flags, and what is kept from one node to another.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import CELLS, Node
    >>> cells_of([Node((0, 0), sets={CELLS[1]: CELLS[0]})]) == {CELLS[0], CELLS[1]}
    True
    """
    found: set[Var] = set()
    for node in nodes:
        found.update(node.sets, node.sets.values(), node.ending)
        found.update(var for op in node.ops for var in op.ins)
        found.update(*(moment.values for moment in node.moments.values()))
    return {var for var in found if is_cell(var)}


def checked(shape: Shape, entries: Collection[Key] = ()) -> set[Key]:
    """Return the nodes before which a function looks whether enough instructions are left.

    Parameters
    ----------
    shape
        Of its graph.
    entries
        Where it may be entered besides.

    Returns
    -------
    set
        The start, other entries, and where loops begin, but for those within one instruction.

    Examples
    --------
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import Jump
    >>> loop = {(0, 0): Node((0, 0), end=Jump((5, 0))), (5, 0): Node((5, 0), end=Jump((5, 0)))}
    >>> sorted(checked(Shape(loop, (0, 0))))
    [(0, 0), (5, 0)]
    """
    return {shape.start, *entries} | {key for key in shape.loops if key[1] == 0}


def longest_ways(shape: Shape, entries: Collection[Key] = ()) -> dict[Key, int]:
    """Return how many instructions may be done before the next look, from each node on.

    Parameters
    ----------
    shape, entries
        As `checked` takes them.

    Returns
    -------
    dict
        By key of the node.

    Examples
    --------
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import Jump
    >>> graph = {
    ...     (0, 0): Node((0, 0), count=2, end=Jump((5, 0))),
    ...     (5, 0): Node((5, 0), count=3, end=Jump((0, 0))),
    ... }
    >>> longest_ways(Shape(graph, (0, 0)))
    {(5, 0): 3, (0, 0): 5}
    """
    looks, ways = checked(shape, entries), dict.fromkeys(reversed(shape.order), 0)
    changed = True
    while changed:  # once, but for loops within an instruction, which add nothing
        changed = False
        for key in ways:
            node = shape.graph[key]
            after = [ways[to] for to in node.follow if to not in looks]
            way = node.count + max(after, default=0)
            changed = changed or way != ways[key]
            ways[key] = way
    return ways


def head_of(shape: Shape, key: Key) -> Key | None:
    """Return where the smallest loop around a node begins.

    Parameters
    ----------
    shape
        Of a graph.
    key
        The node.

    Returns
    -------
    tuple or None
        Key of the node that the loop's last one jumps back to; None if the node is in no loop.

    Examples
    --------
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import Branch, Var
    >>> inner = Node((5, 0), end=Branch(Var(0, 1, 1), (5, 0), (9, 0)))
    >>> shape = Shape({(5, 0): inner, (9, 0): Node((9, 0))}, (5, 0))
    >>> head_of(shape, (5, 0)), head_of(shape, (9, 0))
    ((5, 0), None)
    """
    around = {
        head: body for head in shape.loops if head[1] == 0 and key in (body := body_of(shape, head))
    }
    return min(around, key=lambda head: len(around[head])) if around else None


def body_of(shape: Shape, head: Key) -> set[Key]:
    """Return what leads back to a loop's start without going through it."""
    return _leading(shape, head, [k for k in shape.before[head] if shape.goes_back(k, head)])


def _leading(shape: Shape, head: Key, todo: list[Key]) -> set[Key]:
    """Return a node, others, and all that leads to these without going through it."""
    found = {head}
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo += shape.before[key]
    return found


def inner_loops(shape: Shape) -> dict[Key | None, set[Key]]:
    """Return by node the smallest loop around it.

    A loop is here what leads to one jump back: if two have the same start, code that was entered
    in an inner loop has an outer one with the same.

    Parameters
    ----------
    shape
        Of a graph.

    Returns
    -------
    dict
        Keys of the loop's nodes; nothing for a node in no loop.

    Examples
    --------
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import Branch, Var
    >>> inner = Node((5, 0), end=Branch(Var(0, 1, 1), (5, 0), (9, 0)))
    >>> inner_loops(Shape({(5, 0): inner, (9, 0): Node((9, 0))}, (5, 0)))
    {(5, 0): {(5, 0)}}
    """
    found: dict[Key | None, set[Key]] = {}
    for head in shape.loops:
        for last in shape.before[head]:
            if shape.goes_back(last, head):
                body = _leading(shape, head, [last])
                for key in body:
                    found[key] = min(found.get(key, body), body, key=len)
    return found


def only(shape: Shape, head: Key) -> Graph:
    """Return the part of a graph that comes back to a node; all else only says where it is.

    Parameters
    ----------
    shape
        Of the graph.
    head
        The node.

    Returns
    -------
    Graph
        Nodes, and empty ones where that part is left.

    Examples
    --------
    >>> from virtlab.machine.translation.control import Shape
    >>> from virtlab.machine.translation.lifting import Branch, Jump, Var
    >>> inner = Node((5, 0), end=Branch(Var(0, 1, 1), (5, 0), (9, 0)))
    >>> after = Node((9, 0), count=7, end=Jump((12, 0)))
    >>> shape = Shape({(5, 0): inner, (9, 0): after, (12, 0): Node((12, 0))}, (5, 0))
    >>> {key: node.count for key, node in only(shape, (5, 0)).items()}, shape.graph[9, 0].count
    ({(5, 0): 0, (9, 0): 0}, 7)
    """
    graph = shape.graph
    back, todo = set[tuple[int, int]](), [head]
    while todo:
        key = todo.pop()
        if key not in back:
            back.add(key)
            todo += shape.before[key]
    part: Graph = {}
    todo = [head]
    while todo:
        key = todo.pop()
        if key not in part:
            inside = key in back or key[1] > 0  # an instruction is not left halfway
            part[key] = graph[key] if inside else Node(key, end=Leave(key[0]))
            todo += part[key].follow
    return part
