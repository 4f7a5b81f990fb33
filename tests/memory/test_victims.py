"""Who chooses the page that goes: cases by hand, and the order of the four choosers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.memory import victims
from virtlab.memory.victims import CHOOSERS, CHUNK, LOADS, PAGES, misses, stream
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = [round(part * PAGES) for part in (1.0, 0.8, 0.6, 0.4)]


def by_hand(accesses: Sequence[int], size: int, *, future: bool) -> int:
    """Return the misses of LRU, or of the best choice, in the plainest way."""
    there: list[int] = []
    missed = 0
    for i, page in enumerate(accesses):
        if page in there:
            there.remove(page)
        else:
            missed += 1
            if len(there) == size:
                rest = list(accesses[i:])
                far = max(there, key=lambda one: rest.index(one) if one in rest else len(rest))
                there.remove(far if future else there[0])
        there.append(page)
    return missed


def test_belady_s_own_example() -> None:
    """Twelve accesses in three frames: 7 misses at best, 10 with LRU (worked out by hand)."""
    accesses = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5]
    assert by_hand(accesses, 3, future=True) == 7
    assert by_hand(accesses, 3, future=False) == 10


@settings(max_examples=12)
@given(st.lists(st.integers(0, 11), min_size=2, max_size=60), st.integers(2, 6))
def test_lru_and_opt_miss_as_often_as_the_plainest_program(accesses: list[int], size: int) -> None:
    """All pages but `size` are evicted first by a walk over `size` pages that never come again."""
    walk = list(range(PAGES - size, PAGES))
    for name, future in (("lru", False), ("opt", True)):
        chooser = victims._EXACT[name]([size], walk + accesses, 1)
        for page in walk:
            chooser.fetch(page)
        found = sum(chooser.fetch(page) for page in accesses)
        assert found == by_hand(walk + accesses, size, future=future) - size


@pytest.fixture(scope="module", params=list(LOADS))
def found(request: pytest.FixtureRequest) -> dict[str, list[int]]:
    return {name: misses(name, request.param, SIZES, 60) for name in CHOOSERS}


def test_with_room_for_all_no_one_misses(found: dict[str, list[int]]) -> None:
    assert [one[0] for one in found.values()] == [0] * 4


def test_the_best_misses_least_and_chance_most(found: dict[str, list[int]]) -> None:
    for i in range(1, len(SIZES)):
        assert found["opt"][i] < found["lru"][i] < found["random"][i]


def test_our_guest_is_near_lru(found: dict[str, list[int]]) -> None:
    assert found["guest"] == pytest.approx(found["lru"], rel=0.08)


def test_less_room_more_misses(found: dict[str, list[int]]) -> None:
    for counts in found.values():
        assert all(a <= b for a, b in pairwise(counts))
        assert counts[-1] > counts[0]


def test_a_hot_set_that_fits_is_kept_by_lru_and_not_by_chance() -> None:
    """Random choice has a law of its own: hot pages are there with the odds of their use."""
    room = PAGES // 2
    hot, cold = 0.9 + 0.1 / 4, 0.1 * 3 / 4
    lru = misses("lru", "hot and cold", [room], 200)[0] / (100 * CHUNK)
    chance = misses("random", "hot and cold", [room], 200)[0] / (100 * CHUNK)
    assert lru == pytest.approx(cold * (1 - (room - PAGES / 4) / (0.75 * PAGES)), rel=0.05)
    rates = np.array([hot / (PAGES / 4), cold / (0.75 * PAGES)])  # of one page, an operation
    sizes = np.array([PAGES / 4, 0.75 * PAGES])
    low, high = 0.0, 1.0  # evictions of one page, an operation: a page is there r / (r + x)
    for _ in range(60):
        middle = (low + high) / 2
        there = (sizes * rates / (rates + middle)).sum()
        low, high = (middle, high) if there > room else (low, middle)
    expected = (sizes * rates * (low / (rates + low))).sum()
    assert chance == pytest.approx(expected, rel=0.04)


def test_the_stream_is_the_same_for_all_and_for_one_seed() -> None:
    once, again, other = (list(stream("popular files", 3, seed)) for seed in (1, 1, 2))
    for (reads, writes), (reads_again, _) in zip(once, again, strict=True):
        assert np.array_equal(reads, reads_again)
        assert writes.size == 0
    assert not np.array_equal(once[0][0], other[0][0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chooser": "clock"}, "chooser"),
        ({"load": "games"}, "load"),
        ({"sizes": [0]}, "sizes = 0"),
        ({"sizes": [PAGES + 1]}, "from 1 to 16384"),
        ({"chunks": 1}, "chunks"),
    ],
)
def test_wrong_input_is_named(changes: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"chooser": "lru", "load": "hot and cold", "sizes": [100]}
    with pytest.raises(InvalidInputError, match=message):
        misses(**{**good, **changes})  # type: ignore[arg-type]  # wrong values are the point
