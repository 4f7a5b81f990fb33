"""Figures of migrations (S41-S45): what clients feel while a machine moves, and all algorithms.

Where the machine runs is a colour and a pattern: on the source its own colour, standing still
black, on the target and waiting for pages sky blue with dots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from virtlab.migration.contest import speed
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS, Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

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

    def draw(plate: Plate) -> None:
        axes = plate.subplots()
        plate.margins(
            left=18 if plate.narrow else 160, right=18 if plate.narrow else 312,
            top=118 if plate.narrow else 116, bottom=60,
        )  # fmt: skip
        longest = max(run.total_s for run in result.runs)
        axes.set(xlim=(0, longest), ylim=(len(result.runs) - 0.5, -0.5))
        _bars(axes, result.runs, narrow=plate.narrow)
        for row, run in enumerate(result.runs):
            _numbers(axes, run, row, narrow=plate.narrow)
        _time_axis(axes, longest, plate)
        _key(plate, axes)
        style.finish(axes, _contest_title(result), _contest_alt(result), slide="S41-S45")

    return style.draw_on(figure, draw)


def _bars(axes: Axes, runs: Sequence[MigrationRun], *, narrow: bool) -> None:
    """Draw where each machine runs when; a pause too short to be seen is drawn as a line.

    One collection for each phase, as an artist for each bar would be felt by a slider.
    """
    down, half = (0.16, 0.2) if narrow else (0.0, 0.3)
    boxes: dict[str, list[list[tuple[float, float]]]] = {phase: [] for phase in _PHASES}
    for row, run in enumerate(runs):
        low, high = row + down - half, row + down + half
        for phase, start, end in _spans(run):
            boxes[phase].append([(start, low), (end, low), (end, high), (start, high)])
        if run.outcome != "moved":
            words = f"{_ADVERB[run.outcome]} "
            axes.text(
                run.total_s, row + down, words, ha="right", va="center", color="white", zorder=5
            )
    for phase, mark in _PHASES.items():
        line = 3 if phase == "paused" else 0
        axes.add_collection(
            PolyCollection(
                boxes[phase], fc=mark.colour, hatch=mark.hatch, lw=line, zorder=4 if line else 3,
                ec="white" if mark.hatch else mark.colour, joinstyle="miter",
            ),
            autolim=False,
        )  # fmt: skip


def _time_axis(axes: Axes, longest: float, plate: Plate) -> None:
    """Draw the axis of time: a line and a few words, where an `Axis` would take 20 ms."""
    axes.set_axis_off()
    low, high = axes.get_ylim()
    pixel = (low - high) / (axes.bbox.height * 100 / plate.dpi)
    ticks = MaxNLocator(5 if plate.narrow else 9, steps=[1, 2, 5, 10])
    x, y = [0.0, longest], [low, low]
    for tick in filter(longest.__ge__, map(float, ticks.tick_values(0, longest))):
        x += [np.nan, tick, tick]
        y += [np.nan, low, low + 5 * pixel]
        axes.text(tick, low + 9 * pixel, f"{tick:g}", ha="center", va="top", fontsize=14 * _PX)
    axes.plot(x, y, color="#4D4D4D", lw=0.8, clip_on=False, scalex=False, scaley=False)
    axes.text(longest / 2, low + 28 * pixel, "time (s)", ha="center", va="top")


def _numbers(axes: Axes, run: MigrationRun, row: int, *, narrow: bool) -> None:
    """Write what one algorithm costs beside its bar, or above it on a phone."""
    wrong = "  ⚠" if run.wrong_pages and run.outcome == "moved" else ""
    pause = _ms(run.downtime_ms) if run.outcome == "moved" else "–"
    waits = _ms(run.stalled_ms) if run.network_faults else "–"
    sent = f"{run.sent_mib:,.0f} MiB"
    if narrow:
        words = f"{run.algorithm}{wrong}: {pause}; {waits}; {sent}"
        axes.text(0, row - 0.12, words, va="bottom", fontsize=14 * _PX)
        return
    to_rows = axes.get_yaxis_transform()
    axes.text(-0.02, row, f"{run.algorithm}{wrong}", transform=to_rows, ha="right", va="center")
    for x, text in zip((1.2, 1.4, 1.6), (pause, waits, sent), strict=True):
        axes.text(x, row, text, transform=to_rows, ha="right", va="center")


def _key(plate: Plate, axes: Axes) -> None:
    """Name the colours in a row above the bars, and the columns of numbers."""
    height, x = plate.get_figheight() * 100, 18.0 if plate.narrow else 160.0
    y = height - (70 if plate.narrow else 66)
    for mark in _PHASES.values():
        at = (x / plate.width_px, (y - 8) / height)
        size = (20 / plate.width_px, 16 / height)
        plate.add_artist(
            Rectangle(at, *size, fc=mark.colour, hatch=mark.hatch, ec="white",
                      lw=0, transform=plate.transFigure)
        )  # fmt: skip
        plate.text((x + 26) / plate.width_px, y / height, mark.label, va="center",
                   fontsize=14 * _PX)  # fmt: skip
        x += 48 + 8.2 * len(mark.label)
        if plate.narrow and x > 230:
            x, y = 18.0, y - 22
    if plate.narrow:
        words = "numbers: stands still; waits; sent"
        axes.text(0, -0.52, words, va="bottom", fontsize=14 * _PX, color=HOST.colour)
        return
    for column, name in zip((1.2, 1.4, 1.6), ("stands still", "waits", "sent"), strict=True):
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
