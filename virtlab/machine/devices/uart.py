"""The serial port: a console of one byte at a time (S16).

It stands for the National Semiconductor 16550 at COM1, IRQ 4. A byte written to THR is sent at
once, and collected in `output`; what a person types waits in `input` and is read from RBR. IER says
for what it interrupts: a byte has come (bit 0), or THR is empty (bit 1). LSR says the same to who
asks; with bit 7 of LCR (DLAB) two ports are the divisor of the speed instead.

When a key is pressed is input as much as which one. A run with a person at its console can be
repeated if both are written down: `keys` are bytes with the instruction at which each comes.

Source: National PC16550D data sheet (1995). Left out: the time that a byte takes, errors, modem
lines, and the depth of its queue: it never overruns, and `room` is for who wants to mind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.machine.bus import Device
from virtlab.machine.devices.pit import Clock
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.devices.pic import Pic

__all__ = ["Key", "Uart", "checked_keys"]

_IRQ = 4
_QUEUE = 16  # bytes, once a driver has switched it on
_DATA, _IER, _IIR, _LCR, _MCR, _LSR, _MSR, _SCRATCH = range(8)
_DLAB, _LOOP = 0x80, 0x10
_NOTHING, _EMPTY, _CAME = 0x01, 0x02, 0x04  # IIR


class Key(NamedTuple):
    """A byte that is typed.

    Attributes
    ----------
    time
        When: instructions done and waited.
    byte
        0 to 255.
    """

    time: int
    byte: int


class Uart(Device):
    """One serial port.

    Parameters
    ----------
    pic
        Whose line 4 it pulls.
    clock
        The guest's time; its beginning for ever if not given.
    keys
        (time, byte) of what is typed to come, in order of time.

    Raises
    ------
    InvalidInputError
        If a key's time or byte cannot be.

    Attributes
    ----------
    output
        What the guest has sent.
    input
        What it has not read yet.

    Examples
    --------
    >>> from virtlab.machine.devices.pic import Pic
    >>> uart = Uart(Pic())
    >>> for letter in b"ok":
    ...     uart.write(0x3F8, 1, letter)
    >>> bytes(uart.output)
    b'ok'
    >>> uart.type(b"y")
    >>> hex(uart.read(0x3FD, 1)), chr(uart.read(0x3F8, 1)), hex(uart.read(0x3FD, 1))
    ('0x61', 'y', '0x60')
    >>> clock = Clock()
    >>> later = Uart(Pic(), clock, [(100, 0x61), (200, 0x62)])
    >>> clock.waited = 150
    >>> later.advance(), later.input, later.next_event()
    (1, b'a', 200)
    """

    name = "serial port"
    ports: Sequence[int] = range(0x3F8, 0x400)
    kept = ("input", "ier", "lcr", "mcr", "scratch", "divisor", "fifo", "empty", "last", "came")

    def __init__(
        self, pic: Pic, clock: Clock | None = None, keys: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.pic, self.clock = pic, clock or Clock()
        self.keys, self.came = checked_keys(keys), 0  # how many of them have come
        self.output = bytearray()
        self.input = b""
        self.ier = self.lcr = self.mcr = self.scratch = self.last = 0
        self.divisor = 12  # 9600 bits a second
        self.fifo = False
        self.empty = False  # that THR is empty was not told yet

    def type(self, text: bytes) -> None:
        """Send bytes to the guest, as a person at the keyboard does."""
        self.input += text
        self._interrupt()

    @property
    def room(self) -> int:
        """How many more bytes a real one could take now."""
        return max(0, (_QUEUE if self.fifo else 1) - len(self.input))

    def next_event(self) -> int | None:
        """Return when the next key comes; None if none does."""
        return self.keys[self.came].time if self.came < len(self.keys) else None

    def advance(self) -> int:
        """Take the keys that have come by now; return how many."""
        first, now = self.came, self.clock.now
        while self.came < len(self.keys) and self.keys[self.came].time <= now:
            self.came += 1
        if self.came > first:
            self.type(bytes(key.byte for key in self.keys[first : self.came]))
        return self.came - first

    def read(self, port: int, size: int) -> int:
        """Read a register."""
        register = port & 7
        if self.lcr & _DLAB and register <= _IER:
            return self.divisor >> 8 * register & 0xFF
        if register == _DATA:
            if self.input:  # else it is the one before once more
                self.last, self.input = self.input[0], self.input[1:]
                self.pic.lower_irq(_IRQ)  # the byte after it comes when this one is read
            self._interrupt()
            return self.last
        if register == _IIR:
            reason = self._reason()
            if reason == _EMPTY:  # to read it is to be told
                self.empty = False
                self._interrupt()
            return reason | (0xC0 if self.fifo else 0)
        if register == _LSR:
            return 0x60 | bool(self.input)
        plain = {_IER: self.ier, _LCR: self.lcr, _MCR: self.mcr, _SCRATCH: self.scratch}
        return plain.get(register, self._modem)

    def write(self, port: int, size: int, value: int) -> None:
        """Write a register."""
        register = port & 7
        if self.lcr & _DLAB and register <= _IER:
            kept = self.divisor & (0xFF00 if register == _DATA else 0xFF)
            self.divisor = kept | value << 8 * register
        elif register == _DATA:
            self._send(value)
        elif register == _IER:
            self.empty = self.empty or bool(value & ~self.ier & 2)
            self.ier = value & 0xF
        elif register == _IIR:  # FCR when written
            self.fifo = bool(value & 1)
            self.input = b"" if value & 2 else self.input
        elif register == _LCR:
            self.lcr = value
        elif register == _MCR:
            self.mcr = value & 0x1F
        elif register == _SCRATCH:
            self.scratch = value
        self._interrupt()

    def save(self) -> tuple[Any, ...]:
        """Return its state."""
        return (*super().save(), bytes(self.output))

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go back to a state."""
        super().restore(state[:-1])
        self.output = bytearray(state[-1])

    @property
    def _modem(self) -> int:
        """MSR: the other side is there; in a loop it is oneself."""
        if not self.mcr & _LOOP:
            return 0xB0
        return (self.mcr & 0xC) << 4 | (self.mcr & 2) << 3 | (self.mcr & 1) << 5

    def _send(self, value: int) -> None:
        if self.mcr & _LOOP:  # a driver's test: it hears itself
            self.input += bytes([value])
        else:
            self.output.append(value)
        self.empty = True

    def _reason(self) -> int:
        if self.ier & 1 and self.input:
            return _CAME
        return _EMPTY if self.ier & 2 and self.empty else _NOTHING

    def _interrupt(self) -> None:
        if self._reason() == _NOTHING:
            self.pic.lower_irq(_IRQ)
        else:
            self.pic.raise_irq(_IRQ)


def checked_keys(keys: Sequence[tuple[int, int]], name: str = "keys") -> tuple[Key, ...]:
    """Return keys, if each can be pressed and none comes before the one before it.

    Parameters
    ----------
    keys
        (time, byte) each.
    name
        What they are called in errors.

    Returns
    -------
    tuple of Key
        The same.

    Raises
    ------
    InvalidInputError
        If one cannot.

    Examples
    --------
    >>> checked_keys([(5, 65), (4, 65)])
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: keys[1] time = 4: must be at least 5, the time of the one \
before
    """
    found: list[Key] = []
    for number, (time, byte) in enumerate(keys):
        key = Key(
            integer(f"{name}[{number}] time", time, minimum=0),
            integer(f"{name}[{number}] byte", byte, minimum=0, maximum=255),
        )
        if found and key.time < found[-1].time:
            allowed = f"at least {found[-1].time}, the time of the one before"
            raise InvalidInputError(f"{name}[{number}] time", key.time, allowed)
        found.append(key)
    return tuple(found)
