"""What sharing equal pages saves, counted (S27).

Once each page has the number of its content (`Contents`), sharing is counting. N pages of D
contents need D frames, and N - D are saved. Each saved page is of one of three kinds:

- zero: pages of zeros but one;
- within: further copies that one owner (a process, a VM) has of a content;
- across: further owners that have a content that an owner before them has.

Sources: the talk names code and zero pages; C. Waldspurger, "Memory resource management in VMware
ESX Server", OSDI 2002, section 4, counts shared and reclaimed pages. The split in three is ours.

Left out: time. `virtlab.memory.scan.scanning` says when a scanner has found them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.memory.hashing import (
    PAGE_BYTES,
    ZERO,
    Contents,
    as_pages,
    collision_chance,
    duplicated,
    hash_pages,
)
from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PAGE_BYTES",
    "ZERO",
    "Contents",
    "Savings",
    "as_pages",
    "collision_chance",
    "duplicated",
    "hash_pages",
    "savings",
]


@dataclass(frozen=True)
class Savings(Result):
    """What sharing equal pages saves, and of what kind.

    Attributes
    ----------
    pages
        All pages looked at.
    owners
        How many processes or VMs they belong to.
    distinct
        How many contents they have: the frames that are needed when all is shared.
    zero_pages
        Pages of zeros.
    shared_pages
        Pages whose content at least one other page has.
    zero, within, across
        Pages saved: of zeros, further copies within one owner, further owners of a content.
    """

    pages: int
    owners: int
    distinct: int
    zero_pages: int
    shared_pages: int
    zero: int
    within: int
    across: int

    @property
    def saved(self) -> int:
        """Pages saved: all pages less the distinct ones."""
        return self.zero + self.within + self.across

    def percent(self, pages: int) -> float:
        """Return a number of pages as percent of all.

        Parameters
        ----------
        pages
            Some of the pages.

        Returns
        -------
        float
            0 to 100; 0 of nothing.

        Examples
        --------
        >>> savings([1, 1, 2, 3], [0, 0, 0, 0]).percent(1)
        25.0
        """
        return 100 * pages / self.pages if self.pages else 0.0

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each kind of page: saved in three ways, and kept."""
        counts = {
            "saved: zero": self.zero,
            "saved: within one": self.within,
            "saved: across": self.across,
            "kept": self.distinct,
        }
        return pd.DataFrame(
            {
                "kind": list(counts),
                "pages": list(counts.values()),
                "mib": [count * PAGE_BYTES / 2**20 for count in counts.values()],
                "percent": [self.percent(count) for count in counts.values()],
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return pages, saved pages and their percent by kind."""
        return {
            "pages": self.pages,
            "owners": self.owners,
            "distinct_pages": self.distinct,
            "zero_pages": self.zero_pages,
            "shared_pages": self.shared_pages,
            "saved_pages": self.saved,
            "saved_percent": self.percent(self.saved),
            "saved_zero_percent": self.percent(self.zero),
            "saved_within_percent": self.percent(self.within),
            "saved_across_percent": self.percent(self.across),
        }

    def explain(self) -> str:
        """Say what is saved, and of what kind."""
        return (
            f"{self.pages:,} pages have {self.distinct:,} different contents, so sharing saves "
            f"{self.saved:,} pages, {self.percent(self.saved):.1f} %: "
            f"{self.percent(self.zero):.1f} % are zero pages, {self.percent(self.within):.1f} % "
            f"copies within one owner, {self.percent(self.across):.1f} % across owners."
        )


def savings(contents: ArrayLike, owners: ArrayLike, zero: ArrayLike | None = None) -> Savings:
    """Count what sharing all equal pages saves.

    Parameters
    ----------
    contents
        Number of each page's content, as `Contents.intern` gives it: equal means equal bytes.
    owners
        Number of the process or VM of each page.
    zero
        Which pages are all zeros; if not given, those of content 0 (`ZERO`).

    Returns
    -------
    Savings
        Counts of pages.

    Raises
    ------
    InvalidInputError
        If the three have not the same length.

    Notes
    -----
    O(n log n).

    Examples
    --------
    VM 0 has a zero page and content 5 twice; VM 1 has two zero pages and content 5:

    >>> found = savings([0, 5, 5, 0, 0, 5], owners=[0, 0, 0, 1, 1, 1])
    >>> found.zero, found.within, found.across, found.distinct
    (2, 1, 1, 2)
    """
    content = np.asarray(contents)
    owner = np.asarray(owners)
    blank = content == ZERO if zero is None else np.asarray(zero, dtype=bool)
    if not content.shape == owner.shape == blank.shape or content.ndim != 1:
        shapes = f"{content.shape}, {owner.shape}, {blank.shape}"
        raise InvalidInputError("contents, owners, zero", shapes, "of the same length")
    number, count = _numbered(content)
    owner_number, owner_count = _numbered(owner)
    solid = ~blank
    # Whoever has a content is a pair; a plain np.unique would build a hash table first.
    pairs = np.sort(number[solid] * owner_count.size + owner_number[solid])
    several = int(np.count_nonzero(pairs[1:] == pairs[:-1]))
    solid_contents = np.count_nonzero(np.bincount(number[solid]))
    zero_pages = int(blank.sum())
    return Savings(
        pages=content.size,
        owners=int(np.count_nonzero(owner_count)),
        distinct=int(np.count_nonzero(count)),
        zero_pages=zero_pages,
        shared_pages=int(count[count > 1].sum()),
        zero=max(zero_pages - 1, 0),
        within=several,
        across=pairs.size - several - int(solid_contents),
    )


def _numbered(names: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a small number for each name, equal for equal names, and how often each occurs."""
    if names.dtype.kind in "iu" and names.size and 0 <= names.min() <= names.max() < 8 * names.size:
        number = names.astype(np.int64, copy=False)  # small already: no need to sort
    else:
        number = np.unique(names, return_inverse=True)[1]
    return number, np.bincount(number)
