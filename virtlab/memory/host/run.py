"""What a simulated host did: rows a second and VM, the numbers that matter, sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.states import State
from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from virtlab.memory.host.scenario import Scenario
    from virtlab.memory.states import Passage

    Floats = NDArray[np.float32]

__all__ = ["OF_HOST", "OF_VM", "MemoryRun"]

OF_VM = (
    "on",
    "allocated_mib",
    "target_mib",
    "active_mib",
    "touched_mib",
    "ballooned_mib",
    "shared_mib",
    "swapped_mib",
    "guest_swap_mib",
    "guest_free_mib",
    "guest_faults",
    "host_faults",
    "double_paging",
    "operations",
    "blocked",
)
"""What is recorded of each VM, each second."""

OF_HOST = ("free_mib", "saved_mib", "zeros_saved_mib", "state", "swap_writes")
"""What is recorded of the host, each second."""


@dataclass(frozen=True, eq=False)
class MemoryRun(Result):
    """What `virtlab.memory.host.simulation.run` returns.

    Attributes
    ----------
    scenario
        What was run.
    of_vm
        For each name in OF_VM an array, a row a second, a column a VM.
    of_host
        For each name in OF_HOST an array, an entry a second.
    passages
        The steps of the host's state.
    log
        Events and refusals: second and words.
    step_s
        `to_frame` has a row for every so many seconds.

    Examples
    --------
    >>> from virtlab.memory.host.simulation import run
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.scenario import Scenario
    >>> from virtlab.memory.host.spec import HostSpec
    >>> from virtlab.memory.host.vm import VmSpec
    >>> found = run(Scenario("one VM", 5, HostSpec(256), (VmSpec("VM1", GuestSpec(64)),)))
    >>> found.vm("VM1", "on").tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    >>> print(found.explain())
    1 VM ran for 5 s on a host of 256 MiB. Memory was always enough: the state stayed high.
    """

    scenario: Scenario
    of_vm: Mapping[str, Floats]
    of_host: Mapping[str, Floats]
    passages: tuple[Passage, ...]
    log: tuple[tuple[int, str], ...]
    step_s: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the VMs."""
        return tuple(vm.name for vm in self.scenario.vms)

    @property
    def seconds(self) -> int:
        """How long it ran."""
        return int(self.of_host["free_mib"].size)

    def vm(self, name: str, what: str) -> Floats:
        """Return one number of one VM over time.

        Parameters
        ----------
        name
            Of the VM.
        what
            One of OF_VM.

        Returns
        -------
        ndarray
            An entry a second.
        """
        return self.of_vm[what][:, self.names.index(name)]

    def mean(self, name: str, what: str, from_s: int = 0, to_s: int | None = None) -> float:
        """Return the mean of one number of one VM over a stretch of time.

        Parameters
        ----------
        name
            Of the VM.
        what
            One of OF_VM.
        from_s, to_s
            The stretch, to the end if None.

        Returns
        -------
        float
            The mean.
        """
        return float(self.vm(name, what)[from_s:to_s].mean())

    def state_seconds(self) -> dict[str, int]:
        """Return how many seconds the host spent in each state."""
        times = np.bincount(self.of_host["state"].astype(np.int64), minlength=len(State))
        return {state.label: int(times[state]) for state in State}

    def to_frame(self) -> pd.DataFrame:
        """Return one row a second and running VM."""
        import pandas as pd

        seconds, vms = self.of_vm["on"].shape
        at = np.repeat(np.arange(seconds), vms)
        states = np.array([state.label for state in State])
        columns = {
            "time_s": at,
            "vm": np.tile(np.array(self.names), seconds),
            "state": states[self.of_host["state"].astype(np.int64)][at],
            "free_mib": self.of_host["free_mib"][at],
            **{name: self.of_vm[name].ravel() for name in OF_VM},
        }
        frame = pd.DataFrame(columns)
        wanted = (frame["on"] > 0) & (frame["time_s"] % self.step_s == 0)
        return frame[wanted].drop(columns="on").reset_index(drop=True)

    def every(self, seconds: int) -> MemoryRun:
        """Return the same run, with fewer rows in its frame.

        Parameters
        ----------
        seconds
            One row for so many.

        Returns
        -------
        MemoryRun
            The run.
        """
        return replace(self, step_s=seconds)

    def at(self, second: int = -1) -> pd.DataFrame:
        """Return one row a VM at one second.

        Parameters
        ----------
        second
            Which; the last if negative.

        Returns
        -------
        pandas.DataFrame
            Columns vm and OF_VM.
        """
        import pandas as pd

        columns = {name: self.of_vm[name][second] for name in OF_VM}
        return pd.DataFrame({"vm": self.names, **columns})

    def summary(self) -> dict[str, float | int | str]:
        """Return what was reclaimed how, at most, and what it cost."""
        worst = State(int(self.of_host["state"].max()))
        total = {
            f"{name}": int(self.of_vm[name].sum())
            for name in ("guest_faults", "host_faults", "double_paging", "operations")
        }
        most = {
            f"most_{name}": round(float(self.of_vm[name].sum(axis=1).max()), 1)
            for name in ("allocated_mib", "ballooned_mib", "swapped_mib")
        }
        return {
            "vms": len(self.names),
            "seconds": self.seconds,
            "host_mib": self.scenario.host.mib,
            **most,
            "most_saved_mib": round(float(self.of_host["saved_mib"].max()), 1),
            "least_free_mib": round(float(self.of_host["free_mib"].min()), 1),
            **total,
            "worst_state": worst.label,
            "state_changes": len(self.passages),
        }

    def explain(self) -> str:
        """Say how far memory lacked, and what was done about it."""
        told = self.summary()
        vms = "1 VM" if told["vms"] == 1 else f"{told['vms']} VMs"
        head = f"{vms} ran for {self.seconds} s on a host of {self.scenario.host.mib:g} MiB."
        refused = " ".join(words + "." for _, words in self.log if "refused" in words)
        if not self.passages:
            return f"{head} Memory was always enough: the state stayed high. {refused}".strip()
        spent = [f"{label} {seconds} s" for label, seconds in self.state_seconds().items()]
        done = (
            f"At most {told['most_ballooned_mib']:g} MiB were in balloons and "
            f"{told['most_swapped_mib']:g} MiB in the host's swap; sharing saved up to "
            f"{told['most_saved_mib']:g} MiB."
        )
        cost = (
            f"VMs fetched {told['guest_faults']:,} pages from their own disks and "
            f"{told['host_faults']:,} from the host's swap, {told['double_paging']:,} of them "
            "only to evict them."
        )
        return f"{head} States: {', '.join(spent)}. {done} {cost} {refused}".strip()
