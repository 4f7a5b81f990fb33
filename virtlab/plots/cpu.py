"""Figures of shared processors (S21): who ran when, and what was received beside what was due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from virtlab.plots import style
from virtlab.plots.cpu_events import draw_events
from virtlab.plots.palette import HARDWARE, vm_mark
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu import CpuRun

__all__ = ["draw_timeline"]

_SHOWN = 6  # VMs: more rows than that cannot be told apart


def draw_timeline(
    run: CpuRun, at_s: float = 0.0, window_s: float = 0.3, figure: Plate | None = None
) -> Plate:
    """Draw what each VM has had beside what it was entitled to, and below it who runs when.

    Parameters
    ----------
    run
        What `schedule` returned; the first six VMs are drawn.
    at_s, window_s
        The stretch of time whose intervals are shown, from when and how long.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Raises
    ------
    InvalidInputError
        If the stretch is not inside the run.

    Examples
    --------
    >>> from virtlab.resources.cpu import CpuVM, schedule
    >>> draw_timeline(schedule([CpuVM("a", 1000), CpuVM("b", 3000)], seconds=4)).alt
    'Processor time of 2 VMs over 4 s on 1 processor: a received 1 s of 1 s it was entitled to, \
b received 3 s of 3 s it was entitled to. Below: who runs from 0 s to 0.3 s, 15 intervals.'
    """
    if not (0 <= at_s < run.seconds and window_s > 0):
        raise InvalidInputError("at_s, window_s", (at_s, window_s), f"inside {run.seconds:g} s")
    until_s = min(at_s + window_s, run.seconds)

    def draw(plate: Plate) -> None:
        ratio = (1.5, 1) if plate.narrow else (1.6, 1)
        grid = plate.add_gridspec(2, 1, height_ratios=ratio, hspace=0.5)
        upper, lower = plate.add_subplot(grid[0]), plate.add_subplot(grid[1])
        if plate.narrow:
            plate.margins(left=66, right=64, top=116)
        else:
            plate.margins(left=90, right=110, top=92)
        _received(upper, run)
        upper.axvspan(at_s, until_s, color=HARDWARE.colour, alpha=0.15, lw=0)
        count = _intervals(lower, run, at_s, until_s)
        for axis in (upper.yaxis, upper.xaxis, lower.xaxis):  # ticks are what takes the time
            axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        alt = f"{_alt(run)} Below: who runs from {at_s:g} s to {until_s:g} s, {count} intervals."
        style.finish(upper, _finding(run), alt, "S21")
        draw_events(upper, run.events)

    return style.draw_on(figure, draw)


def _received(axes: Axes, run: CpuRun) -> None:
    """Draw a line for what was received, dashed for what was due; names at the right."""
    times = np.linspace(0, run.seconds, 200)
    ends: list[tuple[float, int]] = []
    for vm in range(min(len(run.vms), _SHOWN)):
        mark = vm_mark(vm)
        got = run.received_s(vm, times)
        axes.plot(times, run.entitled_s(vm, times), "--", color=HARDWARE.colour, lw=1.5, zorder=3)
        axes.plot(times, got, color=mark.colour, marker=mark.marker, markevery=40)
        ends.append((float(got[-1]), vm))
    top = max(end for end, _ in ends) or 1.0
    gap, ends = 0.13 * top, sorted(ends)
    heights = [end for end, _ in ends]
    for k in range(1, len(ends)):  # names keep apart
        heights[k] = max(heights[k], heights[k - 1] + gap)
    for k in range(len(ends)):  # and below the top
        heights[k] = min(heights[k], top - gap * (len(ends) - 1 - k))
    for height, (_, vm) in zip(heights, ends, strict=True):
        axes.annotate(
            run.names[vm],
            (run.seconds, height),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=vm_mark(vm).colour,
            annotation_clip=False,
        )
    axes.set_xlim(0, run.seconds)
    axes.set_ylim(0, 1.05 * top)
    axes.set_ylabel("CPU seconds")
    axes.set_xlabel("seconds (dashed: entitled)")


def _intervals(axes: Axes, run: CpuRun, from_s: float, to_s: float) -> int:
    """Draw a bar for each interval, a row a VM; return how many there are."""
    shown = min(len(run.vms), _SHOWN)
    begin, end = run.intervals[:, 2] / 1e6, run.intervals[:, 3] / 1e6
    inside = (end > from_s) & (begin < to_s)
    owner = run.vm_of[run.intervals[:, 0]]
    for vm in range(shown):
        mine = inside & (owner == vm)
        left, right = begin[mine].clip(from_s), end[mine].clip(max=to_s)
        bars = list(zip(left.tolist(), (right - left).tolist(), strict=True))
        mark = vm_mark(vm)
        axes.broken_barh(
            bars,
            (vm - 0.4, 0.8),
            facecolor=mark.colour,
            hatch=mark.hatch,
            edgecolor="white",
            lw=0.8,
        )
    axes.set_ylim(shown - 0.5, -0.5)
    axes.set_xlim(from_s, to_s)
    axes.set_yticks(range(shown), run.names[:shown])
    axes.set_xlabel("seconds")
    return int(inside.sum())


def _finding(run: CpuRun) -> str:
    """Say how close received and entitled are, or who was left behind."""
    worst = max(range(len(run.vms)), key=run.error_quanta)
    off = run.error_quanta(worst)
    if off <= 3:
        return f"Each VM is within {off:.2g} quanta of its part at any moment"
    return f"{run.names[worst]} is up to {off:.3g} quanta away from its part"


def _alt(run: CpuRun) -> str:
    end = np.array([run.seconds])
    words = ", ".join(
        f"{name} received {run.received_s(vm, end)[0]:.3g} s of {run.entitled_s(vm, end)[0]:.3g} s "
        "it was entitled to"
        for vm, name in enumerate(run.names)
    )
    plural = "s" if run.cpus > 1 else ""
    happened = ", ".join(f"{event.label} at {event.at_s:g} s" for event in run.events)
    return (
        f"Processor time of {len(run.vms)} VMs over {run.seconds:g} s on {run.cpus} "
        f"processor{plural}: {words}.{' Events: ' + happened + '.' if happened else ''}"
    )
