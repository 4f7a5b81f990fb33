"""The kernel's KSM at work, and our model given the same pages and the same visits (S27).

KSM was given the 21,940 stored pages of two java processes and watched for 25 s at its default
rate (`virtlab.datasets.ksm_rate`). The model gets the same contents in the same order, and as many
visits as the kernel counted; what it shares after each tenth of a second stands beside the kernel's
count. Nothing is fitted.

Sources: `data/README.md` for the measurement; the Linux kernel's documentation of KSM for the rule
that a page is held against others only if it has not changed since the scan before.

Left out: the limit on pages of one frame; with these pages no content but zeros comes near it, and
zeros are the kernel's own zero page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.datasets import ksm_rate, process_pages
from virtlab.memory.frames import SHARED, ZEROS
from virtlab.memory.scan.content_memory import ContentMemory
from virtlab.memory.scan.orders import SequentialOrder
from virtlab.results import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KsmReplay", "replay_ksm"]

_WATCHED = "java"


@dataclass(frozen=True)
class KsmReplay(Result):
    """KSM's counts and ours, over time.

    Attributes
    ----------
    frame
        `time_s`, `scanned_pages`, and pages that share a frame, zeros with them: the kernel's
        `kernel_pages`, `our_pages`.
    pages
        How many pages there are.
    """

    frame: pd.DataFrame
    pages: int

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each tenth of a second."""
        return self.frame

    def summary(self) -> dict[str, float | int | str]:
        """Return the rate, the end, and when half of the pages were shared: kernel's and ours."""
        frame, last = self.frame, self.frame.iloc[-1]
        apart = (frame["our_pages"] - frame["kernel_pages"]).abs()
        return {
            "pages": self.pages,
            "pages_per_s": float(last["scanned_pages"] / last["time_s"]),
            "kernel_pages": int(last["kernel_pages"]),
            "our_pages": int(last["our_pages"]),
            "kernel_half_s": self._half("kernel_pages"),
            "our_half_s": self._half("our_pages"),
            "moments": len(frame),
            "equal_moments": int((apart == 0).sum()),
            "largest_difference_pages": int(apart.max()),
        }

    def _half(self, column: str) -> float:
        reached = self.frame[column] >= self.frame[column].iloc[-1] / 2
        return float(self.frame["time_s"][reached].iloc[0])

    def explain(self) -> str:
        """Say how near the model comes."""
        told = self.summary()
        return (
            f"In the end KSM shares {told['kernel_pages']:,} of {told['pages']:,} pages, the model "
            f"{told['our_pages']:,}. Half of them are shared after {told['kernel_half_s']:.1f} s "
            f"(model {told['our_half_s']:.1f} s). The two counts are equal at "
            f"{told['equal_moments']} of {told['moments']} moments, and at most "
            f"{told['largest_difference_pages']:,} pages apart. The kernel visits "
            f"{told['pages_per_s']:,.0f} pages a second: less than 100 in 20 ms, as a visit takes "
            "time too."
        )


def replay_ksm() -> KsmReplay:
    """Run the model on the pages and the visits of the measurement.

    Returns
    -------
    KsmReplay
        The kernel's counts and ours.

    Examples
    --------
    >>> told = replay_ksm().summary()
    >>> told["kernel_pages"] == told["our_pages"]
    True
    """
    frame = ksm_rate()
    pages = process_pages()
    memory = ContentMemory(pages.loc[pages["program"] == _WATCHED, "content"], patient=True)
    order, ours = SequentialOrder(), []
    for count in np.diff(frame["scanned_pages"], prepend=0).tolist():
        left = count
        while left > 0:
            visited = order.choose(memory.fresh, left)
            memory.visit(visited)
            left -= visited.size
        ours.append(int(np.isin(memory.states(), (SHARED, ZEROS)).sum()))
    kernel = frame["merged_pages"] + frame["zero_pages"]
    told = frame[["time_s", "scanned_pages"]].assign(kernel_pages=kernel, our_pages=ours)
    return KsmReplay(told, memory.contents.size)
