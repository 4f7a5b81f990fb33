"""Whatever balloon, guest swap and host swap do: no byte is lost, no page is counted twice.

Memory is checked: each frame holds a value, and a guest that reads anything but what it wrote
raises. A state machine drives a host of two small VMs through anything that can happen.
"""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from virtlab.memory.guest import GuestSpec, OutOfMemoryError
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.physical import LOST, ZERO
from virtlab.memory.host.backing import BACKED, SHARED
from virtlab.memory.host.host import Host
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec

PAGE = 1 / 256  # MiB
SPEC = GuestSpec(
    96 * PAGE, kernel_mib=6 * PAGE, structures=0, swap_mib=60 * PAGE, image=1, image_mib=8 * PAGE
)
VMS = st.integers(0, 1)


def vm_spec(name: str) -> VmSpec:
    balloon = BalloonSpec(most=0.6, inflate_mib_s=10 * PAGE, deflate_mib_s=10 * PAGE)
    return VmSpec(name, SPEC, min_mib=24 * PAGE, overhead_mib=0, balloon=balloon)


class TwoGuests(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 99))
    def start(self, seed: int) -> None:
        spec = HostSpec(1, own_mib=126 * PAGE, swap_mib=4)  # 130 frames for two guests of 96
        self.rng = np.random.default_rng(seed)
        self.host = Host(spec, self.rng, checked=True)
        for name in "ab":
            self.host.power_on(vm_spec(name))
        self.regions = [
            [vm.guest.image, vm.guest.anonymous(70 * PAGE), vm.guest.file(90 * PAGE)]
            for vm in self.host.vms
        ]

    @rule(
        which=VMS,
        region=st.integers(0, 2),
        objects=st.lists(st.integers(0, 89), min_size=1, max_size=40),
        write=st.booleans(),
    )
    def touch(self, which: int, region: int, objects: list[int], *, write: bool) -> None:
        where = self.regions[which][region]
        chosen = where.start + np.array(objects, np.int32) % where.pages
        try:
            self.host.vms[which].guest.touch(chosen, write=write and region > 0)
        except OutOfMemoryError:  # then nothing was lost, it only could not be used
            guest = self.host.vms[which].guest
            assert guest.swap_used == SPEC.swap_pages
            assert guest.frames.free == 0

    @rule(which=VMS, goal=st.integers(0, 96))
    def balloon(self, which: int, goal: int) -> None:
        vm = self.host.vms[which]
        vm.balloon.goal = min(goal, vm.size - vm.minimum - vm.memory.swapped)
        vm.balloon.poll()

    @rule(which=VMS, pages=st.integers(1, 60), share=st.booleans())
    def swap_out(self, which: int, pages: int, *, share: bool) -> None:
        vm = self.host.vms[which]
        vm.memory.swap_out(min(pages, vm.memory.allocated - vm.minimum), self.rng, share=share)

    @precondition(lambda self: self.host.now < 200)
    @rule()
    def second(self) -> None:
        try:
            self.host.second()
        except OutOfMemoryError:
            assert any(vm.guest.swap_used == SPEC.swap_pages for vm in self.host.vms)

    @rule(which=VMS)
    def scan(self, which: int) -> None:
        self.host.vms[which].memory.scan(40, self.rng)

    @rule(which=VMS)
    def program_ends(self, which: int) -> None:
        guest = self.host.vms[which].guest
        guest.discard(self.regions[which][1])
        self.regions[which][1] = guest.anonymous(70 * PAGE)

    @rule(which=VMS)
    def reboot(self, which: int) -> None:
        self.host.power_off(self.host.vms[which].spec.name)
        assert (
            self.host.machine.used
            == sum(vm.memory.allocated for vm in self.host.vms) - self.host.machine.saved
        )
        self.host.power_on(vm_spec(f"vm{self.rng.integers(10**9)}"))
        vm = self.host.vms[1]
        self.regions.pop(which)
        self.regions.append(
            [vm.guest.image, vm.guest.anonymous(70 * PAGE), vm.guest.file(90 * PAGE)]
        )

    @invariant()
    def every_page_is_in_one_place(self) -> None:
        if hasattr(self, "host"):
            self.host.check()

    @invariant()
    def every_byte_is_somewhere(self) -> None:
        for vm in self.host.vms if hasattr(self, "host") else ():
            table = vm.guest.objects
            assert table.expected is not None
            assert table.saved is not None
            there = np.flatnonzero(table.frame >= 0)
            in_memory = vm.memory.load(table.frame[there])
            assert np.array_equal(in_memory, table.expected[there])
            assert (in_memory != LOST).all()
            backed = (vm.memory.state == BACKED) | (vm.memory.state == SHARED)
            values = vm.memory.load(np.arange(vm.size, dtype=np.int32))
            assert not values[backed & (vm.memory.content == ZERO)].any()  # called zeros: zeros
            away = np.flatnonzero(table.frame < 0)
            assert np.array_equal(table.saved[away], table.expected[away])


TestTwoGuests = TwoGuests.TestCase
TestTwoGuests.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
