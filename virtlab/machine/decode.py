"""From bytes to p-code: what an instruction means, as operations that can be run (S5, S18).

`pypcode` (Ghidra's SLEIGH) decodes i386 code and gives each instruction's meaning as p-code. Three
things are added here: which segment each access to memory goes through, repairs for what SLEIGH
leaves out (`virtlab.machine.patches`), and which instructions touch the machine itself
(`virtlab.machine.system` does those).

Left out: x87, MMX and SSE; this processor has none, and says so with #NM or #UD.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from virtlab.machine.encoding import ES, SS, Encoding, encoding
from virtlab.machine.faults import Fault
from virtlab.machine.forms import Form, common, head
from virtlab.machine.patches import patched
from virtlab.machine.pcode import RAM, REGISTER, Op, Var
from virtlab.machine.planned import Plan, plan
from virtlab.machine.registers import SIZE
from virtlab.machine.sensitive import routine_of
from virtlab.machine.sleigh import disassembled, errors, operations

__all__ = ["LONGEST", "REMEMBERED", "Decoder", "Instruction"]

LONGEST = 15  # bytes of an instruction
REMEMBERED = 65_536  # instructions that a decoder remembers at most; then it begins anew
_ESP, _ESI, _EDI = (Var(REGISTER, 4 * number, 4) for number in (4, 6, 7))
_JUMPS = ("BRANCH", "CBRANCH", "CALL")
_PUSHES = ("PUSH", "CALL", "ENTER")  # their stores go to the stack, ...
_POPS = ("POP", "RET", "LEAVE", "ENTER")  # ... and their loads come from it


@dataclass(frozen=True)
class Instruction:
    """One instruction, decoded.

    Attributes
    ----------
    address, code
        Where it stands, and its bytes.
    mnemonic, operands
        As an assembler would write it, such as 'MOV' and 'EAX,EBX'.
    ops
        What it does.
    encoding
        How it is written down.

    Examples
    --------
    >>> add = Decoder().decode(0x1000, bytes.fromhex("01d8"))
    >>> str(add), [op.code for op in add.ops][:3]
    ('ADD EAX,EBX', ['INT_CARRY', 'INT_SCARRY', 'INT_XOR'])
    """

    address: int
    code: bytes
    mnemonic: str
    operands: str
    ops: tuple[Op, ...]
    encoding: Encoding

    @property
    def next(self) -> int:
        """Address of what follows it."""
        return self.address + len(self.code) & 0xFFFFFFFF

    @cached_property
    def plan(self) -> Plan | None:
        """How to run it, settled when it is first asked for."""
        return plan(self.ops)

    def __str__(self) -> str:
        """Write it as an assembler would."""
        return f"{self.mnemonic} {self.operands}".strip()


class Decoder:
    """Decodes, and remembers what it has decoded.

    It is remembered by its address and its bytes, so code that changes needs no rule of its own.

    Raises
    ------
    InvalidInputError
        If `pypcode` is not installed.

    Examples
    --------
    >>> jump = Decoder().decode(0x1000, bytes.fromhex("ebfe"))
    >>> str(jump), [str(op) for op in jump.ops]
    ('JMP 0x1000', ['BRANCH ram:1000'])
    """

    def __init__(self) -> None:
        self._errors: tuple[type[Exception], ...] = (IndexError, *errors())
        self._known: dict[tuple[int, bytes], Instruction] = {}

    def decode(self, address: int, code: bytes) -> Instruction:
        """Decode the instruction at an address.

        Parameters
        ----------
        address
            Where it stands.
        code
            Its bytes, and up to 15 in all of what follows.

        Returns
        -------
        Instruction
            What it does.

        Raises
        ------
        Fault
            #UD if there is no such instruction, or more bytes would be needed.

        Examples
        --------
        >>> Decoder().decode(0, bytes.fromhex("0f0b"))
        Traceback (most recent call last):
        virtlab.machine.faults.Fault: #UD: 0f0b is no instruction
        """
        key = address, code
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[key] = _moved(address, code) or self._decode(address, code)
        return found

    def _decode(self, address: int, code: bytes) -> Instruction:
        try:
            parts = encoding(code)
            plain_code, dropped = _plain(code, parts)
            # What was dropped from its front is made up for by where it is said to stand.
            start = address + dropped
            words = disassembled(plain_code, start)
            routine = routine_of(parts)
            ops = operations(plain_code, start, parts.segment)
        except self._errors as error:
            raise Fault(6, why=f"{code.hex()} is no instruction") from error
        length = words.length + dropped
        if length > len(code):  # SLEIGH makes up what is missing
            raise Fault(6, why=f"{code.hex()} is cut off")
        mnemonic = words.mnemonic
        if mnemonic.startswith(("UD", "INVALID")) or _is_none(parts):
            raise Fault(6, why=f"{code[: words.length].hex()} is no instruction")
        if routine is not None:
            ops = [Op(routine, None, ())]
        _refuse_floats(parts, ops, mnemonic)
        ops = _with_segments(mnemonic, parts, ops)
        own = code[:length]
        parts = parts._replace(rest=own[len(code) - len(parts.rest) :])
        made = patched(Instruction(address, own, mnemonic, words.operands, tuple(ops), parts))
        if _stands_anywhere(made):
            _remember(made)
        return made


# --- the same bytes elsewhere ---------------------------------------------------------------------

# By its bytes, one that means the same at each address; by those before a number, its form.
_ANYWHERE: dict[bytes, Instruction | Form] = {}
_FIRST: dict[bytes, Instruction] = {}  # the first one with a head: what the next is compared with


def _moved(address: int, code: bytes) -> Instruction | None:
    """Return an instruction that has been decoded at another address, by any decoder.

    No instruction is the beginning of another one, so at most one length is found.
    """
    for length in range(1, len(code) + 1):
        found = _ANYWHERE.get(code[:length])
        if found is not None:
            if type(found) is Form:
                return found.made(address, code)
            moved = object.__new__(Instruction)
            vars(moved).update(vars(found), address=address)
            return moved
    return None


def _remember(instruction: Instruction) -> None:
    if len(_ANYWHERE) >= REMEMBERED:
        _ANYWHERE.clear()
        _FIRST.clear()
    _ANYWHERE[instruction.code] = instruction
    begin = head(instruction)
    if begin is None:
        return
    first = _FIRST.setdefault(begin, instruction)
    form = None if first is instruction else common(first, instruction)
    if form is not None:
        _ANYWHERE[begin] = form


def _stands_anywhere(instruction: Instruction) -> bool:
    """Return whether it means the same at each address: all but jumps and calls do."""
    return not any(
        op.code == "CALLIND" or (op.code in _JUMPS and op.ins[0].space == RAM)
        for op in instruction.ops
    )


def _is_none(parts: Encoding) -> bool:
    """Return whether the manual knows no such instruction, though SLEIGH does."""
    last = {0xFE: 1, 0xFF: 6, 0x8F: 0, 0xC6: 0, 0xC7: 0}.get(parts.opcode, 7)
    if parts.opcode in (0x0F00, 0x0F01) and routine_of(parts) is None:
        return True
    memory_only = parts.opcode in (0x8D, 0xC4, 0xC5, 0x62, 0x0FB2, 0x0FB4, 0x0FB5)
    return parts.reg > last or (memory_only and parts.is_register)


def _plain(code: bytes, parts: Encoding) -> tuple[bytes, int]:
    """Write an instruction as SLEIGH knows it; say how many bytes that is shorter.

    It knows no prefix twice, and not that F6 /1 and F7 /1 are TEST, as /0 is; and it takes the
    prefix 67 for one that makes the stack pointer short, which only the stack's segment can do.
    """
    once = bytes(dict.fromkeys(parts.prefixes))
    if (parts.modrm < 0 or parts.is_register) and not _has_address(parts.opcode):
        once = once.replace(b"\x67", b"")
    plain = bytearray(once + code[len(parts.prefixes) :])
    if parts.opcode in (0xF6, 0xF7) and parts.reg == 1:
        plain[len(once) + 1] &= ~0x08
    return bytes(plain), len(parts.prefixes) - len(once)


def _has_address(opcode: int) -> bool:
    """Return whether an opcode without a ModRM operand in memory has an address all the same."""
    return _is_string(opcode) or 0xA0 <= opcode <= 0xA3 or 0xE0 <= opcode <= 0xE3 or opcode == 0xD7


def _refuse_floats(parts: Encoding, ops: list[Op], mnemonic: str) -> None:
    """Raise what a processor without a coprocessor raises."""
    if 0xD8 <= parts.opcode <= 0xDF:
        raise Fault(7, why=f"{mnemonic}: there is no coprocessor")
    for op in ops if parts.opcode > 0xFF else ():  # others do not name them
        for var in (*op.ins, *([op.out] if op.out else [])):
            if var.space == REGISTER and var.offset >= SIZE:
                raise Fault(6, why=f"{mnemonic}: this processor has no such registers")


def _with_segments(mnemonic: str, parts: Encoding, ops: list[Op]) -> list[Op]:
    """Say of each access to memory that is not to the operand which segment it goes through."""
    name = mnemonic.partition(".")[0]
    strings = _is_string(parts.opcode)
    if not strings and not name.startswith((*_PUSHES, *_POPS)):
        return ops
    origin: dict[Var, Var] = {}
    found = []
    for op in ops:
        if op.code == "COPY" and op.out is not None:
            origin[op.out] = op.ins[0]
        elif op.code in ("LOAD", "STORE"):
            address = origin.get(op.ins[0], op.ins[0])
            on_stack = name.startswith(_PUSHES if op.code == "STORE" else _POPS)
            if strings:
                other = address == _EDI
            else:
                other = on_stack and (address == _ESP or name in ("ENTER", "LEAVE"))
            if other:
                found.append(op._replace(segment=ES if strings else SS))
                continue
        found.append(op)
    return found


def _is_string(opcode: int) -> bool:
    return 0x6C <= opcode <= 0x6F or (0xA4 <= opcode <= 0xAF and opcode not in (0xA8, 0xA9))
