"""The machine that moves: its memory in pages, and the rest of its state.

All that a virtual machine is can be sent: the contents of its memory, page by page, and the state
of its processor and devices, which is small and changes with every instruction. Its disk stays
where it is, on storage that both hosts reach (S40). Pages that were never written are zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from virtlab.validate import InvalidInputError, number

__all__ = ["PAGE_BYTES", "Vm"]

PAGE_BYTES = 4096  # of the i386
_MIB = 2**20


@dataclass(frozen=True)
class Vm:
    """A virtual machine, as a migration sees it.

    Attributes
    ----------
    ram_mib
        Its memory, MiB.
    filled_mib
        How much of it is not zeros when the migration starts, MiB, from page 0 on; all by default.
    device_state_kib
        State of processor and devices, KiB, which can be sent only while the machine stands still.
    resume_ms
        What it takes to start it on the target once all has arrived, ms.
    name
        Its name.

    Examples
    --------
    >>> vm = Vm(ram_mib=512, filled_mib=448)
    >>> vm.pages, vm.filled_pages, vm.bitmap_bytes
    (131072, 114688, 16384)
    """

    ram_mib: float = 512.0
    filled_mib: float | None = None
    device_state_kib: float = 1024.0
    resume_ms: float = 0.0
    name: str = "VM1"

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("ram_mib", self.ram_mib)
        if self.pages < 1 or self.pages * PAGE_BYTES != self.ram_mib * _MIB:
            allowed = f"a positive multiple of a page, {PAGE_BYTES / _MIB} MiB"
            raise InvalidInputError("ram_mib", self.ram_mib, allowed)
        if self.filled_mib is not None:
            number("filled_mib", self.filled_mib, minimum=0, maximum=self.ram_mib)
        number("device_state_kib", self.device_state_kib, minimum=0)
        number("resume_ms", self.resume_ms, minimum=0)

    @cached_property
    def pages(self) -> int:
        """How many pages its memory has."""
        return int(self.ram_mib * _MIB // PAGE_BYTES)

    @cached_property
    def filled_pages(self) -> int:
        """How many of them are not zeros at the start: pages 0 to this, a part of a page is one."""
        filled = self.ram_mib if self.filled_mib is None else self.filled_mib
        return int(-(-filled * _MIB // PAGE_BYTES))

    @property
    def bitmap_bytes(self) -> int:
        """Size of a bitmap with a bit for each page, bytes."""
        return -(-self.pages // 8)

    @cached_property
    def device_state_bytes(self) -> int:
        """State of processor and devices, bytes."""
        return round(self.device_state_kib * 1024)
