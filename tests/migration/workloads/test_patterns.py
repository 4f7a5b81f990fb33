"""Patterns of writes: counted, and against the formula for distinct pages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.workloads import Curve, HotCold, RoundRobin, Trace, Uniform, Workload, Zipf
from virtlab.migration.workloads.base import distinct_sorted
from virtlab.validate import InvalidInputError

WORKLOADS: list[Workload] = [
    RoundRobin(500, 800, first_page=7, phase=0.3),
    Uniform(500, 800, first_page=7),
    HotCold(500, 800, first_page=7, hot_pages=50, hot_write_percent=80),
    HotCold(500, 800, first_page=7, hot_pages=500),
    Zipf(500, 800, first_page=7, exponent=1.2),
    Curve(300, 0.5, 500, first_page=7),
    Trace.of(np.random.default_rng(5).random((40, 500)) < 0.1),
]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: type(w).__name__)
def test_writes_are_sorted_distinct_and_inside(workload: Workload) -> None:
    rng = np.random.default_rng(1)
    for start, end in ((0.0, 0.01), (0.3, 1.7), (2.0, 30.0), (1.0, 1.0)):
        pages = workload.writes(start, end, rng)
        assert (np.diff(pages) > 0).all()
        assert not pages.size or pages[0] >= workload.first_page
        assert not pages.size or pages[-1] < workload.first_page + workload.pages
    assert workload.writes(3.0, 3.0, rng).size == 0


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: type(w).__name__)
@pytest.mark.parametrize("seconds", [0.1, 0.5, 2.0])
def test_as_many_pages_as_the_curve_says(workload: Workload, seconds: float) -> None:
    rng = np.random.default_rng(2)
    sizes = [workload.writes(n * seconds, (n + 1) * seconds, rng).size for n in range(100)]
    error = 4 * float(np.std(sizes)) / 10 + 0.02 * workload.distinct(seconds) + 0.01
    assert np.mean(sizes) == pytest.approx(workload.distinct(seconds), abs=error)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: type(w).__name__)
def test_slices_of_time_give_what_the_whole_gives(workload: Workload) -> None:
    """What a migration sees may not hang on how finely it looks."""
    rng = np.random.default_rng(3)
    sizes = []
    for start in range(0, 40, 2):
        steps = np.linspace(start, start + 1, 51)
        parts = [workload.writes(a, b, rng) for a, b in itertools.pairwise(steps)]
        sizes.append(distinct_sorted(np.concatenate(parts)).size)
    error = 4 * float(np.std(sizes)) / 20**0.5 + 0.02 * workload.distinct(1) + 0.01
    assert np.mean(sizes) == pytest.approx(workload.distinct(1.0), abs=error)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: type(w).__name__)
def test_the_curve_only_grows_and_ends_at_all_pages(workload: Workload) -> None:
    times = [0.0, 0.001, 0.05, 0.1, 1, 3, 10, 1000]
    curve = [workload.distinct(t) for t in times]
    assert curve == sorted(curve)
    assert curve[0] == 0
    assert curve[-1] <= workload.pages


def test_round_robin_by_hand() -> None:
    rng = np.random.default_rng()
    writer = RoundRobin(10, 100, phase=0.5)
    assert writer.touches(0, 0.07, rng).tolist() == [5, 6, 7, 8, 9, 0, 1]
    assert writer.writes(0, 0.07, rng).tolist() == [0, 1, 5, 6, 7, 8, 9]
    assert writer.writes(0, 1, rng).tolist() == list(range(10))


@given(st.floats(0.1, 1e5), st.lists(st.floats(1e-4, 0.5), min_size=1, max_size=20))
def test_no_write_is_lost_between_slices(rate: float, steps: list[float]) -> None:
    writer = RoundRobin(10**6, rate)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    rng = np.random.default_rng()
    parts = [writer.touches(a, b, rng) for a, b in itertools.pairwise(times)]
    whole = writer.touches(0, float(times[-1]), rng)
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_hot_pages_get_their_part() -> None:
    writer = HotCold(1000, 10_000, hot_pages=100, hot_write_percent=90)
    touched = writer.touches(0, 10, np.random.default_rng(4))
    assert np.mean(touched < 100) == pytest.approx(0.9, abs=0.005)


def test_zipf_is_a_power_law() -> None:
    writer = Zipf(1000, 10_000, exponent=1.0)
    counts = np.bincount(writer.touches(0, 100, np.random.default_rng(4)), minlength=1000)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.05)
    assert counts[:10].sum() / counts[90:100].sum() == pytest.approx(
        sum(1 / k for k in range(1, 11)) / sum(1 / k for k in range(91, 101)), rel=0.05
    )


def test_many_writes_at_once_are_as_likely_as_one_by_one() -> None:
    writer = Uniform(100, 1000)
    rng = np.random.default_rng(5)
    at_once = [writer.writes(0, 0.45, rng).size for _ in range(400)]
    assert np.mean(at_once) == pytest.approx(100 * (1 - 0.99**450), abs=0.3)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: RoundRobin(0, 1), "working_set_pages"),
        (lambda: RoundRobin(10, -1), "dirty_pages_s"),
        (lambda: RoundRobin(10, 1, phase=2), "phase"),
        (lambda: Uniform(10, float("nan")), "dirty_pages_s"),
        (lambda: HotCold(10, 1, hot_pages=11), "hot_pages"),
        (lambda: HotCold(10, 1, hot_pages=1, hot_write_percent=101), "hot_write_percent"),
        (lambda: Zipf(10, 1, exponent=-1), "exponent"),
        (lambda: Zipf(10, 1, first_page=-1), "first_page"),
        (lambda: Curve(-1, 0.5, 10), "coefficient_pages"),
        (lambda: Curve(1, 1.0, 10), "exponent"),
        (lambda: Curve(1, 0.5, 0), "pages"),
        (lambda: Trace.named("word"), "name"),
        (lambda: Trace.of(np.zeros((0, 4), dtype=np.bool_)), "written"),
        (lambda: Trace.of(np.ones((2, 4), dtype=np.bool_), 0.0), "tick_s"),
        (lambda: Trace.named("redis_idle", start_s=-1.0), "start_s"),
    ],
)
def test_bad_input_is_named(make: object, field: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidInputError, match=field):
        make()
