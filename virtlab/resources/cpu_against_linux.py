"""Our scheduler against a real one: the cases measured on Linux, run through `schedule` (S21).

`virtlab.resources.cpu_measured` holds the division, `allocate`, against what busy processes were
given on a real Linux. Here the scheduler itself is tried: the same weights, nice levels, quotas and
naps, the same changes at the same moments, quantum by quantum, and what comes of it beside what was
measured. A weight is a VM's shares, a quota its maximum; who is stopped has no shares for that
time; who takes naps works 5 ms and sleeps 5 ms, and what that leads to, a quarter of the CPU and
not a third, nobody told the model. The quantum is 4 ms, a tick of the measured kernel (250 Hz).

What can be compared is who gets how much, how long turns are, and how far one is from its part. Who
runs at which moment can't: Linux (EEVDF) chooses otherwise, gives heavy processes longer turns, and
other work of the machine comes between. Ours has no other work, changes for nothing, and accounts
to the microsecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu import Change, Compute, CpuRun, CpuVM, OnOff, schedule
from virtlab.resources.cpu_cases import CASES, Case
from virtlab.resources.cpu_measured import MeasuredShares, measured_shares
from virtlab.resources.cpu_turns import Turns, measured_turns
from virtlab.results import Result
from virtlab.validate import one_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "TICK_MS",
    "AgainstLinux",
    "CaseAgainstLinux",
    "TurnsAgainstLinux",
    "against_linux",
    "run_case",
    "turns_against_linux",
]

TICK_MS = 4.0
"""The quantum: how often the measured kernel looks whether another should run, ms."""

_NAP_S = 0.005
_NAPS = "one takes naps"


def run_case(name: str, quantum_ms: float = TICK_MS) -> CpuRun:
    """Run one of the measured cases through our scheduler.

    Parameters
    ----------
    name
        One of `virtlab.resources.cpu_cases.CASES`.
    quantum_ms
        Longest time between two choices, milliseconds.

    Returns
    -------
    CpuRun
        VM1 is the first process.

    Raises
    ------
    InvalidInputError
        If there is no such case.

    Examples
    --------
    >>> run_case("one takes naps").percent.round(1).tolist()
    [25.0, 37.5, 37.5]
    """
    case = CASES[one_of("name", name, tuple(CASES))]
    given = [case.weights(phase) for phase in range(len(case.phases))]
    highest = case.maximum_percent or (100.0,) * case.size
    vms = [
        CpuVM(
            f"VM{i + 1}",
            given[0][i],
            max_percent=highest[i],
            workload=OnOff(_NAP_S, _NAP_S) if i == case.naps else Compute(),
        )
        for i in range(case.size)
    ]
    starts = np.cumsum([phase.seconds for phase in case.phases])
    events = [
        Change(float(at_s), vms[i].name, shares=new[i])
        for at_s, (old, new) in zip(starts, pairwise(given), strict=False)
        for i in range(case.size)
        if old[i] != new[i]
    ]
    return schedule(vms, 1, case.seconds, events, quantum_ms=quantum_ms)


@dataclass(frozen=True, eq=False)
class CaseAgainstLinux(Result):
    """One case: what Linux gave, and what our scheduler gave.

    Attributes
    ----------
    measured
        What was measured.
    run
        Our run.

    Examples
    --------
    >>> case = against_linux("3:2:1").cases[0]
    >>> case.predicted.round(1).tolist(), case.off < 1
    ([[50.0, 33.3, 16.6]], True)
    """

    measured: MeasuredShares
    run: CpuRun

    @property
    def name(self) -> str:
        """Name of the case."""
        return self.measured.case.name

    @property
    def linux(self) -> Floats:
        """Measured percent of the CPU, mean of the runs: shape (states, processes)."""
        return np.asarray(self.measured.by_state.mean(axis=0))

    @property
    def predicted(self) -> Floats:
        """Percent of the CPU that our scheduler gave: shape (states, processes)."""
        states = self.measured.states
        edges = np.linspace(0, self.run.seconds, len(states) + 1)
        size = self.measured.case.size
        got = np.stack([np.diff(self.run.received_s(vm, edges)) for vm in range(size)], axis=1)
        parts = 100 * got / np.diff(edges)[:, None]
        return np.stack([parts[states == k].mean(axis=0) for k in range(states.max() + 1)])

    @property
    def error(self) -> Floats:
        """Ours less Linux's, points of percent: shape (states, processes)."""
        return self.predicted - self.linux

    @property
    def off(self) -> float:
        """Largest error, in points of percent."""
        return float(np.abs(self.error).max())

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each state and process."""
        import pandas as pd

        told = self.measured.to_frame()
        return pd.DataFrame(
            {
                "case": self.name,
                **{key: told[key] for key in ("state", "process")},
                "given": told[self.measured.case.way],
                "linux_percent": self.linux.ravel(),
                "ours_percent": self.predicted.ravel(),
                "error_points": self.error.ravel(),
                "runs_differ_points": told["runs_differ_points"],
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how far apart they are, and how far Linux's own runs are."""
        return {
            "case": self.name,
            "way": self.measured.case.way,
            "off_points": self.off,
            "runs_differ_points": float(np.ptp(self.measured.by_state, axis=0).max()),
        }

    def explain(self) -> str:
        """Say what Linux gave and what ours gave."""
        pairs = [
            f"Linux gave {_list(theirs)} %, ours {_list(mine)} %"
            for theirs, mine in zip(self.linux, self.predicted, strict=True)
        ]
        return f"{self.name}: {'; then '.join(pairs)}. Off by {self.off:.2f} points at most."


def _list(percent: Floats) -> str:
    words = [f"{one:.1f}" for one in percent]
    return ", ".join(words if len(words) < 6 else [*words[:2], "...", words[-1]])


@dataclass(frozen=True, eq=False)
class AgainstLinux(Result):
    """What `against_linux` returns.

    Attributes
    ----------
    cases
        One result each.
    """

    cases: tuple[CaseAgainstLinux, ...]

    @property
    def errors(self) -> Floats:
        """Ours less Linux's of every process in every state, points of percent."""
        return np.concatenate([case.error.ravel() for case in self.cases])

    @property
    def off(self) -> float:
        """Largest error of all, in points of percent."""
        return float(np.abs(self.errors).max())

    @property
    def off_median(self) -> float:
        """The error in the middle, in points of percent."""
        return float(np.median(np.abs(self.errors)))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each case, state and process."""
        import pandas as pd

        return pd.concat([case.to_frame() for case in self.cases], ignore_index=True)

    def summary(self) -> dict[str, float | int | str]:
        """Return the usual and the largest error, and where that is."""
        return {
            "cases": len(self.cases),
            "parts": self.errors.size,
            "off_median_points": self.off_median,
            "off_points": self.off,
            "worst_case": max(self.cases, key=lambda case: case.off).name,
        }

    def explain(self) -> str:
        """Say how near our scheduler comes to Linux."""
        told = self.summary()
        head = (
            f"{told['parts']} parts of a CPU in {told['cases']} cases: our scheduler is off from "
            f"Linux by {self.off_median:.2f} points in the middle and {self.off:.2f} at most, in "
            f"'{told['worst_case']}'."
        )
        naps = [case for case in self.cases if case.name == _NAPS]
        if not naps:
            return head
        theirs, ours = float(naps[0].linux[0, 0]), float(naps[0].predicted[0, 0])
        return (
            f"{head} Who takes naps among three with equal shares had {theirs:.1f} % on Linux, "
            f"and has {ours:.1f} % here."
        )


def against_linux(*names: str) -> AgainstLinux:
    """Hold our scheduler against what a real Linux gave.

    Parameters
    ----------
    *names
        Of `virtlab.resources.cpu_cases.CASES`; all if none is given.

    Returns
    -------
    AgainstLinux
        Measured and ours of each case, and the errors.

    Raises
    ------
    InvalidInputError
        If there is no such case.

    Examples
    --------
    >>> found = against_linux()
    >>> len(found.cases), found.off_median < 0.5, found.off < 2
    (16, True, True)
    """
    return AgainstLinux(tuple(_case(name) for name in names or tuple(CASES)))


@cache
def _case(name: str) -> CaseAgainstLinux:
    return CaseAgainstLinux(measured_shares(name), run_case(name))


@dataclass(frozen=True, eq=False)
class TurnsAgainstLinux(Result):
    """Turn by turn: Linux's and ours, of the same seconds of the same case.

    Attributes
    ----------
    linux, ours
        Who ran from when to when.
    """

    linux: Turns
    ours: Turns

    @property
    def case(self) -> Case:
        """What was tried."""
        return self.linux.case

    def to_frame(self) -> pd.DataFrame:
        """Return one row a process."""
        import pandas as pd

        theirs, mine = self.linux.to_frame(), self.ours.to_frame()
        both = {"process": theirs["process"], "owed_percent": theirs["owed_percent"]}
        for key in ("had_percent", "turns", "mean_turn_ms", "longest_wait_ms"):
            both[f"linux_{key}"], both[f"ours_{key}"] = theirs[key], mine[key]
        return pd.DataFrame(both)

    def summary(self) -> dict[str, float | int | str]:
        """Return turns and lags of both."""
        theirs, mine = self.linux.summary(), self.ours.summary()
        keys = ("turns", "median_turn_ms", "settled_ms", "longest_wait_ms")
        pairs = {f"{who}_{key}": told[key] for key in keys
                 for who, told in (("linux", theirs), ("ours", mine))}  # fmt: skip
        return {"case": self.case.name, **pairs}

    def explain(self) -> str:
        """Say how long turns are, and how far one gets from its part."""
        theirs, mine = self.linux.summary(), self.ours.summary()
        return (
            f"{self.case.name}: a turn lasts {theirs['median_turn_ms']:.1f} ms in the middle on "
            f"Linux, {mine['median_turn_ms']:.1f} ms here. Once started, what a process is ahead "
            f"or behind changes by {theirs['settled_ms']:.1f} ms on Linux, by "
            f"{mine['settled_ms']:.1f} ms here; the longest wait is "
            f"{theirs['longest_wait_ms']:.0f} ms there, {mine['longest_wait_ms']:.0f} ms here."
        )


def turns_against_linux(name: str = "3:2:1") -> TurnsAgainstLinux:
    """Hold the order of our turns against Linux's.

    Parameters
    ----------
    name
        One of `virtlab.resources.cpu_turns.TRACED`.

    Returns
    -------
    TurnsAgainstLinux
        Both.

    Raises
    ------
    InvalidInputError
        If the turns of this case were not written down.

    Examples
    --------
    >>> both = turns_against_linux("3:2:1")
    >>> "".join("ABC"[i] for i in both.ours.process[:5]), both.ours.length_ms[:5].tolist()
    ('ABABC', [4.0, 4.0, 8.0, 4.0, 4.0])
    """
    linux = measured_turns(name)
    rows = _case(name).run.intervals
    rows = rows[rows[:, 2] < 1000 * linux.end_ms[-1]]
    begin, end = rows[:, 2] / 1000, rows[:, 3] / 1000
    return TurnsAgainstLinux(linux, Turns(linux.case, rows[:, 0], begin, end))
