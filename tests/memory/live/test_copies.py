"""Copies start, are stopped at rest, and are always gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from virtlab.memory.live import copies as under_test
from virtlab.memory.live.copies import children, copies_running
from virtlab.memory.live.procfs import mappings, process_state, why_not
from virtlab.validate import InvalidInputError

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "runs")

SLEEP = ["sleep", "60"]


def _gone(pids: list[int], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(process_state(pid) in "XZ" for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_copies_are_stopped_and_run_the_program() -> None:
    with copies_running(SLEEP, 3, settle_s=0.2) as pids:
        assert len(set(pids)) == 3
        assert [process_state(pid) for pid in pids] == ["T"] * 3
        assert {Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids} == {"sleep"}
    assert [process_state(pid) for pid in pids] == ["X"] * 3  # gone, and their end was noted


def test_copies_are_gone_after_an_error() -> None:
    with (
        pytest.raises(RuntimeError, match="while reading"),
        copies_running(SLEEP, 2, settle_s=0.1) as pids,
    ):
        raise RuntimeError("while reading")
    assert [process_state(pid) for pid in pids] == ["X"] * 2


def test_fixed_addresses_are_equal_and_random_ones_are_not() -> None:
    starts = {}
    for aslr in (True, False):
        with copies_running(SLEEP, 3, aslr=aslr, settle_s=0.2) as pids:
            starts[aslr] = [
                next(one.start for one in mappings(pid) if one.name == "[stack]") for pid in pids
            ]
    assert len(set(starts[False])) == 1
    if Path("/proc/sys/kernel/randomize_va_space").read_text().strip() != "0":
        assert len(set(starts[True])) == 3


def test_random_addresses_also_where_virtlab_itself_has_fixed_ones() -> None:
    script = textwrap.dedent("""
        import ctypes
        ctypes.CDLL(None).personality(0x0040000)
        from virtlab.memory.live.copies import copies_running
        from virtlab.memory.live.procfs import mappings
        with copies_running(["sleep", "60"], 3, settle_s=0.2) as pids:
            print(len({mappings(pid)[0].start for pid in pids}))
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "3"


def test_it_waits_until_the_program_is_at_rest() -> None:
    busy = "import time; t = time.time()\nwhile time.time() - t < 1.5: pass\nx = 7\ntime.sleep(60)"
    start = time.monotonic()
    with copies_running([sys.executable, "-c", busy], 1):
        assert time.monotonic() - start > 1.5 + 0.9


def test_a_script_that_starts_the_program_is_not_at_rest() -> None:
    script = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', sys.argv[1]])\n"
    busy = "import time; t = time.time()\nwhile time.time() - t < 1.5: pass"
    start = time.monotonic()
    with copies_running([sys.executable, "-c", script + "time.sleep(60)", busy], 1):
        assert time.monotonic() - start > 1.5 + 0.9


def test_children_of_a_copy_are_found_and_end_with_it() -> None:
    with copies_running(["sh", "-c", "sleep 61 & sleep 62 & wait"], 1, settle_s=0.5) as pids:
        found = children(pids[0])
        assert len(found) == 2
    assert _gone(found)


def test_a_program_that_reads_its_input_waits() -> None:
    with copies_running(["cat"], 1, settle_s=0.3) as pids:
        assert process_state(pids[0]) == "T"


def test_the_program_gets_the_usual_signals() -> None:
    with copies_running(SLEEP, 1, settle_s=0.1) as pids:
        status = Path(f"/proc/{pids[0]}/status").read_text()
        ignored = int(status.split("SigIgn:")[1].split()[0], 16)
    assert not ignored & 1 << (signal.SIGPIPE - 1)  # Python ignores it; the program should not


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([], "command = '': must be a program and its arguments"),
        (["no-such-program"], "'no-such-program': must be a program that is installed"),
        (["true"], "keeps running: it ended with status 0"),
        (["sh", "-c", "exit 3"], "keeps running: it ended with status 3"),
        (["sh", "-c", "echo no such port >&2; exit 1"], "1; its last words: no such port"),
        (["sh", "-c", "kill -9 $$"], "keeps running: it was ended by signal 9"),
    ],
)
def test_a_command_that_gives_nothing_to_look_at(command: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError) as error, copies_running(command, 2):
        pass
    assert message in str(error.value)


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    with (
        pytest.raises(PermissionError, match="is a file, but not one that can be run"),
        copies_running([str(text)], 1),
    ):
        pass


def test_a_program_that_the_kernel_refuses(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    with pytest.raises(PermissionError, match="can't be started: Exec format error"):  # noqa: SIM117
        with copies_running([str(broken)], 1):
            pass


@pytest.mark.parametrize("aslr", [True, False])
def test_a_system_that_keeps_randomisation_as_it_is(
    monkeypatch: pytest.MonkeyPatch, *, aslr: bool
) -> None:
    # A container's rules answer personality() with an error, as this launcher's libc does.
    refusing = under_test._LAUNCHER.replace(
        "libc = ctypes.CDLL(None)",
        "libc = type('C', (), {'prctl': print, 'personality': F()})()",
    )
    state = 0x0040000 if aslr else 0
    fake = (
        "\nclass F:\n    def __call__(self, persona):\n"
        f"        return {state} if persona == 0xFFFFFFFF else -1\n"
    )
    monkeypatch.setattr(under_test, "_LAUNCHER", fake + refusing)
    with (
        pytest.raises(
            PermissionError, match=f"switch address randomisation {'on' if aslr else 'off'}"
        ),
        copies_running(SLEEP, 1, aslr=aslr),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_copies_end_when_virtlab_is_ended(number: signal.Signals) -> None:
    script = textwrap.dedent("""
        import signal, time
        # These tests may run under nohup, or in the background, where shells ignore both.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from virtlab.memory.live.copies import copies_running
        with copies_running(["sleep", "60"], 3, settle_s=0.1) as pids:
            print(*pids, flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 3
        os.kill(process.pid, number)
        assert process.wait(20) != 0
    assert _gone(pids)


@pytest.mark.parametrize("settle", [-1, float("nan")])
def test_a_settling_time_is_a_time(settle: float) -> None:
    with (
        pytest.raises(InvalidInputError, match="settle"),
        copies_running(SLEEP, 1, settle_s=settle),
    ):
        pass
