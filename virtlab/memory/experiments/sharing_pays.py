"""What is sharing worth to a host that lacks memory? One run with it, one without (S26, S27).

Five equal VMs of 256 MiB run one system, and each asks for 2,000 operations a second on half of
its memory. The host lacks 500 MiB. Without sharing, balloons and swap must take it all from the
VMs; with it, equal pages are in memory once, and what that gives back need not be taken. The two
runs differ in nothing else: same VMs, same seed.

As many pages a second are looked at as in `virtlab.memory.experiments.overcommit`, three times as
many as ESX 2.5's defaults, so that a run of ten minutes is enough to see it. What VMs do,
and that 80 MiB of each are the same code, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.workloads import HotCold
from virtlab.memory.host.scenario import Scenario
from virtlab.memory.host.simulation import run
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.results import Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from virtlab.memory.host.run import MemoryRun

__all__ = ["SharingPays", "scenario", "sharing_pays"]

_VMS, _BOOT_S = 5, 60


def scenario(*, sharing: bool, seconds: int = 600, seed: int = 1) -> Scenario:
    """Return one of the two runs as a scenario.

    Parameters
    ----------
    sharing
        Whether equal pages are shared.
    seconds
        How long.
    seed
        Of all chance.

    Returns
    -------
    Scenario
        Five equal VMs.

    Examples
    --------
    >>> [vm.name for vm in scenario(sharing=True).vms]
    ['VM1', 'VM2', 'VM3', 'VM4', 'VM5']
    """
    guest = GuestSpec(256, image=1, image_mib=80, zeroes=True)
    load = HotCold(hot_mib=60, cold_mib=60, hot=0.9, per_s=2000)
    vms = tuple(
        VmSpec(f"VM{i + 1}", guest, load, min_mib=64, overhead_mib=32, boot_s=_BOOT_S)
        for i in range(_VMS)
    )
    host = HostSpec(1024, sharing=sharing, scan_vm_pages_s=160, scan_pages_s=640)
    words = "with" if sharing else "without"
    return Scenario(f"five equal VMs {words} sharing", seconds, host, vms, seed=seed)


@dataclass(frozen=True, eq=False)
class SharingPays(Result):
    """The two runs.

    Attributes
    ----------
    off, on
        Without and with sharing.
    """

    off: MemoryRun
    on: MemoryRun

    @staticmethod
    def taken_mib(one: MemoryRun) -> NDArray[np.float32]:
        """Return what balloons and swap have taken from the VMs, second by second, MiB.

        Parameters
        ----------
        one
            A run.

        Returns
        -------
        ndarray
            An entry a second.
        """
        taken = one.of_vm["ballooned_mib"] + one.of_vm["swapped_mib"]
        total: NDArray[np.float32] = taken.sum(axis=1)
        return total

    def to_frame(self) -> pd.DataFrame:
        """Return one row a run: means over the second half."""
        import pandas as pd

        rows = []
        for name, one in (("off", self.off), ("on", self.on)):
            half = slice(one.seconds // 2, None)
            total = {what: one.of_vm[what][half].sum(axis=1).mean() for what in _OF_VM}
            rows.append(
                {
                    "sharing": name,
                    "saved_mib": float(one.of_host["saved_mib"][half].mean()),
                    "ballooned_mib": float(total["ballooned_mib"]),
                    "swapped_mib": float(total["swapped_mib"]),
                    "vms_have_mib": float(total["allocated_mib"]),
                    "from_disk_s": float(total["guest_faults"] + total["host_faults"]),
                    "throughput_mib_s": float(total["operations"]) / PAGES_PER_MIB,
                }
            )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return what sharing saves, what is taken with and without it, and the gain."""
        off, on = self.to_frame().to_dict("records")
        return {
            "saved_mib": on["saved_mib"],
            "taken_off_mib": off["ballooned_mib"] + off["swapped_mib"],
            "taken_on_mib": on["ballooned_mib"] + on["swapped_mib"],
            "gain_percent": 100 * (on["throughput_mib_s"] / off["throughput_mib_s"] - 1),
            "from_disk_off_s": off["from_disk_s"],
            "from_disk_on_s": on["from_disk_s"],
        }

    def explain(self) -> str:
        """Say what sharing spares the VMs."""
        told = self.summary()
        return (
            f"Without sharing {told['taken_off_mib']:.0f} MiB are taken from the VMs; with it "
            f"{told['saved_mib']:.0f} MiB are saved and {told['taken_on_mib']:.0f} taken. "
            f"{told['from_disk_on_s']:.0f} pages a second come from disk instead of "
            f"{told['from_disk_off_s']:.0f}; throughput changes by {told['gain_percent']:+.1f} %."
        )


_OF_VM = (
    "ballooned_mib",
    "swapped_mib",
    "allocated_mib",
    "guest_faults",
    "host_faults",
    "operations",
)


def sharing_pays(seconds: int = 600, *, seed: int = 1) -> SharingPays:
    """Run the same VMs without and with sharing.

    Parameters
    ----------
    seconds
        How long each runs.
    seed
        Of all chance.

    Returns
    -------
    SharingPays
        The two runs.

    Examples
    --------
    >>> told = sharing_pays(seconds=240).summary()
    >>> told["taken_on_mib"] < told["taken_off_mib"]
    True
    """
    return SharingPays(
        run(scenario(sharing=False, seconds=seconds, seed=seed)),
        run(scenario(sharing=True, seconds=seconds, seed=seed)),
    )
