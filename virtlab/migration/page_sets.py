"""The set of pages still to be sent, kept in two ways: a bit for each, or a chance for many.

Both answer the three questions that a round of `virtlab.migration.huge` asks: how many pages are
in the set, which page has the sender reached, and what is the set once the guest has written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virtlab.migration.bitmap import PageBits
from virtlab.migration.written import PATTERNS, Stretch, stretches

if TYPE_CHECKING:
    import numpy as np

    from virtlab.migration.workloads import Workload

__all__ = ["BitSet", "ChanceSet", "PageSet"]


class PageSet(Protocol):
    """The set of pages still to be sent, at one of the two levels."""

    def counts(self, *edges: int) -> list[float]:
        """Return how many pages of the set are between one edge and the next, from page 0 on."""

    def after(self, rank: float) -> int:
        """Return the page before which the set has so many."""

    def turn(self, reached: int, workload: Workload, start_s: float, end_s: float) -> float:
        """Take out what is before a page, put in what was written; return how much that was."""


class BitSet:
    """Level `page`: a bit for each."""

    def __init__(self, pages: int, rng: np.random.Generator) -> None:
        self.bits = PageBits(pages, full=True)
        self.rng = rng

    def counts(self, *edges: int) -> list[float]:
        """Count the set bits from edge to edge."""
        return [self.bits.count(*pair) for pair in zip((0, *edges), edges, strict=False)]

    def after(self, rank: float) -> int:
        """Find the page of a set bit."""
        return self.bits.after(round(rank))

    def turn(self, reached: int, workload: Workload, start_s: float, end_s: float) -> float:
        """Clear what was sent, and draw or list what was written."""
        self.bits.clear(0, reached)
        if type(workload) in PATTERNS:
            written = stretches(workload, start_s, end_s)
            return sum(self.bits.write_at_random(*stretch, self.rng) for stretch in written)
        pages = workload.writes(start_s, end_s, self.rng)  # any other: 8 bytes a page written
        self.bits.add(pages)
        return pages.size


class ChanceSet:
    """Level `mean`: stretches of pages with the same chance, in address order.

    Plain loops: this is the part that has to be fast.
    """

    def __init__(self, pages: int) -> None:
        self.stretches: list[Stretch] = [(0, pages, 1.0)]

    def counts(self, *edges: int) -> list[float]:
        """Add the expected pages from edge to edge."""
        sums, start = [], 0
        for edge in edges:
            count = 0.0
            for low, high, chance in self.stretches:
                if low < edge and high > start:
                    count += chance * (min(high, edge) - max(low, start))
            sums.append(count)
            start = edge
        return sums

    def after(self, rank: float) -> int:
        """Find the page with so many expected before it."""
        high = 0
        for low, high, chance in self.stretches:
            size = chance * (high - low)
            if size >= rank:
                return low + round(rank / chance)
            rank -= size
        return high

    def turn(self, reached: int, workload: Workload, start_s: float, end_s: float) -> float:
        """Drop what was sent, and join what was written."""
        written = stretches(workload, start_s, end_s)
        sets = [*written]
        edges = {edge for low, high, _ in written for edge in (low, high)}
        for low, high, chance in self.stretches:
            if high > reached:
                sets.append((max(low, reached), high, chance))
                edges.update(sets[-1][:2])
        self.stretches, total, start = [], 0.0, 0
        for stop in sorted(edges):
            miss = 1.0  # the chance to be in none: they are independent
            for low, high, chance in sets:
                if low <= start < high:
                    miss *= 1 - chance
            if miss < 1:
                self.stretches.append((start, stop, 1 - miss))
            start = stop
        for low, high, chance in written:
            total += chance * (high - low)
        return total
