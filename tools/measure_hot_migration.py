"""Measure the runs of data/hot_migration.npz: each way to move a server, several times.

    python tools/measure_hot_migration.py [--times 5]

Of each way the run whose pause is the median is kept in full, of the others the summary. Do it on a
machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from virtlab.migration.hot_migration import ALGORITHM_NAMES, HotMigration, hot_migration
from virtlab.migration.live.setup import LiveSetup
from virtlab.migration.live.stored import FILE, write

DATA = Path(__file__).resolve().parents[1] / "data"
SETUP = LiveSetup(seconds=3.0)


def pause(run: HotMigration) -> float:
    """Return what the clients saw."""
    start, end = run.pause_s
    return end - start


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=5, help="runs of each way")
    times = parser.parse_args().times
    kept, summaries = {}, []
    runs: dict[str, list[HotMigration]] = {name: [] for name in ALGORITHM_NAMES}
    for seed in range(1, times + 1):
        for name in ALGORITHM_NAMES:  # in turns, so that a busy minute hits all
            run = hot_migration(SETUP, name, seed=seed)
            print(f"{name:9} {run.explain()}", flush=True)
            runs[name].append(run)
            summaries.append({"seed": seed, **run.summary()})
    for name, some in runs.items():
        kept[name] = sorted(some, key=pause)[times // 2]
    write(DATA / FILE, kept, summaries)


if __name__ == "__main__":
    main()
