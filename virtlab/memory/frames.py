"""Machine frames: states, reference counts, and the size of the table that sharing needs (S27).

Reference counts have 16 bits, and the few frames that outgrow them (the zero page does at 256 MiB
of zeros) have theirs in an overflow table. A table entry takes 16 bytes for a frame of 4,096, so
the table is at most 16 / 4096 = 0.39 % of memory.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 4.

Left out: how the table chains its entries.
"""

from __future__ import annotations

import numpy as np

from virtlab.memory.hashing import PAGE_BYTES
from virtlab.validate import integer

__all__ = [
    "FRAME_ENTRY_BYTES",
    "FREE",
    "HINT",
    "SHARED",
    "STATES",
    "USED",
    "ZEROS",
    "RefCounts",
    "table_percent",
]

# States of a guest page, as numbers in a page map; the names are those of the palette.
STATES = ("free", "used", "hint", "shared", "zero")
FREE, USED, HINT, SHARED, ZEROS = range(5)
FRAME_ENTRY_BYTES = 16


def table_percent(page_bytes: int = PAGE_BYTES) -> float:
    """Return what the table of shared and hint frames takes at most, in percent of memory.

    Parameters
    ----------
    page_bytes
        Size of a page.

    Returns
    -------
    float
        An entry for each frame, in percent of the frames.

    Examples
    --------
    >>> table_percent()
    0.390625
    """
    return 100 * FRAME_ENTRY_BYTES / integer("page_bytes", page_bytes, minimum=1)


class RefCounts:
    """Reference counts of few bits; the few frames that outgrow them are kept in a table beside.

    Parameters
    ----------
    frames
        How many frames.
    bits
        Bits of a count; ESX uses 16.

    Attributes
    ----------
    overflow
        Counts of the frames that outgrew their bits, by frame.

    Examples
    --------
    >>> counts = RefCounts(frames=2, bits=2)
    >>> for _ in range(5):
    ...     counts.add(0, 1)
    >>> counts[0], counts.overflow
    (5, {0: 5})
    >>> counts.add(0, -3)
    >>> counts[0], counts.overflow
    (2, {})
    """

    def __init__(self, frames: int, bits: int = 16) -> None:
        self._full = 2 ** integer("bits", bits, minimum=1, maximum=16) - 1
        self._counts = np.zeros(frames, dtype=np.uint16)
        self.overflow: dict[int, int] = {}

    def __getitem__(self, frame: int) -> int:
        """Return the count of a frame."""
        return self.overflow.get(frame, int(self._counts[frame]))

    def add(self, frame: int, change: int) -> None:
        """Add to the count of a frame.

        Parameters
        ----------
        frame
            Its number.
        change
            What to add; less than 0 to take away.

        Examples
        --------
        >>> counts = RefCounts(1)
        >>> counts.add(0, 3)
        >>> counts[0]
        3
        """
        count = integer("reference count", self[frame] + change, minimum=0)
        self.overflow.pop(frame, None)
        self._counts[frame] = min(count, self._full)
        if count >= self._full:  # the largest value means: look in the table
            self.overflow[frame] = count
