"""`App`: controls, a picture, one sentence that says what just happened, and the numbers.

Every widget of the course is one of these around a model and its plot:

>>> from virtlab.plots import style
>>> from virtlab.resources import allocate
>>> from virtlab.widgets import controls
>>> app = App(
...     controls={"capacity": controls.slider("Disk bandwidth", "MB/s", 160, 0, 320, 10)},
...     compute=lambda capacity: allocate(capacity, shares=[1000, 1000]),
...     draw=lambda result, figure: style.finish(figure.subplots(), "Half each", "Two bars."),
... )
>>> app.result.allocation.tolist()
[80.0, 80.0]
>>> app.set(capacity=320).result.allocation.tolist()
[160.0, 160.0]

Moving a control calls `compute` with the values of all controls by name, then `draw` on the one
figure there is. The result must be a `virtlab.results.Result`: the sentence is its `explain()`,
the table its `to_frame()`.
"""

from __future__ import annotations

import html
import math
import pathlib
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anywidget
import ipywidgets as widgets
import traitlets

from virtlab.results import Result, table_html
from virtlab.validate import one_of
from virtlab.widgets.controls import Player
from virtlab.widgets.picture import Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from virtlab.plots.style import Plate

__all__ = ["Answer", "App", "table_of"]

R = TypeVar("R", bound=Result)
_HERE = pathlib.Path(__file__).parent
_UNITS = {"mb": "MB", "mib": "MiB", "vcpus": "vCPUs"}
_CODES = {"bt": "translated", "hw": "VT-x"}  # of chapter 04's costs


class Answer(anywidget.AnyWidget):
    """The sentence and the table of a result."""

    _esm = _HERE / "answer.js"
    _css = _HERE / "virtlab.css"

    sentence = traitlets.Unicode("").tag(sync=True)
    table = traitlets.Unicode("").tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)

    def say(self, result: Result, rows: pd.DataFrame | None = None) -> None:
        """Show what a result says, in one message; with other rows than its own if given."""
        with self.hold_sync():
            self.sentence = result.explain()
            self.table = table_of(result, rows)
            self.version += 1


def _in_words(value: float) -> str:
    """Write a number as a person would: 53.3, 2,100, 0.04, or a sign that there is no limit."""
    if not math.isfinite(value):
        return "\N{INFINITY}" if value > 0 else "\N{EN DASH}"
    if 0 < abs(value) < 0.95:
        return f"{value:.2g}"
    if abs(value) >= 9999.5:
        return f"{value:,.0f}"
    return f"{value:,.1f}".removesuffix(".0")


def table_of(result: Result, rows: pd.DataFrame | None = None) -> str:
    """Write the rows of a result, for eyes and for copying.

    Parameters
    ----------
    result
        What to write.
    rows
        Other rows than `result.to_frame()`.

    Returns
    -------
    str
        A table in HTML.

    Examples
    --------
    >>> from virtlab.resources import allocate
    >>> "<table" in table_of(allocate(160, [1000, 1000]))
    True
    """
    frame = result.to_frame() if rows is None else rows.copy()
    frame.columns = [_title(name) for name in frame.columns]
    return table_html(frame, max_rows=12, number_format=_in_words)


@cache
def _title(name: str) -> str:
    """Write the name of a column as words."""
    words = re.sub(r" per s$", "/s", name.replace("_", " "))
    words = re.sub(r"\bus$", "µs", re.sub(r"\bpercent$", "%", words))
    known = {**_UNITS, **_CODES}
    return re.sub(rf"\b({'|'.join(known)})\b", lambda found: known[found[0]], words)


class App(widgets.VBox, Generic[R]):
    """A widget around a model: one call makes it, and its state can be read and set.

    Parameters
    ----------
    controls
        Controls by the name of the parameter of `compute` that each sets.
    compute
        Runs the model on the values of the controls.
    draw
        Draws a result on an empty figure.
    views
        Further widgets between the picture and the sentence, which `follow` keeps up to date.
    follow
        Called with each new result, for `views`.
    pulls
        What a grip of the figure means that is no slider: by its name, a function from the value
        that it was brought to to new values of controls.

    Attributes
    ----------
    controls
        As given.
    picture
        The figure.
    answer
        The sentence and the table under it.
    result
        The newest result.
    """

    def __init__(
        self,
        controls: Mapping[str, Any],
        compute: Callable[..., R],
        draw: Callable[[R, Plate], None],
        views: Sequence[Any] = (),
        follow: Callable[[R], None] | None = None,
        pulls: Mapping[str, Callable[[float], Mapping[str, Any]]] | None = None,
    ) -> None:
        self.controls = dict(controls)
        self._compute = compute
        self._follow = follow
        self._pulls = dict(pulls or {})
        self._paused = False
        self.result: R = compute(**self.values)
        self.picture = Picture(lambda figure: draw(self.result, figure))
        self.answer = Answer()
        row = widgets.Box(list(self.controls.values()))
        row.add_class("virtlab-controls")
        super().__init__([row, self.picture, *views, self.answer])
        self.add_class("virtlab-app")
        self._say()
        self.picture.on_grip(self._gripped)
        for name, control in self.controls.items():
            control.key = name
            control.observe(self._moved, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """The values of all controls by name."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **values: Any) -> App[R]:
        """Move controls by name, as a student's hand would, and answer once.

        Parameters
        ----------
        **values
            New values by the name of the control.

        Returns
        -------
        App
            This one, for chaining.

        Raises
        ------
        InvalidInputError
            If there is no such control.

        Examples
        --------
        See the module's example.
        """
        self._paused = True
        try:
            for name, value in values.items():
                self.controls[one_of("control", name, tuple(self.controls))].value = value
        finally:
            self._paused = False
        self.refresh()
        return self

    def refresh(self) -> None:
        """Run the model on the controls as they stand, and show what came out.

        Examples
        --------
        >>> App.refresh.__name__
        'refresh'
        """
        self.result = self._compute(**self.values)
        self.picture.redraw()
        self._say()

    def _moved(self, _change: object) -> None:
        if not self._paused:
            self.refresh()

    def _gripped(self, name: str, value: float) -> None:
        """Bring a control to the step nearest to where a knob of the figure was dragged."""
        if name in self._pulls:
            self.set(**self._pulls[name](value))
            return
        control = self.controls[name]
        if isinstance(control, Player):
            control.value = round(value / control.per_step)
            return
        inside = min(max(value, control.min), control.max)
        steps = round((inside - control.min) / control.step)
        control.value = round(control.min + steps * control.step, 9)  # 0.3, not 0.30000000000000004

    def _say(self) -> None:
        self.answer.say(self.result)
        if self._follow is not None:
            self._follow(self.result)

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.picture.alt}\n{self.result.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, the picture, the sentence and the table."""
        live = super()._repr_mimebundle_(**kwargs)
        data, metadata = self.picture.figure._repr_mimebundle_()
        sentence = html.escape(self.result.explain())
        still = f"{data['text/html']}<p>{sentence}</p>{table_of(self.result)}"
        return {**live, **data, "text/html": still, "text/plain": repr(self)}, metadata
