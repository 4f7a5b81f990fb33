"""Edges of the processor that a small mistake would move: each of these tests kills one.

The mistakes were made on purpose, one at a time, and the tests of before did not see them. By the
manual (Intel SDM, volumes 2 and 3); descriptors of all kinds are in `test_random_segments`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine.test_paging import DIRECTORY, READ, TABLE, WRITE, paged
from tests.machine.test_transfers import at, fault_of, push, words
from virtlab.machine.encoding import CS, DS, ES, SS
from virtlab.machine.faults import Fault
from virtlab.machine.segments import Segment, Table, descriptor_bytes
from virtlab.machine.stage import CODE, DATA, GDT, HANDLER, IDT, STACK, TSS, code_selector
from virtlab.machine.transfers import deliver

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor

TARGET = CODE + 0x100


def gate(processor: Processor, vector: int, selector: int, offset: int = HANDLER) -> None:
    content = (offset & 0xFFFF | selector << 16).to_bytes(4, "little") + b"\x00\xee\x00\x00"
    processor.memory.write(IDT + 8 * vector, content)


def entry(processor: Processor, selector: int, access: int, limit: int = 0xFFFFFFFF) -> None:
    processor.memory.write(GDT + (selector & ~7), descriptor_bytes(0, limit, access))


def access_of(processor: Processor, selector: int) -> int:
    return processor.memory.read(GDT + (selector & ~7) + 5, 1)[0]


# --- gates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "works"), [(8 * 0x80 + 7, True), (8 * 0x80 + 6, False)])
def test_the_last_byte_of_a_gate_must_lie_in_the_table(*, limit: int, works: bool) -> None:
    processor = at("cd80", 3)
    processor.idtr = Table(IDT, limit)
    if works:
        processor.step()
        assert processor.cpl == 0
    else:
        assert fault_of(processor).code == 8 * 0x80 + 2


def test_an_error_code_says_whether_the_program_asked() -> None:
    processor = at("90")
    processor.idtr = Table(IDT, 7)
    for software, code in ((False, 8 * 13 + 3), (True, 8 * 13 + 2)):
        with pytest.raises(Fault) as raised:
            deliver(processor, 13, software=software)
        assert raised.value.code == code
    processor.idtr = Table(IDT, 0x7FF)
    gate(processor, 0x20, 0)
    for software, code in ((False, 1), (True, 0)):
        with pytest.raises(Fault) as raised:
            deliver(processor, 0x20, software=software)
        assert (raised.value.vector, raised.value.code) == (13, code)


def test_a_handler_starts_with_no_trace_and_no_task() -> None:
    processor = at("90")
    processor.registers.eflags = 0x4302  # NT, IF, TF
    deliver(processor, 0x20)
    assert [processor.registers.flag(name) for name in ("TF", "NT", "IF")] == [0, 0, 0]
    assert words(processor, 3)[2] == 0x4302


def test_a_gate_leads_to_no_outer_ring_though_its_code_conforms() -> None:
    processor = at("cd80")
    entry(processor, 0x58, 0xFF)  # conforming code of ring 3
    gate(processor, 0x80, 0x58)
    assert (fault_of(processor).vector, fault_of(processor).code) == (13, 0x58)


def test_a_handler_lies_within_its_segment() -> None:
    for limit, works in ((HANDLER, True), (HANDLER - 1, False)):
        processor = at("cd80", 3)
        entry(processor, 0x58, 0x9A, limit)
        gate(processor, 0x80, 0x58)
        if works:
            processor.step()
            assert processor.registers["EIP"] == HANDLER
        else:
            assert (fault_of(processor).vector, fault_of(processor).code) == (13, 0)


@pytest.mark.parametrize(("limit", "works"), [(9, True), (8, False)])
def test_a_task_state_is_as_long_as_its_stack_needs(*, limit: int, works: bool) -> None:
    processor = at("cd80", 3)
    processor.tr = Segment(0x48, TSS, limit, 0x8B, big=False)
    if works:
        processor.step()
        assert processor.registers["ESP"] < STACK + 0x1000
    else:
        assert (fault_of(processor).vector, fault_of(processor).code) == (10, 0x48)


def test_a_call_gate_pushes_four_bytes_whatever_the_prefix() -> None:
    processor = at("669a00005800")
    content = (TARGET | code_selector(0) << 16).to_bytes(4, "little") + b"\x00\x8c\x00\x00"
    processor.memory.write(GDT + 0x58, content)
    processor.step()
    assert (processor.registers["EIP"], words(processor, 2)) == (TARGET, [CODE + 6, 0x08])


def test_a_call_that_faults_halfway_leaves_all_segments() -> None:
    processor = at(f"9a{'00' * 4}5b00", 3)
    content = (TARGET | code_selector(0) << 16).to_bytes(4, "little") + b"\x00\xec\x00\x00"
    processor.memory.write(GDT + 0x58, content)
    entry(processor, 0x10, 0x92, 0xFFF)  # ring 0's stack ends before what the task state says
    before = list(processor.segments), bytes(processor.registers.data)
    assert fault_of(processor).vector == 12
    assert (list(processor.segments), bytes(processor.registers.data)) == before
    assert access_of(processor, 0x10) == 0x92


# --- what is loaded is marked ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "stack"),
    [
        (f"ea{TARGET.to_bytes(4, 'little').hex()}0800", ()),
        (f"9a{TARGET.to_bytes(4, 'little').hex()}0800", ()),
        ("cb", (0x08, TARGET)),
        ("cf", (0x2, 0x08, TARGET)),
        ("cd80", ()),
    ],
)
def test_code_that_is_gone_to_is_marked(code: str, stack: tuple[int, ...]) -> None:
    processor = at(code)
    entry(processor, 0x08, 0x9A)
    push(processor, *stack)
    processor.step()
    assert access_of(processor, 0x08) == 0x9B


@pytest.mark.parametrize(("code", "flags"), [("cb", ()), ("cf", (0x2,))])
def test_a_return_outwards_marks_code_and_stack(code: str, flags: tuple[int, ...]) -> None:
    processor = at(code)
    entry(processor, 0x38, 0xFA)
    entry(processor, 0x40, 0xF2)
    push(processor, 0x43, STACK - 64, *flags, 0x3B, TARGET)
    processor.step()
    assert (access_of(processor, 0x38), access_of(processor, 0x40)) == (0xFB, 0xF3)


def test_an_inner_stack_is_marked_and_an_old_one_is_not() -> None:
    processor = at("cd80", 3)
    entry(processor, 0x10, 0x92)
    processor.step()
    assert access_of(processor, 0x10) == 0x93
    same = at("cd80", 0)
    entry(same, 0x10, 0x92)
    same.step()
    assert access_of(same, 0x10) == 0x92


# --- returns --------------------------------------------------------------------------------------


def test_which_flags_a_return_changes() -> None:
    outer = at("cf", 3)
    push(outer, 0x20002, code_selector(3), TARGET)
    outer.step()
    assert outer.registers.flag("VM") == 0  # asked for at ring 3, and not given
    resume = at("cf")
    push(resume, 0x10002, code_selector(0), TARGET)
    resume.step()
    assert resume.registers.flag("RF") == 1
    short = at("66cf")
    short.registers.eflags = 0x40002  # AC
    short.registers["ESP"] -= 6
    frame = b"".join(word.to_bytes(2, "little") for word in (TARGET, code_selector(0), 0x0CD7))
    short.memory.write(short.registers["ESP"], frame)
    short.step()
    assert short.registers.eflags == 0x40CD7


def test_a_return_outwards_drops_arguments_on_both_stacks() -> None:
    processor = at("ca0800")
    push(processor, 0x43, STACK - 64, 1, 2, 0x3B, TARGET)
    processor.step()
    assert (processor.cpl, processor.registers["ESP"]) == (3, STACK - 64 + 8)


def test_data_of_conforming_code_stays_on_the_way_out() -> None:
    processor = at("cb")
    conforming = Segment(0x58, 0, 0xFFFFFFFF, 0x9F)
    processor.set_segment(ES, conforming)
    push(processor, 0x43, STACK - 64, 0x3B, TARGET)
    processor.step()
    assert processor.segments[ES] == conforming
    assert processor.segments[DS].access == 0


@pytest.mark.parametrize(("limit", "works"), [(TARGET, True), (TARGET - 1, False)])
def test_a_jump_ends_at_the_limit(*, limit: int, works: bool) -> None:
    processor = at(f"ea{TARGET.to_bytes(4, 'little').hex()}5800")
    entry(processor, 0x58, 0x9B, limit)
    if works:
        processor.step()
        assert processor.registers["EIP"] == TARGET
    else:
        assert fault_of(processor).code == 0


# --- descriptors, segments, fetching --------------------------------------------------------------


@pytest.mark.parametrize(("limit", "works"), [(0x5F, True), (0x5E, False), (0x58, False)])
def test_a_descriptor_lies_in_its_table_to_its_last_byte(*, limit: int, works: bool) -> None:
    processor = at("8ed8")
    processor.registers["EAX"] = 0x58
    entry(processor, 0x58, 0x93)
    processor.gdtr = Table(GDT, limit)
    if works:
        processor.step()
    else:
        assert fault_of(processor).code == 0x58


def test_what_is_not_present_is_neither_read_nor_written() -> None:
    absent = Segment(0x10, 0, 0xFFFF, 0x12)
    assert not absent.allows(write=False)
    assert not absent.allows(write=True)


@pytest.mark.parametrize(("spare", "works"), [(0, True), (-1, False)])
def test_an_instruction_ends_at_the_limit(*, spare: int, works: bool) -> None:
    processor = at("b82a000000")  # five bytes
    processor.set_segment(CS, Segment(0x08, 0, CODE + 4 + spare, 0x9B))
    if works:
        processor.step()
        assert processor.registers["EAX"] == 42
    else:
        with pytest.raises(Fault):
            processor.step()


def test_a_short_stack_wraps_within_64_kb() -> None:
    processor = at("9c")  # pushf
    processor.set_segment(SS, Segment(0x10, 0, 0xFFFF, 0x93, big=False))
    processor.registers["ESP"] = 0x12340000
    processor.step()
    assert processor.registers["ESP"] == 0x1234FFFC
    assert processor.memory.read(0xFFFC, 2).hex() == "0202"


# --- paging ---------------------------------------------------------------------------------------


def test_a_directorys_rights_hold_for_all_its_pages() -> None:
    for bits, code in ((5, WRITE), (3, READ)):  # read only; the kernel's
        processor = paged(code, {}, ring=3)
        processor.paging.flush()
        processor.memory.write(DIRECTORY, (TABLE | 7).to_bytes(4, "little"))
        processor.fetch()
        processor.memory.write(DIRECTORY, (TABLE | bits).to_bytes(4, "little"))
        with pytest.raises(Fault) as raised:
            processor.paging.physical(DATA, write=code == WRITE, user=True)
        assert raised.value.vector == 14


def test_a_write_marks_the_page_as_dirty_and_not_the_directory() -> None:
    processor = paged(WRITE, {})
    processor.step()
    directory, page = (processor.memory.read(at, 1)[0] for at in (DIRECTORY, TABLE + 4 * 6))
    assert (directory & 0x60, page & 0x60) == (0x20, 0x60)


def test_a_fault_drops_what_was_remembered() -> None:
    processor = paged(READ, {})
    processor.step()
    processor.memory.write(TABLE + 4 * 6, bytes(4))  # gone, and nobody has said so
    assert processor.paging.physical(DATA, write=False, user=False) == DATA
    for write in (True, False):
        with pytest.raises(Fault):
            processor.paging.physical(DATA, write=write, user=False)


def test_large_pages_need_their_switch_and_have_22_bits() -> None:
    processor = paged(READ, {6: 0x7007})
    processor.memory.write(DIRECTORY, (TABLE | 0x87).to_bytes(4, "little"))
    # Without the switch it is a table all the same.
    assert processor.paging.physical(DATA, write=False, user=False) == 0x7000
    processor.memory.write(DIRECTORY + 4, (0x00C00087).to_bytes(4, "little"))
    processor.registers["CR4"] |= 0x10
    assert processor.paging.physical(0x7FF123, write=False, user=False) == 0xFFF123


def test_what_else_stands_in_cr3_is_no_address() -> None:
    processor = paged(READ, {})
    processor.registers["CR3"] = DIRECTORY | 0x18
    assert processor.paging.physical(DATA, write=False, user=False) == DATA


@pytest.mark.parametrize("code", ["0f22c0", "0f22d8", "0f22e0"])
def test_a_write_to_a_control_register_forgets_all_pages(code: str) -> None:
    processor = paged(code, {})
    number = {"0f22c0": "CR0", "0f22d8": "CR3", "0f22e0": "CR4"}[code]
    processor.registers["EAX"] = processor.registers[number]
    processor.paging.tlb[0x77] = 0x3000, 7
    processor.step()
    assert 0x77 not in processor.paging.tlb


def test_invlpg_counts_from_its_segment() -> None:
    processor = at("0f013d00100000")
    processor.set_segment(DS, Segment(0x10, 0x5000, 0xFFFFFFFF, 0x93))
    processor.paging.tlb.update({1: (0, 7), 6: (0, 7)})
    processor.step()
    assert list(processor.paging.tlb) == [1]


# --- system instructions --------------------------------------------------------------------------


def test_sixteen_bit_tables_have_24_bits_of_base() -> None:
    processor = at("660f010500600000")
    processor.gdtr = Table(0x12345678, 0x1F)
    processor.step()
    assert processor.memory.read(DATA, 6).hex() == "1f0078563400"
    loading = at("660f011d00600000")
    loading.memory.write(DATA, bytes.fromhex("ff0178563412"))
    loading.step()
    assert loading.idtr == Table(0x345678, 0x1FF)


def test_pushf_tells_neither_rf_nor_vm() -> None:
    processor = at("9c")
    processor.registers.eflags = 0x10202
    processor.step()
    assert words(processor, 1) == [0x202]


@pytest.mark.parametrize(("access", "lar", "lsl"), [(0x89, 1, 1), (0x8C, 1, 0), (0x8E, 0, 0)])
def test_what_lar_and_lsl_know_of_system_segments(access: int, lar: int, lsl: int) -> None:
    """A task state has rights and a limit, a call gate only rights, an interrupt gate neither."""
    for code, zero in (("0f02c3", lar), ("0f03c3", lsl)):
        processor = at(code)
        entry(processor, 0x58, access, 0x67)
        processor.registers["EBX"] = 0x58
        processor.step()
        assert processor.registers.flag("ZF") == zero


@pytest.mark.parametrize(("value", "after"), [(0xFFF0, 0x11), (0xFFFF, 0x1F), (0x8, 0x19)])
def test_lmsw_changes_three_bits_and_sets_the_first(value: int, after: int) -> None:
    processor = at("0f01f0")
    processor.registers["EAX"] = value
    processor.step()
    assert processor.registers["CR0"] == after


@pytest.mark.parametrize(("asked", "other", "after", "zero"), [
    (0x10, 3, 0x13, 1), (0x12, 2, 0x12, 0), (0x13, 1, 0x13, 0)
])  # fmt: skip
def test_arpl_raises_and_never_lowers(asked: int, other: int, after: int, zero: int) -> None:
    processor = at("63d8")  # arpl ax, bx
    processor.registers["EAX"], processor.registers["EBX"] = asked, other
    processor.step()
    assert (processor.registers["EAX"], processor.registers.flag("ZF")) == (after, zero)
