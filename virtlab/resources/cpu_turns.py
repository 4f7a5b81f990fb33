"""Turn by turn: the order in which a real scheduler lets busy processes run (S21).

Over seconds a scheduler gives each process its part (`virtlab.resources.cpu_measured`). At any
moment only one runs, so who waits falls behind and is served next. How far is the question. With
weights w and all the CPU time T handed out until now, a process is owed T * w / sum(w); what it
had less what it is owed is its **lag** (after Linux's own word, with the sign turned). Stride
scheduling holds the lags of any two processes within one quantum of each other. EEVDF, which Linux
uses, holds each within one request, its base slice, when it may end a turn at once.

The turns here were seen by the processes themselves (`tools/measure_cpu.py`): each read the clock
in a loop, and where it leapt by more than 0.2 ms the process had not been running. They are of the
first two seconds of a case and stored in `data/cpu_turns.csv`. On this kernel a turn that nobody
interrupts ends at a tick of the timer, every 4 ms (250 Hz).

What was found. Processes with nice levels stay within about a turn of what they are owed. Control
groups do so too once they run, but at their start some fall behind, here by up to 18 ms and in
another run by 45, and stay so: a debt of the start is not paid back. (Linux finds a group's
weight on each CPU from its load in the past, which a new group has not; that this is the reason
was not tested.)

What it leaves out: turns shorter than the leap that is noticed, and what else ran in the gaps.

Sources: I. Stoica, H. Abdel-Wahab, "Earliest eligible virtual deadline first" (1995), theorem 1;
C. Waldspurger, W. Weihl, "Stride scheduling", MIT/LCS/TM-528 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.datasets import cpu_turns
from virtlab.resources.cpu_cases import CASES, Case
from virtlab.results import Result
from virtlab.validate import one_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["SETTLED_MS", "TRACED", "Turns", "measured_turns"]

TRACED = ("equal shares", "3:2:1", "nice 5, 0, 5")
"""The cases whose turns were written down."""

SETTLED_MS = 400.0
"""After which time the start is over, ms."""


@dataclass(frozen=True, eq=False)
class Turns(Result):
    """Who ran from when to when.

    Attributes
    ----------
    case
        What was tried.
    process
        Who ran, from 0, in the order of time.
    start_ms, end_ms
        From when to when, ms.
    """

    case: Case
    process: NDArray[np.int64]
    start_ms: Floats
    end_ms: Floats

    @property
    def length_ms(self) -> Floats:
        """How long each turn was, ms."""
        return self.end_ms - self.start_ms

    @property
    def weights(self) -> Floats:
        """Part of the CPU that each process is owed, from 0 to 1."""
        given = np.array(self.case.weights(0))
        part: Floats = given / given.sum()
        return part

    @property
    def had_ms(self) -> Floats:
        """CPU time of each process after each turn, ms: shape (turns, processes)."""
        each = np.zeros((self.process.size, self.case.size))
        each[np.arange(self.process.size), self.process] = self.length_ms
        return np.cumsum(each, axis=0)

    @property
    def lag_ms(self) -> Floats:
        """What each process had less what it was owed, after each turn, ms."""
        had = self.had_ms
        lag: Floats = had - had.sum(axis=1, keepdims=True) * self.weights
        return lag

    @property
    def settled_ms(self) -> float:
        """Largest change of a lag after the first `SETTLED_MS`, ms."""
        later = self.lag_ms[self.end_ms > SETTLED_MS]
        return float((later.max(axis=0) - later.min(axis=0)).max())

    @property
    def wait_ms(self) -> Floats:
        """Longest wait of each process between two of its turns, ms."""
        longest = []
        for i in range(self.case.size):
            own = self.process == i
            waits = self.start_ms[own][1:] - self.end_ms[own][:-1]
            longest.append(float(waits.max(initial=0)))
        return np.array(longest)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a process."""
        import pandas as pd

        which = range(self.case.size)
        mean = [float(self.length_ms[self.process == i].mean()) for i in which]
        return pd.DataFrame(
            {
                "process": [f"VM{i + 1}" for i in which],
                "owed_percent": 100 * self.weights,
                "had_percent": 100 * self.had_ms[-1] / self.had_ms[-1].sum(),
                "turns": np.bincount(self.process, minlength=self.case.size),
                "mean_turn_ms": mean,
                "longest_wait_ms": self.wait_ms,
                "most_ahead_ms": self.lag_ms.max(axis=0),
                "most_behind_ms": -self.lag_ms.min(axis=0),
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return the usual turn, and how far a process got from what it was owed."""
        return {
            "case": self.case.name,
            "turns": int(self.process.size),
            "seconds": float((self.end_ms[-1] - self.start_ms[0]) / 1000),
            "median_turn_ms": float(np.median(self.length_ms)),
            "longest_turn_ms": float(self.length_ms.max()),
            "lag_ms": float(np.abs(self.lag_ms).max()),
            "settled_ms": self.settled_ms,
            "longest_wait_ms": float(self.wait_ms.max()),
        }

    def explain(self) -> str:
        """Say how long turns are, and how far behind or ahead a process gets."""
        told = self.summary()
        return (
            f"{told['turns']} turns in {told['seconds']:.1f} s, {told['median_turn_ms']:.1f} ms in "
            f"the middle. After a turn no process was more than {told['lag_ms']:.1f} ms from what "
            f"its shares had earned it, and after the first {SETTLED_MS / 1000:g} s no lag changed "
            f"by more than {self.settled_ms:.1f} ms. The longest wait was "
            f"{told['longest_wait_ms']:.0f} ms."
        )


def measured_turns(name: str = "3:2:1") -> Turns:
    """Return the turns that a real Linux gave.

    Parameters
    ----------
    name
        One of `TRACED`.

    Returns
    -------
    Turns
        Who ran from when to when.

    Raises
    ------
    InvalidInputError
        If the turns of this case were not written down.

    Examples
    --------
    >>> turns = measured_turns("3:2:1")
    >>> bool((turns.start_ms[1:] >= turns.end_ms[:-1] - 0.2).all())  # one at a time
    True
    """
    rows = cpu_turns()
    rows = rows[rows["case"] == one_of("name", name, TRACED)]
    process = rows["process"].str.removeprefix("VM").to_numpy(np.int64) - 1
    start, end = (rows[column].to_numpy(np.float64) for column in ("start_ms", "end_ms"))
    return Turns(CASES[name], process, start, end)
