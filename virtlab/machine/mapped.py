r"""Devices that lie in memory: a processor reaches them by plain loads and stores (S16).

A physical address beyond RAM may belong to a device: an interrupt controller's registers, a
network card's, a frame buffer's. Nothing in an instruction tells that it will reach one, so a
monitor cannot wait for an instruction that traps, as it does for `in` and `out`; it has to keep the
page out of the tables that the processor uses, and takes each access as a fault. So do our
translators: their TLB holds pages of RAM alone, an access to any other leaves translated code, and
the instruction is done by itself, at its exact time on the guest's clock. Registers of which a
device says that they are steady are answered at once.

A device is read once by an instruction, as a processor does it, though p-code may read an operand
more than once: what an instruction has read or written it sees until its end.

Source: Intel SDM, volume 1, section 19.3.1 (memory-mapped I/O).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from virtlab.machine.bus import Device
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.bus import Bus
    from virtlab.machine.devices.pit import Clock

__all__ = ["Mapped", "MappedDevice"]

_SIZES = (1, 2, 4)
_END = 1 << 32


class MappedDevice(Device):
    """What answers at addresses beyond RAM.

    Attributes
    ----------
    addresses
        Physical addresses that it answers.

    Examples
    --------
    A device whose one register counts how often it is read, plugged into a computer:

    >>> from virtlab.machine.computer import Computer
    >>> class Counter(MappedDevice):
    ...     name = "counter"
    ...     addresses = range(0xFEC00000, 0xFEC00004)
    ...     kept = ("times",)
    ...     times = 0
    ...
    ...     def load(self, offset: int, size: int) -> int:
    ...         self.times += 1
    ...         return self.times
    ...
    ...     def store(self, offset: int, size: int, value: int) -> None:
    ...         self.times = value
    >>> computer = Computer(ram_mib=2)
    >>> computer.mapped.add(Counter())
    >>> code = "c7050000c0fe28000000 8305 0000c0fe 01 a10000c0fe"  # put 40, add 1, get
    >>> computer.load_code(bytes.fromhex(code))
    >>> _ = [computer.step() for _ in range(3)]
    >>> computer.processor.registers["EAX"]  # 40 was read as 41, and 42 written; then it is 43
    43
    """

    addresses: range
    ports: Sequence[int] = ()

    @abstractmethod
    def load(self, offset: int, size: int) -> int:
        """Answer a load.

        Parameters
        ----------
        offset
            From the first of `addresses`.
        size
            1, 2 or 4 bytes, all of them within `addresses`.

        Returns
        -------
        int
            The value.
        """

    @abstractmethod
    def store(self, offset: int, size: int, value: int) -> None:
        """Take a store.

        Parameters
        ----------
        offset, size
            As in `load`.
        value
            What is written.
        """

    def steady(self, offset: int, size: int) -> bool:  # noqa: ARG002 - a device looks at them
        """Return whether a load changes nothing, and gives the same until something is stored.

        Translated code is then answered without being left. A kernel may ask its interrupt
        controller at each lock which processor it is on.

        Parameters
        ----------
        offset, size
            As in `load`.
        """
        return False

    def read(self, port: int, size: int) -> int:
        """Answer `in`: never asked, as it has no ports."""
        del port
        return (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        """Take `out`: never told."""


class Mapped:
    r"""Finds who answers an address beyond RAM; where nobody does, reads give ones.

    Parameters
    ----------
    bus
        Keeps its devices' state and the log.
    clock
        Differs from one instruction to the next.
    first
        The first address that may be a device's: where RAM ends.

    Attributes
    ----------
    devices
        Those that lie in memory.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> computer.mapped.load(0xFEC00000, 2), computer.mapped.devices
    (b'\xff\xff', [])
    """

    def __init__(self, bus: Bus, clock: Clock, first: int) -> None:
        self.bus, self.clock, self.first = bus, clock, first
        self.devices: list[MappedDevice] = []
        self._seen: dict[tuple[int, int], int] = {}
        self._when = -1

    def add(self, device: MappedDevice) -> None:
        """Let a device answer at its addresses, and at its ports if it has some.

        Parameters
        ----------
        device
            Which.

        Raises
        ------
        InvalidInputError
            If RAM or another device is there, or an address is none.

        Examples
        --------
        See `MappedDevice`.
        """
        own, what = device.addresses, f"addresses of {device.name}"
        told = f"{own.start:#x} to {own.stop - 1:#x}"
        if not own or own.step != 1 or own.start < self.first or own.stop > _END:
            allowed = f"a range from the end of RAM, {self.first:#x}, to {_END - 1:#x}"
            raise InvalidInputError(what, told, allowed)
        for other in self.devices:
            if own.start < other.addresses.stop and other.addresses.start < own.stop:
                raise InvalidInputError(what, told, f"free, but {other.name} has some")
        self.bus.add(device)
        self.devices.append(device)

    def holds(self, address: int) -> bool:
        """Return whether a device answers at an address.

        Parameters
        ----------
        address
            Physical.

        Examples
        --------
        >>> from virtlab.machine.computer import Computer
        >>> Computer(ram_mib=2).mapped.holds(0xFEC00000)
        False
        """
        return any(address in device.addresses for device in self.devices)

    def steady(self, address: int, size: int) -> bool:
        """Return whether a load may be done at any time: no device's, or one that says so.

        Parameters
        ----------
        address, size
            Physical address of the first byte, and how many.

        Examples
        --------
        >>> from virtlab.machine.computer import Computer
        >>> Computer(ram_mib=2).mapped.steady(0xFEC00000, 4)
        True
        """
        device = self._at(address, size)
        if device is None:
            return True
        told = self.bus.log is not None  # each load in its turn
        return not told and device.steady(address - device.addresses.start, size)

    def load(self, address: int, size: int) -> bytes:
        """Read for the processor.

        Parameters
        ----------
        address, size
            Physical address of the first byte, and how many.

        Returns
        -------
        bytes
            What the device says; ones if not all of them are one device's, or it has no such size.

        Examples
        --------
        See the class.
        """
        device, seen = self._at(address, size), self._seen_now()
        if device is None:
            return b"\xff" * size
        if (address, size) not in seen:
            self.bus.touch()
            value = device.load(address - device.addresses.start, size) & (1 << 8 * size) - 1
            self.bus.note(device, address, size, value, write=False)
            seen[address, size] = value
        return seen[address, size].to_bytes(size, "little")

    def store(self, address: int, value: bytes) -> None:
        """Write for the processor.

        Parameters
        ----------
        address
            Physical address of the first byte.
        value
            What; lost where a load would give ones.

        Examples
        --------
        See the class.
        """
        size, number = len(value), int.from_bytes(value, "little")
        device, seen = self._at(address, size), self._seen_now()
        if device is not None:
            self.bus.note(device, address, size, number, write=True)
            self.bus.touch()
            device.store(address - device.addresses.start, size, number)
            seen[address, size] = number

    def _at(self, address: int, size: int) -> MappedDevice | None:
        if size not in _SIZES:
            return None
        ends = (address, address + size - 1)
        return next((one for one in self.devices if all(at in one.addresses for at in ends)), None)

    def _seen_now(self) -> dict[tuple[int, int], int]:
        """Return what this instruction has read and written."""
        when = self.clock.now
        if when != self._when:
            self._when, self._seen = when, {}
        return self._seen
