"""The talk's seven steps: their order, their pause, their bug."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.algorithms import Deck
from virtlab.migration.levels import Rounds
from virtlab.migration.link import MIB, Link
from virtlab.migration.log import STEPS
from virtlab.migration.move import Move
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import migrate, run_of
from virtlab.migration.workloads import RoundRobin, Uniform

VM = Vm(ram_mib=16, device_state_kib=256)
LINK = Link(bandwidth_mib_s=40)


def test_the_steps_come_in_the_order_of_the_talk() -> None:
    events = migrate(VM, Uniform(2000, 3000), LINK).events
    named = [event for event in events if event.what == STEPS[event.step]]
    assert [event.step for event in named] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.time_s for event in events] == sorted(event.time_s for event in events)


def test_quiesced_it_is_paused_before_the_bitmap_goes_and_as_told_after() -> None:
    for as_told, first in ((False, "the machine is paused"), (True, STEPS[3])):
        events = migrate(VM, Uniform(2000, 3000), LINK, Deck(as_told=as_told)).events
        assert next(event.what for event in events if event.step == 3) == first


@settings(max_examples=20, deadline=None)
@given(rate=st.floats(0, 20_000), state=st.floats(64, 4096), seed=st.integers(0, 9))
def test_the_pause_is_state_and_bitmap_by_bandwidth(rate: float, state: float, seed: int) -> None:
    vm = Vm(ram_mib=16, device_state_kib=state)
    run = migrate(vm, Uniform(4096, rate), LINK, seed=seed)
    least_ms = 1000 * (vm.device_state_bytes + vm.bitmap_bytes) / (40 * MIB)
    assert least_ms <= run.downtime_ms <= 2 * least_ms
    assert run.most_copies <= 2


def test_the_pause_of_a_pre_copy_grows_with_the_dirty_rate_and_this_one_does_not() -> None:
    rates = (1000, 3000, 6000, 9000)
    plain = Rounds(threshold_mib=0, max_rounds=3)
    deck = [migrate(VM, Uniform(4096, rate), LINK).downtime_ms for rate in rates]
    pre = [migrate(VM, Uniform(4096, rate), LINK, plain).downtime_ms for rate in rates]
    assert max(deck) <= 1.01 * min(deck)
    assert pre == sorted(pre)
    assert pre[-1] > 5 * pre[0]


def test_as_told_it_loses_exactly_what_is_written_after_the_bitmap() -> None:
    slow = Link(bandwidth_mib_s=0.5)  # the bitmap takes a while
    written: list[int] = []
    in_bitmap: set[int] = set()

    class Watched(Move):
        def send_bitmap(self, pages: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
            in_bitmap.update(pages.tolist())
            self.watch = lambda what, pages: written.extend(
                pages.tolist() if what == "written" else []
            )
            super().send_bitmap(pages)
            self.watch = None

    vm = Vm(ram_mib=1, device_state_kib=8)
    move = Watched(vm, Uniform(256, 400), slow, seed=4)
    move.dirty[:] = False
    run = run_of(move, Deck(as_told=True))
    wrong = move.target.wrong_pages(move.ideal).tolist()
    assert wrong == sorted(set(written) - in_bitmap)
    assert run.wrong_pages == len(wrong)


@pytest.mark.parametrize("rate", [100, 2000, 20_000])
def test_as_told_it_loses_writes_now_and_then_and_quiesced_never(rate: int) -> None:
    wide = Vm(ram_mib=256, device_state_kib=8)
    link = Link(bandwidth_mib_s=300)
    lost = []
    for seed in range(4):
        workload = RoundRobin(65_536, rate, phase=seed / 4)
        assert migrate(wide, workload, link, Deck(), seed=seed).wrong_pages == 0
        lost.append(migrate(wide, workload, link, Deck(as_told=True), seed=seed).wrong_pages)
    window_s = wide.bitmap_bytes / (300 * MIB)
    assert max(lost) <= np.ceil(rate * window_s) + 1
    if rate == 20_000:
        assert sum(lost) > 0
