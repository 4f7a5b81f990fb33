"""Segments: a base, a limit and rights between an instruction and memory (S5, S17).

A segment register holds a **selector**, the number of a **descriptor** in a table of the kernel's;
the processor keeps a copy of that descriptor beside it, the hidden part, and checks each access
against it. That copy is why the rings exist: the two bits of the code segment's selector are the
ring that runs now (**CPL**). It is also why a VMM can hide from its guest: a segment that ends
below the VMM's memory (**truncated**) lets nothing through.

Source: Intel SDM, volume 3, sections 3.4 and 5.3 to 5.6.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FLAT_CODE", "FLAT_DATA", "NULL", "Segment", "Table", "descriptor_bytes", "flat"]

_TOP = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment register: its selector, and the hidden part.

    Attributes
    ----------
    selector
        What the program sees.
    base, limit
        First linear address, and the last offset that is allowed (of one that grows down: the last
        that is not).
    access
        The descriptor's access byte: present, DPL, kind, type.
    big
        Whether operands and offsets have 32 bits.

    Examples
    --------
    >>> ring3 = Segment.from_descriptor(0x1B, 0x00CFFA000000FFFF)
    >>> ring3.dpl, ring3.rpl, hex(ring3.limit), ring3.is_code, ring3.allows(write=True)
    (3, 3, '0xffffffff', True, False)
    """

    selector: int
    base: int
    limit: int
    access: int
    big: bool = True

    @classmethod
    def from_descriptor(cls, selector: int, descriptor: int) -> Segment:
        """Take a descriptor apart.

        Parameters
        ----------
        selector
            Of which it is.
        descriptor
            Its eight bytes as one number.

        Returns
        -------
        Segment
            What the register then holds.

        Examples
        --------
        >>> hex(Segment.from_descriptor(8, 0x12409A345678FFFF).base)
        '0x12345678'
        """
        limit = descriptor & 0xFFFF | descriptor >> 32 & 0xF0000
        if descriptor >> 55 & 1:  # counted in pages
            limit = limit << 12 | 0xFFF
        base = descriptor >> 16 & 0xFFFFFF | descriptor >> 32 & 0xFF000000
        return cls(selector, base, limit, descriptor >> 40 & 0xFF, bool(descriptor >> 54 & 1))

    @property
    def rpl(self) -> int:
        """The selector's own ring; of CS, the ring that runs."""
        return self.selector & 3

    @property
    def dpl(self) -> int:
        """Ring of the segment."""
        return self.access >> 5 & 3

    @property
    def present(self) -> bool:
        """Whether it is in memory."""
        return bool(self.access & 0x80)

    @property
    def is_memory(self) -> bool:
        """Whether it is code or data, and not a gate or another of the system's."""
        return bool(self.access & 0x10)

    @property
    def kind(self) -> int:
        """The four bits that say what a system segment or gate is."""
        return self.access & 0xF

    @property
    def is_code(self) -> bool:
        """Whether it is code."""
        return self.access & 0x18 == 0x18

    @property
    def conforming(self) -> bool:
        """Whether it is code that runs at its caller's ring."""
        return self.access & 0x1C == 0x1C

    @property
    def is_stack(self) -> bool:
        """Whether it is data that can be written, as a stack must be."""
        return self.access & 0x1A == 0x12

    def allows(self, *, write: bool) -> bool:
        """Return whether its kind can be read, or written.

        Parameters
        ----------
        write
            Whether it is to be written.

        Returns
        -------
        bool
            Code can never be written, and not all of it can be read.

        Examples
        --------
        >>> FLAT_CODE.allows(write=False), FLAT_CODE.allows(write=True)
        (True, False)
        """
        if not self.is_memory or not self.present:
            return False
        if write:
            return self.is_stack
        return not self.is_code or bool(self.access & 2)

    def holds(self, offset: int, size: int) -> bool:
        """Return whether bytes lie within its limit.

        Parameters
        ----------
        offset
            The first byte.
        size
            How many.

        Returns
        -------
        bool
            For a segment that grows down, whether all are above the limit.

        Examples
        --------
        >>> small = Segment(0x10, 0, 0xFFF, 0x92)
        >>> small.holds(0xFFC, 4), small.holds(0xFFD, 4)
        (True, False)
        """
        last = offset + size - 1
        if self.access & 0x1C == 0x14:  # data that grows down
            return offset > self.limit and last <= (_TOP if self.big else 0xFFFF)
        return last <= self.limit


def flat(selector: int, access: int) -> Segment:
    """Return a segment that is all of memory.

    Parameters
    ----------
    selector
        Its selector.
    access
        Its access byte.

    Returns
    -------
    Segment
        With base 0 and no limit.

    Examples
    --------
    >>> flat(0x23, 0xF2).dpl
    3
    """
    return Segment(selector, 0, _TOP, access)


def descriptor_bytes(base: int, limit: int, access: int, *, big: bool = True) -> bytes:
    """Write a descriptor as it stands in a table.

    Parameters
    ----------
    base, limit
        A limit over 0xFFFFF is counted in pages, and its last 12 bits are ones.
    access
        The access byte.
    big
        Whether it is a segment of 32 bits.

    Returns
    -------
    bytes
        Eight of them.

    Examples
    --------
    >>> descriptor_bytes(0, 0xFFFFFFFF, 0x9A).hex()
    'ffff0000009acf00'
    """
    pages = limit > 0xFFFFF
    if pages:
        limit >>= 12
    number = limit & 0xFFFF | (limit & 0xF0000) << 32 | (base & 0xFFFFFF) << 16
    number |= (base & 0xFF000000) << 32 | access << 40 | big << 54 | pages << 55
    return number.to_bytes(8, "little")


@dataclass(frozen=True, slots=True)
class Table:
    """Where a table of descriptors lies.

    Attributes
    ----------
    base, limit
        Linear address of its first byte, and number of its last one.

    Examples
    --------
    >>> Table(0x1000, 23).limit // 8 + 1  # descriptors
    3
    """

    base: int = 0
    limit: int = 0xFFFF


NULL = Segment(0, 0, 0, 0)
FLAT_CODE, FLAT_DATA = flat(0x08, 0x9B), flat(0x10, 0x93)
