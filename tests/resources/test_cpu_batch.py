"""A stride schedule from one sort: the same as the thesis's loop, and as the event-driven one."""

from __future__ import annotations

import heapq
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.resources.cpu import CpuVM, schedule, stride_order
from virtlab.resources.cpu.batch import in_order
from virtlab.validate import InvalidInputError


def by_heap(shares: list[int], quanta: int) -> list[int]:
    """Return what the thesis's loop does, in exact fractions."""
    heap = [(Fraction(1, part), client) for client, part in enumerate(shares)]
    heapq.heapify(heap)
    order = []
    for _ in range(quanta):
        at, client = heap[0]
        order.append(client)
        heapq.heapreplace(heap, (at + Fraction(1, shares[client]), client))
    return order


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12), st.integers(0, 300))
def test_the_sort_is_the_loop(shares: list[int], quanta: int) -> None:
    assert stride_order(shares, quanta).tolist() == by_heap(shares, quanta)


@pytest.mark.parametrize("shares", [[3, 2, 1], [100] + [1] * 20, [7, 7, 7], [5]])
def test_the_event_driven_scheduler_agrees(shares: list[int]) -> None:
    vms = [CpuVM(f"vm{i}", part) for i, part in enumerate(shares)]
    letters = schedule(vms, seconds=2).letters()
    assert letters == "".join(chr(ord("A") + c) for c in stride_order(shares, 200).tolist())


@pytest.mark.parametrize("shares", [[], [0, 1], [-1]])
def test_bad_shares_are_named(shares: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="shares"):
        stride_order(shares, 3)


NEAR = st.builds(
    lambda base, steps: float(np.nextafter(base, np.inf) if steps else base),
    st.sampled_from([0.1, 0.1, 1 / 3, 2.0, 1e-3, 7e4]),
    st.booleans(),
)


@given(st.lists(st.one_of(NEAR, st.floats(1e-6, 1e6)), min_size=1, max_size=300))
def test_the_fast_sort_is_the_stable_one(passes: list[float]) -> None:
    """Also where passes differ in the last bit alone, which had to give way to the place."""
    array = np.array(passes)
    assert in_order(array).tolist() == np.argsort(array, kind="stable").tolist()
