"""What does a balloon cost? A ballooned guest against one that was configured smaller (W02 fig. 2).

dbench with 40 clients ran in VMs of 128 to 256 MB, and in a VM of 256 MB that was ballooned down
to the same sizes. The balloon was slower by 1.4 to 4.5 %: the guest keeps the structures that it
made for 256 MB.

Here the same is run on a guest with a file server. The five configured sizes **calibrate** the
model (processor time and disk time of an operation, how fast popularity falls), and the largest
balloon calibrates the size of the structures; the three other balloons are predicted. They come
out too cheap: the drawing has 1.4 to 2.2 % for the small balloons, where structures alone explain
0.3 to 2 %. So there is a cost of ballooning that this model lacks. The drawing isn't monotone
either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.balloon import Balloon, BalloonSpec
from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.guest import Guest
from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.workloads import FileServer, Work
from virtlab.results import Result

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["FIGURE_2", "BalloonCost", "balloon_cost", "calibrate", "mb_per_s"]

FIGURE_2 = {
    "size_mb": (128, 160, 192, 224, 256),
    "configured_mb_s": (11.47, 13.70, 15.63, 17.04, 17.80),
    "ballooned_mb_s": (10.96, 13.46, 15.29, 16.80, np.nan),
}
"""W02 figure 2, dig.: MB/s of dbench."""

LARGEST_MB = 256
SERVER = FileServer(popularity_mib=50.0, files_mib=600.0)
_SETTLE_S, _MEASURE_S = 60, 120


def _settled(size_mib: float, balloon_mib: float, seed: int) -> tuple[Guest, Work]:
    """Return a guest whose page cache is as after a long time, and its server."""
    guest = Guest(GuestSpec(size_mib))
    balloon = Balloon(guest, BalloonSpec(most=1.0, inflate_mib_s=size_mib))
    balloon.goal = round(balloon_mib * PAGES_PER_MIB)
    work = Work(guest, SERVER, np.random.default_rng(seed))
    files = work.region.all()[: guest.spec.pages][::-1]  # the most popular are read last
    for start in range(0, files.size, 4096):
        guest.now += 1
        guest.touch(files[start : start + 4096])
    balloon.poll()
    for _ in range(_SETTLE_S):
        guest.now += 1
        work.second()
    return guest, work


def mb_per_s(size_mib: float, balloon_mib: float = 0.0, *, seed: int = 1) -> float:
    """Return the throughput of a file server in a guest.

    Parameters
    ----------
    size_mib
        Memory configured, MiB.
    balloon_mib
        What a balloon takes of it, MiB.
    seed
        Of all chance.

    Returns
    -------
    float
        MiB of file pages a second.

    Examples
    --------
    >>> mb_per_s(128) < mb_per_s(256)
    True
    """
    guest, work = _settled(size_mib, balloon_mib, seed)
    done = 0
    for _ in range(_MEASURE_S):
        guest.now += 1
        done += work.second()
    return done / PAGES_PER_MIB / _MEASURE_S


def calibrate(seed: int = 1) -> tuple[float, float]:
    """Fit processor and disk time of an operation to the five configured points.

    Parameters
    ----------
    seed
        Of all chance.

    Returns
    -------
    tuple of float
        Seconds of processor time for an operation, and of waiting for a page from disk: what
        `CPU_S` and `DISK_S` in `virtlab.memory.guest.costs` are rounded from.

    Examples
    --------
    >>> cpu_s, disk_s = calibrate()
    >>> 2e-4 < cpu_s < 2.2e-4, 7e-4 < disk_s < 8e-4
    (True, True)
    """
    published = np.array(FIGURE_2["configured_mb_s"])
    misses = np.array([_miss_ratio(size, seed) for size in FIGURE_2["size_mb"]])
    terms = np.stack([np.ones(misses.size), misses], axis=1)
    # least squares of the relative error of the throughput 1 / (cpu + disk * misses)
    found, *_ = np.linalg.lstsq(terms * published[:, None], np.ones(misses.size), rcond=None)
    return float(found[0]) / PAGES_PER_MIB, float(found[1]) / PAGES_PER_MIB


def _miss_ratio(size_mib: float, seed: int) -> float:
    """Return which part of the operations waits for the disk."""
    guest, work = _settled(size_mib, 0.0, seed)
    before, done = guest.counters.file_reads, 0
    for _ in range(_MEASURE_S):
        guest.now += 1
        done += work.second()
    return (guest.counters.file_reads - before) / done


@dataclass(frozen=True, eq=False)
class BalloonCost(Result):
    """Published and our throughput, configured and ballooned.

    Attributes
    ----------
    size_mb
        Memory left to the guest.
    configured_mb_s, ballooned_mb_s
        Ours.
    """

    size_mb: Floats
    configured_mb_s: Floats
    ballooned_mb_s: Floats

    @property
    def overhead_percent(self) -> Floats:
        """How much slower the ballooned guest is than one configured so, percent."""
        lost: Floats = 100 * (1 - self.ballooned_mb_s / self.configured_mb_s)
        return lost

    @property
    def published_percent(self) -> Floats:
        """The same of the published numbers."""
        ballooned = np.array(FIGURE_2["ballooned_mb_s"])
        lost: Floats = 100 * (1 - ballooned / np.array(FIGURE_2["configured_mb_s"]))
        return lost

    def to_frame(self) -> pd.DataFrame:
        """Return one row a size; the last has no balloon."""
        import pandas as pd

        ours = {
            "size_mb": self.size_mb,
            "configured_mb_s": self.configured_mb_s,
            "ballooned_mb_s": self.ballooned_mb_s,
            "overhead_percent": self.overhead_percent,
        }
        theirs = {
            "published_configured_mb_s": FIGURE_2["configured_mb_s"],
            "published_ballooned_mb_s": FIGURE_2["ballooned_mb_s"],
            "published_overhead_percent": self.published_percent,
        }
        return pd.DataFrame({**ours, **theirs})

    def summary(self) -> dict[str, float | int | str]:
        """Return the overheads, and how far the calibrated points are off."""
        theirs = np.array(FIGURE_2["configured_mb_s"])
        off = 100 * np.abs(self.configured_mb_s / theirs - 1)
        return {
            "largest_overhead_percent": float(np.nanmax(self.overhead_percent)),
            "smallest_overhead_percent": float(np.nanmin(self.overhead_percent)),
            "published_largest_percent": float(np.nanmax(self.published_percent)),
            "published_smallest_percent": float(np.nanmin(self.published_percent)),
            "largest_error_configured_percent": float(off.max()),
        }

    def explain(self) -> str:
        """Say what the balloon costs, and where the model is wrong."""
        told = self.summary()
        return (
            f"A balloon of 128 MB costs {told['largest_overhead_percent']:.1f} % of throughput, "
            f"one of 32 MB {told['smallest_overhead_percent']:.1f} %; published are "
            f"{told['published_largest_percent']:.1f} % and "
            f"{told['published_smallest_percent']:.1f} %. Structures for 256 MB explain the "
            "large balloon, and not all of the small ones."
        )


def balloon_cost(seeds: int = 2) -> BalloonCost:
    """Run figure 2: each size configured, and ballooned down from 256 MB.

    Parameters
    ----------
    seeds
        How many runs each point is the mean of.

    Returns
    -------
    BalloonCost
        Published and ours.

    Examples
    --------
    >>> found = balloon_cost(seeds=1)
    >>> bool(np.nanargmax(found.overhead_percent) == 0)  # the largest balloon costs most
    True
    """
    sizes = np.array(FIGURE_2["size_mb"], np.float64)

    def mean(size: float, balloon: float) -> float:
        return float(np.mean([mb_per_s(size, balloon, seed=1 + i) for i in range(seeds)]))

    configured = np.array([mean(size, 0) for size in sizes])
    ballooned = np.array([mean(LARGEST_MB, LARGEST_MB - size) for size in sizes[:-1]])
    return BalloonCost(sizes, configured, np.append(ballooned, np.nan))
