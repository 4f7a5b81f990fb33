"""What a migration is made of: two memories, a link, a clock, and what is written down.

`virtlab.migration.move` builds the steps of the talk from it, `virtlab.migration.fetching` what
happens while the machine already runs on the target. Here is what both need: time passes, the
guest writes where it runs, pages are copied and counted, and hosts may die.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.faults import Fault, HostDiedError
from virtlab.migration.log import Event, Log, Round
from virtlab.migration.memory import PageMemory
from virtlab.migration.wire import Wire
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from virtlab.migration.link import Link
    from virtlab.migration.vm import Vm
    from virtlab.migration.workloads import Workload

    Pages = NDArray[np.int64]

__all__ = ["GaveUpError", "Room"]

_SLICE_S = 0.01


class GaveUpError(Exception):
    """It took longer than it may; the machine stays where it is."""


class Room:
    """Both hosts, the link between them, and the clock.

    Parameters
    ----------
    vm, workload, link
        What moves, what it does meanwhile, and over what.
    seed
        For the writes of the workload, and for damage on the link.
    faults
        What goes wrong.
    words
        Words kept of each page: 512 for real pages of 4,096 bytes, 1 for stand-ins.
    give_up_s
        The longest it may take until it runs on the target, s.

    Attributes
    ----------
    slice_s
        Longest slice of time, s.
    watch
        Called with what happened to which pages: 'sent', 'pushed', 'fetched', 'written', 'step'.
    now_s, guest_s
        Time on the wall and in the guest, s.
    where
        'source', 'paused' or 'target': where the guest runs.
    throttle
        Part of its time that the guest is not let run, 0 to 0.99.
    source, target
        The two memories.
    dirty
        Shape (pages,): the bitmap, written since the last `sync`.
    fresh
        Shape (pages,): whether the target has the page as it is on the source.
    lacking
        Shape (pages,): pages that the guest on the target must fetch before it can use them.
    log
        Events, rounds and slices.
    """

    def __init__(
        self,
        vm: Vm,
        workload: Workload,
        link: Link,
        *,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        words: int = 1,
        give_up_s: float = math.inf,
    ) -> None:
        if workload.first_page + workload.pages > vm.pages:
            allowed = f"within the machine's {vm.pages} pages"
            raise InvalidInputError("workload", workload.first_page + workload.pages, allowed)
        self.vm, self.workload, self.link = vm, workload, link
        self.rng = np.random.default_rng(integer("seed", seed, minimum=0))
        self.give_up_s = number("give_up_s", give_up_s, minimum=0, finite=False)
        self.slice_s = _SLICE_S
        self.wire = Wire(link, faults)
        self._deaths = [fault for fault in faults if fault.who != "link"]
        self.watch: Callable[[str, Pages], None] | None = None
        self.source = PageMemory(vm.pages, vm.filled_pages, words)
        self.target = PageMemory(vm.pages, 0, words)
        self.ideal = self.source  # what the guest's memory would be had it never moved
        self.dirty, self.fresh, self.lacking = (np.zeros(vm.pages, dtype=np.bool_) for _ in "123")
        self.now_s = self.guest_s = self.throttle = 0.0
        self.where = "source"
        self.paused_s = self.resumed_s = self.announced_s = math.nan
        self.source_lives, self.deleted, self.converged = True, False, True
        self.faults_taken, self.stalled_s, self.sent_bytes = 0, 0.0, 0
        self.sent_times = np.zeros(vm.pages, dtype=np.int32)
        self._stamp = 0
        self.log = Log(rounds=[Round(0.0)])

    @property
    def all_pages(self) -> Pages:
        """All page numbers."""
        return np.arange(self.vm.pages)

    @property
    def round(self) -> Round:
        """The round that goes on."""
        return self.log.rounds[-1]

    def begin(self, step: int, what: str, pages: int = 0) -> None:
        """Write down what begins; a host may die of it."""
        self.log.events.append(Event(self.now_s, step, what, pages))
        if self.watch:
            self.watch("step", np.empty(0, dtype=np.int64))
        for fault in [f for f in self._deaths if f.at_step == step]:
            self._die(fault)

    def pass_time(self, seconds: float) -> None:
        """Let time pass; a guest that is not paused runs and writes."""
        before = self.guest_s
        self.advance(seconds, running=self.where != "paused")
        pages = self.workload.writes(before, self.guest_s, self.rng)
        if pages.size:
            self.write(pages)

    def advance(self, seconds: float, *, running: bool) -> None:
        """Move the clocks; say nothing of what the guest does meanwhile."""
        end = self.now_s + seconds
        if self._deaths:
            for fault in [f for f in self._deaths if f.at_s is not None and f.at_s < end]:
                self._die(fault)
        if end > self.give_up_s and self.where != "target":
            self.now_s = self.give_up_s
            raise GaveUpError
        self.now_s = end
        if running:
            self.guest_s += seconds * (1 - self.throttle)
        stale = self.vm.pages - int(np.count_nonzero(self.fresh))
        self.log.slices.append((self.now_s, self.guest_s, self.sent_bytes, stale))

    def write(self, pages: Pages) -> None:
        """Let the guest write to pages, where it runs."""
        self._stamp += 1
        self.ideal.write(pages, self._stamp)
        if self.where == "target":
            self.target.write(pages, self._stamp)
        else:
            self.dirty[pages] = True
            self.fresh[pages] = False
        if self.watch:
            self.watch("written", pages)

    def transmit(self, size_bytes: int) -> None:
        """Send bytes that are no pages, at the link's rate, past the limiter."""
        self._count(size_bytes)
        self.pass_time(self.wire.seconds(size_bytes, self.now_s))

    def deliver(self, pages: Pages, how: str) -> tuple[int, Pages]:
        """Copy pages to the target and count them, without letting time pass.

        Parameters
        ----------
        pages
            Distinct page numbers.
        how
            'sent', 'pushed' or 'fetched'.

        Returns
        -------
        size_bytes : int
            What they took on the wire.
        damaged : ndarray
            Pages that must be sent again.
        """
        zero = self.source.zero(pages)
        zeros, again = int(np.count_nonzero(zero)), 0
        if self.link.resend_ratio < 1:
            again = int(np.count_nonzero(~zero & (self.sent_times[pages] > 0)))
        size = self.link.wire_bytes(pages.size - zeros - again, zeros, again)
        now = self.round
        now.full_pages += pages.size - zeros
        now.zero_pages += zeros
        self._count(size)
        self.sent_times[pages] += 1
        damaged, risk = pages[:0], self.wire.damaged(self.now_s)
        if risk:
            bad = self.rng.random(pages.size) < risk
            damaged, pages = pages[bad], pages[~bad]
        self.target.copy_from(self.source, pages)
        self.fresh[pages] = True
        self.lacking[pages] = False
        if self.watch:
            self.watch(how, pages)
        return size, damaged

    def finish(self) -> None:
        """Close the last round."""
        self.next_round("done")
        self.log.rounds.pop()

    def join(self, *parts: Pages) -> Pages:
        """Return the pages that are in any of several lists, sorted, each once."""
        wanted = np.zeros(self.vm.pages, dtype=np.bool_)
        for pages in parts:
            wanted[pages] = True
        return np.flatnonzero(wanted)

    def _count(self, size_bytes: int) -> None:
        self.sent_bytes += size_bytes
        self.round.sent_bytes += size_bytes

    def next_round(self, phase: str) -> None:
        """Close a round and start the next, unless nothing happened in it."""
        now = self.round
        now.seconds = self.now_s - now.start_s
        if now.seconds == 0 and now.sent_bytes == 0:
            self.log.rounds.pop()
        self.log.rounds.append(Round(self.now_s, phase))

    def _die(self, fault: Fault) -> None:
        """Let a host die; once all pages have moved, the source is not needed any more."""
        self._deaths.remove(fault)
        if fault.at_s is not None:
            self.now_s = max(self.now_s, fault.at_s)
        if fault.who == "source":
            self.source_lives = False
            if self.where == "target" and not self.lacking.any():
                return
        raise HostDiedError(fault.who)
