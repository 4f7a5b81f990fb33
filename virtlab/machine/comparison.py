"""What the ways to run a program took: samples, turn by turn, and what follows from them (S5-S7).

`virtlab.machine.ways` measures them, and says what they are. Ratios are taken within a turn, then
their median: what slowed the machine down for a moment slowed all ways of that turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["Comparison", "Sample"]


@dataclass(frozen=True)
class Sample:
    """One run of one way.

    Attributes
    ----------
    instructions
        Of the guest.
    seconds
        Processor time that they took.
    traps
        How often the guest was stopped for its monitor.
    monitor_s
        What of the time the monitor took.

    Examples
    --------
    >>> Sample(200, 1.0).ns_per_instruction
    5000000.0
    """

    instructions: int
    seconds: float
    traps: int = 0
    monitor_s: float = 0.0

    @property
    def ns_per_instruction(self) -> float:
        """Nanoseconds for one of the guest's instructions."""
        return 1e9 * self.seconds / self.instructions


_NO_TRAP = Sample(1, 0.0, 1, float("nan"))


@dataclass(frozen=True)
class Comparison(Result):
    """A program, and what each way to run it cost.

    Attributes
    ----------
    program
        Its name.
    samples
        Way to its runs, turn by turn.
    missing
        Way to why it could not be run.
    where
        The machine, in a line.

    Examples
    --------
    >>> samples = {"native": (Sample(1000, 1e-6),), "direct": (Sample(1000, 3e-6, 1, 2e-6),)}
    >>> one = Comparison("sieve", samples, {"translated": "there is no QEMU here"}, "a machine")
    >>> print(one.explain())
    sieve on a machine: direct takes 3 times as long as native. A trap costs 2.0 µs. No \
translated: there is no QEMU here.
    >>> one.directly_percent
    99.9
    """

    program: str
    samples: Mapping[str, Sequence[Sample]]
    missing: Mapping[str, str]
    where: str

    def ns(self, way: str) -> float:
        """Return the nanoseconds that a way takes for an instruction: the median of its runs."""
        return float(np.median([one.ns_per_instruction for one in self.samples[way]]))

    def slowdown(self, way: str, than: str = "native") -> float:
        """Return how many times as long a way takes as another, turn by turn, the median.

        Parameters
        ----------
        way, than
            Names of ways that were run.

        Returns
        -------
        float
            1 if they take as long.
        """
        pairs = zip(self.samples[way], self.samples[than], strict=True)
        return float(np.median([a.ns_per_instruction / b.ns_per_instruction for a, b in pairs]))

    @property
    def yardstick(self) -> str:
        """The way that others are compared with: native, or the fastest there is."""
        return "native" if "native" in self.samples else min(self.samples, key=self.ns)

    @property
    def traps(self) -> int:
        """How often a run traps under a monitor; 0 if that was not run."""
        return max((one.traps for one in self.samples.get("direct", ())), default=0)

    @property
    def directly_percent(self) -> float:
        """What part of the instructions the processor does by itself under a monitor, percent."""
        runs = self.samples.get("direct", ())
        return 100 * (1 - self.traps / runs[0].instructions) if runs else float("nan")

    @property
    def trap_us(self) -> float:
        """What a trap costs: microseconds of the monitor's time; NaN if nothing trapped."""
        runs = [one for one in self.samples.get("direct", ()) if one.traps]
        return float(np.median([1e6 * one.monitor_s / one.traps for one in runs or [_NO_TRAP]]))

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each way: time for an instruction, slowdown, its spread, traps."""
        import pandas as pd

        rows = []
        for way, runs in self.samples.items():
            pairs = zip(runs, self.samples[self.yardstick], strict=True)
            ratios = [a.ns_per_instruction / b.ns_per_instruction for a, b in pairs]
            rows.append(
                {
                    "way": way,
                    "ns_per_instruction": self.ns(way),
                    "million_per_s": 1000 / self.ns(way),
                    "slowdown": float(np.median(ratios)),
                    "lowest": min(ratios),
                    "highest": max(ratios),
                    "traps": max(one.traps for one in runs),
                    "runs": len(runs),
                }
            )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return the slowdown of each way, and what a trap costs."""
        slow = {f"{way}_slowdown": self.slowdown(way, self.yardstick) for way in self.samples}
        return {
            "program": self.program,
            "compared_with": self.yardstick,
            **slow,
            "traps": self.traps,
            "trap_us": self.trap_us,
        }

    def explain(self) -> str:
        """Say how much longer each way takes, and what is missing."""
        others = [way for way in self.samples if way != self.yardstick]
        times = ", ".join(
            f"{way} takes {_factor(self.slowdown(way, self.yardstick))} times" for way in others
        )
        said = f"{self.program} on {self.where}: {times} as long as {self.yardstick}."
        words = [said] if others else []
        if not np.isnan(self.trap_us):
            words.append(f"A trap costs {self.trap_us:.1f} µs.")
        words += [f"No {way}: {why}." for way, why in self.missing.items()]
        return " ".join(words)


def _factor(times: float) -> str:
    """Write a factor to three digits, and never as a power of ten."""
    return f"{times:.3g}" if times < 1000 else f"{round(times, 2 - int(np.log10(times))):,.0f}"
