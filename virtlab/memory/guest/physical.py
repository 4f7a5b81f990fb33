"""Guest-physical memory (ゲスト物理メモリ): what a guest takes for its RAM.

A guest numbers its page frames from 0 and believes that they are memory. On bare metal they are.
Under a hypervisor each is only a promise: a frame may never have been backed, may be shared with
another VM's, or may lie in the host's swap, and no guest can tell. So a guest here reads and
writes through this class, and a host replaces it by one of its own
(`virtlab.memory.host.vm_memory`), as a hypervisor replaces the machine.

Each frame has a **content**: -1 is unlike any other, 0 is all zeros, and equal positive numbers
are equal bytes (the code of one operating system in several VMs). For checks on small memories a
frame also holds a **value**, a number that stands for its bytes: what was written must be what is
read, whatever balloon and swap did in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int32]
    Values = NDArray[np.int64]

__all__ = ["LOST", "UNIQUE", "ZERO", "PhysicalMemory", "distinct"]

UNIQUE, ZERO = -1, 0
"""Contents: unlike any other page, and all zeros."""

LOST = -9
"""The value of a frame whose bytes are gone."""


Whole = TypeVar("Whole", bound=np.integer[Any])


def distinct(numbers: NDArray[Whole]) -> NDArray[Whole]:
    """Return each number once, in order; several times as fast as `np.unique` on small arrays.

    Parameters
    ----------
    numbers
        Any.

    Returns
    -------
    ndarray
        Sorted, without repeats.

    Examples
    --------
    >>> distinct(np.array([3, 1, 3], np.int32)).tolist()
    [1, 3]
    """
    if numbers.size <= 1:
        return numbers
    ordered = np.sort(numbers)
    keep = np.empty(ordered.size, np.bool_)
    keep[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=keep[1:])
    once: NDArray[Whole] = ordered[keep]
    return once


class PhysicalMemory:
    """The memory of a machine, or what a guest takes for one.

    Parameters
    ----------
    pages
        Page frames.
    checked
        Whether frames hold values too.

    Attributes
    ----------
    content
        What each frame holds: -1 unique, 0 zeros, above it a common content.
    values
        Stands for the bytes of each frame; None unless checked.

    Examples
    --------
    >>> memory = PhysicalMemory(4, checked=True)
    >>> memory.write(np.array([1, 2]), UNIQUE, np.array([7, 8]))
    0
    >>> memory.load(np.array([2, 3])).tolist()
    [8, 0]
    """

    def __init__(self, pages: int, *, checked: bool = False) -> None:
        self.content = np.zeros(pages, np.int32)
        self.values = np.zeros(pages, np.int64) if checked else None

    def read(self, frames: Indices) -> int:
        """Make sure that frames can be read.

        Parameters
        ----------
        frames
            Which; they may repeat.

        Returns
        -------
        int
            Pages that had to be fetched for it.
        """
        del frames
        return 0

    def write(
        self, frames: Indices, content: int | Indices = UNIQUE, values: Values | int | None = None
    ) -> int:
        """Write frames.

        Parameters
        ----------
        frames
            Which; they may repeat.
        content
            What they hold afterwards.
        values
            Stands for the bytes; left as they are if None.

        Returns
        -------
        int
            Pages that had to be fetched for it.
        """
        self.content[frames] = content
        if self.values is not None and values is not None:
            self.values[frames] = values
        return 0

    def load(self, frames: Indices) -> Values:
        """Return the values of frames that were read; only for checked memory.

        Parameters
        ----------
        frames
            Which.

        Returns
        -------
        ndarray
            Their values.
        """
        if self.values is None:
            raise TypeError("this memory is not checked: it holds no values")
        return self.values[frames]

    def withdraw(self, frames: Indices) -> None:
        """Let go of frames: the guest promises not to look at them, their bytes may be lost.

        Parameters
        ----------
        frames
            Which, each once.
        """
        self.content[frames] = ZERO
        if self.values is not None:
            self.values[frames] = LOST

    def hand_back(self, frames: Indices) -> None:
        """Take frames back into use; whoever uses them writes them first.

        Parameters
        ----------
        frames
            Which, each once.
        """
