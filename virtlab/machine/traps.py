"""Traps: a fault goes to its handler, or to that of a double fault, or nowhere (S7, S17).

A fault while a fault is delivered is mostly delivered itself. Only some pairs are a **double
fault** (#DF): those of which the second says that the first one's handler cannot be reached. If a
double fault cannot be delivered either, that is a **triple fault**, and the processor shuts down.

Source: Intel SDM, volume 3, section 6.15, tables 6-4 and 6-5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.faults import WITH_ERROR_CODE, Fault, fault_name
from virtlab.machine.transfers import deliver

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction
    from virtlab.machine.processor import Processor

__all__ = ["Trap", "becomes_double", "deliver_trap", "end_rounds", "software_interrupt"]

_CONTRIBUTORY = {0, 10, 11, 12, 13}
_DOUBLE, _PAGE_FAULT = 8, 14
_INT3, _INT, _INTO = 0xCC, 0xCD, 0xCE


class Trap(NamedTuple):
    """How a delivery went.

    Attributes
    ----------
    traps
        (name, how it came about) of each that the guest's handlers were to see.
    why
        In words, all of it.
    shutdown
        Whether it ended in a triple fault.
    """

    traps: tuple[tuple[str, str], ...]
    why: str
    shutdown: bool = False


def deliver_trap(processor: Processor, fault: Fault, how: str) -> Trap:
    """Go to the handler of a fault or an interrupt; if that faults, to that fault's.

    Parameters
    ----------
    processor
        Which.
    fault
        What happened; of a device's interrupt, its vector alone.
    how
        'exception', or 'device'.

    Returns
    -------
    Trap
        How it went.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.set_table("idtr", 0, 0)  # no handler at all
    >>> trap = deliver_trap(processor, Fault(6), "exception")
    >>> trap.shutdown, [name for name, _ in trap.traps]
    (True, ['#UD', '#GP', '#DF'])
    """
    traps, said = [], []
    while True:
        device = how == "device"
        name = f"int {fault.vector:#x}" if device else fault_name(fault.vector)
        traps.append((name, how))
        said.append(name if device else str(fault))
        if fault.vector == _PAGE_FAULT and not device:
            processor.registers["CR2"] = fault.address
        code = fault.code if not device and fault.vector in WITH_ERROR_CODE else None
        try:
            deliver(processor, fault.vector, code=code)
        except Fault as second:
            if fault.vector == _DOUBLE and not device:
                said.append(f"{second}: a triple fault, the processor shuts down")
                return Trap(tuple(traps), "; then ".join(said), shutdown=True)
            if not device and becomes_double(fault.vector, second.vector):
                said.append(str(second))
                second = Fault(_DOUBLE, why="a fault while a fault was delivered")
            fault, how = second, "exception"
        else:
            processor.shadow = processor.halted = False
            return Trap(tuple(traps), "; then ".join(said))


def becomes_double(first: int, second: int) -> bool:
    """Return whether a fault while another is delivered is a double fault.

    Parameters
    ----------
    first, second
        Their vectors, the first of an exception.

    Returns
    -------
    bool
        If not, the second is delivered itself.

    Examples
    --------
    >>> becomes_double(13, 11), becomes_double(6, 13), becomes_double(14, 14)
    (True, False, True)
    """
    if first in _CONTRIBUTORY:
        return second in _CONTRIBUTORY
    return first == _PAGE_FAULT and (second in _CONTRIBUTORY or second == _PAGE_FAULT)


def software_interrupt(done: Instruction, processor: Processor) -> str:
    """Return which handler an instruction has called by itself.

    Parameters
    ----------
    done
        The instruction.
    processor
        After it.

    Returns
    -------
    str
        Such as 'int 0x80'; empty if it has called none.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> software_interrupt(processor.decoder.decode(0, bytes.fromhex("cd80")), processor)
    'int 0x80'
    >>> software_interrupt(processor.decoder.decode(0, bytes.fromhex("90")), processor)
    ''
    """
    opcode = done.encoding.opcode
    if opcode == _INT:
        vector = done.encoding.rest[0]
        return f"int {vector:#x}"
    if opcode == _INT3:
        return fault_name(3)
    if opcode == _INTO and processor.registers["EIP"] != done.next:
        return fault_name(4)
    return ""


def end_rounds(done: Instruction, processor: Processor) -> None:
    """Let a repeated string instruction end with its last round, for a trap after that.

    P-code goes back to the instruction in any case, and finds there that nothing is left: nobody
    sees it, but for whoever is told after each step.

    Parameters
    ----------
    done
        What was done.
    processor
        After it.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.memory.write(0, bytes.fromhex("f3ab"))  # rep stosd
    >>> processor.registers["ECX"], processor.registers["EDI"] = 2, 0x100
    >>> for _ in range(2):
    ...     end_rounds(processor.step(), processor)
    ...     print(processor.registers["ECX"], processor.registers["EIP"])
    1 0
    0 2
    """
    registers = processor.registers
    count = registers["CX" if done.encoding.address_size == 2 else "ECX"]
    if ".REP" in done.mnemonic and not count and registers["EIP"] == done.address:
        registers["EIP"] = done.next
