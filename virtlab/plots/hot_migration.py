"""Figures of a live migration: what each client waited, over time, and the pauses beside the model.

A dot is a payment: when it was answered, and after how long. Those that the source answered are
discs, those of the target squares. Grey bands are rounds while the server runs; the pause is
black, as in the chapter before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.plots import style
from virtlab.plots.look import DPI
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from virtlab.migration.live.outcome import HotMigration
    from virtlab.plots.style import Plate

__all__ = ["NAMES", "draw_hot_migration", "draw_moment", "draw_pauses"]

NAMES = {
    "precopy": "pre-copy",
    "stop": "stop and copy",
    "deck": "the talk's steps",
    "postcopy": "post-copy",
}
_SOURCE, _TARGET = VMS[0], VMS[1]
_LOWEST_MS, _HIGHEST_MS = 0.1, 2000.0
_TICKS = [0.1, 1.0, 10.0, 100.0, 1000.0]


def draw_hot_migration(runs: Sequence[HotMigration], figure: Plate | None = None) -> Plate:
    """Draw what clients waited in runs of different ways, one above the other.

    Parameters
    ----------
    runs
        One to four.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Raises
    ------
    InvalidInputError
        If there is no run, or there are more than four.

    Examples
    --------
    >>> from virtlab.migration.live.stored import stored
    >>> draw_hot_migration([stored("precopy"), stored("stop")]).alt[:53]
    'Two charts over time, one above the other: dots are p'
    """
    if not 1 <= len(runs) <= len(NAMES):
        raise InvalidInputError("runs", len(runs), "one to four runs")

    def draw(plate: Plate) -> None:
        top = 168 if plate.narrow else 112
        plate.margins(left=58 if plate.narrow else 72, right=14, top=top, bottom=60)
        rows = plate.subplots(
            len(runs), 1, sharex=True, sharey=True, squeeze=False, gridspec_kw={"hspace": 0.3}
        )[:, 0]
        start, end = _span(runs)
        for axes, run in zip(rows, runs, strict=True):
            _row(axes, run, end, narrow=plate.narrow)
            axes.set_xlim(start, end)
        rows[0].annotate(
            "answered after, ms", (0, 1), xytext=(-40, 6),
            xycoords="axes fraction", textcoords="offset points", annotation_clip=False,
        )  # fmt: skip
        rows[-1].set_xlabel("seconds since the migration began")
        _key(plate, follow=any(run.left_pages for run in runs))
        style.finish(rows[0], _title(runs), _alt(runs), slide="S46")

    return style.draw_on(figure, draw)


def _key(plate: Plate, *, follow: bool) -> None:
    """Say under the title what dots and bands are."""
    entries: list[Artist] = [
        Line2D([], [], ls="none", marker=mark.marker, ms=7, color=mark.colour, label=words)
        for mark, words in ((_SOURCE, "the source answers"), (_TARGET, "the target answers"))
    ]
    entries += [
        Patch(facecolor="#DADADA", label="copies, the server runs"),
        Patch(facecolor=HARDWARE.colour, label="stands still"),
    ]
    if follow:
        look: dict[str, Any] = {
            "facecolor": "#D9ECF8",
            "edgecolor": PAGES["shared"].colour,
            "hatch": "..",
        }
        entries.append(Patch(lw=0, label="pages follow", **look))
    height = plate.get_figheight() * DPI
    place = (8 / plate.width_px, 1 - (62 if plate.narrow else 44) / height)
    plate.legend(
        handles=entries, loc="upper left", ncols=2 if plate.narrow else 5, borderaxespad=0,
        bbox_to_anchor=place, columnspacing=1.2, handlelength=1.2, handletextpad=0.5,
        labelspacing=0.25,
    )  # fmt: skip


def _span(runs: Sequence[HotMigration]) -> tuple[float, float]:
    """Return the part of time that shows all migrations, s after each one's beginning."""
    return -0.15, max(run.total_s - run.begin_s for run in runs) + 0.25


def _row(axes: Axes, run: HotMigration, end: float, *, narrow: bool) -> None:
    zero = run.begin_s
    _bands(axes, run, zero)
    _dots(axes, run, zero, end)
    start, stop = run.pause_s
    axes.axvspan(start - zero, stop - zero, color=HARDWARE.colour, lw=0, zorder=0.5)
    _scale(axes, [0.1, 10.0, 1000.0] if narrow else _TICKS)
    name = NAMES[run.algorithm]
    words = (
        f"{name}: {_pause_ms(run):.0f} ms" if narrow else f"{name}: pause {_pause_ms(run):.0f} ms"
    )
    axes.text(
        1, 1.03, words, transform=axes.transAxes, ha="right", va="bottom", weight="bold",
        fontsize=10.8,
    )  # fmt: skip


def _scale(axes: Axes, ticks: list[float]) -> None:
    """Label an axis of logarithms; a scale of matplotlib's own takes it four times as long."""
    axes.set_ylim(np.log10(_LOWEST_MS), np.log10(_HIGHEST_MS))
    axes.set_yticks(np.log10(ticks), [f"{tick:g}" for tick in ticks])


def _bands(axes: Axes, run: HotMigration, zero: float) -> None:
    """Shade the rounds while the server runs, and the time in which pages follow."""
    for one in run.rounds.to_dict("records"):
        if not one["paused"]:
            shade = "#E4E4E4" if one["round"] % 2 == 0 else "#D2D2D2"
            axes.axvspan(one["start_s"] - zero, one["end_s"] - zero, color=shade, lw=0, zorder=0)
    if run.left_pages:
        serving, done = run.when("target", "serving"), run.when("target", "last page here")
        axes.axvspan(
            serving - zero, done - zero, facecolor="#D9ECF8", edgecolor=PAGES["shared"].colour,
            hatch="..", lw=0, zorder=0,
        )  # fmt: skip


def _dots(axes: Axes, run: HotMigration, zero: float, end: float) -> None:
    """Draw a dot for each payment; each part in one go."""
    answered = run.payments.answered_s - zero
    latency = np.log10(np.clip(run.payments.latency_ms, _LOWEST_MS, _HIGHEST_MS))
    moved = run.when("target", "serving") - zero
    for mark, size, chosen in (
        (_SOURCE, 3.2, (answered < moved) & (answered <= end)),
        (_TARGET, 3.6, (answered >= moved) & (answered <= end)),
    ):
        axes.plot(
            answered[chosen], latency[chosen], linestyle="none", marker=mark.marker,
            markersize=size, color=mark.colour, markeredgewidth=0, alpha=0.8,
        )  # fmt: skip


def _pause_ms(run: HotMigration) -> float:
    start, end = run.pause_s
    return 1000 * (end - start)


def _title(runs: Sequence[HotMigration]) -> str:
    if len(runs) == 1:
        name = NAMES[runs[0].algorithm].capitalize()
        return f"{name}: the clients wait {_pause_ms(runs[0]):.0f} ms, once"
    longest = max(runs, key=_pause_ms)
    shortest = min(runs, key=_pause_ms)
    return (
        f"{NAMES[longest.algorithm]}: {_pause_ms(longest):.0f} ms of silence; "
        f"{NAMES[shortest.algorithm]}: {_pause_ms(shortest):.0f} ms"
    ).capitalize()


def _alt(runs: Sequence[HotMigration]) -> str:
    count = {1: "A chart", 2: "Two charts", 3: "Three charts", 4: "Four charts"}[len(runs)]
    above = "" if len(runs) == 1 else ", one above the other"
    said = " ".join(
        f"{NAMES[run.algorithm].capitalize()}: {len(run.rounds)} rounds, a pause of "
        f"{_pause_ms(run):.0f} ms, {run.left_pages} pages after it; "
        f"{np.nanmedian(run.payments.latency_ms):.1f} ms in the median."
        for run in runs
    )
    return (
        f"{count} over time{above}: dots are payments, by when they were answered and after how "
        "many ms, those of the source blue discs, those of the target red squares; rounds are grey "
        f"bands, the pause is black. {said}"
    )


def draw_pauses(repeats: pd.DataFrame, figure: Plate | None = None) -> Plate:
    """Draw the pauses of many runs beside what the model predicts for each.

    Parameters
    ----------
    repeats
        From `virtlab.migration.live.stored.repeats`.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.migration.live.stored import repeats
    >>> draw_pauses(repeats()).alt[:40]
    'Pauses of 28 measured runs on a scale of'
    """

    def draw(plate: Plate) -> None:
        plate.margins(left=128 if plate.narrow else 170, right=26, top=112 if plate.narrow else 84)
        axes = plate.subplots()
        for place, name in enumerate(NAMES):
            some = repeats[repeats["algorithm"] == name]
            y = -place + np.linspace(0.24, -0.24, len(some))
            axes.plot(some["pause_ms"], y, "o", color=_SOURCE.colour, ms=7, alpha=0.9)
            axes.vlines(
                some["predicted_pause_ms"], y - 0.05, y + 0.05, color=_TARGET.colour, lw=3.5
            )
        axes.set_xscale("log")
        axes.set_xlim(1, 2000)
        axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
        axes.grid(visible=True, axis="x")
        axes.set_yticks([-i for i in range(len(NAMES))], [*NAMES.values()])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-len(NAMES) + 0.4, 0.75)
        axes.set_xlabel("pause (ms)")
        key: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom", "weight": "bold"}
        seen = "● seen" if plate.narrow else "● seen by clients"
        axes.text(0, 0.985, seen, color=_SOURCE.colour, ha="left", **key)
        axes.text(1, 0.985, "▮ predicted", color=_TARGET.colour, ha="right", **key)
        style.finish(axes, _pauses_title(repeats), _pauses_alt(repeats), slide="S46")

    return style.draw_on(figure, draw)


def _medians(repeats: pd.DataFrame, column: str) -> dict[str, float]:
    median = repeats.groupby("algorithm")[column].median()
    return {name: float(median[name]) for name in NAMES if name in median}


def _pauses_title(repeats: pd.DataFrame) -> str:
    seen = _medians(repeats, "pause_ms")
    return (
        f"Pre-copy makes the pause {seen['stop'] / seen['precopy']:.0f} times shorter than stop "
        "and copy"
    )


def _pauses_alt(repeats: pd.DataFrame) -> str:
    seen, said = _medians(repeats, "pause_ms"), _medians(repeats, "predicted_pause_ms")
    words = "; ".join(
        f"{NAMES[name]} {seen[name]:.0f} ms, predicted {said[name]:.0f}" for name in seen
    )
    return (
        f"Pauses of {len(repeats)} measured runs on a scale of powers of ten, a dot a run, with "
        f"the predicted pause as a bar. Medians: {words}."
    )


def draw_moment(run: HotMigration, at_s: float, figure: Plate | None = None) -> Plate:
    """Draw a run up to a moment.

    Parameters
    ----------
    run
        A run.
    at_s
        The moment, s since the source was connected to the target.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.migration.live.stored import stored
    >>> draw_moment(stored("precopy"), 0.2).alt[-43:]
    'What came after 0.20 s is not drawn so far.'
    """

    def draw(plate: Plate) -> None:
        plate.margins(left=74 if plate.narrow else 92, right=20, top=150 if plate.narrow else 84)
        axes = plate.subplots()
        zero = run.begin_s
        start, end = _span([run])
        _bands(axes, run, zero)
        _dots(axes, run, zero, min(at_s, end))
        axes.axvspan(at_s, end, color="white", zorder=1)
        pause = [time - zero for time in run.pause_s]
        if at_s > pause[0]:
            axes.axvspan(pause[0], min(pause[1], at_s), color=HARDWARE.colour, lw=0, zorder=0.5)
        axes.axvline(at_s, color=HOST.colour, lw=1.5)
        _scale(axes, _TICKS)
        axes.set_xlim(start, end)
        axes.set(xlabel="seconds since the migration began", ylabel="answered after (ms)")
        _key(plate, follow=bool(run.left_pages))
        alt = f"{_alt([run])} What came after {at_s:.2f} s is not drawn so far."
        style.finish(axes, _title([run]), alt, slide="S46")

    return style.draw_on(figure, draw)
