"""Figures of page sharing (S27): savings over time, and of what kind they are.

Sharing has the colour of shared pages everywhere, zeros are white with dots, and the grey band is
what the talk says: 10 to 20 %. `virtlab.plots.sharing_published` draws the published figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.published import TALK_PERCENT
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, Mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

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
        _stack(axes, frame, figure.narrow)
        axes.set(xlabel="could be saved, percent of memory")
        last = frame.iloc[-1]
        parts = {kind: float(last[f"{kind}_percent"]) for kind in _KINDS}
        most = max(parts, key=lambda kind: parts[kind])
        title = f"Most of what could be saved is {_MOST[most]}"
        style.finish(axes, title, _kinds_alt(frame), slide="S27")

    return style.draw_on(figure, draw)


_MOST = {"across": "shared across VMs", "within": "shared within a VM", "zero": "zeros"}


def _stack(axes: Axes, frame: pd.DataFrame, narrow: bool) -> None:  # noqa: FBT001 - how wide it is
    """Draw a bar for each row of kinds, with the total at its end."""
    rows, left = np.arange(len(frame))[::-1], np.zeros(len(frame))
    talk_band(axes, vertical=True)
    for kind, mark in _KINDS.items():
        width = frame[f"{kind}_percent"].to_numpy()
        axes.barh(
            rows,
            width,
            0.62,
            left,
            color=mark.colour,
            hatch=mark.hatch,
            edgecolor=HARDWARE.colour,
            lw=0.8,
            label=mark.label,
        )
        left = left + width
    for row, total in zip(rows, left, strict=True):
        axes.annotate(
            f"{total:.1f} %", (total, row), xytext=(6, 0), textcoords="offset points", va="center"
        )
    names = [f"{row['vms']} × {row['program']}" for _, row in frame.iterrows()]
    names[-1] = "all" if narrow else "all together"
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, max(30, 1.3 * float(left.max())))
    axes.legend(
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0.2,
        columnspacing=1.0,
        handletextpad=0.4,
        handlelength=1.2,
    )


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

    def draw(figure: Plate) -> None:
        if figure.narrow:
            figure.margins(left=100, right=14, top=70, bottom=58)
            time, kinds = figure.subplots(2, 1, height_ratios=[4, 5])
            figure.subplots_adjust(hspace=0.65)
        else:
            figure.margins(left=76, right=24, top=98)
            time, kinds = figure.subplots(1, 2, width_ratios=[5, 4])
            figure.subplots_adjust(wspace=0.42)
        _over_time(time, result, figure.narrow)
        _stack(kinds, result.to_frame(), figure.narrow)
        kinds.set_xlabel("could be saved, %" if figure.narrow else "could be saved, percent")
        told = result.summary()
        title = f"{told['vms']} VMs save {told['saved_percent']:.1f} % after "
        title += f"{result.history.seconds[-1] / 60:.0f} min"
        alt = f"Line chart of percent saved over time. {result.explain()} Beside it: "
        style.finish(time, title, alt + _kinds_alt(result.to_frame()), slide="S27")

    return style.draw_on(figure, draw)


def _over_time(axes: Axes, result: ProgramSharing, narrow: bool) -> None:  # noqa: FBT001
    """Draw the line of what is saved, and what could be, at the start."""
    history, could = result.history, result.available.percent(result.available.saved)
    minutes = history.seconds / 60
    talk_band(axes, label="" if narrow else "the talk: 10–20 %")
    axes.axhline(could, color=SHARED_INK, ls="--", lw=1.5)
    axes.plot(minutes, history.saved_percent, color=HARDWARE.colour)
    axes.annotate(
        f"could be: {could:.1f} %",
        (0, could),
        xytext=(6, 5),
        textcoords="offset points",
        color=SHARED_INK,
    )
    middle = int(0.45 * (minutes.size - 1))
    axes.annotate(
        "saved",
        (minutes[middle], history.saved_percent[middle]),
        xytext=(8, -4),
        textcoords="offset points",
        va="top",
        color=HARDWARE.colour,
    )
    axes.set(xlim=(0, max(float(minutes[-1]), 1e-6)), ylim=(0, max(30.0, 1.22 * could)))
    axes.set(xlabel="minutes", ylabel="saved, %" if narrow else "saved, percent of memory")
