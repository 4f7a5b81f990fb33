"""A timeline of virtualization, drawn from data (S2, S3, S9-S11)."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS, Mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate

__all__ = ["draw_milestones"]

_KINDS = {
    "machine": Mark(VMS[2].colour, "s", "", "", "machines"),
    "theory": Mark(PAGES["hint"].colour, "^", "", "", "papers"),
    "product": Mark(VMS[0].colour, "o", "", "", "products"),
}


def draw_milestones(frame: pd.DataFrame, figure: Plate | None = None) -> Plate:
    """Draw what came when: true to scale at the left, each in words at the right.

    Parameters
    ----------
    frame
        As `virtlab.datasets.milestones` returns it.
    figure
        The figure to draw on again; on a phone it shows what the talk tells, and the theorem.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.datasets import milestones
    >>> draw_milestones(milestones()).alt[:24]
    'Timeline from 1965 to 20'
    """

    def draw(figure: Plate) -> None:
        shown = frame
        if figure.narrow:
            shown = frame[(frame["slide"] != "") | (frame["year"] == 1974)].reset_index(drop=True)
            figure.margins(left=58, right=8, top=96, bottom=16)
        else:
            figure.margins(left=76, right=16, top=84, bottom=18)
        axes = figure.subplots()
        _scale(axes, frame)
        _rows(axes, shown, narrow=figure.narrow)
        _key(axes)
        gap = int(frame["year"].sort_values().diff().max())
        first, last = int(frame["year"].min()), int(frame["until"].max())
        title = f"Known since the 1960s, and on the PC since {_year(frame, 'Workstation')}"
        rows = "; ".join(f"{row.year} {row.what}" for row in frame.itertuples())
        alt = f"Timeline from {first} to {last}, the longest gap {gap} years. {rows}."
        style.finish(axes, title, alt, slide="S1–S14")

    return style.draw_on(figure, draw)


def _year(frame: pd.DataFrame, word: str) -> int:
    return int(frame.loc[frame["what"].str.contains(word), "year"].iloc[0])


def _scale(axes: Axes, frame: pd.DataFrame) -> None:
    """Make years run downwards."""
    first, last = int(frame["year"].min()) - 1, int(frame["until"].max()) + 1
    decades = range(-(-first // 10) * 10, last + 1, 10)
    axes.set(xlim=(0, 1), ylim=(last, first), xticks=[])
    axes.set_yticks(list(decades), [str(year) for year in decades])
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_linewidth(2)


def _rows(axes: Axes, frame: pd.DataFrame, *, narrow: bool) -> None:
    """Write the rows one below the other, each tied to its year."""
    top, bottom = axes.get_ylim()[1], axes.get_ylim()[0]
    room = (bottom - top) / len(frame)
    column = 0.16 if narrow else 0.1
    for k, row in enumerate(frame.itertuples()):
        mark, y = _KINDS[str(row.kind)], top + room * (k + 0.5)
        year, until = float(str(row.year)), float(str(row.until))
        if until > year:
            axes.plot([0, 0], [year, until], color=mark.colour, lw=7, solid_capstyle="butt")
        middle = (year + until) / 2
        axes.plot([0, column * 0.62, column - 0.012], [middle, y, y], color=HOST.colour, lw=0.9)
        axes.plot([column], [y], mark.marker, color=mark.colour, mec=HARDWARE.colour, mew=0.8)
        axes.text(column + (0.035 if narrow else 0.016), y, _words(row, narrow=narrow), va="center",
                  fontsize=style.SMALL, linespacing=1.0)  # fmt: skip


def _words(row: Any, *, narrow: bool) -> str:
    years = "1960s" if row.until > row.year else str(row.year)
    slide = f" ({row.slide})" if row.slide else ""
    if narrow:
        return "\n".join(textwrap.wrap(f"{years} {row.what}{slide}", 31))
    said = f"{years}  {row.what}{slide}"
    return said if row.slide else f"{said}: {row.source.split(',')[0]}"


def _key(axes: Axes) -> None:
    """Name the three kinds above the rows."""
    for mark in _KINDS.values():
        axes.plot([], [], mark.marker, color=mark.colour, mec=HARDWARE.colour, mew=0.8,
                  label=mark.label)  # fmt: skip
    axes.legend(
        ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, columnspacing=1.0,
        handletextpad=0.1,
    )  # fmt: skip
