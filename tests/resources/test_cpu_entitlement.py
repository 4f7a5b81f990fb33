"""What each VM is entitled to is `allocate`'s answer, asked anew between all moments."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from virtlab.resources import allocate
from virtlab.resources.cpu import (
    Add,
    Bursty,
    Change,
    Compute,
    CpuRun,
    CpuVM,
    Interactive,
    OnOff,
    Policy,
    Remove,
    RoundRobin,
    Stride,
    schedule,
)

Floats = NDArray[np.float64]


def asked_anew(run: CpuRun) -> tuple[Floats, Floats]:
    """Return all moments, and the seconds that each VM was entitled to up to each."""
    starts = np.array([at_s for at_s, _ in run.steps]) * 1e6
    edges = np.unique(np.concatenate([starts, run.wants[:, 1:].ravel(), [run.seconds * 1e6]]))
    edges = edges[edges <= run.seconds * 1e6]
    got = np.zeros((len(edges), len(run.vms)))
    for k, (begin, end) in enumerate(pairwise(edges)):
        running = run.steps[int(np.searchsorted(starts, begin, side="right")) - 1][1]
        active = (run.wants[:, 1] <= begin) & (begin < run.wants[:, 2])
        owners = [run.vm_of[vcpu] for vcpu in run.wants[active, 0]]
        there = [running[run.names[vm]] for vm in owners]
        got[k + 1] = got[k]
        if there:
            settings_ = [(v.shares, v.min_percent, v.max_percent) for v in there]
            parts = np.array(settings_, dtype=float).T / [v.vcpus for v in there]
            rates = allocate(100 * run.cpus, *parts).allocation / 100
            np.add.at(got[k + 1], owners, rates * (end - begin) / 1e6)
    return edges / 1e6, got


LOADS = [Compute(), OnOff(0.11, 0.07), Interactive(8, 30), Bursty(20, 20)]
VM = st.tuples(
    st.sampled_from([0, 1, 1000, 1000, 3000]),
    st.sampled_from([0, 0, 10, 25]),
    st.sampled_from([25, 40, 100, 100]),
    st.integers(1, 2),
    st.sampled_from(LOADS),
)
POLICIES = st.sampled_from([Stride, RoundRobin])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(VM, min_size=1, max_size=6), st.integers(1, 3), st.sampled_from([Stride, RoundRobin])
)
def test_it_is_what_allocate_says_between_all_moments(
    drawn: list[tuple[float, float, float, int, object]], cpus: int, policy: type[Policy]
) -> None:
    vms = [
        CpuVM(f"vm{k}", shares, low if k < 4 else 0, high, count, load)  # type: ignore[arg-type]
        for k, (shares, low, high, count, load) in enumerate(drawn)
    ]
    events: list[Change | Add | Remove] = [
        Change(0.3, "vm0", shares=500),
        Add(0.5, CpuVM("new", 2000, max_percent=60, workload=OnOff(0.2, 0.05))),
        Change(0.8, "vm0", min_percent=0, max_percent=20),
        Change(0.9, "new", shares=0),
        Remove(1.1, "vm0"),
    ]
    run = schedule(vms, cpus, 1.5, events, policy=policy(), seed=1)
    moments, expected = asked_anew(run)
    for vm in range(len(run.vms)):
        assert np.allclose(run.entitled_s(vm, moments), expected[:, vm], atol=1e-9)
    # the largest distance is found, though not all moments are looked at
    times = np.unique(np.concatenate([moments, run.intervals[:, 2:].ravel() / 1e6]))
    for vm in range(len(run.vms)):
        off = np.abs(run.received_s(vm, times) - run.entitled_s(vm, times)).max() * 100
        assert abs(run.error_quanta(vm) - off) < 1e-6


def test_alike_are_one_kind_and_a_thousand_are_no_trouble() -> None:
    vms = [CpuVM(f"vm{k}", workload=Interactive(20, 80)) for k in range(1000)]
    run = schedule(vms, 64, 1)
    assert len(run.entitlement.kinds) == 1
    ends = np.array([1.0])
    total = sum(run.entitled_s(vm, ends)[0] for vm in range(1000))
    assert run.run_s.sum() - 1e-6 <= total + 64 * 0.02 <= 64 * 1.02 + 1e-6
