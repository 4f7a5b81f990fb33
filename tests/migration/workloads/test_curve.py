"""A working set that grows as a power of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.workloads import Curve


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
