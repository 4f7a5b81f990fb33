"""The processor: what faults has done nothing; segments and pages stand in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine.decode import Decoder
from virtlab.machine.encoding import CS, DS, ES, FS, SS
from virtlab.machine.faults import Fault
from virtlab.machine.memory import Memory
from virtlab.machine.registers import FLAGS, GENERAL, Registers
from virtlab.machine.segments import Segment, descriptor_bytes, flat
from virtlab.machine.stage import CODE, DATA, stage
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor

DECODER = Decoder()


def at(code: str, ring: int = 0) -> Processor:
    processor = stage(ring, decoder=DECODER)
    processor.memory.write(CODE, bytes.fromhex(code))
    return processor


def fault_of(processor: Processor) -> Fault:
    with pytest.raises(Fault) as raised:
        processor.step()
    return raised.value


def everything(processor: Processor) -> tuple[object, ...]:
    return (
        bytes(processor.registers.data),
        tuple(processor.segments),
        processor.gdtr,
        processor.idtr,
        processor.ldtr,
        processor.tr,
        processor.instructions,
    )


# --- registers ------------------------------------------------------------------------------------


@given(st.integers(0, 0xFFFFFFFF))
def test_flags_go_in_and_out(value: int) -> None:
    registers = Registers()
    registers.eflags = value
    known = sum((1 << width) - 1 << bit for _, bit, width in FLAGS.values())
    assert registers.eflags == value & known | 2


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 255))
def test_the_parts_of_a_register_are_its_bytes(value: int, high: int) -> None:
    registers = Registers()
    registers["EDX"] = value
    registers["DH"] = high
    assert registers["EDX"] == value & 0xFFFF00FF | high << 8
    assert registers["DX"] == registers["EDX"] & 0xFFFF


def test_there_is_no_other_register() -> None:
    with pytest.raises(InvalidInputError, match="register = 'RAX'"):
        Registers()["RAX"]
    with pytest.raises(InvalidInputError, match="flag = 'XF'"):
        Registers().flag("XF")


# --- memory ---------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(0, 9000), st.binary(min_size=1, max_size=9)), min_size=1, max_size=20
    )
)
def test_a_journal_undoes_all_writes(writes: list[tuple[int, bytes]]) -> None:
    memory = Memory(8192)
    before = bytes(memory.data)
    memory.journal = []
    for address, value in writes:
        memory.write(address, value)
    assert len(memory.data) == 8192
    for address, old in reversed(memory.journal):
        memory.data[address : address + len(old)] = old
    assert bytes(memory.data) == before


@pytest.mark.parametrize("cr0", [0x11, 0x13, 0x15, 0x19, 0x1B, 0x1F])
def test_wait_faults_only_where_the_coprocessor_is_another_tasks(cr0: int) -> None:
    """As the manual has it, unlike what has a coprocessor's opcode: MP and TS are asked, not EM."""
    processor = at("9b")
    processor.registers["CR0"] = cr0
    if cr0 & 0xA == 0xA:
        assert fault_of(processor).vector == 7
    else:
        processor.step()
        assert processor.registers["EIP"] == CODE + 1


# --- what faults has done nothing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "vector"),
    [
        ("f7f3", 0),  # div ebx, which is 0
        ("0f0b", 6),  # ud2
        ("d9e8", 7),  # fld1
        ("0f28c1", 6),  # movaps
        ("a10000ffff", None),  # beyond RAM: ones
        ("fee0", 6),
        ("8ec8", 6),  # mov cs, ax
        ("0f22c8", 6),  # mov cr1
        ("8ed8", 13),  # mov ds, a selector beyond the table
    ],
)
def test_what_faults_has_done_nothing(code: str, vector: int | None) -> None:
    processor = at(code)
    processor.registers["EAX"] = 0x1238
    before = everything(processor)
    if vector is None:
        processor.step()
        assert processor.registers["EAX"] == 0xFFFFFFFF
        return
    assert fault_of(processor).vector == vector
    assert everything(processor) == before


def test_a_push_that_faults_leaves_esp() -> None:
    processor = at("50")
    processor.set_segment(SS, Segment(0x10, 0, 0xFFF, 0x93))
    processor.registers["ESP"] = 0x8000
    fault = fault_of(processor)
    assert (fault.vector, processor.registers["ESP"]) == (12, 0x8000)


def test_pop_to_memory_that_faults_leaves_esp() -> None:
    processor = at("8f03")  # pop [ebx]
    processor.set_segment(DS, Segment(0x10, 0, 0xFFF, 0x93))
    processor.registers["EBX"] = 0x2000
    fault = fault_of(processor)
    assert (fault.vector, processor.registers["ESP"]) == (13, 0x8000)


# --- segments -------------------------------------------------------------------------------------


def test_each_operand_goes_through_its_own_segment() -> None:
    processor = at("8b038b4500268b03a4")
    for number, base in ((DS, 0x100), (SS, 0x200), (ES, 0x300)):
        processor.set_segment(number, Segment(0x10, base, 0xFFFF, 0x93))
        processor.memory.write(DATA + base, bytes([number + 1, 0, 0, 0]))
    processor.registers["EBX"] = processor.registers["EBP"] = DATA
    seen = []
    for _ in range(3):
        processor.step()
        seen.append(processor.registers["EAX"] - 1)
    assert seen == [DS, SS, ES]
    processor.registers["ESI"], processor.registers["EDI"] = DATA, DATA + 8
    processor.step()  # movsb: from DS to ES
    assert processor.memory.read(DATA + 0x300 + 8, 1)[0] == DS + 1


def test_a_truncated_segment_hides_what_is_above() -> None:
    """How a VMM keeps the top of its guest's memory to itself."""
    processor = at("a1fcff0000a1fdff0000", ring=1)
    processor.set_segment(DS, Segment(0x21, 0, 0xFFFF, 0xB3))
    processor.step()
    fault = fault_of(processor)
    assert (fault.vector, fault.code) == (13, 0)
    assert "beyond the segment's limit" in fault.why


def test_a_segment_that_grows_down() -> None:
    down = Segment(0x10, 0, 0x7FFF, 0x97)
    assert not down.holds(0x7FFF, 1)
    assert down.holds(0x8000, 4)
    assert not down.holds(0xFFFFFFFE, 4)
    assert not Segment(0x10, 0, 0x7FFF, 0x97, big=False).holds(0xFFFE, 4)


@given(
    base=st.integers(0, 0xFFFFFFFF),
    limit=st.integers(0, 0xFFFFFFFF),
    access=st.integers(0, 255),
    big=st.booleans(),
)
def test_descriptors_come_back_as_they_went(
    base: int,
    limit: int,
    access: int,
    big: bool,  # noqa: FBT001 - drawn
) -> None:
    if limit > 0xFFFFF:
        limit |= 0xFFF
    raw = int.from_bytes(descriptor_bytes(base, limit, access, big=big), "little")
    found = Segment.from_descriptor(0x18, raw)
    assert (found.base, found.limit, found.access, found.big) == (base, limit, access, big)


@pytest.mark.parametrize("ring", [0, 1, 2, 3])
@pytest.mark.parametrize("asked", [0, 1, 2, 3])
@pytest.mark.parametrize("own", [0, 1, 2, 3])
def test_data_is_for_its_ring_and_the_inner_ones(ring: int, asked: int, own: int) -> None:
    """MOV DS: the ring that runs and the one asked for must both be at most the segment's."""
    processor = at("8ed8", ring)
    selector = 0x10 + 0x10 * own | asked
    processor.registers["EAX"] = selector
    if max(ring, asked) <= own:
        processor.step()
        assert processor.registers["DS"] == selector
    else:
        fault = fault_of(processor)
        assert (fault.vector, fault.code) == (13, selector & 0xFFFC)


def test_the_null_selector_may_be_loaded_but_not_used() -> None:
    processor = at("8ee064a100000000")
    processor.registers["EAX"] = 0
    processor.step()
    assert processor.segments[FS].access == 0
    assert fault_of(processor).vector == 13


def test_a_segment_that_is_not_present() -> None:
    processor = at("8ed8")
    processor.memory.write(0x1000 + 0x10 + 5, b"\x13")
    processor.registers["EAX"] = 0x10
    fault = fault_of(processor)
    assert (fault.vector, fault.code) == (11, 0x10)


def test_mov_ss_and_sti_hold_interrupts_for_one_instruction() -> None:
    processor = at("8ed090fb90")
    processor.registers["EAX"] = 0x10
    processor.registers.set_flag("IF", 0)
    shadows = []
    for _ in range(4):
        processor.step()
        shadows.append(processor.shadow)
    assert shadows == [True, False, True, False]


# --- code that changes ----------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=12))
def test_code_that_is_written_over_is_what_runs_next(values: list[int]) -> None:
    processor = at("b000")  # mov al, 0
    for value in values:
        processor.memory.write(CODE + 1, bytes([value]))
        processor.registers["EIP"] = CODE
        processor.step()
        assert processor.registers["AL"] == value


def test_repeated_strings_go_step_by_step() -> None:
    processor = at("f3a4")
    processor.memory.write(DATA, b"abcdef")
    processor.registers["ESI"], processor.registers["EDI"] = DATA, DATA + 0x100
    processor.registers["ECX"] = 6
    steps = 0
    while processor.registers["EIP"] == CODE:
        processor.step()
        steps += 1
    assert steps == 7  # one for each byte, and one that finds nothing left
    assert processor.memory.read(DATA + 0x100, 6) == b"abcdef"


def test_the_hidden_part_outlives_the_table() -> None:
    processor = at("a100600000")
    processor.memory.write(0x1000, bytes(0x60))  # the whole table is gone
    processor.step()
    assert processor.segments[DS] == flat(0x10, 0x93)
    assert set(GENERAL) == {"EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"}
    assert processor.cpl == processor.segments[CS].rpl == 0
