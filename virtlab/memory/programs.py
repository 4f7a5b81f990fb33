"""Programs in VMs of their own, scanned while they write: what is saved, and when (S27).

Each copy of a program stands for a VM that runs it; its pages are those measured for this course
(`virtlab.datasets.copies_pages`), so what they have in common is real. A scanner visits them at
ESX's or KSM's rate, in an order that can be replaced; meanwhile the programs write to their private
pages. The talk says that 10 to 20 % is typical: how much it is depends on what runs, how often,
and on whether addresses are random, as a pointer in a page makes it differ from its copy.

Sources: the talk's S27 for the claim; `virtlab.memory.scan.scanning` for the rates.

Left out: the guest's kernel and page cache; and what a program writes: each write leaves a
content that nobody else has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from virtlab.datasets import copies_pages
from virtlab.memory.hashing import PAGE_BYTES
from virtlab.memory.pages import Savings, savings
from virtlab.memory.published import TALK_PERCENT
from virtlab.memory.scan.content_memory import ContentMemory
from virtlab.memory.scan.orders import RandomOrder
from virtlab.memory.scan.scanning import ESX2, KSM, ScanHistory, ScanRate, Writes, scan
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from virtlab.memory.scan.orders import ScanOrder

__all__ = ["PROGRAMS", "ProgramSharing", "choose_pages", "share_programs"]

PROGRAMS = ("bash", "python", "sqlite", "pandas", "node")
_COPIES = 4


def choose_pages(copies: Mapping[str, int], *, random_addresses: bool = True) -> pd.DataFrame:
    """Return the measured pages of so many copies of each program.

    Parameters
    ----------
    copies
        How many copies of each of `PROGRAMS`, 0 to 4.
    random_addresses
        Whether addresses were random when they ran.

    Returns
    -------
    pandas.DataFrame
        As `virtlab.datasets.copies_pages`, with `vm`, from 0 for the first copy chosen.

    Raises
    ------
    InvalidInputError
        If there is no such program, or nothing is chosen.

    Examples
    --------
    >>> pages = choose_pages({"bash": 2})
    >>> pages["vm"].nunique(), len(pages)
    (2, 1559)
    """
    chosen, vms = _choose(_checked(copies), random_addresses=random_addresses)
    pages = copies_pages(random_addresses=random_addresses).loc[chosen]
    return pages.assign(vm=vms).reset_index(drop=True)


def _checked(copies: Mapping[str, int]) -> tuple[int, ...]:
    """Return how many copies of each of `PROGRAMS` are wanted."""
    wanted = {
        one_of("program", program, PROGRAMS): integer(program, count, minimum=0, maximum=_COPIES)
        for program, count in copies.items()
    }
    if not any(wanted.values()):
        raise InvalidInputError("copies", dict(copies), "at least one copy of a program")
    return tuple(wanted.get(program, 0) for program in PROGRAMS)


def _choose(
    counts: tuple[int, ...], *, random_addresses: bool
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which of the measured pages are wanted, and the VM of each of these."""
    processes, _, _ = _measured(random_addresses=random_addresses)
    program, copy = np.divmod(np.arange(len(PROGRAMS) * _COPIES), _COPIES)
    wanted = copy < np.array(counts)[program]
    vm = np.cumsum(wanted) - 1
    chosen = wanted[processes]
    return chosen, vm[processes[chosen]]


@cache
def _measured(*, random_addresses: bool) -> tuple[NDArray[Any], ...]:
    """Return the process of each measured page, its content, and whether it is private."""
    pages = copies_pages(random_addresses=random_addresses)
    process, private = pages["process"].cat.codes.to_numpy(), (pages["kind"] != "file").to_numpy()
    return process, pages["content"].to_numpy(), private


@dataclass(frozen=True)
class _Machines:
    """What does not depend on the scanner or on time."""

    contents: NDArray[np.int64]
    vms: NDArray[np.int64]
    private: NDArray[np.int64]
    available: Savings


@lru_cache(maxsize=4)  # a slider that moves time or writes needn't wait for this again
def _machines(counts: tuple[int, ...], *, random_addresses: bool) -> _Machines:
    chosen, vms = _choose(counts, random_addresses=random_addresses)
    _, content, private = _measured(random_addresses=random_addresses)
    contents = content[chosen]
    return _Machines(contents, vms, np.flatnonzero(private[chosen]), savings(contents, vms))


@dataclass(frozen=True)
class ProgramSharing(Result):
    """What is saved among programs in VMs of their own.

    Attributes
    ----------
    copies
        How many of each program.
    random_addresses
        Whether addresses are random.
    scanner
        Whose rate the scanner has.
    available
        What could be saved before anyone writes.
    history
        What the scanner saved, over time.
    """

    copies: Mapping[str, int]
    random_addresses: bool
    scanner: ScanRate
    available: Savings
    history: ScanHistory

    @property
    def pages(self) -> pd.DataFrame:
        """All pages, as `choose_pages` returns them."""
        return choose_pages(self.copies, random_addresses=self.random_addresses)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each program by itself and one for all: pages, what could be saved."""
        return self._rows.copy()

    @cached_property
    def _rows(self) -> pd.DataFrame:
        rows = [
            _row(program, _alone(program, count, random_addresses=self.random_addresses))
            for program, count in self.copies.items()
            if count
        ]
        return pd.DataFrame([*rows, _row("all together", self.available)])

    def summary(self) -> dict[str, float | int | str]:
        """Return what could be saved, and what was, with the number of VMs and passes."""
        return {
            "vms": self.available.owners,
            "addresses": "random" if self.random_addresses else "fixed",
            "scanner": self.scanner.name,
            "mib": self.available.pages * PAGE_BYTES / 2**20,
            "available_percent": self.available.percent(self.available.saved),
            **self.history.summary(),
        }

    def explain(self) -> str:
        """Say what could be saved, what was, and where that stands beside the talk's claim."""
        told, low, high = self.summary(), *TALK_PERCENT
        saved = float(self.history.saved_percent[-1])
        where = "inside" if low <= saved <= high else "below" if saved < low else "above"
        vms = self.available.owners
        text = (
            f"{vms} {'VM' if vms == 1 else 'VMs'} with {told['addresses']} addresses could save "
            f"{told['available_percent']:.1f} % of {told['mib']:.0f} MiB. After "
            f"{self.history.seconds[-1] / 60:.0f} min, {told['passes']:.1f} passes, the scanner "
            f"({self.scanner.name}) saves {saved:.1f} %: {where} the talk's {low:.0f} to "
            f"{high:.0f} %."
        )
        if self.history.copied:
            text += f" Writes to shared pages made {self.history.copied:,} copies."
        return text


@cache
def _alone(program: str, count: int, *, random_addresses: bool) -> Savings:
    """Count what copies of one program could save."""
    chosen = _machines(_checked({program: count}), random_addresses=random_addresses)
    return chosen.available


def _row(name: str, found: Savings) -> dict[str, object]:
    return {
        "program": name,
        "vms": found.owners,
        "pages": found.pages,
        "zero_percent": found.percent(found.zero),
        "within_percent": found.percent(found.within),
        "across_percent": found.percent(found.across),
        "saved_percent": found.percent(found.saved),
    }


def share_programs(
    copies: Mapping[str, int],
    *,
    random_addresses: bool = True,
    scanner: ScanRate = ESX2,
    writes_per_s: float = 0.0,
    minutes: float = 10.0,
    order: ScanOrder | None = None,
    seed: int = 1,
) -> ProgramSharing:
    """Scan VMs that run measured programs, while these write.

    Parameters
    ----------
    copies
        How many copies of each of `PROGRAMS`, 0 to 4; each is a VM.
    random_addresses
        Whether addresses were random when the pages were measured.
    scanner
        `ESX2`, `KSM` or a rate of your own.
    writes_per_s
        Pages written a second, all VMs together; private pages only, at random.
    minutes
        How long.
    order
        Which pages are visited next; random if not given.
    seed
        Of the order and the writes.

    Returns
    -------
    ProgramSharing
        What could be saved, and what was.

    Raises
    ------
    InvalidInputError
        If there is no such program, or a number is out of range.

    Examples
    --------
    >>> found = share_programs({"bash": 2, "python": 1}, minutes=2)
    >>> round(found.summary()["available_percent"], 1), round(found.summary()["saved_percent"], 1)
    (29.5, 29.5)
    """
    chosen = _machines(_checked(copies), random_addresses=random_addresses)
    rng = np.random.default_rng(seed)
    available = chosen.available
    history = scan(
        ContentMemory(chosen.contents, chosen.vms, patient=scanner == KSM),
        order or RandomOrder(rng),
        scanner.pages_per_s(available.owners),
        60 * number("minutes", minutes, minimum=0, maximum=24 * 60),
        Writes(writes_per_s, chosen.private, rng) if writes_per_s else None,
        available=available.saved,
    )
    return ProgramSharing(dict(copies), random_addresses, scanner, available, history)
