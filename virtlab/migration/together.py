"""Several machines that leave a host at once, over one link (S40: maintenance).

While some migrations are under way they divide the link by shares, each between nothing and what
its limiter lets through (`virtlab.resources.allocate`). When one is done, the others have more. All
start at the same moment.

A run up to the first end does not depend on what comes after it. So every machine is moved with
its part of the link, the first end is looked for, and the others are moved again with a larger part
from then on: n migrations take n (n+1) / 2 runs, and no event of one has to wait for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.migration.faults import Fault
from virtlab.migration.link import Link
from virtlab.migration.vmotion import MigrationRun, migrate
from virtlab.results import Result
from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.migration.algorithms import Algorithm
    from virtlab.migration.vm import Vm
    from virtlab.migration.workloads import Workload

__all__ = ["Leaving", "Together", "migrate_together"]

_FOR_EVER_S = 1e9
_LONGEST_S = 3600.0


@dataclass(frozen=True)
class Leaving:
    """A machine that leaves.

    Attributes
    ----------
    vm, workload, algorithm
        What moves, what it does, and how it is moved.
    shares
        Its part of the link against that of the others.

    Examples
    --------
    >>> from virtlab.migration.algorithms import Deck
    >>> from virtlab.migration.vm import Vm
    >>> from virtlab.migration.workloads import RoundRobin
    >>> Leaving(Vm(), RoundRobin(100, 100), Deck(), shares=2000).shares
    2000
    """

    vm: Vm
    workload: Workload
    algorithm: Algorithm
    shares: float = 1000.0

    def __post_init__(self) -> None:
        """Check the shares."""
        if number("shares", self.shares, minimum=0) == 0:
            raise InvalidInputError("shares", self.shares, "a number > 0")


@dataclass(frozen=True)
class Together(Result):
    """What came of migrations over one link.

    Attributes
    ----------
    runs
        One for each machine, in the order given.
    order
        Which was done first, second ...: places in `runs`.
    """

    runs: tuple[MigrationRun, ...]
    order: tuple[int, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each machine."""
        rows = [{"vm": run.vm.name, **run.summary()} for run in self.runs]
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return when all are done, and the longest pause."""
        return {
            "machines": len(self.runs),
            "total_s": max(run.total_s for run in self.runs),
            "longest_downtime_ms": max(run.downtime_ms for run in self.runs),
            "sent_mib": sum(run.sent_mib for run in self.runs),
        }

    def explain(self) -> str:
        """Return it in a sentence."""
        said = self.summary()
        ends = ", ".join(
            f"{self.runs[at].vm.name} after {self.runs[at].total_s:.1f} s" for at in self.order
        )
        return (
            f"{ends}. The longest pause is {said['longest_downtime_ms']:.0f} ms; "
            f"{said['sent_mib']:.0f} MiB went over the link."
        )


def migrate_together(
    leaving: Sequence[Leaving], link: Link | None = None, *, seed: int = 0
) -> Together:
    """Move several machines at once over one link.

    Parameters
    ----------
    leaving
        The machines.
    link
        The network; a cap is a limiter of each migration, and not of all together.
    seed
        For chance in the workloads; each machine has a chance of its own.

    Returns
    -------
    Together
        A run for each.

    Raises
    ------
    InvalidInputError
        If there is no machine.

    Examples
    --------
    >>> from virtlab.migration.algorithms import StopAndCopy
    >>> from virtlab.migration.vm import Vm
    >>> from virtlab.migration.workloads import RoundRobin
    >>> still = RoundRobin(1, 0)
    >>> both = migrate_together([
    ...     Leaving(Vm(64, name="small"), still, StopAndCopy()),
    ...     Leaving(Vm(192, name="large"), still, StopAndCopy()),
    ... ], Link(bandwidth_mib_s=64))
    >>> print(both.explain())
    small after 2.0 s, large after 4.0 s. The longest pause is 4039 ms; 258 MiB went over the link.
    """
    if not leaving:
        raise InvalidInputError("leaving", leaving, "at least one machine")
    link = link or Link()
    active, since_s = list(range(len(leaving))), 0.0
    past: list[list[Fault]] = [[] for _ in leaving]
    done: dict[int, MigrationRun] = {}
    while active:
        parts = _parts(link, [leaving[at].shares for at in active])
        runs: dict[int, MigrationRun] = {}
        likely = sorted(zip(active, parts, strict=True), key=lambda pair: _ease(leaving, *pair))
        for at, part in likely:
            now = Fault("link", at_s=since_s, for_s=_FOR_EVER_S, speed=part)
            runs[at] = migrate(
                leaving[at].vm,
                leaving[at].workload,
                link,
                leaving[at].algorithm,
                seed=seed + at,
                faults=[*past[at], now],
                give_up_s=min((run.total_s for run in runs.values()), default=_LONGEST_S),
            )  # one that is not done when another was is moved again anyway
        first = min(runs, key=lambda at: runs[at].total_s)
        done[first], end_s = runs[first], runs[first].total_s
        for at, part in zip(active, parts, strict=True):
            past[at].append(Fault("link", at_s=since_s, for_s=end_s - since_s, speed=part))
        active.remove(first)
        since_s = end_s
    return Together(tuple(done[at] for at in range(len(leaving))), tuple(done))


def _ease(leaving: Sequence[Leaving], at: int, part: float) -> tuple[float, float]:
    """Return how soon a machine is likely to be done: pages by rate, then what it writes."""
    one = leaving[at]
    return one.vm.filled_pages / part, one.workload.rate_pages_s / part


def _parts(link: Link, shares: Sequence[float]) -> list[float]:
    """Return which part of the bandwidth each of the active ones has."""
    pipe = Link(bandwidth_mib_s=link.bandwidth_mib_s)
    wanted = [link.rate_mib_s] * len(shares)
    return [part.bandwidth_mib_s / link.bandwidth_mib_s for part in pipe.divided(shares, wanted)]
