"""One second of a host's run, told: who has what, what was just taken, who is at the minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.states import State
from virtlab.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.memory.host.run import MemoryRun

__all__ = ["Moment"]

_NEAR_MIB = 0.5
_LATELY_S = 5


def _sentence(words: str) -> str:
    """Make what the log says a sentence; a VM's name stays as it is."""
    said = words.replace("controller: ", "the controller is now: ")
    return f"{said[0].upper() if said.startswith('the ') else said[0]}{said[1:]}."


@dataclass(frozen=True, eq=False)
class Moment(Result):
    """One second of a run.

    Attributes
    ----------
    run
        A run that has this second.
    second
        Which.
    note
        What is said first, for instance why a change was refused.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.scenario import Scenario
    >>> from virtlab.memory.host.simulation import run
    >>> from virtlab.memory.host.spec import HostSpec
    >>> from virtlab.memory.host.vm import VmSpec
    >>> found = run(Scenario("one VM", 9, HostSpec(256), (VmSpec("VM1", GuestSpec(64)),)))
    >>> print(Moment(found, 5).explain())
    After 5 s the state is high: 166 of 256 MiB are free. Each VM has what it asks for.
    """

    run: MemoryRun
    second: int
    note: str = ""

    @property
    def state(self) -> State:
        """The host's state."""
        return State(int(self.run.of_host["state"][self.second]))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each VM that runs."""
        import pandas as pd

        at, specs = self.second, self.run.scenario.vms
        of_vm = {name: values[at] for name, values in self.run.of_vm.items()}
        columns = ("allocated_mib", "target_mib", "touched_mib", "ballooned_mib", "swapped_mib")
        frame = pd.DataFrame({"vm": self.run.names, **{name: of_vm[name] for name in columns}})
        frame.insert(3, "minimum_mib", [float(spec.min_mib) for spec in specs])
        frame.insert(1, "shares", [float(spec.shares or 0) for spec in specs])
        running: pd.DataFrame = frame[of_vm["on"] > 0].reset_index(drop=True)
        return running

    def summary(self) -> dict[str, float | int | str]:
        """Return the host's state, what is free, and what was taken from VMs."""
        of_vm, at = self.run.of_vm, self.second
        return {
            "second": at,
            "state": self.state.label,
            "free_mib": float(self.run.of_host["free_mib"][at]),
            "host_mib": self.run.scenario.host.mib,
            "vms": int(of_vm["on"][at].sum()),
            "ballooned_mib": float(of_vm["ballooned_mib"][at].sum()),
            "swapped_mib": float(of_vm["swapped_mib"][at].sum()),
        }

    def explain(self) -> str:
        """Say how the host stands, what was just taken or given, and who is where."""
        told, frame = self.summary(), self.to_frame()
        head = (
            f"After {self.second} s the state is {told['state']}: {told['free_mib']:.0f} of "
            f"{told['host_mib']:g} MiB are free."
        )
        log = [
            _sentence(words)
            for at, words in self.run.log
            if self.second - _LATELY_S < at <= self.second
        ]
        parts = [self.note, head, *(log if self.second else []), self._lately()]
        parts += [self._above(frame), self._floored(frame)]
        taken = float(told["ballooned_mib"]) + float(told["swapped_mib"])
        if taken < _NEAR_MIB and not parts[-2]:
            parts.append("Each VM has what it asks for.")
        return " ".join(part for part in parts if part)

    def _lately(self) -> str:
        """Say what balloons and the host's swap took in the last seconds, or gave back."""
        before = max(self.second - _LATELY_S, 0)
        words = []
        for name, who in (("ballooned_mib", "balloons"), ("swapped_mib", "the host's swap")):
            total = self.run.of_vm[name].sum(axis=1)
            change = float(total[self.second] - total[before])
            if abs(change) >= _NEAR_MIB:
                words.append(f"{who} {'took' if change > 0 else 'gave back'} {abs(change):.0f} MiB")
        return f"In {_LATELY_S} s {', '.join(words)}." if words else ""

    def _above(self, frame: pd.DataFrame) -> str:
        """Say who is clearly above the target."""
        over = frame["allocated_mib"] - frame["target_mib"]
        high = frame[over > 0.02 * frame["target_mib"]]
        if high.empty:
            return ""
        names = ", ".join(
            f"{name} by {much:.0f}" for name, much in zip(high["vm"], over[high.index], strict=True)
        )
        return f"Above their targets: {names} MiB."

    def _floored(self, frame: pd.DataFrame) -> str:
        """Say who stands at the minimum."""
        low = frame["allocated_mib"] <= frame["minimum_mib"] + _NEAR_MIB
        squeezed = low & (frame["ballooned_mib"] + frame["swapped_mib"] >= _NEAR_MIB)
        names = frame["vm"][np.asarray(squeezed)].tolist()
        if not names:
            return ""
        return f"At the minimum: {', '.join(names)}."
