"""The map of the talk: a row for each chapter, a tile for each slide, filled where it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.patches import Rectangle

from virtlab.plots import style
from virtlab.plots.grips import tile
from virtlab.plots.palette import HOST, PAGES, VMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate

__all__ = ["Row", "draw"]

_BUILT, _CHOSEN, _OPEN = VMS[0].colour, PAGES["ballooned"].colour, HOST.colour


@dataclass(frozen=True)
class Row:
    """One chapter on the map.

    Attributes
    ----------
    name, title
        '05-shares', and what one does in it.
    slides
        Numbers of its slides.
    built
        Whether it is there.
    guests
        Those of its slides whose home is another chapter.
    """

    name: str
    title: str
    slides: tuple[int, ...]
    built: bool
    guests: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Grid:
    """Where things stand, in pixels from the top left corner."""

    top: int
    row: int  # height of a row of tiles
    tile: int  # width of a tile
    left: int  # where tiles begin
    a_line: int  # tiles in a line
    heading: int  # room above the tiles for the title; 0 when it stands beside them


_WIDE = _Grid(top=62, row=36, tile=38, left=412, a_line=14, heading=0)
_NARROW = _Grid(top=88, row=32, tile=50, left=14, a_line=7, heading=24)


def draw(rows: Sequence[Row], chosen: int = 0, figure: Plate | None = None) -> Plate:
    """Draw the map.

    Parameters
    ----------
    rows
        The chapters, in order.
    chosen
        Number of a slide to point out; 0 for none.
    figure
        The figure to draw on again, or None for a new one; its height is set to what is needed.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> figure = draw([Row("05-shares", "Divide a disk", (19, 20), built=True)])
    >>> print(figure.alt)
    Map of the talk, a row for each chapter, a tile for each slide. Built and filled: \
05-shares (S19, S20).
    """
    return style.draw_on(figure, lambda plate: _draw(plate, rows, chosen))


def _draw(figure: Plate, rows: Sequence[Row], chosen: int) -> None:
    grid = _NARROW if figure.narrow else _WIDE
    lines = [-(-len(row.slides) // grid.a_line) for row in rows]
    height = grid.top + sum(n * grid.row + grid.heading for n in lines) + 16
    figure.set_size_inches(figure.get_figwidth(), height / 100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, figure.width_px), ylim=(height, 0))
    axes.set_axis_off()
    y = grid.top
    for row, count in zip(rows, lines, strict=True):
        _title(axes, row, grid, y)
        for i, number in enumerate(row.slides):
            line, column = divmod(i, grid.a_line)
            corner = (grid.left + column * grid.tile, y + grid.heading + line * grid.row)
            _tile(axes, row, number, corner, grid, is_chosen=number == chosen)
        y += count * grid.row + grid.heading
    style.finish(axes, _finding(rows, chosen), _alt(rows, chosen))


def _finding(rows: Sequence[Row], chosen: int) -> str:
    """Say where the chosen slide is run; if none is chosen, how much is built."""
    homes = [row for row in rows if chosen in row.slides and chosen not in row.guests]
    if homes:
        [home] = homes
        return f"S{chosen} is chapter {home.name[:2]}: {home.title}"
    built = sum(row.built for row in rows)
    return f"{built} of {len(rows)} chapters are built: the filled tiles"


def _title(axes: Axes, row: Row, grid: _Grid, y: int) -> None:
    middle = y + (grid.heading or grid.row) / 2
    look: dict[str, Any] = {"va": "center", "weight": "bold" if row.built else "normal"}
    name = f"✔ {row.title}" if row.built else row.title
    if grid.heading:
        axes.text(14, middle, f"{row.name[:2]}  {name}", **look)
        return
    axes.text(grid.left - 12, middle, row.name[:2], ha="right", **look)
    axes.text(grid.left - 48, middle, name, ha="right", **look)


def _tile(
    axes: Axes, row: Row, number: int, corner: tuple[int, int], grid: _Grid, *, is_chosen: bool
) -> None:
    guest = number in row.guests
    face = _CHOSEN if is_chosen else _BUILT if row.built else "white"
    box = Rectangle(
        (corner[0] + 2, corner[1] + 3),
        grid.tile - 4,
        grid.row - 6,
        facecolor=face,
        edgecolor="black" if is_chosen else _BUILT if row.built else _OPEN,
        linewidth=3 if is_chosen else 1.2,
        linestyle=":" if guest and not is_chosen else "-",
    )
    axes.add_patch(box)
    where = f"S{number}: {row.title}, chapter {row.name[:2]}"
    tile(axes, "slide", where, corner, (grid.tile, grid.row), number)
    axes.text(
        corner[0] + grid.tile / 2,
        corner[1] + grid.row / 2,
        f"S{number}",
        ha="center",
        va="center_baseline",
        fontsize=14 * 0.72,
        color="white" if face == _BUILT else "black",
        weight="bold" if row.built and not is_chosen else "normal",
    )


def _alt(rows: Sequence[Row], chosen: int) -> str:
    def told(row: Row) -> str:
        return f"{row.name} ({', '.join(f'S{number}' for number in row.slides)})"

    built = "; ".join(told(row) for row in rows if row.built) or "none"
    coming = "; ".join(told(row) for row in rows if not row.built)
    at = ", ".join(row.name for row in rows if chosen in row.slides)
    return (
        "Map of the talk, a row for each chapter, a tile for each slide. "
        f"Built and filled: {built}."
        + (f" To come, in outline: {coming}." if coming else "")
        + (f" Pointed out: S{chosen}, in {at}." if at else "")
    )
