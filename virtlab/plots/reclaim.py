"""A guest that gives memory back, from both sides (S28): what its frames hold, what backs them.

Both maps show the same frames in the same places. Inside, each has the colour of what it holds;
outside, all that have a machine frame look alike, for that is all that the host can see.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from virtlab.memory.reclaim_film import HELD
from virtlab.plots import style
from virtlab.plots.pagemap import Box, paint_map
from virtlab.plots.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtlab.memory.reclaim_film import ReclaimFrame
    from virtlab.plots.style import Plate

__all__ = ["INSIDE", "OUTSIDE", "draw_sides", "sides", "titles"]

INSIDE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "free": "free",
        "kernel": "kernel",
        "used": "hot",
        "cold": "cold",
        "cache": "page cache",
        "ballooned": "balloon",
    }
)
"""Legend of the guest's side, in the order of `HELD`."""

OUTSIDE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "free": "untouched",
        "used": "machine frame",
        "swapped": "host swap",
        "ballooned": "given up",
    }
)
"""Legend of the host's side."""

_PLACE = np.array([0, 1, 1, 2, 3], np.uint8)  # of each of STATES in OUTSIDE; a shared one is backed


def sides(frame: ReclaimFrame, name: str = "the guest") -> tuple[Pages, Pages]:
    """Return both maps of a picture.

    Parameters
    ----------
    frame
        The picture.
    name
        What the maps call it.

    Returns
    -------
    tuple of Pages
        Inside the guest, and on the host.

    Examples
    --------
    >>> from virtlab.memory.ballooning import reclaim
    >>> inside, outside = sides(reclaim().frame(10))
    >>> inside.counts["balloon"].item(), outside.counts["given up"].item()
    (80, 80)
    """
    size = frame.held.size
    return (
        Pages(frame.held, [(name, size)], INSIDE),
        Pages(_PLACE[frame.behind], [(name, size)], OUTSIDE),
    )


def titles(frame: ReclaimFrame) -> tuple[str, str]:
    """Return what each map shows, as a finding.

    Parameters
    ----------
    frame
        The picture.

    Returns
    -------
    tuple of str
        Of the guest's side, and of the host's.

    Examples
    --------
    >>> from virtlab.memory.ballooning import reclaim
    >>> titles(reclaim().frame(10))
    ('Inside the guest: 80 pages in the balloon', 'On the host: 80 of 240 pages are back')
    """
    told = frame.summary()
    balloon = int((frame.held == HELD.index("balloon")).sum())
    wanted = frame.film.spec.wanted_pages
    return (
        f"Inside the guest: {balloon} pages in the balloon",
        f"On the host: {told['taken_pages']} of {wanted} pages are back",
    )


def draw_sides(frame: ReclaimFrame, figure: Plate | None = None) -> Plate:
    """Draw both maps on one figure.

    Parameters
    ----------
    frame
        The picture.
    figure
        The figure to draw on again; a new one if not given.

    Returns
    -------
    Plate
        The figure, with its alt text.

    Examples
    --------
    >>> from virtlab.memory.ballooning import reclaim
    >>> draw_sides(reclaim().frame(10)).alt[:62]
    'After 10 s of balloon: 80 pages are back, 1 ms of waiting. Ins'
    """
    maps, heads = sides(frame, ""), titles(frame)
    told = frame.summary()
    title = (
        f"After {frame.second} s of {told['means']}: {told['taken_pages']} pages are back, "
        f"{told['waited_ms']:.0f} ms of waiting"
    )

    def draw(plate: Plate) -> None:
        width, height = (100 * plate.get_size_inches()).tolist()
        axes = plate.add_axes((0, 0, 1, 1))
        for pages, head, box in zip(maps, heads, _boxes(plate, width, height), strict=True):
            paint_map(axes, pages, box)
            size = 10.1 if plate.narrow else 11.5
            axes.text(box.left, box.top - 8, head, va="bottom", fontsize=size, weight="bold")
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        words = " ".join(f"{head}. {pages.alt()}" for head, pages in zip(heads, maps, strict=True))
        style.finish(axes, title, f"{title}. {words}", slide="S28")

    return style.draw_on(figure, draw)


def _boxes(plate: Plate, width: float, height: float) -> tuple[Box, Box]:
    """Stand the maps side by side, or one above the other on a phone."""
    if plate.narrow:
        middle = 0.6 * height
        return Box(14, 104, width - 14, middle - 6), Box(14, middle + 22, width - 14, height - 8)
    gap = 24
    middle = width / 2
    return Box(24, 96, middle - gap, height - 14), Box(middle + gap, 96, width - 24, height - 14)
