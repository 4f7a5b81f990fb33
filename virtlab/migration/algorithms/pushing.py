"""Which pages the source sends unasked while the machine already runs on the target.

After a post-copy has resumed the machine, a page that it lacks is fetched by a **network fault**,
and the machine waits for it. To fault less, the source pushes pages too. Pushed in the order of
their addresses they help if they come before the machine does. **Bubbling** starts anew at each
fault and grows outward from it, as the next pages to be touched are likely near.

Source: M. Hines, K. Gopalan, "Post-Copy Based Live Virtual Machine Migration Using Adaptive
Pre-Paging and Dynamic Self-Ballooning", VEE 2009.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pages = NDArray[np.int64]
    Mask = NDArray[np.bool_]

__all__ = ["Bubbling", "InOrder", "NoPush", "Pushing"]


class Pushing(Protocol):
    """Chooses pages to push; write one of your own with these two methods."""

    def fault(self, page: int) -> None:
        """Take note of a network fault."""
        ...

    def choose(self, lacking: Mask, count: int) -> Pages:
        """Return up to `count` distinct pages that the target lacks, in the order to send them."""
        ...


class NoPush:
    """Demand paging alone: nothing is sent unasked.

    Examples
    --------
    >>> NoPush().choose(np.ones(8, dtype=bool), 4).size
    0
    """

    def fault(self, page: int) -> None:
        """Take no note."""

    def choose(self, lacking: Mask, count: int) -> Pages:
        """Return no page."""
        del lacking, count
        return np.empty(0, dtype=np.int64)


class InOrder:
    """Active push: by address, from the first page on.

    Examples
    --------
    >>> InOrder().choose(np.array([False, True, True, True]), 2).tolist()
    [1, 2]
    """

    def __init__(self) -> None:
        self._at = 0

    def fault(self, page: int) -> None:
        """Take no note: the order stays."""

    def choose(self, lacking: Mask, count: int) -> Pages:
        """Return the next pages by address."""
        found = self._at + _first(lacking[self._at :], count)
        if found.size:  # it may not be sent now, or come damaged: then it is the first again
            self._at = int(found[0])
        return found


class Bubbling:
    """Adaptive prepaging: outward in both directions from the page of the last fault.

    Examples
    --------
    >>> bubble = Bubbling()
    >>> bubble.fault(4)
    >>> bubble.choose(np.ones(8, dtype=bool), 5).tolist()
    [4, 5, 3, 6, 2]
    """

    def __init__(self) -> None:
        self.fault(0)

    def fault(self, page: int) -> None:
        """Start anew at this page."""
        self._pivot, self._up, self._down = page, page, page  # in [down, up) none is lacking

    def choose(self, lacking: Mask, count: int) -> Pages:
        """Return the pages nearest to the pivot."""
        up = self._up + _first(lacking[self._up :], count)
        down = self._down - 1 - _first(lacking[: self._down][::-1], count)
        both = np.concatenate([up, down])
        # What is chosen may not be sent now, or come damaged: then it is the nearest again.
        self._up = int(up[0]) if up.size else lacking.size
        self._down = int(down[0]) + 1 if down.size else 0
        chosen: Pages = both[np.abs(both - self._pivot).argsort(kind="stable")[:count]]
        return chosen


def _first(lacking: Mask, count: int, look: int = 512) -> Pages:
    """Return where the first `count` pages lie that are lacking; look near before far."""
    while True:
        (found,) = lacking[:look].nonzero()
        if found.size >= count or look >= lacking.size:
            return found[:count]
        look *= 8
