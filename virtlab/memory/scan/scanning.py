"""How fast a scanner finds what there is to share, and how fast writes undo it (S27).

A scanner visits so many pages a second. ESX Server 2 has two settings: ShareScanVM, 50 pages a
second for each VM, and ShareScanTotal, 200 for all. Linux's KSM visits 100 pages, sleeps 20 ms, and
so on: at most 5,000 a second. So one pass over a VM of 512 MB, 131,072 pages, takes

    131,072 / 50 s = 44 min        and        131,072 / 5,000 s = 26 s,

a hundred times less; but KSM shares nothing on its first pass over new pages
(`virtlab.memory.scan.content_memory`). Each write to a shared page takes it out again.

Sources: ESX Server 2 administration guides, for the settings; the Linux kernel's documentation of
KSM (admin-guide/mm/ksm), for its defaults, "chosen for demonstration purposes". The settings of
ESX 1.5, which the 2002 paper measured, are not published.

Left out: the processor time of scanning, and which page a program writes next: writes fall on a
given set of pages at random, and each leaves a content that nobody else has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.memory.frames import STATES
from virtlab.memory.hashing import PAGE_BYTES
from virtlab.memory.pages import savings
from virtlab.memory.scan.orders import NewPagesFirst, RandomOrder, SequentialOrder
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from virtlab.memory.scan.content_memory import ContentMemory
    from virtlab.memory.scan.orders import ScanOrder

__all__ = ["ESX2", "KSM", "ScanHistory", "ScanRate", "Writes", "scan"]


@dataclass(frozen=True)
class ScanRate:
    """How many pages a scanner visits.

    Attributes
    ----------
    name
        Whose setting it is.
    per_vm
        Pages a second for each VM; infinity for no such limit.
    total
        Pages a second for all.

    Examples
    --------
    >>> ESX2.pages_per_s(vms=1), ESX2.pages_per_s(vms=10), KSM.pages_per_s(vms=1)
    (50.0, 200.0, 5000.0)
    """

    name: str
    per_vm: float
    total: float

    def __post_init__(self) -> None:
        """Check the rates."""
        number("per_vm", self.per_vm, minimum=1e-9, finite=False)
        number("total", self.total, minimum=1e-9)

    def pages_per_s(self, vms: int) -> float:
        """Return the rate for so many VMs.

        Parameters
        ----------
        vms
            How many VMs run.

        Returns
        -------
        float
            Pages a second, all VMs together.

        Examples
        --------
        >>> ESX2.pages_per_s(3)
        150.0
        """
        return min(self.per_vm * integer("vms", vms, minimum=1), self.total)

    def pass_s(self, pages: int, vms: int = 1) -> float:
        """Return how long one pass over all pages takes.

        Parameters
        ----------
        pages
            Pages of all VMs.
        vms
            How many VMs they belong to.

        Returns
        -------
        float
            Seconds.

        Examples
        --------
        >>> pages = 512 * 2**20 // 4096
        >>> round(ESX2.pass_s(pages) / 60, 1), round(KSM.pass_s(pages), 1)
        (43.7, 26.2)
        >>> ESX2.pass_s(pages) / KSM.pass_s(pages)
        100.0
        """
        return integer("pages", pages, minimum=0) / self.pages_per_s(vms)


ESX2 = ScanRate("ESX Server 2", 50.0, 200.0)
KSM = ScanRate("KSM", math.inf, 100 / 0.020)


class Writes:
    """Guests that write: some pages, at random, at a steady rate.

    Parameters
    ----------
    pages_per_s
        Writes a second, all VMs together.
    pages
        Numbers of the pages that are written.
    rng
        Where chance comes from.

    Examples
    --------
    >>> from virtlab.memory.scan.content_memory import ContentMemory
    >>> memory = ContentMemory([5, 5, 5])
    >>> memory.visit(np.arange(3))
    >>> Writes(10, np.array([0]), np.random.default_rng(1)).happen(memory, 10)
    >>> memory.states().tolist(), memory.copied
    ([1, 3, 3], 1)
    """

    def __init__(self, pages_per_s: float, pages: NDArray[np.int64], rng: Generator) -> None:
        self.pages_per_s = number("pages_per_s", pages_per_s, minimum=0)
        if not len(pages) and pages_per_s:
            raise InvalidInputError("pages", [], "at least one page to write to")
        self._pages = np.asarray(pages)
        self._rng = rng

    def happen(self, memory: ContentMemory, count: int) -> None:
        """Write `count` times.

        Parameters
        ----------
        memory
            What is written to.
        count
            How often; two writes to one page in one go are one.

        Examples
        --------
        >>> Writes.happen.__name__
        'happen'
        """
        if count:
            memory.write_own(self._pages.take(self._rng.integers(0, self._pages.size, count)))


@dataclass(frozen=True)
class ScanHistory(Result):
    """Sharing over time.

    Attributes
    ----------
    seconds
        Times, from 0.
    states
        How many pages are in each state of `frames.STATES`, a row for each time.
    reclaimed
        Pages saved at each time.
    visited
        Pages visited up to each time.
    available
        Pages that could be saved at the start.
    copied
        Writes that needed a copy of a shared page, in all.
    pages_per_s
        Rate of the scanner.
    """

    seconds: NDArray[np.float64]
    states: NDArray[np.int64]
    reclaimed: NDArray[np.int64]
    visited: NDArray[np.int64]
    available: int
    copied: int
    pages_per_s: float

    @property
    def pages(self) -> int:
        """All pages."""
        return int(self.states[0].sum())

    @property
    def saved_percent(self) -> NDArray[np.float64]:
        """Pages saved at each time, in percent of all."""
        return 100 * self.reclaimed / max(self.pages, 1)

    def time_to(self, part: float = 1.0) -> float:
        """Return when a part of what could be saved at the start was saved.

        Parameters
        ----------
        part
            0 to 1.

        Returns
        -------
        float
            Seconds; infinity if it never was.

        Examples
        --------
        See `scan`.
        """
        reached = self.reclaimed >= number("part", part, minimum=0, maximum=1) * self.available
        return float(self.seconds[np.argmax(reached)]) if reached.any() else math.inf

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each time: pages in each state, pages saved."""
        frame = pd.DataFrame(self.states, columns=[f"{name}_pages" for name in STATES])
        frame.insert(0, "seconds", self.seconds)
        frame["saved_pages"] = self.reclaimed
        frame["saved_percent"] = self.saved_percent
        return frame

    def summary(self) -> dict[str, float | int | str]:
        """Return what is saved at the end, what could be, and when half of it was."""
        return {
            "pages": self.pages,
            "seconds": float(self.seconds[-1]),
            "passes": int(self.visited[-1]) / max(self.pages, 1),
            "saved_pages": int(self.reclaimed[-1]),
            "saved_percent": float(self.saved_percent[-1]),
            "available_percent": 100 * self.available / max(self.pages, 1),
            "half_saved_s": self.time_to(0.5),
            "copied": self.copied,
        }

    def explain(self) -> str:
        """Say what is saved at the end, after how many passes, and what writes undid."""
        told = self.summary()
        text = (
            f"After {told['seconds']:,.0f} s the scanner has made {told['passes']:.1f} passes over "
            f"{self.pages:,} pages and saves {told['saved_percent']:.1f} % of them; when it began, "
            f"{told['available_percent']:.1f} % could be saved."
        )
        if self.copied:
            size = self.copied * PAGE_BYTES / 2**20
            text += f" Writes to shared pages made {self.copied:,} copies ({size:.1f} MiB)."
        return text


def scan(
    memory: ContentMemory,
    order: ScanOrder,
    pages_per_s: float,
    seconds: float,
    writes: Writes | None = None,
    steps: int = 120,
    available: int | None = None,
) -> ScanHistory:
    """Run a scanner, and guests that write, for some time.

    Parameters
    ----------
    memory
        What is scanned; it changes.
    order
        Which pages are visited next.
    pages_per_s
        Visits a second.
    seconds
        How long.
    writes
        What guests write meanwhile; nothing if not given.
    steps
        How many times are kept; in each step first the writes happen, then the visits.
    available
        Pages that could be saved at the start, where that is known; else it is counted.

    Returns
    -------
    ScanHistory
        Sharing at steps + 1 times.

    Raises
    ------
    InvalidInputError
        If a rate or a time is less than 0, or there are no steps.

    Examples
    --------
    100 pages of one content at 50 pages a second: after one pass 99 are saved.

    >>> from virtlab.memory.scan.content_memory import ContentMemory
    >>> from virtlab.memory.scan.orders import SequentialOrder
    >>> history = scan(ContentMemory([7] * 100), SequentialOrder(), 50, seconds=4, steps=4)
    >>> history.reclaimed.tolist(), history.time_to(1.0)
    ([0, 49, 99, 99, 99], 2.0)
    """
    rate = number("pages_per_s", pages_per_s, minimum=0)
    time = np.linspace(
        0, number("seconds", seconds, minimum=0), integer("steps", steps, minimum=1) + 1
    )
    rows = [_now(memory)]
    copied = memory.copied
    if available is None:
        available = savings(memory.contents, memory.owners).saved
    visited = np.floor(time * rate + 1e-9).astype(np.int64)
    written = np.floor(time * (writes.pages_per_s if writes else 0) + 1e-9).astype(np.int64)
    for step in range(1, time.size):
        if writes:
            writes.happen(memory, int(written[step] - written[step - 1]))
        _visit(memory, order, int(visited[step] - visited[step - 1]))
        rows.append(_now(memory))
    states, reclaimed = (np.array(column) for column in zip(*rows, strict=True))
    copied = memory.copied - copied
    return ScanHistory(time, states, reclaimed, visited, available, copied, rate)


def _now(memory: ContentMemory) -> tuple[NDArray[np.int64], int]:
    return memory.state_counts(), memory.reclaimed


def _visit(memory: ContentMemory, order: ScanOrder, count: int) -> None:
    """Make so many visits; an order may give fewer pages at the end of a pass."""
    if isinstance(order, NewPagesFirst) and memory.fresh_pages <= count:
        count -= memory.visit_fresh()
        order = order.rest
    while count > 0:
        if isinstance(order, RandomOrder | SequentialOrder):
            start, stop = order.stretch(memory.owners.size, count)
            memory.visit_stretch(order.ring, start, stop)
            count -= stop - start
            continue
        pages = np.asarray(order.choose(memory.fresh, count))
        if not pages.size:
            return
        memory.visit(pages)
        count -= pages.size
