r"""How much slower is a guest, the more memory is taken from it? Balloon, host swap, both (S28).

A simulation answers for one amount in seconds; a curve needs forty, and a slider a tenth of a
second. So here is the same guest in closed form. Its program touches page *i* with probability
:math:`p_i`, whatever it touched before. Then a memory that keeps some of the pages can be described
by one number.

- The **guest** evicts what was not used for longest (LRU). A page stays if it is used again within
  a time *T*, the same for all: hit with :math:`1 - e^{-p_i T}`, and *T* is such that as many pages
  stay as there are frames. This is Che's approximation.
- The **host** evicts at random. A page with a frame loses it at a rate :math:`\mu`, the same for
  all: it has one when it is used again with :math:`p_i / (p_i + \mu)`, and :math:`\mu` is such that
  as many have one as there are frames. A balloon takes from the guest's frames, a swap from the
  host's.
- With **both**, a page leaves the guest after *T*, if it is not used, and loses its frame at rate
  :math:`\mu` before; it has its frame still with :math:`e^{-\mu T}`, else it is fetched to be
  written, or only to be overwritten.

The program does :math:`1 / (c + d f)` operations a second, with processor time *c*, disk time *d*
and *f* faults an operation: `virtlab.memory.guest.costs`.

Sources: H. Che, Y. Tung, Z. Wang, "Hierarchical Web Caching Systems", IEEE JSAC 20 (2002), for LRU;
E. Gelenbe, "A Unified Approach to the Evaluation of a Class of Replacement Algorithms", IEEE Trans.
Computers C-22 (1973), for random eviction. Both levels together are ours, and held against
`virtlab.memory.experiments.contest`.

Left out: change over time, and what the guest is ready to lose at no price: free pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.ballooning import MEANS
from virtlab.memory.guest.costs import CPU_S, DISK_S, PAGES_PER_MIB, WRITE_S
from virtlab.memory.guest.spec import GuestSpec
from virtlab.results import Result
from virtlab.validate import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["HALVES", "Program", "Rates", "UnderPressure", "faults", "under_pressure"]

HALVES: dict[str, tuple[float, float]] = dict(
    zip(MEANS, ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)), strict=True)
)
"""By means: which part the balloon takes, and which the host's swap."""

_HOT_KERNEL = 0.25  # the part of the kernel that is always in use, as in `Guest.breathe`
_LEAST_MIB = 8.0  # are left to a program
_STEPS = 60  # halvings of an interval: exact to the last bit that matters


@dataclass(frozen=True)
class Program:
    """A guest and its program.

    Attributes
    ----------
    size_mib
        Memory of the guest.
    hot_mib, cold_mib
        Memory of the program.
    hot
        Part of the touches that go to the hot part; the others go anywhere.
    writes
        Part of the touches that write.

    Examples
    --------
    >>> Program(hot_mib=90, cold_mib=180).usable_mib
    236.48
    """

    size_mib: float = 256.0
    hot_mib: float = 90.0
    cold_mib: float = 180.0
    hot: float = 0.93
    writes: float = 0.3

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("size_mib", self.size_mib, minimum=16)
        number("hot_mib", self.hot_mib, minimum=1)
        number("cold_mib", self.cold_mib, minimum=1)
        number("hot", self.hot, minimum=0, maximum=0.999)
        number("writes", self.writes, minimum=0, maximum=1)

    @property
    def kernel_mib(self) -> float:
        """What the guest's kernel takes."""
        return GuestSpec(self.size_mib).kernel_pages / PAGES_PER_MIB

    @property
    def usable_mib(self) -> float:
        """What is left for the program."""
        return round(self.size_mib - self.kernel_mib, 2)

    @property
    def most_mib(self) -> float:
        """What can be taken from it."""
        return self.usable_mib - _LEAST_MIB

    @property
    def pages(self) -> Floats:
        """Pages of the hot and of the cold part."""
        pages: Floats = np.array([self.hot_mib, self.cold_mib]) * PAGES_PER_MIB
        return pages

    @property
    def rates(self) -> Floats:
        """How likely an operation is to touch one page of each part."""
        hot, total = self.pages[0], self.pages.sum()
        rates: Floats = np.array([self.hot / hot, 0.0]) + (1 - self.hot) / total
        return rates


@dataclass(frozen=True, eq=False)
class Rates:
    """What happens in an operation, on average; an entry for each amount taken.

    Attributes
    ----------
    guest_faults
        Pages read by the guest.
    host_faults
        Pages fetched by the host.
    double_paging
        Those of them that the guest wanted in order to write them out.
    written
        Pages that the guest writes to its swap.
    """

    guest_faults: Floats
    host_faults: Floats
    double_paging: Floats
    written: Floats

    @property
    def per_s(self) -> Floats:
        """Operations a second."""
        waits = self.guest_faults + self.host_faults
        speed: Floats = 1 / (CPU_S + DISK_S * waits + WRITE_S * self.written)
        return speed


def _balance(excess: Callable[[Floats], Floats], low: float, high: float, size: int) -> Floats:
    """Return where growing functions are 0, by halving an interval in its logarithm."""
    lows, highs = np.full(size, np.log(low)), np.full(size, np.log(high))
    for _ in range(_STEPS):
        middle = (lows + highs) / 2
        below = excess(np.exp(middle)) < 0
        lows, highs = np.where(below, middle, lows), np.where(below, highs, middle)
    found: Floats = np.exp(highs)
    return found


def faults(program: Program, ballooned_mib: ArrayLike = 0.0, swapped_mib: ArrayLike = 0.0) -> Rates:
    """Return what a program meets in a guest from which memory was taken.

    Parameters
    ----------
    program
        The guest and its program.
    ballooned_mib
        What a balloon takes of the guest's memory; one or several amounts.
    swapped_mib
        What the host swaps out of the rest; as many.

    Returns
    -------
    Rates
        Faults and writes of an operation.

    Raises
    ------
    InvalidInputError
        If less is left than a program needs.

    Examples
    --------
    >>> enough = faults(Program())
    >>> for taken in ({"ballooned_mib": 104}, {"swapped_mib": 104}):
    ...     print((100 * faults(Program(), **taken).per_s / enough.per_s).round(1))
    [91.4]
    [79.5]
    """
    balloon, swap = np.broadcast_arrays(*map(np.atleast_1d, (ballooned_mib, swapped_mib)))
    for taken in (*balloon, *swap, *(balloon + swap)):
        number("taken_mib", float(taken), minimum=0, maximum=program.most_mib)
    n, p = program.pages[:, None], program.rates[:, None]
    frames = (program.usable_mib - balloon) * PAGES_PER_MIB
    stay = _stay(n, p, frames)
    kernel = program.kernel_mib * PAGES_PER_MIB
    idle, busy = (1 - _HOT_KERNEL) * kernel, _HOT_KERNEL * kernel
    lose = _lose(n, p, stay, frames + idle - swap * PAGES_PER_MIB)

    leaves = np.exp(-p * stay)  # an operation misses a page that has left
    backed = p / (p + lose) * -np.expm1(-(p + lose) * stay)  # or finds it, with its frame
    in_time = np.zeros_like(stay)
    gone = -np.expm1(-np.multiply(lose, stay, out=in_time, where=lose > 0))
    missed = n * p * leaves
    w = program.writes  # a page leaves unchanged if no touch since it came was a write
    changed = w / np.maximum(w + leaves - w * leaves, np.finfo(float).tiny)
    written, left = (missed * changed).sum(0), missed.sum(0)
    fetched = (n * p * (1 - leaves - backed)).sum(0) + left * gone + busy * lose
    return Rates(left, np.maximum(fetched, 0), written * gone, written)


def _stay(n: Floats, p: Floats, frames: Floats) -> Floats:
    """Return how many operations a page stays in the guest that is not used."""
    found = _balance(lambda t: (n * -np.expm1(-p * t)).sum(0) - frames, 1.0, 1e15, frames.size)
    return np.where(n.sum() <= frames, np.inf, found)


def _lose(n: Floats, p: Floats, stay: Floats, backed: Floats) -> Floats:
    """Return at which rate the host takes frames; 0 where it need not."""

    def have(rate: Floats | float) -> Floats:
        had: Floats = (n * p / (p + rate) * -np.expm1(-(p + rate) * stay)).sum(0)
        return had

    found = _balance(lambda rate: backed - have(rate), 1e-15, 1e3, backed.size)
    return np.where(have(0.0) <= backed, 0.0, found)


@dataclass(frozen=True, eq=False)
class UnderPressure(Result):
    """Throughput over what is taken, by each means.

    Attributes
    ----------
    program
        The guest and its program.
    taken_mib
        What is taken.
    rates
        By means: what happens in an operation, for each of `taken_mib`.
    chosen_mib
        Where rows and sentences look; one of `taken_mib`.
    """

    program: Program
    taken_mib: Floats
    rates: Mapping[str, Rates]
    chosen_mib: float

    def percent(self, means: str) -> Floats:
        """Return the throughput, of that with all memory, percent.

        Parameters
        ----------
        means
            One of `MEANS`.

        Returns
        -------
        ndarray
            For each of `taken_mib`.
        """
        speed = self.rates[means].per_s
        percent: Floats = 100 * speed / speed[0]
        return percent

    @property
    def at(self) -> int:
        """Index of what is chosen."""
        return int(np.argmin(np.abs(self.taken_mib - self.chosen_mib)))

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each means, at what is chosen; faults in 1,000 operations."""
        import pandas as pd

        rows = []
        for means, one in self.rates.items():
            rows.append(
                {
                    "means": means,
                    "left_percent": self.percent(means)[self.at],
                    "guest_faults": 1000 * one.guest_faults[self.at],
                    "host_faults": 1000 * one.host_faults[self.at],
                    "double_paging": 1000 * one.double_paging[self.at],
                }
            )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return throughputs at what is chosen, and how often the balloon's loss swapping loses."""
        speed = {means: float(self.percent(means)[self.at]) for means in self.rates}
        lost = {means: 100 - value for means, value in speed.items()}
        return {
            "taken_mib": float(self.taken_mib[self.at]),
            **{f"{means}_percent": value for means, value in speed.items()},
            "swap_loses_times": lost["host swap"] / lost["balloon"] if lost["balloon"] > 0 else 0.0,
        }

    def explain(self) -> str:
        """Say what is left of the throughput."""
        told = self.summary()
        parts = ", ".join(f"{told[f'{means}_percent']:.0f} % by {means}" for means in self.rates)
        times = float(told["swap_loses_times"])
        more = (
            f" Swapping loses {times:.1f} times as much as the balloon."
            if times and float(told["host swap_percent"]) < 99.5
            else ""
        )
        return (
            f"The host takes {told['taken_mib']:.0f} of {self.program.size_mib:.0f} MiB. "
            f"Of the throughput are left: {parts}.{more} Faults are those of 1,000 operations."
        )


def under_pressure(
    program: Program | None = None, chosen_mib: float = 104.0, step_mib: float = 8.0
) -> UnderPressure:
    """Work out how throughput falls as the host takes more, by each means.

    Parameters
    ----------
    program
        The guest and its program; the one of the contest if None.
    chosen_mib
        What is looked at in particular.
    step_mib
        Distance of two points of the curves.

    Returns
    -------
    UnderPressure
        Three curves.

    Examples
    --------
    >>> print(under_pressure().explain())
    The host takes 104 of 256 MiB. Of the throughput are left: 91 % by balloon, 80 % by host swap...
    """
    program = program or Program()
    number("chosen_mib", chosen_mib, minimum=0, maximum=program.most_mib)
    taken = np.arange(0, program.most_mib, number("step_mib", step_mib, minimum=1))
    rates = {
        means: faults(program, by_balloon * taken, by_swap * taken)
        for means, (by_balloon, by_swap) in HALVES.items()
    }
    return UnderPressure(program, taken, rates, chosen_mib)
