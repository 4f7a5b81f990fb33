"""Measure `data/reclaim_steps.csv` and `reclaim_pages.csv`: which pages a real kernel reclaims.

    python tools/measure_reclaim.py FOLDER

Linux with the memory controller of cgroup v1, as root, with 400 MB of disk and a calm machine; it
takes some minutes. It makes a swap file of its own and a control group of its own, sets
`vm.page-cluster` to 0 (no readahead from swap, which the model has not either), runs its own child
processes, and puts everything back, whatever happens.

Each child does the operations of a load (`virtlab.memory.victims`) on 64 MiB, while the room for
pages shrinks step by step. Who chooses the pages that go differs:

    kernel   the group's limit is lowered, and the kernel reclaims as it would for a balloon
    random   no limit: the child pages out random pages of its own (madvise), as a host would

'hot and cold' are anonymous pages and a swap file; 'popular files' a file that is mapped.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from virtlab.memory.reclaim_measured import BINS, CHOSEN_BY, CHUNKS, ROOMS
from virtlab.memory.victims import CHUNK, LOADS, PAGES, stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PAGE = mmap.PAGESIZE
GROUPS = Path("/sys/fs/cgroup/memory")
CLUSTER = Path("/proc/sys/vm/page-cluster")
NO_HUGE_PAGES, RANDOM, PAGE_OUT = 15, 1, 21  # of madvise
SWAP_MIB = 160
_SLACK = 700  # pages that a chunk may bring in before the next random ones go

libc = ctypes.CDLL(None, use_errno=True)
libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def _refuse_unless_possible() -> None:
    """Say in plain words what is lacking."""
    if os.geteuid() != 0:
        sys.exit("This needs root: it makes a swap file and a control group. Run it with sudo.")
    if not (GROUPS / "memory.limit_in_bytes").exists():
        sys.exit(f"This needs the memory controller of cgroup v1 at {GROUPS}: there is none.")


@contextmanager
def swap_on(folder: Path) -> Iterator[None]:
    """Have a swap file, and no readahead from it."""
    file = folder / "swap"
    with file.open("wb") as out:
        for _ in range(SWAP_MIB):
            out.write(bytes(1 << 20))
    file.chmod(0o600)
    subprocess.run(["mkswap", "-q", str(file)], check=True)
    cluster = CLUSTER.read_text()
    if libc.swapon(str(file).encode(), 0):
        sys.exit(f"The kernel allows no swap file here: {os.strerror(ctypes.get_errno())}.")
    try:
        CLUSTER.write_text("0")
        yield
    finally:
        CLUSTER.write_text(cluster)
        libc.swapoff(str(file).encode())


@contextmanager
def group() -> Iterator[Path]:
    """Have a control group."""
    path = GROUPS / f"virtlab-reclaim-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


class Child:
    """A process that works on 64 MiB while its room shrinks."""

    def __init__(self, load: str, chooser: str, group: Path, file: Path) -> None:
        self.load, self.chooser, self.group = load, chooser, group
        self.rng = np.random.default_rng(7)
        self.place = self.rng.permutation(PAGES)  # hot pages lie anywhere
        (group / "cgroup.procs").write_text(str(os.getpid()))
        if load == "popular files":
            self._file(file)
        else:
            self.memory = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = np.frombuffer(self.memory, np.uint8).reshape(PAGES, PAGE)
        self.address = self.view.ctypes.data
        advice = RANDOM if load == "popular files" else NO_HUGE_PAGES
        libc.madvise(self.address, PAGES * PAGE, advice)
        self.pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)

    def _file(self, file: Path) -> None:
        """Make a file, forget its pages, and map it."""
        with file.open("wb") as out:
            out.write(np.random.default_rng(1).bytes(PAGES * PAGE))
            out.flush()
            os.fsync(out.fileno())
            os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with file.open("r+b") as opened:
            self.memory = mmap.mmap(opened.fileno(), PAGES * PAGE)

    def present(self) -> NDArray[np.bool_]:
        """Return which pages are in memory and mapped, the most used first."""
        raw = os.pread(self.pagemap, 8 * PAGES, self.address // PAGE * 8)
        bits: NDArray[np.bool_] = np.frombuffer(raw, np.uint64) >> np.uint64(63) == 1
        return bits[self.place]

    def work(self, reads: NDArray[np.int32], writes: NDArray[np.int32]) -> None:
        """Do a chunk of operations."""
        self.view[self.place[reads], 64].sum()
        if writes.size:
            self.view[self.place[writes], 64] = 1

    def page_out(self, room: int) -> None:
        """Page out random pages until there is room for so many."""
        there = np.flatnonzero(self.present())
        for page in self.place[self.rng.permutation(there)[: max(there.size - room, 0)]].tolist():
            libc.madvise(self.address + page * PAGE, PAGE, PAGE_OUT)

    def squeeze(self, room: int) -> None:
        """Lower the group's limit; a page's place in it takes some bytes more."""
        limit = self.group / "memory.limit_in_bytes"
        used = int((self.group / "memory.usage_in_bytes").read_text()) // PAGE
        over = used - int(self.present().sum())  # the process's other pages
        for _ in range(20):
            try:
                limit.write_text(str((room + over) * PAGE))
            except OSError:
                time.sleep(0.05)
            else:
                return
        sys.exit(f"The kernel could not reclaim down to {room} pages.")

    def counters(self) -> dict[str, int]:
        """Return what the kernel counts."""
        lines = (self.group / "memory.stat").read_text().splitlines()
        stat = {name: int(value) for name, value in (line.split() for line in lines)}
        used = resource.getrusage(resource.RUSAGE_SELF)
        machine = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
        return {
            "major_faults": used.ru_majflt,
            "minor_faults": used.ru_minflt,
            "refaults": stat["workingset_refault_anon"] + stat["workingset_refault_file"],
            "swap_ins": int(machine["pswpin"]),
            "swap_outs": int(machine["pswpout"]),
        }

    def steps(self) -> Iterator[dict[str, Any]]:
        """Do all steps; the second half of each is counted."""
        for i in range(0, PAGES, CHUNK):  # all pages once
            page = np.arange(i, min(i + CHUNK, PAGES), dtype=np.int32)
            self.work(page, page if self.load != "popular files" else page[:0])
        operations = stream(self.load, CHUNKS * len(ROOMS))
        for part in ROOMS:
            room = round(part * PAGES)
            if part < 1:  # for the random chooser a limit that drops copies of pages paged out
                self.squeeze(room if self.chooser == "kernel" else room + _SLACK)
            there, before, began = [], self.counters(), 0.0
            for i in range(CHUNKS):
                if self.chooser == "random":
                    self.page_out(room)
                if i == CHUNKS // 2:
                    before, began = self.counters(), time.perf_counter()
                self.work(*next(operations))
                if i >= CHUNKS // 2 and i % 10 == 0:
                    there.append(self.present())
            took = time.perf_counter() - began
            after = self.counters()
            yield {
                "load": self.load,
                "chooser": self.chooser,
                "room_pages": room,
                "resident_pages": round(float(np.mean([one.sum() for one in there]))),
                "operations": CHUNKS // 2 * CHUNK,
                "seconds": round(took, 3),
                **{name: after[name] - before[name] for name in after},
                "by_rank": np.mean(there, axis=0).reshape(BINS, -1).mean(axis=1).tolist(),
            }


def _child(load: str, chooser: str, group: Path, file: Path) -> None:
    rows = list(Child(load, chooser, group, file).steps())
    file.with_suffix(".json").write_text(json.dumps(rows))


def main() -> int:
    """Measure and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        load, chooser, at, file = given.child
        _child(load, chooser, Path(at), Path(file))
        return 0
    _refuse_unless_possible()
    print(platform.system(), platform.release(), f"{os.cpu_count()} processors")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, swap_on(Path(name)):
        for load in LOADS:
            for chooser in CHOSEN_BY:
                file = Path(name, "file")
                with group() as at:
                    words = [load, chooser, str(at), str(file)]
                    command = [sys.executable, __file__, str(given.folder), "--child", *words]
                    subprocess.run(command, check=True)
                rows += json.loads(file.with_suffix(".json").read_text())
                print(pd.DataFrame(rows).drop(columns="by_rank").tail(len(ROOMS)).to_string())
    steps = pd.DataFrame(rows)
    steps.drop(columns="by_rank").to_csv(given.folder / "reclaim_steps.csv", index=False)
    pages = steps[["load", "chooser", "room_pages", "by_rank"]].explode("by_rank")
    pages.insert(3, "part", np.tile(np.arange(BINS), len(steps)))
    pages = pages.rename(columns={"by_rank": "resident"})
    pages["resident"] = pages["resident"].astype(float).round(4)
    pages.to_csv(given.folder / "reclaim_pages.csv", index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
