"""Run the probes of `virtlab.machine.probes` in Unicorn at every ring and IOPL, and store that.

    python tools/measure_rings_unicorn.py             print what differs from our machine
    python tools/measure_rings_unicorn.py --into data and write data/rings_unicorn.csv

Unicorn is brought to a ring by an IRET of its own, on the same small machine; an interrupt that it
hands to a hook, with no gate, is written as 'hook 0x80'.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the judge is a test's

from tests.machine.ring_judge import Judge, taken
from virtlab.machine.probes import PROBES
from virtlab.machine.rings import ring_table


def main() -> None:
    """Run all, print, and store if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="write rings_unicorn.csv there")
    chosen = parser.parse_args()
    rows = [
        (probe.name, ring, iopl, taken(Judge(probe, ring, iopl).run()))
        for probe, ring, iopl in itertools.product(PROBES, range(4), range(4))
    ]
    table = pd.DataFrame(rows, columns=["name", "ring", "iopl", "fault"])
    outcomes = ring_table().outcomes
    ours = [outcomes[name, ring, iopl].fault for name, ring, iopl, _ in rows]
    table["ours"] = ours
    other = table[[a.partition("(")[0] != b for a, b in zip(ours, table["fault"], strict=True)]]
    print(other.to_string(index=False))
    if chosen.into:
        place = chosen.into / "rings_unicorn.csv"
        table.drop(columns="ours").to_csv(place, index=False)
        print(f"wrote {place}")


if __name__ == "__main__":
    main()
