"""One picture of a migration: both memories, what travels, what is written (S41-S45).

absent    the target has nothing of it yet
zero      all zeros, the same on both sides
held      up to date
dirty     on the source: written since it was sent, so its bit in the bitmap is set
stale     on the target: an older copy, to be fetched or sent again
fetched   on the target: it came because the machine touched it
wrong     on the target: an older copy, and nobody knows; the talk's bug
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.results import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pages = NDArray[np.int64]
    States = NDArray[np.uint8]

__all__ = ["PAGE_STATES", "FilmFrame"]

PAGE_STATES = ("absent", "zero", "held", "dirty", "stale", "fetched", "wrong")
"""What a page can be on a host."""


@dataclass(frozen=True, eq=False)
class FilmFrame(Result):
    """One picture.

    Attributes
    ----------
    number
        Which picture, from 0.
    time_s
        When it ends, s.
    step
        Which of the talk's steps goes on; 0 before the first.
    what
        What happens in it, in words.
    where
        Where the machine runs: 'source', 'paused' or 'target'.
    deleted
        Whether the source has been deleted.
    source, target
        Shape (pages,): an index into `PAGE_STATES` for each page.
    moving, written
        Pages that travelled, and pages that the machine wrote.
    how
        'sent', 'pushed' or 'fetched': why they travelled; '' if none did.
    sent_mib
        What has gone over the link so far, MiB.
    """

    number: int
    time_s: float
    step: int
    what: str
    where: str
    deleted: bool
    source: States
    target: States
    moving: Pages
    written: Pages
    how: str
    sent_mib: float

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each state: how many pages are in it, on either host."""
        counts = [np.bincount(side, minlength=len(PAGE_STATES)) for side in self._sides]
        return pd.DataFrame({"state": PAGE_STATES, "source": counts[0], "target": counts[1]})

    @property
    def _sides(self) -> tuple[States, States]:
        return self.source, self.target

    def count(self, host: str, state: str) -> int:
        """Return how many pages are in a state on a host.

        Parameters
        ----------
        host
            'source' or 'target'.
        state
            One of `PAGE_STATES`.

        Returns
        -------
        int
            How many.

        Examples
        --------
        >>> from virtlab.migration.film import film
        >>> film().frame(-1).count("target", "absent")
        0
        """
        side = self.source if host == "source" else self.target
        return int(np.count_nonzero(side == PAGE_STATES.index(state)))

    def summary(self) -> dict[str, float | int | str]:
        """Return the numbers of a picture."""
        pages = self.target.size
        return {
            "time_s": self.time_s,
            "step": self.step,
            "where": self.where,
            "arrived_pages": pages - self.count("target", "absent"),
            "dirty_pages": self.count("source", "dirty"),
            "stale_pages": self.count("target", "stale"),
            "fetched_pages": self.count("target", "fetched"),
            "wrong_pages": self.count("target", "wrong"),
            "sent_mib": self.sent_mib,
        }

    def explain(self) -> str:
        """Say what just happened."""
        said = [self._travelled() or f"{self.what[:1].upper()}{self.what[1:]}."]
        if self.where == "paused":
            said.append("The VM stands still: nothing gets dirty.")
        elif self.written.size:
            host = "source" if self.where == "source" else "target"
            said.append(f"Meanwhile the VM, on the {host}, writes {_pages(self.written.size)}.")
        wrong = self.count("target", "wrong")
        if wrong:
            verb = "is" if wrong == 1 else "are"
            said.append(f"{_pages(wrong)} {verb} wrong on the target: written, and in no bitmap.")
        return " ".join(said)

    def _travelled(self) -> str:
        if not self.moving.size:
            return ""
        if self.how == "fetched":
            return (
                f"The VM touches page {self.moving[0]}, which is not there: it waits, and the page "
                f"is fetched from the source."
            )
        first, last, count = self.moving.min(), self.moving.max(), self.moving.size
        which = f"Page {first}" if count == 1 else f"{_pages(count)}, {first} to {last},"
        verb = "travels" if count == 1 else "travel"
        return f"{which} {verb} to the target{' unasked' if self.how == 'pushed' else ''}."


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count} pages"
