"""The ports that translated code reaches by itself: a map of shadows, and a ring of writes (S18).

Translated code that comes to an `in` looks into the map: is there an answer for this port? An `out`
puts what is written, and where, into the ring, if the map says that this may wait. Whatever else
it is, the code is left, and the interpreter asks the device, as always
(`virtlab.machine.translation.deprivilege` writes that code).

Here is the other side. Before code is entered, each device's offer (`virtlab.machine.coalesced`)
is put into the map; when it was left, for whatever reason, the ring is emptied into the devices, in
order, before anything else happens. So nobody can tell a write that waited from one that did not.

At a port where nothing is plugged in, ones are read and writes are lost: that needs no device.
Whoever wants to see each access (`Bus.log`) gets each: then the map allows nothing.
"""

from __future__ import annotations

import struct
from itertools import groupby
from typing import TYPE_CHECKING

from virtlab.machine.coalesced import Coalescing, Offer
from virtlab.machine.translation.layout import (
    ANSWERED,
    PORT_MAP,
    READS,
    RING,
    RING_SIZE,
    WRITES,
)

if TYPE_CHECKING:
    from virtlab.machine.bus import Bus

__all__ = ["PortMap"]

_PORTS = 1 << 16
_NOBODY = READS | WRITES | 0xFF
_COUNTS = struct.Struct("<II")  # ANSWERED and WAITING
_NOTHING = bytes(_COUNTS.size)


class PortMap:
    """Keeps the map, and empties the ring.

    Parameters
    ----------
    view
        The buffer of `virtlab.machine.translation.layout`.
    bus
        Whose devices it speaks for.

    Examples
    --------
    >>> from virtlab.machine.bus import Bus
    >>> from virtlab.machine.devices.pic import Pic
    >>> from virtlab.machine.devices.uart import Uart
    >>> from virtlab.machine.translation.layout import RAM
    >>> bus, uart = Bus(), Uart(Pic())
    >>> bus.add(uart)
    >>> ports = PortMap(memoryview(bytearray(RAM)), bus)
    >>> ports.publish()
    >>> [hex(ports.map[port]) for port in (0x80, 0x3F8, 0x3F9, 0x3FD)]
    ['0x3ff', '0x200', '0x0', '0x160']
    """

    def __init__(self, view: memoryview, bus: Bus) -> None:
        self.view, self.bus = view, bus
        self.map = view[PORT_MAP : PORT_MAP + 2 * _PORTS].cast("H")
        self._ring = view[RING : RING + 4 * RING_SIZE].cast("H")
        self._devices = 0  # how many are spoken for
        self._offering: list[Coalescing] = []
        self._offers: list[Offer] = []
        self._takers: dict[int, Coalescing] = {}

    def publish(self) -> None:
        """Say what code may do that is entered now.

        Examples
        --------
        See the class.
        """
        is_watched = self.bus.log is not None or self.bus.keeps
        if self._devices != (0 if is_watched else len(self.bus.devices)):
            self._begin(is_watched=is_watched)
        offers = [device.offer() for device in self._offering]
        if offers != self._offers:
            for old in self._offers:
                for port in (*(port for port, _ in old.answers), *old.takes):
                    self.map[port] = 0
            for new in offers:
                for port, value in new.answers:
                    self.map[port] = READS | value & 0xFF
                for port in new.takes:
                    self.map[port] |= WRITES
            self._offers = offers
            both = zip(self._offering, offers, strict=True)
            self._takers = {port: device for device, new in both for port in new.takes}

    def _begin(self, *, is_watched: bool) -> None:
        """Fill the whole map: with what holds where nothing is plugged in, or with nothing."""
        self._devices = 0 if is_watched else len(self.bus.devices)
        one = bytes(2) if is_watched else struct.pack("<H", _NOBODY)
        self.view[PORT_MAP : PORT_MAP + 2 * _PORTS] = one * _PORTS
        self._offering, self._offers, self._takers = [], [], {}
        for device in self.bus.devices[: self._devices]:
            for port in device.ports:
                self.map[port] = 0
            if isinstance(device, Coalescing):
                self._offering.append(device)

    def collect(self) -> int:
        """Hand on what was written while code ran.

        Returns
        -------
        int
            How many accesses code has done by itself, reads too.

        Examples
        --------
        >>> from virtlab.machine.computer import Computer
        >>> computer = Computer(ram_mib=2, history=0, tier="python")
        >>> computer.load_code(bytes.fromhex("66baf803 b041 b90a000000 ee 49 75fc f4"))
        >>> computer.run().text  # out dx, al, ten times
        'AAAAAAAAAA'
        >>> computer.translator.counts["coalesced"] > 5, computer.translator.ports.collect()
        (True, 0)
        """
        answered, waiting = _COUNTS.unpack_from(self.view, ANSWERED)
        if not answered + waiting:
            return 0
        self.view[ANSWERED : ANSWERED + _COUNTS.size] = _NOTHING
        values = bytes(self.view[RING : RING + 4 * waiting : 4])
        at = 0
        for port, run in groupby(self._ring[1 : 2 * waiting : 2].tolist()):
            end = at + len(list(run))
            if port in self._takers:
                self._takers[port].take(port, values[at:end])
            at = end
        return int(answered + waiting)
