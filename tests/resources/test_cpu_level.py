"""The level that follows clients as they come and go is the one that `allocate` finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources import allocate
from virtlab.resources.cpu.level import Level


@dataclass(eq=False)
class Client:
    index: int
    shares: float
    low: float
    high: float
    bound: bool = False
    weight: float = 0.0


CLIENT = st.tuples(
    st.sampled_from([0, 1, 500, 1000, 3000, 1e6]),
    st.integers(0, 30),
    st.integers(1, 100),
)
STEPS = st.lists(st.tuples(CLIENT, st.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=80, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_the_level_is_allocates_after_each_coming_and_going(
    steps: list[tuple[tuple[float, int, int], int]], cpus: int
) -> None:
    level, here = Level(cpus), list[Client]()
    for number, ((shares, least, most), leaves) in enumerate(steps):
        low = min(least, int(100 * (cpus - sum(one.low for one in here))))
        high = max(low, most) if shares else low
        if high:
            client = Client(number, shares, low / 100, high / 100)
            here.append(client)
            level.join(client)
        if not leaves and here:
            level.leave(here.pop(number % len(here)))
        if here:
            given_ = np.array([(one.shares, one.low, one.high) for one in here]).T
            rates = [level.rate(one) for one in here]
            assert rates == pytest.approx(allocate(cpus, *given_).allocation, abs=1e-9)


def test_it_says_who_is_bound_and_set_free() -> None:
    told: list[tuple[int, bool, float]] = []

    def moved(client: Client, bound: bool, weight: float) -> None:  # noqa: FBT001 - Level's way
        told.append((client.index, bound, weight))
        client.bound, client.weight = bound, weight

    level = Level(1, moved)
    kept = Client(0, 1000, 0.4, 0.8)
    others = [Client(k, 1000, 0.0, 1.0) for k in (1, 2, 3)]
    level.join(kept)
    assert (kept.bound, kept.weight) == (True, 0.8)
    level.join(others[0])  # half each
    level.join(others[1])  # a third would be below its minimum
    level.join(others[2])
    level.leave(others[1])
    level.leave(others[2])
    assert told[-3:] == [(0, False, 1000), (0, True, 0.4), (0, False, 1000)]


def test_virtual_time_runs_at_the_level() -> None:
    level, one, other = Level(1), Client(0, 1, 0.0, 1.0), Client(1, 3, 0.0, 1.0)
    level.join(one)
    level.join(other)
    assert level.advance(8) == 2  # 1 processor / 4 shares
    level.leave(other)
    assert level.rate(one) == 1, "alone it has a whole processor"
    assert level.advance(20) == 2 + 12
    level.leave(one)
    assert level.advance(30) == 14, "nobody follows the virtual time"
