"""Which part of a region LLVM gets, and how far it may run between two looks at its count."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine.pcode import CONST, Var
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.lifting import Branch, Graph, Jump, Key, Leave, Node
from virtlab.machine.translation.llvm_loops import (
    checked,
    head_of,
    inner_loops,
    longest_ways,
    only,
)

TRUTH = Var(CONST, 1, 1)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Return any graph; what lies within an instruction counts nothing and stays within it."""
    size = draw(st.integers(1, 12))
    graph: Graph = {}
    keys: list[Key] = [(at, 0) for at in range(size)]
    for key in keys:
        kind, to = draw(st.integers(0, 4)), st.sampled_from(keys)
        if kind == 0:
            end: Jump | Branch | Leave = Leave(key[0])
        elif kind < 3:
            end = Branch(TRUTH, draw(to), draw(to))
        else:
            inner = (key[0], 3)
            graph[inner] = Node(inner, count=0, end=Branch(TRUTH, inner, draw(to)))
            end = Jump(inner)
        graph[key] = Node(key, count=draw(st.integers(1, 9)), end=end)
    return graph


@settings(max_examples=200, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 1000), more=st.sets(st.integers(0, 11)))
def test_no_way_between_two_looks_is_longer_than_what_was_looked_for(
    graph: Graph, seed: int, more: set[int]
) -> None:
    shape, dice = Shape(graph, (0, 0)), random.Random(seed)
    entries = [(at, 0) for at in more if (at, 0) in shape.number]
    looks, ways = checked(shape, entries), longest_ways(shape, entries)
    key, room = (0, 0), 0
    for _ in range(300):
        if key in looks:
            room = ways[key]
        room -= graph[key].count
        assert room >= 0
        if not graph[key].follow:
            break
        key = dice.choice(graph[key].follow)


@settings(max_examples=200, deadline=None)
@given(graph=graphs())
def test_what_is_taken_comes_back_and_nothing_that_does_is_missing(graph: Graph) -> None:
    shape = Shape(graph, (0, 0))
    reach = {key: reached(graph, key) for key in shape.order}
    for head in shape.loops:
        if head[1]:
            continue
        part = only(shape, head)
        taken = {key for key, node in part.items() if node is graph[key]}
        comes_back = {key for key in reach[head] if head in reach[key]} | {head}
        assert comes_back <= taken
        assert {key for key in taken - comes_back if key[1] == 0 and graph[key].follow} == set()
        assert all(to in part for node in part.values() for to in node.follow)


def reached(graph: Graph, start: Key) -> set[Key]:
    found: set[Key] = set()
    todo = list(graph[start].follow)
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo += graph[key].follow
    return found


@settings(max_examples=200, deadline=None)
@given(graph=graphs())
def test_a_head_leads_to_its_node_and_back(graph: Graph) -> None:
    shape = Shape(graph, (0, 0))
    for key in shape.order:
        head = head_of(shape, key)
        if head is not None:
            assert head in shape.loops
            assert head == key or (key in reached(graph, head) and head in reached(graph, key))
        elif key[1] == 0 and shape.is_reducible:
            assert key not in reached(graph, key)


def test_the_smallest_of_two_loops_is_taken() -> None:
    def branch(yes: int, no: int) -> Branch:
        return Branch(TRUTH, (yes, 0), (no, 0))

    graph = {
        (1, 0): Node((1, 0), count=1, end=Jump((2, 0))),  # outer loop
        (2, 0): Node((2, 0), count=2, end=branch(2, 3)),  # inner loop
        (3, 0): Node((3, 0), count=4, end=branch(1, 4)),
        (4, 0): Node((4, 0), count=8),
    }
    shape = Shape(graph, (1, 0))
    assert head_of(shape, (2, 0)) == (2, 0)
    assert head_of(shape, (3, 0)) == head_of(shape, (1, 0)) == (1, 0)
    assert head_of(shape, (4, 0)) is None
    assert longest_ways(shape) == {(4, 0): 8, (3, 0): 12, (2, 0): 14, (1, 0): 1}
    part = only(shape, (2, 0))
    assert [key for key in graph if part[key] is graph[key]] == [(1, 0), (2, 0), (3, 0)]
    assert part[4, 0].end == Leave(4)


@settings(max_examples=200, deadline=None)
@given(graph=graphs())
def test_a_node_is_in_a_loop_if_one_comes_back_to_it(graph: Graph) -> None:
    shape = Shape(graph, (0, 0))
    inner = inner_loops(shape)
    for key, body in inner.items():
        assert key in body
        assert any(head in body and head in reached(graph, key) for head in shape.loops)
    if shape.is_reducible:
        assert set(inner) == {key for key in shape.order if key in reached(graph, key)}
