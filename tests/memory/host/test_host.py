"""A host: admission, minimums, order of reclamation, emergencies; and who decides."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.memory.guest import GuestSpec
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.workloads import HotCold, Idle, WorkingSet
from virtlab.memory.host.controllers import (
    CONTROLLERS,
    EsxLike,
    PressureLike,
    SwapOnly,
    make_controller,
)
from virtlab.memory.host.host import Host
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.view import Orders, View
from virtlab.memory.host.vm import VmSpec
from virtlab.memory.states import State
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.memory.host.controllers import Controller


def host_of(mib: float, controller: Controller | None = None, **changes: Any) -> Host:
    spec = HostSpec(mib, own_mib=8, swap_mib=4096, sharing=False)
    return Host(replace(spec, **changes), np.random.default_rng(2), controller)


def vm(name: str, size: float = 64, **changes: Any) -> VmSpec:
    busy = WorkingSet(size * 0.7, per_s=4000)
    spec = VmSpec(name, GuestSpec(size, kernel_mib=2), busy, overhead_mib=4)
    return replace(spec, **changes)


class TestAdmission:
    def test_minimum_and_overhead_must_fit(self) -> None:
        host = host_of(128)
        host.power_on(vm("a", min_mib=60))
        with pytest.raises(InvalidInputError, match=r"power on = 'b'.*16.96 MiB of memory"):
            host.power_on(vm("b", min_mib=60))
        assert [one.spec.name for one in host.vms] == ["a"]

    def test_the_rest_must_fit_the_swap(self) -> None:
        host = host_of(512, swap_mib=100)
        host.power_on(vm("a", min_mib=10))
        with pytest.raises(InvalidInputError, match="8 MiB of swap are lacking"):
            host.power_on(vm("b", min_mib=10))

    def test_a_name_is_given_once(self) -> None:
        host = host_of(512)
        host.power_on(vm("a"))
        with pytest.raises(InvalidInputError, match="name"):
            host.power_on(vm("a"))
        with pytest.raises(InvalidInputError, match="one that runs: a"):
            host.index("b")

    def test_a_vm_that_stops_leaves_nothing(self) -> None:
        host = host_of(256)
        before = host.machine.free
        host.power_on(vm("a"))
        host.power_on(vm("b"))
        for _ in range(5):
            host.second()
        host.power_off("a")
        host.power_off("b")
        assert host.machine.free == before
        host.second()  # an empty host goes on

    @pytest.mark.parametrize(
        ("field", "value"),
        [("min_mib", 65), ("max_mib", 65), ("shares", -1), ("overhead_mib", -1), ("boot_s", -1)],
    )
    def test_a_wrong_number_is_an_error_that_names_it(self, field: str, value: float) -> None:
        with pytest.raises(InvalidInputError, match=field):
            vm("a", **{field: value})

    @pytest.mark.parametrize(
        ("field", "value"), [("mib", 0), ("own_mib", 200), ("tax_rate", 1), ("balance_s", 0)]
    )
    def test_a_wrong_host_too(self, field: str, value: float) -> None:
        with pytest.raises(InvalidInputError, match=field):
            replace(HostSpec(128), **{field: value})  # type: ignore[arg-type] # on purpose


class TestReclamation:
    def test_with_enough_memory_nothing_is_taken(self) -> None:
        host = host_of(256)
        for name in "ab":
            host.power_on(vm(name))
        for _ in range(40):
            host.second()
        view = host.view()
        assert view.state is State.HIGH
        assert (view.ballooned + view.swapped).sum() == 0
        assert view.target.tolist() == [64 * 256] * 2

    def test_the_balloon_comes_before_the_swap(self) -> None:
        host = host_of(120)
        for name in "ab":
            host.power_on(vm(name))
        for _ in range(60):
            host.second()
            host.check()
        view = host.view()
        assert view.ballooned.sum() > 20 * 256
        assert view.swapped.sum() < 0.1 * view.ballooned.sum()

    def test_without_a_driver_the_host_swaps(self) -> None:
        host = host_of(104)
        for name in "ab":
            host.power_on(vm(name, balloon=BalloonSpec(kind="absent")))
        for _ in range(60):
            host.second()
        host.check()
        view = host.view()
        assert view.ballooned.sum() == 0
        assert view.swapped.sum() > 5 * 256

    def test_sharing_comes_before_both(self) -> None:
        """Guests that zero their memory: what sharing gives, no balloon must take."""

        def taken(*, sharing: bool) -> tuple[float, int]:
            host = host_of(128, sharing=sharing)
            guest = GuestSpec(64, kernel_mib=2, zeroes=True)
            late = BalloonSpec(starts_s=100)
            for name in "ab":
                host.power_on(vm(name, guest=guest, workload=Idle(), boot_s=20, balloon=late))
            for _ in range(40):
                host.second()
                host.check()
            return float(host.view().swapped.sum()), host.machine.saved

        swapped, saved = taken(sharing=True)
        swapped_without, _ = taken(sharing=False)
        assert saved > 8 * 256
        assert swapped < 0.3 * swapped_without

    def test_a_vm_is_taken_to_its_minimum_and_no_further(self) -> None:
        host = host_of(118)
        host.power_on(vm("idle", workload=Idle(mib=1), min_mib=40, guest=zeroing(64), boot_s=4))
        host.power_on(vm("busy", 96, guest=zeroing(96), boot_s=4))
        low = []
        for _ in range(250):
            host.second()
            host.check()
            low.append(host.vms[0].memory.allocated)
        assert 40 * 256 <= min(low[10:]) < 40.5 * 256  # within what high lets pass
        assert host.target[0] == 40 * 256

    def test_memory_is_given_back(self) -> None:
        host = host_of(115)
        host.power_on(vm("a", guest=zeroing(64), boot_s=4))
        host.power_on(vm("b", guest=zeroing(64), boot_s=4))
        for _ in range(60):
            host.second()
        assert host.vms[0].balloon.pages > 0
        host.power_off("b")
        for _ in range(20):
            host.second()
        assert host.vms[0].balloon.pages == 0

    def test_an_emergency_takes_from_those_above_their_targets_first(self) -> None:
        host = host_of(200)
        for name in "ab":
            host.power_on(vm(name))
        for _ in range(20):
            host.second()
        host.target = np.array([10.0 * 256, 64.0 * 256])
        wanted = host.machine.free + 2 * 256
        assert host.machine.room(wanted) == wanted
        assert host.vms[0].memory.swapped >= 2 * 256
        assert host.vms[1].memory.swapped == 0
        host.check()

    def test_in_low_a_vm_above_its_target_waits(self) -> None:
        host = host_of(200)
        host.power_on(vm("a"))
        for _ in range(5):
            host.second()
        host.controller = Blocks()
        host.second()
        assert host.vms[0].operations == 0

    def test_changes_of_an_administrator_move_the_targets(self) -> None:
        host = host_of(110)
        for name in "ab":
            host.power_on(vm(name))
        before = host.target.copy()
        host.change("a", shares=10_000.0)
        assert host.target[0] > before[0]
        host.change("b", min_mib=50.0)
        assert host.target[1] >= 50 * 256
        with pytest.raises(InvalidInputError, match="max_mib"):
            host.change("b", max_mib=1000.0)


def zeroing(size: float) -> GuestSpec:
    return GuestSpec(size, kernel_mib=2, zeroes=True)


class Blocks:
    period_s = 1

    def control(self, view: View) -> Orders:
        return Orders(view.ballooned, blocked=np.ones(view.size.size, bool))


class Alike:
    """The ten lines of a student."""

    period_s = 5

    def control(self, view: View) -> Orders:
        part = (view.lacking + view.ballooned.sum()) / view.size.sum()
        return Orders(balloon=part * view.size)


def view_of(**changes: Any) -> View:
    two = {
        "size": [1000, 1000],
        "minimum": [200, 200],
        "maximum": [1000, 1000],
        "shares": [1, 1],
        "target": [600, 600],
        "allocated": [900, 700],
        "active": [100, 100],
        "ballooned": [0, 300],
        "balloon_most": [500, 500],
        "goal": [0, 300],
        "swapped": [0, 0],
        "guest_free": [100, 100],
    }
    host = {"second": 0, "pages": 2000, "free": 100, "aim": 140, "state": State.SOFT}
    given_values = {**host, **two, **changes}
    arrays = {name: np.array(given_values[name], np.float64) for name in two}
    return View(**{**given_values, **arrays})


class TestEsxLike:
    def test_in_soft_balloons_go_to_the_targets(self) -> None:
        orders = EsxLike().control(view_of())
        assert orders.balloon.tolist() == [400, 400]
        assert orders.swap.tolist() == [0, 0]
        assert not orders.blocked.any()

    def test_what_no_balloon_can_take_is_swapped_and_no_more_than_lacks(self) -> None:
        orders = EsxLike().control(view_of(balloon_most=[100, 500]))
        assert orders.balloon.tolist() == [100, 400]
        assert orders.swap.tolist() == [40, 0]  # 200 could go, 40 are lacking

    def test_in_soft_too_what_balloons_are_too_slow_for_is_swapped(self) -> None:
        assert EsxLike().control(view_of(free=50)).swap.tolist() == [0, 0]  # 2.5 % are free
        assert EsxLike().control(view_of(free=48)).swap.tolist() == [92 * 3 / 4, 92 / 4]

    def test_in_hard_all_above_targets_is_swapped_at_the_disks_rate(self) -> None:
        view = view_of(state=State.HARD, free=0)
        assert EsxLike().control(view).swap.tolist() == [140 * 3 / 4, 140 / 4]
        assert EsxLike(swap_mib_s=0.25).control(view).most_written == 64

    def test_only_low_blocks(self) -> None:
        for state in State:
            orders = EsxLike().control(view_of(state=state, allocated=[900, 500], free=0))
            assert orders.blocked.tolist() == [state is State.LOW, False]

    def test_in_high_nothing_is_taken_for_the_host(self) -> None:
        orders = EsxLike().control(view_of(state=State.HIGH))
        assert orders.balloon.tolist() == [0, 300]
        assert orders.swap.tolist() == [0, 0]

    def test_in_high_a_balloon_goes_on_to_the_goal_that_it_has(self) -> None:
        view = view_of(state=State.HIGH, goal=[250, 300])
        assert EsxLike().control(view).balloon.tolist() == [250, 300]
        less = view_of(state=State.HIGH, goal=[900, 300], target=[800, 600])
        assert EsxLike().control(less).balloon.tolist() == [200, 300]  # to its target, no further
        owed = view_of(state=State.HIGH, goal=[60, 300], target=[600, 800], free=140)
        assert EsxLike().control(owed).balloon.tolist() == [100, 300]  # 60 of VM2's 100 were asked

    def test_in_high_who_is_above_pays_for_who_is_below(self) -> None:
        view = view_of(state=State.HIGH, target=[600, 800], free=140)
        assert EsxLike().control(view).balloon.tolist() == [100, 300]  # VM2 is owed 100
        spare = EsxLike().control(view_of(state=State.HIGH, target=[600, 800], free=240))
        assert spare.balloon.tolist() == [0, 200]  # the host has what it is owed

    def test_without_balloons_the_same_targets_are_swapped_to(self) -> None:
        orders = SwapOnly().control(view_of(free=0))
        assert orders.balloon.tolist() == [0, 0]
        assert orders.swap.tolist() == [105, 35]
        assert SwapOnly().control(view_of(state=State.HIGH)).swap.tolist() == [0, 0]


class TestPressureLike:
    def test_under_pressure_guests_shrink_by_at_most_5_percent(self) -> None:
        view = view_of(free=300, ballooned=[0, 0], guest_free=[500, 500])
        assert PressureLike().control(view).balloon.tolist() == [50, 50]

    def test_a_guest_keeps_what_it_uses_and_a_reserve(self) -> None:
        view = view_of(free=200, ballooned=[0, 0], guest_free=[120, 20])
        assert PressureLike().control(view).balloon.tolist() == pytest.approx([20, 0])

    def test_under_critical_pressure_guests_must_swap(self) -> None:
        view = view_of(free=20, ballooned=[0, 0], guest_free=[0, 0])
        assert PressureLike().control(view).balloon.tolist() == pytest.approx([40, 40])

    def test_without_pressure_guests_grow_by_5_percent(self) -> None:
        view = view_of(free=800, ballooned=[10, 300])
        assert PressureLike().control(view).balloon.tolist() == pytest.approx([0, 265])

    def test_a_small_change_is_not_worth_it(self) -> None:
        view = view_of(free=800, ballooned=[2, 3])
        assert PressureLike().control(view).balloon.tolist() == [2, 0]

    @given(
        st.integers(0, 2000),
        st.lists(st.integers(0, 800), min_size=2, max_size=2),
        st.lists(st.integers(0, 200), min_size=2, max_size=2),
    )
    def test_no_step_is_larger_or_smaller_than_allowed(
        self, free: int, ballooned: list[int], unused: list[int]
    ) -> None:
        view = view_of(free=free, ballooned=ballooned, guest_free=unused)
        step = np.abs(PressureLike().control(view).balloon - view.ballooned)
        has = view.size - view.ballooned
        assert (step <= 0.05 * has + 1e-9).all()
        assert ((step == 0) | (step > 0.0025 * has - 1e-9)).all()


@pytest.mark.parametrize("name", [*CONTROLLERS, "alike", "greedy"])
def test_whoever_decides_no_minimum_is_touched_and_no_frame_is_lost(name: str) -> None:
    class Greedy:
        period_s = 1

        def control(self, view: View) -> Orders:
            return Orders(view.size * 2, swap=view.size * 2)

    own: dict[str, Any] = {"alike": Alike(), "greedy": Greedy()}
    host = host_of(130, own.get(name) or make_controller(name))
    host.power_on(vm("a", min_mib=30, workload=HotCold(10, 30, per_s=2000)))
    host.power_on(vm("b", min_mib=20, balloon=BalloonSpec(most=0.9)))
    for _ in range(60):
        host.second()
        host.check()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(20, 60), st.integers(0, 20)), min_size=2, max_size=4),
    st.sampled_from(list(CONTROLLERS)),
    st.integers(0, 100),
)
def test_states_step_one_by_one_on_any_host(
    vms: list[tuple[int, int]], controller: str, seed: int
) -> None:
    host = Host(
        HostSpec(140, own_mib=8, swap_mib=999),
        np.random.default_rng(seed),
        make_controller(controller),
    )
    for i, (size, low) in enumerate(vms):
        host.power_on(vm(str(i), size, min_mib=low))
    for _ in range(25):
        host.second()
    host.check()
    passages = host.memory_state.passages
    assert all(abs(one.after - one.before) == 1 for one in passages)
    assert all(first.after == second.before for first, second in pairwise(passages))
