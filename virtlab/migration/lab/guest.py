"""Our own guest program: what it is told, and what it says (S39 to S45).

A guest that is small enough to be understood as a whole: it fills memory, writes to pages at a set
rate, and counts. Its source is `program/guest.c`, with what the processor needs in
`program/boot.S`. From these `tools/build_guests.py` made `program/guest.elf`, and
`program/SHA256SUMS` says from which bytes. It is started as a Linux kernel would be, with a command
line, by the Multiboot protocol.

Ten times a second it says how many writes it has made. The count goes on in the target where it
stopped in the source: it is in the guest's memory, and moves with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.datasets import changed_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.migration.lab.cells import Cell

__all__ = [
    "PROGRAM",
    "Report",
    "changed_since_built",
    "command_line",
    "parse",
    "rate_per_s",
    "writer_page",
]

PROGRAM = Path(__file__).with_name("program") / "guest.elf"

_REPORT = re.compile(r"writes (\d+) tenths (\d+) late (\d+)\s*")


@dataclass(frozen=True)
class Report:
    """What the guest said once.

    Attributes
    ----------
    time_s
        When we heard it, by the host's clock, s since 1970.
    writes
        Page writes so far.
    guest_s
        Time since the guest began to write, by its own clock, s.
    late_writes
        By how many writes it was behind at most since the report before.

    Examples
    --------
    >>> Report(0.0, 800, 0.1, 12).writes
    800
    """

    time_s: float
    writes: int
    guest_s: float
    late_writes: int


def command_line(cell: Cell, seed: int = 1) -> str:
    """Return what the guest is told.

    Parameters
    ----------
    cell
        The migration's parameters.
    seed
        Of the order of writes where it is by chance, and of the page at which a turn begins.

    Returns
    -------
    str
        Its command line.

    Examples
    --------
    >>> from virtlab.migration.lab.cells import Cell
    >>> command_line(Cell(dirty_writes_nominal_per_s=8000))
    'fill=224 ws=16384 rate=8000 mode=rr hot=0 hotpct=0 first=1 seed=1'
    """
    mode = "random" if cell.mode == "uniform_random" else "rr"
    return (
        f"fill={cell.fill_mib} ws={cell.working_set_pages} rate={cell.dirty_writes_nominal_per_s} "
        f"mode={mode} hot={cell.hot_pages} hotpct={cell.hot_write_pct} "
        f"first={seed % cell.working_set_pages} seed={seed}"
    )


def parse(line: str, time_s: float) -> Report | None:
    """Return the report that a line of the guest's serial port is.

    Parameters
    ----------
    line
        What it wrote.
    time_s
        When, s since 1970.

    Returns
    -------
    Report or None
        None if the line is something else.

    Examples
    --------
    >>> parse("writes 1600 tenths 2 late 9", 1000.0)
    Report(time_s=1000.0, writes=1600, guest_s=0.2, late_writes=9)
    >>> parse("filled 57344 hz 162499982", 1000.0)
    """
    found = _REPORT.fullmatch(line)
    if found is None:
        return None
    writes, tenths, late = (int(number) for number in found.groups())
    return Report(time_s, writes, tenths / 10, late)


def rate_per_s(reports: Sequence[Report]) -> float | None:
    """Return how fast pages were written, by the host's clock.

    Parameters
    ----------
    reports
        In their order.

    Returns
    -------
    float or None
        Page writes a second; None where fewer than two reports leave it open.

    Examples
    --------
    >>> rate_per_s([Report(10.0, 1000, 1.0, 0), Report(12.0, 17000, 3.0, 0)])
    8000.0
    """
    if len(reports) < 2 or reports[-1].time_s <= reports[0].time_s:
        return None
    first, last = reports[0], reports[-1]
    return (last.writes - first.writes) / (last.time_s - first.time_s)


def writer_page(cell: Cell, seed: int, writes: float) -> float | None:
    """Return which page of its working set a guest that writes in turn is at.

    Parameters
    ----------
    cell
        The migration's parameters.
    seed
        What the guest was started with.
    writes
        How many writes it has made.

    Returns
    -------
    float or None
        The page, from 0 to less than the working set; None where writes are not in turn.

    Examples
    --------
    >>> from virtlab.migration.lab.cells import Cell
    >>> writer_page(Cell(working_set_pages=1000), seed=7, writes=2500)
    507
    """
    if cell.mode != "round_robin":
        return None
    return (seed + writes) % cell.working_set_pages


def changed_since_built() -> list[str]:
    """Return the guest's files that are not those of its last build.

    Returns
    -------
    list of str
        File names; none where source and program belong together.

    Examples
    --------
    >>> changed_since_built()
    []
    """
    return changed_files(PROGRAM.parent)
