"""Page sharing at scale: the rules of `virtlab.memory.sharing` on numbers of contents (S27).

Each page is known by the number of its content instead of its bytes (`Contents` gives the numbers),
so gigabytes fit in arrays. Many pages are visited in one step of array arithmetic, with the same
outcome as one after the other; a test holds the two models together.

Linux's KSM differs in one rule, which `patient` switches on: it holds a page against other unshared
pages only if the page has not changed since the scan before, so a first pass over new pages shares
nothing.

Sources: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 4;
the Linux kernel's documentation of KSM (mm/ksm). Left out: collisions of hashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.frames import FREE, HINT, SHARED, USED, ZEROS
from virtlab.memory.guest.physical import distinct
from virtlab.memory.hashing import ZERO
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ContentMemory"]


class ContentMemory:
    """The memory of several VMs, by the number of each page's content.

    Parameters
    ----------
    contents
        Number of each page's content; `ZERO` is the page of zeros.
    owners
        VM of each page, from 0; all of one VM if not given.
    patient
        KSM's rule: a page is held against other unshared pages only if it was not written since
        the visit before.

    Attributes
    ----------
    contents, owners
        As given; `contents` changes with writes.
    fresh
        Which pages were written since the scanner last saw them (all, at the start).
    copied
        How many writes needed a copy of a shared page.

    Examples
    --------
    >>> memory = ContentMemory([0, 7, 7, 0, 0])
    >>> memory.visit(np.array([0, 1, 2, 3]))
    >>> memory.states().tolist(), memory.reclaimed, memory.frames_used
    ([4, 3, 3, 4, 1], 2, 3)
    """

    def __init__(
        self, contents: ArrayLike, owners: ArrayLike | None = None, *, patient: bool = False
    ) -> None:
        self.contents = np.array(contents, dtype=np.int64)
        pages = self.contents.size
        self.owners = np.zeros(pages, np.int64) if owners is None else np.asarray(owners)
        if self.contents.ndim != 1 or self.owners.shape != self.contents.shape:
            shapes = f"{self.contents.shape}, {self.owners.shape}"
            raise InvalidInputError("contents, owners", shapes, "two lists of the same length")
        self.patient = patient
        self.copied = 0
        self.fresh: NDArray[np.bool_] = np.ones(pages, dtype=bool)
        self._state = np.full(pages, USED, dtype=np.uint8)
        self._hint_of = np.full(pages, -1, dtype=np.int64)  # content for which a page is a hint
        size = int(self.contents.max(initial=0)) + 1
        self._hint = np.full(size, -1, dtype=np.int64)  # by content: the page that is its hint
        self._references = np.zeros(size, dtype=np.int64)  # by content: pages on its shared frame
        self._reclaimed = 0  # kept up to date: adding it up would go over all contents

    @property
    def shared(self) -> int:
        """Pages whose frame at least one other page maps to."""
        return int(self._references[self._references > 1].sum())

    @property
    def reclaimed(self) -> int:
        """Frames saved: pages on shared frames, less those frames."""
        return self._reclaimed

    @property
    def frames_used(self) -> int:
        """Machine frames that hold something."""
        return int((self._state != FREE).sum()) - self.reclaimed

    def states(self) -> NDArray[np.uint8]:
        """Return the state of each page, for a page map: an index into `frames.STATES`.

        Returns
        -------
        ndarray
            uint8, one a page.

        Examples
        --------
        >>> ContentMemory([5]).states().tolist()
        [1]
        """
        return np.where((self._state == SHARED) & (self.contents == ZERO), ZEROS, self._state)

    def visit(self, pages: NDArray[np.int64]) -> None:
        """Scan some pages, with the same outcome as one after the other.

        Parameters
        ----------
        pages
            Their numbers, all different.

        Examples
        --------
        >>> memory = ContentMemory([5, 5])
        >>> memory.visit(np.array([0, 1]))
        >>> memory.reclaimed
        1
        """
        settled = ~self.fresh[pages]
        self.fresh[pages] = False
        content, state, hint_of = self.contents[pages], self._state[pages], self._hint_of[pages]
        known = ((state == USED) | (state == HINT)) & (self._references[content] > 0)
        # A hint that still holds what it was entered for has nothing new to be held against.
        new = ((state == USED) | (state == HINT)) & ~known & (hint_of != content)
        self._drop_hints(pages[(state == HINT) & (hint_of != content)])
        self._share(pages[known])
        self._match(pages[new & settled] if self.patient else pages[new])

    def _drop_hints(self, pages: NDArray[np.int64]) -> None:
        """Take pages out of the table of hints, those that are in it."""
        pages = pages[self._hint_of[pages] >= 0]
        self._hint[self._hint_of[pages]] = -1
        self._hint_of[pages] = -1
        self._state[pages] = USED

    def _share(self, pages: NDArray[np.int64]) -> None:
        """Map pages to the shared frame of their content."""
        self._drop_hints(pages)
        self._state[pages] = SHARED
        self._refer(self.contents[pages], 1)

    def _match(self, pages: NDArray[np.int64]) -> None:
        """Hold unshared pages against the hints and one another; the single ones become hints."""
        hinted = self._hint[self.contents[pages]]
        hinted = distinct(hinted[hinted >= 0])
        stale = self.contents[hinted] != self._hint_of[hinted]
        self._drop_hints(hinted[stale])
        party = distinct(np.concatenate([pages, hinted[~stale]]))
        _, kind, count = np.unique(self.contents[party], return_inverse=True, return_counts=True)
        several = count[kind] > 1
        self._share(party[several])
        single = party[~several]
        self._state[single] = HINT
        self._hint_of[single] = self.contents[single]
        self._hint[self.contents[single]] = single

    def write(self, pages: NDArray[np.int64], contents: NDArray[np.int64]) -> None:
        """Let guests write: each page gets a new content; a shared one leaves its frame.

        Parameters
        ----------
        pages
            Numbers of the pages, all different.
        contents
            Their new contents.

        Examples
        --------
        >>> memory = ContentMemory([5, 5])
        >>> memory.visit(np.array([0, 1]))
        >>> memory.write(np.array([0]), np.array([9]))
        >>> memory.states().tolist(), memory.copied
        ([1, 3], 1)
        """
        self._leave(pages)
        self._state[pages[self._state[pages] == FREE]] = USED
        self._grow(int(contents.max(initial=0)) + 1)
        self.contents[pages] = contents
        self.fresh[pages] = True

    def free(self, pages: NDArray[np.int64]) -> None:
        """Take pages from their guests; they read zeros until they are written again.

        Parameters
        ----------
        pages
            Numbers of the pages, all different.

        Examples
        --------
        >>> memory = ContentMemory([5, 6])
        >>> memory.free(np.array([0]))
        >>> memory.frames_used
        1
        """
        copied = self.copied
        self._leave(pages)
        self.copied = copied  # nothing is copied when a page goes
        self._drop_hints(pages)
        self._state[pages] = FREE
        self.contents[pages] = ZERO

    def _leave(self, pages: NDArray[np.int64]) -> None:
        """Take pages off their shared frames."""
        leaving = pages[self._state[pages] == SHARED]
        self._state[leaving] = USED
        # The last page of a frame needs no copy: it saved nothing.
        self.copied -= self._refer(self.contents[leaving], -1)

    def _refer(self, contents: NDArray[np.int64], change: int) -> int:
        """Count pages on shared frames, one for each content; return the frames saved by that."""
        touched = distinct(contents)
        before = self._references[touched]
        np.add.at(self._references, contents, change)
        after = self._references[touched]
        saved = int((after - (after > 0)).sum() - (before - (before > 0)).sum())
        self._reclaimed += saved
        return saved

    def _grow(self, size: int) -> None:
        """Make room for contents up to `size`."""
        more = max(0, size - self._hint.size)
        if more:
            more += size // 4
            self._hint = np.append(self._hint, np.full(more, -1))
            self._references = np.append(self._references, np.zeros(more, dtype=np.int64))
