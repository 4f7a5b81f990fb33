"""The headers of an ELF file, read with distrust: the layouts, and what each field may be.

Every structure is one `struct` format, in the order of the specification (ELF 1.2, book I); each
field that leads elsewhere is checked against the file's end before anything follows it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Header",
    "Hex",
    "Multiboot",
    "ProgramHeader",
    "check",
    "find_multiboot",
    "read_header",
    "read_program_headers",
    "table",
]

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM = struct.Struct("<IIIIIIII")
_MAX_PROGRAM_HEADERS = 64
_MAX_SECTIONS = 1024
_SECTION_BYTES = 40
_LOAD, _DYNAMIC, _INTERPRETER, _THREAD_LOCAL = 1, 2, 3, 7
_NOT_STATIC = {_DYNAMIC: "PT_DYNAMIC", _INTERPRETER: "PT_INTERP", _THREAD_LOCAL: "PT_TLS"}

_MULTIBOOT_MAGIC = 0x1BADB002
_MULTIBOOT_WITHIN = 8192


class Hex(int):
    """A number that errors show as addresses are written.

    Examples
    --------
    >>> Hex(1048576)
    0x100000
    """

    def __repr__(self) -> str:
        """Return it to the base 16."""
        return hex(self)


class Header(NamedTuple):
    """What the ELF header says, as far as it is needed.

    Examples
    --------
    >>> Header(0x10000C, 52, 2, 1580, 6).program_headers
    2
    """

    entry: int
    program_offset: int
    program_headers: int
    section_offset: int
    sections: int


class ProgramHeader(NamedTuple):
    """One segment: where in the file, where in memory.

    Examples
    --------
    >>> ProgramHeader(0x80, 0x100000, 0x468, 0x468, 5).file_bytes
    1128
    """

    offset: int
    address: int
    file_bytes: int
    memory_bytes: int
    flags: int


class Multiboot(NamedTuple):
    """A kernel's header for a Multiboot loader.

    `offset` is its place in the file; `flags` says what it asks of the loader (bit 0 modules on
    pages, bit 1 what memory there is, bit 2 a video mode).

    Examples
    --------
    >>> Multiboot(128, 2).flags
    2
    """

    offset: int
    flags: int


def check(condition: object, field: str, value: object, allowed: str) -> None:
    """Raise the error that names field, value and what is allowed, unless the condition holds.

    Parameters
    ----------
    condition
        What must be true.
    field, value, allowed
        Of the error.

    Raises
    ------
    InvalidInputError
        If it is not.

    Examples
    --------
    >>> check(64 == 52, "e_ehsize", 64, "52")
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: e_ehsize = 64: must be 52
    """
    if not condition:
        raise InvalidInputError(field, value, allowed)


def table(data: bytes, field: str, offset: int, size: int) -> bytes:
    """Return a part of the file, or raise if the file ends before it does.

    Parameters
    ----------
    data
        All of the file.
    field
        Name of what leads there, for the error.
    offset, size
        Which part, in bytes.

    Returns
    -------
    bytes
        Exactly `size` of them.

    Raises
    ------
    InvalidInputError
        If it is not all in the file.

    Examples
    --------
    >>> table(b"abcdef", "p_offset + p_filesz", 2, 3)
    b'cde'
    >>> table(b"abcdef", "p_offset + p_filesz", 2, 5)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: p_offset + p_filesz = 0x7: must be at most 0x6, the \
file's end
    """
    end = offset + size
    check(end <= len(data), field, Hex(end), f"at most {len(data):#x}, the file's end")
    return data[offset:end]


def read_header(data: bytes) -> Header:
    """Check the ELF header: a static program for i386, with tables of the usual layout.

    Parameters
    ----------
    data
        All of the file.

    Returns
    -------
    Header
        Where its tables are.

    Raises
    ------
    InvalidInputError
        Named as in the specification.

    Examples
    --------
    >>> from virtlab.machine.guests import guest
    >>> read_header(guest("sieve").path().read_bytes()).program_headers
    2
    """
    check(len(data) >= _HEADER.size, "file size", len(data), "an integer from 52 to 16777216")
    (ident, kind, machine, version, entry, program_offset, section_offset, _, header_bytes,
     program_bytes, program_headers, section_bytes, sections, _,
    ) = _HEADER.unpack_from(data)  # fmt: skip
    check(ident[:4] == b"\x7fELF", "e_ident magic", ident[:4], r"b'\x7fELF'")
    check(ident[4] == 1, "e_ident class", ident[4], "1 (32 bits)")
    check(ident[5] == 1, "e_ident data", ident[5], "1 (little-endian)")
    check(ident[6] == 1, "e_ident version", ident[6], "1")
    check(kind == 2, "e_type", kind, "2 (ET_EXEC, a program linked to fixed addresses)")
    check(machine == 3, "e_machine", machine, "3 (EM_386)")
    check(version == 1, "e_version", version, "1")
    check(header_bytes == _HEADER.size, "e_ehsize", header_bytes, "52")
    check(1 <= program_headers <= _MAX_PROGRAM_HEADERS, "e_phnum", program_headers,
          f"an integer from 1 to {_MAX_PROGRAM_HEADERS}")  # fmt: skip
    check(program_bytes == _PROGRAM.size, "e_phentsize", program_bytes, "32")
    if section_offset:  # without sections there are no symbols, and it is a program all the same
        check(section_bytes == _SECTION_BYTES, "e_shentsize", section_bytes, "40")
        check(1 <= sections <= _MAX_SECTIONS, "e_shnum", sections,
              f"an integer from 1 to {_MAX_SECTIONS}")  # fmt: skip
    else:
        check(sections == 0, "e_shnum", sections, "0, as e_shoff is 0")
    return Header(entry, program_offset, program_headers, section_offset, sections)


def read_program_headers(data: bytes, header: Header) -> tuple[tuple[int, ProgramHeader], ...]:
    """Return the segments that take memory, with their numbers, each checked against the file.

    Parameters
    ----------
    data
        All of the file.
    header
        Its ELF header.

    Returns
    -------
    tuple of (int, ProgramHeader)
        Those of type PT_LOAD that are not empty, in the file's order.

    Raises
    ------
    InvalidInputError
        If one of them lies, or the program needs a dynamic linker.

    Examples
    --------
    >>> from virtlab.machine.guests import guest
    >>> data = guest("sieve").path().read_bytes()
    >>> [hex(one.address) for _, one in read_program_headers(data, read_header(data))]
    ['0x100000', '0x101000']
    """
    size = header.program_headers * _PROGRAM.size
    rows = table(data, "e_phoff + e_phnum * e_phentsize", header.program_offset, size)
    return tuple(_loaded(data, rows))


def _loaded(data: bytes, rows: bytes) -> Iterator[tuple[int, ProgramHeader]]:
    for number, row in enumerate(_PROGRAM.iter_unpack(rows)):
        kind, offset, _, address, file_bytes, memory_bytes, flags, _ = row
        field = f"program header {number}"
        check(kind not in _NOT_STATIC, f"{field} p_type", kind,
              f"of a static program, not {_NOT_STATIC.get(kind)}")  # fmt: skip
        if kind != _LOAD:
            continue
        check(file_bytes <= memory_bytes, f"{field} p_filesz", Hex(file_bytes),
              f"at most {memory_bytes:#x}, its p_memsz")  # fmt: skip
        table(data, f"{field} p_offset + p_filesz", offset, file_bytes)
        if memory_bytes:
            yield number, ProgramHeader(offset, address, file_bytes, memory_bytes, flags)


def find_multiboot(data: bytes) -> Multiboot | None:
    """Return the Multiboot header: magic, flags and a checksum that makes them add up to 0.

    Parameters
    ----------
    data
        All of the file.

    Returns
    -------
    Multiboot or None
        The first one in the first 8192 bytes, on a multiple of 4; None without one.

    Examples
    --------
    >>> find_multiboot(bytes(4) + struct.pack("<III", 0x1BADB002, 2, 0xE4524FFC))
    Multiboot(offset=4, flags=2)
    >>> find_multiboot(struct.pack("<III", 0x1BADB002, 2, 7))
    """
    first = data[:_MULTIBOOT_WITHIN]
    for offset in range(0, len(first) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<III", first, offset)
        if magic == _MULTIBOOT_MAGIC and (magic + flags + checksum) % 2**32 == 0:
            return Multiboot(offset, flags)
    return None
