"""Guests for the monitor: a kernel's tables, and the same code at ring 0 and at ring 1."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pypcode
import pytest

from tests.machine.small_guests import CODE, GDT, IDT, KERNEL_STACK, TSS, out
from virtlab.machine.computer import Computer
from virtlab.machine.segments import descriptor_bytes
from virtlab.machine.vmm import Monitor
from virtlab.machine.vmm.judge import guest_view

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT = out(0xF4, 0)


@pytest.fixture(autouse=True, scope="module")
def one_decoder() -> Iterator[None]:
    """Make pypcode's tables once: that takes longer than most runs here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pypcode, "Context", cache(pypcode.Context))
        yield


def le(value: int, size: int = 4) -> str:
    return value.to_bytes(size, "little").hex()


def tables() -> str:
    """Return the code with which a guest loads its own tables, as a kernel does."""
    far = CODE + len(bytes.fromhex(_LOAD)) + 7
    segments = "66b81000 8ed0 8ed8 8ec0 66b82800 0f00d8"
    return f"{_LOAD} ea {le(far)} 0800 {segments}"


POINTERS = 0x83000
_LOAD = f"0f0115{le(POINTERS)} 0f011d{le(POINTERS + 8)}"


def furnish(computer: Computer) -> None:
    """Put tables into a guest's memory: rings 0 and 3, a task state, gates that lead to iret."""
    kinds = (0x9A, 0x92, 0xFA, 0xF2)
    gdt = bytes(8) + b"".join(descriptor_bytes(0, 0xFFFFFFFF, kind) for kind in kinds)
    gdt += descriptor_bytes(TSS, 0x67, 0x89, big=False)
    memory = computer.memory
    memory.write(GDT, gdt)
    memory.write(TSS + 4, bytes.fromhex(le(KERNEL_STACK) + "1000"))
    memory.write(TSS + 0x66, bytes.fromhex("6800"))
    for vector in range(256):
        at = 0x110000 + 16 * vector
        errors = "83c404" if vector in (8, 10, 11, 12, 13, 14, 17) else ""
        # A handler counts in ESI, and goes on after the instruction: all that fault have two bytes.
        skip = "83042402" if vector in (0, 6, 13) else ""
        memory.write(at, bytes.fromhex(f"{errors} 46 {skip} cf"))
        access = 0xEE if vector in (3, 0x80) else 0x8E
        gate = f"{le(at & 0xFFFF, 2)} 0800 00 {access:02x} {le(at >> 16, 2)}"
        memory.write(IDT + 8 * vector, bytes.fromhex(gate))
    memory.write(POINTERS, bytes.fromhex(f"{le(len(gdt) - 1, 2)}{le(GDT)}"))
    memory.write(POINTERS + 8, bytes.fromhex(f"ff07{le(IDT)}"))


def native(code: str) -> Computer:
    computer = Computer(2, history=0)
    furnish(computer)
    computer.load_code(bytes.fromhex(tables() + code), CODE)
    return computer


def monitored(code: str, **more: Any) -> Monitor:
    monitor = Monitor(2, **more)
    furnish(monitor)
    monitor.load_code(bytes.fromhex(tables() + code), CODE)
    return monitor


def state(computer: Computer) -> dict[str, object]:
    """Return what a guest's machine is at the end, as the guest would see it."""
    processor = computer.processor
    return {
        **guest_view(processor),
        "output": bytes(computer.uart.output),
        "devices": computer.bus.save(),
    }


def memory(computer: Computer) -> bytes:
    """Return the guest's memory without the monitor's patches."""
    data = bytearray(computer.memory.data)
    if isinstance(computer, Monitor) and computer.patcher is not None:
        for patch in computer.patcher.patches.values():
            if data[patch.place] == 0xCC:
                data[patch.place] = patch.byte
    return bytes(data)


def assert_same(one: Computer, other: Computer) -> None:
    first, second = state(one), state(other)
    assert {key: (first[key], second[key]) for key in first if first[key] != second[key]} == {}
    assert memory(one) == memory(other)
    assert one.clock.now == other.clock.now
    assert one.traps == other.traps
