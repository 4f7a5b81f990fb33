"""Paging: rights, marks, the TLB, large pages, and what lies over two pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtlab.machine.decode import Decoder
from virtlab.machine.faults import Fault
from virtlab.machine.memory import Memory
from virtlab.machine.stage import CODE, DATA, stage

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


DIRECTORY, TABLE = 0xC000, 0xD000


def paged(code: str, entries: dict[int, int], ring: int = 0) -> Processor:
    """Map the first 64 KB to themselves for all, then some pages otherwise."""
    processor = at(code, ring)
    write = processor.memory.write
    write(DIRECTORY, (TABLE | 7).to_bytes(4, "little"))
    for page in range(16):
        write(TABLE + 4 * page, (page << 12 | 7).to_bytes(4, "little"))
    for page, entry in entries.items():
        write(TABLE + 4 * page, entry.to_bytes(4, "little"))
    processor.registers["CR3"] = DIRECTORY
    processor.registers["CR0"] |= 1 << 31
    return processor


READ, WRITE = "a100600000", "a300600000"  # eax from and to DATA, page 6


@pytest.mark.parametrize(
    ("code", "entry", "ring", "protect", "error"),
    [
        (READ, 0, 0, False, 0b000),  # not present
        (READ, 0, 3, False, 0b100),
        (WRITE, 0, 3, False, 0b110),
        (READ, 0x6001, 3, False, 0b101),  # the kernel's
        (WRITE, 0x6005, 3, False, 0b111),  # read only
        (WRITE, 0x6005, 2, False, None),  # rings 0 to 2 may write there ...
        (WRITE, 0x6005, 0, True, 0b011),  # ... unless WP is set
        (READ, 0x6001, 1, False, None),  # ring 1 is the kernel, for paging
        (READ, 0x6001, 2, False, None),
        (WRITE, 0x6007, 3, False, None),
    ],
)
def test_rights_of_pages(
    code: str,
    entry: int,
    ring: int,
    protect: bool,  # noqa: FBT001 - a row
    error: int | None,
) -> None:
    processor = paged(code, {6: entry}, ring)
    if protect:
        processor.registers["CR0"] |= 1 << 16
    if error is None:
        processor.step()
        return
    fault = fault_of(processor)
    assert (fault.vector, fault.code, fault.address) == (14, error, DATA)


def test_pages_are_marked_as_used_and_written() -> None:
    processor = paged(READ + WRITE, {6: 0x9007})
    processor.memory.write(0x9000, b"\x2a")
    processor.step()
    assert processor.registers["EAX"] == 42
    entry = int.from_bytes(processor.memory.read(TABLE + 24, 4), "little")
    assert entry == 0x9027
    processor.step()
    entry = int.from_bytes(processor.memory.read(TABLE + 24, 4), "little")
    assert entry == 0x9067
    assert processor.memory.read(0x9000, 1) == b"\x2a"


def test_the_tlb_holds_on_until_it_is_told() -> None:
    processor = paged(READ * 2 + "0f013d00600000" + READ, {6: 0x9007})
    processor.memory.write(0x9000, b"\x01")
    processor.memory.write(0xA000, b"\x02")
    processor.step()
    processor.memory.write(TABLE + 24, (0xA007).to_bytes(4, "little"))
    seen = []
    for _ in range(3):
        processor.step()
        seen.append(processor.registers["EAX"])
    assert seen == [1, 1, 2]  # the old frame, then INVLPG, then the new one


def test_cr3_flushes_the_tlb() -> None:
    processor = paged(READ + "0f22d8" + READ, {6: 0x9007})
    processor.step()
    processor.memory.write(TABLE + 24, (0xA007).to_bytes(4, "little"))
    processor.memory.write(0xA000, b"\x02")
    processor.registers["EAX"] = DIRECTORY
    processor.step()
    assert processor.paging.tlb == {}
    processor.step()
    assert processor.registers["EAX"] == 2


def test_large_pages() -> None:
    processor = at("8b03")
    processor.memory = processor.paging.memory = Memory(8 << 20)
    processor.memory.write(CODE, bytes.fromhex("8b03"))
    processor.memory.write(DIRECTORY, (0x87).to_bytes(4, "little"))
    processor.memory.write(DIRECTORY + 4, (0x400087).to_bytes(4, "little"))
    processor.memory.write(0x400000 + 0x123456, b"\x07")
    processor.registers["CR4"], processor.registers["CR3"] = 0x10, DIRECTORY
    processor.registers["CR0"] |= 1 << 31
    processor.registers["EBX"] = 0x523456
    processor.step()
    assert processor.registers["EAX"] == 7


def test_a_number_over_two_pages_and_one_of_them_missing() -> None:
    processor = paged("8b038903", {6: 0x9007, 7: 0xA007})
    processor.memory.write(0x9FFE, b"\x01\x02")
    processor.memory.write(0xA000, b"\x03\x04")
    processor.registers["EBX"] = 0x6FFE
    processor.step()
    assert processor.registers["EAX"] == 0x04030201
    processor.memory.write(TABLE + 28, (0).to_bytes(4, "little"))
    processor.paging.flush()
    processor.registers["EAX"] = 0
    fault = fault_of(processor)
    assert (fault.vector, fault.address) == (14, 0x7000)
    assert processor.memory.read(0x9FFE, 2) == b"\x01\x02"  # nothing was written


def test_an_instruction_over_two_pages() -> None:
    processor = paged("90", {6: 0x9007, 7: 0})
    processor.memory.write(0x9FFE, bytes.fromhex("b82a"))  # mov eax, ...
    processor.registers["EIP"] = 0x6FFE
    fault = fault_of(processor)
    assert (fault.vector, fault.address) == (14, 0x7000)
    processor.memory.write(TABLE + 28, (0xA007).to_bytes(4, "little"))
    processor.memory.write(0xA000, bytes(3))
    processor.step()
    assert processor.registers["EAX"] == 42


def test_a_short_instruction_at_the_end_of_the_last_page_there_is() -> None:
    processor = paged("90", {6: 0x9007, 7: 0})
    processor.memory.write(0x9FFF, bytes.fromhex("90"))
    processor.registers["EIP"] = 0x6FFF
    assert str(processor.step()) == "NOP"


def test_invlpg_forgets_all_of_a_large_page() -> None:
    processor = paged("90", {})
    registers, write = processor.registers, processor.memory.write
    registers["CR4"] |= 1 << 4
    entry = DIRECTORY + 4 * (0x800000 >> 22)
    write(entry, (0x83).to_bytes(4, "little"))  # 4 MiB from 0 on: present, to be written, large
    paging = processor.paging
    found = [paging.physical(0x800000 + at, write=False, user=False) for at in (0, 0x1000)]
    assert found == [0, 0x1000]
    write(entry, (TABLE | 3).to_bytes(4, "little"))  # by the table: page 2 first, then page 3
    write(TABLE, (0x2000 | 3).to_bytes(4, "little"))
    write(TABLE + 4, (0x3000 | 3).to_bytes(4, "little"))
    paging.flush(0x800123)
    assert paging.physical(0x801000, write=False, user=False) == 0x3000
    assert paging.physical(0x800000, write=False, user=False) == 0x2000
