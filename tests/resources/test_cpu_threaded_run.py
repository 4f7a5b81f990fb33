"""What came of a run on hyperthreaded cores: rows, numbers, words, moments."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources.cpu import (
    Bursty,
    Compute,
    Cores,
    CpuVM,
    Interactive,
    OnOff,
    ThreadedRun,
    schedule_threads,
)
from virtlab.resources.cpu.contention import KINDS

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


# --- the same, found out in another way -----------------------------------------------------------

LOADS = [Compute(), OnOff(0.02, 0.013), Interactive(6, 20), Bursty(15, 25)]


@st.composite
def runs(draw: st.DrawFn) -> ThreadedRun:
    """Draw a run of one second."""
    vms = [
        CpuVM(
            f"vm{number}",
            draw(st.sampled_from([500, 1000, 4000])),
            vcpus=draw(st.integers(1, 2)),
            workload=draw(st.sampled_from(LOADS)),
            sharing=draw(st.sampled_from(["any", "any", "none", "internal"])),
            kind=draw(st.sampled_from(KINDS)),
        )
        for number in range(draw(st.integers(1, 5)))
    ]
    machine = Cores(draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 2])))
    return schedule_threads(vms, machine, seconds=1, seed=draw(st.integers(0, 5)))


def who_is_on(run: ThreadedRun, at_us: float) -> dict[int, int]:
    """Return who runs on which logical CPU, from the intervals alone."""
    rows = run.intervals.tolist()
    return {cpu: vcpu for vcpu, cpu, begin, end in rows if begin <= at_us < end}


@settings(max_examples=25, deadline=None)
@given(runs(), st.lists(st.integers(0, 999_999), min_size=1, max_size=20))
def test_a_moment_is_what_the_intervals_say(run: ThreadedRun, moments_us: list[int]) -> None:
    for at_us in moments_us:
        on = who_is_on(run, at_us + 0.5)
        places = run.moment((at_us + 0.5) / 1e6)
        assert [place.cpu for place in places] == list(range(run.machine.logical))
        for place in places:
            if place.cpu not in on:
                assert place.state in {"idle", "halted"}
                assert (place.vm, place.vcpu, place.speed) == (-1, -1, 0)
                assert bool(place.name) == (place.state == "halted")
                continue
            vcpu, beside = on[place.cpu], on.get(place.cpu ^ 1) if run.threads == 2 else None
            vm = run.vms[run.vm_of[vcpu]]
            kind = None if beside is None else run.vms[run.vm_of[beside]].kind
            assert place.state == "runs"
            assert place.name == vm.name == run.names[place.vm]
            assert place.speed == run.machine.contention.speed(vm.kind, kind)
            assert run.vm_of.tolist().index(place.vm) + place.vcpu == vcpu


@settings(max_examples=25, deadline=None)
@given(runs(), st.integers(0, 999_999))
def test_a_half_is_halted_for_who_is_alone_by_rule_or_because_it_is_behind(
    run: ThreadedRun, at_us: int
) -> None:
    on = who_is_on(run, at_us + 0.5)
    wanted = sum(begin <= at_us < end for _, begin, end in run.wants.tolist())
    for place in run.moment((at_us + 0.5) / 1e6):
        beside = on.get(place.cpu ^ 1) if run.threads == 2 else None
        if place.state == "halted":
            assert beside is not None
            sharing = run.vms[run.vm_of[beside]].sharing
            assert place.name == run.names[run.vm_of[beside]]
            assert sharing != "any" or wanted > len(on)
        elif place.state == "idle" and beside is not None:
            assert wanted == len(on), "nobody waits"


@settings(max_examples=25, deadline=None)
@given(runs())
def test_segments_cover_the_intervals_and_nothing_else(run: ThreadedRun) -> None:
    for cpu in range(run.machine.logical):
        pieces = run.segments[run.segments[:, 1] == cpu]
        whole = run.intervals[run.intervals[:, 1] == cpu]
        assert (pieces[:, 3] > pieces[:, 2]).all()
        assert (pieces[1:, 2] >= pieces[:-1, 3]).all(), "one after the other"
        assert (pieces[:, 3] - pieces[:, 2]).sum() == (whole[:, 3] - whole[:, 2]).sum()
        for vcpu, _, begin, end, beside in pieces.tolist():
            inside = whole[(whole[:, 2] <= begin) & (end <= whole[:, 3])]
            assert inside[:, 0].tolist() == [vcpu]
            other = who_is_on(run, (begin + end) / 2).get(cpu ^ 1, -1)
            assert beside == (other if run.threads == 2 else -1)


@settings(max_examples=25, deadline=None)
@given(runs(), st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_what_was_charged_and_done_never_falls_and_is_at_most_what_was_run(
    run: ThreadedRun, moments_s: list[float]
) -> None:
    times = np.sort(np.array(moments_s))
    for vm in range(len(run.vms)):
        charged, done = run.received_s(vm, times), run.done_s(vm, times)
        assert (np.diff(charged) >= -1e-12).all()
        assert (np.diff(done) >= -1e-12).all()
        assert (charged <= run.vms[vm].vcpus * times + 1e-9).all()
    assert (run.work_s <= run.run_s + 1e-12).all()
    assert (run.charged_s <= run.run_s + 1e-12).all()
    assert (2 * run.charged_s >= run.run_s - 1e-12).all(), "half of it at least"
    end = np.array([1.0])
    assert [run.done_s(vm, end)[0] for vm in range(len(run.vms))] == pytest.approx(
        run.work_s.tolist()
    )


@settings(max_examples=15, deadline=None)
@given(runs())
def test_the_numbers_of_a_summary_hang_together(run: ThreadedRun) -> None:
    summary = run.summary()
    parts = [float(summary[f"cores_{count}_percent"]) for count in ("none", "one", "both")]
    assert sum(parts) == pytest.approx(100)
    assert summary["utilization_percent"] == pytest.approx(parts[1] + parts[2])
    logical = (parts[1] + 2 * parts[2]) / run.threads
    assert summary["logical_utilization_percent"] == pytest.approx(logical)
    assert run.cores()["work_s"].sum() == pytest.approx(summary["work_s"])
    frame = run.to_frame()
    assert frame["percent"].sum() / run.cpus == pytest.approx(summary["utilization_percent"])
    assert frame["work_s"].tolist() == pytest.approx((frame["speed"] * frame["run_s"]).tolist())
