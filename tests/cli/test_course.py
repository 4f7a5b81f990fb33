"""The course's own commands: lab, chapters, test, doctor; and what bad input looks like."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import virtlab.cli
import virtlab.cli.test
from virtlab.cli import app
from virtlab.course import doctor
from virtlab.course.doctor import Finding, Health
from virtlab.course.talk import the_talk

run = CliRunner().invoke


def test_every_command_has_a_line_of_help() -> None:
    result = run(app, ["--help"])
    assert result.exit_code == 0
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]  # a group
        assert name in result.stdout
        assert command.help, name


def test_chapters_lists_every_chapter() -> None:
    result = run(app, ["chapters"])
    assert result.exit_code == 0
    for chapter in the_talk().chapters:
        assert chapter.title in result.stdout


def test_chapters_as_json_has_chapters_and_slides() -> None:
    said = json.loads(run(app, ["chapters", "--json"]).stdout)
    assert [row["chapter"] for row in said["chapters"]] == [
        chapter.name for chapter in the_talk().chapters
    ]
    assert [row["slide"] for row in said["rows"]] == [f"S{n}" for n in range(1, 54)]


def test_chapters_can_list_slides() -> None:
    lines = run(app, ["chapters", "--slides"]).stdout.splitlines()
    assert sum(line.strip().startswith("S") for line in lines) >= 53


def test_doctor_speaks_in_lines_and_json() -> None:
    result = run(app, ["doctor"])
    assert result.exit_code == 0, result.stdout
    assert "core packages: Installed: numpy" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    said = json.loads(run(app, ["doctor", "--json"]).stdout)
    assert said["broken"] == 0
    assert len(said["rows"]) == len(doctor.examine().findings)


def test_doctor_fails_when_something_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Finding("kernel", "broken", "There is none.", "Install one.")
    monkeypatch.setattr(doctor, "examine", lambda: Health((bad,)))
    result = run(app, ["doctor"])
    assert result.exit_code == 1
    assert "BROKEN  kernel: There is none. Install one." in result.stdout


def test_lab_starts_jupyterlab_with_what_else_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[Any] = []

    def become(_program: str, command: list[str], environment: dict[str, str]) -> int:
        became.append((command, environment))
        return 3

    # In os itself: pytest may have loaded the command's module a second time, for its doctests.
    monkeypatch.setattr(os, "execve", become)
    result = run(app, ["lab", "--chapter", "0", "--no-browser", "--port", "9000"])
    assert result.exit_code == 3
    command, environment = became[0]
    assert command[-3:] == ["--no-browser", "--port", "9000"]
    assert environment["JUPYTER_PREFER_ENV_PATH"] == "1"
    assert "The course is in" in result.stdout


def test_present_starts_voila_on_the_chapter(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def become(_program: str, command: list[str], _environment: dict[str, str]) -> int:
        started.append(command)
        return 0

    monkeypatch.setattr(os, "execve", become)
    done = run(app, ["present", "0", "--port=9001"])
    assert done.exit_code == 0
    assert "voila" in started[0]
    assert any(part.endswith("00-the-talk.ipynb") for part in started[0])
    assert started[0][-1] == "--port=9001"
    assert run(app, ["present", "16"]).exit_code != 0


def test_test_runs_the_one_list_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def record(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        assert not check
        ran.append(command)
        return subprocess.CompletedProcess(command, 4)

    monkeypatch.setattr(subprocess, "run", record)
    assert run(app, ["test", "--only", "style", "-k", "zero"]).exit_code == 4
    assert ran[0][0] == sys.executable
    assert Path(ran[0][1]).name == "run_all.py"
    assert ran[0][2:] == ["--only", "style", "-k", "zero"]


def test_test_says_where_the_tests_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(virtlab.cli.test, "__file__", str(tmp_path / "a/b/c/test.py"))
    with pytest.raises(FileNotFoundError, match="in the project's tree"):
        virtlab.cli.test._script()
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"python3 start\.py test"):
        virtlab.cli.test._script()


def said_by_main(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell would."""
    return subprocess.run(
        [sys.executable, "-c", "from virtlab.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_bad_input_is_one_line_and_status_2() -> None:
    done = said_by_main(["lab", "--chapter", "ninety"])
    assert done.returncode == 2
    assert done.stderr.startswith("virtlab: chapter = 'ninety': must be one of 00-the-talk")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("allocate abc --shares 1", "capacity = 'abc': must be a number"),
        ("allocate 1 --shares 1 --seed x", "--seed = 'x': must be a whole number"),
        ("allocate -5 --shares 1", "-5: must be a number >= 0, as it is none of the options"),
        ("pages --copies x -- true", "--copies = 'x': must be a whole number"),
        (
            "migrate-film x.gif --dirty-pages-s 1e9",
            "--dirty-pages-s = '1e9': must be less than or equal to 10000",
        ),
        ("allocate", "Missing argument 'capacity'. (`virtlab allocate --help` says more)"),
        ("alocate 1", "No such command 'alocate'. Did you mean 'allocate'?"),
        ("chapters --foo", "No such option: --foo"),
    ],
)
def test_what_typer_finds_wrong_is_one_line_too(
    arguments: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["virtlab", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        virtlab.cli.main()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"virtlab: {said}")
    assert err.count("\n") == 1


def test_no_command_shows_the_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["virtlab"])
    with pytest.raises(SystemExit):
        virtlab.cli.main()
    assert "allocate" in "".join(capsys.readouterr())


def test_a_command_that_ends_with_a_status_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for status in (0, 3):
        monkeypatch.setattr(virtlab.cli, "app", lambda status=status, **_: status)
        with pytest.raises(SystemExit) as ended:
            virtlab.cli.main()
        assert ended.value.code == status


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(virtlab.cli, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        virtlab.cli.main()
    assert ended.value.code == 130
