"""ELF files made by hand, a field at a time, so that a test can make each of them lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from virtlab.machine.image import Image, parse

MULTIBOOT = struct.pack("<III", 0x1BADB002, 0, 2**32 - 0x1BADB002)


@dataclass
class Elf:
    """A small program: one segment of code at 1 MiB, and a symbol table.

    `header`, `program` and `section` replace fields by their names in the specification; the
    sections are 1, the symbol table, and 2, its names.
    """

    header: dict[str, int] = field(default_factory=dict)
    program: list[dict[str, int]] = field(default_factory=lambda: [{}])
    section: dict[int, dict[str, int]] = field(default_factory=dict)
    symbols: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    names: bytes = b"\0main\0"
    ident: bytes = b"\x7fELF\x01\x01\x01" + bytes(9)
    multiboot: bool = True

    def pack(self) -> bytes:
        """Return the file: header, program headers, code, symbols, names, section headers."""
        code = (MULTIBOOT if self.multiboot else bytes(12)) + b"\xf4" * 20
        rows = [
            struct.pack("<IIIBBH", name, value, size, bind << 4 | kind, 0, 1)
            for name, value, size, kind, bind in self.symbols
        ]
        table = bytes(16) + b"".join(rows)
        code_at = 52 + 32 * len(self.program)
        table_at = code_at + len(code)
        names_at = table_at + len(table)
        sections_at = names_at + len(self.names)
        sections = [
            {},
            {"sh_type": 2, "sh_offset": table_at, "sh_size": len(table), "sh_link": 2,
             "sh_entsize": 16},
            {"sh_type": 3, "sh_offset": names_at, "sh_size": len(self.names)},
        ]  # fmt: skip
        for number, changed in self.section.items():
            sections[number] |= changed
        return b"".join((
            self._header(sections_at, len(sections)),
            *(self._program(changed, code_at, len(code)) for changed in self.program),
            code, table, self.names,
            *(_packed("10I", SECTION, changed) for changed in sections),
        ))  # fmt: skip

    def image(self, ram_bytes: int = 2**21) -> Image:
        """Return what the loader makes of it."""
        return parse(self.pack(), ram_bytes)

    def _header(self, sections_at: int, sections: int) -> bytes:
        fields = {
            "e_type": 2, "e_machine": 3, "e_version": 1, "e_entry": 0x100000, "e_phoff": 52,
            "e_shoff": sections_at, "e_ehsize": 52, "e_phentsize": 32,
            "e_phnum": len(self.program), "e_shentsize": 40, "e_shnum": sections,
        }  # fmt: skip
        return self.ident + _packed("HHIIIIIHHHHHH", HEADER, fields | self.header)

    @staticmethod
    def _program(changed: dict[str, int], code_at: int, size: int) -> bytes:
        fields = {
            "p_type": 1, "p_offset": code_at, "p_vaddr": 0x100000, "p_paddr": 0x100000,
            "p_filesz": size, "p_memsz": size, "p_flags": 5, "p_align": 4,
        }  # fmt: skip
        return _packed("8I", PROGRAM, fields | changed)


HEADER = (
    "e_type", "e_machine", "e_version", "e_entry", "e_phoff", "e_shoff", "e_flags", "e_ehsize",
    "e_phentsize", "e_phnum", "e_shentsize", "e_shnum", "e_shstrndx",
)  # fmt: skip
PROGRAM = (
    "p_type", "p_offset", "p_vaddr", "p_paddr", "p_filesz", "p_memsz", "p_flags", "p_align",
)  # fmt: skip
SECTION = (
    "sh_name", "sh_type", "sh_flags", "sh_addr", "sh_offset", "sh_size", "sh_link", "sh_info",
    "sh_addralign", "sh_entsize",
)  # fmt: skip


def _packed(layout: str, names: tuple[str, ...], fields: dict[str, int]) -> bytes:
    assert set(fields) <= set(names)
    return struct.pack(f"<{layout}", *(fields.get(name, 0) for name in names))
