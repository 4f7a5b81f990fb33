"""The port bus: how a processor reaches what is no memory (S16).

`in` and `out` name a **port**, a number of 16 bits, and one of the devices on the bus answers. Each
such instruction is a place where a VMM steps in: what answers here is virtual hardware, a few
dozen lines that behave as a real part does. Where nothing is plugged in, a bus reads as all ones.

A port is a byte wide. A wider access goes to as many ports, one after another, except where a
device says that its port itself is wider, as the data port of a disk is.

Source: Intel SDM, volume 1, section 19.3 (I/O address space).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Access", "Bus", "Device"]

_LAST_PORT = 0xFFFF


class Access(NamedTuple):
    """One access to a port, or to an address beyond RAM, for the log.

    Attributes
    ----------
    device
        Who answered; 'nobody' where nothing is plugged in.
    write
        Whether it was `out`.
    port, size, value
        Where, how many bytes, and what went over the bus.

    Examples
    --------
    >>> print(Access("uart", True, 0x3F8, 1, 0x41))
    out 0x3f8 <- 0x41 (uart)
    """

    device: str
    write: bool
    port: int
    size: int
    value: int

    def __str__(self) -> str:
        """Write it as one line."""
        way = "out {} <- {}" if self.write else "in {} -> {}"
        if self.port > _LAST_PORT:
            way = "store {} <- {}" if self.write else "load {} -> {}"
        return f"{way.format(hex(self.port), hex(self.value))} ({self.device})"


class Device(ABC):
    """What is plugged into the bus.

    Attributes
    ----------
    name
        As the log names it.
    ports
        Which ports it answers; a range, or several numbers.
    kept
        Names of the attributes that are its state, each a value that never changes itself (a
        number, `bytes`, a tuple), so that a step can be undone.

    Examples
    --------
    A whole device: a counter that goes up each time it is read.

    >>> class Counter(Device):
    ...     name = "counter"
    ...     ports = range(0x200, 0x201)
    ...     kept = ("count",)
    ...
    ...     def __init__(self) -> None:
    ...         self.count = 0
    ...
    ...     def read(self, port: int, size: int) -> int:
    ...         self.count += 1
    ...         return self.count
    ...
    ...     def write(self, port: int, size: int, value: int) -> None:
    ...         self.count = value
    >>> bus, counter = Bus(), Counter()
    >>> bus.add(counter)
    >>> bus.write(0x200, 1, 41)
    >>> before = counter.save()
    >>> bus.read(0x200, 1)
    42
    >>> counter.restore(before)
    >>> counter.count
    41
    """

    name: str
    ports: Sequence[int]
    kept: tuple[str, ...] = ()

    @abstractmethod
    def read(self, port: int, size: int) -> int:
        """Answer `in`.

        Parameters
        ----------
        port
            One of `ports`.
        size
            Bytes; 1, except for a port that `width` says is wider.

        Returns
        -------
        int
            The value.
        """

    @abstractmethod
    def write(self, port: int, size: int, value: int) -> None:
        """Take `out`.

        Parameters
        ----------
        port, size
            As in `read`.
        value
            What is written.
        """

    def save(self) -> tuple[Any, ...]:
        """Return its whole state, as something that will not change."""
        return tuple(getattr(self, name) for name in self.kept)

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go back to a state.

        Parameters
        ----------
        state
            What `save` returned.
        """
        for name, value in zip(self.kept, state, strict=True):
            setattr(self, name, value)

    def width(self, port: int) -> int:  # noqa: ARG002 - a device with wide ports looks at it
        """Return how many bytes a port takes at once: 1, unless a device says otherwise.

        Parameters
        ----------
        port
            One of `ports`.
        """
        return 1

    def next_event(self) -> int | None:
        """Return when it acts by itself next, on the guest's clock; None if it only answers."""
        return None

    def advance(self) -> int:
        """Do what is due by now; return how many events that were."""
        return 0


class Bus:
    r"""Finds who answers a port.

    Attributes
    ----------
    devices
        What is plugged in.
    log
        Where each access is noted; None while nobody asks.
    keeps, before
        Whether the devices' state is kept when one of them is touched, so that a step can be
        undone; and that state, or None while none has been.

    Examples
    --------
    >>> from virtlab.machine.devices.exit_port import ExitPort
    >>> bus = Bus()
    >>> bus.add(ExitPort())
    >>> bus.log = []
    >>> bus.write(0xF4, 1, 3)
    >>> hex(bus.read(0x300, 2))  # nobody is there
    '0xffff'
    >>> print(*bus.log, sep="\n")
    out 0xf4 <- 0x3 (exit port)
    in 0x300 -> 0xffff (nobody)
    """

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.log: list[Access] | None = None
        self.keeps = False
        self.before: tuple[tuple[Any, ...], ...] | None = None
        self._at: dict[int, Device] = {}
        self._timed: list[Device] = []

    def add(self, device: Device) -> None:
        """Plug a device in.

        Parameters
        ----------
        device
            What answers from now on at its ports.

        Raises
        ------
        InvalidInputError
            If another one answers there already, or a port is none.

        Examples
        --------
        >>> from virtlab.machine.devices.exit_port import ExitPort
        >>> bus = Bus()
        >>> bus.add(ExitPort())
        >>> bus.add(ExitPort())
        Traceback (most recent call last):
        virtlab.validate.InvalidInputError: ports of exit port = '0xf4': must be free, but exit \
port has it
        """
        for port in device.ports:
            if not 0 <= port <= _LAST_PORT:
                raise InvalidInputError(f"ports of {device.name}", port, "from 0 to 65535")
            if port in self._at:
                allowed = f"free, but {self._at[port].name} has it"
                raise InvalidInputError(f"ports of {device.name}", hex(port), allowed)
        self._at.update(dict.fromkeys(device.ports, device))
        self.devices.append(device)
        if type(device).next_event is not Device.next_event:
            self._timed.append(device)

    def at(self, port: int) -> Device | None:
        """Return who answers a port.

        Parameters
        ----------
        port
            0 to 65535.

        Returns
        -------
        Device or None
            None where nothing is plugged in.

        Examples
        --------
        >>> Bus().at(0x60) is None
        True
        """
        return self._at.get(port)

    def read(self, port: int, size: int) -> int:
        """Do `in`.

        Parameters
        ----------
        port, size
            Where, and how many bytes: 1, 2 or 4.

        Returns
        -------
        int
            What is there; ones where nobody answers.

        Examples
        --------
        >>> Bus().read(0x80, 1)
        255
        """
        device = self._at.get(port)
        if device is None or size == 1 or device.width(port) >= size:
            value = (1 << 8 * size) - 1
            if device is not None:
                self.touch()
                value &= device.read(port, size)
            self.note(device, port, size, value, write=False)
            return value
        values = [self.read(port + k & 0xFFFF, 1) << 8 * k for k in range(size)]
        return sum(values)

    def write(self, port: int, size: int, value: int) -> None:
        """Do `out`.

        Parameters
        ----------
        port, size
            Where, and how many bytes.
        value
            What; lost where nobody answers.

        Examples
        --------
        >>> Bus().write(0x80, 1, 0)
        """
        device = self._at.get(port)
        if device is None or size == 1 or device.width(port) >= size:
            self.note(device, port, size, value, write=True)
            if device is not None:
                self.touch()
                device.write(port, size, value)
            return
        for k in range(size):
            self.write(port + k & 0xFFFF, 1, value >> 8 * k & 0xFF)

    def next_event(self) -> int | None:
        """Return when the first device acts by itself; None if none does.

        Returns
        -------
        int or None
            On the guest's clock (`virtlab.machine.devices.pit.Clock`).

        Examples
        --------
        >>> Bus().next_event() is None
        True
        """
        first = None
        for one in self._timed:
            event = one.next_event()
            if event is not None and (first is None or event < first):
                first = event
        return first

    def advance(self) -> None:
        """Let each device do what is due by now.

        Examples
        --------
        >>> Bus().advance()
        """
        self.touch()
        for device in self._timed:
            device.advance()

    def save(self) -> tuple[tuple[Any, ...], ...]:
        """Return the state of all devices."""
        return tuple(device.save() for device in self.devices)

    def restore(self, state: tuple[tuple[Any, ...], ...]) -> None:
        """Take all devices back to a state.

        Parameters
        ----------
        state
            What `save` returned.
        """
        for device, own in zip(self.devices, state, strict=True):
            device.restore(own)

    def touch(self) -> None:
        """Say that devices are about to change: their state is kept, if that is wanted.

        All of them, for one that is written to may pull another's line.

        Examples
        --------
        >>> bus = Bus()
        >>> bus.keeps = True
        >>> bus.touch()
        >>> bus.before
        ()
        """
        if self.keeps and self.before is None:
            self.before = self.save()

    def note(self, device: Device | None, port: int, size: int, value: int, *, write: bool) -> None:
        """Put an access into the log, if there is one.

        Parameters
        ----------
        device
            Who answered; None for nobody.
        port, size, value, write
            As `Access` has them.

        Examples
        --------
        >>> bus = Bus()
        >>> bus.log = []
        >>> bus.note(None, 0x80, 1, 7, write=True)
        >>> print(*bus.log)
        out 0x80 <- 0x7 (nobody)
        """
        if self.log is not None:
            name = "nobody" if device is None else device.name
            self.log.append(Access(name, write, port, size, value))
