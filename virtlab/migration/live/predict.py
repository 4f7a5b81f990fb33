"""The pause, predicted: how many pages are left when the server stands still.

A payment writes to two accounts anywhere, so among *W* pages of accounts, after *n* payments

    W * (1 - (1 - 1/W)^(2n))

have been written: few at first, never more than *W*. To these come the ends of the tables that
grow and the journal, a few pages in all. A round of *p* pages takes *p* * 4104 B / bandwidth, and
what is written in that time is the next round. The pause is the last round and the hand-over.

Against the stored runs the pages of each round are predicted from how many payments were answered
during the round before (`against_measured`); the only number that is not known beforehand.

Left out: that sending slows the server down; that a round in Python never takes less than about a
millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.results import Result
from virtlab.validate import integer, number, one_of

if TYPE_CHECKING:
    from virtlab.migration.live.outcome import HotMigration

__all__ = ["PausePrediction", "Traffic", "against_measured", "dirty_pages", "predict_pause"]

_PAGE_COST_MIB = 4104 / 2**20
_ACCOUNTS_A_PAGE = 9
_ENDS = 9  # ends of tables and index, page 0, the file's first page, the journal
_GROWTH = 1 / 55  # further pages a payment: its row, its place in the index


def dirty_pages(payments: float, accounts: int) -> float:
    """Return how many pages so many payments have written to, on average.

    Parameters
    ----------
    payments
        How many.
    accounts
        Among how many accounts.

    Returns
    -------
    float
        Pages.

    Examples
    --------
    >>> [round(dirty_pages(n, 6000)) for n in (0, 1, 100, 10_000)]
    [0, 11, 184, 857]
    """
    payments = number("payments", payments, minimum=0)
    accounts = integer("accounts", accounts, minimum=2)
    if not payments:
        return 0.0
    pages = max(accounts / _ACCOUNTS_A_PAGE, 1.0)
    written = pages * (1 - (1 - 1 / pages) ** (2 * payments))
    return float(written) + _ENDS + payments * _GROWTH


@dataclass(frozen=True)
class Traffic:
    """A server in use, and a link to another host.

    Attributes
    ----------
    memory_mib
        What is in its memory, MiB.
    payments_s
        Transactions a second.
    accounts
        Among which they choose.
    link_mib_s
        Bandwidth, MiB/s.
    downtime_limit_ms
        Pre-copy's stop rule, ms.
    most_rounds
        Or after so many rounds.
    hand_over_ms
        From the last page to the first answer, ms.

    Examples
    --------
    >>> Traffic().payments_s
    1500
    """

    memory_mib: float = 27.4
    payments_s: float = 1500
    accounts: int = 6000
    link_mib_s: float = 64.0
    downtime_limit_ms: float = 10.0
    most_rounds: int = 12
    hand_over_ms: float = 4.0

    def __post_init__(self) -> None:
        """Check every field."""
        number("memory_mib", self.memory_mib, minimum=0.01)
        number("payments_s", self.payments_s, minimum=0)
        integer("accounts", self.accounts, minimum=2)
        number("link_mib_s", self.link_mib_s, minimum=0.01)
        number("downtime_limit_ms", self.downtime_limit_ms, minimum=0)
        integer("most_rounds", self.most_rounds, minimum=1, maximum=1000)
        number("hand_over_ms", self.hand_over_ms, minimum=0)

    def seconds(self, pages: float) -> float:
        """Return how long so many pages take, s.

        Examples
        --------
        >>> round(Traffic(link_mib_s=32).seconds(8192), 3)
        1.002
        """
        return pages * _PAGE_COST_MIB / self.link_mib_s


@dataclass(frozen=True)
class PausePrediction(Result):
    """What a migration will be like.

    Attributes
    ----------
    traffic
        The input.
    algorithm
        precopy, stop or deck.
    rounds
        Pages of each round; the last one is sent in the pause, but for the talk's steps.
    left_pages
        What follows after the hand-over.
    """

    traffic: Traffic
    algorithm: str
    rounds: tuple[float, ...]
    left_pages: float

    @property
    def paused_pages(self) -> float:
        """Sent while the server stands still."""
        return 0.0 if self.algorithm == "deck" else self.rounds[-1]

    @property
    def pause_ms(self) -> float:
        """How long the clients wait, ms."""
        return 1000 * self.traffic.seconds(self.paused_pages) + self.traffic.hand_over_ms

    def to_frame(self) -> pd.DataFrame:
        """Return the rounds: round, server (runs, stands still, runs at the target), pages, ms."""
        last = {"precopy": "stands still", "stop": "stands still", "deck": "runs"}[self.algorithm]
        server = ["runs"] * (len(self.rounds) - 1) + [last]
        pages = list(self.rounds)
        if self.left_pages:
            server, pages = [*server, "runs at the target"], [*pages, self.left_pages]
        took = [1000 * self.traffic.seconds(one) for one in pages]
        return pd.DataFrame(
            {"round": range(len(pages)), "server": server, "pages": pages, "took_ms": took}
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return the pause, the time, the MiB and the rounds."""
        pages = sum(self.rounds) + self.left_pages
        return {
            "algorithm": self.algorithm,
            "pause_ms": self.pause_ms,
            "total_s": self.traffic.seconds(pages) + self.traffic.hand_over_ms / 1000,
            "sent_mib": pages * _PAGE_COST_MIB,
            "rounds": len(self.rounds),
            "left_pages": self.left_pages,
        }

    def explain(self) -> str:
        """Say what the clients will notice, and why."""
        told = self.summary()
        pause = f"The clients will wait {self.pause_ms:.0f} ms"
        if self.algorithm == "deck":
            return (
                f"{pause}, the hand-over alone; then {self.left_pages:.0f} pages follow, in "
                f"{1000 * self.traffic.seconds(self.left_pages):.0f} ms, and who needs one waits."
            )
        stuck = ""
        if 1000 * self.traffic.seconds(self.paused_pages) > self.traffic.downtime_limit_ms:
            stuck = " Rounds do not help: pages get dirty as fast as they are sent."
        if self.algorithm == "stop":
            stuck = ""
        return (
            f"{pause}: {self.paused_pages:.0f} pages and the hand-over, after "
            f"{told['total_s']:.1f} s and {told['sent_mib']:.0f} MiB.{stuck}"
        )


def predict_pause(traffic: Traffic, algorithm: str = "precopy") -> PausePrediction:
    """Predict the rounds and the pause.

    Parameters
    ----------
    traffic
        The server, its load, the link.
    algorithm
        precopy, stop or deck.

    Returns
    -------
    PausePrediction
        Rounds and pause.

    Examples
    --------
    >>> predict_pause(Traffic(), "stop").explain()
    'The clients will wait 433 ms: 7014 pages and the hand-over, after 0.4 s and 27 MiB.'
    >>> [round(pages) for pages in predict_pause(Traffic()).rounds]
    [7014, 591, 110]
    """
    one_of("algorithm", algorithm, ("precopy", "stop", "deck"))
    rounds = [traffic.memory_mib * 256]
    while True:
        payments = traffic.payments_s * traffic.seconds(rounds[-1])
        dirty = dirty_pages(payments, traffic.accounts)
        if algorithm == "stop":
            return PausePrediction(traffic, algorithm, tuple(rounds), 0.0)
        if algorithm == "deck":
            return PausePrediction(traffic, algorithm, tuple(rounds), dirty)
        rounds.append(dirty)
        small = 1000 * traffic.seconds(dirty) <= traffic.downtime_limit_ms
        if small or len(rounds) > traffic.most_rounds:
            return PausePrediction(traffic, algorithm, tuple(rounds), 0.0)


def against_measured(run: HotMigration) -> pd.DataFrame:
    """Hold predicted pages of each round, and the pause, against a measured run.

    Parameters
    ----------
    run
        Of the talk's steps or of pre-copy.

    Returns
    -------
    DataFrame
        A row a set of pages that got dirty: payments (answered meanwhile), pages, predicted.

    Examples
    --------
    >>> from virtlab.migration.live.stored import stored
    >>> list(against_measured(stored("precopy")).columns)
    ['payments', 'pages', 'predicted']
    """
    frame = run.to_frame()
    starts = [*frame["start_s"], run.when("source", "quiesced")]
    pages = [*frame["pages"][1:], *([run.left_pages] if run.left_pages else [])]
    rows = []
    for place, dirty in enumerate(pages):
        answered = run.payments.answered_s
        payments = int(((answered >= starts[place]) & (answered < starts[place + 1])).sum())
        rows.append((payments, dirty, dirty_pages(payments, run.setup.accounts)))
    return pd.DataFrame(rows, columns=["payments", "pages", "predicted"])
