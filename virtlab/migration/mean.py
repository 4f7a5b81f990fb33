"""One pre-copy on the mean, in microseconds: the rounds of `virtlab.migration.huge` as floats.

A round of the mean is some ten multiplications, and a call of numpy costs as much as all of them.
So one migration alone is worked out in plain floats, in one loop over its rounds, with the formulas
of `virtlab.migration.means`, which serves thousands at once; a test holds the two together to one
part in 10^12. What is left to be sent is a number for each of the five regions there, which are
sent in order: so what a round leaves is what lies last, and is counted from behind.

A writer that goes round has an address, which no number of pages tells. Here a page that was left
over is as likely to be under its hand as any other: on a large machine total time and bytes are
within one part in a thousand of the page level all the same (`benchmarks/migration_scale.py`), as
few pages are ever left over. `precopy(level='mean')` follows the hand, and tells the rounds.

Source: as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, expm1, inf, log1p
from typing import TYPE_CHECKING

from virtlab.migration.huge import StopRule
from virtlab.migration.link import MIB, Link
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform
from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MeanRun", "precopy_mean"]

_LINK, _RULE = Link(), StopRule()
_NEVER = -1e200  # log of no chance

_Regions = tuple[float, float, float, float, float]
_Writes = tuple[float, float, float]


@dataclass(frozen=True)
class MeanRun(Result):
    """One migration, without its rounds.

    Attributes
    ----------
    total_s, downtime_ms, sent_mib
        As `HugeRun` has them.
    rounds
        In which the guest ran.
    converged
        Whether the rest fitted into the downtime limit.
    """

    total_s: float
    downtime_ms: float
    sent_mib: float
    rounds: int
    converged: bool

    def to_frame(self) -> pd.DataFrame:
        """Return one row."""
        import pandas as pd

        return pd.DataFrame([self.summary()])

    def summary(self) -> dict[str, float | int | str]:
        """Return the numbers."""
        return dict(vars(self))

    def explain(self) -> str:
        """Return what happened, in a sentence."""
        why = "the rest fits" if self.converged else "the rounds are used up"
        return (
            f"On the mean {self.sent_mib:,.0f} MiB take {self.total_s:,.1f} s in {self.rounds} "
            f"round{'s' * (self.rounds != 1)}; as {why}, the machine is stopped, for "
            f"{self.downtime_ms:,.0f} ms."
        )


def precopy_mean(
    vm: Vm,
    workload: Uniform | HotCold | RoundRobin,
    link: Link = _LINK,
    rule: StopRule = _RULE,
) -> MeanRun:
    """Move one machine by pre-copy, on the mean.

    Parameters
    ----------
    vm, workload, link, rule
        As `precopy` takes them; of the workloads those that write at a constant rate.

    Returns
    -------
    MeanRun
        Times, bytes and the number of rounds.

    Raises
    ------
    InvalidInputError
        If the working set is not in the machine's memory, or the workload has no such formula.

    Examples
    --------
    >>> run = precopy_mean(Vm(ram_mib=1024), Uniform(65536, 5000.0))
    >>> run.converged, run.rounds, round(run.total_s, 1)
    (True, 3, 9.8)
    """
    if link.resend_ratio < 1:
        raise InvalidInputError("link.resend_ratio", link.resend_ratio, "1, as pages are alike")
    regions, writes = _regions(vm, workload), _writes(workload)
    rest = link.rate_mib_s * MIB * rule.downtime_limit_ms / 1000 // PAGE_BYTES
    clock, pages, zeros, rounds, left, zeros_left = _run(regions, writes, link, rule, rest)
    full, short = link.page_bytes, link.zero_page_bytes
    size = left * full + zeros_left * short + vm.device_state_bytes
    stop_ms = 1000 * size / (link.bandwidth_mib_s * MIB) + link.latency_ms + vm.resume_ms
    sent_mib = (pages * full + zeros * short + size) / MIB
    return MeanRun(clock + stop_ms / 1000, stop_ms, sent_mib, rounds, left + zeros_left <= rest)


def _regions(vm: Vm, workload: Uniform | HotCold | RoundRobin) -> _Regions:
    """Return the pages before the working set, hot, cold, behind it, and of zeros."""
    first, working, pages = workload.first_page, workload.pages, vm.pages
    end = first + working
    if end > pages:
        allowed = f"within the {pages} pages of {vm.name}"
        raise InvalidInputError("workload: its last page", end - 1, allowed)
    zero_from = max(vm.filled_pages, end)  # what is written is not zero
    hot = workload.hot_pages if type(workload) is HotCold else 0
    return first, hot, working - hot, zero_from - end, pages - zero_from


def _writes(workload: Uniform | HotCold | RoundRobin) -> _Writes:
    """Return log of the chance that a second leaves a hot page be, another; turns of a hand."""
    if type(workload) is Uniform:
        return 0.0, _missed(1.0, workload.working_set_pages, workload.dirty_pages_s), 0.0
    if type(workload) is RoundRobin:
        return 0.0, 0.0, workload.dirty_pages_s / workload.working_set_pages
    if type(workload) is not HotCold:
        name = type(workload).__name__
        raise InvalidInputError("workload", name, "Uniform, HotCold or RoundRobin")
    hot, cold, rate = workload.hot_pages, workload.pages - workload.hot_pages, workload.rate_pages_s
    share = workload.hot_write_percent / 100 if cold else 1.0
    return _missed(share, hot, rate), _missed(1 - share, cold, rate), 0.0


def _missed(share: float, pages: int, rate: float) -> float:
    """Return log of the chance that a second of writes leaves one of some pages be."""
    return rate * (log1p(-share / pages) if share < pages else _NEVER)


def _run(
    regions: _Regions, writes: _Writes, link: Link, rule: StopRule, rest: float
) -> tuple[float, float, float, int, float, float]:
    """Go round until the rest fits: return s, pages and zeros sent, rounds, both left."""
    before, hot, cold, behind, zeros = regions
    missed_hot, missed, turns = writes
    left_hot, left_cold, left = hot, cold, before + hot + cold + behind
    look, most, short = rule.look_ms / 1000, rule.max_rounds, link.zero_page_bytes / link.page_bytes
    pages_s = link.rate_mib_s * MIB / link.page_bytes
    looks = 1 / (pages_s * look) if look else inf
    clock, sent, zeros_sent, rounds = 0.0, 0.0, 0.0, 0
    while left + zeros > rest and rounds < most:
        if zeros:
            seconds, gone, gone_zeros = _with_zeros(left, zeros, rest, pages_s, short, look)
            zeros -= gone_zeros
            zeros_sent += gone_zeros
        else:
            seconds = ceil((left - rest) * looks - 1e-9) * look if look else inf
            gone = seconds * pages_s
            if gone > left:
                seconds, gone = left / pages_s, left
        clock += seconds
        sent += gone
        rounds += 1
        left -= gone  # is what lies last: behind, then the cold part, the hot one, and before
        if left <= behind:
            behind, left_cold, left_hot, before = left, 0.0, 0.0, 0.0
        elif left <= behind + left_cold:
            left_cold, left_hot, before = left - behind, 0.0, 0.0
        else:
            part = left - behind - left_cold
            left_hot, before = min(part, left_hot), max(part - left_hot, 0.0)
        chance = -expm1(missed * seconds) if missed else min(turns * seconds, 1.0)
        left_cold += (cold - left_cold) * chance
        if hot:
            left_hot -= (hot - left_hot) * expm1(missed_hot * seconds)
        left = before + left_hot + left_cold + behind
    return clock, sent, zeros_sent, rounds, left, zeros


def _with_zeros(
    pages: float, zeros: float, rest: float, pages_s: float, short: float, look: float
) -> tuple[float, float, float]:
    """Return how long a round lasts where zeros lie last, and the pages and zeros that it sends.

    A page of zeros counts as a part of a page, `short`, on the wire.
    """
    size, kept = pages + zeros * short, min(zeros, rest)
    fits = (size - kept * short - (rest - kept)) / pages_s
    seconds = ceil(fits / look - 1e-9) * look if look else inf
    if seconds * pages_s >= size:
        return size / pages_s, pages, zeros
    gone = min(pages, seconds * pages_s)
    return seconds, gone, (seconds * pages_s - gone) / short if short else 0.0
