"""What all players share: controls, of which one is the time in something recorded (S15, S26, S39).

A move of any other control records anew; a move of the time only shows another moment. So playing
costs nothing but drawing.
"""

from __future__ import annotations

from typing import Any, Self

import ipywidgets as widgets

__all__ = ["Player"]


class Player(widgets.VBox):
    """Controls above, what is played below.

    A class of its own has `controls` with the time among them, `time`, the name of that control,
    `_record`, which makes what is played and lets the time know how long that is, and `_show`.

    Attributes
    ----------
    controls
        By name.
    time
        Name of the control that says which moment is shown.

    Examples
    --------
    >>> from virtlab.widgets import controls
    >>> class Squares(Player):
    ...     time = "at"
    ...     def __init__(self):
    ...         rows = controls.slider("Squares", "", 3, 1, 9, 1), controls.player("At", "", 9)
    ...         self.controls = dict(zip(("count", "at"), rows))
    ...         self._record()
    ...         self._lay_out()
    ...     def _record(self):
    ...         self.played = [n * n for n in range(self.controls["count"].value)]
    ...     def _show(self):
    ...         self.shown = self.played[self.controls["at"].value]
    >>> Squares().set(count=5, at=4).shown
    16
    """

    time: str
    controls: dict[str, Any]

    def _record(self) -> None:
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError

    def _lay_out(self, *parts: widgets.Widget) -> None:
        """Put controls above the parts, show them, and answer from now on."""
        row = widgets.Box(list(self.controls.values()))
        row.add_class("virtlab-controls")
        super().__init__([row, *parts])
        self.add_class("virtlab-app")
        self._paused = False
        self._show()
        for name, control in self.controls.items():
            control.observe(self._stepped if name == self.time else self._changed, names="value")

    def set(self, **values: Any) -> Self:
        """Move controls by name, and answer once.

        Parameters
        ----------
        **values
            New values by the name of the control.

        Returns
        -------
        Player
            This one, for chaining.

        Examples
        --------
        See the class.
        """
        self._paused = True
        try:
            for name, value in values.items():
                if name != self.time:
                    self.controls[name].value = value
            if set(values) - {self.time}:
                self._record()
            if self.time in values:  # last: only now it is known how far it goes
                self.controls[self.time].value = values[self.time]
        finally:
            self._paused = False
        self._show()
        return self

    def _changed(self, _change: object) -> None:
        if not self._paused:
            self._record()
            self._show()

    def _stepped(self, _change: object) -> None:
        if not self._paused:
            self._show()
