"""Taking memory back, second by second, seen from both sides (バルーンニング, S28).

A host wants pages back from a guest that runs. It sees frames, and knows of none whether the guest
needs it. The guest knows, and can't be asked: its system was written for a machine that is its own.
So there are two ways, and the film of this module shows both, on one small guest:

- **host swap**: the host takes frames at random. It always works, and hits what is in use;
- **balloon**: a driver inside asks for memory. The guest gives what it would miss least: free
  pages, then page cache, which a disk has too, then what was not used for longest. The balloon is
  limited, and where it gives nothing, or not enough, the host swaps the rest;
- **both** at once: the balloon takes half, the host swaps half. A guest that is short of memory
  evicts, and a page that it evicts must be written; if the host has swapped it out, it is fetched
  only for that. This is **double paging** (二重ページング), and it is counted.

Guest, balloon and host memory are those of `virtlab.memory.guest` and `virtlab.memory.host`; here
is only what the host does in a second, what the program does, and a picture of each frame then.
What the host gets back it gives away at once, so that a page can only be fetched if another goes.

Sources: C. Waldspurger, "Memory Resource Management in VMware ESX Server", OSDI 2002, section 3.
The guest, its program and the halves of 'both' are ours.

Left out: the program makes the same touches however long it waits; the wait is added up beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest import Balloon, Guest, GuestSpec
from virtlab.memory.guest.balloon import BALLOON_KINDS, BalloonSpec
from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.frames import BALLOON
from virtlab.memory.host.backing import SWAPPED, BackedMemory
from virtlab.memory.host.machine import MachineMemory
from virtlab.memory.reclaim_film import HELD, Comparison, ReclaimFilm, Second
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Kinds = NDArray[np.uint8]

__all__ = ["MEANS", "Reclaim", "SmallHost", "compare", "reclaim"]

MEANS = ("balloon", "host swap", "both")

KERNEL, COMMON = 24, 16  # pages of the kernel; frames that must be left to the guest besides
_AGES = 6  # cold memory and cache were last used in so many portions,
_AGE_S = 10  # so many seconds apart, before the film begins
_WRITES = 1 / 3  # of the touches of the program's own memory
_POPULAR = 4  # how often a page of a file is read falls to 37 % in a quarter of them


@dataclass(frozen=True)
class Reclaim:
    """A small guest, and a host that wants some of its memory back.

    Attributes
    ----------
    pages
        Frames of the guest.
    hot_pages, cold_pages
        Memory of its program that is used all the time, and hardly ever.
    cache_pages
        Files that it reads, kept in the page cache.
    wanted_pages
        What the host wants back.
    means
        One of MEANS.
    pages_per_s
        How many pages balloon or swap take a second; a balloon gives back twice as fast.
    balloon_most
        Largest balloon, a part of the guest's memory.
    driver
        'works', 'refuses' or 'absent'.
    seconds, back_s
        Length of the film, and when the host has memory again and gives back what it took.
    hot_touches, cold_touches, cache_touches
        Pages that the program touches in a second.
    seed
        Of all chance; the program does the same whatever the host does.

    Examples
    --------
    >>> Reclaim(hot_pages=100, cold_pages=100, cache_pages=100).free_pages
    188
    >>> Reclaim(wanted_pages=500)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: wanted_pages = 500: must be a whole number from 0 to 472
    """

    pages: int = 512
    hot_pages: int = 160
    cold_pages: int = 200
    cache_pages: int = 80
    wanted_pages: int = 240
    means: str = MEANS[0]
    pages_per_s: int = 8
    balloon_most: float = 0.65
    driver: str = "works"
    seconds: int = 75
    back_s: int = 60
    hot_touches: int = 24
    cold_touches: int = 2
    cache_touches: int = 2
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the numbers."""
        integer("pages", self.pages, minimum=64, maximum=4096)
        most = self.pages - KERNEL - COMMON
        integer("wanted_pages", self.wanted_pages, minimum=0, maximum=most)
        for name in ("hot_pages", "cold_pages", "cache_pages"):
            integer(name, getattr(self, name), minimum=1, maximum=2 * self.pages)
        if self.hot_pages > most:
            raise InvalidInputError("hot_pages", self.hot_pages, f"at most {most}, or nothing runs")
        one_of("means", self.means, MEANS)
        one_of("driver", self.driver, BALLOON_KINDS)
        integer("pages_per_s", self.pages_per_s, minimum=1, maximum=self.pages)
        number("balloon_most", self.balloon_most, minimum=0, maximum=1)
        integer("seconds", self.seconds, minimum=1, maximum=1000)
        integer("back_s", self.back_s, minimum=1)
        for name in ("hot_touches", "cold_touches", "cache_touches"):
            integer(name, getattr(self, name), minimum=0, maximum=1000)
        integer("seed", self.seed, minimum=0)

    @property
    def free_pages(self) -> int:
        """Frames that a program has used which has ended: free, and only the guest knows it."""
        used = KERNEL + self.hot_pages + self.cold_pages + self.cache_pages
        return max(self.pages - used, 0)

    @property
    def balloon_pages(self) -> int:
        """How large the balloon should be: all that is wanted, half of it, or nothing."""
        part = {"balloon": self.wanted_pages, "host swap": 0, "both": self.wanted_pages // 2}
        able = int(self.balloon_most * self.pages) if self.driver == "works" else 0
        return min(part[self.means], able)

    @property
    def swap_pages(self) -> int:
        """What is left for the host to swap."""
        return self.wanted_pages - self.balloon_pages


class SmallHost:
    """The guest on its host: `second` lets a second pass.

    Parameters
    ----------
    spec
        What there is, and what is wanted.
    checked
        Whether pages hold values, so that a lost byte is noticed; for tests.

    Attributes
    ----------
    guest, memory, balloon, machine
        What it is made of.

    Examples
    --------
    >>> host = SmallHost(Reclaim())
    >>> host.second().given
    {'free': 8}
    """

    def __init__(self, spec: Reclaim, *, checked: bool = False) -> None:
        self.spec = spec
        self._load, self._chance = (np.random.default_rng([spec.seed, i]) for i in range(2))
        size, slack = spec.pages / PAGES_PER_MIB, PAGES_PER_MIB
        self.machine = MachineMemory(spec.pages + slack)
        self.memory = BackedMemory(spec.pages, self.machine, checked=checked)
        guest = GuestSpec(size, KERNEL / PAGES_PER_MIB, structures=0, swap_mib=4 * size)
        self.guest = Guest(guest, self.memory)
        rate = spec.pages_per_s / PAGES_PER_MIB
        driver = BalloonSpec(spec.driver, spec.balloon_most, rate, 2 * rate)
        self.balloon = Balloon(self.guest, driver)
        self._swapped = 0  # what the host has swapped out by now for the sake of others
        self._settle()
        self._kinds = self._kind_of_objects()
        self.start_s = self.guest.now
        self.machine.reclaim = self._make_room

    def _settle(self) -> None:
        """Let the guest be as after some minutes: programs started, used memory, one ended."""
        guest, spec = self.guest, self.spec
        self.hot, self.cold = (
            guest.anonymous(pages / PAGES_PER_MIB) for pages in (spec.hot_pages, spec.cold_pages)
        )
        self.cache = guest.file(spec.cache_pages / PAGES_PER_MIB)
        ended = guest.anonymous(spec.free_pages / PAGES_PER_MIB)
        guest.touch(self.hot.all(), write=True)
        guest.touch(self.cold.all(), write=True)
        guest.touch(self.cache.all())
        guest.touch(ended.all(), write=True)
        guest.discard(ended)
        cold = np.array_split(self._load.permutation(self.cold.all()), _AGES)
        cache = np.array_split(self.cache.all()[::-1], _AGES)  # what is popular is used last
        for written, read in zip(cold, cache, strict=True):
            guest.now += _AGE_S
            guest.touch(written, write=True)
            guest.touch(read)
        guest.now += _AGE_S
        guest.touch(self.hot.all(), write=True)

    def _give_away(self) -> None:
        """Let the guest have the frames that are left to it; what is free besides is others'."""
        left = self.spec.pages - self._swapped - self.balloon.pages
        self.machine.fixed = self.machine.pages - max(left, self.machine.used)

    def _make_room(self, wanted: int) -> None:
        """Swap, because the guest needs a frame and none is free."""
        self.memory.swap_out(wanted - self.machine.free, self._chance)

    def second(self) -> Second:
        """Let a second pass: the host takes or gives back, then the program runs.

        Returns
        -------
        Second
            What happened in it.
        """
        held, before = self.held(), self.guest.counters.copy()
        backed, ballooned = self.memory.state.copy(), self.balloon.pages
        self.guest.now += 1
        wants = self.guest.now - self.start_s <= self.spec.back_s
        self.balloon.goal = self.spec.balloon_pages if wants else 0
        self.balloon.poll()
        new = self.guest.frames.holds == BALLOON
        given = held[new & (held != HELD.index("balloon"))]
        if wants:
            self._swap()
            self._give_away()
        else:
            self.machine.fixed = 0
        taken = (self.memory.state == SWAPPED) & (backed != SWAPPED)
        moved = self.guest.counters.since(before)
        middle, writes = self.guest.counters.copy(), self.memory.swap_writes
        self._run()
        return Second(
            given=_count(given),
            returned=max(ballooned - self.balloon.pages, 0),
            swapped=_count(held[taken]),
            by_host=moved,
            by_program=self.guest.counters.since(middle),
            room_made=self.memory.swap_writes - writes,
        )

    def _swap(self) -> None:
        """Take random frames, at a limited rate, until as many are gone as should be."""
        self._swapped = min(self._swapped + self.spec.pages_per_s, self.spec.swap_pages)
        self.memory.swap_out(self._swapped - self.memory.swapped, self._chance)

    def _run(self) -> None:
        """Let the program touch its memory and files, and the kernel a quarter of its own."""
        spec, draw = self.spec, self._load
        hot = draw.integers(self.hot.start, self.hot.stop, spec.hot_touches)
        cold = draw.integers(self.cold.start, self.cold.stop, spec.cold_touches)
        rank = draw.exponential(self.cache.pages / _POPULAR, spec.cache_touches)
        files = self.cache.start + (rank % self.cache.pages).astype(np.int32)
        own = np.concatenate([hot, cold]).astype(np.int32)
        written = draw.random(own.size) < _WRITES
        self.guest.touch(np.concatenate([own[~written], files]).astype(np.int32))
        kernel = self.guest.kernel.all()[: KERNEL // 4]
        self.guest.touch(np.unique(np.concatenate([kernel, own[written]])), write=True)

    def held(self) -> Kinds:
        """Return what each frame holds, as the guest sees it: indices into HELD."""
        return np.asarray(self._kinds[self.guest.frames.holds])

    def _kind_of_objects(self) -> Kinds:
        """Return a table of HELD by an object's number; -1 is free, and -2 the balloon."""
        kinds = np.full(self.guest.objects.frame.size + 2, HELD.index("free"), np.uint8)
        regions = (self.guest.kernel, self.hot, self.cold, self.cache)
        for name, region in zip(("kernel", "hot", "cold", "cache"), regions, strict=True):
            kinds[region.start : region.stop] = HELD.index(name)
        kinds[BALLOON] = HELD.index("balloon")
        return kinds


def _count(held: Kinds) -> dict[str, int]:
    """Count frames by what they held."""
    counts = np.bincount(held, minlength=len(HELD)).tolist()
    return {name: count for name, count in zip(HELD, counts, strict=True) if count}


def reclaim(spec: Reclaim | None = None, *, checked: bool = False) -> ReclaimFilm:
    """Run a guest whose host wants memory back, and keep a picture of each second.

    Parameters
    ----------
    spec
        The guest and the host; the course's own if None.
    checked
        Whether to check each byte that the guest reads; slower.

    Returns
    -------
    ReclaimFilm
        A picture of the start and of each second.

    Examples
    --------
    >>> by = {means: reclaim(Reclaim(means=means)).frame(60).summary() for means in MEANS}
    >>> by["balloon"]["waited_ms"] < min(by["both"]["waited_ms"], by["host swap"]["waited_ms"])
    True
    >>> by["balloon"]["double_paging"], by["both"]["double_paging"] > 0
    (0, True)
    """
    return _film(spec or Reclaim(), checked)


@lru_cache(maxsize=24)  # a film never changes
def _film(spec: Reclaim, checked: bool) -> ReclaimFilm:  # noqa: FBT001 - private
    host = SmallHost(spec, checked=checked)
    start = host.guest.counters.copy()
    held, behind = [host.held()], [host.memory.state.copy()]
    seconds, totals = [], [start.since(start)]
    for _ in range(spec.seconds):
        seconds.append(host.second())
        held.append(host.held())
        behind.append(host.memory.state.copy())
        totals.append(host.guest.counters.since(start))
    return ReclaimFilm(spec, np.array(held), np.array(behind), tuple(seconds), tuple(totals))


def compare(spec: Reclaim | None = None, second: int | None = None) -> Comparison:
    """Run the same guest by all three means.

    Parameters
    ----------
    spec
        The guest and the host; the course's own if None. Its own means do not matter.
    second
        When to look; the last second in which the host wants memory if None.

    Returns
    -------
    Comparison
        A picture of each.

    Examples
    --------
    >>> print(compare().explain())
    After 60 s the program has waited: balloon 98 ms, host swap 228 ms, both 231 ms...
    """
    spec = spec or Reclaim()
    at = min(spec.back_s, spec.seconds) if second is None else second
    return Comparison(tuple(reclaim(replace(spec, means=means)).frame(at) for means in MEANS))
