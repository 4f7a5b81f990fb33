"""One workload after the other: idle, a query, idle.

`Work` opens each part by itself and asks `at` which one a second belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.memory.guest.workloads import Workload
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from virtlab.memory.guest.guest import Guest
    from virtlab.memory.guest.objects import Region

    Indices = NDArray[np.int32]

__all__ = ["Phases"]


@dataclass(frozen=True)
class Phases(Workload):
    """One workload after the other, and from the first again.

    Attributes
    ----------
    phases
        Seconds and workload of each.

    Examples
    --------
    >>> from virtlab.memory.guest.workloads import Idle, WorkingSet
    >>> query = Phases(((60, Idle()), (30, WorkingSet(100))))
    >>> query.at(10), query.at(70).mib, query.at(90)
    (Idle(mib=4.0, every_s=15.0), 100, Idle(mib=4.0, every_s=15.0))
    """

    phases: tuple[tuple[int, Workload], ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        """Check that time passes."""
        if not self.phases or min(seconds for seconds, _ in self.phases) < 1:
            raise InvalidInputError("phases", self.phases, "pairs of seconds (>= 1) and workload")

    @property
    def per_s(self) -> float:
        """What the first phase wants."""
        return self.phases[0][1].per_s

    @property
    def parts(self) -> tuple[Workload, ...]:
        """The workloads of all phases."""
        return tuple(dict.fromkeys(part for _, load in self.phases for part in load.parts))

    def at(self, second: int) -> Workload:
        """Return the workload of the phase that a second is in."""
        second %= sum(seconds for seconds, _ in self.phases)
        for seconds, load in self.phases:
            if second < seconds:
                return load.at(second)
            second -= seconds
        raise AssertionError("a second lies in a phase")

    def open(self, guest: Guest) -> Region:
        """Open the first phase; `Work` opens each part by itself."""
        return self.phases[0][1].open(guest)

    def next(self, count: int, region: Region, rng: Generator) -> tuple[Indices, Indices]:
        """Do as the first phase does."""
        return self.phases[0][1].next(count, region, rng)
