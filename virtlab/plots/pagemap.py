"""The still map of memory pages: one small square a page, its colour and its sign say its state.

It has the colours and signs of the moving map in `virtlab.widgets.pagemap`, whose place it takes
where no kernel runs. Pages run along the rows of their VM's band; where there are more pages than
pixels, one dot stands for a few of them and has the mean of their colours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Polygon, Rectangle
from matplotlib.path import Path

from virtlab.plots import style
from virtlab.plots.pages import SIGNS, ink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from virtlab.plots.pages import Pages
    from virtlab.plots.style import Plate

__all__ = ["Box", "draw_pagemap", "paint_map"]

_PX = 72 / 100  # points of one layout pixel
_SIGN_PX = 9  # squares at least this large carry their sign
_CELL_PX = 26  # no square is larger
_LABEL_PX = 20  # a band is at least as high as its label
_GAP_PX = 8  # between two bands
_LEGEND_PX = 26  # height of one row of the legend


class Box(NamedTuple):
    """Where on a figure a map stands, in pixels from its upper left corner.

    Examples
    --------
    >>> Box(0, 60, 480, 500).width
    480
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left


class _Layout(NamedTuple):
    """How large the squares are, where each band's top stands, and how many rows it has.

    `pages` is how many pages one square stands for.
    """

    cell: int
    columns: int
    pages: int
    tops: list[float]
    rows: list[int]


def _fit(sizes: Sequence[int], top: float, width: float, height: float) -> _Layout:
    """Find the largest square with which every page has its place."""
    cell, pages = _CELL_PX, 1
    while True:
        columns = max(int(width // cell), 1)
        rows = [max(math.ceil(size / (columns * pages)), 1) for size in sizes]
        heights = [max(count * cell, _LABEL_PX) + _GAP_PX for count in rows]
        if sum(heights) <= height or pages > 4096:
            break
        cell, pages = (cell - 1, 1) if cell > 1 else (1, pages + 1)
    tops = top + np.concatenate([[0.0], np.cumsum(heights[:-1])])
    return _Layout(cell, columns, pages, tops.tolist(), rows)


def _image(pages: Pages, group: int, layout: _Layout) -> NDArray[np.float64]:
    """Colour the squares of one band; the end of its last row is left clear."""
    table = np.array([to_rgb(pages.colour(group, s)) for s in range(len(pages.legend))])
    start, size = int(pages.starts[group]), pages.groups[group][1]
    states = pages.states[start : start + size]
    squares = layout.rows[group] * layout.columns
    filled = math.ceil(size / layout.pages)
    colours = np.zeros((squares, 4))
    starts = np.arange(0, size, layout.pages)
    if size:
        shares = np.diff(np.append(starts, size))[:, None]
        colours[:filled, :3] = np.add.reduceat(table[states], starts, axis=0) / shares
    colours[:filled, 3] = 1
    return colours.reshape(layout.rows[group], layout.columns, 4)


def _sign(axes: Axes, key: str, centres: NDArray[np.float64], cell: float, on: str) -> None:
    """Draw the sign of one state at many places, as one collection of markers."""
    if key not in SIGNS or not len(centres):
        return
    sign = SIGNS[key]
    path = Path.make_compound_path(*[Path(np.array(line) * (1, -1)) for line in sign.lines])
    reach = 2 * float(np.abs(np.asarray(path.vertices)).max())  # a marker is scaled to reach 1
    colour = ink(on)
    axes.scatter(
        centres[:, 0],
        centres[:, 1],
        s=(cell * reach * _PX) ** 2,
        marker=path,
        linewidths=0 if sign.filled else sign.width * cell * _PX,
        facecolors=colour if sign.filled else "none",
        edgecolors=colour,
    )


def _signs(axes: Axes, pages: Pages, group: int, layout: _Layout, left: float) -> None:
    """Draw the second signs of one band."""
    start, size = int(pages.starts[group]), pages.groups[group][1]
    states = pages.states[start : start + size]
    for state, key in enumerate(pages.legend):
        row, column = np.divmod(np.flatnonzero(states == state), layout.columns)
        centres = np.column_stack(
            [
                left + (column + 0.5) * layout.cell,
                layout.tops[group] + (row + 0.5) * layout.cell,
            ]
        )
        _sign(axes, key, centres, layout.cell, pages.colour(group, state))


def _outline(
    size: int, columns: int, rows: int, cell: float, left: float, top: float
) -> list[tuple[float, float]]:
    """Go around the squares of a band, not around the empty end of its last row."""
    last = size - columns * (rows - 1)
    right, bottom = left + columns * cell, top + rows * cell
    step, above = left + last * cell, bottom - cell
    return [
        (left, top),
        (right, top),
        (right, above),
        (step, above),
        (step, bottom),
        (left, bottom),
    ]


def _bands(axes: Axes, pages: Pages, layout: _Layout, left: float) -> None:
    """Draw each group: its label, its squares, their signs, and a rim around them."""
    for group, (name, size) in enumerate(pages.groups):
        top, rows = layout.tops[group], layout.rows[group]
        right, bottom = left + layout.columns * layout.cell, top + rows * layout.cell
        axes.imshow(
            _image(pages, group, layout),
            extent=(left, right, bottom, top),
            interpolation="nearest",
            aspect="auto",
        )
        if layout.cell >= 4:
            lines = [
                [(x, top), (x, bottom)] for x in left + layout.cell * np.arange(1, layout.columns)
            ] + [[(left, y), (right, y)] for y in top + layout.cell * np.arange(1, rows)]
            axes.add_collection(LineCollection(lines, colors="white", linewidths=_PX))
        if layout.cell >= _SIGN_PX:
            _signs(axes, pages, group, layout, left)
        squares = math.ceil(size / layout.pages)
        outline = _outline(squares, layout.columns, rows, layout.cell, left, top)
        axes.add_patch(Polygon(outline, fill=False, ec="#8C8C8C", lw=_PX))
        letters = max(int((left - 24) / 8.5), 3)
        label = name if len(name) <= letters else name[: letters - 1] + "…"
        middle = top + min(max(rows * layout.cell, _LABEL_PX), 2 * _LABEL_PX) / 2
        axes.text(left - 10, middle, label, ha="right", va="center", fontsize=14 * _PX)


def _legend_rows(pages: Pages, width: float) -> list[list[tuple[int, str, float]]]:
    """Break the legend into rows: state, text, width in pixels."""
    rows: list[list[tuple[int, str, float]]] = [[]]
    used = 0.0
    for state, (label, count) in enumerate(pages.counts.sum().items()):
        text = f"{label} {count:,}"
        needed = 30 + 8.6 * len(text) + 14
        if rows[-1] and used + needed > width:
            rows.append([])
            used = 0.0
        rows[-1].append((state, text, needed))
        used += needed
    return rows


def _swatch(axes: Axes, pages: Pages, state: int, left: float, top: float) -> None:
    """Draw the square of one legend entry; a used page has as many colours as there are VMs."""
    own = pages.legend[state] == "used"
    groups = range(min(len(pages.groups), 4)) if own else range(1)
    side = 18 / len(groups)
    for group in groups:
        colour = pages.colour(group, state)
        axes.add_patch(Rectangle((left + group * side, top), side, 18, fc=colour, ec="none"))
    axes.add_patch(Rectangle((left, top), 18, 18, fill=False, ec="#8C8C8C", lw=_PX))
    centre = np.array([[left + 9, top + 9]])
    _sign(axes, pages.legend[state], centre, 18, pages.colour(0, state))


def paint_map(axes: Axes, pages: Pages, box: Box) -> None:
    """Paint bands and legend of a map, on axes whose unit is a pixel; labels stand left of the box.

    Parameters
    ----------
    axes
        Where to.
    pages
        What it shows.
    box
        Where it stands.

    Examples
    --------
    See `draw_pagemap`, which paints one.

    >>> paint_map.__name__
    'paint_map'
    """
    legend = _legend_rows(pages, box.width)
    foot = box.bottom - _LEGEND_PX * len(legend)
    layout = _fit([size for _, size in pages.groups], box.top, box.width, foot - box.top)
    _bands(axes, pages, layout, box.left)
    for index, row in enumerate(legend):
        x, y = box.left, foot + index * _LEGEND_PX
        for state, text, needed in row:
            _swatch(axes, pages, state, x, y)
            axes.text(x + 26, y + 9, text, va="center", fontsize=14 * _PX)
            x += needed


def draw_pagemap(
    pages: Pages, title: str = "", figure: Plate | None = None, slide: str = ""
) -> Plate:
    """Draw a map of pages.

    Parameters
    ----------
    pages
        What it shows.
    title
        The finding.
    figure
        The figure to draw on again; a new one if not given.
    slide
        The talk's slide, small in a corner.

    Returns
    -------
    Plate
        The figure, with its alt text.

    Examples
    --------
    >>> from virtlab.plots.pages import Pages
    >>> draw_pagemap(Pages([0, 1, 1])).alt
    'Page map of 3 pages: 1 free (33.3 %), 2 used by one VM (66.7 %).'
    """

    def draw(figure: Plate) -> None:
        width, height = (100 * figure.get_size_inches()).tolist()
        axes = figure.add_axes((0, 0, 1, 1))
        longest = max(len(name) for name, _ in pages.groups)
        left = min(24 + 8.5 * longest, 0.3 * width)
        top, right = (84 if figure.narrow else 62), (14 if figure.narrow else 30)
        paint_map(axes, pages, Box(left, top, width - right, height - 14))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        style.finish(axes, title, pages.alt(title), slide)

    return style.draw_on(figure, draw)
