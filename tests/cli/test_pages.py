"""`virtlab pages`, as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from virtlab.cli import main
from virtlab.memory.ksm.settings import read, why_no_ksm
from virtlab.memory.live.procfs import process_state, why_not

needs_linux = pytest.mark.skipif(bool(why_not()), reason=why_not() or "runs")


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    return Virtlab(monkeypatch, capsys)


class Virtlab:
    """Runs the command in this process, which saves a second each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["virtlab", "pages", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()  # typer ends by SystemExit in any case
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    def json(self, *arguments: str) -> dict[str, object]:
        status, out, _ = self("--json", *arguments)
        assert status == 0
        found = json.loads(out)
        assert isinstance(found, dict)
        return found


def test_alone_it_counts_the_stored_pages_and_says_so(virtlab: Virtlab) -> None:
    status, out, err = virtlab()
    assert (status, err) == (0, "")
    assert "sqlite :memory: private pages" in out
    assert "These pages were measured for this course and stored." in out


def test_json_is_one_object(virtlab: Virtlab) -> None:
    found = virtlab.json()
    assert found["node_all_pages"] == 26053
    rows = found["rows"]
    assert isinstance(rows, list)
    assert len(rows) == 14


@pytest.mark.parametrize(("by", "rows"), [("process", 14), ("kind", 21)])
def test_other_tables(virtlab: Virtlab, by: str, rows: int) -> None:
    status, out, _ = virtlab("--by", by)
    assert status == 0
    assert len(out.splitlines()) == rows + 1


@needs_linux
def test_copies_with_random_and_fixed_addresses(virtlab: Virtlab) -> None:
    status, out, err = virtlab("--copies", "2", "--settle", "0.3", "--", "sleep", "60")
    assert (status, err) == (0, "")
    lines = [line.split()[:2] for line in out.splitlines()[1:5]]
    assert lines == [
        ["random", "all"],
        ["random", "private"],
        ["fixed", "all"],
        ["fixed", "private"],
    ]
    assert "2 copies of `sleep 60`: in a VM each" in out


@needs_linux
def test_arguments_of_the_program_are_left_alone(virtlab: Virtlab) -> None:
    code = "import time; time.sleep(60)"
    found = virtlab.json(
        "-n", "1", "--addresses", "random", "--settle", "1", "--", sys.executable, "-c", code
    )
    assert "-c 'import time; time.sleep(60)'`" in str(found["what"])
    assert int(str(found["all_pages"])) > 500


@needs_linux
@pytest.mark.parametrize("stop", [[], ["--stop"]])
def test_running_processes(virtlab: Virtlab, stop: list[str]) -> None:
    with subprocess.Popen(["sleep", "60"]) as one, subprocess.Popen(["sleep", "60"]) as two:
        try:
            time.sleep(0.2)
            status, out, _ = virtlab(*stop, str(one.pid), str(two.pid))
        finally:
            one.kill()
            two.kill()
    assert status == 0
    assert f"sleep ({one.pid}), sleep ({two.pid}): in a VM each" in out
    assert ("They were stopped while they were read." in out) == bool(stop)


@needs_linux
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--copies", "2"], "--copies = 2: must be followed by -- COMMAND"),
        (["sleep"], "PID = 'sleep': must be the number of a process"),
        (["99999999"], "pid = 99999999: must be the number of a running process"),
        (["--copies", "2", "--", "true"], "it ended with status 0"),
        (["--copies", "2", "--", "no-such-program"], "must be a program that is installed"),
        (["--copies", "0", "--", "sleep", "1"], "copies = 0: must be a whole number from 1"),
        (["--addresses", "odd"], "addresses = 'odd': must be one of both, random, fixed"),
        (["--by", "page"], "by = 'page': must be one of total, process, kind"),
        (
            ["--settle", "-1", "--copies", "1", "--", "cat"],
            "settle = -1.0: must be a number from 0",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(virtlab: Virtlab, arguments: list[str], message: str) -> None:
    status, out, err = virtlab(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("virtlab: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_where_there_is_no_linux_stored_pages_are_counted(
    virtlab: Virtlab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    status, out, _ = virtlab("--copies", "2", "--", "sleep", "60")
    assert status == 0
    assert "No process was looked at: this system (darwin) is not Linux" in out


def test_ksm_that_is_not_there_is_one_line(
    virtlab: Virtlab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("virtlab.memory.ksm.settings.why_no_ksm", lambda: "there is no KSM here")
    status, _, err = virtlab("--ksm")
    assert status == 2
    assert err == "virtlab: there is no KSM here\n"


@needs_linux
def test_ctrl_c_ends_the_copies_with_status_130() -> None:
    # Shells start what runs in the background with Ctrl-C ignored; so these tests may be.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = f"{heed}; from virtlab.cli import main; main()"
    arguments = ["pages", "--copies", "2", "--settle", "60", "--", "sleep", "61.5"]
    with subprocess.Popen(
        [sys.executable, "-c", command, *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        copies: list[int] = []
        deadline = time.monotonic() + 20
        while len(copies) < 2 and time.monotonic() < deadline:
            with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:  # noqa: PTH123 - no pathlib for one line
                copies = [int(word) for word in file.read().split()]
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert {process_state(pid) for pid in copies} == {"X"}


@pytest.mark.ksm
@pytest.mark.skipif(bool(why_no_ksm()), reason=why_no_ksm() or "runs")
def test_ksm_agrees_with_the_count_of_copies(virtlab: Virtlab) -> None:
    before = read("run")
    found = virtlab.json("--ksm", "--copies", "2", "--settle", "0.3", "--", "sleep", "60")
    asked = found["ksm"]
    assert isinstance(asked, dict)
    assert asked["difference"] == 0
    assert [row["name"] for row in asked["rows"]] == ["random", "fixed"]
    assert read("run") == before
    status, out, _ = virtlab("--ksm", "--copies", "2", "--settle", "0.3", "--", "sleep", "60")
    assert status == 0
    assert "exactly as many." in out
