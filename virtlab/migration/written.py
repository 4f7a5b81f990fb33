"""Where the writes of a round fall: the chance of each page, constant over stretches.

What a guest writes in some seconds is, for the patterns that a formula describes, a few stretches
of pages with one chance each: the whole working set if it writes at random, the hot part and the
cold if it prefers some, the pages behind its hand with chance 1 if it goes round. n writes that hit
a page with the chance q each leave it alone with (1 - q)^n; where all W pages are alike, q is 1/W.

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
    first, hot, pages = workload.first_page, workload.hot_pages, workload.pages
    writes = workload.rate_pages_s * (end_s - start_s)
    to_hot = workload.hot_write_percent / 100 if hot < pages else 1.0
    cold = _at_random(first + hot, pages - hot, writes, 1 - to_hot)
    return _at_random(first, hot, writes, to_hot) + cold


def _at_random(first: int, pages: int, writes: float, share: float = 1.0) -> list[Stretch]:
    """Return one stretch for writes of which a share chooses among pages; none without any."""
    if not pages or not writes or not share:
        return []
    each = share / pages
    missed = writes * math.log1p(-each) if each < 1 else -math.inf
    return [(first, first + pages, -math.expm1(missed))]
