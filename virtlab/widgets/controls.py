"""Controls declared once: name, label, unit, range. Labels carry units, keys move them.

The order in every widget is: the machine, the load, the policy, the view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["choice", "slider", "toggle"]

_STYLE = {"description_width": "150px"}
_LAYOUT = {"width": "auto", "min_width": "290px"}


def slider(label: str, unit: str, value: float, minimum: float, maximum: float, step: float) -> Any:
    """Make a slider; a whole-number one if `step` and `value` are ints.

    Parameters
    ----------
    label
        What it sets, in a word or two.
    unit
        Unit, written after the label; '' for a plain count.
    value, minimum, maximum, step
        Start, range and step; arrow keys move one step.

    Returns
    -------
    ipywidgets.IntSlider or ipywidgets.FloatSlider
        The slider; it answers while it moves.

    Raises
    ------
    InvalidInputError
        If the start lies outside the range.

    Examples
    --------
    >>> slider("VM2 shares", "", 1000, 0, 4000, 100).value
    1000
    """
    if not minimum <= value <= maximum:
        raise InvalidInputError(label, value, f"a number from {minimum:g} to {maximum:g}")
    whole = isinstance(step, int) and isinstance(value, int)
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    text = f"{label} ({unit})" if unit else label
    return kind(
        value=value,
        min=minimum,
        max=maximum,
        step=step,
        description=text,
        tooltip=text,
        style=_STYLE,
        layout=_LAYOUT,
    )


def choice(label: str, options: Mapping[str, Any], value: Any) -> Any:
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
    ipywidgets.Dropdown
        The drop-down.

    Examples
    --------
    >>> choice("VM2", {"high": 2000, "normal": 1000}, 1000).label
    'normal'
    """
    return widgets.Dropdown(
        options=list(options.items()), value=value, description=label, style=_STYLE, layout=_LAYOUT
    )


def toggle(label: str, value: bool) -> Any:  # noqa: FBT001 - a toggle is its value
    """Make a check box.

    Parameters
    ----------
    label
        What it switches on.
    value
        Whether it is on at the start.

    Returns
    -------
    ipywidgets.Checkbox
        The check box.

    Examples
    --------
    >>> toggle("VM3 is idle", False).value
    False
    """
    return widgets.Checkbox(value=value, description=label, indent=False, layout=_LAYOUT)
