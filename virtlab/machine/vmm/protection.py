"""What keeps a guest's kernel from the VMM's memory (S17).

The VMM's pages are in every address space, and are the supervisor's. That keeps ring 3 out. It
does not keep ring 1 out: paging has one bit for this, **U/S**, and counts rings 0, 1 and 2 as the
supervisor. So ring 1 is not "ring 0 without guarantee"; for privileged instructions it is as ring
3, and for paging it is as ring 0. What keeps a kernel at ring 1 from the VMM is a segment that ends
below it (**truncated**). In 64-bit mode segments have no limits, so that this way is closed.

Each row is found by running `mov eax, [VMM]` and `mov [VMM], eax` with paging on.

Source: E. Bugnion, J. Nieh, D. Tsafrir, "Hardware and Software Support for Virtualization", 2017,
section 3.2; Intel SDM, volume 3, section 4.6.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from virtlab.machine.encoding import CS, DS, ES, FS, GS, SS
from virtlab.machine.faults import Fault
from virtlab.machine.processor import Processor
from virtlab.machine.segments import flat
from virtlab.machine.stage import code_selector, data_selector
from virtlab.machine.vmm.host import GDT, Deprivileged
from virtlab.machine.vmm.worlds import VMM_BASE, deprivileged
from virtlab.results import Result
from virtlab.validate import integer

__all__ = ["Protection", "Touch", "touch_the_vmm", "try_to_touch"]

_CODE, _DIRECTORY, _TABLE = 0x5000, 0x8000, 0x9000
_VICTIM = VMM_BASE + GDT + 8
_READ, _WRITE = "a1", "a3"


@dataclass(frozen=True)
class Touch:
    """One try.

    Attributes
    ----------
    ring, truncated, write
        From which ring, with segments that end below the VMM or not, reading or writing.
    reached
        Whether the VMM's memory was read or changed.
    fault, why
        What kept it off, and in words; empty if nothing did.
    """

    ring: int
    truncated: bool
    write: bool
    reached: bool
    fault: str
    why: str


def _prepared(ring: int, *, truncate: bool) -> Deprivileged:
    """Return a machine with paging on, all of whose guest's pages are ring 3's too."""
    processor = Deprivileged(truncate=truncate)
    memory = processor.memory
    memory.write(_DIRECTORY, (_TABLE | 7).to_bytes(4, "little"))
    entries = b"".join((page << 12 | 7).to_bytes(4, "little") for page in range(256))
    memory.write(_TABLE, entries)
    registers = processor.registers
    registers["CR3"] = _DIRECTORY
    registers["CR0"] |= 1 << 31
    registers["EIP"], registers["EAX"] = _CODE, 0
    for number in (ES, SS, DS, FS, GS):
        data = flat(data_selector(ring), 0x93 | ring << 5)
        processor.set_segment(number, deprivileged(data, truncate=truncate))
    code = flat(code_selector(ring), 0x9B | ring << 5)
    processor.set_segment(CS, deprivileged(code, truncate=truncate))
    return processor


def try_to_touch(ring: int, *, truncate: bool, write: bool = False) -> Touch:
    """Let a guest touch the VMM's memory.

    Parameters
    ----------
    ring
        From which, 1 to 3.
    truncate
        Whether its segments end below the VMM.
    write
        Whether it writes.

    Returns
    -------
    Touch
        What came of it.

    Examples
    --------
    >>> try_to_touch(1, truncate=False).reached
    True
    >>> print(try_to_touch(1, truncate=True).fault, try_to_touch(3, truncate=False).fault)
    #GP(0) #PF(0x5)
    """
    integer("ring", ring, minimum=1, maximum=3)
    processor = _prepared(ring, truncate=truncate)
    code = bytes.fromhex(_WRITE if write else _READ) + _VICTIM.to_bytes(4, "little")
    processor.memory.write(_CODE, code)
    before = b"\x5a\xa5\x5a\xa5"
    processor.own.write(GDT + 8, before)
    fault, why = "", ""
    try:
        Processor.step(processor)
    except Fault as raised:
        fault, _, why = str(raised).partition(": ")
    read = processor.registers["EAX"] == int.from_bytes(before, "little")
    changed = processor.own.read(GDT + 8, 4) != before
    return Touch(ring, truncate, write, changed if write else read, fault, why)


@dataclass(frozen=True)
class Protection(Result):
    """All tries.

    Attributes
    ----------
    touches
        From rings 1 to 3, with and without truncated segments, reading and writing.

    Examples
    --------
    >>> print(touch_the_vmm().explain())
    Without truncated segments rings 1 and 2 reach the VMM's memory and ring 3 does not: paging \
tells ring 3 from the others, and no more. With them nobody does.
    """

    touches: tuple[Touch, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each try."""
        return pd.DataFrame([vars(touch) for touch in self.touches])

    def summary(self) -> dict[str, float | int | str]:
        """Return from how many rings the VMM was reached."""
        return {
            f"rings_that_reach_it_{'truncated' if truncated else 'untruncated'}": len(
                self._reaching(truncated=truncated)
            )
            for truncated in (False, True)
        }

    def _reaching(self, *, truncated: bool) -> list[int]:
        return sorted(
            {touch.ring for touch in self.touches if touch.reached and touch.truncated == truncated}
        )

    def explain(self) -> str:
        """Say who reaches it."""
        without, kept = self._reaching(truncated=False), self._reaching(truncated=True)
        names = " and ".join(map(str, without))
        others = "ring 3 does not" if 3 not in without else "so does ring 3"
        end = "With them nobody does." if not kept else f"With them {kept} still do."
        return (
            f"Without truncated segments rings {names} reach the VMM's memory and {others}: paging "
            f"tells ring 3 from the others, and no more. {end}"
        )


def touch_the_vmm() -> Protection:
    """Let a guest touch the VMM's memory from each ring, with and without truncated segments.

    Returns
    -------
    Protection
        What came of it.

    Examples
    --------
    >>> touch_the_vmm().summary()["rings_that_reach_it_untruncated"]
    2
    """
    return Protection(
        tuple(
            try_to_touch(ring, truncate=truncate, write=write)
            for truncate in (False, True)
            for ring in (1, 2, 3)
            for write in (False, True)
        )
    )
