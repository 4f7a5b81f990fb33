"""What the paper on ESX Server measured of page sharing, and the same from our model (S27).

Figure 4 of the paper runs n = 1 to 10 identical Linux VMs of 40 MB and counts the memory that is
shared and that is reclaimed. To run the same on the model, a VM is made up of five kinds of pages:

- zero pages, Z;
- repeated ones: W pages of G contents, the same in each VM;
- common ones, C: once in each VM;
- drawn ones: each VM draws D pages from a pool of D / q that all draw from;
- its own: the rest.

Expected, in megabytes, for n VMs:

    zero(n)      = n Z
    shared(n)    = n Z + n W + [n > 1] n C + n D (1 - (1 - q)^(n-1))
    reclaimed(n) = n Z + (n W - G) + (n - 1) C + (n q - 1 + (1 - q)^n) D / q

For a given q this is linear in Z, W, G, C, D. `calibrate` takes them by least squares from the
first few n, and q from the best of a grid; every other n is predicted, by running the scanner over
VMs made up so, not by the formula.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, figures 4
and 5. Figure 4 was digitized from the paper's drawing (about 1 %), figure 5 is its table. The
composition is ours, and that equal pages sit in these kinds is an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from virtlab.memory.hashing import PAGE_BYTES
from virtlab.memory.scan.content_memory import ContentMemory
from virtlab.memory.scan.orders import RandomOrder
from virtlab.memory.scan.scanning import scan
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = [
    "FIGURE_4",
    "FIGURE_5",
    "TALK_PERCENT",
    "Composition",
    "IdenticalVms",
    "Production",
    "calibrate",
    "identical_vms",
    "production",
]

_PAGES_PER_MIB = 2**20 // PAGE_BYTES
TALK_PERCENT = (10.0, 20.0)  # what slide S27 says is typically saved

FIGURE_4 = pd.DataFrame(
    {
        "vms": range(1, 11),
        "memory_mb": [38.8, 78.1, 117.2, 156.5, 195.6, 234.5, 273.4, 312.6, 351.8, 390.8],
        "shared_mb": [6.6, 47.7, 76.0, 103.3, 130.2, 156.7, 181.7, 210.6, 235.6, 262.0],
        "reclaimed_mb": [4.9, 28.4, 53.8, 79.9, 106.2, 130.9, 155.6, 183.2, 208.0, 234.1],
        "zero_mb": [2.7, 5.3, 8.0, 10.3, 13.0, 15.6, 17.2, 19.9, 22.0, 24.4],
    }
)

FIGURE_5 = pd.DataFrame(
    {
        "host": ["A", "B", "C"],
        "guests": ["10 Windows NT", "9 Linux", "5 Linux"],
        "vms": [10, 9, 5],
        "memory_mb": [2048, 1846, 1658],
        "shared_mb": [880, 539, 165],
        "reclaimed_mb": [673, 345, 120],
        "zero_mb": [0, 70, 25],  # of host A not published; its zero pages are among the shared
        "shared_percent": [42.9, 29.2, 10.0],
        "reclaimed_percent": [32.9, 18.7, 7.2],
    }
)


@dataclass(frozen=True)
class Composition:
    """What one of several identical VMs is made up of, in megabytes.

    Attributes
    ----------
    memory_mb
        All of a VM.
    zero_mb, repeated_mb, common_mb, drawn_mb
        Z, W, C and D of the module's text.
    repeated_contents_mb
        G: one copy of each repeated content.
    overlap
        q: the chance that a page that one VM drew was drawn by a given other one as well.

    Examples
    --------
    >>> made = Composition(40, 2, 4, 14, 6, repeated_contents_mb=2, overlap=0.5)
    >>> made.vms(2, np.random.default_rng(1))[0].size / 256
    80.0
    """

    memory_mb: float
    zero_mb: float
    repeated_mb: float
    common_mb: float
    drawn_mb: float
    repeated_contents_mb: float
    overlap: float

    def vms(self, count: int, rng: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Make VMs of this composition.

        Parameters
        ----------
        count
            How many.
        rng
            Decides which pages are drawn.

        Returns
        -------
        contents, owners : ndarray
            Number of each page's content (0 for zeros), and its VM.

        Examples
        --------
        See the class.
        """
        total, zero, repeated, common, drawn, groups = (
            round(size * _PAGES_PER_MIB)
            for size in (
                self.memory_mb,
                self.zero_mb,
                self.repeated_mb,
                self.common_mb,
                self.drawn_mb,
                self.repeated_contents_mb,
            )
        )
        pool = round(drawn / self.overlap)
        own = total - zero - repeated - common - drawn
        same = np.concatenate(
            [
                np.zeros(zero, np.int64),
                1 + np.arange(repeated) % groups,
                1 + groups + np.arange(common),
            ]
        )
        first_drawn = 1 + groups + common
        contents = [
            part
            for vm in range(integer("count", count, minimum=1))
            for part in (
                same,
                first_drawn + rng.choice(pool, drawn, replace=False),
                first_drawn + pool + vm * own + np.arange(own),
            )
        ]
        return np.concatenate(contents), np.repeat(np.arange(count), total)


def _terms(vms: NDArray[np.float64], overlap: float) -> NDArray[np.float64]:
    """Return what Z, W, G, C and D add to shared(n), reclaimed(n) and zero(n), in this order."""
    none, rest = np.zeros_like(vms), 1 - overlap
    shared = [vms, vms, none, vms * (vms > 1), vms * (1 - rest ** (vms - 1))]
    reclaimed = [vms, vms, none - 1, vms - 1, (vms * overlap - 1 + rest**vms) / overlap]
    zero = [vms, none, none, none, none]
    return np.concatenate([np.stack(part, axis=1) for part in (shared, reclaimed, zero)])


def calibrate(figures: pd.DataFrame = FIGURE_4, up_to: int = 4) -> Composition:
    """Find the composition that explains the first few points of a figure like the paper's 4th.

    Parameters
    ----------
    figures
        Columns vms, memory_mb, shared_mb, reclaimed_mb, zero_mb.
    up_to
        Points with at most this many VMs are used, at least 4: with fewer, several
        compositions explain them equally well.

    Returns
    -------
    Composition
        The one with the least squared error.

    Examples
    --------
    >>> made = calibrate()
    >>> round(made.zero_mb, 1), round(made.common_mb, 1), round(made.overlap, 2)
    (2.6, 12.6, 0.67)
    """
    used = figures[figures["vms"] <= integer("up_to", up_to, minimum=4)]
    vms = used["vms"].to_numpy(dtype=np.float64)
    wanted = used[["shared_mb", "reclaimed_mb", "zero_mb"]].to_numpy().T.ravel()
    best_error, best = np.inf, (np.zeros(5), 0.5)
    for overlap in np.linspace(0.05, 0.95, 91):
        terms = _terms(vms, float(overlap))
        parts = np.linalg.lstsq(terms, wanted)[0]
        error = float(((terms @ parts - wanted) ** 2).sum())
        if (parts >= 0).all() and error < best_error:
            best_error, best = error, (parts, float(overlap))
    zero, repeated, groups, common, drawn = (float(part) for part in best[0])
    memory = float((used["memory_mb"] / used["vms"]).mean())
    return Composition(memory, zero, repeated, common, drawn, groups, best[1])


@dataclass(frozen=True)
class IdenticalVms(Result):
    """Figure 4: published and ours.

    Attributes
    ----------
    frame
        A row for each number of VMs: published and our megabytes and percent, and whether the
        point was used to calibrate.
    composition
        What a VM is made up of.
    """

    frame: pd.DataFrame
    composition: Composition

    def to_frame(self) -> pd.DataFrame:
        """Return published and our values, and the error in points of percent."""
        return self.frame

    @property
    def slope_mb(self) -> tuple[float, float]:
        """Megabytes reclaimed for each further VM, n >= 2: published, ours."""
        rest = self.frame[self.frame["vms"] >= 2]
        published, ours = (
            float(np.polyfit(rest["vms"], rest[f"{whose}reclaimed_mb"], 1)[0])
            for whose in ("", "our_")
        )
        return published, ours

    def summary(self) -> dict[str, float | int | str]:
        """Return what ten VMs share and reclaim, the slope, and the largest error predicted."""
        last = self.frame.iloc[-1]
        predicted = self.frame[~self.frame["calibrated"]]
        errors = predicted[["shared_error", "reclaimed_error"]].abs()
        return {
            "vms": int(last["vms"]),
            "shared_percent": float(last["our_shared_percent"]),
            "published_shared_percent": float(last["shared_percent"]),
            "reclaimed_percent": float(last["our_reclaimed_percent"]),
            "published_reclaimed_percent": float(last["reclaimed_percent"]),
            "slope_mb": self.slope_mb[1],
            "published_slope_mb": self.slope_mb[0],
            "largest_predicted_error_points": float(errors.to_numpy().max()),
        }

    def explain(self) -> str:
        """Say what ten VMs share, and how far the prediction is off."""
        told = self.summary()
        return (
            f"{told['vms']} identical VMs share {told['shared_percent']:.1f} % of their memory "
            f"(published {told['published_shared_percent']:.1f} %) and give back "
            f"{told['reclaimed_percent']:.1f} % ({told['published_reclaimed_percent']:.1f} %); "
            f"each further VM gives back {told['slope_mb']:.1f} MB "
            f"({told['published_slope_mb']:.1f} MB). "
            f"Of the points that were not used to calibrate, the worst is "
            f"{told['largest_predicted_error_points']:.1f} points of percent off."
        )


def identical_vms(up_to: int = 4, seed: int = 1) -> IdenticalVms:
    """Run figure 4 on the model: calibrate on a few VMs, predict the rest, scan each.

    Parameters
    ----------
    up_to
        Points with at most this many VMs calibrate the composition.
    seed
        Of the draws and of the scan order.

    Returns
    -------
    IdenticalVms
        Published and ours for 1 to 10 VMs.

    Examples
    --------
    >>> found = identical_vms()
    >>> abs(found.summary()["shared_percent"] - 67) < 2
    True
    """
    composition, rng = calibrate(up_to=up_to), np.random.default_rng(seed)
    frame = FIGURE_4.copy()
    ours = [_scanned(*composition.vms(vms, rng), rng) for vms in frame["vms"].tolist()]
    frame["our_shared_mb"], frame["our_reclaimed_mb"] = zip(*ours, strict=True)
    our_memory = frame["vms"] * composition.memory_mb
    for what in ("shared", "reclaimed"):
        frame[f"{what}_percent"] = 100 * frame[f"{what}_mb"] / frame["memory_mb"]
        frame[f"our_{what}_percent"] = 100 * frame[f"our_{what}_mb"] / our_memory
        frame[f"{what}_error"] = frame[f"our_{what}_percent"] - frame[f"{what}_percent"]
    frame["calibrated"] = frame["vms"] <= up_to
    return IdenticalVms(frame, composition)


def _scanned(
    contents: NDArray[np.int64], owners: NDArray[np.int64], rng: Generator
) -> tuple[float, float]:
    """Scan all pages once; return megabytes shared and reclaimed."""
    memory = ContentMemory(contents, owners)
    scan(memory, RandomOrder(rng), contents.size, seconds=1, steps=1, available=0)
    return memory.shared / _PAGES_PER_MIB, memory.reclaimed / _PAGES_PER_MIB


@dataclass(frozen=True)
class Production(Result):
    """Figure 5: three hosts in production, published and ours.

    Attributes
    ----------
    frame
        A row for each host.
    """

    frame: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return published and our values of each host."""
        return self.frame

    def summary(self) -> dict[str, float | int | str]:
        """Return what is reclaimed on each host, and the largest error."""
        reclaimed = {
            f"reclaimed_{row['host']}_percent": float(row["our_reclaimed_percent"])
            for _, row in self.frame.iterrows()
        }
        errors = [
            (self.frame[f"our_{what}_percent"] - self.frame[f"{what}_percent"]).abs().max()
            for what in ("shared", "reclaimed")
        ]
        return {**reclaimed, "largest_error_points": float(max(errors))}

    def explain(self) -> str:
        """Say what is computed, and from what."""
        told = self.summary()
        copies = " / ".join(f"{value:.1f}" for value in self.frame["pages_per_content"])
        return (
            f"The three hosts give back {told['reclaimed_A_percent']:.1f} %, "
            f"{told['reclaimed_B_percent']:.1f} % and {told['reclaimed_C_percent']:.1f} %, at most "
            f"{told['largest_error_points']:.2f} points from the published figures. A shared "
            f"content stands in {copies} pages on average: shared less reclaimed is one of each."
        )


def production(seed: int = 1) -> Production:
    """Run the three production hosts of figure 5 on the model.

    What goes in: the megabytes that the table gives. Shared less reclaimed is one copy of each
    shared content, so they fix how many contents there are and how often each occurs on average;
    pages are made up so and scanned. What comes out: shared and reclaimed percent, pages per
    content. That they agree says that the paper counts as content identity does, no more.

    Parameters
    ----------
    seed
        Of where the pages are, and of the scan order.

    Returns
    -------
    Production
        Published and ours.

    Examples
    --------
    >>> production().summary()["largest_error_points"] < 0.1
    True
    """
    rng, frame = np.random.default_rng(seed), FIGURE_5.copy()
    rows = [_scanned(*_host(row, rng), rng) for _, row in frame.iterrows()]
    shared, reclaimed = (np.array(column) for column in zip(*rows, strict=True))
    frame["our_shared_percent"] = 100 * shared / frame["memory_mb"]
    frame["our_reclaimed_percent"] = 100 * reclaimed / frame["memory_mb"]
    frame["contents_mb"] = shared - reclaimed
    frame["pages_per_content"] = shared / (shared - reclaimed)
    return Production(frame)


def _host(row: pd.Series[Any], rng: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Make up one host: zeros, shared contents of at least two pages each, the rest unique."""
    total, shared, reclaimed, zero = (
        int(row[f"{what}_mb"]) * _PAGES_PER_MIB
        for what in ("memory", "shared", "reclaimed", "zero")
    )
    groups = shared - reclaimed - (zero > 0)
    further = rng.integers(0, groups, shared - zero - 2 * groups)
    kinds = [np.zeros(zero, np.int64), 1 + np.repeat(np.arange(groups), 2), 1 + further]
    contents = np.concatenate([*kinds, 1 + groups + np.arange(total - shared)])
    return contents, rng.integers(0, int(row["vms"]), total)
