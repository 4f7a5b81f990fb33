"""The talk's architectures as stacks of boxes, and a packet's way as numbered discs (S8-S10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import Rectangle

from virtlab.machine.io_paths import ARCHITECTURES, SENDS_IT
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, PAGES, VMS, Mark, vm_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.machine.io_paths import Architecture

__all__ = ["CARD", "WORLDS", "discs", "layers", "points"]

# A monitor belongs to one VM, so it has a lighter shade of its colour.
WORLDS = {
    "guest": Mark(VMS[0].colour, "", "", "g", "guest"),
    "monitor": Mark(vm_mark(8).colour, "", "..", "m", "monitor"),
    "switch": Mark(PAGES["hint"].colour, "", "///", "s", "world switch"),
    "host": Mark(PAGES["kernel"].colour, "", "", "h", "host"),
    "idle": Mark("#FFFFFF", "", "", "i", "idle"),
    "hardware": HARDWARE,
}
# Where the discs of a path stand: x of each step, from 0 to 1, beside the names; where the guest's
# packet begins; and the corner that a path takes on its way to a step, to keep clear of a name.
_PLACES = {
    "native": (0.6,),
    "hosted": (0.955, 0.515, 0.405, 0.405, 0.515, 0.87, 0.87),
    "system": (0.955, 0.42, 0.42, 0.86),
    "dedicated": (0.9, 0.76, 0.62),
}
_BEGINS = {"native": 0.6, "hosted": 0.955, "system": 0.955, "dedicated": 0.9}
_CORNERS = {("hosted", 6): (0.57, 1.42)}
_DISC = 0.3  # height of a disc above its layer's foot, in rows
CARD = 0.86  # where the packet reaches the card


def points(key: str) -> tuple[list[tuple[float, float]], list[int]]:
    """Return the corners of a path, from the guest through all steps, and which are the steps.

    Parameters
    ----------
    key
        Of an architecture.

    Returns
    -------
    corners : list of tuple
        x from 0 to 1, and y in rows.
    steps : list of int
        Which of the corners each step is.

    Examples
    --------
    >>> corners, steps = points("dedicated")
    >>> len(corners), steps
    (6, [1, 2, 5])
    """
    one = ARCHITECTURES[key]
    rows = {layer.name: layer.row for layer in one.layers}
    corners = [(_BEGINS[key], max(rows.values()) + _DISC)]
    steps = []
    for number, (x, step) in enumerate(zip(_PLACES[key], one.path, strict=True), 1):
        if (key, number) in _CORNERS:
            corners.append(_CORNERS[key, number])
        corners.append((x, rows[step.where] + _DISC))
        steps.append(len(corners) - 1)
        if step.what == SENDS_IT:  # down to the card, and back
            corners += [(x, CARD), (x, rows[step.where] + _DISC)]
    return corners, steps


def layers(axes: Axes, one: Architecture, height: int, *, modes: bool, tight: bool) -> None:
    """Draw the boxes of an architecture.

    Parameters
    ----------
    axes
        Where.
    one
        Which architecture.
    height
        Rows that there is room for.
    modes
        Whether there is room for the rings.
    tight
        Whether rows are so low that a name stands half way up.

    Examples
    --------
    >>> axes = style.plate().subplots()
    >>> layers(axes, ARCHITECTURES["hosted"], 3, modes=True, tight=False)
    >>> axes.texts[0].get_text()
    'network card'
    """
    for layer in one.layers:
        mark, (left, right) = WORLDS[layer.world], layer.columns
        dark = layer.world == "hardware"
        foot, high = (0.5, 0.47) if dark else (layer.row + 0.03, 0.94)
        for face in ({"facecolor": mark.colour, "alpha": 1 if dark else 0.28}, {"fill": False}):
            edge: Any = {"edgecolor": HARDWARE.colour, "lw": 1, **face}
            axes.add_patch(Rectangle((left, foot), right - left, high, **edge))
        ink: Any = {"va": "center", "color": "white" if dark else HARDWARE.colour}
        middle = foot + high * (0.5 if tight else 0.32 if dark else 0.76)
        words = axes.text(left + 0.02, middle, layer.name, weight="bold", **ink)
        if modes and layer.mode:
            axes.annotate(
                layer.mode, (1, 0.5), xycoords=words, xytext=(7, 0), textcoords="offset points",
                fontsize=style.SMALL, **ink,
            )  # fmt: skip
    card = [x for x, y in points(_key(one))[0] if y == CARD]
    axes.plot(card, [CARD] * len(card), "o", color="white", ms=7, zorder=3)
    axes.set(xlim=(-0.005, 1.005), ylim=(0.48, height))
    axes.set_axis_off()


def _key(one: Architecture) -> str:
    return next(key for key, other in ARCHITECTURES.items() if other is one)


def discs(axes: Axes, key: str, size: float) -> None:
    """Draw a path and its numbers.

    Parameters
    ----------
    axes
        Where `layers` has drawn.
    key
        Of the architecture.
    size
        Of a disc, points.

    Examples
    --------
    >>> axes = style.plate().subplots()
    >>> discs(axes, "dedicated", 20)
    >>> [text.get_text() for text in axes.texts]
    ['1', '2', '3']
    """
    corners, steps = points(key)
    xs, ys = zip(*corners, strict=True)
    axes.plot(xs, ys, color=HARDWARE.colour, lw=1.6, solid_joinstyle="round")
    axes.plot(xs[:1], ys[:1], "s", color=HARDWARE.colour, ms=7)
    for number, at in enumerate(steps, 1):
        axes.plot(xs[at], ys[at], "o", ms=size, mfc="white", mec=HARDWARE.colour, mew=1.4)
        axes.text(xs[at], ys[at] - 0.01, str(number), ha="center", va="center", weight="bold")
