"""A writer that goes round, followed round by round: one hand, or thousands at once.

What is to be sent of its set needs three numbers. The hand stands at a page; what it wrote last
ends there, from `low` to `at`. All else that is left over was left because it lies last, so it
reaches the end of the set, from `top`. A round sends from the first page on, so what it leaves is
kept from behind: first of what lies from `top`, then of what ends at the hand. Then the hand goes
on: to `top` and beyond, or round the end, where what it wrote and what was left over are one.

Source: as `virtlab.migration.huge`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.turns import EPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Hand", "Hands", "in_orders"]


class Hand:
    """Where a writer that goes round stands, and what of its set is to be sent.

    Attributes
    ----------
    pages
        Of its set.
    writes
        How many pages it writes while one is sent.
    at
        Where it stands: pages from the first of its set.
    low, top
        To be sent is what lies from `low` to where it stands, and from `top` to the end.

    Examples
    --------
    The last 100 of 1000 pages are left over, and 50 are written, 20 of them among those:

    >>> hand = Hand(1000.0, 870.0, writes=0.5)
    >>> hand.turn(100.0, 100.0)
    130.0
    >>> hand.low, hand.at, hand.top
    (870.0, 920.0, 920.0)
    """

    def __init__(self, pages: float, at: float, writes: float) -> None:
        self.pages, self.writes = pages, writes
        self.at = self.top = at % pages
        self.low = 0.0

    def turn(self, kept: float, sent: float) -> float:
        """Leave its last pages, write while some are sent, and return how many there are then.

        Examples
        --------
        >>> Hand(1000.0, 0.0, writes=2.0).turn(0.0, 600.0)
        1000.0
        """
        pages, at = self.pages, self.at
        written = self.writes * sent
        end = at + written
        if written >= pages:
            self.low, self.at = 0.0, end % pages
            self.top = self.at
            return pages
        last = pages - self.top
        if kept < last:
            low, top = at, pages - kept
        else:
            low, top = max(at - (kept - last), self.low), self.top
        if end >= pages:
            end -= pages
            low, top = 0.0, max(end, low)
        elif end > top:
            top = end
        self.low, self.at, self.top = low, end, top
        return end - low + (pages - top)


@dataclass
class Hands:
    """Many of them: `Hand`'s numbers as arrays of one shape.

    Examples
    --------
    >>> hands = Hands.at_start(np.array([1000.0, 1000.0]), np.array([870.0, 0.0]), np.array([2, 1]))
    >>> hands.turn(np.array([0.0, 100.0]), np.array([600.0, 50.0])).tolist()
    [1000.0, 150.0]
    """

    pages: Floats
    writes: Floats
    low: Floats
    at: Floats
    top: Floats

    @classmethod
    def at_start(cls, pages: Floats, at: Floats, writes: Floats) -> Hands:
        """Return them before the first round, when all is to be sent.

        Examples
        --------
        >>> Hands.at_start(np.array([10.0]), np.array([10.0]), np.array([0.5])).at.tolist()
        [0.0]
        """
        at = at % pages
        return cls(pages, writes, np.zeros(pages.shape), at, at)

    def turn(self, kept: Floats, sent: Floats) -> Floats:
        """Do for each what `Hand.turn` does, in the same order of operations.

        Examples
        --------
        >>> one = Hands.at_start(np.array([1000.0]), np.array([870.0]), np.array([0.5]))
        >>> one.turn(np.array([100.0]), np.array([100.0])).tolist()
        [130.0]
        """
        pages, at = self.pages, self.at
        written = self.writes * sent
        end, last = at + written, pages - self.top
        above = kept < last
        low = np.where(above, at, np.maximum(at - (kept - last), self.low))
        top = np.where(above, pages - kept, self.top)
        over = end >= pages
        end = np.where(over, end - pages, end)
        top = np.maximum(np.where(over, low, top), end)
        low = np.where(over, 0.0, low)
        if (all_of_them := written >= pages).any():
            end = np.where(all_of_them, (at + written) % pages, end)
            low, top = np.where(all_of_them, 0.0, low), np.where(all_of_them, end, top)
        self.low, self.at, self.top = low, end, top
        return np.where(all_of_them, pages, end - low + (pages - top))

    def keep(self, these: NDArray[np.bool_]) -> Hands:
        """Return some of them.

        Examples
        --------
        >>> both = Hands.at_start(np.array([1.0, 2.0]), np.zeros(2), np.zeros(2))
        >>> both.keep(np.array([False, True])).pages.tolist()
        [2.0]
        """
        return Hands(*(getattr(self, item.name)[these] for item in fields(self)))


def in_orders(
    behind: Floats,
    zeros: Floats,
    left: Floats,
    hands: Hands,
    rest: Floats,
    look: Floats,
    most: NDArray[np.int64] | Floats,
    short: float,
) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
    """Do what `virtlab.migration.mean.in_order` does with a hand, for many, and as it does it.

    Parameters
    ----------
    behind, zeros
        Pages behind the set, and of zeros, which lie last.
    left
        What is to be sent at first, without zeros.
    hands
        Their hands.
    rest, look, most, short
        As there; but for the last they are arrays of one shape, as those before.

    Returns
    -------
    tuple of arrays
        Pages sent, rounds, pages left and zeros left.

    Examples
    --------
    >>> hands = Hands.at_start(np.array([4000.0]), np.zeros(1), np.array([0.25]))
    >>> numbers = (np.array([n]) for n in (2000.0, 0.0, 10_000.0))
    >>> limits = (np.array([n]) for n in (300.0, 100.0, 30))
    >>> [array.tolist() for array in in_orders(*numbers, hands, *limits, 0.01)]
    [[13000.0], [5], [250.0], [0.0]]
    """
    numbers = np.stack([left * 0, left, zeros, behind, hands.pages, rest, look, most])
    found, rounds = np.zeros((3, left.size)), np.zeros(left.size, dtype=np.int64)
    who, count = np.arange(left.size), 0
    while True:
        sent, left, zeros, behind, working, rest, look, most = numbers
        goes = (left + zeros > rest) & (count < most)
        if not goes.all():
            found[:, who[~goes]], rounds[who[~goes]] = numbers[:3, ~goes], count
            who, numbers, hands = who[goes], numbers[:, goes], hands.keep(goes)
            sent, left, zeros, behind, working, rest, look, most = numbers
        if not who.size:
            return found[0], rounds, found[1], found[2]
        size, gone, gone_zeros = _sizes(left, zeros, rest, look, short)
        left = left - gone
        behind = np.minimum(behind, left)
        over = np.minimum(left - behind, working)
        written = hands.turn(over, size)
        left += written - over
        numbers[:5] = sent + size, left, zeros - gone_zeros, behind, written
        count += 1


def _sizes(
    left: Floats, zeros: Floats, rest: Floats, look: Floats, short: float
) -> tuple[Floats, Floats, Floats]:
    """Return what a round sends: in all, as full pages, then pages, and zeros."""
    looks = 1 / np.where(look > 0, look, np.inf)
    size = np.where(look > 0, np.ceil((left - (rest + EPS * look)) * looks) * look, left)
    size = gone = np.minimum(size, left)
    gone_zeros = np.zeros(left.shape)
    if (some := zeros > 0).any():
        full, kept = left + zeros * short, np.minimum(zeros, rest)
        fits = full - kept * short - (rest - kept)
        every = np.where(look > 0, look, 1.0)
        until = np.where(look > 0, np.ceil(fits / every - EPS) * look, np.inf)
        ends = until >= full
        part = np.minimum(left, until)
        size = np.where(some, np.where(ends, full, until), size)
        gone = np.where(some, np.where(ends, left, part), gone)
        rest_of_it = (np.where(ends, 0.0, until) - part) / short if short else 0.0
        gone_zeros = np.where(some, np.where(ends, zeros, rest_of_it), 0.0)
    return size, gone, gone_zeros
