"""Figures of the disk queue (S20): what each VM gets in time, and whose request is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from virtlab.plots import style
from virtlab.plots.grips import knob
from virtlab.plots.palette import HARDWARE, HOST, vm_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from virtlab.plots.style import Plate
    from virtlab.resources.disk_run import DiskRun

__all__ = ["draw_disk", "draw_service", "draw_throughput"]

_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9}
SHOWN = 24  # requests in a strip: as many as one can count


def draw_throughput(run: DiskRun, window_s: float = 0.5, figure: Plate | None = None) -> Plate:
    """Draw what each VM gets in time, beside what its shares entitle it to.

    Parameters
    ----------
    run
        What `serve` returned.
    window_s
        Seconds over which bytes are counted.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources import DiskLoad, serve
    >>> draw_throughput(serve([DiskLoad(1000), DiskLoad(3000)], seconds=2)).alt
    'Line chart of the throughput of 2 VMs over 2 s. Shares 1000:3000: VM1 40.0, VM2 120.0 \
MB/s. Dashed: what the shares entitle to.'
    """

    def draw(plate: Plate) -> None:
        axes = plate.subplots()
        _room(plate)
        _throughput(axes, run, window_s, plate)
        axes.set_xlabel("seconds")
        style.finish(axes, _finding(run), _alt(run), "S20")

    return style.draw_on(figure, draw)


def draw_service(run: DiskRun, from_s: float = 0.0, figure: Plate | None = None) -> Plate:
    """Draw whose requests are served, one after the other, from a moment on.

    Parameters
    ----------
    run
        What `serve` returned.
    from_s
        The moment.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources import DiskLoad, serve
    >>> draw_service(serve([DiskLoad(1000), DiskLoad(3000)], seconds=1)).alt
    'The 24 requests served from 0 s on, by VM: 122212221222122212221222.'
    """

    def draw(plate: Plate) -> None:
        axes = plate.subplots()
        plate.margins(left=82, right=24, top=94 if plate.narrow else 70)
        order = _strip(axes, run, from_s, rows=True)
        counts = ", ".join(
            f"{name} {order.count(vm)}" for vm, name in enumerate(run.names) if vm in order
        )
        title = f"Of {len(order)} requests: {counts}"
        words = "".join(vm_mark(vm).sign for vm in order)
        alt = f"The {len(order)} requests served from {from_s:g} s on, by VM: {words}."
        style.finish(axes, title, alt, "S20")

    return style.draw_on(figure, draw)


def draw_disk(
    run: DiskRun, at_s: float = 0.0, window_s: float = 0.5, figure: Plate | None = None
) -> Plate:
    """Draw throughput in time, and below it the requests that are served at one moment.

    Parameters
    ----------
    run
        What `serve` returned.
    at_s
        The moment.
    window_s
        Seconds over which bytes are counted.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources import DiskLoad, serve
    >>> run = serve([DiskLoad(1000), DiskLoad(3000)], seconds=2)
    >>> draw_disk(run, at_s=1).alt[-45:]
    'Served from 1 s on: 212221222122212221222122.'

    """

    def draw(plate: Plate) -> None:
        ratio = (2.6, 1) if plate.narrow else (3.4, 1)
        grid = plate.add_gridspec(2, 1, height_ratios=ratio, hspace=0.5)
        upper, lower = plate.add_subplot(grid[0]), plate.add_subplot(grid[1])
        _room(plate)
        _throughput(upper, run, window_s, plate)
        for axis in (upper.yaxis, upper.xaxis, lower.xaxis):  # ticks are what takes the time
            axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        upper.axvline(at_s, color=HARDWARE.colour, lw=2)
        knob(upper, "time", "the moment", (at_s, upper.get_ylim()[0]), "x", at_s)
        order = _strip(lower, run, at_s, rows=False)
        words = "".join(vm_mark(vm).sign for vm in order)
        alt = f"{_alt(run)} Served from {at_s:g} s on: {words}."
        style.finish(upper, _finding(run), alt, "S20")

    return style.draw_on(figure, draw)


def _room(plate: Plate) -> None:
    """Leave room at the right for the names of the lines, at the top for events."""
    if plate.narrow:
        plate.margins(left=48, right=82, top=94)
    else:
        plate.margins(right=120, top=88)


def _throughput(axes: Axes, run: DiskRun, window_s: float, plate: Plate) -> None:
    frame = run.throughput(window_s)
    table = frame.pivot(index="from_s", columns="name", values="mb_per_s")[list(run.names)]
    edges = np.append(table.index.to_numpy(dtype=np.float64), run.seconds)
    top = 1.06 * run.disk.bandwidth_mb_s
    for phase in run.phases:
        due = run.entitled(phase)
        axes.hlines(due, phase.from_s, phase.to_s, color=HOST.colour, lw=1.4, ls="--")
    for vm, name in enumerate(run.names):
        mark, rates = vm_mark(vm), table[name].to_numpy(dtype=np.float64)
        width = max(1.5, 5 - 1.5 * vm)  # equal lines lie on each other: the upper one is thinner
        axes.stairs(rates, edges, baseline=None, color=mark.colour, lw=width, zorder=2 + 0.1 * vm)
        centres = (edges[1:] + edges[:-1]) / 2
        some = slice(vm % 3, None, max(1, centres.size // 7))
        axes.plot(centres[some], rates[some], mark.marker, color=mark.colour, ms=7, zorder=4)
    _line_names(axes, run, table.iloc[-1].to_numpy(dtype=np.float64), top, plate)
    _events(axes, run, plate)
    axes.set_xlim(0, run.seconds or 1)
    axes.set_ylim(0, top)
    if plate.narrow:
        axes.annotate(
            "MB/s, dashed: by shares",
            (0, 1),
            xycoords="axes fraction",
            xytext=(-28, 5),
            textcoords="offset points",
            fontsize=10.5,
        )
    else:
        axes.set_ylabel(
            "MB/s  (dashed: by shares)" if axes.bbox.height > 0.5 * plate.bbox.height else "MB/s"
        )


def _line_names(
    axes: Axes, run: DiskRun, last: NDArray[np.float64], top: float, plate: Plate
) -> None:
    """Name the lines at their right end; lines that end close together share a label."""
    groups: list[list[int]] = []
    for vm in sorted(range(len(run.names)), key=lambda vm: last[vm]):
        near = 0.1 if plate.narrow else 0.085
        if groups and last[vm] - last[groups[-1][-1]] < near * top:
            groups[-1].append(vm)
        else:
            groups.append([vm])
    for group in groups:
        height = float(np.mean([last[vm] for vm in group]))
        line = 0.075 * top if plate.narrow else 0.062 * top
        for k, vm in enumerate(sorted(group, key=lambda vm: (-last[vm].round(1), vm))):
            y = height + line * ((len(group) - 1) / 2 - k)
            words = f"{run.names[vm]} {last[vm]:.0f}"
            axes.annotate(
                words,
                (1, y),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                weight="bold",
                color=vm_mark(vm).colour,
                annotation_clip=False,
            )


def _events(axes: Axes, run: DiskRun, plate: Plate) -> None:
    """Mark what happens on the way: shares that change, VMs that fall idle or wake."""
    for at_s, words in run.events:
        axes.axvline(at_s, color=HOST.colour, lw=1, ls=":")
        axes.annotate(
            words.replace(" shares", "" if plate.narrow else " shares"),
            (at_s, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2) if plate.narrow else (0, 4),
            textcoords="offset points",
            ha="left" if plate.narrow else "center",
            va="top" if plate.narrow else "bottom",
            rotation=90 if plate.narrow else 0,
            bbox={**_PAPER, "alpha": 0.7},
            fontsize=10.5,
            color=HARDWARE.colour,
            annotation_clip=False,
        )


def _strip(axes: Axes, run: DiskRun, from_s: float, *, rows: bool) -> list[int]:
    """Draw the next requests as blocks as long as they are in service; return whose they are."""
    plate = axes.figure
    narrow = isinstance(plate, style.Plate) and plate.narrow
    vm, started, done = run.served[0].astype(int), run.served[4], run.served[5]
    first = int(np.searchsorted(done, from_s, side="right"))
    shown = slice(first, first + (SHOWN // 2 if narrow else SHOWN))
    left, width = 1000 * (started[shown] - from_s), 1000 * (done - started)[shown]
    for who in np.unique(vm[shown]):
        mark, mine = vm_mark(int(who)), vm[shown] == who
        y = float(who) if rows else 0.0
        blocks = np.stack([left, width], axis=1)[mine]
        axes.broken_barh(
            blocks, (y - 0.4, 0.8), facecolor=mark.colour, hatch=mark.hatch, edgecolor="white", lw=1
        )
        if not rows and width[mine].min() > 0.03 * width.sum():
            middles = blocks.sum(axis=1) - blocks[:, 1] / 2
            axes.plot(middles, 0 * middles, "o", color="white", ms=13)
            sign = f"${mark.sign}$"
            axes.plot(middles, 0 * middles, ls="", marker=sign, ms=9, color=HARDWARE.colour)
    order: list[int] = vm[shown].tolist()
    end = 1000 * (done[shown][-1] - from_s) if order else 1.0
    axes.set_xlim(min(0.0, 1000 * (started[first] - from_s)) if order else 0.0, end)
    axes.set_xlabel(f"ms from {from_s:g} s on")
    axes.spines["left"].set_visible(False)
    if rows:
        axes.set_yticks(range(len(run.names)), run.names)
        axes.set_ylim(len(run.names) - 0.4, -0.6)
    else:
        axes.set_yticks([])
        axes.set_ylim(-0.5, 0.5)
    axes.tick_params(axis="y", length=0)
    return order


def _finding(run: DiskRun) -> str:
    """Say what a run shows: who gets most at its end, and how far off the shares it is."""
    last = run.phases[-1] if run.phases else None
    if last is None:
        return "No time has passed"
    frame = run.to_frame()
    rates = frame[frame["from_s"] == last.from_s]["mb_per_s"].to_numpy(dtype=np.float64)
    due = run.entitled(last)
    worst = int(np.argmax(np.abs(rates - due)))
    if abs(rates[worst] - due[worst]) > 0.02 * run.disk.bandwidth_mb_s:
        return (
            f"{run.names[worst]} gets {rates[worst]:.0f} MB/s; by its shares it would get "
            f"{due[worst]:.0f}"
        )
    words = " : ".join(f"{rate:.0f}" for rate in rates)
    return f"The queue comes to {words} MB/s, as the shares say"


def _alt(run: DiskRun) -> str:
    """Say in words what a chart of throughput shows."""
    return (
        f"Line chart of the throughput of {len(run.names)} VMs over {run.seconds:g} s. "
        f"{run.explain()} Dashed: what the shares entitle to."
    )
