"""Hyperthreaded cores: time is neither lost nor made, whatever is drawn."""

from __future__ import annotations

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
    Trace,
    Workload,
    schedule,
    schedule_threads,
)
from virtlab.resources.cpu.contention import KINDS
from virtlab.resources.cpu.places import fit

if TYPE_CHECKING:
    from numpy.random import Generator

    from virtlab.resources.cpu.vms import Event

TWO, FOUR = Cores(1), Cores(2)


def alike(count: int, **settings: object) -> list[CpuVM]:
    return [CpuVM(f"vm{i}", **settings) for i in range(count)]  # type: ignore[arg-type] # any


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


@st.composite
def busy_vms(draw: st.DrawFn) -> tuple[Cores, list[CpuVM]]:
    """Draw cores, and VMs with minimum, maximum and sharing that always compute."""
    cpus, threads = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 2]))
    left = 100.0 * cpus
    vms = []
    for number in range(draw(st.integers(1, 8))):
        low = draw(st.integers(0, int(min(100, left)))) if draw(st.booleans()) else 0
        left -= low
        high = draw(st.integers(max(low, 1), 100)) if draw(st.booleans()) else 100
        shares = draw(st.sampled_from([0, 300, 1000, 2000, 4000]))
        sharing = draw(st.sampled_from(["any", "any", "none"]))
        vms.append(CpuVM(f"vm{number}", shares, low, high, sharing=sharing))
    return Cores(cpus, threads), vms


@settings(max_examples=40, deadline=None)
@given(busy_vms())
def test_what_emerges_is_what_allocate_says(drawn: tuple[Cores, list[CpuVM]]) -> None:
    """Whatever the modes: sharing has no effect on entitlement, and it is kept to half a point."""
    machine, vms = drawn
    run = schedule_threads(vms, machine, seconds=20)
    shares, low, high = np.array([(v.shares, v.min_percent, v.max_percent) for v in vms]).T
    expected = allocate(100 * machine.cpus, shares, low, high).allocation
    assert run.percent_between(10, 20) == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("policy", [RoundRobin, Lottery])
@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(WORKLOADS), min_size=1, max_size=7))
def test_with_one_logical_cpu_it_is_the_scheduler_as_it_is(
    policy: type[Policy], loads: list[Workload]
) -> None:
    """Interval by interval, where the policy alone decides."""
    vms = [CpuVM(f"vm{i}", 500 * (i + 1), workload=load) for i, load in enumerate(loads)]
    plain = schedule(vms, 1, seconds=2, policy=policy(), seed=3)
    same = schedule_threads(vms, Cores(1, 1), seconds=2, policy=policy(), seed=3)
    assert same.work_s == pytest.approx(same.run_s)
    assert np.array_equal(same.intervals, plain.intervals)
    assert np.array_equal(same.wants, plain.wants)


def test_one_policy_may_be_used_by_both_one_after_the_other() -> None:
    policy, vms = Stride(), [CpuVM("a", 3000), CpuVM("b"), CpuVM("c")]
    for _ in range(2):
        assert schedule(vms, 1, 5, policy=policy).percent == pytest.approx([60, 20, 20], abs=0.5)
        run = schedule(vms, 1, 5, policy=policy, threads=2)
        assert run.percent == pytest.approx([60, 20, 20], abs=0.5)


@settings(max_examples=25, deadline=None)
@given(machines(), st.integers(0, 9))
def test_work_and_charge_counted_again_microsecond_by_microsecond(
    drawn: tuple[Cores, list[CpuVM], list[Event]], seed: int
) -> None:
    """An account that knows nothing of segments: who is on each logical CPU in each microsecond."""
    machine, vms, events = drawn
    run = schedule_threads(vms, machine, 1.5, events, seed=seed)
    on = np.full((machine.logical, 1_500_000), -1, dtype=np.int16)
    for vcpu, cpu, begin, end in run.intervals.tolist():
        assert (on[cpu, begin:end] == -1).all()
        on[cpu, begin:end] = vcpu
    kinds = [run.vms[vm].kind for vm in run.vm_of]
    work, charge = np.zeros(len(run.vms)), np.zeros(len(run.vms))
    for cpu in range(machine.logical):
        mine = on[cpu]
        other = on[cpu ^ 1] if machine.threads == 2 else np.full_like(mine, -1)
        counts = np.bincount(64 * (mine + 1) + other + 1)  # by pair, none being 0
        for pair in np.flatnonzero(counts).tolist():
            who, beside, count = pair // 64 - 1, pair % 64 - 1, int(counts[pair])
            if who >= 0:
                kind = kinds[beside] if beside >= 0 else None
                work[run.vm_of[who]] += count * machine.contention.speed(kinds[who], kind)
                charge[run.vm_of[who]] += count * (0.5 if beside >= 0 else 1)
    assert run.work_s == pytest.approx(work / 1e6, abs=1e-9)
    assert run.charged_s == pytest.approx(charge / 1e6, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(machines(), st.integers(0, 9))
def test_a_maximum_is_a_lid_on_what_is_charged(
    drawn: tuple[Cores, list[CpuVM], list[Event]], seed: int
) -> None:
    machine, vms, _ = drawn
    run = schedule_threads(vms, machine, 2, seed=seed)
    times = np.linspace(0, 2, 41)
    for number, vm in enumerate(vms):
        got = run.received_s(number, times)
        assert (got <= vm.max_percent / 100 * times + 0.010 + 1e-9).all()


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1000, 2000]), st.sampled_from(WORKLOADS)), min_size=1, max_size=6
    ),
    st.integers(1, 2),
    st.integers(0, 9),
)
def test_no_core_idles_while_someone_waits(
    drawn: list[tuple[int, Workload]], cpus: int, seed: int
) -> None:
    """A half may be kept free, and a core may not: not for a microsecond."""
    vms = [CpuVM(f"vm{i}", part, workload=load) for i, (part, load) in enumerate(drawn)]
    run = schedule_threads(vms, Cores(cpus), seconds=1.5, seed=seed)
    busy = np.zeros((cpus, 1_500_000), dtype=bool)
    running = np.zeros(1_500_000, dtype=np.int16)
    for _, cpu, begin, end in run.intervals.tolist():
        busy[cpu // 2, begin:end] = True
        running[begin:end] += 1
    wanted = np.zeros(1_500_000, dtype=np.int16)
    for _, begin, end in run.wants.tolist():
        wanted[begin:end] += 1
    assert (running <= wanted).all()
    waits = wanted > running
    assert busy[:, waits].all()


@pytest.mark.parametrize("quantum_ms", [1.0, 7.3, 10.0, 40.0])
def test_any_quantum_will_do(quantum_ms: float) -> None:
    vms = [CpuVM("a", 3000), CpuVM("b", sharing="none"), CpuVM("c"), CpuVM("d", 500)]
    run = schedule_threads(vms, FOUR, 12, quantum_ms=quantum_ms)
    expected = allocate(200, [3000, 1000, 1000, 500], 0, 100).allocation
    assert run.percent == pytest.approx(expected, abs=0.1 * quantum_ms + 0.5)
