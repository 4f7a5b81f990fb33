"""Shadow tables: the processor must not look segments up in the guest's own tables (S13, S17).

In the guest's descriptor table the kernel's segments are ring 0's, and end where memory ends. The
processor works with a copy in the VMM's memory, in which they are ring 1's and end below the VMM.
Where the guest changes its table, the VMM has to follow: it makes the page read only and looks at
each write (a **trace**). Gates, task states and local tables are not present in the copy, so that
whatever uses them traps.

A VMM shadows more than this. The guest's page tables name what it takes for physical memory; the
processor needs tables that name the machine's, in which the VMM's own 4 MB are mapped too. Here a
guest's physical memory is the machine's, the guest's own page tables are used, and the VMM's 4 MB
are there beside them. The gates of the interrupt table are never copied: the processor only has the
host's, and the VMM looks in the guest's itself.

The processor marks a descriptor as used in the copy, and the page that it reads in no page table of
the guest's. Here the VMM takes both over at once, so that the guest's memory is what it would be at
ring 0; a real one can only do so when it next looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.memory import PAGE
from virtlab.machine.paging import PRESENT
from virtlab.machine.segments import Segment, descriptor_bytes
from virtlab.machine.vmm.worlds import deprivileged

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor

__all__ = ["peek", "peek_place", "shadow_descriptor", "shadow_table"]

_LARGE, _PSE = 0x80, 0x10
_PRESENT = 0x80  # of an access byte
_AVAILABLE = 1 << 52  # a bit of the kernel's own use, which LAR shows


def shadow_descriptor(descriptor: bytes, *, truncate: bool = True) -> bytes:
    """Return what stands in the copy for a descriptor of the guest's.

    Parameters
    ----------
    descriptor
        Its eight bytes.
    truncate
        Whether segments end below the VMM.

    Returns
    -------
    bytes
        Eight, too.

    Examples
    --------
    >>> shadow_descriptor(bytes.fromhex("ffff0000009acf00")).hex()  # ring 0's code
    'fffb000000bacf00'
    >>> shadow_descriptor(bytes.fromhex("6700001000890000")).hex()  # a task state: not present
    '6700001000090000'
    """
    number = int.from_bytes(descriptor, "little")
    segment = Segment.from_descriptor(0, number)
    if not segment.is_memory:
        return descriptor[:5] + bytes([descriptor[5] & ~_PRESENT]) + descriptor[6:]
    outer = deprivileged(segment, truncate=truncate)
    made = descriptor_bytes(outer.base, outer.limit, outer.access, big=outer.big)
    return (int.from_bytes(made, "little") | number & _AVAILABLE).to_bytes(8, "little")


def shadow_table(table: bytes, *, truncate: bool = True) -> bytes:
    """Return the copy of a whole table.

    Parameters
    ----------
    table
        The guest's.
    truncate
        Whether segments end below the VMM.

    Returns
    -------
    bytes
        As many.

    Examples
    --------
    >>> shadow_table(bytes(8) + bytes.fromhex("ffff0000009acf00")).hex()
    '0000000000000000fffb000000bacf00'
    """
    whole = len(table) & ~7
    none = bytes(8)
    parts = (table[at : at + 8] for at in range(0, whole, 8))
    made = [one if one == none else shadow_descriptor(one, truncate=truncate) for one in parts]
    return b"".join(made)


def peek_place(processor: Processor, linear: int) -> int | None:
    """Return the physical address behind a linear one, and leave no trace of having looked.

    The processor would mark the page as used, which the guest could see.

    Parameters
    ----------
    processor
        Whose page tables.
    linear
        The address.

    Returns
    -------
    int or None
        None if no page is there.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> peek_place(Processor(), 0x1234)  # paging is off
    4660
    """
    if not processor.paging.on:
        return linear
    registers, memory = processor.registers, processor.memory

    def entry(base: int, number: int) -> int:
        return int.from_bytes(memory.read((base & ~0xFFF) + 4 * number, 4), "little")

    directory = entry(registers["CR3"], linear >> 22)
    if not directory & PRESENT:
        return None
    if directory & _LARGE and registers["CR4"] & _PSE:
        return directory & 0xFFC00000 | linear & 0x3FFFFF
    page = entry(directory, linear >> 12 & 0x3FF)
    return page & ~0xFFF | linear & 0xFFF if page & PRESENT else None


def peek(processor: Processor, linear: int, size: int) -> bytes:
    r"""Return bytes at a linear address, and leave no trace of having looked.

    Parameters
    ----------
    processor
        Whose memory.
    linear, size
        Which.

    Returns
    -------
    bytes
        Zeros where no page is.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> peek(Processor(), 0xFFE, 4)
    b'\x00\x00\x00\x00'
    """
    found = b""
    while len(found) < size:
        at = linear + len(found) & 0xFFFFFFFF
        room = min(PAGE - at % PAGE, size - len(found))
        place = peek_place(processor, at)
        found += bytes(room) if place is None else processor.memory.read(place, room)
    return found
