"""The small kernel: its two processes take turns, and may not do what is not theirs; as in QEMU."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.machine.oracle import NO_QEMU, QEMU, boot
from tests.machine.test_guests import compiler, needs_gcc
from virtlab.datasets import changed_files
from virtlab.machine.computer import Computer
from virtlab.machine.guests import KERNEL, kernel
from virtlab.machine.image import load

if TYPE_CHECKING:
    from pathlib import Path

    from virtlab.machine.image import Image

RAM = 2 * 2**20
ROUNDS, STEPS = 5, 3600
HEAP, KERNEL_PAGE, STACK = 0x500000, 0x100000, range(0x401000, 0x402000)
STAGES = [
    "kernel: at ring 0, in protected mode",
    "kernel: GDT, IDT and TSS are there",
    "kernel: paging is on",
    "kernel: the timer ticks",
    "kernel: processes A and B are made; now to ring 3",
]
LINE = re.compile(r"([AB]): round (\d): at 0x(\w{8}) is 0x(\w{8})")
COUNTS = re.compile(
    r"kernel: no process is left; ticks (\d+), switches (\d+), system calls (\d+), "
    r"page faults (\d+)"
)


@dataclass
class Watched:
    """A run, and what was seen at each step that was no instruction of a process's own."""

    text: str
    instructions: int
    rings: Counter[int]
    interrupted: list[tuple[int, int, int]]  # ring, and directory before and after
    faults: list[tuple[int, str]]
    traps: Counter[tuple[str, str]]

    def __post_init__(self) -> None:
        self.lines = self.text.splitlines()


def image_of_it() -> Image:
    return load(kernel(), RAM)


PROGRAM_FRAME = image_of_it().symbols["program_frame"].address


def booted(*, history: int = 0) -> Computer:
    computer = Computer(2, history=history)
    computer.load(image_of_it())
    return computer


def watch() -> Watched:
    """Run the kernel to its end, and look at each step."""
    computer = booted()
    rings: Counter[int] = Counter()
    interrupted, faults = [], []
    registers = computer.processor.registers
    while not computer.ended:
        before = registers["CR3"]
        step = computer.step()
        rings[step.ring] += 1
        if step.kind == "interrupt":
            # The directory that the handler leaves for: it is chosen before the next instruction
            # at ring 3.
            while computer.processor.cpl == 0 and not computer.ended:
                rings[computer.step().ring] += 1
            interrupted.append((step.ring, before, registers["CR3"]))
        elif step.kind == "trap":
            faults.append((step.ring, step.why))
    assert computer.ended == "exit"
    assert computer.exit_port.status == 1  # the kernel's 0, times two and one
    text = computer.uart.output.decode()
    done = computer.processor.instructions
    return Watched(text, done, rings, interrupted, faults, computer.traps)


@pytest.fixture(scope="module")
def run() -> Watched:
    return watch()


def work(name: str) -> list[int]:
    """Return what a process's variable holds after each round."""
    value, values = ord(name), []
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            value = (value * 1664525 + 1013904223) % 2**32
        values.append(value)
    return values


def assert_says_what_it_should(text: str) -> tuple[int, int]:
    """Check each line but for the order of the processes'; return ticks and switches."""
    lines = text.splitlines()
    assert lines[: len(STAGES)] == STAGES
    counts = COUNTS.fullmatch(lines[-1])
    assert counts is not None
    ticks, switches, calls, faults = map(int, counts.groups())
    assert (calls, faults) == (2 * ROUNDS + 2, 2)  # their lines, one for the heap, A's exit
    told = [(m[1], int(m[2]), int(m[3], 16), int(m[4], 16)) for m in map(LINE.match, lines) if m]
    places = {place for _, _, place, _ in told} - {HEAP}
    assert len(places) == 1  # the same address in both, and another value
    (place,) = places
    assert place in STACK
    a = [("A", n, place, value) for n, value in enumerate(work("A"), 1)]
    b = [("B", n, place, value) for n, value in enumerate(work("B"), 1)]
    assert [one for one in told if one[0] == "A"] == [*a[:3], ("A", 3, HEAP, a[2][3]), *a[3:]]
    assert [one for one in told if one[0] == "B"] == b
    rest = [line for line in lines[len(STAGES) : -1] if not LINE.match(line)]
    on_purpose = "kernel: page fault at 0x00500000, error code 6: ring 3 writes to a page that is "
    forbidden = "kernel: page fault at 0x00100000, error code 5: ring 3 reads a page that is not "
    a_lines = [on_purpose + "not there", "kernel: A has called exit"]
    b_lines = [forbidden + "for it", "kernel: B is ended for that"]
    assert sorted(rest) == sorted(a_lines + b_lines)
    assert [line for line in rest if line in a_lines] == a_lines
    assert [line for line in rest if line in b_lines] == b_lines
    return ticks, switches


def turns(lines: list[str]) -> int:
    """Return how often a line of one process comes after one of the other."""
    names = [m[1] for m in map(LINE.match, lines) if m]
    return sum(one != other for one, other in pairwise(names))


def test_it_was_built_from_the_sources_that_are_here() -> None:
    assert changed_files(KERNEL) == []
    program = (KERNEL / "program.c").read_text()
    assert f"ROUNDS = {ROUNDS}, STEPS = {STEPS}," in program


def test_it_says_what_it_should(run: Watched) -> None:
    ticks, _ = assert_says_what_it_should(run.text)
    assert run.traps == {
        ("int 0x20", "device"): ticks,
        ("int 0x80", "instruction"): 2 * ROUNDS + 2,
        ("#PF", "exception"): 2,
    }


def test_a_run_is_for_an_interpreter_and_repeats(run: Watched) -> None:
    again = booted().run(400_000)
    assert again.ended == "exit"
    assert (again.text, again.instructions) == (run.text, run.instructions)


def test_the_timer_makes_them_take_turns(run: Watched) -> None:
    assert len(run.interrupted) >= 6
    assert {ring for ring, _, _ in run.interrupted} == {3}  # ring 0 is not interrupted
    directories = {before for _, before, _ in run.interrupted}
    assert len(directories) == 2
    ended = 0
    for n, (_, before, after) in enumerate(run.interrupted):
        ended += before == after  # one is over: the other goes on
        assert before != after or n >= len(run.interrupted) - 2
    ticks, switches = assert_says_what_it_should(run.text)
    assert len(run.interrupted) == ticks
    assert switches == ticks - ended + 1  # one more, when the first one is over
    assert turns(run.lines) >= 6


def test_the_processes_are_at_ring_3_and_the_kernel_at_ring_0(run: Watched) -> None:
    assert set(run.rings) == {0, 3}
    assert run.rings[3] > 2 * ROUNDS * STEPS  # the work alone
    assert [ring for ring, _ in run.faults] == [3, 3]
    assert "not present" in run.faults[0][1]
    assert f"{HEAP:#x}" in run.faults[0][1]
    assert f"{KERNEL_PAGE:#x}" in run.faults[1][1]


def test_both_directories_share_the_program_and_the_kernel_but_no_stack(run: Watched) -> None:
    computer = booted()
    assert computer.run(60_000).ended == "limit"

    def entry(table: int, number: int) -> int:
        return int.from_bytes(computer.memory.read((table & ~0xFFF) + 4 * number, 4), "little")

    one, other = sorted({before for _, before, _ in run.interrupted})
    assert entry(one, 0) == entry(other, 0)  # the kernel's table
    assert entry(one, 0) & 4 == 0  # U/S: not for ring 3
    tables = entry(one, 1), entry(other, 1)
    program = {entry(table, 0) for table in tables}
    assert program == {PROGRAM_FRAME | 0x25}  # accessed, user, present
    stacks = {entry(table, 1) for table in tables}
    assert len(stacks) == 2
    assert {stack & 7 for stack in stacks} == {7}


# --- what the two processes do not try ------------------------------------------------------------


def at_a_call(eax: int, ebx: int, ecx: int) -> Computer:
    """Return a computer just before the first system call, which is changed to another one."""
    computer = booted(history=10)
    code = next(s for s in image_of_it().segments if s.address == PROGRAM_FRAME)
    computer.breakpoints |= {0x400000 + m.start() for m in re.finditer(b"\xcd\x80", code.data)}
    assert computer.run(100_000).ended == "breakpoint"
    assert computer.processor.cpl == 3
    registers = computer.processor.registers
    registers["EAX"], registers["EBX"], registers["ECX"] = eax, ebx, ecx
    computer.breakpoints = {computer.address + 2}
    return computer


def test_the_kernel_does_not_read_its_own_memory_for_a_process() -> None:
    computer = at_a_call(1, KERNEL_PAGE, 4)
    registers = computer.processor.registers
    places = [(KERNEL_PAGE, 4), (0x3FFFFF, 4), (0x7FFFFF, 2), (0x401000, 2**32 - 1), (2**32 - 1, 1)]
    for text, length in places:
        registers["EAX"], registers["EBX"], registers["ECX"] = 1, text, length
        assert computer.run(10_000).ended == "breakpoint"
        assert registers["EAX"] == 2**32 - 1
        registers["EIP"] -= 2  # once more
    assert computer.uart.output.decode().splitlines() == STAGES


def test_the_kernel_gets_a_page_for_what_it_reads_for_a_process() -> None:
    computer = at_a_call(1, HEAP + 8, 4)
    run = computer.run(10_000)
    assert run.ended == "breakpoint"
    said = run.text.splitlines()[-2]
    assert said.startswith("kernel: page fault at 0x00500008, error code 0: ring 0 reads a page ")
    assert run.output.endswith(b"\n" + bytes(4))  # a new page holds zeros
    assert computer.processor.registers["EAX"] == 4


def test_a_call_that_reads_where_nothing_is_ends_the_process() -> None:
    computer = at_a_call(1, 0x700000, 4)
    before = computer.processor.registers["CR3"]
    assert computer.run(12_000).ended == "limit"
    assert computer.uart.output.endswith(b"kernel: A is ended for that\n")
    assert computer.processor.cpl == 3
    assert computer.processor.registers["CR3"] != before  # B goes on


NOT_ITS_OWN = "kernel: page fault at {}, error code {}: ring 3 {}"


@pytest.mark.parametrize(
    ("code", "said", "faults"),
    [
        ("fa", "kernel: exception 13 at {place}", 0),  # cli
        ("a3 00004000", NOT_ITS_OWN.format("0x00400000", 7, "writes to a page that is not"), 2),
        ("a1 fcff4f00", NOT_ITS_OWN.format("0x004ffffc", 4, "reads a page that is not there"), 2),
        ("a1 00005100", NOT_ITS_OWN.format("0x00510000", 4, "reads a page that is not there"), 2),
    ],
    ids=["cli", "its program is read only", "below the heap", "above the heap"],
)
def test_a_process_that_does_what_it_may_not_is_ended(code: str, said: str, faults: int) -> None:
    computer = Computer(2, history=0)
    image = image_of_it()
    computer.load(image)
    place = image.symbols["program"].address
    computer.memory.write(PROGRAM_FRAME + place - 0x400000, bytes.fromhex(code))
    run = computer.run(50_000)
    assert (run.ended, run.exit_status) == ("exit", 1)
    lines = run.text.splitlines()[len(STAGES) : -1]
    assert lines[1::2] == ["kernel: A is ended for that", "kernel: B is ended for that"]
    assert lines[0] == lines[2]
    assert lines[0].startswith(said.format(place=f"{place:#010x}"))
    assert run.text.endswith(f"switches 1, system calls 0, page faults {faults}\n")


def test_a_mistake_of_the_kernel_ends_the_machine() -> None:
    computer = Computer(2, history=0)
    image = image_of_it()
    computer.load(image)
    place = image.symbols["make_process"].address
    computer.memory.write(place, bytes.fromhex("a1 00000090"))  # mov eax, [0x90000000]
    run = computer.run(50_000)
    assert (run.ended, run.exit_status) == ("exit", 3)
    end = "page fault at 0x90000000, error code 0: ring 0 reads a page that is not there"
    assert run.text.splitlines()[len(STAGES) - 1 :] == [f"kernel: {end}"]


def test_a_switch_of_processes_is_taken_back_exactly() -> None:
    computer = booted(history=2_000)
    while not computer.traps["int 0x20", "device"]:
        computer.step()
    computer.step_back()
    before = bytes(computer.processor.registers.data), bytes(computer.memory.data)
    steps = 0
    while not steps or computer.processor.cpl == 0:
        computer.step()
        steps += 1
    assert bytes(computer.processor.registers.data) != before[0]
    for _ in range(steps):
        computer.step_back()
    assert (bytes(computer.processor.registers.data), bytes(computer.memory.data)) == before


# --- QEMU, and the build --------------------------------------------------------------------------

needs_qemu = pytest.mark.skipif(QEMU is None, reason=NO_QEMU)


@needs_qemu
def test_qemu_boots_it_in_real_time() -> None:
    output, status = boot(kernel())
    assert status == 1
    assert_says_what_it_should(output)


@needs_qemu
def test_in_qemu_they_take_turns_too_where_time_is_instructions() -> None:
    by_count = ("-icount", "shift=6,sleep=off")  # 64 ns each; a tick of our timer is 52
    output, status = boot(kernel(), more=by_count)
    assert status == 1
    ticks, switches = assert_says_what_it_should(output)
    assert ticks >= 6
    assert switches >= 6
    assert turns(output.splitlines()) >= 6


@needs_gcc
def test_the_sources_build_without_a_warning_to_the_same_bytes(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "virtlab/machine/kernel"
    shutil.copytree(KERNEL, copy)
    (copy / "kernel.elf").unlink()
    (tmp_path / "tools").mkdir()
    tool = shutil.copy(root / "tools/build_guests.py", tmp_path / "tools")
    subprocess.run([sys.executable, tool, "kernel"], check=True, capture_output=True)
    assert changed_files(copy) == []
    load(copy / "kernel.elf", RAM)
    if re.search(r"\(Debian 12\.2\.0-", compiler()):  # another compiler may choose other code
        assert (copy / "SHA256SUMS").read_bytes() == (KERNEL / "SHA256SUMS").read_bytes()
