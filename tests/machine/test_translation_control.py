"""Graphs as loops and blocks: code goes where the graph goes, whatever its shape."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine.pcode import CONST, UNIQUE, Op, Var
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.layout import EIP, LEFT
from virtlab.machine.translation.lifting import CELLS, Branch, Graph, Indirect, Jump, Leave, Node
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.tiers import EMPTY, MISSING, Host, host_for

EAX = CELLS[0]
LAST = 99  # where every graph is left


def walker(number: int, ends: str, to: tuple[int, int]) -> Node:
    """Return a node that mixes its number into EAX, and goes by one bit of it."""
    product, total, bit = Var(UNIQUE, -1, 4), Var(UNIQUE, -2, 4), Var(UNIQUE, -3, 4)
    shifted, chosen = Var(UNIQUE, -4, 4), Var(UNIQUE, -5, 1)
    ops = [
        Op("INT_MULT", product, (EAX, Var(CONST, 1664525, 4))),
        Op("INT_ADD", total, (product, Var(CONST, 1013904223 + number, 4))),
        Op("INT_RIGHT", shifted, (total, Var(CONST, 16, 4))),
        Op("INT_AND", bit, (shifted, Var(CONST, 1, 4))),
        Op("INT_NOTEQUAL", chosen, (bit, Var(CONST, 0, 4))),
    ]
    keys = [(place, 0) for place in to]
    end: Jump | Branch | Indirect = Jump(keys[0])
    if ends == "branch":
        end = Branch(chosen, keys[0], keys[1])
    elif ends == "return":  # to a site that is known, or away
        address, times = Var(UNIQUE, -6, 4), Var(UNIQUE, -7, 4)
        ops.append(Op("INT_MULT", times, (bit, Var(CONST, to[1], 4))))
        ops.append(Op("COPY", address, (times,)))
        end = Indirect(address, (keys[1], keys[0]))
    return Node((number, 0), ops, count=1, sets={EAX: total}, end=end)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 9))
    graph: Graph = {(LAST, 0): Node((LAST, 0), end=Leave(LAST))}
    places = st.sampled_from([*range(size), LAST])
    for number in range(size):
        ends = draw(st.sampled_from(["jump", "branch", "branch", "return"]))
        graph[number, 0] = walker(number, ends, (draw(places), draw(places)))
    return graph


def walk(graph: Graph, eax: int, left: int) -> tuple[int, int, int, bool]:
    """Return EAX, EIP, what is left, and whether that was too little: by the graph alone."""
    at = (0, 0)
    while at[0] != LAST:
        if left < 1:
            return eax, at[0], left, True
        left -= 1
        node = graph[at]
        eax = (eax * 1664525 + 1013904223 + at[0]) & 0xFFFFFFFF
        bit = eax >> 16 & 1
        if isinstance(node.end, Branch):
            at = node.end.yes if bit else node.end.no
        elif isinstance(node.end, Indirect):
            target = bit * node.end.sites[0][0]
            if (target, 0) not in node.end.sites:
                return eax, target, left, False
            at = (target, 0)
        elif isinstance(node.end, Jump):
            at = node.end.to
    return eax, LAST, left, False


@pytest.fixture(scope="module")
def host(tier: str) -> Host:
    return host_for(tier, 65536, lambda _address, _size: -1, lambda _address, _size, _value: 1)


def code_walks(host: Host, graph: Graph, eax: int, left: int) -> tuple[int, int, int, bool]:
    slot = host.install(host.compile(graph, needs(graph), (0, 0), 1))
    host.forget_jumps()
    host.jump_to(0x5000, slot)
    host.view[:LEFT] = bytes(LEFT)
    struct.pack_into("<I", host.view, 0, eax)
    struct.pack_into("<I", host.view, EIP, 0x5000)
    struct.pack_into("<i", host.view, LEFT, left)
    reason = host.enter()
    assert reason in (EMPTY, MISSING)
    (found,), (at,) = (
        struct.unpack_from("<I", host.view, 0),
        struct.unpack_from("<I", host.view, EIP),
    )
    host.remove(slot)
    return found, at, struct.unpack_from("<i", host.view, LEFT)[0], reason == EMPTY


@settings(max_examples=150, deadline=None)
@given(graph=graphs(), eax=st.integers(0, 0xFFFFFFFF), left=st.integers(0, 60))
def test_code_goes_where_the_graph_goes(host: Host, graph: Graph, eax: int, left: int) -> None:
    assert code_walks(host, graph, eax, left) == walk(graph, eax, left)


def test_a_loop_with_two_entrances_is_a_switch(host: Host) -> None:
    graph: Graph = {
        (0, 0): walker(0, "branch", (1, 2)),
        (1, 0): walker(1, "branch", (2, LAST)),
        (2, 0): walker(2, "branch", (1, LAST)),
        (LAST, 0): Node((LAST, 0), end=Leave(LAST)),
    }
    assert not Shape(graph, (0, 0)).is_reducible
    for eax in range(200):
        assert code_walks(host, graph, eax * 7919, 40) == walk(graph, eax * 7919, 40)


@given(graphs())
def test_a_dominator_is_on_every_way(graph: Graph) -> None:
    """Without it the node cannot be reached: tried by taking it away."""
    shape = Shape(graph, (0, 0))
    for key, over in shape.dominator.items():
        if key == (0, 0):
            continue
        seen, todo = {over}, [] if over == (0, 0) else [(0, 0)]
        if over == (0, 0):
            assert shape.number[over] < shape.number[key]
            continue
        while todo:
            at = todo.pop()
            if at not in seen:
                seen.add(at)
                todo += graph[at].follow
        assert key not in seen


@given(graphs())
def test_in_order_a_node_comes_before_what_it_leads_to(graph: Graph) -> None:
    shape = Shape(graph, (0, 0))
    for key in shape.order:
        for after in graph[key].follow:
            assert shape.number[after] > shape.number[key] or after in shape.loops
    assert sum(map(len, shape.children.values())) == len(shape.order) - 1
