"""Run every part of the tests, two beside one another, and say how long each took.

    virtlab test                     all parts
    virtlab test --only unit,layers  some; `unit` is all tests but those of notebooks and browser
    virtlab test --only unit -k zero what is not an option here goes to pytest
    virtlab test --ksm               also what changes a setting of the running kernel
    virtlab test --coverage          say which lines no unit test ran; that takes twice as long

One lane takes the parts from the first one on, the other from the last one back, until they meet:
so both end at nearly the same time, whatever grows. What opens notebooks waits much and computes
little, and stands at the other end than what computes most. What the second lane prints is kept
until the first one is done. `--lanes 1` runs one part after another.

This is the one place that knows the parts; `.ci/run` and `python3 start.py test` end here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / ".artifacts"
# What computes most comes first; small parts are in the middle, where one lane waits for the other.
UNIT = {
    "machine": ("tests/machine",),
    "migration": ("tests/migration",),
    "figures": ("tests/plots", "tests/widgets"),
    "lessons": ("tests/course", "tests/cli"),
    "memory": ("tests/memory",),
    "others": ("tests",),  # but what is above
    "doctests": ("virtlab",),
}
_ABOVE = [folder for name, where in UNIT.items() if name != "others" for folder in where]
UNIT["others"] += tuple(f"--ignore={folder}" for folder in _ABOVE if folder != "virtlab")
NOTEBOOKS = ("tests/notebooks", "tests/course/test_grading.py", "tests/cli/test_questions.py")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Part:
    """One part of the tests.

    Attributes
    ----------
    name
        What `--only` calls it.
    about
        What it checks, in a few words.
    commands
        What it runs: module or program, then arguments.
    is_pytest
        Whether pytest runs it: then it takes pytest's options, and its tests are counted.
    is_unit
        Whether `unit` names it too.
    """

    name: str
    about: str
    commands: tuple[tuple[str, ...], ...]
    is_pytest: bool = False
    is_unit: bool = False


@dataclass
class Outcome:
    """How one part ended."""

    part: Part
    seconds: float
    failed: bool
    note: str = ""
    counts: tuple[int, int, int] = (0, 0, 0)  # passed, failed, skipped
    failures: tuple[str, ...] = ()


def parts() -> tuple[Part, ...]:
    """Return all parts, the quick ones first, those that wait much last.

    A test is of exactly one part; each collects only the folders in which its tests are.
    """
    plain = ("-m", "not browser and not notebooks")
    return (
        Part("style", "ruff", (("ruff", "check", "."), ("ruff", "format", "--check", "."))),
        Part("types", "mypy, strict", (("mypy",),)),
        Part("layers", "import-linter", (("lint-imports",),)),
        *(_tests(n, f"tests of {n}", *where, *plain, is_unit=True) for n, where in UNIT.items()),
        _tests("notebooks", "notebooks give what they store", *NOTEBOOKS, "-m", "notebooks"),
        _tests("browser", "JupyterLab and Voila", "tests/browser", "-m", "browser"),
    )


def _tests(name: str, about: str, *arguments: str, is_unit: bool = False) -> Part:
    return Part(name, about, (("pytest", *arguments),), is_pytest=True, is_unit=is_unit)


def program(name: str) -> list[str]:
    """Return how to start a tool of this environment, whatever the path says."""
    if name == "lint-imports":
        return [str(Path(sys.executable).with_name(name))]
    return [sys.executable, "-m", name]


def missing_browser() -> str:
    """Return why the browser tests can't run here; nothing if they can."""
    if any(shutil.which(name) for name in BROWSERS):
        return ""
    return "no Chromium here: 'apt install chromium' as root, or 'python3 start.py test' does it"


def counted(report: Path) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Return how many tests of a JUnit report passed, failed and were skipped, and which failed."""
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - our own file
    passed, failed, skipped = 0, 0, 0
    names: list[str] = []
    for suite in suites:
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                names.append(f"{case.get('classname')}::{case.get('name')}")
            elif case.find("skipped") is not None:
                skipped += 1
            else:
                passed += 1
    return (passed, failed, skipped), tuple(names)


def run(part: Part, options: list[str], log: IO[str] | None) -> Outcome:
    """Run one part; what it prints goes to a file, if one is given."""
    print(f"\n===== {part.name}: {part.about} =====", file=log, flush=True)
    began = time.monotonic()
    report = ARTIFACTS / f"{part.name}.xml"
    report.unlink(missing_ok=True)
    extra = [*options, f"--junitxml={report}"] if part.is_pytest else []
    statuses = []
    for command in part.commands:
        name, *arguments = command
        done = subprocess.run(
            [*program(name), *arguments, *extra],
            cwd=ROOT,
            env={**os.environ, "MPLBACKEND": "Agg", "JUPYTER_PREFER_ENV_PATH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log and subprocess.STDOUT,
            check=False,
        )
        # pytest's 5 is "no test was selected": right with -k, and caught by the count without it.
        statuses.append(done.returncode in ((0, 5) if part.is_pytest and options else (0,)))
    outcome = Outcome(part, time.monotonic() - began, failed=not all(statuses))
    if report.exists():
        outcome.counts, outcome.failures = counted(report)
    return outcome


def run_or_skip(part: Part, options: list[str], log: IO[str] | None = None) -> Outcome:
    """Run one part, or say why it can't run; under CI that is a failure."""
    reason = missing_browser() if part.name == "browser" else ""
    if not reason:
        return run(part, options, log)
    print(f"\n===== {part.name}: skipped, {reason} =====", file=log, flush=True)
    return Outcome(part, 0.0, failed=os.environ.get("CI") == "true", note=reason)


def run_lanes(chosen: list[tuple[Part, list[str]]], lanes: int) -> list[Outcome]:
    """Run parts, from both ends if in two lanes; return the outcomes in the order of the parts."""
    if lanes == 1 or len(chosen) == 1:
        return [run_or_skip(*pair) for pair in chosen]
    left = deque(chosen)
    outcomes: dict[str, Outcome] = {}

    def work(take: Callable[[], tuple[Part, list[str]]], log: IO[str] | None = None) -> None:
        while left:
            try:
                part, options = take()
            except IndexError:  # the other one has just had the last
                return
            outcomes[part.name] = run_or_skip(part, options, log)

    path = ARTIFACTS / "lane.log"
    with path.open("w", encoding="utf-8") as log, ThreadPoolExecutor(1) as beside:
        later = beside.submit(work, left.pop, log)
        work(left.popleft)
        later.result()
    print(path.read_text(encoding="utf-8", errors="replace"), flush=True)
    return [outcomes[part.name] for part, _ in chosen]


def asked(names: list[str], known: dict[str, Part]) -> list[Part]:
    """Return the parts of these names, in the order of all parts; KeyError if there is none."""
    wanted = {
        part.name
        for name in names
        for part in ([p for p in known.values() if p.is_unit] if name == "unit" else [known[name]])
    }
    return [part for part in known.values() if part.name in wanted]


def more_options(part: Part, *, ksm: bool, cover: bool, is_first: bool) -> list[str]:
    """Return what a part is given for the switches; all unit tests' lines are added up."""
    ksm_s = ["--ksm"] if ksm and part.name == "memory" else []
    append = [] if is_first else ["--cov-append"]
    return ksm_s + ["--cov", "--cov-report=term", *append] * (cover and part.is_unit)


def tell(outcomes: list[Outcome], seconds: float) -> None:
    """Print the time and the outcome of each part, and the closing line."""
    print("\n===== time per part =====")
    for outcome in outcomes:
        passed, failed, skipped = outcome.counts
        count = (
            f"{passed} passed, {failed} failed, {skipped} skipped" if any(outcome.counts) else ""
        )
        word = "FAILED" if outcome.failed else "skipped" if outcome.note else "ok"
        line = f"{outcome.part.name:<10} {outcome.seconds:7.1f} s  {word:<8} {count}{outcome.note}"
        print(line.rstrip())
        for name in outcome.failures:
            print(f"    failed: {name}")
    print(f"{'all':<10} {seconds:7.1f} s\n")
    passed, failed, skipped = (
        sum(column) for column in zip(*(each.counts for each in outcomes), strict=True)
    )
    # A part that no test runner counts (ruff, mypy) counts as one failed test if it fails.
    failed += sum(1 for each in outcomes if each.failed and not each.counts[1])
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)


def main(arguments: list[str]) -> int:
    """Run what was asked for; return 1 if any part failed."""
    known = {part.name: part for part in parts()}
    parser = argparse.ArgumentParser(
        prog="virtlab test", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", help=f"some of unit, {', '.join(known)}, with commas between")
    parser.add_argument("--lanes", type=int, choices=(1, 2), default=2, help="beside one another")
    parser.add_argument("--ksm", action="store_true", help="also compare with the kernel's KSM")
    parser.add_argument("--coverage", action="store_true", help="which lines no unit test ran")
    chosen, options = parser.parse_known_args(arguments)
    names = chosen.only.split(",") if chosen.only else list(known)
    unknown = [name for name in names if name != "unit" and name not in known]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(known)}")
    ARTIFACTS.mkdir(exist_ok=True)
    began = time.monotonic()
    parts_asked = asked(names, known)
    first = next((part for part in parts_asked if part.is_unit), None)
    switches = {"ksm": chosen.ksm, "cover": chosen.coverage}
    wanted = [
        (part, options + more_options(part, is_first=part is first, **switches))
        for part in parts_asked
    ]
    # Lines that were run are written to one file: then one part after another.
    outcomes = run_lanes(wanted, 1 if chosen.coverage else chosen.lanes)
    tell(outcomes, time.monotonic() - began)
    return int(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
