"""Each lie of an ELF header is refused by the field's name."""

from __future__ import annotations

import re
import struct

import pytest

from tests.machine.elves import MULTIBOOT, Elf
from virtlab.machine.elf import Hex, Multiboot, find_multiboot, table
from virtlab.validate import InvalidInputError

MAGIC = b"\x7fELF\x01\x01\x01" + bytes(9)


def refused(elf: Elf, text: str) -> None:
    with pytest.raises(InvalidInputError, match="^" + re.escape(text)):
        elf.image()


def test_the_honest_one_is_accepted() -> None:
    image = Elf().image()
    assert image.entry == 0x100000
    assert image.multiboot == Multiboot(84, 0)
    assert [(s.address, len(s.data), s.access) for s in image.segments] == [(0x100000, 32, "r-x")]


@pytest.mark.parametrize(
    ("at", "byte", "text"),
    [
        (0, 0x7E, r"e_ident magic = b'~ELF': must be b'\x7fELF'"),
        (4, 2, "e_ident class = 2: must be 1 (32 bits)"),
        (5, 2, "e_ident data = 2: must be 1 (little-endian)"),
        (6, 0, "e_ident version = 0: must be 1"),
    ],
)
def test_what_is_no_elf_of_32_bits(at: int, byte: int, text: str) -> None:
    ident = bytearray(MAGIC)
    ident[at] = byte
    refused(Elf(ident=bytes(ident)), text)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("e_type", 1, "e_type = 1: must be 2 (ET_EXEC"),
        ("e_type", 3, "e_type = 3: must be 2 (ET_EXEC"),
        ("e_machine", 62, "e_machine = 62: must be 3 (EM_386)"),
        ("e_version", 2, "e_version = 2: must be 1"),
        ("e_ehsize", 64, "e_ehsize = 64: must be 52"),
        ("e_phentsize", 56, "e_phentsize = 56: must be 32"),
        ("e_phnum", 0, "e_phnum = 0: must be an integer from 1 to 64"),
        ("e_phnum", 65535, "e_phnum = 65535: must be an integer from 1 to 64"),
        ("e_phoff", 2**32 - 1, "e_phoff + e_phnum * e_phentsize = 0x10000001f: must be at most 0x"),
        ("e_shentsize", 64, "e_shentsize = 64: must be 40"),
        ("e_shnum", 0, "e_shnum = 0: must be an integer from 1 to 1024"),
        ("e_shnum", 4, "e_shoff + e_shnum * e_shentsize = 0x"),
        ("e_shnum", 1025, "e_shnum = 1025: must be"),
        ("e_shoff", 0, "e_shnum = 3: must be 0, as e_shoff is 0"),
        ("e_shoff", 2**32 - 8, "e_shoff + e_shnum * e_shentsize = 0x100000070: must be at most 0x"),
        ("e_entry", 0, "e_entry = 0x0: must be in the file's part of an executable segment"),
        ("e_entry", 0x100020, "e_entry = 0x100020: must be in the file's part"),
    ],
)
def test_a_header_that_lies(name: str, value: int, text: str) -> None:
    refused(Elf(header={name: value}), text)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"p_type": 2}, "program header 0 p_type = 2: must be of a static program, not PT_DYNAMIC"),
        ({"p_type": 3}, "program header 0 p_type = 3: must be of a static program, not PT_INTERP"),
        ({"p_type": 7}, "program header 0 p_type = 7: must be of a static program, not PT_TLS"),
        ({"p_type": 4}, "program headers = 0: must be at least one that takes memory (PT_LOAD)"),
        ({"p_filesz": 0, "p_memsz": 0}, "program headers = 0: must be at least one"),
        ({"p_memsz": 31}, "program header 0 p_filesz = 0x20: must be at most 0x1f, its p_memsz"),
        ({"p_offset": 2**32 - 1}, "program header 0 p_offset + p_filesz = 0x10000001f: must be at"),
        ({"p_filesz": 9999, "p_memsz": 9999}, "program header 0 p_offset + p_filesz = 0x2763"),
        ({"p_memsz": 2**32 - 1}, "program header 0 p_paddr + p_memsz = 0x1000fffff: must be at mo"),
        ({"p_paddr": 2**21 - 31}, "program header 0 p_paddr + p_memsz = 0x200001: must be at most"),
        ({"p_flags": 6}, "e_entry = 0x100000: must be in the file's part of an executable segment"),
        ({"p_filesz": 0}, "e_entry = 0x100000: must be in the file's part"),
    ],
)  # fmt: skip
def test_a_segment_that_lies(changed: dict[str, int], text: str) -> None:
    refused(Elf(program=[changed]), text)


def test_segments_in_any_order_but_not_over_one_another() -> None:
    image = Elf(program=[{"p_paddr": 0x100020}, {}]).image()
    assert [segment.address for segment in image.segments] == [0x100000, 0x100020]
    refused(
        Elf(program=[{"p_paddr": 0x10001F}, {}]),
        "program header 0 p_paddr = 0x10001f: must be at least 0x100020, where another ends",
    )
    refused(Elf(program=[{}, {}]), "program header 1 p_paddr = 0x100000: must be at least")
    many = [{"p_paddr": 0x100000 + 32 * n} for n in range(64)]
    assert len(Elf(program=many).image().segments) == 64
    refused(Elf(program=[*many, {}]), "e_phnum = 65: must be an integer from 1 to 64")


def test_what_takes_no_memory_is_left_out() -> None:
    beyond = {"p_paddr": 2**32 - 1, "p_filesz": 0, "p_memsz": 0}
    note = {"p_type": 4, "p_offset": 2**32 - 1}  # of no use to a loader, so not looked at
    assert len(Elf(program=[beyond, {}, note]).image().segments) == 1


def test_memory_by_the_physical_address() -> None:
    high = Elf(program=[{"p_vaddr": 0xC0100000}]).image()  # a kernel that will map itself high
    assert high.segments[0].address == 0x100000


def test_a_program_without_sections_has_no_symbols() -> None:
    assert Elf(header={"e_shoff": 0, "e_shnum": 0}).image().symbols == {}


def test_all_of_the_address_space() -> None:
    top = Elf(program=[{}, {"p_paddr": 2**32 - 32}])
    assert top.image(2**32).end == 2**32
    refused(top, "program header 1 p_paddr + p_memsz = 0x100000000: must be at most 0x200000")


def test_a_table_ends_where_the_file_does() -> None:
    assert table(b"abc", "field", 3, 0) == b""
    with pytest.raises(InvalidInputError, match=r"= 0x4: must be at most 0x3, the file's end"):
        table(b"abc", "field", 4, 0)


def test_numbers_that_are_shown_as_addresses_are_numbers() -> None:
    assert repr(Hex(255)) == "0xff"
    assert Hex(255) + 1 == 256


@pytest.mark.parametrize("offset", [0, 4, 8180])
def test_multiboot_is_found_on_each_multiple_of_four(offset: int) -> None:
    assert find_multiboot(bytes(offset) + MULTIBOOT) == Multiboot(offset, 0)


@pytest.mark.parametrize("offset", [1, 2, 3, 8184, 8192])
def test_multiboot_elsewhere_is_none(offset: int) -> None:
    assert find_multiboot(bytes(offset) + MULTIBOOT + bytes(16)) is None


def test_multiboot_needs_its_checksum() -> None:
    wrong = struct.pack("<III", 0x1BADB002, 3, 2**32 - 0x1BADB002)
    assert find_multiboot(wrong) is None
    assert find_multiboot(wrong + MULTIBOOT) == Multiboot(12, 0)
    assert find_multiboot(MULTIBOOT[:-1]) is None
    assert find_multiboot(b"") is None
