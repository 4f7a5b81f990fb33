"""Which pages are still to be sent, as stretches of memory instead of single pages.

QEMU sends pages in the order of their addresses, round and round, from where it stopped before. A
writer dirties stretches: a round-robin writer an arc of its working set, a random one each page of
it with the same chance. So all that there is to know about a million pages is a short list of
stretches, each with the share of its pages that are dirty, and a pointer. For round-robin writers
this is exact; for random ones it is the expectation, which leaves out luck.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

__all__ = ["DirtyMap", "Taken"]

# Looking for neighbours that are alike costs more than a few stretches too many.
_MERGE_AT = 16


@dataclass(frozen=True)
class Taken:
    """What one look at the dirty pages gave.

    Attributes
    ----------
    pages, zero_pages
        Pages taken, and how many of them are zeros.
    sent_bytes, seconds
        What they cost.
    """

    pages: float
    zero_pages: float
    sent_bytes: float
    seconds: float


@dataclass
class DirtyMap:
    """Stretches of pages, each with the share that is dirty.

    Attributes
    ----------
    edges
        Where stretches begin, ascending; the last is the number of pages.
    shares
        Share of dirty pages in each stretch.
    zero
        Whether the stretch is of zeros.
    normal_cost, zero_cost
        Bytes and seconds of sending one page.
    pointer
        Where QEMU's search goes on.

    Examples
    --------
    >>> dirty = DirtyMap([0, 100, 300], [1.0, 1.0], [False, True], (4104, 0.0), (9, 0.0))
    >>> dirty.pages, dirty.take(41040).pages, dirty.pointer
    (300.0, 11.0, 11.0)
    >>> dirty.add(0, 50, 0.5)  # half of those that had been sent
    >>> dirty.pages
    294.5
    """

    edges: list[float]
    shares: list[float]
    zero: list[bool]
    normal_cost: tuple[float, float]
    zero_cost: tuple[float, float]
    pointer: float = 0.0
    pages: float = field(init=False)

    def __post_init__(self) -> None:
        """Count the dirty pages."""
        steps = zip(self.edges, self.edges[1:], self.shares, strict=False)
        self.pages = float(sum(share * (end - start) for start, end, share in steps))

    def add(self, start: float, end: float, share: float) -> None:
        """Dirty a share of the pages from `start` to `end`, whatever they were.

        Parameters
        ----------
        start, end
            Page numbers, the second not included.
        share
            Share of these pages that is written, independent of what is dirty already.

        Examples
        --------
        >>> dirty = DirtyMap([0, 10], [0.5], [False], (4104, 0.0), (9, 0.0))
        >>> dirty.add(0, 10, 0.5)
        >>> dirty.shares
        [0.75]
        """
        if end <= start or share <= 0:
            return
        first, last = self._split(start), self._split(end)
        for i in range(first, last):
            new = (1.0 - self.shares[i]) * share
            self.pages += new * (self.edges[i + 1] - self.edges[i])
            self.shares[i] += new
            self.zero[i] = False  # a page that is written is not zeros any more
        self._merge()

    def take(self, room_bytes: float, room_s: float = float("inf")) -> Taken:
        """Take dirty pages in order, from the pointer on, until a limit is passed or none is left.

        Parameters
        ----------
        room_bytes, room_s
            Stop after the first page with which the bytes or the seconds are above this.

        Returns
        -------
        Taken
            What was taken; these pages are clean now.

        Examples
        --------
        >>> dirty = DirtyMap([0, 10], [1.0], [False], (4104, 0.0), (9, 0.0))
        >>> dirty.take(8208).pages  # two pages do not pass it
        3.0
        """
        pages = zeros = sent = seconds = 0.0
        i = self._split(self.pointer) % len(self.shares)
        for _ in range(len(self.shares)):
            end, share = self.edges[i + 1], self.shares[i]
            if share > 0.0:
                unit_bytes, unit_s = self.zero_cost if self.zero[i] else self.normal_cost
                there = (end - self.edges[i]) * share
                fit = _fit(room_bytes - sent, unit_bytes, there)
                fit = _fit(room_s - seconds, unit_s, fit)
                pages += fit
                sent += fit * unit_bytes
                seconds += fit * unit_s
                zeros += fit if self.zero[i] else 0.0
                if fit < there:  # a limit is passed within this stretch
                    self.pointer = self.edges[i] + fit / share
                    self.shares[self._split(self.pointer) - 1] = 0.0
                    break
                self.shares[i] = 0.0
            i = i + 1 if i + 1 < len(self.shares) else 0
            self.pointer = self.edges[i]
            if sent > room_bytes or seconds > room_s:
                break
        else:
            self.pages = pages  # all is clean now: no rounding stays behind
            self.pointer = 0.0  # QEMU's search found nothing and stopped at the end of the RAM
        self.pages -= pages
        self._merge()
        return Taken(pages, zeros, sent, seconds)

    def run_length(self) -> float:
        """Return how many dirty pages follow each other in the stretch at the pointer.

        Returns
        -------
        float
            Pages, if the stretch is of pages that are not zeros, and all dirty; else 0.

        Examples
        --------
        >>> DirtyMap([0, 10], [1.0], [False], (4104, 0.0), (9, 0.0)).run_length()
        10.0
        """
        i = bisect_right(self.edges, self.pointer) - 1
        if i >= len(self.shares) or self.zero[i]:
            return 0.0
        return (self.edges[i + 1] - self.pointer) * self.shares[i]

    def _split(self, at: float) -> int:
        """Return the stretch that begins at a page, after cutting it there."""
        i = bisect_right(self.edges, at) - 1
        if self.edges[i] == at:
            return i
        self.edges.insert(i + 1, at)
        self.shares.insert(i + 1, self.shares[i])
        self.zero.insert(i + 1, self.zero[i])
        return i + 1

    def _merge(self) -> None:
        """Put neighbours together that are alike, now and then."""
        if len(self.shares) < _MERGE_AT:
            return
        edges, shares, zero = self.edges[:1], self.shares[:1], self.zero[:1]
        for i in range(1, len(self.shares)):
            share = self.shares[i]
            if share != shares[-1] or (share > 0.0 and self.zero[i] != zero[-1]):
                edges.append(self.edges[i])
                shares.append(share)
                zero.append(self.zero[i])
        self.edges, self.shares, self.zero = [*edges, self.edges[-1]], shares, zero


def _fit(room: float, unit: float, there: float) -> float:
    """Return how many of the pages there are taken until the room is passed."""
    if unit <= 0.0 or there * unit <= room:
        return there
    return min(there, room // unit + 1.0)
