"""Translated code beside the emulators that people use, and beside the processor itself.

The guest programs at three lengths, each engine in turn, in one run
(`benchmarks.translator_engines` says which); then what one event costs, what translating an
instruction costs, and how soon a fresh machine has a first result (`benchmarks.translator_costs`).
Each goal stands beside its figure.

    python -m benchmarks.translator [--turns 3] [--programs sieve,crc32] [--only programs] [--json]
                                    [--longer 10] [--seconds 1]

What is translated is translated within the time that is measured, and so a program's length
matters. As shipped they have about a hundred million instructions, which the processor itself does
in a thirtieth of a second: less than LLVM takes to start. So goals of speed are held to longer
programs, with the shipped ones' figures beside them; how soon there is a result is a goal of its
own. Each is made so long that the processor itself works on it for a second, as people measure
compilers; Unicorn, which would take a minute for each, is held to ten times as long as shipped. gcc
builds the longer programs (`benchmarks.translator_longer`); without it, only the shipped ones run.

The interpreter and the python tier are measured on the small programs, by instruction: their time
grows with nothing else. Who takes more than five seconds for a program, as Unicorn does where it
counts, has one turn of it.

Ratios are of processor time, all threads together, taken turn by turn; a program's is the median
of its turns, and all programs' the geometric mean. What is missing here is said. On a calm machine
all of it takes about a quarter of an hour; `--longer 1 --seconds 0` leaves out longer programs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import machine
from benchmarks.translator_costs import KINDS, events, first_results, translation
from benchmarks.translator_engines import BY_INSTRUCTION, UNICORN, Engine, Taken, available
from benchmarks.translator_longer import longer
from virtlab.machine.guests import GUESTS, Guest, guest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Seconds = dict[str, dict[str, list[Taken]]]  # program, engine, turn by turn

MEAN = "geometric mean"
SHIPPED, NATIVELY = "as shipped", "s natively"
TRIES = 5  # of a program, to see how long it takes natively
ONE_TURN_S = 5.0  # who takes longer for a program runs it once
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

    def line(self, figure: float | None, why: str = "", shipped: float | None = None) -> str:
        """Write a figure with its goal beside it, and that of the programs as shipped.

        If there is no figure, why.
        """
        sign = ">=" if self.least else "<="
        if figure is None:
            return f"{self.what:52}  not measured: {why:20}  goal {sign} {self.bound:g}"
        end = "reached" if self.reached(figure) else "NOT REACHED"
        beside = "" if shipped is None else f"   ({SHIPPED} {shipped:.3g})"
        return f"{self.what:52}{figure:9.3g}   goal {sign} {self.bound:g}: {end}{beside}"


@dataclass(frozen=True)
class Held:
    """A goal with what was measured.

    Attributes
    ----------
    goal
        Which.
    figure
        What was measured, if anything was.
    why
        If nothing was, why.
    shipped
        The same on the programs as shipped, where `figure` is that of longer ones.
    """

    goal: Goal
    figure: float | None
    why: str = ""
    shipped: float | None = None

    def line(self) -> str:
        """Write it."""
        return self.goal.line(self.figure, self.why, self.shipped)


# Who is to be how many times as fast as whom.
SPEED = (
    ("wasm", "Unicorn counting", 6.0),
    ("llvm", "Unicorn counting", 12.0),
    ("wasm, no MMU", "qemu-i386", 1.1),
    ("llvm, no MMU", "qemu-i386", 2.5),
    ("llvm", "native", 0.8),
    # The same three, without what compiling takes.
    ("llvm, once warm", "Unicorn counting", 12.0),
    ("llvm, once warm, no MMU", "qemu-i386", 2.5),
    ("llvm, once warm, no MMU", "native", 0.8),
    ("python", "interpreter", 30.0),
)
# The goal is held to what the VMM does in translated code, as ESX's callouts ran in the VMM's own.
# A port that must leave goes to Python and its interpreter; that is told beside it.
CALLOUT = Goal("a callout of the llvm tier, in Unicorn hooks", 0.5, least=False)
PORTS = tuple(kind for kind, (code, _) in KINDS.items() if code in ("ec", "ee"))
WITHIN = ("out, taken within", "in, answered within")
TRANSLATING = Goal("wasm: translating an instruction, ms", 0.15, least=False)
FIRST = Goal("first result of 300 instructions, in Unicorn's", 3.0, least=False)


def measure(
    engines: Mapping[str, Engine], programs: Mapping[str, Sequence[Guest]], turns: int
) -> dict[str, Seconds]:
    """Return by length what each program took in each engine, engines in turn."""
    taken: dict[str, Seconds] = {
        length: {one.name: {name: [] for name in _on(length, engines)} for one in those}
        for length, those in programs.items()
    }
    slow: set[tuple[str, str, str]] = set()
    for turn in range(turns):
        for length, those in programs.items():
            for program in those:
                for name, engine in _on(length, engines).items():
                    if (which := (length, program.name, name)) in slow:
                        continue
                    said = f"turn {turn + 1}: {program.name} {length}, {name}"
                    print(f"{said:70}", end="\r", file=sys.stderr)
                    began = time.monotonic()
                    taken[length][program.name][name].append(engine.run(program))
                    if time.monotonic() - began > ONE_TURN_S:
                        slow.add(which)
    return taken


def _on(length: str, engines: Mapping[str, Engine]) -> dict[str, Engine]:
    """Return the engines that run programs of a length."""
    too_slow = [*BY_INSTRUCTION] if length != SHIPPED else []
    too_slow += UNICORN if length.endswith(NATIVELY) else ()
    return {name: engine for name, engine in engines.items() if name not in too_slow}


def times_as_fast(taken: Seconds, one: str, other: str) -> dict[str, float]:
    """Return how many times as fast as another an engine is: by program, and in all."""
    found = {
        program: statistics.median(
            # Turns that both of them had: the first, if one of them is slow.
            b.cpu_s / a.cpu_s
            for a, b in zip(by[one], by[other], strict=False)
        )
        for program, by in taken.items()
    }
    return {**found, MEAN: statistics.geometric_mean(found.values())}


def speed_goals(lengths: Mapping[str, Seconds], missing: Mapping[str, str]) -> list[Held]:
    """Return the goals of speed, held to the longest programs that both engines ran."""
    found: list[Held] = []
    for one, other, bound in SPEED:
        goal = Goal(f"{one}: times as fast as {other}", bound)
        lacks = [name for name in (one, other) if name in missing]
        if lacks:
            found.append(Held(goal, None, f"{lacks[0]}: {missing[lacks[0]]}"))
            continue
        figures = [
            times_as_fast(taken, one, other)[MEAN]
            for taken in lengths.values()
            if {one, other} <= set(next(iter(taken.values())))
        ]
        shipped = figures[0] if len(figures) > 1 else None
        found.append(Held(goal, figures[-1], shipped=shipped))
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


def limit_lines(taken: Seconds) -> list[str]:
    """Write how far from the processor's own speed the peer is that runs processes."""
    if not {"native", "qemu-i386"} <= set(next(iter(taken.values()))):
        return []
    ratio = times_as_fast(taken, "qemu-i386", "native")[MEAN]
    bounds = [
        bound for one, other, bound in SPEED if one == "llvm, no MMU" and other == "qemu-i386"
    ]
    return [f"qemu-i386: {ratio:.2f} of native's speed"] + [
        f"{bound:g} times as fast as qemu-i386 is {bound * ratio:.2f} of native's speed"
        for bound in bounds
    ]


def callouts(found: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[Held]]:
    """Return what a port costs in Unicorn's hooks: lines of those that leave, goals of others."""
    here = "Unicorn" in found and "llvm" in found
    why = "Unicorn or llvmlite is not installed"
    lines: list[str] = []
    goals: list[Held] = []
    for kind in PORTS:
        ratio = found["llvm"][kind] / found["Unicorn"][kind] if here else None
        goal = replace(CALLOUT, what=f"{CALLOUT.what} ({kind})")
        if kind in WITHIN:
            goals.append(Held(goal, ratio, why))
        elif ratio is not None:
            lines.append(f"{kind}: {ratio:.0f} of Unicorn's hooks in the llvm tier; no goal")
    return lines, goals


def costs(parts: Sequence[str], turns: int) -> tuple[dict[str, Any], list[str], list[Held]]:
    """Measure the rest; return all figures, lines to read, and goals with figures."""
    figures: dict[str, Any] = {}
    lines: list[str] = []
    goals: list[Held] = []
    if "events" in parts:
        found = events(turns)
        figures["microseconds_per_event"] = found
        lines += ["", f"{'microseconds for one event':26}" + "".join(f"{e:>14}" for e in found)]
        for kind in dict.fromkeys(kind for by in found.values() for kind in by):
            row = [f"{by[kind]:14,.2f}" if kind in by else f"{'-':>14}" for by in found.values()]
            lines.append(f"{kind:26}" + "".join(row))
        more, held = callouts(found)
        lines += more
        goals += held
    if "translation" in parts:
        found = translation()
        figures["ms_per_translated_instruction"] = found
        lines += ["", "ms to translate an instruction"]
        for tier, by in found.items():
            shares = ", ".join(f"{part} {ms:.3f}" for part, ms in by.items() if part != "all")
            lines.append(f"{tier:26}{by['all']:8.3f}  = {shares}")
        ms = found.get("wasm", {}).get("all")
        goals.append(Held(TRANSLATING, ms, "wasmtime is not installed"))
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
            goals.append(Held(goal, ratio, "Unicorn is not installed"))
    return figures, lines, goals


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = [one.name for one in GUESTS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--programs", default=",".join(names), help="separated by commas")
    parser.add_argument("--only", default=",".join(PARTS), help=", ".join(PARTS))
    parser.add_argument(
        "--longer", type=float, default=10.0, help="times as long; 1: no longer ones"
    )
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="natively, of the longest; 0: none of these"
    )
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
    if not 0 <= chosen.seconds <= 5:
        parser.error("--seconds: from 0 to 5")
    return chosen


def lengths(
    chosen: argparse.Namespace, folder: Path, native: Engine | None
) -> tuple[dict[str, Sequence[Guest]], str]:
    """Return the programs by length, the longer ones built; why there are none if there are not."""
    programs = [guest(name) for name in chosen.programs]
    found: dict[str, Sequence[Guest]] = {SHIPPED: programs}
    wanted: dict[str, Callable[[Guest], float]] = {}
    if chosen.longer > 1:
        wanted[f"{chosen.longer:g} times as long"] = lambda _: chosen.longer
    if chosen.seconds and native:
        wanted[f"of {chosen.seconds:g} {NATIVELY}"] = lambda one: factor_for(
            one, native, chosen.seconds
        )
    try:
        for name, factor in wanted.items():
            into = folder / name.replace(" ", "-")
            found[name] = [longer(one, factor(one), into) for one in programs]
    except (OSError, subprocess.CalledProcessError) as error:
        return found, str(error)
    return found, ""


def factor_for(one: Guest, native: Engine, seconds: float) -> float:
    """Return how many times as long a program has to be for so many seconds, natively."""
    return seconds / min(native.run(one).cpu_s for _ in range(TRIES))


def main() -> None:
    """Run, and print tables, with each goal beside its figure."""
    chosen = arguments()
    engines, missing = available()
    lines: list[str] = []
    goals: list[Held] = []
    figures: dict[str, Any] = {"machine": machine(), "missing": missing}
    if "programs" in chosen.only:
        with tempfile.TemporaryDirectory() as folder:
            programs, why = lengths(chosen, Path(folder), engines.get("native"))
            by_length = measure(engines, programs, chosen.turns)
        goals += speed_goals(by_length, missing)
        if why:
            missing["longer programs"] = why
        figures["seconds"] = by_length
        for length, taken in by_length.items():
            lines += ["", f"Programs {length}", *speed_table(taken)]
            lines += [*wall_table(taken), *limit_lines(taken)]
    more, said, wanted = costs(chosen.only, chosen.turns)
    figures |= more
    goals += wanted
    if chosen.json:
        figures["goals"] = [asdict(one) for one in goals]
        print(json.dumps(figures))
        return
    print("\n".join([machine(), *lines, *said, ""]))
    print("\n".join(one.line() for one in goals))
    for name, reason in missing.items():
        print(f"not run: {name}: {reason}")


if __name__ == "__main__":
    main()
