"""Controls declared once: name, label, unit, range. Labels carry units, keys move them.

They are made of the browser's own elements, which keyboards and screen readers know. The order
in every widget is: the machine, the load, the policy, the view.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Choice", "Control", "Player", "Seed", "Slider", "Toggle",
    "choice", "player", "seed", "slider", "toggle",
]  # fmt: skip

_HERE = pathlib.Path(__file__).parent


class Control(anywidget.AnyWidget):
    """What all controls have: a label, a unit, a view in `controls.js`."""

    _esm = _HERE / "controls.js"
    _css = _HERE / "virtlab.css"

    kind = traitlets.Unicode("").tag(sync=True)
    description = traitlets.Unicode("").tag(sync=True)
    unit = traitlets.Unicode("").tag(sync=True)
    key = traitlets.Unicode("").tag(sync=True)  # its name in an App, which a picture's grips know


class Slider(Control):
    """A slider that answers while it moves; make one with `slider`.

    Attributes
    ----------
    value
        Where it stands; what lies outside the range becomes the nearest end.
    min, max, step
        The range, and the step of an arrow key.
    whole
        Whether its value is an int.

    Examples
    --------
    >>> control = slider("VM2 shares", "", 1000, 0, 4000, 100)
    >>> control.value = 5000
    >>> control.value
    4000
    """

    min = traitlets.Float().tag(sync=True)
    max = traitlets.Float().tag(sync=True)
    step = traitlets.Float().tag(sync=True)
    whole = traitlets.Bool(default_value=False).tag(sync=True)
    value = traitlets.Union([traitlets.Int(), traitlets.Float()], default_value=0).tag(sync=True)

    @traitlets.validate("value")
    def _in_range(self, proposal: Any) -> float | int:
        value = number(self.description, proposal["value"])
        inside = min(max(value, self.min), self.max)
        return round(inside) if self.whole else inside


class Player(Control):
    """Play, pause, step, reset and a position; its value is the frame; make one with `player`.

    Attributes
    ----------
    value
        The frame, from 0.
    max
        The last frame; it can be set when the model has run again.
    playing
        Whether it runs.
    interval_ms
        Time between two frames.

    Examples
    --------
    See the module's example.
    """

    value = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(0).tag(sync=True)
    playing = traitlets.Bool(default_value=False).tag(sync=True)
    interval_ms = traitlets.Int(250).tag(sync=True)
    per_step = traitlets.Float(1.0).tag(sync=True)

    @traitlets.validate("value")
    def _in_range(self, proposal: Any) -> int:
        return min(max(int(proposal["value"]), 0), self.max)

    @traitlets.observe("max")
    def _shortened(self, _change: object) -> None:
        self.value = min(self.value, self.max)

    def step(self, frames: int = 1) -> None:
        """Go some frames forward, or back.

        Parameters
        ----------
        frames
            How many; negative is back.

        Examples
        --------
        See the module's example.
        """
        self.value += frames

    def reset(self) -> None:
        """Go back to the first frame, and stop there.

        Examples
        --------
        >>> control = player("Time", "s", frames=10, value=5)
        >>> control.reset()
        >>> control.value, control.playing
        (0, False)
        """
        self.playing = False
        self.value = 0


class Seed(Control):
    """The seed of what is random, and a button that draws another; make one with `seed`.

    Attributes
    ----------
    value
        The seed, a whole number >= 0.

    Examples
    --------
    >>> seed(42).value
    42
    """

    value = traitlets.Int(0, min=0).tag(sync=True)


class Choice(Control):
    """A drop-down of words; make one with `choice`.

    Attributes
    ----------
    value
        The value of what is chosen.
    label
        The words of what is chosen.

    Examples
    --------
    >>> control = choice("VM2", {"high": 2000, "normal": 1000}, 1000)
    >>> control.value = 2000
    >>> control.label
    'high'
    """

    labels: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    value = traitlets.Any()

    def __init__(self, options: Mapping[str, Any], **kwargs: Any) -> None:
        self._values = list(options.values())
        super().__init__(kind="choice", labels=list(options), **kwargs)

    @property
    def label(self) -> str:
        """The words of what is chosen."""
        return str(self.labels[self.index])

    @traitlets.validate("value")
    def _one_of(self, proposal: Any) -> Any:
        if proposal["value"] not in self._values:
            allowed = "one of " + ", ".join(map(repr, self._values))
            raise InvalidInputError(self.description, proposal["value"], allowed)
        return proposal["value"]

    @traitlets.observe("value")
    def _set(self, change: Any) -> None:
        self.index = self._values.index(change["new"])

    @traitlets.observe("index")
    def _chosen(self, change: Any) -> None:
        self.value = self._values[change["new"]]


class Toggle(Control):
    """A check box; make one with `toggle`.

    Attributes
    ----------
    value
        Whether it is on.

    Examples
    --------
    >>> toggle("VM3 is idle", False).value
    False
    """

    value = traitlets.Bool(default_value=False).tag(sync=True)


def slider(
    label: str, unit: str, value: float, minimum: float, maximum: float, step: float
) -> Slider:
    """Make a slider; a whole-number one if `step` and `value` are ints.

    Parameters
    ----------
    label
        What it sets, in a word or two.
    unit
        Unit, written after the value; '' for a plain count.
    value, minimum, maximum, step
        Start, range and step; arrow keys move one step.

    Returns
    -------
    Slider
        The slider; it answers while it moves.

    Raises
    ------
    InvalidInputError
        If the start lies outside the range, or the step is not above 0.

    Examples
    --------
    >>> slider("Disk bandwidth", "MB/s", 160, 0, 320, 10).value
    160
    """
    if not minimum <= value <= maximum:
        raise InvalidInputError(label, value, f"a number from {minimum:g} to {maximum:g}")
    if step <= 0:
        raise InvalidInputError("step", step, "a number > 0")
    return Slider(
        kind="slider",
        description=label,
        unit=unit,
        min=minimum,
        max=maximum,
        step=step,
        whole=isinstance(step, int) and isinstance(value, int),
        value=value,
    )


def player(
    label: str,
    unit: str,
    frames: int,
    *,
    value: int = 0,
    per_frame: float = 1.0,
    interval_ms: int = 250,
) -> Player:
    """Make a player: play, pause, step back, step forward, reset, and a position slider.

    Space plays and pauses, arrows step, Home resets.

    Parameters
    ----------
    label
        What runs, for instance 'Time'.
    unit
        Unit of the position, for instance 's'.
    frames
        How many frames there are.
    value
        The frame at the start, from 0.
    per_frame
        What one frame is in the unit.
    interval_ms
        Milliseconds between two frames while it plays.

    Returns
    -------
    Player
        The control; its value is the frame.

    Raises
    ------
    InvalidInputError
        If there are no frames, or the start is not one of them.

    Examples
    --------
    >>> player("Time", "s", frames=100).max
    99
    """
    last = integer("frames", frames, minimum=1) - 1
    return Player(
        kind="player",
        description=label,
        unit=unit,
        max=last,
        value=integer("value", value, minimum=0, maximum=last),
        per_step=number("per_frame", per_frame),
        interval_ms=integer("interval_ms", interval_ms, minimum=20),
    )


def seed(value: int = 0, label: str = "Seed") -> Seed:
    """Make a seed control: a number, and a button that draws another.

    Parameters
    ----------
    value
        The seed at the start; a fixed one, so that everyone sees the same first.
    label
        What it is called.

    Returns
    -------
    Seed
        The control; its value is the seed.

    Raises
    ------
    InvalidInputError
        If the seed is not a whole number >= 0.

    Examples
    --------
    >>> seed(7).value
    7
    """
    return Seed(kind="seed", description=label, value=integer("seed", value, minimum=0))


def choice(label: str, options: Mapping[str, Any], value: Any) -> Choice:
    """Make a drop-down of words, never codes.

    Parameters
    ----------
    label
        What it sets.
    options
        Words shown, and the value that each stands for.
    value
        The value at the start.

    Returns
    -------
    Choice
        The drop-down.

    Raises
    ------
    InvalidInputError
        If the start is not one of the values.

    Examples
    --------
    >>> choice("VM2", {"high": 2000, "normal": 1000}, 1000).label
    'normal'
    """
    return Choice(options, description=label, value=value)


def toggle(label: str, value: bool) -> Toggle:  # noqa: FBT001 - a toggle is its value
    """Make a check box.

    Parameters
    ----------
    label
        What it switches on.
    value
        Whether it is on at the start.

    Returns
    -------
    Toggle
        The check box.

    Examples
    --------
    >>> toggle("VM3 is idle", False).value
    False
    """
    return Toggle(kind="toggle", description=label, value=value)
