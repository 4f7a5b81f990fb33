"""What chapter 04 promises of its translator: each pass's worth, and an answer within 100 ms.

- Each program with all passes and without each in turn, in one run: how many times as fast. That
  dead flags and regions are worth something in the geometric mean is the claim.
- The columns: how long it takes from a control that moves to what the browser is told, for each
  function that the widget offers, the first time and again. Goal: 100 ms, for the median function.

    python -m benchmarks.translation [--turns 2] [--programs sieve crc32] [--json]

Processor time throughout. `python -m benchmarks.translator` compares with other engines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from benchmarks.harness import machine
from virtlab.machine.guests import GUESTS
from virtlab.machine.translation.speed import worth
from virtlab.widgets.translation import FUNCTIONS, columns

NAMES = [one.name for one in GUESTS]


def passes(programs: list[str], turns: int) -> dict[str, dict[str, float]]:
    """Return by program how many times as fast each way is as with all passes."""
    found = {}
    for name in programs:
        speeds = worth(name, turns=turns, progress=True)
        found[name] = {one.name: speeds.times(one.name) for one in speeds.curves}
    return found


def answers() -> dict[str, tuple[float, float]]:
    """Return by function the seconds of an answer: the first time, and of the same again."""
    app = columns()
    found = {}
    for name in FUNCTIONS:
        app.set(function=name, flags=True)
        spent = []
        for flags in (False, True, False):
            begun = time.process_time()
            app.set(flags=flags)
            spent.append(time.process_time() - begun)
        found[name] = spent[0], min(spent[1:])
    return found


def main() -> None:
    """Run, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--programs", nargs="*", default=NAMES, choices=NAMES, metavar="NAME")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    by_program, seconds = passes(chosen.programs, chosen.turns), answers()
    ways = list(next(iter(by_program.values())))
    means = {
        way: statistics.geometric_mean(one[way] for one in by_program.values()) for way in ways
    }
    if chosen.json:
        print(json.dumps({"times": by_program, "geometric_mean": means, "answers_s": seconds}))
        return
    print(machine())
    for way in ways:
        row = "".join(f"{one[way]:9.2f}" for one in by_program.values())
        print(f"{way:30}{row}{means[way]:9.2f}")
    print(f"{'':30}" + "".join(f"{name[:8]:>9}" for name in (*by_program, "mean")))
    for name, (first, again) in seconds.items():
        print(f"{name:36}{1e3 * first:8.0f} ms, again {1e3 * again:6.1f} ms")
    middle = statistics.median(first for first, _ in seconds.values())
    print(f"an answer of the columns takes {1e3 * middle:.0f} ms in the median; goal: 100 ms")


if __name__ == "__main__":
    main()
