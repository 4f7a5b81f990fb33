"""What all random kernels have in common: where things are, tables, and one handler for all.

See `benchmarks.random_guests`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.machine.segments import descriptor_bytes

if TYPE_CHECKING:
    from numpy.random import Generator

CODE, HANDLER, GDT, IDT = 0x100000, 0x110000, 0x118000, 0x119000
TSS, DIRECTORY, TABLE = 0x11A000, 0x120000, 0x121000
COUNTS, USER, DATA, STACK = 0x13E000, 0x13F000, 0x140000, 0x150000
FRAMES, KEPT, IMAGE_END = 0x160000, 9, 0x169000
HASH, RESUME, ROUNDS, LOOPS = COUNTS + 0x400, COUNTS + 0x404, COUNTS + 0x408, USER
PAGES = 8  # of data
PORTS = (0x21, 0x80, 0x92)  # read by chunks; the task's map allows the first to every ring


def word(value: int) -> str:
    """Return a number as four bytes of code."""
    return struct.pack("<I", value & 0xFFFFFFFF).hex()


@dataclass
class Code:
    """Machine code that grows."""

    start: int
    data: bytearray = field(default_factory=bytearray)

    @property
    def here(self) -> int:
        """Address of what comes next."""
        return self.start + len(self.data)

    def add(self, *words: str) -> Code:
        """Append bytes, as hexadecimal digits."""
        self.data += bytes.fromhex(" ".join(words))
        return self

    def fill(self, at: int, value: int) -> None:
        """Write a word that was left open."""
        self.data[at - self.start : at - self.start + 4] = struct.pack("<I", value & 0xFFFFFFFF)


# --- tables and handler ---------------------------------------------------------------------------


def tables(rng: Generator, *, judged: bool) -> list[tuple[int, bytes]]:
    """Return the tables that a processor looks in, each with its address.

    For a judge there is nothing below CODE: its firmware has left there what ours has not.
    """
    flat = (0x9B, 0x93, 0xFB, 0xF3)
    gdt = bytes(8) + b"".join(descriptor_bytes(0, 0xFFFFFFFF, access) for access in flat)
    gdt += descriptor_bytes(TSS, 0x67 + 0x20, 0x89) + descriptor_bytes(DATA, 0x1FFF, 0xF3)
    gdt += b"".join(descriptor_bytes(0, 0xFFFFFFFF, access) for access in (0xBB, 0xB3, 0xDB, 0xD3))
    pointers = struct.pack("<HIxxHI", len(gdt) - 1, GDT, 0x7FF, IDT)
    idt = b"".join(
        struct.pack(
            "<HHBBH", at & 0xFFFF, 8, 0, 0xEE if vector in (3, 0x80, 0x81) else 0x8E, at >> 16
        )
        for vector in range(256)
        for at in [HANDLER + 12 * vector]
    )
    allowed = bytearray(b"\xff" * 0x20)
    allowed[PORTS[0] // 8] &= ~(1 << PORTS[0] % 8)
    task = struct.pack("<III", 0, STACK, 0x10).ljust(0x66, b"\0") + struct.pack("<H", 0x68)
    entries = [
        page << 12 | (7 if page << 12 < HANDLER or page << 12 == USER else 3) for page in range(512)
    ]
    entries[:256] = [0 if judged else page << 12 | 3 for page in range(256)]
    for page in range(PAGES):
        entries[(DATA >> 12) + page] = entry(rng)
    table = struct.pack("<512I", *entries)
    return [
        (GDT, gdt), (GDT + 0x800, pointers), (IDT, idt), (TSS, task + bytes(allowed)),
        (DIRECTORY, struct.pack("<I", TABLE | 7)), (TABLE, table),
    ]  # fmt: skip


def entry(rng: Generator) -> int:
    """Return a page table's entry: most pages are all right."""
    frame = FRAMES + 4096 * int(rng.integers(0, KEPT))
    return frame | int(rng.choice([7, 7, 7, 7, 7, 5, 5, 3, 1, 0]))


def _marked() -> str:
    """Return code for what a page fault leaves open where memory is read and written.

    QEMU reads first: a page that may not be written is marked as used by then, and at the edge of
    two pages it may be the second that is missing, where a processor that asks for all at once says
    that the first may not be written, or has marked that as written. So the pages are marked as
    both would have them, and at an edge the error does not say whether the page was there.
    """

    def mark(beside: int, bit: int) -> str:  # of the entry of page (CR2 + beside) >> 12
        number = "0f20d0 83c0" + f"{beside & 0xFF:02x}" + "c1e80c 25ff010000"
        return f"{number} 36800c85 {word(TABLE)} {bit:02x}"  # or byte ss:[TABLE + 4 * eax], bit

    def where(asked: str, then: str) -> str:  # jnz over it
        return f"{asked} 75{len(bytes.fromhex(then)):02x} {then}"

    # test (CR2 + 3), 0xffc; and dword [ebp + 0x24], ~3
    edge = where("0f20d0 83c003 a9fc0f0000", mark(-1, 0x40) + "836524fc")
    return where("837d200e", mark(-1, 0x20) + mark(3, 0x20) + edge)  # cmp dword [ebp + 0x20], 14


def handler(*, judged: bool) -> bytes:
    """Return a stub of 12 bytes for each vector, and what they all lead to."""
    common = HANDLER + 12 * 256
    stubs = bytearray()
    for vector in range(256):
        first = "" if vector in (8, 10, 11, 12, 13, 14, 17) else "6a00"
        stub = bytes.fromhex(first + "68" + word(vector) + "e9")
        jump = common - (HANDLER + len(stubs) + len(stub) + 4)
        stubs += (stub + struct.pack("<i", jump)).ljust(12, b"\x90")
    flags = 0x7700 if judged else 0xFFFFFFFF
    code = Code(common)
    # pushad; mov ebp, esp: EDI to EAX, vector, error, EIP, CS, EFLAGS lie from there on.
    code.add("60 89e5 fc")
    if judged:  # whether a missing page that is read and written faults as a write
        code.add("836524fd")  # and dword [ebp + 0x24], ~2
        code.add(_marked())
    code.add("36a1", word(HASH), "b90c000000")
    code.add("c1c005 33448dfc 69c0", word(0x9E3779B1), "49 75f0")  # rol, xor, imul, dec, jnz
    code.add("8b5530 81e2", word(flags), "01d0 36a3", word(HASH))
    code.add("8b5520 36ff0495", word(COUNTS))  # count the vector
    done = "61 83c408 cf"  # popad; add esp, 8; iretd
    for vector, what in (
        (0x20, "b020 e620" + done),
        (0x01, "36f605" + word(COUNTS + 4) + "03 7504 806531fe" + done),  # the 4th time no TF
        (0x03, done),
        # A program asks for one of its pages to be read only, or not: from EAX.
        (0x80, "8b551c 83e207 36833495" + word(TABLE + 4 * (DATA >> 12)) + "02 c1e20c"
         "81c2" + word(DATA) + "0f013a" + done),
        (0x81, "8b4528 bc" + word(STACK) + "ffe0"),  # back to the kernel, after the int
    ):  # fmt: skip
        size = len(bytes.fromhex(what))
        code.add(
            "83fa" if vector < 128 else "81fa", f"{vector:02x}" if vector < 128 else word(vector)
        )
        code.add("0f85", word(size), what)
    code.add("36a1", word(RESUME), "894528 806531fa", done)  # TF and DF are off then
    return bytes(stubs + code.data)
