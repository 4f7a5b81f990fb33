"""The processor while a guest runs deprivileged: the VMM's memory, and the way into the VMM (S17).

The processor itself is as it was (`virtlab.machine.processor`). What is added is what a VMM puts
around it: its 4 MB at the top of every address space, in which the tables are that the processor
uses; and that each fault goes to the VMM. All gates of the host's interrupt table are ring 0's, so
`int n` faults too: there is one way in.

Paging has one bit for all of this, **U/S**, and it tells ring 3 from the rest: the VMM's pages are
kept from the guest's programs. They are not kept from its kernel, which at ring 1 is a supervisor
as the VMM is; against that only **truncated segments** help (`virtlab.machine.vmm.protection` tries
both).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from virtlab.machine.encoding import CS
from virtlab.machine.faults import Fault
from virtlab.machine.memory import Memory
from virtlab.machine.processor import Processor
from virtlab.machine.segments import Segment, Table, descriptor_bytes
from virtlab.machine.vmm.shadow import peek, shadow_table
from virtlab.machine.vmm.worlds import VMM_BASE, Virtual, enter_guest, leave_guest

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction

__all__ = ["GDT", "IDT", "LDT", "TSS", "Deprivileged"]

# Where the host's tables are, from the start of the VMM's 4 MB.
CODE, IDT, TSS, GDT, LDT, END = 0x0, 0x1000, 0x2000, 0x10000, 0x20000, 0x30000
_VMM_CODE, _LOCAL, _TASK = 0xFFE8, 0xFFF0, 0xFFF8  # the last selectors of the host's table
_OWN = (
    descriptor_bytes(0, 0xFFFFFFFF, 0x9B)
    + descriptor_bytes(VMM_BASE + LDT, 0xFFFF, 0x82, big=False)
    + descriptor_bytes(VMM_BASE + TSS, 0x67, 0x8B, big=False)
)
_ACCESSED = 1


@dataclass
class Deprivileged(Processor):
    """A processor on which a guest's kernel runs at ring 1.

    Attributes
    ----------
    truncate
        Whether the guest's segments end below the VMM.
    own
        The VMM's memory.
    virtual
        What the guest believes, where that is not what is there.
    in_guest_world
        Whether the VMM now does something for its guest, as if it were what it believes.
    on_fault
        What the VMM does about a fault of the guest's: returns the instruction that it has done for
        it, or raises the fault that the guest is to see.
    on_direct
        What does an instruction that touches the machine and is the guest's own to do; or nothing.
    on_trace
        Told of each write to a table that has a copy: its linear address.

    Examples
    --------
    >>> processor = Deprivileged()
    >>> processor.cpl, hex(processor.gdtr.base), processor.virtual.gdtr.base
    (1, '0xffc10000', 0)
    >>> processor.enter()
    >>> processor.cpl
    0
    """

    truncate: bool = True
    on_fault: Callable[[Fault], Instruction] | None = None
    on_direct: Callable[[str, Instruction], int | None] | None = None
    on_trace: Callable[[int], None] | None = None
    own: Memory = field(default_factory=lambda: Memory(END))

    def __post_init__(self) -> None:
        """Start as a boot loader hands over, and take ring 0 away."""
        super().__post_init__()
        self.virtual, self.in_guest_world = Virtual(), True
        self._shadowed: dict[int, tuple[object, bytes]] = {}
        self._write_host_tables()
        self.leave()

    def _write_host_tables(self) -> None:
        """Write gates that are ring 0's alone, and a task state that has no map of ports."""
        for vector in range(256):
            offset = VMM_BASE + CODE + 4 * vector
            gate = offset & 0xFFFF | _VMM_CODE << 16 | 0x8E00 << 32 | (offset >> 16) << 48
            self.own.write(IDT + 8 * vector, gate.to_bytes(8, "little"))
        self.own.write(TSS + 0x66, (0x68).to_bytes(2, "little"))

    # --- from world to world ----------------------------------------------------------------------

    def enter(self) -> None:
        """Go into the guest's world: the processor is what the guest believes that it is."""
        enter_guest(self, self.virtual)
        self.in_guest_world = True

    def leave(self) -> None:
        """Go back into the host's world, with copies of the guest's tables."""
        self.virtual = leave_guest(self, truncate=self.truncate)
        self._follow(GDT, self.virtual.gdtr)
        ldtr = self.virtual.ldtr
        self._follow(LDT, Table(ldtr.base, ldtr.limit) if ldtr.access else None)
        self.host_tables()
        self.in_guest_world = False

    def host_tables(self) -> None:
        """Put the host's tables into the processor's registers."""
        self.gdtr, self.idtr = Table(VMM_BASE + GDT, 0xFFFF), Table(VMM_BASE + IDT, 0x7FF)
        limit = self.virtual.ldtr.limit if self.virtual.ldtr.access else 0
        self.ldtr = Segment(_LOCAL, VMM_BASE + LDT, limit, 0x82, big=False)
        self.tr = Segment(_TASK, VMM_BASE + TSS, 0x67, 0x8B, big=False)

    def _follow(self, place: int, table: Table | None) -> None:
        """Make the copy of a guest's table anew, if that is another one now."""
        size = 0 if table is None else min(table.limit + 1, 0x10000)
        found = b"" if table is None else peek(self, table.base, size)
        key = (table, self.truncate)
        if self._shadowed.get(place) == (key, found):
            return
        self._shadowed[place] = key, found
        copy = shadow_table(found, truncate=self.truncate).ljust(0x10000, b"\0")
        if place == GDT:
            copy = copy[:_VMM_CODE] + _OWN
        self.own.write(place, copy)

    # --- memory -----------------------------------------------------------------------------------

    def read(
        self, address: int, size: int, *, user: bool = False, to_change: bool = False
    ) -> bytes:
        """Read bytes at a linear address: the guest's, or the VMM's."""
        if address >= VMM_BASE and not self.in_guest_world:
            self._keep_from(address, user=user, write=to_change)
            self._touch(address - VMM_BASE, size)
            return self.own.read(address - VMM_BASE, size)
        return super().read(address, size, user=user, to_change=to_change)

    def write(self, address: int, value: bytes, *, user: bool = False) -> None:
        """Write bytes at a linear address; into a table that has a copy, into that too."""
        if address >= VMM_BASE and not self.in_guest_world:
            self._keep_from(address, user=user, write=True)
            self.own.write(address - VMM_BASE, value)
            if GDT <= address - VMM_BASE < END and len(value) == 1:
                self._mark(address - VMM_BASE, value[0])
            return
        super().write(address, value, user=user)
        if not self.in_guest_world and self._is_traced(address, len(value)):
            self._follow_all()
            if self.on_trace is not None:
                self.on_trace(address)

    def _keep_from(self, address: int, *, user: bool, write: bool) -> None:
        """Raise what paging would: the VMM's pages are the supervisor's, of rings 0 to 2."""
        if user:
            why = f"ring 3 touches {address:#x}: its page is the VMM's"
            raise Fault(14, 5 | write << 1, why, address)

    def _original(self, place: int) -> tuple[int, bool]:
        """Return where in the guest's own table a place in a copy is, and whether it has one."""
        local = place >= LDT
        table: Table | Segment = self.virtual.ldtr if local else self.virtual.gdtr
        offset = place - (LDT if local else GDT)
        there = offset <= table.limit and (not local or bool(self.virtual.ldtr.access))
        return table.base + offset & 0xFFFFFFFF, there

    def _touch(self, place: int, size: int) -> None:
        """Take over to the guest's page tables that the processor has read a descriptor."""
        if GDT <= place < END:
            address, there = self._original(place)
            if there:
                super().read(address, size)

    def _is_traced(self, address: int, size: int) -> bool:
        gdtr, ldtr = self.virtual.gdtr, self.virtual.ldtr
        tables = [(gdtr.base, gdtr.limit)] + [(ldtr.base, ldtr.limit)] * bool(ldtr.access)
        return any(base < address + size and address <= base + limit for base, limit in tables)

    def _follow_all(self) -> None:
        self._follow(GDT, self.virtual.gdtr)
        ldtr = self.virtual.ldtr
        self._follow(LDT, Table(ldtr.base, ldtr.limit) if ldtr.access else None)

    def _mark(self, place: int, access: int) -> None:
        """Take over to the guest's table that the processor has used a descriptor."""
        address, there = self._original(place)
        if there and access & _ACCESSED:
            old = super().read(address, 1)[0]
            super().write(address, bytes([old | _ACCESSED]))
            self._follow_all()

    # --- doing ------------------------------------------------------------------------------------

    def fetch(self) -> Instruction:
        """Return the instruction that is next; none comes from a segment that is not present."""
        if not self.segments[CS].present:
            raise Fault(13, 0, "CS could not be truncated: the VMM does each instruction")
        return super().fetch()

    def callout(self, name: str, instruction: Instruction) -> int | None:
        """Do what touches the machine: in the host's world, someone may look on."""
        if self.in_guest_world or self.on_direct is None:
            return super().callout(name, instruction)
        return self.on_direct(name, instruction)

    def directly(self, name: str, instruction: Instruction) -> int | None:
        """Do it with nobody looking on."""
        return super().callout(name, instruction)

    def step(self) -> Instruction:
        """Do one instruction; what faults in the host's world goes to the VMM."""
        if self.in_guest_world or self.on_fault is None:
            return super().step()
        try:
            return super().step()
        except Fault as fault:
            return self.on_fault(fault)

    # --- back -------------------------------------------------------------------------------------

    def keep(self) -> tuple[Any, ...]:
        """Return what a step changes that is not the processor's own."""
        return self.virtual, dict(self._shadowed)

    def put_back(self, kept: tuple[Any, ...]) -> None:
        """Go back to it.

        Parameters
        ----------
        kept
            What `keep` returned.
        """
        self.virtual, shadowed = kept
        if self._shadowed != shadowed:
            self._shadowed = {}
            self._follow_all()
            self.host_tables()
