"""How code of the wasm tier reaches the guest's RAM: with paging, or without (S18, S17).

Either way there is a short test and a fast way. What fails the test is for the host, which knows
about page tables, the end of RAM and pages with code (`virtlab.machine.translation.tlb`). Code may
call the host there and go on; or it gives up at once, and the interpreter does the instruction.
To call costs speed even if it never happens: a call may change every register of the processor, so
all that is to live on has to have a place in memory. So code gives up where misses are rare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from virtlab.machine.translation import layout
from virtlab.machine.translation.wasm_code import (
    I32,
    block_of,
    constant,
    local_get,
    local_set,
    local_tee,
    unsigned_leb,
)
from virtlab.machine.translation.wasm_values import ELSE, END, operator

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[[int], int]

__all__ = ["LOAD", "STORE", "Flat", "Paged", "Reach", "Way", "load_code", "store_code"]

LOAD = {1: b"\x2d\x00", 2: b"\x2f\x00", 4: b"\x28\x00", 8: b"\x29\x00"}
STORE = {1: b"\x3a\x00", 2: b"\x3b\x00", 4: b"\x36\x00", 8: b"\x37\x00"}
_I32_LOAD = b"\x28\x02"
_BR_IF, _CALL = b"\x0d", b"\x10"


class Reach(NamedTuple):
    """How to get at some bytes.

    Attributes
    ----------
    miss
        Code that pushes whether it is for the host.
    place
        Code that pushes where they are, if not.
    offset
        What to add to that.
    address
        Local that `miss` puts the guest's address into.
    """

    miss: bytes
    place: bytes
    offset: int
    address: int


class Way(Protocol):
    """A way to RAM."""

    @property
    def asks(self) -> bool:
        """Whether code calls the host at a miss."""

    def reach(self, where: bytes, size: int, new: New, *, write: bool) -> Reach:
        """Return how to get at some bytes; `new` makes locals."""


@dataclass(frozen=True)
class Paged:
    """Through a software TLB: a table for reads, one for writes.

    Parameters
    ----------
    asks
        Whether code calls the host at a miss.

    Examples
    --------
    >>> locals_ = iter([1, 2])
    >>> reach = Paged().reach(local_get(0), 4, lambda kind: next(locals_), write=False)
    >>> reach.place.hex()  # what slot 2 says to add, and the address
    '2002280284800420016a'
    """

    asks: bool = True

    def reach(self, where: bytes, size: int, new: New, *, write: bool) -> Reach:
        """Return how to get at some bytes.

        The last byte's address differs from the page's by less than a page only if the first
        byte's slot holds this page, and all bytes are in it.

        Parameters
        ----------
        where
            Pushes the address.
        size
            Bytes.
        new
            Makes a local.
        write
            Whether they are to be written.

        Returns
        -------
        Reach
            Code.

        Examples
        --------
        See the class.
        """
        address, slot = new(I32), new(I32)
        table = layout.WRITE_TLB if write else layout.READ_TLB
        code = where + local_tee(address)
        code += constant(12 - 3) + operator("shr_u", 4)
        code += constant((layout.SLOTS - 1) << 3) + operator("and", 4) + local_set(slot)
        last = local_get(address) + (constant(size - 1) + operator("add", 4) if size > 1 else b"")
        page = local_get(slot) + _I32_LOAD + unsigned_leb(table)
        code += last + page + operator("xor", 4) + constant(0x1000) + operator("ge_u", 4)
        add = local_get(slot) + _I32_LOAD + unsigned_leb(table + 4)
        return Reach(code, add + local_get(address) + operator("add", 4), 0, address)


@dataclass(frozen=True)
class Flat:
    """Directly, while paging is off: reads up to the end of RAM, writes up to a page's limit.

    Parameters
    ----------
    ram_bytes
        Where RAM ends.
    asks
        Whether code calls the host at a miss.

    Examples
    --------
    >>> reach = Flat(1 << 20).reach(local_get(0), 4, lambda kind: 1, write=False)
    >>> reach.miss.hex(), reach.place == local_get(1)  # not below 0xffffd
    ('2000220141fdff3f4f', True)
    """

    ram_bytes: int
    asks: bool = False

    def reach(self, where: bytes, size: int, new: New, *, write: bool) -> Reach:
        """Return how to get at some bytes.

        Parameters
        ----------
        where
            Pushes the address.
        size
            Bytes.
        new
            Makes a local.
        write
            Whether they are to be written.

        Returns
        -------
        Reach
            Code.

        Examples
        --------
        See the class.
        """
        address = new(I32)
        code = where + local_tee(address)
        if write:
            page = local_get(address) + constant(12) + operator("shr_u", 4)
            code += page + constant(2) + operator("shl", 4) + _I32_LOAD
            code += unsigned_leb(layout.LIMITS)
        else:
            code += constant(self.ram_bytes - size + 1)
        return Reach(code + operator("ge_u", 4), local_get(address), layout.RAM, address)


def load_code(
    way: Way,
    where: bytes,
    size: int,
    result: int,
    wide: int,
    new: New,
    *,
    to_change: bool = False,
) -> bytes:
    """Load into a local; branch out of the block around if that cannot be done.

    Parameters
    ----------
    way
        To RAM.
    where
        Pushes the address.
    size
        Bytes.
    result
        Local for what is there.
    wide
        Local of 64 bits to use.
    new
        Makes a local.
    to_change
        Whether what is read will be written: then it has to be where that can be done.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> code = load_code(Flat(1 << 20), local_get(0), 4, 2, 3, lambda kind: 1)
    >>> code.hex()  # if not below 0xffffd, out; load at 0x450000
    '2000220141fdff3f4f0d0020012800808094022102'
    """
    reach = way.reach(where, size, new, write=to_change)
    hit = reach.place + LOAD[size] + unsigned_leb(reach.offset) + local_set(result)
    if not way.asks:
        return reach.miss + _BR_IF + b"\x00" + hit
    what = size + layout.TO_CHANGE * to_change
    asked = local_get(reach.address) + constant(what) + _CALL + unsigned_leb(0)
    failed = local_tee(wide) + constant(0, 8) + operator("lt_s", 8) + _BR_IF + b"\x01"
    narrow = b"" if size == 8 else b"\xa7"
    miss = asked + failed + local_get(wide) + narrow + local_set(result)
    return reach.miss + block_of("if") + miss + ELSE + hit + END


def store_code(way: Way, where: bytes, size: int, value: bytes, kept: int, new: New) -> bytes:
    """Store a value; branch out of the block around if that cannot be done.

    Parameters
    ----------
    way
        To RAM.
    where, value
        Push the address and the value.
    size
        Bytes.
    kept
        Local for the value.
    new
        Makes a local.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> len(store_code(Flat(1 << 20), local_get(0), 4, local_get(1), 2, lambda kind: 3))
    30
    """
    reach = way.reach(where, size, new, write=True)
    stored = STORE[size] + unsigned_leb(reach.offset)
    if not way.asks:
        return reach.miss + _BR_IF + b"\x00" + reach.place + value + stored
    wide = local_get(kept) + (b"" if size == 8 else b"\xad")
    miss = local_get(reach.address) + constant(size) + wide + _CALL + unsigned_leb(1)
    miss += _BR_IF + b"\x01"
    hit = reach.place + local_get(kept) + stored
    return value + local_set(kept) + reach.miss + block_of("if") + miss + ELSE + hit + END
