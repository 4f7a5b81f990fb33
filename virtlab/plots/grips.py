"""Places of a figure that a reader can take hold of: knobs to drag, tiles to press.

A plot function says where they are and which control of a widget each stands for; a
`virtlab.widgets.picture.Picture` lays them over its image. On paper there are none, and whoever
has no pointer has the control itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from virtlab.validate import one_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Grip", "knob", "tile"]


@dataclass(frozen=True)
class Grip:
    """One such place, in parts of the figure's width and height, from its top left corner.

    Attributes
    ----------
    name
        Of the control that it moves, or of what a widget does to find the control's value.
    control
        The control that it stands for.
    words
        What it is, said to a pointer that rests on it.
    x, y
        A knob's middle, or a tile's corner.
    width, height
        Of a tile; 0 for a knob.
    along
        'x' or 'y', which way a knob goes; '' for a tile, which is pressed.
    value
        Of the control, with the knob where it is; or what the tile sets.
    per_part
        How much the value grows for a whole width to the right, or a whole height up.

    Examples
    --------
    >>> Grip("slide", "slide", "S20", 0.1, 0.2, 0.05, 0.1, value=20).as_dict()["value"]
    20
    """

    name: str
    control: str
    words: str
    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    along: str = ""
    value: float = 0.0
    per_part: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return what a browser is told.

        Returns
        -------
        dict
            All attributes by name.

        Examples
        --------
        See the class's example.
        """
        return asdict(self)


def _place(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Return where data stand, in parts of the figure from its top left corner."""
    figure = axes.figure
    across, up = figure.transFigure.inverted().transform(axes.transData.transform((x, y)))
    return float(across), 1.0 - float(up)


def knob(
    axes: Axes,
    name: str,
    words: str,
    at: tuple[float, float],
    along: str,
    value: float,
    *,
    per_unit: float = 1.0,
    control: str = "",
) -> None:
    """Put a knob on axes whose limits are set.

    Parameters
    ----------
    axes
        Straight axes on a `Plate`.
    name, words
        Of the control that it moves, and what the knob is.
    at
        Where, in the axes' units.
    along
        'x' or 'y'.
    value
        Of the control.
    per_unit
        How much the value grows for one unit of the axis.
    control
        The control that it stands for, if that is another name.

    Examples
    --------
    >>> from virtlab.plots import style
    >>> figure = style.plate()
    >>> axes = figure.add_axes((0, 0, 1, 1))
    >>> _ = axes.set(xlim=(0, 1), ylim=(0, 100))
    >>> knob(axes, "minimum1", "VM1's minimum", (0.5, 25), "y", 25)
    >>> [grip] = figure.grips
    >>> grip.x, grip.y, grip.per_part
    (0.5, 0.75, 100.0)
    """
    one_of("along", along, ("x", "y"))
    x, y = _place(axes, *at)
    if along == "x":
        part = _place(axes, at[0] + 1, at[1])[0] - x
    else:
        part = y - _place(axes, at[0], at[1] + 1)[1]
    per_part = round(per_unit / part, 9)
    grip = Grip(name, control or name, words, x, y, along=along, value=value, per_part=per_part)
    axes.figure.grips.append(grip)  # type: ignore[union-attr] # of a Plate


def tile(
    axes: Axes,
    name: str,
    words: str,
    corner: tuple[float, float],
    size: tuple[float, float],
    value: float,
) -> None:
    """Make a rectangle of a figure one that can be pressed.

    Parameters
    ----------
    axes
        On a `Plate`, with their limits set.
    name, words
        Of the control, and what the tile is.
    corner, size
        One corner, and from there width and height, in the axes' units.
    value
        What the control becomes.

    Examples
    --------
    >>> from virtlab.plots import style
    >>> figure = style.plate()
    >>> axes = figure.add_axes((0, 0, 1, 1))
    >>> _ = axes.set(xlim=(0, 100), ylim=(50, 0))
    >>> tile(axes, "slide", "S20", (10, 10), (20, 5), 20)
    >>> [grip] = figure.grips
    >>> [round(part, 3) for part in (grip.x, grip.y, grip.width, grip.height)]
    [0.1, 0.2, 0.2, 0.1]
    """
    one, other = _place(axes, *corner), _place(axes, corner[0] + size[0], corner[1] + size[1])
    left, top = min(one[0], other[0]), min(one[1], other[1])
    width, height = abs(other[0] - one[0]), abs(other[1] - one[1])
    grip = Grip(name, name, words, left, top, width, height, value=value)
    axes.figure.grips.append(grip)  # type: ignore[union-attr] # of a Plate
