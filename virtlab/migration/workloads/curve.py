"""A writable working set that grows as W(t) = a t^b, b < 1: what web servers and games do.

In a longer interval more distinct pages are written, but ever fewer new ones, because some pages
are written all the time. Clark et al. call the pages that are not worth sending while the machine
runs its **writable working set** (NSDI'05, section 3).

The pages behind such a curve need not be guessed. Let page i be written at random times at rate
r_i. Then W(t) is the sum over i of 1 - exp(-r_i t), and with

    r_i = (a / (Γ(1-b) i))^(1/b)

that sum is a t^b, until all pages are written: a Zipf law of exponent 1/b. (The number of pages
above a rate r is then (a / Γ(1-b)) r^-b; integrate.) So how often a page is dirty again before it
is sent, which decides how much a pre-copy skips, follows from the curve and is not one more
constant.

But for the hottest: the law gives the first page a billion writes a second, and no program goes
round so fast. With `most_writes_s` no page is written more often than that. In intervals much
longer than 1 / most_writes_s W(t) stays a t^b; in shorter ones it is less, down to a line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.workloads.base import distinct_sorted
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.migration.workloads.base import Pages

__all__ = ["Curve"]

_SURE = 6.0  # a page with so many writes expected in an interval is written (but for 0.25 %)
_PERIOD_S, _PERIODS = 0.2, 4096
_SHUFFLE = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Curve:
    """Pages written by a power law.

    Attributes
    ----------
    coefficient_pages
        a: distinct pages in the first second.
    exponent
        b, above 0 and below 1.
    pages
        How many pages may be written.
    first_page
        The first of them; hot and cold ones lie scattered.
    scatter
        How unevenly it works: standard deviation of the logarithm of its pace, which is another in
        each fifth of a second; 0 for an even pace. W stays the mean.
    seed
        For the pace.
    most_writes_s
        How often a page is written at most, times a second.

    Examples
    --------
    >>> web = Curve(coefficient_pages=8000, exponent=0.41, pages=200_000)
    >>> [round(web.distinct(t), -2) for t in (0.1, 1.0, 10.0)]
    [3100.0, 8000.0, 20400.0]
    >>> round(web.writes(0, 1, np.random.default_rng(1)).size, -2)
    8000
    """

    coefficient_pages: float
    exponent: float
    pages: int
    first_page: int = 0
    scatter: float = 0.0
    seed: int = 0
    most_writes_s: float = math.inf

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("coefficient_pages", self.coefficient_pages, minimum=0)
        number("exponent", self.exponent)
        if not 0.01 <= self.exponent <= 0.99:
            raise InvalidInputError("exponent", self.exponent, "a number from 0.01 to 0.99")
        integer("pages", self.pages, minimum=1)
        integer("first_page", self.first_page, minimum=0)
        number("scatter", self.scatter, minimum=0, maximum=2)
        integer("seed", self.seed, minimum=0)
        if number("most_writes_s", self.most_writes_s, finite=False) <= 0:
            raise InvalidInputError("most_writes_s", self.most_writes_s, "a number > 0")

    @property
    def rate_pages_s(self) -> float:
        """Distinct pages in a second."""
        return self.distinct(1.0)

    @cached_property
    def _above(self) -> float:
        """A / Γ(1-b): the number of pages whose rate is above 1 a second."""
        return self.coefficient_pages / math.gamma(1 - self.exponent)

    @cached_property
    def _rates(self) -> NDArray[np.float64]:
        """Return the writes a second of each page, the hottest first."""
        rank = np.arange(self.pages) + 0.5
        rates = (self._above / rank) ** (1 / self.exponent)
        return np.asarray(np.minimum(rates, self.most_writes_s), dtype=np.float64)

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """Return the writes a second of the n coldest pages together; shape (pages + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self._rates[::-1])])

    @cached_property
    def _place(self) -> NDArray[np.int64]:
        """Where the page of a rank lies: the same scatter each time."""
        return self.first_page + np.random.default_rng(_SHUFFLE).permutation(self.pages)

    @cached_property
    def _effort(self) -> NDArray[np.float64]:
        """Return the time that the machine's own pace makes of a number of periods."""
        pace = np.exp(self.scatter * np.random.default_rng(self.seed).standard_normal(_PERIODS))
        pace /= np.mean(pace**self.exponent) ** (1 / self.exponent)  # so that W stays the mean
        return np.concatenate([[0.0], np.cumsum(pace)]) * _PERIOD_S

    def _paced(self, time_s: float) -> float:
        """Return how much time it is at the machine's own pace."""
        if self.scatter == 0:
            return time_s
        times, rest = divmod(time_s / _PERIOD_S, _PERIODS)
        effort = self._effort
        return float(times * effort[-1] + np.interp(rest, np.arange(_PERIODS + 1), effort))

    def _written(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the ranks of the pages written, the hottest first."""
        seconds = self._paced(end_s) - self._paced(start_s)
        if seconds <= 0 or self.coefficient_pages == 0:
            return np.empty(0, dtype=np.int64)
        hot = self._above * (_SURE / seconds) ** -self.exponent
        sure = int(min(self.pages, hot)) if self.most_writes_s * seconds > _SURE else 0
        rest = self._sums[self.pages - sure]
        at = np.sort(rng.random(rng.poisson(rest * seconds)) * rest)
        colder = self.pages - np.searchsorted(self._sums, at, side="right")
        return np.concatenate([np.arange(sure), distinct_sorted(np.maximum(colder, sure))])

    def touches(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages written, each once, in an order of chance."""
        return rng.permutation(self._place[self._written(start_s, end_s, rng)])

    def writes(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages written, sorted, each once."""
        return np.sort(self._place[self._written(start_s, end_s, rng)])

    def distinct(self, seconds: float) -> float:
        """Return how many distinct pages are written, on average: a t^b where nothing bounds it."""
        if self.coefficient_pages == 0 or seconds <= 0:
            return 0.0
        return float(-np.expm1(-self._rates * seconds).sum())
