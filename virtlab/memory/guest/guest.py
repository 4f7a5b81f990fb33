"""A guest operating system and its memory: touch, fault, evict.

What happens when a program touches an object (Denning's locality is why any of this works):

1. it is in a frame: the frame's age is 0 again, nothing else happens;
2. it is in none: a **guest fault** (ゲストのページフォールト). The guest finds a frame, the free
   list's or that of the least valuable object, and loads the object: from its file, from the
   guest's swap, or as zeros the first time;
3. the object that had to leave is dropped if a disk has the same bytes, else written first.

The kernel itself takes frames that never leave: its code, and structures that grow with the
memory it was **configured** for (a table entry for each frame, hash tables). A guest of 256 MB
that is ballooned down to 128 MB keeps the structures of 256 MB: that is why it is a little slower
than a guest of 128 MB (W02, figure 2).

What it leaves out: readahead, several processes waiting at once, huge pages, and all that differs
between systems. Age is counted in ticks of a second.

Source: C. Waldspurger, "Memory Resource Management in VMware ESX Server", OSDI 2002 (W02).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.counters import Counters
from virtlab.memory.guest.frames import ANONYMOUS, BALLOON, DIRTY, FREE, PINNED, UNSAVED, FrameTable
from virtlab.memory.guest.objects import FILE, NOWHERE, SAVED, ObjectTable
from virtlab.memory.guest.physical import UNIQUE, ZERO, PhysicalMemory, distinct
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.memory.guest.objects import Region
    from virtlab.memory.guest.spec import GuestSpec

    Indices = NDArray[np.int32]

__all__ = ["ContentLostError", "Guest", "OutOfMemoryError"]

_CHUNK = 8  # a touch of more than an eighth of the frames is taken in parts, in order
_HOT = 4  # a quarter of the kernel is used every second. Ours
_CODE_S = 60  # half of the system's code is used, each page once in so many seconds. Ours


class OutOfMemoryError(RuntimeError):
    """The guest has no frame left that could leave: its swap is full."""


class ContentLostError(AssertionError):
    """A guest read something else than it wrote: the model is wrong."""


class Guest:
    """A running guest operating system.

    Parameters
    ----------
    spec
        How it is configured.
    memory
        Its guest-physical memory; memory of its own if None.

    Attributes
    ----------
    now
        The tick, set by whoever lets time pass.
    frames, objects
        Its tables.
    counters
        What happened so far.
    booted
        Seconds of booting that are over.

    Examples
    --------
    A file of 40 MiB read twice in 32 MiB, 1 MiB a second: each page was dropped before its second
    turn.

    >>> from virtlab.memory.guest import GuestSpec
    >>> guest = Guest(GuestSpec(32, kernel_mib=2))
    >>> file = guest.file(40)
    >>> for guest.now in range(80):
    ...     guest.touch(file.all()[guest.now % 40 * 256 :][:256])
    >>> guest.counters.file_reads / PAGES_PER_MIB
    80.0
    """

    def __init__(self, spec: GuestSpec, memory: PhysicalMemory | None = None) -> None:
        self.spec = spec
        self.memory = memory or PhysicalMemory(spec.pages)
        self.checked = self.memory.values is not None
        self.frames = FrameTable(spec.pages)
        self.objects = ObjectTable(checked=self.checked)
        self.counters = Counters()
        self.now = 0
        self.swap_used = 0
        self._stamp = 0
        self.booted = 0
        self.kernel = self.objects.add(spec.kernel_pages)
        self.touch(self.kernel.all(), write=True)
        self.frames.flags[self.objects.frame[self.kernel.all()]] |= PINNED
        self._hot_kernel = self.kernel.all()[: self.kernel.pages // _HOT]
        common = UNIQUE if spec.image == 0 else 1 + spec.image * 65_536
        self.image = self.file(spec.image_mib, common=common)

    def anonymous(self, mib: float) -> Region:
        """Give a program memory of its own.

        Parameters
        ----------
        mib
            How much, MiB.

        Returns
        -------
        Region
            Its objects; none of them takes a frame before it is touched.
        """
        return self.objects.add(round(mib * PAGES_PER_MIB))

    def file(self, mib: float, *, common: int = UNIQUE) -> Region:
        """Open a file.

        Parameters
        ----------
        mib
            Its size, MiB.
        common
            Content of its first page, if other VMs have the same file.

        Returns
        -------
        Region
            Its objects; each is read from disk when it is touched.
        """
        return self.objects.add(round(mib * PAGES_PER_MIB), file=True, common=common)

    def touch(self, objects: Indices, *, write: bool = False) -> None:
        """Let a program read or write objects, in this order.

        Parameters
        ----------
        objects
            Which; they may repeat.
        write
            Whether it writes.

        Raises
        ------
        OutOfMemoryError
            If a frame is needed and none can be freed.
        ContentLostError
            If memory is checked and a page is not what was written.
        """
        chunk = max(self.spec.pages // _CHUNK, 1)
        self.counters.touches += objects.size
        if write and self.objects.shared_by_all(objects):
            raise InvalidInputError("write", write, "False for an image, which all VMs have alike")
        for start in range(0, objects.size, chunk):
            self._touch(objects[start : start + chunk], write)

    def _touch(self, objects: Indices, write: bool) -> None:  # noqa: FBT001 - private
        frames = self.objects.frame[objects]
        there = frames >= 0
        if there.all():
            self._use(objects, frames, write)
            return
        self._use(objects[there], frames[there], write)
        missing = distinct(objects[~there])
        while missing.size:
            got = self._find_frames(missing.size)
            if got.size == 0:
                raise OutOfMemoryError(f"no frame can be freed; swap used: {self.swap_used} pages")
            loaded, missing = missing[: got.size], missing[got.size :]
            self._load(loaded, got)
            if write:
                self._use(loaded, got, write)

    def _use(self, objects: Indices, frames: Indices, write: bool) -> None:  # noqa: FBT001 - private
        """Read or write objects that are in frames."""
        self.frames.touched[frames] = self.now
        if not write:
            self.counters.host_faults += self.memory.read(frames)
            self._verify(objects, frames)
            return
        self.frames.flags[frames] |= DIRTY
        self._stamp += 1
        self.counters.host_faults += self.memory.write(frames, UNIQUE, self._stamp)
        if self.objects.expected is not None:
            self.objects.expected[objects] = self._stamp

    def _verify(self, objects: Indices, frames: Indices) -> None:
        if self.objects.expected is None:
            return
        wrong = self.memory.load(frames) != self.objects.expected[objects]
        if wrong.any():
            raise ContentLostError(f"objects {objects[wrong]} in frames {frames[wrong]}")

    def _find_frames(self, wanted: int) -> Indices:
        """Return free frames, after evicting what is worth least; some, if not all can be had."""
        lacking = wanted - self.frames.free
        while lacking > 0:
            victims = self.frames.oldest(lacking)
            if victims.size == 0:
                break
            self._evict(victims)
            lacking = wanted - self.frames.free
        return self.frames.take_free(wanted)

    def _evict(self, frames: Indices) -> None:
        """Free frames; where the swap is full, those that would have to go there stay."""
        objects = self.frames.holds[frames]
        dirty = (self.frames.flags[frames] & DIRTY) > 0
        new = dirty & (self.objects.flags[objects] & (FILE | SAVED) == 0)  # needs room in the swap
        room = self.spec.swap_pages - self.swap_used
        if np.count_nonzero(new) >= room:
            kept = new & (np.cumsum(new) > room)
            frames, objects, dirty = frames[~kept], objects[~kept], dirty[~kept]
            self.swap_used = self.spec.swap_pages
            self.frames.fixed = PINNED | UNSAVED
        else:
            self.swap_used += int(np.count_nonzero(new))
        self._write_out(objects[dirty], frames[dirty])
        self.counters.dropped += int(np.count_nonzero(~dirty))
        self.objects.frame[objects] = NOWHERE
        self.frames.put_free(frames)

    def _write_out(self, objects: Indices, frames: Indices) -> None:
        """Write dirty objects to their file or to the swap: the guest must read them for it."""
        if objects.size == 0:
            return
        fetched = self.memory.read(frames)
        self.counters.host_faults += fetched
        self.counters.double_paging += fetched
        self._verify(objects, frames)
        of_files = int(np.count_nonzero(self.objects.flags[objects] & FILE))
        self.counters.file_writes += of_files
        self.counters.swap_outs += objects.size - of_files
        self.objects.flags[objects] |= SAVED
        if self.objects.saved is not None:
            self.objects.saved[objects] = self.memory.load(frames)

    def _load(self, objects: Indices, frames: Indices) -> None:
        """Load objects into free frames."""
        flags = self.objects.flags[objects]
        saved, of_file = (flags & SAVED) > 0, (flags & FILE) > 0
        reads = int(np.count_nonzero(saved & of_file))
        self.counters.file_reads += reads
        self.counters.swap_ins += int(np.count_nonzero(saved)) - reads
        self.counters.zero_fills += int(np.count_nonzero(~saved))
        values = None if self.objects.saved is None else self.objects.saved[objects]
        content = self.objects.content(objects)
        self.counters.host_faults += self.memory.write(frames, content, values)
        self.objects.frame[objects] = frames
        self.frames.holds[frames] = objects
        kept = np.where(saved, ANONYMOUS, ANONYMOUS | UNSAVED)
        self.frames.flags[frames] = np.where(of_file, 0, kept).astype(np.uint8)
        self.frames.touched[frames] = self.now

    def discard(self, region: Region) -> None:
        """Let a program end, or a file be deleted: its objects lose their bytes.

        Parameters
        ----------
        region
            The objects.
        """
        objects = region.all()
        swapped = (self.objects.flags[objects] & (FILE | SAVED)) == SAVED
        self.swap_used -= int(np.count_nonzero(swapped))
        self.frames.fixed = PINNED
        frames = self.objects.frame[objects]
        self.frames.put_free(frames[frames >= 0])
        self.objects.frame[objects] = NOWHERE
        self.objects.flags[objects] &= FILE
        if self.objects.expected is not None and self.objects.saved is not None:
            self.objects.expected[objects] = 0
            self.objects.saved[objects] = 0

    def boot(self, seconds: int) -> None:
        """Do a second's part of starting: load the system's code; zero memory, as Windows does.

        Parameters
        ----------
        seconds
            How long it takes in all; call it so often.
        """
        code = self.image.all()
        step = -(-code.size // seconds)
        self.touch(code[self.booted * step :][:step])
        if self.spec.zeroes:
            step = -(-self.frames.pages // seconds)
            first, last = np.minimum(
                [self.booted * step, self.booted * step + step], self.frames.pages
            )
            frames = np.arange(first, last, dtype=np.int32)
            frames = frames[self.frames.holds[frames] == FREE]
            self.counters.host_faults += self.memory.write(frames, ZERO, 0)
            self.frames.touched[frames] = self.now
        self.booted += 1

    def breathe(self) -> None:
        """Do what any system does in a second: a part of its kernel and of its code is used."""
        self.touch(self._hot_kernel, write=True)
        code = self.image.all()[: self.image.pages // 2]
        step = -(-code.size // _CODE_S)
        self.touch(code[self.now % _CODE_S * step :][:step])

    def give(self, wanted: int) -> Indices:
        """Give frames to a driver that asks for memory: free ones, then the least valuable.

        Parameters
        ----------
        wanted
            How many.

        Returns
        -------
        ndarray
            The frames, which the guest leaves alone from now on; fewer if it has no more.
        """
        frames = self._find_frames(wanted)
        self.frames.holds[frames] = BALLOON
        return frames

    def take_back(self, frames: Indices) -> None:
        """Take frames back from a driver.

        Parameters
        ----------
        frames
            Frames that `give` gave.
        """
        self.frames.put_free(frames)

    def check(self) -> None:
        """Raise AssertionError unless each frame and each object is in exactly one place.

        Examples
        --------
        >>> from virtlab.memory.guest import GuestSpec
        >>> Guest(GuestSpec(16)).check()
        """
        self.frames.check()
        frames = np.flatnonzero(self.frames.holds >= 0)
        there = np.flatnonzero(self.objects.frame >= 0)
        if not np.array_equal(np.sort(self.frames.holds[frames]), there):
            raise AssertionError("an object is in two frames, or in none that knows it")
        if not np.array_equal(self.objects.frame[self.frames.holds[frames]], frames):
            raise AssertionError("frames and objects disagree")
        in_swap = (self.objects.flags & (FILE | SAVED)) == SAVED
        if self.swap_used != np.count_nonzero(in_swap) or self.swap_used > self.spec.swap_pages:
            raise AssertionError("the guest's swap is not as full as it should be")
