"""The figure of reclaim: a real kernel's choice of pages, ours, and chance (S28).

What was measured in the kernel is points, what the models say is lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.memory.reclaim_measured import BINS
from virtlab.memory.victims import PAGES as ALL
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.memory.reclaim_measured import Reclaim
    from virtlab.plots.style import Plate

__all__ = ["draw_reclaim"]

_INK = "#6B5F00"  # the balloon's yellow, dark enough to be read on white
_LINES = {
    "guest": (_INK, "-"),
    "random": (PAGES["swapped"].colour, "--"),
    "opt": (HOST.colour, ":"),
}


def draw_reclaim(result: Reclaim, figure: Plate | None = None) -> Plate:
    """Draw miss ratios against memory, and which pages were in memory at the last step.

    Parameters
    ----------
    result
        Measured and ours.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.reclaim_measured import reclaim
    >>> draw_reclaim(reclaim()).alt[:47]
    'Line chart with measured points, and a chart of'
    """

    def draw(plate: Plate) -> None:
        plate.margins(left=70 if plate.narrow else 90, right=20, bottom=66, top=110)
        if plate.narrow:
            axes, ranks = plate.subplots(2, 1, height_ratios=[3, 2])
            plate.subplots_adjust(hspace=0.5)
        else:
            axes, ranks = plate.subplots(1, 2, width_ratios=[1.5, 1])
            plate.subplots_adjust(wspace=0.3)
        _misses(axes, result, plate)
        _ranks(ranks, result, plate)
        low, high = float(result.factor.min()), float(result.factor.max())
        title = (
            f"Random pages cost {low:.1f} to {high:.1f} times the kernel's misses; our guest is "
            f"off by {result.off:.1f} points"
        )
        style.finish(axes, title, _alt(result), slide="S28")

    return style.draw_on(figure, draw)


def _misses(axes: Axes, result: Reclaim, plate: Plate) -> None:
    percent = 100 * result.pages / ALL
    for name, (ink, dash) in _LINES.items():
        axes.plot(percent, 100 * result.ours[name], color=ink, ls=dash)
    hollow: dict[str, Any] = {"mfc": "white", "mew": 1.8, "lw": 0}
    axes.plot(percent, 100 * result.kernel, "o", mec=_INK, **hollow)
    axes.plot(percent, 100 * result.at_random, "s", mec=PAGES["swapped"].colour, **hollow)
    axes.set(
        xlabel="pages in memory, %",
        ylabel="operations that miss, %",
        xlim=(102, 38),
        ylim=(0, None),
    )
    words = [
        ("- -  random (squares: measured)", PAGES["swapped"].colour),
        ("──  our guest (circles: the kernel)", _INK),
        ("· ·  the best there can be", HOST.colour),
    ]
    _key(axes, plate, words, right=False)


def _key(axes: Axes, plate: Plate, words: list[tuple[str, str]], *, right: bool) -> None:
    """Say in the free corner what the lines are."""
    for i, (text, ink) in enumerate(words):
        axes.annotate(
            text,
            (0.99 if right else 0.03, 0.97 - i * (0.13 if plate.narrow else 0.075)),
            xycoords="axes fraction",
            ha="right" if right else "left",
            va="top",
            color=ink,
            fontsize=10.1 if plate.narrow else 10.8,
        )


def _ranks(axes: Axes, result: Reclaim, plate: Plate) -> None:
    """Draw which part of the pages was in memory, the most used on the left."""
    used = (np.arange(BINS) + 0.5) * 100 / BINS
    kernel, at_random = 100 * result.by_rank
    axes.step(used, kernel, where="mid", color=_INK)
    axes.step(used, at_random, where="mid", color=PAGES["swapped"].colour, ls="--")
    words = [("──  the kernel keeps", _INK), ("- -  random keeps", PAGES["swapped"].colour)]
    _key(axes, plate, words, right=True)
    axes.set(
        xlabel="pages, the most used first, %",
        ylabel="in memory, %",
        xlim=(0, 100),
        ylim=(0, 150 if plate.narrow else 125),
        yticks=[0, 50, 100],
    )
    axes.axhline(100, color=HARDWARE.colour, lw=0.6, ls=":")


def _alt(result: Reclaim) -> str:
    rows = [
        f"{100 * pages / ALL:.0f} % in memory: kernel {100 * kernel:.1f} %, random "
        f"{100 * chance:.1f} %, our guest {100 * guest:.1f} %"
        for pages, kernel, chance, guest in zip(
            result.pages, result.kernel, result.at_random, result.ours["guest"], strict=True
        )
    ]
    return (
        "Line chart with measured points, and a chart of which pages stayed: operations that "
        f"miss on '{result.load}', by the pages in memory. {'; '.join(rows)}. {result.explain()}"
    )
