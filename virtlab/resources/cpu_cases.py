"""What busy processes were given on a real Linux: the cases of `tools/measure_cpu.py` (S21).

Linux knows two ways to say that one process matters more than another. A **control group** has a
weight, `cpu.shares`: groups that want one CPU get it in the ratio of their weights, and a quota
(`cpu.cfs_quota_us` in each period of 100 ms) is a maximum. A **nice level** says the same of one
process: each level is worth a factor of 1.25,

    weight = 1024 / 1.25 ** nice,

so five levels are a factor of three. Both are shares, and what they lead to is `allocate`'s split.
There is no minimum: what a VM's minimum promises, Linux does not.

A case is a row of phases, each of some seconds, in which each process has a weight or is stopped:
so shares change, and processes join, leave or block. One process takes naps: it sleeps 5 ms after
each 5 ms of CPU time. Alone it would use half of the CPU, but that is no maximum of 50 %: at a
rate r it is awake for 5/r ms, so it gets 5 ms of each 5/r + 5, which is 1 / (1/r + 1). Among three
with equal shares r is 1/3, and it gets a quarter, not a third. A nap saves nothing up.

Sources: Linux, Documentation/scheduler/sched-nice-design.rst (1.25 a level; the kernel's table of
weights, `sched_prio_to_weight`, has whole numbers, within 2 % of the formula) and sched-bwc.rst
(the quota).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.shares import allocate
from virtlab.validate import InvalidInputError, number, one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["BIN_S", "CASES", "Case", "Phase", "nice_weight"]

BIN_S = 0.5
"""How often CPU times were read, s."""

_LEVELS = (-20, 19)


def nice_weight(nice: float) -> float:
    """Return the weight of a process with this nice level.

    Parameters
    ----------
    nice
        From -20 (first) to 19 (last).

    Returns
    -------
    float
        Its shares; 1024 at level 0.

    Raises
    ------
    InvalidInputError
        If there is no such level.

    Examples
    --------
    >>> nice_weight(0), round(nice_weight(5)), round(nice_weight(19))
    (1024.0, 336, 15)
    """
    level = number("nice", nice, minimum=_LEVELS[0], maximum=_LEVELS[1])
    return float(1024 / 1.25**level)


@dataclass(frozen=True)
class Phase:
    """Some seconds in which nothing changes.

    Attributes
    ----------
    seconds
        How long, a multiple of BIN_S.
    given
        For each process its shares or its nice level; None where it is stopped.
    """

    seconds: float
    given: tuple[float | None, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        bins = number("seconds", self.seconds, minimum=BIN_S) / BIN_S
        if not bins.is_integer():
            raise InvalidInputError("seconds", self.seconds, f"a multiple of {BIN_S:g}")
        if not self.given:
            raise InvalidInputError("given", self.given, "one value or more")

    @property
    def bins(self) -> int:
        """How many readings it takes."""
        return round(self.seconds / BIN_S)


@dataclass(frozen=True)
class Case:
    """Busy processes on one CPU, and what they are given.

    Attributes
    ----------
    name
        What is tried.
    way
        'shares' (control groups) or 'nice' (nice levels).
    phases
        One after the other.
    maximum_percent
        Quota of each process, percent of the CPU; empty for none.
    naps
        Which process sleeps 5 ms after each 5 ms of CPU time, from 0; None for none.

    Examples
    --------
    >>> case = CASES["a share is changed"]
    >>> case.seconds, case.model()[[0, -1]].round(1).tolist()
    (10.0, [[33.3, 33.3, 33.3], [25.0, 50.0, 25.0]])
    """

    name: str
    way: str
    phases: tuple[Phase, ...]
    maximum_percent: tuple[float, ...] = ()
    naps: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        one_of("way", self.way, ("shares", "nice"))
        for phase in self.phases:
            if len(phase.given) != self.size:
                raise InvalidInputError("given", phase.given, f"{self.size} values")
        if self.maximum_percent and len(self.maximum_percent) != self.size:
            raise InvalidInputError("maximum_percent", self.maximum_percent, f"{self.size} values")

    @property
    def size(self) -> int:
        """How many processes there are."""
        return len(self.phases[0].given)

    @property
    def seconds(self) -> float:
        """How long it runs."""
        return float(sum(phase.seconds for phase in self.phases))

    @property
    def phase_of_bin(self) -> NDArray[np.int64]:
        """In which phase each reading is."""
        return np.repeat(np.arange(len(self.phases)), [phase.bins for phase in self.phases])

    def weights(self, phase: int) -> tuple[float, ...]:
        """Return the shares of each process in a phase; 0 where it is stopped.

        Parameters
        ----------
        phase
            Which, from 0.

        Returns
        -------
        tuple of float
            One a process.

        Examples
        --------
        >>> CASES["one joins"].weights(0)
        (1000.0, 1000.0, 0.0)
        """
        of = nice_weight if self.way == "nice" else float
        return tuple(0.0 if one is None else of(one) for one in self.phases[phase].given)

    def model(self) -> Floats:
        """Return what `allocate` says of each reading, percent of the CPU.

        Returns
        -------
        ndarray
            Shape (readings, processes).

        Examples
        --------
        >>> CASES["a maximum"].model()[0].tolist()
        [37.5, 25.0, 37.5]
        """
        highest = list(self.maximum_percent or (100.0,) * self.size)
        parts = []
        for phase in range(len(self.phases)):
            shares = self.weights(phase)
            if self.naps is not None:  # awake until it has its time, at the rate of its shares
                rate = shares[self.naps] / sum(shares)
                highest[self.naps] = 100 / (1 / rate + 1)
            parts.append(allocate(100, shares, maximum=highest).allocation)
        return np.stack(parts)[self.phase_of_bin]


def _one(*given: float | None) -> tuple[Phase, ...]:
    return (Phase(10, given),)


def _two(before: tuple[float | None, ...], after: tuple[float | None, ...]) -> tuple[Phase, ...]:
    return Phase(5, before), Phase(5, after)


_EQUAL = (1000.0, 1000.0, 1000.0)
_BLOCKS = (Phase(1, _EQUAL), Phase(1, (None, 1000.0, 1000.0)))

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("equal shares", "shares", _one(1000, 1000, 1000)),
        Case("twice the shares", "shares", _one(1000, 2000, 1000)),
        Case("3:2:1", "shares", _one(3000, 2000, 1000)),
        Case("100:1", "shares", _one(100_000, 1000)),
        Case("10 against ten", "shares", _one(10_000, *[1000] * 10)),
        Case("a share is changed", "shares", _two(_EQUAL, (1000, 2000, 1000))),
        Case("one joins", "shares", _two((1000, 1000, None), _EQUAL)),
        Case("one leaves", "shares", _two(_EQUAL, (1000, 1000, None))),
        Case("a maximum", "shares", _one(1000, 2000, 1000), (100.0, 25.0, 100.0)),
        Case("all at a maximum", "shares", _one(1000, 2000), (20.0, 50.0)),
        Case("one blocks half of the time", "shares", 5 * _BLOCKS),
        Case("one takes naps", "shares", _one(1000, 1000, 1000), naps=0),
        Case("nice 0, 0, 0", "nice", _one(0, 0, 0)),
        Case("nice 5, 0, 5", "nice", _one(5, 0, 5)),
        Case("nice 0, 5, 10", "nice", _one(0, 5, 10)),
        Case("nice 0, 19", "nice", _one(0, 19)),
    )
}
"""What was measured, by name."""
