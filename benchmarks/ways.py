"""What the ways to run a guest cost, and how soon the chapter's widgets answer.

- Twelve programs natively, directly under a monitor, translated by QEMU and interpreted, in turns.
  Native is the physical limit. Goal for direct execution: at most 1.2 times native in the middle
  program, though its monitor is written in Python; QEMU is the peer.
- A step of a packet and a slider of its load: goal, 100 ms of processor time each.

    python -m benchmarks.ways [--turns 3]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.harness import machine
from virtlab.machine.guests import GUESTS
from virtlab.machine.ways import compare
from virtlab.widgets.architectures import architectures_app
from virtlab.widgets.ways import ways_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.comparison import Comparison


def programs(turns: int) -> list[Comparison]:
    """Compare all programs, and print a line for each."""
    found = []
    for one in GUESTS:
        found.append(compare(one.name, turns=turns))
        print(found[-1].explain(), flush=True)
    return found


def middle(found: list[Comparison], way: str) -> str:
    """Say what a way costs in the middle program."""
    ratios = [one.slowdown(way) for one in found if {way, "native"} <= set(one.samples)]
    if not ratios:
        return f"{way}: not run here"
    low, high = min(ratios), max(ratios)
    return f"{way}: {statistics.median(ratios):,.3g} times native ({low:,.3g} to {high:,.3g})"


def answer_ms(app: Any, name: str, values: Sequence[Any]) -> float:
    """Return the processor time of an answer to a control, the median, ms."""
    taken = []
    for value in values:
        begun = time.process_time()
        app.set(**{name: value})
        taken.append(1000 * (time.process_time() - begun))
    return statistics.median(taken)


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args()
    print(machine(), "\n")
    found = programs(chosen.turns)
    print()
    for way in ("direct", "translated", "interpreted"):
        print(middle(found, way))
    print("goal for direct: 1.2 times native\n")
    packets, ladder = architectures_app(), ways_app()
    for app, name, values in (
        (packets, "step", range(8)),
        (packets, "batch", [1.2, 1.4, 1.6, 1.8, 2.0]),
        (packets, "architecture", ["dedicated", "native", "hosted"]),
        (ladder, "program", ["crc32", "search", "sieve"]),
    ):
        print(f"{name}: answered in {answer_ms(app, name, values):.0f} ms of processor time")


if __name__ == "__main__":
    main()
