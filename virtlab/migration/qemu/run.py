"""One migration of QEMU, window by window: what its migration thread does, and in which order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.migration.qemu import constants as c
from virtlab.migration.qemu.writer import memory, written
from virtlab.migration.throttle import AutoConverge

if TYPE_CHECKING:
    from virtlab.migration.qemu.dirty import Taken
    from virtlab.migration.qemu.model import QemuModel
    from virtlab.migration.qemu.spec import QemuParameters

__all__ = ["Outcome", "Round", "migrate_once"]

# How often QEMU looks when it "looks all the time", which is an effect left out, s.
_STREAM_S = 0.002


@dataclass(frozen=True)
class Round:
    """A round: from one look at the dirty bitmap to the next.

    Attributes
    ----------
    start_s
        When the bitmap was read.
    new_pages
        Pages that it added to those still to be sent.
    remaining_pages
        Pages to be sent then.
    sent_bytes
        What had been sent until then.
    threshold_bytes
        Below this QEMU stops the machine.
    """

    start_s: float
    new_pages: float
    remaining_pages: float
    sent_bytes: float
    threshold_bytes: float


@dataclass(frozen=True)
class Outcome:
    """How one migration ends, for one place of the writer.

    Attributes
    ----------
    converged
        Whether it ended before the time limit.
    total_s, sent_bytes, downtime_ms, rounds
        As QEMU reports them; the downtime is NaN if it did not converge.
    pause_ms
        What the guest feels: from its stop on the source to its start on the target.
    postcopy_at_s
        When it switched to post-copy; NaN if it did not.
    history
        Its rounds.
    """

    converged: bool
    total_s: float
    sent_bytes: float
    downtime_ms: float
    rounds: int
    pause_ms: float
    postcopy_at_s: float
    history: tuple[Round, ...]


def migrate_once(spec: QemuParameters, model: QemuModel, place: float | None) -> Outcome:
    """Follow one migration from its start to its end.

    Parameters
    ----------
    spec
        The migration.
    model
        Which effects count, and the constants.
    place
        Where a round-robin writer stands at the start, a share of its way round.

    Returns
    -------
    Outcome
        Time, bytes, downtime and rounds.

    Examples
    --------
    >>> from virtlab.migration.qemu.model import QemuModel
    >>> from virtlab.migration.qemu.spec import QemuParameters
    >>> spec = QemuParameters(ram_mib=256, filled_mib=224, cap_mib_s=64)
    >>> outcome = migrate_once(spec, QemuModel(), 0.0)
    >>> round(outcome.total_s, 2), outcome.rounds
    (3.5, 3)
    """
    return _Thread(spec, model, place).run()


@dataclass
class _Thread:
    """QEMU's migration thread: its clock, its counters, what is left to send."""

    spec: QemuParameters
    model: QemuModel
    place: float | None
    now_s: float = 0.0
    window_start_s: float = 0.0
    window_bytes: float = 0.0
    sent_bytes: float = 0.0
    threshold_bytes: float = 0.0
    guest_s: float = 0.0  # how long the guest has run
    guest_seen_s: float = 0.0
    wall_seen_s: float = 0.0
    slowing: AutoConverge = field(default_factory=AutoConverge)
    history: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        spec, model = self.spec, self.model
        self.line = spec.line_bytes_s
        normal = float(c.PAGE_BYTES + model.header_bytes)
        normal_s = normal / c.LOOPBACK_BYTES_S
        zero = float(c.ZERO_PAGE_BYTES) if model.zero_pages else normal
        zero_s = model.zero_page_s if model.zero_pages else normal_s
        self.dirty = memory(spec, (normal, normal_s), (zero, zero_s))
        self.quota = spec.cap_bytes_s * c.WINDOW_S
        self.queued = 0.0  # bytes that wait in the socket
        self.history.append(Round(0.0, 0.0, self.dirty.pages, 0.0, 0.0))

    def run(self) -> Outcome:
        """Send until little enough is left, then stop the guest and send that."""
        limit = self.model.time_limit_s
        while self.now_s < limit:
            if self._little_is_left():
                return self._finish()
            if self.now_s >= self.spec.postcopy_at_s:
                return self._postcopy()
            if self.model.windows:
                self._window()
            else:
                self._stream()
        return self._outcome(converged=False, total_s=limit, downtime_s=math.nan)

    def _little_is_left(self) -> bool:
        """Look at what is left; below the threshold, read the bitmap and look again.

        While there is no threshold yet, in the first window, nothing is below it: a memory that is
        all sent by then is handed over without a look at the bitmap.
        """
        if self._small():
            self._sync()
        return self._small() or self._pages() == 0

    def _small(self) -> bool:
        return self._pages() * c.PAGE_BYTES < self.threshold_bytes

    def _pages(self) -> int:
        """Return how many pages are left: whole ones, as less than half of one is likely none."""
        return math.floor(self.dirty.pages + 0.5)

    def _sync(self) -> None:
        """Read the dirty bitmap: pages written since the last time are to be sent again."""
        before = self.dirty.pages
        self.guest_s += (self.now_s - self.wall_seen_s) * (1 - self.slowing.throttle)
        self.wall_seen_s = self.now_s
        for stretch in written(self.spec, self.guest_seen_s, self.guest_s, self.place):
            self.dirty.add(*stretch)
        self.guest_seen_s = self.guest_s
        if len(self.history) == 1:
            self.dirty.add(0.0, float(c.BIOS_PAGES), 1.0)
        new = self.dirty.pages - before
        self.history.append(
            Round(self.now_s, new, self.dirty.pages, self.sent_bytes, self.threshold_bytes)
        )
        self._pass(c.SYNC_S)
        if self.spec.auto_converge and not self.model.guest_catches_up:
            self.slowing.look(self.now_s, self.sent_bytes, new)

    def _window(self) -> None:
        """Send until the window's bytes are used up, or QEMU has been at it for long enough."""
        if self._skip_windows():
            return
        sent = self._send(self.quota - self.window_bytes) + c.SECTION_BYTES
        self.window_bytes += sent
        self.sent_bytes += sent
        if self.window_bytes > self.quota:
            self._pass(self.window_start_s + c.WINDOW_S - self.now_s)
        if self.now_s >= self.window_start_s + c.WINDOW_S - 1e-9:
            bandwidth = self.window_bytes / (self.now_s - self.window_start_s)
            self.threshold_bytes = bandwidth * self.spec.downtime_limit_ms / 1000
            self.window_start_s, self.window_bytes = self.now_s, 0.0

    def _send(self, room_bytes: float) -> float:
        """Send for `MAX_WAIT_S` or until the bytes are used up; a full socket makes QEMU wait."""
        start_s, sent = self.now_s, 0.0
        while True:
            free = c.SOCKET_BYTES - self.queued if self.spec.limited_link else math.inf
            taken = self.dirty.take(min(room_bytes - sent, free), c.MAX_WAIT_S)
            sent += taken.sent_bytes
            self.queued += taken.sent_bytes if self.spec.limited_link else 0.0
            self._pass(taken.seconds)
            if sent > room_bytes or self.dirty.pages <= 0 or not self.spec.limited_link:
                return sent
            if self.queued >= c.SOCKET_BYTES:
                room = c.SOCKET_BYTES - c.SOCKET_WAKE_BYTES
                self._pass((self.queued - room) / self.line)
            if self.now_s - start_s > c.MAX_WAIT_S:
                return sent

    def _pass(self, seconds: float) -> None:
        """Let time go by; the socket drains meanwhile."""
        if seconds > 0:
            self.now_s += seconds
            self.queued = max(0.0, self.queued - seconds * self.line)

    def _skip_windows(self) -> bool:
        """Take many equal windows at once, as long as nothing changes from one to the next."""
        if self.spec.limited_link:  # the socket may be what limits, and is not the same each time
            return False
        pages = math.floor(self.quota / self.dirty.normal_cost[0]) + 1 if self.quota < 1e18 else 0
        if not pages or self.window_bytes or pages * self.dirty.normal_cost[1] > c.MAX_WAIT_S:
            return False
        window = pages * self.dirty.normal_cost[0] + c.SECTION_BYTES
        threshold = window / c.WINDOW_S * self.spec.downtime_limit_ms / 1000
        left = self.dirty.pages - max(threshold, self.threshold_bytes) / c.PAGE_BYTES
        until_s = min(self.model.time_limit_s, self.spec.postcopy_at_s) - self.now_s
        count = int(min(self.dirty.run_length() / pages, left / pages, until_s / c.WINDOW_S)) - 1
        if count < 2:
            return False
        self.dirty.take(count * pages * self.dirty.normal_cost[0] - 1)
        self.sent_bytes += count * window
        self.now_s = self.window_start_s = self.now_s + count * c.WINDOW_S
        self.threshold_bytes = threshold
        return True

    def _stream(self) -> None:
        """Send as if QEMU looked all the time: at the limit's rate, to the threshold or the end."""
        rate = min(self.spec.cap_bytes_s, self.line)
        self.threshold_bytes = rate * self.spec.downtime_limit_ms / 1000
        cost = self.dirty.normal_cost[0]
        pages = self.dirty.pages - self.threshold_bytes / c.PAGE_BYTES
        taken = self.dirty.take(max(pages * cost, rate * _STREAM_S))
        self.sent_bytes += taken.sent_bytes
        self.now_s += max(taken.sent_bytes / rate, taken.zero_pages * self.dirty.zero_cost[1])

    def _finish(self) -> Outcome:
        """Stop the guest, read the bitmap a last time and send what is left, without a cap."""
        self._sync()
        taken = self.dirty.take(math.inf)
        self.sent_bytes += taken.sent_bytes + c.STATE_BYTES
        downtime_s = self.model.stop_s + self._hand_over(taken)
        return self._outcome(converged=True, total_s=self.now_s + downtime_s, downtime_s=downtime_s)

    def _hand_over(self, taken: Taken) -> float:
        """Return how long it takes until the last page is in the socket, s."""
        if not self.model.uncapped_final and self.spec.cap_bytes_s < self.line:
            return taken.sent_bytes / self.spec.cap_bytes_s
        if not self.spec.limited_link:
            return taken.seconds
        beyond = taken.sent_bytes - (c.SOCKET_BYTES - self.queued)
        self.queued = min(c.SOCKET_BYTES, self.queued + taken.sent_bytes)
        if beyond <= 0:
            return taken.seconds
        pieces = math.ceil(beyond / c.SOCKET_WAKE_BYTES)
        self.queued -= pieces * c.SOCKET_WAKE_BYTES - beyond
        return pieces * c.SOCKET_WAKE_BYTES / self.line

    def _postcopy(self) -> Outcome:
        """Stop, hand over, and send the rest: at post-copy's cap, below the threshold without."""
        switched_s, limit = self.now_s, self.model.time_limit_s
        self._sync()
        self.dirty.pointer = 0.0  # ram_postcopy_send_discard_bitmap starts the search anew
        self.now_s += self.model.stop_s
        self.window_start_s, self.window_bytes = self.now_s, 0.0
        self.quota = self.spec.postcopy_cap_mib_s * c.MIB * c.WINDOW_S
        while self._pages() and not self._small():
            if self.now_s >= limit:
                return self._outcome(
                    converged=False, total_s=limit, downtime_s=math.nan, postcopy_at_s=switched_s
                )
            self._window()
        taken = self.dirty.take(math.inf)
        self.sent_bytes += taken.sent_bytes + c.STATE_BYTES
        return self._outcome(
            converged=True,
            total_s=self.now_s + self._hand_over(taken) + self.queued / self.line,
            downtime_s=self.model.stop_s,
            postcopy_at_s=switched_s,
        )

    def _outcome(
        self, *, converged: bool, total_s: float, downtime_s: float, postcopy_at_s: float = math.nan
    ) -> Outcome:
        pause_s = downtime_s + self.model.resume_s + self.queued / self.line
        return Outcome(
            converged,
            total_s,
            self.sent_bytes,
            downtime_s * 1000,
            len(self.history),
            pause_s * 1000,
            postcopy_at_s,
            tuple(self.history),
        )
