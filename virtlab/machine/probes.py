"""The instructions that are tried at each ring, each in forms that show something (S17).

A form has its operands: what must lie in memory, which registers say what. Where an instruction
takes a selector, one form names ring 0's segments and another the ring's own, so that it is seen
both refused and done.

Source: the published lists of `virtlab.machine.rings`, and each privileged instruction of the Intel
SDM, volume 3, section 5.9.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.machine.encoding import SS
from virtlab.machine.stage import CODE, DATA, GDT, IDT, code_selector, data_selector
from virtlab.validate import one_of

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor

__all__ = ["PROBES", "Probe", "named"]

_AT = DATA.to_bytes(4, "little").hex()  # an address, as it stands in an instruction
_TARGET = CODE + 0x100


@dataclass(frozen=True)
class Probe:
    """One instruction with its operands.

    Attributes
    ----------
    name
        Of this form.
    mnemonic
        As the lists write it.
    text
        As an assembler would.
    code
        Its bytes, in hexadecimal; CS and DS stand for the ring's own selectors.
    registers
        What registers hold.
    data
        What lies at `DATA`, in hexadecimal; CS and DS as in `code`.
    stack
        What lies at the top of the stack, the top first; -1 for the ring's CS, -2 for its SS.
    interrupts
        Whether they are on.

    Examples
    --------
    >>> named("jmp own").bytes_at(3).hex()
    'ea005100003b00'
    """

    name: str
    mnemonic: str
    text: str
    code: str
    registers: dict[str, int] = field(default_factory=dict)
    data: str = ""
    stack: tuple[int, ...] = ()
    interrupts: bool = True

    def bytes_at(self, ring: int) -> bytes:
        """Return its bytes for a ring.

        Parameters
        ----------
        ring
            0 to 3.

        Returns
        -------
        bytes
            With the ring's selectors.

        Examples
        --------
        >>> named("cli").bytes_at(0).hex()
        'fa'
        """
        return _bytes(self.code, ring)

    def prepare(self, processor: Processor) -> None:
        """Give a machine what the instruction needs.

        Parameters
        ----------
        processor
            At the ring at which it is tried.

        Examples
        --------
        >>> from virtlab.machine.stage import stage
        >>> machine = stage()
        >>> named("popf").prepare(machine)
        >>> machine.memory.read(machine.registers["ESP"], 4).hex()
        '02000000'
        """
        ring = processor.cpl
        if not self.interrupts:
            processor.registers.set_flag("IF", 0)
        processor.paging.tlb[DATA >> 12] = DATA, 7  # something that INVLPG can drop
        for name, value in self.registers.items():
            own = {-1: code_selector(ring), -2: data_selector(ring)}
            processor.registers[name] = own.get(value, value)
        processor.memory.write(DATA, _bytes(self.data, ring))
        for word in reversed(self.stack):
            value = {-1: code_selector(ring), -2: data_selector(ring)}.get(word, word)
            esp = processor.registers["ESP"] - 4
            processor.registers["ESP"] = esp
            processor.memory.write(processor.segments[SS].base + esp, value.to_bytes(4, "little"))


def _bytes(text: str, ring: int) -> bytes:
    own = {"CS": code_selector(ring), "DS": data_selector(ring)}
    for word, selector in own.items():
        text = text.replace(word, selector.to_bytes(2, "little").hex())
    return bytes.fromhex(text)


def _table(base: int, limit: int) -> str:
    return (limit.to_bytes(2, "little") + base.to_bytes(4, "little")).hex()


_JUMP = _TARGET.to_bytes(4, "little").hex()
_KERNEL_CODE, _KERNEL_DATA = code_selector(0), data_selector(0)

PROBES: tuple[Probe, ...] = (
    # for comparison: nobody's privilege
    Probe("add", "ADD", "add eax, ebx", "01d8", {"EAX": 1, "EBX": 2}),
    Probe("mov", "MOV32", "mov eax, [data]", f"a1{_AT}", data="2a000000"),
    # flags
    Probe("cli", "CLI", "cli", "fa"),
    Probe("sti", "STI", "sti, IF = 0", "fb", interrupts=False),
    Probe("pushf", "PUSHF", "pushf", "9c"),
    Probe("popf", "POPF", "popf, IF = 0", "9d", stack=(0x2,)),
    Probe("iret", "IRET", "iret to the ring's own code, IF = 0", "cf", stack=(_TARGET, -1, 0x2)),
    # tables
    Probe("lgdt", "LGDT", "lgdt [data]", f"0f0115{_AT}", data=_table(GDT, 0x47)),
    Probe("lidt", "LIDT", "lidt [data]", f"0f011d{_AT}", data=_table(IDT, 0x3FF)),
    Probe("lldt", "LLDT", "lldt ax", "0f00d0", {"EAX": 0x58}),
    Probe("ltr", "LTR", "ltr ax", "0f00d8", {"EAX": 0x50}),
    Probe("sgdt", "SGDT", "sgdt [data]", f"0f0105{_AT}"),
    Probe("sidt", "SIDT", "sidt [data]", f"0f010d{_AT}"),
    Probe("sldt", "SLDT", "sldt eax", "0f00c0"),
    Probe("str", "STR", "str eax", "0f00c8"),
    # control registers, caches, time
    Probe("smsw", "SMSW", "smsw eax", "0f01e0"),
    Probe("lmsw", "LMSW", "lmsw ax, TS = 1", "0f01f0", {"EAX": 0x19}),
    Probe("clts", "CLTS", "clts, TS = 1", "0f06", {"CR0": 0x19}),
    Probe("mov from cr0", "MOV CR", "mov eax, cr0", "0f20c0"),
    Probe("mov to cr0", "MOV CR", "mov cr0, eax", "0f22c0", {"EAX": 0x19}),
    Probe("mov to cr3", "MOV CR", "mov cr3, eax", "0f22d8", {"EAX": 0xA000}),
    Probe("mov from dr7", "MOV DR", "mov eax, dr7", "0f21f8"),
    Probe("invlpg", "INVLPG", "invlpg [data]", f"0f013d{_AT}"),
    Probe("invd", "INVD", "invd", "0f08"),
    Probe("wbinvd", "WBINVD", "wbinvd", "0f09"),
    Probe("hlt", "HLT", "hlt", "f4"),
    # devices
    Probe("in", "IN", "in al, 0x60", "e460"),
    Probe("out", "OUT", "out 0x60, al", "e660"),
    Probe("ins", "INS", "insb", "6c", {"EDX": 0x60, "EDI": DATA}),
    Probe("outs", "OUTS", "outsb", "6e", {"EDX": 0x60, "ESI": DATA}),
    # asking about segments
    Probe("lar kernel", "LAR", "lar eax, ring 0's data", "0f02c3", {"EBX": _KERNEL_DATA}),
    Probe("lsl kernel", "LSL", "lsl eax, ring 0's data", "0f03c3", {"EBX": _KERNEL_DATA}),
    Probe("verr kernel", "VERR", "verr ring 0's data", "0f00e0", {"EAX": _KERNEL_DATA}),
    Probe("verw kernel", "VERW", "verw ring 0's data", "0f00e8", {"EAX": _KERNEL_DATA}),
    # segment registers
    Probe("push cs", "PUSH", "push cs", "0e"),
    Probe("pop own", "POP", "pop ds, the ring's own", "1f", stack=(-2,)),
    Probe("pop kernel", "POP", "pop ds, ring 0's", "1f", stack=(_KERNEL_DATA,)),
    Probe("mov from cs", "MOV", "mov eax, cs", "8cc8"),
    Probe("mov kernel", "MOV", "mov ds, ring 0's", "8ed8", {"EAX": _KERNEL_DATA}),
    # from ring to ring
    Probe("call own", "CALLF", "call far, the ring's own code", f"9a{_JUMP}CS"),
    Probe("call kernel", "CALLF", "call far, ring 0's code", f"9a{_JUMP}0800"),
    Probe("jmp own", "JMPF", "jmp far, the ring's own code", f"ea{_JUMP}CS"),
    Probe("jmp kernel", "JMPF", "jmp far, ring 0's code", f"ea{_JUMP}0800"),
    Probe("retf own", "RETF", "ret far to the ring's own code", "cb", stack=(_TARGET, -1)),
    Probe("retf kernel", "RETF", "ret far to ring 0's code", "cb", stack=(_TARGET, _KERNEL_CODE)),
    Probe("int 0x80", "INT", "int 0x80, whose gate ring 3 may use", "cd80"),
    Probe("int 0x81", "INT", "int 0x81, whose gate is ring 0's", "cd81"),
)
_BY_NAME = {probe.name: probe for probe in PROBES}


def named(name: str) -> Probe:
    """Return a probe.

    Parameters
    ----------
    name
        Of which.

    Returns
    -------
    Probe
        It.

    Raises
    ------
    InvalidInputError
        If there is none.

    Examples
    --------
    >>> named("lgdt").text
    'lgdt [data]'
    """
    return _BY_NAME[one_of("name", name, tuple(_BY_NAME))]
