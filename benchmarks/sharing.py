"""How fast are pages hashed, read and compared? Against the least work there is.

- Hashing: `hash_pages` on one core, beside reading the same memory once (`numpy.sum` over 64-bit
  words). Goal: at least half of that speed.
- A process: reading and hashing its resident pages, beside `preadv` alone of the same pages into
  the same kind of buffer. Goal: at least half of that speed.
- Duplicates among 16 million hashes: `duplicated` (sort, compare neighbours), beside plain
  `np.unique(h)`. Goal: 30 times as fast. Beside them `np.unique(h, return_counts=True)`, which
  sorts as well.

    python -m benchmarks.sharing
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import Race, machine, race
from virtlab.memory.hashing import PAGE_BYTES, Contents, duplicated, hash_pages
from virtlab.memory.live.procfs import Resident, iter_pages, resident, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHILD = """
import os, sys
memory = bytearray(os.urandom(2**20)) * int(sys.argv[1])
for page in range(0, len(memory), 4096):  # no two pages alike
    memory[page:page + 8] = page.to_bytes(8, "little")
print("ready", flush=True)
sys.stdin.read()
"""


def hashing(mib: int) -> Race:
    """Race hashing against reading, on random bytes."""
    buffer = np.random.default_rng(1).integers(0, 2**63, mib * 2**17, dtype=np.uint64)
    return race(
        f"Hash {mib} MiB of pages",
        {
            "read once (numpy.sum)": buffer.sum,
            "hash_pages": lambda: hash_pages(buffer),
            "Contents.intern (hash, compare, copy)": lambda: Contents().intern(buffer),
        },
        turns=11,
    )


@contextmanager
def child(mib: int) -> Iterator[int]:
    """Start a process with so much random memory; yield its number."""
    command = [sys.executable, "-c", _CHILD, str(mib)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - they are pipes, for the type checker
        assert process.stdout is not None  # noqa: S101
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.stdin.close()


def preadv_alone(pid: int, pages: Resident) -> int:
    """Read all runs of neighbouring pages, 2 MiB at most at a time; return how many bytes."""
    ends = np.flatnonzero(np.diff(pages.vpage, append=-1) != 1) + 1
    starts = np.concatenate([[0], ends[:-1]])
    buffer = memoryview(bytearray(2**21))
    total = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            place, left = int(pages.vpage[start]) * PAGE_BYTES, (end - start) * PAGE_BYTES
            while left:
                count = os.preadv(memory.fileno(), [buffer[: min(left, 2**21)]], place)
                place, left, total = place + count, left - count, total + count
    return total


def reading(mib: int) -> Race:
    """Race reading and hashing a process against reading it."""
    with child(mib) as pid:
        pages = resident(pid)
        readable = np.concatenate([chunk.vpage for chunk in iter_pages(pid, pages)])
        pages = Resident(readable, pages.kind[np.isin(pages.vpage, readable)])
        return race(
            f"Read a process of {pages.vpage.size * PAGE_BYTES / 2**20:.0f} MiB",
            {
                "preadv alone": lambda: preadv_alone(pid, pages),
                "read": lambda: [None for _ in iter_pages(pid, pages)],
                "read and hash": lambda: [hash_pages(c.data) for c in iter_pages(pid, pages)],
                "choose, read and hash": lambda: [hash_pages(c.data) for c in iter_pages(pid)],
            },
            turns=11,
        )


def duplicates(millions: int) -> Race:
    """Race three ways to find duplicates among hashes, a quarter of which occur twice."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, millions * 1_000_000, dtype=np.uint64)
    quarter = hashes.size // 4
    hashes[:quarter] = hashes[quarter : 2 * quarter]
    rng.shuffle(hashes)
    return race(
        f"Duplicates among {millions} million hashes",
        {
            "duplicated": lambda: duplicated(hashes),
            "np.unique(h, return_counts=True)": lambda: np.unique(hashes, return_counts=True),
            "np.unique(h)": lambda: np.unique(hashes),
        },
        turns=2,
        warm_up=0,
    )


def _speed(run: Race, name: str) -> str:
    """Say how near a contender comes to the yardstick: the best of each, and turn by turn."""
    limit = min(run.seconds[run.yardstick])
    best, middle = 100 * limit / min(run.seconds[name]), 100 / run.ratio(name)
    return (
        f"{best:.0f} % of the speed of {run.yardstick}, best against best "
        f"({middle:.0f} % in the median turn); goal 50 %"
    )


def main() -> None:
    """Run all three races and say how they stand to their goals."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=256, help="memory to hash and to read")
    parser.add_argument("--millions", type=int, default=16, help="hashes")
    options = parser.parse_args()
    print(f"{machine()}\n")
    hashed = hashing(options.mib)
    print(hashed)
    print(f"hash_pages runs at {_speed(hashed, 'hash_pages')}\n")
    if why_not():
        print(f"No process was read: {why_not()}\n")
    else:
        read = reading(options.mib)
        print(read)
        print(f"read and hash run at {_speed(read, 'read and hash')}\n")
    found = duplicates(options.millions)
    print(found)
    print(f"duplicated is {found.ratio('np.unique(h)'):.0f} times as fast; goal 30")


if __name__ == "__main__":
    main()
