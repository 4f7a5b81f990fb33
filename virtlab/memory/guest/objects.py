"""What a guest keeps in memory: objects of one page each, wherever they are.

A program does not touch frames, it touches its data. An **object** is one page of such data: of
a program's own memory (**anonymous**, 無名ページ: if it leaves memory it must go to the guest's
swap, or it is lost) or of a file (in memory it is **page cache**, ページキャッシュ: as long as
nobody wrote to it, it can be dropped, for the disk has it). The table says of each object in which
frame it is, if in any, and whether a disk has a copy. Objects come in regions, consecutive
numbers, as programs get their memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.physical import UNIQUE, ZERO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int32]

__all__ = ["FILE", "NOWHERE", "SAVED", "ObjectTable", "Region"]

NOWHERE = -1
"""The frame of an object that is in none."""

FILE, SAVED = np.uint8(1), np.uint8(2)
"""Flags of an object: it is a file's; a disk or the swap has a copy of it."""


@dataclass(frozen=True)
class Region:
    """Consecutive objects.

    Attributes
    ----------
    start, stop
        First object, and the one after the last.
    common
        Content of the first if all VMs with this image have the same bytes; -1 if not.

    Examples
    --------
    >>> Region(10, 14).pages
    4
    """

    start: int
    stop: int
    common: int = UNIQUE

    @property
    def pages(self) -> int:
        """How many objects it has."""
        return self.stop - self.start

    def all(self) -> Indices:
        """Return the numbers of all its objects."""
        return np.arange(self.start, self.stop, dtype=np.int32)


class ObjectTable:
    """Where each object is.

    Attributes
    ----------
    frame
        The frame that holds it, or -1.
    flags
        FILE and SAVED.
    expected
        What its bytes should be, and `saved`: what they are on disk; None unless checked.

    Examples
    --------
    >>> table = ObjectTable()
    >>> table.add(3, file=True), table.add(2)
    (Region(start=0, stop=3, common=-1), Region(start=3, stop=5, common=-1))
    >>> table.flags.tolist(), table.frame.tolist()
    ([3, 3, 3, 0, 0], [-1, -1, -1, -1, -1])
    """

    def __init__(self, *, checked: bool = False) -> None:
        self.frame = np.empty(0, np.int32)
        self.flags = np.empty(0, np.uint8)
        self.expected = np.empty(0, np.int64) if checked else None
        self.saved = np.empty(0, np.int64) if checked else None
        self._images: list[Region] = []

    def add(self, pages: int, *, file: bool = False, common: int = UNIQUE) -> Region:
        """Make a region.

        Parameters
        ----------
        pages
            How many objects.
        file
            Whether they are a file's, all of it on disk.
        common
            Content of the first, if all VMs with this image have the same bytes.

        Returns
        -------
        Region
            Their numbers.
        """
        region = Region(self.frame.size, self.frame.size + pages, common)
        self.frame = np.append(self.frame, np.full(pages, NOWHERE, np.int32))
        fresh = np.full(pages, FILE | SAVED if file else 0, np.uint8)
        self.flags = np.append(self.flags, fresh)
        if self.expected is not None and self.saved is not None:
            # a file's bytes are something before anybody wrote; other memory starts as zeros
            first = -1000 - np.arange(region.start, region.stop) if file else np.zeros(pages, int)
            self.expected = np.append(self.expected, first)
            self.saved = np.append(self.saved, first)
        if common != UNIQUE:
            self._images.append(region)
        return region

    def content(self, objects: Indices) -> Indices:
        """Return the content that a frame has once an object is loaded into it.

        Parameters
        ----------
        objects
            Which.

        Returns
        -------
        ndarray
            -1 for what is unique, 0 for memory that was never written, else a common content.

        Examples
        --------
        >>> table = ObjectTable()
        >>> code, heap = table.add(2, file=True, common=501), table.add(2)
        >>> table.content(np.arange(4)).tolist()
        [501, 502, 0, 0]
        """
        content = np.full(objects.size, UNIQUE, np.int32)
        content[(self.flags[objects] & SAVED) == 0] = ZERO
        for image in self._images:
            mine = (objects >= image.start) & (objects < image.stop)
            content[mine] = objects[mine] - image.start + image.common
        return content

    def shared_by_all(self, objects: Indices) -> bool:
        """Return whether one of the objects is an image's, which nobody may write.

        Parameters
        ----------
        objects
            Which.

        Returns
        -------
        bool
            Whether there is one.
        """
        return any(
            image.pages > 0 and bool(((objects >= image.start) & (objects < image.stop)).any())
            for image in self._images
        )
