"""The memory of the machine that moves: pages of 4 KiB that we own, and which of them are dirty.

All that the database is lies in one buffer. Every write goes through `OwnedMemory.write`, so the
**dirty bitmap** (one bit a page) is exact, and no privilege is needed to have it. A page's bit is
set after its bytes: a copy that ran in between is then sent again, never missed.

The buffer is a file without a name in memory, mapped by the process that runs the machine. Whoever
else holds that file (here the course's process, as the host's kernel would) still has the bytes if
the process is killed.

After a hand-over with pages left behind (post-copy), pages may be **absent**; who reads or writes
one first calls `fetch`.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["PAGE_BYTES", "OwnedMemory", "memory_file"]

PAGE_BYTES = 4096


def memory_file(pages: int) -> int:
    """Make a file without a name that holds so many pages of zeros.

    Parameters
    ----------
    pages
        Its size, pages.

    Returns
    -------
    int
        A file descriptor; who has it, has the memory.

    Examples
    --------
    >>> file = memory_file(4)
    >>> os.fstat(file).st_size
    16384
    >>> os.close(file)
    """
    pages = integer("pages", pages, minimum=1)
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("virtlab-machine")
    else:  # not on Linux: a file that has no name any more
        with tempfile.TemporaryFile() as made:
            file = os.dup(made.fileno())
    os.ftruncate(file, pages * PAGE_BYTES)
    return file


class OwnedMemory:
    """Pages of a machine, with a bit for each page that was written.

    Parameters
    ----------
    file
        From `memory_file`; two memories on one file have the same bytes.

    Attributes
    ----------
    pages
        How many.
    absent_pages
        How many are not here yet.

    Examples
    --------
    >>> memory = OwnedMemory(memory_file(8))
    >>> memory.write(4090, b"over the edge")
    >>> memory.take_dirty().tolist()
    [0, 1]
    >>> memory.take_dirty().tolist()
    []
    >>> memory.read(4095, 7)
    b'the edg'
    """

    def __init__(self, file: int) -> None:
        self.pages = os.fstat(file).st_size // PAGE_BYTES
        self._bytes = mmap.mmap(file, self.pages * PAGE_BYTES)
        self._dirty = bytearray((self.pages + 7) // 8)
        self._absent: NDArray[np.bool_] = np.zeros(self.pages, dtype=np.bool_)
        self.absent_pages = 0
        self._fetch: Callable[[int], None] | None = None

    @property
    def view(self) -> memoryview:
        """All bytes, for sending and for receiving; writes to it are not tracked."""
        return memoryview(self._bytes)

    def read(self, start: int, length: int) -> bytes:
        r"""Return bytes; absent pages are fetched first.

        Parameters
        ----------
        start, length
            Where, and how many, bytes.

        Returns
        -------
        bytes
            What is there.

        Examples
        --------
        >>> OwnedMemory(memory_file(1)).read(0, 3)
        b'\x00\x00\x00'
        """
        if self.absent_pages:
            self._bring(start, start + length)
        return self._bytes[start : start + length]

    def write(self, start: int, data: bytes | bytearray | memoryview) -> None:
        """Write bytes, then mark their pages dirty.

        Parameters
        ----------
        start
            Where, bytes.
        data
            What.

        Raises
        ------
        InvalidInputError
            If it would not fit.

        Examples
        --------
        See the class.
        """
        end = start + len(data)
        if not 0 <= start <= end <= len(self._bytes):
            raise InvalidInputError("start", start, f"such that all fits in {self.pages} pages")
        if self.absent_pages:
            self._bring(start, end)
        self._bytes[start:end] = data
        for page in _pages(start, end):
            self._dirty[page >> 3] |= 1 << (page & 7)

    @property
    def dirty_count(self) -> int:
        """How many pages were written since the last `take_dirty`."""
        return int.from_bytes(self._dirty, "little").bit_count()

    def take_dirty(self) -> NDArray[np.int64]:
        """Return the pages written since the last call, and clear the bitmap.

        Returns
        -------
        ndarray
            Page numbers in order. The caller sees to it that nobody writes meanwhile.

        Examples
        --------
        See the class.
        """
        bits = np.frombuffer(self._dirty, dtype=np.uint8)
        found = np.flatnonzero(np.unpackbits(bits, bitorder="little")[: self.pages])
        self._dirty = bytearray(len(self._dirty))
        return found

    def filled_pages(self) -> NDArray[np.int64]:
        """Return the pages that hold anything but zeros.

        Returns
        -------
        ndarray
            Page numbers in order.

        Examples
        --------
        >>> memory = OwnedMemory(memory_file(8))
        >>> memory.write(3 * 4096 + 5, b"x")
        >>> memory.filled_pages().tolist()
        [3]
        """
        words = np.frombuffer(self._bytes, dtype=np.uint64).reshape(self.pages, -1)
        return np.flatnonzero(words.any(axis=1))

    def expect(self, pages: ArrayLike, fetch: Callable[[int], None]) -> None:
        """Say which pages are absent, and who brings one.

        Parameters
        ----------
        pages
            Page numbers.
        fetch
            Called with a page number; returns once that page has been `put`.

        Examples
        --------
        >>> memory = OwnedMemory(memory_file(8))
        >>> memory.expect([2], lambda page: memory.put(page, b"s" * 4096))
        >>> memory.absent_pages, memory.read(2 * 4096, 2), memory.absent_pages
        (1, b'ss', 0)
        """
        self._absent[np.asarray(pages, dtype=np.int64)] = True
        self._fetch = fetch
        self.absent_pages = int(self._absent.sum())

    def put(self, page: int, data: bytes | memoryview) -> bool:
        """Bring a page that is absent; one that is here stays as it is.

        Parameters
        ----------
        page
            Its number.
        data
            Its 4,096 bytes.

        Returns
        -------
        bool
            Whether it was needed.

        Examples
        --------
        >>> OwnedMemory(memory_file(1)).put(0, bytes(4096))
        False
        """
        if not self._absent[page]:
            return False
        self._bytes[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = data
        self._absent[page] = False  # after the bytes: another thread may be waiting for it
        self.absent_pages -= 1
        return True

    def is_absent(self, page: int) -> bool:
        """Return whether a page is still to come.

        Parameters
        ----------
        page
            Its number.

        Returns
        -------
        bool
            True until it was put.

        Examples
        --------
        >>> OwnedMemory(memory_file(1)).is_absent(0)
        False
        """
        return bool(self._absent[page])

    def _bring(self, start: int, end: int) -> None:
        """Fetch the absent pages of a range."""
        for page in _pages(start, end):
            if self._absent[page] and self._fetch is not None:
                self._fetch(page)


def _pages(start: int, end: int) -> range:
    """Return the pages that bytes from start to end lie on; none if there are no bytes."""
    return range(start // PAGE_BYTES, (end - 1) // PAGE_BYTES + 1) if end > start else range(0)
