"""The machine room of one migration: two hosts, a link, a clock, and what was written down.

An algorithm calls what is here, step by step: create the target, send pages, look at the bitmap,
pause, send the state, resume, fetch, delete the source, announce. Each call takes its time, and
while it does the guest runs and dirties pages. Contents are copied when a page is sent, so what
the target has is what the guest's memory was then.

Time passes in slices: ten milliseconds of the link, or a grant of its limiter. The pages of a slice
are copied at its start, and what the guest writes during the slice is dirty. So a page counts as
dirty a little more often than it would be if each were looked at by itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.faults import Fault, HostDiedError
from virtlab.migration.log import STEPS, Event, Log, Round
from virtlab.migration.memory import PageMemory
from virtlab.migration.wire import Wire
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from virtlab.migration.algorithms.pushing import Pushing
    from virtlab.migration.link import Link
    from virtlab.migration.vm import Vm
    from virtlab.migration.workloads import Workload

    Pages = NDArray[np.int64]

__all__ = ["GaveUpError", "Move"]

_SLICE_S = 0.01
_LOOK_AHEAD = 8  # zero pages are short: look at more pages than would fit if they were full


class GaveUpError(Exception):
    """It took longer than it may; the machine stays where it is."""


class Move:
    """One migration while it runs.

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

    # The steps, in the order of the talk.

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
            left_out.append(pages[:count][self.dirty[pages[:count]]] if peek else pages[:0])
            damaged = self._copy(chunk, "sent")
            pages = np.concatenate([pages[count:], damaged]) if damaged.size else pages[count:]
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
        self._next_round("running" if self.where == "source" else "paused")
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
        self._next_round("fetching")

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

    # What the steps are made of.

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
        self.round.full_pages += pages.size - zeros
        self.round.zero_pages += zeros
        self._count(size)
        self.sent_times[pages] += 1
        damaged, risk = pages[:0], self.wire.damaged(self.now_s)
        if risk:
            bad = self.rng.random(pages.size) < risk
            damaged, pages = pages[bad], pages[~bad]
        self.target.put(pages, *self.source.take(pages))
        self.fresh[pages] = True
        self.lacking[pages] = False
        if self.watch:
            self.watch(how, pages)
        return size, damaged

    def finish(self) -> None:
        """Close the last round."""
        self._next_round("done")
        self.log.rounds.pop()

    def join(self, *parts: Pages) -> Pages:
        """Return the pages that are in any of several lists, sorted, each once."""
        wanted = np.zeros(self.vm.pages, dtype=np.bool_)
        for pages in parts:
            wanted[pages] = True
        return np.flatnonzero(wanted)

    def _copy(self, pages: Pages, how: str) -> Pages:
        """Copy a chunk of pages over the link, and return those that arrived damaged."""
        size, damaged = self.deliver(pages, how)
        self.wire.used(size)
        self.pass_time(self.wire.seconds(size, self.now_s))
        return damaged

    def _next_chunk(self, pages: Pages, size: float, *, peek: bool) -> tuple[Pages, int]:
        """Return the pages that fit into `size` bytes, at least one, and how many that uses up."""
        look = pages[: int(size / self.link.page_bytes + 1) * _LOOK_AHEAD]
        kept = np.flatnonzero(~self.dirty[look]) if peek else np.arange(look.size)
        zero = self.source.zero(look[kept])
        sizes = np.where(zero, self.link.zero_page_bytes, self.link.page_bytes)
        fits = max(int(np.searchsorted(np.cumsum(sizes), size, side="right")), 1)
        used = look.size if fits >= kept.size else int(kept[fits])
        return look[kept[:fits]], used

    def _count(self, size_bytes: int) -> None:
        self.sent_bytes += size_bytes
        self.round.sent_bytes += size_bytes

    def _next_round(self, phase: str) -> None:
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
