"""From ring to ring and back: gates, stacks, returns, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtlab.machine.decode import Decoder
from virtlab.machine.encoding import CS, DS, ES, SS
from virtlab.machine.faults import Fault
from virtlab.machine.segments import NULL, Segment, descriptor_bytes
from virtlab.machine.stage import (
    CODE,
    DATA,
    GDT,
    HANDLER,
    IDT,
    STACK,
    TSS,
    code_selector,
    data_selector,
    stage,
)
from virtlab.machine.transfers import deliver

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor

DECODER = Decoder()
INNER_STACK = STACK + 0x1000  # ring 0's, in the task's state


def at(code: str, ring: int = 0, iopl: int = 0) -> Processor:
    processor = stage(ring, iopl, DECODER)
    processor.memory.write(CODE, bytes.fromhex(code))
    return processor


def fault_of(processor: Processor) -> Fault:
    with pytest.raises(Fault) as raised:
        processor.step()
    return raised.value


def words(processor: Processor, count: int) -> list[int]:
    """Return the top of the stack, the top first."""
    top = processor.registers["ESP"]
    return [int.from_bytes(processor.memory.read(top + 4 * k, 4), "little") for k in range(count)]


def push(processor: Processor, *values: int) -> None:
    """Put numbers on the stack, the last one lowest."""
    for value in values:
        processor.registers["ESP"] -= 4
        processor.memory.write(processor.registers["ESP"], value.to_bytes(4, "little"))


@pytest.mark.parametrize("ring", [1, 2, 3])
def test_a_system_call_and_the_way_back(ring: int) -> None:
    processor = at("cd80", ring)
    flags = processor.registers.eflags
    processor.memory.write(HANDLER + 4 * 0x80, bytes.fromhex("cf"))  # iret
    processor.step()
    assert (processor.cpl, processor.registers["EIP"]) == (0, HANDLER + 4 * 0x80)
    assert processor.registers.flag("IF") == 0  # an interrupt gate
    assert processor.registers["ESP"] == INNER_STACK - 20
    old = [CODE + 2, code_selector(ring), flags, STACK, data_selector(ring)]
    assert words(processor, 5) == old
    processor.step()
    assert (processor.cpl, processor.registers["EIP"]) == (ring, CODE + 2)
    assert (processor.registers["ESP"], processor.registers.eflags) == (STACK, flags)
    assert processor.registers["SS"] == data_selector(ring)


def test_at_the_same_ring_the_stack_stays() -> None:
    processor = at("cd80")
    processor.step()
    assert words(processor, 3) == [CODE + 2, code_selector(0), 0x202]
    assert processor.registers["ESP"] == STACK - 12


def test_a_trap_gate_leaves_interrupts_on() -> None:
    processor = at("cd80")
    processor.memory.write(IDT + 8 * 0x80 + 5, b"\xef")
    processor.step()
    assert processor.registers.flag("IF") == 1


def test_an_exception_brings_its_error_code() -> None:
    processor = at("90", ring=3)
    deliver(processor, 13, code=0x1234)
    assert words(processor, 2) == [0x1234, CODE]
    assert processor.cpl == 0


def test_hardware_does_not_ask_the_gates_ring() -> None:
    processor = at("cd20", ring=3)
    fault = fault_of(processor)
    assert (fault.vector, fault.code) == (13, 8 * 0x20 + 2)
    deliver(processor, 0x20)
    assert processor.cpl == 0


@pytest.mark.parametrize(
    ("change", "vector", "code"),
    [
        ((IDT + 8 * 0x80 + 5, b"\x6e"), 11, 8 * 0x80 + 2),  # the gate is not present
        ((IDT + 8 * 0x80 + 5, b"\xe5"), 13, 8 * 0x80 + 2),  # a task gate
        ((IDT + 8 * 0x80 + 2, b"\x00\x00"), 13, 0),  # no segment
        ((IDT + 8 * 0x80 + 2, b"\x10\x00"), 13, 0x10),  # data
        ((IDT + 8 * 0x80 + 2, b"\xf8\x00"), 13, 0xF8),  # beyond the table
        ((GDT + 8 + 5, b"\x1b"), 11, 0x08),  # the handler's segment is not present
        ((TSS + 8, b"\x00\x00"), 10, 0),  # no stack
        ((TSS + 8, b"\x41\x00"), 10, 0x40),  # a stack of another ring
        ((GDT + 0x10 + 5, b"\x13"), 12, 0x10),  # the stack's segment is not present
    ],
)
def test_what_a_kernel_may_have_got_wrong(
    change: tuple[int, bytes], vector: int, code: int
) -> None:
    processor = at("cd80", ring=3)
    processor.memory.write(*change)
    before = bytes(processor.registers.data)
    fault = fault_of(processor)
    assert (fault.vector, fault.code) == (vector, code)
    assert bytes(processor.registers.data) == before
    assert processor.cpl == 3


def test_a_vector_beyond_the_table() -> None:
    processor = at("cd80")
    processor.set_table("idtr", IDT, 8 * 0x80 + 6)
    assert fault_of(processor).code == 8 * 0x80 + 2


def test_int3_into_and_bound() -> None:
    processor = at("cc")
    processor.step()
    assert processor.registers["EIP"] == HANDLER + 12
    quiet = at("ce")
    quiet.step()
    assert quiet.registers["EIP"] == CODE + 1
    over = at("ce")
    over.registers.set_flag("OF", 1)
    over.step()
    assert over.registers["EIP"] == HANDLER + 16
    for index, fine in ((-5, True), (7, True), (-6, False), (8, False)):
        bound = at("6203")  # bound eax, [ebx]
        bound.registers["EAX"], bound.registers["EBX"] = index & 0xFFFFFFFF, DATA
        bound.memory.write(DATA, (-5).to_bytes(4, "little", signed=True) + bytes([7, 0, 0, 0]))
        if fine:
            bound.step()
        else:
            assert fault_of(bound).vector == 5


def test_a_return_may_not_go_inwards() -> None:
    for code, stack in (("cf", (0x202, code_selector(0), CODE)), ("cb", (code_selector(0), CODE))):
        processor = at(code, ring=3)
        push(processor, *stack)
        fault = fault_of(processor)
        assert (fault.vector, fault.code) == (13, code_selector(0))
        assert "no return" in fault.why


def test_a_return_outwards_takes_the_kernels_segments_away() -> None:
    processor = at("cf")
    push(processor, data_selector(3), STACK + 0x500, 0x202, code_selector(3), CODE)
    processor.set_segment(ES, Segment(data_selector(3), 0, 0xFFFFFFFF, 0xF3))
    processor.step()
    assert (processor.cpl, processor.registers["ESP"]) == (3, STACK + 0x500)
    assert processor.segments[DS] == NULL  # ring 0's
    assert processor.segments[ES].dpl == 3  # its own
    assert processor.segments[SS].dpl == 3


@pytest.mark.parametrize("ring", [0, 1, 2, 3])
@pytest.mark.parametrize("iopl", [0, 1, 2, 3])
@pytest.mark.parametrize("code", ["9d", "cf"])
def test_which_flags_a_ring_may_change(ring: int, iopl: int, code: str) -> None:
    """POPF and IRET ask for IF = 0 and another IOPL, and for all arithmetic flags."""
    processor = at(code, ring, iopl)
    wanted = 0x8D5 | 2 | ((iopl + 1) % 4) << 12
    push(processor, *([wanted] if code == "9d" else [wanted, code_selector(ring), CODE]))
    processor.step()
    assert processor.registers.eflags & 0x8D5 == 0x8D5
    assert processor.registers.flag("IF") == (0 if ring <= iopl else 1)
    assert processor.registers.flag("IOPL") == ((iopl + 1) % 4 if ring == 0 else iopl)


def test_popf_of_16_bits_leaves_the_upper_half() -> None:
    processor = at("669d")
    processor.registers.set_flag("ID", 1)
    processor.registers["ESP"] -= 2
    processor.memory.write(processor.registers["ESP"], b"\x02\x00")
    processor.step()
    assert processor.registers.flag("ID") == 1
    assert processor.registers["ESP"] == STACK


@pytest.mark.parametrize(("ring", "fine"), [(0, True), (3, False)])
def test_far_jumps_stay_in_their_ring(ring: int, fine: bool) -> None:  # noqa: FBT001 - a row
    processor = at("ea" + (CODE + 64).to_bytes(4, "little").hex() + "0800", ring)
    if fine:
        processor.step()
        assert processor.registers["EIP"] == CODE + 64
    else:
        assert fault_of(processor).code == 8


def test_conforming_code_runs_at_its_callers_ring() -> None:
    processor = at("9a" + (CODE + 64).to_bytes(4, "little").hex() + "0800" + "90", ring=3)
    processor.memory.write(GDT + 8 + 5, b"\x9f")
    processor.memory.write(CODE + 64, bytes.fromhex("cb"))
    processor.step()
    assert (processor.cpl, processor.registers["CS"]) == (3, 0x0B)
    processor.step()
    assert (processor.registers["EIP"], processor.registers["CS"]) == (CODE + 7, code_selector(3))


def call_gate(processor: Processor, access: int, words_copied: int = 0) -> None:
    """Put a call gate at 0x58 that leads to ring 0."""
    gate = (CODE + 64) | 8 << 16
    high = words_copied | access << 8
    processor.memory.write(GDT + 0x58, gate.to_bytes(4, "little") + high.to_bytes(4, "little"))


def test_a_call_gate_and_the_way_back() -> None:
    processor = at("9a000000005b00" + "90", ring=3)
    call_gate(processor, 0xEC)
    processor.memory.write(CODE + 64, bytes.fromhex("cb"))
    processor.step()
    assert (processor.cpl, processor.registers["EIP"]) == (0, CODE + 64)
    assert words(processor, 4) == [CODE + 7, code_selector(3), STACK, data_selector(3)]
    processor.step()
    assert (processor.cpl, processor.registers["EIP"]) == (3, CODE + 7)
    assert processor.registers["ESP"] == STACK


@pytest.mark.parametrize(
    ("access", "copied", "vector"),
    [(0x8C, 0, 13), (0x6C, 0, 11), (0xEC, 2, 13)],  # ring 0's; not present; with parameters
)
def test_call_gates_that_are_refused(access: int, copied: int, vector: int) -> None:
    processor = at("9a000000005b00", ring=3)
    call_gate(processor, access, copied)
    assert fault_of(processor).vector == vector


def test_a_jump_through_a_gate_does_not_change_the_ring() -> None:
    processor = at("ea000000005b00", ring=3)
    call_gate(processor, 0xEC)
    assert "stays in its ring" in fault_of(processor).why


def test_far_pointers_in_memory_and_what_ret_drops() -> None:
    processor = at("ff1d" + DATA.to_bytes(4, "little").hex())
    processor.memory.write(DATA, (CODE + 64).to_bytes(4, "little") + b"\x08\x00")
    processor.memory.write(CODE + 64, bytes.fromhex("ca0800"))
    push(processor, 1, 2)
    processor.step()
    processor.step()
    assert (processor.registers["EIP"], processor.registers["ESP"]) == (CODE + 6, STACK)
    register = at("ff e8".replace(" ", ""))
    assert fault_of(register).vector == 6


def test_beyond_the_code_segment() -> None:
    processor = at("ea" + "00000100" + "0800")
    processor.memory.write(GDT + 8, descriptor_bytes(0, 0xFFFF, 0x9B))
    assert "beyond the segment's limit" in fault_of(processor).why
    short = at("90")
    short.set_segment(CS, Segment(8, 0, CODE - 1, 0x9B))
    assert fault_of(short).vector == 13


def test_what_is_left_out_says_so() -> None:
    nested = at("cf")
    nested.registers.set_flag("NT", 1)
    assert "task switch" in fault_of(nested).why
    virtual = at("cf")
    push(virtual, 0x20202, code_selector(0), CODE)
    assert "8086" in fault_of(virtual).why
    real = at("0f22c0")
    assert "real mode" in fault_of(real).why


def test_tables_are_loaded_and_told() -> None:
    processor = at("0f0115" + DATA.to_bytes(4, "little").hex() + "0f010540600000")
    processor.memory.write(DATA, bytes.fromhex("470000100000"))
    processor.step()
    processor.step()
    assert processor.memory.read(DATA + 0x40, 6) == bytes.fromhex("470000100000")


def test_ltr_marks_the_task_as_busy_and_wants_a_free_one() -> None:
    processor = at("0f00d80f00d8")
    processor.registers["EAX"] = 0x50
    processor.step()
    assert processor.memory.read(GDT + 0x55, 1) == b"\x8b"
    assert (processor.tr.selector, processor.tr.base) == (0x50, TSS)
    assert fault_of(processor).code == 0x50


def test_lldt_and_selectors_of_the_local_table() -> None:
    processor = at("0f00d08ed9")
    processor.registers["EAX"], processor.registers["ECX"] = 0x58, 0x0C
    processor.memory.write(0x3808, descriptor_bytes(0x7000, 0xFF, 0x92))
    processor.step()
    processor.step()
    assert (processor.segments[DS].base, processor.registers["DS"]) == (0x7000, 0x0C)


@pytest.mark.parametrize(("port", "fine"), [(0x60, True), (0x61, False), (0x3F8, False)])
def test_the_tasks_map_of_ports(port: int, fine: bool) -> None:  # noqa: FBT001 - a row
    processor = at("ec", ring=3)
    processor.tr = Segment(0x48, TSS, 0x68 + 16, 0x8B)
    processor.memory.write(TSS + 0x66, b"\x68\x00")
    ports = bytearray(b"\xff" * 17)
    ports[0x60 // 8] &= ~1
    processor.memory.write(TSS + 0x68, bytes(ports))
    processor.registers["EDX"] = port
    if fine:
        processor.step()
        assert processor.registers["AL"] == 0xFF
    else:
        assert fault_of(processor).vector == 13


def test_repeated_port_strings() -> None:
    class Counting:
        def __init__(self) -> None:
            self.got: list[int] = []

        def read(self, port: int, size: int) -> int:
            return (port + len(self.got)) & (1 << 8 * size) - 1

        def write(self, port: int, size: int, value: int) -> None:
            assert (port, size) == (0x60, 1)
            self.got.append(value)

    processor = at("f36e")
    processor.bus = bus = Counting()
    processor.memory.write(DATA, b"xyz")
    processor.registers["EDX"], processor.registers["ESI"] = 0x60, DATA
    processor.registers["ECX"] = 3
    while processor.registers["EIP"] == CODE:
        processor.step()
    assert bytes(bus.got) == b"xyz"
    reading = at("f36d")  # rep insd
    reading.bus = bus
    reading.registers["EDX"], reading.registers["EDI"], reading.registers["ECX"] = 0x10, DATA, 2
    while reading.registers["EIP"] == CODE:
        reading.step()
    assert reading.memory.read(DATA, 8) == (0x13).to_bytes(4, "little") * 2
    assert (reading.registers["EDI"], reading.registers["ECX"]) == (DATA + 8, 0)


def test_time_is_counted_in_instructions() -> None:
    processor = at("90" * 5 + "0f31")
    for _ in range(6):
        processor.step()
    assert (processor.registers["EAX"], processor.registers["EDX"]) == (5, 0)
    forbidden = at("0f31", ring=3)
    forbidden.registers["CR4"] = 4
    assert fault_of(forbidden).vector == 13


def test_who_the_processor_says_it_is() -> None:
    processor = at("0fa2")
    processor.step()
    names = ("EBX", "EDX", "ECX")
    said = b"".join(processor.registers[name].to_bytes(4, "little") for name in names)
    assert said == b"virtlab i386"
