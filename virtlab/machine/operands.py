"""Operands of the instructions that are done by routines: registers, memory, the stack (S17).

P-code reads and writes its operands itself; a routine for a system instruction asks here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.encoding import SS
from virtlab.machine.faults import Fault

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction
    from virtlab.machine.processor import Processor

__all__ = ["memory_operand", "pop", "privileged", "push", "read_operand", "write_operand"]


def _place(number: int, size: int) -> int:
    """Return where a register's bytes lie; of one byte, AH to BH come after AL to BL."""
    return 4 * (number & 3) + (number >> 2) if size == 1 else 4 * number


def read_operand(processor: Processor, instruction: Instruction, size: int) -> int:
    """Return the ModRM operand.

    Parameters
    ----------
    processor, instruction
        Whose, and of which.
    size
        Bytes.

    Returns
    -------
    int
        The number.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.registers["ECX"] = 0x28
    >>> move = processor.decoder.decode(0, bytes.fromhex("8ed9"))  # mov ds, cx
    >>> hex(read_operand(processor, move, 2))
    '0x28'
    """
    parts = instruction.encoding
    if parts.is_register:
        place = _place(parts.rm, size)
        return int.from_bytes(processor.registers.data[place : place + size], "little")
    return processor.load(parts.segment, parts.offset(processor.registers), size)


def write_operand(processor: Processor, instruction: Instruction, size: int, value: int) -> None:
    """Change the ModRM operand.

    Parameters
    ----------
    processor, instruction
        Whose, and of which.
    size
        Bytes.
    value
        The number; what is too large for it is cut off.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> store = processor.decoder.decode(0, bytes.fromhex("0f01e1"))  # smsw ecx
    >>> write_operand(processor, store, 4, 0x11)
    >>> processor.registers["ECX"]
    17
    """
    parts = instruction.encoding
    value &= (1 << 8 * size) - 1
    if parts.is_register:
        place = _place(parts.rm, size)
        processor.registers.data[place : place + size] = value.to_bytes(size, "little")
    else:
        processor.store(parts.segment, parts.offset(processor.registers), size, value)


def memory_operand(processor: Processor, instruction: Instruction) -> tuple[int, int]:
    """Return segment and offset of an operand that must lie in memory.

    Parameters
    ----------
    processor, instruction
        Whose, and of which.

    Returns
    -------
    tuple of int
        Where it lies.

    Raises
    ------
    Fault
        #UD if it is a register.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> lgdt = processor.decoder.decode(0, bytes.fromhex("0f011500100000"))
    >>> memory_operand(processor, lgdt)
    (3, 4096)
    """
    parts = instruction.encoding
    if parts.is_register:
        raise Fault(6, why=f"{instruction.mnemonic} of a register")
    return parts.segment, parts.offset(processor.registers)


def push(processor: Processor, value: int, size: int) -> None:
    """Push a number; ESP changes once it is written.

    Parameters
    ----------
    processor
        Whose stack.
    value
        What; what is too large for it is cut off.
    size
        Bytes.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.registers["ESP"] = 0x1000
    >>> push(processor, 7, 4)
    >>> hex(processor.registers["ESP"]), pop(processor, 4)
    ('0xffc', 7)
    """
    mask = 0xFFFFFFFF if processor.segments[SS].big else 0xFFFF
    esp = processor.registers["ESP"]
    top = esp - size & mask
    processor.store(SS, top, size, value & (1 << 8 * size) - 1)
    processor.registers["ESP"] = esp & ~mask | top


def pop(processor: Processor, size: int) -> int:
    """Pop a number.

    Parameters
    ----------
    processor
        Whose stack.
    size
        Bytes.

    Returns
    -------
    int
        The number.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.registers["ESP"] = 0x1000
    >>> pop(processor, 2), hex(processor.registers["ESP"])
    (0, '0x1002')
    """
    mask = 0xFFFFFFFF if processor.segments[SS].big else 0xFFFF
    esp = processor.registers["ESP"]
    value = processor.load(SS, esp & mask, size)
    processor.registers["ESP"] = esp & ~mask | esp + size & mask
    return value


def privileged(processor: Processor, instruction: Instruction) -> None:
    """Refuse an instruction at any ring but 0.

    Parameters
    ----------
    processor, instruction
        Who wants to do it, and what.

    Raises
    ------
    Fault
        #GP(0).

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> privileged(processor, processor.decoder.decode(0, bytes.fromhex("f4")))
    """
    if processor.cpl:
        raise Fault(13, 0, f"{instruction.mnemonic} at ring {processor.cpl}, it is ring 0's")
