"""Programs that do nothing but use ports, for this machine and for QEMU: they are compared.

A script is a list of accesses. It becomes machine code that does them in order, keeps what it
reads, sends that over the serial port at the end, and ends the machine. Interrupts are let through
where the script says so; each handler keeps the number of its vector.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.computer import Computer
from virtlab.machine.segments import descriptor_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

QEMU = shutil.which("qemu-system-i386") or shutil.which("qemu-system-x86_64")
NO_QEMU = "there is no QEMU here to be the judge (Debian: qemu-system-x86)"

CODE = 0x100000
TABLES = 0x200000  # GDT, IDT and handlers
KEPT = 0x300000  # what is read, one after another


class Out(NamedTuple):
    port: int
    value: int
    size: int = 1


class In(NamedTuple):
    port: int
    size: int = 1
    mask: int = 0xFF  # of one byte: bits that depend on the clock on the wall are left out


class Interrupts(NamedTuple):
    """Lets pending interrupts through."""


class WaitForDisk(NamedTuple):
    """Waits until the disk is not busy, by the other status, whose reading changes nothing."""


class Halt(NamedTuple):
    """Halts until an interrupt comes."""


class Fault(NamedTuple):
    """Does what faults, while some gates are not present; a handler goes on after it."""

    code: bytes
    absent: tuple[int, ...] = ()


Step = Out | In | Interrupts | WaitForDisk | Halt | Fault


def _port(port: int) -> bytes:
    return b"\x66\xba" + struct.pack("<H", port)  # mov dx, port


def _code(step: Step) -> bytes:
    if isinstance(step, Fault):
        return _faulting(step)
    if isinstance(step, Out):
        return _port(step.port) + _out(step)
    if isinstance(step, In):
        return _port(step.port) + _in(step)
    return _WAITS[type(step)]


_WAITS = {
    Interrupts: bytes.fromhex("fb 90 90 90 fa"),  # sti, nop, nop, nop, cli
    Halt: bytes.fromhex("fb f4 fa"),  # sti, hlt, cli
    WaitForDisk: _port(0x3F6) + bytes.fromhex("ec a880 75fb"),  # in, test al, 0x80, jnz in
}


def _out(step: Out) -> bytes:
    if step.size == 1:
        return bytes([0xB0, step.value, 0xEE])
    narrow = b"\x66" if step.size == 2 else b""
    return b"\xb8" + struct.pack("<I", step.value) + narrow + b"\xef"


def _in(step: In) -> bytes:
    if step.size == 1:
        return bytes([0xEC, 0x24, step.mask, 0xAA])  # in, and, stosb
    narrow = b"\x66" if step.size == 2 else b""
    return narrow + b"\xed" + narrow + b"\xab"


def _faulting(step: Fault) -> bytes:
    """Take gates away, let EBP say where to go on, fault, and put the gates back."""

    def gates(access: int) -> bytes:
        places = (struct.pack("<I", TABLES + 0x100 + 8 * vector + 5) for vector in step.absent)
        return b"".join(b"\xc6\x05" + place + bytes([access]) for place in places)

    jump = b"\xe8\0\0\0\0\x5d\x83\xc5" + bytes([4 + len(step.code)])  # call next; pop ebp; add
    return gates(0x0E) + jump + step.code + gates(0x8E)


def _handler(vector: int) -> bytes:
    """Keep the vector, and come back; of an exception: go on where EBP says."""
    keep = bytes([0xB0, vector, 0xAA])  # mov al, vector; stosb
    if vector < 32:
        return keep + b"\xbc" + struct.pack("<I", 0x90000) + b"\xff\xe5"  # mov esp; jmp ebp
    return b"\x50" + keep + b"\x58\xcf"  # push eax; ...; pop eax; iret


def tables() -> bytes:
    """Return GDT (0), the two pointers (0x40), IDT (0x100) and the handlers (0x900)."""
    gdt = bytes(8) + descriptor_bytes(0, 0xFFFFFFFF, 0x9B) + descriptor_bytes(0, 0xFFFFFFFF, 0x93)
    pointers = struct.pack("<HIxxHI", 23, TABLES, 0x7FF, TABLES + 0x100)
    idt, handlers = b"", b""
    for vector in range(256):
        at = TABLES + 0x900 + len(handlers)
        idt += struct.pack("<HHBBH", at & 0xFFFF, 8, 0, 0x8E, at >> 16)
        handlers += _handler(vector)
    return gdt.ljust(0x40, b"\0") + pointers.ljust(0xC0, b"\0") + idt + handlers


def program(script: Sequence[Step]) -> bytes:
    """Return the machine code of a script; it is placed at CODE."""
    begin = b"\x0f\x01\x15" + struct.pack("<I", TABLES + 0x40)  # lgdt
    begin += b"\x0f\x01\x1d" + struct.pack("<I", TABLES + 0x48)  # lidt
    begin += b"\xea" + struct.pack("<IH", CODE + len(begin) + 7, 8)  # jmp 8:next
    begin += bytes.fromhex("66b81000 8ed8 8ec0 8ed0")  # mov ax, 16; mov ds, es, ss
    begin += b"\xbc" + struct.pack("<I", 0x90000) + b"\xbf" + struct.pack("<I", KEPT) + b"\xfc"
    quiet = (Out(0x3F9 + 2, 3), Out(0x3F9, 0), Out(0x3FC, 0))
    send = b"\xbe" + struct.pack("<I", KEPT)
    send += bytes.fromhex("39fe 7411 66bafd03 ec a820 74fb ac 66baf803 ee ebeb")
    leave = _port(0xF4) + bytes.fromhex("b000 ee f4")
    return begin + b"".join(map(_code, [*script, *quiet])) + send + leave


def here(script: Sequence[Step], *disks: bytes) -> tuple[bytes, bytes]:
    """Return what a script reads in our machine, and what its disks hold then, put together."""
    first, second = (*disks, None, None)[:2]
    computer = Computer(ram_mib=8, disk=first, second_disk=second, history=0)
    computer.memory.write(TABLES, tables())
    computer.load_code(program(script), CODE)
    run = computer.run(200_000)
    assert (run.ended, run.exit_status) == ("exit", 1), run.explain()
    both = (computer.disk, computer.second_disk)
    return run.output, b"".join(disk.contents() for disk in both if disk)


def _elf(script: Sequence[Step]) -> bytes:
    """Return the same as a file for a Multiboot loader."""
    header = struct.pack("<III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF)
    parts = [(CODE - 16, header.ljust(16, b"\0") + program(script)), (TABLES, tables())]
    at = 52 + 32 * len(parts)
    headers, body = b"", b""
    for address, data in parts:
        size = len(data)
        headers += struct.pack("<8I", 1, at + len(body), address, address, size, size, 7, 4)
        body += data
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    fields = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, CODE, 52, 0, 0, 52, 32, len(parts), 40, 0, 0)
    return ident + fields + headers + body


def in_qemu(script: Sequence[Step], folder: Path, *disks: bytes) -> tuple[bytes, bytes]:
    """Return the same of QEMU."""
    assert QEMU is not None
    (folder / "script.elf").write_bytes(_elf(script))
    (folder / "serial").write_bytes(b"")
    drives: list[str] = []
    files = [folder / f"disk{number}" for number in range(len(disks))]
    for number, (file, disk) in enumerate(zip(files, disks, strict=True)):
        file.write_bytes(disk)
        drives += ("-drive", f"file={file},format=raw,if=ide,index={number}")
    done = subprocess.run(
        [
            *(QEMU, "-kernel", str(folder / "script.elf"), "-m", "8", "-accel", "tcg"),
            *("-nodefaults", "-vga", "std", "-display", "none", "-no-reboot", *drives),
            *("-serial", f"file:{folder / 'serial'}"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return (folder / "serial").read_bytes(), b"".join(file.read_bytes() for file in files)


PIC_SET_UP = (
    *(Out(0x20, 0x11), Out(0x21, 0x20), Out(0x21, 4), Out(0x21, 1)),
    *(Out(0xA0, 0x11), Out(0xA1, 0x28), Out(0xA1, 2), Out(0xA1, 1)),
    *(Out(0x21, 0xFF), Out(0xA1, 0xFF)),
)
