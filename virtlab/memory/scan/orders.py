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

    Attributes
    ----------
    ring
        All pages in this order.

    Examples
    --------
    >>> order = SequentialOrder()
    >>> [order.choose(np.ones(5, dtype=bool), 3).tolist() for _ in range(3)]
    [[0, 1, 2], [3, 4], [0, 1, 2]]
    """

    def __init__(self) -> None:
        self.ring = np.empty(0, dtype=np.int64)
        self._next = 0

    def stretch(self, size: int, count: int) -> tuple[int, int]:
        """Return the next stretch, as `RandomOrder.stretch` does.

        Parameters
        ----------
        size, count
            How many pages there are, and how many visits there is time for.

        Returns
        -------
        tuple
            Where it begins, and where it ends.

        Examples
        --------
        >>> order = SequentialOrder()
        >>> order.stretch(5, 3), order.stretch(5, 3), order.stretch(5, 3)
        ((0, 3), (3, 5), (0, 3))
        """
        if size != self.ring.size:
            self.ring = np.arange(size)
        start, stop = self._next, min(self._next + count, size)
        self._next = stop % size
        return start, stop

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
        start, stop = self.stretch(fresh.size, count)
        return self.ring[start:stop]


class RandomOrder:
    """All pages in a random order, as ESX does; each pass enters it at another place.

    The pages are shuffled once, into a ring. A page is as likely to be visited at any moment of a
    pass as at any other, whatever happened in the passes before; and a shuffle for each pass would
    take longer than the visits.

    Parameters
    ----------
    rng
        Where the orders come from.

    Attributes
    ----------
    ring
        All pages in this order.

    Examples
    --------
    >>> order, fresh = RandomOrder(np.random.default_rng(1)), np.ones(4, dtype=bool)
    >>> sorted(int(order.choose(fresh, 1)[0]) for _ in range(4))
    [0, 1, 2, 3]
    """

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        self.ring = np.empty(0, dtype=np.int64)
        self._at = self._left = 0

    def stretch(self, size: int, count: int) -> tuple[int, int]:
        """Return the next stretch of the ring, up to the end of the pass or of the ring.

        Parameters
        ----------
        size
            How many pages there are.
        count
            How many visits there is time for.

        Returns
        -------
        tuple
            Where on the ring the stretch begins, and where it ends.

        Examples
        --------
        >>> order = RandomOrder(np.random.default_rng(1))
        >>> order.stretch(9, 4), order.stretch(9, 9), order.stretch(9, 9)
        ((7, 9), (0, 7), (3, 9))
        """
        if size != self.ring.size:
            self.ring, self._left = self._rng.permutation(size), 0
        if not self._left:
            self._at, self._left = int(self._rng.integers(size)), size
        start, stop = self._at, min(self._at + min(count, self._left), size)
        self._at = stop % size
        self._left -= stop - start
        return start, stop

    def choose(self, fresh: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        """Return the pages of the next stretch.

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
        start, stop = self.stretch(fresh.size, count)
        return self.ring[start:stop]


class NewPagesFirst:
    """Pages written since the last visit, in random order; the others while there are none.

    Parameters
    ----------
    rng
        Where the orders come from.

    Attributes
    ----------
    rest
        The order of the others.

    Examples
    --------
    >>> order = NewPagesFirst(np.random.default_rng(1))
    >>> order.choose(np.array([False, True, False]), 1).tolist()
    [1]
    """

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        self.rest = RandomOrder(rng)

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
            return self.rest.choose(fresh, count)
        if new.size <= count:
            return new  # all, so it does not matter in which order
        return new[self._rng.choice(new.size, count, replace=False)]


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
