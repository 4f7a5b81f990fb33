"""Page sharing as ESX Server does it, on real bytes (S27).

Each VM believes that it owns its pages; the VMM maps each onto a frame of machine memory. A scanner
visits pages in the background. It hashes a page and looks the hash up in a table:

- nothing there: the page's frame is entered as a *hint*. It stays writable, so the entry may go
  stale, and nobody pays for it;
- a hint there: the hinted frame is hashed again. If it has changed, the hint is dropped and this
  page takes its place. If not, both pages are compared in full; if they are equal, the frame is
  marked copy-on-write, both map to it, and the other frame is free;
- a shared frame there: compared in full; if equal, one more page maps to it.

A write to a shared page gets a private copy first: the **copy-on-write break**. What a guest reads
is always what it last wrote. `virtlab.memory.frames` has reference counts and the table's size.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 4.
What a write does to a frame that only one page still maps (it becomes private, with no copy) is
our choice. Left out: large pages, the cost of the copy, and sharing before a page is swapped.
`virtlab.memory.scan.scanning` runs the same rules on numbers of contents, for gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from virtlab.memory.frames import FREE, HINT, SHARED, USED, ZEROS, RefCounts
from virtlab.memory.hashing import PAGE_BYTES, as_pages
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from virtlab.memory.hashing import PageBytes

__all__ = ["Event", "SharedMemory"]

_BLANK = bytes(PAGE_BYTES)


@dataclass(frozen=True)
class Event:
    """One thing that the scanner or a write did.

    Attributes
    ----------
    what
        'hint', 'still a hint', 'stale hint replaced', 'shared', 'already shared', 'collision',
        'free'; of a write: 'written', 'copied' (the copy-on-write break), 'unshared' (the last page
        of a shared frame), 'allocated'.
    page
        Number of the guest page, counted over all VMs.
    frame
        The machine frame that it maps to now; -1 for none.
    """

    what: str
    page: int
    frame: int


class SharedMemory:
    """The memory of several VMs on one host, with content-based page sharing.

    Parameters
    ----------
    images
        What is in each VM's memory at the start: whole pages.
    hash_page
        Hash of one page; sharing never rests on it alone.
    count_bits
        Bits of a reference count.

    Attributes
    ----------
    fresh
        Which pages were written since the scanner last saw them (all, at the start).

    Examples
    --------
    Two VMs have the page 'a'; one visit makes a hint, the next shares:

    >>> a, b = b"a" * 4096, b"b" * 4096
    >>> memory = SharedMemory([a + b, a])
    >>> [memory.visit(page).what for page in (0, 1, 2)]
    ['hint', 'hint', 'shared']
    >>> memory.frames_used, memory.reclaimed
    (2, 1)

    VM 1 writes to its page: it gets a copy, and VM 0 still reads what it had:

    >>> memory.write(1, 0, b"z").what
    'copied'
    >>> memory.read(0, 0)[:2], memory.read(1, 0)[:2], memory.frames_used
    (b'aa', b'za', 3)
    """

    def __init__(
        self,
        images: Sequence[PageBytes],
        hash_page: Callable[[bytes], int] = xxhash.xxh3_64_intdigest,
        count_bits: int = 16,
    ) -> None:
        pages = [as_pages(image).view(np.uint8) for image in images]
        self._first = np.cumsum([0, *map(len, pages)])  # number of each VM's first page
        self._frames = np.concatenate([*pages, np.empty((0, PAGE_BYTES), np.uint8)])
        total = len(self._frames)
        self._frame_of = np.arange(total)
        self._counts = RefCounts(total, count_bits)
        for frame in range(total):
            self._counts.add(frame, 1)
        self._free: list[int] = []
        self._cow = np.zeros(total, dtype=bool)
        self._table: dict[int, int] = {}  # hash: frame, shared or hint
        self._key_of: dict[int, int] = {}  # frame: the hash under which it is in the table
        self._hash = hash_page
        self.fresh: NDArray[np.bool_] = np.ones(total, dtype=bool)

    @property
    def owners(self) -> NDArray[np.int64]:
        """The VM of each page, from 0."""
        return np.repeat(np.arange(len(self._first) - 1), np.diff(self._first))

    @property
    def frames_used(self) -> int:
        """Machine frames that hold something."""
        return len(self._frames) - len(self._free)

    @property
    def reclaimed(self) -> int:
        """Frames saved: pages that are mapped, less frames used."""
        return int((self._frame_of >= 0).sum()) - self.frames_used

    @property
    def shared(self) -> int:
        """Pages whose frame at least one other page maps to."""
        return sum(1 for frame in self._frame_of.tolist() if frame >= 0 and self._counts[frame] > 1)

    def states(self) -> NDArray[np.uint8]:
        """Return the state of each page, for a page map: an index into `frames.STATES`.

        Examples
        --------
        >>> memory = SharedMemory([bytes(8192)])
        >>> memory.visit(0).what, memory.visit(1).what, memory.states().tolist()
        ('hint', 'shared', [4, 4])
        """
        found = np.full(len(self._frame_of), USED, dtype=np.uint8)
        for page, frame in enumerate(self._frame_of.tolist()):
            if frame < 0:
                found[page] = FREE
            elif self._cow[frame]:
                found[page] = SHARED if self._frames[frame].any() else ZEROS
            elif frame in self._key_of:
                found[page] = HINT
        return found

    def frames_of(self) -> NDArray[np.int64]:
        """Return the machine frame of each page; -1 for none.

        Returns
        -------
        ndarray
            One number a page; equal numbers share a frame.

        Examples
        --------
        >>> memory = SharedMemory([b"a" * 8192])
        >>> memory.visit(0).what, memory.visit(1).what, memory.frames_of().tolist()
        ('hint', 'shared', [0, 0])
        """
        return self._frame_of.copy()

    def number(self, vm: int, page: int) -> int:
        """Return the number of a VM's page, counted over all VMs.

        Parameters
        ----------
        vm, page
            Which VM, and which of its pages; from 0.

        Returns
        -------
        int
            The number that `visit` takes.

        Examples
        --------
        >>> SharedMemory([bytes(8192), bytes(4096)]).number(1, 0)
        2
        """
        vm = integer("vm", vm, minimum=0, maximum=len(self._first) - 2)
        size = int(self._first[vm + 1] - self._first[vm])
        return int(self._first[vm]) + integer("page", page, minimum=0, maximum=size - 1)

    def read(self, vm: int, page: int) -> bytes:
        """Return what a guest reads: a page's 4,096 bytes; zeros where it has none.

        Parameters
        ----------
        vm, page
            Which VM, and which of its pages.

        Returns
        -------
        bytes
            What it last wrote.

        Examples
        --------
        >>> SharedMemory([b"a" * 4096]).read(0, 0)[:3]
        b'aaa'
        """
        frame = int(self._frame_of[self.number(vm, page)])
        return _BLANK if frame < 0 else self._frames[frame].tobytes()

    def write(self, vm: int, page: int, data: bytes, offset: int = 0) -> Event:
        """Write as a guest does; a shared page gets its own frame first.

        Parameters
        ----------
        vm, page
            Which VM, and which of its pages.
        data
            What is written.
        offset
            Where in the page it begins, in bytes.

        Returns
        -------
        Event
            What it took: 'written', 'copied', 'unshared' or 'allocated'.

        Examples
        --------
        >>> SharedMemory([b"a" * 4096]).write(0, 0, b"new").what
        'written'
        """
        number = self.number(vm, page)
        end = integer("offset", offset, minimum=0) + len(data)
        if end > PAGE_BYTES:
            raise InvalidInputError("offset + len(data)", end, f"at most {PAGE_BYTES}")
        what = self._make_private(number)
        frame = int(self._frame_of[number])
        self._frames[frame, offset:end] = np.frombuffer(data, dtype=np.uint8)
        self.fresh[number] = True
        return Event(what, number, frame)

    def free(self, vm: int, page: int) -> None:
        """Take a page from a guest; it reads zeros there until it writes again.

        Parameters
        ----------
        vm, page
            Which VM, and which of its pages.

        Examples
        --------
        >>> memory = SharedMemory([b"a" * 4096])
        >>> memory.free(0, 0)
        >>> memory.read(0, 0) == bytes(4096), memory.frames_used
        (True, 0)
        """
        number = self.number(vm, page)
        if self._frame_of[number] >= 0:
            self._let_go(int(self._frame_of[number]))
            self._frame_of[number] = -1

    def visit(self, page: int) -> Event:
        """Scan one page: this is the whole algorithm.

        Parameters
        ----------
        page
            Number of the page, counted over all VMs (`number`).

        Returns
        -------
        Event
            What the visit did.

        Examples
        --------
        >>> SharedMemory([b"a" * 4096]).visit(0)
        Event(what='hint', page=0, frame=0)
        """
        page = integer("page", page, minimum=0, maximum=len(self._frame_of) - 1)
        frame = int(self._frame_of[page])
        self.fresh[page] = False
        if frame < 0:
            return Event("free", page, -1)
        if self._cow[frame]:
            return Event("already shared", page, frame)
        key = self._hash_of(frame)
        if self._key_of.get(frame, key) != key:
            self._forget(frame)  # it was a hint for what the page held before
        return self._look_up(key, page)

    def _look_up(self, key: int, page: int) -> Event:
        """Hold a private page against what the table has for its hash."""
        frame, other = int(self._frame_of[page]), self._table.get(key)
        if other is None:
            return self._enter(key, page, "hint")
        if other == frame:
            return Event("still a hint", page, frame)
        if not self._cow[other] and self._hash_of(other) != key:
            self._forget(other)
            return self._enter(key, page, "stale hint replaced")
        if not np.array_equal(self._frames[frame], self._frames[other]):
            return Event("collision", page, frame)
        return self._share(page, other)

    def _hash_of(self, frame: int) -> int:
        return self._hash(self._frames[frame].tobytes())

    def _enter(self, key: int, page: int, what: str) -> Event:
        """Enter a page's frame in the table as a hint."""
        frame = int(self._frame_of[page])
        self._table[key] = frame
        self._key_of[frame] = key
        return Event(what, page, frame)

    def _forget(self, frame: int) -> None:
        """Take a frame out of the table, if it is there."""
        key = self._key_of.pop(frame, None)
        if key is not None:
            del self._table[key]

    def _share(self, page: int, frame: int) -> Event:
        """Map a page to a frame with the same bytes, and let its own go."""
        self._let_go(int(self._frame_of[page]))
        self._cow[frame] = True
        self._counts.add(frame, 1)
        self._frame_of[page] = frame
        return Event("shared", page, frame)

    def _let_go(self, frame: int) -> None:
        """Take one reference away; a frame that nobody maps is free, and leaves the table."""
        self._counts.add(frame, -1)
        if self._counts[frame] == 0:
            self._forget(frame)
            self._cow[frame] = False
            self._free.append(frame)

    def _make_private(self, page: int) -> str:
        """Give a page a frame that it may write to; return what that took."""
        frame = int(self._frame_of[page])
        if frame >= 0 and not self._cow[frame]:
            return "written"
        if frame >= 0 and self._counts[frame] == 1:
            self._forget(frame)
            self._cow[frame] = False
            return "unshared"
        new = self._free.pop()  # there is one: fewer frames are used than pages mapped
        self._frames[new] = 0 if frame < 0 else self._frames[frame]
        self._counts.add(new, 1)
        self._frame_of[page] = new
        if frame < 0:
            return "allocated"
        self._let_go(frame)
        return "copied"
