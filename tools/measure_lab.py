"""Measure `data/lab_migrations.csv`: the home lab's grids, full and odd, on this machine.

    python tools/measure_lab.py FILE.csv [--attempts N]

It takes qemu-system-x86_64, and root on a machine that does other work too: the QEMUs and what
listens to them then run before all else (SCHED_RR), so that the others' work does not delay them.
A file that is there is gone on with: cells that have a calm run are done.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from virtlab.migration.lab.cells import grid
from virtlab.migration.lab.lab import run_lab


def main() -> int:
    """Measure what is left, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--attempts", type=int, default=3)
    asked = parser.parse_args()
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, PermissionError):
        print("without priority: close what is busy")
    run = run_lab(
        (*grid("full"), *grid("odd")), out=asked.file, accelerator="tcg", attempts=asked.attempts
    )
    print(run.explain())
    return 0


if __name__ == "__main__":
    sys.exit(main())
