"""How much of its memory does a VM use? The host asks by sample, and the guest needs no driver.

The host can't see what a guest's pages are for, but it can make a page fault. Each **period** of 30
seconds of the VM's time it picks n = 100 pages at random and invalidates them. The first touch of
one faults, is counted, and the page is as fast as before. With t touched at the period's end,
f = t / n is the part of the memory in use (**active**, アクティブ). The cost is at most n faults a
period, whatever the VM's size. The error is that of drawing lots:

    standard error of f = sqrt(f * (1 - f) / n),    at f = 0.1: 3 points of percent, at 0.5: 5.

Over the periods three averages run: a **slow** one, a **fast** one, and a fast one that includes
the period still running. Each moves towards the newest count by its gain,

    average += gain * (t / n - average).

The estimate is the largest of the three. So memory follows a rise quickly, for a VM that starts to
work needs it at once, and a fall slowly: a pause doesn't cost a VM its memory. The gains are not
published. Ours are 1/2 and 1/8 (`FAST_GAIN`, `SLOW_GAIN`).

Use it tick by tick: ask the guest whether the pages in `sampled` were touched, and tell it `see`.

What it leaves out: pages are drawn with replacement, so that one may count twice (of a million
pages, once in 200 periods). Until the first period is over nothing is known: the estimate is
`initial`, by default that all is in use, which takes nothing from a VM that boots.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 5.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FAST_GAIN", "SLOW_GAIN", "Sampler", "SamplerSettings", "standard_error"]

FAST_GAIN = 0.5  # ours: half of a step is followed in one period
SLOW_GAIN = 0.125  # ours: half of a step is followed in five


def standard_error(fraction: float, samples: int = 100) -> float:
    """Return the standard error of one period's count, as a part of the memory.

    Parameters
    ----------
    fraction
        What is truly in use, from 0 to 1.
    samples
        How many pages are drawn.

    Returns
    -------
    float
        sqrt(f * (1 - f) / n).

    Raises
    ------
    InvalidInputError
        If a number is out of range.

    Examples
    --------
    >>> standard_error(0.5), round(standard_error(0.1), 9)
    (0.05, 0.03)
    """
    fraction = number("fraction", fraction, minimum=0, maximum=1)
    return math.sqrt(fraction * (1 - fraction) / integer("samples", samples, minimum=1))


@dataclass(frozen=True)
class SamplerSettings:
    """How a host samples.

    Attributes
    ----------
    samples
        Pages drawn a period.
    period_s
        Length of a period in seconds of the VM's time.
    slow_gain, fast_gain
        How far each average moves towards the newest count, above 0 and up to 1. Ours.
    initial
        The estimate until the first period is over, from 0 to 1.

    Examples
    --------
    >>> SamplerSettings().samples
    100
    >>> SamplerSettings(fast_gain=0)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: fast_gain = 0: must be a number from 1e-06 to 1
    """

    samples: int = 100
    period_s: float = 30.0
    slow_gain: float = SLOW_GAIN
    fast_gain: float = FAST_GAIN
    initial: float = 1.0

    def __post_init__(self) -> None:
        """Check all."""
        integer("samples", self.samples, minimum=1)
        if number("period_s", self.period_s, minimum=0) == 0:
            raise InvalidInputError("period_s", self.period_s, "above 0")
        number("slow_gain", self.slow_gain, minimum=1e-6, maximum=1)
        number("fast_gain", self.fast_gain, minimum=1e-6, maximum=1)
        number("initial", self.initial, minimum=0, maximum=1)


class Sampler:
    """Estimates which part of a VM's memory is in use.

    Parameters
    ----------
    pages
        How many pages the VM has; samples are drawn from all of them.
    rng
        Where the samples are drawn from.
    settings
        How it samples; the published settings if not given.

    Attributes
    ----------
    sampled
        Which pages it watches in this period: `settings.samples` page numbers.
    slow, fast, running
        The three averages; `running` includes the period that still runs.
    periods
        How many periods are over.

    Examples
    --------
    A guest of 1000 pages that touches its first 300 every second, for two minutes:

    >>> touched = np.arange(1000) < 300
    >>> sampler = Sampler(1000, np.random.default_rng(7))
    >>> for second in range(120):
    ...     _ = sampler.see(touched[sampler.sampled])
    >>> sampler.periods, round(sampler.estimate, 2)
    (4, 0.3)

    A guest that stores when it last touched each page needs no bitmap; and when all that is known
    is the part in use, `see_fraction` draws the rest:

    >>> last_touch, now = np.zeros(1000), 120
    >>> sampler.see(last_touch[sampler.sampled] == now) == sampler.see_fraction(0.0)
    True
    """

    def __init__(self, pages: int, rng: Generator, settings: SamplerSettings | None = None) -> None:
        self.pages = integer("pages", pages, minimum=1)
        self.settings = settings or SamplerSettings()
        self.slow = self.fast = self.running = self.settings.initial
        self.periods = 0
        self._rng = rng
        self._elapsed_s = 0.0
        self._begin()

    def _begin(self) -> None:
        """Draw and invalidate pages for a period."""
        count = self.settings.samples
        self.sampled: NDArray[np.int64] = self._rng.integers(0, self.pages, count)
        self._touched = np.zeros(count, dtype=bool)
        self._chance: NDArray[np.float64] | None = None

    @property
    def counted(self) -> int:
        """How many samples were touched so far in this period."""
        return int(np.count_nonzero(self._touched))

    @property
    def estimate(self) -> float:
        """The part of the memory that is taken to be in use: the largest of the averages."""
        return max(self.slow, self.fast, self.running)

    def see(self, touched: ArrayLike, seconds: float = 1.0) -> float:
        """Count which samples were touched during a tick; close the period when it is over.

        Parameters
        ----------
        touched
            For each page of `sampled`, whether it was touched since the last call.
        seconds
            How long the VM ran since the last call: waiting doesn't count.

        Returns
        -------
        float
            The estimate, from 0 to 1.

        Raises
        ------
        InvalidInputError
            If there is not one answer a sample, or the time is negative.

        Examples
        --------
        >>> sampler = Sampler(10, np.random.default_rng(1), SamplerSettings(initial=0.0))
        >>> sampler.see(np.ones(100, dtype=bool))  # all in use: the fast average is on its way
        0.5
        """
        hits = np.asarray(touched, dtype=bool)
        if hits.shape != self.sampled.shape:
            wanted = f"one answer for each of {self.sampled.size} samples"
            raise InvalidInputError("touched", f"an array of shape {hits.shape}", wanted)
        self._touched |= hits
        self._elapsed_s += number("seconds", seconds, minimum=0)
        part = self.counted / hits.size
        self.running = self.fast + self.settings.fast_gain * (part - self.fast)
        if self._elapsed_s >= self.settings.period_s * (1 - 1e-9):
            self._close(part)
        return self.estimate

    def _close(self, part: float) -> None:
        """Let the averages take the period's count, and begin the next period."""
        gains = self.settings
        if self.periods == 0:
            self.slow = self.fast = part
        else:
            self.slow += gains.slow_gain * (part - self.slow)
            self.fast += gains.fast_gain * (part - self.fast)
        self.running = self.fast
        self.periods += 1
        self._elapsed_s = max(self._elapsed_s - gains.period_s, 0.0) % gains.period_s
        self._begin()

    def see_fraction(self, fraction: float, seconds: float = 1.0) -> float:
        """See a tick of a VM of which only the part in use is known.

        Each sample falls among the pages in use with that chance, once a period.

        Parameters
        ----------
        fraction
            The part of the memory that is touched, from 0 to 1.
        seconds
            How long the VM ran since the last call.

        Returns
        -------
        float
            The estimate, from 0 to 1.

        Raises
        ------
        InvalidInputError
            If a number is out of range.

        Examples
        --------
        >>> sampler = Sampler(10**6, np.random.default_rng(1))
        >>> for second in range(600):
        ...     _ = sampler.see_fraction(0.4)
        >>> round(sampler.fast, 2)
        0.43
        """
        fraction = number("fraction", fraction, minimum=0, maximum=1)
        if self._chance is None:  # where each sample lies: the first part is in use
            self._chance = self._rng.random(self.sampled.size)
        return self.see(self._chance < fraction, seconds)
