"""Figures of migrations (S41-S45): what clients feel while a machine moves, and all algorithms.

Where the machine runs is a colour and a pattern: on the source its own colour, standing still
black, on the target and waiting for pages sky blue with dots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from virtlab.migration.contest import speed
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS, Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from virtlab.migration.contest import Contest
    from virtlab.migration.vmotion import MigrationRun
    from virtlab.plots.style import Plate

__all__ = ["draw_contest", "draw_timeline"]

_PX = 72 / 100
_PHASES = {
    "running": Mark(VMS[0].colour, label="on the source"),
    "paused": Mark(HARDWARE.colour, label="stands still"),
    "fetching": Mark(PAGES["shared"].colour, hatch="..", label="on the target, fetching"),
}
_COLUMNS = (1.2, 1.4, 1.6)  # where numbers end, in widths of the axes
_ADVERB = {"moved": "", "stayed": "given up", "lost": "lost"}


def _spans(run: MigrationRun) -> list[tuple[str, float, float]]:
    """Return phase, start and end (s) of each stretch of a migration, the pause in between."""
    paused = next((event.time_s for event in run.events if "paused" in event.what), run.total_s)
    resumed = paused + run.downtime_ms / 1000
    if run.outcome == "stayed":
        return [("running", 0.0, run.total_s)]
    spans = [("running", 0.0, paused), ("paused", paused, resumed)]
    if run.total_s - resumed > 1e-6:
        spans.append(("fetching", resumed, run.total_s))
    return spans


def draw_timeline(run: MigrationRun, figure: Plate | None = None) -> Plate:
    """Draw a migration as its clients feel it: how fast the machine runs; and what is not there.

    Parameters
    ----------
    run
        The migration.
    figure
        The figure to draw on again; a new one if not given.

    Returns
    -------
    Plate
        The figure, with its alt text.

    Examples
    --------
    >>> from virtlab.migration.vmotion import migrate
    >>> draw_timeline(migrate()).alt[:70]
    "Two panels over 4.85 s of the talk's. Above, the speed of the machine:"
    """

    def draw(plate: Plate) -> None:
        upper, lower = plate.subplots(2, sharex=True)
        plate.margins(
            left=74 if plate.narrow else 100, right=26 if plate.narrow else 150, top=96,
            bottom=62,
        )  # fmt: skip
        plate.subplots_adjust(hspace=0.32)
        _speed_panel(upper, run, narrow=plate.narrow)
        _pages_panel(lower, run, narrow=plate.narrow)
        lower.set(xlabel="time (s)", xlim=(0, run.total_s))
        style.finish(upper, _title(run), _timeline_alt(run), slide="S41-S45")

    return style.draw_on(figure, draw)


def _title(run: MigrationRun) -> str:
    """Return the finding."""
    name = run.algorithm[:1].upper() + run.algorithm[1:]
    if run.outcome != "moved":
        return f"{name}: {_ADVERB[run.outcome]} after {run.total_s:.1f} s"
    waits = f" and waits {_ms(run.stalled_ms)} for pages" if run.network_faults else ""
    return f"{name}: the VM stands still for {_ms(run.downtime_ms)}{waits}"


def _ms(value: float) -> str:
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"


def _timeline_alt(run: MigrationRun) -> str:
    _, felt = speed(run, 100)
    missing = run.history[:, 3]
    return (
        f"Two panels over {run.total_s:.2f} s of {run.algorithm}. Above, the speed of the machine: "
        f"{100 * felt.mean():.0f} % on average, a pause of {run.downtime_ms:.0f} ms, "
        f"{run.stalled_ms:.0f} ms of waiting for pages. Below, pages that the target lacks or has "
        f"stale: from {run.vm.pages:,} at first to {missing[-1]:,.0f}; "
        f"{len(run.rounds)} stretches of sending, {run.sent_mib:.0f} MiB in all."
    )


def _speed_panel(axes: Axes, run: MigrationRun, *, narrow: bool) -> None:
    """Draw how fast the machine runs, and mark the pause."""
    edges, felt = speed(run, 60 if narrow else 160)
    axes.stairs(100 * felt, edges, fill=True, color=VMS[0].colour, alpha=0.25)
    axes.stairs(100 * felt, edges, color=VMS[0].colour, lw=2)
    axes.set(ylim=(0, 112), yticks=[0, 50, 100], ylabel="speed (%)")
    if run.outcome == "moved":
        _, start, end = _spans(run)[1]
        wide = max(end - start, 0.004 * run.total_s)
        axes.add_patch(Rectangle((start, 0), wide, 100, color=HARDWARE.colour, lw=0, zorder=4))
        left = start > 0.55 * run.total_s
        axes.annotate(
            f"stands still {_ms(run.downtime_ms)}", (start + wide / 2, 100),
            (-8 if left else 8, 8), textcoords="offset points", ha="right" if left else "left",
            fontsize=14 * _PX, annotation_clip=False,
        )  # fmt: skip


def _pages_panel(axes: Axes, run: MigrationRun, *, narrow: bool) -> None:
    """Draw what the target lacks, with the rounds as bands, each other one grey."""
    time = np.concatenate([[0.0], run.history[:, 0]])
    lacking = np.concatenate([[run.vm.pages], run.history[:, 3]]) / 1000
    bands = zip(run.rounds["start_s"], run.rounds["seconds"], strict=True)
    for number, (start, seconds) in enumerate(bands):
        if number % 2 == 0:
            axes.axvspan(start, start + seconds, color="#F0F0F0", lw=0, zorder=0)
    axes.plot(time, lacking, color=PAGES["dirty"].colour, lw=2.5)
    axes.set_ylim(0, 1.1 * lacking.max())
    axes.set_ylabel("thousand pages" if narrow else "thousand pages\nnot there, or stale")
    if not narrow:
        where = (1.015, 0.5)
        words = f"{len(run.rounds)} stretches\n(grey, white)\n{run.sent_mib:.0f} MiB sent"
        axes.text(*where, words, transform=axes.transAxes, va="center", color=HOST.colour)


def draw_contest(result: Contest, figure: Plate | None = None) -> Plate:
    """Draw all algorithms on one machine: where it runs when, and what each costs.

    Parameters
    ----------
    result
        What came of each.
    figure
        The figure to draw on again; a new one if not given.

    Returns
    -------
    Plate
        The figure, with its alt text.

    Examples
    --------
    >>> from virtlab.migration.contest import contest
    >>> from virtlab.migration.link import Link
    >>> from virtlab.migration.vm import Vm
    >>> from virtlab.migration.workloads import Uniform
    >>> found = contest(Vm(ram_mib=16), Uniform(2000, 1000), Link(bandwidth_mib_s=16))
    >>> draw_contest(found).alt[:48]
    'A bar over time for each of 6 algorithms. stop a'
    """
    return style.show_on(figure, _Contest, result)


class _Contest:
    """Bars and words that stay, and are given other lengths and places by each contest.

    One collection for each phase and a line for the axis of time: an artist for each bar, or an
    `Axis`, is felt by a slider.
    """

    def __init__(self, figure: Plate) -> None:
        self.axes = axes = figure.subplots()
        self.narrow = figure.narrow
        figure.margins(
            left=18 if self.narrow else 160, right=18 if self.narrow else 312,
            top=118 if self.narrow else 116, bottom=60,
        )  # fmt: skip
        axes.set_axis_off()
        self.bars = {phase: _no_bars(mark, phase == "paused") for phase, mark in _PHASES.items()}
        for bars in self.bars.values():
            axes.add_collection(bars, autolim=False)
        self.pixel = figure.dpi / (axes.bbox.height * 100)
        to_time = axes.get_xaxis_transform()
        look: dict[str, Any] = {"lw": 0.8, "clip_on": False, "transform": to_time}
        (self.line,) = axes.plot([], [], color="#4D4D4D", scalex=False, scaley=False, **look)
        below = -28 * self.pixel
        axes.text(0.5, below, "time (s)", transform=axes.transAxes, ha="center", va="top")
        small, rows = {"fontsize": 14 * _PX}, axes.get_yaxis_transform()
        beside: dict[str, Any] = {"ha": "right", "va": "center", "transform": rows}
        self.looks: dict[str, dict[str, Any]] = {
            "name": {"va": "bottom", **small} if self.narrow else beside,
            "number": beside,
            "tick": {"ha": "center", "va": "top", "transform": to_time, **small},
            "ended": {"ha": "right", "va": "center", "color": "white", "zorder": 5},
        }
        self.words: dict[str, list[Text]] = {kind: [] for kind in self.looks}
        self.still: object = None
        self.layers: list[tuple[object, list[Artist]]] = []
        _key(figure, axes)

    def show(self, result: Contest) -> None:
        """Show another contest."""
        runs, axes = result.runs, self.axes
        longest = max(run.total_s for run in runs)
        axes.set(xlim=(0, longest), ylim=(len(runs) - 0.5, -0.5))
        down, half = (0.16, 0.2) if self.narrow else (0.0, 0.3)
        for phase, bars in self.bars.items():
            bars.set_verts(
                [
                    [
                        (x, row + down + y)
                        for x, y in zip((start, end, end, start), box, strict=True)
                    ]
                    for box in [(-half, -half, half, half)]
                    for row, run in enumerate(runs)
                    for which, start, end in _spans(run)
                    if which == phase
                ]
            )
        self._axis(longest)
        ended = [(i, run) for i, run in enumerate(runs) if run.outcome != "moved"]
        self._write(
            "ended", [(run.total_s, i + down, f"{_ADVERB[run.outcome]} ") for i, run in ended]
        )
        self._numbers(runs)
        names, *others = self.words.values()
        flat = [self.bars[phase] for phase in ("running", "fetching", "paused")]
        moving = [*flat, self.line, *(text for texts in others for text in texts)]
        said = tuple(text.get_text() for text in names)
        self.layers = [(said, [*names]), (object(), moving)]
        style.finish(axes, _contest_title(result), _contest_alt(result), slide="S41-S45")

    def _write(self, kind: str, words: list[tuple[float, float, str]]) -> None:
        """Put words of one kind where they belong, with as many artists as it takes."""
        texts = self.words[kind]
        while len(texts) < len(words):
            texts.append(self.axes.text(0, 0, "", **self.looks[kind]))
        unused = [(0.0, 0.0, "")] * (len(texts) - len(words))
        for text, (x, y, said) in zip(texts, [*words, *unused], strict=True):
            text.set(x=x, y=y, text=said)

    def _axis(self, longest: float) -> None:
        """Draw the axis of time."""
        locator = MaxNLocator(5 if self.narrow else 9, steps=[1, 2, 5, 10])
        at = [float(tick) for tick in locator.tick_values(0, longest) if tick <= longest]
        x, y = [0.0, longest], [0.0, 0.0]
        for tick in at:
            x += [np.nan, tick, tick]
            y += [np.nan, 0.0, -5 * self.pixel]
        self.line.set_data(x, y)
        self._write("tick", [(tick, -9 * self.pixel, f"{tick:g}") for tick in at])

    def _numbers(self, runs: Sequence[MigrationRun]) -> None:
        """Write what each costs beside its bar, or above it on a phone."""
        names: list[tuple[float, float, str]] = []
        numbers: list[tuple[float, float, str]] = []
        for row, run in enumerate(runs):
            name = run.algorithm + ("  ⚠" if run.wrong_pages and run.outcome == "moved" else "")
            pause = _ms(run.downtime_ms) if run.outcome == "moved" else "–"
            waits = _ms(run.stalled_ms) if run.network_faults else "–"
            costs = (pause, waits, f"{run.sent_mib:,.0f} MiB")
            if self.narrow:
                names.append((0, row - 0.12, f"{name}: {'; '.join(costs)}"))
            else:
                names.append((-0.02, row, name))
                numbers += [(x, row, cost) for x, cost in zip(_COLUMNS, costs, strict=True)]
        self._write("name", names)
        self._write("number", numbers)


def _no_bars(mark: Mark, line: bool) -> PolyCollection:  # noqa: FBT001
    """Return the bars of a phase, none yet; a pause too short to be seen is drawn as a line."""
    return PolyCollection(
        [], fc=mark.colour, hatch=mark.hatch, lw=3 if line else 0, zorder=4 if line else 3,
        ec="white" if mark.hatch else mark.colour, joinstyle="miter",
    )  # fmt: skip


def _key(plate: Plate, axes: Axes) -> None:
    """Name the colours in a row above the bars, and the columns of numbers."""
    height, x = plate.get_figheight() * 100, 18.0 if plate.narrow else 160.0
    y = height - (70 if plate.narrow else 66)
    whole = plate.transFigure
    for mark in _PHASES.values():
        at = (x / plate.width_px, (y - 8) / height)
        size = (20 / plate.width_px, 16 / height)
        plate.add_artist(
            Rectangle(at, *size, fc=mark.colour, hatch=mark.hatch, ec="white",
                      lw=0, transform=whole)
        )  # fmt: skip
        axes.text((x + 26) / plate.width_px, y / height, mark.label, va="center",
                  fontsize=14 * _PX, transform=whole)  # fmt: skip
        x += 48 + 8.2 * len(mark.label)
        if plate.narrow and x > 230:
            x, y = 18.0, y - 22
    if plate.narrow:
        words = "numbers: stands still; waits; sent"
        axes.text(0, 1.003, words, va="bottom", fontsize=14 * _PX, color=HOST.colour,
                  transform=axes.transAxes)  # fmt: skip
        return
    for column, name in zip(_COLUMNS, ("stands still", "waits", "sent"), strict=True):
        axes.text(column, 1.02, name, transform=axes.transAxes, ha="right", va="bottom",
                  color=HOST.colour)  # fmt: skip


def _contest_title(result: Contest) -> str:
    """Return the finding: the shortest pause against the longest."""
    moved = [run for run in result.runs if run.outcome == "moved"]
    if not moved:
        return "No algorithm moves this VM"
    pauses = sorted(moved, key=lambda run: run.downtime_ms)
    first, last = pauses[0], pauses[-1]
    return f"The pause is {_ms(first.downtime_ms)} to {_ms(last.downtime_ms)}, by how the VM moves"


def _contest_alt(result: Contest) -> str:
    rows = " ".join(
        f"{run.algorithm}: "
        + (
            f"{run.total_s:.2f} s, stands still {run.downtime_ms:.0f} ms, waits "
            f"{run.stalled_ms:.0f} ms, {run.sent_mib:.0f} MiB sent."
            if run.outcome == "moved"
            else f"{_ADVERB[run.outcome]} after {run.total_s:.1f} s."
        )
        for run in result.runs
    )
    return f"A bar over time for each of {len(result.runs)} algorithms. {rows}"
