"""A machine of 1 TiB in the model, page by page and on the mean: how fast, how large, how near.

- Page level: simulated seconds in one second, of a machine of 2^28 pages. Goal: 100.
- Memory: what page level takes above Python, and how much of that are bits. Goal: 64 MiB of bits.
- A round: drawing the writes of 2^28 pages, beside counting the same bits (reading them once is
  the least there is), and a plain Python loop over some of the pages.
- Mean value: how many times as fast as page level, and how far off. Goals: 100,000 and 1 in 1,000.
  As `precopy_mean`, one migration alone, in processor time, page level and it in turn; as
  `precopy(level="mean")`, which follows addresses and tells each round; and as `precopy_means`,
  ten thousand different ones of the same size at once, the first being the case itself. A writer
  that goes round fills ranges of the bitmap, and page level is over in 0.15 s, which would leave
  one call of Python 1.5 us to reach the goal. The last case is one whose hand has to be followed.
- Sweeps: what a configuration costs in a table, beside the model alone.

All in one run, so that a busy machine slows all of it.

    python -m benchmarks.migration_scale
"""

from __future__ import annotations

import argparse
import statistics
import time
import timeit
import tracemalloc
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.harness import Race, machine, race
from virtlab.migration.bitmap import PageBits
from virtlab.migration.huge import HugeRun, StopRule, precopy
from virtlab.migration.link import MIB, Link, mib_s
from virtlab.migration.mean import MeanRun, precopy_mean
from virtlab.migration.means import precopy_means
from virtlab.migration.points import dirty_against_bandwidth, precopy_point
from virtlab.migration.sweep import sweep
from virtlab.migration.vm import Vm
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform

if TYPE_CHECKING:
    from collections.abc import Callable

_LINK = Link(bandwidth_mib_s=mib_s(25_000))  # 762,000 pages a second


@dataclass(frozen=True)
class Case:
    """One load on the large machine."""

    name: str
    workload: RoundRobin | Uniform | HotCold
    rule: StopRule = field(default_factory=StopRule)


def cases(pages: int) -> list[Case]:
    """Return loads from easy to endless, and one that has no short cut."""
    return [
        Case("in turn over a quarter", RoundRobin(pages // 4, 300_000)),
        Case("random over a quarter", Uniform(pages // 4, 400_000)),
        Case("random over all", Uniform(pages, 300_000)),
        Case("nine of ten to a sixteenth", HotCold(pages, 500_000, 0, pages // 16, 90)),
        Case("faster than the link, 10 rounds", Uniform(pages, 2_000_000), StopRule(max_rounds=10)),
        Case("in turn, at the end of memory", RoundRobin(pages // 4, 500_000, pages * 3 // 4, 0.4)),
    ]


def timed(call: Callable[[], HugeRun]) -> tuple[float, float, HugeRun]:
    """Return wall seconds, processor seconds and what came of it."""
    wall, processor = time.perf_counter(), time.process_time()
    run = call()
    return time.perf_counter() - wall, time.process_time() - processor, run


def levels(vm: Vm) -> pd.DataFrame:
    """Run each case at both levels, one after the other."""
    rows = []
    for case in cases(vm.pages):

        def at(level: str, case: Case = case) -> HugeRun:
            return precopy(vm, case.workload, _LINK, case.rule, level=level)

        # In turn, so that a busy machine slows both.
        turns = [(timed(lambda: at("page")), alone(vm, case)) for _ in range(3)]
        wall = statistics.median(turn[0][0] for turn in turns)
        processor = statistics.median(turn[0][1] for turn in turns)
        one_s = statistics.median(turn[1][1] for turn in turns)
        page, one = turns[0][0][2], turns[0][1][0]
        once_s, first_s, first_mib = at_once(vm, case)
        means = [timed(lambda: at("mean")) for _ in range(50)]
        mean, mean_s = means[0][2], statistics.median(seconds for seconds, _, _ in means)
        rows.append(
            {
                "load": case.name,
                "simulated_s": page.total_s,
                "rounds": len(page.rounds) - 1,
                "page_s": wall,
                "x real time": page.total_s / wall,
                "x, processor": page.total_s / processor,
                "one_us": 1e6 * one_s,
                "one x page": processor / one_s,
                "one off": max(
                    abs(page.total_s / one.total_s - 1), abs(page.sent_mib / one.sent_mib - 1)
                ),
                "rounds_us": 1e6 * mean_s,
                "rounds x page": wall / mean_s,
                "at once_us": 1e6 * once_s,
                "at once x page": processor / once_s,
                "at once off": max(
                    abs(page.total_s / first_s - 1), abs(page.sent_mib / first_mib - 1)
                ),
                "time off": abs(page.total_s / mean.total_s - 1),
                "bytes off": abs(page.sent_mib / mean.sent_mib - 1),
            }
        )
    return pd.DataFrame(rows)


def alone(vm: Vm, case: Case, calls: int = 2000) -> tuple[MeanRun, float]:
    """Work one out by itself; return it, and processor seconds of a call: the least of five."""
    call = partial(precopy_mean, vm, case.workload, _LINK, case.rule)
    took = timeit.repeat(call, number=calls, repeat=5, timer=time.process_time)
    return call(), min(took) / calls


def at_once(vm: Vm, case: Case, count: int = 10_000) -> tuple[float, float, float]:
    """Run many at once; return each one's processor seconds, and time and MiB of the first."""
    writer = case.workload
    load: dict[str, float | str] = {"pattern": "random"}
    if isinstance(writer, RoundRobin):
        load = {"pattern": "round-robin", "phase": writer.phase}
    elif isinstance(writer, HotCold):
        load = {"hot_pages": writer.hot_pages, "hot_write_percent": writer.hot_write_percent}
    call = partial(
        precopy_means,
        ram_mib=vm.ram_mib,
        working_set_pages=writer.pages,
        first_page=writer.first_page,
        dirty_pages_s=writer.rate_pages_s * np.linspace(1, 0.5, count),
        bandwidth_mib_s=_LINK.bandwidth_mib_s,
        max_rounds=case.rule.max_rounds,
        **load,
    )
    took = statistics.median(timeit.repeat(call, number=1, repeat=5, timer=time.process_time))
    result = call()
    return took / count, float(result.total_s[0]), float(result.sent_mib[0])


def memory(vm: Vm) -> tuple[float, float]:
    """Return the peak of page level and the size of its bitmap, MiB."""
    tracemalloc.start()
    precopy(vm, Uniform(vm.pages, 300_000), _LINK, StopRule(max_rounds=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MIB, PageBits(vm.pages).nbytes / MIB


def python_loop(pages: int, chance: float) -> set[int]:
    """Draw each page's fate in a plain loop."""
    rng = np.random.default_rng(1)
    written = set()
    for page in range(pages):
        if rng.random() < chance:
            written.add(page)
    return written


def one_round(pages: int, part: int) -> Race:
    """Race a round's writes against reading the bits and against a loop over a part of them."""
    bits, rng = PageBits(pages, full=True), np.random.default_rng(1)
    return race(
        f"One round of {pages:,} pages",
        {
            "count the bits": bits.count,
            "write, chance 0.3": lambda: bits.write_at_random(0, pages, 0.3, rng),
            "write, chance 0.01": lambda: bits.write_at_random(0, pages, 0.01, rng),
            f"Python loop, 1/{part} of the pages": lambda: python_loop(pages // part, 0.3),
        },
        turns=3,
        warm_up=0,
    )


def table(points: int) -> Race:
    """Race a sweep against the same runs without the table."""
    grid = dirty_against_bandwidth(points, points)
    columns = {name: [point[name] for point in grid] for name in grid[0]}
    return race(
        f"{len(grid):,} migrations of 1 GiB at level mean",
        {
            "model alone": lambda: [precopy_point(point, 1) for point in grid],
            "sweep": lambda: sweep(grid, precopy_point),
            "at once": lambda: precopy_means(**columns),
        },
        turns=3,
        warm_up=1,
    )


def _between(values: pd.Series[float]) -> str:
    return f"{values.min():,.0f} to {values.max():,.0f}"


def main() -> None:
    """Print the figures and how they stand to their goals."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gib", type=int, default=1024, help="memory of the machine")
    options = parser.parse_args()
    vm = Vm(ram_mib=options.gib * 1024)
    print(f"{machine()}\n\n{options.gib} GiB, {vm.pages:,} pages, 25 Gbit/s")
    told = levels(vm)
    print(told.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    print(
        f"page level runs at {told['x real time'].min():.0f} times real time or more; goal 100\n"
        f"mean value of many at once is {_between(told['at once x page'])} times as fast for each; "
        f"goal 100,000\n"
        f"of one alone {_between(told['one x page'])} times, {(told['one x page'] >= 1e5).sum()} "
        f"of {len(told)} cases at the goal; of all cases together "
        f"{np.average(told['one x page'], weights=told['one_us']):,.0f} times\n"
        f"and {told.filter(like=' off').max().max():.1e} off at most; goal 1e-3"
    )
    peak, size = memory(vm)
    print(f"page level takes {peak:.0f} MiB, {size:.0f} of them bits; goal 64 MiB of bits\n")
    print(one_round(vm.pages, 512))
    swept = table(40)
    print(swept)
    print(f"a sweep takes {swept.ratio('sweep'):.2f} times as long as the model alone")


if __name__ == "__main__":
    main()
