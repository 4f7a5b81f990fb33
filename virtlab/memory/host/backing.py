"""What stands behind a guest's memory: a frame, a shared frame, the host's swap, or nothing.

This is the guest-physical memory that a hypervisor gives a guest (`virtlab.memory.guest.physical`
is that of a real machine). Each of its pages is

    untouched   never used: it needs no frame, and reads as zeros
    backed      has a machine frame of its own
    shared      has one together with equal pages, copy-on-write
    swapped     lies in the VM's swap file on the host's disk
    ballooned   was given up by the balloon driver: nobody will look at it

and the guest sees none of that, only that some accesses take long. The host picks pages to swap at
random: it doesn't know better, and any fixed order may be the worst for some guest (W02, section
3.3). Before it writes one it looks whether the page can be shared instead.

A guest may reuse a page that the host has swapped out, and overwrite it whole; the host fetches it
all the same, because it learns of the write by the first byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.physical import LOST, UNIQUE, ZERO, PhysicalMemory, distinct

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from virtlab.memory.host.machine import MachineMemory

    Indices = NDArray[np.int32]
    Values = NDArray[np.int64]

__all__ = ["BACKED", "BALLOONED", "SHARED", "STATES", "SWAPPED", "UNTOUCHED", "BackedMemory"]

UNTOUCHED, BACKED, SHARED, SWAPPED, BALLOONED = np.arange(5, dtype=np.uint8)
"""What stands behind a page."""

STATES = ("untouched", "backed", "shared", "swapped", "ballooned")

_PIECE = 512  # pages fetched at a time: what is fetched must fit beside what is there


class BackedMemory(PhysicalMemory):
    """A VM's memory as the host keeps it.

    Parameters
    ----------
    pages
        Of the VM.
    machine
        Where frames come from.
    checked
        Whether pages hold values too.

    Attributes
    ----------
    state
        What stands behind each page.
    counts
        How many pages are in each state.

    Examples
    --------
    >>> from virtlab.memory.host.machine import MachineMemory
    >>> memory = BackedMemory(8, MachineMemory(100))
    >>> memory.write(np.arange(4))
    0
    >>> memory.swap_out(2, np.random.default_rng(1))
    2
    >>> memory.read(np.arange(4)), memory.allocated, memory.swapped
    (2, 4, 0)
    """

    def __init__(self, pages: int, machine: MachineMemory, *, checked: bool = False) -> None:
        super().__init__(pages, checked=checked)
        self.machine = machine
        self.state = np.zeros(pages, np.uint8)
        self.counts = np.zeros(len(STATES), np.int64)
        self.counts[UNTOUCHED] = pages
        self.swap_writes = 0
        self._swap = np.full(pages, LOST, np.int64) if checked else None

    @property
    def allocated(self) -> int:
        """Pages that have a frame, of their own or shared: what the VM is said to have."""
        return int(self.counts[BACKED] + self.counts[SHARED])

    @property
    def shared(self) -> int:
        """Pages that share a frame."""
        return int(self.counts[SHARED])

    @property
    def swapped(self) -> int:
        """Pages in the host's swap."""
        return int(self.counts[SWAPPED])

    @property
    def ballooned(self) -> int:
        """Pages that the balloon driver gave up."""
        return int(self.counts[BALLOONED])

    def _become(self, frames: Indices, state: np.uint8) -> None:
        was = np.bincount(self.state[frames], minlength=len(STATES))
        self.counts -= was
        self.counts[state] += frames.size
        self.state[frames] = state

    def read(self, frames: Indices) -> int:
        """Back pages, fetching those in the host's swap; return how many were."""
        state = self.state[frames]
        if ((state == BACKED) | (state == SHARED)).all():
            return 0
        absent = distinct(frames[(state != BACKED) & (state != SHARED)])
        fetched = 0
        while absent.size:
            piece = absent[: self._room(absent.size)]
            absent = absent[piece.size :]
            fetched += self._fetch(piece)
        return fetched

    def _room(self, wanted: int) -> int:
        """Return for how many pages there are frames now; in pieces, where others must give."""
        return wanted if wanted <= self.machine.free else self.machine.room(min(wanted, _PIECE))

    def _fetch(self, frames: Indices) -> int:
        """Give pages that have none a frame of their own; the room for it is there."""
        if frames.size == 0:
            return 0
        state = self.state[frames]
        if (state == BALLOONED).any():
            raise AssertionError("the guest uses a page that is in the balloon")
        back = frames[state == SWAPPED]
        if self.values is not None and self._swap is not None:
            self.values[back] = self._swap[back]
            self._swap[back] = LOST
        self.machine.take(frames.size)
        self._become(frames, BACKED)
        return int(back.size)

    def write(
        self, frames: Indices, content: int | Indices = UNIQUE, values: Values | int | None = None
    ) -> int:
        """Write pages, after fetching or copying where one has no frame of its own."""
        state = self.state[frames]
        if (state == BACKED).all():
            super().write(frames, content, values)
            return 0
        fetched, at = 0, np.arange(frames.size)
        own = state == BACKED
        self._store(frames, content, values, at[own])
        rest = at[~own]
        while rest.size:
            piece = rest[: self._room(rest.size)]
            rest = rest[piece.size :]
            fetched += self._own(distinct(frames[piece]))
            self._store(frames, content, values, piece)
        return fetched

    def _store(
        self, frames: Indices, content: int | Indices, values: Values | int | None, at: Indices
    ) -> None:
        """Write a part of what `write` was given."""
        some = content[at] if isinstance(content, np.ndarray) else content
        number = values[at] if isinstance(values, np.ndarray) else values
        super().write(frames[at], some, number)

    def _own(self, frames: Indices) -> int:
        """Give pages a frame of their own; the room for it is there."""
        state = self.state[frames]
        together = frames[state == SHARED]
        if together.size:
            self.machine.copy(self.content[together])
            self._become(together, BACKED)
        return self._fetch(frames[(state != SHARED) & (state != BACKED)])

    def load(self, frames: Indices) -> Values:
        """Return the values of pages, wherever they lie by now."""
        values = super().load(frames)
        if self._swap is None:
            raise TypeError("this memory is not checked: it holds no values")
        return np.where(self.state[frames] == SWAPPED, self._swap[frames], values)

    def withdraw(self, frames: Indices) -> None:
        """Take the frames behind pages that the balloon driver gave up."""
        state = self.state[frames]
        self.machine.give(int(np.count_nonzero(state == BACKED)))
        together = frames[state == SHARED]
        if together.size:
            self.machine.drop(self.content[together])
        if self._swap is not None:
            self._swap[frames] = LOST
        self._become(frames, BALLOONED)
        super().withdraw(frames)

    def hand_back(self, frames: Indices) -> None:
        """Let the guest use pages again; they are zeros and get a frame when touched."""
        self._become(frames, UNTOUCHED)
        self.content[frames] = ZERO
        if self.values is not None:
            self.values[frames] = 0

    def some_backed(self, wanted: int, rng: Generator) -> Indices:
        """Return backed pages drawn at random, each once.

        Parameters
        ----------
        wanted
            How many at most.
        rng
            Where chance comes from.

        Returns
        -------
        ndarray
            The pages.
        """
        backed = int(self.counts[BACKED])
        wanted = min(wanted, backed)
        if wanted <= 0:
            return np.empty(0, np.int32)
        if 8 * wanted < backed and 4 * backed > self.state.size:  # few of many: draw and look
            drawn = distinct(rng.integers(0, self.state.size, 8 * wanted, dtype=np.int32))
            drawn = drawn[self.state[drawn] == BACKED]
            if drawn.size >= wanted:
                some: Indices = rng.permutation(drawn)[:wanted]
                return some
        all_backed: Indices = np.flatnonzero(self.state == BACKED).astype(np.int32)
        any_of_all: Indices = rng.permutation(all_backed)[:wanted]
        return any_of_all

    def swap_out(
        self, wanted: int, rng: Generator, *, share: bool = False, most_written: float = np.inf
    ) -> int:
        """Take frames from random pages: those that can be shared are shared, others are written.

        Parameters
        ----------
        wanted
            How many pages.
        rng
            Where chance comes from.
        share
            Whether to look for equal pages before writing.
        most_written
            How many may be written; those drawn beyond it stay.

        Returns
        -------
        int
            Pages that were taken.
        """
        frames = self.some_backed(wanted, rng)
        drawn = frames.size
        if share:
            frames = self._share(frames)
        shared = drawn - frames.size
        frames = frames[: int(min(most_written, frames.size))]
        self.machine.give(frames.size)
        self.swap_writes += frames.size
        if self.values is not None and self._swap is not None:
            self._swap[frames] = self.values[frames]
            self.values[frames] = LOST
        self._become(frames, SWAPPED)
        return shared + int(frames.size)

    def scan(self, wanted: int, rng: Generator) -> None:
        """Look at random pages, and share those whose content may be shared.

        Parameters
        ----------
        wanted
            How many pages.
        rng
            Where chance comes from.
        """
        drawn: Indices = rng.integers(0, self.state.size, wanted, dtype=np.int32)
        self._share(distinct(drawn[self.state[drawn] == BACKED]))

    def _share(self, frames: Indices) -> Indices:
        """Share backed pages of zeros or of a common content; return those that can't be."""
        alike = self.content[frames] != UNIQUE
        together = frames[alike]
        unlike: Indices = frames[~alike]
        if together.size:
            self.machine.share(self.content[together])
            self._become(together, SHARED)
        return unlike

    def release(self) -> None:
        """Give all frames back: the VM is off."""
        pages = np.arange(self.state.size, dtype=np.int32)
        self.withdraw(pages[self.state != BALLOONED])

    def check(self) -> None:
        """Raise AssertionError unless the counts are those of the pages."""
        if not np.array_equal(np.bincount(self.state, minlength=len(STATES)), self.counts):
            raise AssertionError("pages and their counts disagree")
        if (self.content[self.state == SHARED] < 0).any():
            raise AssertionError("a page is shared that is like no other")
