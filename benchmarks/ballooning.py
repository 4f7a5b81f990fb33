"""How fast is a guest that gives memory back? Against a plain list in order of use, and NumPy.

- Touches: the same two hundred thousand touches of a program that does not fit. Yardstick is the
  least that must be done: NumPy writes down, for each touch, when the page was used. Beside it the
  course's guest, which also looks where each page is, evicts and loads; and the shortest LRU that
  Python has, an `OrderedDict`. Goal: faster than the dictionary.
- The widget: the three films behind one move of a slider. Goal: 100 ms on an idle machine.
- The curves: all 87 points by the formula, beside one point by the simulation. Goal: a hundred
  times as fast for each point.

    python -m benchmarks.ballooning
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import Race, machine, race
from virtlab.memory.ballooning import MEANS, Reclaim, SmallHost
from virtlab.memory.guest import Guest, GuestSpec
from virtlab.memory.pressure import under_pressure
from virtlab.memory.pressure_check import SMALL, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pages = NDArray[np.int32]

SIZE_MIB, PROGRAM_MIB = 32, 40
BATCH = 4_700  # what a program that seldom waits does in a second


def stream(touches: int) -> Pages:
    """Draw the pages that a program touches: nine of ten in a fifth of its memory."""
    rng = np.random.default_rng(1)
    pages = PROGRAM_MIB * 256
    reach = np.where(rng.random(touches) < 0.9, pages / 5, pages)
    return (rng.random(touches) * reach).astype(np.int32)


def bare(pages: Pages) -> None:
    """Write down when each page was used, and nothing else."""
    used = np.zeros(PROGRAM_MIB * 256, np.int32)
    for now, start in enumerate(range(0, pages.size, BATCH)):
        used[pages[start : start + BATCH]] = now


def guest(pages: Pages) -> int:
    """Touch the pages in a guest; return its faults."""
    one = Guest(GuestSpec(SIZE_MIB, swap_mib=2 * PROGRAM_MIB))
    region = one.anonymous(PROGRAM_MIB)
    before = one.counters.copy()  # its kernel is there already
    for start in range(0, pages.size, BATCH):
        one.now += 1
        one.touch(region.start + pages[start : start + BATCH])
    counted = one.counters.since(before)
    return counted.swap_ins + counted.zero_fills


def plain(pages: Pages) -> int:
    """Keep the pages in order of use in a dictionary; return the misses."""
    frames = Guest(GuestSpec(SIZE_MIB)).frames.free
    kept: OrderedDict[int, None] = OrderedDict()
    missed = 0
    for page in pages.tolist():
        if page in kept:
            kept.move_to_end(page)
            continue
        missed += 1
        kept[page] = None
        if len(kept) > frames:
            kept.popitem(last=False)
    return missed


def touches(number: int) -> Race:
    """Race the three on the same touches."""
    pages = stream(number)
    print(f"misses: guest {guest(pages):,}, dictionary {plain(pages):,}\n")
    return race(
        f"{number:,} touches of {PROGRAM_MIB} MiB in {SIZE_MIB} MiB",
        {
            "NumPy writes ages": lambda: bare(pages),
            "Guest.touch": lambda: guest(pages),
            "OrderedDict": lambda: plain(pages),
        },
        turns=5,
    )


def films() -> Race:
    """Time what a move of a slider takes: three films of 75 seconds, each of another seed."""
    seeds = count()

    def shoot(means: str, seed: int) -> None:
        spec = Reclaim(means=means, seed=seed)
        host = SmallHost(spec)
        for _ in range(spec.seconds):
            host.second()
            host.held()

    def three() -> None:
        seed = next(seeds)
        for means in MEANS:
            shoot(means, seed)

    return race(
        "Films of a guest of 512 pages",
        {"one film, balloon": lambda: shoot("balloon", next(seeds)), "three films": three},
        turns=11,
    )


def curves() -> Race:
    """Race all points of the curves against one point of the simulation."""
    return race(
        "Curves under pressure",
        {
            "formula, 87 points": under_pressure,
            "simulation, 1 point": lambda: measure(SMALL, 24, operations=100_000),
        },
        turns=3,
    )


def main() -> None:
    """Run the races and say how they stand to their goals."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--touches", type=int, default=200_000)
    given = parser.parse_args()
    print(f"{machine()}\n")
    first = touches(given.touches)
    print(first)
    per_s = given.touches / first.median("Guest.touch") / 1e6
    ahead = first.ratio("OrderedDict") / first.ratio("Guest.touch")
    print(
        f"the guest does {per_s:.1f} million touches a second, {ahead:.1f} times a dictionary's\n"
    )
    second = films()
    print(second)
    print(f"a move of a slider: {1000 * second.median('three films'):.0f} ms; goal 100\n")
    third = curves()
    print(third)
    points = 87 * third.ratio("simulation, 1 point")
    print(f"for each point the formula is {points:,.0f} times as fast; goal 100")


if __name__ == "__main__":
    main()
