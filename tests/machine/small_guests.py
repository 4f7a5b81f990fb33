"""Guests of a few bytes of machine code, with tables, a timer and rings."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder
from virtlab.machine.segments import descriptor_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.translation.passes import Passes

CODE, GDT, IDT, TSS, KERNEL_STACK = 0x100000, 0x80000, 0x81000, 0x82000, 0x90000
DECODER = Decoder()  # it knows what it has decoded
HANDLERS, DIRECTORY, TABLE = 0x110000, 0x120000, 0x121000


def set_up(
    *,
    history: int = 1000,
    ram_mib: int = 2,
    tick: int = 1,
    tier: str = "interpreter",
    passes: Passes | None = None,
    keys: Sequence[tuple[int, int]] = (),
    mmu: bool = True,
) -> Computer:
    """Return a computer with flat segments of rings 0 and 3, a task state, and an empty IDT."""
    computer = Computer(
        ram_mib,
        history=history,
        instructions_per_tick=tick,
        decoder=DECODER,
        tier=tier,
        passes=passes,
        keys=keys,
        mmu=mmu,
    )
    flat = [(0x9B, 0), (0x93, 0), (0xFB, 0), (0xF3, 0)]
    gdt = bytes(8) + b"".join(descriptor_bytes(0, 0xFFFFFFFF, access) for access, _ in flat)
    gdt += descriptor_bytes(TSS, 0x67, 0x89)
    computer.memory.write(GDT, gdt)
    computer.memory.write(TSS, struct.pack("<III", 0, KERNEL_STACK, 0x10))
    computer.processor.set_table("gdtr", GDT, len(gdt) - 1)
    computer.processor.set_table("idtr", IDT, 0x7FF)
    return computer


def handle(computer: Computer, vector: int, code: str, *, ring: int = 0) -> int:
    """Put a handler's code into memory and its gate into the table; return where it is."""
    at = HANDLERS + 0x40 * vector
    computer.memory.write(at, bytes.fromhex(code))
    gate = struct.pack("<HHBBH", at & 0xFFFF, 8, 0, 0x8E | ring << 5, at >> 16)
    computer.memory.write(IDT + 8 * vector, gate)
    return at


def out(port: int, value: int) -> str:
    """Return `mov dx, port; mov al, value; out dx, al`."""
    return (b"\x66\xba" + struct.pack("<H", port) + bytes([0xB0, value, 0xEE])).hex()


def timer_set_up(count: int) -> str:
    """Return code that lets the timer interrupt by vector 0x20, each `count` ticks."""
    accesses = [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFE)]
    accesses += [(0x43, 0x34), (0x40, count & 0xFF), (0x40, count >> 8)]
    return "".join(out(port, value) for port, value in accesses)


# push eax; push edx; inc ebx; EOI; pop edx; pop eax; iret
COUNT_IN_EBX = "50 52 43 " + out(0x20, 0x20) + " 5a 58 cf"
EXIT = out(0xF4, 0)


def with_timer(
    count: int,
    rest: str,
    *,
    history: int = 1000,
    tick: int = 1,
    tier: str = "interpreter",
    passes: Passes | None = None,
) -> Computer:
    """Return a computer whose timer counts up EBX, and which then does `rest`."""
    computer = set_up(history=history, tick=tick, tier=tier, passes=passes)
    handle(computer, 0x20, COUNT_IN_EBX)
    # mov eax, 0; mov ebx, 0; timer; sti
    computer.load_code(bytes.fromhex("b800000000 bb00000000" + timer_set_up(count) + "fb" + rest))
    return computer


def map_pages(computer: Computer, pages: int = 512) -> None:
    """Map pages to themselves, for the kernel, all but the last."""
    computer.memory.write(DIRECTORY, struct.pack("<I", TABLE | 3))
    entries = [page << 12 | 3 for page in range(pages - 1)]
    computer.memory.write(TABLE, struct.pack(f"<{len(entries)}I", *entries))


PAGING_ON = f"b8 {struct.pack('<I', DIRECTORY).hex()} 0f22d8 0f20c0 0d00000080 0f22c0"
