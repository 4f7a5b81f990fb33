"""Runs p-code, operation by operation: the specification of what the machine does (S5, S18).

Everything that runs guest code faster is held against this. It reads the inputs, computes, writes
the output; a load or a store goes through a segment; a branch changes which operation is next, or
which instruction.

Source: as `virtlab.machine.pcode`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virtlab.machine.faults import Fault
from virtlab.machine.pcode import COMPUTED, CONST, RAM, REGISTER, Op, Var, signed

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction
    from virtlab.machine.registers import Registers

__all__ = ["Machine", "run"]

_BRANCHES = {"BRANCH", "CALL", "CBRANCH"}
_INDIRECT = {"BRANCHIND", "CALLIND", "RETURN"}
_CHECKS = {"CHECK_DIVIDE", "CHECK_SIGNED_DIVIDE"}
_NOTHING = {"LOCK", "UNLOCK"}  # one processor: each instruction is atomic


class Machine(Protocol):
    """What p-code runs on."""

    registers: Registers

    def load(self, segment: int, offset: int, size: int, *, to_change: bool = False) -> int:
        """Read a number from memory.

        Parameters
        ----------
        segment, offset
            Where.
        size
            Bytes.
        to_change
            Whether it will be written, and so must be writable.

        Returns
        -------
        int
            The number.

        Examples
        --------
        See `run`.
        """

    def store(self, segment: int, offset: int, size: int, value: int) -> None:
        """Write a number to memory.

        Parameters
        ----------
        segment, offset
            Where.
        size
            Bytes.
        value
            What.

        Examples
        --------
        See `run`.
        """

    def callout(self, name: str, instruction: Instruction) -> int | None:
        """Do what p-code does not say.

        Parameters
        ----------
        name
            Of the operation.
        instruction
            Of which it is.

        Returns
        -------
        int or None
            The address that is next, if it is not the one after this instruction.

        Examples
        --------
        See `run`.
        """


def run(instruction: Instruction, machine: Machine) -> int:
    """Do what an instruction says.

    Parameters
    ----------
    instruction
        One that p-code tells all of.
    machine
        Registers and memory.

    Returns
    -------
    int
        Address of the instruction that is next.

    Raises
    ------
    Fault
        If it cannot be done; registers may have changed by then, and are the caller's to restore.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.registers["EAX"] = 0xFFFFFFFF
    >>> add = Decoder().decode(0x1000, bytes.fromhex("83c001"))  # add eax, 1
    >>> hex(run(add, processor)), processor.registers["EAX"], processor.registers.flag("CF")
    ('0x1003', 0, 1)
    """
    moment: dict[int, int] = {}
    ops, at = instruction.ops, 0
    while at < len(ops):
        op = ops[at]
        at += 1
        compute = COMPUTED.get(op.code)
        if compute is not None and op.out is not None:
            values = tuple(_read(var, op, machine, moment) for var in op.ins)
            _write(op.out, compute(values, op.ins[0].size, op.out.size), op, machine, moment)
        elif op.code == "LOAD" and op.out is not None:
            offset = _read(op.ins[0], op, machine, moment)
            value = machine.load(op.segment, offset, op.out.size, to_change=op.to_change)
            _write(op.out, value, op, machine, moment)
        elif op.code == "STORE":
            offset, value = (_read(var, op, machine, moment) for var in op.ins)
            machine.store(op.segment, offset, op.ins[1].size, value)
        elif op.code in _BRANCHES:
            if op.code == "CBRANCH" and not _read(op.ins[1], op, machine, moment):
                continue
            target = op.ins[0]
            if target.space != CONST:
                return target.offset
            at += signed(target.offset, target.size) - 1
        elif op.code in _INDIRECT:
            return _read(op.ins[0], op, machine, moment)
        else:
            after = _other(op, instruction, machine, moment)
            if after is not None:
                return after
    return instruction.next


def _other(
    op: Op, instruction: Instruction, machine: Machine, moment: dict[int, int]
) -> int | None:
    """Do an operation that is not in Ghidra's manual."""
    if op.code in _CHECKS:
        _check_quotient(op, *(_read(var, op, machine, moment) for var in op.ins))
    elif op.code not in _NOTHING:
        return machine.callout(op.code, instruction)
    return None


def _check_quotient(op: Op, dividend: int, divisor: int, size: int) -> None:
    """Raise #DE if there is no quotient, or it does not fit."""
    code = "INT_DIV"
    low, high = 0, (1 << 8 * size) - 1
    if op.code == "CHECK_SIGNED_DIVIDE":
        code, half = "INT_SDIV", 1 << 8 * size - 1
        low, high = -half, half - 1
    if divisor == 0:
        raise Fault(0, why="division by zero")
    quotient = COMPUTED[code]((dividend, divisor), op.ins[0].size, op.ins[0].size)
    if not low <= quotient <= high:
        raise Fault(0, why=f"the quotient {quotient} does not fit in {8 * size} bits")


def _read(var: Var, op: Op, machine: Machine, moment: dict[int, int]) -> int:
    space, offset, size = var
    if space == CONST:
        return offset & (1 << 8 * size) - 1
    if space == REGISTER:
        return int.from_bytes(machine.registers.data[offset : offset + size], "little")
    if space == RAM:
        return machine.load(op.segment, offset, size, to_change=op.to_change)
    return moment[offset] & (1 << 8 * size) - 1


def _write(var: Var, value: int, op: Op, machine: Machine, moment: dict[int, int]) -> None:
    space, offset, size = var
    value &= (1 << 8 * size) - 1
    if space == REGISTER:
        machine.registers.data[offset : offset + size] = value.to_bytes(size, "little")
    elif space == RAM:
        machine.store(op.segment, offset, size, value)
    else:
        moment[offset] = value
