"""Which page should go? Four answers on one stream of accesses (S26, S28).

Memory has room for so many pages, a page that is wanted and not there must come from disk, and
another has to go. Who chooses it, and by what?

    opt     the page that is wanted again last: no one can know, and no one can do better (Belady)
    lru     the page that was not used for longest: the past as a guess at the future
    guest   what our guest does (`virtlab.memory.guest`): age in ticks, a list of old pages made now
            and then; its balloon takes the room away
    random  any page: all that a host can do that sees no accesses

What counts is the **miss ratio** (ミス率): of the operations, how many had to wait for a disk. All
four see the same operations, in the same order: `stream`, which is also what the kernel was given
in the measurement (`virtlab.memory.reclaim_measured`). Pages are numbered by how often they are
used, the most used first.

What it leaves out: that pages come with their neighbours (readahead), and what writing costs.

Source: L. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
Journal 5 (1966); P. Denning, "The working set model for program behavior", CACM 11 (1968).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.balloon import Balloon, BalloonSpec
from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.guest import Guest
from virtlab.memory.guest.objects import Region
from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.workloads import FileServer, HotCold
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from virtlab.memory.guest.workloads import Workload

    Indices = NDArray[np.int32]

__all__ = ["CHOOSERS", "CHUNK", "LOADS", "MIB", "PAGES", "misses", "stream"]

MIB = 64
PAGES = MIB * PAGES_PER_MIB
CHUNK = 1000
"""Operations in a tick of the guest, and between two looks of the measurement's random chooser."""

LOADS: dict[str, Workload] = {
    "hot and cold": HotCold(hot_mib=16, cold_mib=48, hot=0.9),
    "popular files": FileServer(popularity_mib=14, files_mib=64),
}
"""A quarter of the pages gets nine tenths of the operations; and the load of W02's figure 2."""


def stream(load: str, chunks: int, seed: int = 1) -> Iterator[tuple[Indices, Indices]]:
    """Yield the operations of a load, `CHUNK` at a time.

    Parameters
    ----------
    load
        One of LOADS.
    chunks
        How many times.
    seed
        Of all chance.

    Yields
    ------
    tuple of ndarray
        Pages read and pages written, `CHUNK` together.

    Examples
    --------
    >>> reads, writes = next(stream("hot and cold", 1))
    >>> reads.size, writes.size, bool(reads.max() < PAGES)
    (700, 300, True)
    """
    workload = LOADS[one_of("load", load, tuple(LOADS))]
    rng, region = np.random.default_rng(seed), Region(0, PAGES)
    for _ in range(integer("chunks", chunks, minimum=0)):
        yield workload.next(CHUNK, region, rng)


def _count(fetch: Callable[[int], bool], accesses: list[int], sizes: Sequence[int]) -> list[int]:
    """Return the misses of each stretch of equal size, its second half only."""
    each = len(accesses) // len(sizes)
    counts = []
    for i in range(len(sizes)):
        part = accesses[i * each : (i + 1) * each]
        for page in part[: each // 2]:
            fetch(page)
        counts.append(sum(fetch(page) for page in part[each // 2 :]))
    return counts


class _Lru:
    """The page that was not used for longest goes."""

    def __init__(self, sizes: Sequence[int], accesses: list[int], seed: int) -> None:
        del seed
        self.sizes, self.each, self.at = sizes, len(accesses) // len(sizes), 0
        self.there: OrderedDict[int, None] = OrderedDict.fromkeys(range(PAGES))

    def fetch(self, page: int) -> bool:
        """Use a page; return whether it was missing."""
        size = self.sizes[self.at // self.each]
        self.at += 1
        missing = page not in self.there
        self.there[page] = None
        self.there.move_to_end(page)
        while len(self.there) > size:
            self.there.popitem(last=False)
        return missing


class _Random:
    """Any page goes."""

    def __init__(self, sizes: Sequence[int], accesses: list[int], seed: int) -> None:
        self.sizes, self.each, self.at = sizes, len(accesses) // len(sizes), 0
        self.rng = np.random.default_rng(seed)
        self.there = list(range(PAGES))
        self.place = {page: page for page in self.there}
        self.luck: list[float] = []

    def fetch(self, page: int) -> bool:
        """Use a page; return whether it was missing."""
        size = self.sizes[self.at // self.each]
        self.at += 1
        while len(self.there) > size:
            self._drop()
        if page in self.place:
            return False
        if len(self.there) == size:
            self._drop()
        self.place[page] = len(self.there)
        self.there.append(page)
        return True

    def _drop(self) -> None:
        if not self.luck:
            self.luck = self.rng.random(10_000).tolist()
        victim = int(self.luck.pop() * len(self.there))
        last = self.there.pop()
        if victim < len(self.there):
            gone, self.there[victim] = self.there[victim], last
            self.place[last] = victim
        else:
            gone = last
        del self.place[gone]


class _Opt:
    """The page that is wanted again last goes."""

    def __init__(self, sizes: Sequence[int], accesses: list[int], seed: int) -> None:
        del seed
        self.sizes, self.each, self.at = sizes, len(accesses) // len(sizes), 0
        following = np.full(len(accesses), len(accesses))
        order = np.argsort(accesses, kind="stable")
        same = np.asarray(accesses)[order][1:] == np.asarray(accesses)[order][:-1]
        following[order[:-1][same]] = order[1:][same]
        self.following = following.tolist()
        first = np.full(PAGES, len(accesses))
        first[np.asarray(accesses)[::-1]] = np.arange(len(accesses))[::-1]
        self.next = dict(enumerate(first.tolist()))  # of the pages that are there
        self.heap = [(-when, page) for page, when in self.next.items()]
        heapq.heapify(self.heap)

    def fetch(self, page: int) -> bool:
        """Use a page; return whether it was missing."""
        size, wanted = self.sizes[self.at // self.each], self.following[self.at]
        self.at += 1
        missing = page not in self.next
        self.next[page] = wanted
        while len(self.next) > size:
            when, victim = heapq.heappop(self.heap)
            if victim != page and self.next.get(victim) == -when:
                del self.next[victim]
        heapq.heappush(self.heap, (-wanted, page))
        return missing


_EXACT: dict[str, Callable[[Sequence[int], list[int], int], _Lru | _Random | _Opt]] = {
    "opt": _Opt,
    "lru": _Lru,
    "random": _Random,
}

CHOOSERS = ("opt", "lru", "guest", "random")
"""Who may choose."""


def _guest(load: str, sizes: Sequence[int], chunks: int, seed: int) -> list[int]:
    """Return the misses of our guest, from which a balloon takes the rest."""
    guest = Guest(GuestSpec(MIB + 2, kernel_mib=1, structures=0, swap_mib=2 * MIB))
    balloon = Balloon(guest, BalloonSpec(most=1.0, inflate_mib_s=MIB))
    region = guest.file(MIB) if isinstance(LOADS[load], FileServer) else guest.anonymous(MIB)
    guest.touch(region.all(), write=not isinstance(LOADS[load], FileServer))
    spare = guest.spec.pages - guest.kernel.pages
    counts = []
    for i, (reads, writes) in enumerate(stream(load, chunks * len(sizes), seed)):
        guest.now += 1
        balloon.goal = spare - sizes[i // chunks]
        balloon.poll()
        if i % chunks == chunks // 2:
            before = guest.counters.copy()
        guest.touch(reads + region.start)
        guest.touch(writes + region.start, write=True)
        if i % chunks == chunks - 1:
            new = guest.counters.since(before)
            counts.append(new.file_reads + new.swap_ins)
    return counts


def misses(
    chooser: str, load: str, sizes: Sequence[int], chunks: int = 200, seed: int = 1
) -> list[int]:
    """Return how many operations miss, while the room for pages shrinks step by step.

    Parameters
    ----------
    chooser
        One of CHOOSERS.
    load
        One of LOADS.
    sizes
        Pages that there is room for, at each step.
    chunks
        Operations of each step, in chunks; the first half isn't counted.
    seed
        Of the stream, and of the random chooser.

    Returns
    -------
    list of int
        Misses in the second half of each step, `chunks // 2 * CHUNK` operations.

    Raises
    ------
    InvalidInputError
        If a name is unknown, or there is room for less than a page or for more than all.

    Examples
    --------
    >>> half = [PAGES // 2]
    >>> found = {one: misses(one, "hot and cold", half, 60)[0] for one in CHOOSERS}
    >>> found["opt"] < found["lru"] < found["random"]
    True
    """
    one_of("chooser", chooser, CHOOSERS)
    one_of("load", load, tuple(LOADS))
    chunks = integer("chunks", chunks, minimum=2)
    for size in sizes:
        if not 1 <= size <= PAGES:
            raise InvalidInputError("sizes", size, f"from 1 to {PAGES} pages")
    if chooser == "guest":
        return _guest(load, sizes, chunks, seed)
    parts = [np.concatenate(one) for one in stream(load, chunks * len(sizes), seed)]
    accesses = np.concatenate(parts).tolist()
    return _count(_EXACT[chooser](sizes, accesses, seed).fetch, accesses, sizes)
