"""The disk: blocks of 512 bytes behind a few ports (S16, S19).

It stands for an ATA disk on the first IDE channel of a PC, alone or as one of two. A driver writes
how many sectors and where (LBA, 28 bits), then a command; when the disk is ready it interrupts
(IRQ 14) and the processor moves the sector, two bytes an `in`, through the data port: **programmed
I/O**. Reading the status takes the interrupt back.

Sectors that a guest writes are not written to the image: they lie beside it and hide it. That is
how a hypervisor's **redo log** works, and why going back is cheap here: the state before is the
table before. `contents` puts both together.

Source: ATA/ATAPI-4 (ANSI NCITS 317-1998), sections 8 and 9. Left out: the time that a disk takes
(a command is done at once), CHS addresses, DMA, several sectors to an interrupt (READ MULTIPLE),
48-bit LBA.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from virtlab.machine.bus import Device
from virtlab.machine.coalesced import Offer
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtlab.machine.devices.pic import Pic

__all__ = ["SECTOR", "Disk"]

SECTOR = 512
_IRQ = 14
_READY, _SEEK_DONE, _REQUEST, _ERROR = 0x40, 0x10, 0x08, 0x01
_ABORTED, _NOT_FOUND = 0x04, 0x10
_DATA, _FEATURES, _COUNT, _LOW, _MIDDLE, _HIGH, _DEVICE, _COMMAND = range(8)
_CONTROL = 0x3F6


class Disk(Device):
    """One disk.

    Parameters
    ----------
    pic
        Whose line 14 it pulls.
    image
        Its contents; a whole number of sectors, at least one.
    unit
        1 for the second on its channel (`virtlab.machine.devices.two_disks`).

    Attributes
    ----------
    written
        What the guest has written: sector number to bytes.

    Examples
    --------
    >>> from virtlab.machine.devices.pic import Pic
    >>> disk = Disk(Pic(), b"boot".ljust(512) + b"data".ljust(512))
    >>> for port, value in ((0x1F2, 1), (0x1F3, 1), (0x1F6, 0xE0), (0x1F7, 0x20)):
    ...     disk.write(port, 1, value)  # one sector, number 1, LBA, READ SECTORS
    >>> hex(disk.read(0x1F7, 1))
    '0x58'
    >>> disk.read(0x1F0, 4).to_bytes(4, "little")
    b'data'
    """

    name = "disk"
    ports: Sequence[int] = (*range(0x1F0, 0x1F8), _CONTROL)
    kept: tuple[str, ...] = (  # a subclass has more
        "task", "error", "status", "control", "buffer", "at", "left", "writes", "written",
    )  # fmt: skip

    def __init__(self, pic: Pic, image: bytes, unit: int = 0) -> None:
        if not image or len(image) % SECTOR or len(image) // SECTOR >= 1 << 28:
            allowed = "a whole number of sectors of 512 bytes, 1 to 2**28 - 1"
            raise InvalidInputError("image bytes", len(image), allowed)
        self.pic, self.image, self.unit = pic, image, unit
        self.written: Mapping[int, bytes] = MappingProxyType({})
        self.control = 0
        self.task: tuple[int, ...] = ()
        self._reset()

    @property
    def sectors(self) -> int:
        """How many it has."""
        return len(self.image) // SECTOR

    @property
    def wants_data(self) -> bool:
        """Whether it is in the middle of a sector."""
        return bool(self.status & _REQUEST)

    def contents(self) -> bytes:
        """Return the image with what was written over it."""
        return b"".join(self._sector(number) for number in range(self.sectors))

    def width(self, port: int) -> int:
        """Return 4 for the data port, which takes words."""
        return 4 if port == self.ports[0] else 1

    def read(self, port: int, size: int) -> int:
        """Read a register, or data."""
        register = port & 7
        if self._not_meant and port != _CONTROL and register != _DEVICE:
            return 0
        if port == _CONTROL:  # the status, and the interrupt stays
            return 0 if self._not_meant else self.status
        if register == _DATA:
            return self._read_data(size)
        if register == _COMMAND:
            self.pic.lower_irq(_IRQ)
            return self.status
        return self.error if register == _FEATURES else self.task[register]

    def write(self, port: int, size: int, value: int) -> None:
        """Write a register, data or a command."""
        register = port & 7
        if port == _CONTROL:
            if self.control & 4 and not value & 4:  # the end of a reset
                self._reset()
            self.control = value
        elif register == _DATA:
            self._write_data(size, value)
        elif register == _COMMAND:
            if not self._not_meant:
                self._do(value)
        elif not self.wants_data:  # else nothing is heard
            self.task = (*self.task[:register], value, *self.task[register + 1 :])

    def offer(self) -> Offer:
        """Offer the status, where to read it takes no interrupt back; take a sector's number."""
        status = 0 if self._not_meant else self.status
        answers = [(_CONTROL, status)]
        if self._not_meant or not self.pic.is_high(_IRQ):
            answers.append((self.ports[_COMMAND], status))
        return Offer(tuple(answers), tuple(self.ports[_COUNT:_DEVICE]))

    def take(self, port: int, data: bytes) -> None:
        """Take how many sectors, and which."""
        for value in data:
            self.write(port, 1, value)

    @property
    def _not_meant(self) -> bool:
        """Whether the other disk is chosen."""
        return self.task[_DEVICE] >> 4 & 1 != self.unit

    @property
    def _lba(self) -> int:
        low, middle, high, device = self.task[_LOW : _DEVICE + 1]
        return low | middle << 8 | high << 16 | (device & 0xF) << 24

    def _sector(self, number: int) -> bytes:
        start = number * SECTOR
        return self.written.get(number) or bytes(self.image[start : start + SECTOR])

    def _reset(self) -> None:
        self.task = (0, 0, 1, 1, 0, 0, 0, 0)  # which says: a disk
        self.error, self.status = 1, _READY | _SEEK_DONE
        self.buffer, self.at, self.left, self.writes = b"", 0, 0, False
        self.pic.lower_irq(_IRQ)

    def _do(self, command: int) -> None:
        self.pic.lower_irq(_IRQ)
        if self.wants_data:  # in the middle of another
            return
        self.error, self.status, self.left = 0, _READY | _SEEK_DONE, 0
        self.writes = False
        if command == 0xEC:
            self.buffer, self.at = self._identity(), 0
            self._ready(data=True)
        elif command in (0x20, 0x21, 0x30, 0x31) and self.task[_DEVICE] & 0x40:
            self.left, self.writes = self.task[_COUNT] or 256, command >= 0x30
            self._begin_sector(first=True)
        elif command in (0xE7, 0x91, 0xEF):  # flush; set geometry, features: nothing to do
            self._ready(data=False)
        else:
            self._fail(_ABORTED)

    def _begin_sector(self, *, first: bool) -> None:
        """Fetch the next sector, or ask for it; the first that is written needs no interrupt."""
        if self._lba >= self.sectors:
            self._fail(_NOT_FOUND)
            return
        self.buffer, self.at = b"", 0
        if not self.writes:
            self.buffer = self._sector(self._lba)
            self._count()
        self._ready(data=True, tell=not (self.writes and first))

    def _count(self) -> None:
        """Let the registers say the next sector, and how many are left."""
        low = (self._lba + 1).to_bytes(4, "little")
        device = self.task[_DEVICE] & 0xF0 | low[3] & 0xF
        self.left -= 1
        self.task = (*self.task[:_COUNT], self.left, *low[:3], device, self.task[_COMMAND])

    def _end_sector(self) -> None:
        """Go on to the next one, if there is one."""
        if self.writes:
            self.written = MappingProxyType({**self.written, self._lba: self.buffer})
            self._count()
        if self.left:
            self._begin_sector(first=False)
        elif self.writes:
            self._ready(data=False)
        else:
            self.status = _READY | _SEEK_DONE

    def _read_data(self, size: int) -> int:
        if not self.status & _REQUEST or self.writes:
            return 0
        value = int.from_bytes(self.buffer[self.at : self.at + size], "little")
        self.at += size
        if self.at >= SECTOR:
            self._end_sector()
        return value

    def _write_data(self, size: int, value: int) -> None:
        if not self.status & _REQUEST or not self.writes:
            return
        self.buffer += value.to_bytes(size, "little")
        if len(self.buffer) >= SECTOR:
            self.buffer = self.buffer[:SECTOR]
            self._end_sector()

    def _ready(self, *, data: bool, tell: bool = True) -> None:
        self.status = _READY | _SEEK_DONE | (_REQUEST if data else 0)
        if tell:
            self._interrupt()

    def _fail(self, why: int) -> None:
        self.error, self.status, self.left = why, _READY | _ERROR, 0
        self._interrupt()

    def _interrupt(self) -> None:
        if not self.control & 2:  # nIEN
            self.pic.lower_irq(_IRQ)
            self.pic.raise_irq(_IRQ)

    def _identity(self) -> bytes:
        """Return what IDENTIFY says: words, and text with each word's bytes swapped."""
        words = [0] * 256
        words[0], words[49], words[53], words[80] = 0x0040, 0x0200, 1, 0x1E  # LBA; ATA-1 to 4
        words[1], words[3], words[6] = max(1, min(16383, self.sectors // 1008)), 16, 63
        words[60], words[61] = self.sectors & 0xFFFF, self.sectors >> 16
        for first, text, length in ((10, "1", 20), (23, "1.0", 8), (27, "VIRTLAB DISK", 40)):
            padded = text.ljust(length).encode()
            for k in range(length // 2):
                words[first + k] = padded[2 * k] << 8 | padded[2 * k + 1]
        return b"".join(word.to_bytes(2, "little") for word in words)
