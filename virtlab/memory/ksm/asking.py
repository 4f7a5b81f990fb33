"""Asking the kernel: private memory of our own is given to KSM, and its counters are read (S27).

The pages are written, offered with `madvise(MADV_MERGEABLE)`, and KSM scans at high speed until
whole scans bring nothing new. The counters are those of this process alone, so that other users of
KSM on the machine do not matter; only frames are counted for the whole system, and are left out
where there are others. All settings are put back (`virtlab.memory.ksm.settings`).

Source: the Linux kernel's documentation, `Documentation/admin-guide/mm/ksm.rst`.

Left out: large pages, which KSM would split first.
"""

from __future__ import annotations

import mmap
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.memory.ksm.check import KsmCount, predict
from virtlab.memory.ksm.settings import changed, read, read_all
from virtlab.memory.pages import PAGE_BYTES, Contents
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ask_ksm", "ask_ksm_bytes", "watch_ksm"]

_FAST = {"pages_to_scan": 20_000, "sleep_millisecs": 1, "smart_scan": 0}
_ENOUGH_SCANS = 3  # one to see checksums, one to merge, one to see that nothing is left
_WORDS = PAGE_BYTES // 8


@contextmanager
def _mergeable(pages: int) -> Iterator[mmap.mmap]:
    """Give private memory that KSM may merge."""
    available = _available_pages()
    if pages > available * 0.8:
        raise InvalidInputError("pages", pages, f"at most 80 % of the {available:,} pages free")
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, pages * PAGE_BYTES, flags=flags) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)  # so that each page counts by itself from the start
        yield memory
        memory.madvise(mmap.MADV_UNMERGEABLE)


def _available_pages() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 // PAGE_BYTES
    return 2**40


def _fill(memory: mmap.mmap, contents: NDArray[np.int64], seed: int) -> None:
    """Write pages that are equal where their numbers are; number 0 becomes zeros."""
    # An odd factor is a bijection modulo 2^64: different numbers never give equal words.
    odd = np.random.default_rng(seed).integers(2**63, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    rows = np.frombuffer(memory, dtype=np.uint64).reshape(-1, _WORDS)
    rows[:] = (contents.astype(np.uint64) * odd)[:, None]


def _own() -> tuple[int, int]:
    """Return pages of this process that KSM has merged, and those on the kernel's zero page."""
    merged = int(Path("/proc/self/ksm_merging_pages").read_text())
    stat = Path("/proc/self/ksm_stat")
    fields = dict(line.split() for line in stat.read_text().splitlines()) if stat.exists() else {}
    return merged, int(fields.get("ksm_zero_pages", 0))


def ask_ksm(
    contents: ArrayLike,
    name: str = "pages",
    *,
    seed: int = 0,
    limit: int | None = None,
    timeout_s: float = 120,
) -> KsmCount:
    """Let KSM merge pages that are equal where these numbers are.

    Parameters
    ----------
    contents
        Number of each page's content; 0 becomes a page of zeros, the others bytes of our making.
    name
        What the pages are of.
    seed
        Of the bytes.
    limit
        `max_page_sharing`; as it is if not given.
    timeout_s
        Longest time to wait for KSM, s.

    Returns
    -------
    KsmCount
        Predicted counts and the kernel's.

    Raises
    ------
    PermissionError
        If KSM is not there, or not ours to switch on.
    InvalidInputError
        If there are too many pages for this machine's memory.

    Notes
    -----
    Changes settings of the whole system while it runs, and puts them back.

    Examples
    --------
    >>> ask_ksm([0, 7, 7, 8], "four pages").kernel_merged  # doctest: +SKIP
    2
    """
    numbers = np.asarray(contents, dtype=np.int64)

    def fill(memory: mmap.mmap) -> NDArray[np.int64]:
        _fill(memory, numbers, seed)
        return numbers

    return _ask(name, numbers.size, fill, limit, timeout_s)


def ask_ksm_bytes(
    data: bytes | bytearray | memoryview, name: str = "pages", *, timeout_s: float = 120
) -> KsmCount:
    """Let KSM merge a copy of these pages.

    Parameters
    ----------
    data
        Whole pages of 4,096 bytes.
    name
        What they are of.
    timeout_s
        Longest time to wait for KSM, s.

    Returns
    -------
    KsmCount
        Counts predicted by comparing the pages in full, and the kernel's.

    Raises
    ------
    PermissionError
        If KSM is not there, or not ours to switch on.
    InvalidInputError
        If it is no whole number of pages, or too many for this machine's memory.

    Examples
    --------
    >>> ask_ksm_bytes(b"a" * 8192).kernel_merged  # doctest: +SKIP
    2
    """
    numbers = Contents().intern(data)

    def fill(memory: mmap.mmap) -> NDArray[np.int64]:
        memory[:] = memoryview(data).cast("B").tobytes()
        return numbers

    return _ask(name, numbers.size, fill, None, timeout_s)


def _ask(
    name: str,
    pages: int,
    fill: Callable[[mmap.mmap], NDArray[np.int64]],
    limit: int | None,
    timeout_s: float,
) -> KsmCount:
    pages = integer("pages", pages, minimum=1)
    settings = (
        _FAST | {"use_zero_pages": 1} | ({} if limit is None else {"max_page_sharing": limit})
    )
    with _mergeable(pages) as memory:
        numbers = fill(memory)
        others = read_all()["pages_shared"] != "0"
        with changed(**settings):
            _until(lambda: _own() == (0, 0), timeout_s)  # of a check before, where others use KSM
            memory.madvise(mmap.MADV_MERGEABLE)
            scans, seconds = _settle(timeout_s)
            kernel_merged, kernel_zero = _own()
            kernel_frames = -1 if others else int(read("pages_shared"))
            merged, zero, frames = predict(
                numbers, int(read("max_page_sharing")), zero_apart=_zero_apart()
            )
    return KsmCount(
        name, pages, merged, kernel_merged, zero, kernel_zero, frames, kernel_frames, scans, seconds
    )


def _zero_apart() -> bool:
    """Return whether this kernel takes zeros apart and counts them: 6.6 and later."""
    known = "ksm_zero_pages" in Path("/proc/self/ksm_stat").read_text()
    return known and read_all().get("use_zero_pages") == "1"


def _until(done: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)


def _settle(timeout_s: float) -> tuple[int, float]:
    """Wait until whole scans bring nothing new; return how many there were, and the time, s."""
    start, first = time.monotonic(), int(read("full_scans"))
    seen: dict[int, tuple[int, int]] = {}

    def done() -> bool:
        scan = int(read("full_scans")) - first
        seen[scan] = _own()
        before = [counts for at, counts in seen.items() if at <= scan - 2]
        return scan >= _ENOUGH_SCANS and bool(before) and before[-1] == seen[scan]

    _until(done, timeout_s)
    return max(seen), time.monotonic() - start


def watch_ksm(
    contents: ArrayLike,
    *,
    pages_to_scan: int = 100,
    sleep_ms: int = 20,
    seconds: float = 30,
    seed: int = 0,
) -> pd.DataFrame:
    """Watch KSM at work, at its default rate or another.

    Parameters
    ----------
    contents
        As for `ask_ksm`.
    pages_to_scan
        Pages a round.
    sleep_ms
        Rest between two rounds, ms.
    seconds
        How long to watch.
    seed
        Of the bytes.

    Returns
    -------
    pandas.DataFrame
        `time_s`, `scanned_pages` since the start, `merged_pages`, `zero_pages`, `full_scans`; a row
        every 0.1 s.

    Raises
    ------
    PermissionError
        If KSM is not there, or not ours to switch on.

    Examples
    --------
    >>> watch_ksm([1] * 1000, seconds=1)  # doctest: +SKIP
    """
    numbers = np.asarray(contents, dtype=np.int64)
    rows: list[dict[str, float]] = []
    settings = {"pages_to_scan": pages_to_scan, "sleep_millisecs": sleep_ms}
    with _mergeable(numbers.size) as memory:
        _fill(memory, numbers, seed)
        memory.madvise(mmap.MADV_MERGEABLE)
        scans_before = int(read("full_scans"))
        scanned_before = int(read("pages_scanned"))
        with changed(**settings, use_zero_pages=1, smart_scan=0):
            start = time.monotonic()
            while (now := time.monotonic() - start) < seconds:
                merged, zero = _own()
                rows.append(
                    {
                        "time_s": round(now, 3),
                        "scanned_pages": int(read("pages_scanned")) - scanned_before,
                        "merged_pages": merged,
                        "zero_pages": zero,
                        "full_scans": int(read("full_scans")) - scans_before,
                    }
                )
                time.sleep(0.1)
    return pd.DataFrame(rows)
