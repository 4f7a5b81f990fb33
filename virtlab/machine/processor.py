"""The processor: fetch, decode, do, and what happens when that cannot be done (S5-S7).

Its state is `registers`, the hidden parts of the six segments, and the four registers that name
tables: GDTR, IDTR, LDTR and TR. An access goes from an offset through a segment (base, limit,
rights) to a linear address, and through paging to a physical one; ring and rights are checked on
both ways.

An instruction that faults has done nothing: its registers are restored, and the guest's handler
runs instead (`virtlab.machine.transfers`).

Left out: real mode, virtual 8086 mode, hardware task switches, alignment checks, debug registers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.machine import planned, ports, rare, system, transfers
from virtlab.machine.decode import LONGEST, Decoder
from virtlab.machine.encoding import CS, DS, ES, FS, GS, SEGMENTS, SS
from virtlab.machine.faults import Fault
from virtlab.machine.memory import PAGE, Memory
from virtlab.machine.paging import Paging
from virtlab.machine.registers import Registers
from virtlab.machine.segments import FLAT_CODE, FLAT_DATA, NULL, Segment, Table
from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.ports import PortBus

__all__ = ["Processor"]


ROUTINES: dict[str, Callable[[Processor, Instruction], int | None]] = {
    **rare.ROUTINES,
    **ports.ROUTINES,
    **system.ROUTINES,
    **transfers.ROUTINES,
}


@dataclass
class Processor:
    """One i386, in protected mode, with flat segments at ring 0 when it starts.

    Attributes
    ----------
    memory
        Physical memory.
    registers, segments
        Its registers, and the segment registers with their hidden parts.
    gdtr, idtr, ldtr, tr
        Tables, and the segments that hold the local one and the task's state.
    paging
        Finds physical addresses.
    bus
        What answers at ports.
    instructions, callouts
        How many were done, and how often a routine did one that p-code does not tell.
    halted
        Whether it waits for an interrupt.
    shadow
        Whether interrupts wait for one more instruction.

    Examples
    --------
    >>> processor = Processor()
    >>> processor.memory.write(0x1000, bytes.fromhex("b82a000000"))  # mov eax, 42
    >>> processor.registers["EIP"] = 0x1000
    >>> str(processor.step()), processor.registers["EAX"]
    ('MOV EAX,0x2a', 42)
    """

    memory: Memory = field(default_factory=lambda: Memory(1 << 20))
    registers: Registers = field(default_factory=Registers)
    decoder: Decoder = field(default_factory=Decoder)
    bus: PortBus = field(default_factory=ports.EmptyBus)

    def __post_init__(self) -> None:
        """Start as a boot loader hands over: protected mode, flat, interrupts off."""
        self.paging = Paging(self.memory, self.registers)
        self.segments = [FLAT_DATA] * 6
        for number in (ES, SS, DS, FS, GS):
            self.set_segment(number, FLAT_DATA)
        self.set_segment(CS, FLAT_CODE)
        self.gdtr, self.idtr = Table(), Table()
        self.ldtr, self.tr = NULL, NULL
        self.instructions, self.callouts = 0, 0
        self.halted, self.shadow = False, False
        self.registers["CR0"] = 0x11  # PE, and ET, which is wired to one
        self.registers["DR6"], self.registers["DR7"] = 0xFFFF0FF0, 0x400
        self.registers.eflags = 2

    # --- where things are -------------------------------------------------------------------------

    @property
    def cpl(self) -> int:
        """The ring that runs now."""
        return self.segments[CS].selector & 3

    def set_segment(self, number: int, segment: Segment) -> None:
        """Put a segment into a register, with no question asked.

        Parameters
        ----------
        number
            Which register, as `virtlab.machine.encoding` numbers them.
        segment
            What it then holds.

        Examples
        --------
        >>> processor = Processor()
        >>> processor.set_segment(CS, Segment(0x1B, 0, 0xFFFFFFFF, 0xFA))
        >>> processor.cpl, hex(processor.registers["CS"])
        (3, '0x1b')
        """
        self.segments[number] = segment
        self.registers[SEGMENTS[number]] = segment.selector

    def set_table(self, name: str, base: int, limit: int) -> None:
        """Say where a table lies, with no question asked.

        Parameters
        ----------
        name
            'gdtr' or 'idtr'.
        base, limit
            Its first byte, and the number of its last.

        Examples
        --------
        >>> processor = Processor()
        >>> processor.set_table("gdtr", 0x1000, 23)
        >>> processor.gdtr
        Table(base=4096, limit=23)
        """
        setattr(self, one_of("name", name, ("gdtr", "idtr")), Table(base, limit))

    def linear(self, number: int, offset: int, size: int, *, write: bool) -> int:
        """Return the linear address of some bytes, if their segment lets them through.

        Parameters
        ----------
        number
            Of the segment register.
        offset, size
            Which bytes.
        write
            Whether they are to be written.

        Returns
        -------
        int
            The address of the first.

        Raises
        ------
        Fault
            #GP, or #SS where it is the stack's segment.

        Examples
        --------
        >>> processor = Processor()
        >>> processor.set_segment(DS, Segment(0x10, 0x500, 0xFF, 0x92))
        >>> hex(processor.linear(DS, 0x10, 4, write=True))
        '0x510'
        >>> processor.linear(DS, 0xFD, 4, write=True)
        Traceback (most recent call last):
        virtlab.machine.faults.Fault: #GP(0): DS:0xfd: beyond the segment's limit, 0xff
        """
        segment = self.segments[number]
        if not segment.allows(write=write):
            what = "cannot be written" if write else "cannot be read"
            why = what if segment.access else "holds no segment"
            raise Fault(12 if number == SS else 13, 0, f"{SEGMENTS[number]} {why}")
        if not segment.holds(offset, size):
            why = f"{SEGMENTS[number]}:{offset:#x}: beyond the segment's limit, {segment.limit:#x}"
            raise Fault(12 if number == SS else 13, 0, why)
        return segment.base + offset & 0xFFFFFFFF

    def read(
        self, address: int, size: int, *, user: bool = False, to_change: bool = False
    ) -> bytes:
        r"""Read bytes at a linear address.

        Parameters
        ----------
        address, size
            Which.
        user, to_change
            Whether with ring 3's rights (the processor itself reads its tables with the kernel's);
            whether they will be written, and so must be writable.

        Returns
        -------
        bytes
            What is there.

        Raises
        ------
        Fault
            #PF.

        Examples
        --------
        >>> Processor().read(0, 2)
        b'\x00\x00'
        """
        room = PAGE - address % PAGE
        first = self.paging.physical(address, write=to_change, user=user)
        if size <= room:
            return self._read(first, size)
        second = self.paging.physical(address + room & 0xFFFFFFFF, write=to_change, user=user)
        return self._read(first, room) + self._read(second, size - room)

    def _read(self, physical: int, size: int) -> bytes:
        memory = self.memory
        return (memory.read if physical < memory.end else memory.beyond.load)(physical, size)

    def write(self, address: int, value: bytes, *, user: bool = False) -> None:
        """Write bytes at a linear address: all of them, or none.

        Parameters
        ----------
        address
            Where.
        value
            What.
        user
            Whether with ring 3's rights.

        Raises
        ------
        Fault
            #PF.

        Examples
        --------
        >>> processor = Processor()
        >>> processor.write(0x10, b"abc")
        >>> processor.memory.read(0x10, 3)
        b'abc'
        """
        room = PAGE - address % PAGE
        first = self.paging.physical(address, write=True, user=user)
        if len(value) <= room:
            self._write(first, value)
            return
        second = self.paging.physical(address + room & 0xFFFFFFFF, write=True, user=user)
        self._write(first, value[:room])
        self._write(second, value[room:])

    def _write(self, physical: int, value: bytes) -> None:
        memory = self.memory
        (memory.write if physical < memory.end else memory.beyond.store)(physical, value)

    def load(self, segment: int, offset: int, size: int, *, to_change: bool = False) -> int:
        """Read a number, as an instruction does.

        Parameters
        ----------
        segment, offset, size, to_change
            Where, how many bytes, and whether they will be written, as `read` takes it.

        Returns
        -------
        int
            The number.

        Examples
        --------
        >>> Processor().load(DS, 0x10, 4)
        0
        """
        address = self.linear(segment, offset, size, write=to_change)
        data = self.read(address, size, user=self.cpl == 3, to_change=to_change)
        return int.from_bytes(data, "little")

    def store(self, segment: int, offset: int, size: int, value: int) -> None:
        r"""Write a number, as an instruction does.

        Parameters
        ----------
        segment, offset, size
            Where, and how many bytes.
        value
            The number.

        Examples
        --------
        >>> processor = Processor()
        >>> processor.store(DS, 0x10, 4, 258)
        >>> processor.memory.read(0x10, 2)
        b'\x02\x01'
        """
        address = self.linear(segment, offset, size, write=True)
        self.write(address, value.to_bytes(size, "little"), user=self.cpl == 3)

    def callout(self, name: str, instruction: Instruction) -> int | None:
        """Do what p-code does not say, by a routine of that name.

        Parameters
        ----------
        name
            Of the routine.
        instruction
            Of which it is.

        Returns
        -------
        int or None
            The address that is next, if it is not the one after this instruction.

        Raises
        ------
        Fault
            #UD if there is no such routine.

        Examples
        --------
        >>> Processor().callout("pavgb", Decoder().decode(0, bytes.fromhex("90")))
        Traceback (most recent call last):
        virtlab.machine.faults.Fault: #UD: NOP: this machine does not know pavgb
        """
        self.callouts += 1
        routine = ROUTINES.get(name)
        if routine is None:
            raise Fault(6, why=f"{instruction}: this machine does not know {name}")
        return routine(self, instruction)

    # --- doing ------------------------------------------------------------------------------------

    def fetch(self) -> Instruction:
        r"""Return the instruction that is next.

        Returns
        -------
        Instruction
            Decoded.

        Raises
        ------
        Fault
            #PF, #GP, or #UD if it is none.

        Examples
        --------
        >>> processor = Processor()
        >>> processor.memory.write(0, b"\x90")
        >>> str(processor.fetch())
        'NOP'
        """
        offset, segment = self.registers["EIP"], self.segments[CS]
        if not segment.holds(offset, 1):
            raise Fault(13, 0, f"CS:{offset:#x}: beyond the segment's limit, {segment.limit:#x}")
        room = min(LONGEST, segment.limit - offset + 1) if segment.limit < 0xFFFFFFFF else LONGEST
        address, user = segment.base + offset & 0xFFFFFFFF, self.cpl == 3
        near = min(room, PAGE - address % PAGE)
        code = self.read(address, near, user=user)
        try:
            return self.decoder.decode(offset, code)
        except Fault:
            if near == room:
                raise
        code += self.read(address + near & 0xFFFFFFFF, room - near, user=user)
        return self.decoder.decode(offset, code)

    def step(self) -> Instruction:
        """Do one instruction.

        Returns
        -------
        Instruction
            The one that was done.

        Raises
        ------
        Fault
            If it cannot be done. Then registers and segments are as before.

        Examples
        --------
        See the class.
        """
        before, segments = bytes(self.registers.data), list(self.segments)
        shadowed, self.shadow = self.shadow, False
        try:
            instruction = self.fetch()
            self.registers["EIP"] = planned.run(instruction, self)
        except Fault:
            self.registers.data[:] = before
            self.segments, self.shadow = segments, shadowed
            raise
        self.instructions += 1
        return instruction
