"""Pre-copy of very large machines: each of 268 million pages with its own fate, or their mean.

A machine of 1 TiB has 2^28 pages. To follow each of them takes one bit a page, 32 MiB, if nothing
else is kept: the set of pages that are still to be sent. **Pre-copy** (事前コピー) goes in rounds.
A round sends the set in address order while the guest writes. It ends when what is left would fit
into the **downtime limit** (停止時間の上限), which is looked at every 100 ms, or when nothing is
left; then the pages written meanwhile join the set. If the set still fits, the machine is
stopped and the rest is sent; else the next round begins. A set that does not shrink never fits,
and after `max_rounds` the machine is stopped all the same.

Two levels answer the same question from the same input:

- `page`: the set is a bitmap. At the end of a round of t seconds each page of the working set is
  written or not, drawn from its own chance (`virtlab.migration.bitmap`); what the sender has
  reached is found by counting bits. Sizes of rounds scatter as they do in life.
- `mean`: the set is a **chance a page** that is constant over stretches of addresses. W pages that
  are written r times a second, at random, have in t seconds the chance 1 - (1 - 1/W)^(r t); a page
  that was left over with chance d and is written with chance p is in the set with 1 - (1-d)(1-p).
  A round costs a few multiplications, whatever the size of the machine.

The sum of many independent pages is near its mean, off by about 1 / sqrt(pages written), so on a
large machine total time and bytes of both levels agree to better than one part in a thousand
(`benchmarks/migration_scale.py`). The downtime depends on which look finds that the rest fits, and
where it only just does, one level may find it a look before the other.

What it leaves out: contents and versions (`virtlab.migration.move` moves real bytes), the limiter's
bursts, throttling of the guest, and that a write which comes before its page's turn need not be
sent twice ("peek"). The rules are QEMU's; see `virtlab.migration.qemu` for a model of QEMU itself.

Source: the rounds are C. Clark et al., "Live migration of virtual machines", NSDI 2005, section
5.3; the stop rule is QEMU's, measured in `data/README.md`; the two levels are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from virtlab.migration.link import MIB, Link
from virtlab.migration.page_sets import BitSet, ChanceSet, PageSet
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.migration.workloads import Workload

__all__ = ["LEVELS", "HugeRun", "Round", "StopRule", "precopy"]

LEVELS = ("page", "mean")

Band = tuple[float, int]  # pages of the set, and the bytes of each on the wire


@dataclass(frozen=True)
class StopRule:
    """When the machine is stopped.

    Attributes
    ----------
    downtime_limit_ms
        It is, when what is left can be sent in this time at the rate of the rounds, ms.
    max_rounds
        It is at the latest after so many rounds; 0 is stop and copy, 1 one round.
    look_ms
        How often it is looked at within a round, ms, as QEMU does; 0 for at its end only, as Clark.

    Examples
    --------
    >>> StopRule(max_rounds=0).downtime_limit_ms
    300.0
    """

    downtime_limit_ms: float = 300.0
    max_rounds: int = 30
    look_ms: float = 100.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("downtime_limit_ms", self.downtime_limit_ms, minimum=0)
        integer("max_rounds", self.max_rounds, minimum=0)
        number("look_ms", self.look_ms, minimum=0)


class Round(NamedTuple):
    """What one round did; counts of pages are means at level `mean`.

    Attributes
    ----------
    start_s, seconds
        When it began, and how long it took, s.
    to_send_pages, sent_pages
        Pages that were to be sent at its start, and that it sent.
    sent_bytes
        On the wire, bytes.
    written_pages
        Pages that the guest wrote meanwhile, each counted once.
    """

    start_s: float
    seconds: float
    to_send_pages: float
    sent_pages: float
    sent_bytes: float
    written_pages: float


@dataclass(frozen=True)
class HugeRun(Result):
    """One migration.

    Attributes
    ----------
    vm
        What moved.
    level
        'page' or 'mean'.
    rounds
        The rounds in which the guest ran; the last entry is the stop, in which it did not.
    converged
        Whether the rest fitted into the downtime limit.
    downtime_ms
        How long the guest stood still, ms.

    Examples
    --------
    >>> from virtlab.migration.workloads import Uniform
    >>> run = precopy(Vm(ram_mib=1024), Uniform(65536, 5000.0), level="mean")
    >>> run.converged, len(run.rounds), round(run.total_s, 1)
    (True, 4, 9.8)
    """

    vm: Vm
    level: str
    rounds: tuple[Round, ...]
    converged: bool
    downtime_ms: float

    @property
    def total_s(self) -> float:
        """From the first page to the running target, s."""
        return self.rounds[-1].start_s + self.downtime_ms / 1000

    @property
    def sent_mib(self) -> float:
        """All that went over the wire, MiB."""
        return sum(step.sent_bytes for step in self.rounds) / MIB

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each round and one for the stop.

        Returns
        -------
        DataFrame
            Columns round (from 1), running (whether the guest ran), then those of `Round` with
            `sent_mib` for the bytes.
        """
        import pandas as pd

        frame = pd.DataFrame(self.rounds)
        frame["sent_bytes"] /= MIB
        frame = frame.rename(columns={"sent_bytes": "sent_mib"})
        frame.insert(0, "round", np.arange(1, len(frame) + 1))
        frame.insert(1, "running", frame["round"] < len(frame))
        return frame

    def summary(self) -> dict[str, float | int | str]:
        """Return the numbers of a slide; `rounds` counts those in which the guest ran."""
        return {
            "total_s": self.total_s,
            "downtime_ms": self.downtime_ms,
            "sent_mib": self.sent_mib,
            "rounds": len(self.rounds) - 1,
            "converged": self.converged,
        }

    def explain(self) -> str:
        """Return what happened, in two sentences."""
        running, rest = len(self.rounds) - 1, self.rounds[-1].to_send_pages
        why = (
            "what was left fits the downtime limit" if self.converged else "the rounds were used up"
        )
        return (
            f"{self.vm.name} moves {self.sent_mib:,.0f} MiB for its {self.vm.ram_mib:,.0f} MiB of "
            f"memory in {self.total_s:,.1f} s, {running} round{'s' * (running != 1)} and a stop. "
            f"It stands still for {self.downtime_ms:,.0f} ms, with {rest:,.0f} pages to send, "
            f"because {why}."
        )


def precopy(
    vm: Vm,
    workload: Workload,
    link: Link | None = None,
    rule: StopRule | None = None,
    *,
    level: str = "page",
    seed: int | np.random.Generator = 0,
    progress: bool = False,
) -> HugeRun:
    """Move a machine by pre-copy.

    Parameters
    ----------
    vm
        The machine.
    workload
        How its pages get dirty. At level 'page' `RoundRobin`, `Uniform` and `HotCold` need no
        memory but the bitmap; others give their pages as numbers of 8 bytes.
    link
        What its pages travel over; the standard one if not given.
    rule
        When it is stopped; QEMU's defaults if not given.
    level
        'page', each page by itself, or 'mean', expected numbers.
    seed
        Of the draws at level 'page'; level 'mean' draws nothing.
    progress
        Whether a bar shows the rounds.

    Returns
    -------
    HugeRun
        Times, bytes and rounds.

    Raises
    ------
    InvalidInputError
        If the working set is not in the machine's memory, or the level is unknown.

    See Also
    --------
    virtlab.migration.mean.precopy_mean : The mean's totals without its rounds, in microseconds.
    virtlab.migration.means.precopy_means : The same for thousands of migrations at once.

    Examples
    --------
    >>> from virtlab.migration.workloads import Uniform
    >>> vm, busy = Vm(ram_mib=4096), Uniform(2**20, 20_000.0)
    >>> page, mean = (precopy(vm, busy, level=level) for level in LEVELS)
    >>> page.summary()["rounds"], mean.summary()["rounds"]
    (14, 14)
    >>> abs(page.total_s / mean.total_s - 1) < 0.001
    True
    """
    one_of("level", level, LEVELS)
    state: PageSet = (
        BitSet(vm.pages, np.random.default_rng(seed)) if level == "page" else ChanceSet(vm.pages)
    )
    move = _Migration(vm, workload, link or Link(), rule or StopRule())
    if not progress:  # a bar that nobody sees would take longer than a round at level `mean`
        return move.run(state, level, None)
    with tqdm(unit=" rounds", leave=False) as bar:
        return move.run(state, level, bar)


class _Migration:
    """The rounds, the same at both levels."""

    def __init__(self, vm: Vm, workload: Workload, link: Link, rule: StopRule) -> None:
        self.vm, self.workload, self.link, self.rule = vm, workload, link, rule
        self.rate = link.rate_mib_s * MIB
        self.rest = self.rate * rule.downtime_limit_ms / 1000 // PAGE_BYTES
        end = workload.first_page + workload.pages
        if end > vm.pages:
            allowed = f"within the {vm.pages} pages of {vm.name}"
            raise InvalidInputError("workload: its last page", end - 1, allowed)
        self.zero_from = max(vm.filled_pages, end)  # what is written is not zero
        self.bytes_each = (link.wire_bytes(0, 0, 1), link.wire_bytes(1), link.wire_bytes(0, 1))

    def run(self, state: PageSet, level: str, bar: tqdm[Any] | None) -> HugeRun:
        rounds: list[Round] = []
        clock, seen = 0.0, 0  # pages before `seen` have been sent once
        rule, pages = self.rule, self.vm.pages
        while True:
            counts = state.counts(seen, max(self.zero_from, seen), pages)
            bands = [band for band in zip(counts, self.bytes_each, strict=True) if band[0]]
            total, size = _added(bands)
            if total <= self.rest or len(rounds) >= rule.max_rounds:
                break
            seconds, sent, sent_bytes = self._send(bands, total, size)
            reached = state.after(sent)
            seen = max(seen, reached)
            written = state.turn(reached, self.workload, clock, clock + seconds)
            rounds.append(Round(clock, seconds, total, sent, sent_bytes, written))
            clock += seconds
            if bar is not None:
                bar.update()
        size += self.vm.device_state_bytes
        stop_s = size / (self.link.bandwidth_mib_s * MIB)  # the limiter is off while it stands
        rounds.append(Round(clock, stop_s, total, total, size, 0))
        downtime_ms = 1000 * stop_s + self.link.latency_ms + self.vm.resume_ms
        return HugeRun(self.vm, level, tuple(rounds), total <= self.rest, downtime_ms)

    def _send(self, bands: list[Band], total: float, size: float) -> tuple[float, float, float]:
        """Return how long a round lasts, how many pages it sends and how many bytes."""
        look_s = self.rule.look_ms / 1000
        if not look_s:
            return size / self.rate, total, size
        seconds = (size - _added(bands[::-1], self.rest)[1]) / self.rate
        seconds = math.ceil(seconds / look_s - 1e-9) * look_s
        if seconds * self.rate >= size:
            return size / self.rate, total, size
        room = sent_bytes = seconds * self.rate
        sent = 0.0
        for count, each in bands:
            step = min(count, room / each)
            sent += step
            room -= step * each
        return seconds, sent, sent_bytes


def _added(bands: list[Band], pages: float = math.inf) -> tuple[float, float]:
    """Return the pages and the bytes of some bands, up to a number of pages."""
    total = size = 0.0
    for count, each in bands:
        step = min(count, pages - total)
        total += step
        size += step * each
    return total, size
