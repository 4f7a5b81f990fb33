"""The guest's console: what goes in and comes out, what waiting costs, and that a run repeats."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.oracle import NO_QEMU, QEMU
from tests.machine.small_guests import CODE, DECODER, handle, out, set_up
from tests.machine.test_guests import compiler, needs_gcc
from virtlab.datasets import changed_files
from virtlab.machine.computer import Computer
from virtlab.machine.console import Console
from virtlab.machine.guests import FOLDER, SHELL, shell
from virtlab.machine.image import load
from virtlab.machine.key_script import parse_keys, write_keys
from virtlab.machine.terminal import Escape, RawTerminal
from virtlab.machine.translation.tiers import TIERS
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from virtlab.machine.guest_run import GuestRun

NEEDS = {"wasm": "wasmtime", "llvm": "llvmlite"}
DISK = b"".join(bytes([65 + number]) * 512 for number in range(4))
SCRIPT = b"""\
help
echo  two  words
calc 2+3*(4-5) - -7%4
calc -2147483648 / -1
calc 7/0
calc (1
calc 1)
calc
primes 30
read 2
write 3 a line
read 3
read 4
read 268435456
write
wait 2
nothing
mistake\b\b\b\b\b\b\b\bcalc 1
exit 5
"""


@pytest.fixture
def wire() -> Iterator[tuple[int, int, int, int]]:
    """Return two pipes: to the guest, and from it."""
    ends = (*os.pipe(), *os.pipe())
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def new(tier: str = "interpreter", **more: object) -> Computer:
    if tier in NEEDS:
        pytest.importorskip(NEEDS[tier], reason=f"{NEEDS[tier]} is not installed")
    made = Computer(2, disk=DISK, history=0, decoder=DECODER, tier=tier, **more)  # type: ignore[arg-type]  # keys
    made.load(load(shell(), 2 << 20))
    return made


def talk(script: bytes, tier: str = "interpreter") -> tuple[GuestRun, bytes, Console, Computer]:
    """Run the shell with a script in a pipe; return what came out of the other one too."""
    read, write = os.pipe()
    out_read, out_write = os.pipe()
    os.write(write, script)
    os.close(write)
    made, console = new(tier), Console(read, out_write)
    run = made.run(1 << 40, console=console)
    os.close(out_write)
    with os.fdopen(out_read, "rb") as stream:
        said = stream.read()
    os.close(read)
    return run, said, console, made


def state(made: Computer) -> tuple[bytes, bytes, int]:
    registers = bytes(made.processor.registers.data[:64])
    return registers, bytes(made.memory.data), made.processor.instructions


@pytest.mark.parametrize("tier", TIERS)
def test_the_shell_answers_and_its_recorded_keys_repeat_the_run(tier: str) -> None:
    run, said, console, made = talk(SCRIPT, tier)
    assert (run.ended, run.exit_status, run.output) == ("exit", 5 * 2 + 1, said)
    answers = said.decode().split("> ")
    assert answers[0] == "virtlab shell; try help\n"
    assert answers[2] == "echo  two  words\ntwo  words\n"
    ends = [answer.splitlines()[-1] for answer in answers[3:10]]
    assert ends[0] == f"{2 + 3 * (4 - 5) + 7 % 4}"
    assert ends[1:4] == ["-2147483648", "division by zero", "a bracket is open"]
    assert ends[4:] == ["this is no sum", "a number is missing", "primes: 10"]
    assert answers[10].startswith("read 2\n" + "43 " * 16 + "C" * 16 + "\n")
    assert "a line.........." in answers[11]
    assert answers[11].split("\n")[1:] == answers[12].split("\n")[1:]
    assert [a.splitlines()[-1] for a in answers[13:16]] == [
        *("there is no such sector",) * 2,
        "which sector?",
    ]
    assert answers[16] == "wait 2\nhundredths of a second: 2\n"
    assert answers[17] == "nothing\nno such command; try help\n"
    assert answers[18].endswith("calc 1\n1\n")
    assert made.disk is not None
    assert made.disk.contents() == DISK[:1536] + b"a line".ljust(512, b"\0")
    assert bytes(key.byte for key in console.typed) == SCRIPT
    # The same from the keys alone, interpreted; the text of a file brings them back.
    again = new(keys=parse_keys(write_keys(console.typed)))
    repeated = again.run()
    assert (repeated.output, repeated.ended) == (run.output, run.ended)
    assert (repeated.instructions, repeated.waited) == (run.instructions, run.waited)
    assert repeated.traps == run.traps
    assert state(again) == state(made)


@pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
def test_qemu_says_the_same_to_the_same_input(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(DISK)
    assert QEMU is not None
    run = subprocess.run(
        [
            *(QEMU, "-kernel", str(shell()), "-m", "32", "-accel", "tcg", "-cpu", "486"),
            *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
            *("-drive", f"file={image},format=raw,if=ide"),
        ],
        input=SCRIPT, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    ours, said, _, made = talk(SCRIPT)
    assert run.returncode == ours.exit_status
    # What an IDE disk has behind its end differs: theirs is as large as ours, or rounded up.
    assert run.stdout == said
    assert made.disk is not None
    assert image.read_bytes() == made.disk.contents()


def test_it_ends_when_nothing_more_can_come() -> None:
    run, said, _, _ = talk(b"calc 6*7\r")
    assert (run.ended, said) == ("halted", b"virtlab shell; try help\n> calc 6*7\n42\n> ")


def test_more_than_the_port_takes_is_not_lost() -> None:
    # The shell counts primes while 600 bytes wait; it reads them when it is done.
    lines = b"".join(b"echo %d\n" % number for number in range(60))
    run, said, _, _ = talk(b"primes 400\n" + lines + b"exit\n")
    assert run.ended == "exit"
    assert [line for line in said.decode().splitlines() if line.isdigit()] == [*map(str, range(60))]


def test_it_runs_on_at_a_limit_and_at_ctrl_c(wire: tuple[int, int, int, int]) -> None:
    read, write, _, out_write = wire
    made = Computer(2, history=0, decoder=DECODER)
    made.load_code(bytes.fromhex("ebfe"))
    console = Console(read, out_write)
    assert made.run(5000, console=console).ended == "limit"
    assert made.clock.now == 5000
    os.write(write, b"x")
    assert made.run(5000, console=console).instructions == 5000
    assert [(key.time, key.byte) for key in console.typed] == [(5000, ord("x"))]


def test_a_guest_that_waits_costs_nothing_and_its_timer_keeps_time() -> None:
    begun, cpu = time.perf_counter(), time.process_time()
    run, said, _, _ = talk(b"wait 80\nexit\n")
    passed, used = time.perf_counter() - begun, time.process_time() - cpu
    assert said.decode().splitlines()[2] == "hundredths of a second: 80"
    assert run.ended == "exit"
    assert run.waited > 79 * 11932 * 16
    assert passed > 0.78  # it waits as long as it says
    assert used < 0.9 * passed


def test_it_sleeps_until_a_key_comes(wire: tuple[int, int, int, int]) -> None:
    read, write, out_read, out_write = wire
    made = new()

    def type_later() -> None:
        seen = b""
        while not seen.endswith(b"> "):
            seen += os.read(out_read, 100)
        used.append(time.process_time())
        time.sleep(0.7)
        used.append(time.process_time())
        os.write(write, b"exit 1\n")

    used: list[float] = []
    person = threading.Thread(target=type_later)
    person.start()
    run = made.run(console=Console(read, out_write))
    person.join()
    assert (run.ended, run.exit_status) == ("exit", 3)
    assert used[1] - used[0] < 0.2


def test_a_key_cuts_a_timers_wait_short() -> None:
    """The guest's clock stands where the key came, between two ticks, and the keys say so."""
    sets = ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xEE), (0x3F9, 1))
    timer = ((0x43, 0x34), (0x40, 0), (0x40, 0))
    made = set_up(history=0, tick=16)
    handle(made, 0x20, "50" + out(0x20, 0x20) + "58 cf")
    handle(made, 0x24, "66baf803 ec " + out(0xF4, 0))
    code = "".join(out(port, value) for port, value in (*sets, *timer)) + "fb f4 ebfd"
    made.load_code(bytes.fromhex(code), CODE)
    read, write = os.pipe()
    threading.Timer(0.13, os.write, (write, b"!")).start()
    console = Console(read, os.open(os.devnull, os.O_WRONLY))
    run = made.run(console=console)
    os.close(read)
    os.close(write)
    (key,) = console.typed
    ticks = run.traps["int 0x20", "device"]
    assert run.ended == "exit"
    assert 65536 * 16 * ticks < key.time < 65536 * 16 * (ticks + 1) + 1000
    assert 1 <= ticks <= 60


@given(st.lists(st.binary(max_size=8), max_size=6))
def test_the_escape_finds_its_keys_wherever_a_read_ends(parts: list[bytes]) -> None:
    whole, pieces = Escape(), Escape()
    together, left = whole(b"".join(parts))
    apart, gone = b"", False
    for part in parts:
        if not gone:
            passed, gone = pieces(part)
            apart += passed
    assert (together, left) == (apart, gone)


@pytest.mark.parametrize(
    ("came", "passed", "left"),
    [
        (b"plain\x03\x04", b"plain\x03\x04", False),  # Ctrl-C and Ctrl-D are the guest's
        (b"a\x01Xb", b"a", True),
        (b"a\x1db", b"a", True),
        (b"\x01\x01x", b"\x01x", False),
        (b"\x01y", b"\x01y", False),
    ],
)
def test_what_is_for_us_and_what_is_for_the_guest(came: bytes, passed: bytes, left: bool) -> None:  # noqa: FBT001
    assert Escape()(came) == (passed, left)


def test_a_terminal_is_given_back_as_it_was_after_an_error() -> None:
    termios = pytest.importorskip("termios")
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    during = before

    def fail() -> None:
        nonlocal during
        with RawTerminal(theirs):
            during = termios.tcgetattr(theirs)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not during[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert during[1] == before[1]  # what is written looks as before
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("text", ["1", "1 2 3", "1 x", "x 1", "5 1\n4 1", "1 256", "-1 3", "1.5 3"])
def test_a_script_of_keys_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="keys"):
        parse_keys(text)


@needs_gcc
def test_the_shell_builds_without_a_warning_to_the_same_bytes(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "virtlab/machine/shell"
    shutil.copytree(SHELL, copy)
    shutil.copytree(FOLDER, copy.parent / "program")
    (copy / "shell.elf").unlink()
    (tmp_path / "tools").mkdir()
    tool = shutil.copy(root / "tools/build_guests.py", tmp_path / "tools")
    subprocess.run([sys.executable, tool, "shell"], check=True, capture_output=True)
    assert changed_files(copy) == []
    if re.search(r"\(Debian 12\.2\.0-", compiler()):  # another compiler may choose other code
        assert (copy / "SHA256SUMS").read_bytes() == (SHELL / "SHA256SUMS").read_bytes()
