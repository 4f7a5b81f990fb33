"""Which pages the scanner visits next: a policy that you can replace (S27).

ESX visits pages in random order. The order does not change what sharing saves in the end, only
when: with equal pages anywhere, a pass in any order finds them all. Where guests write, pages that
are new or changed are worth a visit sooner than those already known.

An order is any object with `choose(fresh, count)`. Source: C. Waldspurger, "Memory resource
management in VMware ESX Server", OSDI 2002, section 4, for the random order. The others are ours.

Left out: what it costs the VMM to know which pages are new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from virtlab.validate import one_of

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["ORDERS", "NewPagesFirst", "RandomOrder", "ScanOrder", "SequentialOrder", "order_named"]

ORDERS = ("random", "sequential", "new pages first")


class ScanOrder(Protocol):
    """Which pages the scanner visits next: write `choose`, and plug yours in."""

    def choose(self, fresh: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        """Return the numbers of the next pages: at most `count`, all different, at least one.

        Parameters
        ----------
        fresh
            For each page, whether it was written since the scanner last saw it.
        count
            How many visits there is time for.

        Returns
        -------
        ndarray
            Page numbers.

        Examples
        --------
        >>> SequentialOrder().choose(np.ones(5, dtype=bool), 3).tolist()
        [0, 1, 2]
        """


class SequentialOrder:
    """Page after page, from the first to the last, and again.

    Examples
    --------
    >>> order = SequentialOrder()
    >>> [order.choose(np.ones(5, dtype=bool), 3).tolist() for _ in range(3)]
    [[0, 1, 2], [3, 4], [0, 1, 2]]
    """

    def __init__(self) -> None:
        self._next = 0

    def choose(self, fresh: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        """Return the pages after the last visited one, up to the end of the pass.

        Parameters
        ----------
        fresh, count
            As in `ScanOrder.choose`.

        Returns
        -------
        ndarray
            Page numbers.

        Examples
        --------
        >>> SequentialOrder().choose(np.ones(2, dtype=bool), 9).tolist()
        [0, 1]
        """
        pages = np.arange(self._next, min(self._next + count, fresh.size))
        self._next = (self._next + pages.size) % fresh.size
        return pages


class RandomOrder:
    """All pages in a random order, as ESX does; each pass enters it at another place.

    The pages are shuffled once, into a ring. A page is as likely to be visited at any moment of a
    pass as at any other, whatever happened in the passes before; and a shuffle for each pass would
    take longer than the visits.

    Parameters
    ----------
    rng
        Where the orders come from.

    Examples
    --------
    >>> order = RandomOrder(np.random.default_rng(1))
    >>> sorted(order.choose(np.ones(4, dtype=bool), 9).tolist())
    [0, 1, 2, 3]
    """

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        self._ring = np.empty(0, dtype=np.int64)
        self._at = self._left = 0

    def choose(self, fresh: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        """Return the next pages of this pass's order.

        Parameters
        ----------
        fresh, count
            As in `ScanOrder.choose`.

        Returns
        -------
        ndarray
            Page numbers.

        Examples
        --------
        >>> RandomOrder(np.random.default_rng(1)).choose(np.ones(9, dtype=bool), 2).size
        2
        """
        size = fresh.size
        if size != self._ring.size:
            self._ring, self._left = self._rng.permutation(size), 0
        if not self._left:
            self._at, self._left = int(self._rng.integers(size)), size
        count = min(count, self._left)
        pages = self._ring[self._at : self._at + count]
        if pages.size < count:  # over the ring's end
            pages = np.concatenate([pages, self._ring[: count - pages.size]])
        self._at = (self._at + count) % size
        self._left -= count
        return pages


class NewPagesFirst:
    """Pages written since the last visit, in random order; the others while there are none.

    Parameters
    ----------
    rng
        Where the orders come from.

    Examples
    --------
    >>> order = NewPagesFirst(np.random.default_rng(1))
    >>> order.choose(np.array([False, True, False]), 1).tolist()
    [1]
    """

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        self._rest = RandomOrder(rng)

    def choose(self, fresh: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        """Return fresh pages if there are any, else the next of a random order.

        Parameters
        ----------
        fresh, count
            As in `ScanOrder.choose`.

        Returns
        -------
        ndarray
            Page numbers.

        Examples
        --------
        >>> NewPagesFirst(np.random.default_rng(1)).choose(np.zeros(3, dtype=bool), 2).size
        2
        """
        new = np.flatnonzero(fresh)
        if not new.size:
            return self._rest.choose(fresh, count)
        return self._rng.permutation(new)[:count]


def order_named(name: str, rng: Generator) -> ScanOrder:
    """Return one of the orders by its name.

    Parameters
    ----------
    name
        One of `ORDERS`.
    rng
        Where chance comes from.

    Returns
    -------
    ScanOrder
        A new order, at its start.

    Raises
    ------
    InvalidInputError
        If there is no such order.

    Examples
    --------
    >>> type(order_named("sequential", np.random.default_rng(1))).__name__
    'SequentialOrder'
    """
    if one_of("order", name, ORDERS) == "sequential":
        return SequentialOrder()
    return RandomOrder(rng) if name == "random" else NewPagesFirst(rng)
