"""What must always hold of a scheduled run, and that it comes to what `allocate` says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources import allocate
from virtlab.resources.cpu import (
    Bursty,
    Compute,
    CpuVM,
    Interactive,
    Lottery,
    OnOff,
    Policy,
    RoundRobin,
    Stride,
    Trace,
    schedule,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


@st.composite
def machines(draw: st.DrawFn) -> tuple[int, list[CpuVM]]:
    """Draw processors and VMs that are admissible on them."""
    cpus = draw(st.integers(1, 4))
    left = 100.0 * cpus
    vms = []
    for number in range(draw(st.integers(1, 7))):
        low = draw(st.integers(0, int(min(100, left))))
        left -= low
        high = draw(st.integers(max(low, 1), 100))
        shares = draw(st.sampled_from([0, 500, 1000, 2000, 3000]))
        workload = draw(
            st.sampled_from(
                [None, None, OnOff(0.05, 0.03), Interactive(8, 30), Bursty(20, 20), Trace((40, 90))]
            )
        )
        vms.append(CpuVM(f"vm{number}", shares, low, high, workload=workload or Compute()))
    return cpus, vms


def overlaps(rows: NDArray[np.int64], key: int) -> bool:
    """Return whether two intervals with the same key overlap."""
    order = np.lexsort((rows[:, 2], rows[:, key]))
    rows = rows[order]
    same = rows[1:, key] == rows[:-1, key]
    return bool((same & (rows[1:, 2] < rows[:-1, 3])).any())


@settings(max_examples=20, deadline=None)
@given(machines(), st.integers(0, 9))
def test_no_time_is_lost_or_made(machine: tuple[int, list[CpuVM]], seed: int) -> None:
    cpus, vms = machine
    run = schedule(vms, cpus, seconds=3, seed=seed)
    rows = run.intervals
    assert (rows[:, 3] > rows[:, 2]).all()
    assert not overlaps(rows, 1), "a processor runs one at a time"
    assert not overlaps(rows, 0), "one runs on one processor at a time"
    assert (run.ready_s >= -1e-9).all()
    for vcpu, _, begin, end in rows.tolist():  # nobody runs who has no work
        wants = run.wants[run.wants[:, 0] == vcpu]
        assert ((wants[:, 1] <= begin) & (end <= wants[:, 2])).any() or len(wants) > 1


@pytest.mark.parametrize("policy", [Stride, Lottery, RoundRobin])
@settings(max_examples=20, deadline=None)
@given(machines(), st.integers(0, 9))
def test_maximum_and_minimum_are_kept(
    policy: type[Policy], machine: tuple[int, list[CpuVM]], seed: int
) -> None:
    cpus, vms = machine
    run = schedule(vms, cpus, seconds=5, seed=seed, policy=policy())
    times = np.linspace(0, 5, 101)
    for number, vm in enumerate(vms):
        got = run.received_s(number, times)
        assert (got <= vm.max_percent / 100 * times + 0.010 + 1e-9).all(), "above its maximum"
        if isinstance(vm.workload, OnOff | Interactive | Bursty | Trace):
            continue
        slack = 0.010 * (len(vms) + 2)  # it waits for quanta that have begun
        assert (got >= vm.min_percent / 100 * times - slack).all(), "below its minimum"


@settings(max_examples=20, deadline=None)
@given(machines(), st.integers(0, 9))
def test_nothing_is_wasted(machine: tuple[int, list[CpuVM]], seed: int) -> None:
    """While a processor idles, nobody waits who has shares and is below its maximum."""
    cpus, vms = machine
    vms = [CpuVM(vm.name, max(vm.shares, 1), workload=vm.workload) for vm in vms]
    run = schedule(vms, cpus, seconds=2, seed=seed)
    edges = np.unique(np.concatenate([run.intervals[:, 2:].ravel(), run.wants[:, 1:].ravel()]))
    middles = (edges[:-1] + edges[1:]) / 2

    def how_many(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        begun = np.searchsorted(np.sort(rows[:, -2]), middles)
        return np.asarray(begun - np.searchsorted(np.sort(rows[:, -1]), middles))

    assert (how_many(run.intervals) == np.minimum(how_many(run.wants), cpus)).all()


@settings(max_examples=40, deadline=None)
@given(machines())
def test_what_emerges_is_what_allocate_says(machine: tuple[int, list[CpuVM]]) -> None:
    cpus, vms = machine
    vms = [CpuVM(vm.name, vm.shares, vm.min_percent, vm.max_percent) for vm in vms]
    run = schedule(vms, cpus, seconds=20)
    shares, low, high = np.array([(v.shares, v.min_percent, v.max_percent) for v in vms]).T
    expected = allocate(100 * cpus, shares, low, high).allocation
    assert run.percent_between(10, 20) == pytest.approx(expected, abs=0.5)


@settings(max_examples=15, deadline=None)
@given(machines())
def test_so_it_is_with_several_virtual_processors(machine: tuple[int, list[CpuVM]]) -> None:
    cpus, vms = machine
    twice = [
        CpuVM(vm.name, vm.shares, 2 * vm.min_percent, 2 * vm.max_percent, vcpus=2) for vm in vms
    ]
    run = schedule(twice, 2 * cpus, seconds=20)
    shares, low, high = np.array([(v.shares, v.min_percent, v.max_percent) for v in vms]).T
    expected = 2 * allocate(100 * cpus, shares, low, high).allocation
    assert run.percent_between(10, 20) == pytest.approx(expected, abs=0.5)


@settings(max_examples=25, deadline=None)
@given(machines(), st.sampled_from([(1, 0.5), (2, 1), (1.5, 2)]))
def test_so_it_is_where_vms_come_and_go(
    machine: tuple[int, list[CpuVM]], on_off: tuple[float, float]
) -> None:
    """Each burst may gain a quantum or so, thus bursts are long."""
    cpus, vms = machine
    load = OnOff(*on_off)
    vms = [replace(vm, workload=load if k % 2 else Compute()) for k, vm in enumerate(vms)]
    run = schedule(vms, cpus, seconds=40)
    for vm in range(len(vms)):
        due = run.entitled_s(vm, np.array([40]))[0]
        assert run.run_s[vm] == pytest.approx(due, abs=0.01 * 40)


@pytest.mark.parametrize(
    ("cpus", "vms"),
    [  # who needs nearly a whole processor must never wait for two that are owed their minimum
        (2, [(10000, 15, 20), (0, 21, 100), (3000, 0, 7), (2000, 38, 42), (500, 27, 100)]),
        (3, [(3000, 9, 100), (10000, 24, 100), (0, 24, 66), (0, 48, 83), (10000, 74, 100)]),
        (4, [(1, 0, 19), (0, 68, 97), (1000, 99, 99), (0, 34, 47), (2000, 0, 89), (1, 44, 100)]),
        (1, [(2000, 14, 36), (500, 42, 100), (0, 35, 100), (1000, 2, 100)]),
    ],
)
def test_nobody_falls_behind_for_good(cpus: int, vms: list[tuple[int, int, int]]) -> None:
    run = schedule([CpuVM(f"vm{k}", *vm) for k, vm in enumerate(vms)], cpus, seconds=20)
    shares, low, high = np.array(vms, dtype=float).T
    expected = allocate(100 * cpus, shares, low, high).allocation
    assert run.percent == pytest.approx(expected, abs=0.5)
