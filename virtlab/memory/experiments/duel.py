"""Two VMs, one host, one controller: who takes memory from the VM that can spare it (S28).

Both VMs have 64 MiB and had the time to use all of it. One is idle now, the other works on most of
its memory. The host has 40 MiB less than both together. A controller that takes from both alike
hurts the one that works; one that swaps hurts both; one that looks who is idle hurts nobody.

Any controller can be run here: a name of `virtlab.memory.host.controllers.CONTROLLERS`, or an
object of one's own. The sizes are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.workloads import HotCold, Idle
from virtlab.memory.host.controllers import make_controller
from virtlab.memory.host.scenario import Scenario
from virtlab.memory.host.simulation import run
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from virtlab.memory.host.controllers import Controller
    from virtlab.memory.host.run import MemoryRun

__all__ = ["Duel", "duel", "scenario"]

SIZE_MIB, LACKING_MIB, SECONDS = 64.0, 40.0, 300
_BOOT_S, _OWN_MIB, _MEASURE_S = 10, 16.0, 60


def scenario(lacking_mib: float = LACKING_MIB) -> Scenario:
    """Return the two VMs and their host.

    Parameters
    ----------
    lacking_mib
        How much less the host has than both VMs.

    Returns
    -------
    Scenario
        Two VMs: busy and idle.

    Examples
    --------
    >>> [vm.name for vm in scenario().vms]
    ['busy', 'idle']
    """

    def vm(name: str, load: HotCold | Idle) -> VmSpec:
        guest = GuestSpec(SIZE_MIB, zeroes=True)
        balloon = BalloonSpec(most=0.75)
        return VmSpec(name, guest, load, overhead_mib=0, balloon=balloon, boot_s=_BOOT_S)

    vms = (vm("busy", HotCold(hot_mib=46, cold_mib=4, hot=0.99)), vm("idle", Idle()))
    host = HostSpec(
        2 * SIZE_MIB - lacking_mib + _OWN_MIB, own_mib=_OWN_MIB, sharing=False, swap_mib=256
    )
    return Scenario("who can spare it", SECONDS, host, vms)


@dataclass(frozen=True, eq=False)
class Duel(Result):
    """What each controller did.

    Attributes
    ----------
    runs
        One for each controller, and one with enough memory, 'enough'.
    """

    runs: Mapping[str, MemoryRun]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each, with means of the last minute."""
        import pandas as pd

        full = self.runs["enough"].mean("busy", "operations", SECONDS - _MEASURE_S)
        rows = []
        for name, one in self.runs.items():
            start = one.seconds - _MEASURE_S
            speed = one.mean("busy", "operations", start)
            rows.append(
                {
                    "controller": name,
                    "busy_percent": 100 * speed / full,
                    "from_busy_mib": one.mean("busy", "ballooned_mib", start),
                    "from_idle_mib": one.mean("idle", "ballooned_mib", start),
                    "host_swap_mib": sum(one.mean(vm, "swapped_mib", start) for vm in one.names),
                    "free_mib": float(one.of_host["free_mib"][start:].mean()),
                }
            )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return the busy VM's throughput under each, of that with enough memory, percent."""
        frame = self.to_frame().set_index("controller")["busy_percent"]
        return {f"{name}_percent": float(value) for name, value in frame.items()}

    def explain(self) -> str:
        """Say what is left of the busy VM's throughput."""
        parts = [
            f"{value:.0f} % with {name.removesuffix('_percent')}"
            for name, value in self.summary().items()
            if name != "enough_percent"
        ]
        return (
            f"The host has {LACKING_MIB:.0f} MiB less than both VMs. "
            f"Of the busy VM's throughput are left: {', '.join(parts)}."
        )


def duel(**controllers: str | Controller) -> Duel:
    """Run the same two VMs under some controllers.

    Parameters
    ----------
    **controllers
        By the name that they are shown with: a controller, or the name of one of the course's.

    Returns
    -------
    Duel
        A run for each.

    Examples
    --------
    >>> told = duel(swap="swap only").summary()
    >>> told["swap_percent"] < 98 < told["enough_percent"]
    True
    """
    made = {
        name: make_controller(one) if isinstance(one, str) else one
        for name, one in controllers.items()
    }
    runs = {"enough": run(scenario(-2 * SIZE_MIB))}
    runs |= {name: run(scenario(), one) for name, one in made.items()}
    return Duel(runs)
