"""What came out of a live migration: what the hosts did, the clients saw, the books say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.results import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.migration.live.setup import LiveSetup

__all__ = ["Audit", "HotMigration", "Payments"]

_PAGE_COST_MIB = 4104 / 2**20


@dataclass(frozen=True)
class Audit:
    """What the books say.

    Attributes
    ----------
    answered
        Payments that a client was told are done.
    lost
        Of these, such as are not in the database.
    doubled
        Payments that are in it more than once.
    wrong_balances
        Accounts that do not hold what the payments in the database make of them.
    unknown
        Payments in the database that no client has asked for.
    integrity
        What SQLite says of its own structures: ok.
    """

    answered: int
    lost: int
    doubled: int
    wrong_balances: int
    unknown: int
    integrity: str

    @property
    def clean(self) -> bool:
        """Whether everything is as it must be."""
        wrong = self.lost + self.doubled + self.wrong_balances + self.unknown
        return wrong == 0 and self.integrity == "ok"


@dataclass(frozen=True)
class Payments:
    """What clients asked for, in the order in which it was answered.

    Attributes
    ----------
    client
        Shape (payments,); which client.
    sent_s, answered_s
        Shape (payments,); when, s since the migration was ordered; nan if never answered.
    """

    client: NDArray[np.int64]
    sent_s: NDArray[np.float64]
    answered_s: NDArray[np.float64]

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """From question to answer, ms."""
        latency: NDArray[np.float64] = 1000 * (self.answered_s - self.sent_s)
        return latency

    def longest_gap(
        self, start_s: float = -math.inf, end_s: float = math.inf
    ) -> tuple[float, float]:
        """Return the longest time without any answer, of those that touch an interval.

        Parameters
        ----------
        start_s, end_s
            The interval, s.

        Returns
        -------
        tuple of float
            Beginning and end of that time, s; two nan if there were less than two answers.

        Examples
        --------
        >>> times = np.array([0.0, 0.1, 0.5, 0.6])
        >>> Payments(np.zeros(4), times, times).longest_gap()
        (0.1, 0.5)
        >>> Payments(np.zeros(4), times, times).longest_gap(start_s=0.55)
        (0.5, 0.6)
        """
        times = np.sort(self.answered_s[~np.isnan(self.answered_s)])
        before, after = times[:-1], times[1:]
        touching = np.flatnonzero((after >= start_s) & (before <= end_s))
        if not touching.size:
            return math.nan, math.nan
        longest = touching[np.argmax((after - before)[touching])]
        return float(before[longest]), float(after[longest])


@dataclass(frozen=True)
class HotMigration(Result):
    """How a running database server moved.

    Attributes
    ----------
    setup
        What moved, who used it, over which link.
    algorithm
        precopy, stop, deck or postcopy.
    outcome
        moved; stayed (a fault, and the source goes on); lost (a fault before the last page).
    payments
        What the clients saw.
    events
        What the hosts told: columns host, what, time_s (since the migration was ordered).
    rounds
        Columns round, pages, start_s, end_s, paused.
    sent_bytes
        Over the link.
    left_pages, asked_pages
        Pages that were left behind, and those of them that had to be asked for.
    audit
        What the books say; None if the machine was lost.
    restarts, reconnects
        How often a killed process was started again on its memory, and clients connected again.
    """

    setup: LiveSetup
    algorithm: str
    outcome: str
    payments: Payments
    events: pd.DataFrame
    rounds: pd.DataFrame
    sent_bytes: int
    left_pages: int
    asked_pages: int
    audit: Audit | None
    restarts: int
    reconnects: int

    def when(self, host: str, what: str) -> float:
        """Return when a host told something first.

        Parameters
        ----------
        host
            source or target.
        what
            Its words.

        Returns
        -------
        float
            Seconds since the migration was ordered; nan if it never did.

        Examples
        --------
        >>> HotMigration.when.__name__
        'when'
        """
        return self._first_times.get((host, what), math.nan)

    @cached_property
    def _first_times(self) -> dict[tuple[str, str], float]:
        first: dict[tuple[str, str], float] = {}
        for row in self.events.to_dict("records"):
            first.setdefault((row["host"], row["what"]), float(row["time_s"]))
        return first

    @cached_property
    def begin_s(self) -> float:
        """When pages began to move, or the server to stand still; before it a process started."""
        first = [float(self.rounds["start_s"].iloc[0])] if len(self.rounds) else []
        return float(np.nanmin([*first, self.when("source", "quiesced")]))

    @property
    def pause_s(self) -> tuple[float, float]:
        """When the clients' pause began and ended, s: their longest gap while the server stood."""
        start, end = self._still_s
        if math.isnan(start):  # it never stood still
            return math.nan, math.nan
        return self.payments.longest_gap(start, end)

    @property
    def _still_s(self) -> tuple[float, float]:
        end = self.when("target", "serving")
        if math.isnan(end):
            end = self.when("source", "goes on")
        return self.when("source", "quiesced"), end

    @property
    def server_pause_ms(self) -> float:
        """How long the server stood still, ms, by its own account."""
        start, end = self._still_s
        return 1000 * (end - start)

    @property
    def hand_over_ms(self) -> float:
        """From the last page to the target's server, ms."""
        return 1000 * (self.when("target", "serving") - self.when("target", "has all"))

    @property
    def predicted_pause_ms(self) -> float:
        """Pages sent in the pause over the link's bandwidth, and the hand-over, ms."""
        pages = float(self.rounds.loc[self.rounds["paused"], "pages"].sum())
        return 1000 * pages * _PAGE_COST_MIB / self.bandwidth_mib_s + self.hand_over_ms

    @property
    def bandwidth_mib_s(self) -> float:
        """The link's bandwidth; where it was not limited, that of the first round, MiB/s."""
        if self.setup.link_mib_s:
            return self.setup.link_mib_s
        if not len(self.rounds):
            return math.inf
        first = self.rounds.iloc[0]
        return float(first["pages"] * _PAGE_COST_MIB / (first["end_s"] - first["start_s"]))

    @property
    def total_s(self) -> float:
        """From the order until the source was not needed any more, s."""
        return self.when("source", "deleted")

    def to_frame(self) -> pd.DataFrame:
        """Return the rounds.

        Returns
        -------
        DataFrame
            Columns round, while (the server runs, or stands still), pages, sent_mib, start_s,
            took_ms, answers (that clients got meanwhile).

        Examples
        --------
        >>> HotMigration.to_frame.__name__
        'to_frame'
        """
        rounds, answered = self.rounds, self.payments.answered_s
        answers = [
            int(((answered >= start) & (answered < end)).sum())
            for start, end in zip(rounds["start_s"], rounds["end_s"], strict=True)
        ]
        return pd.DataFrame({
            "round": rounds["round"],
            "server": rounds["paused"].map({True: "stands still", False: "runs"}),
            "pages": rounds["pages"],
            "sent_mib": rounds["pages"] * _PAGE_COST_MIB,
            "start_s": rounds["start_s"],
            "took_ms": 1000 * (rounds["end_s"] - rounds["start_s"]),
            "answers": answers,
        })  # fmt: skip

    def summary(self) -> dict[str, float | int | str]:
        """Return the numbers of a slide.

        Returns
        -------
        dict
            What happened, the pause (as the clients saw it, as the server did, as predicted), time,
            MiB, rounds, transactions, and the audit.

        Examples
        --------
        >>> HotMigration.summary.__name__
        'summary'
        """
        start, end = self.pause_s
        first, last = self.payments.longest_gap()
        latency = self.payments.latency_ms
        books: dict[str, float | int | str] = {"lost": self.transactions, "integrity": "lost"}
        if self.audit is not None:
            books = {
                "lost": self.audit.lost,
                "doubled": self.audit.doubled,
                "wrong_balances": self.audit.wrong_balances,
                "integrity": self.audit.integrity,
            }
        return {
            "algorithm": self.algorithm,
            "outcome": self.outcome,
            "pause_ms": 1000 * (end - start),
            "server_pause_ms": self.server_pause_ms,
            "predicted_pause_ms": self.predicted_pause_ms,
            "hand_over_ms": self.hand_over_ms,
            "total_s": self.total_s,
            "sent_mib": self.sent_bytes / 2**20,
            "rounds": len(self.rounds),
            "left_pages": self.left_pages,
            "asked_pages": self.asked_pages,
            "transactions": self.transactions,
            **books,
            "reconnects": self.reconnects,
            "restarts": self.restarts,
            "median_latency_ms": float(np.nanmedian(latency)) if self.transactions else math.nan,
            "longest_gap_ms": 1000 * (last - first),
        }

    @property
    def transactions(self) -> int:
        """Payments that were answered."""
        return int(np.isfinite(self.payments.answered_s).sum())

    def explain(self) -> str:
        """Return what happened, in two or three sentences.

        Returns
        -------
        str
            Where the machine is, what the clients noticed, what the books say.

        Examples
        --------
        >>> HotMigration.explain.__name__
        'explain'
        """
        if self.outcome == "lost":
            return (
                "The machine is lost: a host was killed before the last page had come, so neither "
                f"has all of it, and {self.transactions} payments that were done are gone."
            )
        start, end = self.pause_s
        pause = f" The clients saw a pause of {1000 * (end - start):.0f} ms."
        if math.isnan(start):
            pause = ""
        where = "moved to the target" if self.outcome == "moved" else "goes on at the source"
        if self.restarts:
            where += ", in a new process on the memory that the killed one left"
        return f"The server {where}.{pause} {self._books()}"

    def _books(self) -> str:
        if self.audit is None:
            return "The books were not read."
        if self.audit.clean:
            return (
                f"Of {self.audit.answered} payments none was lost and none was done twice, and the "
                "balances are right."
            )
        return (
            f"The books are wrong: of {self.audit.answered} payments {self.audit.lost} were lost "
            f"and {self.audit.doubled} done twice; {self.audit.wrong_balances} balances are wrong; "
            f"SQLite says {self.audit.integrity}."
        )
