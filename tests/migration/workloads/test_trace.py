"""Replays of measured programs."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab import datasets
from virtlab.migration.workloads import TRACES, Trace

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", TRACES)
def test_a_replay_writes_what_each_tick_names(name: str) -> None:
    written, ends = datasets.dirty_trace(name)
    trace = Trace.named(name)
    assert trace.pages == written.shape[1]
    for tick in (0, 7, len(written) - 1):
        pages = trace.writes(float(ends[tick]), float(ends[tick + 1]), RNG)
        assert pages.tolist() == np.flatnonzero(written[tick]).tolist()


@pytest.mark.parametrize("name", TRACES)
def test_the_measured_curve_is_that_of_the_bitmaps(name: str) -> None:
    trace = Trace.named(name)
    for seconds in (1.0, 5.0):
        starts = np.arange(0, trace.seconds - seconds, seconds)
        mean = np.mean([trace.writes(s, s + seconds, RNG).size for s in starts])
        assert mean == pytest.approx(trace.distinct(seconds), rel=0.03)


def test_after_the_end_it_starts_again() -> None:
    trace = Trace.of(np.eye(4, dtype=np.bool_), tick_s=1.0)
    assert trace.touches(0, 9, RNG).tolist() == [0, 1, 2, 3]  # no more than once through
    assert trace.writes(3, 5, RNG).tolist() == [0, 3]
    assert trace.writes(4, 5, RNG).tolist() == [0]
    assert trace.writes(401, 402, RNG).tolist() == [1]


def test_it_may_start_later_and_lie_elsewhere() -> None:
    written = np.eye(4, dtype=np.bool_)
    trace = Trace(**{**vars(Trace.of(written, 1.0)), "start_s": 2.0, "first_page": 10})
    assert trace.writes(0, 1, RNG).tolist() == [12]


def test_half_a_tick_is_half_of_its_pages() -> None:
    trace = Trace.of(np.ones((1, 100), dtype=np.bool_), tick_s=1.0)
    first, second = trace.touches(0, 0.5, RNG), trace.touches(0.5, 1, RNG)
    assert first.size == second.size == 50
    assert np.union1d(first, second).size == 100


def test_the_curve_of_bitmaps_of_your_own_is_counted() -> None:
    trace = Trace.of(np.eye(10, dtype=np.bool_), tick_s=0.1)
    assert trace.distinct(0.1) == 1
    assert trace.distinct(0.05) == 0.5
    assert trace.distinct(0.5) == pytest.approx(5)
    assert trace.distinct(100) == 10


def test_programs_differ() -> None:
    meta = datasets.trace_meta()
    assert set(meta["workload"]) == set(TRACES)
    rates = {name: Trace.named(name).distinct(1.0) for name in TRACES}
    assert rates["redis_idle"] < 100 < rates["redis_get"] < 1000 < rates["sqlite_insert"]
    assert rates["redis_set"] > 10_000
