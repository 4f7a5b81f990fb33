"""A workload measured in a real program: the pages that it wrote, second by second.

The course ships a minute of writes of five programs (`virtlab.datasets.touched_seconds`): a
key-value store, a database, three that compute. Its seconds come in random order, as often as
needed, and several copies make a larger program. With all pages in memory it keeps the pace that
was measured; where pages are missing it falls behind.

What it leaves out: reads, which were not measured, so the working set is larger in truth; and the
order of the seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from virtlab.datasets import touched_seconds
from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.workloads import Workload
from virtlab.validate import integer

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from virtlab.memory.guest.guest import Guest
    from virtlab.memory.guest.objects import Region

    Indices = NDArray[np.int32]

__all__ = ["Trace"]


@cache
def _writes(program: str) -> tuple[Indices, Indices]:
    """Return the pages written in the whole minute, in order, and where each second ends."""
    seconds = touched_seconds(program)
    pages = np.nonzero(seconds)[1].astype(np.int32)
    return pages, np.cumsum(seconds.sum(axis=1)).astype(np.int32)


@dataclass(frozen=True)
class Trace(Workload):
    """A measured program.

    Attributes
    ----------
    program
        One that `virtlab.datasets.touched_seconds` knows.
    copies
        How many of it run.

    Examples
    --------
    >>> trace = Trace("redis_set", copies=2)
    >>> round(trace.mib, 1), round(trace.per_s)
    (83.4, 21172)
    """

    program: str
    copies: int = 1

    def __post_init__(self) -> None:
        """Check the name and the number."""
        touched_seconds(self.program)
        integer("copies", self.copies, minimum=1)

    @property
    def mib(self) -> float:
        """Memory that it ever writes, MiB."""
        pages: int = touched_seconds(self.program).shape[1]
        return self.copies * pages / PAGES_PER_MIB

    @property
    def per_s(self) -> float:
        """Pages that it writes in a second, on average."""
        written = int(_writes(self.program)[0].size)
        return self.copies * written / 60

    @property
    def cpu_s(self) -> float:
        """Processor time of a write, so that the measured pace fills its time."""
        return 1 / self.per_s

    def open(self, guest: Guest) -> Region:
        """Ask for the memory."""
        return guest.anonymous(self.mib)

    def next(self, count: int, region: Region, rng: Generator) -> tuple[Indices, Indices]:
        """Write the pages that the program wrote, from a second of the minute drawn at random."""
        pages, ends = _writes(self.program)
        each = count // self.copies
        size = region.pages // self.copies
        written = [np.empty(0, np.int32)]
        for copy in range(self.copies):
            start = int(ends[rng.integers(ends.size)])
            which = np.arange(start, start + each) % pages.size
            written.append(region.start + copy * size + pages[which])
        return np.empty(0, np.int32), np.concatenate(written).astype(np.int32)
