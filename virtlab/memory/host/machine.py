"""Machine memory: the frames that there really are, and who shares them.

At this scale the host doesn't number its frames, it counts them. Some are taken for good (the
VMkernel, the console, each VM's overhead), some back one guest page each, and one of each shared
content backs any number of guest pages: the **reference count** (参照カウント) says how many. What
is left is free. Sums are all it takes to decide who has to give how much; which frame is which is
shown in the chapter on page sharing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Contents = NDArray[np.int32]

__all__ = ["HostMemoryError", "MachineMemory"]


class HostMemoryError(RuntimeError):
    """The host has no frame left and nothing to take one from."""


class MachineMemory:
    """The host's frames, counted.

    Parameters
    ----------
    pages
        All of them.
    fixed
        Those that the host itself takes.

    Attributes
    ----------
    used
        Frames that back guest pages.
    reclaim
        Called with the number of frames that are needed when fewer are free.

    Examples
    --------
    Three pages of zeros share one frame; then one of them is written.

    >>> machine = MachineMemory(10, fixed=2)
    >>> machine.take(3)
    >>> machine.share(np.zeros(3, np.int32))
    >>> machine.free, machine.saved
    (7, 2)
    >>> machine.copy(np.zeros(1, np.int32))
    >>> machine.free, machine.saved
    (6, 1)
    """

    def __init__(self, pages: int, fixed: int = 0) -> None:
        self.pages, self.fixed, self.used = pages, fixed, 0
        self.reclaim: Callable[[int], None] = lambda _: None
        self._references = np.zeros(1, np.int32)
        self._mapped = self._kept = 0  # guest pages that share, and the frames that they share

    @property
    def free(self) -> int:
        """Frames that nobody uses."""
        return self.pages - self.fixed - self.used

    @property
    def saved(self) -> int:
        """Frames that sharing saves: pages that share, less the frames they share."""
        return self._mapped - self._kept

    @property
    def saved_zeros(self) -> int:
        """Those among them that hold zeros."""
        return max(int(self._references[0]) - 1, 0)

    def room(self, wanted: int) -> int:
        """Return how many frames are free, after reclaiming if they are fewer than wanted.

        Parameters
        ----------
        wanted
            How many are needed.

        Returns
        -------
        int
            Free frames, at most `wanted`.

        Raises
        ------
        HostMemoryError
            If there is none.
        """
        if self.free < wanted:
            self.reclaim(wanted)
        if wanted > 0 >= self.free:
            raise HostMemoryError("no frame is free and no VM is above its minimum")
        return min(self.free, wanted)

    def take(self, frames: int) -> None:
        """Use free frames.

        Parameters
        ----------
        frames
            How many.

        Raises
        ------
        HostMemoryError
            If fewer are free.
        """
        if frames > self.free:
            raise HostMemoryError(f"{frames} frames wanted, {self.free} are free")
        self.used += frames

    def give(self, frames: int) -> None:
        """Give frames back.

        Parameters
        ----------
        frames
            How many.
        """
        self.used -= frames

    def share(self, contents: Contents) -> None:
        """Let guest pages share: all but one frame of each content come free.

        Parameters
        ----------
        contents
            What each page holds, all >= 0; each had a frame of its own.
        """
        before = self._count(contents)
        self.used -= contents.size - (self._kept - before)
        self._mapped += contents.size

    def _count(self, contents: Contents, sign: int = 1) -> int:
        """Change the reference counts; return how many frames were kept for sharing before."""
        before = self._kept
        zeros = contents == 0  # by far the most
        self._change(np.zeros(1, np.int32), int(np.count_nonzero(zeros)) * sign)
        others = np.sort(contents[~zeros])
        if others.size:
            starts = np.flatnonzero(np.append(True, others[1:] != others[:-1]))
            times = np.diff(np.append(starts, others.size))
            self._change(others[starts], times.astype(np.int32) * sign)
        return before

    def _change(self, different: Contents, by: Contents | int) -> None:
        """Add to the reference counts of different contents."""
        top = int(different[-1]) + 1
        if top > self._references.size:
            more = np.zeros(top - self._references.size, np.int32)
            self._references = np.append(self._references, more)
        old = self._references[different]
        new = old + by
        self._references[different] = new
        self._kept += int(np.count_nonzero(new)) - int(np.count_nonzero(old))

    def drop(self, contents: Contents) -> None:
        """End the sharing of guest pages that are not needed any more.

        Parameters
        ----------
        contents
            What they hold.
        """
        before = self._count(contents, -1)
        self.used -= before - self._kept
        self._mapped -= contents.size

    def copy(self, contents: Contents) -> None:
        """End the sharing of guest pages that are written: each gets a frame of its own.

        Parameters
        ----------
        contents
            What they held.
        """
        self.drop(contents)
        self.take(contents.size)

    def check(self, shared: int) -> None:
        """Raise AssertionError unless the reference counts add up to the pages that share.

        Parameters
        ----------
        shared
            Guest pages that share, counted elsewhere.
        """
        if int(self._references.sum()) != shared or self._references.min() < 0:
            raise AssertionError("reference counts and shared pages disagree")
        if np.count_nonzero(self._references) != self._kept or self._mapped != shared:
            raise AssertionError("frames kept for sharing were counted wrongly")
