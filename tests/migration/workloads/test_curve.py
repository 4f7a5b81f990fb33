"""A working set that grows as a power of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.workloads import Curve
from virtlab.validate import InvalidInputError


@given(st.floats(100, 5000), st.floats(0.2, 0.8), st.floats(0.02, 2))
def test_it_is_the_power_law_far_from_all_pages(a: float, b: float, seconds: float) -> None:
    wanted = a * seconds**b
    pages = 2_000_000
    curve = Curve(a, b, pages)
    # Pages that are too cold to be in the set take some off: at most their rates times the time.
    missing = seconds * b / (1 - b) * pages * (curve._rates[-1])
    assert curve.distinct(seconds) == pytest.approx(wanted, rel=0.02, abs=1 + missing)


def test_all_pages_in_the_end() -> None:
    assert Curve(1000, 0.5, 2000).distinct(1e9) == pytest.approx(2000)


def test_hot_pages_lie_scattered() -> None:
    pages = Curve(1000, 0.4, 50_000).writes(0, 1, np.random.default_rng(0))
    assert np.mean(pages) == pytest.approx(25_000, rel=0.05)
    assert np.mean(np.diff(pages) == 1) < 0.05


def test_nothing_is_written_at_no_rate_or_in_no_time() -> None:
    rng = np.random.default_rng(0)
    assert Curve(0, 0.5, 10).writes(0, 1, rng).size == 0
    assert Curve(5, 0.5, 10).touches(1, 1, rng).size == 0
    assert Curve(0, 0.5, 10).distinct(1) == 0


def test_hot_pages_are_written_again_and_cold_ones_are_not() -> None:
    """Of the pages of one second, as many are in the next as 2 W(1) - W(2) says."""
    curve, rng = Curve(2000, 0.4, 200_000), np.random.default_rng(1)
    both = [
        np.intersect1d(curve.writes(0, 1, rng), curve.writes(1, 2, rng)).size for _ in range(30)
    ]
    assert np.mean(both) == pytest.approx(2 * curve.distinct(1) - curve.distinct(2), rel=0.02)


@pytest.mark.parametrize("most", [0.5, 6.0, 50.0])
@pytest.mark.parametrize("seconds", [0.02, 0.3, 4.0])
def test_no_page_is_written_more_often_than_is_said(most: float, seconds: float) -> None:
    free, bound = (Curve(3000, 0.4, 50_000, most_writes_s=rate) for rate in (np.inf, most))
    rng = np.random.default_rng(4)
    sizes = [bound.writes(1, 1 + seconds, rng).size for _ in range(60)]
    assert np.mean(sizes) == pytest.approx(bound.distinct(seconds), rel=0.05, abs=3)
    assert bound.distinct(seconds) <= min(free.distinct(seconds), 50_000 * most * seconds)
    hottest = bound.touches(0, seconds, rng)
    assert np.unique(hottest).size == hottest.size


def test_in_long_intervals_the_bound_is_not_felt_and_in_short_ones_it_makes_a_line() -> None:
    free, bound = (Curve(3000, 0.4, 50_000, most_writes_s=rate) for rate in (np.inf, 2.0))
    assert bound.distinct(10) == pytest.approx(free.distinct(10), rel=0.001)
    assert bound.distinct(0.002) == pytest.approx(2 * bound.distinct(0.001), rel=0.01)


def test_a_bound_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="most_writes_s = 0"):
        Curve(3000, 0.4, 50_000, most_writes_s=0)
