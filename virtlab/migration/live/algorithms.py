"""How the memory of a running server gets to another process: each way is a few lines.

A way is a class with a `name` and a `run(move)`; `move` knows how to do each step, on a real server
(`virtlab.migration.live.source.Move`) or on numbers (`virtlab.migration.live.rehearsal.Rehearsal`).
The order of the steps is all there is to an algorithm, and it decides what the clients notice:

| way | sent while the server runs | sent in the pause | after it |
|---|---|---|---|
| stop and copy | nothing | everything | - |
| pre-copy | everything, then what got dirty, again and again | what is dirty at last | - |
| the talk's steps (S42 to S45) | everything, once | the bitmap of what got dirty | those pages |
| post-copy | nothing | the bitmap of everything | everything |

Pages that are left behind come on demand, and by themselves when nobody asks.

Sources: C. Clark et al., *Live Migration of Virtual Machines*, NSDI 2005 (pre-copy); M. Hines,
K. Gopalan, *Post-copy based live virtual machine migration*, VEE 2009.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virtlab.validate import one_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Deck",
    "PostCopy",
    "PreCopy",
    "Steps",
    "StopAndCopy",
    "named",
]


class Steps(Protocol):
    """What an algorithm may do; the real `Move` and `Rehearsal` both can."""

    rounds: int
    most_rounds: int
    downtime_limit_s: float

    def all_pages(self) -> NDArray[np.int64]:
        """Return every page; from now on the bitmap says what changes."""

    def dirty(self) -> NDArray[np.int64]:
        """Return the pages written since the last call."""

    def dirty_count(self) -> int:
        """Return how many there are."""

    def seconds_to_send(self, pages: int) -> float:
        """Return how long so many pages will take."""

    def send(self, pages: NDArray[np.int64]) -> None:
        """Send pages in a round."""

    def quiesce(self) -> None:
        """Let the server stand still."""

    def hand_over(self, left: NDArray[np.int64] | None = None) -> None:
        """Let the target go on; what was left follows."""


class Algorithm(Protocol):
    """What a way to move must have."""

    name: str

    def run(self, move: Steps) -> None:
        """Do the steps."""


class StopAndCopy:
    """Quiesce the server, send everything, let the target go on.

    Examples
    --------
    >>> StopAndCopy().name
    'stop'
    """

    name = "stop"

    def run(self, move: Steps) -> None:
        """Do the steps."""
        move.quiesce()
        move.send(move.all_pages())
        move.hand_over()


class PreCopy:
    """Send everything while the server runs, then what it wrote meanwhile, until little is left.

    Examples
    --------
    >>> PreCopy().name
    'precopy'
    """

    name = "precopy"

    def run(self, move: Steps) -> None:
        """Do the steps."""
        move.send(move.all_pages())
        while (
            move.seconds_to_send(move.dirty_count()) > move.downtime_limit_s
            and move.rounds < move.most_rounds
        ):
            move.send(move.dirty())
        move.quiesce()
        move.send(move.dirty())
        move.hand_over()


class Deck:
    """The talk's steps: a snapshot, then the bitmap in a pause, then pages on demand.

    The talk has the source still run while the bitmap is copied; what is written in that time would
    be lost. So the server is quiesced first.

    Examples
    --------
    >>> Deck().name
    'deck'
    """

    name = "deck"

    def run(self, move: Steps) -> None:
        """Do the steps."""
        move.send(move.all_pages())
        move.quiesce()
        move.hand_over(left=move.dirty())


class PostCopy:
    """Let the target go on at once; every page follows, on demand or when nobody asks.

    Examples
    --------
    >>> PostCopy().name
    'postcopy'
    """

    name = "postcopy"

    def run(self, move: Steps) -> None:
        """Do the steps."""
        move.quiesce()
        move.hand_over(left=move.all_pages())


ALGORITHMS: dict[str, type[Algorithm]] = {
    way.name: way for way in (PreCopy, StopAndCopy, Deck, PostCopy)
}


def named(name: str) -> Algorithm:
    """Return the way of that name.

    Parameters
    ----------
    name
        precopy, stop, deck or postcopy.

    Returns
    -------
    Algorithm
        A new one.

    Raises
    ------
    InvalidInputError
        If there is no such way.

    Examples
    --------
    >>> type(named("stop")).__name__
    'StopAndCopy'
    """
    return ALGORITHMS[one_of("algorithm", name, tuple(ALGORITHMS))]()
