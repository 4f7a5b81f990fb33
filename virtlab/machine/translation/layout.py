"""One buffer for the whole machine: registers, a TLB for translated code, the guest's RAM (S18).

Translated code and the interpreter work on the same bytes: nothing is copied when one takes over
from the other. For the wasm tier the buffer is the linear memory of its modules; a module cannot
reach beyond it, whatever it computes, so a guest cannot get out.

    0         registers, as `virtlab.machine.registers` has them
    LEFT      instructions that may still be done before the host wants to be asked
    RECIPE    number of the recipe for flags that were not computed; 0 if all were
    REAL      which of them were computed after all: a bit each
    PENDING   1 if a device's interrupt is pending while IF is 0
    ANSWERED  how many reads of ports were answered here
    WAITING   how many writes to ports wait in the ring
    CHAINED, HASHED
              how often code went on in other code: along a link, and by the hash table; the host
              takes them back when code comes back
    KEPT      values for the recipe
    LINKS     what code returns: reasons to come back, less than 0; then for each direct exit which
              function it leads to, 0 if that is not known
    JUMPS     where translated code begins: by a hash of its address
    READ_TLB, WRITE_TLB
              per page: its linear address, and what to add to get to its bytes
    LIMITS    per page of RAM: below which address what begins there may be written without a
              question while paging is off; 0 if code was translated from it
    PORT_MAP  per port, in two bytes: what it says, and whether it may be read (READS) and written
              (WRITES) without a question
    RING      writes that wait: in four bytes the value, and in the upper two the port
    RAM       the guest's memory

While paging is off a linear address is a physical one, and code that was made then reaches RAM
without a TLB; when it is turned on, other code is made. All are unsigned, of 32 bits:

    read    if address < ram_bytes - (size - 1): at RAM + address; or else ask the host's `load`
    write   if address < LIMITS[address >> 12]: at RAM + address; or else ask the host's `store`

Whoever is asked answers as with paging: what lies beyond RAM, or where code was translated from,
is seen there. With `Computer(mmu=False)` paging is never turned on, and all code is of this kind.
"""

from __future__ import annotations

__all__ = [
    "ANSWERED",
    "CHAINED",
    "EIP",
    "HASHED",
    "JUMPS",
    "KEPT",
    "LEFT",
    "LIMITS",
    "LINKS",
    "PENDING",
    "PORT_MAP",
    "RAM",
    "READS",
    "READ_TLB",
    "REAL",
    "RECIPE",
    "RING",
    "RING_SIZE",
    "SLOTS",
    "TO_CHANGE",
    "WAITING",
    "WRITES",
    "WRITE_TLB",
]

EIP = 644  # as `virtlab.machine.registers.PLACES` has it
LEFT, RECIPE, REAL, PENDING, KEPT = 0x400, 0x404, 0x408, 0x414, 0x800
ANSWERED, WAITING = 0x418, 0x41C
CHAINED, HASHED, LINKS = 0x420, 0x424, 0x2400
SLOTS = 4096  # of each table
JUMPS, READ_TLB, WRITE_TLB, LIMITS = 0x8000, 0x10000, 0x18000, 0x20000
PORT_MAP, RING, RAM = 0x420000, 0x440000, 0x450000
READS, WRITES, RING_SIZE = 0x100, 0x200, 4096
TO_CHANGE = 0x10  # added to the size of what is asked for, if it is read to be written
