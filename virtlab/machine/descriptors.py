"""Loading a segment register: the checks that keep the rings apart (S17).

A selector names a descriptor: bits 15 to 3 its number, bit 2 which table, bits 1 and 0 the ring for
which it is asked (**RPL**). A data segment may be loaded if neither the ring that runs nor the RPL
is higher than the segment's own ring (**DPL**); a stack's must all three be the same. The checks
are made here, once; from then on the hidden part is what counts, whatever happens to the table.

Source: Intel SDM, volume 3, sections 5.5, 5.6 and 5.7; volume 2, "MOV", "LAR", "LSL", "VERR".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.encoding import CS, DS, ES, FS, GS, SEGMENTS, SS
from virtlab.machine.faults import Fault
from virtlab.machine.segments import NULL, Segment

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor

__all__ = [
    "drop_inner_segments",
    "find",
    "load_segment",
    "look_up",
    "mark",
    "raw",
    "stack_segment",
    "visible",
]


def find(processor: Processor, selector: int) -> int | None:
    """Return the linear address of a selector's descriptor.

    Parameters
    ----------
    processor
        Whose tables.
    selector
        Which.

    Returns
    -------
    int or None
        None for the null selector, and for one beyond its table.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> from virtlab.machine.segments import Table
    >>> processor = Processor()
    >>> processor.gdtr = Table(0x1000, 23)
    >>> hex(find(processor, 0x13)), find(processor, 0x18), find(processor, 3)
    ('0x1010', None, None)
    """
    if selector & 0xFFFC == 0:
        return None
    if selector & 4:
        base, limit = processor.ldtr.base, processor.ldtr.limit
        if not processor.ldtr.access:
            return None
    else:
        base, limit = processor.gdtr.base, processor.gdtr.limit
    first = selector & 0xFFF8
    return base + first if first + 7 <= limit else None


def look_up(processor: Processor, selector: int, vector: int = 13) -> Segment:
    """Return a selector's descriptor.

    Parameters
    ----------
    processor
        Whose tables.
    selector
        Which.
    vector
        What is raised if there is none.

    Returns
    -------
    Segment
        As it stands in the table.

    Raises
    ------
    Fault
        With the selector as its error code.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> from virtlab.machine.segments import Table
    >>> processor = Processor()
    >>> processor.gdtr = Table(0x1000, 7)
    >>> look_up(processor, 0x20)
    Traceback (most recent call last):
    virtlab.machine.faults.Fault: #GP(0x20): selector 0x20 names no descriptor
    """
    place = find(processor, selector)
    if place is None:
        raise Fault(vector, selector & 0xFFFC, f"selector {selector:#x} names no descriptor")
    return Segment.from_descriptor(selector, raw(processor, place))


def raw(processor: Processor, place: int) -> int:
    """Return the eight bytes of a descriptor or gate, as one number.

    Parameters
    ----------
    processor
        Whose table.
    place
        Linear address.

    Returns
    -------
    int
        The first byte is the lowest.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> raw(Processor(), 0x1000)
    0
    """
    return int.from_bytes(processor.read(place, 8), "little")


def mark(processor: Processor, selector: int, access: int) -> None:
    r"""Change the access byte of a descriptor in its table, if it differs.

    Parameters
    ----------
    processor
        Whose tables.
    selector
        Which.
    access
        The new one.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> from virtlab.machine.segments import Table
    >>> processor = Processor()
    >>> processor.gdtr = Table(0x1000, 23)
    >>> mark(processor, 0x10, 0x93)
    >>> processor.read(0x1015, 1)
    b'\x93'
    """
    place = find(processor, selector)
    if place is not None and processor.read(place + 5, 1)[0] != access:
        processor.write(place + 5, bytes([access]))


def load_segment(processor: Processor, number: int, selector: int) -> None:
    """Load a segment register, as MOV and POP do.

    Parameters
    ----------
    processor
        Whose.
    number
        Which register; not CS.
    selector
        What to load.

    Raises
    ------
    Fault
        #UD for CS, #GP, #NP or #SS with the selector.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> from virtlab.machine.segments import Table, descriptor_bytes
    >>> processor = Processor()
    >>> processor.memory.write(0x1010, descriptor_bytes(0x5000, 0xFFF, 0x92))
    >>> processor.gdtr = Table(0x1000, 0x17)
    >>> load_segment(processor, DS, 0x10)
    >>> hex(processor.segments[DS].base)
    '0x5000'
    """
    if number == CS:
        raise Fault(6, why="CS is loaded by jumps alone")
    if number == SS:
        segment = stack_segment(processor, selector, processor.cpl)
    elif selector & 0xFFFC == 0:
        processor.set_segment(number, Segment(selector, 0, 0, 0))
        return
    else:
        segment = look_up(processor, selector)
        if not segment.is_memory or (segment.is_code and not segment.access & 2):
            why = f"{SEGMENTS[number]}: selector {selector:#x} names nothing that can be read"
            raise Fault(13, selector & 0xFFFC, why)
        if not segment.conforming and max(segment.rpl, processor.cpl) > segment.dpl:
            why = f"{SEGMENTS[number]}: a segment of ring {segment.dpl}, asked for by ring "
            raise Fault(13, selector & 0xFFFC, f"{why}{max(segment.rpl, processor.cpl)}")
        if not segment.present:
            raise Fault(11, selector & 0xFFFC, f"{SEGMENTS[number]}: the segment is not present")
    mark(processor, selector, segment.access | 1)
    processor.set_segment(number, segment)


def stack_segment(processor: Processor, selector: int, ring: int, vector: int = 13) -> Segment:
    """Return the segment of a ring's stack.

    Parameters
    ----------
    processor
        Whose tables.
    selector
        Which segment.
    ring
        Whose stack it is to be.
    vector
        What is raised if it is none: #TS where it was named by a task's state.

    Returns
    -------
    Segment
        Data that can be written, of that ring and asked for by it.

    Raises
    ------
    Fault
        If it is not; #SS if it is not present.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> stack_segment(Processor(), 0, 0)
    Traceback (most recent call last):
    virtlab.machine.faults.Fault: #GP(0): a stack needs a segment
    """
    if selector & 0xFFFC == 0:
        raise Fault(vector, 0, "a stack needs a segment")
    segment = look_up(processor, selector, vector)
    if segment.rpl != ring or segment.dpl != ring or not segment.is_stack:
        why = f"selector {selector:#x} names no stack of ring {ring}"
        raise Fault(vector, selector & 0xFFFC, why)
    if not segment.present:
        raise Fault(12, selector & 0xFFFC, "the stack's segment is not present")
    return segment


def drop_inner_segments(processor: Processor) -> None:
    """Empty the data segments that the ring that runs now may not have.

    A return to an outer ring ends so: or its caller could go on with the inner ring's segments.

    Parameters
    ----------
    processor
        Which.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.set_segment(CS, Segment(0x1B, 0, 0xFFFFFFFF, 0xFA))  # ring 3
    >>> drop_inner_segments(processor)
    >>> processor.segments[DS] == NULL
    True
    """
    for number in (ES, DS, FS, GS):
        segment = processor.segments[number]
        if segment.access and not segment.conforming and segment.dpl < processor.cpl:
            processor.set_segment(number, NULL)


def visible(processor: Processor, selector: int, kinds: frozenset[int]) -> Segment | None:
    """Return a descriptor if the ring that runs may know of it, as LAR, LSL, VERR and VERW ask.

    Parameters
    ----------
    processor
        Which.
    selector
        Which.
    kinds
        System segments that count too, by their kind.

    Returns
    -------
    Segment or None
        None if it may not, or there is none.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> visible(Processor(), 0, frozenset()) is None
    True
    """
    place = find(processor, selector)
    if place is None:
        return None
    segment = look_up(processor, selector)
    if not segment.is_memory and segment.kind not in kinds:
        return None
    if not segment.conforming and max(segment.rpl, processor.cpl) > segment.dpl:
        return None
    return segment
