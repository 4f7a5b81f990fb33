"""Measure `data/ksm_check.csv` and `data/ksm_rate.csv`: the kernel's KSM on pages that we know.

    python tools/measure_ksm.py FOLDER

Linux with KSM, as root, with bash and node; nothing else may use KSM meanwhile. It switches KSM on
for about a minute and puts all settings back. Two sources of pages: 'stored' are those of
`data/process_pages.npz`, rebuilt so that equal ones are equal; 'live' are the very bytes of copies
that run now, read while they are stopped.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from tqdm import tqdm

from virtlab.datasets import process_pages
from virtlab.memory.ksm.asking import ask_ksm, ask_ksm_bytes, watch_ksm
from virtlab.memory.live.copies import copies_running
from virtlab.memory.live.procfs import iter_pages

if TYPE_CHECKING:
    from virtlab.memory.ksm.check import KsmCount

COPIES = 4
LIVE = {
    "sleep": ["sleep", "600"],
    "bash": ["bash", "-c", "read"],
    "python": [sys.executable, "-c", "import json, time; time.sleep(600)"],
    "node": ["node", "-e", "setInterval(() => {}, 1e6)"],
}
WATCHED, WATCHED_S = "java", 25


def stored() -> list[KsmCount]:
    """Ask KSM about each stored program, and about all of them at once."""
    pages = process_pages()
    counts = [
        ask_ksm(one["content"], str(program))
        for program, one in tqdm(pages.groupby("program", observed=True, sort=False))
    ]
    return [*counts, ask_ksm(pages["content"], "all 14 processes")]


def live() -> list[KsmCount]:
    """Ask KSM about the bytes of copies that run now."""
    counts = []
    for name, command in tqdm(LIVE.items()):
        data = bytearray()
        with copies_running(command, COPIES) as pids:
            for pid in pids:
                for chunk in iter_pages(pid):
                    data += chunk.data
        counts.append(ask_ksm_bytes(data, name))
    return counts


def main() -> int:
    """Measure and write both files."""
    folder = Path(sys.argv[1])
    rows = [
        {"source": source, **asdict(count), "difference": count.difference}
        for source, counts in (("stored", stored()), ("live", live()))
        for count in counts
    ]
    check = pd.DataFrame(rows).rename(columns={"name": "program"})
    check["seconds"] = check["seconds"].round(3)
    check.to_csv(folder / "ksm_check.csv", index=False)
    print(check.to_string(index=False))
    pages = process_pages()
    content = pages.loc[pages["program"] == WATCHED, "content"]
    seen = watch_ksm(content, seconds=WATCHED_S)
    seen.to_csv(folder / "ksm_rate.csv", index=False)
    print(seen.iloc[::10].to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
