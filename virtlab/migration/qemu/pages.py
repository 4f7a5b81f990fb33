"""The same migration page by page, a bit for each page: slow, and plain to see that it is right.

The model in `virtlab.migration.qemu.run` keeps stretches of pages instead of pages, and whole
windows instead of single ones where nothing changes. This one has no such ideas, and chance is
drawn instead of averaged. It knows pre-copy under a cap or on the bare loopback; a limited link and
post-copy are left out. Tests hold the two against each other, a benchmark their speeds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.qemu import constants as c
from virtlab.migration.qemu.model import QemuModel
from virtlab.migration.qemu.run import Outcome, Round
from virtlab.migration.qemu.writer import first_page, memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.migration.qemu.spec import QemuParameters

__all__ = ["migrate_pages"]


def migrate_pages(
    spec: QemuParameters, place: float, rng: np.random.Generator, model: QemuModel | None = None
) -> Outcome:
    """Follow one migration from its start to its end, page by page.

    Parameters
    ----------
    spec
        The migration; no limited link, no post-copy, no auto-converge.
    place
        Where a round-robin writer stands at the start, a share of its way round.
    rng
        For random writers.
    model
        The constants; effects can't be switched off here.

    Returns
    -------
    Outcome
        As from `virtlab.migration.qemu.run.migrate_once`.

    Examples
    --------
    >>> from virtlab.migration.qemu import QemuParameters
    >>> spec = QemuParameters(ram_mib=64, filled_mib=40, working_set_pages=64, cap_mib_s=64)
    >>> outcome = migrate_pages(spec, 0.0, np.random.default_rng(0))
    >>> outcome.converged, outcome.rounds
    (True, 3)
    """
    return _Pages(spec, place, rng, model or QemuModel()).run()


class _Pages:
    """A bit for each page, and QEMU's loop."""

    def __init__(
        self, spec: QemuParameters, place: float, rng: np.random.Generator, model: QemuModel
    ) -> None:
        self.spec, self.rng, self.model = spec, rng, model
        layout = memory(spec, (1, 0), (1, 0))
        steps = np.diff(layout.edges).astype(np.int64)
        self.zero = np.repeat(np.array(layout.zero), steps)
        self.dirty = np.ones(len(self.zero), dtype=np.bool_)
        self.pointer = 0
        hot = spec.hot_pages if spec.pattern == "hot" and spec.hot_write_percent else 0
        self.at = place * (spec.working_set_pages - hot)
        self.now_s = self.window_s = self.seen_s = self.threshold = 0.0
        self.window_bytes = self.sent_bytes = 0.0
        self.history = [Round(0.0, 0.0, float(self.dirty.sum()), 0.0, 0.0)]

    def run(self) -> Outcome:
        """Send, look, send again, stop."""
        while self.now_s < self.model.time_limit_s:
            if self._small():
                self._sync()
            if self._small() or not self.dirty.any():
                return self._finish()
            self._window()
        return self._outcome(self.model.time_limit_s, math.nan)

    def _small(self) -> bool:
        return int(self.dirty.sum()) * c.PAGE_BYTES < self.threshold

    def _sync(self) -> None:
        before = self.dirty.sum()
        for page in self._writes():
            self.dirty[page] = True
            self.zero[page] = False
        if len(self.history) == 1:
            self.dirty[: c.BIOS_PAGES] = True
        self.seen_s = self.now_s
        left = float(self.dirty.sum())
        self.history.append(
            Round(self.now_s, left - float(before), left, self.sent_bytes, self.threshold)
        )
        self.now_s += c.SYNC_S

    def _writes(self) -> NDArray[np.int64]:
        """Draw every single write since the last time."""
        spec, begin = self.spec, first_page(self.spec)
        writes = round(spec.dirty_pages_s * self.now_s) - round(spec.dirty_pages_s * self.seen_s)
        pages = spec.working_set_pages
        if not pages or not writes:
            return np.array([], dtype=np.int64)
        if spec.pattern == "random":
            return begin + self.rng.integers(0, pages, writes)
        hot_writes, hot = 0, 0
        if spec.pattern == "hot" and spec.hot_write_percent:
            hot = spec.hot_pages
            hot_writes = int(self.rng.binomial(writes, spec.hot_write_percent / 100))
        if hot == pages:
            return begin + self.rng.integers(0, hot, hot_writes)
        walk = (int(self.at) + np.arange(writes - hot_writes)) % (pages - hot)
        self.at += writes - hot_writes
        return begin + np.concatenate([self.rng.integers(0, max(hot, 1), hot_writes), hot + walk])

    def _take(self, room_bytes: float, room_s: float) -> tuple[float, float]:
        """Send page after page, from the pointer on, until a limit is passed."""
        sent = seconds = 0.0
        normal = c.PAGE_BYTES + self.model.header_bytes
        order = np.flatnonzero(np.roll(self.dirty, -self.pointer)) + self.pointer
        for page in order % len(self.dirty):
            if sent > room_bytes or seconds > room_s:
                break
            sent += c.ZERO_PAGE_BYTES if self.zero[page] else normal
            seconds += self.model.zero_page_s if self.zero[page] else normal / c.LOOPBACK_BYTES_S
            self.dirty[page] = False
            self.pointer = (int(page) + 1) % len(self.dirty)
        if sent <= room_bytes and seconds <= room_s:
            self.pointer = 0  # the search found nothing more, and ended at the end of the RAM
        return sent, seconds

    def _window(self) -> None:
        quota = self.spec.cap_bytes_s * c.WINDOW_S
        sent, seconds = self._take(quota - self.window_bytes, c.MAX_WAIT_S)
        self.window_bytes += sent + c.SECTION_BYTES
        self.sent_bytes += sent + c.SECTION_BYTES
        self.now_s += seconds
        end_s = self.window_s + c.WINDOW_S
        if self.window_bytes > quota:
            self.now_s = max(self.now_s, end_s)
        if self.now_s >= end_s - 1e-9:
            bandwidth = self.window_bytes / (self.now_s - self.window_s)
            self.threshold = bandwidth * self.spec.downtime_limit_ms / 1000
            self.window_s, self.window_bytes = self.now_s, 0.0

    def _finish(self) -> Outcome:
        self._sync()
        sent, seconds = self._take(math.inf, math.inf)
        self.sent_bytes += sent + c.STATE_BYTES
        down_s = self.model.stop_s + seconds
        return self._outcome(self.now_s + down_s, down_s)

    def _outcome(self, total_s: float, down_s: float) -> Outcome:
        return Outcome(
            converged=not math.isnan(down_s),
            total_s=total_s,
            sent_bytes=self.sent_bytes,
            downtime_ms=down_s * 1000,
            rounds=len(self.history),
            pause_ms=(down_s + self.model.resume_s) * 1000,
            postcopy_at_s=math.nan,
            history=tuple(self.history),
        )
