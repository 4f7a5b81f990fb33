"""A person at the guest's serial port: keys in, text out, while it runs (S16).

The guest sees a 16550; what is at the other end of the wire is none of its business. Here it is
your terminal, or a pipe. Between two pieces of a run, some milliseconds each, what the guest has
sent is written out, and what has been typed is handed to the port, as many bytes as a real one can
take.

Time is where an emulator has to decide something. A guest that works has a clock of instructions,
as always. A guest that **waits** (`hlt`) has nothing to count, so its clock goes by the wall's: a
timer's tick comes when it is due there, and until then, or until a key is pressed, this process
sleeps. So an idle guest costs next to nothing, as it does on a hypervisor, which takes a processor
that halts away from its guest.

With that, a run is not the same twice: it depends on when keys are pressed. But on nothing else, so
`Console.typed`, when each key came in instructions, is all that is needed to repeat it exactly
(`Computer(keys=...)`).

In a terminal, Ctrl-A x leaves, as in QEMU, and Ctrl-] too, as in telnet; Ctrl-A Ctrl-A sends one
Ctrl-A. From a pipe every byte goes to the guest.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

from virtlab.machine.devices.wire import Key
from virtlab.machine.running import advance
from virtlab.machine.terminal import Escape

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer
    from virtlab.machine.running import Interruptible

__all__ = ["Console"]

_LOOK_S = 0.25  # the longest sleep: Ctrl-C from outside is noticed after it
_PIECE_S = 0.01  # between two looks at the terminal
_SHORT, _LONG = 2_000, 1_000_000_000  # instructions of a piece
_TICKS_S = 1_193_182  # of the timer's clock


class Console:
    r"""The other end of the wire.

    Parameters
    ----------
    source, sink
        File descriptors: where keys come from, and where text goes.
    escapes
        Whether Ctrl-A x and Ctrl-] leave: where a person types.

    Attributes
    ----------
    typed
        What was handed to the guest, and when.
    is_over
        Whether nothing more will come from `source`.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> from virtlab.machine.guests import shell
    >>> from virtlab.machine.image import load
    >>> read, write = os.pipe()
    >>> _ = os.write(write, b"calc 6 * 7\nexit\n")
    >>> os.close(write)
    >>> computer = Computer(ram_mib=2, history=0)
    >>> computer.load(load(shell(), 2 << 20))
    >>> console = Console(read, os.open(os.devnull, os.O_WRONLY))
    >>> run = computer.run(console=console)
    >>> run.ended, run.text.splitlines()[2], len(console.typed)
    ('exit', '42', 16)

    The same again, without a console:

    >>> again = Computer(ram_mib=2, history=0, keys=console.typed)
    >>> again.load(load(shell(), 2 << 20))
    >>> again.run().output == run.output
    True
    """

    def __init__(self, source: int, sink: int, *, escapes: bool = False) -> None:
        self.source, self.sink = source, sink
        self.typed: list[Key] = []
        self.is_over, self.left = False, False
        self._escape = Escape() if escapes else None
        self._waiting = b""  # what the port has no room for yet
        self._shown = 0
        self._piece = _SHORT

    def attend(self, computer: Computer, limit: int, ctrl_c: Interruptible) -> str:
        """Run a computer until it ends, or the person leaves.

        Parameters
        ----------
        computer
            Which.
        limit
            When it is stopped, on its clock.
        ctrl_c
            Notes a signal from outside.

        Returns
        -------
        str
            How it ended, as `GuestRun.ended` says.

        Examples
        --------
        See the class: `Computer.run` calls it.
        """
        while True:
            self._show(computer)
            self._look(0)
            self._hand_over(computer)
            if self.left or ctrl_c.came or computer.clock.now >= limit:
                return "left" if self.left else "interrupted" if ctrl_c.came else "limit"
            ended = computer.ended
            if ended and not (ended == "halted" and self._may_wake(computer)):
                return ended
            if computer.processor.halted and not _is_due(computer):
                self._wait(computer, limit)
            else:
                self._run(computer, limit)

    # --- a piece of the run -----------------------------------------------------------------------

    def _run(self, computer: Computer, limit: int) -> None:
        """Let it work for some milliseconds."""
        begun = time.perf_counter()
        end = min(limit, computer.clock.now + (_SHORT if self._waiting else self._piece))
        while (left := end - computer.clock.now) > 0:
            advance(computer, left)  # one that halts and is to be interrupted goes on by this
            if computer.processor.halted or computer.ended:
                break
        took = time.perf_counter() - begun
        if took > _PIECE_S:
            self._piece = max(_SHORT, self._piece // 2)
        elif computer.clock.now >= end and took < _PIECE_S / 2:
            self._piece = min(_LONG, self._piece * 2)

    def _wait(self, computer: Computer, limit: int) -> None:
        """Sleep until a key comes, or the next event is due; let the guest's clock go on."""
        now, event = computer.clock.now, computer.bus.next_event()
        if event is None:
            self._look(_LOOK_S)
            return
        rate = _TICKS_S * computer.pit.period
        event = min(event, limit)
        begun = time.perf_counter()
        self._look(min(_LOOK_S, (event - now) / rate))
        passed = int((time.perf_counter() - begun) * rate)
        computer.clock.waited += min(event - now, max(1, passed))

    def _may_wake(self, computer: Computer) -> bool:
        """Return whether a key could wake a halted guest."""
        listens = computer.processor.registers.flag("IF")
        return bool(listens and not (self.is_over and not self._waiting))

    # --- both ends of the wire --------------------------------------------------------------------

    def _show(self, computer: Computer) -> None:
        """Write what the guest has sent since the last time."""
        said = bytes(computer.uart.output[self._shown :])
        self._shown += len(said)
        while said:
            said = said[os.write(self.sink, said) :]

    def _look(self, seconds: float) -> None:
        """Take what has been typed, if anything is within some time."""
        if self.is_over or len(self._waiting) >= 4096:  # who types has to wait too
            if seconds:
                time.sleep(seconds)
            return
        ready, _, _ = select.select([self.source], [], [], seconds)
        if not ready:
            return
        try:
            came = os.read(self.source, 4096)
        except OSError:  # a terminal that was closed
            came = b""
        self.is_over = not came
        if self._escape is not None:
            came, self.left = self._escape(came)
        self._waiting += came

    def _hand_over(self, computer: Computer) -> None:
        """Give the port what it can take."""
        now = computer.clock.now
        given = self._waiting[: computer.uart.room]
        if given:
            self._waiting = self._waiting[len(given) :]
            computer.uart.type(given)
            self.typed += [Key(now, byte) for byte in given]


def _is_due(computer: Computer) -> bool:
    """Return whether something is there that wakes a halted processor, or may."""
    event = computer.bus.next_event()
    return computer.pic.pending() or (event is not None and event <= computer.clock.now)
