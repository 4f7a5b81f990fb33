"""A writer that goes round, on the mean: when no round has to be run.

It writes no page twice before it has been all the way. Then the sum of all rounds is known without
them: after k looks, of n pages each, k n pages are sent and k w written, and k is the least number
with which what there was beyond the rest at first, and k w, is sent:

    k = ceil((pages - rest) / (n - w))

Rounds are where one stops on the way there to read the bitmap: k' = ceil((pages - rest + k w) / n).
`in_turn` is that for one migration, `in_turns` for thousands, in the same order of operations, so
that both round alike.

That holds while the hand meets no page that is still to be sent. Those lie last: behind its set if
there is room, and less than a look's pages in it, at the end of what was written in a round. Where
the set reaches the end of memory they all lie in it; coming to them the hand writes what is to be
sent anyway. There it is followed round by round (`virtlab.migration.hands`).

Source: as `virtlab.migration.huge`.
"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["EPS", "Rounds", "in_turn", "in_turns"]

EPS = 1e-9  # of a look: a rounding shall not cost one

Rounds = tuple[float, int, float, float]  # sent, in full pages; rounds; pages and zeros left


def in_turn(
    pages: float,
    behind: float,
    working: float,
    at: float,
    writes: float,
    rest: float,
    look: float,
    most: int,
) -> Rounds | None:
    """Go round with a hand that writes no page twice once a round is too short for all of them.

    Parameters
    ----------
    pages, behind, working
        Of the machine, behind the set, and of the set; none of them zeros.
    at
        Where the hand stands in its set at first, a page.
    writes
        Pages written while one is sent.
    rest, look
        Pages that may be left for the stop, and that are sent between two looks; rest >= look > 0.
    most
        Rounds.

    Returns
    -------
    tuple or None
        Pages sent, rounds, pages left and zeros left. None if it does write a page twice, or may
        meet pages that are left over, which it does not if enough others lie behind.

    Examples
    --------
    >>> in_turn(10_000, 2000, 4000, 0, 0.25, 300, 100, 30)
    (13000, 5, 250.0, 0.0)
    >>> in_turn(10_000, 0, 4000, 0, 0.25, 300, 100, 30) is None
    True
    """
    if behind < rest:
        return None
    beyond, turn, kept = (pages - rest) / look, working / look, inf  # in looks
    looks = rounds = more = 0
    while beyond > 0 and rounds < most:
        step = ceil(beyond - EPS)
        looks += step
        rounds += 1
        beyond -= step
        written = writes * step
        if written < turn:
            if writes >= 1:
                return None
            beyond += written
            again = written - turn + (writes * beyond / (1 - writes) if beyond > 0 else 0.0)
            if again > 0:  # of what it passes again the end was left over
                stands = (at / look + writes * (looks - step)) % turn
                if again > min(written, turn - stands) - 1:
                    return None
            break
        kept = min(kept, beyond)  # all are written: only what lies behind is left over
        beyond = kept + turn
    reached = ceil(first := beyond - EPS)
    while reached > more and rounds < most:
        more = reached
        rounds += 1
        reached = ceil(first + writes * more)
    return (looks + more) * look, rounds, (beyond + writes * more - more) * look + rest, 0.0


def in_turns(
    pages: Floats,
    behind: Floats,
    working: Floats,
    at: Floats,
    writes: Floats,
    rest: Floats,
    look: Floats,
    most: NDArray[np.int64] | Floats,
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.int64], Floats]:
    """Do what `in_turn` does for many.

    Parameters
    ----------
    pages, behind, working, at, writes, rest, look, most
        As there, arrays of one shape.

    Returns
    -------
    tuple of arrays
        For each whether it is known, pages sent, rounds, pages left. Of one that is not known, as
        `in_turn` returns None or it is not so that rest >= look > 0, the others mean nothing.

    Examples
    --------
    >>> columns = np.array([[10_000, 2000, 4000, 0, 0.25, 300, 100, 30]] * 2).T
    >>> columns[1] = [2000, 0]
    >>> [array.tolist() for array in in_turns(*columns)]
    [[True, False], [13000.0, 0.0], [5, 0], [250.0, 10000.0]]
    """
    known = (behind >= rest) & (rest >= look) & (look > 0)
    look = np.where(look > 0, look, 1.0)
    beyond, turn, kept = (pages - rest) / look, working / look, np.full(pages.shape, inf)
    looks, rounds, full = np.zeros(pages.shape), np.zeros(pages.shape, dtype=np.int64), known.copy()
    while (goes := full & (beyond > 0) & (rounds < most)).any():
        step = np.where(goes, np.ceil(beyond - EPS), 0.0)
        looks += step
        rounds += goes
        beyond -= step
        written = writes * step
        all_of_them = goes & (written >= turn)
        full &= ~goes | all_of_them
        kept = np.where(all_of_them, np.minimum(kept, beyond), kept)
        beyond = np.where(all_of_them, kept + turn, beyond + written)
        stands = (at / look + writes * (looks - step)) % turn
        again = written + writes * np.maximum(beyond, 0.0) / np.maximum(1 - writes, 1e-9) - turn
        clear = again <= np.maximum(np.minimum(written, turn - stands) - 1, 0.0)
        known &= full | ~goes | (clear & (writes < 1))
    first, more, goes = beyond - EPS, np.zeros(pages.shape), known.copy()
    while True:
        reached = np.ceil(first + writes * more)
        goes &= (reached > more) & (rounds < most)
        if not goes.any():
            break
        more = np.where(goes, reached, more)
        rounds += goes
    return known, (looks + more) * look, rounds, (beyond + writes * more - more) * look + rest
