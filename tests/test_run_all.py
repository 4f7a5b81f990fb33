"""The list of parts runs what it says, counts what ran, and lets no failure through."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import run_all
from tests.run_all import Outcome, Part

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.a" name="right"/>
<testcase classname="tests.a" name="wrong"><failure message="no"/></testcase>
<testcase classname="tests.a" name="ill"><error message="no"/></testcase>
<testcase classname="tests.a" name="left"><skipped message="not here"/></testcase>
</testsuite></testsuites>
"""


def test_a_report_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    counts, failures = run_all.counted(report)
    assert counts == (1, 2, 1)
    assert failures == ("tests.a::wrong", "tests.a::ill")


def part(name: str, code: str) -> Part:
    """Return a part that runs a line of Python."""
    return Part(name, "made up", (("-c", code),))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Replace the parts by two that pass and one that fails."""
    known = (
        part("first", "pass"),
        part("broken", "raise SystemExit(3)"),
        part("browser", "print('said in the other lane')"),
    )
    monkeypatch.setattr(run_all, "parts", lambda: known)
    monkeypatch.setattr(run_all, "program", lambda name: [sys.executable, name])
    monkeypatch.setattr(run_all, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.delenv("CI", raising=False)


@pytest.mark.usefixtures("made_up")
def test_all_parts_run_and_one_failure_fails_all(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_all.main([]) == 1
    lines = capfd.readouterr().out.splitlines()
    words = {line.split()[0]: line.split()[3] for line in lines if " s  " in line}
    assert words["first"] == "ok"
    assert words["broken"] == "FAILED"
    assert lines[-1] == "0 passed, 1 failed, 0 skipped"


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("lanes", ["1", "2"])
def test_what_a_lane_says_is_not_lost(lanes: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_all.main(["--lanes", lanes]) == 1
    printed = capfd.readouterr().out
    assert "===== browser: made up =====\nsaid in the other lane\n" in printed
    order = [line.split()[0] for line in printed.splitlines() if " s  " in line]
    assert order == ["first", "broken", "browser"]


def test_lanes_run_beside_one_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each of two parts waits for a file that only the other one makes, and a third is left."""
    code = (
        "import pathlib, time; mine, other = {}; pathlib.Path(mine).touch()\n"
        "end = time.monotonic() + 60\n"
        "while not pathlib.Path(other).exists() and time.monotonic() < end: time.sleep(0.02)\n"
        "raise SystemExit(not pathlib.Path(other).exists())"
    )
    files = [str(tmp_path / name) for name in "ab"]
    known = (
        part("a", code.format(files)),
        part("c", "print('run once')"),
        part("b", code.format(files[::-1])),
    )
    monkeypatch.setattr(run_all, "parts", lambda: known)
    monkeypatch.setattr(run_all, "program", lambda name: [sys.executable, name])
    monkeypatch.setattr(run_all, "ARTIFACTS", tmp_path / "artifacts")
    assert run_all.main([]) == 0
    said = capfd.readouterr().out
    assert "FAILED" not in said
    assert said.count("run once") == 1


@pytest.mark.usefixtures("made_up")
def test_only_what_is_asked_for_runs(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_all.main(["--only", "first"]) == 0
    assert "broken" not in capfd.readouterr().out
    with pytest.raises(SystemExit):
        run_all.main(["--only", "first,none"])
    assert "no part none: there are first, broken, browser" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ([], [[], [], []]),
        (
            ["--coverage", "--ksm"],
            [["--ksm", "--cov", "--cov-report=term"],
             ["--cov", "--cov-report=term", "--cov-append"], []],
        ),
    ],
)  # fmt: skip
def test_only_the_unit_tests_are_measured_and_only_when_asked(
    asked: list[str],
    given: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    tell = ("-c", "import sys; print(sys.argv[1:-1])")  # the last one is where the report goes
    known = tuple(
        Part(name, "made up", (tell,), is_pytest=True, is_unit=name != "browser")
        for name in ("memory", "doctests", "browser")
    )
    monkeypatch.setattr(run_all, "parts", lambda: known)
    monkeypatch.setattr(run_all, "program", lambda name: [sys.executable, name])
    monkeypatch.setattr(run_all, "ARTIFACTS", tmp_path)
    monkeypatch.setattr(run_all, "missing_browser", lambda: "")
    assert run_all.main([*asked, "--lanes", "1"]) == 0
    told = [line for line in capfd.readouterr().out.splitlines() if line.startswith("[")]
    assert told == [str(each) for each in given]
    assert run_all.main(["--only", "unit"]) == 0
    said = capfd.readouterr().out
    assert [f"===== {name}" in said for name in ("memory", "doctests", "browser")] == [1, 1, 0]


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_no_browser_is_a_failure_only_in_ci(
    ci: str, status: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setenv("CI", ci)
    assert run_all.main(["--only", "browser"]) == status
    assert "no Chromium here" in capfd.readouterr().out


def test_a_part_without_counts_counts_as_one_failure(capsys: pytest.CaptureFixture[str]) -> None:
    counted = Outcome(part("unit", ""), 1.0, failed=True, counts=(5, 2, 1), failures=("a", "b"))
    run_all.tell([counted, Outcome(part("types", ""), 2.0, failed=True)], 2.5)
    printed = capsys.readouterr().out
    assert printed.endswith("5 passed, 3 failed, 1 skipped\n")
    assert "failed: a" in printed


def test_every_test_belongs_to_exactly_one_part(root: Path) -> None:
    """What a part selects by mark is where it looks, and what it leaves out another one has."""
    commands = {each.name: each.commands[0] for each in run_all.parts() if each.is_pytest}
    marks = {name: command[-1] for name, command in commands.items()}
    plain = "not browser and not notebooks"
    assert marks == {name: {"notebooks": "notebooks", "browser": "browser"}.get(name, plain)
                     for name in marks}  # fmt: skip
    where = {name: list(command[1:-2]) for name, command in commands.items()}
    unit = [folder for name in run_all.UNIT if name != "others" for folder in where[name]]
    assert len(unit) == len(set(unit))
    assert all((root / folder).is_dir() for folder in unit)
    assert where["others"][0] == "tests"
    left_out = {word.removeprefix("--ignore=") for word in where["others"][1:]}
    assert left_out | {"virtlab"} == set(unit)
    for name in ("notebooks", "browser"):
        marked = {
            path
            for path in (root / "tests").rglob("*.py")
            if re.search(rf"mark\.{name}\b", path.read_text("utf-8"))
        }
        inside = [root / folder for folder in where[name]]
        assert marked
        assert all(any(path.is_relative_to(at) for at in inside) for path in marked), name


def test_the_parts_are_tools_that_are_here() -> None:
    for each in run_all.parts():
        for command in each.commands:
            line = [*run_all.program(command[0]), "--version" if each.is_pytest else "--help"]
            done = subprocess.run(line, capture_output=True, check=False)
            assert done.returncode == 0, line
