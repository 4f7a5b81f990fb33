"""One bit a page: the dirty bitmap of a machine with hundreds of millions of pages.

A **dirty bitmap** (メモリのビットマップ) says which pages are still to be sent. At 1 bit a page of
4 KiB a machine of 1 TiB has 2^28 bits, 32 MiB. Everything that a migration does to it is done here
in chunks of 2^18 pages, whose unpacked form (256 KiB) stays in a core's cache: count the bits, find
the page that the sender has reached, and let the guest write.

Writing at random is the slow part, and it need not draw one write after the other. Of W pages that
get n random writes, each one is hit with the chance

    p = 1 - (1 - 1/W)^n,

independent of its neighbours but for the sum, which is off by less than 1 part in W. So each page
has its own fate, drawn from p in one of two ways:

- *many are hit*: one random byte a page against the first 8 binary digits of p; the pages for which
  that byte is a tie, 1 in 256, draw the remaining digits. Exact, at one byte a page.
- *few are hit*: along the address axis the writes are a Poisson process, so the gaps between them
  are exponential; their running sum gives the writes in address order, and no sorting is needed.

Source: the occupancy of boxes by balls is in W. Feller, "An introduction to probability theory and
its applications", vol. 1, 3rd ed. (1968), section IV.2; the rest is ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

__all__ = ["PageBits"]

_CHUNK = 2**18  # pages; a multiple of 64. Larger arrays come from the system anew each time
_FEW = 1 / 16  # up to here gaps are faster than a byte a page


class PageBits:
    """A set of pages, packed at one bit each.

    Parameters
    ----------
    pages
        Number of pages, at least 1.
    full
        Whether all pages are in the set; none otherwise.

    Raises
    ------
    InvalidInputError
        If there is no page.

    Examples
    --------
    >>> bits = PageBits(100)
    >>> bits.fill(10, 20)
    >>> bits.count(), bits.count(15, 100), bits.after(3)
    (10, 5, 13)
    >>> bits.clear(0, 13)
    >>> bits.to_pages().tolist()
    [13, 14, 15, 16, 17, 18, 19]
    >>> PageBits(2**28).nbytes // 2**20
    32
    """

    def __init__(self, pages: int, *, full: bool = False) -> None:
        self.pages = integer("pages", pages, minimum=1)
        self._bytes = np.zeros(-(-self.pages // 64) * 8, dtype=np.uint8)
        if full:
            self.fill(0, self.pages)

    @property
    def nbytes(self) -> int:
        """Memory that the bits take, in bytes."""
        return self._bytes.nbytes

    def to_pages(self) -> NDArray[np.int64]:
        """Return the pages of the set in order: 8 bytes each, so only where they are few."""
        return np.flatnonzero(self._mask(0, self.pages)).astype(np.int64)

    def count(self, first: int = 0, stop: int | None = None) -> int:
        """Return how many pages from `first` to before `stop` are in the set."""
        first, stop = self._range(first, self.pages if stop is None else stop)
        low, high = -(-first // 8), stop // 8  # the whole bytes
        if low >= high:
            return int(np.count_nonzero(self._mask(first, stop)))
        inner = sum(int(count) for _, count in self._counts(low, high))
        return inner + sum(
            int(np.count_nonzero(self._mask(*edge)))
            for edge in ((first, low * 8), (high * 8, stop))
        )

    def after(self, rank: int) -> int:
        """Return the page behind the `rank`-th one of the set, which has `rank` before it.

        The number of pages, if the set has no more than `rank`; 0 at rank 0.
        """
        if rank <= 0:
            return 0
        for start, count in self._counts(0, self._bytes.size):
            if count >= rank:
                chunk = self._mask(start * 8, min(start * 8 + _CHUNK, self.pages))
                return start * 8 + int(np.flatnonzero(chunk)[rank - 1]) + 1
            rank -= count
        return self.pages

    def fill(self, first: int, stop: int) -> None:
        """Put the pages from `first` to before `stop` into the set."""
        self._set(*self._range(first, stop), value=True)

    def clear(self, first: int, stop: int) -> None:
        """Take the pages from `first` to before `stop` out of the set."""
        self._set(*self._range(first, stop), value=False)

    def add(self, pages: NDArray[np.int64]) -> None:
        """Put some pages into the set, given by their numbers in ascending order."""
        if not pages.size:
            return
        self._range(int(pages[0]), int(pages[-1]) + 1)
        edges = np.arange(pages[0] // _CHUNK, pages[-1] // _CHUNK + 2) * _CHUNK
        places = np.searchsorted(pages, edges)
        for start, low, high in zip(edges, places, places[1:], strict=False):
            if high > low:
                hit = np.zeros(min(_CHUNK, self.pages - int(start)), dtype=bool)
                hit[pages[low:high] - start] = True
                self._or(int(start), hit)

    def write_at_random(
        self, first: int, stop: int, chance: float, rng: np.random.Generator
    ) -> int:
        """Hit each page from `first` to before `stop` with a chance; put those hit into the set.

        Parameters
        ----------
        first, stop
            The pages that may be hit.
        chance
            Of each page, 0 to 1.
        rng
            Where the draws come from.

        Returns
        -------
        int
            How many pages were hit, whether or not they were in the set before.

        Raises
        ------
        InvalidInputError
            If the pages are not there, or the chance is none.
        """
        first, stop = self._range(first, stop)
        chance = number("chance", chance, minimum=0, maximum=1)
        if chance == 1:
            self.fill(first, stop)
            return stop - first
        draw = _few if chance < _FEW else _many
        hits = 0
        for low in range(first - first % _CHUNK, stop, _CHUNK) if chance > 0 else ():
            start, end = max(low, first), min(low + _CHUNK, stop)
            hit = draw(end - start, chance, rng)
            hits += int(np.count_nonzero(hit))
            self._or(start, hit)
        return hits

    def _range(self, first: int, stop: int) -> tuple[int, int]:
        if not 0 <= first <= stop <= self.pages:
            allowed = f"a range within 0 to {self.pages}"
            raise InvalidInputError("(first, stop)", (first, stop), allowed)
        return first, stop

    def _counts(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yield the start of each chunk of bytes, and how many bits are set in it."""
        step = _CHUNK // 8
        for start in range(low, high, step):
            part = self._bytes[start : min(start + step, high)]
            whole = part[: part.size // 8 * 8].view(np.uint64) if start % 8 == 0 else part[:0]
            rest = part[whole.nbytes :]
            yield (
                start,
                int(np.bitwise_count(whole).sum(dtype=np.int64))
                + int(np.bitwise_count(rest).sum(dtype=np.int64)),
            )

    def _mask(self, first: int, stop: int) -> Bools:
        """Return the bits of some pages as booleans."""
        low = first // 8
        bits = np.unpackbits(self._bytes[low : -(-stop // 8)], bitorder="little")
        return bits[first - low * 8 : stop - low * 8].view(np.bool_)

    def _set(self, first: int, stop: int, *, value: bool) -> None:
        low, high = -(-first // 8), stop // 8
        if low < high:
            self._bytes[low:high] = 255 * value
        edges = ((first, low * 8), (high * 8, stop)) if low <= high else ((first, stop),)
        for start, end in edges:
            for page in range(start, end):
                bit = np.uint8(1 << page % 8)
                if value:
                    self._bytes[page // 8] |= bit
                else:
                    self._bytes[page // 8] &= ~bit

    def _or(self, first: int, hit: Bools) -> None:
        """Put the pages into the set for which `hit`, which starts at page `first`, is true."""
        if first % 8:
            hit = np.concatenate([np.zeros(first % 8, dtype=bool), hit])
        packed = np.packbits(hit, bitorder="little")
        self._bytes[first // 8 : first // 8 + packed.size] |= packed


def _many(pages: int, chance: float, rng: np.random.Generator) -> Bools:
    """Draw each page's fate from one random byte, and a tie's from the digits behind it."""
    words = rng.integers(0, 2**64, -(-pages // 8), dtype=np.uint64)  # the fastest way to bytes
    drawn = words.view(np.uint8)[:pages]
    byte = int(chance * 256)
    hit: Bools = drawn < byte
    tied = np.flatnonzero(drawn == byte)
    hit[tied] = rng.random(tied.size) < chance * 256 - byte
    return hit


def _few(pages: int, chance: float, rng: np.random.Generator) -> Bools:
    """Draw the writes in address order by the gaps between them; a page may get more than one."""
    writes_a_page = -math.log1p(-chance)  # then 1 - exp(-writes_a_page) is the chance again
    expected = pages * writes_a_page
    enough = math.ceil(expected + 6 * math.sqrt(expected)) + 8
    hit = np.zeros(pages, dtype=bool)
    place = 0.0
    while place < pages:  # once, but for one time in hundreds of millions
        places = place + np.cumsum(rng.standard_exponential(enough)) / writes_a_page
        hit[places[: np.searchsorted(places, pages)].astype(np.int64)] = True
        place = float(places[-1])
    return hit
