"""How code of the wasm tier reaches the guest's RAM: with an MMU, or without (S18, S17).

Either way there is a short test and a fast way; what fails the test asks the host, which knows
about page tables, the end of RAM and pages with code (`virtlab.machine.translation.tlb`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from virtlab.machine.translation import layout
from virtlab.machine.translation.wasm_code import constant, local_get, local_set, unsigned_leb
from virtlab.machine.translation.wasm_values import operator

__all__ = ["Flat", "Paged", "Way"]

_I32_LOAD = b"\x28\x02"
_TEE = b"\x22"


class Way(Protocol):
    """A way to RAM.

    Attributes
    ----------
    offset
        What to add to the place that `test` and `place` speak of.
    """

    @property
    def offset(self) -> int:
        """Return it."""

    def test(self, where: bytes, address: int, slot: int, size: int, *, write: bool) -> bytes:
        """Return code that computes an address into a local, and pushes whether it may be used."""

    def place(self, address: int, slot: int, *, write: bool) -> bytes:
        """Return code that pushes the place, if so."""


@dataclass(frozen=True)
class Paged:
    """Through a software TLB: a table for reads, one for writes.

    Examples
    --------
    >>> Paged().place(1, 2, write=False).hex()  # what slot 2 says to add, and the address
    '2002280284800420016a'
    """

    offset: int = 0

    def test(self, where: bytes, address: int, slot: int, size: int, *, write: bool) -> bytes:
        """Return code that pushes whether the TLB knows a page.

        The last byte's address differs from the page's by less than a page only if the first
        byte's slot holds this page, and all bytes are in it.

        Parameters
        ----------
        where
            Pushes the address.
        address, slot
            Locals to keep it and its slot in.
        size, write
            Of the access.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        >>> len(Paged().test(local_get(0), 1, 2, 4, write=True))
        31
        """
        code = where + _TEE + unsigned_leb(address)
        code += constant(12 - 3) + operator("shr_u", 4)
        code += constant((layout.SLOTS - 1) << 3) + operator("and", 4) + local_set(slot)
        last = local_get(address) + (constant(size - 1) + operator("add", 4) if size > 1 else b"")
        page = local_get(slot) + _I32_LOAD + unsigned_leb(_table(write=write))
        return code + last + page + operator("xor", 4) + constant(0x1000) + operator("lt_u", 4)

    def place(self, address: int, slot: int, *, write: bool) -> bytes:
        """Return code that pushes the place.

        Parameters
        ----------
        address, slot
            Locals that `test` has set.
        write
            As there.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        See the class.
        """
        add = local_get(slot) + _I32_LOAD + unsigned_leb(_table(write=write) + 4)
        return add + local_get(address) + operator("add", 4)


def _table(*, write: bool) -> int:
    return layout.WRITE_TLB if write else layout.READ_TLB


@dataclass(frozen=True)
class Flat:
    """Directly: paging is never turned on.

    Parameters
    ----------
    ram_bytes
        Where RAM ends.

    Examples
    --------
    >>> Flat(1 << 20).place(1, 2, write=True) == local_get(1)
    True
    """

    ram_bytes: int
    offset: int = layout.RAM

    def test(self, where: bytes, address: int, slot: int, size: int, *, write: bool) -> bytes:
        """Return code that pushes whether all bytes are in RAM, and none was translated.

        Parameters
        ----------
        where
            Pushes the address.
        address, slot
            Locals; the second is not needed.
        size, write
            Of the access.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        >>> Flat(1 << 20).test(local_get(0), 1, 2, 4, write=False).hex()  # below 0xffffd
        '2000220141fdff3f49'
        """
        del slot
        code = where + _TEE + unsigned_leb(address)
        if not write:
            return code + constant(self.ram_bytes - size + 1) + operator("lt_u", 4)
        first, span = (constant(0) + _I32_LOAD + unsigned_leb(at) for at in _FREE)
        return code + first + operator("sub", 4) + span + operator("lt_u", 4)

    def place(self, address: int, slot: int, *, write: bool) -> bytes:
        """Return code that pushes the place.

        Parameters
        ----------
        address, slot, write
            As `test` has them.

        Returns
        -------
        bytes
            Code.

        Examples
        --------
        See the class.
        """
        del slot, write
        return local_get(address)


_FREE = layout.FREE, layout.SPAN
