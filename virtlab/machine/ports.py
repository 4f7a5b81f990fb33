"""IN and OUT: a program asks a device, if it may (S16, S17).

A program may use ports if its ring is at most IOPL; otherwise only those whose bits are clear in
the map at the end of its task's state. What answers is the processor's `bus`.

Source: Intel SDM, volume 1, section 19.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virtlab.machine.encoding import ES
from virtlab.machine.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.processor import Processor

__all__ = ["ROUTINES", "EmptyBus", "PortBus"]


class PortBus(Protocol):
    """What answers at ports."""

    def read(self, port: int, size: int) -> int:
        """Return what a port says.

        Parameters
        ----------
        port
            0 to 65535.
        size
            1, 2 or 4 bytes.

        Returns
        -------
        int
            The number.

        Examples
        --------
        >>> EmptyBus().read(0x60, 2) == 0xFFFF
        True
        """

    def write(self, port: int, size: int, value: int) -> None:
        """Tell a port something.

        Parameters
        ----------
        port
            0 to 65535.
        size
            1, 2 or 4 bytes.
        value
            What.

        Examples
        --------
        >>> EmptyBus().write(0x60, 1, 7)
        """


class EmptyBus:
    """A bus with no device: reads give ones, writes are lost.

    Examples
    --------
    >>> hex(EmptyBus().read(0x3F8, 1))
    '0xff'
    """

    def read(self, port: int, size: int) -> int:
        """Return ones."""
        del port
        return (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        """Lose it."""


def _may_use(processor: Processor, port: int, size: int, name: str) -> None:
    if processor.cpl <= processor.registers.flag("IOPL"):
        return
    why = f"{name} at ring {processor.cpl} with IOPL {processor.registers.flag('IOPL')}"
    task = processor.tr
    if not task.access or task.limit < 0x67:
        raise Fault(13, 0, why)
    start = int.from_bytes(processor.read(task.base + 0x66, 2), "little") + port // 8
    if start + 1 > task.limit:
        raise Fault(13, 0, why)
    bits = int.from_bytes(processor.read(task.base + start, 2), "little")
    if bits >> port % 8 & (1 << size) - 1:
        raise Fault(13, 0, f"{why}, and the task's map forbids port {port:#x}")


def _size(instruction: Instruction) -> int:
    return instruction.encoding.operand_size if instruction.encoding.opcode & 1 else 1


def _port(processor: Processor, instruction: Instruction) -> int:
    immediate = instruction.encoding.opcode < 0xE8
    return instruction.encoding.rest[0] if immediate else processor.registers["DX"]


_ACCUMULATOR = {1: "AL", 2: "AX", 4: "EAX"}


def _in(processor: Processor, instruction: Instruction) -> None:
    port, size = _port(processor, instruction), _size(instruction)
    _may_use(processor, port, size, instruction.mnemonic)
    processor.registers[_ACCUMULATOR[size]] = processor.bus.read(port, size)


def _out(processor: Processor, instruction: Instruction) -> None:
    port, size = _port(processor, instruction), _size(instruction)
    _may_use(processor, port, size, instruction.mnemonic)
    processor.bus.write(port, size, processor.registers[_ACCUMULATOR[size]])


def _string(processor: Processor, instruction: Instruction, register: str) -> int | None:
    """Count ECX down, move the index on; return where to go on, or None once it is done."""
    parts, registers = instruction.encoding, processor.registers
    step = _size(instruction) * (-1 if registers.flag("DF") else 1)
    short = parts.address_size == 2
    index, count = (register[1:], "CX") if short else (register, "ECX")
    registers[index] = registers[index] + step
    if 0xF3 not in parts.prefixes and 0xF2 not in parts.prefixes:
        return None
    registers[count] = registers[count] - 1
    return instruction.address if registers[count] else None


def _nothing_left(processor: Processor, instruction: Instruction) -> bool:
    parts = instruction.encoding
    repeated = 0xF3 in parts.prefixes or 0xF2 in parts.prefixes
    return repeated and not processor.registers["CX" if parts.address_size == 2 else "ECX"]


def _ins(processor: Processor, instruction: Instruction) -> int | None:
    size, port = _size(instruction), processor.registers["DX"]
    _may_use(processor, port, size, instruction.mnemonic)
    if _nothing_left(processor, instruction):
        return None
    place = processor.registers["DI" if instruction.encoding.address_size == 2 else "EDI"]
    processor.load(ES, place, size, to_change=True)  # may it be? A port's number comes once only
    processor.store(ES, place, size, processor.bus.read(port, size))
    return _string(processor, instruction, "EDI")


def _outs(processor: Processor, instruction: Instruction) -> int | None:
    size, port = _size(instruction), processor.registers["DX"]
    _may_use(processor, port, size, instruction.mnemonic)
    if _nothing_left(processor, instruction):
        return None
    place = processor.registers["SI" if instruction.encoding.address_size == 2 else "ESI"]
    value = processor.load(instruction.encoding.segment, place, size)
    processor.bus.write(port, size, value)
    return _string(processor, instruction, "ESI")


ROUTINES: dict[str, Callable[[Processor, Instruction], int | None]] = {
    "IN": _in,
    "INS": _ins,
    "OUT": _out,
    "OUTS": _outs,
}
