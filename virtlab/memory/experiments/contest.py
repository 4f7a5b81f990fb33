"""Balloon against host swap against both, on one workload (S28).

One VM of 256 MB whose program uses more than that, so that the guest swaps a little by itself; and
a host that can give it only a part. How the host gets the rest back differs:

    enough      the host has all that is configured
    balloon     the guest gives what it values least
    swap        no balloon: the host takes random pages
    both        the balloon may take a part only, and the host swaps the rest: the guest, short of
                memory, evicts by itself, and some of what it evicts must be fetched first

One disk price holds for all, so the factor comes from which pages go, and from **double paging**
(二重ページング): pages fetched from the host's swap only to be written to the guest's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.workloads import HotCold
from virtlab.memory.host.scenario import Scenario
from virtlab.memory.host.simulation import run
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.memory.states import Thresholds
from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from virtlab.memory.guest.workloads import Workload
    from virtlab.memory.host.run import MemoryRun

__all__ = ["LOAD", "WAYS", "Contest", "contest", "scenario"]

LOAD = HotCold(hot_mib=90, cold_mib=180, hot=0.93)
WAYS = ("enough", "balloon", "swap", "both")
SIZE_MIB, LEFT_MIB = 256.0, 150.0
_OWN_MIB, _OVERHEAD_MIB = 24.0, 54.0


def scenario(
    way: str, load: Workload = LOAD, left_mib: float = LEFT_MIB, seconds: int = 400
) -> Scenario:
    """Return one of the four runs as a scenario.

    Parameters
    ----------
    way
        One of WAYS.
    load
        What runs in the VM.
    left_mib
        What the host can give it.
    seconds
        How long.

    Returns
    -------
    Scenario
        One VM.

    Examples
    --------
    >>> scenario("swap").vms[0].balloon.kind
    'absent'
    """
    taken = _OWN_MIB + _OVERHEAD_MIB
    there = (SIZE_MIB + 8 if way == "enough" else left_mib) + taken
    half = (SIZE_MIB - left_mib) / SIZE_MIB / 2
    balloon = {
        "swap": BalloonSpec(kind="absent"),
        "both": BalloonSpec(most=half),
    }.get(way, BalloonSpec(most=1.0))
    guest = GuestSpec(SIZE_MIB, swap_mib=2 * SIZE_MIB)
    vm = VmSpec("VM1", guest, load, overhead_mib=_OVERHEAD_MIB, balloon=balloon)
    mib = there / (1 - Thresholds().aim)
    host = HostSpec(mib, own_mib=_OWN_MIB, sharing=False, swap_mib=1024)
    return Scenario(f"reclaim by {way}", seconds, host, (vm,))


@dataclass(frozen=True, eq=False)
class Contest(Result):
    """The four runs.

    Attributes
    ----------
    runs
        One for each way.
    """

    runs: Mapping[str, MemoryRun]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a way: throughput and faults a second, in the second half."""
        import pandas as pd

        what = ("operations", "guest_faults", "host_faults", "double_paging")
        memory = ("allocated_mib", "ballooned_mib", "swapped_mib")
        rows = []
        for way, one in self.runs.items():
            half = one.seconds // 2
            rows.append(
                {"way": way}
                | {name: one.mean("VM1", name, half) for name in memory}
                | {f"{name}_s": one.mean("VM1", name, half) for name in what}
            )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return the throughput of each way, of that with enough memory, percent."""
        half = self.runs["enough"].seconds // 2
        done = {way: one.mean("VM1", "operations", half) for way, one in self.runs.items()}
        speed = {way: 100 * value / done["enough"] for way, value in done.items()}
        lost = {way: 100 - value for way, value in speed.items()}
        base = max(lost["balloon"], 0.1)  # in a short run a balloon may cost nothing
        return {
            **{f"{way}_percent": value for way, value in speed.items()},
            "swap_loses_times": lost["swap"] / base,
            "both_loses_times": lost["both"] / base,
            "double_paging_s": self.runs["both"].mean("VM1", "double_paging", half),
        }

    def explain(self) -> str:
        """Say who is fastest, and by how much."""
        told = self.summary()
        return (
            f"Of the throughput with enough memory, {told['balloon_percent']:.0f} % are left with "
            f"a balloon, {told['swap_percent']:.0f} % with the host's swap, "
            f"{told['both_percent']:.0f} % with both. Swapping loses "
            f"{told['swap_loses_times']:.1f} times as much as the balloon, both "
            f"{told['both_loses_times']:.1f} times; {told['double_paging_s']:.1f} pages a second "
            "are fetched only to be evicted."
        )


def contest(load: Workload = LOAD, left_mib: float = LEFT_MIB, seconds: int = 400) -> Contest:
    """Run all four ways on one workload.

    Parameters
    ----------
    load
        What runs in the VM.
    left_mib
        What the host can give it, MiB of 256.
    seconds
        How long.

    Returns
    -------
    Contest
        The four runs.

    Examples
    --------
    >>> told = contest(seconds=120).summary()
    >>> told["balloon_percent"] > told["swap_percent"]
    True
    """
    return Contest({way: run(scenario(way, load, left_mib, seconds)) for way in WAYS})
