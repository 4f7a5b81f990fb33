"""Measure `data/copies_pages.npz`: 4 copies each of 5 programs, addresses random and fixed.

    python tools/measure_copies.py FILE.npz

Linux with node and bash. The copies of all programs run at the same time and are read in one go,
so that contents that different programs share are known too. Counts differ a little from run to
run and from machine to machine; the file that travels with the package is one such run.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from virtlab.datasets import PAGE_KINDS
from virtlab.memory.live.copies import copies_running
from virtlab.memory.live.processes import read_processes

if TYPE_CHECKING:
    import pandas as pd

COPIES = 4
_SQLITE = (
    "import sqlite3, random, time; random.seed(1); db = sqlite3.connect(':memory:');"
    "db.execute('create table t (a, b)');"
    "db.executemany('insert into t values (?, ?)',"
    " ((i, random.random()) for i in range(100_000))); time.sleep(600)"
)
_PANDAS = (
    "import numpy as np, pandas as pd, time; rng = np.random.default_rng(1);"
    "frame = pd.DataFrame(rng.random((50_000, 8))); frame.describe(); time.sleep(600)"
)
PROGRAMS = {
    "bash": ["bash", "-c", "kill -STOP $$; :"],
    "python": [sys.executable, "-c", "import time; time.sleep(600)"],
    "sqlite": [sys.executable, "-c", _SQLITE],
    "pandas": [sys.executable, "-c", _PANDAS],
    "node": ["node", "-e", "setInterval(() => {}, 1e6)"],
}


def measure(*, random_addresses: bool) -> pd.DataFrame:
    """Run all copies, stop them, and number the contents of their pages."""
    pids, names = [], []
    with ExitStack() as stack:
        for program, command in PROGRAMS.items():
            running = copies_running(command, COPIES, aslr=random_addresses)
            pids += stack.enter_context(running)
            names += [f"{program} #{i}" for i in range(COPIES)]
        return read_processes(pids, names, in_full_mib=4096)


def pack(pages: pd.DataFrame, prefix: str) -> dict[str, np.ndarray]:
    """Turn rows into arrays of differences, which compress to a few bytes a hundred pages."""
    # Numbers in the order seen, zeros first: neighbours differ by one.
    order = dict.fromkeys([0, *pages["content"].tolist()])
    number = {content: i for i, content in enumerate(order)}
    content = pages["content"].map(number).to_numpy()
    return {
        f"{prefix}_process": pages["process"].cat.codes.to_numpy().astype(np.uint8),
        f"{prefix}_kind": pages["kind"].cat.codes.to_numpy().astype(np.uint8),
        f"{prefix}_content_step": np.diff(content, prepend=0).astype(np.int32),
    }


def main() -> int:
    """Measure both ways and write the file."""
    arrays: dict[str, np.ndarray] = {
        "programs": np.array(list(PROGRAMS)),
        "copies": np.array(COPIES),
    }
    for prefix, random_addresses in (("random", True), ("fixed", False)):
        pages = measure(random_addresses=random_addresses)
        print(pages.groupby("process", observed=True).size())
        arrays |= pack(pages, prefix)
    np.savez_compressed(sys.argv[1], allow_pickle=False, **arrays)
    return 0 if list(PAGE_KINDS) else 1


if __name__ == "__main__":
    sys.exit(main())
