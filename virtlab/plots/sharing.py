"""Figures of page sharing (S27): savings over time, and of what kind they are.

Sharing has the colour of shared pages everywhere, zeros are white with dots, and the grey band is
what the talk says: 10 to 20 %. `virtlab.plots.sharing_published` draws the published figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from virtlab.memory.published import TALK_PERCENT
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, Mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

    from virtlab.memory.programs import ProgramSharing
    from virtlab.memory.scan.race import ScanRace
    from virtlab.memory.scan.scanning import ScanHistory
    from virtlab.plots.style import Plate

__all__ = ["SHARED_INK", "draw_kinds", "draw_programs", "draw_race", "talk_band"]

SHARED_INK = "#1F6F9F"  # the colour of shared pages, dark enough to be read as text on white
_KINDS = {
    "across": Mark(PAGES["shared"].colour, "", "", "", "across VMs"),
    "within": Mark(PAGES["shared"].colour, "", "xxx", "", "within a VM"),
    "zero": Mark(PAGES["zero"].colour, "", "..", "", "zeros"),
}


def talk_band(axes: Axes, *, vertical: bool = False, label: str = "the talk: 10–20 %") -> None:
    """Mark what the talk says: 10 to 20 % of memory.

    Parameters
    ----------
    axes
        Where percent of memory is an axis.
    vertical
        Whether percent runs to the right.
    label
        Words on the band; only where percent runs upwards.

    Examples
    --------
    >>> figure = style.plate()
    >>> talk_band(figure.subplots())
    """
    low, high = TALK_PERCENT
    span = axes.axvspan if vertical else axes.axhspan
    span(low, high, color=HOST.colour, alpha=0.16, lw=0, zorder=0)
    if label and not vertical:
        axes.annotate(
            label,
            (1, low),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            color=HOST.colour,
        )


def draw_race(race: ScanRace, figure: Plate | None = None) -> Plate:
    """Draw how fast two scanners save, on a logarithmic axis of time.

    Parameters
    ----------
    race
        A history for each scanner.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.scan.race import scan_race
    >>> race = scan_race(np.arange(1000) // 2, np.zeros(1000, int))
    >>> draw_race(race).alt[:10]
    'Line chart'
    """

    def draw(figure: Plate) -> None:
        axes = figure.subplots()
        end = 1.5 * max(float(history.seconds[-1]) for history in race.histories)
        for rate, history, colour, dash in zip(
            race.rates, race.histories, (HARDWARE.colour, SHARED_INK), ("-", "--"), strict=False
        ):
            _race_line(axes, rate.name, history, end, colour, dash)
        top = max(float(history.saved_percent[-1]) for history in race.histories)
        axes.set(xscale="log", xlim=(1, end), ylim=(0, 1.25 * top))
        axes.set(xlabel="time since the scan began", ylabel="saved, percent of memory")
        ticks = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_xticks([], minor=True)
        axes.set_xlim(1, end)
        axes.grid(axis="x")
        told = race.summary()
        title = (
            f"A pass of {race.rates[-1].name} is {told['pass_ratio']:.0f} times faster "
            f"than one of {race.rates[0].name}"
        )
        alt = f"Line chart of percent saved against time, logarithmic. {race.explain()}"
        style.finish(axes, title, alt, slide="S27")

    return style.draw_on(figure, draw)


def _race_line(
    axes: Axes, name: str, history: ScanHistory, end: float, colour: str, dash: str
) -> None:
    """Draw one scanner's line, flat after its end, and name it where it has found everything."""
    seconds = [*history.seconds[1:].tolist(), end]
    saved = [*history.saved_percent[1:].tolist(), float(history.saved_percent[-1])]
    axes.plot(seconds, saved, dash, color=colour)
    done = history.time_to(1.0)
    clock = f"{done / 60:.0f} min" if done >= 120 else f"{done:.0f} s"
    axes.plot([done], [saved[-1]], "o", color=colour)
    axes.annotate(
        f"{name}:\nall after {clock}",
        (done, saved[-1]),
        xytext=(4, 9),
        textcoords="offset points",
        ha="right",
        color=colour,
    )


def draw_kinds(frame: pd.DataFrame, figure: Plate | None = None) -> Plate:
    """Draw of what kind the savings of each program are, as stacked bars.

    Parameters
    ----------
    frame
        As `ProgramSharing.to_frame` returns it.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.programs import share_programs
    >>> draw_kinds(share_programs({"bash": 2}, minutes=1).to_frame()).alt[:11]
    'Stacked bar'
    """

    def draw(figure: Plate) -> None:
        figure.margins(left=100 if figure.narrow else 150, top=104 if figure.narrow else 98)
        axes = figure.subplots()
        _Stack(axes, figure.narrow).show(frame)
        axes.set(xlabel="could be saved, percent of memory")
        last = frame.iloc[-1]
        parts = {kind: float(last[f"{kind}_percent"]) for kind in _KINDS}
        most = max(parts, key=lambda kind: parts[kind])
        title = f"Most of what could be saved is {_MOST[most]}"
        style.finish(axes, title, _kinds_alt(frame), slide="S27")

    return style.draw_on(figure, draw)


_NO_BARS = Path(np.empty((0, 2)))
_MOST = {"across": "shared across VMs", "within": "shared within a VM", "zero": "zeros"}


class _Stack:
    """A bar for each row of kinds, with the total at its end."""

    def __init__(self, axes: Axes, narrow: bool) -> None:  # noqa: FBT001 - how wide it is
        self.axes, self.narrow = axes, narrow
        talk_band(axes, vertical=True)
        edge: dict[str, Any] = {"edgecolor": HARDWARE.colour, "lw": 0.8}
        # The bars of a kind are one path: a hatch is drawn once for each path.
        self.bars = {
            kind: PathPatch(
                _NO_BARS, facecolor=mark.colour, hatch=mark.hatch, label=mark.label, **edge
            )
            for kind, mark in _KINDS.items()
        }
        for bars in self.bars.values():
            axes.add_patch(bars)
        self.words: list[Annotation] = []
        self.right = 0.0  # the axis's end: one of a few, so that it seldom jumps
        axes.set_yticks([])
        axes.legend(
            ncols=3,
            loc="lower right",
            bbox_to_anchor=(1.02, 1.0),
            borderaxespad=0.2,
            columnspacing=1.0,
            handletextpad=0.4,
            handlelength=1.2,
        )

    def show(self, frame: pd.DataFrame) -> None:
        """Draw the bars, and write the totals and the names."""
        rows, left = np.arange(len(frame))[::-1], np.zeros(len(frame))
        for kind, bars in self.bars.items():
            right = left + frame[f"{kind}_percent"].to_numpy()
            corners = np.stack([left, left, right, right, left], axis=1)
            heights = rows[:, None] + np.array([-0.31, 0.31, 0.31, -0.31, -0.31])
            polygons = np.stack([corners, heights], axis=2)[right > left]
            bars.set_path(
                Path.make_compound_path_from_polys(polygons) if polygons.size else _NO_BARS
            )
            left = right
        names = [
            f"{vms} × {name}" for vms, name in zip(frame["vms"], frame["program"], strict=True)
        ]
        names[-1] = "all" if self.narrow else "all together"
        while len(self.words) < 2 * rows.size:  # words take longer to make than to move
            self._two_words()
        for word in self.words:
            word.set_visible(False)
        for k, (row, end) in enumerate(zip(rows, left, strict=True)):
            total, name = self.words[2 * k : 2 * k + 2]
            total.set(text=f"{end:.1f} %", visible=True)
            name.set(text=names[k], visible=True)
            total.xy, name.xy = (end, row), (0, row)
        self.right = _round_up(1.3 * float(left.max()), 90, 130)
        self.axes.set(xlim=(0, self.right), ylim=(-0.6, len(frame) - 0.4))

    def _two_words(self) -> None:
        """Make the words of one row: its total and its name."""
        beside: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
        self.words += [
            self.axes.annotate("", (0, 0), (6, 0), **beside),
            self.axes.annotate("", (0, 0), (-6, 0), ha="right", fontsize=style.SMALL, **beside),
        ]


def _round_up(number: float, *steps: float) -> float:
    """Return the first step that is as large, or the last."""
    return next((step for step in steps if step >= number), steps[-1])


def _kinds_alt(frame: pd.DataFrame) -> str:
    rows = "; ".join(
        f"{row['program']} ({row['vms']}): {row['saved_percent']:.1f}, of these zeros "
        f"{row['zero_percent']:.1f}, twice in one VM {row['within_percent']:.1f}, in another VM "
        f"too {row['across_percent']:.1f}"
        for _, row in frame.iterrows()
    )
    return f"Stacked bars of percent of memory that could be saved. {rows}."


def draw_programs(result: ProgramSharing, figure: Plate | None = None) -> Plate:
    """Draw what a scanner saves over time, beside what there is to save.

    Parameters
    ----------
    result
        Programs in VMs, scanned.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.programs import share_programs
    >>> draw_programs(share_programs({"bash": 2}, minutes=1)).alt[:10]
    'Line chart'
    """
    return style.show_on(figure, _Programs, result)


class _Programs:
    """What is saved over time, and beside it what there is to save."""

    def __init__(self, figure: Plate) -> None:
        narrow = figure.narrow
        if narrow:
            figure.margins(left=100, right=14, top=70, bottom=58)
            time, kinds = figure.subplots(2, 1, height_ratios=[4, 5])
            figure.subplots_adjust(hspace=0.65)
        else:
            figure.margins(left=76, right=24, top=98)
            time, kinds = figure.subplots(1, 2, width_ratios=[5, 4])
            figure.subplots_adjust(wspace=0.42)
        time.locator_params(nbins=5)
        kinds.locator_params(axis="x", nbins=4)
        self.time, self.stack = time, _Stack(kinds, narrow)
        talk_band(time, label="" if narrow else "the talk: 10–20 %")
        self.could = time.axhline(0, color=SHARED_INK, ls="--", lw=1.5)
        (self.saved,) = time.plot([], [], color=HARDWARE.colour)
        beside: dict[str, Any] = {"textcoords": "offset points"}
        self.could_text = time.annotate("", (0, 0), (6, 5), color=SHARED_INK, **beside)
        self.saved_text = time.annotate(
            "saved", (0, 0), (8, -4), va="top", color=HARDWARE.colour, **beside
        )
        self.still: object = None
        self.layers: list[tuple[object, list[Artist]]] = []
        self.bars: list[object] = []
        time.set(xlabel="minutes", ylabel="saved, %" if narrow else "saved, percent of memory")
        kinds.set_xlabel("could be saved, %" if narrow else "could be saved, percent")

    def show(self, result: ProgramSharing) -> None:
        """Draw the line, what could be, at the start, and the bars."""
        history, frame = result.history, result.to_frame()
        could = result.available.percent(result.available.saved)
        minutes, saved = history.seconds / 60, history.saved_percent
        self.could.set_ydata([could, could])
        self.saved.set_data(minutes, saved)
        self.could_text.set_text(f"could be: {could:.1f} %")
        self.could_text.xy = (0, could)
        middle = int(0.45 * (minutes.size - 1))
        self.saved_text.xy = (minutes[middle], saved[middle])
        self.time.set_xlim(0, _round_up(float(minutes[-1]), 1, 5, 10, 20, 30, 60, 24 * 60))
        self.time.set_ylim(0, _round_up(1.22 * could, 40, 90))
        rows = [*frame["program"], *frame.select_dtypes("number").to_numpy().ravel()]
        if rows != self.bars:
            self.stack.show(frame)
            self.bars = rows
        self.layers = [
            (rows, [*self.stack.bars.values(), *self.stack.words]),
            (object(), [self.could, self.saved, self.could_text, self.saved_text]),
        ]
        self.still = *self.time.get_xlim(), *self.time.get_ylim(), self.stack.right, len(frame)
        told = result.summary()
        title = f"{told['vms']} VMs save {told['saved_percent']:.1f} % after {minutes[-1]:.0f} min"
        alt = f"Line chart of percent saved over time. {result.explain()} Beside it: "
        style.finish(self.time, title, alt + _kinds_alt(frame), slide="S27")
