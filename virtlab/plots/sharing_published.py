"""Figures of page sharing (S27): the measured and published beside ours, and the talk's claim.

Sharing has the colour of shared pages, near black is what is given back, and the grey band is what
the talk says: 10 to 20 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES
from virtlab.plots.sharing import SHARED_INK, talk_band

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from virtlab.memory.claim import Claim
    from virtlab.memory.ksm.replay import KsmReplay
    from virtlab.memory.published import IdenticalVms
    from virtlab.plots.style import Plate

__all__ = ["draw_claim", "draw_identical", "draw_ksm"]

_SHARED, _GIVEN_BACK = PAGES["shared"], HARDWARE


def draw_identical(result: IdenticalVms, figure: Plate | None = None) -> Plate:
    """Draw figure 4 of the paper: its points, our line, and the error below.

    Parameters
    ----------
    result
        Published and ours for 1 to 10 VMs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.published import identical_vms
    >>> draw_identical(identical_vms()).alt[:51]
    'Line chart with published points: identical VMs, 1 '
    """

    def draw(figure: Plate) -> None:
        figure.margins(
            left=64 if figure.narrow else 90,
            right=20 if figure.narrow else 170,
            bottom=66,
            top=112 if figure.narrow else 62,
        )
        axes, errors = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        frame = result.to_frame()
        talk_band(axes, label="" if figure.narrow else "the talk: 10–20 %")
        for what, mark, ink, name in (
            ("shared", _SHARED, SHARED_INK, "shared"),
            ("reclaimed", _GIVEN_BACK, HARDWARE.colour, "given back"),
        ):
            marker = "o" if what == "shared" else "s"
            axes.plot(frame["vms"], frame[f"our_{what}_percent"], color=mark.colour)
            axes.plot(frame["vms"], frame[f"{what}_percent"], marker, mfc="white", mec=ink, mew=1.8)
            errors.plot(frame["vms"], frame[f"{what}_error"], marker, color=ink, ms=6, lw=0)
            _end_label(axes, figure, frame, what, ink, name)
        used = frame.loc[frame["calibrated"], "vms"].max()
        for each in (axes, errors):
            each.axvline(used + 0.5, color=HOST.colour, lw=1, ls=":")
        axes.annotate("calibrated ", (used + 0.5, 3), ha="right", color=HOST.colour)
        axes.annotate(" predicted", (used + 0.5, 3), ha="left", color=HOST.colour)
        axes.set(ylim=(0, 75), ylabel="percent of memory")
        errors.axhline(0, color=HOST.colour, lw=1)
        worst = result.summary()["largest_predicted_error_points"]
        words = "error" if figure.narrow else "error where predicted: at most"
        sign = "≤ " if figure.narrow else ""
        errors.set(ylim=(-1.5, 1.5), ylabel="error")
        errors.set(xlabel=f"identical VMs; {words} {sign}{worst:.1f} points")
        errors.set_xticks(range(1, 11))
        figure.align_ylabels()
        style.finish(axes, _identical_title(result), _identical_alt(result), slide="S27")

    return style.draw_on(figure, draw)


def _end_label(
    axes: Axes, figure: Plate, frame: pd.DataFrame, what: str, ink: str, name: str
) -> None:
    """Name a line at its end, with ours and the published value."""
    last = frame.iloc[-1]
    ours, theirs = last[f"our_{what}_percent"], last[f"{what}_percent"]
    up = what == "shared"
    if figure.narrow:
        axes.annotate(
            f"{name} {ours:.1f} %",
            (10, ours),
            xytext=(0, 8 if up else -30),
            textcoords="offset points",
            ha="right",
            color=ink,
        )
        return
    axes.annotate(
        f"{name}\n{ours:.1f} %, paper {theirs:.1f}",
        (10, ours),
        xytext=(10, 4 if up else -4),
        textcoords="offset points",
        va="bottom" if up else "top",
        color=ink,
        annotation_clip=False,
    )


def _identical_title(result: IdenticalVms) -> str:
    given_back = result.summary()["reclaimed_percent"]
    return f"Ten equal VMs give back {given_back:.1f} %: lines ours, points the paper"


def _identical_alt(result: IdenticalVms) -> str:
    rows = "; ".join(
        f"n = {row['vms']}: shared {row['our_shared_percent']:.1f} (published "
        f"{row['shared_percent']:.1f}), given back {row['our_reclaimed_percent']:.1f} "
        f"({row['reclaimed_percent']:.1f})"
        for _, row in result.to_frame().iloc[[0, 1, 4, 9]].iterrows()
    )
    worst = result.summary()["largest_predicted_error_points"]
    return (
        "Line chart with published points: identical VMs, 1 to 10, against percent of memory. "
        f"{rows}. Below, the error in points: at most {worst:.1f} where predicted."
    )


def draw_claim(claim: Claim, figure: Plate | None = None) -> Plate:
    """Draw the talk's 10 to 20 % as a band behind everything that was measured.

    Parameters
    ----------
    claim
        A row for each workload.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.claim import check_claim
    >>> draw_claim(check_claim()).alt[:8]
    'Dot plot'
    """

    def draw(figure: Plate) -> None:
        figure.margins(
            left=132 if figure.narrow else 270,
            right=24,
            top=140 if figure.narrow else 92,
            bottom=62,
        )
        axes = figure.subplots()
        frame = claim.to_frame()
        rows = np.arange(len(frame))[::-1]
        talk_band(axes, vertical=True)
        low = np.fmin(frame["random_percent"], frame["private_percent"])
        high = np.fmax(frame["random_percent"], frame["fixed_percent"])
        axes.hlines(rows, low, high, color="#B5B5B5", lw=1.2, zorder=1)
        published = (frame["source"] == "published").to_numpy()
        for where, marker, fill in ((published, "D", HARDWARE.colour), (~published, "o", None)):
            axes.plot(
                frame["random_percent"][where],
                rows[where],
                marker,
                lw=0,
                color=fill or _SHARED.colour,
                mec=HARDWARE.colour,
                ms=9,
            )
        axes.plot(frame["fixed_percent"], rows, "s", mfc="white", mec=SHARED_INK, mew=1.8, lw=0)
        axes.plot(frame["private_percent"], rows, "x", color=PAGES["dirty"].colour, mew=2, ms=7)
        _claim_labels(axes, figure, frame, rows)
        axes.set(xlim=(0, 78), xlabel="saved, percent of memory", ylim=(-0.7, len(frame) - 0.3))
        style.finish(axes, _claim_title(claim), _claim_alt(claim), slide="S27")

    return style.draw_on(figure, draw)


def _claim_labels(axes: Axes, figure: Plate, frame: pd.DataFrame, rows: NDArray[np.int64]) -> None:
    """Name the rows beside them, or above them on a phone, and the signs above all."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    for row, workload in zip(rows, frame["workload"], strict=True):
        axes.annotate(
            _short(workload) if figure.narrow else workload,
            (0, row),
            xycoords=("axes fraction", "data"),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            va="center",
        )
    handles = [
        axes.plot([], [], "D", color=HARDWARE.colour, label="published")[0],
        axes.plot([], [], "o", color=_SHARED.colour, mec=HARDWARE.colour, label="random addresses")[
            0
        ],
        axes.plot([], [], "s", mfc="white", mec=SHARED_INK, mew=1.8, label="fixed addresses")[0],
        axes.plot([], [], "x", color=PAGES["dirty"].colour, mew=2, label="private pages only")[0],
        axes.fill_between([], [], color=HOST.colour, alpha=0.16, lw=0, label="the talk"),
    ]
    axes.legend(
        handles=handles,
        ncols=2 if figure.narrow else 5,
        loc="lower center",
        bbox_to_anchor=(0.22 if figure.narrow else 0.33, 1.0),
        borderaxespad=0.2,
        columnspacing=1.0,
        handletextpad=0.3,
        handlelength=1.2,
    )


def _short(workload: str) -> str:
    """Return a workload's name for a phone."""
    name = workload.partition(":")[0].replace(" Linux VMs", "")
    for long, short in (
        (" copies of ", " × "),
        (" copies each of ", " × "),
        (" copy each of ", " × "),
    ):
        name = name.replace(long, short)
    return name


def _claim_title(claim: Claim) -> str:
    told = claim.summary()
    return (
        f"{told['inside']} of {told['workloads']} workloads save the talk's "
        f"{told['claimed_from_percent']:.0f} to {told['claimed_to_percent']:.0f} %"
    )


def _claim_alt(claim: Claim) -> str:
    rows = ", ".join(
        f"{row['workload']} {row['random_percent']:.1f}" for _, row in claim.to_frame().iterrows()
    )
    return f"Dot plot of percent saved by workload, with the talk's band. {claim.explain()} {rows}."


def draw_ksm(replay: KsmReplay, figure: Plate | None = None) -> Plate:
    """Draw pages that the kernel's KSM shares over time as points, the model as a line.

    Parameters
    ----------
    replay
        The kernel's counts and ours.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.ksm.replay import replay_ksm
    >>> draw_ksm(replay_ksm()).alt[:10]
    'Line chart'
    """

    def draw(figure: Plate) -> None:
        axes = figure.subplots()
        frame, told = replay.to_frame(), replay.summary()
        shown = frame.iloc[::4]
        axes.plot(frame["time_s"], frame["our_pages"] / 1000, color=_SHARED.colour)
        axes.plot(
            shown["time_s"],
            shown["kernel_pages"] / 1000,
            "o",
            mfc="none",
            mec=HARDWARE.colour,
            ms=6,
        )
        passes = replay.pages / float(told["pages_per_s"])
        for turn in (1, 2):
            axes.axvline(turn * passes, color=HOST.colour, lw=1, ls=":")
            axes.annotate(
                f"scan {turn}",
                ((turn - 0.5) * passes, 1.1 * frame["our_pages"].max() / 1000),
                ha="center",
                color=HOST.colour,
            )
        end = frame.iloc[-1]
        axes.annotate(
            "line: model\npoints: kernel",
            (end["time_s"], end["our_pages"] / 1000),
            xytext=(0, -12),
            textcoords="offset points",
            ha="right",
            va="top",
            color=SHARED_INK,
        )
        axes.set(xlim=(0, end["time_s"] * 1.02), ylim=(0, 1.2 * frame["our_pages"].max() / 1000))
        axes.set(xlabel="seconds", ylabel="pages that share a frame, thousands")
        title = f"Model and kernel agree at {told['equal_moments']} of {told['moments']} moments"
        alt = f"Line chart of shared pages against time, with points. {replay.explain()}"
        style.finish(axes, title, alt, slide="S27")

    return style.draw_on(figure, draw)
