"""What came of a run of the guest computer: its output, how it ended, what trapped (S5-S7).

Two figures belong together: the instructions that the guest did, and the moments in which the
machine took over from it. Each such moment is a **trap** (an exception, an interrupt of a device)
or a call that the guest made by itself (`int n`); they are counted by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["GuestRun"]

_ENDS = {
    "exit": "it ended by itself with {value} (exit status {status})",
    "halted": "it halted for good: nothing can wake it",
    "limit": "it reached the limit",
    "shutdown": "a triple fault shut the processor down: {why}",
    "breakpoint": "it stands at a breakpoint",
    "watch": "memory that is watched has changed",
    "interrupted": "it was interrupted",
    "left": "you left its console",
}


@dataclass(frozen=True)
class GuestRun(Result):
    """A run.

    Attributes
    ----------
    output
        Bytes that the guest sent to its serial port, since it was loaded.
    exit_status
        As QEMU would return it; None if the guest did not end by itself.
    ended
        'exit', 'halted', 'limit', 'shutdown', 'breakpoint', 'watch', 'interrupted' or 'left'.
    why
        Of a shutdown: the faults that led to it.
    instructions, waited
        How many were done in this run, and for how many more the processor was halted or at a
        fault.
    traps
        (name, how it came about) to how many times, in this run.
    seconds
        How long the run took here.

    Examples
    --------
    >>> traps = {("#PF", "exception"): 2}
    >>> run = GuestRun(b"hi", 33, "exit", "", 1000, 0, traps, 0.5)
    >>> print(run.explain())
    The guest did 1,000 instructions in 0.50 s (2,000 a second); it ended by itself with 16 \
(exit status 33).
    It trapped 2 times: #PF 2.
    >>> run.summary()["exceptions"]
    2
    """

    output: bytes
    exit_status: int | None
    ended: str
    why: str
    instructions: int
    waited: int
    traps: Mapping[tuple[str, str], int]
    seconds: float

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output.decode("utf-8", "replace")

    def to_frame(self) -> pd.DataFrame:
        """Return what trapped: name, how it came about, how many times."""
        import pandas as pd

        rows = [(name, how, times) for (name, how), times in sorted(self.traps.items())]
        return pd.DataFrame(rows, columns=["trap", "how", "times"])

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers; the exit status is -1 if there is none."""
        return {
            "ended": self.ended,
            "exit_status": -1 if self.exit_status is None else self.exit_status,
            "instructions": self.instructions,
            "waited_instructions": self.waited,
            "exceptions": self._times("exception"),
            "interrupts": self._times("device"),
            "software_interrupts": self._times("instruction"),
            "output_bytes": len(self.output),
            "seconds": self.seconds,
        }

    def explain(self) -> str:
        """Say how it went."""
        speed = f" ({self.instructions / self.seconds:,.0f} a second)" if self.seconds else ""
        value = None if self.exit_status is None else self.exit_status >> 1
        end = _ENDS[self.ended].format(value=value, status=self.exit_status, why=self.why)
        done = f"The guest did {self.instructions:,} instructions in {self.seconds:.2f} s{speed}"
        if not self.traps:
            return f"{done}; {end}.\nNothing trapped."
        times = sum(self.traps.values())
        names = ", ".join(f"{name} {count}" for (name, _), count in sorted(self.traps.items()))
        return f"{done}; {end}.\nIt trapped {times} time{'s' if times > 1 else ''}: {names}."

    def to_json(self) -> dict[str, Any]:
        """Return the summary, the output and the traps; no exit status is null."""
        return {**super().to_json(), "exit_status": self.exit_status, "output": self.text}

    def _times(self, how: str) -> int:
        return sum(count for (_, kind), count in self.traps.items() if kind == how)
