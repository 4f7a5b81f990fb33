"""Two scanners on the same memory: ESX Server 2 and KSM (S27).

Both find the same pages in the end; what differs is when. A pass takes pages / rate seconds, and
savings grow with the square of the part of a pass that is done (a pair is found when its second
page is visited), so half of the savings need more than half of a pass. KSM begins to share on its
second pass.

Sources: `virtlab.memory.scan.scanning`. Left out: writes, and the processor time of scanning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.memory.scan.content_memory import ContentMemory
from virtlab.memory.scan.orders import RandomOrder
from virtlab.memory.scan.scanning import ESX2, KSM, ScanHistory, ScanRate, scan
from virtlab.results import Result

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ScanRace", "scan_race"]


@dataclass(frozen=True)
class ScanRace(Result):
    """The history of each scanner on the same memory.

    Attributes
    ----------
    rates
        The scanners.
    histories
        What each did, over the passes that it needs.
    passes
        How many passes that is: KSM needs one more.
    """

    rates: tuple[ScanRate, ...]
    histories: tuple[ScanHistory, ...]
    passes: tuple[int, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each scanner: its rate, the time of a pass, and when it is done."""
        return pd.DataFrame(
            {
                "scanner": [rate.name for rate in self.rates],
                "pages_per_s": [history.pages_per_s for history in self.histories],
                "pass_s": [history.pages / history.pages_per_s for history in self.histories],
                "half_saved_s": [history.time_to(0.5) for history in self.histories],
                "all_saved_s": [history.time_to(1.0) for history in self.histories],
                "saved_percent": [float(h.saved_percent[-1]) for h in self.histories],
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how many times faster the last scanner is than the first."""
        frame = self.to_frame()
        first, last = frame.iloc[0], frame.iloc[-1]
        return {
            "pass_ratio": float(first["pass_s"] / last["pass_s"]),
            "all_saved_ratio": float(first["all_saved_s"] / last["all_saved_s"]),
            **{f"{row['scanner']}_pass_s": float(row["pass_s"]) for _, row in frame.iterrows()},
        }

    def explain(self) -> str:
        """Say how long each takes."""
        told, frame = self.summary(), self.to_frame()
        times = " and ".join(
            f"{row['scanner']} {_clock(row['pass_s'])}" for _, row in frame.iterrows()
        )
        return (
            f"A pass takes {times}: {told['pass_ratio']:.0f} times less. All that there is to "
            f"save is saved {told['all_saved_ratio']:.0f} times sooner."
        )


def _clock(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def scan_race(
    contents: ArrayLike,
    owners: ArrayLike,
    rates: tuple[ScanRate, ...] = (ESX2, KSM),
    seed: int = 1,
) -> ScanRace:
    """Let scanners of different rates find what there is to share in the same memory.

    Parameters
    ----------
    contents, owners
        Number of each page's content, and its VM.
    rates
        The scanners; KSM waits for a page to stay unchanged, any other does not.
    seed
        Of the scan order.

    Returns
    -------
    ScanRace
        A history for each.

    Examples
    --------
    >>> contents = np.arange(131_072) // 2  # 512 MB, each content twice
    >>> race = scan_race(contents, np.zeros(131_072, int))
    >>> round(race.summary()["pass_ratio"]), race.to_frame()["saved_percent"].tolist()
    (100, [50.0, 50.0])
    """
    histories, passes = [], []
    pages, vms = np.size(contents), np.unique(np.asarray(owners)).size
    for rate in rates:
        patient = rate == KSM
        needed = 2 if patient else 1
        memory = ContentMemory(contents, owners, patient=patient)
        order = RandomOrder(np.random.default_rng(seed))
        seconds = needed * rate.pass_s(pages, vms)
        histories.append(scan(memory, order, rate.pages_per_s(vms), seconds, steps=60 * needed))
        passes.append(needed)
    return ScanRace(tuple(rates), tuple(histories), tuple(passes))
