"""Two disks on one IDE channel (S16, S19).

Both hear what is written to the registers, and bit 4 of the device register says who is meant: that
one answers, does commands and moves data. A teaching kernel likes to have its files on the second.

Source: ATA/ATAPI-4 (ANSI NCITS 317-1998), sections 8 and 9 (device 0 and device 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtlab.machine.bus import Device
from virtlab.machine.devices.disk import Disk
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.devices.pic import Pic

    Channel = tuple[Device | None, Disk | None, Disk | None]

__all__ = ["TwoDisks", "channel"]

_DEVICE = 6  # the register that chooses


class TwoDisks(Device):
    """A channel with both disks.

    Parameters
    ----------
    pic
        Whose line 14 they pull.
    first, second
        Their contents.

    Attributes
    ----------
    both
        The disks.

    Examples
    --------
    >>> from virtlab.machine.devices.pic import Pic
    >>> channel = TwoDisks(Pic(), b"boot".ljust(512), b"data".ljust(512))
    >>> for port, value in ((0x1F2, 1), (0x1F3, 0), (0x1F6, 0xF0), (0x1F7, 0x20)):
    ...     channel.write(port, 1, value)  # one sector, number 0, LBA and device 1, READ SECTORS
    >>> channel.read(0x1F0, 4).to_bytes(4, "little")
    b'data'
    """

    name = "disks"
    ports: Sequence[int] = Disk.ports

    def __init__(self, pic: Pic, first: bytes, second: bytes) -> None:
        self.both = (Disk(pic, first), Disk(pic, second, unit=1))

    @property
    def _chosen(self) -> Disk:
        return self.both[self.both[0].task[_DEVICE] >> 4 & 1]

    def width(self, port: int) -> int:
        """Return 4 for the data port, as one disk does."""
        return self._chosen.width(port)

    def read(self, port: int, size: int) -> int:
        """Read a register, or data, of the one that is meant."""
        return self._chosen.read(port, size)

    def write(self, port: int, size: int, value: int) -> None:
        """Write data to the one that is meant, and all else to both unless it waits for data."""
        first, *registers = self.ports[: _DEVICE + 1]
        if port == first:
            self._chosen.write(port, size, value)
        elif port not in registers or not self._chosen.wants_data:
            for disk in self.both:
                disk.write(port, size, value)

    def save(self) -> tuple[Any, ...]:
        """Return the state of both."""
        return tuple(disk.save() for disk in self.both)

    def restore(self, state: tuple[Any, ...]) -> None:
        """Take both back."""
        for disk, own in zip(self.both, state, strict=True):
            disk.restore(own)


def channel(pic: Pic, first: bytes | None, second: bytes | None) -> Channel:
    """Make what is plugged into a computer for its disks.

    Parameters
    ----------
    pic
        Whose line 14 they pull.
    first, second
        Their contents; None for no such disk.

    Returns
    -------
    tuple
        The device and its disks, each None if there is none.

    Raises
    ------
    InvalidInputError
        If there is a second disk and no first.

    Examples
    --------
    >>> from virtlab.machine.devices.pic import Pic
    >>> device, disk, _ = channel(Pic(), bytes(512), None)
    >>> device is disk
    True
    """
    if first is None:
        if second is not None:
            raise InvalidInputError("second_disk", f"{len(second)} bytes", "None without a disk")
        return None, None, None
    if second is None:
        alone = Disk(pic, first)
        return alone, alone, None
    both = TwoDisks(pic, first, second)
    return both, *both.both
