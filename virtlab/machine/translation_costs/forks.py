"""What a fork must do that takes 150 µs natively, 924 µs translated and 2.7 ms with VT-x (S18).

`forkwait` makes 40,000 processes that end at once, and waits for each. From its source each round
has three system calls and two changes of address space. Unknown are four numbers: true page faults,
hidden ones (of shadow page tables, of which the guest never hears), writes into page tables, and
call/ret pairs. Two equations, what BT adds and what HW adds, and one inequality, that the native
round is long enough for what happens natively, do not fix four numbers. But they leave a small
polytope, and its corners say how few and how many of each there can be.

How far this can be trusted: what a hidden fault and a change of address space cost is in no table,
it is made of the parts. With any one part wrong by a fifth, the faults and page-table writes are
750 to 1,040 a round instead of 796 to 979; but the least number of hidden faults falls from 241 to
53, if a looked-up return costs a fifth more. That there must be some is all that is certain.

Source: the times are those of Adams and Agesen (2006), section 6.2 and the raw data. (Section 6.2
says that HW's overhead is 4.4 times BT's; their seconds give 3.25.)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.machine.translation_costs.parts import CostFit, fit_costs, published
from virtlab.results import Result
from virtlab.validate import number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["EVENTS", "FORKS", "KNOWN", "ForkEvents", "fork_events", "round_cycles"]

FORKS = 40_000
KNOWN = {"syscall": 3.0, "address space": 2.0}  # by the program's source: fork, exit, wait
EVENTS = ("page fault", "hidden fault", "PTE write", "call/ret")
_WAYS = ("native", "bt", "hw")


def round_cycles(machine: str = "P4") -> dict[str, float]:
    """Return how many cycles a fork and wait takes.

    Parameters
    ----------
    machine
        'P4' or 'Core'.

    Returns
    -------
    dict
        Cycles by way.

    Examples
    --------
    >>> {way: round(cycles, -3) for way, cycles in round_cycles().items()}
    {'native': 572000.0, 'bt': 3510000.0, 'hw': 10108000.0}
    """
    costs = published()
    hz = 1e9 * costs[machine, "clock", "native"][0]
    return {way: costs[machine, "forkwait", way][0] * hz / FORKS for way in _WAYS}


@dataclass(frozen=True, eq=False)
class ForkEvents(Result):
    """What a fork and wait may consist of.

    Attributes
    ----------
    fit
        What each event costs.
    within
        How far the two equations may be off, as a share.
    corners
        All extreme answers, a row each, a column for each of `EVENTS`.

    Examples
    --------
    >>> found = fork_events()
    >>> fewest, most = found.exits
    >>> round(fewest), round(most)
    (796, 979)
    """

    fit: CostFit
    within: float
    corners: Floats

    @property
    def middle(self) -> dict[str, float]:
        """One answer among all: the mean of the corners, with what the source says."""
        return {**KNOWN, **dict(zip(EVENTS, self.corners.mean(axis=0).tolist(), strict=True))}

    @property
    def exits(self) -> tuple[float, float]:
        """Fewest and most faults and page-table writes: each makes the HW monitor exit."""
        sums = self.corners[:, :3].sum(axis=1)
        return float(sums.min()), float(sums.max())

    def added(self, way: str) -> dict[str, float]:
        """Return what each event adds to a round, of the answer in the middle.

        Parameters
        ----------
        way
            'bt' or 'hw'.

        Returns
        -------
        dict
            Cycles more than native, by event.

        Examples
        --------
        >>> added = fork_events().added("bt")
        >>> max(added, key=added.get), round(added["syscall"])
        ('hidden fault', 6128)
        """
        return {
            event: times * (self.fit.cost(event, way) - self.fit.cost(event, "native"))
            for event, times in self.middle.items()
        }

    def seconds(self, way: str) -> float:
        """Return how long all 40,000 rounds take by the answer in the middle.

        Parameters
        ----------
        way
            'bt' or 'hw'.

        Returns
        -------
        float
            Seconds on the P4.

        Examples
        --------
        >>> round(fork_events().seconds("bt"))
        37
        """
        cycles = round_cycles()["native"] + sum(self.added(way).values())
        return FORKS * cycles / (1e9 * published()["P4", "clock", "native"][0])

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each event: how often, and what it adds."""
        bt, hw = self.added("bt"), self.added("hw")
        low = {**KNOWN, **dict(zip(EVENTS, self.corners.min(axis=0).tolist(), strict=True))}
        high = {**KNOWN, **dict(zip(EVENTS, self.corners.max(axis=0).tolist(), strict=True))}
        us = 1e3 * published()["P4", "clock", "native"][0]
        return pd.DataFrame(
            [
                {
                    "event": event,
                    "fewest": round(low[event]),
                    "middle": round(times),
                    "most": round(high[event]),
                    "bt_adds_us": round(bt[event] / us, 1),
                    "hw_adds_us": round(hw[event] / us, 1),
                }
                for event, times in self.middle.items()
            ]
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return the bounds that hold for every answer."""
        fewest, most = self.exits
        return {
            "exits_fewest": round(fewest),
            "exits_most": round(most),
            "hidden_faults_fewest": round(float(self.corners[:, 1].min())),
            "native_s": published()["P4", "forkwait", "native"][0],
            "bt_s": round(self.seconds("bt"), 1),
            "hw_s": round(self.seconds("hw"), 1),
        }

    def explain(self) -> str:
        """Say why forkwait takes as long as it does."""
        said = self.summary()
        bt = self.added("bt")
        memory = sum(bt[event] for event in EVENTS[:3])
        of = 100 / sum(bt.values())
        return (
            f"However one divides it, a fork and wait has {said['exits_fewest']} to "
            f"{said['exits_most']} page faults and page-table writes, and at least "
            f"{said['hidden_faults_fewest']} of the faults are hidden: they exist under a monitor "
            f"alone. Of what BT adds, they are {of * memory:.0f} % (in the middle of the answers), "
            f"returns that must be looked up {of * bt['call/ret']:.0f} %, and the three system "
            f"calls {of * bt['syscall']:.1f} %."
        )


def fork_events(fit: CostFit | None = None, within: float = 0.01) -> ForkEvents:
    """Find every mixture of events that gives the three times of forkwait.

    Parameters
    ----------
    fit
        What each event costs; the fit to the whole table if not given.
    within
        How far each of the two equations may be off, as a share of what is added.

    Returns
    -------
    ForkEvents
        All extreme answers.

    Raises
    ------
    InvalidInputError
        If `within` is not a share from 0.0001 to 0.5, or no mixture gives these times.

    Examples
    --------
    >>> sorted(fork_events().middle) == sorted([*KNOWN, *EVENTS])
    True
    """
    number("within", within, minimum=1e-4, maximum=0.5)
    fit = fit_costs() if fit is None else fit
    corners = _corners(*_limits(fit, within))
    number("mixtures of events", len(corners), minimum=1)
    return ForkEvents(fit, within, corners)


def _limits(fit: CostFit, within: float) -> tuple[Floats, Floats]:
    """Return G and h of G x <= h: the native budget, both equations, and no negative count."""
    spent = round_cycles()

    def extra(event: str, way: str) -> float:
        own = fit.cost(event, "native")
        return own if way == "native" else fit.cost(event, way) - own

    rows, most = [], []
    for way in _WAYS:
        each = np.array([extra(event, way) for event in EVENTS])
        fixed = sum(times * extra(event, way) for event, times in KNOWN.items())
        if way == "native":
            rows.append(each)
            most.append(spent["native"] - fixed)
            continue
        added = spent[way] - spent["native"]
        rows += [each, -each]
        most += [added * (1 + within) - fixed, fixed - added * (1 - within)]
    n = len(EVENTS)
    return np.vstack([*rows, -np.eye(n)]), np.array([*most, *[0.0] * n])


def _corners(matrix: Floats, most: Floats) -> Floats:
    """Return the corners of a polytope: where as many limits as there are unknowns are met."""
    n = matrix.shape[1]
    scale = np.abs(matrix).max(axis=1)
    matrix, most = matrix / scale[:, None], most / scale
    found = []
    for chosen in itertools.combinations(range(len(most)), n):
        picked = matrix[list(chosen)]
        if abs(np.linalg.det(picked)) < 1e-9:
            continue
        corner = np.linalg.solve(picked, most[list(chosen)])
        if (matrix @ corner <= most + 1e-6 * (1 + np.abs(most))).all():
            found.append(np.maximum(corner, 0))
    return np.array(found).reshape(-1, n)
