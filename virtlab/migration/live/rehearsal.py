"""A migration without processes: the same steps on pages that are only numbers, on a clock of ours.

An algorithm (`virtlab.migration.live.algorithms`) can't tell it from the real thing: it has the
same methods. Each page has a version, which a write makes one larger; sending copies the version.
At the end the target's versions must be the source's, or something was lost. As time is counted and
not measured, every run gives the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.migration.live.predict import Traffic
from virtlab.results import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.migration.live.algorithms import Algorithm

__all__ = ["Rehearsal", "Rehearsed", "rehearse"]

_ACCOUNTS_A_PAGE = 9


@dataclass(frozen=True)
class Rehearsed(Result):
    """How a rehearsal went.

    Attributes
    ----------
    algorithm
        Its name.
    rounds
        Pages of each round, and whether the server stood still.
    left_pages
        Pages that followed after the hand-over.
    lost_pages
        Pages of which the target has an old version at the end.
    pause_ms, total_s
        How long the server stood still, and all of it took.
    """

    algorithm: str
    rounds: tuple[tuple[int, bool], ...]
    left_pages: int
    lost_pages: int
    pause_ms: float
    total_s: float

    def to_frame(self) -> pd.DataFrame:
        """Return the rounds: round, server, pages."""
        return pd.DataFrame(
            [
                (number, "stands still" if still else "runs", pages)
                for number, (pages, still) in enumerate(self.rounds)
            ],
            columns=["round", "server", "pages"],
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return pause, time, pages and what was lost."""
        return {
            "algorithm": self.algorithm,
            "pause_ms": self.pause_ms,
            "total_s": self.total_s,
            "sent_pages": sum(pages for pages, _ in self.rounds) + self.left_pages,
            "left_pages": self.left_pages,
            "lost_pages": self.lost_pages,
        }

    def explain(self) -> str:
        """Say what the clients would notice, and whether all has arrived."""
        if self.lost_pages:
            pages = "page that is" if self.lost_pages == 1 else "pages that are"
            return f"The target has {self.lost_pages} {pages} old: what was written there is lost."
        after = f", and {self.left_pages} pages follow" if self.left_pages else ""
        return (
            f"The server stands still for {self.pause_ms:.0f} ms{after}; the target has all pages "
            f"after {self.total_s:.2f} s."
        )


@dataclass
class Rehearsal:
    """The steps of a migration, on numbers.

    Parameters
    ----------
    traffic
        The server, its load, the link.
    rng
        Which accounts the payments choose.

    Attributes
    ----------
    rounds, most_rounds, downtime_limit_s
        As `virtlab.migration.live.source.Move` has them.

    Examples
    --------
    >>> from virtlab.migration.live.algorithms import PreCopy
    >>> move = Rehearsal(Traffic(), np.random.default_rng(1))
    >>> PreCopy().run(move)
    >>> move.rounds, move.lost_pages
    (3, 0)
    """

    traffic: Traffic
    rng: np.random.Generator
    rounds: int = 0
    log: list[tuple[int, bool]] = field(default_factory=list)
    clock_s: float = 0.0
    left_pages: int = 0
    handed_over: bool = False

    def __post_init__(self) -> None:
        """Lay out the memory: the pages of accounts first, then what nobody changes."""
        pages = round(self.traffic.memory_mib * 256)
        self._source = np.zeros(pages, dtype=np.int64)
        self._target = np.full(pages, -1, dtype=np.int64)
        self._dirty = np.zeros(pages, dtype=np.bool_)
        self._account_pages = min(max(self.traffic.accounts // _ACCOUNTS_A_PAGE, 1), pages)
        self._quiesced_at: float | None = None
        self.pause_s = float("nan")
        self.most_rounds = self.traffic.most_rounds
        self.downtime_limit_s = self.traffic.downtime_limit_ms / 1000

    def all_pages(self) -> NDArray[np.int64]:
        """Return every page; from now on the bitmap says what changes."""
        self._dirty[:] = False
        return np.arange(self._source.size)

    def dirty(self) -> NDArray[np.int64]:
        """Return the pages written since the last call."""
        pages = np.flatnonzero(self._dirty)
        self._dirty[:] = False
        return pages

    def dirty_count(self) -> int:
        """Return how many there are."""
        return int(self._dirty.sum())

    def seconds_to_send(self, pages: int) -> float:
        """Return how long so many pages take."""
        return self.traffic.seconds(pages)

    def send(self, pages: NDArray[np.int64]) -> None:
        """Send pages in a round; the server writes meanwhile, unless it stands still."""
        pages = np.asarray(pages, dtype=np.int64)
        self._target[pages] = self._source[pages]
        self._pass(self.traffic.seconds(pages.size))
        self.log.append((int(pages.size), self._quiesced_at is not None))
        self.rounds += 1

    def quiesce(self) -> None:
        """Let the server stand still, once the transaction that runs is over."""
        if self._quiesced_at is None:
            self._pay(1 if self.traffic.payments_s else 0)  # who read the bitmap before misses it
            self._quiesced_at = self.clock_s

    def hand_over(self, left: NDArray[np.int64] | None = None) -> None:
        """Let the target go on; what was left follows."""
        self._pass(self.traffic.hand_over_ms / 1000)
        self.pause_s = self.clock_s - (self.clock_s if self._quiesced_at is None else
                                       self._quiesced_at)  # fmt: skip
        self.handed_over = True
        left = np.empty(0, dtype=np.int64) if left is None else np.asarray(left, dtype=np.int64)
        self.left_pages = int(left.size)
        self._target[left] = self._source[left]
        self.clock_s += self.traffic.seconds(left.size)

    @property
    def lost_pages(self) -> int:
        """How many pages of the target are old."""
        return int((self._source != self._target).sum())

    def _pass(self, seconds: float) -> None:
        """Let time pass: payments come at random, each writes to two pages of accounts."""
        self.clock_s += seconds
        if self._quiesced_at is not None:
            return
        self._pay(self.rng.poisson(self.traffic.payments_s * seconds))

    def _pay(self, payments: int) -> None:
        pages = self.rng.integers(0, self._account_pages, 2 * payments)
        np.add.at(self._source, pages, 1)
        self._dirty[pages] = True


def rehearse(algorithm: Algorithm, traffic: Traffic | None = None, seed: int = 1) -> Rehearsed:
    """Run an algorithm's steps on numbers.

    Parameters
    ----------
    algorithm
        Anything with a `run(move)`.
    traffic
        The server, its load, the link.
    seed
        Of which accounts the payments choose.

    Returns
    -------
    Rehearsed
        Rounds, pause, and what was lost.

    Examples
    --------
    >>> from virtlab.migration.live.algorithms import Deck, StopAndCopy
    >>> rehearse(StopAndCopy()).explain()
    'The server stands still for 433 ms; the target has all pages after 0.43 s.'
    >>> rehearse(Deck()).lost_pages
    0
    """
    move = Rehearsal(traffic or Traffic(), np.random.default_rng(seed))
    algorithm.run(move)
    return Rehearsed(
        algorithm=getattr(algorithm, "name", type(algorithm).__name__),
        rounds=tuple(move.log),
        left_pages=move.left_pages,
        lost_pages=move.lost_pages,
        pause_ms=1000 * move.pause_s,
        total_s=move.clock_s,
    )
