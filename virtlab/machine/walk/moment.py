"""What there is to see after a step: ring, code, registers, gates, stack, and a sentence (S17).

A figure, a widget and the check of an exercise all read this; none of them knows the computer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.encoding import CS
from virtlab.machine.registers import GENERAL
from virtlab.machine.walk.entries import Entry, Frame, entries_of, frame_of
from virtlab.machine.walk.lines import Line, Names, listing
from virtlab.machine.walk.tell import how_named, no_trap, tell
from virtlab.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.machine.computer import Computer
    from virtlab.machine.history import Step

__all__ = ["Moment", "Value", "moment_of"]

_SHOWN = (*GENERAL, "EIP", "CS", "SS", "DS", "CR0", "CR2", "CR3")
_FLAGS = ("IF", "IOPL", "ZF", "CF", "SF", "OF")


class Value(NamedTuple):
    """A register or a flag: its name, what it held before the step, what it holds now.

    Examples
    --------
    >>> Value("EAX", 1, 2).changed
    True
    """

    name: str
    before: int
    now: int

    @property
    def changed(self) -> bool:
        """Whether the step changed it."""
        return self.before != self.now


@dataclass(frozen=True)
class Moment(Result):
    """One moment of a ride.

    Attributes
    ----------
    number, last
        Steps done so far, and how many there are in all.
    came, ring
        The ring that did the last step, and the one that runs now.
    how
        What took it from ring to ring, in a word or two; 'no trap' where one was to be expected.
    kind
        Of the last step, as `virtlab.machine.history.Step` has it; 'start' before the first.
    at, what
        The last step's address, and its instruction, or what happened instead; -1 before the first.
    lines
        The code around EIP.
    registers, flags
        Before the last step, and now.
    written
        (linear or physical address, before, now) of memory, in hexadecimal.
    entries
        Of the processor's tables, that the step went through.
    frame
        What the step left on a stack, or took from it.
    said
        The sentence.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> moment = attempt(bytes.fromhex("cd80"), ring=3).go(1)
    >>> moment.came, moment.ring, moment.how
    (3, 0, 'int 0x80')
    >>> moment.summary()["ring"]
    0
    """

    number: int
    last: int
    came: int
    ring: int
    how: str
    kind: str
    at: int
    what: str
    lines: tuple[Line, ...]
    registers: tuple[Value, ...]
    flags: tuple[Value, ...]
    written: tuple[tuple[int, str, str], ...]
    entries: tuple[Entry, ...]
    frame: Frame | None
    said: str

    @property
    def next(self) -> Line | None:
        """The line that is next."""
        return next((line for line in self.lines if line.now), None)

    def to_frame(self) -> pd.DataFrame:
        """Return what the last step changed: what, before, now."""
        import pandas as pd

        rows = [
            (value.name, f"{value.before:#x}", f"{value.now:#x}")
            for value in (*self.registers, *self.flags)
            if value.changed
        ]
        rows += [(f"memory {at:#x}", old, new) for at, old, new in self.written]
        return pd.DataFrame(rows or [("nothing", "", "")], columns=["changed", "before", "now"])

    def summary(self) -> dict[str, float | int | str]:
        """Return step, ring, what took it there, and how much changed."""
        return {
            "step": self.number,
            "of_steps": self.last,
            "ring_before": self.came,
            "ring": self.ring,
            "by": self.how,
            "registers_changed": sum(value.changed for value in self.registers),
        }

    def explain(self) -> str:
        """Say what the last step was, what trapped and why."""
        return self.said


def moment_of(
    computer: Computer, step: Step | None, names: Names, number: int, last: int, start: str
) -> Moment:
    """Look at a computer after a step.

    Parameters
    ----------
    computer
        Which.
    step
        What it did last; None before the first step.
    names
        Of places.
    number, last
        Steps done, and how many there are.
    start
        What to say before the first.

    Returns
    -------
    Moment
        What there is to see.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> computer.load_code(bytes.fromhex("90"))
    >>> moment_of(computer, None, Names({}), 0, 1, "Here we go.").explain()
    'Here we go.'
    """
    processor = computer.processor
    registers = processor.registers
    before = registers
    if step is not None and step.undo is not None:
        before = type(registers)()
        before.data[:] = step.undo.processor.registers
    written = step.undo.written if step is not None and step.undo is not None else ()
    return Moment(
        number,
        last,
        processor.cpl if step is None else step.ring,
        processor.cpl,
        "" if step is None else _how(computer, step),
        "start" if step is None else step.kind,
        -1 if step is None else step.address,
        "" if step is None else step.what,
        listing(processor, processor.segments[CS].base, registers["EIP"], names),
        tuple(Value(name, before[name], registers[name]) for name in _SHOWN),
        tuple(Value(name, before.flag(name), registers.flag(name)) for name in _FLAGS),
        tuple((at, old.hex(" "), new.hex(" ")) for at, old, new in written),
        () if step is None else entries_of(computer, step, names),
        None if step is None else frame_of(computer, step),
        start if step is None else tell(computer, step, names),
    )


def _how(computer: Computer, step: Step) -> str:
    if step.traps or step.ring != computer.processor.cpl:
        return how_named(step)
    return "no trap" if no_trap(computer, step) else ""
