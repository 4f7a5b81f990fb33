"""Two worlds on one processor: what the guest believes, and what is really there (S13, S17).

A kernel that was written for ring 0 runs at ring 1 (**deprivileged**). Some of the processor's
state is then the host's, and the guest has its own only in the VMM's notes (its **virtual** state):
the registers that name tables, the low half of CR0, IF and IOPL. The rest is the guest's in both
worlds. The VMM goes from one world to the other where it does something for its guest:

    state               the guest believes       what is there
    ring of its kernel  0                        1, in CS, SS and every segment that was ring 0's
    IF, IOPL            as it has set them       1 and 0: the host is never kept from its interrupts
    GDTR, IDTR, TR      its own tables           the host's, in the top 4 MB
    CR0, bits 15 to 0   as it has set them       the host's own
    segments' limits    as it has set them       truncated: they end below the top 4 MB

A segment that cannot be truncated so, for it begins in the top 4 MB or grows down, is really not
present: whatever goes through it traps, and the VMM does it.

Source: E. Bugnion, J. Nieh, D. Tsafrir, "Hardware and Software Support for Virtualization", 2017,
section 3.2 (VMware Workstation: ring 1, the top 4 MB, truncated segments).

Left out: guests that use ring 1 themselves (it becomes the same as ring 0: **ring compression**);
limits within the top 4 MB, which become its end; x87 state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.encoding import CS, SS
from virtlab.machine.segments import NULL, Segment, Table

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor

__all__ = [
    "HOST_MSW",
    "RING",
    "VMM_BASE",
    "Virtual",
    "deprivileged",
    "enter_guest",
    "leave_guest",
    "privileged_again",
]

VMM_BASE = 0xFFC00000  # the VMM's 4 MB in every address space
RING = 1  # where the guest's kernel really runs
# The host's own low half of CR0: PE, MP, TS, ET, NE. It has a coprocessor, and gives it to a guest
# only when that wants it (TS); this guest's machine has none.
HOST_MSW = 0x3B
_NO_TABLE = Table()  # what a boot loader leaves: nothing that can be used
_TOP = 0xFFFFFFFF
_GROWS_DOWN, _CODE_BIT, _DPL, _PRESENT = 0x04, 0x08, 0x60, 0x80


@dataclass(frozen=True, slots=True)
class Virtual:
    """What of the guest's processor is in the VMM's notes alone.

    Attributes
    ----------
    gdtr, idtr, ldtr, tr
        Its tables, as it has set them.
    cr0
        All of its CR0.
    interrupts, iopl
        Its IF and IOPL.

    Examples
    --------
    >>> Virtual().interrupts  # as a boot loader hands over
    0
    """

    gdtr: Table = _NO_TABLE
    idtr: Table = _NO_TABLE
    ldtr: Segment = NULL
    tr: Segment = NULL
    cr0: int = 0x11
    interrupts: int = 0
    iopl: int = 0


def deprivileged(segment: Segment, *, truncate: bool = True) -> Segment:
    """Return what is really loaded where the guest wants a segment.

    Parameters
    ----------
    segment
        As the guest's table has it.
    truncate
        Whether it is to end below the VMM.

    Returns
    -------
    Segment
        One of ring 0 becomes one of ring 1; the selector stays. What cannot be truncated is not
        present.

    Examples
    --------
    >>> from virtlab.machine.segments import FLAT_DATA
    >>> real = deprivileged(FLAT_DATA)
    >>> FLAT_DATA.dpl, real.dpl, hex(real.limit)
    (0, 1, '0xffbfffff')
    """
    access, limit = segment.access, segment.limit
    if not segment.is_memory:
        return segment
    if segment.dpl == 0:
        access |= RING << 5
    grows_down = access & (_CODE_BIT | _GROWS_DOWN) == _GROWS_DOWN
    if truncate and (grows_down or _room(segment.base) < 0):
        access &= ~_PRESENT
    elif truncate:
        limit = min(limit, _room(segment.base))
    return Segment(segment.selector, segment.base, limit, access, segment.big)


def _room(base: int) -> int:
    """Return the highest limit, of whole pages, with which a segment ends below the VMM."""
    return (VMM_BASE - base & ~0xFFF) - 1


def privileged_again(segment: Segment) -> Segment:
    """Return what the guest believes that is loaded.

    Parameters
    ----------
    segment
        What is really loaded.

    Returns
    -------
    Segment
        The opposite of `deprivileged`.

    Examples
    --------
    >>> from virtlab.machine.segments import FLAT_CODE, NULL
    >>> privileged_again(deprivileged(FLAT_CODE)) == FLAT_CODE, privileged_again(NULL) == NULL
    (True, True)
    """
    if not segment.is_memory:
        return segment
    # What is loaded is present; but for what could not be truncated.
    access = (segment.access & ~_DPL if segment.dpl == RING else segment.access) | _PRESENT
    limit = _TOP if segment.limit == _room(segment.base) else segment.limit
    return Segment(segment.selector, segment.base, limit, access, segment.big)


def _with_ring(segment: Segment, old: int, new: int) -> Segment:
    """Return a segment with another RPL, if it has the old one."""
    if not segment.access or segment.rpl != old:
        return segment
    selector = segment.selector & ~3 | new
    return Segment(selector, segment.base, segment.limit, segment.access, segment.big)


def enter_guest(processor: Processor, virtual: Virtual) -> None:
    """Make the processor what the guest believes that it is.

    Parameters
    ----------
    processor
        In the host's world.
    virtual
        The guest's own.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> virtual = leave_guest(processor)
    >>> processor.cpl, processor.registers.flag("IF")
    (1, 1)
    >>> enter_guest(processor, virtual)
    >>> processor.cpl, processor.registers.flag("IF")
    (0, 0)
    """
    registers = processor.registers
    processor.gdtr, processor.idtr = virtual.gdtr, virtual.idtr
    processor.ldtr, processor.tr = virtual.ldtr, virtual.tr
    registers["CR0"] = virtual.cr0
    registers.set_flag("IF", virtual.interrupts)
    registers.set_flag("IOPL", virtual.iopl)
    for number, segment in enumerate(processor.segments):
        inner = privileged_again(segment)
        if number in (CS, SS):  # their selectors have the ring that runs
            inner = _with_ring(inner, RING, 0)
        processor.set_segment(number, inner)


def leave_guest(processor: Processor, *, truncate: bool = True) -> Virtual:
    """Note what the guest believes, and make the processor fit for it to run at ring 1.

    The host's tables are the caller's to set.

    Parameters
    ----------
    processor
        In the guest's world.
    truncate
        Whether segments end below the VMM.

    Returns
    -------
    Virtual
        The notes.

    Examples
    --------
    See `enter_guest`.

    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> virtual = leave_guest(processor)
    >>> hex(virtual.cr0), hex(processor.registers["CR0"])  # what smsw would tell
    ('0x11', '0x3b')
    """
    registers, flag = processor.registers, processor.registers.flag
    virtual = Virtual(
        processor.gdtr,
        processor.idtr,
        processor.ldtr,
        processor.tr,
        registers["CR0"],
        flag("IF"),
        flag("IOPL"),
    )
    registers["CR0"] = virtual.cr0 & 0xFFFF0000 | HOST_MSW
    registers.set_flag("IF", 1)
    registers.set_flag("IOPL", 0)
    ring = processor.cpl
    for number, segment in enumerate(processor.segments):
        outer = deprivileged(segment, truncate=truncate)
        if number in (CS, SS) and ring == 0:
            outer = _with_ring(outer, 0, RING)
        processor.set_segment(number, outer)
    return virtual
