r"""A line that is typed: text that something can be read from, or a fault that is said below it.

>>> from virtlab.machine.walk.programs import read_bytes
>>> line = entry("Bytes", "cd 80", read_bytes)
>>> line.value
b'\xcd\x80'
>>> line.typed = "cli"
>>> line.value, line.fault[:23]
(b'\xcd\x80', "bytes = 'cli': must be ")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from virtlab.validate import InvalidInputError
from virtlab.widgets.controls import Control

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Entry", "entry"]


class Entry(Control):
    """A line of text; make one with `entry`.

    Attributes
    ----------
    typed
        The text.
    value
        What was read from it last; it stays while something wrong is typed.
    fault
        What is wrong with the text; empty if nothing is.

    Examples
    --------
    See the module's example.
    """

    typed = traitlets.Unicode("").tag(sync=True)
    fault = traitlets.Unicode("").tag(sync=True)
    value = traitlets.Any()

    def __init__(self, read: Callable[[str], Any], **kwargs: Any) -> None:
        self._read = read
        super().__init__(kind="entry", **kwargs)

    @traitlets.observe("typed")
    def _heard(self, change: Any) -> None:
        try:
            value = self._read(change["new"])
        except InvalidInputError as error:
            self.fault = str(error)
        else:
            self.fault = ""
            self.value = value


def entry(label: str, text: str, read: Callable[[str], Any]) -> Entry:
    """Make a line to be typed.

    Parameters
    ----------
    label
        What it sets.
    text
        What stands there at the start.
    read
        Reads a value from a text, or raises `InvalidInputError`.

    Returns
    -------
    Entry
        The line.

    Examples
    --------
    See the module's example.

    >>> entry("Number", "7", int).value
    7
    """
    return Entry(read, description=label, typed=text)
