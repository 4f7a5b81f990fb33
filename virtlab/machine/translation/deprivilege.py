"""Deprivileging: what a kernel may not do itself is done in the cache, or by the VMM (S18).

A sensitive instruction cannot be taken over as it stands: `cli` in the cache would stop the host's
interrupts, and `popf` at an outer ring forgets IF without a word. Most are left to the VMM: the
translated code is left there, a **callout**. But some only touch flags, and the guest's flags are
numbers in memory. For these the translator writes code that works on that memory, **in the cache**:
`cli` is one store of a zero, and faster than a real `cli` is on the processor. So it is with

    cli, sti       the guest's own IF
    pushf, popf    all its flags; those that were put off are made first, because they are read
    clts           a bit of its CR0
    mov r, cr      its CR0, CR2, CR3, CR4
    in al, out al  a byte of a port, where a device lets that be done without it

For ports the VMM keeps two tables (`virtlab.machine.translation.port_map`): `in` is a load from the
one, `out` a store into the other, a ring that the VMM reads whenever code is left. What the tables
do not allow is for the VMM at once.

Each is written as the p-code of an ordinary instruction, so a tier need not know that it is one of
these, and flags that nobody reads are dropped here too.

Some cases are hard, and are left to the interpreter at that instruction: IF rises while an
interrupt is pending, which then has to come; `popf` sets TF, which then traps; a port has to be
asked. How does p-code say "leave, if"? A division by zero does leave, in every tier; so a hard case
divides zero by zero.

`sti` lets an interrupt come only after the instruction that follows. A region counts its
instructions block by block, so it is enough that this one is in the same block; where it can't be,
as in `sti; hlt`, `sti` is a callout.

What these may do depends on the ring and on IOPL (`Rights`); there is a translation for each.

Source: Adams and Agesen (ASPLOS 2006), section 3.2 ("in-TC"); Intel SDM, volume 2, `CLI`, `STI`,
`PUSHF`, `POPF`, `IN`, `OUT`.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING

from virtlab.machine.encoding import SS
from virtlab.machine.pcode import CONST, PORTS, REGISTER, UNIQUE, Op, Var
from virtlab.machine.registers import FLAGS, PLACES
from virtlab.machine.sensitive import routine_of
from virtlab.machine.translation.layout import (
    ANSWERED,
    PENDING,
    READS,
    RING_SIZE,
    WAITING,
    WRITES,
)

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction

__all__ = ["Rights", "deprivileged", "rights_of"]


class Rights(IntEnum):
    """What code may do to the interrupt flag, and with ports.

    Attributes
    ----------
    KERNEL
        It is at ring 0: everything, IOPL too.
    INTERRUPTS
        It is at an outer ring, and IOPL lets it change IF, and use all ports.
    NONE
        It may not; `cli` and `sti` fault, and `popf` says nothing. Which ports it may use, its
        task's map says, so that is for the VMM.
    """

    KERNEL = 0
    INTERRUPTS = 1
    NONE = 2


def rights_of(cpl: int, iopl: int) -> Rights:
    """Return what code may do.

    Parameters
    ----------
    cpl
        Its ring.
    iopl
        The outermost ring that may change IF.

    Returns
    -------
    Rights
        Translations are kept by it.

    Examples
    --------
    >>> rights_of(0, 0).name, rights_of(3, 3).name, rights_of(3, 0).name
    ('KERNEL', 'INTERRUPTS', 'NONE')
    """
    if cpl == 0:
        return Rights.KERNEL
    return Rights.INTERRUPTS if cpl <= iopl else Rights.NONE


def deprivileged(instruction: Instruction, rights: Rights, *, ports: bool = True) -> Instruction:
    """Replace a sensitive instruction by p-code that does it in the cache, if that is known.

    Parameters
    ----------
    instruction
        Decoded.
    rights
        Of the code.
    ports
        Whether `in` and `out` are replaced too.

    Returns
    -------
    Instruction
        The same one if it is not sensitive, or is for the VMM.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> cli = Decoder().decode(0, bytes.fromhex("fa"))
    >>> [str(op) for op in cli.ops], [str(op) for op in deprivileged(cli, Rights.KERNEL).ops]
    (['CLI'], ['IF = COPY 0x0'])
    >>> deprivileged(cli, Rights.NONE) is cli  # it faults, and that is the VMM's
    True
    """
    routine = routine_of(instruction.encoding)
    if routine not in _MADE or instruction.ops[0].code != routine:
        return instruction
    if routine in ("IN", "OUT") and not ports:
        return instruction
    code = _Code()
    _MADE[routine](code, instruction, rights)
    return replace(instruction, ops=tuple(code.ops)) if code.ops else instruction


# --- p-code, written down -------------------------------------------------------------------------

_IF, _ESP = Var(REGISTER, FLAGS["IF"][0], 1), Var(REGISTER, *PLACES["ESP"])
_CR0 = Var(REGISTER, *PLACES["CR0"])
_PENDING = Var(REGISTER, PENDING, 1)
_AL, _DX = Var(REGISTER, *PLACES["AL"]), Var(REGISTER, *PLACES["DX"])
_ANSWERED, _WAITING = Var(REGISTER, ANSWERED, 4), Var(REGISTER, WAITING, 4)
# Translated code runs with TF off, and never at virtual-8086 mode; RF is pushed as zero.
_PUSHED = ("CF", "PF", "AF", "ZF", "SF", "IF", "DF", "OF", "IOPL", "NT", "AC", "ID")
_POPPED = ("CF", "PF", "AF", "ZF", "SF", "DF", "OF", "NT", "AC", "ID")
_TF, _TS = 8, 8


class _Code:
    """P-code of one instruction."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._made = 0

    def new(self, code: str, size: int, *ins: Var, segment: int = 3) -> Var:
        self._made += 1
        out = Var(UNIQUE, 16 * self._made, size)
        self.ops.append(Op(code, out, ins, segment))
        return out

    def set(self, out: Var, value: Var) -> None:
        self.ops.append(Op("COPY", out, (value,)))

    def bits(self, image: Var, first: int, count: int = 1) -> Var:
        moved = self.new("INT_RIGHT", 4, image, _number(first))
        low = self.new("SUBPIECE", 1, moved, _number(0))
        return self.new("INT_AND", 1, low, _number((1 << count) - 1, 1))

    def leave_if(self, hard: Var) -> None:
        """Leave to the interpreter, which begins this instruction again."""
        self.go_on_if(self.new("INT_ZEXT", 4, self.new("BOOL_NEGATE", 1, hard)))

    def go_on_if(self, easy: Var) -> None:
        """Leave unless a number is something: divide by it."""
        self.ops.append(Op("CHECK_DIVIDE", None, (_number(0), easy, _number(2))))

    def rises(self, value: Var) -> Var:
        """Return whether a new IF lets an interrupt in that waits."""
        waits = self.new("BOOL_AND", 1, self.new("BOOL_NEGATE", 1, _IF), _PENDING)
        return self.new("BOOL_AND", 1, waits, value)


def _number(value: int, size: int = 4) -> Var:
    return Var(CONST, value, size)


def _place(flag: str) -> Var:
    return Var(REGISTER, FLAGS[flag][0], 1)


def _cli(code: _Code, _instruction: Instruction, rights: Rights) -> None:
    if rights != Rights.NONE:
        code.set(_IF, _number(0, 1))


def _sti(code: _Code, _instruction: Instruction, rights: Rights) -> None:
    if rights != Rights.NONE:
        code.leave_if(code.rises(_number(1, 1)))
        code.set(_IF, _number(1, 1))


def _pushf(code: _Code, instruction: Instruction, _rights: Rights) -> None:
    size = instruction.encoding.operand_size
    image = _number(2)  # a bit that is always one
    for flag in _PUSHED:
        _, bit, _ = FLAGS[flag]
        if bit < 8 * size:
            wide = code.new("INT_ZEXT", 4, _place(flag))
            moved = code.new("INT_LEFT", 4, wide, _number(bit)) if bit else wide
            image = code.new("INT_OR", 4, image, moved)
    top = code.new("INT_SUB", 4, _ESP, _number(size))
    pushed = image if size == image.size else code.new("SUBPIECE", size, image, _number(0))
    code.ops.append(Op("STORE", None, (top, pushed), SS))
    code.set(_ESP, top)


def _popf(code: _Code, instruction: Instruction, rights: Rights) -> None:
    size = instruction.encoding.operand_size
    image = code.new("LOAD", size, _ESP, segment=SS)
    if size == 2:
        image = code.new("INT_ZEXT", 4, image)
    hard = code.bits(image, _TF)
    flags = [flag for flag in _POPPED if FLAGS[flag][1] < 8 * size]
    if rights != Rights.NONE:
        rises = code.rises(code.bits(image, FLAGS["IF"][1]))
        hard = code.new("BOOL_OR", 1, hard, rises)
        flags.append("IF")
    if rights == Rights.KERNEL:
        flags.append("IOPL")
    code.leave_if(hard)
    for flag in flags:
        code.set(_place(flag), code.bits(image, *FLAGS[flag][1:]))
    if size == 4:
        code.set(_place("RF"), _number(0, 1))
    code.set(_ESP, code.new("INT_ADD", 4, _ESP, _number(size)))


def _clts(code: _Code, _instruction: Instruction, rights: Rights) -> None:
    if rights == Rights.KERNEL:
        code.set(_CR0, code.new("INT_AND", 4, _CR0, _number(~_TS & 0xFFFFFFFF)))


def _mov_cr(code: _Code, instruction: Instruction, rights: Rights) -> None:
    """Read a control register; to write one changes the machine."""
    parts = instruction.encoding
    if rights == Rights.KERNEL and parts.opcode == 0x0F20 and parts.reg in (0, 2, 3, 4):
        code.set(Var(REGISTER, 4 * parts.rm, 4), Var(REGISTER, *PLACES[f"CR{parts.reg}"]))


def _port(instruction: Instruction, rights: Rights) -> Var | None:
    """Return the port of which a byte is read or written; None if it is for the VMM."""
    parts = instruction.encoding
    if rights == Rights.NONE or parts.opcode & 1:
        return None
    return _number(parts.rest[0], 2) if parts.opcode < 0xE8 else _DX


def _in(code: _Code, instruction: Instruction, rights: Rights) -> None:
    port = _port(instruction, rights)
    if port is not None:
        entry = code.new("LOAD", 2, port, segment=PORTS)
        wide = code.new("INT_ZEXT", 4, entry)
        code.go_on_if(code.new("INT_AND", 4, wide, _number(READS)))
        code.set(_AL, code.new("SUBPIECE", 1, entry, _number(0)))
        code.set(_ANSWERED, code.new("INT_ADD", 4, _ANSWERED, _number(1)))


def _out(code: _Code, instruction: Instruction, rights: Rights) -> None:
    port = _port(instruction, rights)
    if port is not None:
        entry = code.new("INT_ZEXT", 4, code.new("LOAD", 2, port, segment=PORTS))
        has_room = code.new("INT_LESS", 1, _WAITING, _number(RING_SIZE))
        may_wait = code.new("INT_RIGHT", 4, entry, _number(WRITES.bit_length() - 1))
        code.go_on_if(code.new("INT_AND", 4, may_wait, code.new("INT_ZEXT", 4, has_room)))
        upper = code.new("INT_LEFT", 4, code.new("INT_ZEXT", 4, port), _number(16))
        both = code.new("INT_OR", 4, upper, code.new("INT_ZEXT", 4, _AL))
        code.ops.append(Op("STORE", None, (_WAITING, both), PORTS))
        code.set(_WAITING, code.new("INT_ADD", 4, _WAITING, _number(1)))


_MADE = {
    "CLI": _cli,
    "CLTS": _clts,
    "IN": _in,
    "MOVCR": _mov_cr,
    "OUT": _out,
    "POPF": _popf,
    "PUSHF": _pushf,
    "STI": _sti,
}
