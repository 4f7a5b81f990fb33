"""Stride with shares that never change: the whole schedule from one sort (S21).

A client with shares s has its k-th quantum (k = 1, 2, ...) when the smallest pass is k / s. So the
schedule is the merge of arithmetic progressions, one a client, in order of pass, ties by number:
one lexsort gives all of it at once, with no loop from quantum to quantum. A heap does the same one
quantum at a time, and is what is needed as soon as a client sleeps, changes or leaves.

How many terms of each progression are needed is known beforehand: of n quanta, a client's part is
n s / S, and no more terms can be among the first n than have a pass of at most that of the n-th.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.validate import InvalidInputError, integer, vector

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["stride_order"]


def stride_order(shares: ArrayLike, quanta: int) -> NDArray[np.int64]:
    """Return who has each quantum of one processor, where all always want to run.

    Parameters
    ----------
    shares
        Of each client, > 0.
    quanta
        How many.

    Returns
    -------
    ndarray of int
        Shape (quanta,): the client of each quantum, from 0.

    Raises
    ------
    InvalidInputError
        If there is no client, or one has no shares.

    Notes
    -----
    Sorting (quanta + clients) terms: O(n log n), in compiled code.

    References
    ----------
    C. Waldspurger, PhD thesis, MIT/LCS/TR-667 (1995), chapter 3.

    Examples
    --------
    >>> "".join("ABC"[client] for client in stride_order([3, 2, 1], 12))
    'ABAABCABAABC'
    """
    parts = vector("shares", shares, minimum=0)
    if parts.size == 0 or parts.min() == 0:
        raise InvalidInputError("shares", parts.tolist(), "numbers > 0, one or more")
    integer("quanta", quanta, minimum=0)
    total = parts.sum()
    # with level = pass of the last quantum, floor(s level) terms each: at least quanta together
    level = (quanta + parts.size) / total
    counts = np.floor(parts * level).astype(np.int64) + 1
    client = np.repeat(np.arange(parts.size), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    passes = (np.arange(client.size) - first + 1) / parts[client]
    # the clients are in order already, so a stable sort by pass breaks ties by number
    return client[np.argsort(passes, kind="stable")[:quanta]]
