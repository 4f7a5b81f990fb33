"""Figures of a host's memory over time (S23-S26): who has how much, events, and the states.

What the host has is one stack: the host itself, the VMs, and what is free, up to the line. What
was taken from VMs, in balloons and in the host's swap, stands above it: so the whole is what was
configured. Where sharing saves memory, the VMs have more than there is, and the stack is higher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D

from virtlab.memory.states import State
from virtlab.plots import style
from virtlab.plots.ballooning import LIGHTS, MOST, stand
from virtlab.plots.palette import HARDWARE, HOST, PAGES, Mark, vm_mark
from virtlab.validate import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from virtlab.memory.host.run import MemoryRun
    from virtlab.plots.style import Plate

    Floats = NDArray[np.float64]

_EVERY_S = 5

__all__ = ["draw_moment", "draw_timeline", "state_strip"]


def state_strip(axes: Axes, run: MemoryRun, unit_s: float = 1) -> None:
    """Draw the states over time as a strip of four rows, one for each state.

    Parameters
    ----------
    axes
        Flat axes under a time axis.
    run
        A run.
    unit_s
        Seconds of a unit of the time axis.

    Examples
    --------
    >>> from virtlab.memory.experiments.reallocation import scenario
    >>> from virtlab.memory.host.simulation import run
    >>> from dataclasses import replace
    >>> figure = style.plate()
    >>> state_strip(figure.subplots(), run(replace(scenario(), seconds=3)))
    """
    least = run.seconds / 400  # a second must be seen
    for start, end, state in _spans(run.of_host["state"]):
        mark = LIGHTS[state]
        width, left = max(end - start, least) / unit_s, start / unit_s
        axes.barh(
            3 - state, width, 0.9, left=left, color=mark.colour, hatch=mark.hatch, ec="white", lw=0
        )
    axes.set_yticks(range(4), [state.label for state in reversed(State)])
    axes.set_ylim(-0.6, 3.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def draw_timeline(run: MemoryRun, figure: Plate | None = None) -> Plate:
    """Draw the VMs' memory over time, one upon the other, with events and states.

    Parameters
    ----------
    run
        A run of at most 8 VMs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.experiments.reallocation import scenario
    >>> from virtlab.memory.host.simulation import run
    >>> from dataclasses import replace
    >>> draw_timeline(run(replace(scenario(), seconds=50))).alt[:58]
    'Stacked areas of the memory of 4 VMs over 50 s on a host o'
    """
    integer("vms", len(run.names), minimum=1, maximum=MOST)

    def draw(plate: Plate) -> None:
        plate.margins(
            left=72 if plate.narrow else 90, right=16 if plate.narrow else 110, bottom=60, top=104
        )
        axes, strip = plate.subplots(2, 1, sharex=True, height_ratios=[4, 1.3])
        _areas(axes, run, plate)
        _events(axes, run, plate)
        state_strip(strip, run)
        axes.set(ylabel="MiB", xlim=(0, run.seconds))
        strip.set_xlabel("seconds")
        plate.align_ylabels()
        style.finish(axes, _time_title(run), _time_alt(run), slide="S24-S26")

    return style.draw_on(figure, draw)


def draw_moment(run: MemoryRun, second: int, figure: Plate | None = None) -> Plate:
    """Draw where each VM's memory is at one second, and how it came to that.

    Parameters
    ----------
    run
        A run of at most 8 VMs.
    second
        Which; what was recorded after it isn't drawn.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.experiments.reallocation import scenario
    >>> from virtlab.memory.host.simulation import run
    >>> from dataclasses import replace
    >>> print(draw_moment(run(replace(scenario(), seconds=30)), 20).alt.split(". ")[-1])
    Below, the memory of each VM over time, and the states, up to this second.
    """
    integer("vms", len(run.names), minimum=1, maximum=MOST)
    at = integer("second", second, minimum=0, maximum=run.seconds - 1)

    def draw(plate: Plate) -> None:
        plate.margins(
            left=66 if plate.narrow else 90,
            right=30 if plate.narrow else 190,
            top=142 if plate.narrow else 104,
            bottom=218 if plate.narrow else 194,
        )
        _past(plate, run, at)
        stand(plate.subplots(), run, at, plate)
        plate.alt += " Below, the memory of each VM over time, and the states, up to this second."

    return style.draw_on(figure, draw)


def _past(plate: Plate, run: MemoryRun, at: int) -> None:
    """Draw the memory of each VM up to a second, and under it the states as a band.

    It stands on the plate without axes of its own, which would take a slider 20 ms more.
    """
    size, seconds = max(vm.guest.size_mib for vm in run.scenario.vms), run.scenario.seconds
    wide, high = plate.get_size_inches() * 100
    left, bottom, right, tall = (66, 104, 30, 60) if plate.narrow else (90, 44, 190, 80)
    pixels = Affine2D().scale((wide - left - right) / seconds, tall / size).translate(left, bottom)
    sheet = Affine2D().scale(1 / wide, 1 / high) + plate.transFigure
    place = pixels + sheet
    band = 0.26 * size

    def line(xs: ArrayLike, ys: ArrayLike, colour: str, **look: Any) -> None:
        plate.add_artist(Line2D(xs, ys, color=colour, transform=place, **look))

    for i in range(len(run.names)):
        on = run.of_vm["on"][: at + 1 : _EVERY_S, i] > 0
        memory = np.where(on, run.of_vm["allocated_mib"][: at + 1 : _EVERY_S, i], np.nan)
        line(np.arange(memory.size) * _EVERY_S, memory + band, vm_mark(i).colour, lw=2)
    for start, end, state in _spans(run.of_host["state"][: at + 1]):
        mark = LIGHTS[state]
        length = max(end - start, seconds / 250)  # a second must be seen
        look: dict[str, Any] = {"facecolor": mark.colour, "hatch": mark.hatch, "lw": 0}
        plate.add_artist(
            Rectangle((start, 0), length, 0.8 * band, transform=place, edgecolor="white", **look)
        )
    for second in [second for second, _ in run.log if 0 < second <= at]:
        line([second] * 2, [0, size + band], HARDWARE.colour, lw=1.2, ls=":")
    line([at] * 2, [0, size + band], HARDWARE.colour, lw=1.5)
    line([0, 0, seconds], [size + band, 0, 0], HOST.colour, lw=0.8)
    for y, words in ((0.4 * band, "state"), (size + band, f"{size:.0f}")):
        beside = pixels + Affine2D().translate(-6, 0) + sheet
        plate.text(0, y, words, transform=beside, ha="right", va="center", size=10.1)
    for x, words in ((0, "0"), (seconds / 2, f"{seconds / 2:.0f}"), (seconds, f"{seconds} s")):
        under = pixels + Affine2D().translate(0, -5) + sheet
        plate.text(x, 0, words, transform=under, ha="center", va="top", size=10.1)


def _spans(states: NDArray[np.float32]) -> list[tuple[int, int, State]]:
    """Return from when to when each state held."""
    starts = np.flatnonzero(np.append(True, np.diff(states) != 0))
    ends = np.append(starts[1:], states.size)
    return [
        (int(start), int(end), State(int(states[start])))
        for start, end in zip(starts, ends, strict=True)
    ]


def _areas(axes: Axes, run: MemoryRun, plate: Plate) -> None:
    """Stack what the host and the VMs have and what is free, and above it what was taken."""
    host, on = run.scenario.host, run.of_vm["on"]
    overhead = np.array([vm.overhead_mib for vm in run.scenario.vms])
    layers = [("host itself", host.own_mib + on @ overhead, HOST)]
    for i, name in enumerate(run.names):
        layers.append((name, run.of_vm["allocated_mib"][:, i], vm_mark(i)))
    layers.append(("free", run.of_host["free_mib"], PAGES["free"]))
    taken = Mark(PAGES["ballooned"].colour)
    layers.append(("balloons", run.of_vm["ballooned_mib"].sum(axis=1), taken))
    layers.append(("host swap", run.of_vm["swapped_mib"].sum(axis=1), PAGES["swapped"]))
    time, base = np.arange(run.seconds), np.zeros(run.seconds)
    highest = max(float(sum(layer[1] for layer in layers).max()), host.mib)
    for name, amount, mark in layers:
        top = base + amount
        edge = HARDWARE.colour if name == "balloons" else "white"
        look: dict[str, Any] = {"facecolor": mark.colour, "hatch": mark.hatch, "edgecolor": edge}
        axes.fill_between(time, base, top, lw=0.6 if name == "balloons" else 0, **look)
        _name_area(axes, name, base, top, 0.06 * highest, mark)
        base = top
    _host_line(axes, host.mib, plate)
    axes.set_ylim(0, 1.06 * highest)


def _host_line(axes: Axes, mib: float, plate: Plate) -> None:
    """Draw how much there is."""
    axes.axhline(mib, color=HARDWARE.colour, lw=2, ls=(0, (5, 2)))
    if plate.narrow:
        return
    axes.annotate(
        f"host\n{mib:.0f} MiB",
        (1, mib),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
    )


def _name_area(axes: Axes, name: str, base: Floats, top: Floats, least: float, mark: Mark) -> None:
    """Write a name where its area is thickest."""
    size = base.size
    inner = slice(size // 12, size - size // 12)
    thick = (top - base)[inner]
    if thick.size == 0 or thick.max() < least:
        return
    near = np.flatnonzero(thick > 0.9 * thick.max())
    at = int(near[near.size // 2]) + size // 12
    axes.text(
        at,
        (base[at] + top[at]) / 2,
        name,
        ha="center",
        va="center",
        weight="bold",
        color=HARDWARE.colour,
        bbox={"facecolor": "white", "edgecolor": mark.colour, "pad": 2.0, "lw": 1.5},
    )


def _events(axes: Axes, run: MemoryRun, plate: Plate) -> None:
    """Mark what happened after the start; words that would touch stand one above the other."""
    ends = [-np.inf, -np.inf]  # of the words in each row, pixels
    px = axes.get_window_extent().width / run.seconds  # of one second
    for at, words in run.log:
        if at == 0:
            continue
        axes.axvline(at, color=HARDWARE.colour, lw=1.2, ls=":")
        left, wide = at < 0.7 * run.seconds, 0.62 * 14 * len(words)
        begin = at * px if left else at * px - wide
        row = 0 if begin > ends[0] else 1
        ends[row] = begin + wide + 8
        axes.annotate(
            words,
            (at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4 if left else -4, 4 + 13 * row),
            textcoords="offset points",
            ha="left" if left else "right",
            fontsize=10.1 if plate.narrow else 10.8,
            annotation_clip=False,
        )


def _time_title(run: MemoryRun) -> str:
    told = run.summary()
    if float(told["most_ballooned_mib"]) + float(told["most_swapped_mib"]) < 1:
        return f"{run.scenario.name}: memory is enough all the time"
    swapped = float(told["most_swapped_mib"])
    more = f", the host's swap {swapped:.0f}" if swapped >= 1 else ""
    balloons = f"balloons take up to {told['most_ballooned_mib']:.0f} MiB"
    return f"{run.scenario.name}: {balloons}{more}"


def _time_alt(run: MemoryRun) -> str:
    events = "; ".join(f"at {at} s {words}" for at, words in run.log if at > 0)
    last = ", ".join(
        f"{name} {run.of_vm['allocated_mib'][-1, i]:.0f}" for i, name in enumerate(run.names)
    )
    return (
        f"Stacked areas of the memory of {len(run.names)} VMs over {run.seconds} s on a host of "
        f"{run.scenario.host.mib:.0f} MiB, with what is free and, above, what balloons took; "
        f"states below. {run.explain()} "
        f"{'Events: ' + events + '. ' if events else ''}At the end, in MiB: {last}."
    )
