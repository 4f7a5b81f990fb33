"""The engine that moves pages: beside a plain Python loop, and beside copying the memory at once.

- Real pages: all pages of 4,096 bytes sent once, beside one copy of the whole buffer (the
  least there is) and a loop in plain Python that does what the engine does page by page: look
  whether it is zero, copy it, count its bytes.
- Stand-ins: whole migrations of a machine of 512 MiB, in simulated seconds a second, and how many
  milliseconds a widget would wait for one.

All in one run, so that a busy machine slows all of it.

    python -m benchmarks.vmotion
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.harness import Race, machine, race
from virtlab.migration.algorithms import Deck, Hybrid, PostCopy, QemuPreCopy, StopAndCopy
from virtlab.migration.link import Link
from virtlab.migration.memory import WORDS_OF_A_PAGE
from virtlab.migration.move import Move
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.migration.vmotion import migrate
from virtlab.migration.workloads import RoundRobin, Uniform

if TYPE_CHECKING:
    from virtlab.migration.algorithms import Algorithm


def python_loop(source: bytearray, target: bytearray) -> int:
    """Copy a memory page by page as the engine does, in plain Python; return the bytes sent."""
    zero, sent = bytes(PAGE_BYTES), 0
    for start in range(0, len(source), PAGE_BYTES):
        page = source[start : start + PAGE_BYTES]
        if page == zero:
            sent += 9
        else:
            target[start : start + PAGE_BYTES] = page
            sent += PAGE_BYTES + 8
    return sent


def real_pages(ram_mib: int, turns: int) -> Race:
    """Race the engine on real pages against the loop and against one copy."""
    vm, still, link = Vm(ram_mib=ram_mib), RoundRobin(1, 0), Link(bandwidth_mib_s=1000)
    move = Move(vm, still, link, words=WORDS_OF_A_PAGE)
    memory, other = move.source, np.zeros_like(move.source.words)
    source, target = bytearray(memory.words.tobytes()), bytearray(vm.pages * PAGE_BYTES)
    return race(
        f"{ram_mib} MiB of real pages, all of them to the target",
        {
            "one copy": lambda: np.copyto(other, memory.words),
            "engine": lambda: move.send(move.all_pages),
            "engine, contents made, and checked at the end": lambda: migrate(
                vm, still, link, StopAndCopy(), real_bytes=True
            ),
            "Python loop": lambda: python_loop(source, target),
        },
        turns=turns,
        warm_up=1,
    )


def whole(ram_mib: int, turns: int) -> pd.DataFrame:
    """Time whole migrations of stand-ins."""
    vm, workload = Vm(ram_mib=ram_mib), Uniform(ram_mib * 32, 8000)
    algorithms: tuple[Algorithm, ...] = (
        StopAndCopy(),
        QemuPreCopy(),
        Deck(),
        Hybrid(),
        PostCopy(),
    )
    rows = []
    for algorithm in algorithms:
        seconds = []
        for _ in range(turns):
            start = time.process_time()
            run = migrate(vm, workload, algorithm=algorithm)
            seconds.append(time.process_time() - start)
        took = statistics.median(seconds)
        rows.append(
            {
                "algorithm": algorithm.name,
                "RAM, MiB": ram_mib,
                "simulated_s": run.total_s,
                "processor_ms": 1000 * took,
                "x real time": run.total_s / took,
                "network faults": run.network_faults,
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="how often each runs")
    turns = parser.parse_args().turns
    print(machine(), end="\n\n")
    print(real_pages(64, turns))
    for ram_mib in (64, 512):
        table = whole(ram_mib, turns)
        print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"), end="\n\n")


if __name__ == "__main__":
    main()
