"""An interrupt before every single instruction: each tier ends as the interpreter does.

A program is run up to a point, and the machine is noted there. Then, once for each of the
instructions that follow, the timer is set to interrupt before it, and the machine runs on, beyond
the handler. Nothing is left out: each place of the stretch is tried, in the program and in what the
kernel does for it.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.machine.llvm_pool import at_once
from tests.machine.small_guests import COUNT_IN_EBX, DECODER, DIRECTORY, TABLE, handle, set_up
from tests.machine.small_guests import timer_set_up as timer
from tests.machine.translated import seen
from virtlab.machine.computer import Computer
from virtlab.machine.guests import kernel
from virtlab.machine.history import restore_processor, save_processor
from virtlab.machine.image import load

if TYPE_CHECKING:
    from virtlab.machine.history import ProcessorState

BEYOND = 120  # instructions that are run after the interrupt

# Strings, sums, a product and a quotient, shifts, bits, a choice, flags that are pushed, a frame
# (`enter` is a callout), and a call; at last a jump back to its start.
WORK = (
    "bf00001800 be40001800 b903000000 f3a5 b902000000 f3aa"
    "b807000000 bb05000000 01d8 11c3 29d8 19c3 40 4b f7e3 89c6 31d2 83cb01 f7f3"
    "88c4 d3e0 0fa3c8 0f42c3 0fbdc6 99 c1fb02 f7db 9c 58 c8080000 c9 e808000000 0fb6c8 7401 48"
    "eb{back} 83c003 0f90c2 c3"
)


def work() -> str:
    before = bytes.fromhex(WORK.partition("{")[0])
    return WORK.format(back=f"{-(len(before) + 1) & 0xFF:02x}")


def ring_0(tier: str) -> tuple[Computer, int]:
    """Return a computer that works at ring 0, and after how many instructions it does."""
    computer = set_up(history=0, tier=tier)
    handle(computer, 0x20, COUNT_IN_EBX)
    begin = bytes.fromhex("bcf0ff0800" + timer(0xFFFF) + "fb")
    computer.load_code(begin + bytes.fromhex(work()))
    return computer, 1 + 8 * 3 + 1


def ring_3(tier: str) -> tuple[Computer, int]:
    """Return one that does the same at ring 3, on pages, under a handler at ring 0."""
    computer = set_up(history=0, tier=tier)
    computer.memory.write(DIRECTORY, struct.pack("<I", TABLE | 7))
    computer.memory.write(TABLE, b"".join(struct.pack("<I", at << 12 | 7) for at in range(512)))
    handle(computer, 0x20, COUNT_IN_EBX)
    # Paging; ds, es; ltr; push ss, esp, eflags, cs, eip; iretd to what follows
    begin = (
        timer(0xFFFF) + f"b8{struct.pack('<I', DIRECTORY).hex()} 0f22d8 0f20c0 0d00000080 0f22c0"
    )
    begin += "66b82300 8ed8 8ec0 66b82800 0f00d8 bcf0ff0800"
    begin += "6a23 68f0ff0700 6802020000 6a1b e800000000 83042405 cf"
    computer.load_code(bytes.fromhex(begin + work()))
    return computer, 8 * 3 + 5 + 3 + 3 + 7


def ring_3_of_the_kernel(tier: str) -> tuple[Computer, int]:
    """Return the small kernel, shortly before a process asks it for something."""
    computer = Computer(4, history=0, tier=tier, decoder=DECODER)
    computer.load(load(kernel(), 4 << 20))
    return computer, first_call() - 70


@cache
def first_call() -> int:
    """Return when a process of the small kernel first asks for something."""
    computer = Computer(4, history=0, tier="interpreter", decoder=DECODER)
    computer.load(load(kernel(), 4 << 20))
    while True:
        step = computer.step()
        if step.ring == 3 and step.what.startswith("INT "):
            return step.time


class Noted(NamedTuple):
    """A machine at one moment."""

    processor: ProcessorState
    memory: bytes
    devices: tuple[tuple[Any, ...], ...]


def note(computer: Computer) -> Noted:
    memory = bytes(computer.memory.data)
    return Noted(save_processor(computer.processor), memory, computer.bus.save())


def back(computer: Computer, noted: Noted) -> None:
    computer.memory.data[:] = noted.memory
    restore_processor(computer.processor, noted.processor)
    computer.bus.restore(noted.devices)
    computer.clock.waited, computer.shutdown = 0, ""
    computer.traps.clear()
    if computer.translator is not None:
        computer.translator._paging_changed(None)
        computer.translator._at_entry = True


PROGRAMS = {"ring 0": ring_0, "ring 3": ring_3, "the small kernel": ring_3_of_the_kernel}
STRETCH = {"ring 0": 60, "ring 3": 60, "the small kernel": 85}


def begun(program: str, tier: str) -> tuple[Computer, Noted]:
    """Run to where it begins to be of interest; let a tier see the code that follows."""
    computer, before = PROGRAMS[program](tier)
    at_once(computer).run(before)
    noted = note(computer)
    if computer.translator is not None:
        for after in (STRETCH[program], 7):
            back(computer, noted)
            computer.pit.next = computer.clock.now + after
            computer.run(STRETCH[program] + 2 * BEYOND)
        computer.translator.heat.hot = 1 << 60  # enough is known now
        computer.translator.counts.clear()
    return computer, noted


def interrupted(computer: Computer, noted: Noted, after: int) -> dict[str, Any]:
    """Go back, and on, with an interrupt after so many instructions."""
    back(computer, noted)
    computer.pit.next = computer.clock.now + after
    run = computer.run(after + BEYOND)
    return seen(computer, run)


@cache
def interpreted(program: str) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """Return all ends in the interpreter, and (ring, address) of each place."""
    computer, noted = begun(program, "interpreter")
    ends = [interrupted(computer, noted, after) for after in range(STRETCH[program])]
    back(computer, noted)
    computer.pit.next = None
    steps = [computer.step() for _ in range(STRETCH[program])]
    return ends, [(step.ring, step.address) for step in steps]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_interrupt_before_each_instruction(program: str, tier: str) -> None:
    ends, _ = interpreted(program)
    computer, noted = begun(program, tier)
    for after, end in enumerate(ends):
        assert interrupted(computer, noted, after) == end, after
    assert computer.translator is not None
    done = computer.translator.counts["instructions"]
    assert done > 0.3 * sum(end["counts"][0] for end in ends)


@pytest.mark.parametrize("program", PROGRAMS)
def test_that_is_every_place_of_the_program_and_it_matters(program: str) -> None:
    """All of the work at its ring, once round at least; most places give an end of their own."""
    ends, places = interpreted(program)
    if program == "the small kernel":
        assert {ring for ring, _ in places} == {0, 3}  # the process's code, and the kernel's
        assert len(set(places)) > 20
    else:
        assert {ring for ring, _ in places} == {int(program[-1])}
        assert places[0] in places[1:]  # once round
    for (ring, address), end in zip(places, ends, strict=True):
        came = "device" in {how for _, how in end["counts"][2]}
        assert came or (program == "the small kernel" and ring == 0), hex(address)  # IF is 0 there
    assert len({end["memory"] for end in ends}) > len(ends) // 2
