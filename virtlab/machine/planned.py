"""Runs instructions as `virtlab.machine.interpreter` does, of which a plan was made before (S18).

The interpreter asks anew, each time, what each input of an operation is: a number, a register, a
temporary. But that is the same each time. A **plan** has settled it: everything an instruction
names has a place in one list, where the numbers are already; registers are read into it once, at
the beginning, and written back once, at the end. What is left for each operation is to compute.

What a plan would not be right for is left to the interpreter: a register or a temporary that is
used in two sizes, operands in RAM with no load, and what a routine does. That both come to the
same is tested (`tests/machine/test_planned.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine import interpreter
from virtlab.machine.pcode import COMPUTED, CONST, RAM, REGISTER, Op, Var, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.interpreter import Machine

    Compute = Callable[[tuple[int, ...], int, int], int]
    # What computes, if that is all; the places of the output and of two inputs; sizes of input and
    # output; the output's mask; the operation itself.
    Step = tuple[Compute | None, int, int, int, int, int, int, Op]

__all__ = ["Plan", "plan", "run"]

_GENERAL_END = 32  # where the general registers end, in bytes
_DIRECT = ("BRANCH", "CALL", "CBRANCH")
_INDIRECT = ("BRANCHIND", "CALLIND", "RETURN")
_JUMPS = (*_DIRECT, *_INDIRECT)
_OTHERS = frozenset(("LOAD", "STORE", *_JUMPS))


class Plan(NamedTuple):
    """What is settled about an instruction.

    Attributes
    ----------
    values
        A value for each place; of a number, itself.
    reads
        Registers that are read: place, first byte, end.
    steps
        What is done.
    bytes, words
        Registers that are written: place and byte; place, first byte, end and size.
    """

    values: list[int]
    reads: list[tuple[int, int, int]]
    steps: list[Step]
    bytes: list[tuple[int, int]]
    words: list[tuple[int, int, int, int]]

    def write(self, values: list[int], data: bytearray | memoryview) -> None:
        """Write registers back.

        Parameters
        ----------
        values
            A value for each place.
        data
            The registers.

        Examples
        --------
        >>> data = bytearray(4)
        >>> Plan([], [], [], [(1, 3)], []).write([0, 7], data)
        >>> data[3]
        7
        """
        for place, first in self.bytes:
            data[first] = values[place]
        for place, first, end, size in self.words:
            data[first:end] = values[place].to_bytes(size, "little")


def run(instruction: Instruction, machine: Machine) -> int:
    """Do what an instruction says.

    Parameters
    ----------
    instruction, machine
        As `virtlab.machine.interpreter.run` takes them.

    Returns
    -------
    int
        Address of the instruction that is next.

    Raises
    ------
    Fault
        If it cannot be done; then no register has changed, if there is a plan.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> increment = Decoder().decode(0x1000, bytes.fromhex("40"))  # inc eax
    >>> hex(run(increment, processor)), processor.registers["EAX"]
    ('0x1001', 1)
    """
    made = instruction.plan
    if made is None:
        return interpreter.run(instruction, machine)
    values, data = made.values.copy(), machine.registers.data
    for place, first, end in made.reads:
        values[place] = int.from_bytes(data[first:end], "little")
    steps, at = made.steps, 0
    while at < len(steps):
        compute, out, a, b, size, out_size, mask, op = steps[at]
        at += 1
        if compute is not None:
            values[out] = compute((values[a], values[b]), size, out_size) & mask
        elif op.code == "LOAD":
            values[out] = machine.load(op.segment, values[a], out_size, to_change=op.to_change)
        elif op.code == "STORE":
            machine.store(op.segment, values[a], out_size, values[b])
        elif op.code == "CBRANCH" and not values[b]:
            continue
        elif op.ins[0].space == CONST:
            at += signed(op.ins[0].offset, op.ins[0].size) - 1
        else:
            made.write(values, data)
            return op.ins[0].offset if op.ins[0].space == RAM else values[a]
    made.write(values, data)
    return instruction.next


def plan(ops: tuple[Op, ...]) -> Plan | None:
    """Make a plan for an instruction.

    Parameters
    ----------
    ops
        What it does.

    Returns
    -------
    Plan or None
        None if it is the interpreter's.

    Examples
    --------
    >>> eax, al, ebx = Var(REGISTER, 0, 4), Var(REGISTER, 0, 1), Var(REGISTER, 12, 4)
    >>> len(plan((Op("INT_ADD", eax, (eax, ebx)),)).reads)
    2
    >>> plan((Op("INT_ZEXT", eax, (al,)),)) is None
    True
    """
    places = _Places()
    steps: list[Step] = []
    for op in ops:
        code, out, ins, *_ = op
        compute = COMPUTED.get(code)
        if compute is None and code not in _OTHERS:
            return None
        if code in _INDIRECT and ins[0].space == CONST:
            return None
        # Where a jump goes has no value, if it is known.
        used = [0 if code in _DIRECT and var is ins[0] else places.of(var) for var in ins]
        made = 0 if out is None else places.of(out, written=True)
        size = ins[0].size
        out_size = ins[1].size if code == "STORE" else 0 if out is None else out.size
        mask = (1 << 8 * out_size) - 1
        steps.append((compute, made, used[0], used[-1], size, out_size, mask, op))
    if places.clash or not steps:
        return None
    may_leave = any(step[-1].code in _JUMPS for step in steps[:-1])
    return places.plan(steps, read_all=may_leave)


class _Places:
    """Gives places in a list to what an instruction names."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.known: dict[tuple[int, int], tuple[int, int]] = {}  # space, offset: place, size
        self.registers: dict[Var, int] = {}
        self.read: set[Var] = set()
        self.written: set[Var] = set()
        self.clash = False

    def of(self, var: Var, *, written: bool = False) -> int:
        """Return the place of one; note whether it is read or written first."""
        space, offset, size = var
        if space == CONST:
            self.values.append(offset & (1 << 8 * size) - 1)
            return len(self.values) - 1
        key = space, offset & ~3 if space == REGISTER and offset < _GENERAL_END else offset
        known = self.known.get(key)
        if known is None:
            known = self.known[key] = len(self.values), size
            self.values.append(0)
            if space == REGISTER:
                self.registers[var] = known[0]
        elif known[1] != size or (space == REGISTER and var not in self.registers):
            self.clash = True
        if space == RAM:
            self.clash = True
        elif space == REGISTER and written:
            self.written.add(var)
        elif space == REGISTER and var not in self.written:
            self.read.add(var)
        return known[0]

    def plan(self, steps: list[Step], *, read_all: bool) -> Plan:
        """Return the plan; what may not be written is read, to be written back as it was."""
        reads, single, longer = [], [], []
        for var, place in self.registers.items():
            _, first, size = var
            if read_all or var in self.read:
                reads.append((place, first, first + size))
            if var in self.written and size == 1:
                single.append((place, first))
            elif var in self.written:
                longer.append((place, first, first + size, size))
        return Plan(self.values, reads, steps, single, longer)
