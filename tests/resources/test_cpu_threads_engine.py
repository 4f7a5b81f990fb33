"""Inside the loop on hyperthreaded cores: who is behind, and who sits down beside whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources.cpu import Bursty, Compute, Cores, CpuVM, Interactive, OnOff, Stride, Vcpu
from virtlab.resources.cpu.places import fit
from virtlab.resources.cpu.threads import Threaded

if TYPE_CHECKING:
    from collections.abc import Sequence

QUANTUM_US = 10_000
LOADS = [Compute(), Compute(), OnOff(0.03, 0.02), Interactive(8, 30), Bursty(20, 20)]


class Watched(Threaded):
    """The loop, with what must hold at each step."""

    checked = 0

    def _start(self, vcpu: Vcpu, cpu: int) -> None:
        other = self._beside(cpu)
        assert not self.busy[cpu]
        assert not any(self.busy[at] and who is vcpu for at, who in enumerate(self.runs))
        assert cpu in self.places[vcpu.vm]
        if other is not None:
            rules = self.sharing[vcpu.vm], self.sharing[other.vm]
            assert fit(*rules, same_vm=vcpu.vm == other.vm)
            assert vcpu.waiting or self._behind(other) <= self._urgent(vcpu) + QUANTUM_US
        type(self).checked += 1
        super()._start(vcpu, cpu)
        assert self.until_us[cpu] > self.now

    def _dispatch(self) -> None:
        super()._dispatch()
        for vcpu in self.vcpus:
            assert abs(self._behind(vcpu)) <= 6 * QUANTUM_US, "what is more is forgiven"
        idle = [
            core
            for core in range(self.machine.cpus)
            if not any(self.busy[core * self.threads + at] for at in range(self.threads))
        ]
        roams = [vcpu for vcpu in self.vcpus if vcpu.waiting]
        assert not (idle and roams), "no core idles while someone waits"
        assert sorted(self.free) == [cpu for cpu, busy in enumerate(self.busy) if not busy]


def watch(vms: Sequence[CpuVM], machine: Cores, seconds: float = 1.0, seed: int = 0) -> Watched:
    """Run the loop, watched."""
    loop = Watched(vms, machine, QUANTUM_US, Stride(), np.random.default_rng(seed))
    loop.run([(0.0, {vm.name: vm for vm in vms})], round(seconds * 1e6))
    return loop


@st.composite
def machines(draw: st.DrawFn) -> tuple[Cores, list[CpuVM]]:
    """Draw cores and VMs that may be anywhere."""
    vms = [
        CpuVM(
            f"vm{number}",
            draw(st.sampled_from([500, 1000, 4000])),
            vcpus=draw(st.integers(1, 2)),
            workload=draw(st.sampled_from(LOADS)),
            sharing=draw(st.sampled_from(["any", "any", "none", "internal"])),
            kind=draw(st.sampled_from(["compute", "cache"])),
        )
        for number in range(draw(st.integers(1, 6)))
    ]
    return Cores(draw(st.integers(1, 3)), draw(st.sampled_from([1, 2]))), vms


@settings(max_examples=60, deadline=None)
@given(machines(), st.integers(0, 9))
def test_each_step_keeps_to_the_rules(drawn: tuple[Cores, list[CpuVM]], seed: int) -> None:
    machine, vms = drawn
    before = Watched.checked
    loop = watch(vms, machine, 0.6, seed)
    assert Watched.checked > before
    assert loop.halves.sum() <= 2 * 600_000 * machine.cpus


def test_what_all_are_behind_sums_to_nothing_where_all_compute() -> None:
    """Cores are charged whole, and all of them is what is entitled: one's loss is another's."""
    loop = watch([CpuVM("a", 3000), *(CpuVM(f"b{i}") for i in range(5))], Cores(2), 2.0)
    loop._flow()
    assert float(loop.due_us.sum()) == pytest.approx(2 * 2_000_000)
    assert loop.halves.sum() == 2 * 2 * 2_000_000
    assert sum(loop._behind(vcpu) for vcpu in loop.vcpus) == pytest.approx(0, abs=6)


def test_who_slept_is_neither_behind_nor_does_it_lose_what_it_was_ahead() -> None:
    loop = Watched(
        [CpuVM("a"), CpuVM("b")], Cores(1), QUANTUM_US, Stride(), np.random.default_rng()
    )
    one = loop.vcpus[0]
    for behind_us, kept_us in ((7000.0, 0.0), (-7000.0, -7000.0), (-90_000.0, -40_000.0)):
        loop.due_us[0], loop.halves[0], loop.slept_us[0] = behind_us, 0, 0
        loop.now = loop.flowed_us = 50_000
        loop._want(one, wants=True)
        assert loop.due_us[0] == kept_us
        assert loop.early[0]
        loop.early[0] = False


def test_a_burst_after_a_burst_is_no_sleep() -> None:
    loop = Watched([CpuVM("a")], Cores(1), QUANTUM_US, Stride(), np.random.default_rng(0))
    one = loop.vcpus[0]
    loop.due_us[0], loop.now = 7000.0, 50_000
    loop.flowed_us = loop.now
    loop._want(one, wants=False)
    loop._want(one, wants=True)
    assert loop.due_us[0] == 7000
    assert not loop.early[0]


def test_halves_of_a_microsecond_are_charged_too() -> None:
    """Two that share a core for an odd time: a policy is told whole microseconds, none is lost."""
    vms = [CpuVM("a", workload=OnOff(0.000_777, 0.000_333)), CpuVM("b")]
    loop = watch(vms, Cores(1), 0.5)
    assert loop.halves.sum() == 2 * 500_000
    used = np.array([vcpu.used_us for vcpu in loop.vcpus])
    assert np.abs(used - loop.halves / 2).max() <= 0.5
