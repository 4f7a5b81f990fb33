"""The serial port: a console of one byte at a time (S16).

It stands for the National Semiconductor 16550 at COM1, IRQ 4. A byte written to THR is sent at
once, and collected in `output`; what a person types waits in `input` and is read from RBR. IER says
for what it interrupts: a byte has come (bit 0), or THR is empty (bit 1). LSR says the same to who
asks; with bit 7 of LCR (DLAB) two ports are the divisor of the speed instead.

What is typed, and when, comes over the wire (`virtlab.machine.devices.wire`). Whether the port is
ready never changes while it only sends, so nobody has to stop for that question, nor for what is
sent (`virtlab.machine.coalesced`), as long as the guest does not want to be told when it is sent.

Source: National PC16550D data sheet (1995). Left out: the time that a byte takes, errors, modem
lines, and the depth of its queue: it never overruns, and `room` is for who wants to mind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.coalesced import Offer
from virtlab.machine.devices.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.devices.pic import Pic
    from virtlab.machine.devices.pit import Clock

__all__ = ["Uart"]

_IRQ = 4
_QUEUE = 16  # bytes, once a driver has switched it on
_DATA, _IER, _IIR, _LCR, _MCR, _LSR, _MSR, _SCRATCH = range(8)
_DLAB, _LOOP = 0x80, 0x10
_NOTHING, _EMPTY, _CAME = 0x01, 0x02, 0x04  # IIR


class Uart(Wire):
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
    >>> from virtlab.machine.devices.pit import Clock
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
        super().__init__(clock, keys)
        self.pic = pic
        self.ier = self.lcr = self.mcr = self.scratch = self.last = 0
        self.divisor = 12  # 9600 bits a second
        self.fifo = False
        self.empty = False  # that THR is empty was not told yet

    @property
    def room(self) -> int:
        """How many more bytes a real one could take now."""
        return max(0, (_QUEUE if self.fifo else 1) - len(self.input))

    def offer(self) -> Offer:
        """Offer LSR, and to take what is sent while nobody wants to be told that it is."""
        ready = ((self.ports[_LSR], self._ready),)
        tells = self.ier & 2 or self.lcr & _DLAB or self.mcr & _LOOP
        return Offer(ready, () if tells else (self.ports[_DATA],))

    def take(self, port: int, data: bytes) -> None:
        """Take what was sent."""
        del port  # it takes from THR only
        self.output += data
        self.empty = True

    def read(self, port: int, size: int) -> int:
        """Read a register."""
        register = port & 7
        if self.lcr & _DLAB and register <= _IER:
            return self.divisor >> 8 * register & 0xFF
        if register == _DATA:
            if self.input:  # else it is the one before once more
                self.last, self.input = self.input[0], self.input[1:]
                self.pic.lower_irq(_IRQ)  # the byte after it comes when this one is read
            self.tell()
            return self.last
        if register == _IIR:
            reason = self._reason()
            if reason == _EMPTY:  # to read it is to be told
                self.empty = False
                self.tell()
            return reason | (0xC0 if self.fifo else 0)
        if register == _LSR:
            return self._ready
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
        self.tell()

    @property
    def _ready(self) -> int:
        """LSR: it can always send; a byte has come, or none."""
        return 0x60 | bool(self.input)

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

    def tell(self) -> None:
        """Let the line be high if there is something to tell."""
        if self._reason() == _NOTHING:
            self.pic.lower_irq(_IRQ)
        else:
            self.pic.raise_irq(_IRQ)
