"""Where the writes of a round fall: the chance of each page, constant over stretches.

What a guest writes in some seconds is, for the patterns that a formula describes, a few stretches
of pages with one chance each: the whole working set if it writes at random, the hot part and the
cold if it prefers some, the pages behind its hand with chance 1 if it goes round. n random writes
leave one of W pages alone with the chance (1 - 1/W)^n.

The pages are not laid out, so a working set of 2^28 pages costs as much as one of ten. Of any other
workload only `distinct` is asked, and its pages are taken to be alike.
"""

from __future__ import annotations

import math
from functools import singledispatch

from virtlab.migration.workloads import HotCold, RoundRobin, Uniform, Workload

__all__ = ["PATTERNS", "Stretch", "stretches"]

Stretch = tuple[int, int, float]  # first page, page behind the last, chance of each
PATTERNS = (HotCold, RoundRobin, Uniform)  # their chances are exact; subclasses may differ


@singledispatch
def stretches(workload: Workload, start_s: float, end_s: float) -> list[Stretch]:
    """Return where the writes between two times fall.

    Parameters
    ----------
    workload
        Exact for the types of `PATTERNS`; of others, the mean over the working set.
    start_s, end_s
        Guest time, s.

    Returns
    -------
    list of tuple
        First page, page behind the last, and each page's chance to be written.

    Examples
    --------
    >>> stretches(RoundRobin(100, 10.0), 8, 12)
    [(80, 100, 1.0), (0, 20, 1.0)]
    >>> [(low, high, round(p, 3)) for low, high, p in stretches(Uniform(100, 10.0), 0, 10)]
    [(0, 100, 0.634)]
    """
    first, pages = workload.first_page, workload.pages
    return [(first, first + pages, workload.distinct(end_s - start_s) / pages)]


@stretches.register
def _(workload: RoundRobin, start_s: float, end_s: float) -> list[Stretch]:
    base, pages, rate = workload.first_page, workload.pages, workload.rate_pages_s
    first, last = math.ceil(rate * start_s - 1e-9), math.ceil(rate * end_s - 1e-9)
    if last - first >= pages:
        return [(base, base + pages, 1.0)]
    low = (int(workload.phase * pages) + first) % pages
    high = low + last - first
    if high <= pages:
        return [(base + low, base + high, 1.0)]
    return [(base + low, base + pages, 1.0), (base, base + high - pages, 1.0)]


@stretches.register
def _(workload: Uniform, start_s: float, end_s: float) -> list[Stretch]:
    writes = workload.rate_pages_s * (end_s - start_s)
    return _at_random(workload.first_page, workload.pages, writes)


@stretches.register
def _(workload: HotCold, start_s: float, end_s: float) -> list[Stretch]:
    first, hot = workload.first_page, workload.hot_pages
    writes = workload.rate_pages_s * (end_s - start_s)
    to_hot = writes * workload.hot_write_percent / 100 if hot < workload.pages else writes
    cold = _at_random(first + hot, workload.pages - hot, writes - to_hot)
    return _at_random(first, hot, to_hot) + cold


def _at_random(first: int, pages: int, writes: float) -> list[Stretch]:
    """Return one stretch for some writes that choose among pages; none if there is nothing."""
    if not pages or not writes:
        return []
    missed = writes * math.log1p(-1 / pages) if pages > 1 else -math.inf
    return [(first, first + pages, -math.expm1(missed))]
