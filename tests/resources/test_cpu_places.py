"""Who may run where: affinity, what cannot be, and who may sit beside whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources.cpu import Add, Change, Cores, CpuVM, Remove, schedule, schedule_threads
from virtlab.resources.cpu.places import any_bound, check_places, fit, places
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.resources.cpu.vms import Event

MODES = ("any", "none", "internal")


@given(st.integers(1, 4), st.sampled_from([1, 2]))
def test_without_affinity_one_may_be_anywhere(cpus: int, threads: int) -> None:
    assert places(CpuVM("a"), Cores(cpus, threads)) == frozenset(range(cpus * threads))


@given(st.integers(1, 3), st.data())
def test_with_affinity_it_is_where_it_may_be(cpus: int, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, 2 * cpus - 1), min_size=1))
    vm = CpuVM("a", affinity=chosen, vcpus=2)
    run = schedule_threads([vm, CpuVM("b"), CpuVM("c")], Cores(cpus), seconds=0.3)
    mine = run.intervals[run.vm_of[run.intervals[:, 0]] == 0]
    assert set(mine[:, 1].tolist()) <= chosen
    assert run.charged_s[0] > 0, "and it is somewhere"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.sets(st.integers(0, 5), min_size=1)), max_size=5))
def test_minimums_are_refused_exactly_where_some_ones_cores_cannot_keep_them(
    drawn: list[tuple[int, set[int]]],
) -> None:
    vms = [CpuVM(f"v{i}", 1, low, affinity=where) for i, (low, where) in enumerate(drawn)]
    cores = [{cpu // 2 for cpu in where} for _, where in drawn]
    fits = all(
        sum(low for (low, _), its in zip(drawn, cores, strict=True) if its <= mine)
        <= 100 * len(mine)
        for mine in cores
    )
    if fits:
        check_places(vms, Cores(3))
    else:
        with pytest.raises(InvalidInputError, match="can keep the minimums of those bound"):
            check_places(vms, Cores(3))


def test_a_minimum_on_half_a_core_is_kept_by_having_all_of_it() -> None:
    """60 % of a core, bound to one half: it is alone a fifth of the time, the other waits."""
    vms = [CpuVM("low", 1000, 60, affinity={0}), CpuVM("other", affinity={1})]
    run = schedule_threads(vms, Cores(1), seconds=10)
    assert run.percent == pytest.approx([60, 40], abs=0.5)
    assert run.run_s == pytest.approx([10, 8], abs=0.1)
    assert run.ready_s == pytest.approx([0, 2], abs=0.1)


def test_any_bound_looks_at_events_too() -> None:
    events: list[Event] = [Add(1, CpuVM("b", affinity={0})), Remove(2, "a")]
    assert any_bound([], events)
    assert any_bound([CpuVM("a", affinity={0})], [])
    assert not any_bound([CpuVM("a")], [Remove(1, "a"), Change(0, "a", sharing="none")])


def test_a_vm_that_comes_later_is_checked_before_anything_runs() -> None:
    late: list[Event] = [Add(1, CpuVM("b", 1, 60, affinity={1}))]
    with pytest.raises(InvalidInputError, match=r"b\.affinity"):
        schedule([CpuVM("a", 1, 60, affinity={0})], 2, 2, late, threads=2)
    gone: list[Event] = [Remove(0.5, "a"), *late]
    run = schedule([CpuVM("a", 1, 60, affinity={0})], 2, 2, gone, threads=2)
    assert run.percent == pytest.approx([25, 50])


def test_an_event_says_what_happens_in_short() -> None:
    assert Change(1, "a", affinity={2, 0}, sharing="none").label == (
        "a.sharing = none, affinity = 0 2"
    )
    assert Change(1, "a", affinity=[1]).to(CpuVM("a")).affinity == frozenset({1})
    assert Change(1, "a", max_percent=50).label == "a.max = 50 %"


@pytest.mark.parametrize("mode", MODES)
def test_who_may_sit_beside_itself(mode: str) -> None:
    assert fit(mode, mode, same_vm=True) == (mode != "none")
    assert fit(mode, mode, same_vm=False) == (mode == "any")


def test_one_that_needs_a_core_finds_one_among_misaligned_slices() -> None:
    """Halves come free one by one, never a core: one half is kept free until there is one."""
    quanta = [CpuVM(f"v{i}", 1000) for i in range(4)]
    events: list[Event] = [Remove(0.004, "v0"), Add(0.004, CpuVM("w0")), Remove(0.007, "v2")]
    events += [Add(0.007, CpuVM("w2")), Add(0.1, CpuVM("alone", 1000, sharing="none"))]
    run = schedule_threads(quanta, Cores(2), 6, events)
    alone = run.names.index("alone")
    rows = run.segments[run.vm_of[run.segments[:, 0]] == alone]
    assert (rows[:, 4] == -1).all()
    assert run.percent_between(1, 6)[alone] == pytest.approx(40, abs=1)
    others = np.delete(run.percent_between(1, 6), alone)
    assert sorted(others)[-4:] == pytest.approx([40] * 4, abs=1)
