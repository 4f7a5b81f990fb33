"""Two on one core: how fast each of them is (S22).

A hyperthreaded core shows two **logical CPUs** (論理CPU) and has one set of everything that works.
Alone, a program has it all and runs at speed 1. Beside another each is slower, and by how much is
for both programs to say:

    compute         uses little that two cannot share: each runs at 0.62, 1.24 together
    cache           needs the cache, of which there is one: two of them do less than one alone
    self-modifying  writes its own code, and the trace cache is emptied for both: the other one
                    may lose 90 %

`Contention` is a table of speeds, a row who runs and a column what is beside it. `PUBLISHED` is
what others say of it: 0.62 lies in the range that VMware gives, and 0.10 is the worst that it has
seen on a Pentium 4. All other speeds are chosen: cache suffers more than compute does, and two of
that kind do less than one, for vSphere's guide says that there are such programs, and not by how
much. Put in your own where you have measured them; `tools/measure_siblings.py` measures.

What is left out: a program is of one kind, from beginning to end; two cores of one chip do not
slow each other down; a waiting loop is as costly as work.

Sources: VMware knowledge base 326271 (10-30 % more together, 55-65 % each; a wholly idle core is
preferred); vSphere Resource Management 5.0, "Quarantining" (up to 90 %); the same, 8.0,
"Hyperthreading".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GRAIN", "KINDS", "PUBLISHED", "Contention", "Cores"]

KINDS = ("compute", "cache", "self-modifying")
GRAIN = 1000  # speeds are whole thousandths, so that work is counted in whole numbers

PUBLISHED: dict[str, tuple[float, float]] = {
    "each of two, VMware KB 326271": (0.55, 0.65),
    "two together, VMware KB 326271": (1.10, 1.30),
    "beside self-modifying code, vSphere 5.0": (0.10, 1.00),
}
"""From and to, parts of what one has alone."""

_SPEEDS = ((0.62, 0.58, 0.10), (0.52, 0.45, 0.10), (0.60, 0.55, 0.10))


@dataclass(frozen=True)
class Contention:
    """How fast one runs beside another, in parts of its speed alone.

    Attributes
    ----------
    speeds
        A row for each kind that runs, a column for each kind beside it: compute, cache,
        self-modifying. Each > 0 and at most 1, kept in thousandths.

    Examples
    --------
    >>> table = Contention()
    >>> table.speed("compute", "compute"), table.speed("compute", "self-modifying")
    (0.62, 0.1)
    >>> table.speed("cache")  # alone
    1.0
    """

    speeds: tuple[tuple[float, ...], ...] = _SPEEDS

    def __post_init__(self) -> None:
        """Check the numbers."""
        rows = [tuple(row) for row in self.speeds]
        if [len(row) for row in rows] != [len(KINDS)] * len(KINDS):
            raise InvalidInputError("speeds", self.speeds, "three rows of three numbers")
        for kind, row in zip(KINDS, rows, strict=True):
            for beside, speed in zip(KINDS, row, strict=True):
                number(f"speeds[{kind}][{beside}]", speed, minimum=1 / GRAIN, maximum=1)
        object.__setattr__(self, "speeds", tuple(rows))

    def speed(self, kind: str, beside: str | None = None) -> float:
        """Return a speed.

        Parameters
        ----------
        kind
            Of who runs.
        beside
            Of who runs on the same core; None for nobody.

        Returns
        -------
        float
            1 is what it has alone.
        """
        return self.grains(kind, beside) / GRAIN

    def grains(self, kind: str, beside: str | None = None) -> int:
        """Return a speed in whole thousandths.

        Parameters
        ----------
        kind, beside
            As in `speed`.

        Returns
        -------
        int
            1 to 1000.
        """
        row = self.speeds[KINDS.index(one_of("kind", kind, KINDS))]
        if beside is None:
            return GRAIN
        return round(GRAIN * row[KINDS.index(one_of("beside", beside, KINDS))])

    @property
    def matrix(self) -> NDArray[np.int64]:
        """All speeds in thousandths: a row a kind, a column a kind beside it, the last alone."""
        beside = (*KINDS, None)
        return np.array([[self.grains(kind, other) for other in beside] for kind in KINDS])


@dataclass(frozen=True)
class Cores:
    """A machine whose processors may be hyperthreaded.

    Attributes
    ----------
    cpus
        Physical processors: cores.
    threads
        Logical CPUs of a core, 1 or 2; 2k and 2k + 1 are on one core.
    contention
        How fast one runs beside another.
    quarantine
        Whether a VM that slows others down too much is moved out of their way.

    Examples
    --------
    >>> Cores(2).logical
    4
    >>> Cores(2, threads=4)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: threads = 4: must be a whole number from 1 to 2
    """

    cpus: int = 1
    threads: int = 2
    contention: Contention = field(default_factory=Contention)
    quarantine: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        integer("cpus", self.cpus, minimum=1)
        integer("threads", self.threads, minimum=1, maximum=2)

    @property
    def logical(self) -> int:
        """How many logical CPUs there are."""
        return self.cpus * self.threads
