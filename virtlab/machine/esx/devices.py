"""Two virtual disks: one that copies a real part, and one that no factory made (S16, S19).

`VirtualAta` is the ATA disk of `virtlab.machine.devices.disk`, but that its sectors come from
elsewhere, and when they come: a command is handed on, the disk is busy until the answer is there.

`OwnDisk` has no model in hardware. Its driver writes a description of the request into memory and
its address to one port; the device does the rest. That is what the talk's own network card (vmxnet)
and own graphics are for: a device that exists in virtual machines only need not imitate registers,
so a request takes four port accesses, where ATA's takes 6, and 131 for each sector.

Both are devices on the guest's bus and know nothing of a VMkernel: they call what they were given.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from virtlab.machine.bus import Device
from virtlab.machine.devices.disk import Disk
from virtlab.machine.esx.physical import SECTOR, BlockRequest
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtlab.machine.devices.pic import Pic
    from virtlab.machine.memory import Memory

    Submit = Callable[[BlockRequest], None]

__all__ = ["OwnDisk", "VirtualAta"]

_BUSY, _NOT_FOUND = 0x80, 0x10


class VirtualAta(Disk):
    """An ATA disk that is busy until someone brings its sectors.

    Parameters
    ----------
    pic
        Whose line 14 it pulls.
    sectors
        How many it has.
    submit
        Called with each request; `complete` answers it.

    Examples
    --------
    >>> from virtlab.machine.devices.pic import Pic
    >>> asked = []
    >>> disk = VirtualAta(Pic(), 100, asked.append)
    >>> for port, value in ((0x1F2, 1), (0x1F3, 9), (0x1F6, 0xE0), (0x1F7, 0x20)):
    ...     disk.write(port, 1, value)  # READ SECTORS: one, number 9
    >>> asked, hex(disk.read(0x1F7, 1))
    ([BlockRequest(lba=9, sectors=1, write=False, data=b'')], '0x80')
    >>> disk.complete(b"data".ljust(512))
    >>> hex(disk.read(0x1F7, 1)), disk.read(0x1F0, 4).to_bytes(4, "little")
    ('0x58', b'data')
    """

    kept: tuple[str, ...] = (*Disk.kept, "first", "total", "arrived")

    def __init__(self, pic: Pic, sectors: int, submit: Submit) -> None:
        self._sectors = integer("sectors", sectors, minimum=1, maximum=(1 << 28) - 1)
        self._submit = submit
        self.first, self.total = 0, 0
        self.arrived: Mapping[int, bytes] = MappingProxyType({})
        super().__init__(pic, bytes(SECTOR))

    @property
    def sectors(self) -> int:
        """How many it has."""
        return self._sectors

    def complete(self, data: bytes) -> None:
        """Bring what was asked for, or say that it is written.

        Parameters
        ----------
        data
            The sectors' bytes; of a write, nothing.

        Examples
        --------
        See the class.
        """
        if self.writes:
            super()._ready(data=False)
            return
        parts = {self.first + k: data[k * SECTOR : (k + 1) * SECTOR] for k in range(self.total)}
        self.arrived = MappingProxyType(parts)
        super()._begin_sector(first=True)

    def _sector(self, number: int) -> bytes:
        return self.arrived[number]

    def _begin_sector(self, *, first: bool) -> None:
        """Hand a read on before its first sector; what follows is here already."""
        if first:
            self.first, self.total = self._lba, self.left
            self.written = MappingProxyType({})
            if self.first + self.total > self.sectors:
                self._fail(_NOT_FOUND)
                return
            if not self.writes:
                self.status = _BUSY
                self._submit(BlockRequest(self.first, self.total))
                return
        super()._begin_sector(first=first)

    def _ready(self, *, data: bool, tell: bool = True) -> None:
        """Hand a write on when all of it is here."""
        if self.writes and not data:
            self.status = _BUSY
            whole = b"".join(self.written[self.first + k] for k in range(self.total))
            self._submit(BlockRequest(self.first, self.total, write=True, data=whole))
            return
        super()._ready(data=data, tell=tell)


class OwnDisk(Device):
    """A disk of one port: tell it where the request is described, and wait.

    A description is four words in memory: first sector, sectors, address of the data, and 1 if it
    is to be written.

    Parameters
    ----------
    pic
        Whose line 11 it pulls.
    memory
        The guest's; it moves the data itself.
    sectors
        How many it has.
    submit
        Called with each request; `complete` answers it.

    Examples
    --------
    >>> from virtlab.machine.devices.pic import Pic
    >>> from virtlab.machine.memory import Memory
    >>> asked, memory = [], Memory(4096)
    >>> disk = OwnDisk(Pic(), memory, 100, asked.append)
    >>> for k, word in enumerate((9, 1, 1024, 0)):
    ...     memory.write(16 + 4 * k, word.to_bytes(4, "little"))
    >>> disk.write(0x600, 4, 16)
    >>> asked
    [BlockRequest(lba=9, sectors=1, write=False, data=b'')]
    >>> disk.complete(b"data".ljust(512))
    >>> memory.read(1024, 4), disk.read(0x600, 4)
    (b'data', 1)
    """

    name = "own disk"
    ports = range(0x600, 0x604)
    kept = ("status", "address")
    line = 11
    idle, done, failed, busy = range(4)

    def __init__(self, pic: Pic, memory: Memory, sectors: int, submit: Submit) -> None:
        self.pic, self.memory, self.sectors, self._submit = pic, memory, sectors, submit
        self.status, self.address = self.idle, 0

    def width(self, port: int) -> int:
        """Return 4 for its one port."""
        return 4 if port == self.ports[0] else 1

    def write(self, port: int, size: int, value: int) -> None:
        """Begin the request that is described at an address."""
        if port != self.ports[0] or size != 4 or self.status == self.busy:
            return
        raw = self.memory.read(value, 16)
        lba, sectors, self.address, write = (
            int.from_bytes(raw[k : k + 4], "little") for k in range(0, 16, 4)
        )
        if sectors == 0 or lba + sectors > self.sectors:
            self._end(self.failed)
            return
        self.status = self.busy
        data = self.memory.read(self.address, sectors * SECTOR) if write else b""
        self._submit(BlockRequest(lba, sectors, bool(write), data))

    def read(self, port: int, size: int) -> int:
        """Say how the request ended, and take the interrupt back."""
        del size
        self.pic.lower_irq(self.line)
        return self.status if port == self.ports[0] else 0

    def complete(self, data: bytes) -> None:
        """Bring what was asked for, or say that it is written.

        Parameters
        ----------
        data
            The sectors' bytes; of a write, nothing.

        Examples
        --------
        See the class.
        """
        self.memory.write(self.address, data)
        self._end(self.done)

    def _end(self, status: int) -> None:
        self.status = status
        self.pic.raise_irq(self.line)
