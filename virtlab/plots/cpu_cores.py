"""The core map (S22): who runs on which half of which core, how fast, and what is halted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import MaxNLocator

from virtlab.plots import style
from virtlab.plots.grips import knob
from virtlab.plots.palette import HARDWARE, HOST, PAGES, vm_mark
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu import Place, ThreadedRun

__all__ = ["draw_cores"]

_SHOWN, _SHOWN_NARROW = 4, 2  # cores: the halves of more cannot be read
_PX = 0.72  # points of a pixel
_HALF, _GAP, _HEAD, _KEYS = 62, 14, 24, 26  # height of a half, space, of a core's name, of the VMs'


def draw_cores(
    run: ThreadedRun, at_s: float = 0.0, window_s: float = 0.2, figure: Plate | None = None
) -> Plate:
    """Draw each core with its two logical CPUs at a moment, and who was on them around it.

    Parameters
    ----------
    run
        What `schedule(..., threads=2)` returned; the first four cores are drawn, on a phone two.
    at_s
        The moment.
    window_s
        How much time the strip shows.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Raises
    ------
    InvalidInputError
        If the moment is not inside the run.

    Examples
    --------
    >>> from virtlab.resources.cpu import Cores, CpuVM, schedule_threads
    >>> vms = [CpuVM("db", sharing="none"), CpuVM("web"), CpuVM("mail")]
    >>> draw_cores(schedule_threads(vms, Cores(2), seconds=1), 0.005).alt
    'Core map at 0.005 s. Core 0: CPU 0 runs db at speed 1, CPU 1 is halted for db. Core 1: CPU 2 \
runs web at speed 0.62, CPU 3 runs mail at speed 0.62. Below: who was on which logical CPU from \
0 s to 0.2 s.'
    """
    if not (0 <= at_s <= run.seconds and window_s > 0):
        raise InvalidInputError("at_s, window_s", (at_s, window_s), f"inside {run.seconds:g} s")
    begin_s = max(0.0, min(at_s - window_s / 2, run.seconds - window_s))
    window = begin_s, min(begin_s + window_s, run.seconds)

    def draw(plate: Plate) -> None:
        shown = min(run.cpus, _SHOWN_NARROW if plate.narrow else _SHOWN)
        places = run.moment(at_s)[: shown * run.threads]
        tall = _HEAD + run.threads * _HALF + _GAP
        boxes, strip = _axes(plate, tall + _KEYS)
        _boxes(boxes, places, shown, run.threads)
        _keys(boxes, run.names, tall)
        _strip(strip, run, window, shown * run.threads)
        strip.axvline(at_s, color=HARDWARE.colour, lw=2)
        knob(strip, "time", "the moment", (at_s, strip.get_ylim()[0]), "x", at_s)
        more = f" (the first {shown} of {run.cpus} cores)" if shown < run.cpus else ""
        strip.set_xlabel(f"seconds{more}")
        style.finish(boxes, _finding(places, run), _alt(places, at_s, window, more), "S22")

    return style.draw_on(figure, draw)


def _axes(plate: Plate, tall: int) -> tuple[Axes, Axes]:
    """Return axes counted in pixels for the boxes, and axes for the strip below."""
    width, height = (100 * side for side in plate.get_size_inches())
    side, top = 14, 88 if plate.narrow else 58
    boxes = plate.add_axes(
        (side / width, 1 - (top + tall) / height, 1 - 2 * side / width, tall / height)
    )
    boxes.set_xlim(0, width - 2 * side)
    boxes.set_ylim(tall, 0)
    boxes.set_axis_off()
    left, right, bottom = 66, 24, 58
    room = height - top - tall - bottom - 8
    strip = plate.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, room / height)
    )
    return boxes, strip


def _boxes(axes: Axes, places: list[Place], shown: int, threads: int) -> None:
    """Draw a box a core, with its halves one below the other."""
    wide = axes.get_xlim()[1]
    each = min(300.0, (wide - _GAP * (shown - 1)) / shown)
    first = (wide - shown * each - _GAP * (shown - 1)) / 2
    for core in range(shown):
        x, y = first + core * (each + _GAP), 0
        axes.text(x + 6, y + 2, f"core {core}", va="top", fontsize=14 * _PX, color=HOST.colour)
        box: Any = {
            "boxstyle": "round,pad=0,rounding_size=6",
            "facecolor": "white",
            "clip_on": False,
        }
        axes.add_artist(
            FancyBboxPatch(
                (x, y + _HEAD), each, threads * _HALF, edgecolor=HARDWARE.colour, lw=1.8, **box
            )
        )
        for thread in range(threads):
            place = places[core * threads + thread]
            _half(axes, place, (x + 8, y + _HEAD + thread * _HALF), each - 16)
        if threads == 2:
            middle = y + _HEAD + _HALF
            axes.plot([x, x + each], [middle, middle], color=HARDWARE.colour, lw=0.8)


def _half(axes: Axes, place: Place, corner: tuple[float, float], wide: float) -> None:
    """Draw one logical CPU: its number, who runs, and a bar as long as its speed."""
    x, y = corner
    room = wide > 180
    letters = int((wide - (120 if room else 62)) / 9)
    runs = place.state == "runs"
    words = place.name[:letters] if runs else place.state
    if place.state == "halted" and room:
        words = f"halted for {place.name}"[: letters + 10]
    dim = HARDWARE.colour if runs else "#6B6B6B"
    weight = "bold" if runs else "normal"
    axes.text(x, y + 7, f"{place.cpu}", va="top", fontsize=14 * _PX, color=HOST.colour)
    axes.text(x + 22, y + 7, words, va="top", fontsize=14 * _PX, color=dim, weight=weight)
    if runs:
        speed = f"{'speed ' if room else ''}{place.speed:.2g}"
        axes.text(x + wide, y + 7, speed, va="top", ha="right", fontsize=14 * _PX)
    bar: Any = {"height": 18, "lw": 0.8}
    mark = vm_mark(place.vm) if runs else PAGES["free"]
    hatch = "xxx" if place.state == "halted" else ""
    face = PAGES["free"].colour if hatch else "white"
    edge = "#8A8A8A"
    axes.add_artist(
        Rectangle((x, y + 34), wide, facecolor=face, edgecolor=edge, hatch=hatch, **bar)
    )
    if runs:
        axes.add_artist(
            Rectangle(
                (x, y + 34),
                wide * place.speed,
                facecolor=mark.colour,
                edgecolor="white",
                hatch=mark.hatch,
                **bar,
            )
        )


def _keys(axes: Axes, names: tuple[str, ...], y: float) -> None:
    """Name the VMs in one line, as many as there is room for."""
    wide = axes.get_xlim()[1]
    x = 52.0 if wide > 600 else 0.0
    for vm, name in enumerate(names):
        mark = vm_mark(vm)
        needs = 24 + 9.5 * len(name)
        if x + needs > wide - 24:
            axes.text(x, y, f"+ {len(names) - vm}", va="top", fontsize=14 * _PX)
            break
        axes.add_artist(
            Rectangle(
                (x, y + 2), 16, 14, facecolor=mark.colour, hatch=mark.hatch, edgecolor="white", lw=0
            )
        )
        axes.text(x + 20, y, name, va="top", fontsize=14 * _PX)
        x += needs + 10


def _strip(axes: Axes, run: ThreadedRun, window: tuple[float, float], rows: int) -> None:
    """Draw who was on each logical CPU, a row each."""
    cpu, begin, end = run.intervals[:, 1], run.intervals[:, 2] / 1e6, run.intervals[:, 3] / 1e6
    inside = (end > window[0]) & (begin < window[1]) & (cpu < rows)
    owner = run.vm_of[run.intervals[:, 0]]
    left, right = begin.clip(window[0]), end.clip(max=window[1])
    for vm in sorted(set(owner[inside].tolist())):
        mark, mine = vm_mark(vm), inside & (owner == vm)
        x = np.stack([left[mine], right[mine], right[mine], left[mine]], axis=1)
        y = cpu[mine][:, None] + np.array([-0.42, -0.42, 0.42, 0.42])
        bars: Any = {"facecolor": mark.colour, "hatch": mark.hatch, "edgecolor": "white"}
        axes.add_collection(  # one for all rows: a slider waits for this
            PolyCollection(list(np.stack([x, y], axis=2)), lw=0.6, **bars), autolim=False
        )
    for line in range(run.threads, rows, run.threads):  # between two cores
        axes.axhline(line - 0.5, color=HARDWARE.colour, lw=0.8)
    axes.set_xlim(*window)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks(range(rows), [f"CPU {cpu}" for cpu in range(rows)])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _finding(places: list[Place], run: ThreadedRun) -> str:
    """Say who shares a core at what speed, or who has one."""
    words = []
    for core in range(len(places) // run.threads):
        both = [p for p in places if p.core == core]
        there = [p for p in both if p.state == "runs"]
        if len(there) == 2:
            one, other = there
            speeds = f"{one.speed:.2g} each"
            if one.speed != other.speed:
                speeds = f"{one.speed:.2g} and {other.speed:.2g}"
            words.append(f"{one.name} and {other.name} share core {core}, at {speeds}")
        elif any(p.state == "halted" for p in both):
            words.append(f"{there[0].name} has all of core {core}")
    shared = [one for one in words if "share" in one]
    chosen = (shared[:1] + [one for one in words if one not in shared][:1])[:2]
    if not chosen:
        return "Nobody shares a core" if any(p.vm >= 0 for p in places) else "All cores idle"
    text = "; ".join(chosen)
    return text if len(text) <= 72 else chosen[0]


def _alt(places: list[Place], at_s: float, window: tuple[float, float], more: str) -> str:
    parts: dict[int, list[str]] = {}
    for place in places:
        words = f"CPU {place.cpu} is {place.state}"
        if place.state == "runs":
            words = f"CPU {place.cpu} runs {place.name} at speed {place.speed:.2g}"
        elif place.name:
            words += f" for {place.name}"
        parts.setdefault(place.core, []).append(words)
    cores = " ".join(f"Core {core}: {', '.join(words)}." for core, words in parts.items())
    return (
        f"Core map at {at_s:g} s{more}. {cores} Below: who was on which logical CPU from "
        f"{window[0]:.4g} s to {window[1]:.4g} s."
    )
