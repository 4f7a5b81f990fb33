"""A small machine on which an instruction can be tried at any ring (S17).

It has what a kernel would have made: a table with code and data for each ring, a task state with a
stack for each inner ring, and an interrupt table whose gates all lead to ring 0. Only gate 0x80 may
be used from ring 3. There is no kernel: who tries an instruction looks at what it did.

Source: ours.
"""

from __future__ import annotations

from virtlab.machine.decode import Decoder
from virtlab.machine.encoding import CS, DS, ES, FS, GS, SS
from virtlab.machine.memory import Memory
from virtlab.machine.processor import Processor
from virtlab.machine.segments import Segment, Table, descriptor_bytes
from virtlab.validate import integer

__all__ = [
    "CODE",
    "DATA",
    "GDT",
    "HANDLER",
    "IDT",
    "LDT",
    "LDT_SELECTOR",
    "STACK",
    "TSS",
    "code_selector",
    "data_selector",
    "enter",
    "make_tables",
    "stage",
]

GDT, IDT, TSS, LDT = 0x1000, 0x2000, 0x3000, 0x3800
HANDLER, CODE, DATA, STACK = 0x4000, 0x5000, 0x6000, 0x8000  # the stack grows down from its number
RAM = 0x10000
TSS_SELECTOR, LDT_SELECTOR = 0x48, 0x58
_TOP = 0xFFFFFFFF


def code_selector(ring: int) -> int:
    """Return the selector of a ring's code.

    Parameters
    ----------
    ring
        0 to 3.

    Returns
    -------
    int
        Such as 0x08 for ring 0.

    Examples
    --------
    >>> [hex(code_selector(ring)) for ring in range(4)]
    ['0x8', '0x19', '0x2a', '0x3b']
    """
    return 0x08 + 0x10 * ring | ring


def data_selector(ring: int) -> int:
    """Return the selector of a ring's data and stack.

    Parameters
    ----------
    ring
        0 to 3.

    Returns
    -------
    int
        Such as 0x10 for ring 0.

    Examples
    --------
    >>> [hex(data_selector(ring)) for ring in range(4)]
    ['0x10', '0x21', '0x32', '0x43']
    """
    return 0x10 + 0x10 * ring | ring


def make_tables(memory: Memory) -> None:
    """Write the tables that a kernel would have made.

    Parameters
    ----------
    memory
        Where to.

    Examples
    --------
    >>> memory = Memory(RAM)
    >>> make_tables(memory)
    >>> memory.read(GDT + 8, 8).hex()  # code of ring 0
    'ffff0000009bcf00'
    """
    gdt = bytes(8)
    for ring in range(4):
        gdt += descriptor_bytes(0, _TOP, 0x9B | ring << 5)
        gdt += descriptor_bytes(0, _TOP, 0x93 | ring << 5)
    gdt += descriptor_bytes(TSS, 0x67, 0x8B, big=False)  # in use
    gdt += descriptor_bytes(TSS, 0x67, 0x89, big=False)  # free
    gdt += descriptor_bytes(LDT, 0xF, 0x82, big=False)
    memory.write(GDT, gdt)
    gates = b""
    for vector in range(256):
        offset, access = HANDLER + 4 * vector, 0xEE if vector == 0x80 else 0x8E
        gates += (offset & 0xFFFF | code_selector(0) << 16).to_bytes(4, "little")
        gates += (access << 8 | offset & 0xFFFF0000).to_bytes(4, "little")
    memory.write(IDT, gates)
    state = bytearray(0x68)
    for ring in range(3):
        state[4 + 8 * ring : 8 + 8 * ring] = (STACK + 0x1000 * (ring + 1)).to_bytes(4, "little")
        state[8 + 8 * ring : 10 + 8 * ring] = data_selector(ring).to_bytes(2, "little")
    state[0x66:0x68] = (0x68).to_bytes(2, "little")  # no map of ports
    memory.write(TSS, bytes(state))


def stage(
    ring: int = 0,
    iopl: int = 0,
    decoder: Decoder | None = None,
    kind: type[Processor] = Processor,
) -> Processor:
    """Make a machine that runs at a ring.

    Parameters
    ----------
    ring
        0 to 3.
    iopl
        The lowest ring that may use ports and the interrupt flag, 0 to 3.
    decoder
        One that has decoded before, to save time.
    kind
        Of the processor.

    Returns
    -------
    Processor
        With EIP at `CODE`, ESP at `STACK`, interrupts on.

    Examples
    --------
    >>> machine = stage(ring=3)
    >>> machine.memory.write(CODE, bytes.fromhex("fa"))  # cli
    >>> machine.step()
    Traceback (most recent call last):
    virtlab.machine.faults.Fault: #GP(0): CLI at ring 3 with IOPL 0
    """
    integer("ring", ring, minimum=0, maximum=3)
    integer("iopl", iopl, minimum=0, maximum=3)
    memory = Memory(RAM)
    processor = kind(memory, decoder=decoder or Decoder())
    make_tables(memory)
    enter(processor, ring, iopl)
    return processor


def enter(processor: Processor, ring: int, iopl: int = 0) -> None:
    """Bring a processor to a ring, with the tables that `make_tables` has written.

    Parameters
    ----------
    processor
        Which; it will run what stands at `CODE`.
    ring, iopl
        Where to, 0 to 3.

    Examples
    --------
    >>> processor = stage(ring=3)
    >>> enter(processor, 1, iopl=2)
    >>> processor.cpl, processor.registers.flag("IOPL")
    (1, 2)
    """
    processor.gdtr, processor.idtr = Table(GDT, 0x5F), Table(IDT, 0x7FF)
    processor.tr = Segment(TSS_SELECTOR, TSS, 0x67, 0x8B, big=False)
    code = Segment(code_selector(ring), 0, _TOP, 0x9B | ring << 5)
    data = Segment(data_selector(ring), 0, _TOP, 0x93 | ring << 5)
    for number in (ES, SS, DS, FS, GS):
        processor.set_segment(number, data)
    processor.set_segment(CS, code)
    registers = processor.registers
    registers["EIP"], registers["ESP"] = CODE, STACK
    registers.eflags = 0x202 | iopl << 12
