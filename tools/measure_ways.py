"""Measure each guest program natively, directly under a monitor, in QEMU and interpreted, in turns.

    python tools/measure_ways.py                       print what came out
    python tools/measure_ways.py --into data           and write data/ways.csv
    python tools/measure_ways.py --turns 9 --programs sieve crc32

With `--programs` and `--into` the rows of other programs stay as they are.

Linux on x86 with QEMU. Ratios hold on a machine that is busy with other things, as all ways meet
the same load; seconds do not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.machine.guests import GUESTS
from virtlab.machine.ways import compare

if TYPE_CHECKING:
    from virtlab.machine.comparison import Comparison

NAMES = [one.name for one in GUESTS]


def rows(found: Comparison) -> list[dict[str, object]]:
    """Return a row for each run."""
    return [
        {
            "program": found.program,
            "way": way,
            "turn": turn,
            "instructions": one.instructions,
            "seconds": round(one.seconds, 7),
            "traps": one.traps,
            "monitor_s": round(one.monitor_s, 7),
        }
        for way, runs in found.samples.items()
        for turn, one in enumerate(runs)
    ]


def stored_with(found: pd.DataFrame, place: Path) -> pd.DataFrame:
    """Return what is to be stored: what was found, and the other programs as they are there."""
    if not place.exists():
        return found
    there = pd.read_csv(place)
    table = pd.concat([there[~there["program"].isin(found["program"])], found])
    return table.sort_values("program", key=lambda names: names.map(NAMES.index), kind="stable")


def main() -> None:
    """Measure, print, and store if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--programs", nargs="*", default=NAMES, choices=NAMES, metavar="NAME")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="write ways.csv there")
    chosen = parser.parse_args()
    table = []
    for name in chosen.programs:
        found = compare(name, turns=chosen.turns, progress=True)
        if found.missing:
            sys.exit(f"measure_ways.py: {found.explain()}")
        table += rows(found)
        print(found.explain(), flush=True)
    if chosen.into:
        place = chosen.into / "ways.csv"
        stored_with(pd.DataFrame(table), place).to_csv(place, index=False)
        print(f"wrote {place}; {found.where}")


if __name__ == "__main__":
    main()
