"""What every workload says: which pages a guest writes in a stretch of its own time.

Guest time stands still while the machine is paused and runs slower while it is throttled, so a
workload knows nothing of the migration. Pages that are only read are left out: they matter to
post-copy alone, where a page that is read must be there too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pages = NDArray[np.int64]

__all__ = ["Workload", "distinct_sorted"]


class Workload(Protocol):
    """How pages get dirty; write one of your own with these names.

    Attributes
    ----------
    rate_pages_s
        Page writes a second of guest time; of a curve or a trace, distinct pages in a second.
    pages
        Pages that it may write, its **working set**.
    first_page
        The first of them.
    """

    @property
    def rate_pages_s(self) -> float:
        """Page writes a second of guest time."""
        ...

    @property
    def pages(self) -> int:
        """Pages in the working set."""
        ...

    @property
    def first_page(self) -> int:
        """First page of the working set."""
        ...

    def writes(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages written in [start, end) of guest time: sorted, each once."""
        ...

    def touches(self, start_s: float, end_s: float, rng: np.random.Generator) -> Pages:
        """Return the pages in the order in which they are touched in [start, end)."""
        ...

    def distinct(self, seconds: float) -> float:
        """Return how many distinct pages are written in so long an interval, on average."""
        ...


def distinct_sorted(pages: Pages) -> Pages:
    """Return page numbers sorted, each once.

    Parameters
    ----------
    pages
        Page numbers in any order.

    Returns
    -------
    ndarray
        The distinct ones, sorted.

    Examples
    --------
    >>> distinct_sorted(np.array([7, 3, 7, 1])).tolist()
    [1, 3, 7]
    """
    if pages.size < 2:
        return pages
    ordered = np.sort(pages)
    first = np.empty(ordered.size, dtype=np.bool_)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]
