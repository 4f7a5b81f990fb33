"""Patching: instructions that lie are replaced by one that traps (S17, S18).

What does not trap can be made to: the VMM looks through the guest's code before it runs, and puts
an `int3` (one byte, CC) over the first byte of each instruction that could lie. When that traps,
the VMM puts the old byte back, does the instruction for the guest, and puts the `int3` in again.

To find instructions is the harder half. Code and data lie side by side and instructions have no
marks, so the VMM follows the code as the processor would: from each place at which it hands over to
its guest, along jumps and calls, as far as their targets can be read off (**recursive descent**).
The guest's interrupt gates are found when the VMM itself goes to one. What is reached through a
pointer alone is not found; it runs as it is, and may lie.

Which instructions could lie comes from the processor: those that ran at ring 1 without a trap, and
were sensitive, when each was tried at each ring (`virtlab.machine.rings`).

What real VMMs do: VirtualBox patched so while it had no use for the processor's help, and put jumps
to code of its own where there was room. A jump takes five bytes, `popf` one: over a short
instruction only a trap fits, and a trap costs thousands of cycles. Xen had the kernel's source
changed (**paravirtualization**): what lies is not there any more. VMware did not run the kernel's
code at all, but a translation of it (**binary translation**, the next chapter), so that the
original stays as it is; for a guest that reads its own code sees these patches, and one that jumps
into the middle of an instruction may run them as part of another.

Source: Oracle, "VM VirtualBox User Manual" 5.2, "Details about software virtualization"; P. Barham
et al., "Xen and the art of virtualization", SOSP 2003.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from virtlab.machine.decode import LONGEST
from virtlab.machine.encoding import encoding
from virtlab.machine.faults import Fault
from virtlab.machine.pcode import RAM
from virtlab.machine.probes import PROBES
from virtlab.machine.sensitive import routine_of
from virtlab.machine.vmm.shadow import peek, peek_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.processor import Processor

__all__ = ["INT3", "Patch", "Patcher", "could_lie"]

INT3 = 0xCC
_MOST = 20_000  # instructions looked at from one place on
_NOTHING = bytes(8)  # so many zeros are no code
_RETURNS = {0xC2, 0xC3, 0xCA, 0xCB, 0xCF, 0xE9, 0xEA, 0xEB}  # after which the code may end


@cache
def could_lie() -> frozenset[str]:
    """Return the routines of the instructions that are sensitive and do not trap at ring 1.

    Returns
    -------
    frozenset of str
        As `virtlab.machine.sensitive` names them.

    Examples
    --------
    >>> {"POPF", "IRET", "SGDT", "MOVFROMSEG"} <= could_lie(), "CLI" in could_lie()
    (True, False)
    """
    from virtlab.machine.rings import RingTable, try_instruction

    tried = {(p.name, ring, 0): try_instruction(p, ring) for p in PROBES for ring in range(4)}
    table = RingTable(tried)
    return frozenset(
        name
        for probe in PROBES
        if any(table.sensitive(probe.name)) and table.cell(probe.name, 1, 0) != "faults"
        if (name := routine_of(encoding(probe.bytes_at(1)))) is not None
        if name != "INT"  # the table's host has a gate for ring 3; this one has none, so it traps
    )


@dataclass(frozen=True, slots=True)
class Patch:
    """One instruction that is replaced.

    Attributes
    ----------
    place
        Physical address.
    address
        Linear address at which it was found.
    symbol
        The function's name with a distance.
    byte
        What stood there.
    instruction
        What it is, as an assembler writes it.
    size
        How many bytes it has.
    """

    place: int
    address: int
    symbol: str
    byte: int
    instruction: str
    size: int


class Patcher:
    """Finds the instructions that could lie, and replaces them.

    Parameters
    ----------
    processor
        Whose code.

    Attributes
    ----------
    patches
        By physical address.
    known
        Physical addresses of all instructions that were looked at.
    where
        Names an address.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.memory.write(0x1000, bytes.fromhex("85c0 7401 9c 9d c3"))
    >>> patcher = Patcher(processor)
    >>> [patch.instruction for patch in patcher.scan(0x1000)]
    ['PUSHFD', 'POPFD']
    >>> processor.memory.read(0x1000, 7).hex(" ")
    '85 c0 74 01 cc cc c3'
    """

    def __init__(self, processor: Processor) -> None:
        self.processor = processor
        self.patches: dict[int, Patch] = {}
        self.known: set[int] = set()
        self.where: Callable[[int], str] = hex

    def scan(self, address: int) -> list[Patch]:
        """Follow the code from an address, and patch it.

        Parameters
        ----------
        address
            Linear.

        Returns
        -------
        list of Patch
            Those that are new.
        """
        found, waiting = [], [address]
        for _ in range(_MOST):
            if not waiting:
                break
            at = waiting.pop()
            place = peek_place(self.processor, at)
            if place is None or place in self.known:
                continue
            instruction = self._decoded(at)
            if instruction is None:
                continue
            self.known.add(place)
            if routine_of(instruction.encoding) in could_lie():
                found.append(self._patch(place, at, instruction))
            waiting += _goes_to(instruction)
        return found

    def _decoded(self, address: int) -> Instruction | None:
        # Beside a flat code segment, linear and offset differ; it is assumed to be flat.
        code = peek(self.processor, address, LONGEST)
        if code.startswith(_NOTHING):
            return None
        try:
            return self.processor.decoder.decode(address, code)
        except Fault:
            return None

    def _patch(self, place: int, address: int, instruction: Instruction) -> Patch:
        memory = self.processor.memory
        byte, size = memory.data[place], len(instruction.code)
        patch = Patch(place, address, self.where(address), byte, str(instruction), size)
        self.patches[place] = patch
        memory.write(place, bytes([INT3]))
        return patch

    def at(self, address: int) -> Patch | None:
        """Return the patch at a linear address, if one is there, and has not been overwritten.

        Parameters
        ----------
        address
            Linear.

        Returns
        -------
        Patch or None
            None if what is there is the guest's own.
        """
        place = peek_place(self.processor, address)
        patch = None if place is None else self.patches.get(place)
        if patch is None or self.processor.memory.data[patch.place] != INT3:
            return None
        return patch

    def lift(self, patch: Patch) -> None:
        """Put the old byte back.

        Parameters
        ----------
        patch
            Of which.
        """
        self.processor.memory.write(patch.place, bytes([patch.byte]))

    def set_again(self, patch: Patch) -> None:
        """Put the trap in again, if the guest has not written something else there.

        Parameters
        ----------
        patch
            Which.
        """
        if self.processor.memory.data[patch.place] == patch.byte:
            self.processor.memory.write(patch.place, bytes([INT3]))

    def without(self) -> bytes:
        """Return the guest's memory as it would be without the patches.

        Returns
        -------
        bytes
            All of it.
        """
        data = bytearray(self.processor.memory.data)
        for patch in self.patches.values():
            if data[patch.place] == INT3:
                data[patch.place] = patch.byte
        return bytes(data)


def _goes_to(instruction: Instruction) -> list[int]:
    """Return where the processor may go on after an instruction, as far as its bytes tell."""
    targets = [
        op.ins[0].offset
        for op in instruction.ops
        if op.code in ("BRANCH", "CBRANCH", "CALL") and op.ins[0].space == RAM
    ]
    parts = instruction.encoding
    if parts.opcode == 0xEA:  # a far jump, whose operation is a routine
        targets.append(int.from_bytes(parts.rest[: parts.operand_size], "little"))
    indirect = parts.opcode == 0xFF and parts.reg in (4, 5)
    if parts.opcode not in _RETURNS and not indirect:
        targets.append(instruction.next)
    return targets
