"""Runs: where they stop, what they tell, and Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.machine.small_guests import EXIT, out, with_timer
from virtlab.machine.bus import Device
from virtlab.machine.computer import Computer
from virtlab.machine.guest_run import GuestRun
from virtlab.machine.guests import GUESTS, guest
from virtlab.machine.image import load
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.guests import Guest

LOOP = "bb00000000 43 a3 00001800 ebf8"  # mov ebx, 0; inc ebx; mov [0x180000], eax; back to inc


def started(code: str) -> Computer:
    computer = Computer(ram_mib=2)
    computer.load_code(bytes.fromhex(code))
    return computer


@pytest.mark.parametrize("one", GUESTS, ids=[one.name for one in GUESTS])
def test_the_guest_programs_run(one: Guest) -> None:
    computer = Computer(ram_mib=2, history=0)
    computer.load(load(one.path(), ram_bytes=2 << 20))
    run = computer.run(40_000)
    assert (run.ended, run.instructions) == ("limit", 40_000)
    assert not run.traps


def test_a_guest_program_ends_with_its_instructions_counted() -> None:
    computer = Computer(ram_mib=2, history=0)
    computer.load(load(guest("sieve").path(), ram_bytes=2 << 20))
    run = computer.run(200_000)
    assert (run.ended, run.exit_status) == ("exit", 1)
    # Unicorn counts the HLT after the exit too.
    assert run.instructions == guest("sieve").instructions - 1
    assert run.text == "primes below 8000: 1007\nthe last is 7993\n"


def test_the_limit_counts_what_is_done() -> None:
    computer = started(LOOP)
    assert [computer.run(100).instructions for _ in range(3)] == [100] * 3
    assert computer.processor.registers["EBX"] == 100
    with pytest.raises(InvalidInputError, match="max_instructions"):
        computer.run(0)


def test_a_run_stops_at_a_breakpoint_and_goes_on_from_it() -> None:
    computer = started(LOOP)
    computer.breakpoints.add(0x100005)
    for times in range(1, 4):
        run = computer.run(1000)
        assert (run.ended, computer.address) == ("breakpoint", 0x100005)
        assert computer.processor.registers["EBX"] == times - 1
    computer.breakpoints.clear()
    assert computer.run(10).ended == "limit"


def test_a_run_stops_where_watched_memory_changes() -> None:
    computer = started("b8 01000000 40 a3 00001800 ebf8")
    computer.watches.append((0x180002, 1))  # only the third byte
    run = computer.run(2_000)
    assert run.ended == "limit"
    computer.processor.registers["EAX"] = 0xFFF0
    run = computer.run(200)
    assert (run.ended, computer.memory.read(0x180000, 4)) == ("watch", b"\0\0\x01\0")
    assert computer.history[-1].what.startswith("MOV [0x180000]")


class Nuisance(Device):
    """A device in whose middle Ctrl-C comes."""

    name = "nuisance"
    ports = range(0x300, 0x301)
    kept = ("times",)

    def __init__(self) -> None:
        self.times = 0

    def read(self, port: int, size: int) -> int:
        return self.times

    def write(self, port: int, size: int, value: int) -> None:
        signal.raise_signal(signal.SIGINT)
        self.times += 1


@pytest.fixture
def heeded() -> Iterator[None]:
    """Let Ctrl-C be heard, also where the tests were started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_within_a_step_stops_after_it() -> None:
    computer, device = Computer(ram_mib=2), Nuisance()
    computer.bus.add(device)
    computer.load_code(bytes.fromhex("90 90" + out(0x300, 5) + "90 ebfe"))
    run = computer.run(1000)
    assert (run.ended, run.instructions, device.times) == ("interrupted", 5, 1)
    assert "interrupted" in run.explain()
    assert computer.run(1000).ended == "limit"  # it goes on from there
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("heeded")
def test_a_second_ctrl_c_is_raised_and_the_step_taken_back() -> None:
    class Stubborn(Nuisance):
        def write(self, port: int, size: int, value: int) -> None:
            self.times += 1
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    computer, device = Computer(ram_mib=2), Stubborn()
    computer.bus.add(device)
    computer.load_code(bytes.fromhex(out(0x300, 5)))
    with pytest.raises(KeyboardInterrupt):
        computer.run(1000)
    assert (computer.processor.instructions, device.times, len(computer.history)) == (2, 0, 2)


def test_in_another_thread_signals_are_left_alone() -> None:
    computer, runs = started(LOOP), list[GuestRun]()
    thread = threading.Thread(target=lambda: runs.append(computer.run(50)))
    thread.start()
    thread.join()
    assert runs[0].ended == "limit"


def test_a_run_tells_what_trapped_in_it() -> None:
    computer = with_timer(50, "ebfe")
    first, second = computer.run(200), computer.run(500)
    assert first.traps == {("int 0x20", "device"): 3}
    assert second.traps == {("int 0x20", "device"): 10}
    assert second.summary()["interrupts"] == 10
    assert second.to_frame().to_dict("records") == [
        {"trap": "int 0x20", "how": "device", "times": 10}
    ]


def test_a_result_in_words_and_numbers() -> None:
    computer = started(out(0x3F8, 0xFF) + EXIT)
    run = computer.run(100, progress=True)
    assert run.text == "\ufffd"
    assert run.summary()["output_bytes"] == 1
    assert run.to_json()["exit_status"] == 1
    assert "Nothing trapped" in run.explain()
    assert run.to_frame().empty


def test_a_computer_loads_nothing_that_it_can_do_without() -> None:
    heavy = ["numpy", "pandas", "tqdm", "matplotlib", "wasmtime", "llvmlite"]
    heavy += ["virtlab.machine.translation.translator", "virtlab.machine.translation.lifting"]
    code = (
        "import sys; from virtlab.machine.computer import Computer; c = Computer(2, history=0); "
        "c.load_code(bytes.fromhex('b001 e6f4')); assert c.run().ended == 'exit'; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("history", [0, 4])
def test_to_proceed_is_a_step_that_nobody_is_told_of(history: int) -> None:
    code = "fb b40f cd80 f4"  # sti; mov ah,15; int 0x80: there is no such gate; hlt
    told, quiet = (Computer(ram_mib=2, history=history) for _ in range(2))
    for computer in (told, quiet):
        computer.load_code(bytes.fromhex(code))
    for _ in range(3):
        told.step()
        quiet.proceed()
        assert quiet.processor.registers.data == told.processor.registers.data
        assert (quiet.clock.now, quiet.traps) == (told.clock.now, told.traps)
        assert [step.what for step in quiet.history] == [step.what for step in told.history]
    assert told.shutdown
    assert told.shutdown == quiet.shutdown
