"""What happened when: each event's name above its vertical line, and no name on another (S21).

Names stand in rows between the title and the axes, each on top of its own dotted line. From left
to right each takes the highest row in which it touches no other name and no other line. Where
there are too many for the rows, those that lie closest in time become one: '3 events'. The alt
text of the figure has them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from virtlab.plots.palette import HARDWARE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu.vms import Event

__all__: list[str] = []

_ROW, _LETTERS = 20.0, 14.0  # pixels: height of a row, size of its letters
_ASIDE = 6.0  # how far a name begins before its line
_APART = 10.0  # between two names
_BOTH = 0.5  # of a row: two names longer than that become a number
_POINT = 0.72  # of a pixel


@dataclass
class _Flag:
    """A name, and the lines that it stands on; all in pixels from the left of the axes."""

    at: list[float]
    name: str
    width: float = 0.0
    left: float = 0.0
    row: int = 0

    def covers(self, at: Sequence[float]) -> bool:
        """Return whether one of these lines would meet its name."""
        return any(self.left - 2 < x < self.left + self.width + 2 for x in at)


def place(flags: list[_Flag], room: float, rows: int) -> bool:
    """Give each name, from left to right, its place and its row, 0 at the top; False if none fits.

    Parameters
    ----------
    flags
        In rising order of their first lines.
    room
        Pixels that a row has.
    rows
        How many there are.

    Returns
    -------
    bool
        Whether all have one.
    """
    done: list[_Flag] = []
    for flag in flags:
        flag.left = max(0.0, min(flag.at[0] - _ASIDE, room - flag.width))
        for row in range(rows):
            touched = any(
                (other.row == row and flag.left < other.left + other.width + _APART)
                or (other.row > row and other.covers(flag.at))
                or (other.row < row and flag.covers(other.at))
                for other in done
            )
            if not touched:
                flag.row = row
                break
        else:
            return False
        done.append(flag)
    return True


def _shorten(flags: list[_Flag], width: Callable[[str], float], room: float) -> None:
    """Measure the names; cut off what is too long for a row of its own."""
    for flag in flags:
        flag.width = width(flag.name)
        while flag.width > room and len(flag.name) > 1:
            flag.name = f"{flag.name.rstrip('…')[:-1]}…"
            flag.width = width(flag.name)


def _merge(flags: list[_Flag], width: Callable[[str], float], room: float) -> None:
    """Make one of the two neighbours that are closest in time: both names if short, or a number."""
    gaps = [later.at[0] - earlier.at[-1] for earlier, later in pairwise(flags)]
    k = int(np.argmin(gaps))
    one, other = flags[k], flags.pop(k + 1)
    one.at += other.at
    one.name = f"{one.name}, {other.name}"
    one.width = width(one.name)
    if len(one.at) > 2 or one.width > _BOTH * room:
        one.name = f"{len(one.at)} events"
        one.width = width(one.name)


def draw_events(axes: Axes, events: Sequence[Event]) -> None:
    """Draw a line for each event, with its name above the axes; call it when the title is there.

    Parameters
    ----------
    axes
        Whose x is seconds.
    events
        In order of time.
    """
    plate = cast("Plate", axes.figure)
    renderer = FigureCanvasAgg(plate).get_renderer()
    box = axes.get_window_extent(renderer)
    rows = int((plate.texts[0].get_window_extent(renderer).y0 - box.y1 - 4) // _ROW)
    begin, end = axes.get_xlim()
    scale = box.width / (end - begin)
    seen = [event for event in events if begin <= event.at_s <= end]
    flags = [_Flag([(event.at_s - begin) * scale], event.label) for event in seen]
    text = axes.text(0, 0, "", fontsize=_LETTERS * _POINT)
    room = plate.width_px - box.x0 - _ASIDE

    def width(name: str) -> float:
        text.set_text(name)
        return float(text.get_window_extent(renderer).width)

    _shorten(flags, width, room)
    while rows > 0 and not place(flags, room, rows):
        _merge(flags, width, room)
    text.remove()
    lowest = max((flag.row for flag in flags), default=0)
    for flag in flags:
        height = (lowest - flag.row) * _ROW + 3
        for x in flag.at:
            _line(axes, begin + x / scale, 1 + height / box.height)
        if rows > 0:
            axes.annotate(
                flag.name,
                (begin, 1),
                xycoords=axes.get_xaxis_transform(),
                xytext=(flag.left * _POINT, height * _POINT),
                textcoords="offset points",
                fontsize=_LETTERS * _POINT,
                va="bottom",
                annotation_clip=False,
            )


def _line(axes: Axes, at_s: float, top: float) -> None:
    transform = axes.get_xaxis_transform()
    axes.plot(
        [at_s, at_s], [0, top], ":", color=HARDWARE.colour, lw=1, transform=transform, clip_on=False
    )
