"""Flags that the manual leaves undefined: they are cleared, and not left as they were (S18).

Logic says nothing of AF, a product nothing of ZF and SF, a shift by several steps nothing of OF.
SLEIGH leaves such a flag alone. Then the instruction before has to have made it, in case somebody
looks: a translator that drops flags which nobody reads could drop hardly any, for behind almost
every comparison there comes a `test` or a shift. A processor does not keep them either.

A shift by a number of steps that the instruction itself tells is another matter that SLEIGH makes
too hard: it chooses in each flag between what was there (no step) and what comes out. It is known
which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST, REGISTER, Op, Var
from virtlab.machine.registers import FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.decode import Instruction

__all__ = ["cleared", "leaves_undefined"]

_CF, _PF, _AF, _ZF, _SF, _OF = (
    Var(REGISTER, FLAGS[name][0], 1) for name in ("CF", "PF", "AF", "ZF", "SF", "OF")
)
_ARITHMETIC, _ZERO = frozenset({_CF, _PF, _AF, _ZF, _SF, _OF}), Var(CONST, 0, 1)


def leaves_undefined(instruction: Instruction) -> bool:
    """Return whether there are flags that are undefined after an instruction, and left alone.

    Parameters
    ----------
    instruction
        As SLEIGH has it.

    Returns
    -------
    bool
        False of shifts by what is in a register: they may be by none, and leave all as it was.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> words = [bytes.fromhex(code) for code in ("85c0", "0fafc3", "c1e003", "d3e0", "01d8")]
    >>> [leaves_undefined(Decoder().decode(0, word)) for word in words]
    [True, True, True, False, False]
    """
    return bool(_undefined(instruction))


def cleared(instruction: Instruction) -> Iterator[Op]:
    """Give the operations of an instruction, and others that clear what is undefined.

    Parameters
    ----------
    instruction
        One that `leaves_undefined`.

    Yields
    ------
    Op
        Of a shift none reads a flag of before.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> print([*cleared(Decoder().decode(0, bytes.fromhex("85c0")))][-1])  # test eax, eax
    AF = COPY 0x0
    """
    written: set[Var] = set()
    steps = _steps(instruction)
    for op in instruction.ops:
        before = _ARITHMETIC - written if steps else ()
        yield op._replace(ins=tuple(_ZERO if var in before else var for var in op.ins))
        written |= {op.out} if op.out else set()
    for flag in _undefined(instruction):
        yield Op("COPY", flag, (_ZERO,))


def _undefined(instruction: Instruction) -> tuple[Var, ...]:
    if instruction.mnemonic.partition(".")[0] in ("AND", "OR", "XOR", "TEST"):
        return (_AF,)
    if instruction.mnemonic in ("MUL", "IMUL"):
        return _PF, _AF, _ZF, _SF
    return (_AF,) if _steps(instruction) else ()


def _steps(instruction: Instruction) -> int:
    """Return by how much an instruction shifts, if it says so itself; 0 of any other."""
    parts = instruction.encoding
    shifts = parts.opcode in (0xC0, 0xC1, 0xD0, 0xD1) and parts.reg >= 4
    if shifts and parts.opcode >= 0xD0:
        return 1
    return parts.rest[0] & 31 if shifts or parts.opcode in (0x0FA4, 0x0FAC) else 0
