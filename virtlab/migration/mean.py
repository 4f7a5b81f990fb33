"""One pre-copy on the mean, in microseconds: the rounds of `virtlab.migration.huge` as floats.

A round of the mean is some ten multiplications, and a call of numpy costs as much as all of them.
So one migration alone is worked out in plain floats, in one loop over its rounds, with the formulas
of `virtlab.migration.means`, which serves thousands at once; a test holds the two together to one
part in 10^12. What is left to be sent is a number for each of the five regions there, which are
sent in order: so what a round leaves is what lies last, and is counted from behind.

A writer that goes round needs no rounds, as long as it does not come to pages that are left over;
where it does, its hand is followed (`virtlab.migration.hands`).

Source: as there.
"""

from __future__ import annotations

from math import ceil, expm1, inf, log1p
from typing import TYPE_CHECKING, NamedTuple

from virtlab.migration.hands import Hand
from virtlab.migration.huge import StopRule
from virtlab.migration.link import MIB, Link
from virtlab.migration.turns import EPS, Rounds, in_turn
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform
from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MeanRun", "in_order", "precopy_mean"]

_LINK, _RULE = Link(), StopRule()
_NEVER = -1e200  # log of no chance
_PAGE_MS = 1000 * PAGE_BYTES

_Regions = tuple[float, float, float, float, float]
_Writes = tuple[float, float, Hand | None]


class _Numbers(NamedTuple):
    """A tuple, as that is made in a third of the time of a frozen dataclass."""

    total_s: float
    downtime_ms: float
    sent_mib: float
    rounds: int
    converged: bool


class MeanRun(_Numbers, Result):
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

    def to_frame(self) -> pd.DataFrame:
        """Return one row."""
        import pandas as pd

        return pd.DataFrame([self.summary()])

    def summary(self) -> dict[str, float | int | str]:
        """Return the numbers."""
        return self._asdict()

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
    pages_s, full, pages = link.pages_s, link.page_bytes, vm.pages
    rest = pages_s * full * rule.downtime_limit_ms // _PAGE_MS
    look = pages_s * rule.look_ms / 1000
    working, before = workload.working_set_pages, workload.first_page
    behind, found = pages - before - working, None
    if behind >= 0 and rest >= look > 0 and vm.filled_pages >= pages:
        writes = workload.dirty_pages_s / pages_s
        if type(workload) is RoundRobin:
            at = int(workload.phase * working)
            found = in_turn(pages, behind, working, at, writes, rest, look, rule.max_rounds)
        elif type(workload) is Uniform:
            missed = writes * (log1p(-1 / working) if working > 1 else _NEVER)
            found = at_random(before, working, behind, missed, rest, look, rule.max_rounds)
    if found is None:
        regions, written = _regions(vm, workload), _writes(workload, pages_s)
        found = in_order(regions, written, rest, look, rule.max_rounds, link.zero_page_bytes / full)
    sent, rounds, left, zeros = found
    size = left * full + zeros * link.zero_page_bytes + vm.device_state_bytes
    stop_s = size / (link.bandwidth_mib_s * MIB) + (link.latency_ms + vm.resume_ms) / 1000
    sent_mib, fits = (sent * full + size) / MIB, left + zeros <= rest
    numbers = sent / pages_s + stop_s, 1000 * stop_s, sent_mib, rounds, fits
    return tuple.__new__(MeanRun, numbers)  # as the class does, in half the time


def _regions(vm: Vm, workload: Uniform | HotCold | RoundRobin) -> _Regions:
    """Return the pages before the working set, hot, cold, behind it, and of zeros."""
    first, working, pages = workload.first_page, workload.working_set_pages, vm.pages
    end = first + working
    if end > pages:
        allowed = f"within the {pages} pages of {vm.name}"
        raise InvalidInputError("workload: its last page", end - 1, allowed)
    zero_from = max(vm.filled_pages, end)  # what is written is not zero
    hot = workload.hot_pages if type(workload) is HotCold else 0
    return first, hot, working - hot, zero_from - end, pages - zero_from


def _writes(workload: Uniform | HotCold | RoundRobin, pages_s: float) -> _Writes:
    """Return, while a page is sent, log of the chance to miss a hot page, and another; the hand."""
    rate, pages = workload.dirty_pages_s / pages_s, workload.working_set_pages
    if type(workload) is Uniform:
        return 0.0, _missed(1.0, pages, rate), None
    if type(workload) is RoundRobin:
        return 0.0, 0.0, Hand(float(pages), float(int(workload.phase * pages)), rate)
    if type(workload) is not HotCold:
        name = type(workload).__name__
        raise InvalidInputError("workload", name, "Uniform, HotCold or RoundRobin")
    hot, cold = workload.hot_pages, pages - workload.hot_pages
    share = workload.hot_write_percent / 100 if cold else 1.0
    return _missed(share, hot, rate), _missed(1 - share, cold, rate), None


def _missed(share: float, pages: int, rate: float) -> float:
    """Return log of the chance that some writes leave one of some pages be."""
    return rate * (log1p(-share / pages) if share < pages else _NEVER)


def at_random(
    before: float,
    working: float,
    behind: float,
    missed: float,
    rest: float,
    look: float,
    most: int,
) -> Rounds:
    """Do what `in_order` does for the load that is met most: one set, no zeros, and looks.

    Parameters
    ----------
    before, working, behind
        Pages before the working set, of it and behind it.
    missed
        Log of the chance that a page of the set is not written while one is sent.
    rest, look
        Pages that may be left for the stop, and that are sent between two looks; rest >= look > 0.
    most
        Rounds.

    Returns
    -------
    tuple
        Pages sent, rounds, pages left and zeros left.

    Examples
    --------
    >>> sent, rounds, left, _ = at_random(4000, 4000, 2000, -1 / 16000, 300, 100, 30)
    >>> sent, rounds, round(left)
    (12100.0, 4, 289)
    """
    left = float(before + working + behind)
    within, until, sent, rounds = working, rest + EPS * look, 0.0, 0
    while left > rest and rounds < most:
        size = ceil((left - until) / look) * look
        if size < left:
            left -= size  # is what lies last: behind, then the set, then before
        else:
            size, left = left, 0.0
        sent += size
        rounds += 1
        if left < behind:
            behind, over = left, 0.0
        elif left < behind + within:
            over = left - behind
        else:
            over = within
        more = (over - working) * expm1(missed * size)
        within = over + more
        left += more
    return sent, rounds, left, 0.0


def in_order(
    regions: _Regions,
    writes: _Writes,
    rest: float,
    look: float,
    most: int,
    short: float,
) -> Rounds:
    """Go round until the rest fits.

    Parameters
    ----------
    regions
        Pages before the working set, of its hot part and its cold one, behind it, and of zeros.
    writes
        While a page is sent, the log of the chance that a page of the hot part is not written, and
        one of the cold part; or the hand that goes round in that.
    rest, look
        Pages that may be left for the stop, and that are sent between two looks, 0 for at the end.
    most
        Rounds.
    short
        As what part of a page a page of zeros counts.

    Returns
    -------
    tuple
        Pages sent, rounds, pages left and zeros left.

    Examples
    --------
    >>> in_order((4000, 0, 4000, 2000, 0), (0.0, 0.0, Hand(4000.0, 0.0, 0.25)), 300, 100, 30, 0.01)
    (13000.0, 5, 250.0, 0)
    """
    before, hot, cold, behind, zeros = regions
    missed_hot, missed, hand = writes
    left_hot, left_cold, over, left = (
        float(hot),
        float(cold),
        0.0,
        float(before + hot + cold + behind),
    )
    looks, until, sent, rounds = 1 / look if look else inf, rest + EPS * look, 0.0, 0
    while left + zeros > rest and rounds < most:
        if zeros:
            size, gone, gone_zeros = _with_zeros(left, zeros, rest, look, short)
            zeros -= gone_zeros
        else:
            size = gone = ceil((left - until) * looks) * look if look else left
            if gone > left:
                size = gone = left
        sent += size
        rounds += 1
        left -= gone  # is what lies last: behind, then the cold part, the hot one, and before
        if left < behind:
            behind, over = left, 0.0
        elif left < behind + left_cold:
            over = left - behind
        else:
            over = left_cold
        if hot:
            over_hot = min(left - behind - over, left_hot)
            left_hot = over_hot + (over_hot - hot) * expm1(missed_hot * size)
            left += left_hot - over_hot
        left_cold = hand.turn(over, size) if hand else over + (over - cold) * expm1(missed * size)
        left += left_cold - over
    return sent, rounds, left, zeros


def _with_zeros(
    pages: float, zeros: float, rest: float, look: float, short: float
) -> tuple[float, float, float]:
    """Return what a round sends: in all, as full pages, then pages, and zeros, which lie last."""
    size, kept = pages + zeros * short, min(zeros, rest)
    fits = size - kept * short - (rest - kept)
    sent = ceil(fits / look - EPS) * look if look else inf
    if sent >= size:
        return size, pages, zeros
    gone = min(pages, sent)
    return sent, gone, (sent - gone) / short if short else 0.0
