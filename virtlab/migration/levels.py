"""Four levels of modelling one migration, side by side.

Simulators of data centres need an answer in no time and take **RAM / bandwidth**. A better one
takes a constant rate D of dirty bytes against a bandwidth R, which makes rounds a **geometric
series**: with lambda = D / R < 1, round i sends V_i = M lambda^i, n rounds and the rest send

    M (1 - lambda^(n+1)) / (1 - lambda),  and the pause is  M lambda^n / R.

A **measured curve** W(t), distinct pages in an interval, gives V_(i+1) = W(V_i / R): a page that is
written twice is sent once. The **page level** moves the pages.

The first three share the stop rule: a round starts while more than `threshold_mib` is left, at
most `max_rounds`. The page level runs the same rule on pages.

Sources: facts of any textbook for the series; Clark et al., NSDI 2005, for the curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.migration.link import MIB, Link
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.migration.vmotion import MigrationRun, migrate
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.migration.move import Move
    from virtlab.migration.workloads import Workload

__all__ = ["Levels", "Rounds", "compare_levels", "geometric_series", "measured_curve"]


@dataclass(frozen=True)
class Rounds:
    """Plain pre-copy: rounds until little is left, then the rest; as an algorithm, page by page.

    Attributes
    ----------
    threshold_mib
        How little, MiB.
    max_rounds
        The most rounds with the machine running.

    Examples
    --------
    >>> from virtlab.migration.workloads import RoundRobin
    >>> run = migrate(Vm(ram_mib=64), RoundRobin(4096, 2000), algorithm=Rounds(threshold_mib=1))
    >>> len(run.rounds), run.wrong_pages
    (3, 0)
    """

    threshold_mib: float = 1.0
    max_rounds: int = 30

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("threshold_mib", self.threshold_mib, minimum=0)
        integer("max_rounds", self.max_rounds, minimum=1)

    @property
    def name(self) -> str:
        """What it is called."""
        return "pre-copy (plain)"

    def run(self, move: Move) -> None:
        """Move the machine."""
        move.create_target()
        todo = move.all_pages
        for _ in range(self.max_rounds):
            move.send(todo)
            todo = move.sync()
            if todo.size * PAGE_BYTES <= self.threshold_mib * MIB:
                break
        else:
            move.converged = False
        move.pause()
        move.send(todo)
        move.send_state()
        move.resume()
        move.announce()
        move.delete_source()


def _rounds(
    first_pages: float, pages_s: float, dirty: Callable[[float], float], rule: Rounds
) -> list[float]:
    """Return the pages of each round, the last one being what the pause sends."""
    sizes = [first_pages]
    while len(sizes) <= rule.max_rounds:
        sizes.append(dirty(sizes[-1] / pages_s))
        if sizes[-1] * PAGE_BYTES <= rule.threshold_mib * MIB:
            break
    return sizes


def geometric_series(
    pages: float, dirty_pages_s: float, pages_s: float, rule: Rounds | None = None
) -> list[float]:
    """Return what each round sends if pages get dirty at a constant rate.

    Parameters
    ----------
    pages
        Pages in the first round.
    dirty_pages_s
        Pages that get dirty in a second; never more than all.
    pages_s
        Pages that the link carries in a second.
    rule
        When to stop.

    Returns
    -------
    list of float
        Pages of each round; the last is sent while the machine is paused.

    Raises
    ------
    InvalidInputError
        If a rate is negative or the link carries nothing.

    Examples
    --------
    >>> geometric_series(32_000, 5_000, 20_000)
    [32000, 8000.0, 2000.0, 500.0, 125.0]
    """
    number("pages", pages, minimum=0)
    number("dirty_pages_s", dirty_pages_s, minimum=0)
    if number("pages_s", pages_s) <= 0:
        raise InvalidInputError("pages_s", pages_s, "a number > 0")
    return _rounds(pages, pages_s, lambda t: min(dirty_pages_s * t, pages), rule or Rounds())


def measured_curve(
    pages: float, workload: Workload, pages_s: float, rule: Rounds | None = None
) -> list[float]:
    """Return what each round sends, from the curve of distinct pages alone.

    Parameters
    ----------
    pages
        Pages in the first round.
    workload
        Its `distinct(seconds)` is the curve.
    pages_s
        Pages that the link carries in a second.
    rule
        When to stop.

    Returns
    -------
    list of float
        Pages of each round; the last is sent while the machine is paused.

    Examples
    --------
    A program that writes the same 10,000 pages again and again does not get below them:

    >>> from virtlab.migration.workloads import Trace
    >>> rounds = measured_curve(32_000, Trace.named("redis_set"), 20_000, Rounds(max_rounds=4))
    >>> [round(pages, -2) for pages in rounds]
    [32000, 10600.0, 10400.0, 10300.0, 10300.0]
    """
    number("pages", pages, minimum=0)
    if number("pages_s", pages_s) <= 0:
        raise InvalidInputError("pages_s", pages_s, "a number > 0")
    return _rounds(pages, pages_s, workload.distinct, rule or Rounds())


@dataclass(frozen=True)
class Levels(Result):
    """One migration on four levels.

    Attributes
    ----------
    rows
        For each level: its name, pages sent, total time (s), downtime (ms), rounds with the
        machine running.
    run
        The page level's run.
    """

    rows: tuple[tuple[str, float, float, float, int], ...]
    run: MigrationRun

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each level."""
        columns = ["level", "pages_sent", "total_s", "downtime_ms", "rounds"]
        return pd.DataFrame(list(self.rows), columns=columns)

    def summary(self) -> dict[str, float | int | str]:
        """Return how far each level's pages are from the page level's, percent."""
        frame = self.to_frame().set_index("level")["pages_sent"]
        exact = float(frame["page level"])
        return {f"{name} off %": 100 * (float(sent) / exact - 1) for name, sent in frame.items()}

    def explain(self) -> str:
        """Return it in a sentence."""
        off = list(self.summary().values())
        return (
            f"Pages sent, against the page level: RAM / bandwidth {off[0]:+.0f} %, geometric "
            f"series {off[1]:+.0f} %, measured curve {off[2]:+.1f} %."
        )


def compare_levels(
    vm: Vm, workload: Workload, link: Link | None = None, rule: Rounds | None = None, seed: int = 0
) -> Levels:
    """Model one migration on four levels.

    Parameters
    ----------
    vm, workload, link
        What moves, what it does, over what. The simple levels know neither zero pages nor latency.
    rule
        When to stop.
    seed
        For the page level.

    Returns
    -------
    Levels
        A row for each level.

    Examples
    --------
    >>> from virtlab.migration.workloads import Trace
    >>> redis = Trace.named("redis_set")
    >>> print(compare_levels(Vm(ram_mib=128), redis, rule=Rounds(max_rounds=5)).explain())
    Pages sent, against the page level: RAM / bandwidth -61 %, geometric series ... %, measured \
curve ... %.
    """
    link, rule = link or Link(), rule or Rounds()
    pages_s = link.rate_mib_s * MIB / link.page_bytes
    full, state_s = vm.filled_pages, link.seconds(vm.device_state_bytes)
    run = migrate(vm, workload, link, rule, seed=seed)
    # The dirty rate that a textbook asks for is commonly taken over a second.
    series = geometric_series(full, workload.distinct(1.0), pages_s, rule)
    curve = measured_curve(full, workload, pages_s, rule)
    rows = [("RAM / bandwidth", float(full), full / pages_s, 0.0, 1)]
    for name, rounds in (("geometric series", series), ("measured curve", curve)):
        sent, pause_s = sum(rounds), rounds[-1] / pages_s + state_s
        rows.append((name, sent, sent / pages_s + state_s, pause_s * 1000, len(rounds) - 1))
    sent = float(run.rounds["full_pages"].sum())
    rows.append(("page level", sent, run.total_s, run.downtime_ms, len(run.rounds) - 1))
    return Levels(tuple(rows), run)
