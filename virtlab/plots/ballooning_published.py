"""Figures of the published experiments on memory (W02 figures 2, 7, 8) and of balloon against swap.

Theirs are points, ours are lines, on the same axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.experiments.idle_tax import FIGURE_7
from virtlab.memory.experiments.overcommit import FIGURE_8
from virtlab.plots import style
from virtlab.plots.memory_time import state_strip
from virtlab.plots.palette import HARDWARE, HOST, PAGES, vm_mark
from virtlab.plots.sharing import SHARED_INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.memory.experiments.balloon_cost import BalloonCost
    from virtlab.memory.experiments.contest import Contest
    from virtlab.memory.experiments.idle_tax import IdleTax
    from virtlab.memory.experiments.overcommit import Overcommit
    from virtlab.plots.style import Plate

__all__ = [
    "BALLOON_INK",
    "draw_balloon_cost",
    "draw_contest",
    "draw_idle_tax",
    "draw_overcommit",
]

BALLOON_INK = "#6B5F00"
"""The balloon's yellow, dark enough to be read on white."""
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85}

_SMOOTH_S = 20


def draw_balloon_cost(result: BalloonCost, figure: Plate | None = None) -> Plate:
    """Draw figure 2: throughput of a guest configured so, and ballooned so; the cost below.

    Parameters
    ----------
    result
        Published and ours.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.experiments.balloon_cost import balloon_cost
    >>> draw_balloon_cost(balloon_cost(seeds=1)).alt[:60]
    'Line chart with published points: throughput of a file serve'
    """

    def draw(plate: Plate) -> None:
        plate.margins(
            left=66 if plate.narrow else 90, right=20 if plate.narrow else 150, bottom=66, top=96
        )
        axes, cost = plate.subplots(2, 1, sharex=True, height_ratios=[3, 1.6])
        frame = result.to_frame()
        size = frame["size_mb"]
        for what, ink, marker, below in (
            ("configured", HARDWARE.colour, "o", False),
            ("ballooned", BALLOON_INK, "s", True),
        ):
            axes.plot(size, frame[f"{what}_mb_s"], color=ink, ls="--" if below else "-")
            theirs = frame[f"published_{what}_mb_s"]
            axes.plot(size, theirs, marker, mfc="white", mec=ink, mew=1.8, lw=0)
            words = "configured so" if not below else "ballooned from 256 MB"
            place = 1 if below else 2
            axes.annotate(
                words,
                (float(size.iloc[place]), float(frame[f"{what}_mb_s"].iloc[place])),
                xytext=(10 if below else -8, -16 if below else 10),
                textcoords="offset points",
                ha="left" if below else "right",
                color=ink,
            )
        cost.plot(size, frame["overhead_percent"], color=BALLOON_INK, ls="--")
        cost.plot(
            size, frame["published_overhead_percent"], "s", mfc="white", mec=BALLOON_INK, mew=1.8
        )
        axes.set(ylabel="MB/s", ylim=(10, 19))
        cost.set(ylabel="cost, %", ylim=(0, 5.5), xlabel="memory left to the guest, MB")
        cost.set_xticks(size.tolist())
        _points_key(axes, plate)
        plate.align_ylabels()
        told = result.summary()
        title = (
            f"The largest balloon costs {told['largest_overhead_percent']:.1f} %, the smallest "
            "less than the paper measured"
        )
        style.finish(axes, title, _cost_alt(result), slide="S28")

    return style.draw_on(figure, draw)


def _points_key(axes: Axes, plate: Plate) -> None:
    """Say that points are the paper's."""
    axes.annotate(
        "points: the paper; lines: ours",
        (1, 0.03),
        xycoords="axes fraction",
        ha="right",
        color=HOST.colour,
        fontsize=10.1 if plate.narrow else 10.8,
    )


def _cost_alt(result: BalloonCost) -> str:
    frame = result.to_frame().iloc[:-1]
    rows = [
        f"{row['size_mb']:.0f} MB: {row['configured_mb_s']:.1f} against "
        f"{row['ballooned_mb_s']:.1f} MB/s, {row['overhead_percent']:.1f} % (published "
        f"{row['published_overhead_percent']:.1f} %)"
        for _, row in frame.iterrows()
    ]
    return (
        "Line chart with published points: throughput of a file server in guests configured with "
        f"128 to 256 MB, and ballooned down to it. {'; '.join(rows)}."
    )


def draw_idle_tax(result: IdleTax, figure: Plate | None = None) -> Plate:
    """Draw figure 7: memory of both VMs before and after the tax, and VM2's throughput.

    Parameters
    ----------
    result
        The run.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.experiments.idle_tax import idle_tax
    >>> draw_idle_tax(idle_tax(120, 60)).alt[:44]
    'Line chart with published levels as points: '
    """

    def draw(plate: Plate) -> None:
        plate.margins(
            left=66 if plate.narrow else 90, right=20 if plate.narrow else 130, bottom=66, top=104
        )
        axes, speed = plate.subplots(2, 1, sharex=True, height_ratios=[3, 1.3])
        run, minutes = result.run, np.arange(result.run.seconds) / 60
        changed = result.changed_s / 60
        for i, name in enumerate(run.names):
            ink = vm_mark(i)
            axes.plot(minutes, run.vm(name, "allocated_mib"), color=ink.colour)
            places = [changed / 2, (changed + minutes[-1]) / 2]
            theirs = FIGURE_7[name]
            axes.plot(places, theirs, ink.marker, mfc="white", mec=ink.colour, mew=2, lw=0, ms=9)
            after = result.mib(name)[1]
            words = f"{name}, {'idle' if i == 0 else 'busy'}"
            _end(axes, plate, after, f"{words}\n{after:.0f} ({theirs[1]:.0f})", ink.colour)
        kernel = np.ones(_SMOOTH_S) / _SMOOTH_S
        rate = np.convolve(run.vm("VM2", "operations") / 256, kernel, mode="same")
        speed.plot(minutes[30:-_SMOOTH_S], rate[30:-_SMOOTH_S], color=vm_mark(1).colour)
        for each in (axes, speed):
            each.axvline(changed, color=HARDWARE.colour, ls=":", lw=1.2)
        _tax_words(axes, result, plate)
        axes.set(ylabel="memory, MiB", ylim=(0, 290), xlim=(0, minutes[-1]))
        speed.set(ylabel="MiB/s", ylim=(0, None), xlabel="minutes; VM2's throughput below")
        _points_key(axes, plate)
        plate.align_ylabels()
        title = f"The tax moves memory to who uses it: +{result.gain_percent:.0f} % throughput"
        style.finish(axes, title, _tax_alt(result), slide="S24")

    return style.draw_on(figure, draw)


def _tax_words(axes: Axes, result: IdleTax, plate: Plate) -> None:
    """Name the change, and the one level before it."""
    changed = result.changed_s / 60
    axes.annotate(
        f"tax {result.run.scenario.events[0].tax_rate:.0%} ".replace("%", " %"),
        (changed, 0.14),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
    )
    both = result.mib("VM1")[0]
    axes.annotate(
        f"both {both:.0f} ({FIGURE_7['VM1'][0]:.0f})",
        (changed / 2, both),
        xytext=(0, 10),
        textcoords="offset points",
        ha="center",
        fontsize=10.1 if plate.narrow else 10.8,
    )


def _end(axes: Axes, plate: Plate, y: float, words: str, ink: str) -> None:
    """Write beside the end of a line, or above it on a phone."""
    axes.annotate(
        words.replace("\n", " ") if plate.narrow else words,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 6) if plate.narrow else (8, 0),
        textcoords="offset points",
        ha="right" if plate.narrow else "left",
        va="bottom" if plate.narrow else "center",
        color=ink,
        annotation_clip=False,
        fontsize=10.1 if plate.narrow else 10.8,
        bbox=_PAPER if plate.narrow else None,  # on a phone it stands on lines
    )


def _tax_alt(result: IdleTax) -> str:
    rows = [
        f"{name} {result.mib(name)[0]:.0f} MiB before (published {theirs[0]:.0f}), "
        f"{result.mib(name)[1]:.0f} after ({theirs[1]:.0f})"
        for name, theirs in FIGURE_7.items()
    ]
    return (
        "Line chart with published levels as points: memory of an idle and a busy VM over "
        f"{result.run.seconds / 60:.0f} minutes; the tax rate changes after "
        f"{result.changed_s / 60:.0f}. {'; '.join(rows)}. Throughput of VM2 rises by "
        f"{result.gain_percent:.0f} % (published: over 30 %)."
    )


def draw_overcommit(result: Overcommit, figure: Plate | None = None) -> Plate:
    """Draw figure 8: what all VMs have and what sharing saves, the database, and the states.

    Parameters
    ----------
    result
        The run.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.experiments.overcommit import overcommit
    >>> draw_overcommit(overcommit(query_s=300, seconds=90)).alt[:42]
    'Line charts with published points: five VM'
    """

    def draw(plate: Plate) -> None:
        plate.margins(
            left=66 if plate.narrow else 90, right=20 if plate.narrow else 150, bottom=66, top=96
        )
        if plate.narrow:
            plate.margins(left=78, right=20, bottom=66, top=96)
        axes, database, strip = plate.subplots(3, 1, sharex=True, height_ratios=[3, 2, 1.5])
        run, minutes = result.run, np.arange(result.run.seconds) / 60
        total, saved = run.of_vm["allocated_mib"].sum(axis=1), run.of_host["saved_mib"]
        axes.plot(minutes, total, color=HARDWARE.colour)
        axes.plot(minutes, saved, color=PAGES["shared"].colour)
        axes.axhline(run.scenario.host.mib, color=HARDWARE.colour, lw=1.5, ls=(0, (5, 2)))
        peak, most = float(np.argmax(total)) / 60, float(np.argmax(saved[:600])) / 60
        hollow = {"mfc": "white", "mew": 2.0, "ms": 9.0, "lw": 0}
        axes.plot([peak], [FIGURE_8["peak_allocated_mb"]], "o", mec=HARDWARE.colour, **hollow)
        axes.plot([most], [FIGURE_8["zero_shared_mb"]], "s", mec=SHARED_INK, **hollow)
        below = 260.0 if plate.narrow else 0.0  # clear of the host's line
        _end(axes, plate, float(total[-1]) - below, "all VMs have", HARDWARE.colour)
        _end(axes, plate, float(saved[-1]), "sharing saves", SHARED_INK)
        _database(database, result, plate)
        state_strip(strip, run, unit_s=60)
        axes.set(ylabel="MiB", ylim=(0, 1300), xlim=(0, minutes[-1]))
        strip.set_xlabel("minutes; points: the paper")
        strip.tick_params(axis="y", labelsize=10.1)
        plate.align_ylabels()
        low = result.summary()["database_minimum_mib"]
        title = f"1472 MiB of VMs on 1024: an idle database falls to {low:.0f} MiB, its minimum"
        style.finish(axes, title, _overcommit_alt(result), slide="S24-S28")

    return style.draw_on(figure, draw)


def _database(axes: Axes, result: Overcommit, plate: Plate) -> None:
    """Draw the database's memory, its estimate of use and its minimum."""
    run, minutes = result.run, np.arange(result.run.seconds) / 60
    mark = vm_mark(run.names.index("SQL"))
    ink = vm_mark(0).colour
    axes.plot(minutes, run.vm("SQL", "allocated_mib"), color=ink)
    axes.plot(minutes, run.vm("SQL", "active_mib"), color=mark.colour, lw=1.5, ls="--")
    low = FIGURE_8["database_minimum_mb"]
    axes.axhline(low, color=HARDWARE.colour, lw=1, ls=":")
    axes.set(ylabel="SQL, MiB", ylim=(0, 345))
    _end(axes, plate, low, "has (min 160)", ink)
    _end(axes, plate, float(run.vm("SQL", "active_mib")[-1]), "active, estimated", ink)


def _overcommit_alt(result: Overcommit) -> str:
    return f"Line charts with published points: five VMs over time. {result.explain()}"


def draw_contest(result: Contest, figure: Plate | None = None) -> Plate:
    """Draw the throughput that each way of reclaiming leaves, and what the VM waited for.

    Parameters
    ----------
    result
        The four runs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.experiments.contest import contest
    >>> draw_contest(contest(seconds=40)).alt[:46]
    'Bar chart of the throughput that is left, of 1'
    """

    def draw(plate: Plate) -> None:
        top = 128 if plate.narrow else 96
        plate.margins(left=80 if plate.narrow else 110, right=24, bottom=66, top=top)
        axes, faults = plate.subplots(1, 2, sharey=True, width_ratios=[1.2, 1])
        frame = result.to_frame()
        enough = float(frame["operations_s"].iloc[0])
        places = np.arange(len(frame))[::-1]
        percent = 100 * frame["operations_s"] / enough
        colours = [HOST.colour, PAGES["ballooned"].colour, PAGES["swapped"].colour, "#8C8C8C"]
        axes.barh(places, percent, 0.6, color=colours, ec=HARDWARE.colour)
        for y, value in zip(places, percent, strict=True):
            axes.annotate(
                f"{value:.0f} %", (value, y), xytext=(6, 0), textcoords="offset points", va="center"
            )
        left = np.zeros(len(frame))
        shares = [
            ("guest's disk", frame["guest_faults_s"], "#F0E442", ""),
            ("host's swap", frame["host_faults_s"] - frame["double_paging_s"], "#333333", "//"),
            ("to evict", frame["double_paging_s"], "#D55E00", "xx"),
        ]
        for name, amount, colour, hatch in shares:
            faults.barh(
                places, amount, 0.6, left=left, color=colour, hatch=hatch, ec="white", label=name
            )
            left = left + amount.to_numpy()
        axes.set_yticks(places, frame["way"])
        axes.set(xlabel="throughput, %", xlim=(0, 160 if plate.narrow else 128))
        faults.set_xlabel("pages/s" if plate.narrow else "pages fetched a second")
        place = ("lower right", (1.06, 0.97)) if plate.narrow else ("upper right", (1.0, 1.0))
        size = 10.1 if plate.narrow else 10.5
        faults.legend(loc=place[0], bbox_to_anchor=place[1], fontsize=size, handlelength=1.2)
        told = result.summary()
        title = (
            f"Host swap loses {told['swap_loses_times']:.1f} times what the balloon loses, "
            f"both {told['both_loses_times']:.1f}"
        )
        style.finish(axes, title, _contest_alt(result), slide="S28")

    return style.draw_on(figure, draw)


def _contest_alt(result: Contest) -> str:
    return f"Bar chart of the throughput that is left, of 100 %, by four ways. {result.explain()}"
