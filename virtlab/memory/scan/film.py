"""A scan, visit by visit, on a few small VMs: what is in a page map that moves (S27).

Each VM has pages of four kinds: zeros, code that all have, code that some have, and its own. They
are real bytes in a `virtlab.memory.sharing.SharedMemory`; every step is one visit of the scanner or
one write of a guest. A write changes the first bytes of a page, so that no other page equals it.

Source: the algorithm is that of `virtlab.memory.sharing`. The guests are made up.

Left out: time. A step is an event, not a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.memory.frames import SHARED, STATES, ZEROS
from virtlab.memory.hashing import PAGE_BYTES
from virtlab.memory.scan.orders import ORDERS, order_named
from virtlab.memory.sharing import Event, SharedMemory
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["Film", "FilmFrame", "film"]

_ZEROS, _ALL, _SOME = 0.125, 0.375, 0.25  # parts of a VM; its own pages are the rest

_WORDS = {
    "hint": "no page is known to hold the same, so it becomes a hint and stays writable",
    "still a hint": "it is a hint still, and nobody else holds the same",
    "stale hint replaced": "the page that left a hint for this hash was written since: "
    "the hint is dropped, and this page takes its place",
    "shared": "its hash is in the table; both pages are compared in full, they are equal, "
    "and now map to one frame",
    "already shared": "it is shared already",
    "collision": "its hash is in the table, but the pages differ: nothing is shared",
    "written": "it has the page to itself, so this costs nothing",
    "copied": "the page is shared, so it gets a copy of its own first",
    "unshared": "nobody else maps that frame any more, so it has it to itself again, with no copy",
}


@dataclass(frozen=True)
class Film:
    """All steps of a scan.

    Attributes
    ----------
    groups
        Name and pages of each VM.
    states
        Index into `frames.STATES`, a row for each step and one before the first.
    frames
        Machine frame of each page, in the same rows.
    events
        What each step did.
    """

    groups: tuple[tuple[str, int], ...]
    states: NDArray[np.uint8]
    frames: NDArray[np.int64]
    events: tuple[Event, ...]

    @property
    def saved(self) -> NDArray[np.int64]:
        """Pages saved after each step."""
        ordered = np.sort(self.frames, axis=1)
        return np.asarray((ordered[:, 1:] == ordered[:, :-1]).sum(axis=1))

    def place(self, page: int) -> str:
        """Say where a page is, for instance 'page 3 of VM2'.

        Parameters
        ----------
        page
            Counted over all VMs.

        Returns
        -------
        str
            Its number in its VM, from 0, and the VM.

        Examples
        --------
        >>> film(vms=2, pages=8, steps=1).place(9)
        'page 1 of VM2'
        """
        size = self.groups[0][1]
        return f"page {page % size} of {self.groups[page // size][0]}"

    def frame(self, step: int) -> FilmFrame:
        """Return one picture of the film.

        Parameters
        ----------
        step
            From 0, before the first event.

        Returns
        -------
        FilmFrame
            What happened last, and what each VM's pages are.

        Examples
        --------
        >>> film(vms=2, pages=8, steps=5).frame(0).summary()["saved_pages"]
        0
        """
        return FilmFrame(self, integer("step", step, minimum=0, maximum=len(self.events)))

    def detail(self, step: int, page: int) -> str:
        """Say which other pages map to the same frame.

        Parameters
        ----------
        step
            From 0.
        page
            Counted over all VMs.

        Returns
        -------
        str
            A sentence.

        Examples
        --------
        >>> film(vms=2, pages=8, steps=1).detail(0, 3)
        'Machine frame 3, for itself alone.'
        """
        frame = int(self.frames[step, page])
        others = [
            self.place(other)
            for other in np.flatnonzero(self.frames[step] == frame).tolist()
            if other != page
        ]
        if not others:
            return f"Machine frame {frame}, for itself alone."
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        return f"Machine frame {frame}, with {', '.join(others[:3])}{more}."


@dataclass(frozen=True)
class FilmFrame(Result):
    """One picture of a film.

    Attributes
    ----------
    film
        The film.
    step
        Which picture.
    """

    film: Film
    step: int

    @property
    def states(self) -> NDArray[np.uint8]:
        """State of each page."""
        return np.asarray(self.film.states[self.step])

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each VM: its pages by state."""
        rows, start = [], 0
        for name, size in self.film.groups:
            counts = np.bincount(self.states[start : start + size], minlength=len(STATES))
            rows.append({"vm": name} | dict(zip(STATES[1:], counts[1:].tolist(), strict=True)))
            start += size
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return visits, copies, and pages saved so far."""
        events = self.film.events[: self.step]
        saved, pages = int(self.film.saved[self.step]), self.film.states.shape[1]
        return {
            "step": self.step,
            "visits": sum(1 for event in events if event.what not in _WRITES),
            "writes": sum(1 for event in events if event.what in _WRITES),
            "copies": sum(1 for event in events if event.what == "copied"),
            "shared_pages": int(np.isin(self.states, (SHARED, ZEROS)).sum()),
            "saved_pages": saved,
            "saved_percent": 100 * saved / pages,
        }

    def explain(self) -> str:
        """Say what the last step did, and what is saved."""
        told = self.summary()
        if not self.step:
            return "Nothing was scanned yet: every page has a machine frame of its own."
        event = self.film.events[self.step - 1]
        name, _, vm = self.film.place(event.page).partition(" of ")
        start = (
            f"{vm} writes to {name}"
            if event.what in _WRITES
            else f"The scanner visits {name} of {vm}"
        )
        total = f"{told['saved_pages']} pages saved, {told['saved_percent']:.1f} %."
        return f"{start}: {_WORDS[event.what]}. {total}"


_WRITES = ("written", "copied", "unshared")


def film(
    vms: int = 3,
    pages: int = 64,
    steps: int = 400,
    writes_per_100: int = 0,
    order: str = ORDERS[0],
    seed: int = 1,
) -> Film:
    """Scan some small VMs and keep every step.

    Parameters
    ----------
    vms
        How many, 1 to 8.
    pages
        Pages of each, 8 to 1024.
    steps
        How many events.
    writes_per_100
        How many of 100 events are writes; the others are visits.
    order
        One of `virtlab.memory.scan.orders.ORDERS`.
    seed
        Of the guests, the order and the writes.

    Returns
    -------
    Film
        All steps.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or there is no such order.

    Examples
    --------
    One pass over 2 VMs of 16 pages: 2 + 2 zeros, 6 pages that both have, and half of 4 that some
    have in common.

    >>> int(film(vms=2, pages=16, steps=32).saved[-1]) >= 3 + 6
    True
    """
    vms = integer("vms", vms, minimum=1, maximum=8)
    pages = integer("pages", pages, minimum=8, maximum=1024)
    share = integer("writes_per_100", writes_per_100, minimum=0, maximum=100) / 100
    rng = np.random.default_rng(integer("seed", seed, minimum=0))
    memory = SharedMemory([_image(vm, pages, rng) for vm in range(vms)])
    policy = order_named(order, rng)
    states, frames, events = [memory.states()], [memory.frames_of()], []
    for step in range(integer("steps", steps, minimum=0, maximum=10_000)):
        if rng.random() < share:
            vm, page = int(rng.integers(vms)), int(rng.integers(pages))
            event = memory.write(vm, page, f"written in step {step} ".encode())
        else:
            event = memory.visit(int(policy.choose(memory.fresh, 1)[0]))
        events.append(event)
        states.append(memory.states())
        frames.append(memory.frames_of())
    groups = tuple((f"VM{vm + 1}", pages) for vm in range(vms))
    return Film(groups, np.array(states), np.array(frames), tuple(events))


def _image(vm: int, pages: int, rng: Generator) -> bytes:
    """Make up a VM's memory: runs of pages of each kind, as real memory has them."""
    zeros, common, some = (round(part * pages) for part in (_ZEROS, _ALL, _SOME))
    named = [f"code {page}" for page in range(common)]
    named += [f"library {page}" for page in rng.choice(2 * some, some, replace=False)]
    named += [f"own {vm} {page}" for page in range(pages - zeros - common - some)]
    return b"".join(_page(name) for name in named) + bytes(zeros * PAGE_BYTES)


def _page(name: str) -> bytes:
    text = f"{name} ".encode()
    return (text * (PAGE_BYTES // len(text) + 1))[:PAGE_BYTES]
