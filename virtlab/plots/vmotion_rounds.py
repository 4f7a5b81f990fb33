"""What each round of a migration sends, and what gets dirty meanwhile (S42).

Blue is what goes over the wire, vermilion with a hatch what is dirty, grey with a hatch the pause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from virtlab.migration.link import MIB
from virtlab.migration.vm import PAGE_BYTES
from virtlab.plots import style
from virtlab.plots.palette import HOST, PAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from virtlab.migration.vmotion import MigrationRun
    from virtlab.plots.style import Plate

__all__ = ["draw_rounds"]

_SENT, _DIRTY, _FETCHED = PAGES["used"], PAGES["dirty"], PAGES["fetched"]
_DIRTY_INK = "#A84700"  # the colour of dirty pages, dark enough to be read as text on white
_PAGES_A_MIB = MIB // PAGE_BYTES


def draw_rounds(run: MigrationRun, figure: Plate | None = None) -> Plate:
    """Draw what each round sent, and what got dirty meanwhile.

    Parameters
    ----------
    run
        What came of a migration.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.migration.algorithms import Clark
    >>> from virtlab.migration.vmotion import migrate
    >>> from virtlab.migration.workloads import RoundRobin
    >>> draw_rounds(migrate(workload=RoundRobin(8192, 1000), algorithm=Clark())).alt
    'Bars of 6 rounds of pre-copy (Clark), MiB sent, and dirty at the end: 484.0, 32.0; 27.5, 9.0; \
9.0, 2.8; 2.8, 1.1; 1.1, 0.0; 1.0, 0.0.'
    """
    frame = run.rounds
    sent = frame["sent_bytes"].to_numpy() / MIB
    dirty = frame["dirty_pages"].to_numpy() / _PAGES_A_MIB

    def draw(figure: Plate) -> None:
        figure.margins(left=84 if figure.narrow else 100, top=116 if figure.narrow else 92)
        axes = figure.subplots()
        at = np.arange(1, len(frame) + 1)
        phases = frame["phase"].to_numpy()
        bars = axes.bar(at - 0.2, np.maximum(sent, 1e-3), 0.4, color=_SENT.colour)
        for bar, phase in zip(bars, phases, strict=True):
            if phase == "paused":
                bar.set(facecolor="#DDDDDD", edgecolor=HOST.colour, hatch="///", lw=1)
            if phase == "fetching":
                bar.set(facecolor=_FETCHED.colour, hatch="..", edgecolor="white", lw=0)
        axes.bar(at + 0.2, dirty, 0.4, fc=_DIRTY.colour, ec="white", hatch="//", lw=0)
        axes.set_yscale("log")
        low = min(float(x) for x in (*sent, *dirty) if x > 0)
        axes.set_ylim(max(low / 2, 1e-3), float(sent.max()) * 3)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="round", ylabel="MiB")
        _rounds_key(axes, set(phases), narrow=figure.narrow)
        style.finish(
            axes, _rounds_title(run), _rounds_alt(run, sent.tolist(), dirty.tolist()), slide="S42"
        )

    return style.draw_on(figure, draw)


def _rounds_key(axes: Axes, phases: set[str], *, narrow: bool) -> None:
    """Name the bars in one line above the axes."""
    words = [("■ sent", _SENT.colour), ("▨ dirty at its end", _DIRTY_INK)]
    if "paused" in phases:
        words.append(("▨ sent while paused", HOST.colour))
    if "fetching" in phases:
        words.append(("■ fetched later", _FETCHED.colour))
    for number, (word, colour) in enumerate(words):
        at, line = (number * 0.25, 0) if not narrow else (number % 2 * 0.57, number // 2)
        axes.annotate(
            word,
            (at, 1.0),
            xytext=(0, 6 + 16 * line),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            color=colour,
        )


def _rounds_title(run: MigrationRun) -> str:
    running = int((run.rounds["phase"] == "running").sum())
    if run.algorithm.startswith("pre-copy") and running > 1:
        how = "until little is left" if run.converged else "and much is left all the same"
        return f"{running} rounds, {how}"
    return f"{run.sent_mib:,.0f} MiB go over the wire ({run.algorithm})"


def _rounds_alt(run: MigrationRun, sent: Sequence[float], dirty: Sequence[float]) -> str:
    rounds = "; ".join(f"{s:.1f}, {d:.1f}" for s, d in zip(sent, dirty, strict=True))
    return (
        f"Bars of {len(sent)} rounds of {run.algorithm}, MiB sent, and dirty at the end: {rounds}."
    )
