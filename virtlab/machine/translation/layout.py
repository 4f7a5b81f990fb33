"""One buffer for the whole machine: registers, a TLB for translated code, the guest's RAM (S18).

Translated code and the interpreter work on the same bytes: nothing is copied when one takes over
from the other. For the wasm tier the buffer is the linear memory of its modules; a module cannot
reach beyond it, whatever it computes, so a guest cannot get out.

    0         registers, as `virtlab.machine.registers` has them
    LEFT      instructions that may still be done before the host wants to be asked
    RECIPE    number of the recipe for flags that were not computed; 0 if all were
    REAL      which of them were computed after all: a bit each
    KEPT      values for the recipe
    JUMPS     where translated code begins: by a hash of its address
    READ_TLB, WRITE_TLB
              per page: its linear address, and what to add to get to its bytes
    RAM       the guest's memory
"""

from __future__ import annotations

__all__ = [
    "EIP",
    "JUMPS",
    "KEPT",
    "LEFT",
    "RAM",
    "READ_TLB",
    "REAL",
    "RECIPE",
    "SLOTS",
    "WRITE_TLB",
]

EIP = 644  # as `virtlab.machine.registers.PLACES` has it
LEFT, RECIPE, REAL, KEPT = 0x400, 0x404, 0x408, 0x800
SLOTS = 4096  # of each table
JUMPS, READ_TLB, WRITE_TLB, RAM = 0x8000, 0x10000, 0x18000, 0x20000
