"""How fast are migrations of QEMU predicted? Beside the same migrations followed page by page.

- All measured runs (167, a median over places of the writer each): goal, under a second.
- One migration: stretches of pages beside a bit for each page, the same outcome to the page. Goal:
  50 times as fast.

    python -m benchmarks.qemu
"""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Race, machine, race
from virtlab.migration.qemu import QemuModel, QemuParameters, predict_all
from virtlab.migration.qemu.data import qemu_migrations
from virtlab.migration.qemu.model import _predict
from virtlab.migration.qemu.pages import migrate_pages
from virtlab.migration.qemu.run import migrate_once


def all_runs() -> Race:
    """Time the prediction of every measured run, nothing remembered."""
    runs = qemu_migrations()

    def known() -> None:
        _predict.cache_clear()
        predict_all(runs)

    def unknown() -> None:
        _predict.cache_clear()
        predict_all(runs, head_start_s=None)

    return race(
        "Predict 167 runs",
        {"place of the writer known": known, "place unknown (19 each)": unknown},
        turns=3,
    )


def one_run() -> Race:
    """Race stretches against pages on one migration of 15 rounds."""
    spec = QemuParameters(
        ram_mib=256, filled_mib=224, working_set_pages=32768, dirty_pages_s=12000, cap_mib_s=64.0
    )
    return race(
        "Follow one migration of 256 MiB and 15 rounds",
        {
            "page by page": lambda: migrate_pages(spec, 0.3, np.random.default_rng(0)),
            "stretches of pages": lambda: migrate_once(spec, QemuModel(), 0.3),
        },
        turns=3,
    )


def main() -> None:
    """Run both."""
    print(machine())
    for found in (all_runs(), one_run()):
        print()
        print(found)


if __name__ == "__main__":
    main()
