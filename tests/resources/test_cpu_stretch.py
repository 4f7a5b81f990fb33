"""The loop in short gives the same schedule, to the microsecond, as the loop in full."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources.cpu import Change, CpuVM, Interactive, OnOff, Remove, Stride, schedule


class Full(Stride):
    """Stride again; a class of another name is never taken through the short loop."""


LOADS = [CpuVM("x").workload, CpuVM("y").workload, OnOff(0.05, 0.02), Interactive(8, 30)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.sampled_from(LOADS), st.sampled_from([0, 0, 0, 10])),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 99),
)
def test_short_and_full_agree(clients: list[tuple[int, object, int]], seed: int) -> None:
    vms = [
        CpuVM(f"vm{i}", shares, low, workload=load)  # type: ignore[arg-type] # of LOADS
        for i, (shares, load, low) in enumerate(clients)
    ]
    events: list[Change | Remove] = [Change(1.003, "vm0", shares=7), Remove(2.5, "vm0")]
    short, full = (
        schedule(vms, 1, 3.007, events, policy=policy, seed=seed) for policy in (Stride(), Full())
    )
    assert short.intervals.tolist() == full.intervals.tolist()
    assert short.wants.tolist() == full.wants.tolist()
