"""Which pages does a real kernel give up? Our guest against Linux, on the same accesses (S28).

A balloon is clever because it leaves the choice to the guest. Is that true of a real guest? Here a
process works on 64 MiB inside a real Linux, and the room for its pages is lowered step by step
while the same operations go to our guest. The limit of the process's **control group** calls upon
the same reclaim as a balloon in that Linux would. Beside it stands what a host does that pages out
pages at random: the same kernel, the same disk, but random pages of the process are paged out by
hand (`madvise`). Both are measured by `tools/measure_reclaim.py` and stored in
`data/reclaim_steps.csv` and `data/reclaim_pages.csv`.

What is compared is the miss ratio, at the number of pages that were really in memory: measured,
our guest's, and those of exact LRU, of random choice and of the best there can be
(`virtlab.memory.victims`). The operations a second depend on the disk of the day.

What the machine allowed: Linux 6.18 in a virtual machine, root, the memory controller of cgroup v1
and a swap file; so anonymous pages can be reclaimed, which without swap they can't. No cgroup v2
memory controller, so no pressure figures of the group by itself; and no multi-generational LRU in
that kernel: it is the classic one, with active and inactive lists. Readahead from swap was off, as
our guest has none. At 30 % of room the kernel ended the process for lack of memory on 'hot and
cold' rather than give up pages that were all in use, so the steps end at 40 %.

What was found. On private memory the kernel misses as often as exact LRU and our guest, to a tenth
of a point, and random choice 1.4 to 2.2 times as often. On a mapped file it is better than chance
by little, and at one step worse; our guest is too clever there, by up to 5 points. The kernel sees
one bit a page ('used since I looked'), and for a mapped file one look is often all a page gets.
Programs that read files by calls tell it more; that was not measured.

What it leaves out: other kernels, other accesses, and that two readings of one step differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from virtlab.datasets import reclaim_pages, reclaim_steps
from virtlab.memory.victims import CHOOSERS, CHUNK, LOADS, PAGES, misses
from virtlab.results import Result
from virtlab.validate import one_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["BINS", "CHOSEN_BY", "CHUNKS", "ROOMS", "Reclaim", "reclaim"]

ROOMS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""Room for pages at each step, a part of 64 MiB."""

CHUNKS = 200
"""Chunks of operations of each step; the second half is counted."""

BINS = 32
"""Equal parts of the pages, the most used first, whose presence is stored."""

CHOSEN_BY = ("kernel", "random")
"""Who chose the pages that went, in the measurement."""

_SOME = 0.001  # below it a miss ratio is that of a few strays


@dataclass(frozen=True, eq=False)
class Reclaim(Result):
    """Miss ratios at each step: measured, and of the model.

    Attributes
    ----------
    load
        The accesses.
    pages
        Pages in memory at each step, in the kernel's run.
    kernel, at_random
        Measured: part of the operations that had to wait for the disk. 'at_random' is taken at
        the same step, with a few pages more in memory.
    ours
        For each of `virtlab.memory.victims.CHOOSERS` the miss ratio at those pages.
    kernel_s, at_random_s
        Measured operations a second.
    by_rank
        Part of the pages that were in memory at the last step, for each of BINS equal parts of
        the pages, the most used first: a row for each of CHOSEN_BY.
    """

    load: str
    pages: NDArray[np.int64]
    kernel: Floats
    at_random: Floats
    ours: dict[str, Floats]
    kernel_s: Floats
    at_random_s: Floats
    by_rank: Floats

    @property
    def factor(self) -> Floats:
        """How many times as many misses the random choice has, where the kernel has any."""
        some = self.kernel > _SOME
        found: Floats = self.at_random[some] / self.kernel[some]
        return found

    @property
    def off(self) -> float:
        """Largest error of our guest's miss ratio, in points of percent."""
        return float(100 * np.abs(self.ours["guest"] - self.kernel).max())

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step, miss ratios in percent."""
        import pandas as pd

        ratios = {"kernel": self.kernel, "random (measured)": self.at_random, **self.ours}
        percent = {f"{name}_percent": 100 * value for name, value in ratios.items()}
        speed = {"kernel_operations_s": self.kernel_s, "random_operations_s": self.at_random_s}
        return pd.DataFrame({"pages": self.pages, **percent, **speed})

    def summary(self) -> dict[str, float | int | str]:
        """Return the factor, and how far our guest is from the kernel."""
        return {
            "load": self.load,
            "random_misses_times_least": float(self.factor.min()),
            "random_misses_times_most": float(self.factor.max()),
            "kernel_at_last_percent": float(100 * self.kernel[-1]),
            "guest_at_last_percent": float(100 * self.ours["guest"][-1]),
            "random_at_last_percent": float(100 * self.at_random[-1]),
            "guest_off_points": self.off,
            "kernel_hottest_quarter_percent": float(100 * self.by_rank[0, : BINS // 4].mean()),
            "random_hottest_quarter_percent": float(100 * self.by_rank[1, : BINS // 4].mean()),
        }

    def explain(self) -> str:
        """Say who keeps what, by which factor, and how far the model is off."""
        told = self.summary()
        left = 100 * self.pages[-1] / PAGES
        return (
            f"With {left:.0f} % of the pages in memory, the kernel still has "
            f"{told['kernel_hottest_quarter_percent']:.0f} % of the quarter that is used most, and "
            f"{told['kernel_at_last_percent']:.1f} % of the operations wait for the disk. Random "
            f"pages: {told['random_hottest_quarter_percent']:.0f} % and "
            f"{told['random_at_last_percent']:.1f} %, "
            f"{told['random_misses_times_least']:.1f} to {told['random_misses_times_most']:.1f} "
            f"times as many over the steps. Our guest is off by at most {self.off:.1f} points."
        )


def reclaim(load: str = "hot and cold") -> Reclaim:
    """Hold our guest, and three other choosers, against the measured kernel.

    Parameters
    ----------
    load
        One of `virtlab.memory.victims.LOADS`.

    Returns
    -------
    Reclaim
        Measured and ours.

    Raises
    ------
    InvalidInputError
        If there is no such load.

    Examples
    --------
    >>> found = reclaim("hot and cold")
    >>> bool((found.at_random[1:] > found.kernel[1:]).all()), found.off < 1
    (True, True)
    """
    return _reclaim(one_of("load", load, tuple(LOADS)))


@cache
def _reclaim(load: str) -> Reclaim:
    steps = reclaim_steps()
    steps = steps[steps["load"] == load]
    kernel, other = (steps[steps["chooser"] == name] for name in CHOSEN_BY)
    there = kernel["resident_pages"].to_numpy(np.int64)
    sizes = np.minimum(there, PAGES).tolist()
    counted = CHUNKS // 2 * CHUNK
    ours = {name: np.array(misses(name, load, sizes, CHUNKS)) / counted for name in CHOOSERS}
    last = reclaim_pages()
    last = last[(last["load"] == load) & (last["room_pages"] == round(ROOMS[-1] * PAGES))]
    rows = [last.loc[last["chooser"] == name, "resident"].to_numpy() for name in CHOSEN_BY]
    return Reclaim(
        load,
        there,
        _missed(kernel),
        _missed(other),
        ours,
        _per_s(kernel),
        _per_s(other),
        np.stack(rows),
    )


def _missed(steps: pd.DataFrame) -> Floats:
    """Return the miss ratio of each step: all faults were on pages that had gone."""
    faults = steps["major_faults"] + steps["minor_faults"]
    ratio: Floats = (faults / steps["operations"]).to_numpy(np.float64)
    return ratio


def _per_s(steps: pd.DataFrame) -> Floats:
    done: Floats = (steps["operations"] / steps["seconds"]).to_numpy(np.float64)
    return done
