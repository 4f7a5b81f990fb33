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
    passes = np.arange(1.0, client.size + 1.0)
    passes -= np.repeat(np.cumsum(counts) - counts, counts)  # 1, 2, ... of each
    passes /= np.repeat(parts, counts)
    return client[in_order(passes)[:quanta]]


def in_order(passes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the order of the passes, ties by place: what a stable argsort does, in less time.

    Positive doubles are in the order of their bits. So the last bits give way to the place, and
    one sort of whole numbers has both; what the last bits would have told is mended after it.
    """
    mask = (1 << len(passes).bit_length()) - 1
    keys = passes.view(np.int64) & ~mask | np.arange(len(passes))
    keys.sort()
    order = keys & mask
    ordered = passes[order]
    if (ordered[1:] < ordered[:-1]).any():
        order = order[np.argsort(ordered, kind="stable")]  # nearly sorted: one pass
    return np.asarray(order)
