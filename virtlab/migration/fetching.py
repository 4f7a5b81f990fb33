"""Step 5: the machine runs on the target and lacks pages, which are fetched and pushed.

Time goes in stretches that end where the machine touches a page that it lacks. Then it waits for
a round trip and the page, which goes ahead of the pages that are pushed meanwhile. Everything that
it touches counts as written; pages that are read are left out (`workloads.base`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.workloads.base import distinct_sorted

if TYPE_CHECKING:
    from virtlab.migration.algorithms.pushing import Pushing
    from virtlab.migration.move import Move
    from virtlab.migration.room import Pages

__all__ = ["Fetching"]

_STRETCH_PAGES = 64  # pages that fit into the longest stretch


class Fetching:
    """The fetching of one migration.

    Parameters
    ----------
    move
        The migration; its machine runs on the target.
    pushing
        Which pages are sent unasked.
    """

    def __init__(self, move: Move, pushing: Pushing) -> None:
        self.move, self.pushing = move, pushing
        self.page_s = move.link.page_bytes / (move.link.rate_mib_s * 2**20)
        self.stretch_s = min(_STRETCH_PAGES * self.page_s, move.slice_s)
        self.credit_bytes = 0.0

    def run(self, for_s: float) -> None:
        """Go on until no page is lacking, or for so long."""
        end = self.move.now_s + for_s
        lacking = np.flatnonzero(self.move.lacking)
        self.left, zeros = lacking.size, self.move.source.zero(lacking).any()
        self.least_bytes = self.move.link.zero_page_bytes if zeros else self.move.link.page_bytes
        while self.left and self.move.now_s < end - 1e-9:
            seconds = min(self.stretch_s, max(self.left * self.page_s, 1e-5), end - self.move.now_s)
            self._stretch(seconds)

    def _stretch(self, seconds: float) -> None:
        """Let the machine run for so long, or until it lacks a page."""
        move = self.move
        touched = move.workload.touches(move.guest_s, move.guest_s + seconds, move.rng)
        lacks = move.lacking[touched]
        first = int(lacks.argmax()) if touched.size else 0
        if not touched.size or not lacks[first]:
            self._run(touched, seconds)
            return
        self._run(touched[:first], seconds * (first + 1) / touched.size)
        page = touched[first : first + 1]
        if move.lacking[page[0]]:  # it may have come unasked in the meantime
            self._fault(page)
        move.write(page)

    def _run(self, touched: Pages, seconds: float) -> None:
        """Let the machine run on pages that it has, while others come."""
        self._push(seconds)
        self.move.advance(seconds, running=True)
        if touched.size:
            self.move.write(distinct_sorted(touched))

    def _fault(self, page: Pages) -> None:
        """Let the machine wait for a page: a round trip, and the page, until it comes whole."""
        move, start = self.move, self.move.now_s
        self.pushing.fault(int(page[0]))
        move.faults_taken += 1
        while move.lacking[page[0]]:
            round_trip = 2 * move.link.latency_ms / 1000
            size, damaged = move.deliver(page, "fetched")
            move.advance(move.wire.seconds(size, move.now_s), running=False)
            self._push(round_trip)
            move.advance(round_trip, running=False)
            self.left -= 1 - damaged.size
        move.stalled_s += move.now_s - start

    def _push(self, seconds: float) -> None:
        """Send as many pages unasked as the link carries in so long."""
        move = self.move
        self.credit_bytes += move.wire.carried(seconds, move.now_s)
        full = move.link.page_bytes
        while self.credit_bytes >= self.least_bytes and self.left:
            pages = self.pushing.choose(move.lacking, max(int(self.credit_bytes / full), 1))
            if not pages.size or (self.credit_bytes < full and not move.source.zero(pages).all()):
                break
            size, damaged = move.deliver(pages, "pushed")
            self.credit_bytes -= size
            self.left -= pages.size - damaged.size
        if not self.left:
            self.credit_bytes = 0.0
