"""The kernel as the judge: does KSM share as many pages as equality of contents predicts? (S27).

Linux shares equal pages too, where a program asks for it (`madvise(MADV_MERGEABLE)`, as QEMU does
for the memory of a VM). A check fills private memory of its own with pages whose contents are
known, lets KSM scan it (`virtlab.memory.ksm.asking`), and reads how many of its pages were merged.
What is predicted:

- pages of zeros, if `use_zero_pages` is set, all become the kernel's one zero page;
- of m > 1 equal pages all m are merged, up to `max_page_sharing` of them onto one frame; one page
  that this limit leaves over stays alone.

At `pages_to_scan` pages a round and `sleep_millisecs` between rounds, KSM visits at most
pages_to_scan / sleep pages a second: 5,000 with the defaults. It holds a page against others only
when its checksum has not changed since the visit before, so sharing begins with the second scan.

Source: the Linux kernel's documentation, `Documentation/admin-guide/mm/ksm.rst`, and its counters
`/proc/PID/ksm_merging_pages` and `/proc/PID/ksm_stat`.

Left out: pages that change while they are scanned.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.memory.pages import ZERO
from virtlab.results import Result
from virtlab.validate import integer, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["KsmCheck", "KsmCount", "predict", "scan_rate"]


@dataclass(frozen=True)
class KsmCount:
    """Predicted and kernel's counts for the pages of one program.

    Attributes
    ----------
    name
        What the pages are of.
    pages
        How many pages KSM was given.
    merged, kernel_merged
        Pages that share a frame with another, but for zeros: predicted, and as the kernel counts.
    zero, kernel_zero
        Pages of zeros that became the kernel's zero page.
    frames, kernel_frames
        Frames that the merged pages take; the kernel's is -1 where other programs use KSM too, as
        it counts these for the whole system only.
    scans
        Whole scans that KSM made.
    seconds
        How long that took.
    """

    name: str
    pages: int
    merged: int
    kernel_merged: int
    zero: int
    kernel_zero: int
    frames: int
    kernel_frames: int
    scans: int
    seconds: float

    @property
    def difference(self) -> int:
        """Pages by which the kernel's count differs, over all kinds."""
        frames = 0 if self.kernel_frames < 0 else abs(self.kernel_frames - self.frames)
        return abs(self.kernel_merged - self.merged) + abs(self.kernel_zero - self.zero) + frames


@dataclass(frozen=True)
class KsmCheck(Result):
    """Counts of one or more programs beside the kernel's.

    Attributes
    ----------
    counts
        One a program.
    """

    counts: Sequence[KsmCount]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each program, with the difference in pages."""
        return pd.DataFrame([asdict(one) | {"difference": one.difference} for one in self.counts])

    def summary(self) -> dict[str, float | int | str]:
        """Return totals."""
        return {
            "pages": sum(one.pages for one in self.counts),
            "merged": sum(one.merged for one in self.counts),
            "kernel_merged": sum(one.kernel_merged for one in self.counts),
            "zero": sum(one.zero for one in self.counts),
            "kernel_zero": sum(one.kernel_zero for one in self.counts),
            "difference": sum(one.difference for one in self.counts),
        }

    def explain(self) -> str:
        """Say whether the kernel agrees."""
        total = self.summary()
        counted = (
            f"Of {total['pages']:,} pages, equality of contents predicts that {total['merged']:,} "
            f"share a frame and {total['zero']:,} are zeros; the kernel's KSM merged "
            f"{total['kernel_merged']:,} and {total['kernel_zero']:,}"
        )
        if total["difference"] == 0:
            return f"{counted}: exactly as many."
        return f"{counted}: a difference of {total['difference']:,} pages."


def predict(contents: ArrayLike, limit: int, *, zero_apart: bool = True) -> tuple[int, int, int]:
    """Predict what KSM counts when it has found all equal pages.

    Parameters
    ----------
    contents
        Number of each page's content; 0 is zeros.
    limit
        `max_page_sharing`: most pages on one frame.
    zero_apart
        Whether pages of zeros go to the kernel's zero page (`use_zero_pages`).

    Returns
    -------
    merged, zero, frames : int
        Pages that share a frame, pages of zeros, frames that the merged pages take.

    Raises
    ------
    InvalidInputError
        If the limit is below 2, the kernel's own least.

    Examples
    --------
    Five pages of content 7 with at most two on a frame: two pairs, and one stays alone.

    >>> predict([7, 7, 7, 7, 7, 8, 0], limit=2)
    (4, 1, 2)
    """
    limit = integer("limit", limit, minimum=2)
    content = np.asarray(contents)
    zeros = int((content == ZERO).sum()) if zero_apart else 0
    if zero_apart:
        content = content[content != ZERO]
    count = np.unique(content, return_counts=True)[1]
    alone = count % limit == 1
    return int((count - alone).sum()), zeros, int((count // limit + (count % limit > 1)).sum())


def scan_rate(pages_to_scan: int = 100, sleep_ms: float = 20) -> float:
    """Return how many pages a second KSM visits at most.

    Parameters
    ----------
    pages_to_scan
        Pages a round.
    sleep_ms
        Rest between two rounds, ms.

    Returns
    -------
    float
        Pages/s, if visiting took no time.

    Examples
    --------
    The defaults; 512 MB take 26 s:

    >>> scan_rate()
    5000.0
    >>> round(512 * 2**20 / 4096 / scan_rate(), 1)
    26.2
    """
    pages_to_scan = integer("pages_to_scan", pages_to_scan, minimum=1)
    return pages_to_scan / (number("sleep_ms", sleep_ms, minimum=0.001) / 1000)
