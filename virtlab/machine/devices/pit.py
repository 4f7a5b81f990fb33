"""The timer: what makes a kernel preemptive (S16, S21).

It stands for channel 0 of the Intel 8254, whose output is IRQ 0 of every PC. A counter of 16 bits
counts down, one for each tick of a clock of 1,193,182 Hz; in mode 0 it interrupts once, at zero; in
modes 2 and 3 it does so after each `count` ticks.

A guest's time here is not the host's time but the number of instructions done: one tick is
`instructions_per_tick` of them. So an interrupt comes at the same instruction in every run, and a
run can be repeated exactly; a real hypervisor does this to replay a run, and otherwise has to
decide what a tick is while its guest is not running. `next_event` says when the output rises next;
a faster engine may run up to there without a look at the timer.

Source: Intel 8254 data sheet (1993). As in QEMU a new count counts from when it is written; the
chip takes one more tick, and in modes 2 and 3 first ends the count before. Left out: modes 1, 4 and
5, BCD, the gate, channels 1 and 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.bus import Device
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.machine.devices.pic import Pic

__all__ = ["INSTRUCTIONS_PER_TICK", "Clock", "Pit"]

INSTRUCTIONS_PER_TICK = 16  # as a processor of 19 million instructions a second has; a fast 386


class Clock:
    """The guest's time, counted in instructions.

    Parameters
    ----------
    done
        Says how many instructions were done.

    Attributes
    ----------
    waited
        How many more there would have been while the processor was halted, and one for each that
        could not be done, so that time goes on there too.

    Examples
    --------
    >>> clock = Clock(lambda: 100)
    >>> clock.waited = 20
    >>> clock.now
    120
    """

    def __init__(self, done: Callable[[], int] = lambda: 0) -> None:
        self._done = done
        self.waited = 0

    @property
    def now(self) -> int:
        """What time it is."""
        return self._done() + self.waited


class Pit(Device):
    """Channel 0 of the timer.

    Parameters
    ----------
    clock
        The guest's time.
    pic
        Whose line 0 it pulls.
    instructions_per_tick
        How long a tick is.

    Examples
    --------
    >>> from virtlab.machine.devices.pic import Pic
    >>> clock = Clock()
    >>> pit = Pit(clock, Pic(), instructions_per_tick=10)
    >>> for port, value in ((0x43, 0x34), (0x40, 100), (0x40, 0)):  # mode 2, every 100 ticks
    ...     pit.write(port, 1, value)
    >>> pit.next_event()
    1000
    >>> clock.waited = 2500
    >>> pit.advance(), pit.next_event()
    (2, 3000)
    """

    name = "timer"
    ports: Sequence[int] = range(0x40, 0x44)
    kept = ("mode", "access", "count", "start", "next", "low", "latch", "high_next")

    def __init__(
        self, clock: Clock, pic: Pic, instructions_per_tick: int = INSTRUCTIONS_PER_TICK
    ) -> None:
        self.clock, self.pic = clock, pic
        self.period = integer("instructions_per_tick", instructions_per_tick, minimum=1)
        self.mode, self.access = 3, 3
        self.count, self.start = 0, 0  # in ticks; at which instruction the count began
        self.next: int | None = None
        self.low: int | None = None  # first byte of a count of two
        self.latch: int | None = None  # a value that was stopped to be read
        self.high_next = False  # whether the second byte is read next

    def next_event(self) -> int | None:
        """Return at which instruction the output rises next; None if it does not."""
        return self.next

    def advance(self) -> int:
        """Pull IRQ 0 for what has passed by now; return how many events that were."""
        if self.next is None or self.clock.now < self.next:
            return 0
        self.pic.lower_irq(0)
        self.pic.raise_irq(0)
        if self.mode == 0:
            self.next = None
            return 1
        whole = self.count * self.period
        passed = (self.clock.now - self.next) // whole + 1
        self.next += passed * whole
        return passed

    def counter(self) -> int:
        """Return what the counter stands at."""
        ticks = (self.clock.now - self.start) // self.period
        if self.mode == 0 or self.count == 0:
            return self.count - ticks & 0xFFFF
        if self.mode == 3:  # counts by two, so that half of the time the output is high
            return self.count - 2 * ticks % self.count & 0xFFFE
        return self.count - ticks % self.count & 0xFFFF

    def read(self, port: int, size: int) -> int:
        """Read the counter, byte by byte."""
        if port != 0x40:
            return 0xFF
        value = self.counter() if self.latch is None else self.latch
        high = self.access == 2 or (self.access == 3 and self.high_next)
        if self.access == 3:
            self.high_next = not self.high_next
        if high or self.access != 3:
            self.latch = None
        return value >> 8 if high else value & 0xFF

    def write(self, port: int, size: int, value: int) -> None:
        """Choose a mode, stop the counter to read it, or set it."""
        if port == 0x43:
            self._command(value)
        elif port == 0x40:
            self._data(value)

    def _command(self, value: int) -> None:
        read_back = value >> 6 == 3 and value & 2
        if value >> 6 != 0 and not read_back:  # another channel
            return
        if read_back or value & 0x30 == 0:
            if self.latch is None and not (read_back and value & 0x20):
                self.latch = self.counter()
            return
        self.access, self.mode = value >> 4 & 3, value >> 1 & 7
        if self.mode > 5:  # 6 and 7 are 2 and 3
            self.mode -= 4
        self.low, self.latch, self.high_next, self.next = None, None, False, None
        self.pic.lower_irq(0)

    def _data(self, value: int) -> None:
        if self.access == 3 and self.low is None:
            self.low = value
            return
        count = {1: value, 2: value << 8, 3: value << 8 | (self.low or 0)}[self.access]
        self.low = None
        self.count, self.start = count or 0x10000, self.clock.now
        one_of_ours = self.mode in (0, 2, 3)
        self.next = self.start + self.count * self.period if one_of_ours else None
