"""`virtlab guest run`, as a person types it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main
from virtlab.machine.guests import guest, kernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Virtlab = Callable[..., tuple[int, str, str]]

FIBONACCI = str(guest("fibonacci").path())


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["virtlab", "guest", "run", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_a_program_runs(virtlab: Virtlab) -> None:
    status, out, err = virtlab(FIBONACCI)
    assert (status, err) == (0, "")
    assert out.startswith("Fibonacci(19) = 4181\n\nThe guest did 162,748 instructions in ")
    assert "ended by itself with 0 (exit status 1).\nNothing trapped." in out


def test_as_json_and_bounded(virtlab: Virtlab) -> None:
    status, out, _ = virtlab(FIBONACCI, "--max-instructions", "1000", "--ram-mib", "2", "--json")
    data = json.loads(out)
    assert status == 1
    assert (data["ended"], data["exit_status"], data["instructions"]) == ("limit", None, 1000)
    assert data["output"] == "Fibonacci(19"
    assert data["rows"] == []


def test_what_the_translator_did_is_told(virtlab: Virtlab) -> None:
    pytest.importorskip("wasmtime", reason="wasmtime, of the extra machine, is not installed")
    status, out, _ = virtlab(FIBONACCI, "--tier", "wasm", "--stats")
    assert status == 0
    assert out.startswith("Fibonacci(19) = 4181\n")
    rows = {line.split()[1]: line.split()[2:] for line in out.splitlines() if "counter" in line}
    assert int(rows["translations"][0]) > 0
    assert "class         IDENT" in out
    assert "% of 162,748 instructions ran translated" in out
    status, out, _ = virtlab(FIBONACCI, "--tier", "wasm", "--stats", "--json")
    data = json.loads(out)
    assert data["instructions"] == data["translation"]["total_instructions"] == 162_748
    assert data["translation"]["steps"] > 0
    for option in ("--stats", "--direct"):
        status, _, err = virtlab(FIBONACCI, option)
        assert status == 2
        assert f"{option} with --tier = 'interpreter': must be a tier that translates" in err


def test_how_much_ran_directly_is_told(virtlab: Virtlab) -> None:
    pytest.importorskip("wasmtime", reason="wasmtime, of the extra machine, is not installed")
    status, out, _ = virtlab(str(kernel()), "--tier", "wasm", "--direct", "--stats", "--json")
    told = json.loads(out)["translation"]
    assert status == 0
    assert told["direct_mode_instructions"] > 100_000 > told["translated_mode_instructions"] > 0
    assert told["mode_switches"] > 20


def test_translated_code_says_and_counts_the_same(virtlab: Virtlab) -> None:
    pytest.importorskip("wasmtime", reason="wasmtime, of the extra machine, is not installed")
    status, out, err = virtlab(FIBONACCI, "--tier", "wasm")
    assert (status, err) == (0, "")
    assert out.startswith("Fibonacci(19) = 4181\n\nThe guest did 162,748 instructions in ")
    status, _, err = virtlab(FIBONACCI, "--tier", "warp")
    assert (status, err.count("\n")) == (2, 1)
    assert "tier = 'warp': must be one of interpreter, python, wasm, llvm" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["/no/such.elf"], "path = '/no/such.elf': must be a file that is there"),
        ([__file__], f"{__file__}: e_ident magic = b'\"\"\"`': must be b'\\x7fELF'"),
        ([sys.executable], f"{sys.executable}: e_ident class = 2: must be 1 (32 bits)"),
        ([FIBONACCI, "--ram-mib", "0"], "--ram-mib = 0: must be a whole number from 1 to 3072"),
        ([FIBONACCI, "--ram-mib", "1"], "RAM's end"),
        ([FIBONACCI, "--max-instructions", "0"], "--max-instructions = 0"),
        ([FIBONACCI, "--disk", "/no/disk"], "--disk = '/no/disk': must be a file that is there"),
        ([FIBONACCI, "--disk", __file__], "a whole number of sectors"),
    ],
)
def test_bad_input_is_one_line(virtlab: Virtlab, arguments: list[str], says: str) -> None:
    status, out, err = virtlab(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("virtlab: ")
    assert says in err
    assert err.count("\n") == 1


def test_a_disk_that_is_too_large_is_refused(virtlab: Virtlab, tmp_path: Path) -> None:
    large = tmp_path / "disk"
    with large.open("wb") as file:
        file.truncate(2**40)
    status, _, err = virtlab(FIBONACCI, "--disk", str(large))
    assert status == 2
    assert "at most 64 MiB" in err


def test_ctrl_c_tells_what_was_done_so_far() -> None:
    # Before the guest runs Ctrl-C is not heard; so it is sent until it is.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "from virtlab.cli import main; main()"
    )
    path = str(guest("sieve").path(large=True))
    arguments = ["guest", "run", path, "--max-instructions", "100000000", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    ) as run:
        try:
            for _ in range(120):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(0.5)
                    break
                os.kill(run.pid, signal.SIGINT)
            assert run.wait(30) == 130
        finally:
            run.kill()
        assert run.stdout is not None
        data = json.loads(run.stdout.read())
    assert data["ended"] == "interrupted"
    assert data["instructions"] >= 0
