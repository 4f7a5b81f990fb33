"""The talk's seven steps, as an algorithm calls them (S41-S45).

Create the target, send pages, look at the bitmap, pause, send the bitmap and the state, resume,
fetch, delete the source, announce. Each call takes its time, and while it does the guest runs and
dirties pages. Contents are copied when a page is sent, so what the target has is what the guest's
memory was then.

Time passes in slices: ten milliseconds of the link, or a grant of its limiter. The pages of a slice
are copied at its start, and what the guest writes during the slice is dirty. So a page counts as
dirty a little more often than it would be if each were looked at by itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.log import STEPS
from virtlab.migration.room import Room
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.migration.algorithms.pushing import Pushing
    from virtlab.migration.room import Pages

__all__ = ["Move"]

_LOOK_AHEAD = 8  # zero pages are short: look at more pages than would fit if they were full


class Move(Room):
    """One migration while it runs; `Room` says what it is made from and what it holds.

    Examples
    --------
    >>> from virtlab.migration.link import Link
    >>> from virtlab.migration.vm import Vm
    >>> from virtlab.migration.workloads import RoundRobin
    >>> move = Move(Vm(ram_mib=4), RoundRobin(256, 1000), Link(bandwidth_mib_s=4))
    >>> move.create_target()
    >>> move.send(move.all_pages).size  # nothing is left to send
    0
    >>> round(move.now_s, 2), move.sync().size  # but 256 pages are dirty by now
    (1.0, 256)
    """

    def create_target(self) -> None:
        """Step 1: a machine of the same shape is made on the target; it takes a round trip."""
        self.begin(1, STEPS[1])
        self.pass_time(2 * self.link.latency_ms / 1000)

    def send(
        self,
        pages: Pages,
        *,
        rate_mib_s: float | None = None,
        peek: bool = False,
        seconds: float = math.inf,
    ) -> Pages:
        """Step 2: send pages as they are now; step 3 if the machine is paused.

        Parameters
        ----------
        pages
            Page numbers, in the order in which they go.
        rate_mib_s
            Rate of the limiter for these, MiB/s; infinity for none; None for the link's own cap.
        peek
            Whether pages that are dirty again are left out.
        seconds
            For how long at most.

        Returns
        -------
        ndarray
            The pages that were not sent: left out, or out of time.
        """
        end = self.now_s + seconds
        if self.round.sent_bytes == 0:
            paused = "the rest, while it stands still"
            what = STEPS[2] if self.where == "source" else paused
            self.begin(2 if self.where == "source" else 3, what, pages.size)
        left_out: list[Pages] = []
        while pages.size and self.now_s < end - 1e-9:
            grant = self.wire.granted(self.now_s, rate_mib_s)
            if grant <= 0:
                self.pass_time(min(self.wire.next_grant_s, end) - self.now_s)
                continue
            size = min(grant, self.wire.line_bytes_s * min(self.slice_s, end - self.now_s))
            chunk, count = self._next_chunk(pages, size, peek=peek)
            if peek:
                left_out.append(pages[:count][self.dirty[pages[:count]]])
            used, damaged = self.deliver(chunk, "sent")
            pages = np.concatenate([pages[count:], damaged]) if damaged.size else pages[count:]
            self.wire.used(used)
            taken = self.wire.seconds(used, self.now_s)
            if pages.size and used + self.link.page_bytes > grant:  # wait for the next grant
                taken = max(taken, min(self.wire.next_grant_s, end) - self.now_s)
            self.pass_time(taken)
        self.round.skipped_pages += sum(part.size for part in left_out)
        return np.concatenate([*left_out, pages]) if left_out else pages

    def sync(self) -> Pages:
        """Look at the bitmap: return the pages dirty since the last look, and clear it.

        Returns
        -------
        ndarray
            Page numbers, sorted.
        """
        pages = np.flatnonzero(self.dirty)
        self.dirty[:] = False
        self.round.dirty_pages = pages.size
        self.next_round("running" if self.where == "source" else "paused")
        return pages

    def pause(self) -> None:
        """Stop the machine on the source: from now on nothing changes there."""
        self.begin(3, "the machine is paused")
        self.where, self.paused_s = "paused", self.now_s
        if self.round.sent_bytes == 0:
            self.round.phase = "paused"

    def send_bitmap(self, pages: Pages) -> None:
        """Step 3: tell the target which of its pages are stale: a bit for each page of memory."""
        self.begin(3, STEPS[3], pages.size)
        self.transmit(self.vm.bitmap_bytes)

    def send_state(self) -> None:
        """Step 3 as well: state of processor and devices."""
        self.begin(3, "copy the state of processor and devices")
        self.transmit(self.vm.device_state_bytes)

    def resume(self) -> None:
        """Step 4: the machine runs on the target, once the last byte has arrived."""
        self.begin(4, STEPS[4])
        if self.where != "paused":
            raise InvalidInputError("resume", self.where, "called on a paused machine")
        self.pass_time((self.link.latency_ms + self.vm.resume_ms) / 1000)
        self.where, self.resumed_s, self.throttle = "target", self.now_s, 0.0
        self.ideal = self.source.copy()
        self.next_round("fetching")

    def fetch(self, pages: Pages, pushing: Pushing, for_s: float = math.inf) -> Pages:
        """Step 5: the machine runs and fetches pages that it lacks, while others are pushed.

        Parameters
        ----------
        pages
            What it lacks.
        pushing
            Which pages the source sends unasked.
        for_s
            For how long at most, s.

        Returns
        -------
        ndarray
            The pages that it still lacks.
        """
        from virtlab.migration.fetching import Fetching

        self.lacking[pages] = True
        self.begin(5, STEPS[5], pages.size)
        Fetching(self, pushing).run(for_s)
        return np.flatnonzero(self.lacking)

    def delete_source(self) -> None:
        """Step 6: the memory of the source is given back."""
        self.begin(6, STEPS[6])
        self.deleted = True

    def announce(self) -> None:
        """Step 7: tell the switches where the machine is now (RARP), once."""
        self.begin(7, STEPS[7])
        if not math.isnan(self.announced_s):
            raise InvalidInputError("announce", self.announced_s, "called once")
        self.announced_s = self.now_s

    def _next_chunk(self, pages: Pages, size: float, *, peek: bool) -> tuple[Pages, int]:
        """Return the pages that fit into `size` bytes, at least one, and how many that uses up."""
        look = pages[: int(size / self.link.page_bytes + 1) * _LOOK_AHEAD]
        kept = np.flatnonzero(~self.dirty[look]) if peek else None
        wanted = look if kept is None else look[kept]
        zero = self.source.zero(wanted)
        if zero.any():
            sizes = np.where(zero, self.link.zero_page_bytes, self.link.page_bytes)
            fits = max(int(sizes.cumsum().searchsorted(size, side="right")), 1)
        else:
            fits = max(int(size // self.link.page_bytes), 1)
        if fits >= wanted.size:
            return wanted, look.size
        return wanted[:fits], fits if kept is None else int(kept[fits])
