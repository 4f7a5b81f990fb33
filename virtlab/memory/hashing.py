"""Which pages have equal contents: hashing, and comparing in full (S27).

A page is 4,096 bytes; what counts is only its content. Comparing each page with each other one
takes n(n-1)/2 comparisons, so each page gets a 64-bit hash, and only pages with equal hashes are
compared, always in full: two contents of one hash are rare, and sharing them would give a guest
the bytes of another. Among n pages of different content, the chance that any two have the same
hash of b bits is 1 - exp(-n(n-1) / 2^(b+1)), the birthday bound.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 4.

Left out: the frames that the hash table itself takes (`virtlab.memory.frames` has them).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import xxhash

from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = [
    "PAGE_BYTES",
    "ZERO",
    "Contents",
    "as_pages",
    "collision_chance",
    "duplicated",
    "hash_pages",
]

PAGE_BYTES = 4096
ZERO = 0  # number of the content that is all zeros, in every `Contents`
_WORDS = PAGE_BYTES // 8
_AT_ONCE = 64  # pages compared in one go: 256 KiB a side stay in the caches

Ids: TypeAlias = "NDArray[np.int64]"
Hashes: TypeAlias = "NDArray[np.uint64]"
PageBytes: TypeAlias = "Buffer | NDArray[Any]"  # numpy's stubs do not know that arrays are buffers


def as_pages(buffer: PageBytes) -> NDArray[np.uint64]:
    """View bytes as pages, without copying.

    Parameters
    ----------
    buffer
        Whole pages of 4,096 bytes: bytes, bytearray, mmap, memoryview or a contiguous array.

    Returns
    -------
    ndarray
        Shape (pages, 512), uint64: one row a page.

    Raises
    ------
    InvalidInputError
        If the length is not a whole number of pages.

    Examples
    --------
    >>> as_pages(bytes(8192)).shape
    (2, 512)
    >>> as_pages(b"short")
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: buffer = 5: must be a whole number of pages of 4096 bytes
    """
    view = memoryview(cast("Buffer", buffer))
    if view.nbytes % PAGE_BYTES:
        wanted = f"a whole number of pages of {PAGE_BYTES} bytes"
        raise InvalidInputError("buffer", view.nbytes, wanted)
    if not view.nbytes:  # numpy refuses to look at nothing
        return np.empty((0, _WORDS), dtype=np.uint64)
    return np.frombuffer(view, dtype=np.uint64).reshape(-1, _WORDS)


def hash_pages(buffer: PageBytes) -> Hashes:
    """Hash each page of 4,096 bytes (XXH3, 64 bits).

    Parameters
    ----------
    buffer
        Whole pages: bytes, bytearray, mmap, memoryview or a contiguous array.

    Returns
    -------
    ndarray
        One uint64 a page.

    Raises
    ------
    InvalidInputError
        If the length is not a whole number of pages.

    Notes
    -----
    O(bytes). One call a page on a view of its row: no page is copied, and no list is made.

    Examples
    --------
    >>> hashes = hash_pages(b"a" * 4096 + b"b" * 4096 + b"a" * 4096)
    >>> bool(hashes[0] == hashes[2]), bool(hashes[0] == hashes[1])
    (True, False)
    """
    pages = as_pages(buffer)
    return np.fromiter(map(xxhash.xxh3_64_intdigest, pages), dtype=np.uint64, count=len(pages))


def duplicated(hashes: Hashes) -> tuple[Hashes, Ids]:
    """Find the hashes that occur more than once.

    Parameters
    ----------
    hashes
        One a page, in any order.

    Returns
    -------
    values : ndarray
        Each hash that occurs at least twice, in rising order.
    counts : ndarray
        How often.

    Notes
    -----
    O(n log n): a sort, and one pass that looks for neighbours that differ. In NumPy 2.3 and later
    plain `np.unique(hashes)` builds a hash table and then sorts: at 16 million hashes it takes
    many times as long (`benchmarks/sharing.py` prints how many).

    Examples
    --------
    >>> values, counts = duplicated(np.array([7, 5, 7, 9, 5, 7], dtype=np.uint64))
    >>> values.tolist(), counts.tolist()
    ([5, 7], [2, 3])
    """
    ordered = np.sort(hashes)
    same_as_next = ordered[1:] == ordered[:-1]
    values = np.unique(ordered[:-1][same_as_next], return_counts=True)  # few: the pairs only
    return values[0], values[1] + 1


class Contents:
    """Numbers contents: equal pages get the same number, different ones never do.

    Pages may come in any number of calls, from one process or VM after the other; only one copy of
    each content is kept. The content that is all zeros has number 0 (`ZERO`).

    Parameters
    ----------
    hash_function
        Hash of whole pages; one to play with, as equality never rests on it alone.

    Examples
    --------
    >>> contents = Contents()
    >>> contents.intern(b"a" * 4096 + bytes(4096) + b"a" * 4096).tolist()
    [1, 0, 1]
    >>> contents.intern(b"b" * 4096 + b"a" * 4096).tolist()
    [2, 1]
    >>> contents.page(2)[:3]
    b'bbb'
    """

    def __init__(self, hash_function: Callable[[PageBytes], Hashes] = hash_pages) -> None:
        self._hash = hash_function
        self._known = np.empty((0, _WORDS), dtype=np.uint64)  # row i is the content number i
        # Round k maps a hash to the (k+1)th content that has it. Nearly always one round is all.
        self._rounds: list[dict[int, int]] = []
        self.intern(bytes(PAGE_BYTES))

    def __len__(self) -> int:
        """Return how many contents are known, the zero page with them."""
        return int(self._known.shape[0])

    def page(self, number: int) -> bytes:
        """Return the 4,096 bytes of a content.

        Parameters
        ----------
        number
            As `intern` gave it.

        Returns
        -------
        bytes
            The page.

        Examples
        --------
        >>> Contents().page(ZERO) == bytes(4096)
        True
        """
        row = integer("number", number, minimum=0, maximum=len(self) - 1)
        return bytes(self._known[row])

    def intern(self, buffer: PageBytes) -> Ids:
        """Return the number of each page's content; new contents get the next numbers.

        Parameters
        ----------
        buffer
            Whole pages of 4,096 bytes.

        Returns
        -------
        ndarray
            One int64 a page.

        Examples
        --------
        >>> Contents().intern(bytes(4096)).tolist()
        [0]
        """
        pages = as_pages(buffer)
        hashes = self._hash(buffer)
        numbers = np.empty(hashes.size, dtype=np.int64)
        waiting = np.arange(hashes.size)
        level = 0
        while waiting.size:
            found, new = self._look_up(level, pages, hashes, waiting)
            equal = new.copy()  # a new content is a copy of its page
            old = ~new
            equal[old] = _equal_rows(pages, waiting[old], self._known, found[old])
            numbers[waiting[equal]] = found[equal]
            waiting = waiting[~equal]  # same hash, other content: the next round's
            level += 1
        return numbers

    def _look_up(
        self, level: int, pages: Hashes, hashes: Hashes, waiting: Ids
    ) -> tuple[Ids, NDArray[np.bool_]]:
        """Return the content that round `level` has for each hash, and which were made just now."""
        if level == len(self._rounds):
            self._rounds.append({})
        table, size = self._rounds[level], len(self)
        found = np.empty(waiting.size, dtype=np.int64)
        new = np.zeros(waiting.size, dtype=bool)
        for i, key in enumerate(hashes[waiting].tolist()):
            found[i] = number = table.setdefault(key, size)
            if number == size:
                new[i] = True
                size += 1
        if new.any():
            old = len(self)
            self._known.resize((size, _WORDS), refcheck=False)  # in place: no second copy
            np.take(pages, waiting[new], axis=0, out=self._known[old:], mode="clip")
        return found, new


def _equal_rows(left: Hashes, left_rows: Ids, right: Hashes, right_rows: Ids) -> NDArray[np.bool_]:
    """Compare rows of two arrays in full, a few thousand at a time."""
    equal = np.empty(left_rows.size, dtype=bool)
    for start in range(0, left_rows.size, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        equal[part] = (left[left_rows[part]] == right[right_rows[part]]).all(axis=1)
    return equal


def collision_chance(pages: int, bits: int = 64) -> float:
    """Return the chance that any two of `pages` different contents have the same hash.

    Parameters
    ----------
    pages
        How many contents.
    bits
        Size of the hash.

    Returns
    -------
    float
        1 - exp(-n(n-1) / 2^(bits+1)), the birthday bound.

    Examples
    --------
    64 GB of pages (2^24), and the 2^32 pages at which the ESX paper says about a half:

    >>> f"{collision_chance(2**24):.1e}"
    '7.6e-06'
    >>> f"{collision_chance(2**32):.2f}"
    '0.39'
    """
    pages = integer("pages", pages, minimum=0)
    bits = integer("bits", bits, minimum=1, maximum=512)
    return -math.expm1(-pages * (pages - 1) / 2 ** (bits + 1))
