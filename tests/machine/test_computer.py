"""The guest computer: when interrupts come, where faults go, how a guest ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import (
    CODE,
    COUNT_IN_EBX,
    EXIT,
    PAGING_ON,
    handle,
    map_pages,
    out,
    set_up,
    timer_set_up,
    with_timer,
)
from virtlab.machine.computer import Computer
from virtlab.machine.segments import Segment
from virtlab.validate import InvalidInputError


def start(computer: Computer, code: str) -> Computer:
    computer.load_code(bytes.fromhex(code))
    return computer


@settings(deadline=None, max_examples=15)
@given(st.integers(60, 200), st.integers(1, 3))
def test_timer_interrupts_come_at_exact_instructions(count: int, tick: int) -> None:
    computer = with_timer(count, "ebfe", tick=tick)
    steps = [computer.step() for _ in range(1200)]
    came = [step.time for step in steps if step.kind == "interrupt"]
    armed = 2 + 3 * 8  # the count's second byte is written by the last of these instructions
    first = armed - 1 + count * tick
    assert came == list(range(first, computer.clock.now, count * tick))
    assert computer.processor.registers["EBX"] == len(came)


def test_a_run_replays() -> None:
    def once() -> tuple[bytes, list[tuple[int, int]]]:
        computer = with_timer(77, "40 ebfd", history=0)
        seen = []
        for _ in range(2000):
            step = computer.step()
            seen.append((step.time, step.address))
        return bytes(computer.processor.registers.data), seen

    assert once() == once()


def test_halt_waits_for_the_timer_and_no_time_is_lost() -> None:
    # hlt; cmp ebx, 5; jb hlt; exit
    computer = with_timer(1000, "f4 83fb05 72fa" + EXIT)
    run = computer.run(100_000)
    assert (run.ended, computer.processor.registers["EBX"]) == ("exit", 5)
    assert run.traps == {("int 0x20", "device"): 5}
    assert run.waited > 4000
    # Five periods, from when the count was written to the exit soon after the fifth event.
    assert 5000 < run.instructions + run.waited < 5100


def test_interrupts_wait_for_if() -> None:
    computer = start(set_up(), timer_set_up(10) + "90" * 40 + "fb 90 90")
    handle(computer, 0x20, COUNT_IN_EBX)
    kinds = [computer.step() for _ in range(24 + 40 + 2)]
    assert all(step.kind == "instruction" for step in kinds)  # the one after STI too
    assert computer.step().kind == "interrupt"


def test_halted_with_interrupts_off_is_for_good() -> None:
    computer = start(set_up(), "fa f4")
    run = computer.run(1000)
    assert (run.ended, run.exit_status, run.instructions) == ("halted", None, 2)
    assert "for good" in run.explain()
    assert computer.step().kind == "halted"


def test_what_is_typed_wakes_a_halted_guest() -> None:
    # Serial interrupts on; the handler reads the byte and sends it back, one more.
    set_up_pic = "".join(
        out(port, value) for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1))
    )
    computer = start(set_up(), set_up_pic + out(0x21, 0xEF) + out(0x3F9, 1) + "fb f4 ebfd")
    handle(computer, 0x24, "50 52 66baf803 ec fec0 ee" + out(0x20, 0x20) + "5a 58 cf")
    assert computer.run(1000).ended == "halted"
    computer.uart.type(b"HAL")
    run = computer.run(1000)
    assert (run.ended, run.text) == ("halted", "IBM")
    assert run.traps == {("int 0x24", "device"): 3}


def test_a_fault_goes_to_its_handler_with_its_code() -> None:
    computer = start(set_up(), "b8 ff000000 8ed8")  # mov ds, 0xff: beyond the table
    at = handle(computer, 13, "58 cf")
    computer.step()
    step = computer.step()
    assert step.kind == "trap"
    assert step.what in {"MOV DS,AX", "MOV DS,EAX"}  # as pypcode 3 and 4 write it
    assert step.traps == (("#GP", "exception"),)
    assert computer.address == at
    computer.step()
    assert computer.processor.registers["EAX"] == 0xFC


def test_a_page_fault_says_where() -> None:
    computer = start(set_up(), PAGING_ON + "a1 fcff1f00")  # mov eax, [0x1ffffc]
    map_pages(computer)
    handle(computer, 14, "0f20d0 f4")  # mov eax, cr2
    run = computer.run(100)
    assert (run.ended, run.traps) == ("halted", {("#PF", "exception"): 1})
    assert computer.processor.registers["EAX"] == 0x1FFFFC
    assert "not present" in next(s.why for s in computer.history if s.kind == "trap")


def test_a_call_of_the_kernel_is_counted() -> None:
    computer = start(set_up(), "cd80 f4")
    handle(computer, 0x80, "cf", ring=3)
    assert computer.run(100).traps == {("int 0x80", "instruction"): 1}


def test_a_missing_handler_is_a_double_fault() -> None:
    computer = start(set_up(), "31c9 f7f1")  # xor ecx, ecx; div ecx
    handle(computer, 8, "f4")
    run = computer.run(100)
    assert run.ended == "halted"
    assert run.traps == {("#DE", "exception"): 1, ("#DF", "exception"): 1}


def test_a_benign_fault_without_handler_is_a_protection_fault() -> None:
    computer = start(set_up(), "0f0b")  # ud2
    handle(computer, 13, "f4")
    run = computer.run(100)
    assert run.traps == {("#UD", "exception"): 1, ("#GP", "exception"): 1}


def test_a_triple_fault_shuts_down() -> None:
    computer = start(set_up(), "31c9 f7f1")
    run = computer.run(100)
    assert run.ended == "shutdown"
    assert "triple fault" in run.explain()
    assert run.why.startswith("#DE: division by zero; then #GP")
    with pytest.raises(InvalidInputError, match="has not ended"):
        computer.step()
    computer.step_back()
    assert (computer.ended, computer.traps) == ("", {})


def test_an_interrupt_without_handler_is_a_protection_fault() -> None:
    computer = with_timer(40, "ebfe")
    computer.memory.write(0x81000 + 8 * 0x20, bytes(8))
    handle(computer, 13, "f4")
    run = computer.run(1000)
    assert run.traps == {("int 0x20", "device"): 1, ("#GP", "exception"): 1}


def test_single_steps_are_trapped() -> None:
    # mov ebx, 0; pushf; or word [esp], 0x100; popf; nop; nop; nop; the handler counts
    computer = start(set_up(), "bb00000000 9c 66810c240001 9d 90 90 90")
    handle(computer, 1, "43 cf")
    steps = [computer.step() for _ in range(10)]
    assert [bool(step.traps) for step in steps] == [False] * 4 + [True, False, False] * 2
    assert computer.processor.registers["EBX"] == 2
    assert computer.traps == {("#DB", "exception"): 2}


def test_a_single_step_ends_a_halt() -> None:
    computer = start(set_up(), "9c 66810c240001 9d f4")
    at = handle(computer, 1, "43 cf")
    for _ in range(4):
        computer.step()
    assert (computer.address, computer.processor.halted) == (at, False)


def test_faults_without_end_are_bounded() -> None:
    computer = start(set_up(), "0f0b")
    handle(computer, 6, "cf")  # comes back to what faults
    run = computer.run(500)
    assert (run.ended, run.instructions, run.waited) == ("limit", 250, 250)


@pytest.mark.parametrize("ring", [0, 3])
def test_a_program_at_ring_3_comes_back_to_its_ring(ring: int) -> None:
    computer = start(set_up(), "cd80 f4")
    at = handle(computer, 0x80, "cf", ring=3)
    if ring == 3:
        computer.processor.set_segment(1, Segment(0x1B, 0, 0xFFFFFFFF, 0xFB))
        computer.processor.set_segment(2, Segment(0x23, 0, 0xFFFFFFFF, 0xF3))
        computer.processor.tr = Segment(0x28, 0x82000, 0x67, 0x8B)
    handle(computer, 13, "f4")
    computer.step()
    assert (computer.address, computer.processor.cpl) == (at, 0)
    assert computer.step().ring == 0
    assert computer.processor.cpl == ring
    run = computer.run(100)  # hlt is for ring 0 alone
    assert run.traps == ({} if ring == 0 else {("#GP", "exception"): 1})


def test_a_bios_has_said_how_much_memory_lies_below_devices() -> None:
    computer = Computer(ram_mib=2, history=0)
    assert computer.memory.read(0x413, 2) == bytes(2)  # before a program is loaded
    computer.load_code(b"\xf4")
    assert int.from_bytes(computer.memory.read(0x413, 2), "little") == 640


def test_a_multiboot_loader_says_what_memory_there_is() -> None:
    computer = start(Computer(ram_mib=3), "f4")
    registers = computer.processor.registers
    assert registers["EAX"] == 0x2BADB002
    words = computer.memory.read(registers["EBX"], 12)
    assert [int.from_bytes(words[k : k + 4], "little") for k in (0, 4, 8)] == [1, 640, 2048]
    assert computer.processor.registers.flag("IF") == 0


def test_only_a_new_computer_is_loaded() -> None:
    computer = start(Computer(ram_mib=2), "f4")
    with pytest.raises(InvalidInputError, match="computer"):
        computer.load_code(b"\xf4")
    with pytest.raises(InvalidInputError, match="address"):
        Computer(ram_mib=1).load_code(b"\xf4", CODE)
    with pytest.raises(InvalidInputError, match="ram_mib"):
        Computer(ram_mib=0)
