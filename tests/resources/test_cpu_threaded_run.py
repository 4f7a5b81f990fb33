"""What came of a run on hyperthreaded cores: rows, numbers, words, moments."""

from __future__ import annotations

import json

import numpy as np
import pytest

from virtlab.resources.cpu import (
    Bursty,
    Cores,
    CpuVM,
    schedule_threads,
)

TWO, FOUR = Cores(1), Cores(2)


def alike(count: int, **settings: object) -> list[CpuVM]:
    return [CpuVM(f"vm{i}", **settings) for i in range(count)]  # type: ignore[arg-type] # any


# --- what a run says ------------------------------------------------------------------------------


def test_a_run_in_rows_numbers_and_words() -> None:
    run = schedule_threads([CpuVM("a", sharing="none"), *alike(3)], FOUR, seconds=4)
    frame = run.to_frame()
    assert list(frame.columns[4:12]) == [
        "sharing", "kind", "run_s", "charged_s", "work_s", "speed", "ready_s", "percent",
    ]  # fmt: skip
    assert frame["sharing"].tolist() == ["none", "any", "any", "any"]
    assert frame["speed"].tolist() == pytest.approx((run.work_s / run.run_s).tolist())
    cores = run.cores()
    parts = cores[["none_percent", "one_percent", "both_percent"]].sum(axis=1)
    assert parts.tolist() == pytest.approx([100, 100])
    assert cores["work_s"].sum() == pytest.approx(run.work_s.sum())
    assert cores["logical_cpus"].tolist() == ["0, 1", "2, 3"]
    data = json.loads(json.dumps(run.to_json(), allow_nan=False))
    assert data["threads"] == 2
    assert data["cores_both_percent"] + data["cores_one_percent"] == pytest.approx(100)
    assert "had two on one core" in run.explain()
    many = schedule_threads(alike(9), FOUR, seconds=1)
    assert "and 3 more" in many.explain()


def test_a_moment_says_who_runs_where_how_fast_and_what_idles() -> None:
    vms = [CpuVM("a", affinity={0}), CpuVM("b", affinity={1}, kind="cache")]
    places = schedule_threads(vms, FOUR, seconds=1).moment(1.0)
    assert [(p.cpu, p.core, p.state, p.name, p.speed) for p in places] == [
        (0, 0, "runs", "a", 0.58),
        (1, 0, "runs", "b", 0.52),
        (2, 1, "idle", "", 0.0),
        (3, 1, "idle", "", 0.0),
    ]
    alone = schedule_threads([CpuVM("a", sharing="none")], TWO, seconds=1).moment(0.5)
    assert [(p.state, p.name) for p in alone] == [("runs", "a"), ("halted", "a")]
    single = schedule_threads(alike(1), Cores(2, 1), seconds=1).moment(0)
    assert [p.state for p in single] == ["runs", "idle"]
    nobody = schedule_threads([CpuVM("a", 0)], FOUR, seconds=1)
    assert {p.state for p in nobody.moment(0.5)} == {"idle"}
    assert nobody.to_frame()["speed"].tolist() == [0]


def test_the_same_seed_gives_the_same_run() -> None:
    vms = [CpuVM(f"v{i}", workload=Bursty()) for i in range(6)]
    first, again, other = (schedule_threads(vms, FOUR, 4, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.intervals, again.intervals)
    assert not np.array_equal(first.intervals, other.intervals)
