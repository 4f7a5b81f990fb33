"""What runs in a guest: programs that touch objects, and how fast they get on.

A workload is a stream of **operations**, each on one page. It wants so many a second, or as many
as it can do; each costs processor time, and waits where a page is not in memory. So throughput is
not assumed but comes out: where memory lacks, operations wait, and fewer are done.

    Idle         a few pages, touched now and then
    WorkingSet   a set of pages of its own, each as likely as the other
    HotCold      most touches go to a small part
    FileServer   files of which some are read much more often than others: the page cache decides

One after the other is `virtlab.memory.guest.phases`; one measured in a real program is in
`virtlab.memory.guest.traces`. To write one's own, subclass
`Workload` and say which objects the next operations touch.

The file server stands for dbench, the load of W02's figures 2 and 7. How often a page is read
falls exponentially with its rank: `popularity_mib` is the part of the file set in which it falls
to 37 %. Under LRU the miss ratio then falls exponentially with the size of the cache, which is
what figure 2 shows: operations take about half as much longer than at best for each 32 MB more.

Sources: W02 figure 2. P. Denning, "The working set model for program behavior", CACM 11 (1968).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.costs import CPU_S, PAGES_PER_MIB
from virtlab.memory.guest.objects import FILE
from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from virtlab.memory.guest.guest import Guest
    from virtlab.memory.guest.objects import Region

    Indices = NDArray[np.int32]

__all__ = ["FileServer", "HotCold", "Idle", "Work", "WorkingSet", "Workload"]

_MOST = 100_000  # operations a second, where nothing else limits them


class Workload(ABC):
    """A stream of operations on objects; what it is told, not what it does (see `Work`)."""

    @property
    @abstractmethod
    def per_s(self) -> float:
        """Operations that it wants to do a second; infinite for as many as possible."""

    @property
    def cpu_s(self) -> float:
        """Processor time of an operation, seconds."""
        return CPU_S

    @abstractmethod
    def open(self, guest: Guest) -> Region:
        """Ask the guest for memory and files.

        Parameters
        ----------
        guest
            Where it runs.

        Returns
        -------
        Region
            What it touches.
        """

    @abstractmethod
    def next(self, count: int, region: Region, rng: Generator) -> tuple[Indices, Indices]:
        """Return the objects that the next operations read, and those that they write.

        Parameters
        ----------
        count
            Operations.
        region
            What `open` returned.
        rng
            Where chance comes from.

        Returns
        -------
        tuple of ndarray
            Objects read and objects written, `count` together.
        """

    def at(self, second: int) -> Workload:
        """Return the workload that runs in a given second since the start; itself, as a rule.

        Parameters
        ----------
        second
            Since the start.

        Returns
        -------
        Workload
            What runs.
        """
        del second
        return self

    @property
    def parts(self) -> tuple[Workload, ...]:
        """All workloads that `at` may return."""
        return (self,)


class Work:
    """A workload at work in a guest: it keeps the time.

    Parameters
    ----------
    guest
        Where it runs.
    workload
        What runs.
    rng
        Where chance comes from.

    Examples
    --------
    >>> from virtlab.memory.guest import Guest, GuestSpec
    >>> work = Work(Guest(GuestSpec(64)), WorkingSet(20, per_s=500), np.random.default_rng(1))
    >>> work.second(), work.second()
    (500, 500)
    """

    def __init__(self, guest: Guest, workload: Workload, rng: Generator) -> None:
        self.guest, self.workload, self._rng = guest, workload, rng
        self._regions = {part: part.open(guest) for part in workload.parts}
        self._ran, self._owed_s, self._wait_s = 0, 0.0, 0.0

    @property
    def region(self) -> Region:
        """What the workload touches now."""
        return self._regions[self.workload.at(self._ran)]

    def end(self) -> None:
        """End the program: memory of its own is free again, files stay."""
        for region in self._regions.values():
            if region.pages and not self.guest.objects.flags[region.start] & FILE:
                self.guest.discard(region)

    def second(self) -> int:
        """Let a second pass; return how many operations were done in it."""
        running = self.workload.at(self._ran)
        self._ran += 1
        spare = 1.0 - self._owed_s
        if spare <= 0:  # still waiting for a disk
            self._owed_s -= 1.0
            return 0
        count = int(min(running.per_s, _MOST, max(spare / (running.cpu_s + self._wait_s), 1.0)))
        before = self.guest.counters.waited_s
        if count:
            reads, writes = running.next(count, self._regions[running], self._rng)
            self.guest.touch(reads)
            self.guest.touch(writes, write=True)
        waited = self.guest.counters.waited_s - before
        self._owed_s = max(count * running.cpu_s + waited - spare, 0.0)
        if count:
            self._wait_s = 0.5 * (self._wait_s + waited / count)
        return count


def _split(objects: Indices, writes: float) -> tuple[Indices, Indices]:
    """Divide objects drawn at random into those read and those written."""
    cut = objects.size - round(objects.size * writes)
    return objects[:cut], objects[cut:]


def _positive(workload: object, *names: str) -> None:
    for name in names:
        value = number(name, getattr(workload, name), minimum=0, finite=name != "per_s")
        if value == 0:
            raise InvalidInputError(name, value, "a number > 0")


@dataclass(frozen=True)
class Idle(Workload):
    """A guest that does next to nothing.

    Attributes
    ----------
    mib
        Pages that its clock and its services touch, MiB.
    every_s
        Seconds in which each is touched once, on average.

    Examples
    --------
    >>> Idle(mib=3).per_s
    51.2
    """

    mib: float = 4.0
    every_s: float = 15.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        _positive(self, "mib", "every_s")

    @property
    def per_s(self) -> float:
        """Touches a second."""
        return self.mib * PAGES_PER_MIB / self.every_s

    def open(self, guest: Guest) -> Region:
        """Ask for a little memory."""
        return guest.anonymous(self.mib)

    def next(self, count: int, region: Region, rng: Generator) -> tuple[Indices, Indices]:
        """Touch pages at random; half of the touches write."""
        objects = rng.integers(region.start, region.stop, count, dtype=np.int32)
        return _split(objects, 0.5)


@dataclass(frozen=True)
class WorkingSet(Workload):
    """A program that uses all of its memory alike.

    Attributes
    ----------
    mib
        Its memory, MiB.
    per_s
        Operations a second; infinite for as many as possible.
    writes
        Part of them that write.

    Examples
    --------
    >>> WorkingSet(0)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: mib = 0.0: must be a number > 0
    """

    mib: float
    per_s: float = np.inf
    writes: float = 0.5

    def __post_init__(self) -> None:
        """Check the numbers."""
        _positive(self, "mib", "per_s")
        number("writes", self.writes, minimum=0, maximum=1)

    def open(self, guest: Guest) -> Region:
        """Ask for the memory."""
        return guest.anonymous(self.mib)

    def next(self, count: int, region: Region, rng: Generator) -> tuple[Indices, Indices]:
        """Touch pages at random."""
        objects = rng.integers(region.start, region.stop, count, dtype=np.int32)
        return _split(objects, self.writes)


@dataclass(frozen=True)
class HotCold(Workload):
    """A program that uses a part of its memory most of the time.

    Attributes
    ----------
    hot_mib, cold_mib
        Its memory, MiB.
    hot
        Part of the operations that go to the hot part.
    per_s
        Operations a second; infinite for as many as possible.
    writes
        Part of them that write.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> from virtlab.memory.guest import Guest, GuestSpec
    >>> load = HotCold(hot_mib=10, cold_mib=90, hot=0.9, writes=0)
    >>> region = load.open(Guest(GuestSpec(256)))
    >>> reads, _ = load.next(10_000, region, rng)
    >>> bool(abs((reads - region.start < 2560).mean() - 0.91) < 0.02)
    True
    """

    hot_mib: float
    cold_mib: float
    hot: float = 0.95
    per_s: float = np.inf
    writes: float = 0.3

    def __post_init__(self) -> None:
        """Check the numbers."""
        _positive(self, "hot_mib", "cold_mib", "per_s")
        number("hot", self.hot, minimum=0, maximum=1)
        number("writes", self.writes, minimum=0, maximum=1)

    def open(self, guest: Guest) -> Region:
        """Ask for the memory, hot part first."""
        return guest.anonymous(self.hot_mib + self.cold_mib)

    def next(self, count: int, region: Region, rng: Generator) -> tuple[Indices, Indices]:
        """Touch the hot part with its probability, else any page."""
        hot_pages = min(max(round(self.hot_mib * PAGES_PER_MIB), 1), region.pages)
        reach = np.where(rng.random(count) < self.hot, hot_pages, region.pages)
        return _split((region.start + rng.random(count) * reach).astype(np.int32), self.writes)


@dataclass(frozen=True)
class FileServer(Workload):
    """A file server in the manner of dbench: its throughput is that of its page cache.

    Attributes
    ----------
    popularity_mib
        How far down the files the frequency of reading falls to 37 %, MiB.
    files_mib
        All files, MiB.
    writes
        Part of the operations that write.
    per_s
        Operations a second; infinite for as many as possible.

    Examples
    --------
    >>> from virtlab.memory.guest import Guest, GuestSpec
    >>> def mb_per_s(size_mib):
    ...     guest, rng = Guest(GuestSpec(size_mib)), np.random.default_rng(1)
    ...     work = Work(guest, FileServer(20, 200), rng)
    ...     for guest.now in range(60):
    ...         done = work.second()
    ...     return done / 256
    >>> mb_per_s(32) < mb_per_s(64) < mb_per_s(128)
    True
    """

    popularity_mib: float = 50.0
    files_mib: float = 600.0
    writes: float = 0.0
    per_s: float = np.inf

    def __post_init__(self) -> None:
        """Check the numbers."""
        _positive(self, "popularity_mib", "files_mib", "per_s")
        number("writes", self.writes, minimum=0, maximum=1)

    def open(self, guest: Guest) -> Region:
        """Open the files."""
        return guest.file(self.files_mib)

    def next(self, count: int, region: Region, rng: Generator) -> tuple[Indices, Indices]:
        """Read pages, the popular ones more often."""
        rank = rng.exponential(self.popularity_mib * PAGES_PER_MIB, count)
        objects = (region.start + rank % region.pages).astype(np.int32)
        return _split(objects, self.writes)
