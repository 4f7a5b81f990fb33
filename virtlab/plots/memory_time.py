"""Figures of a host's memory over time (S23-S26): who has how much, events, and the states.

What the host has is one stack: the host itself, the VMs, and what is free, up to the line. What
was taken from VMs, in balloons and in the host's swap, stands above it: so the whole is what was
configured. Where sharing saves memory, the VMs have more than there is, and the stack is higher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from virtlab.memory.states import State
from virtlab.plots import style
from virtlab.plots.ballooning import LIGHTS, MOST, stand
from virtlab.plots.palette import HARDWARE, HOST, PAGES, Mark, vm_mark
from virtlab.validate import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from virtlab.memory.host.run import MemoryRun
    from virtlab.plots.style import Plate

    Floats = NDArray[np.float64]

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
    states = run.of_host["state"].astype(np.int64)
    starts = np.flatnonzero(np.append(True, np.diff(states) != 0))
    ends = np.append(starts[1:], states.size)
    least = run.seconds / 400  # a second must be seen
    for start, end in zip(starts, ends, strict=True):
        state = State(int(states[start]))
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
            bottom=104 if plate.narrow else 44,
        )
        bars, past = plate.subplots(
            2, 1, height_ratios=[1.5, 1] if plate.narrow else [2.4, 1], gridspec_kw={"hspace": 0.3}
        )
        _past(past, run, at)
        stand(bars, run, at, plate)
        plate.alt += " Below, the memory of each VM over time, and the states, up to this second."

    return style.draw_on(figure, draw)


def _past(axes: Axes, run: MemoryRun, at: int) -> None:
    """Draw the memory of each VM up to a second, and under it the states as a band."""
    seconds = np.arange(at + 1)
    top = 1.08 * max(vm.guest.size_mib for vm in run.scenario.vms)
    band = 0.2 * top
    for i in range(len(run.names)):
        memory = np.where(
            run.of_vm["on"][: at + 1, i] > 0, run.of_vm["allocated_mib"][: at + 1, i], np.nan
        )
        axes.plot(seconds[::5], memory[::5], color=vm_mark(i).colour, lw=2)
    states = run.of_host["state"][: at + 1].astype(np.int64)
    starts = np.flatnonzero(np.append(True, np.diff(states) != 0))
    for start, end in zip(starts, np.append(starts[1:], at + 1), strict=True):
        mark = LIGHTS[State(int(states[start]))]
        wide = max(end - start, run.scenario.seconds / 250)  # a second must be seen
        look: dict[str, Any] = {
            "facecolor": mark.colour,
            "hatch": mark.hatch,
            "edgecolor": "white",
            "lw": 0,
        }
        axes.add_patch(Rectangle((float(start), -0.9 * band), float(wide), band * 0.8, **look))
    for second, _ in run.log:
        if 0 < second <= at:
            axes.axvline(second, color=HARDWARE.colour, lw=1.2, ls=":")
    axes.axvline(at, color=HARDWARE.colour, lw=1.5)
    axes.set(xlim=(0, run.scenario.seconds), ylim=(-band, top))
    half = round(max(vm.guest.size_mib for vm in run.scenario.vms))
    axes.set_yticks([-band / 2, half], ["state", f"{half}"])
    ends = np.linspace(0, run.scenario.seconds, 5)
    axes.set_xticks(ends, [f"{end:.0f}{' s' if end == ends[-1] else ''}" for end in ends])


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
