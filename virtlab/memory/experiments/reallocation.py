"""VM4 starts, memory lacks, and later it is given back: the talk's four slides in order (S23-S26).

    S23   three VMs run, and each has its maximum: there is enough
    S24   VM4 starts; memory lacks; VM1 and VM2, which use least of theirs, are squeezed
    S25   VM2 reaches its minimum and gives no more; the others give what is lacking
    S26   all are at their targets; and when VM4 stops, the memory is given back

Sizes, minimums and loads are ours; the slides have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.workloads import HotCold
from virtlab.memory.host.scenario import Event, Scenario
from virtlab.memory.host.simulation import run
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.memory.host.run import MemoryRun

__all__ = ["Reallocation", "reallocation", "scenario"]

STARTS_S, STOPS_S, SECONDS = 200, 600, 800
_BOOT_S = 40


def scenario(controller: str = "esx") -> Scenario:
    """Return the four slides as a scenario.

    Parameters
    ----------
    controller
        Who decides, by name.

    Returns
    -------
    Scenario
        Four VMs, of which the last starts and stops.

    Examples
    --------
    >>> [event.words for event in scenario().events]
    ['VM4 starts', 'VM4 stops']
    """

    def vm(name: str, hot_mib: float, min_mib: float) -> VmSpec:
        guest = GuestSpec(512, zeroes=True)
        load = HotCold(hot_mib, 440 - hot_mib, hot=0.97)
        return VmSpec(name, guest, load, min_mib=min_mib, overhead_mib=64, boot_s=_BOOT_S)

    vms = (vm("VM1", 90, 192), vm("VM2", 40, 320), vm("VM3", 300, 256), vm("VM4", 260, 256))
    events = (Event(STARTS_S, "power on", "VM4"), Event(STOPS_S, "power off", "VM4"))
    host = HostSpec(2100, own_mib=24 + 192, sharing=False)
    return Scenario("VM4 starts", SECONDS, host, vms, events, controller)


@dataclass(frozen=True, eq=False)
class Reallocation(Result):
    """The run, and its four moments.

    Attributes
    ----------
    run
        The whole run.
    """

    run: MemoryRun

    @property
    def moments(self) -> dict[str, int]:
        """The second at which each slide stands."""
        floor = self.run.scenario.vms[1].min_mib
        memory = self.run.vm("VM2", "allocated_mib")
        at_floor = np.flatnonzero(memory[STARTS_S:STOPS_S] <= floor + 0.5)
        reached = STARTS_S + int(at_floor[0]) if at_floor.size else STOPS_S - 1
        squeezed = self.run.of_vm["ballooned_mib"][STARTS_S:, :2].min(axis=1) > 8
        first = STARTS_S + int(np.argmax(squeezed)) if squeezed.any() else STARTS_S
        return {"S23": STARTS_S - 1, "S24": first, "S25": reached, "S26": STOPS_S - 1}

    def to_frame(self) -> pd.DataFrame:
        """Return one row a slide and VM: memory, target, minimum, balloon, swap."""
        import pandas as pd

        columns = ["vm", "allocated_mib", "target_mib", "ballooned_mib", "swapped_mib"]
        parts = []
        for slide, second in {**self.moments, "given back": self.run.seconds - 1}.items():
            part = self.run.at(second)[columns].assign(slide=slide, time_s=second)
            part["minimum_mib"] = [vm.min_mib for vm in self.run.scenario.vms]
            parts.append(part)
        frame = pd.concat(parts, ignore_index=True)
        return frame[["slide", "time_s", *columns, "minimum_mib"]]

    def summary(self) -> dict[str, float | int | str]:
        """Return what each VM had before, squeezed, and at the end."""
        last = self.run.seconds - 1
        told: dict[str, float | int | str] = {}
        for name in self.run.names[:3]:
            memory = self.run.vm(name, "allocated_mib")
            told[f"{name}_before_mib"] = float(memory[STARTS_S - 1])
            told[f"{name}_squeezed_mib"] = float(memory[STOPS_S - 1])
            told[f"{name}_balloon_at_end_mib"] = float(self.run.vm(name, "ballooned_mib")[last])
        told["VM4_mib"] = float(self.run.vm("VM4", "allocated_mib")[STOPS_S - 1])
        told["swapped_mib"] = float(self.run.of_vm["swapped_mib"].sum(axis=1).max())
        return told

    def explain(self) -> str:
        """Say what happens on each slide."""
        told = self.summary()
        floor = self.run.scenario.vms[1].min_mib
        return (
            "Three VMs have 512 MiB each. VM4 starts, and memory lacks: VM1 goes down to "
            f"{told['VM1_squeezed_mib']:.0f} MiB, VM2 to {told['VM2_squeezed_mib']:.0f} "
            f"(its minimum is {floor:.0f}), VM3 to {told['VM3_squeezed_mib']:.0f}, and VM4 gets "
            f"{told['VM4_mib']:.0f}. When VM4 stops, the balloons go down to "
            f"{told['VM1_balloon_at_end_mib']:.0f} MiB."
        )


def reallocation(controller: str = "esx") -> Reallocation:
    """Run the four slides.

    Parameters
    ----------
    controller
        Who decides, by name.

    Returns
    -------
    Reallocation
        The run and its moments.

    Examples
    --------
    >>> list(Reallocation(run(scenario())).moments)
    ['S23', 'S24', 'S25', 'S26']
    """
    return Reallocation(run(scenario(controller)))
