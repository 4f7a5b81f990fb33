"""What is really there: one disk, with an arm that moves and plates that turn (S13, S15).

The **disk** is a SCSI disk with an arm that moves and plates that turn. A request takes

    controller + seek(distance) + rotation(until the sector comes by) + transfer

and in that time no other is served. `HP97560` has the published figures of one real disk, the best
described of its time; a disk of 2004 is faster in each term. The bytes are real too: they are read
from a file, and written to it.

Source: C. Ruemmler, J. Wilkes, "An introduction to disk drive modeling", IEEE Computer, March 1994.
Left out: the disk's cache and its read-ahead, skew between tracks, zones, the SCSI bus (10 MB/s,
faster than the plates), spare sectors.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = [
    "HP97560",
    "SECTOR",
    "BlockRequest",
    "Geometry",
    "PhysicalDisk",
    "Service",
]

SECTOR = 512


class BlockRequest(NamedTuple):
    r"""Some sectors to read or to write.

    Attributes
    ----------
    lba
        Number of the first sector (logical block address).
    sectors
        How many.
    write
        Whether they are written.
    data
        What is written; empty for a read.

    Examples
    --------
    >>> BlockRequest(8, 2).moved(100)
    BlockRequest(lba=108, sectors=2, write=False, data=b'')
    >>> print(BlockRequest(8, 2))
    read 2 sectors at 8
    """

    lba: int
    sectors: int
    write: bool = False
    data: bytes = b""

    def moved(self, sectors: int) -> BlockRequest:
        """Return the same request so many sectors further on."""
        return self._replace(lba=self.lba + sectors)

    def __str__(self) -> str:
        """Say it in words."""
        size = f"{self.sectors} sector{'' if self.sectors == 1 else 's'}"
        return f"{'write' if self.write else 'read'} {size} at {self.lba}"


@dataclass(frozen=True)
class Geometry:
    """How a disk is built, and how fast it is.

    Attributes
    ----------
    cylinders, tracks, sectors
        Cylinders; tracks of a cylinder; sectors of a track.
    rpm
        Turns a minute.
    controller_ms
        What the controller takes for each request.
    track_switch_ms
        From one track of a cylinder to the next.
    short_ms, long_ms
        Seek over d cylinders: `short_ms[0] + short_ms[1] * sqrt(d)` while d < `boundary`, and
        `long_ms[0] + long_ms[1] * d` from there on.
    boundary
        As above, cylinders.

    Examples
    --------
    >>> HP97560.seek_ms(0), HP97560.seek_ms(1), HP97560.seek_ms(1000)
    (0.0, 3.64, 16.0)
    >>> round(HP97560.turn_ms, 2), HP97560.capacity // 10**6  # MB
    (14.99, 1374)
    """

    cylinders: int = 1962
    tracks: int = 19
    sectors: int = 72
    rpm: float = 4002.0
    controller_ms: float = 2.2
    track_switch_ms: float = 1.6
    short_ms: tuple[float, float] = (3.24, 0.400)
    long_ms: tuple[float, float] = (8.00, 0.008)
    boundary: int = 383

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("cylinders", "tracks", "sectors"):
            integer(name, getattr(self, name), minimum=1)
        number("rpm", self.rpm, minimum=1)
        number("controller_ms", self.controller_ms, minimum=0)
        number("track_switch_ms", self.track_switch_ms, minimum=0)

    @property
    def turn_ms(self) -> float:
        """Time of a turn."""
        return 60_000 / self.rpm

    @property
    def capacity(self) -> int:
        """Bytes."""
        return self.cylinders * self.tracks * self.sectors * SECTOR

    def cylinder(self, lba: int) -> int:
        """Return the cylinder of a sector.

        Parameters
        ----------
        lba
            The sector.

        Examples
        --------
        >>> HP97560.cylinder(1367), HP97560.cylinder(1368)
        (0, 1)
        """
        return lba // (self.tracks * self.sectors)

    def seek_ms(self, distance: int) -> float:
        """Return how long the arm moves.

        Parameters
        ----------
        distance
            Cylinders.

        Examples
        --------
        See the class.
        """
        if distance == 0:
            return 0.0
        if distance < self.boundary:
            return self.short_ms[0] + self.short_ms[1] * math.sqrt(distance)
        return self.long_ms[0] + self.long_ms[1] * distance


HP97560 = Geometry()


@dataclass(frozen=True)
class Service:
    """What a request takes at the disk, microseconds.

    Attributes
    ----------
    start_us
        When it began.
    controller_us, seek_us, rotation_us, transfer_us
        Its four parts.

    Examples
    --------
    >>> Service(0, 2200, 3640, 7000, 210).us
    13050
    """

    start_us: float
    controller_us: float
    seek_us: float
    rotation_us: float
    transfer_us: float

    @property
    def us(self) -> float:
        """All four."""
        return self.controller_us + self.seek_us + self.rotation_us + self.transfer_us

    @property
    def done_us(self) -> float:
        """When it is over."""
        return self.start_us + self.us

    @property
    def words(self) -> str:
        """Its parts, as one reads them."""
        parts = (self.controller_us, self.seek_us, self.rotation_us, self.transfer_us)
        return "controller {:.1f}, seek {:.1f}, rotation {:.1f}, transfer {:.1f} ms".format(
            *(part / 1000 for part in parts)
        )


class PhysicalDisk:
    r"""The disk: an arm, plates that turn, and bytes in a file.

    Parameters
    ----------
    file
        Where its bytes are; a file that can be read and written in place.
    geometry
        How it is built.

    Attributes
    ----------
    cylinder
        Where the arm is.
    service
        Of the request that is served now; None while it is idle.
    requests, moved_bytes, busy_us
        What it has done so far.

    Examples
    --------
    >>> disk = PhysicalDisk.of(bytes(100 * 512))
    >>> service = disk.start(BlockRequest(7, 1, write=True, data=b"x" * 512), now_us=0.0)
    >>> round(service.us)  # 2.2 ms, no seek, wait for sector 7, and its transfer
    16658
    >>> disk.finish()
    b''
    >>> _ = disk.start(BlockRequest(7, 1), now_us=service.done_us)
    >>> disk.finish()[:3]
    b'xxx'
    """

    def __init__(self, file: BinaryIO, geometry: Geometry = HP97560) -> None:
        self.file, self.geometry = file, geometry
        size = file.seek(0, io.SEEK_END)
        if not 0 < size <= geometry.capacity or size % SECTOR:
            allowed = f"whole sectors, at least one and at most {geometry.capacity}"
            raise InvalidInputError("bytes of the disk", size, allowed)
        self.sectors = size // SECTOR
        self.cylinder = 0
        self.service: Service | None = None
        self.requests, self.moved_bytes, self.busy_us = 0, 0, 0.0
        self._now: BlockRequest | None = None

    @classmethod
    def of(cls, data: bytes, geometry: Geometry = HP97560) -> PhysicalDisk:
        """Return a disk whose bytes are in memory.

        Parameters
        ----------
        data
            Its bytes.
        geometry
            How it is built.

        Examples
        --------
        >>> PhysicalDisk.of(bytes(1024)).sectors
        2
        """
        return cls(io.BytesIO(data), geometry)

    def start(self, request: BlockRequest, now_us: float) -> Service:
        """Begin a request.

        Parameters
        ----------
        request
            What to do.
        now_us
            The time.

        Returns
        -------
        Service
            What it will take.

        Raises
        ------
        InvalidInputError
            If another is being served, or there are no such sectors.

        Examples
        --------
        See the class.
        """
        if self.service is not None:
            raise InvalidInputError("disk", "busy", "idle: it serves one request after the other")
        end = request.lba + request.sectors
        if request.lba < 0 or request.sectors < 1 or end > self.sectors:
            allowed = f"in 0 to {self.sectors - 1}"
            raise InvalidInputError("sectors", (request.lba, end - 1), allowed)
        self._now, self.service = request, self._takes(request, now_us)
        return self.service

    def finish(self) -> bytes:
        """End the request: move its bytes, and let the disk be idle.

        Returns
        -------
        bytes
            What was read; nothing if it was a write.

        Examples
        --------
        See the class.
        """
        request, service = self._now, self.service
        if request is None or service is None:
            raise InvalidInputError("disk", "idle", "busy")
        self._now = self.service = None
        self.cylinder = self.geometry.cylinder(request.lba + request.sectors - 1)
        self.requests += 1
        self.moved_bytes += request.sectors * SECTOR
        self.busy_us += service.us
        self.file.seek(request.lba * SECTOR)
        if request.write:
            self.file.write(request.data)
            return b""
        return self.file.read(request.sectors * SECTOR)

    def _takes(self, request: BlockRequest, now_us: float) -> Service:
        made = self.geometry
        turn_us = made.turn_ms * 1000
        controller_us = made.controller_ms * 1000
        first, last = request.lba, request.lba + request.sectors - 1
        seek_us = made.seek_ms(abs(made.cylinder(first) - self.cylinder)) * 1000
        passed = (now_us + controller_us + seek_us) / turn_us  # turns since the beginning of time
        rotation_us = (first / made.sectors - passed) % 1.0 * turn_us
        switches = last // made.sectors - first // made.sectors
        transfer_us = request.sectors / made.sectors * turn_us
        transfer_us += switches * made.track_switch_ms * 1000
        return Service(now_us, controller_us, seek_us, rotation_us, transfer_us)
