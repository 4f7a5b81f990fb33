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
from virtlab.plots.ballooning_published import BALLOON_INK
from virtlab.plots.grips import knob
from virtlab.plots.pagemap import Box, paint_map
from virtlab.plots.pages import Pages
from virtlab.plots.palette import HARDWARE, PAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from virtlab.memory.pressure import UnderPressure
    from virtlab.memory.pressure_check import PressureCheck
    from virtlab.memory.reclaim_film import ReclaimFrame
    from virtlab.plots.style import Plate

__all__ = ["INSIDE", "OUTSIDE", "draw_pressure", "draw_sides", "sides", "titles"]

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
    ('Inside: 80 pages in the balloon', 'Outside: 80 of 240 pages back')
    """
    told = frame.summary()
    balloon = int((frame.held == HELD.index("balloon")).sum())
    wanted = frame.film.spec.wanted_pages
    return (
        f"Inside: {balloon} pages in the balloon",
        f"Outside: {told['taken_pages']} of {wanted} pages back",
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


_THIN = "\N{NO-BREAK SPACE}"

_LINES: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "balloon": (BALLOON_INK, "-", "s"),
        "host swap": (PAGES["swapped"].colour, "--", "o"),
        "both": (PAGES["kernel"].colour, ":", "^"),
    }
)
"""Ink, line and marker of each means."""


def draw_pressure(
    result: UnderPressure, figure: Plate | None = None, check: PressureCheck | None = None
) -> Plate:
    """Draw throughput over what is taken, by each means.

    Parameters
    ----------
    result
        The curves.
    figure
        The figure to draw on again; a new one if not given.
    check
        Simulated runs of the same guest, drawn as points.

    Returns
    -------
    Plate
        The figure, with its alt text.

    Examples
    --------
    >>> from virtlab.memory.pressure import under_pressure
    >>> draw_pressure(under_pressure()).alt[:59]
    'Line chart: throughput of a guest over what the host takes.'
    """

    def draw(plate: Plate) -> None:
        plate.margins(
            left=66 if plate.narrow else 90,
            right=106 if plate.narrow else 130,
            top=104 if plate.narrow else 70,
        )
        axes = plate.subplots()
        for means, (ink, line, marker) in _LINES.items():
            axes.plot(result.taken_mib, result.percent(means), color=ink, ls=line, lw=2.5)
            if check is None:
                at = result.taken_mib[result.at], result.percent(means)[result.at]
                axes.plot(*at, marker, color=ink, ms=9, zorder=4)
                continue
            mine = np.array(check.means) == means
            taken, points = check.taken_mib[mine], check.simulated_percent[mine]
            axes.plot(taken, points, marker, mfc="white", mec=ink, mew=1.8, ms=8, lw=0, zorder=4)
        if check is None:
            chosen = float(result.taken_mib[result.at])
            axes.axvline(chosen, color=HARDWARE.colour, ls=(0, (1, 3)), lw=1.2)
        _name_lines(axes, result)
        axes.set(xlim=(0, result.taken_mib[-1]), ylim=(0, 104), ylabel="throughput, %")
        if check is None:
            knob(axes, "taken_mib", "what the host takes", (chosen, 0), "x", chosen)
        axes.set_xlabel(f"taken of {result.program.size_mib:.0f} MiB, MiB")
        style.finish(axes, _pressure_title(result, check), _pressure_alt(result), slide="S28")

    return style.draw_on(figure, draw)


def _name_lines(axes: Axes, result: UnderPressure) -> None:
    """Name each line at its end, where the names don't meet."""
    ends = sorted((float(result.percent(means)[-1]), means) for means in _LINES)
    height = -np.inf
    for end, means in ends:
        height = max(end, height + 7)
        axes.annotate(
            means,
            (float(result.taken_mib[-1]), height),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=_LINES[means][0],
            annotation_clip=False,
        )


def _pressure_title(result: UnderPressure, check: PressureCheck | None) -> str:
    if check is not None:
        off = check.summary()["largest_error_points"]
        return f"Formula (lines) and simulation (points) differ by at most {off:.1f} points"
    told = result.summary()
    parts = ", ".join(f"{means} {told[f'{means}_percent']:.0f}{_THIN}%" for means in _LINES)
    return f"Left with {told['taken_mib']:.0f}{_THIN}MiB taken: {parts}"


def _pressure_alt(result: UnderPressure) -> str:
    some = range(0, result.taken_mib.size, max(result.taken_mib.size // 5, 1))
    rows = [
        f"{result.taken_mib[i]:.0f} MiB: "
        + ", ".join(f"{result.percent(means)[i]:.0f} % by {means}" for means in _LINES)
        for i in some
    ]
    return (
        "Line chart: throughput of a guest over what the host takes. "
        f"{'; '.join(rows)}. {result.explain()}"
    )
