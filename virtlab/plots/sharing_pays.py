"""The figure of what sharing spares VMs: memory taken from them, with it and without (S26, S27)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.plots import style
from virtlab.plots.palette import HOST, PAGES
from virtlab.plots.sharing import SHARED_INK

if TYPE_CHECKING:
    from virtlab.memory.experiments.sharing_pays import SharingPays
    from virtlab.plots.style import Plate

__all__ = ["draw_sharing_pays"]


def draw_sharing_pays(result: SharingPays, figure: Plate | None = None) -> Plate:
    """Draw what balloons and swap have taken over time, in both runs, and what sharing saves.

    Parameters
    ----------
    result
        The two runs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.experiments.sharing_pays import sharing_pays
    >>> draw_sharing_pays(sharing_pays(seconds=90)).alt[:40]
    'Line chart: memory taken from five VMs o'
    """

    def draw(plate: Plate) -> None:
        plate.margins(left=66 if plate.narrow else 90, right=24, bottom=66, top=100)
        axes = plate.subplots()
        minutes = np.arange(result.on.seconds) / 60
        ink = PAGES["swapped"].colour
        axes.plot(minutes, result.taken_mib(result.off), color=ink, ls="--")
        axes.plot(minutes, result.taken_mib(result.on), color=ink)
        axes.plot(minutes, result.on.of_host["saved_mib"], color=PAGES["shared"].colour)
        last = float(minutes[-1])
        for y, words, colour, up in (
            (float(result.taken_mib(result.off)[-1]), "- -  taken, without sharing", ink, 8),
            (float(result.taken_mib(result.on)[-1]), "──  taken, with sharing", ink, -18),
            (float(result.on.of_host["saved_mib"][-1]), "──  saved by sharing", SHARED_INK, 8),
        ):
            axes.annotate(
                words,
                (last, y),
                xytext=(-4, up),
                textcoords="offset points",
                ha="right",
                color=colour,
                fontsize=10.1 if plate.narrow else 10.8,
            )
        axes.axhline(0, color=HOST.colour, lw=0.6)
        axes.set(xlabel="minutes", ylabel="MiB of five VMs", xlim=(0, last), ylim=(0, 640))
        told = result.summary()
        title = (
            f"Sharing saves {told['saved_mib']:.0f} MiB, so {told['taken_on_mib']:.0f} are taken "
            f"from the VMs and not {told['taken_off_mib']:.0f}"
        )
        alt = (
            f"Line chart: memory taken from five VMs over {last:.0f} minutes, with and without "
            f"sharing, and what sharing saves. {result.explain()}"
        )
        style.finish(axes, title, alt, slide="S27")

    return style.draw_on(figure, draw)
