"""Figures of our scheduler against Linux's (S21): Linux is points, ours lines, the error said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.plots import style
from virtlab.plots.palette import HOST, vm_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu_against_linux import AgainstLinux, TurnsAgainstLinux
    from virtlab.resources.cpu_turns import Turns

__all__ = ["draw_against_linux", "draw_turns_against_linux"]

_SHORT = {"one blocks half of the time": "one blocks", "a share is changed": "share changed"}
_SMALL = 10.1  # points: 14 pixels


def draw_against_linux(result: AgainstLinux, figure: Plate | None = None) -> Plate:
    """Draw what each process had, on Linux and in our scheduler, a row a case.

    Parameters
    ----------
    result
        From `virtlab.resources.cpu_against_linux.against_linux`.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources.cpu_against_linux import against_linux
    >>> draw_against_linux(against_linux("3:2:1")).alt[:56]
    'Rows of dots and lines, percent of the CPU: 3:2:1, Linux'
    """

    def draw(plate: Plate) -> None:
        if plate.narrow:
            plate.margins(left=140, right=58, top=106)
        else:
            plate.margins(left=170, right=86, top=92)
        axes = plate.subplots()
        cases = list(reversed(result.cases))
        for row, case in enumerate(cases):
            mark = vm_mark(0 if case.measured.case.way == "shares" else 1)
            ours, linux = case.predicted.ravel(), case.linux.ravel()
            axes.vlines(ours, row - 0.4, row + 0.4, color=HOST.colour, lw=1.8)
            ink: Any = {"mfc": "none", "mec": mark.colour, "mew": 1.5, "ms": 6}
            axes.plot(linux, np.full(linux.size, row), mark.marker, lw=0, **ink)
            axes.text(
                1.03,
                row,
                f"{case.off:.2f}",
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=_SMALL,
            )
        _frame(axes, result)
        axes.set_yticks(range(len(cases)), [_SHORT.get(case.name, case.name) for case in cases])
        _key(axes, len(cases))
        told = result.summary()
        title = (
            f"Our scheduler (lines) is off from Linux (points) by {result.off_median:.2f} points "
            f"in the middle of {told['parts']} parts, by {result.off:.2f} at most"
        )
        style.finish(axes, title, _alt(result), slide="S21")

    return style.draw_on(figure, draw)


def _frame(axes: Axes, result: AgainstLinux) -> None:
    axes.tick_params(axis="y", length=0, labelsize=_SMALL)
    axes.set(ylim=(-0.6, len(result.cases) - 0.4), xlim=(-2, 102))
    axes.set_xlabel("part of the CPU, %")
    axes.grid(axis="x")


def _key(axes: Axes, rows: int) -> None:
    """Say above the axes what the numbers at the right are."""
    axes.annotate(
        "off, points",
        (1.0, rows - 0.4),
        xycoords=axes.get_yaxis_transform(),
        xytext=(38, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=_SMALL,
        annotation_clip=False,
    )


def _alt(result: AgainstLinux) -> str:
    rows = [
        f"{case.name}, Linux {_list(case.linux.ravel().tolist())}, "
        f"ours {_list(case.predicted.ravel().tolist())}"
        for case in result.cases
    ]
    return f"Rows of dots and lines, percent of the CPU: {'; '.join(rows)}. {result.explain()}"


def _list(percent: list[float]) -> str:
    return " ".join(f"{one:.1f}" for one in percent)


def draw_turns_against_linux(
    result: TurnsAgainstLinux, figure: Plate | None = None, begin_ms: float = 1000
) -> Plate:
    """Draw who ran when on Linux, and below it who ran when in our scheduler.

    Parameters
    ----------
    result
        From `virtlab.resources.cpu_against_linux.turns_against_linux`.
    figure
        The figure to draw on again.
    begin_ms
        When the turns that are shown begin; 200 ms of them, on a phone 100.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources.cpu_against_linux import turns_against_linux
    >>> draw_turns_against_linux(turns_against_linux("3:2:1")).alt[:60]
    'Two time lines of turns, 3:2:1, 200 ms from 1000 on: Linux B'
    """

    def draw(plate: Plate) -> None:
        plate.margins(left=66, right=20, top=112 if plate.narrow else 108)
        upper, lower = plate.subplots(2, 1, sharex=True)
        plate.subplots_adjust(hspace=0.3)
        until = 100.0 if plate.narrow else 200.0
        for axes, turns, name in ((upper, result.linux, "Linux"), (lower, result.ours, "ours")):
            _bars(axes, turns)
            axes.set_title(f"{name}: {_usual(turns, plate)}", loc="left", fontsize=10.8, pad=4)
        lower.set(xlim=(begin_ms, begin_ms + until), xlabel="time, ms")
        told = result.summary()
        title = (
            f"{result.case.name}: once started, the lag of a process changes by "
            f"{told['linux_settled_ms']:.1f} ms on Linux, by {told['ours_settled_ms']:.1f} ms here"
        )
        alt = (
            f"Two time lines of turns, {result.case.name}, {until:g} ms from {begin_ms:g} on: "
            f"Linux {_order(result.linux, begin_ms, until)}, ours "
            f"{_order(result.ours, begin_ms, until)}, with A for VM1. {result.explain()}"
        )
        style.finish(upper, title, alt, slide="S21")

    return style.draw_on(figure, draw)


def _bars(axes: Axes, turns: Turns) -> None:
    size = turns.case.size
    for i in range(size):
        own, mark = turns.process == i, vm_mark(i)
        spans = np.stack([turns.start_ms[own], turns.length_ms[own]], axis=1)
        axes.broken_barh(
            spans.tolist(),
            (i - 0.4, 0.8),
            facecolor=mark.colour,
            hatch=mark.hatch,
            edgecolor="white",
            lw=0.6,
        )
    axes.set_yticks(range(size), [f"VM{i + 1}" for i in range(size)])
    axes.set_ylim(size - 0.5, -0.5)


def _usual(turns: Turns, plate: Plate) -> str:
    told = turns.summary()
    waits = f"waits of up to {told['longest_wait_ms']:.0f} ms"
    return waits if plate.narrow else f"turns of {told['median_turn_ms']:.1f} ms, {waits}"


def _order(turns: Turns, begin: float, until: float) -> str:
    there = (turns.start_ms >= begin) & (turns.start_ms < begin + until)
    return "".join("ABCDEFGHIJK"[i] for i in turns.process[there])
