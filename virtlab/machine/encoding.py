"""How an i386 instruction is written down: prefixes, opcode, ModRM and SIB bytes (S5).

    [prefixes] opcode [ModRM [SIB] [displacement]] [immediate]

SLEIGH decodes all of it, but its p-code knows nothing of segments, and system instructions need
their operand itself. So this reads what both need: which segment a memory operand lies in, and
where its address comes from. By default that is DS, and SS where EBP or ESP is the base.

Source: Intel SDM, volume 2, chapter 2 (tables 2-1 to 2-3) and appendix A (which opcodes have a
ModRM byte).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from virtlab.machine.registers import Registers

__all__ = ["CS", "DS", "ES", "FS", "GS", "SEGMENTS", "SS", "Encoding", "encoding"]

SEGMENTS = ("ES", "CS", "SS", "DS", "FS", "GS")
ES, CS, SS, DS, FS, GS = range(6)
_OVERRIDES = {0x26: ES, 0x2E: CS, 0x36: SS, 0x3E: DS, 0x64: FS, 0x65: GS}
_PREFIXES = {*_OVERRIDES, 0x66, 0x67, 0xF0, 0xF2, 0xF3}
_ESP, _EBP = 4, 5

_WITH_MODRM = {
    *(high << 3 | low for high in range(8) for low in range(4)),
    *(0x62, 0x63, 0x69, 0x6B, 0xF6, 0xF7, 0xFE, 0xFF),
    *range(0x80, 0x90),
    *(0xC0, 0xC1, 0xC4, 0xC5, 0xC6, 0xC7),
    *range(0xD0, 0xD4),
    *range(0xD8, 0xE0),
}
_TWO_BYTES_WITHOUT = {
    *range(0x04, 0x0D),
    0x0E,
    *range(0x30, 0x38),
    0x77,
    *range(0x80, 0x90),
    *(0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA),
    *range(0xC8, 0xD0),
}


class Encoding(NamedTuple):
    """The parts of one instruction.

    Attributes
    ----------
    prefixes
        Its prefix bytes.
    opcode
        One byte, or 0x0F00 and the second one.
    modrm
        The ModRM byte, -1 where there is none.
    sib
        The SIB byte, -1 where there is none.
    displacement
        Added to the address; signed.
    rest
        The bytes after all that: the immediate.
    """

    prefixes: bytes
    opcode: int
    modrm: int
    sib: int
    displacement: int
    rest: bytes

    @property
    def operand_size(self) -> int:
        """Bytes of an operand: 4, or 2 with the prefix 66."""
        return 2 if 0x66 in self.prefixes else 4

    @property
    def address_size(self) -> int:
        """Bytes of an address: 4, or 2 with the prefix 67."""
        return 2 if 0x67 in self.prefixes else 4

    @property
    def is_register(self) -> bool:
        """Whether the ModRM operand is a register."""
        return self.modrm >= 0xC0

    @property
    def reg(self) -> int:
        """The middle three bits of ModRM: a register, or more opcode."""
        return self.modrm >> 3 & 7

    @property
    def rm(self) -> int:
        """The low three bits of ModRM: the other register, or how the address is made."""
        return self.modrm & 7

    @property
    def override(self) -> int | None:
        """The segment that a prefix names; the last such prefix counts."""
        if not self.prefixes:
            return None
        named = [_OVERRIDES[byte] for byte in self.prefixes if byte in _OVERRIDES]
        return named[-1] if named else None

    @property
    def segment(self) -> int:
        """The segment of the memory operand."""
        if self.override is not None:
            return self.override
        if self.modrm < 0 or self.is_register:
            return DS
        if self.address_size == 2:
            from_bp = self.rm in (2, 3) or (self.rm == 6 and self.modrm >= 0x40)
        else:
            base = self.sib & 7 if self.rm == _ESP else self.rm
            from_bp = base == _ESP or (base == _EBP and self.modrm >= 0x40)
        return SS if from_bp else DS

    def offset(self, registers: Registers) -> int:
        """Return where in its segment the memory operand lies, now.

        Parameters
        ----------
        registers
            What the address is made of.

        Returns
        -------
        int
            The effective address.

        Examples
        --------
        >>> from virtlab.machine.registers import Registers
        >>> registers = Registers()
        >>> registers["EBX"], registers["ESI"] = 0x1000, 3
        >>> hex(encoding(bytes.fromhex("8b44b310")).offset(registers))  # [ebx + 4 esi + 16]
        '0x101c'
        """

        def register(number: int, size: int = 4) -> int:
            return int.from_bytes(registers.data[4 * number : 4 * number + size], "little")

        if self.address_size == 2:
            pairs = ((3, 6), (3, 7), (5, 6), (5, 7), (6,), (7,), (5,), (3,))
            parts = () if self.modrm < 0x40 and self.rm == 6 else pairs[self.rm]
            return sum(register(part, 2) for part in parts) + self.displacement & 0xFFFF
        base, address = self.rm, self.displacement
        if self.rm == _ESP:
            base, index = self.sib & 7, self.sib >> 3 & 7
            if index != _ESP:
                address += register(index) << (self.sib >> 6)
        if base != _EBP or self.modrm >= 0x40:
            address += register(base)
        return address & 0xFFFFFFFF


def encoding(code: bytes) -> Encoding:
    """Take an instruction apart.

    Parameters
    ----------
    code
        Its bytes; what follows it does no harm.

    Returns
    -------
    Encoding
        Its parts.

    Raises
    ------
    IndexError
        If it is cut off.

    Examples
    --------
    >>> found = encoding(bytes.fromhex("368b4424fc"))  # mov eax, ss:[esp - 4]
    >>> hex(found.opcode), SEGMENTS[found.segment], found.displacement
    ('0x8b', 'SS', -4)
    """
    at = 0
    while code[at] in _PREFIXES:
        at += 1
    prefixes = code[:at]
    opcode, modrm, sib, displacement = code[at], -1, -1, 0
    at += 1
    if opcode == 0x0F:
        opcode, at = 0x0F00 | code[at], at + 1
    two = opcode > 0xFF
    if (opcode & 0xFF not in _TWO_BYTES_WITHOUT) if two else opcode in _WITH_MODRM:
        modrm, at = code[at], at + 1
        sib, displacement, at = _address(code, at, modrm, short=0x67 in prefixes)
    return Encoding(prefixes, opcode, modrm, sib, displacement, code[at:])


def _address(code: bytes, at: int, modrm: int, *, short: bool) -> tuple[int, int, int]:
    """Read what follows a ModRM byte: SIB byte, displacement, and where that ends."""
    mode, rm, sib = modrm >> 6, modrm & 7, -1
    if mode == 3:
        return sib, 0, at
    if rm == _ESP and not short:
        sib, at = code[at], at + 1
    base = sib & 7 if sib >= 0 else rm
    absolute = mode == 0 and base == (6 if short else _EBP)
    size = {0: (2 if short else 4) if absolute else 0, 1: 1, 2: 2 if short else 4}[mode]
    return sib, int.from_bytes(code[at : at + size], "little", signed=True), at + size
