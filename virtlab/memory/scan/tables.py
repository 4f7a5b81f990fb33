"""The two tables of a scanner, by the number of a content: its hint, and its shared frame (S27).

A **hint** is a page that was visited alone: whoever has the same content later is held against it.
A shared frame holds one content. The first page on it saves nothing, each further one a frame; so
what is saved is the number of pages on shared frames, less the number of these frames. It is kept
up to date, as adding it up would go over all contents.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 4.
Left out: the 16 bits of the real counter, and what happens above them
(`virtlab.memory.frames.RefCounts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.physical import distinct

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NO_CONTENT", "FrameCounts", "HintTable"]

NO_CONTENT = -1  # what a page that is no hint is a hint for
_SEVERAL = -2  # in the table, for a moment: several pages have this content


class HintTable:
    """Which page is the hint of a content, and of which content a page is the hint.

    Parameters
    ----------
    pages, contents
        How many pages and contents there are.

    Attributes
    ----------
    content
        For each page, the content for which it is the hint, or `NO_CONTENT`.

    Examples
    --------
    >>> hints = HintTable(pages=9, contents=6)
    >>> hints.enter(np.array([7]), np.array([5])).tolist()
    [False]
    >>> hints.find(np.array([4, 5])).tolist()
    [7]
    >>> hints.drop(np.array([7]))
    >>> hints.find(np.array([4, 5])).tolist()
    []
    """

    def __init__(self, pages: int, contents: int) -> None:
        self.content = np.full(pages, NO_CONTENT, dtype=np.int64)
        self._page = np.full(contents, -1, dtype=np.int64)

    def find(self, contents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the hints there are for some contents, each once.

        Parameters
        ----------
        contents
            Any number of contents.

        Returns
        -------
        ndarray
            Pages.

        Examples
        --------
        See the class.
        """
        pages = self._page.take(contents)
        return distinct(pages.compress(pages >= 0))

    def drop(self, pages: NDArray[np.int64]) -> None:
        """Take pages out; those that are no hints stay so.

        Parameters
        ----------
        pages
            Pages, all different.

        Examples
        --------
        See the class.
        """
        contents = self.content.take(pages)
        self._page[contents.compress(contents != NO_CONTENT)] = -1
        self.content[pages] = NO_CONTENT

    def enter(self, pages: NDArray[np.int64], contents: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Enter pages as the hints of their contents, but for those that have company.

        Parameters
        ----------
        pages
            Pages, all different.
        contents
            The content of each, none of which has a hint.

        Returns
        -------
        ndarray
            For each page, whether another one of them has the same content.

        Examples
        --------
        >>> HintTable(pages=3, contents=6).enter(np.arange(3), np.array([5, 4, 5])).tolist()
        [True, False, True]
        """
        # Each enters itself as the hint; whoever then finds another there has company.
        self._page[contents] = pages
        company = contents.compress(self._page.take(contents) != pages)
        self._page[company] = _SEVERAL
        several: NDArray[np.bool_] = self._page.take(contents) == _SEVERAL
        self._page[company] = -1
        self.content[pages.compress(~several)] = contents.compress(~several)
        return several

    def renumber(self, old: NDArray[np.int64], new: NDArray[np.int64]) -> None:
        """Let the pages have other numbers.

        Parameters
        ----------
        old
            By new number: the old one.
        new
            By old number: the new one.

        Examples
        --------
        >>> hints = HintTable(pages=2, contents=6)
        >>> _ = hints.enter(np.array([0]), np.array([5]))
        >>> hints.renumber(old=np.array([1, 0]), new=np.array([1, 0]))
        >>> hints.find(np.array([5])).tolist(), hints.content.tolist()
        ([1], [-1, 5])
        """
        known = np.flatnonzero(self._page >= 0)
        if known.size:
            self._page[known] = new[self._page[known]]
            self.content = self.content[old]

    def grow(self, size: int) -> None:
        """Make room for contents, and for some more.

        Parameters
        ----------
        size
            How many contents there are; nothing happens if there is room for them.

        Examples
        --------
        >>> hints = HintTable(pages=1, contents=1)
        >>> hints.grow(3)
        >>> hints.find(np.arange(3)).size
        0
        """
        self._page = _grown(self._page, size, -1)


def _grown(table: NDArray[np.int64], size: int, value: int) -> NDArray[np.int64]:
    """Return a table with room for so many contents, if need be a copy with a quarter more."""
    if size <= table.size:
        return table
    return np.append(table, np.full(size + size // 4 - table.size, value))


class FrameCounts:
    """Reference counts of shared frames, by the number of their content.

    Parameters
    ----------
    size
        How many contents there are.

    Attributes
    ----------
    references
        For each content, the pages on its shared frame; 0 if it has none.
    saved
        Pages on shared frames, less those frames.

    Examples
    --------
    >>> counts = FrameCounts(6)
    >>> counts.refer(np.array([5, 5, 5]), 1), counts.saved, counts.shared
    (2, 2, 3)
    """

    def __init__(self, size: int) -> None:
        self.references = np.zeros(size, dtype=np.int64)
        self.saved = 0

    @property
    def shared(self) -> int:
        """Pages whose frame at least one other page maps to."""
        return int(self.references[self.references > 1].sum())

    def refer(self, contents: NDArray[np.int64], change: int) -> int:
        """Let pages come to their contents' frames, or leave them.

        Parameters
        ----------
        contents
            The content of each such page; the same content any number of times.
        change
            1 for pages that come, -1 for pages that leave.

        Returns
        -------
        int
            Frames saved by that; less than 0 if more are needed.

        Examples
        --------
        >>> counts = FrameCounts(6)
        >>> counts.refer(np.array([5, 5, 2, 2]), 1), counts.refer(np.array([5, 2, 2]), -1)
        (2, -2)
        """
        if not contents.size:
            return 0
        unused = contents[self.references[contents] == 0]
        np.add.at(self.references, contents, change)
        if change < 0:
            unused = contents[self.references[contents] == 0]
        # A frame is begun or left where a content had no page, or has none now.
        saved = change * (contents.size - distinct(unused).size)
        self.saved += saved
        return saved

    def grow(self, size: int) -> None:
        """Make room for contents, and for some more.

        Parameters
        ----------
        size
            How many contents there are; nothing happens if there is room for them.

        Examples
        --------
        >>> counts = FrameCounts(6)
        >>> counts.grow(8)
        >>> counts.references.size
        10
        """
        self.references = _grown(self.references, size, 0)
