"""What a virtual processor has to do: bursts of work, and when each begins (S21).

A workload says, burst after burst, when it wants a processor again and for how long. The scheduler
calls `burst` when the last one is done, so a workload that thinks between bursts (a person, a
disk) waits longer when it is served late, and one that follows a trace does not.

    Compute      always has work
    OnOff        so much work, so long a pause, in turn
    Interactive  short bursts, then a person thinks; both exponential
    Bursty       like it, but a few bursts are very long (Pareto, index 1.5)
    Trace        percent of a processor, interval after interval, as a monitor writes it

Work is counted in seconds of a whole physical processor. To write one's own, subclass `Workload`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.validate import InvalidInputError, number, vector

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["Bursty", "Compute", "Interactive", "OnOff", "Trace", "Workload"]

_FOREVER_S = 1e9


def _above_zero(field: str, value: object) -> None:
    if number(field, value, minimum=0) == 0:
        raise InvalidInputError(field, value, "a number > 0")


class Workload(ABC):
    """A stream of bursts.

    Examples
    --------
    A virtual processor that works 3 ms, and then waits for a disk for 5 ms:

    >>> class Disk(Workload):
    ...     def burst(self, count, now_s, rng):
    ...         return now_s + 0.005, 0.003
    >>> Disk().burst(0, 1.0, None)
    (1.005, 0.003)
    """

    @abstractmethod
    def burst(self, count: int, now_s: float, rng: Generator) -> tuple[float, float]:
        """Return the next burst.

        Parameters
        ----------
        count
            Bursts done before.
        now_s
            The time, when the last one is done.
        rng
            Where chance comes from.

        Returns
        -------
        tuple of float
            When it begins (at once if that is past) and its work, in seconds; 0 for none.
        """


@dataclass(frozen=True)
class Compute(Workload):
    """Always has work.

    Examples
    --------
    >>> Compute().burst(0, 2.0, None)
    (2.0, 1000000000.0)
    """

    def burst(self, count: int, now_s: float, rng: Generator) -> tuple[float, float]:
        """Return a burst that never ends."""
        del count, rng
        return now_s, _FOREVER_S


@dataclass(frozen=True)
class OnOff(Workload):
    """Works, then pauses.

    Attributes
    ----------
    on_s, off_s
        Work of a burst, and the pause after it, seconds.

    Examples
    --------
    >>> OnOff(on_s=2, off_s=3).burst(1, 2.0, None)
    (5.0, 2)
    """

    on_s: float = 1.0
    off_s: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        _above_zero("on_s", self.on_s)
        number("off_s", self.off_s, minimum=0)

    def burst(self, count: int, now_s: float, rng: Generator) -> tuple[float, float]:
        """Return the first burst at once, each later one after a pause."""
        del rng
        return now_s + (self.off_s if count else 0.0), self.on_s


@dataclass(frozen=True)
class Interactive(Workload):
    """Thinks, then wants a short burst.

    Attributes
    ----------
    work_ms, think_ms
        Means of two exponential distributions, milliseconds.

    Examples
    --------
    >>> import numpy as np
    >>> begin, work = Interactive(5, 100).burst(0, 0.0, np.random.default_rng(1))
    >>> round(begin, 4), round(work, 4)
    (0.1073, 0.0015)
    """

    work_ms: float = 5.0
    think_ms: float = 100.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        _above_zero("work_ms", self.work_ms)
        number("think_ms", self.think_ms, minimum=0)

    def burst(self, count: int, now_s: float, rng: Generator) -> tuple[float, float]:
        """Return a burst after a thought."""
        del count
        think_s = rng.exponential(self.think_ms) / 1000
        return now_s + think_s, rng.exponential(self.work_ms) / 1000


@dataclass(frozen=True)
class Bursty(Workload):
    """Like `Interactive`, but work is Pareto with index 1.5: a few bursts are very long.

    Attributes
    ----------
    work_ms, think_ms
        Means, milliseconds.

    Examples
    --------
    >>> import numpy as np
    >>> begin, work = Bursty(30, 100).burst(0, 0.0, np.random.default_rng(1))
    >>> begin > 0, work >= 0.010  # the least is a third of the mean
    (True, True)
    """

    work_ms: float = 30.0
    think_ms: float = 100.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        _above_zero("work_ms", self.work_ms)
        number("think_ms", self.think_ms, minimum=0)

    def burst(self, count: int, now_s: float, rng: Generator) -> tuple[float, float]:
        """Return a burst after a thought."""
        del count
        think_s = rng.exponential(self.think_ms) / 1000
        return now_s + think_s, self.work_ms / 3 * (1 + rng.pareto(1.5)) / 1000


@dataclass(frozen=True)
class Trace(Workload):
    """Follows a record of use, over and over; what is not done in time waits, and is done later.

    Attributes
    ----------
    percent
        Of one processor, one number an interval.
    step_s
        Length of an interval, seconds.

    Examples
    --------
    >>> Trace((50, 0, 20), step_s=2).burst(2, 3.0, None)
    (4, 0.4)
    """

    percent: tuple[float, ...]
    step_s: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if vector("percent", self.percent, minimum=0).size == 0:
            raise InvalidInputError("percent", self.percent, "one number or more")
        _above_zero("step_s", self.step_s)

    def burst(self, count: int, now_s: float, rng: Generator) -> tuple[float, float]:
        """Return the work of the next interval, at its start."""
        del now_s, rng
        part = self.percent[count % len(self.percent)] / 100
        return count * self.step_s, part * self.step_s
