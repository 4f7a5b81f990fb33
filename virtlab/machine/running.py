"""The loop of a run: step after step, until the guest ends or something stops it (S5).

Python raises KeyboardInterrupt wherever it happens to be; within a step that would leave a machine
with half an instruction done. While a run goes on, Ctrl-C is only noted, and the run looks at the
note between two steps.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Self

from virtlab.machine.guest_run import GuestRun
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from virtlab.machine.computer import Computer
    from virtlab.machine.console import Console

__all__ = ["Interruptible", "advance", "run"]

_SHOWN_EVERY = 5000  # instructions


class Interruptible:
    """Notes Ctrl-C while it is open; a second one is raised, for a run that hangs.

    Only the main thread gets signals; elsewhere this does nothing.

    Attributes
    ----------
    came
        Whether Ctrl-C came.

    Examples
    --------
    >>> with Interruptible() as noted:
    ...     signal.raise_signal(signal.SIGINT)
    >>> noted.came
    True
    """

    def __init__(self) -> None:
        self.came = False
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        """Begin to note."""
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise at once again, from here on."""
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True


def run(
    computer: Computer,
    max_instructions: int,
    *,
    progress: bool,
    console: Console | None = None,
) -> GuestRun:
    """Run a computer.

    Parameters
    ----------
    computer
        Which.
    max_instructions
        Of how many it is stopped; those count that pass while it is halted.
    progress
        Whether to show a bar, on a terminal.
    console
        Who attends; breakpoints and watches are not looked at then.

    Returns
    -------
    GuestRun
        What came of it.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> computer.load_code(bytes.fromhex("ebfe"))  # an endless loop
    >>> run(computer, 100, progress=False).ended
    'limit'
    """
    limit = integer("max_instructions", max_instructions, minimum=1) + computer.clock.now
    done, waited = computer.processor.instructions, computer.clock.waited
    traps, begun = computer.traps.copy(), time.perf_counter()
    with Interruptible() as ctrl_c:
        if console is not None:
            ended = console.attend(computer, limit, ctrl_c)
        elif progress:
            from tqdm import tqdm  # only here: many runs take no longer than to load it

            with tqdm(total=max_instructions, disable=None, leave=False, unit=" instr") as bar:
                ended = _loop(computer, limit, ctrl_c, bar.update)
        else:
            ended = _loop(computer, limit, ctrl_c, lambda _: None)
    return GuestRun(
        bytes(computer.uart.output),
        computer.exit_port.status,
        ended,
        computer.shutdown,
        computer.processor.instructions - done,
        computer.clock.waited - waited,
        dict(computer.traps - traps),
        time.perf_counter() - begun,
    )


def _loop(
    computer: Computer, limit: int, ctrl_c: Interruptible, show: Callable[[int], object]
) -> str:
    """Step until the end; return which end it was."""
    memory, watches = computer.memory, computer.watches
    before = [memory.read(*place) for place in watches]
    shown, moved = computer.clock.now, False
    while not (ended := computer.ended):
        now = computer.clock.now
        if now >= limit or ctrl_c.came:
            return "interrupted" if ctrl_c.came else "limit"
        if moved and computer.address in computer.breakpoints:
            return "breakpoint"
        advance(computer, limit - now)
        moved = True
        if now - shown >= _SHOWN_EVERY:
            show(now - shown)
            shown = now
        if watches and before != [memory.read(*place) for place in watches]:
            return "watch"
    return ended


def advance(computer: Computer, limit: int) -> None:
    """Do a step, or as many instructions as the translator does at once.

    Parameters
    ----------
    computer
        Which.
    limit
        Instructions at most.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> computer.load_code(bytes.fromhex("90 90"))
    >>> advance(computer, 2)
    >>> computer.processor.instructions
    1
    """
    translator = computer.translator
    if translator is None or computer.breakpoints or computer.watches:
        computer.proceed()
    elif translator.modes is None:
        translator.advance(limit)
    else:
        with translator.modes.of(computer.processor):
            translator.advance(limit)
