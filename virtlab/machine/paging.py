"""Paging: from linear to physical addresses, page by page, with rights (S17, S28).

Two tables of 1024 entries each, the directory and the page table, say where each page of 4 KB lies;
with PSE an entry of the directory may be a page of 4 MB itself. Each entry has three bits that
matter to us: **present**, **writable**, and **user**. The last is what tells ring 3 from all
others: for paging, rings 0, 1 and 2 are the same. So a guest kernel at ring 1 is kept from its
VMM by segments, and its programs at ring 3 are kept from it by pages.

Looking in tables takes two reads, so what was found is remembered in the **TLB**, which holds on to
it until CR3 is written or `invlpg` names the page, whatever happened to the tables meanwhile.

Source: Intel SDM, volume 3, sections 4.3, 4.6, 4.7 and 4.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.faults import Fault
from virtlab.machine.memory import PAGE
from virtlab.machine.registers import PLACES
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.memory import Memory
    from virtlab.machine.registers import Registers

__all__ = ["PRESENT", "USER", "WRITABLE", "Paging"]

PRESENT, WRITABLE, USER, ACCESSED, DIRTY, LARGE = 1, 2, 4, 0x20, 0x40, 0x80
_WP, _PSE = 1 << 16, 1 << 4
_CR0_TOP = PLACES["CR0"][0] + 3


class Paging:
    """Finds physical addresses.

    Parameters
    ----------
    memory
        Where the tables are.
    registers
        CR0, CR3 and CR4 say whether and how.

    Attributes
    ----------
    tlb
        What was found: by page, its frame and the bits of both tables that count.
    walks
        How often the tables were looked in.
    on_change
        Told when the TLB changes: the address in the page, or None for all pages.
    allowed
        False if the machine was made for programs that never turn it on.

    Examples
    --------
    >>> from virtlab.machine.memory import Memory
    >>> from virtlab.machine.registers import Registers
    >>> memory, registers = Memory(4 * 4096), Registers()
    >>> memory.write(0x1000, (0x2000 | 7).to_bytes(4, "little"))  # the directory's first entry
    >>> memory.write(0x2000 + 4 * 5, (0x3000 | 5).to_bytes(4, "little"))  # page 5: read, user
    >>> registers["CR0"], registers["CR3"] = 0x80000001, 0x1000
    >>> hex(Paging(memory, registers).physical(0x5123, write=False, user=True))
    '0x3123'
    >>> Paging(memory, registers).physical(0x5123, write=True, user=True)
    Traceback (most recent call last):
    virtlab.machine.faults.Fault: #PF(0x7): write by ring 3 to 0x5123: its page is read only
    """

    def __init__(self, memory: Memory, registers: Registers) -> None:
        self.memory, self.registers = memory, registers
        self.tlb: dict[int, tuple[int, int]] = {}
        self.walks = 0
        self.on_change: Callable[[int | None], None] = lambda _linear: None
        self.allowed = True
        self._large: set[int] = set()  # large pages of which pieces were found

    @property
    def on(self) -> bool:
        """Whether paging is switched on."""
        return self.registers.data[_CR0_TOP] > 0x7F  # read at every access: bit 31 of CR0

    def physical(self, linear: int, *, write: bool, user: bool) -> int:
        """Return where a linear address lies.

        Parameters
        ----------
        linear
            The address.
        write
            Whether it is to be written.
        user
            Whether ring 3 asks.

        Returns
        -------
        int
            The physical address.

        Raises
        ------
        Fault
            #PF, with the address.

        Examples
        --------
        >>> from virtlab.machine.memory import Memory
        >>> from virtlab.machine.registers import Registers
        >>> Paging(Memory(4096), Registers()).physical(5, write=True, user=True)  # it is off
        5
        """
        if not self.on:
            return linear
        page = linear >> 12
        found = self.tlb.get(page)
        if (
            found is None
            or not self._right(found[1], write=write, user=user)
            or (write and not found[1] & DIRTY)
        ):
            # What the TLB refuses is looked up anew: the kernel may have given more rights since;
            # and a first write has to be marked in the tables.
            found = self._walk(linear, write=write, user=user)
        return found[0] | linear & (PAGE - 1)

    def flush(self, linear: int | None = None) -> None:
        """Forget what was found: of one page, or of all.

        A large page is kept here in pieces of 4 KiB, and forgotten whole, as a processor does that
        keeps it so; others go with it, as they may at any time.

        Parameters
        ----------
        linear
            An address in the page; all pages if not given.

        Raises
        ------
        InvalidInputError
            If paging was turned on, and this machine has none.

        Examples
        --------
        >>> from virtlab.machine.memory import Memory
        >>> from virtlab.machine.registers import Registers
        >>> paging = Paging(Memory(4096), Registers())
        >>> paging.tlb[5] = 0x3000, 7
        >>> paging.flush(0x5FFF)
        >>> paging.tlb
        {}
        """
        if self.on and not self.allowed:
            raise InvalidInputError("mmu", value=False, allowed="True: this guest turns paging on")
        if linear is not None and linear >> 22 in self._large:
            linear = None
        self.on_change(linear)
        if linear is None:
            self.tlb.clear()
            self._large.clear()
        else:
            self.tlb.pop(linear >> 12, None)

    def _right(self, bits: int, *, write: bool, user: bool) -> bool:
        """Return whether a page may be used so."""
        if user and not bits & USER:
            return False
        protected = user or self.registers["CR0"] & _WP
        return not (write and protected and not bits & WRITABLE)

    def _entry(self, address: int) -> int:
        return int.from_bytes(self.memory.read(address, 4), "little")

    def _walk(self, linear: int, *, write: bool, user: bool) -> tuple[int, int]:
        """Look in the tables, check, and mark the entries as used."""
        self.walks += 1
        self.on_change(linear)
        place = (self.registers["CR3"] & ~0xFFF) + (linear >> 22) * 4
        places = [place]
        entry = self._entry(place)
        bits, base = entry, entry & ~0xFFF
        large = bool(entry & PRESENT and entry & LARGE and self.registers["CR4"] & _PSE)
        if entry & PRESENT and not large:
            place = base + (linear >> 12 & 0x3FF) * 4
            places.append(place)
            entry = self._entry(place)
            base = entry & ~0xFFF
            bits = bits & entry & (WRITABLE | USER) | entry & (PRESENT | DIRTY)
        elif large:
            base = entry & 0xFFC00000 | linear & 0x3FF000
            self._large.add(linear >> 22)
        if not bits & PRESENT or not self._right(bits, write=write, user=user):
            self.tlb.pop(linear >> 12, None)
            raise self._fault(linear, bits, write=write, user=user)
        for last, where in enumerate(places, start=1 - len(places)):
            mark = ACCESSED | (DIRTY if write and last == 0 else 0)
            old = self._entry(where)
            if old & mark != mark:
                self.memory.write(where, (old | mark).to_bytes(4, "little"))
        found = base, bits | (DIRTY if write else 0)
        self.tlb[linear >> 12] = found
        return found

    def _fault(self, linear: int, bits: int, *, write: bool, user: bool) -> Fault:
        present = bool(bits & PRESENT)
        code = present | write << 1 | user << 2
        who = "ring 3" if user else "the kernel"
        why = (
            "not present" if not present else "read only" if bits & USER or not user else "not its"
        )
        if present and user and not bits & USER:
            why = "the kernel's"
        what = "write" if write else "read"
        return Fault(14, code, f"{what} by {who} to {linear:#x}: its page is {why}", linear)
