"""Which instructions touch the machine itself, computed from what p-code says of each (S17).

Nobody has to know the list. Each opcode of the i386's two maps is decoded, with each `reg` of its
ModRM byte, in memory and in a register, with 16 bits and with 32; and its p-code, as SLEIGH has
it and with none of our repairs, is searched for two things:

- a register that is the machine's and not the program's: CR0 to CR4, DR0 to DR7, the segment
  registers, and of EFLAGS the parts IF, IOPL, NT, VM;
- an operation that p-code only names (a *user-defined* one): ports, tables, software interrupts.

Where p-code says nothing of it, somebody must: `BY_HAND` names those, five, with the reason. Then
all is held against `virtlab.machine.sensitive`, which says to the processor what routine does each.
A routine for what touches nothing has a reason of its own, in `OTHER_REASONS`.

This says *where to look*: what touches the machine may be sensitive. What it does at which ring is
found by running it (`virtlab.machine.rings`).

Source: pypcode's x86 specification; opcode maps of the Intel SDM, volume 2, appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from virtlab.machine.decode import Decoder
from virtlab.machine.encoding import encoding
from virtlab.machine.faults import Fault
from virtlab.machine.probes import PROBES
from virtlab.machine.sensitive import BY_REG, routine_of
from virtlab.machine.stage import CODE, stage
from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BY_HAND", "OTHER_REASONS", "Sensitivity", "Touch", "sensitivity", "touched"]

# P-code says nothing of what these do to the machine, or that they do anything.
BY_HAND: dict[tuple[int, int | None], str] = {
    (0xF4, None): "HLT is a jump, and not one that stops the processor",
    (0x0F08, None): "INVD is no operation: p-code has no caches",
    (0x0F09, None): "WBINVD is no operation: p-code has no caches",
    (0x0F02, None): "LAR masks its operand, as if a selector were a descriptor, and asks no table",
    (0xFF, 5): "JMPF through memory reads the offset alone, and leaves CS as it was",
}
# A routine does these though they touch nothing of the machine's.
OTHER_REASONS: dict[tuple[int, int | None], str] = {
    (0x62, None): "BOUND is no operation in p-code; its exception is all that it can do",
    (0x63, None): "ARPL has a wrong p-code; it compares two numbers",
}
_MACHINE = {
    *("ES", "CS", "SS", "DS", "FS", "GS"),
    *("IF", "IOPL", "NT", "VM", "eflags"),
    *(f"{kind}{number}" for kind in ("CR", "DR") for number in range(8)),
}
# User-defined operations that are not about the machine: the lock of one access to memory, and how
# SLEIGH says that an address has 16 bits.
_HARMLESS = {"LOCK", "UNLOCK", "segment"}
_PREFIXES = {0x0F, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}
_FILL = bytes.fromhex("00600000") * 3  # an address and an immediate


@dataclass(frozen=True)
class Touch:
    """What one instruction touches, by p-code.

    Attributes
    ----------
    opcode, reg
        Which; `reg` is None where the opcode alone says it.
    name
        SLEIGH's mnemonic.
    touches
        Registers of the machine and user-defined operations, in all its forms.
    routine
        The processor's, None if p-code does it.
    exists
        Whether our processor has it; SLEIGH knows many that came later, some of the same opcode.
    """

    opcode: int
    reg: int | None
    name: str
    touches: tuple[str, ...]
    routine: str | None
    exists: bool

    @property
    def key(self) -> tuple[int, int | None]:
        """Opcode, and `reg` where that is part of it."""
        return self.opcode, self.reg

    @property
    def found(self) -> str:
        """How it was found: 'p-code', 'by hand', or '' if it touches nothing."""
        return "p-code" if self.touches else "by hand" if self.key in BY_HAND else ""

    @property
    def why(self) -> str:
        """What it touches, or why nothing is said of it."""
        told = BY_HAND.get(self.key) or OTHER_REASONS.get(self.key, "")
        return ", ".join(self.touches) or told


@dataclass(frozen=True)
class Sensitivity(Result):
    """All instructions that touch the machine, and all that a routine does.

    Attributes
    ----------
    touches
        In the order of opcodes; those of later processors after the others.
    decoded
        How many forms were decoded.

    Examples
    --------
    >>> found = sensitivity()
    >>> found.summary()["by_hand"], found.differences()
    (5, {})
    """

    touches: tuple[Touch, ...]
    decoded: int

    def differences(self) -> dict[tuple[int, int | None], str]:
        """Return where the processor's table and what was found differ, with no reason given.

        Returns
        -------
        dict
            By opcode and `reg`: 'no routine', or 'a routine for what touches nothing'.

        Examples
        --------
        >>> sensitivity().differences()
        {}
        """
        found = {}
        for touch in self.touches:
            if touch.exists and touch.found and touch.routine is None:
                found[touch.key] = "no routine"
            if touch.routine and not touch.found and touch.key not in OTHER_REASONS:
                found[touch.key] = "a routine for what touches nothing"
        return found

    def routines(self) -> frozenset[str]:
        """Return the routines of what touches the machine.

        Returns
        -------
        frozenset of str
            As `virtlab.machine.sensitive` names them.

        Examples
        --------
        >>> "POPF" in sensitivity().routines(), "BOUND" in sensitivity().routines()
        (True, False)
        """
        return frozenset(t.routine for t in self.touches if t.found and t.exists and t.routine)

    def untried(self) -> frozenset[str]:
        """Return those that no probe tries at the rings.

        Returns
        -------
        frozenset of str
            Routines.

        Examples
        --------
        >>> sorted(sensitivity().untried())
        ['CPUID', 'INT3', 'INTO', 'LFAR', 'MSR', 'RDTSC']
        """
        tried = {routine_of(encoding(probe.bytes_at(0))) for probe in PROBES}
        return self.routines() - tried

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each."""
        return pd.DataFrame(
            [
                {
                    "opcode": _written(*touch.key),
                    "instruction": touch.name,
                    "found": touch.found or "no",
                    "routine": touch.routine or "",
                    "here": "yes" if touch.exists else "no",
                    "touches": touch.why,
                }
                for touch in self.touches
            ]
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how many were found, and how."""
        here = [touch for touch in self.touches if touch.exists]
        return {
            "forms_decoded": self.decoded,
            "by_p_code": sum(touch.found == "p-code" for touch in here),
            "by_hand": sum(touch.found == "by hand" for touch in here),
            "other_routines": sum(not touch.found for touch in here),
            "not_in_this_processor": sum(not touch.exists for touch in self.touches),
        }

    def explain(self) -> str:
        """Say what p-code knows, and what had to be said by hand."""
        told = self.summary()
        hand = [t.name + (f" /{t.reg}" if t.reg else "") for t in self.touches if t.key in BY_HAND]
        return (
            f"Of {self.decoded:,} forms of instructions, p-code says by itself that "
            f"{told['by_p_code']} opcodes touch the machine. It is silent on {told['by_hand']}: "
            f"{', '.join(hand)}. SLEIGH knows {told['not_in_this_processor']} more, of "
            "coprocessors and of what came later."
        )


def _written(opcode: int, reg: int | None) -> str:
    """Write an opcode as the manual does."""
    escaped = f"0F {opcode & 0xFF:02X}" if opcode > 0xFF else f"{opcode:02X}"
    return escaped if reg is None else f"{escaped} /{reg}"


def touched(code: bytes) -> frozenset[str]:
    """Return what of the machine an instruction's p-code touches.

    Parameters
    ----------
    code
        Its bytes; what follows does no harm.

    Returns
    -------
    frozenset of str
        Names of registers and user-defined operations.

    Raises
    ------
    Fault
        #UD if there is no such instruction.

    Examples
    --------
    >>> touched(bytes.fromhex("fa")), touched(bytes.fromhex("01d8"))
    (frozenset({'IF'}), frozenset())
    >>> touched(bytes.fromhex("f4"))  # hlt: p-code does not know that it stops
    frozenset()
    """
    context, owner, errors = _sleigh()
    try:
        ops = context.translate(code, CODE, max_instructions=1).ops
    except errors as error:
        raise Fault(6, why=f"{code.hex()} is no instruction") from error
    found: set[str] = set()
    for op in ops:
        ins = list(op.inputs)
        if op.opcode.name == "CALLOTHER":
            name = ins.pop(0).getUserDefinedOpName()
            found.add(name)
            if name == "segment":
                continue  # it names the segment that the address is in, and reads no selector
        for var in (*ins, *([op.output] if op.output else [])):
            if var.space.name == "register" and var.offset in owner:
                found.add(owner[var.offset])
    return frozenset(found - _HARMLESS)


@cache
def _sleigh() -> tuple[Any, dict[int, str], tuple[type[Exception], ...]]:
    """Return SLEIGH, whose each of its registers' bytes is, and what it raises."""
    Decoder()  # says in one line what to install
    import pypcode

    context = pypcode.Context("x86:LE:32:default")
    owner = {
        var.offset + byte: name
        for name, var in context.registers.items()
        if name in _MACHINE
        for byte in range(var.size)
    }
    errors = (pypcode.LowlevelError, pypcode.UnimplError, pypcode.BadDataError)
    return context, owner, (*errors, IndexError)


def _forms() -> Iterator[bytes]:
    """Give each opcode of both maps, with each ModRM byte that may say more."""
    for prefix in (b"", b"\x66"):
        for opcode in (*range(0x100), *range(0x0F00, 0x1000)):
            if opcode in _PREFIXES:
                continue
            head = prefix + opcode.to_bytes(1 + (opcode > 0xFF), "big")
            if encoding(head + _FILL).modrm < 0:
                yield head + _FILL
                continue
            for reg in range(8):
                for rest in (0x05, 0xC0):  # an address; a register
                    yield head + bytes([rest | reg << 3]) + _FILL


@cache
def sensitivity() -> Sensitivity:
    """Walk through both opcode maps and find what touches the machine.

    Returns
    -------
    Sensitivity
        What does, and what a routine does.

    Examples
    --------
    >>> frame = sensitivity().to_frame()
    >>> frame[frame["found"] == "by hand"]["instruction"].tolist()
    ['HLT', 'JMPF', 'LAR', 'INVD', 'WBINVD']
    """
    kept: dict[tuple[int, int | None, bool], tuple[bytes, set[str]]] = {}
    decoded = 0
    for code in _forms():
        try:
            found = touched(code)
        except Fault:
            continue
        decoded += 1
        parts = encoding(code)
        reg = parts.reg if parts.opcode in BY_REG else None
        if not found and routine_of(parts) is None:
            continue
        exists = _exists(code)
        if found or exists:
            kept.setdefault((parts.opcode, reg, exists), (code, set()))[1].update(found)
    ordered = sorted(kept.items(), key=lambda item: (not item[0][2], item[0][0], item[0][1] or 0))
    return Sensitivity(tuple(_touch(*key, *row) for key, row in ordered), decoded)


def _touch(opcode: int, reg: int | None, exists: bool, code: bytes, found: set[str]) -> Touch:  # noqa: FBT001 - a row's parts in order
    """Give what was kept of one opcode its names."""
    name = _sleigh()[0].disassemble(code, CODE, max_instructions=1).instructions[0].mnem
    routine = routine_of(encoding(code)) if exists else None
    return Touch(opcode, reg, name, tuple(sorted(found)), routine, exists)


def _exists(code: bytes) -> bool:
    """Return whether our processor has an instruction, by running it at ring 0."""
    processor = stage(0, 3, _decoder())
    processor.memory.write(CODE, code)
    try:
        processor.step()
    except Fault as fault:
        return fault.vector not in (6, 7)
    return True


@cache
def _decoder() -> Decoder:
    return Decoder()
