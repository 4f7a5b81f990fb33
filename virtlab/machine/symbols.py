"""The symbol table of an ELF file: which names its addresses have.

A loader needs none of it. For whoever reads machine code it is half the meaning: a call goes to a
number, and the table says that the number is `isPrime`. As with the other tables, a file that
lies is refused (ELF 1.2, book I, "Symbol Table").
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.elf import check, table

if TYPE_CHECKING:
    from virtlab.machine.elf import Header

__all__ = ["Symbol", "read_symbols"]

_SECTION = struct.Struct("<IIIIIIIIII")
_SYMBOL = struct.Struct("<IIIBBH")
_SYMBOL_TABLE, _STRING_TABLE = 2, 3
_MAX_SYMBOLS = 65536
_MAX_NAME_BYTES = 1024
_KINDS = {0: "label", 1: "data", 2: "function"}  # STT_NOTYPE, STT_OBJECT, STT_FUNC
_GLOBAL = 1
_UNDEFINED, _RESERVED = 0, 0xFF00


class Symbol(NamedTuple):
    """A name for an address.

    `bytes` is how long what it names is, 0 where that is not known; `kind` is 'function', 'data',
    or 'label' for what assembly did not declare.

    Examples
    --------
    >>> Symbol("isPrime", 0x100218, 34, "function").bytes
    34
    """

    name: str
    address: int
    bytes: int
    kind: str


def read_symbols(data: bytes, header: Header) -> dict[str, Symbol]:
    """Return the symbols of functions, data and labels by name.

    Parameters
    ----------
    data
        All of the file.
    header
        Its ELF header, checked.

    Returns
    -------
    dict
        By name, in the file's order; empty for a file without a symbol table.

    Raises
    ------
    InvalidInputError
        If a section or a symbol lies.

    Examples
    --------
    >>> from virtlab.machine.elf import read_header
    >>> from virtlab.machine.guests import guest
    >>> data = guest("isprime").path().read_bytes()
    >>> read_symbols(data, read_header(data))["nexti"].kind
    'label'
    """
    if not header.section_offset:
        return {}
    size = header.sections * _SECTION.size
    rows = table(data, "e_shoff + e_shnum * e_shentsize", header.section_offset, size)
    sections = list(_SECTION.iter_unpack(rows))
    at = [number for number, section in enumerate(sections) if section[1] == _SYMBOL_TABLE]
    check(len(at) <= 1, "symbol tables", len(at), "at most 1")
    if not at:
        return {}
    return _named(*_tables(data, sections, at[0]))


def _tables(data: bytes, sections: list[tuple[int, ...]], number: int) -> tuple[bytes, bytes]:
    """Return the bytes of the symbol table and of the names it points into."""
    _, _, _, _, offset, size, link, _, _, entry_bytes = sections[number]
    field = f"section {number}"
    check(entry_bytes == _SYMBOL.size, f"{field} sh_entsize", entry_bytes, "16")
    check(size % _SYMBOL.size == 0, f"{field} sh_size", size, "a multiple of 16")
    most = _MAX_SYMBOLS * _SYMBOL.size
    check(size <= most, f"{field} sh_size", size, f"at most {most} ({_MAX_SYMBOLS} symbols)")
    symbols = table(data, f"{field} sh_offset + sh_size", offset, size)
    last = len(sections) - 1
    check(1 <= link <= last, f"{field} sh_link", link, f"a section's number, from 1 to {last}")
    kind, names_offset, names_size = (sections[link][at] for at in (1, 4, 5))
    check(kind == _STRING_TABLE, f"section {link} sh_type", kind, "3 (SHT_STRTAB)")
    names = table(data, f"section {link} sh_offset + sh_size", names_offset, names_size)
    return symbols, names


def _named(symbols: bytes, names: bytes) -> dict[str, Symbol]:
    found: dict[str, tuple[bool, Symbol]] = {}
    for number, row in enumerate(_SYMBOL.iter_unpack(symbols)):
        start, address, size, info, _, section = row
        kind = _KINDS.get(info & 15)
        if kind is None or section == _UNDEFINED or section >= _RESERVED or not start:
            continue  # files, sections, what is elsewhere, plain numbers, what has no name
        end = names.find(b"\0", start, start + _MAX_NAME_BYTES + 1)
        check(end >= 0, f"symbol {number} st_name", start,
              f"where a name of at most {_MAX_NAME_BYTES} bytes begins")  # fmt: skip
        name = names[start:end].decode("utf-8", "backslashreplace")
        is_global = info >> 4 == _GLOBAL
        if name not in found or (is_global and not found[name][0]):
            found[name] = is_global, Symbol(name, address, size, kind)
    return {name: symbol for name, (_, symbol) in found.items()}
