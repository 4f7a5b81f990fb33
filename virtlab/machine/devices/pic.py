"""The interrupt controller: which device may interrupt the processor now (S16).

It stands for the two Intel 8259A of a PC AT. Each has eight lines; the second one, the slave, hangs
on line 2 of the first, so there are 15. A request is latched when its line rises (IRR). If it is
not masked (IMR), and nothing of its own or a higher priority is in service (ISR), the processor's
INTR rises; the processor's acknowledgement moves it to ISR and fetches its **vector**, the number
of the interrupt gate: the chip's base plus the line. The handler ends service with an **EOI**.

A guest's kernel programs it by four bytes (ICW1 to ICW4), and then writes masks (OCW1) and EOIs
(OCW2). A request that has vanished when the processor asks is answered as line 7: **spurious**.

Source: Intel 8259A data sheet (1988). As in QEMU and KVM, a latched request stays when its line
falls; the chip itself would call it spurious. Left out: level-triggered mode, special masks, poll,
the special fully nested mode, 8080 mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtlab.machine.bus import Device
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Chip", "Pic"]

_CASCADE = 2  # line of the master on which the slave hangs


@dataclass
class Chip:
    """One 8259A.

    Attributes
    ----------
    lines, irr, isr, imr
        A bit for each line: is high; is requested; is in service; is masked.
    base
        Vector of line 0.
    lowest
        Line of the lowest priority; the one after it has the highest.

    Examples
    --------
    >>> chip = Chip(imr=0, base=0x20)
    >>> chip.line(4, high=True)
    >>> chip.line(3, high=True)
    >>> chip.wanted(), hex(chip.acknowledge())
    (3, '0x23')
    >>> chip.wanted() is None  # 4 has a lower priority than 3, which is in service
    True
    """

    lines: int = 0
    irr: int = 0
    isr: int = 0
    imr: int = 0xFF
    base: int = 0
    lowest: int = 7
    expects: int = 0  # which of ICW2 to ICW4 comes next; 0 if none
    needs_icw4: bool = False
    automatic: bool = False  # EOI
    shows_isr: bool = False

    def line(self, number: int, *, high: bool) -> None:
        """Change a line; a rising one is a request."""
        bit = 1 << number
        if high and not self.lines & bit:
            self.irr |= bit
        self.lines = self.lines | bit if high else self.lines & ~bit

    def wanted(self) -> int | None:
        """Return the line that asks for service now, if one does."""
        for number in self._by_priority():
            if self.isr >> number & 1:
                return None
            if self.irr & ~self.imr & 1 << number:
                return number
        return None

    def acknowledge(self) -> int:
        """Begin service of the line that asks, and return its vector."""
        number = self.wanted()
        if number is None:
            return self.base + 7
        self.irr &= ~(1 << number)
        if not self.automatic:
            self.isr |= 1 << number
        return self.base + number

    def read(self, *, mask: bool) -> int:
        """Return the mask, or IRR or ISR, whichever OCW3 chose."""
        return self.imr if mask else self.isr if self.shows_isr else self.irr

    def write_command(self, value: int) -> None:
        """Take ICW1, OCW2 or OCW3."""
        if value & 0x10:
            self.irr = self.isr = self.imr = 0
            self.lowest, self.automatic, self.shows_isr = 7, False, False
            self.expects, self.needs_icw4 = 2, bool(value & 1)
        elif value & 0x08:
            if value & 2:
                self.shows_isr = bool(value & 1)
        elif value & 0x20:
            self._end(value & 7 if value & 0x40 else None, rotate=bool(value & 0x80))
        elif value & 0xE0 == 0xC0:
            self.lowest = value & 7

    def write_data(self, value: int) -> None:
        """Take ICW2 to ICW4 while they are expected, else OCW1."""
        if self.expects == 0:
            self.imr = value
        elif self.expects == 2:
            self.base, self.expects = value & 0xF8, 3
        elif self.expects == 3:  # where the slave hangs is wired here
            self.expects = 4 if self.needs_icw4 else 0
        else:
            self.automatic, self.expects = bool(value & 2), 0

    def _by_priority(self) -> list[int]:
        return [self.lowest + 1 + k & 7 for k in range(8)]

    def _end(self, number: int | None, *, rotate: bool) -> None:
        """End service of a line; of the one with the highest priority if none is named."""
        if number is None:
            number = next((n for n in self._by_priority() if self.isr >> n & 1), None)
        if number is not None:
            self.isr &= ~(1 << number)
            if rotate:
                self.lowest = number


class Pic(Device):
    """The pair.

    Attributes
    ----------
    chips
        The master and the slave.

    Examples
    --------
    >>> pic = Pic()
    >>> for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1)):
    ...     pic.write(port, 1, value)
    >>> pic.raise_irq(0)
    >>> pic.pending(), hex(pic.acknowledge()), pic.pending()
    (True, '0x20', False)
    """

    name = "interrupt controller"
    ports: Sequence[int] = (0x20, 0x21, 0xA0, 0xA1)

    def __init__(self) -> None:
        self.chips = Chip(base=0x08), Chip(base=0x70)  # as the BIOS leaves them, all masked

    def raise_irq(self, number: int) -> None:
        """Raise a line: 0 to 15; line 2 is the slave's own."""
        self._line(number, high=True)

    def lower_irq(self, number: int) -> None:
        """Lower a line."""
        self._line(number, high=False)

    def is_high(self, number: int) -> bool:
        """Return whether a line is raised: 0 to 15."""
        return bool(self.chips[number >> 3].lines >> (number & 7) & 1)

    def pending(self) -> bool:
        """Return whether the processor's INTR is high."""
        return self.chips[0].wanted() is not None

    def acknowledge(self) -> int:
        """Answer the processor: the vector of the interrupt that is now in service."""
        master, slave = self.chips
        from_slave = master.wanted() == _CASCADE
        vector = master.acknowledge()
        if from_slave:
            vector = slave.acknowledge()
            self._cascade()
        return vector

    def read(self, port: int, size: int) -> int:
        """Read a chip."""
        return self.chips[port >> 7].read(mask=bool(port & 1))

    def write(self, port: int, size: int, value: int) -> None:
        """Program a chip."""
        chip = self.chips[port >> 7]
        if port & 1:
            chip.write_data(value)
        else:
            chip.write_command(value)
        self._cascade()

    def save(self) -> tuple[Any, ...]:
        """Return its state."""
        return tuple(tuple(vars(chip).values()) for chip in self.chips)

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go back to a state."""
        self.chips = Chip(*state[0]), Chip(*state[1])

    def _line(self, number: int, *, high: bool) -> None:
        integer("irq", number, minimum=0, maximum=15)
        self.chips[number >> 3].line(number & 7, high=high)
        if number > 7:
            self._cascade()

    def _cascade(self) -> None:
        """Let the slave's INTR be the master's line 2."""
        master, slave = self.chips
        master.line(_CASCADE, high=slave.wanted() is not None)
