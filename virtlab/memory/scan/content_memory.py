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

from virtlab.memory.frames import FREE, HINT, SHARED, STATES, USED, ZEROS
from virtlab.memory.guest.physical import distinct
from virtlab.memory.hashing import ZERO
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ContentMemory"]

_SEVERAL = -2  # in the table of hints, for a moment: several pages have this content


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
        self._open = self.fresh.copy()  # pages at which a visit may change something
        self._hint_of = np.full(pages, -1, dtype=np.int64)  # content for which a page is a hint
        size = int(self.contents.max(initial=0)) + 1
        self._hint = np.full(size, -1, dtype=np.int64)  # by content: the page that is its hint
        self._references = np.zeros(size, dtype=np.int64)  # by content: pages on its shared frame
        # Kept up to date, as adding them up would go over all contents and all pages.
        self._reclaimed = 0
        self._counts = np.bincount(self._state, minlength=len(STATES))

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

    def state_counts(self) -> NDArray[np.int64]:
        """Return how many pages are in each state of `frames.STATES`.

        Returns
        -------
        ndarray
            One number a state.

        Examples
        --------
        >>> memory = ContentMemory([5, 0, 0])
        >>> memory.visit(np.arange(3))
        >>> memory.state_counts().tolist()
        [0, 0, 1, 0, 2]
        """
        counts = self._counts.copy()
        zeros = self._references[ZERO]
        counts[SHARED] -= zeros
        counts[ZEROS] += zeros
        return counts

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
        # What is shared, or a hint, and was not written since has nothing to be held against.
        pages = pages.compress(self._open.take(pages))
        if not pages.size:
            return
        hints = pages[self._state.take(pages) == HINT]
        if hints.size:
            self._drop_hints(hints[self._hint_of[hints] != self.contents[hints]])
        unshared = self._state.take(pages) == USED
        self._open[pages[~unshared]] = False
        single = pages.compress(unshared)
        known = self._references.take(self.contents.take(single)) > 0
        self._share(single.compress(known))
        single = single.compress(~known)
        self._match(single.compress(~self.fresh.take(single)) if self.patient else single)
        self.fresh[pages] = False

    def _drop_hints(self, pages: NDArray[np.int64]) -> None:
        """Take hints out of their table."""
        self._hint[self._hint_of[pages]] = -1
        self._hint_of[pages] = -1
        self._turn(pages, HINT, USED)

    def _share(self, pages: NDArray[np.int64]) -> None:
        """Map pages, none of them a hint, to the shared frame of their content."""
        self._turn(pages, USED, SHARED)
        self._refer(self.contents.take(pages), 1)

    def _match(self, pages: NDArray[np.int64]) -> None:
        """Hold pages against the hints and one another; those that stay single become hints."""
        hints = self._hint.take(self.contents.take(pages))
        hints = distinct(hints.compress(hints >= 0))
        party = pages
        if hints.size:
            current = hints[self._hint_of[hints] == self.contents[hints]]
            self._drop_hints(hints)
            party = np.concatenate([pages, current])
        contents = self.contents.take(party)
        # Each enters itself as the hint; whoever then finds another there has company.
        self._hint[contents] = party
        company = contents.compress(self._hint.take(contents) != party)
        self._hint[company] = _SEVERAL
        several = self._hint.take(contents) == _SEVERAL
        self._hint[company] = -1
        self._share(party.compress(several))
        single = party.compress(~several)
        self._turn(single, USED, HINT)
        self._hint_of[single] = contents.compress(~several)

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
        self._turn(pages.compress(self._state.take(pages) == FREE), FREE, USED)
        self._grow(int(contents.max(initial=0)) + 1)
        self.contents[pages] = contents
        self.fresh[pages] = self._open[pages] = True

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
        self._drop_hints(pages[self._state[pages] == HINT])
        self._turn(pages[self._state[pages] == USED], USED, FREE)
        self._open[pages] = self.fresh[pages]
        self.contents[pages] = ZERO

    def _turn(self, pages: NDArray[np.int64], before: int, after: int) -> None:
        """Give pages that are all in one state another."""
        self._counts[before] -= pages.size
        self._counts[after] += pages.size
        self._state[pages] = after
        self._open[pages] = after == USED

    def _leave(self, pages: NDArray[np.int64]) -> None:
        """Take pages off their shared frames."""
        leaving = pages.compress(self._state.take(pages) == SHARED)
        self._turn(leaving, SHARED, USED)
        # The last page of a frame needs no copy: it saved nothing.
        self.copied -= self._refer(self.contents.take(leaving), -1)

    def _refer(self, contents: NDArray[np.int64], change: int) -> int:
        """Count pages on shared frames, one for each content; return the frames saved by that."""
        if not contents.size:
            return 0
        unused = contents[self._references[contents] == 0]
        np.add.at(self._references, contents, change)
        if change < 0:
            unused = contents[self._references[contents] == 0]
        # A frame is begun or left where a content had no page, or has none now.
        saved = change * (contents.size - distinct(unused).size)
        self._reclaimed += saved
        return saved

    def _grow(self, size: int) -> None:
        """Make room for contents up to `size`."""
        more = max(0, size - self._hint.size)
        if more:
            more += size // 4
            self._hint = np.append(self._hint, np.full(more, -1))
            self._references = np.append(self._references, np.zeros(more, dtype=np.int64))
