"""Hyperthreaded cores: who sits where, what it is charged, how fast it is, and what must hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources import allocate
from virtlab.resources.cpu import (
    Add,
    Bursty,
    Change,
    Compute,
    Contention,
    Cores,
    CpuVM,
    Interactive,
    Lottery,
    OnOff,
    Policy,
    Remove,
    RoundRobin,
    Stride,
    ThreadedRun,
    Trace,
    Workload,
    schedule,
    schedule_threads,
)
from virtlab.resources.cpu.contention import KINDS, PUBLISHED
from virtlab.resources.cpu.places import fit
from virtlab.resources.cpu.scheduler import Simulation
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator

    from virtlab.resources.cpu.vms import Event

TWO, FOUR = Cores(1), Cores(2)


def alike(count: int, **settings: object) -> list[CpuVM]:
    return [CpuVM(f"vm{i}", **settings) for i in range(count)]  # type: ignore[arg-type] # any


# --- the contention factors, beside what others say -----------------------------------------------


def test_the_speeds_lie_in_what_is_published() -> None:
    table = Contention()
    low, high = PUBLISHED["each of two, VMware KB 326271"]
    assert low <= table.speed("compute", "compute") <= high
    low, high = PUBLISHED["two together, VMware KB 326271"]
    assert low <= 2 * table.speed("compute", "compute") <= high
    low, _ = PUBLISHED["beside self-modifying code, vSphere 5.0"]
    for kind in KINDS:
        assert table.speed(kind, "self-modifying") == low
        assert table.speed(kind) == 1


def test_cache_suffers_more_than_compute_and_two_do_less_than_one() -> None:
    table = Contention()
    assert table.speed("cache", "cache") < table.speed("cache", "compute")
    assert table.speed("cache", "compute") < table.speed("compute", "compute")
    assert 2 * table.speed("cache", "cache") < 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beside", KINDS)
def test_what_two_get_done_is_what_the_table_says(kind: str, beside: str) -> None:
    pair = [CpuVM("a", kind=kind), CpuVM("b", kind=beside)]
    run = schedule_threads(pair, TWO, seconds=2)
    expected = [Contention().speed(kind, beside), Contention().speed(beside, kind)]
    assert run.work_s == pytest.approx([2 * speed for speed in expected])
    assert run.charged_s == pytest.approx([1, 1])
    assert run.run_s == pytest.approx([2, 2])


# --- the talk's warning, and the three modes ------------------------------------------------------


def test_two_busy_vms_bound_to_one_core_get_three_fifths_each() -> None:
    free = schedule(alike(2), cpus=2, threads=2, seconds=10)
    bound = schedule(
        [CpuVM("vm0", affinity={0}), CpuVM("vm1", affinity={1})], cpus=2, threads=2, seconds=10
    )
    assert isinstance(free, ThreadedRun)
    assert isinstance(bound, ThreadedRun)
    assert free.work_s == pytest.approx([10, 10])
    assert bound.work_s == pytest.approx([6.2, 6.2])
    assert bound.work_s.sum() < free.work_s.sum()
    assert bound.percent == pytest.approx([50, 50])
    assert bound.core_s.tolist() == [[0, 0, 10], [10, 0, 0]], "the other core idles"


def test_whole_cores_are_taken_first() -> None:
    run = schedule_threads(alike(2), FOUR, seconds=1)
    assert sorted(run.intervals[:, 1] // 2) == [0, 1]
    assert run.migrations.sum() == 0
    late = schedule_threads(
        [CpuVM("a"), CpuVM("b", workload=OnOff(0.1, 0.1)), CpuVM("c")], Cores(3), seconds=2
    )
    assert late.core_s[:, 2].sum() == 0, "three cores: nobody sits beside anybody"


def test_none_has_the_core_and_its_sibling_is_halted() -> None:
    vms = [CpuVM("vm0", sharing="none"), *alike(4)[1:]]
    run = schedule_threads(vms, FOUR, seconds=10)
    with_vm0 = run.segments[run.vm_of[run.segments[:, 0]] == 0]
    assert (with_vm0[:, 4] == -1).all()
    halted = [place for place in run.moment(0.02) if place.state == "halted"]
    shown = next(place for place in run.moment(0.0) if place.state == "halted")
    assert shown.name == "vm0" or halted
    every = schedule_threads(alike(4), FOUR, seconds=10)
    assert every.logical_utilization_percent == pytest.approx(100)
    assert run.logical_utilization_percent == pytest.approx(75, abs=0.5), "none wastes"
    assert run.work_s.sum() < every.work_s.sum()


def test_internal_shares_with_its_own_alone() -> None:
    vms = [CpuVM("db", 2000, vcpus=2, sharing="internal"), *alike(3)]
    run = schedule_threads(vms, TWO, seconds=10)
    pairs = run.segments[run.segments[:, 4] >= 0]
    mine, other = run.vm_of[pairs[:, 0]], run.vm_of[pairs[:, 4]]
    assert ((mine == 0) == (other == 0)).all()
    assert (mine == 0).any(), "its two do share"
    assert run.percent == pytest.approx([40, 20, 20, 20], abs=0.5)
    alone = schedule_threads([CpuVM("one", sharing="internal"), *alike(3)], FOUR, seconds=4)
    segments = alone.segments[alone.vm_of[alone.segments[:, 0]] == 0]
    assert (segments[:, 4] == -1).all(), "one virtual processor: internal is none"


@pytest.mark.parametrize("one", ["any", "none", "internal"])
@pytest.mark.parametrize("other", ["any", "none", "internal"])
@pytest.mark.parametrize("same_vm", [False, True])
def test_who_may_sit_beside_whom(one: str, other: str, *, same_vm: bool) -> None:
    allowed = fit(one, other, same_vm=same_vm)
    assert allowed == fit(other, one, same_vm=same_vm)
    if "none" in (one, other):
        assert not allowed
    elif not same_vm:
        assert allowed == (one == other == "any")


def test_sharing_has_no_effect_on_entitlement() -> None:
    shares = [1000, 2000, 500, 1500, 1000]
    expected = allocate(200, shares, 0, 100).allocation
    for modes in (["any"] * 5, ["none"] * 5, ["any", "none", "internal", "any", "none"]):
        vms = [
            CpuVM(f"vm{i}", part, sharing=mode)
            for i, (part, mode) in enumerate(zip(shares, modes, strict=True))
        ]
        run = schedule_threads(vms, FOUR, seconds=20)
        assert run.percent == pytest.approx(expected, abs=0.6), modes


# --- entitlement ----------------------------------------------------------------------------------


def test_three_on_two_cores_take_turns_at_being_alone() -> None:
    run = schedule_threads(alike(3), FOUR, seconds=12)
    assert run.percent == pytest.approx([200 / 3] * 3, abs=0.1)
    assert max(run.error_quanta(vm) for vm in range(3)) < 1
    assert (run.ready_s == 0).all(), "nobody waits"
    alone = run.segments[run.segments[:, 4] < 0]
    spans = np.bincount(alone[:, 0], alone[:, 3] - alone[:, 2]) / 1e6
    assert spans == pytest.approx([4, 4, 4], abs=0.05)
    assert run.migrations.sum() > 100
    assert run.work_s == pytest.approx([4 + 0.62 * 8] * 3, abs=0.05)


@pytest.mark.parametrize("policy", [None, Lottery(), RoundRobin()])
def test_shares_hold_where_there_is_a_logical_cpu_for_everyone(policy: Policy | None) -> None:
    vms = [CpuVM("big", 3000), *alike(3)]
    run = schedule_threads(vms, FOUR, seconds=10, policy=policy)
    assert run.percent == pytest.approx([100, 100 / 3, 100 / 3, 100 / 3], abs=0.5)
    assert run.logical_utilization_percent == pytest.approx(75, abs=0.5)
    places = run.moment(5.005)
    kept = [place for place in places if place.state == "halted"]
    assert [place.name for place in kept] == ["big"], "halted, for big is behind"


def test_minimum_and_maximum_count_what_is_charged() -> None:
    low = schedule_threads([CpuVM("low", min_percent=80), *alike(3)], FOUR, seconds=10)
    assert low.percent == pytest.approx([80, 40, 40, 40], abs=0.5)
    high = schedule_threads([CpuVM("high", max_percent=30), *alike(3)], FOUR, seconds=10)
    assert high.percent == pytest.approx([30, 170 / 3, 170 / 3, 170 / 3], abs=0.5)
    zero = schedule_threads([CpuVM("zero", 0, 20), *alike(2)], TWO, seconds=10)
    assert zero.percent == pytest.approx([20, 40, 40], abs=0.5)


def test_a_policy_of_ones_own_is_asked_who_runs() -> None:
    class Last(Policy):
        def choose(self, waiting: Sequence[object]) -> object:  # type: ignore[override] # short
            return max(waiting, key=lambda vcpu: vcpu.index)  # type: ignore[attr-defined]

    run = schedule_threads(alike(5), TWO, seconds=2, policy=Last())
    assert run.percent[:3].tolist() == [0, 0, 0]
    assert run.percent[3:].sum() == pytest.approx(100)


# --- time is neither lost nor made ----------------------------------------------------------------

WORKLOADS = [
    Compute(), Compute(), OnOff(0.05, 0.03), Interactive(8, 30), Bursty(20, 20), Trace((40, 90)),
]  # fmt: skip


@st.composite
def machines(draw: st.DrawFn) -> tuple[Cores, list[CpuVM], list[Event]]:
    """Draw cores, VMs that are admissible on them, and what happens to them."""
    cpus, threads = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 2, 2]))
    left = 100.0 * cpus
    vms: list[CpuVM] = []
    for number in range(draw(st.integers(1, 6))):
        low = draw(st.sampled_from([0, 0, 10, 40]))
        low = min(low, int(left))
        left -= low
        bound = draw(st.booleans()) and not low
        vms.append(
            CpuVM(
                f"vm{number}",
                draw(st.sampled_from([0, 500, 1000, 3000])),
                low,
                draw(st.sampled_from([100, 100, 45])),
                workload=draw(st.sampled_from(WORKLOADS)),
                sharing=draw(st.sampled_from(["any", "any", "none", "internal"])),
                affinity=draw(st.sets(st.integers(0, cpus * threads - 1), min_size=1))
                if bound
                else None,
                kind=draw(st.sampled_from(KINDS)),
            )
        )
    moments = st.floats(0.1, 1.4)
    events: list[Event] = [
        Change(draw(moments), "vm0", sharing=draw(st.sampled_from(["any", "none"]))),
        Change(draw(moments), vms[-1].name, affinity={0}, shares=700),
        Add(draw(moments), CpuVM("new", vcpus=2, sharing="internal")),
        Remove(1.45, "new"),
    ]
    chosen = events[: draw(st.integers(0, 4))]
    quarantine = draw(st.booleans())
    return Cores(cpus, threads, Contention(), quarantine), vms, chosen


@settings(max_examples=40, deadline=None)
@given(machines(), st.integers(0, 9))
def test_core_time_is_charged_exactly(
    drawn: tuple[Cores, list[CpuVM], list[Event]], seed: int
) -> None:
    machine, vms, events = drawn
    run = schedule_threads(vms, machine, 1.5, events, seed=seed)
    occupied = np.zeros(machine.cpus, dtype=np.int64)
    for core in range(machine.cpus):  # counted microsecond by microsecond, in another way
        busy = np.zeros(1_500_000, dtype=bool)
        for _, _, begin, end in run.intervals[run.intervals[:, 1] // machine.threads == core]:
            busy[begin:end] = True
        occupied[core] = busy.sum()
    assert run.core_s[:, 1:].sum(axis=1) == pytest.approx(occupied / 1e6, abs=1e-9)
    assert run.charged_s.sum() == pytest.approx(occupied.sum() / 1e6, abs=1e-9)
    assert run.core_s.sum() == pytest.approx(1.5 * machine.cpus)
    end = np.array([1.5])
    for vm in range(len(run.vms)):
        assert run.received_s(vm, end)[0] == pytest.approx(run.charged_s[vm])
        assert run.done_s(vm, end)[0] == pytest.approx(run.work_s[vm])


def _overlap(rows: np.ndarray[tuple[int, int], np.dtype[np.int64]], key: int) -> bool:
    rows = rows[np.lexsort((rows[:, 2], rows[:, key]))]
    same = rows[1:, key] == rows[:-1, key]
    return bool((same & (rows[1:, 2] < rows[:-1, 3])).any())


@settings(max_examples=40, deadline=None)
@given(machines(), st.integers(0, 9))
def test_one_is_in_one_place_where_it_may_be(
    drawn: tuple[Cores, list[CpuVM], list[Event]], seed: int
) -> None:
    machine, vms, events = drawn
    run = schedule_threads(vms, machine, 1.5, events, seed=seed)
    assert not _overlap(run.intervals, 0)
    assert not _overlap(run.intervals, 1)
    assert (run.ready_s >= -1e-9).all()
    for vcpu, cpu, begin, end, beside in run.segments.tolist():
        middle = (begin + end) / 2e6
        now = [running for at_s, running in run.steps if at_s <= middle][-1]
        vm = now[run.names[run.vm_of[vcpu]]]
        assert vm.affinity is None or cpu in frozenset(vm.affinity)
        if beside >= 0:
            other = now[run.names[run.vm_of[beside]]]
            assert fit(vm.sharing, other.sharing, same_vm=vm is other)


class Counted(Workload):
    """Bursts with a pause after each, written down."""

    def __init__(self, work_s: float) -> None:
        self.work_s, self.done = work_s, 0

    def burst(self, count: int, now_s: float, rng: Generator) -> tuple[float, float]:
        del rng
        self.done = count
        return now_s + 0.007 * (count % 3), self.work_s


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 40_000), min_size=2, max_size=6),
    st.lists(st.sampled_from(KINDS), min_size=6, max_size=6),
)
def test_a_burst_ends_when_its_work_is_done_at_whatever_speed(
    works_us: list[int], kinds: list[str]
) -> None:
    """What the segments say was done is what the bursts were, to a microsecond each."""
    loads = [Counted(work / 1e6) for work in works_us]
    vms = [CpuVM(f"vm{i}", workload=load, kind=kinds[i]) for i, load in enumerate(loads)]
    run = schedule_threads(vms, FOUR, seconds=1)
    for number, (load, work_us) in enumerate(zip(loads, works_us, strict=True)):
        at_least = load.done * work_us / 1e6
        done = run.work_s[number]
        open_ = run.wants[(run.wants[:, 0] == number) & (run.wants[:, 2] == 1_000_000)]
        assert at_least - 1e-9 <= done
        assert done <= at_least + (load.done + 1) * 1e-6 + (work_us / 1e6 if len(open_) else 0)


def test_a_sibling_that_comes_and_goes_retimes_the_end() -> None:
    """By hand: 30 ms of work; alone for 10 ms, beside a compute burst, then alone again."""

    class Once(Workload):
        def __init__(self, begin_s: float, work_s: float) -> None:
            self.begin_s, self.work_s = begin_s, work_s

        def burst(self, count: int, now_s: float, rng: Generator) -> tuple[float, float]:
            del now_s, rng
            return (self.begin_s, self.work_s) if count == 0 else (9.0, 1.0)

    vms = [
        CpuVM("long", workload=Once(0, 0.030)),
        CpuVM("short", workload=Once(0.010, 0.00558)),  # 9 ms at 0.62
    ]
    run = schedule_threads(vms, TWO, seconds=1)
    ends = {int(vcpu): int(end) for vcpu, _, end in run.wants.tolist()}
    assert ends[1] == 19_000
    # long has done 10 + 5.58 ms by then, and has 14.42 ms to go, alone
    assert ends[0] == 33_420


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([300, 1000, 2000, 4000]), min_size=1, max_size=8), st.data())
def test_what_emerges_is_what_allocate_says(shares: list[int], data: st.DataObject) -> None:
    cpus = data.draw(st.integers(1, 3))
    modes = data.draw(st.lists(st.sampled_from(["any", "any", "none"]), min_size=8, max_size=8))
    vms = [CpuVM(f"vm{i}", part, sharing=modes[i]) for i, part in enumerate(shares)]
    run = schedule_threads(vms, Cores(cpus), seconds=15)
    expected = allocate(100 * cpus, shares, 0, 100).allocation
    assert run.percent == pytest.approx(expected, abs=1.0)
    if len(vms) >= cpus:
        assert run.utilization_percent == pytest.approx(100, abs=0.01), "no core idles"


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.lists(st.sampled_from(WORKLOADS), min_size=1, max_size=7))
def test_with_one_thread_a_core_it_is_the_scheduler_as_it_is(
    cpus: int, loads: list[Workload]
) -> None:
    vms = [CpuVM(f"vm{i}", 500 * (i + 1), workload=load) for i, load in enumerate(loads)]
    plain = Simulation(vms, cpus, 10_000, Stride(), np.random.default_rng(3))
    plain.preempting = False
    plain.run([(0.0, {vm.name: vm for vm in vms})], 2_000_000)
    same = schedule_threads(vms, Cores(cpus, 1), seconds=2, seed=3)
    assert same.work_s == pytest.approx(same.run_s)
    assert [round(1e6 * used) for used in same.run_s] == [vcpu.used_us for vcpu in plain.vcpus]
    assert same.wants.tolist() == [list(want) for want in plain.wants]


# --- quarantine, events, admission ----------------------------------------------------------------


def test_self_modifying_code_is_moved_out_of_the_way() -> None:
    vms = [CpuVM("bad", kind="self-modifying"), *alike(3)]
    slowed = schedule_threads(vms, FOUR, seconds=10)
    helped = schedule_threads(vms, Cores(2, quarantine=True), seconds=10)
    assert slowed.work_s.min() == pytest.approx(1.0, abs=0.1), "one of them runs at a tenth"
    assert helped.work_s.min() > 4.5
    assert [name for name, _ in helped.quarantined] == ["bad"]
    assert helped.quarantined[0][1] == pytest.approx(0.05, abs=0.011)
    assert helped.percent == pytest.approx([50] * 4, abs=0.5), "and nobody is entitled to less"
    later = helped.segments[helped.segments[:, 2] > 70_000]
    assert (later[helped.vm_of[later[:, 0]] == 0][:, 4] == -1).all()
    assert "bad slowed others down" in helped.explain()
    harmless = schedule_threads(alike(4), Cores(2, quarantine=True), seconds=2)
    assert harmless.quarantined == ()


def test_sharing_and_affinity_change_while_it_runs() -> None:
    events: list[Event] = [
        Change(2, "vm0", affinity={0}),
        Change(2, "vm1", affinity={1}),
        Change(4.003, "vm0", sharing="none"),
    ]
    run = schedule_threads(alike(2), FOUR, 6, events)
    times = np.array([0.0, 2.0, 4.003, 6.0])
    got = np.diff(run.done_s(0, times))
    assert got[0] == pytest.approx(2)
    assert got[1] == pytest.approx(0.62 * 2.003, abs=1e-3)
    together = run.segments[(run.segments[:, 2] >= 4_003_000) & (run.segments[:, 4] >= 0)]
    assert len(together) == 0
    assert run.percent_between(4.01, 6) == pytest.approx([50, 50], abs=1)


def test_a_binding_without_hyperthreads_is_kept_too() -> None:
    vms = [CpuVM("a", affinity={0}), CpuVM("b", affinity={0}), CpuVM("c")]
    run = schedule(vms, cpus=2, seconds=4)
    assert run.percent == pytest.approx([50, 50, 100])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CpuVM("a", affinity=()), "a.affinity = .*one logical CPU or more"),
        (lambda: CpuVM("a", affinity={-1}), "a.affinity = -1"),
        (lambda: CpuVM("a", sharing="some"), "a.sharing = 'some': must be one of any, none"),
        (lambda: CpuVM("a", kind="lazy"), "a.kind = 'lazy'"),
        (lambda: schedule(alike(1), threads=4), "threads = 4: must be a whole number from 1 to 2"),
        (
            lambda: schedule([CpuVM("a", affinity={4})], 2, 1, threads=2),
            r"a.affinity = \[4\]: must be of the logical CPUs 0 to 3",
        ),
        (
            lambda: schedule(alike(1), 1, 2, [Change(1, "vm0", affinity={2})], threads=2),
            r"vm0.affinity = \[2\]",
        ),
        (
            lambda: schedule(
                [CpuVM("a", min_percent=60, affinity={0}), CpuVM("b", 1, 60, affinity={1})],
                2,
                1,
                threads=2,
            ),
            r"b.affinity = \[1\]: .*1 core can keep .*120 of 100",
        ),
        (
            lambda: schedule([CpuVM("a", 1, 150, vcpus=2, affinity={0, 1})], 2, 1, threads=2),
            "150 of 100",
        ),
        (lambda: Contention(((1,),)), "three rows of three numbers"),
        (lambda: Contention(((1, 1, 2), (1, 1, 1), (1, 1, 1))), r"speeds\[compute\]\[self-mod"),
        (lambda: schedule_threads(alike(1), TWO, 0), "seconds = 0"),
        (lambda: schedule_threads(alike(1), TWO, 1).moment(2), "at_s = 2"),
    ],
)
def test_bad_input_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


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
