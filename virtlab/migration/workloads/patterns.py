"""Patterns of writes at a constant rate: in turn, at random, hot and cold, Zipf.

A writer that goes round robin over W pages at rate D has min(W, D t) distinct pages dirty after t
seconds. One that chooses page i with probability p_i has, on average, the sum over i of
1 - (1 - p_i)^(D t). The two patterns of the measured migrations are here, 'round robin' and
'random', and its third, 'hot'.

Source of the formula: linearity of expectation. What it leaves out: real programs change their
rate; `virtlab.migration.workloads.trace` has some.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.workloads.base import distinct_sorted
from virtlab.validate import integer, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.migration.workloads.base import Pages

__all__ = ["HotCold", "RoundRobin", "Uniform", "Zipf"]

_EPS = 1e-9  # k writes of 1/k seconds are k writes, whatever the rounding


@dataclass(frozen=True)
class _AtConstantRate(ABC):
    """Writes that are spread evenly over time: number n happens at n / rate."""

    working_set_pages: int
    dirty_pages_s: float
    first_page: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        integer("working_set_pages", self.working_set_pages, minimum=1)
        number("dirty_pages_s", self.dirty_pages_s, minimum=0)
        integer("first_page", self.first_page, minimum=0)

    @property
    def rate_pages_s(self) -> float:
        """Page writes a second."""
        return self.dirty_pages_s

    @property
    def pages(self) -> int:
        """Pages in the working set."""
        return self.working_set_pages

    def _numbers(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Return the numbers of the writes from start to end."""
        rate = self.dirty_pages_s
        return math.ceil(start_s * rate - _EPS), math.ceil(end_s * rate - _EPS)

    @abstractmethod
    def writes(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages written, sorted, each once."""

    @abstractmethod
    def touches(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages in order."""

    @abstractmethod
    def distinct(self, seconds: float) -> float:
        """Return how many distinct pages are written."""


@dataclass(frozen=True)
class RoundRobin(_AtConstantRate):
    """One page after the other, and from the first again.

    Attributes
    ----------
    working_set_pages
        How many pages.
    dirty_pages_s
        Page writes a second.
    first_page
        The first page.
    phase
        Where the writer stands when the migration starts, as a part of its set, from 0 to 1.

    Examples
    --------
    >>> writer = RoundRobin(working_set_pages=4, dirty_pages_s=10, first_page=100)
    >>> writer.touches(0.0, 0.6, np.random.default_rng()).tolist()
    [100, 101, 102, 103, 100, 101]
    >>> writer.distinct(0.3), writer.distinct(60)
    (3.0, 4.0)
    """

    phase: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        number("phase", self.phase, minimum=0, maximum=1)

    def touches(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages in order."""
        del rng
        first, last = self._numbers(start_s, end_s)
        stands = int(self.phase * self.working_set_pages)
        return self.first_page + (stands + np.arange(first, last)) % self.working_set_pages

    def writes(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages written, sorted, each once."""
        first, last = self._numbers(start_s, end_s)
        if last - first >= self.working_set_pages:
            return self.first_page + np.arange(self.working_set_pages)
        return np.sort(self.touches(start_s, end_s, rng))

    def distinct(self, seconds: float) -> float:
        """Return how many distinct pages are written: min(W, D t)."""
        return min(float(self.working_set_pages), self.dirty_pages_s * seconds)


@dataclass(frozen=True)
class _Chosen(_AtConstantRate):
    """Each write chooses its page by itself, page i with probability p_i."""

    @cached_property
    def chances(self) -> NDArray[np.float64]:
        """Probability of each page of the working set."""
        return self._chances()

    @abstractmethod
    def _chances(self) -> NDArray[np.float64]:
        """Work out the probabilities."""

    @cached_property
    def _steps(self) -> NDArray[np.float64]:
        return np.cumsum(self.chances)

    def _choose(self, count: int, rng: np.random.Generator) -> Pages:
        """Choose pages of the working set."""
        chosen = np.searchsorted(self._steps, rng.random(count), side="right")
        return np.minimum(chosen, self.working_set_pages - 1)  # the steps may end below 1

    def touches(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages in order."""
        first, last = self._numbers(start_s, end_s)
        return self.first_page + self._choose(last - first, rng)

    def writes(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages written, sorted, each once."""
        first, last = self._numbers(start_s, end_s)
        count = last - first
        if count > 4 * self.working_set_pages:  # asked page by page it is as right, and faster
            written = rng.random(self.working_set_pages) < self._written(count)
            return self.first_page + np.flatnonzero(written)
        return distinct_sorted(self.touches(start_s, end_s, rng))

    def _written(self, count: float) -> NDArray[np.float64]:
        """Return the probability of each page to be among so many writes."""
        with np.errstate(divide="ignore"):  # the only page: log(0)
            missed = count * np.log1p(-self.chances)
        return -np.expm1(np.nan_to_num(missed, nan=0.0))

    def distinct(self, seconds: float) -> float:
        """Return how many distinct pages are written, on average."""
        return float(self._written(self.dirty_pages_s * seconds).sum())


@dataclass(frozen=True)
class Uniform(_Chosen):
    """Every page is as likely as every other.

    Attributes
    ----------
    working_set_pages
        How many pages.
    dirty_pages_s
        Page writes a second.
    first_page
        The first page.

    Examples
    --------
    >>> round(Uniform(working_set_pages=1000, dirty_pages_s=1000).distinct(1))  # 1 - 1/e
    632
    """

    def _chances(self) -> NDArray[np.float64]:
        return np.full(self.working_set_pages, 1 / self.working_set_pages)

    def _choose(self, count: int, rng: np.random.Generator) -> Pages:
        return rng.integers(0, self.working_set_pages, count)


@dataclass(frozen=True)
class HotCold(_Chosen):
    """Most writes go to few pages, the rest to all others.

    Attributes
    ----------
    working_set_pages
        How many pages.
    dirty_pages_s
        Page writes a second.
    first_page
        The first page.
    hot_pages
        How many pages are hot, from the first on.
    hot_write_percent
        How much of the writes goes to these.

    Examples
    --------
    >>> writer = HotCold(1000, 5000, hot_pages=100, hot_write_percent=90)
    >>> round(writer.distinct(1)), round(Uniform(1000, 5000).distinct(1))
    (484, 993)
    """

    hot_pages: int = 1
    hot_write_percent: float = 90.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        integer("hot_pages", self.hot_pages, minimum=1, maximum=self.working_set_pages)
        number("hot_write_percent", self.hot_write_percent, minimum=0, maximum=100)

    def _chances(self) -> NDArray[np.float64]:
        cold = self.working_set_pages - self.hot_pages
        to_hot = self.hot_write_percent / 100 if cold else 1.0
        chances = np.full(self.working_set_pages, (1 - to_hot) / max(cold, 1))
        chances[: self.hot_pages] = to_hot / self.hot_pages
        return chances

    def _choose(self, count: int, rng: np.random.Generator) -> Pages:
        cold = self.working_set_pages - self.hot_pages
        if not cold:
            return rng.integers(0, self.hot_pages, count)
        hot = rng.random(count) * 100 < self.hot_write_percent
        first, size = np.where(hot, 0, self.hot_pages), np.where(hot, self.hot_pages, cold)
        return first + (rng.random(count) * size).astype(np.int64)


@dataclass(frozen=True)
class Zipf(_Chosen):
    """Page i is written in proportion to 1 / i^exponent.

    Attributes
    ----------
    working_set_pages
        How many pages.
    dirty_pages_s
        Page writes a second.
    first_page
        The first page, which is the hottest.
    exponent
        0 is uniform; about 1 is common.

    Examples
    --------
    >>> [round(Zipf(1000, 1000, exponent=e).distinct(1)) for e in (0.0, 1.0)]
    [632, 334]
    """

    exponent: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        number("exponent", self.exponent, minimum=0, maximum=10)

    def _chances(self) -> NDArray[np.float64]:
        weight = np.arange(1, self.working_set_pages + 1, dtype=np.float64) ** -self.exponent
        return np.asarray(weight / weight.sum(), dtype=np.float64)
