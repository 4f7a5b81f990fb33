"""A migration as a film: what each page is on both hosts, picture by picture (S41-S45).

A small machine of a few hundred pages, so that each can be seen. A picture ends where the next
pages leave or the next step begins, and shows both memories as they are then
(`virtlab.migration.film_frame`).

The machine room is the one of every other migration here (`virtlab.migration.move`); the film only
watches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.migration.algorithms import Deck
from virtlab.migration.film_frame import PAGE_STATES, FilmFrame
from virtlab.migration.link import Link
from virtlab.migration.log import STEPS
from virtlab.migration.move import Move
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.migration.vmotion import MigrationRun, run_of
from virtlab.migration.workloads import HotCold
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.migration.algorithms import Algorithm
    from virtlab.migration.workloads import Workload

    Pages = NDArray[np.int64]
    States = NDArray[np.uint8]

__all__ = ["PAGE_STATES", "Film", "FilmFrame", "ScaleModel", "film"]

_ABSENT, _ZERO, _HELD, _DIRTY, _STALE, _FETCHED, _WRONG = range(len(PAGE_STATES))
_NONE: Pages = np.empty(0, dtype=np.int64)
_MOST_FRAMES = 2000
_SLOW = Link(bandwidth_mib_s=1, latency_ms=4)
_BUSY = HotCold(working_set_pages=200, dirty_pages_s=120, hot_pages=24, hot_write_percent=60)


@dataclass(frozen=True)
class ScaleModel(Vm):
    """A machine of a few hundred pages, whose bitmap takes as long as that of a large one.

    Of 256 pages the bitmap has 32 bytes, and nobody would see it travel. So it is longer here: to
    be seen, not to be measured. 64 KiB is the bitmap of 2 GiB.

    Attributes
    ----------
    bitmap_kib
        How long the bitmap is, KiB.

    Examples
    --------
    >>> ScaleModel(ram_mib=1).bitmap_bytes
    65536
    """

    bitmap_kib: float = 64.0

    @property
    def bitmap_bytes(self) -> int:
        """Size of the bitmap, bytes."""
        return round(self.bitmap_kib * 1024)


_SMALL = ScaleModel(ram_mib=1, filled_mib=0.875, device_state_kib=16)


@dataclass(frozen=True, eq=False)
class Film(Result):
    """All pictures of a migration.

    Attributes
    ----------
    run
        What came of it.
    frames
        The pictures.
    """

    run: MigrationRun
    frames: tuple[FilmFrame, ...] = field(repr=False)

    def __len__(self) -> int:
        """Return how many pictures there are."""
        return len(self.frames)

    def frame(self, number: int) -> FilmFrame:
        """Return a picture.

        Parameters
        ----------
        number
            Which, from 0; negative ones count from the end.

        Returns
        -------
        FilmFrame
            The picture.

        Examples
        --------
        >>> print(film().frame(0).explain())
        Nothing has moved yet.
        """
        last = len(self.frames) - 1
        return self.frames[integer("number", number, minimum=-last - 1, maximum=last)]

    def first_of(self, step: int) -> int:
        """Return the number of the picture with which a step begins; the last if it never does.

        Parameters
        ----------
        step
            1 to 7.

        Returns
        -------
        int
            Number of a picture.

        Examples
        --------
        >>> shown = film()
        >>> shown.frame(shown.first_of(4)).what
        'run on the target'
        """
        integer("step", step, minimum=1, maximum=len(STEPS))
        found = (one.number for one in self.frames if one.step >= step)
        return next(found, len(self.frames) - 1)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each picture."""
        return pd.DataFrame([one.summary() for one in self.frames])

    def summary(self) -> dict[str, float | int | str]:
        """Return the numbers of the whole migration."""
        return {**self.run.summary(), "frames": len(self.frames)}

    def explain(self) -> str:
        """Say what came of it."""
        return self.run.explain()


class _Camera:
    """Watches a machine room, and takes a picture whenever pages leave or a step begins."""

    def __init__(self) -> None:
        self.frames: list[FilmFrame] = []
        self.move: Move
        self.came_on_demand: NDArray[np.bool_]
        self.moving = self.written = _NONE
        self.how, self.fetching = "", False

    def start(self, move: Move) -> None:
        """Take the first picture."""
        self.move = move
        self.came_on_demand = np.zeros(move.vm.pages, dtype=np.bool_)
        self._take("nothing has moved yet", 0)

    def saw(self, how: str, pages: Pages) -> None:
        """Hear of pages that travelled or were written, or that a step began."""
        if how == "written":
            self.written = np.union1d(self.written, pages)
            self._retake()
            return
        self.moving, self.written, self.how = pages, _NONE, ""
        event = self.move.log.events[-1]
        if how == "step":
            self.fetching |= event.step == 5
        else:
            self.how = how
            self.came_on_demand[pages] = how == "fetched"
        self._take(event.what, event.step)

    def _take(self, what: str, step: int) -> None:
        if len(self.frames) < _MOST_FRAMES:
            self.frames.append(self._picture(len(self.frames), what, step))

    def _retake(self) -> None:
        """Let the newest picture show what was written as well."""
        last = self.frames[-1]
        self.frames[-1] = self._picture(last.number, last.what, last.step)

    def _picture(self, number: int, what: str, step: int) -> FilmFrame:
        move = self.move
        return FilmFrame(
            number=number,
            time_s=move.now_s,
            step=step,
            what=what,
            where=move.where,
            deleted=move.deleted,
            source=self._source(),
            target=self._target(),
            moving=self.moving,
            written=self.written,
            how=self.how,
            sent_mib=move.sent_bytes / 2**20,
        )

    def _source(self) -> States:
        move = self.move
        states = np.where(move.source.zero(move.all_pages), _ZERO, _HELD).astype(np.uint8)
        waits = move.lacking if move.where == "target" else move.dirty
        states[waits & (move.sent_times > 0)] = _DIRTY
        return states

    def _target(self) -> States:
        move = self.move
        states = np.where(move.target.zero(move.all_pages), _ZERO, _HELD).astype(np.uint8)
        states[self.came_on_demand] = _FETCHED
        old = ~move.fresh
        if move.where == "target":
            states[old] = _STALE
            states[old & ~move.lacking] = _WRONG if self.fetching else _STALE
        else:
            states[old] = _STALE
        states[old & (move.sent_times == 0)] = _ABSENT
        return states


def film(
    algorithm: Algorithm | None = None,
    workload: Workload = _BUSY,
    link: Link = _SLOW,
    vm: Vm = _SMALL,
    *,
    pages_a_frame: int = 8,
    seed: int = 1,
    give_up_s: float = 12.0,
) -> Film:
    """Film a migration of a small machine.

    Parameters
    ----------
    algorithm
        One of `virtlab.migration.algorithms`, or your own; the talk's by default.
    workload, link, vm
        As in `migrate`; by default 256 pages over a link of 1 MiB/s.
    pages_a_frame
        About how many pages leave in one picture.
    seed
        For chance in the workload.
    give_up_s
        The longest it may take until the machine runs on the target, s.

    Returns
    -------
    Film
        The pictures.

    Examples
    --------
    >>> shown = film()
    >>> shown.run.outcome, shown.frame(-1).summary()["wrong_pages"]
    ('moved', 0)

    The talk's steps as told: what the machine writes while the bitmap is copied is lost.

    >>> told = film(Deck(as_told=True))
    >>> told.frame(-1).summary()["wrong_pages"], told.run.wrong_pages
    (2, 2)
    """
    integer("pages_a_frame", pages_a_frame, minimum=1)
    camera = _Camera()
    move = Move(vm, workload, link, seed=seed, give_up_s=give_up_s)
    page_s = (PAGE_BYTES + link.page_header_bytes) / (link.rate_mib_s * 2**20)
    move.slice_s = pages_a_frame * page_s * 1.001
    move.watch = camera.saw
    camera.start(move)
    run = run_of(move, algorithm or Deck())
    return Film(run, tuple(camera.frames))
