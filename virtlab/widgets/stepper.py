"""One moment of a run that changes rings (S17): the rings, the code, the registers, the way.

`StepperView` shows a `virtlab.machine.walk.moment.Moment`, and below it the whole run, on which one
may point. An arrow moves from ring to ring when the step did. It knows no computer: what it shows,
it is told.

>>> from virtlab.machine.walk.programs import attempt
>>> ride = attempt(bytes.fromhex("cd80"), ring=3)
>>> view = StepperView(ride)
>>> view.show(ride.go(1))
>>> view.title
'Step 1 of 2: int 0x80 leads from ring 3 to ring 0'
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtlab.machine.walk.moment import Moment, Value
    from virtlab.machine.walk.ride import Ride

__all__ = ["StepperView", "alt_of", "title_of"]

_HERE = pathlib.Path(__file__).parent


class StepperView(anywidget.AnyWidget):
    """A moment, and the run that it is of.

    Parameters
    ----------
    ride
        The run.
    names
        What runs at which ring, in a word.
    on_pick
        Called with the number of a step that a reader points at.

    Attributes
    ----------
    title
        What the step did, in a line.
    alt
        What is shown, in words.

    Examples
    --------
    See the module's example.
    """

    _esm = "\n".join(
        (_HERE / name).read_text(encoding="utf-8") for name in ("pagemap-paint.js", "stepper.js")
    )
    _css = _HERE / "virtlab.css"

    version = traitlets.Int(0).tag(sync=True)
    moment: Any = traitlets.Dict().tag(sync=True)
    ride: Any = traitlets.Dict().tag(sync=True)
    names: Any = traitlets.List().tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    asked: Any = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        ride: Ride,
        names: Mapping[int, str] | None = None,
        on_pick: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self._on_pick = on_pick
        self.follow(ride, names or {})
        self.observe(self._asked, names="asked")

    def follow(self, ride: Ride, names: Mapping[int, str]) -> None:
        """Show another run from now on.

        Parameters
        ----------
        ride
            Which.
        names
            What runs at which ring.

        Examples
        --------
        >>> from virtlab.machine.walk.programs import attempt
        >>> view = StepperView(attempt(bytes.fromhex("90"), ring=1))
        >>> view.ride["rings"]
        [1]
        """
        rings = {ring for _, _, ring in ride.stretches()}
        with self.hold_sync():
            self.names = [names.get(ring, "") for ring in range(4)]
            self.ride = {
                "last": ride.last,
                "rings": sorted(rings, reverse=True),
                "stretches": [list(one) for one in ride.stretches()],
                "flags": [[event.number, event.how] for event in ride.events],
            }

    def show(self, moment: Moment) -> None:
        """Show a moment, in one message.

        Parameters
        ----------
        moment
            Which.

        Examples
        --------
        See the module's example.
        """
        with self.hold_sync():
            self.moment = _as_json(moment)
            self.title, self.alt = title_of(moment), alt_of(moment)
            self.version += 1

    def _asked(self, change: Any) -> None:
        if self._on_pick is not None and change["new"]:
            self._on_pick(int(change["new"]["number"]))

    def __repr__(self) -> str:
        """Say it in words: traitlets would print all of it."""
        return f"StepperView({self.alt!r})"


def title_of(moment: Moment) -> str:
    """Say what a step did, in a line.

    Parameters
    ----------
    moment
        After it.

    Returns
    -------
    str
        The finding.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> title_of(attempt(bytes.fromhex("90"), ring=3).go(1))
    'Step 1 of 1: ring 3 does NOP'
    """
    where = f"Step {moment.number:,} of {moment.last:,}"
    if moment.kind == "start":
        return f"{where}: ring {moment.ring} is about to begin"
    if moment.came != moment.ring:
        return f"{where}: {moment.how} leads from ring {moment.came} to ring {moment.ring}"
    if moment.how == "no trap":
        return f"{where}: {moment.what.split(' ')[0]} at ring {moment.ring}, and no trap"
    if moment.how:
        return f"{where}: {moment.how} at ring {moment.ring}"
    if moment.kind == "halted":
        return f"{where}: ring {moment.ring} has halted"
    return f"{where}: ring {moment.ring} does {moment.what}"


def alt_of(moment: Moment) -> str:
    """Say what is seen, in words.

    Parameters
    ----------
    moment
        Which.

    Returns
    -------
    str
        The rings, what is next, what changed, the tables and the stack.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> alt_of(attempt(bytes.fromhex("90"), ring=3).go(0))
    'Step 0 of 1: ring 3 is about to begin. Rings 0 to 3; the processor is at ring 3. Next: 0x5000 \
NOP. Nothing has changed.'
    """
    words = [f"{title_of(moment)}. Rings 0 to 3; the processor is at ring {moment.ring}."]
    line = moment.next
    if line is not None:
        words.append(f"Next: {line.address:#x} {line.text}.")
    values = [value for value in (*moment.registers, *moment.flags) if value.changed]
    told = ", ".join(f"{value.name} from {value.before:#x} to {value.now:#x}" for value in values)
    words.append(f"Changed: {told}." if told else "Nothing has changed.")
    words += [f"{entry.table} {entry.place}: {entry.says}." for entry in moment.entries]
    if moment.frame is not None:
        way = "left on" if moment.frame.pushed else "taken from"
        names = ", ".join(name for name, _, _ in moment.frame.words)
        words.append(f"{names} {way} the stack.")
    return " ".join(words)


def _as_json(moment: Moment) -> dict[str, Any]:
    """Write a moment for the browser."""
    frame = moment.frame
    return {
        "number": moment.number,
        "came": moment.came,
        "ring": moment.ring,
        "how": moment.how,
        "lines": [
            {"at": f"{one.address:#x}", "code": one.code, "text": one.text, "name": one.name,
             "now": one.now}
            for one in moment.lines
        ],
        "did": {"at": "" if moment.at < 0 else f"{moment.at:#x}", "code": "", "text": moment.what},
        "registers": [_cell(value) for value in moment.registers],
        "flags": [
            [one.name, str(one.before), str(one.now), one.changed] for one in moment.flags
        ],
        "entries": [
            {"table": one.table, "place": one.place, "says": one.says} for one in moment.entries
        ],
        "frame": None if frame is None else {
            "pushed": frame.pushed,
            "words": [[name, f"{at:#x}", f"{value:#x}"] for name, at, value in frame.words],
            "stacks": list(frame.stacks),
        },
    }  # fmt: skip


def _cell(value: Value) -> list[Any]:
    return [value.name, f"{value.before:#x}", f"{value.now:#x}", value.changed]
