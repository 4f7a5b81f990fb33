"""A configuration by plain numbers: every field by its own name, defaults for the rest."""

from __future__ import annotations

import pytest

from virtlab.migration.huge import StopRule, precopy
from virtlab.migration.link import Link
from virtlab.migration.points import (
    PARAMETERS,
    dirty_against_bandwidth,
    precopy_point,
    workload_of,
)
from virtlab.migration.sweep import sweep
from virtlab.migration.vm import Vm
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform, Zipf
from virtlab.validate import InvalidInputError


def test_a_point_is_the_same_as_the_objects_it_names() -> None:
    point = {
        "ram_mib": 256, "filled_mib": 200, "device_state_kib": 10, "bandwidth_mib_s": 300,
        "cap_mib_s": 80, "downtime_limit_ms": 100, "max_rounds": 9, "pattern": "hot",
        "working_set_pages": 40_000, "dirty_pages_s": 9000, "hot_pages": 500,
        "hot_write_percent": 70, "level": "page",
    }  # fmt: skip
    assert precopy_point(point, seed=4) == precopy(
        Vm(ram_mib=256, filled_mib=200, device_state_kib=10),
        HotCold(40_000, 9000, hot_pages=500, hot_write_percent=70),
        Link(bandwidth_mib_s=300, cap_mib_s=80),
        StopRule(100, 9),
        level="page",
        seed=4,
    )


def test_each_pattern_is_the_workload_of_that_name() -> None:
    kinds = {"round-robin": RoundRobin, "random": Uniform, "hot": HotCold, "zipf": Zipf}
    for pattern, kind in kinds.items():
        assert type(workload_of({"pattern": pattern, "working_set_pages": 2000})) is kind
    assert workload_of({"pattern": "random", "hot_pages": 3}) == Uniform(16384, 8000)
    assert "phase" in PARAMETERS
    with pytest.raises(InvalidInputError, match="round-robin, random, hot, zipf"):
        workload_of({"pattern": "odd"})


def test_repetitions_differ_at_level_page_only() -> None:
    points = [
        {"level": level, "repeat": n, "working_set_pages": 60_000}
        for level in ("page", "mean")
        for n in (0, 1)
    ]
    page, page_too, mean, mean_too = (row["sent_mib"] for row in sweep(points, precopy_point).rows)
    assert page != page_too
    assert mean == mean_too


def test_the_talks_question_as_a_grid() -> None:
    """A writer slower than the link converges; twice as fast, with much to write, it does not."""
    points = dirty_against_bandwidth(12, 12)
    for point, row in zip(points, sweep(points, precopy_point).rows, strict=True):
        faster = point["dirty_pages_s"] / 256 / point["bandwidth_mib_s"]
        if faster < 0.8:
            assert row["converged"], point
        if faster > 2 and point["bandwidth_mib_s"] * 0.3 < 400:
            assert not row["converged"], point
            assert row["downtime_ms"] > 300
