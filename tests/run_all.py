"""Run every part of the tests, in two lanes beside one another, and say how long each took.

    virtlab test                     all parts
    virtlab test --only unit,layers  some
    virtlab test --only unit -k zero what is not an option here goes to pytest
    virtlab test --ksm               also what changes a setting of the running kernel
    virtlab test --coverage          say which lines no unit test ran; that takes twice as long

What opens notebooks waits much and computes little, so it has a lane of its own; what that lane
prints is kept until the other one is done. `--lanes 1` runs one part after another.

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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / ".artifacts"
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
    lane
        Parts of one lane run one after another.
    """

    name: str
    about: str
    commands: tuple[tuple[str, ...], ...]
    is_pytest: bool = False
    lane: int = 0


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
    """Return all parts, the quick ones first."""
    unit = ("pytest", "-m", "not browser and not notebooks")
    return (
        Part("style", "ruff", (("ruff", "check", "."), ("ruff", "format", "--check", "."))),
        Part("types", "mypy, strict", (("mypy",),)),
        Part("layers", "import-linter", (("lint-imports",),)),
        Part("unit", "tests and doctests", (unit,), is_pytest=True),
        Part(
            "notebooks",
            "notebooks give what they store",
            (("pytest", "-m", "notebooks"),),
            is_pytest=True,
            lane=1,
        ),
        Part(
            "browser",
            "JupyterLab and Voila",
            (("pytest", "-m", "browser"),),
            is_pytest=True,
            lane=1,
        ),
    )


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
    """Run parts, the lanes beside one another; return the outcomes in the order of the parts."""
    first = [pair for pair in chosen if lanes == 1 or pair[0].lane == 0]
    second = [pair for pair in chosen if pair not in first]
    if not first or not second:
        return [run_or_skip(*pair) for pair in chosen]
    path = ARTIFACTS / "lane.log"
    with path.open("w", encoding="utf-8") as log, ThreadPoolExecutor(1) as beside:
        later = beside.submit(lambda: [run_or_skip(*pair, log) for pair in second])
        outcomes = [run_or_skip(*pair) for pair in first]
        outcomes += later.result()
    print(path.read_text(encoding="utf-8", errors="replace"), flush=True)
    return outcomes


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
    parser.add_argument("--only", help=f"some of {', '.join(known)}, with commas between")
    parser.add_argument("--lanes", type=int, choices=(1, 2), default=2, help="beside one another")
    parser.add_argument("--ksm", action="store_true", help="also compare with the kernel's KSM")
    parser.add_argument("--coverage", action="store_true", help="which lines no unit test ran")
    chosen, options = parser.parse_known_args(arguments)
    names = chosen.only.split(",") if chosen.only else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(known)}")
    ARTIFACTS.mkdir(exist_ok=True)
    unit = ["--ksm"] if chosen.ksm else []
    unit += ["--cov", "--cov-report=term"] if chosen.coverage else []
    began = time.monotonic()
    wanted = [(known[name], options + (unit if name == "unit" else [])) for name in names]
    outcomes = run_lanes(wanted, chosen.lanes)
    tell(outcomes, time.monotonic() - began)
    return int(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
