"""Figures of lottery against stride (S21): how far each strays, and published runs among ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.plots import style
from virtlab.plots.palette import HOST, vm_mark
from virtlab.resources.cpu.lottery import PUBLISHED_RATIOS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu.lottery import Chance

__all__ = ["draw_chance", "draw_published_ratios"]

_DRAWN = 12  # lotteries, each a thin line


def draw_chance(result: Chance, figure: Plate | None = None) -> Plate:
    """Draw how far the larger client is from its part over time: stride, lotteries, the law.

    Parameters
    ----------
    result
        What `virtlab.resources.cpu.lottery.chance` returned.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources.cpu.lottery import chance
    >>> draw_chance(chance(2, 20, runs=4)).alt[:61]
    'Lines over 20 s: distance from the part of a client with 2 : '
    """

    def draw(plate: Plate) -> None:
        axes = plate.subplots()
        plate.margins(
            left=70 if plate.narrow else 90, right=20 if plate.narrow else 130,
            top=112 if plate.narrow else 92,
        )  # fmt: skip
        times, law = result.times_s, result.law
        lottery, stride = vm_mark(1), vm_mark(0)
        for run in result.lottery[:_DRAWN]:
            axes.plot(times, run, color=lottery.colour, lw=1, alpha=0.6)
        for sign in (-1, 1):
            axes.plot(times, sign * 2 * law, "--", color=HOST.colour, lw=1.8)
        axes.plot(times, result.stride, color=stride.colour, lw=3.5)
        at = (1.01, 0.92, 0.5, 0.08) if not plate.narrow else (0.03, 0.93, 0.56, 0.05)
        top = 1.25 * max(float(2 * law[-1]), float(np.abs(result.lottery[:_DRAWN]).max()))
        axes.set(xlim=(0, times[-1]), ylim=(-top, top), xlabel="seconds")
        axes.set_ylabel("quanta ahead of its part")
        words = ((at[1], "lotteries", "#A34500"), (at[2], "stride", stride.colour),
                 (at[3], "2 deviations", HOST.colour))  # fmt: skip
        for y, text, colour in words:
            axes.text(
                at[0], y, text, transform=axes.transAxes, color=colour, va="center", weight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85},
            )  # fmt: skip
        told = result.summary()
        span = f"{told['seconds']:g}\N{NO-BREAK SPACE}s"
        title = (
            f"Stride stays within {told['stride_off_quanta']:.2g} quanta of its part; a lottery "
            f"strays by {told['lottery_deviation_quanta']:.2g} in {span}"
        )
        style.finish(axes, title, _alt(result), "S21")

    return style.draw_on(figure, draw)


def _alt(result: Chance) -> str:
    return (
        f"Lines over {result.times_s[-1]:g} s: distance from the part of a client with "
        f"{result.shares:g} : 1 shares, in quanta. {result.explain()}"
    )


def draw_published_ratios(ours: Sequence[Chance], figure: Plate | None = None) -> Plate:
    """Draw what published lotteries gave, as points, among our own, as bars from low to high.

    Parameters
    ----------
    ours
        A `Chance` for each of `PUBLISHED_RATIOS`, of the same shares and length.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources.cpu.lottery import chance
    >>> ours = [chance(run.shares, run.seconds, runs=3) for run in PUBLISHED_RATIOS]
    >>> draw_published_ratios(ours).alt[:60]
    'Published lotteries among ours. 20 : 1 for 180 s: published '
    """

    def draw(plate: Plate) -> None:
        axes = plate.subplots()
        if plate.narrow:
            plate.margins(left=80, right=20, top=112)
        else:
            plate.margins(left=150, right=40, top=92)
        rows = list(zip(PUBLISHED_RATIOS, ours, strict=True))
        for row, (published, mine) in enumerate(rows):
            _row(axes, row, published.observed / published.shares, mine.ratios / mine.shares)
        names = [f"{published.shares:g} : 1\n{published.seconds:g} s" for published, _ in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.axvline(1, color=HOST.colour, lw=1)
        axes.set(ylim=(len(rows) - 0.5, -0.6), xlabel=_ratio_label(plate))
        worst = max(abs(published.z) for published in PUBLISHED_RATIOS)
        title = (
            f"What the paper's lotteries gave (diamonds) is chance: at most {worst:.1f} standard "
            "deviations off"
        )
        style.finish(axes, title, _alt_published(rows), "S21")

    return style.draw_on(figure, draw)


def _ratio_label(plate: Plate) -> str:
    return (
        "given / shares (bar: 90 % of ours)"
        if plate.narrow
        else ("ratio given / ratio of shares (bar: 90 % of ours, line: all)")
    )


def _row(axes: Axes, row: int, published: float, ours: np.ndarray) -> None:
    low, middle, high = np.percentile(ours, [5, 50, 95])
    axes.plot([ours.min(), ours.max()], [row, row], color=vm_mark(0).colour, lw=2)
    axes.plot([low, high], [row, row], color=vm_mark(0).colour, lw=9, solid_capstyle="butt")
    axes.plot(middle, row, "|", color="white", ms=14, mew=2)
    axes.plot(published, row, "D", color=vm_mark(1).colour, mec="white", ms=11, zorder=4)


def _alt_published(rows: Sequence[tuple[object, Chance]]) -> str:
    parts = []
    for published, (_, mine) in zip(PUBLISHED_RATIOS, rows, strict=True):
        parts.append(
            f"{published.shares:g} : 1 for {published.seconds:g} s: published "
            f"{published.observed:g} : 1, {published.z:+.2f} deviations; {len(mine.ratios)} of "
            f"ours from {mine.ratios.min():.4g} to {mine.ratios.max():.4g} : 1."
        )
    return f"Published lotteries among ours. {' '.join(parts)}"
