"""A workload that was measured in a real program, replayed in VMs on a host that lacks memory."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.memory.guest import GuestSpec
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.traces import Trace
from virtlab.memory.guest.workloads import Idle
from virtlab.memory.host.scenario import Scenario
from virtlab.memory.host.simulation import Simulation
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec


@pytest.mark.parametrize("kind", ["works", "refuses", "absent"])
def test_a_measured_program_keeps_its_pace_if_the_idle_vm_gives(kind: str) -> None:
    trace = Trace("redis_set", copies=2)
    balloon = BalloonSpec(kind=kind)
    zeroing = GuestSpec(128, zeroes=True)
    vms = (
        VmSpec("redis", GuestSpec(128), trace, overhead_mib=8, balloon=balloon),
        VmSpec("idle", zeroing, Idle(), overhead_mib=8, balloon=balloon, boot_s=10),
    )
    scenario = Scenario("a trace", 90, HostSpec(230, own_mib=8, sharing=False, swap_mib=512), vms)
    simulation = Simulation(scenario)
    for _ in range(90):
        simulation.second()
        simulation.host.check()
    found = simulation.result()
    done = found.mean("redis", "operations", 60)
    taken = found.of_vm["ballooned_mib" if kind == "works" else "swapped_mib"]
    assert taken.sum(axis=1).max() > 8
    if kind != "works":
        assert found.of_vm["ballooned_mib"].max() == 0
    assert np.isfinite(done)
    assert done > 0.7 * trace.per_s
