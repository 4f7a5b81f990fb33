"""The port by which a test program ends the machine (S16).

It stands for no real part: QEMU's `isa-debug-exit` is the model. A guest writes a number, and the
machine ends with the status (number << 1) | 1, which is never 0; so a status of 0 can only mean
that the guest did not end by itself.

Source: QEMU, hw/misc/debugexit.c. Left out: any place but 0xF4 (QEMU's default is 0x501).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.bus import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ExitPort"]


class ExitPort(Device):
    """Ends the machine.

    Attributes
    ----------
    status
        Exit status; None while the guest runs.

    Examples
    --------
    >>> port = ExitPort()
    >>> port.write(0xF4, 1, 0x10)
    >>> port.status
    33
    """

    name = "exit port"
    ports: Sequence[int] = range(0xF4, 0xF8)
    kept = ("status",)

    def __init__(self) -> None:
        self.status: int | None = None

    def width(self, port: int) -> int:
        """Return 4: a number of up to 32 bits can be written."""
        return 4

    def read(self, port: int, size: int) -> int:
        """Return 0, as QEMU does."""
        return 0

    def write(self, port: int, size: int, value: int) -> None:
        """End with a status."""
        self.status = (value << 1 | 1) & 0xFFFFFFFF
