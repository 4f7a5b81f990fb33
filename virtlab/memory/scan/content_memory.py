"""Page sharing at scale: the rules of `virtlab.memory.sharing` on numbers of contents (S27).

Each page is known by the number of its content instead of its bytes (`Contents` gives the numbers),
so gigabytes fit in arrays. Many pages are visited in one step of array arithmetic, with the same
outcome as one after the other; tests hold it to models that go page by page.

Two things keep that quick. A page with a content that no other has (`write_own`) is looked up
nowhere: it is a hint once it was visited, or, for a patient scanner, found unchanged. And pages lie
in the order in which a scanner goes round them (`visit_stretch`), not in that of their numbers.

Linux's KSM differs in one rule, which `patient` switches on: it holds a page against other unshared
pages only if the page has not changed since the scan before, so a first pass over new pages shares
nothing.

Sources: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 4;
the Linux kernel's documentation of KSM (mm/ksm). Left out: collisions of hashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.memory.frames import FREE, HINT, SHARED, STATES, USED, ZEROS
from virtlab.memory.guest.physical import distinct
from virtlab.memory.hashing import ZERO
from virtlab.memory.scan.tables import FrameCounts, HintTable
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ContentMemory"]

_OWN = -1  # a content that no other page has
_ALONE = len(STATES)  # the state of such a page: a hint, or used while it waits to be one


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
    owners
        As given.
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
        self._contents = np.array(contents, dtype=np.int64)
        pages = self._contents.size
        self.owners = np.zeros(pages, np.int64) if owners is None else np.asarray(owners)
        if self._contents.ndim != 1 or self.owners.shape != self._contents.shape:
            shapes = f"{self._contents.shape}, {self.owners.shape}"
            raise InvalidInputError("contents, owners", shapes, "two lists of the same length")
        self.patient = patient
        self.copied = 0
        # Pages lie in the order of a ring, once a scanner follows one: by place, not by number.
        self._ring: NDArray[np.int64] | None = None
        self._place: NDArray[np.int64] | None = None
        self._fresh: NDArray[np.bool_] = np.ones(pages, dtype=bool)
        self._state = np.full(pages, USED, dtype=np.uint8)
        self._open = self._fresh.copy()  # pages at which a visit may change something
        self._waits = np.zeros(pages, dtype=bool)  # pages alone that are not yet hints
        size = int(self._contents.max(initial=0)) + 1
        self._hints, self._frames = HintTable(pages, size), FrameCounts(size)
        self._counts = np.bincount(self._state, minlength=_ALONE + 1)  # of each state, kept right

    @property
    def contents(self) -> NDArray[np.int64]:
        """Number of each page's content; one that no other page has is a negative number."""
        contents = self._by_page(self._contents)
        return np.where(contents == _OWN, -1 - np.arange(contents.size), contents)

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """Which pages were written since the scanner last saw them (all, at the start)."""
        return self._by_page(self._fresh)

    @property
    def fresh_pages(self) -> int:
        """How many of them there are."""
        return int(np.count_nonzero(self._fresh))

    @property
    def shared(self) -> int:
        """Pages whose frame at least one other page maps to."""
        return self._frames.shared

    @property
    def reclaimed(self) -> int:
        """Frames saved: pages on shared frames, less those frames."""
        return self._frames.saved

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
        zeros = (self._state == SHARED) & (self._contents == ZERO)
        alone = np.where(self._waits, USED, HINT)
        states = np.where(self._state == _ALONE, alone, np.where(zeros, ZEROS, self._state))
        return self._by_page(states.astype(np.uint8))

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
        counts, alone = self._counts[:_ALONE].copy(), self._counts[_ALONE]
        waiting = np.count_nonzero(self._waits)
        counts[USED] += waiting
        counts[HINT] += alone - waiting
        zeros = self._frames.references[ZERO]
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
        places = self._places(pages)
        if self._open.any():
            self._see(places.compress(self._open.take(places)))
        if self._fresh.any() or self._waits.any():
            self._age(places)

    def visit_stretch(self, ring: NDArray[np.int64], start: int, stop: int) -> None:
        """Scan the pages of one stretch of a ring, as `visit` does, but faster.

        Parameters
        ----------
        ring
            The numbers of all pages in the order of visits.
        start, stop
            The stretch.

        Examples
        --------
        >>> memory = ContentMemory([5, 6, 5])
        >>> memory.visit_stretch(np.array([2, 0, 1]), 0, 2)
        >>> memory.states().tolist()
        [3, 1, 3]
        """
        if ring is not self._ring:
            self._follow(ring)
        self._see(np.flatnonzero(self._open[start:stop]) + start)
        self._age(slice(start, stop))

    def visit_fresh(self) -> int:
        """Scan all pages written since the scanner last saw them.

        Returns
        -------
        int
            How many there were.

        Examples
        --------
        >>> memory = ContentMemory([5, 6, 5])
        >>> memory.visit_fresh(), memory.visit_fresh(), memory.reclaimed
        (3, 0, 1)
        """
        count = self.fresh_pages
        self._see(np.flatnonzero(self._open & self._fresh))
        alone = self._fresh & (self._state == _ALONE)
        self._waits = self._waits | alone if self.patient else self._waits & ~alone
        self._fresh[:] = False
        return count

    def _age(self, where: NDArray[np.int64] | slice) -> None:
        """Note that pages were visited: those alone are hints now, unless they have to wait."""
        self._waits[where] = self.patient and self._fresh[where] & (self._state[where] == _ALONE)
        self._fresh[where] = False

    def _follow(self, ring: NDArray[np.int64]) -> None:
        """Lay the pages in the order of a ring."""
        numbers = np.arange(ring.size)
        before = numbers if self._ring is None else self._ring
        order = self._places(ring)
        self._contents, self._state = self._contents[order], self._state[order]
        self._fresh, self._open = self._fresh[order], self._open[order]
        self._waits = self._waits[order]
        self._ring, self._place = ring, np.empty_like(numbers)
        self._place[ring] = numbers
        self._hints.renumber(order, self._place[before])

    def _places(self, pages: NDArray[np.int64]) -> NDArray[np.int64]:
        return pages if self._place is None else self._place.take(pages)

    def _by_page(self, values: NDArray[Any]) -> NDArray[Any]:
        return values if self._place is None else values.take(self._place)

    def _see(self, places: NDArray[np.int64]) -> None:
        """See to pages that are not shared, nor a hint, or were written since they were."""
        if not places.size:
            return
        alone = self._state.take(places) == _ALONE
        self._unlist(places.compress(alone))
        places = places.compress(~alone)
        hints = places[self._state.take(places) == HINT]
        if hints.size:
            self._drop_hints(hints[self._hints.content[hints] != self._contents[hints]])
        unshared = self._state.take(places) == USED
        self._open[places[~unshared]] = False
        single = places.compress(unshared)
        known = self._frames.references.take(self._contents.take(single)) > 0
        self._share(single.compress(known))
        single = single.compress(~known)
        self._match(single.compress(~self._fresh.take(single)) if self.patient else single)

    def _unlist(self, places: NDArray[np.int64]) -> None:
        """Take pages out of the table of hints."""
        self._hints.drop(places)
        self._open[places] = False

    def _drop_hints(self, places: NDArray[np.int64]) -> None:
        """Let pages be hints no longer."""
        self._unlist(places)
        alone = self._state.take(places) == _ALONE
        self._waits[places.compress(alone)] = True
        self._turn(places.compress(~alone), HINT, USED)

    def _share(self, places: NDArray[np.int64]) -> None:
        """Map pages, none of them a hint, to the shared frame of their content."""
        self._turn(places, USED, SHARED)
        self._frames.refer(self._contents.take(places), 1)

    def _match(self, places: NDArray[np.int64]) -> None:
        """Hold pages against the hints and one another; those that stay single become hints."""
        hints = self._hints.find(self._contents.take(places))
        party = places
        if hints.size:
            current = hints[self._hints.content[hints] == self._contents[hints]]
            self._drop_hints(hints)
            party = np.concatenate([places, current])
        several = self._hints.enter(party, self._contents.take(party))
        self._share(party.compress(several))
        self._turn(party.compress(~several), USED, HINT)

    def write_own(self, pages: NDArray[np.int64]) -> None:
        """Let guests write what no other page has, and not twice the same.

        Parameters
        ----------
        pages
            Numbers of the pages; one that is named twice is written once.

        Examples
        --------
        >>> memory = ContentMemory([5, 5])
        >>> memory.visit(np.array([0, 1]))
        >>> memory.write_own(np.array([0, 0]))
        >>> memory.states().tolist(), memory.copied
        ([1, 3], 1)
        """
        places = self._places(pages)
        self._fresh[places] = True
        first = distinct(places.compress(self._state.take(places) != _ALONE))
        if not first.size:
            return
        self._leave(first)
        hints = self._state.take(first) == HINT
        self._contents[first] = _OWN
        self._waits[first] = ~hints
        self._turn(first.compress(~hints), USED, _ALONE)
        listed = first.compress(hints)
        self._turn(listed, HINT, _ALONE)
        self._open[listed] = True  # the table still has them

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
        places = self._places(pages)
        self._mix(places)
        self._leave(places)
        self._hints.grow(int(contents.max(initial=0)) + 1)
        self._frames.grow(int(contents.max(initial=0)) + 1)
        self._contents[places] = contents
        self._fresh[places] = self._open[places] = True

    def _mix(self, places: NDArray[np.int64]) -> None:
        """Let pages be alone no longer."""
        alone = places.compress(self._state.take(places) == _ALONE)
        waits = self._waits.take(alone)
        self._waits[alone] = False
        self._turn(alone.compress(waits), _ALONE, USED)
        self._turn(alone.compress(~waits), _ALONE, HINT)

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
        places = self._places(pages)
        self._mix(places)
        self._leave(places)
        self.copied = copied  # nothing is copied when a page goes
        self._drop_hints(places[self._state[places] == HINT])
        self._turn(places[self._state[places] == USED], USED, FREE)
        self._open[places] = self._fresh[places]
        self._contents[places] = ZERO

    def _turn(self, places: NDArray[np.int64], before: int, after: int) -> None:
        """Give pages that are all in one state another."""
        self._counts[before] -= places.size
        self._counts[after] += places.size
        self._state[places] = after
        self._open[places] = after == USED

    def _leave(self, places: NDArray[np.int64]) -> None:
        """Let pages be for themselves: take them off shared frames, and out of no frame."""
        self._turn(places.compress(self._state.take(places) == FREE), FREE, USED)
        leaving = places.compress(self._state.take(places) == SHARED)
        self._turn(leaving, SHARED, USED)
        # The last page of a frame needs no copy: it saved nothing.
        self.copied -= self._frames.refer(self._contents.take(leaving), -1)
