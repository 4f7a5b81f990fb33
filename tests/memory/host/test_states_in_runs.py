"""The states of whole runs: they never skip and never flap.

What is meant: a **skip** is more than one step at one look, unless free memory fell past both
thresholds within that second; a **flap** is to be back in a state less than `Thresholds.calm_s`
seconds after leaving it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest

from virtlab.memory.experiments import contest, idle_tax, overcommit, reallocation
from virtlab.memory.guest import GuestSpec
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.workloads import HotCold, WorkingSet
from virtlab.memory.host.scenario import Event, Scenario
from virtlab.memory.host.simulation import run
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.memory.state_log import shortest_return_s
from virtlab.memory.states import State

if TYPE_CHECKING:
    from virtlab.memory.host.run import MemoryRun


def growing(mib_s: float, kind: str) -> Scenario:
    """Return two VMs, of which one asks for so much more memory each second, for minutes."""
    grows = WorkingSet(900, per_s=mib_s * 256)
    balloon = BalloonSpec(kind=kind, inflate_mib_s=4)
    vms = (
        VmSpec("has", GuestSpec(512), HotCold(60, 400, hot=0.9), balloon=balloon),
        VmSpec("grows", GuestSpec(1024), grows, balloon=balloon),
    )
    return Scenario("one grows", 500, HostSpec(1024, sharing=False, swap_mib=4096), vms)


SCENARIOS = {
    "reallocation": reallocation.scenario(),
    "reallocation, other seed": replace(reallocation.scenario(), seed=5),
    "reallocation, swap only": reallocation.scenario("swap only"),
    "reallocation, pressure": reallocation.scenario("pressure"),
    "overcommit": overcommit.scenario(760, 1100),
    "idle tax": idle_tax.scenario(400, 400),
    **{f"contest, {way}": contest.scenario(way) for way in contest.WAYS},
    **{
        f"grows by {rate}, {kind}": growing(rate, kind)
        for rate in (0.5, 2, 6, 20)
        for kind in ("works", "absent")
    },
}


@cache
def ran(name: str) -> MemoryRun:
    return run(SCENARIOS[name])


@pytest.fixture(params=list(SCENARIOS))
def found(request: pytest.FixtureRequest) -> MemoryRun:
    return ran(request.param)


def test_no_state_is_skipped(found: MemoryRun) -> None:
    at_once = Counter(step.time_s for step in found.passages)
    free = found.of_host["free_mib"] / found.scenario.host.mib
    at = found.scenario.host.thresholds
    for time_s, steps in at_once.items():
        if steps > 1:  # it had to: a second before, more than the threshold passed first was free
            passed = [step for step in found.passages if step.time_s == time_s]
            assert all(step.after > step.before for step in passed)
            assert free[int(time_s) - 2] >= at.of(passed[0].after)
    states = found.of_host["state"]
    assert abs(states[1:] - states[:-1]).max() <= max([1, *at_once.values()])


def test_no_state_flaps(found: MemoryRun) -> None:
    assert shortest_return_s(found.passages) >= found.scenario.host.thresholds.calm_s


def test_memory_did_lack_in_these_runs() -> None:
    """Or the two above would say nothing."""
    worst = {name: max(ran(name).of_host["state"]) for name in SCENARIOS}
    enough = {"contest, enough", "grows by 0.5, works", "grows by 0.5, absent"}
    assert {name for name, state in worst.items() if state == State.HIGH} == enough


def test_a_vm_that_starts_is_made_room_for_once() -> None:
    """The balloons go on to their goals in high, so the host is in soft once, not twice."""
    steps = ran("reallocation").passages
    assert [step.after.label for step in steps] == ["soft", "high"]


def test_a_program_that_never_has_enough_keeps_the_host_in_one_state() -> None:
    """When 6.5 % free was enough to go up, it went 41 times between high and soft here."""
    found = ran("contest, swap")
    assert [step.after for step in found.passages] == [State.SOFT]


def test_balloons_that_are_too_slow_get_help() -> None:
    """One VM asks for 20 MiB a second, and the other's balloon grows by 4."""
    found = ran("grows by 20, works")
    came = [step.after for step in found.passages]
    assert came.count(State.HARD) <= 1  # without help it was in hard three times
    assert came[-1] is State.HIGH
    assert found.of_vm["swapped_mib"].max() > 50


def test_a_host_that_loses_much_at_once_passes_all_states_in_that_second() -> None:
    vms = tuple(VmSpec(name, GuestSpec(300), WorkingSet(250), overhead_mib=50) for name in "abc")
    late = replace(vms[2], overhead_mib=150)
    scenario = Scenario(
        "a large start",
        120,
        HostSpec(900, swap_mib=999, sharing=False),
        (*vms[:2], late),
        (Event(60, "power on", "c"),),
    )
    found = run(scenario)
    first = [step.after for step in found.passages if step.time_s == found.passages[0].time_s]
    assert first[0] is State.SOFT
    assert shortest_return_s(found.passages) >= scenario.host.thresholds.calm_s
