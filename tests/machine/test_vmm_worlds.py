"""Two worlds: there and back is the same; and nothing that is really loaded reaches the VMM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, GDT
from tests.machine.vmm_guests import (
    EXIT,
    POINTERS,
    assert_same,
    le,
    monitored,
    native,
    one_decoder,
    tables,
)
from virtlab.machine.history import save_processor
from virtlab.machine.processor import Processor
from virtlab.machine.segments import Segment, descriptor_bytes
from virtlab.machine.vmm.host import Deprivileged
from virtlab.machine.vmm.shadow import peek, peek_place, shadow_descriptor, shadow_table
from virtlab.machine.vmm.worlds import (
    HOST_MSW,
    VMM_BASE,
    deprivileged,
    enter_guest,
    leave_guest,
    privileged_again,
)

if TYPE_CHECKING:
    from virtlab.machine.vmm import Monitor

__all__ = ["one_decoder"]  # pytest finds it here

TOP = 0xFFFFFFFF
RINGS = st.sampled_from([0, 2, 3])
KINDS = st.sampled_from([0x90, 0x92, 0x93, 0x96, 0x97, 0x98, 0x9A, 0x9B, 0x9E])
BASES = st.one_of(st.sampled_from([0, 1, 0x1000, VMM_BASE - 1, VMM_BASE, TOP]), st.integers(0, TOP))
LIMITS = st.one_of(st.just(TOP), st.integers(0, VMM_BASE // 2).map(lambda n: n | 0xFFF))


@st.composite
def loaded(draw: st.DrawFn) -> Segment:
    """Return a segment as a register may hold it."""
    base, limit = draw(BASES), draw(LIMITS)
    if limit != TOP and base + limit >= VMM_BASE - 0x1000:
        base = 0
    return Segment(draw(st.integers(1, 30)) * 8, base, limit, draw(KINDS) | draw(RINGS) << 5)


def reaches_the_vmm(segment: Segment, offset: int) -> bool:
    address = segment.base + offset & TOP
    return segment.present and segment.holds(offset, 1) and address >= VMM_BASE


@given(loaded())
def test_there_and_back_is_the_same_segment(segment: Segment) -> None:
    real = deprivileged(segment)
    assert real.dpl == (segment.dpl or 1)
    assert privileged_again(real) == segment


@given(loaded(), st.integers(0, TOP))
def test_no_segment_that_is_really_loaded_reaches_the_vmm(segment: Segment, offset: int) -> None:
    real = deprivileged(segment)
    assert not reaches_the_vmm(real, offset)
    assert not reaches_the_vmm(real, VMM_BASE - segment.base & TOP)
    assert not reaches_the_vmm(real, TOP - segment.base)


@st.composite
def tables_of_segments(draw: st.DrawFn) -> bytes:
    """Return a table of what kernels put there, with any numbers."""
    parts = (BASES, LIMITS, st.integers(0, 255))
    rows = draw(st.lists(st.tuples(*parts), max_size=10))
    return b"".join(descriptor_bytes(*row) for row in rows)


@given(st.one_of(st.binary(max_size=80), tables_of_segments()))
def test_a_copy_has_nothing_of_ring_0_and_nothing_that_reaches_the_vmm(table: bytes) -> None:
    copy = shadow_table(table)
    assert len(copy) == len(table) & ~7
    for at in range(0, len(copy), 8):
        segment = Segment.from_descriptor(8, int.from_bytes(copy[at : at + 8], "little"))
        if not segment.is_memory:
            assert not segment.present
            continue
        assert segment.dpl > 0
        for offset in (0, VMM_BASE - segment.base & TOP, TOP - segment.base, segment.limit):
            assert not reaches_the_vmm(segment, offset)


def test_a_bit_of_the_kernels_own_stays() -> None:
    mine = int.from_bytes(descriptor_bytes(0, TOP, 0x92), "little") | 1 << 52
    copy = int.from_bytes(shadow_descriptor(mine.to_bytes(8, "little")), "little")
    assert copy >> 52 & 1 == 1


@given(
    st.integers(0, TOP).map(lambda flags: flags & 0x257FD5 | 2),
    st.integers(0, 0xFFFF).map(lambda low: low | 1),
    st.sampled_from([0, 1]),
    st.lists(loaded(), min_size=4, max_size=4),
)
def test_a_switch_of_worlds_loses_nothing(
    eflags: int,
    cr0: int,
    paging: int,
    segments: list[Segment],
) -> None:
    processor = Deprivileged()
    processor.enter()
    processor.registers.eflags = eflags
    processor.registers["CR0"] = cr0 | 0x10 | paging << 31
    for number, segment in zip((0, 3, 4, 5), segments, strict=True):
        processor.set_segment(number, segment)
    processor.set_table("idtr", 0x3000, 0x7FF)
    before = save_processor(processor)
    processor.leave()
    registers = processor.registers
    assert registers["CR0"] & 0xFFFF == HOST_MSW
    assert registers["CR0"] >> 31 == paging
    assert (registers.flag("IF"), registers.flag("IOPL"), processor.cpl) == (1, 0, 1)
    assert processor.idtr.base >= VMM_BASE
    processor.enter()
    assert save_processor(processor) == before


def test_a_program_keeps_its_own_ring() -> None:
    processor = Processor()
    for number in (1, 2):
        segment = Segment(0x1B + 8 * (number - 1), 0, TOP, 0xFB if number == 1 else 0xF3)
        processor.set_segment(number, segment)
    virtual = leave_guest(processor)
    assert processor.cpl == 3
    enter_guest(processor, virtual)
    assert processor.segments[1].limit == TOP


# --- looking without a trace ----------------------------------------------------------------------


def test_to_peek_marks_no_page() -> None:
    processor = Processor()
    memory = processor.memory
    memory.write(0x8000, (0x9000 | 3).to_bytes(4, "little"))
    memory.write(0x9000 + 4 * 5, (0x20000 | 3).to_bytes(4, "little"))
    memory.write(0x20FFE, b"ab")
    processor.registers["CR3"], processor.registers["CR0"] = 0x8000, 0x80000011
    before = bytes(memory.data)
    assert peek(processor, 0x5FFE, 4) == b"ab\0\0"  # the next page is not there
    assert peek_place(processor, 0x5123) == 0x20123
    assert peek_place(processor, 0x6000) is None
    assert peek_place(processor, 0x400000) is None
    assert bytes(memory.data) == before
    assert processor.read(0x5FFE, 2) == b"ab"
    assert bytes(memory.data) != before  # the processor itself marks what it uses


def test_to_peek_knows_large_pages() -> None:
    processor = Processor()
    processor.memory.write(0x8004, (0x83).to_bytes(4, "little"))
    processor.registers["CR4"], processor.registers["CR3"] = 0x10, 0x8000
    processor.registers["CR0"] = 0x80000011
    assert peek_place(processor, 0x412345) == 0x12345


# --- segments that cannot be truncated ------------------------------------------------------------


def with_segment(descriptor: bytes, code: str) -> Monitor:
    """Run a guest whose sixth segment is given, at ring 0 and at ring 1; return the monitor."""
    one, other = native(code), monitored(code)
    for computer in (one, other):
        computer.memory.write(GDT + 0x30, descriptor)
        computer.memory.write(POINTERS, bytes.fromhex(le(0x37, 2)))
    first, second = one.run(300), other.run(300)
    assert (first.ended, first.exit_status) == (second.ended, second.exit_status)
    if not other.wrongs:
        assert_same(one, other)
    return other


def test_what_goes_through_a_segment_that_grows_down_is_the_vmms_to_do() -> None:
    code = "66b83000 8ec0 26c705 00500000 78563412 26a100500000" + EXIT
    other = with_segment(descriptor_bytes(0, 0xFFF, 0x96), code)
    assert other.exit_port.status == 1
    assert other.memory.read(0x5000, 4).hex() == "78563412"
    assert other.entries["MOV"] >= 2


def test_code_in_a_segment_that_begins_at_the_vmm_is_the_vmms_to_do() -> None:
    # Base FFD00000: offset 420000 is linear 120000. The kernel jumps there, and back.
    there = f"ea{le(0x420000)}3000"
    one, other = native(there), monitored(there)
    for computer in (one, other):
        memory = computer.memory
        memory.write(GDT + 0x30, descriptor_bytes(0xFFD00000, TOP, 0x9A))
        memory.write(POINTERS, bytes.fromhex(le(0x37, 2)))
        memory.write(0x120000, bytes.fromhex(f"b82a000000 40 ea{le(0x121000)}0800"))
        memory.write(0x121000, bytes.fromhex(EXIT))
        assert computer.run(300).exit_status == 1
    assert_same(one, other)
    assert other.entries["INC"] == 1  # not even that runs by itself there


@settings(max_examples=40, deadline=None)
@given(BASES, LIMITS, KINDS, st.integers(0, TOP), st.sampled_from(["26a1{}", "26a3{}", "26ff05{}"]))
def test_no_segment_of_a_guest_lets_it_touch_the_vmm(
    base: int, limit: int, kind: int, offset: int, form: str
) -> None:
    code = f"66b83000 8ec0 {form.format(le(offset))}" + "90" * 8 + EXIT
    one, other = native(code), monitored(code)
    for computer in (one, other):
        computer.memory.write(GDT + 0x30, descriptor_bytes(base, limit, kind))
        computer.memory.write(POINTERS, bytes.fromhex(le(0x37, 2)))
    start = CODE + len(bytes.fromhex(tables()))
    while other.address != start + 6:
        if one.ended:
            return
        one.step()
        other.step()
        if one.clock.now > 40:  # the segment could not be loaded, and a handler went on elsewhere
            return
    before = bytes(other.processor.own.data)
    one.step()
    other.step()
    assert bytes(other.processor.own.data) == before
    assert_same(one, other)


@pytest.mark.parametrize("truncate", [False, True])
def test_without_truncation_the_limits_are_the_guests(*, truncate: bool) -> None:
    monitor = monitored("f4", truncate=truncate)
    monitor.run(100)
    assert monitor.processor.segments[3].limit == (VMM_BASE - 1 if truncate else TOP)
