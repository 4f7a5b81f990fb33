"""What is written down while a machine moves: events, rounds, and a line for each slice of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["STEPS", "Event", "Log", "Round"]

STEPS = {
    1: "create the machine on the target",
    2: "copy memory; writes go in the bitmap",
    3: "copy the bitmap",
    4: "run on the target",
    5: "fetch dirty pages on demand",
    6: "delete the machine on the source",
    7: "announce it (ARP)",
}  # S41-S45


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes
    ----------
    time_s
        When, s since the start.
    step
        Which of the talk's seven steps it belongs to.
    what
        In words.
    pages
        How many pages it is about.
    """

    time_s: float
    step: int
    what: str
    pages: int = 0


@dataclass
class Round:
    """What was sent between two looks at the bitmap.

    Attributes
    ----------
    start_s, seconds
        When it started and how long it took, s.
    phase
        'running' on the source, 'paused', or 'fetching' with the machine on the target.
    full_pages, zero_pages
        Pages sent with their contents; pages of zeros.
    skipped_pages
        Pages left out because they were dirty again.
    sent_bytes
        All bytes on the wire.
    dirty_pages
        Pages dirty at its end.
    """

    start_s: float
    phase: str = "running"
    seconds: float = 0.0
    full_pages: int = 0
    zero_pages: int = 0
    skipped_pages: int = 0
    sent_bytes: int = 0
    dirty_pages: int = 0


@dataclass
class Log:
    """Everything written down in one run."""

    events: list[Event] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    slices: list[tuple[float, float, int, int]] = field(default_factory=list)

    def history(self) -> NDArray[np.float64]:
        """Return time (s), guest time (s), bytes sent, pages dirty or missing; a row a slice."""
        return np.array(self.slices, dtype=np.float64).reshape(-1, 4)

    def rounds_frame(self) -> pd.DataFrame:
        """Return a row for each round, units in the names."""
        names = list(Round.__dataclass_fields__)
        columns = {name: [getattr(item, name) for item in self.rounds] for name in names}
        rates = [r.sent_bytes / 2**20 / r.seconds if r.seconds else np.nan for r in self.rounds]
        numbers = np.arange(1, len(self.rounds) + 1)
        return pd.DataFrame({"round": numbers, **columns, "rate_mib_s": rates})
