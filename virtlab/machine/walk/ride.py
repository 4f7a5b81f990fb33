"""A run from its first step to its last, and the way to any of them (S17).

A debugger that goes back needs one of two things: notes of all that was overwritten, or a run that
does the same each time. Here are both. The last thousands of steps are taken back by their notes,
exactly; whatever is farther is run again from the checkpoint before it, for time is the number of
instructions and nothing else comes from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.walk.checkpoint import bring_back, keep
from virtlab.machine.walk.lines import Names
from virtlab.machine.walk.moment import Moment, moment_of
from virtlab.machine.walk.tell import how_named
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from virtlab.machine.computer import Computer
    from virtlab.machine.walk.checkpoint import Checkpoint

__all__ = ["Event", "Ride"]

EVERY = 600  # steps from one checkpoint to the next: some 15 ms of work


@dataclass(frozen=True)
class Event:
    """A step in which the ring changed, or something trapped.

    Attributes
    ----------
    number
        Steps done after it.
    came, ring
        The ring before it, and after.
    how
        What took it there.

    Examples
    --------
    >>> Event(1, 3, 0, "#GP").ring
    0
    """

    number: int
    came: int
    ring: int
    how: str


class Ride(Result):
    """A run that one can go through.

    Parameters
    ----------
    computer
        With its program, before its first step; the ride owns it from then on, and its history
        should hold some thousand steps.
    places
        Addresses by name.
    start
        What to say before the first step.
    ends
        Whether the ride is over, beside the computer's own end.
    max_steps
        Where it ends in any case.

    Attributes
    ----------
    computer
        As it is at the step that is shown.
    number, last
        That step, and the last one.
    events
        In which steps the ring changed, or something trapped.

    Raises
    ------
    InvalidInputError
        If the computer keeps no history.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> ride = attempt(bytes.fromhex("cd80 fa"), ring=3)
    >>> ride.explain()
    '5 steps; 3 of them change the ring, or trap: int 0x80 1, iret 1, #GP 1.'
    >>> [ride.go(n).ring for n in range(5)]
    [3, 0, 3, 0, 0]
    >>> ride.go(1).ring
    0
    """

    def __init__(
        self,
        computer: Computer,
        places: Mapping[str, int],
        start: str,
        ends: Callable[[Computer], bool] = lambda _: False,
        max_steps: int = 400_000,
    ) -> None:
        if not computer.history.maxlen:
            raise InvalidInputError("computer.history", 0, "at least 1 step")
        self.computer, self.start = computer, start
        self.names = Names(places)
        self._kept: list[Checkpoint] = []
        self.events = self._record(ends, integer("max_steps", max_steps, minimum=1))
        bring_back(computer, self._kept[0])
        self.number = 0

    def _record(self, ends: Callable[[Computer], bool], most: int) -> tuple[Event, ...]:
        """Run to the end once, and note where to come back to and where the ring changed."""
        computer, found = self.computer, []
        self.last = 0
        self._first: dict[str, int] = {}
        while self.last < most and computer.ended in ("", "halted") and not ends(computer):
            if self.last % EVERY == 0:
                self._kept.append(keep(computer))
            step = computer.step()
            self.last += 1
            self._first.setdefault(step.what, self.last)
            ring = computer.processor.cpl
            if step.traps or ring != step.ring:
                found.append(Event(self.last, step.ring, ring, how_named(step)))
            if step.kind == "halted":
                break
        return tuple(found)

    def go(self, number: int) -> Moment:
        """Go to a step, forward or back.

        Parameters
        ----------
        number
            How many steps are done then, 0 to `last`.

        Returns
        -------
        Moment
            What there is to see.

        Examples
        --------
        See the class.
        """
        number = integer("number", number, minimum=0, maximum=self.last)
        computer = self.computer
        back = self.number - number
        if 0 < back < len(computer.history):
            for _ in range(back):
                computer.step_back()
        elif back > 0 or number - self.number > EVERY:
            nearest = max(0, number - 1) // EVERY  # with a step to do: its notes say what changed
            bring_back(computer, self._kept[nearest])
            self.number = nearest * EVERY
        for _ in range(number - self.number if back <= 0 or not computer.history else 0):
            computer.step()
        self.number = number
        return self.moment

    @property
    def moment(self) -> Moment:
        """What there is to see now."""
        history = self.computer.history
        step = history[-1] if history and self.number else None
        return moment_of(self.computer, step, self.names, self.number, self.last, self.start)

    def next_event(self, *, ring_change: bool = False, back: bool = False) -> int:
        """Return the number of the next step that traps.

        Parameters
        ----------
        ring_change
            Of the next that changes the ring.
        back
            Of the last one before this step.

        Returns
        -------
        int
            If there is none, the last step, or 0.

        Examples
        --------
        >>> from virtlab.machine.walk.programs import attempt
        >>> ride = attempt(bytes.fromhex("90 90 cd80"), ring=3)
        >>> ride.next_event(), ride.next_event(back=True)
        (3, 0)
        """
        found = [
            event.number
            for event in self.events
            if (event.ring != event.came if ring_change else event.how not in ("iret", "iretd"))
        ]
        if back:
            return max((one for one in found if one < self.number), default=0)
        return min((one for one in found if one > self.number), default=self.last)

    def find(self, instruction: str) -> int:
        """Return the number of the first step that did an instruction.

        Parameters
        ----------
        instruction
            As an assembler writes it, or how that begins: 'LGDT', 'MOV CR0'.

        Returns
        -------
        int
            Steps done after it.

        Raises
        ------
        InvalidInputError
            If none did.

        Examples
        --------
        >>> from virtlab.machine.walk.programs import attempt
        >>> attempt(bytes.fromhex("90 cd80"), ring=3).find("INT")
        2
        """
        found = [number for what, number in self._first.items() if what.startswith(instruction)]
        if not found:
            raise InvalidInputError("instruction", instruction, "one that this ride has done")
        return min(found)

    def first(self, how: str, *, after: int = 0) -> int:
        """Return the number of the first step that was taken from ring to ring by something.

        Parameters
        ----------
        how
            Such as 'int 0x80', '#PF', 'timer' or 'iret'.
        after
            Not before this step.

        Returns
        -------
        int
            Steps done after it.

        Raises
        ------
        InvalidInputError
            If there is none.

        Examples
        --------
        >>> from virtlab.machine.walk.programs import attempt
        >>> attempt(bytes.fromhex("90 cd80"), ring=3).first("int 0x80")
        2
        """
        for event in self.events:
            if event.how == how and event.number > after:
                return event.number
        names = ", ".join(dict.fromkeys(event.how for event in self.events)) or "nothing"
        raise InvalidInputError("how", how, f"one of what happens after step {after}: {names}")

    def to_frame(self) -> pd.DataFrame:
        """Return the steps that change the ring, or trap: step, ring before, ring, by."""
        import pandas as pd

        rows = [(event.number, event.came, event.ring, event.how) for event in self.events]
        return pd.DataFrame(rows, columns=["step", "ring_before", "ring", "by"])

    def summary(self) -> dict[str, float | int | str]:
        """Return steps, events, and how many steps each ring did."""
        rings = dict.fromkeys(range(4), 0)
        for first, last, ring in self.stretches():
            rings[ring] += last - first
        return {
            "steps": self.last,
            "events": len(self.events),
            **{f"steps_at_ring_{ring}": count for ring, count in rings.items()},
        }

    def stretches(self) -> list[tuple[int, int, int]]:
        """Return first step, last step and ring of each stretch that one ring ran.

        Returns
        -------
        list of tuple
            In order.

        Examples
        --------
        >>> from virtlab.machine.walk.programs import attempt
        >>> attempt(bytes.fromhex("90 cd80"), ring=3).stretches()
        [(0, 2, 3), (2, 3, 0), (3, 3, 3)]
        """
        changes = [event for event in self.events if event.ring != event.came]
        edges = [0, *(event.number for event in changes), self.last]
        rings = [changes[0].came if changes else self.computer.processor.cpl]
        rings += [event.ring for event in changes]
        return list(zip(edges[:-1], edges[1:], rings, strict=True))

    def explain(self) -> str:
        """Say how long it is, and what happens on the way."""
        counts: dict[str, int] = {}
        for event in self.events:
            counts[event.how] = counts.get(event.how, 0) + 1
        told = ", ".join(f"{how} {count}" for how, count in counts.items())
        if not told:
            steps = f"{self.last:,} steps, all" if self.last > 1 else "One step"
            return f"{steps} at one ring, and nothing traps."
        many = (
            f"{len(self.events)} of them change" if len(self.events) != 1 else "1 of them changes"
        )
        trap = "trap" if len(self.events) != 1 else "traps"
        return f"{self.last:,} steps; {many} the ring, or {trap}: {told}."

    def __repr__(self) -> str:
        """Say it in words."""
        return f"Ride({self.explain()!r})"
