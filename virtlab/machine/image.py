"""What a guest program's file says must be in memory, and where execution begins (S5, S16).

A program comes as an ELF file. Its **program headers** are what a loader needs: each says that so
many bytes of the file go to that address, and how much memory they take there; what is in memory
but not in the file is zero (.bss). The **section headers** lead to the symbol table, which a loader
does not need but a reader of machine code does. The entry point is the address of the first
instruction.

    file:    | ELF header | program headers | code | data | symbols | section headers |
                                              |      |
    memory:  ............................| code |..| data | zeros |..................

A file is data from outside. Every offset, size and count in it is checked before it is used, and a
file that lies gets one error, with the field's name in the specification. That is the same in a
hypervisor: what a guest hands in must never do more to the host than be refused.

A kernel for the **Multiboot** protocol has a magic number, flags and a checksum in its first 8 KiB;
then any such boot loader, and `qemu-system-i386 -kernel`, starts it in protected mode.

Sources: Tool Interface Standard, "Executable and Linking Format", version 1.2 (1995), book I and
book III for the 80386; Multiboot Specification 0.6.96, section 3.1.

Left out: dynamic linking, relocation, thread-local data, and the address fields of the Multiboot
header (flag 16), which are for files that are not ELF.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from virtlab.machine.elf import (
    Hex,
    ProgramHeader,
    check,
    find_multiboot,
    read_header,
    read_program_headers,
)
from virtlab.machine.symbols import Symbol, read_symbols
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    import pandas as pd

    from virtlab.machine.elf import Multiboot

__all__ = ["MAX_FILE_BYTES", "MAX_RAM_BYTES", "Image", "Segment", "load", "parse"]

MAX_FILE_BYTES = 16 * 2**20
MAX_RAM_BYTES = 2**32  # what an address of 32 bits reaches
_ZEROS = memoryview(bytes(2**20))
_EXECUTE, _WRITE, _READ = 1, 2, 4
_LETTERS = ((_READ, "r"), (_WRITE, "w"), (_EXECUTE, "x"))


@dataclass(frozen=True)
class Segment:
    """A run of memory that the file fills.

    Attributes
    ----------
    address
        Physical address of its first byte.
    data
        What the file holds of it.
    memory_bytes
        How much memory it takes; what `data` does not fill is zero.
    flags
        Bits of `p_flags`: 1 execute, 2 write, 4 read.

    Examples
    --------
    >>> text = Segment(0x100000, bytes(16), 16, 5)
    >>> text.access, hex(text.end)
    ('r-x', '0x100010')
    """

    address: int
    data: bytes
    memory_bytes: int
    flags: int

    @property
    def end(self) -> int:
        """Address after its last byte."""
        return self.address + self.memory_bytes

    @property
    def filled(self) -> range:
        """Addresses of what comes from the file."""
        return range(self.address, self.address + len(self.data))

    @property
    def access(self) -> str:
        """What the file says may be done with it, as `ls` writes it: 'r-x'."""
        return "".join(letter if self.flags & bit else "-" for bit, letter in _LETTERS)

    @property
    def executable(self) -> bool:
        """Whether the file says that it holds code."""
        return bool(self.flags & _EXECUTE)


@dataclass(frozen=True)
class Image(Result):
    """A program, checked, as it will be in memory.

    Attributes
    ----------
    entry
        Address of the first instruction.
    segments
        By address; none overlaps another.
    symbols
        By name: functions, data, and the labels of assembly. Of several with one name (static
        functions of two sources) the global one, else the first.
    multiboot
        The Multiboot header; None without one.

    Examples
    --------
    >>> from virtlab.machine.guests import guest
    >>> image = load(guest("isprime").path(), ram_bytes=2 * 2**20)
    >>> image.symbols["isPrime"].bytes, image.symbols["isPrime"].kind
    (34, 'function')
    >>> print(image.explain())
    Execution begins at 0x10000c (_start), in segment 0.
    Segment 0 (r-x): 711 bytes of the file go to 0x100000.
    Segment 1 (rw-): 16384 bytes at 0x101000 are zeros.
    A Multiboot header with flags 0x0: a boot loader can start it.
    """

    entry: int
    segments: tuple[Segment, ...]
    symbols: Mapping[str, Symbol]
    multiboot: Multiboot | None

    @property
    def end(self) -> int:
        """Address after the last byte that the program takes."""
        return self.segments[-1].end

    def place(self, ram: bytearray | memoryview) -> None:
        """Put the program into memory: the file's bytes, and zeros where it has none.

        Parameters
        ----------
        ram
            The machine's memory, its first byte address 0; the rest of it stays as it is.

        Raises
        ------
        InvalidInputError
            If it is read-only, not in one piece, or too small.

        Examples
        --------
        >>> from virtlab.machine.guests import guest
        >>> image = load(guest("isprime").path(), ram_bytes=2 * 2**20)
        >>> ram = bytearray(2 * 2**20)
        >>> image.place(ram)
        >>> at = image.symbols["isPrime"].address
        >>> ram[at : at + 10].hex(" ")
        '89 f9 be 02 00 00 00 39 ce 7d'
        """
        with memoryview(ram) as given:
            usable = given.c_contiguous and not given.readonly
            check(usable, "ram", given, "memory in one piece that can be written")
            check(given.nbytes >= self.end, "ram bytes", given.nbytes, f"an integer >= {self.end}")
            view = given.cast("B")
            for segment in self.segments:
                filled = segment.filled
                view[filled.start : filled.stop] = segment.data
                for at in range(filled.stop, segment.end, len(_ZEROS)):
                    end = min(at + len(_ZEROS), segment.end)
                    view[at:end] = _ZEROS[: end - at]
            view.release()

    def where(self, address: int) -> str:
        """Return an address as a reader of machine code writes it: function and distance.

        Parameters
        ----------
        address
            Any.

        Returns
        -------
        str
            '_start+0x5'; the bare address where it is in nothing that has a name.

        Examples
        --------
        >>> from virtlab.machine.guests import guest
        >>> image = load(guest("isprime").path(), ram_bytes=2 * 2**20)
        >>> image.where(image.entry), image.where(image.entry + 5), image.where(16)
        ('_start', '_start+0x5', '0x10')
        """
        at = bisect_right(self._by_address, address, key=lambda one: one.address) - 1
        home = next((s for s in self.segments if s.address <= address < s.end), None)
        if at < 0 or home is None or self._by_address[at].address < home.address:
            return hex(address)
        symbol = self._by_address[at]
        distance = address - symbol.address
        if symbol.bytes and distance >= symbol.bytes:  # after its end: in nothing that has a name
            return hex(address)
        return symbol.name + (f"+{distance:#x}" if distance else "")

    @cached_property
    def _by_address(self) -> list[Symbol]:
        """The symbols by address; of those at one address, a function comes last."""
        return sorted(self.symbols.values(), key=lambda s: (s.address, s.kind == "function"))

    def to_frame(self) -> pd.DataFrame:
        """Return the segments, a row each."""
        import pandas as pd

        rows = [(s.address, len(s.data), s.memory_bytes, s.access) for s in self.segments]
        return pd.DataFrame(rows, columns=["address", "file_bytes", "memory_bytes", "access"])

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        return {
            "entry": self.entry,
            "segments": len(self.segments),
            "file_bytes": sum(len(segment.data) for segment in self.segments),
            "memory_bytes": sum(segment.memory_bytes for segment in self.segments),
            "end": self.end,
            "symbols": len(self.symbols),
            "multiboot": "no" if self.multiboot is None else "yes",
        }

    def explain(self) -> str:
        """Say what goes where."""
        home = next(n for n, one in enumerate(self.segments) if one.address <= self.entry < one.end)
        known = self.where(self.entry)
        name = "" if known == hex(self.entry) else f" ({known})"
        lines = [f"Execution begins at {self.entry:#x}{name}, in segment {home}."]
        for number, one in enumerate(self.segments):
            zeros = one.memory_bytes - len(one.data)
            parts = []
            if one.data:
                parts.append(f"{len(one.data)} bytes of the file go to {one.address:#x}")
            if zeros:
                parts.append(f"{zeros} bytes at {one.address + len(one.data):#x} are zeros")
            lines.append(f"Segment {number} ({one.access}): {', '.join(parts)}.")
        header = self.multiboot
        lines.append(
            "No Multiboot header: a boot loader would not know it."
            if header is None
            else f"A Multiboot header with flags {header.flags:#x}: a boot loader can start it."
        )
        return "\n".join(lines)


def load(path: str | PathLike[str], ram_bytes: int) -> Image:
    r"""Read a program from a file and check it.

    Parameters
    ----------
    path
        An ELF file for i386, at most 16 MiB.
    ram_bytes
        How much memory the machine has.

    Returns
    -------
    Image
        The program; nothing of it is in memory before `Image.place`.

    Raises
    ------
    InvalidInputError
        If the file can't be read, or is not such a program, or does not fit; the error names the
        file, and the field as the specification does.

    Examples
    --------
    >>> from virtlab.machine.guests import guest
    >>> hex(load(guest("sieve").path(), ram_bytes=2 * 2**20).entry)
    '0x10000c'
    >>> load(guest("sieve").source, ram_bytes=2 * 2**20)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: ...sieve.c: e_ident magic = b'/* T': must be b'\x7fELF'
    """
    try:
        if not Path(path).is_file():  # a device or a pipe would not end
            raise InvalidInputError("path", str(path), "a file that is there")
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError("path", str(path), f"a file that can be read ({error})") from error
    ram_bytes = integer("ram_bytes", ram_bytes, minimum=1, maximum=MAX_RAM_BYTES)
    try:
        return parse(data, ram_bytes)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error.field}", error.value, error.allowed) from error


def parse(data: bytes, ram_bytes: int) -> Image:
    """Check a program that is the bytes of an ELF file.

    Parameters
    ----------
    data
        All of the file.
    ram_bytes
        How much memory the machine has.

    Returns
    -------
    Image
        The program.

    Raises
    ------
    InvalidInputError
        If it is not a static program for i386 that fits, or its headers contradict it; the error
        names the field as the specification does.

    Examples
    --------
    >>> parse(b"MZ", ram_bytes=2**20)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: file size = 2: must be an integer from 52 to 16777216
    """
    ram_bytes = integer("ram_bytes", ram_bytes, minimum=1, maximum=MAX_RAM_BYTES)
    check(
        len(data) <= MAX_FILE_BYTES,
        "file size",
        len(data),
        f"an integer from 52 to {MAX_FILE_BYTES}",
    )
    header = read_header(data)
    segments = _segments(data, read_program_headers(data, header), ram_bytes)
    inside = any(
        s.executable and s.address <= header.entry < s.address + len(s.data) for s in segments
    )
    check(inside, "e_entry", Hex(header.entry), "in the file's part of an executable segment")
    symbols = MappingProxyType(read_symbols(data, header))
    return Image(header.entry, segments, symbols, find_multiboot(data))


def _segments(
    data: bytes, headers: tuple[tuple[int, ProgramHeader], ...], ram_bytes: int
) -> tuple[Segment, ...]:
    """Return what goes to memory, by address, each in RAM and apart from the others."""
    check(bool(headers), "program headers", 0, "at least one that takes memory (PT_LOAD)")
    ordered = sorted(headers, key=lambda pair: pair[1].address)
    free = 0
    segments = []
    for number, one in ordered:
        field, end = f"program header {number} p_paddr", one.address + one.memory_bytes
        most, least = (
            f"at most {ram_bytes:#x}, RAM's end",
            f"at least {free:#x}, where another ends",
        )
        check(end <= ram_bytes, f"{field} + p_memsz", Hex(end), most)
        check(one.address >= free, field, Hex(one.address), least)
        filled = data[one.offset : one.offset + one.file_bytes]
        segments.append(Segment(one.address, filled, one.memory_bytes, one.flags))
        free = end
    return tuple(segments)
