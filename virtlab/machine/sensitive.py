"""Which instructions touch the machine itself, and which routine does each (S17, S18).

P-code says what most instructions do. It cannot say this of those that read or change what the
machine is: interrupts on or off, the tables, the segments, the control registers, the devices, and
everything that changes the ring. This table names them by opcode; where an opcode has a second part
in its ModRM byte, by that too.

Source: Intel SDM, volume 2, appendix A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtlab.machine.encoding import Encoding

__all__ = ["BY_OPCODE", "BY_REG", "routine_of"]

BY_OPCODE: dict[int, str] = {
    **dict.fromkeys((0x06, 0x0E, 0x16, 0x1E, 0x0FA0, 0x0FA8), "PUSHSEG"),
    **dict.fromkeys((0x07, 0x17, 0x1F, 0x0FA1, 0x0FA9), "POPSEG"),
    **dict.fromkeys((0xC4, 0xC5, 0x0FB2, 0x0FB4, 0x0FB5), "LFAR"),
    **dict.fromkeys((0x6C, 0x6D), "INS"),
    **dict.fromkeys((0x6E, 0x6F), "OUTS"),
    **dict.fromkeys((0xE4, 0xE5, 0xEC, 0xED), "IN"),
    **dict.fromkeys((0xE6, 0xE7, 0xEE, 0xEF), "OUT"),
    **dict.fromkeys((0xCA, 0xCB), "RETF"),
    **dict.fromkeys((0x0F20, 0x0F21, 0x0F22, 0x0F23), "MOVCR"),
    **dict.fromkeys((0x0F30, 0x0F32), "MSR"),
    0x62: "BOUND",
    0x63: "ARPL",
    0x8C: "MOVFROMSEG",
    0x8E: "MOVTOSEG",
    0x9A: "CALLF",
    0x9C: "PUSHF",
    0x9D: "POPF",
    0xCC: "INT3",
    0xCD: "INT",
    0xCE: "INTO",
    0xCF: "IRET",
    0xEA: "JMPF",
    0xF4: "HLT",
    0xFA: "CLI",
    0xFB: "STI",
    0x0F02: "LAR",
    0x0F03: "LSL",
    0x0F06: "CLTS",
    0x0F08: "INVD",
    0x0F09: "WBINVD",
    0x0F31: "RDTSC",
    0x0FA2: "CPUID",
}
BY_REG: dict[int, tuple[str | None, ...]] = {
    0x0F00: ("SLDT", "STR", "LLDT", "LTR", "VERR", "VERW", None, None),
    0x0F01: ("SGDT", "SIDT", "LGDT", "LIDT", "SMSW", None, "LMSW", "INVLPG"),
    0xFF: (None, None, None, "CALLF", None, "JMPF", None, None),
}


def routine_of(parts: Encoding) -> str | None:
    """Return the routine that does an instruction.

    Parameters
    ----------
    parts
        How it is written down.

    Returns
    -------
    str or None
        None if p-code says all of it.

    Examples
    --------
    >>> from virtlab.machine.encoding import encoding
    >>> routine_of(encoding(bytes.fromhex("0f22c0"))), routine_of(encoding(bytes.fromhex("01d8")))
    ('MOVCR', None)
    """
    if parts.opcode in BY_REG:
        return BY_REG[parts.opcode][parts.reg]
    return BY_OPCODE.get(parts.opcode)
