"""Instructions that differ in one number: what the first two have in common makes all others (S18).

`mov eax, 7` and `mov eax, 8` are the same but for the number, and a program has many of the kind.
To ask SLEIGH about each takes as long as to run some ten of them. So two that end in other numbers
are compared, once: where their operations, their words and their plans differ, each must name its
own number, in full. If so that is a **form**, a hole where the number was; a third instruction is
the form with its number put in.

Only opcodes are asked for whose number is four bytes and is taken as it is. What SLEIGH does with
shorter ones may depend on their sign, or on the number itself (`aam`, `enter`, shifts). That a form
gives what SLEIGH says, whatever the number, is tested (`tests/machine/test_forms.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST, Var

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction
    from virtlab.machine.planned import Plan

__all__ = ["Form", "common", "head"]

_SIZE = 4  # bytes of the number
_OPCODES = frozenset(
    (
        *range(0x05, 0x40, 8),  # add, or, adc, sbb, and, sub, xor, cmp of EAX
        *(0x68, 0x81, 0xA9, 0xC7, 0xF7),  # push, the eight of anything, test, mov, test
        *range(0xB8, 0xC0),  # mov
    )
)


def head(instruction: Instruction) -> bytes | None:
    r"""Return an instruction's bytes before the number that it ends in.

    Parameters
    ----------
    instruction
        Which.

    Returns
    -------
    bytes or None
        None if it is not of a kind that forms are made of.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> decode = lambda code: Decoder().decode(0, bytes.fromhex(code))
    >>> head(decode("81c307000000")), head(decode("83c307"))  # add ebx, 7
    (b'\x81\xc3', None)
    """
    parts = instruction.encoding
    if len(parts.rest) != _SIZE or parts.opcode not in _OPCODES or parts.operand_size != _SIZE:
        return None
    return instruction.code[:-_SIZE]


@dataclass(frozen=True)
class Form:
    r"""What instructions have in common that end in a number.

    Attributes
    ----------
    like
        One of them.
    operands
        How its operands are written, up to the number.
    ops
        Operations that name the number: their places, and their inputs, None where it stands.
    places
        Where it stands among the values of the plan.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> one, other = (Decoder().decode(0, b"\xb8" + bytes((k, 0, 0, 0))) for k in (1, 2))
    >>> form = common(one, other)
    >>> str(form.made(0x1000, bytes.fromhex("b87856341290")))
    'MOV EAX,0x12345678'
    """

    like: Instruction
    operands: str
    ops: tuple[tuple[int, tuple[Var | None, ...]], ...]
    places: tuple[int, ...]

    def made(self, address: int, code: bytes) -> Instruction | None:
        """Make an instruction.

        Parameters
        ----------
        address
            Where it stands.
        code
            Its bytes, and what follows.

        Returns
        -------
        Instruction or None
            None if its number is cut off.

        Examples
        --------
        See the class.
        """
        like = self.like
        own = code[: len(like.code)]
        if len(own) < len(like.code):
            return None
        rest = own[-_SIZE:]
        number = int.from_bytes(rest, "little")
        var = Var(CONST, number, _SIZE)
        ops = list(like.ops)
        for at, ins in self.ops:
            filled = tuple([var if one is None else one for one in ins])
            ops[at] = ops[at]._replace(ins=filled)
        made: Instruction = object.__new__(type(like))
        vars(made).update(
            vars(like),
            address=address,
            code=own,
            operands=f"{self.operands}{number:#x}",
            ops=tuple(ops),
            encoding=like.encoding._replace(rest=rest),
            plan=self._plan(number),
        )
        return made

    def _plan(self, number: int) -> Plan | None:
        """Put a number into the plan; its steps only name places."""
        plan = self.like.plan
        if plan is None:
            return None
        values = plan.values.copy()
        for place in self.places:
            values[place] = number
        return plan._replace(values=values)


def common(one: Instruction, other: Instruction) -> Form | None:
    r"""Return the form of two instructions whose heads are the same.

    Parameters
    ----------
    one, other
        As they were decoded.

    Returns
    -------
    Form or None
        None if they differ in more than their numbers, or not at all.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> one, other = (Decoder().decode(0, b"\x05" + bytes((k, 0, 0, 0))) for k in (1, 2))
    >>> common(one, other).ops[0]  # the first is the carry
    (0, (Var(space=1, offset=0, size=4), None))
    >>> common(one, one) is None
    True
    """
    mine, theirs = (int.from_bytes(each.encoding.rest, "little") for each in (one, other))
    operands = one.operands.removesuffix(f"{mine:#x}")
    same_words = (one.mnemonic, one.operands, other.operands) == (
        other.mnemonic,
        f"{operands}{mine:#x}",
        f"{operands}{theirs:#x}",
    )
    same_parts = one.encoding._replace(rest=b"") == other.encoding._replace(rest=b"")
    ops = _ops(one, other, (Var(CONST, mine, _SIZE), Var(CONST, theirs, _SIZE)))
    places = _places(one.plan, other.plan, (mine, theirs))
    if mine == theirs or not (same_words and same_parts) or ops is None or places is None:
        return None
    return Form(one, operands, ops, places)


def _ops(
    one: Instruction, other: Instruction, numbers: tuple[Var, Var]
) -> tuple[tuple[int, tuple[Var | None, ...]], ...] | None:
    """Return which operations name the number, if they are the same but for that."""
    if len(one.ops) != len(other.ops):
        return None
    found = []
    for at, (a, b) in enumerate(zip(one.ops, other.ops, strict=True)):
        if a == b:
            continue
        pairs = list(zip(a.ins, b.ins, strict=False))
        if a._replace(ins=b.ins) != b or len(a.ins) != len(b.ins):
            return None
        if any(pair != numbers for pair in pairs if pair[0] != pair[1]):
            return None
        found.append((at, tuple(None if x != y else x for x, y in pairs)))
    return tuple(found)


def _places(
    one: Plan | None, other: Plan | None, numbers: tuple[int, int]
) -> tuple[int, ...] | None:
    """Return which values of the plan are the number, if they are the same but for that."""
    if one is None or other is None:
        return () if one is other else None
    pairs = list(enumerate(zip(one.values, other.values, strict=False)))
    if len(one.values) != len(other.values) or one[1:2] + one[3:] != other[1:2] + other[3:]:
        return None
    if [step[:-1] for step in one.steps] != [step[:-1] for step in other.steps]:
        return None
    found = [(at, pair) for at, pair in pairs if pair[0] != pair[1]]
    return tuple(at for at, _ in found) if all(pair == numbers for _, pair in found) else None
