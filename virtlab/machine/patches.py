"""What SLEIGH's i386 leaves out or has wrong, and the repair: one table (S18).

Each row names the instructions, what is wrong, and rewrites the p-code. Each was found by running
instructions beside another emulator on random states (`tests/machine/test_differential.py`), and
each has a test of its own. What the manual leaves undefined is left as SLEIGH has it, but for flags
(`virtlab.machine.undefined_flags`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST, RAM, REGISTER, UNIQUE, Op, Var
from virtlab.machine.read_once import changed_place, read_once
from virtlab.machine.undefined_flags import cleared, leaves_undefined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtlab.machine.decode import Instruction

__all__ = ["PATCHES", "Patch", "patched"]

_AF = Var(REGISTER, 516, 1)
_FREE = 0x100000  # temporary places from here on are ours


@dataclass(frozen=True)
class Patch:
    """One repair.

    Attributes
    ----------
    name
        What it is about.
    wrong
        What SLEIGH does.
    applies
        Whether an instruction needs it.
    repair
        Gives the new operations.
    """

    name: str
    wrong: str
    applies: Callable[[Instruction], bool]
    repair: Callable[[Instruction], Iterator[Op]]


def patched(instruction: Instruction) -> Instruction:
    """Return an instruction with all repairs that it needs.

    Parameters
    ----------
    instruction
        As SLEIGH has it.

    Returns
    -------
    Instruction
        As the processor does it.

    Examples
    --------
    >>> PATCHES[0].name
    'AF'
    """
    for patch in PATCHES:
        if patch.applies(instruction):
            instruction = replace(instruction, ops=tuple(patch.repair(instruction)))
    return instruction


@cache
def _temporary(count: int, size: int) -> Var:
    return Var(UNIQUE, _FREE + 16 * count, size)


def _carries(instruction: Instruction) -> bool:
    return any(op.code in ("INT_SCARRY", "INT_SBORROW") for op in instruction.ops)


def _with_af(instruction: Instruction) -> Iterator[Op]:
    """AF is the carry out of bit 3: bit 4 of a ^ b ^ (a + b), and so for each of two additions."""
    first = True
    for op in instruction.ops:
        yield op
        if op.code not in ("INT_SCARRY", "INT_SBORROW"):
            continue
        a, b = op.ins
        size = a.size
        both, result, bits, bit = (_temporary(k, size) for k in range(4))
        yield Op("INT_XOR", both, (a, b))
        yield Op("INT_ADD" if op.code == "INT_SCARRY" else "INT_SUB", result, (a, b))
        yield Op("INT_XOR", bits, (both, result))
        yield Op("INT_RIGHT", bit, (bits, Var(CONST, 4, 1)))
        yield Op("INT_AND", bit, (bit, Var(CONST, 1, size)))
        one = _temporary(4, 1)
        yield Op("SUBPIECE", one, (bit, Var(CONST, 0, 4)))
        yield Op("COPY", _AF, (one,)) if first else Op("INT_XOR", _AF, (_AF, one))
        first = False


def _divides(instruction: Instruction) -> bool:
    return instruction.mnemonic in ("DIV", "IDIV")


def _with_divide_error(instruction: Instruction) -> Iterator[Op]:
    """Ask first whether there is a quotient, and whether it fits."""
    for op in instruction.ops:
        if op.code in ("INT_DIV", "INT_SDIV"):
            size = op.ins[0].size // 2
            signed = op.code == "INT_SDIV"
            name = "CHECK_SIGNED_DIVIDE" if signed else "CHECK_DIVIDE"
            yield Op(name, None, (*op.ins, Var(CONST, size, 1)))
        yield op


def _shifts_right_by_one(instruction: Instruction) -> bool:
    return instruction.encoding.opcode in (0xD0, 0xD1) and instruction.encoding.reg == 5


def _with_shifted_sign(instruction: Instruction) -> Iterator[Op]:
    operand = next(op.ins[0] for op in instruction.ops if op.code == "INT_AND")
    for op in instruction.ops:
        if op.out == _OF:
            yield Op("INT_SLESS", _OF, (operand, Var(CONST, 0, operand.size)))
        else:
            yield op


def _jumps_short(instruction: Instruction) -> bool:
    opcode = instruction.encoding.opcode
    relative = opcode >> 4 in (0x7, 0xF8) or 0xE0 <= opcode <= 0xE3 or opcode in (0xE8, 0xE9, 0xEB)
    return relative and instruction.encoding.operand_size == 2


def _within_64k(instruction: Instruction) -> Iterator[Op]:
    for op in instruction.ops:
        target = op.ins[0] if op.ins else None
        if op.code in ("BRANCH", "CBRANCH", "CALL") and target and target.space == RAM:
            short = target._replace(offset=target.offset & 0xFFFF)
            yield op._replace(ins=(short, *op.ins[1:]))
        else:
            yield op


def _exchanges_in_memory(instruction: Instruction) -> bool:
    parts = instruction.encoding
    return parts.opcode in (0x0FC0, 0x0FC1) and not parts.is_register


def _store_first(instruction: Instruction) -> Iterator[Op]:
    """Change the register last: the address may be made of it, and the store may fault."""
    number, size = instruction.encoding.reg, instruction.encoding.operand_size
    whole = Var(REGISTER, 4 * number, size)
    part = Var(REGISTER, 4 * (number & 3) + (number >> 2), 1)
    register = part if instruction.encoding.opcode == 0x0FC0 else whole
    kept = _temporary(0, register.size)
    for op in instruction.ops:
        yield op._replace(out=kept) if op.out == register else op
    yield Op("COPY", register, (kept,))


def _compares_in_memory(instruction: Instruction) -> bool:
    parts = instruction.encoding
    compares = parts.opcode in (0x0FB0, 0x0FB1) or (parts.opcode == 0x0FC7 and parts.reg == 1)
    return compares and not parts.is_register


def _store_in_any_case(instruction: Instruction) -> Iterator[Op]:
    """Write what was there if it differs: that needs the same right, and marks the page."""
    found = next(op.out for op in instruction.ops if op.code == "COPY" and op.out)
    writes = (
        op for op in instruction.ops if op.code == "STORE" or (op.out and op.out.space == RAM)
    )
    store = next(writes)
    if store.code != "STORE":
        store = store._replace(code="COPY")
    for op in instruction.ops:
        if op.code == "CBRANCH":  # over one more, before registers change that say where it is
            target = op.ins[0]
            yield op._replace(ins=(target._replace(offset=target.offset + 1), op.ins[1]))
            yield store._replace(ins=(*store.ins[: store.code == "STORE"], found))
        else:
            yield op


def _rotates_through_carry(instruction: Instruction) -> bool:
    parts = instruction.encoding
    return parts.opcode in (0xC0, 0xC1, 0xD2, 0xD3) and parts.reg in (2, 3)


def _with_rotated_overflow(instruction: Instruction) -> Iterator[Op]:
    """OF after one step: whether the highest bit changed; after more steps it is undefined."""
    yield from instruction.ops
    count = next(op.out for op in instruction.ops if op.code == "INT_AND" and op.out)
    result = _result(instruction)
    negative, other, new, once, twice = (_temporary(k, 1) for k in range(5))
    doubled = _temporary(5, result.size)
    yield Op("INT_SLESS", negative, (result, Var(CONST, 0, result.size)))
    if instruction.encoding.reg == 2:  # RCL: the bit that left is in CF
        yield Op("COPY", other, (_CF,))
    else:
        yield Op("INT_ADD", doubled, (result, result))
        yield Op("INT_SLESS", other, (doubled, Var(CONST, 0, result.size)))
    yield Op("INT_XOR", new, (negative, other))
    yield Op("INT_EQUAL", once, (count, Var(CONST, 1, count.size)))
    yield Op("BOOL_AND", new, (new, once))
    yield Op("BOOL_NEGATE", twice, (once,))
    yield Op("BOOL_AND", twice, (twice, _OF))
    yield Op("BOOL_OR", _OF, (new, twice))


def _shifts_right_by_a_count(instruction: Instruction) -> bool:
    parts = instruction.encoding
    single = parts.opcode in (0xC0, 0xC1, 0xD2, 0xD3) and parts.reg == 5
    return single or parts.opcode in (0x0FAC, 0x0FAD)


def _with_overflow_of_one_step(instruction: Instruction) -> Iterator[Op]:
    """OF after one step: the sign before (SHR), or whether it changed (SHRD); else as it was."""
    was = _temporary(4, 1)
    yield Op("COPY", was, (_OF,))
    yield from instruction.ops
    count = next(op.out for op in instruction.ops if op.code == "INT_AND" and op.out)
    size = instruction.encoding.operand_size
    size = 1 if instruction.encoding.opcode in (0xC0, 0xD2) else size
    copies = (op.out for op in instruction.ops if op.code == "COPY" and op.out)
    before = next(copy for copy in copies if copy.size == size)
    old, new, once, kept = (_temporary(k, 1) for k in range(4))
    yield Op("INT_SLESS", old, (before, Var(CONST, 0, size)))
    if instruction.encoding.opcode in (0x0FAC, 0x0FAD):
        yield Op("INT_SLESS", new, (_result(instruction), Var(CONST, 0, size)))
        yield Op("INT_XOR", old, (old, new))
    yield Op("INT_EQUAL", once, (count, Var(CONST, 1, count.size)))
    yield Op("BOOL_AND", old, (old, once))
    yield Op("BOOL_NEGATE", kept, (once,))
    yield Op("BOOL_AND", kept, (kept, was))
    yield Op("BOOL_OR", _OF, (old, kept))


def _result(instruction: Instruction) -> Var:
    """Return where an instruction with one operand leaves what it computed."""
    stored = [op.ins[1] for op in instruction.ops if op.code == "STORE"]
    made = [op.out for op in instruction.ops if op.out]
    named = [v for v in made if v.space == RAM or (v.space == REGISTER and v.offset < 32)]
    return stored[-1] if stored else named[0]


def _scans_bits(instruction: Instruction) -> bool:
    return instruction.mnemonic in ("BSF", "BSR")


def _keep_if_zero(instruction: Instruction) -> Iterator[Op]:
    first = True
    for at, op in enumerate(instruction.ops):
        if first and op.code == "CBRANCH":
            end = Var(CONST, len(instruction.ops) - at, 4)
            yield op._replace(ins=(end, op.ins[1]))
            first = False
        else:
            yield op


def _is_called_out(instruction: Instruction) -> bool:
    return instruction.encoding.opcode in _CALLED_OUT


def _called_out(instruction: Instruction) -> Iterator[Op]:
    yield Op(_CALLED_OUT[instruction.encoding.opcode], None, ())


def _names_the_code_segment(instruction: Instruction) -> bool:
    prefixes = instruction.encoding.prefixes
    return 0x67 in prefixes and 0x2E in prefixes


def _without_guess(instruction: Instruction) -> Iterator[Op]:
    """Drop what makes a selector of the address, as real mode might have it."""
    unwanted, kept = {_CS[:2]}, []  # by place: it may be read in another size
    for op in reversed(instruction.ops):
        if op.out and op.out[:2] in unwanted:
            unwanted.update(var[:2] for var in op.ins if var.space == UNIQUE)
        else:
            kept.append(op)
    yield from reversed(kept)


def _changes_memory(instruction: Instruction) -> bool:
    return changed_place(instruction.ops) is not None


def _reading_once(instruction: Instruction) -> Iterator[Op]:
    place = changed_place(instruction.ops)
    if place is not None:
        yield from read_once(instruction.ops, place)


_CS = Var(REGISTER, 258, 2)
_CF, _OF = Var(REGISTER, 512, 1), Var(REGISTER, 523, 1)
# What is said by a routine in Python (`virtlab.machine.rare`), as a line of a table of the manual's
# would be thirty operations.
_CALLED_OUT = {
    0x27: "DAA",
    0x2F: "DAS",
    0x37: "AAA",
    0x3F: "AAS",
    0xD4: "AAM",
    0xD5: "AAD",
    0xC8: "ENTER",
    0x9B: "WAIT",
}

PATCHES: tuple[Patch, ...] = (
    Patch("AF", "the carry between the digits of BCD is never computed", _carries, _with_af),
    Patch("divide error", "a quotient that is none raises no #DE", _divides, _with_divide_error),
    Patch(
        "SHR by 1",
        "OF becomes 0, not the sign that was shifted",
        _shifts_right_by_one,
        _with_shifted_sign,
    ),
    Patch(
        "SHR, SHRD",
        "from pypcode 4 on, OF after one step and after none are mixed up",
        _shifts_right_by_a_count,
        _with_overflow_of_one_step,
    ),
    Patch("short jumps", "a target of 16 bits keeps its upper half", _jumps_short, _within_64k),
    Patch(
        "XADD",
        "the register changes before its address is used",
        _exchanges_in_memory,
        _store_first,
    ),
    Patch(
        "CMPXCHG",
        "memory that differs is not written: no fault where it may not be, and no mark",
        _compares_in_memory,
        _store_in_any_case,
    ),
    Patch(
        "RCL, RCR",
        "OF is not computed where the count is an operand",
        _rotates_through_carry,
        _with_rotated_overflow,
    ),
    Patch(
        "undefined flags",
        "they stay as they were, so that all code before has to make them",
        leaves_undefined,
        cleared,
    ),
    Patch(
        "BSF, BSR",
        "of zero they give 0; processors leave what was there",
        _scans_bits,
        _keep_if_zero,
    ),
    Patch(
        "CS with 16 bits",
        "an address of 16 bits through CS changes CS",
        _names_the_code_segment,
        _without_guess,
    ),
    Patch(
        "BCD, ENTER, WAIT",
        "other flags than the manual's; nested frames; a task's coprocessor that is not there yet",
        _is_called_out,
        _called_out,
    ),
    Patch(
        "read, change, write",
        "memory is read for each flag anew, and at first as if it were not to be written",
        _changes_memory,
        _reading_once,
    ),
)
