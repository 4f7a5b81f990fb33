"""Figures of shares on a real scheduler (S21): measured is points, ours is lines, the error said.

Turns of a real scheduler are bars on a time line, one row a process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.plots import style
from virtlab.plots.palette import HOST, vm_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu_measured import MeasuredCases, MeasuredShares
    from virtlab.resources.cpu_turns import Turns

    Floats = NDArray[np.float64]

__all__ = ["draw_measured_cases", "draw_measured_shares", "draw_turns"]

_NAMED = 4  # more processes than this have no room for a label each
_APART = 0.075  # of the axes: labels of lines that lie closer move apart


def draw_measured_shares(result: MeasuredShares, figure: Plate | None = None) -> Plate:
    """Draw the CPU time of each process over time, measured and as the shares say.

    Parameters
    ----------
    result
        One case, from `virtlab.resources.cpu_measured.measured_shares`.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources.cpu_measured import measured_shares
    >>> draw_measured_shares(measured_shares()).alt[:56]
    "Line chart with measured points, 'a share is changed': 3"
    """

    def draw(plate: Plate) -> None:
        plate.margins(
            left=62 if plate.narrow else 90,
            right=66 if plate.narrow else 96,
            top=112 if plate.narrow else 92,
        )
        axes = plate.subplots()
        _lines(axes, result)
        _points(axes, result)
        _labels(axes, result)
        seconds = float(result.case.seconds)
        top = max(float(result.percent.max()), float(result.model.max()))
        axes.set(xlim=(0, seconds), ylim=(0, min(1.12 * top, 108)))
        axes.set(xlabel="time, s", ylabel="part of the CPU, %")
        axes.grid(axis="y")
        title = (
            f"{result.case.name[0].upper()}{result.case.name[1:]}: Linux (points) is off from the "
            f"shares (lines) by {result.off:.1g} points"
        )
        style.finish(axes, title, _alt(result), slide="S21")

    return style.draw_on(figure, draw)


def _edges(result: MeasuredShares) -> Any:
    """Return the ends of the readings as they were meant, for the steps of the model."""
    return np.linspace(0, result.case.seconds, result.model.shape[0] + 1)


def _lines(axes: Axes, result: MeasuredShares) -> None:
    for i in range(result.case.size):
        axes.stairs(
            result.model[:, i], _edges(result), baseline=None, color=vm_mark(i).colour, lw=2
        )


def _points(axes: Axes, result: MeasuredShares) -> None:
    """Draw each reading of each run in its middle; processes stand a little aside."""
    starts = np.concatenate([np.zeros_like(result.end_s[:, :1]), result.end_s[:, :-1]], axis=1)
    middle = (starts + result.end_s) / 2
    step = 0.16 / max(result.case.size, 3)
    for i in range(result.case.size):
        mark = vm_mark(i)
        aside = (i - (result.case.size - 1) / 2) * step * 2
        axes.plot(
            middle.ravel() + aside,
            result.percent[:, :, i].ravel(),
            mark.marker,
            mfc="white",
            mec=mark.colour,
            mew=1.3,
            ms=5.5,
            lw=0,
        )


def _labels(axes: Axes, result: MeasuredShares) -> None:
    """Name each process at the right; who has the same line stands together."""
    last = result.model[-1]
    states = list(dict.fromkeys(np.round(last, 6).tolist()))
    highest = max(float(result.model.max()), 1.0)
    at = -1.0
    for level in sorted(states):
        who = [i for i in range(result.case.size) if round(float(last[i]), 6) == level]
        few = len(who) <= _NAMED
        lines = [f"VM{i + 1}" for i in who] if few else [f"VM{who[0] + 1} to", f"VM{who[-1] + 1}"]
        size = _APART * highest * len(lines)
        at = max(level, at + size / 2)
        for k, text in enumerate(lines):
            shift = ((len(lines) - 1) / 2 - k) * _APART * highest
            axes.annotate(
                text,
                (1.015, max(at + shift, 0)),
                xycoords=axes.get_yaxis_transform(),
                va="center",
                color=_ink(who[k]) if few else HOST.colour,
                fontsize=10.8,
                annotation_clip=False,
            )
        at += size / 2


def _ink(i: int) -> str:
    """Return a process's colour, dark enough for words."""
    return {3: "#A0507F"}.get(i, vm_mark(i).colour if i < _NAMED else HOST.colour)


def _alt(result: MeasuredShares) -> str:
    return (
        f"Line chart with measured points, '{result.case.name}': {result.case.size} processes' "
        f"part of one CPU over {result.case.seconds:g} s, {result.cpu_ms.shape[0]} runs. "
        f"{result.explain()}"
    )


def draw_measured_cases(result: MeasuredCases, figure: Plate | None = None) -> Plate:
    """Draw what Linux gave against what the shares say, of all cases.

    Parameters
    ----------
    result
        All cases, from `virtlab.resources.cpu_measured.measured_cases`.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources.cpu_measured import measured_cases
    >>> draw_measured_cases(measured_cases()).alt[:33]
    'Scatter chart, and dots: of 16 ca'
    """

    def draw(plate: Plate) -> None:
        if plate.narrow:
            plate.margins(left=174, right=20, top=110)
            errors, axes = plate.subplots(), None
        else:
            plate.margins(left=80, right=24, top=92)
            axes, errors = plate.subplots(1, 2, width_ratios=[1, 0.8])
            plate.subplots_adjust(wspace=0.78)
            _diagonal(axes, result)
        _errors(errors, result, plate)
        told = result.summary()
        title = (
            f"In {told['cases']} cases Linux is off from the shares by {result.off:.2g} points at "
            f"most, and by {told['off_median_points']:.1g} in the middle"
        )
        style.finish(errors, title, _alt_cases(result), slide="S21")

    return style.draw_on(figure, draw)


_WAYS = {"shares": (vm_mark(0), "control groups"), "nice": (vm_mark(1), "nice levels")}


def _diagonal(axes: Axes, result: MeasuredCases) -> None:
    axes.plot([0, 100], [0, 100], color=HOST.colour, lw=1.5)
    for way, (mark, word) in _WAYS.items():
        cases = [case for case in result.cases if case.case.way == way]
        model = np.concatenate([case.model_by_state.ravel() for case in cases])
        measured = np.concatenate([case.by_state.mean(axis=0).ravel() for case in cases])
        axes.plot(model, measured, mark.marker, mfc="none", mec=mark.colour, mew=1.6, lw=0)
        row = 0.95 - 0.08 * list(_WAYS).index(way)
        axes.plot(0.04, row, mark.marker, mfc="none", mec=mark.colour, transform=axes.transAxes)
        axes.text(0.08, row, word, color=mark.colour, va="center", transform=axes.transAxes)
    axes.set(xlabel="the shares say, % of the CPU", ylabel="Linux gave, %")
    axes.set(xlim=(-2, 102), ylim=(-2, 102))


def _errors(axes: Axes, result: MeasuredCases, plate: Plate) -> None:
    """Draw the largest error of each case: the mean's, and how far runs differ."""
    cases = list(reversed(result.cases))
    for row, case in enumerate(cases):
        mark = _WAYS[case.case.way][0]
        differ = float(np.ptp(case.by_state, axis=0).max())
        axes.plot([0, differ], [row, row], color="#C8C8C8", lw=6, solid_capstyle="butt")
        axes.plot(case.off, row, mark.marker, color=mark.colour, ms=7)
    names = [case.case.name.replace("one blocks half of the time", "one blocks") for case in cases]
    axes.set_yticks(range(len(cases)), names)
    axes.tick_params(axis="y", length=0, labelsize=10.1)
    axes.set(ylim=(-0.6, len(cases) - 0.4), xlim=(0, None))
    label = "points (grey: runs)" if plate.narrow else "off, points (grey: runs differ)"
    axes.set_xlabel(label)


def _alt_cases(result: MeasuredCases) -> str:
    rows = "; ".join(f"{case.case.name} {case.off:.2f}" for case in result.cases)
    return (
        f"Scatter chart, and dots: of {len(result.cases)} cases what Linux gave against what the "
        f"shares say. Largest error, points: {rows}. {result.explain()}"
    )


def draw_turns(result: Turns, figure: Plate | None = None, begin_ms: float = 1000) -> Plate:
    """Draw who ran when in 200 ms, and below it how far each is from what it is owed, all the time.

    Parameters
    ----------
    result
        Turns, from `virtlab.resources.cpu_turns.measured_turns`.
    figure
        The figure to draw on again.
    begin_ms
        When the turns that are shown begin; a phone has room for 100 ms.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources.cpu_turns import measured_turns
    >>> draw_turns(measured_turns("3:2:1")).alt[:44]
    'Time line of turns, and lines of lag, 3:2:1:'
    """

    def draw(plate: Plate) -> None:
        plate.margins(left=66 if plate.narrow else 90, right=52, top=112 if plate.narrow else 92)
        bars, lags = plate.subplots(2, 1, height_ratios=[1, 1.1])
        plate.subplots_adjust(hspace=0.5)
        until = 100.0 if plate.narrow else 200.0
        lag = result.lag_ms
        for i in range(result.case.size):
            own, mark = result.process == i, vm_mark(i)
            spans = np.stack([result.start_ms[own], result.length_ms[own]], axis=1)
            bars.broken_barh(spans.tolist(), (-i - 0.4, 0.8), color=mark.colour, lw=0)
            lags.plot(result.end_ms / 1000, lag[:, i], color=mark.colour, lw=1.4)
        bars.set_yticks([-i for i in range(result.case.size)])
        bars.set_yticklabels([f"VM{i + 1}" for i in range(result.case.size)])
        bars.set(xlim=(begin_ms, begin_ms + until), xlabel="time, ms")
        _name(lags, lag[lag.shape[0] // 2 :].mean(axis=0))
        lags.axhline(0, color=HOST.colour, lw=0.8)
        lags.set(xlim=(0, float(result.end_ms[-1]) / 1000), xlabel="time, s", ylabel="ahead, ms")
        told = result.summary()
        title = (
            f"{result.case.name} on Linux: turns of {told['median_turn_ms']:.0f} ms; after the "
            f"start no lag changes by more than {told['settled_ms']:.0f} ms"
        )
        style.finish(bars, title, _alt_turns(result, begin_ms, until), slide="S21")

    return style.draw_on(figure, draw)


def _name(axes: Axes, last: Floats) -> None:
    """Name each line at its right end; names keep apart."""
    low, high = axes.get_ylim()
    gap, at = 0.15 * (high - low), -np.inf
    for i in np.argsort(last).tolist():
        at = max(float(last[i]), at + gap)
        axes.annotate(
            f"VM{i + 1}",
            (1.01, at),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            color=_ink(i),
            fontsize=10.8,
            annotation_clip=False,
        )


def _alt_turns(result: Turns, begin: float, until: float) -> str:
    there = (result.start_ms >= begin) & (result.start_ms < begin + until)
    order = "".join("ABCDEFGHIJK"[i] for i in result.process[there])
    return (
        f"Time line of turns, and lines of lag, {result.case.name}: in the {until:g} ms from "
        f"{begin:g} on the order is {order}, with A for VM1. {result.explain()}"
    )
