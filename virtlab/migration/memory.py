"""Memory that is really copied: pages with contents, and a version each.

One class, two sizes. With `words=512` a page is its 4,096 bytes. With `words=1` it is eight bytes
that stand for them, which is enough to see a stale page and leaves room for machines of gigabytes.
Either way a write changes the page as a function of what was there before, so a write that is lost
once is never hidden by a later one: the contents stay different for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pages = NDArray[np.int64]
    Words = NDArray[np.uint64]

__all__ = ["WORDS_OF_A_PAGE", "PageMemory", "resend_ratio"]

WORDS_OF_A_PAGE = 512
_ADD, _MIX_1, _MIX_2 = (
    np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_ADD_INT = int(_ADD)
_30, _27, _31, _1 = (np.uint64(x) for x in (30, 27, 31, 1))


def _mixed(words: Words) -> Words:
    """Scramble words, none of them to zero (the finalizer of SplitMix64)."""
    words = (words ^ (words >> _30)) * _MIX_1
    words = (words ^ (words >> _27)) * _MIX_2
    return (words ^ (words >> _31)) | _1


class PageMemory:
    """The memory of one machine on one host.

    Parameters
    ----------
    pages
        How many pages.
    filled
        How many of them, from page 0, have contents; the others are zeros.
    words
        Words of eight bytes that are kept of a page: 512 is all of it, 1 a stand-in.

    Attributes
    ----------
    words
        Shape (pages, words), the contents.
    version
        Shape (pages,): how often a page was written.

    Examples
    --------
    >>> source, target = PageMemory(8, filled=6), PageMemory(8)
    >>> target.put(np.arange(6), *source.take(np.arange(6)))
    >>> source.write(np.array([2, 7]), stamp=1)
    >>> target.wrong_pages(source).tolist()
    [2, 7]
    """

    def __init__(self, pages: int, filled: int = 0, words: int = 1) -> None:
        integer("pages", pages, minimum=1)
        integer("filled", filled, minimum=0, maximum=pages)
        integer("words", words, minimum=1)
        self.words = np.zeros((pages, words), dtype=np.uint64)
        self.version = np.zeros(pages, dtype=np.uint32)
        number = np.arange(filled * words, dtype=np.uint64).reshape(filled, words)
        self.words[:filled] = _mixed(number + _ADD)

    @property
    def _first(self) -> NDArray[np.uint64]:
        """A view of the first word of each page, quick to index; all there is of stand-ins."""
        return self.words[:, 0]

    def write(self, pages: Pages, stamp: int) -> None:
        """Write to pages, each named once: one word of each changes.

        Parameters
        ----------
        pages
            Distinct page numbers.
        stamp
            Which write it is; the same stamp on the same contents gives the same contents.
        """
        count, step = self.words.shape[1], np.uint64(stamp * _ADD_INT % 2**64)
        if count == 1:
            first = self._first
            first[pages] = _mixed(first[pages] + step)
        else:
            at = (pages, self.version[pages] % count)
            self.words[at] = _mixed(self.words[at] + step)
        self.version[pages] += 1

    def take(self, pages: Pages) -> tuple[Words, NDArray[np.uint32]]:
        """Return a copy of the contents of pages, and their versions."""
        return self.words[pages], self.version[pages]

    def put(self, pages: Pages, words: Words, version: NDArray[np.uint32]) -> None:
        """Store contents that came from elsewhere."""
        self.words[pages] = words
        self.version[pages] = version

    def copy_from(self, other: PageMemory, pages: Pages) -> None:
        """Take over pages from another memory; neighbours in order go in one piece."""
        wide = pages.size - 1
        if wide > 0 and pages[-1] - pages[0] == wide and (pages[1:] - pages[:-1] == 1).all():
            piece = slice(int(pages[0]), int(pages[-1]) + 1)
            self.words[piece] = other.words[piece]
            self.version[piece] = other.version[piece]
        elif self.words.shape[1] == 1:
            self._first[pages] = other._first[pages]
            self.version[pages] = other.version[pages]
        else:
            self.put(pages, *other.take(pages))

    def zero(self, pages: Pages) -> NDArray[np.bool_]:
        """Return which of the pages are all zeros."""
        zero = self._first[pages] == 0
        if self.words.shape[1] > 1 and zero.any():  # look at all of a page only where need be
            zero[zero] = ~self.words[pages[zero]].any(axis=1)
        return np.asarray(zero)

    def copy(self) -> PageMemory:
        """Return another memory with the same contents."""
        other = PageMemory(len(self.version), words=self.words.shape[1])
        other.words[:] = self.words
        other.version[:] = self.version
        return other

    def wrong_pages(self, other: PageMemory) -> Pages:
        """Return the pages whose contents differ from another memory's."""
        return np.flatnonzero((self.words != other.words).any(axis=1))


def resend_ratio(old: Words, new: Words) -> float:
    """Measure what is left of pages that are sent again, if only what changed is sent.

    Each run of bytes that did not change, or did, costs a length of two bytes, and changed bytes
    cost themselves; a page that would not get smaller is sent whole. This is the idea of XBZRLE,
    which QEMU uses.

    Parameters
    ----------
    old, new
        Shape (pages, words): contents as they were sent before, and as they are now.

    Returns
    -------
    float
        Bytes to send divided by bytes of the pages, 0 to 1.

    Examples
    --------
    One word of eight bytes changed in each page of 4,096:

    >>> memory = PageMemory(10, filled=10, words=512)
    >>> before, _ = memory.take(np.arange(10))
    >>> memory.write(np.arange(10), stamp=1)
    >>> round(resend_ratio(before, memory.words), 4)
    0.0029
    """
    if old.shape != new.shape or old.ndim != 2 or old.size == 0:
        raise InvalidInputError("new", new.shape, f"pages and words as in old, {old.shape}")
    before, after = (np.ascontiguousarray(words).view(np.uint8) for words in (old, new))
    changed = before != after
    runs = 1 + (changed[:, 1:] != changed[:, :-1]).sum(axis=1)
    sizes = np.minimum(changed.sum(axis=1) + 2 * runs, before.shape[1])
    return float(sizes.sum() / before.size)
