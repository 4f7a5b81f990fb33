"""A guest to walk through (S17): forward, back, to the next trap, and what each step did."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from virtlab.machine.walk.programs import (
    PROGRAMS,
    attempt,
    kernel_ride,
    moments,
    program,
    read_bytes,
)
from virtlab.plots.rings_moment import draw_moment
from virtlab.validate import one_of
from virtlab.widgets import controls
from virtlab.widgets.app import Answer, table_of
from virtlab.widgets.buttons import buttons
from virtlab.widgets.entry import entry
from virtlab.widgets.stepper import StepperView, title_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.walk.moment import Moment
    from virtlab.machine.walk.ride import Ride

__all__ = ["AttemptWalk", "KernelWalk", "Walk"]

_GO = ("Trap before", "Next trap", "Next change of rings")
_OWN = "bytes of your own"


class Walk(widgets.VBox):
    """A ride, with controls to go through it.

    Parameters
    ----------
    ride
        The run.
    names
        What runs at which ring.
    more
        Controls before the player, by name; `moved` hears of them.

    Attributes
    ----------
    controls
        By name: those of `more`, step, and go.
    ride, moment
        The run, and what is shown of it.
    view
        The rings, the code, the registers.
    answer
        The sentence and the table under it.
    """

    def __init__(self, ride: Ride, names: dict[int, str], more: dict[str, Any]) -> None:
        self.ride, self.names = ride, names
        self.controls: dict[str, Any] = {
            **more,
            "go": buttons("Go to", _GO),
            "step": controls.player("Step", "", ride.last + 1, interval_ms=700),
        }
        self.view = StepperView(ride, names, self._pick)
        self.answer = Answer()
        self.moment: Moment = ride.go(0)
        row = widgets.Box(list(self.controls.values()))
        row.add_class("virtlab-controls")
        super().__init__([row, self.view, self.answer])
        self.add_class("virtlab-app")
        self._show()
        self.controls["go"].on_press(self._go)
        for name, control in self.controls.items():
            if name != "go":
                control.observe(self._listener(name), names="value")

    def set(self, **values: Any) -> Walk:
        """Move controls by name, in the order given.

        Parameters
        ----------
        **values
            New values by the name of the control.

        Returns
        -------
        Walk
            This one, for chaining.

        Examples
        --------
        >>> AttemptWalk().set(ring=1, step=1).moment.came
        1
        """
        for name, value in values.items():
            self.controls[one_of("control", name, tuple(self.controls))].value = value
        return self

    def press(self, label: str) -> Walk:
        """Press a button.

        Parameters
        ----------
        label
            What it says.

        Returns
        -------
        Walk
            This one, for chaining.

        Examples
        --------
        >>> AttemptWalk().press("Next trap").moment.how
        '#GP'
        """
        self.controls["go"].press(label)
        return self

    def moved(self, name: str) -> None:
        """Answer to one of the further controls.

        Parameters
        ----------
        name
            Which.
        """

    def _listener(self, name: str) -> Callable[[Any], None]:
        def listen(_change: object) -> None:
            if name == "step":
                self._show()
            else:
                self.moved(name)

        return listen

    def _go(self, button: int) -> None:
        self.controls["step"].playing = False
        self._pick(
            self.ride.next_event(back=True)
            if button == 0
            else self.ride.next_event(ring_change=button == 2)
        )

    def _pick(self, number: int) -> None:
        self.controls["step"].playing = False
        if self.controls["step"].value == number:
            self._show()
        self.controls["step"].value = number

    def _change(self, ride: Ride, names: dict[int, str]) -> None:
        """Show another ride, from as far as before."""
        self.ride, self.names = ride, names
        self.view.follow(ride, names)
        player = self.controls["step"]
        player.max = max(1, ride.last)
        self._show()

    def _show(self) -> None:
        number = min(self.controls["step"].value, self.ride.last)
        self.moment = self.ride.go(number)
        self.view.show(self.moment)
        self.answer.say(self.moment)
        event = self.ride.next_event
        self.controls["go"].enabled = [
            number > 0,
            number < self.ride.last and event() > number,
            number < self.ride.last and event(ring_change=True) > number,
        ]

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.view.alt}\n{self.moment.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, the still picture, the sentence, the table."""
        live = super()._repr_mimebundle_(**kwargs)
        moment = self.moment
        figure = draw_moment(moment, title_of(moment), self.names)
        data, metadata = figure._repr_mimebundle_()
        still = f"{data['text/html']}<p>{html.escape(moment.explain())}</p>{table_of(moment)}"
        return {**live, **data, "text/html": still, "text/plain": repr(self)}, metadata


class KernelWalk(Walk):
    """The small kernel, from its boot to its end.

    Examples
    --------
    >>> walk = KernelWalk().press("Next trap")
    >>> walk.moment.how, walk.moment.came, walk.moment.ring
    ('timer', 3, 0)
    """

    def __init__(self) -> None:
        self._moments = moments()
        words = {f"{word}": number for word, number in self._moments.items()}
        start = self._moments["a process calls: INT 0x80"]
        more = {"moment": controls.choice("Moment", words, start)}
        super().__init__(kernel_ride(), {0: "kernel", 3: "processes"}, more)
        self.controls["step"].value = start

    def moved(self, name: str) -> None:
        """Go to the moment that was chosen."""
        self._pick(self.controls[name].value)


class AttemptWalk(Walk):
    """A few bytes at any ring: one of the course's programs, or one's own.

    Examples
    --------
    >>> walk = AttemptWalk().set(program="halt: hlt", ring=0)
    >>> walk.ride.explain()
    'One step at one ring, and nothing traps.'
    """

    def __init__(self) -> None:
        first = PROGRAMS[0]
        names = {one.name: one.name for one in PROGRAMS}
        more = {
            "ring": controls.slider("Ring", "", first.ring, 0, 3, 1),
            "iopl": controls.slider("IOPL", "", 0, 0, 3, 1),
            "program": controls.choice("Program", {**names, _OWN: _OWN}, first.name),
            "code": entry("Bytes, in hexadecimal", first.code, read_bytes),
        }
        self._quiet = False
        super().__init__(attempt(read_bytes(first.code), first.ring), _names(first.ring), more)

    def moved(self, name: str) -> None:
        """Try what the controls say."""
        if self._quiet:
            return
        chosen = self.controls["program"].value
        self._quiet = True  # one control moves another: answer once
        try:
            if name == "program" and chosen != _OWN:
                self.controls["code"].typed = program(chosen).code
            elif name == "code":
                same = [one.name for one in PROGRAMS if one.code == self.controls["code"].typed]
                self.controls["program"].value = same[0] if same else _OWN
        finally:
            self._quiet = False
        ring = self.controls["ring"].value
        ride = attempt(self.controls["code"].value, ring, self.controls["iopl"].value)
        self._change(ride, _names(ring))


def _names(ring: int) -> dict[int, str]:
    return {0: "handlers", ring: "program" if ring else "all of it"}
