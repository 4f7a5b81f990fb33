"""Translated code beside the emulators that people use, and beside the processor itself.

Eight programs of about a hundred million instructions, each engine in turn, in one run
(`benchmarks.translator_engines` says which); then what one event costs, what translating an
instruction costs, and how soon a fresh machine has a first result
(`benchmarks.translator_costs`). Each goal stands beside its figure.

    python -m benchmarks.translator [--turns 3] [--programs sieve,crc32] [--only programs] [--json]
                                    [--longer 10]

What is translated is translated within the time that is measured. `--longer` makes the programs as
many times as long, by gcc, which shows how fast the code is once it is there.

Ratios are of processor time, all threads together, taken turn by turn; a program's is the median
of its turns, and all programs' the geometric mean. What is missing here is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import machine
from benchmarks.translator_costs import events, first_results, translation
from benchmarks.translator_engines import BY_INSTRUCTION, Engine, Taken, available
from benchmarks.translator_longer import longer
from virtlab.machine.guests import GUESTS, Guest, guest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Seconds = dict[str, dict[str, list[Taken]]]  # program, engine, turn by turn

MEAN = "geometric mean"
PARTS = ("programs", "events", "translation", "first")


@dataclass(frozen=True)
class Goal:
    """What a figure is to be.

    Attributes
    ----------
    what
        Of which figure.
    bound
        The least, or the most, that is wanted.
    least
        Whether more is better.
    """

    what: str
    bound: float
    least: bool = True

    def reached(self, figure: float) -> bool:
        """Return whether a figure is good enough."""
        return figure >= self.bound if self.least else figure <= self.bound

    def line(self, figure: float | None, why: str = "") -> str:
        """Write a figure with its goal beside it; why there is none if there is none."""
        sign = ">=" if self.least else "<="
        if figure is None:
            return f"{self.what:52}  not measured: {why:20}  goal {sign} {self.bound:g}"
        end = "reached" if self.reached(figure) else "NOT REACHED"
        return f"{self.what:52}{figure:9.3g}   goal {sign} {self.bound:g}: {end}"


# Who is to be how many times as fast as whom.
SPEED = (
    ("wasm", "Unicorn counting", 6.0),
    ("llvm", "Unicorn counting", 12.0),
    ("wasm, no MMU", "qemu-i386", 1.1),
    ("llvm, no MMU", "qemu-i386", 2.5),
    ("llvm", "native", 0.8),
    # The same three, without what compiling takes: a hundred million instructions are few.
    ("llvm, once warm", "Unicorn counting", 12.0),
    ("llvm, once warm, no MMU", "qemu-i386", 2.5),
    ("llvm, once warm, no MMU", "native", 0.8),
    ("python", "interpreter", 30.0),
)
CALLOUT = Goal("a callout of the llvm tier, in Unicorn hooks", 0.5, least=False)
TRANSLATING = Goal("wasm: translating an instruction, ms", 0.15, least=False)
FIRST = Goal("first result of 300 instructions, in Unicorn's", 3.0, least=False)


def measure(engines: Mapping[str, Engine], programs: Sequence[Guest], turns: int) -> Seconds:
    """Return what each program took in each engine, engines in turn."""
    taken: Seconds = {program.name: {name: [] for name in engines} for program in programs}
    for turn in range(turns):
        for program in programs:
            for name, engine in engines.items():
                said = f"turn {turn + 1}: {program.name}, {name}"
                print(f"{said:50}", end="\r", file=sys.stderr)
                taken[program.name][name].append(engine.run(program))
    return taken


def times_as_fast(taken: Seconds, one: str, other: str) -> dict[str, float]:
    """Return how many times as fast as another an engine is: by program, and in all."""
    found = {
        program: statistics.median(
            b.cpu_s / a.cpu_s for a, b in zip(by[one], by[other], strict=True)
        )
        for program, by in taken.items()
    }
    return {**found, MEAN: statistics.geometric_mean(found.values())}


def speed_goals(taken: Seconds, missing: Mapping[str, str]) -> list[tuple[Goal, float | None, str]]:
    """Return the goals of speed, each with its figure, or why there is none."""
    found: list[tuple[Goal, float | None, str]] = []
    for one, other, bound in SPEED:
        goal = Goal(f"{one}: times as fast as {other}", bound)
        lacks = [name for name in (one, other) if name in missing]
        if lacks:
            found.append((goal, None, f"{lacks[0]}: {missing[lacks[0]]}"))
        else:
            found.append((goal, times_as_fast(taken, one, other)[MEAN], ""))
    return found


def speed_table(taken: Seconds) -> list[str]:
    """Write how long each engine takes, in times the wasm tier's."""
    engines = next(iter(taken.values()))
    yardstick = "wasm" if "wasm" in engines else next(iter(engines))
    columns = [*taken, MEAN]
    lines = [f"{'times as long as ' + yardstick:26}" + "".join(f"{c[:10]:>11}" for c in columns)]
    for name in engines:
        ratios = times_as_fast(taken, yardstick, name)
        lines.append(f"{name:26}" + "".join(f"{ratios[column]:11,.2f}" for column in columns))
    return lines


def wall_table(taken: Seconds) -> list[str]:
    """Write, where threads work beside, seconds on the wall beside those of the processor."""
    lines = []
    for name in ("llvm", "llvm, no MMU"):
        if name in next(iter(taken.values())):
            both = [
                statistics.median(t.wall_s / t.cpu_s for t in by[name]) for by in taken.values()
            ]
            lines.append(
                f"{name}: on the wall {statistics.geometric_mean(both):.2f} of its processor time"
            )
    return lines


def costs(parts: Sequence[str], turns: int) -> tuple[dict[str, Any], list[str], list[Any]]:
    """Measure the rest; return all figures, lines to read, and goals with figures."""
    figures: dict[str, Any] = {}
    lines: list[str] = []
    goals: list[tuple[Goal, float | None, str]] = []
    if "events" in parts:
        found = events(turns)
        figures["microseconds_per_event"] = found
        lines += ["", f"{'microseconds for one event':26}" + "".join(f"{e:>14}" for e in found)]
        for kind in dict.fromkeys(kind for by in found.values() for kind in by):
            row = [f"{by[kind]:14,.2f}" if kind in by else f"{'-':>14}" for by in found.values()]
            lines.append(f"{kind:26}" + "".join(row))
        here = "Unicorn" in found and "llvm" in found
        ratio = found["llvm"]["out"] / found["Unicorn"]["out"] if here else None
        goals.append((CALLOUT, ratio, "" if here else "Unicorn or llvmlite is not installed"))
    if "translation" in parts:
        found = translation()
        figures["ms_per_translated_instruction"] = found
        lines += ["", "ms to translate an instruction"]
        for tier, by in found.items():
            shares = ", ".join(f"{part} {ms:.3f}" for part, ms in by.items() if part != "all")
            lines.append(f"{tier:26}{by['all']:8.3f}  = {shares}")
        goals.append((TRANSLATING, found.get("wasm", {}).get("all"), "wasmtime is not installed"))
    if "first" in parts:
        found = first_results(turns)
        figures["first_result_ms"] = found
        lines += ["", "ms to the first result of 300 instructions"]
        for where, by in found.items():
            lines.append(f"{where:42}" + ", ".join(f"{who} {ms:.1f}" for who, ms in by.items()))
        for where, by in found.items():
            ours = {who: ms for who, ms in by.items() if who != "Unicorn"}
            best = min(ours, key=lambda who: ours[who])
            ratio = ours[best] / by["Unicorn"] if "Unicorn" in by else None
            goal = Goal(f"{FIRST.what} ({where}, {best})", FIRST.bound, least=False)
            goals.append((goal, ratio, "Unicorn is not installed"))
    return figures, lines, goals


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = [one.name for one in GUESTS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--programs", default=",".join(names), help="separated by commas")
    parser.add_argument("--only", default=",".join(PARTS), help=", ".join(PARTS))
    parser.add_argument("--longer", type=float, default=1.0, help="times as long")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    chosen.programs, chosen.only = chosen.programs.split(","), chosen.only.split(",")
    for what, given, known in (
        ("programs", chosen.programs, names),
        ("parts", chosen.only, PARTS),
    ):
        if unknown := [one for one in given if one not in known]:
            parser.error(f"no such {what}: {', '.join(unknown)}; there are {', '.join(known)}")
    if chosen.turns < 1:
        parser.error("--turns: at least 1")
    if not 1 <= chosen.longer <= 20:
        parser.error("--longer: from 1 to 20")
    return chosen


def _taken(
    chosen: argparse.Namespace, engines: dict[str, Engine], missing: dict[str, str]
) -> Seconds:
    """Run the programs, longer ones if that is asked for."""
    programs = [guest(name) for name in chosen.programs]
    if chosen.longer == 1:
        return measure(engines, programs, chosen.turns)
    for name in [name for name in engines if name in BY_INSTRUCTION or "once warm" in name]:
        del engines[name]
        missing[name] = "is measured on programs of known length, without --longer"
    with tempfile.TemporaryDirectory() as folder:
        made = [longer(one, chosen.longer, Path(folder)) for one in programs]
        return measure(engines, made, chosen.turns)


def main() -> None:
    """Run, and print tables, with each goal beside its figure."""
    chosen = arguments()
    engines, missing = available()
    lines: list[str] = []
    goals: list[tuple[Goal, float | None, str]] = []
    figures: dict[str, Any] = {"machine": machine(), "missing": missing, "longer": chosen.longer}
    if "programs" in chosen.only:
        taken = _taken(chosen, engines, missing)
        figures["seconds"] = taken
        lines += ["", *speed_table(taken), *wall_table(taken)]
        goals += speed_goals(taken, missing)
    more, said, wanted = costs(chosen.only, chosen.turns)
    figures |= more
    goals += wanted
    if chosen.json:
        figures["goals"] = [{**asdict(goal), "figure": found} for goal, found, _ in goals]
        print(json.dumps(figures))
        return
    print("\n".join([machine(), *lines, *said, ""]))
    print("\n".join(goal.line(found, why) for goal, found, why in goals))
    for name, reason in missing.items():
        print(f"not run: {name}: {reason}")


if __name__ == "__main__":
    main()
