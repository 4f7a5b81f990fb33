"""Buttons that do something at once, and can say that they can't.

>>> row = buttons("Power", ["Add a VM", "Remove VM2"])
>>> pressed = []
>>> row.on_press(pressed.append)
>>> row.press("Add a VM")
>>> pressed
[0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from virtlab.validate import InvalidInputError, one_of
from virtlab.widgets.controls import Control

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Buttons", "buttons"]


class Buttons(Control):
    """A row of buttons; make one with `buttons`.

    Attributes
    ----------
    labels
        What they say; they can be set.
    enabled
        Which of them can be pressed.

    Examples
    --------
    See the module's example.
    """

    labels: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    enabled: Any = traitlets.List(traitlets.Bool()).tag(sync=True)
    pressed: Any = traitlets.Dict().tag(sync=True)
    value = traitlets.Int(0)  # how often one was pressed

    def __init__(self, labels: Sequence[str], **kwargs: Any) -> None:
        super().__init__(
            kind="buttons", labels=list(labels), enabled=[True] * len(labels), **kwargs
        )
        self._actions: list[Callable[[int], object]] = []
        self.observe(self._heard, names="pressed")

    def on_press(self, action: Callable[[int], object]) -> None:
        """Call something with the number of each button that is pressed.

        Parameters
        ----------
        action
            What to call.

        Examples
        --------
        See the module's example.
        """
        self._actions.append(action)

    def press(self, label: str) -> None:
        """Press a button, as a student's hand would.

        Parameters
        ----------
        label
            What it says.

        Examples
        --------
        See the module's example.
        """
        index = self.labels.index(one_of("button", label, tuple(self.labels)))
        self.pressed = {"index": index, "time": self.value}

    def _heard(self, change: Any) -> None:
        index = int(change["new"].get("index", -1))
        if 0 <= index < len(self.labels) and self.enabled[index]:
            for action in self._actions:
                action(index)
            self.value += 1


def buttons(label: str, labels: Sequence[str]) -> Buttons:
    """Make a row of buttons.

    Parameters
    ----------
    label
        What they are about.
    labels
        What each says.

    Returns
    -------
    Buttons
        The row.

    Raises
    ------
    InvalidInputError
        If there is none, or two say the same.

    Examples
    --------
    >>> buttons("Power", ["On", "Off"]).labels
    ['On', 'Off']
    """
    if not labels or len(set(labels)) < len(labels):
        raise InvalidInputError("labels", list(labels), "words that differ, one or more")
    return Buttons(labels, description=label)
