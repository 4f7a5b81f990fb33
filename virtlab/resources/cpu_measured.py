"""Shares on a real scheduler: what Linux gave to busy processes, beside `allocate` (S21).

The talk says of CPU shares: change one, and it is divided anew at once; add a VM, and the ratio of
the others stays; remove one, and nothing is wasted. Here that is measured. Busy processes are
bound to one CPU of a real Linux, in control groups with a weight each, or with nice levels, and
the kernel's account of their CPU time is read every half second (`tools/measure_cpu.py`, stored in
`data/cpu_shares.csv.gz`). Beside it stands `virtlab.resources.allocate` with the same shares.

What is divided is the time that the CPU had for these processes: the clock's, less what other
processes of the machine took there and less what the machine below took (**steal**). Both are
counted and stored. Where all processes are at their maximum, what others use is what they leave.

Three numbers say how near the model is. **Off**: the difference of the mean over all runs, for the
process and the state where it is largest, in points of percent. **Lag**: the largest difference, at
any reading, between the CPU time that a process has had since the start and what the model gives
it, in ms; a scheduler is fair if that does not grow with time. **Ready time**: how long a process
could run but another one did; with n equal busy processes it is 1 - 1/n of the time.

What the machine allowed: Linux 6.18 (EEVDF, the scheduler since 6.6) in a virtual machine with two
processors, root, the cpu controller of cgroup v1; so there are weights and a quota, but no
minimum. Other work went on on the machine.

What it leaves out: more than one CPU, where a group's weight is divided among its CPUs; threads;
other kernels and other schedulers.

Sources: I. Stoica, H. Abdel-Wahab, "Earliest eligible virtual deadline first" (1995); Linux,
Documentation/scheduler/sched-eevdf.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from virtlab.datasets import cpu_shares
from virtlab.resources.cpu_cases import CASES, Case
from virtlab.results import Result
from virtlab.validate import one_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["MeasuredCases", "MeasuredShares", "measured_cases", "measured_shares"]


@dataclass(frozen=True, eq=False)
class MeasuredShares(Result):
    """One case: CPU time measured, and what the shares say.

    Attributes
    ----------
    case
        What was tried.
    end_s
        When each reading was taken, of each run, s: shape (runs, readings).
    had_ms
        CPU time that there was for these processes between readings: shape (runs, readings).
    cpu_ms, waited_ms
        CPU time of each process, and time it was ready but did not run: shape (runs, readings,
        processes).
    turns
        How often each process came to run, same shape.
    lost_percent
        Part of the CPU that went to other processes or to the machine below, over all runs.
    """

    case: Case
    end_s: Floats
    had_ms: Floats
    cpu_ms: Floats
    waited_ms: Floats
    turns: Floats
    lost_percent: float

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each process: VM1, VM2, ..."""
        return tuple(f"VM{i}" for i in range(1, self.case.size + 1))

    @property
    def percent(self) -> Floats:
        """Measured: part of the CPU that each process had, percent, shaped like `cpu_ms`."""
        part: Floats = 100 * self.cpu_ms / self.had_ms[:, :, None]
        return part

    @property
    def states(self) -> NDArray[np.int64]:
        """In which state each reading is: phases with the same settings are one state."""
        number = {given: i for i, given in enumerate(dict.fromkeys(self._given))}
        return np.array([number[given] for given in self._given])[self.case.phase_of_bin]

    @property
    def _given(self) -> list[tuple[float | None, ...]]:
        return [phase.given for phase in self.case.phases]

    def _mean(self, amounts: Floats, whole: Floats) -> Floats:
        """Return the part of a whole, in percent, shape (runs, states, processes)."""
        states = self.states
        of = [states == state for state in range(states.max() + 1)]
        parts = [100 * amounts[:, i].sum(axis=1) / whole[:, i].sum(axis=1)[:, None] for i in of]
        return np.stack(parts, axis=1)

    @property
    def by_state(self) -> Floats:
        """Measured percent in each state: shape (runs, states, processes)."""
        return self._mean(self.cpu_ms, self.had_ms)

    @property
    def model(self) -> Floats:
        """What the shares say of each reading, percent: shape (readings, processes)."""
        return self.case.model()

    @property
    def model_by_state(self) -> Floats:
        """What the shares say of each state, percent: shape (states, processes)."""
        first = np.unique(self.states, return_index=True)[1]
        return self.model[first]

    @property
    def off(self) -> float:
        """Largest error of the mean over all runs, in points of percent."""
        return float(np.abs(self.by_state.mean(axis=0) - self.model_by_state).max())

    @property
    def lag_ms(self) -> float:
        """Largest difference in CPU time since the start, at any reading of any run, ms."""
        owed = self.model / 100 * self.had_ms[:, :, None]
        return float(np.abs(np.cumsum(self.cpu_ms - owed, axis=1)).max())

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each state and process."""
        import pandas as pd

        measured = self.by_state
        clock = np.diff(self.end_s, axis=1, prepend=0) * 1000
        waited = self._mean(self.waited_ms, clock).mean(axis=0)
        states = self.states
        given = list(dict.fromkeys(self._given))
        rows = []
        for state in range(len(given)):
            there = states == state
            cpu, turns = (one[:, there].sum(axis=(0, 1)) for one in (self.cpu_ms, self.turns))
            for i, name in enumerate(self.labels):
                model = self.model_by_state[state, i]
                runs = measured[:, state, i]
                rows.append(
                    {
                        "state": state + 1,
                        "process": name,
                        self.case.way: given[state][i],
                        "model_percent": model,
                        "measured_percent": runs.mean(),
                        "error_points": runs.mean() - model,
                        "runs_differ_points": np.ptp(runs),
                        "ready_percent": waited[state, i],
                        "turn_ms": cpu[i] / turns[i] if turns[i] else np.nan,
                    }
                )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return how far model and measurement are apart."""
        return {
            "case": self.case.name,
            "runs": self.cpu_ms.shape[0],
            "seconds": self.case.seconds,
            "off_points": self.off,
            "runs_differ_points": float(np.ptp(self.by_state, axis=0).max()),
            "lag_ms": self.lag_ms,
            "turn_ms": float(self.cpu_ms.sum() / self.turns.sum()),
            "lost_percent": self.lost_percent,
        }

    def explain(self) -> str:
        """Say what was measured, what the model says, and what the clock took elsewhere."""
        told = self.summary()
        means = self.by_state.mean(axis=0)
        states = [
            f"{_list(mean)} % where the shares say {_list(model)} %"
            for mean, model in zip(means, self.model_by_state, strict=True)
        ]
        return (
            f"{self.case.name}: {self.case.size} processes on one CPU had "
            f"{'; then '.join(states)}. The mean of {told['runs']} runs is off by at most "
            f"{self.off:.2f} points, and no process was ever more than {self.lag_ms:.0f} ms from "
            f"its part. A turn lasted {told['turn_ms']:.1f} ms on average."
        )


def _list(percent: Floats) -> str:
    """Write a few numbers; the equal ones at the end only once."""
    words = [f"{one:.1f}" for one in percent]
    return ", ".join(words if len(words) < 6 else [*words[:2], "...", words[-1]])


@dataclass(frozen=True, eq=False)
class MeasuredCases(Result):
    """All cases.

    Attributes
    ----------
    cases
        One result each.
    """

    cases: tuple[MeasuredShares, ...]

    @property
    def off(self) -> float:
        """Largest error of all, in points of percent."""
        return max(case.off for case in self.cases)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a case."""
        import pandas as pd

        rows = pd.DataFrame([case.summary() for case in self.cases])
        rows.insert(1, "way", [case.case.way for case in self.cases])
        return rows.drop(columns=["runs", "seconds"])

    def pairs(self) -> tuple[Floats, Floats]:
        """Return percent of the model and measured, of all processes in all states.

        Returns
        -------
        model, measured : ndarray
            One number for each process and state; measured is the mean over the runs.

        Examples
        --------
        >>> model, measured = measured_cases().pairs()
        >>> model.size == measured.size, float(model.min())
        (True, 0.0)
        """
        model = np.concatenate([case.model_by_state.ravel() for case in self.cases])
        measured = [case.by_state.mean(axis=0).ravel() for case in self.cases]
        return model, np.concatenate(measured)

    def summary(self) -> dict[str, float | int | str]:
        """Return the largest and the usual error."""
        model, measured = self.pairs()
        return {
            "cases": len(self.cases),
            "parts": model.size,
            "off_points": self.off,
            "off_median_points": float(np.median(np.abs(measured - model))),
            "worst_case": max(self.cases, key=lambda case: case.off).case.name,
            "lag_ms": max(case.lag_ms for case in self.cases),
            "lost_percent": float(np.mean([case.lost_percent for case in self.cases])),
        }

    def explain(self) -> str:
        """Say how near shares are to a real scheduler, and where they are farthest."""
        told = self.summary()
        return (
            f"{told['parts']} parts of a CPU in {told['cases']} cases: what the shares say is off "
            f"from what Linux gave by {told['off_median_points']:.2f} points in the middle and "
            f"{self.off:.2f} at most, in '{told['worst_case']}'. No process was ever more than "
            f"{told['lag_ms']:.0f} ms from its part. Other work took {told['lost_percent']:.1f} % "
            "of the CPU."
        )


def measured_shares(name: str = "a share is changed") -> MeasuredShares:
    """Hold shares against what a real Linux gave in one case.

    Parameters
    ----------
    name
        One of `virtlab.resources.cpu_cases.CASES`.

    Returns
    -------
    MeasuredShares
        Measured, and what the model says.

    Raises
    ------
    InvalidInputError
        If there is no such case.

    Examples
    --------
    >>> result = measured_shares("twice the shares")
    >>> result.model_by_state.tolist(), result.off < 1
    ([[25.0, 50.0, 25.0]], True)
    """
    return _measured(one_of("name", name, tuple(CASES)))


@cache
def _measured(name: str) -> MeasuredShares:
    case, rows = CASES[name], cpu_shares()
    rows = rows[rows["case"] == name]
    runs, bins = rows["run"].nunique(), rows["bin"].nunique()
    columns = ["cpu_ms", "waited_ms", "turns", "length_ms", "start_s"]
    wide = rows.pivot_table(index=["run", "bin"], columns="process", values=columns, dropna=False)
    names = [f"VM{i}" for i in range(1, case.size + 1)]

    def of(column: str) -> Floats:
        return wide[column][names].to_numpy(np.float64).reshape(runs, bins, case.size)

    times = wide["cpu_ms"]
    had = times[[*names, "idle"]].to_numpy(np.float64).sum(axis=1).reshape(runs, bins)
    others = times["others"].to_numpy(np.float64).reshape(runs, bins)
    spare = case.model().sum(axis=1) < 100 - 1e-9  # what all leave at their maximum, others may use
    had = had + spare * others
    length = wide["length_ms"]["idle"]
    end = wide["start_s"]["idle"] + length / 1000
    return MeasuredShares(
        case,
        end.to_numpy(np.float64).reshape(runs, bins),
        had,
        of("cpu_ms"),
        of("waited_ms"),
        of("turns"),
        float(100 - 100 * had.sum() / length.sum()),
    )


def measured_cases() -> MeasuredCases:
    """Hold shares against what a real Linux gave in all cases.

    Returns
    -------
    MeasuredCases
        All results.

    Examples
    --------
    >>> found = measured_cases()
    >>> len(found.cases), bool(np.median(np.abs(np.subtract(*found.pairs()))) < 0.5)
    (16, True)
    """
    return MeasuredCases(tuple(_measured(name) for name in CASES))
