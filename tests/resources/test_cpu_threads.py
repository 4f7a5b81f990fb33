"""Hyperthreaded cores: who sits where, what it is charged, how fast it is, and what must hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.resources import allocate
from virtlab.resources.cpu import (
    Change,
    Contention,
    Cores,
    CpuVM,
    Interactive,
    Lottery,
    OnOff,
    Policy,
    Remove,
    RoundRobin,
    ThreadedRun,
    Trace,
    Vcpu,
    schedule,
    schedule_threads,
)
from virtlab.resources.cpu.places import fit
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.resources.cpu.vms import Event

TWO, FOUR = Cores(1), Cores(2)


def alike(count: int, **settings: object) -> list[CpuVM]:
    return [CpuVM(f"vm{i}", **settings) for i in range(count)]  # type: ignore[arg-type] # any


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


def test_a_vm_of_several_is_quarantined_to_its_own() -> None:
    vms = [CpuVM("bad", 2000, vcpus=2, kind="self-modifying"), *alike(2)]
    run = schedule_threads(vms, Cores(1, quarantine=True), seconds=6)
    assert [name for name, _ in run.quarantined] == ["bad"]
    late = run.segments[run.segments[:, 2] > 1_000_000]
    mine, other = run.vm_of[late[:, 0]] == 0, run.vm_of[late[:, 4]] == 0
    paired = late[:, 4] >= 0
    assert (mine[paired] == other[paired]).all(), "beside itself alone"
    assert run.percent == pytest.approx([50, 25, 25], abs=1)


def test_a_quarantine_outlasts_what_happens_to_others() -> None:
    vms = [CpuVM("bad", kind="self-modifying"), *alike(3)]
    events: list[Event] = [Change(2, "vm1", shares=2000), Remove(3, "vm2")]
    run = schedule_threads(vms, Cores(2, quarantine=True), 5, events)
    assert len(run.quarantined) == 1
    late = run.segments[run.segments[:, 2] > 100_000]
    assert (late[run.vm_of[late[:, 0]] == 0][:, 4] == -1).all()


def test_moves_between_cores_are_counted() -> None:
    """The slide: a virtual processor runs on another physical one each time it is scheduled."""
    run = schedule_threads(alike(3), FOUR, seconds=3)
    trace = run.trace()
    moved = sum(
        (rows["cpu"].to_numpy()[1:] != rows["cpu"].to_numpy()[:-1]).sum()
        for _, rows in trace.groupby("name")
    )
    assert run.migrations.sum() == moved > 0
    bound = schedule_threads([CpuVM("a", affinity={0}), *alike(4)], FOUR, seconds=3)
    assert bound.migrations[0] == 0


def test_who_wakes_pushes_out_who_is_ahead() -> None:
    user = CpuVM("user", workload=Trace((0, 0.3, 0, 0), step_s=1.003))
    run = schedule_threads([user, *alike(3)], TWO, seconds=2)
    begin, end = run.intervals[run.intervals[:, 0] == 0][0, 2:]
    assert begin == 1_003_000, "in the middle of a quantum, at once"
    assert (end - begin) == pytest.approx(3009 / 0.62, abs=2), "at the speed of half a core"
    broken = run.intervals[run.intervals[:, 3] == begin]
    assert len(broken) == 1
    assert broken[0, 3] % 10_000 == 3000, "its quantum is broken off"
    calm = schedule_threads([user, *alike(3)], TWO, seconds=2, policy=RoundRobin())
    assert calm.intervals[calm.intervals[:, 0] == 0][0, 2] % 10_000 == 0, "its turn comes"


@pytest.mark.parametrize("cores", [1, 2])
def test_short_bursts_wait_little_beside_busy_vms(cores: int) -> None:
    vms = [CpuVM("user", workload=Interactive(5, 100)), *alike(4 * cores)]
    shares = schedule_threads(vms, Cores(cores), seconds=40, seed=1)
    turns = schedule_threads(vms, Cores(cores), seconds=40, seed=1, policy=RoundRobin())
    assert shares.ready_s[0] < 0.75 * turns.ready_s[0]
    assert shares.error_quanta(0) < turns.error_quanta(0) / 3


def test_a_policy_of_ones_own_may_preempt_too() -> None:
    class Rude(RoundRobin):
        def preempts(self, waking: Vcpu, running: Vcpu) -> bool:
            return waking.index == 0 and running.ran_us > 0

    vms = [CpuVM("first", workload=Interactive(5, 20)), *alike(4)[1:]]
    rude = schedule_threads(vms, TWO, seconds=10, policy=Rude())
    calm = schedule_threads(vms, TWO, seconds=10, policy=RoundRobin())

    def at_once(run: ThreadedRun) -> float:
        """Return the part of the bursts that begin as soon as they are wanted."""
        mine, wants = (rows[rows[:, 0] == 0] for rows in (run.intervals, run.wants))
        return float(np.isin(wants[:, 1], mine[:, 2]).mean())

    assert at_once(rude) > 0.95
    assert at_once(calm) < 0.2
    none = [CpuVM("first", workload=Interactive(5, 20), sharing="none"), *alike(4)[1:]]
    alone = schedule_threads(none, TWO, seconds=10, policy=Rude())
    mine = alone.segments[alone.vm_of[alone.segments[:, 0]] == 0]
    assert (mine[:, 4] == -1).all(), "and keeps to the rules"
