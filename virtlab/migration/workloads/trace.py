"""Pages that real programs wrote, replayed.

Eleven programs ran for a minute while the kernel noted, for each tenth of a second, which pages
they wrote (`data/README.md`). A replay spreads the pages of a tick over it, in an order of chance
that stays the same. A page that a tick names was written at least once in it; the replay writes it
once in each tick, so a page that is sent in the middle of a tick may look cleaner than it was.
After the last tick the first comes again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from virtlab import datasets
from virtlab.migration.workloads.base import distinct_sorted
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.migration.workloads.base import Pages

__all__ = ["TRACES", "Trace"]

TRACES = (
    "redis_idle",
    "redis_get",
    "redis_set",
    "sqlite_insert",
    "sqlite_update",
    "json_churn",
    "pandas_groupby",
    "node_churn",
    "java_churn",
    "gpp",
    "stream",
)


@dataclass(frozen=True, eq=False)
class Trace:
    """A replay; make one with `Trace.named`, or from bitmaps of your own with `Trace.of`.

    Attributes
    ----------
    order
        Page numbers in the order in which they are written.
    offsets
        Where each tick starts in it, and where the last ends; shape (ticks + 1,).
    ends_s
        When each tick starts, and when the last ends, s; shape (ticks + 1,).
    pages
        How many pages.
    curve_s, curve_pages
        Distinct pages in an interval, on average, measured: lengths (s), pages.
    first_page
        Where the pages lie in the machine's memory.
    start_s
        When the migration starts, in the trace's time, s.

    Examples
    --------
    >>> redis = Trace.named("redis_set")
    >>> redis.pages, round(redis.seconds), round(redis.rate_pages_s)
    (10679, 60, 10598)
    >>> redis.writes(0, 0.1, np.random.default_rng()).size
    7098
    """

    order: NDArray[np.int32]
    offsets: NDArray[np.int64]
    ends_s: NDArray[np.float64]
    pages: int
    curve_s: NDArray[np.float64] = field(repr=False)
    curve_pages: NDArray[np.float64] = field(repr=False)
    first_page: int = 0
    start_s: float = 0.0

    def __post_init__(self) -> None:
        """Check what a caller may set."""
        integer("first_page", self.first_page, minimum=0)
        number("start_s", self.start_s, minimum=0)

    @classmethod
    def named(cls, name: str, *, first_page: int = 0, start_s: float = 0.0) -> Trace:
        """Return the replay of one of the measured programs.

        Parameters
        ----------
        name
            One of `TRACES`.
        first_page
            Where its pages lie in the machine's memory.
        start_s
            Where to start in the trace, s.

        Returns
        -------
        Trace
            The replay; its curve is the measured one.
        """
        one_of("name", name, TRACES)
        order, offsets, ends, pages = _packed(name)
        curves = datasets.wws_curves()
        mine = curves[curves["workload"] == name]
        lengths, mean = (mine[c].to_numpy(dtype=float) for c in ("measured_s", "distinct_mean"))
        return cls(order, offsets, ends, pages, lengths, mean, first_page, start_s)

    @classmethod
    def of(cls, written: NDArray[np.bool_], tick_s: float = 0.1, *, seed: int = 0) -> Trace:
        """Return the replay of bitmaps of your own.

        Parameters
        ----------
        written
            Shape (ticks, pages): whether a page was written in a tick.
        tick_s
            Length of a tick, s.
        seed
            For the order of the pages inside a tick.

        Returns
        -------
        Trace
            The replay; its curve is counted here.

        Raises
        ------
        InvalidInputError
            If there is no tick or no page.
        """
        if written.ndim != 2 or 0 in written.shape:
            raise InvalidInputError("written", written.shape, "a table of ticks by pages")
        if number("tick_s", tick_s, minimum=0) == 0:
            raise InvalidInputError("tick_s", tick_s, "a number > 0")
        order, offsets = _in_order(written, seed)
        ends = np.asarray(np.arange(len(written) + 1) * tick_s, dtype=np.float64)
        lengths = [n for n in (1, 2, 3, 5, 10, 20, 30, 50, 100) if n <= len(written)]
        mean = [_mean_distinct(written, n) for n in lengths]
        counts = (np.array(lengths) * tick_s, np.array(mean))
        return cls(order, offsets, ends, written.shape[1], *counts)

    @property
    def seconds(self) -> float:
        """How long the trace is, s."""
        return float(self.ends_s[-1])

    @property
    def rate_pages_s(self) -> float:
        """Distinct pages in a second."""
        return self.distinct(1.0)

    def _position(self, time_s: float) -> int:
        """Return how many writes come before a moment, over all repetitions."""
        times, rest = divmod(time_s + self.start_s, self.seconds)
        rest += 1e-9
        tick = min(int(np.searchsorted(self.ends_s, rest, side="right")) - 1, len(self.ends_s) - 2)
        start, end = self.ends_s[tick], self.ends_s[tick + 1]
        size = self.offsets[tick + 1] - self.offsets[tick]
        inside = int((rest - start) / (end - start) * size)
        return int(times) * self.order.size + int(self.offsets[tick]) + inside

    def touches(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages in order."""
        del rng
        first, last = self._position(start_s), self._position(end_s)
        whole, first = divmod(first, max(self.order.size, 1))
        last -= whole * self.order.size
        if last <= self.order.size:
            return self.first_page + self.order[first:last].astype(np.int64)
        numbers = np.arange(first, min(last, first + self.order.size)) % self.order.size
        return self.first_page + self.order[numbers].astype(np.int64)

    def writes(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages written, sorted, each once."""
        return distinct_sorted(self.touches(start_s, end_s, rng))

    def distinct(self, seconds: float) -> float:
        """Return how many distinct pages are written, on average, read off the measured curve.

        Below the first length it is proportional to time; above the last, the last slope goes on.
        """
        if seconds <= self.curve_s[0]:
            return float(self.curve_pages[0] * seconds / self.curve_s[0])
        x, y = np.log(self.curve_s), np.log(np.maximum(self.curve_pages, 1e-9))
        if seconds <= self.curve_s[-1]:
            return float(np.exp(np.interp(np.log(seconds), x, y)))
        slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
        return min(float(self.pages), float(np.exp(y[-1] + slope * (np.log(seconds) - x[-1]))))


def _in_order(written: NDArray[np.bool_], seed: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the pages of all ticks, each tick's in an order of chance, and where ticks start."""
    rng = np.random.default_rng(seed)
    ticks = [rng.permutation(np.flatnonzero(tick)).astype(np.int32) for tick in written]
    offsets = np.concatenate([[0], np.cumsum([tick.size for tick in ticks])])
    return np.concatenate(ticks), offsets


def _mean_distinct(written: NDArray[np.bool_], ticks: int) -> float:
    """Return how many pages so many ticks in a row name, on average over whole windows."""
    count = len(written) // ticks
    windows = written[: count * ticks].reshape(count, ticks, -1)
    return float(windows.any(axis=1).sum(axis=1).mean())


@cache
def _packed(
    name: str,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64], int]:
    """Unpack a measured trace once."""
    written, ends = datasets.dirty_trace(name)
    order, offsets = _in_order(written, seed=0)
    return order, offsets, ends, written.shape[1]
