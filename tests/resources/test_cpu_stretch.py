"""The loop in short gives the same schedule, to the microsecond, as the loop in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources.cpu import (
    Change,
    CpuVM,
    Interactive,
    OnOff,
    Remove,
    Stride,
    schedule,
    slots,
    stretch,
    stride_order,
)
from virtlab.resources.cpu.leap import leap

if TYPE_CHECKING:
    import pytest


class Full(Stride):
    """Stride again; a class of another name is never taken through the short loop."""


LOADS = [
    CpuVM("x").workload,
    CpuVM("y").workload,
    OnOff(0.05, 0.02),
    OnOff(1, 0.02),
    Interactive(8, 30),
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 30),
            st.sampled_from(LOADS),
            st.sampled_from([0, 0, 0, 10]),
            st.sampled_from([100, 100, 100, 30]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_short_and_full_agree(
    clients: list[tuple[int, object, int, int]], cpus: int, seed: int
) -> None:
    vms = [
        CpuVM(f"vm{i}", shares, low, high, workload=load)  # type: ignore[arg-type] # of LOADS
        for i, (shares, load, low, high) in enumerate(clients)
    ]
    events: list[Change | Remove] = [Change(1.003, "vm0", shares=7), Remove(2.5, "vm0")]
    short, full = (
        schedule(vms, cpus, 3.007, events, policy=policy, seed=seed)
        for policy in (Stride(), Full())
    )
    assert short.intervals.tolist() == full.intervals.tolist()
    assert short.wants.tolist() == full.wants.tolist()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=2, max_size=40))
def test_a_leap_is_the_order_from_one_sort(shares: list[int]) -> None:
    run = schedule([CpuVM(f"vm{i}", part) for i, part in enumerate(shares)], seconds=20)
    rows = run.intervals
    order = np.repeat(rows[:, 0], (rows[:, 3] - rows[:, 2]) // 10_000)
    assert order.tolist() == stride_order(shares, 2000).tolist()


def test_long_calm_is_leapt_over(monkeypatch: pytest.MonkeyPatch) -> None:
    leaps: list[int] = []

    def counted(*given: Any) -> Any:
        who, began, now = leap(*given)
        leaps.append((now - given[3]) // 10_000)
        return who, began, now

    monkeypatch.setattr(stretch, "leap", counted)
    vms = [CpuVM("a"), CpuVM("b", 3000), CpuVM("c", workload=OnOff(5, 0.015))]
    schedule(vms, seconds=60, events=[Change(30, "a", shares=2000)])
    assert sum(leaps) > 0.9 * 6000


def test_many_processors_go_slot_by_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    seat = slots._seat

    def counted(*given: Any) -> None:
        steps.append(given[-1])
        seat(*given)

    monkeypatch.setattr(slots, "_seat", counted)
    vms = [CpuVM(f"vm{i}", 1 + i % 3) for i in range(20)]
    events: list[Change | Remove] = [Change(10, "vm0", shares=2), Remove(20, "vm1")]
    short, full = (schedule(vms, 4, 30, events, policy=policy) for policy in (Stride(), Full()))
    assert short.intervals.tolist() == full.intervals.tolist()
    assert len(steps) > 0.9 * 3000
