"""Instructions that few programs use, and p-code says badly: decimal digits, nested frames, WAIT.

DAA, DAS, AAA and AAS repair a sum of two decimal digits to a byte; ENTER makes the frame of a
procedure that lies within others, as Pascal has them. WAIT waits for a coprocessor, which is not
there: it does nothing, and asks the kernel only where that may have another task's state in it.

Source: Intel SDM, volume 2, the pages of these instructions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.encoding import SS
from virtlab.machine.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.processor import Processor

__all__ = ["ROUTINES"]

_MP_TS = 2 | 8  # of CR0


def _result_flags(processor: Processor) -> None:
    """Set SF, ZF and PF from AL."""
    al, registers = processor.registers["AL"], processor.registers
    registers.set_flag("SF", al >> 7)
    registers.set_flag("ZF", int(al == 0))
    registers.set_flag("PF", 1 - al.bit_count() % 2)


def _decimal(processor: Processor, sign: int) -> None:
    """Repair two digits after an addition (1) or a subtraction (-1)."""
    registers = processor.registers
    old, carry = registers["AL"], registers.flag("CF")
    low = old & 0xF > 9 or registers.flag("AF") == 1
    high = old > 0x99 or carry == 1
    al, new_carry = old, 0
    if low:
        al += 6 * sign
        new_carry = int(carry or not 0 <= al <= 0xFF)
    if high:
        al += 0x60 * sign
        new_carry = 1
    elif sign == 1:
        new_carry = 0
    registers["AL"] = al
    registers.set_flag("AF", int(low))
    registers.set_flag("CF", new_carry)
    _result_flags(processor)


def _daa(processor: Processor, _instruction: Instruction) -> None:
    _decimal(processor, 1)


def _das(processor: Processor, _instruction: Instruction) -> None:
    _decimal(processor, -1)


def _ascii(processor: Processor, sign: int) -> None:
    """Repair one digit, and carry into AH."""
    registers = processor.registers
    carries = registers["AL"] & 0xF > 9 or registers.flag("AF") == 1
    if carries:
        registers["AX"] += 0x106 if sign == 1 else -6
        if sign == -1:
            registers["AH"] -= 1
    registers.set_flag("AF", int(carries))
    registers.set_flag("CF", int(carries))
    registers["AL"] &= 0xF


def _aaa(processor: Processor, _instruction: Instruction) -> None:
    _ascii(processor, 1)


def _aas(processor: Processor, _instruction: Instruction) -> None:
    _ascii(processor, -1)


def _aam(processor: Processor, instruction: Instruction) -> None:
    """Split AL into digits: AH and AL."""
    base = instruction.encoding.rest[0]
    if base == 0:
        raise Fault(0, why="division by zero")
    processor.registers["AH"], processor.registers["AL"] = divmod(processor.registers["AL"], base)
    _result_flags(processor)


def _aad(processor: Processor, instruction: Instruction) -> None:
    """Put the digits AH and AL together in AL."""
    registers = processor.registers
    registers["AX"] = (registers["AL"] + registers["AH"] * instruction.encoding.rest[0]) & 0xFF
    _result_flags(processor)


def _enter(processor: Processor, instruction: Instruction) -> None:
    """Push EBP and the frames of the procedures around this one, and make room."""
    rest, size = instruction.encoding.rest, instruction.encoding.operand_size
    room, level = int.from_bytes(rest[:2], "little"), rest[2] & 31
    registers = processor.registers
    top, frame = registers["ESP"], registers["EBP"]

    def push(value: int) -> None:
        nonlocal top
        top = top - size & 0xFFFFFFFF
        processor.store(SS, top, size, value & (1 << 8 * size) - 1)

    push(frame)
    new_frame = top
    for _ in range(level - 1):
        frame = frame - size & 0xFFFFFFFF
        push(processor.load(SS, frame, size))
    if level:
        push(new_frame)
    registers["EBP" if size == 4 else "BP"] = new_frame
    registers["ESP"] = top - room


def _wait(processor: Processor, _instruction: Instruction) -> None:
    """Do nothing, but where MP and TS say that the coprocessor is to change tasks first."""
    if processor.registers["CR0"] & _MP_TS == _MP_TS:
        raise Fault(7, why="WAIT: the coprocessor has another task's state")


ROUTINES: dict[str, Callable[[Processor, Instruction], int | None]] = {
    "DAA": _daa,
    "DAS": _das,
    "AAA": _aaa,
    "AAS": _aas,
    "AAM": _aam,
    "AAD": _aad,
    "ENTER": _enter,
    "WAIT": _wait,
}
