"""The frame table of a guest: which object each frame holds, and when it was last touched.

An operating system keeps some bytes for each page frame; here they are an object's number, the
tick (of one second) of the last touch, and flags. Free frames stand in a stack. What is full gives
way by age: the **inactive list** holds the frames that were not touched for longest, and an entry
that was touched since is passed over, as by a second chance.

Anonymous pages have an advantage of a minute over the page cache, so that a guest drops cache
before it swaps its programs out. That minute is ours; systems differ here, and in more than this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int32]

__all__ = [
    "ANONYMOUS",
    "BALLOON",
    "CACHE_FIRST_S",
    "DIRTY",
    "FREE",
    "NEVER",
    "PINNED",
    "FrameTable",
]

FREE, BALLOON = -1, -2
"""What a frame holds that holds no object."""

DIRTY, ANONYMOUS, PINNED, UNSAVED = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
"""Flags of a frame: newer than its copy on disk; anonymous; never given away; anonymous and
without a place in the swap."""

NEVER = -10_000
"""The tick of the last touch of a frame that was not touched yet."""

CACHE_FIRST_S = 60
"""An anonymous page counts as touched so many seconds later than a cached one."""

_PORTION = 16  # a refill of the inactive list takes a sixteenth of the frames


class FrameTable:
    """The frames of a guest.

    Parameters
    ----------
    pages
        How many.

    Attributes
    ----------
    holds
        Object in each frame, or FREE or BALLOON.
    touched
        Tick of the last touch.
    flags
        DIRTY, ANONYMOUS, PINNED, UNSAVED.
    fixed
        Frames with one of these flags can't leave now.

    Examples
    --------
    >>> table = FrameTable(4)
    >>> table.take_free(3).tolist(), table.free
    ([0, 1, 2], 1)
    >>> table.put_free(np.array([1], np.int32))
    >>> table.free
    2
    """

    def __init__(self, pages: int) -> None:
        self.holds = np.full(pages, FREE, np.int32)
        self.touched = np.full(pages, NEVER, np.int32)
        self.flags = np.zeros(pages, np.uint8)
        self._stack = np.arange(pages, dtype=np.int32)[::-1].copy()
        self.free = pages
        self.fixed = PINNED
        self._inactive = np.empty(0, np.int32)
        self._stamps = np.empty(0, np.int32)

    @property
    def pages(self) -> int:
        """How many frames there are."""
        return int(self.holds.size)

    def take_free(self, wanted: int) -> Indices:
        """Take frames off the stack of free ones.

        Parameters
        ----------
        wanted
            How many at most.

        Returns
        -------
        ndarray
            The frames; fewer if there are fewer.
        """
        left = max(self.free - wanted, 0)
        frames = self._stack[left : self.free][::-1].copy()
        self.free = left
        return frames

    def put_free(self, frames: Indices) -> None:
        """Put frames on the stack of free ones.

        Parameters
        ----------
        frames
            Which, each once and not free yet.
        """
        self.holds[frames] = FREE
        self.flags[frames] = 0
        self._stack[self.free : self.free + frames.size] = frames
        self.free += frames.size

    def oldest(self, wanted: int) -> Indices:
        """Return the frames that are worth least, the least first.

        Parameters
        ----------
        wanted
            How many at most.

        Returns
        -------
        ndarray
            Frames, each once; they leave the inactive list. Fewer if most of the list was touched
            in the meantime (ask again), none if there is nothing to give.

        Examples
        --------
        >>> table = FrameTable(4)
        >>> frames = table.take_free(4)
        >>> table.holds[frames] = [0, 1, 2, 3]
        >>> table.touched[frames] = [5, 100, 9, 4]
        >>> table.flags[frames] = [0, 0, 0, ANONYMOUS]
        >>> table.oldest(3).tolist()
        [0, 2, 3]
        """
        if self._inactive.size < wanted:
            self._refill(wanted)
        found = self._pop(wanted)
        if found.size == 0:  # all of the list was touched since
            self._refill(wanted)
            found = self._pop(wanted)
        return found

    def _pop(self, wanted: int) -> Indices:
        """Take entries off the inactive list that were not touched since they came on it."""
        found = [np.empty(0, np.int32)]
        lacking = wanted
        while lacking and self._inactive.size:
            frames, stamps = self._inactive[:lacking], self._stamps[:lacking]
            self._inactive, self._stamps = self._inactive[lacking:], self._stamps[lacking:]
            still = (self.touched[frames] == stamps) & self._may_go(frames)
            found.append(frames[still])
            lacking -= int(still.sum())
        return np.concatenate(found)

    def _may_go(self, frames: Indices | slice) -> NDArray[np.bool_]:
        may: NDArray[np.bool_] = (self.holds[frames] >= 0) & (self.flags[frames] & self.fixed == 0)
        return may

    def _refill(self, wanted: int) -> None:
        """Find the oldest frames again."""
        candidates = np.flatnonzero(self._may_go(slice(None))).astype(np.int32)
        portion = min(candidates.size, max(wanted, self.pages // _PORTION))
        age = self.touched[candidates]
        age += ((self.flags[candidates] & ANONYMOUS) > 0) * np.int32(CACHE_FIRST_S)
        if portion < candidates.size:
            chosen = np.argpartition(age, portion)[:portion]
            candidates, age = candidates[chosen], age[chosen]
        self._inactive = candidates[np.argsort(age, kind="stable")]
        self._stamps = self.touched[self._inactive]

    def check(self) -> None:
        """Raise AssertionError unless the stack of free frames and the table agree."""
        free = np.sort(self._stack[: self.free])
        if not np.array_equal(free, np.flatnonzero(self.holds == FREE)):
            raise AssertionError("the free list and the frames disagree")
