"""The pause of a live migration, predicted: each way to move over time, and what clients wait.

A row is a way. To the left its time: rounds while the server runs, alternately darker; the pause in
black, as in all chapters; what follows on the target, dotted. To the right the pause alone, on a
scale of powers of ten, for beside the rest it would be too thin to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.migration.live.predict import PausePrediction, predict_pause
from virtlab.plots import style
from virtlab.plots.grips import knob, tile
from virtlab.plots.hot_migration import NAMES
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate

__all__ = ["WAYS", "draw_prediction"]

WAYS = ("stop", "precopy", "deck")
_SHADES = (VMS[0].colour, "#5BA7D6")
_LOW_MS, _HIGH_MS = 1.0, 200_000.0


@dataclass(frozen=True)
class _Part:
    """A stretch of a migration."""

    kind: str  # runs, paused, follows
    start_s: float
    long_s: float
    round: int = 0


def _parts(predicted: PausePrediction) -> list[_Part]:
    """Cut a migration into its stretches."""
    traffic, at, parts = predicted.traffic, 0.0, []
    running = predicted.rounds if predicted.algorithm == "deck" else predicted.rounds[:-1]
    for number, pages in enumerate(running):
        parts.append(_Part("runs", at, traffic.seconds(pages), number))
        at += traffic.seconds(pages)
    parts.append(_Part("paused", at, predicted.pause_ms / 1000))
    if predicted.left_pages:
        at += predicted.pause_ms / 1000
        parts.append(_Part("follows", at, traffic.seconds(predicted.left_pages)))
    return parts


def draw_prediction(predicted: PausePrediction, figure: Plate | None = None) -> Plate:
    """Draw what is predicted for each way to move, and point out the one that is asked for.

    Parameters
    ----------
    predicted
        From `predict_pause`; the other ways are predicted for the same traffic.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure. Its rows can be pressed, and the stop rule dragged.

    Examples
    --------
    >>> from virtlab.migration.live.predict import Traffic
    >>> print(draw_prediction(predict_pause(Traffic())).alt)
    A row for each way to move: its rounds over time, and the pause on a scale of powers of ten. \
Stop and copy: 0 rounds while the server runs, a pause of 433 ms. Pre-copy: 2 rounds while the \
server runs, a pause of 11 ms. The talk's steps: 1 round while the server runs, a pause of 4 ms, \
591 pages follow. Pointed out: pre-copy.
    """
    every = {way: predict_pause(predicted.traffic, way) for way in WAYS}
    every[predicted.algorithm] = predicted

    def draw(plate: Plate) -> None:
        times, pauses = _axes(plate)
        for row, (way, one) in enumerate(every.items()):
            _time_row(times, one, -row)
            _pause_row(pauses, one, -row, chosen=way == predicted.algorithm)
        _finish_axes(plate, times, pauses, every)
        _names(plate, times, pauses, predicted.algorithm)
        _stop_rule(pauses, predicted.traffic.downtime_limit_ms, narrow=plate.narrow)
        for axes in (times, pauses):
            low, high = axes.get_xlim()
            for row, way in enumerate(WAYS):
                words = f"{NAMES[way]}: choose it"
                tile(axes, "way", words, (low, -row - 0.45), (high - low, 0.9), row)
        style.finish(times, _title(predicted), _alt(every, predicted.algorithm), slide="S46")

    return style.draw_on(figure, draw)


def _axes(plate: Plate) -> tuple[Axes, Axes]:
    """Make two charts: beside one another, or one above the other on a phone."""
    if plate.narrow:
        plate.margins(left=16, right=16, top=136, bottom=58)
        times, pauses = plate.subplots(2, 1, gridspec_kw={"hspace": 0.55})
    else:
        plate.margins(left=176, right=24, top=92, bottom=64)
        times, pauses = plate.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2], "wspace": 0.12})
    return times, pauses


def _time_row(axes: Axes, predicted: PausePrediction, y: float) -> None:
    looks: dict[str, dict[str, Any]] = {
        "paused": {"color": HARDWARE.colour},
        "follows": {"facecolor": PAGES["shared"].colour, "hatch": "..", "edgecolor": "white"},
    }
    for part in _parts(predicted):
        look = looks.get(part.kind) or {"color": _SHADES[part.round % 2]}
        axes.barh(y, part.long_s, 0.46, left=part.start_s, lw=0, **look)


def _pause_row(axes: Axes, predicted: PausePrediction, y: float, *, chosen: bool) -> None:
    """Draw the pause as a bar from 1 ms on, with its length in words."""
    ms = predicted.pause_ms
    end = np.log10(np.clip(ms, _LOW_MS, _HIGH_MS))
    axes.barh(y, end, 0.46, color=HARDWARE.colour if chosen else "#8C8C8C", lw=0)
    words = f"{ms:,.0f} ms" if ms < 9999.5 else f"{ms / 1000:,.1f} s"
    inside = end > 0.7 * np.log10(_HIGH_MS)
    axes.annotate(
        words, (end, y), xytext=(-6 if inside else 6, 0), textcoords="offset points", va="center",
        ha="right" if inside else "left", color="white" if inside else "black",
        weight="bold" if chosen else "normal",
    )  # fmt: skip


def _finish_axes(
    plate: Plate, times: Axes, pauses: Axes, every: dict[str, PausePrediction]
) -> None:
    """Set limits, ticks and the key."""
    end = max(part.start_s + part.long_s for one in every.values() for part in _parts(one))
    times.set_xlim(0, 1.02 * end)
    times.set_xlabel("seconds since the migration began")
    pauses.set_xlim(0, np.log10(_HIGH_MS))
    ticks = ["1 ms", "10", "100", "1 s", "10", "100 s"]
    pauses.set_xticks(range(len(ticks)), ticks)
    pauses.set_xlabel("the clients wait (powers of ten)")
    pauses.grid(visible=True, axis="x")
    for axes in (times, pauses):
        axes.set_ylim(-len(WAYS) + 0.45, 0.62)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    _key(plate)


def _names(plate: Plate, times: Axes, pauses: Axes, chosen: str) -> None:
    """Name the rows, the chosen one in bold: before them, or above each on a phone."""
    for row, way in enumerate(WAYS):
        look: dict[str, Any] = {"weight": "bold" if way == chosen else "normal"}
        words = f"▶ {NAMES[way]}" if way == chosen else NAMES[way]
        if not plate.narrow:
            where: dict[str, Any] = {
                "xytext": (-10, 0),
                "textcoords": "offset points",
                "annotation_clip": False,
            }
            times.annotate(words, (0, -row), ha="right", va="center", **where, **look)
            continue
        for axes in (times, pauses):
            axes.text(axes.get_xlim()[0], -row + 0.25, words, va="bottom", **look)


def _key(plate: Plate) -> None:
    """Say what the colours mean, in a line under the title."""
    from matplotlib.patches import Patch

    entries = [
        Patch(facecolor=_SHADES[0], label="rounds, the server runs"),
        Patch(facecolor=HARDWARE.colour, label="stands still"),
        Patch(facecolor=PAGES["shared"].colour, hatch="..", edgecolor="white",
              label="pages follow"),
    ]  # fmt: skip
    height = plate.get_figheight() * 100
    plate.legend(
        handles=entries, loc="upper left", ncols=2 if plate.narrow else 3, columnspacing=1.4,
        bbox_to_anchor=(8 / plate.width_px, 1 - (62 if plate.narrow else 46) / height),
        handlelength=1.2, borderaxespad=0,
    )  # fmt: skip


def _stop_rule(axes: Axes, limit_ms: float, *, narrow: bool) -> None:
    """Draw pre-copy's stop rule across its row; it can be dragged."""
    x, y = float(np.log10(limit_ms)), -float(WAYS.index("precopy"))
    foot = axes.get_ylim()[0] if narrow else y - 0.4
    axes.plot([x, x], [foot, y + 0.3], color=HOST.colour, lw=1.8, ls=(0, (4, 2)), zorder=4)
    look: dict[str, Any] = {"color": HOST.colour, "annotation_clip": False}
    if narrow:  # to the right of the row's name: under the bar there is the next one's
        axes.annotate("dashed: stop rule", (axes.get_xlim()[1], y + 0.25), ha="right", **look)
    else:
        look |= {"xytext": (12, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(f"stop rule {limit_ms:g} ms", (x, foot), **look)
    knob(axes, "rule", "the stop rule", (x, foot), "x", x, control="limit")


def _title(predicted: PausePrediction) -> str:
    return (
        f"{NAMES[predicted.algorithm]}: the clients will wait {predicted.pause_ms:,.0f} ms"
    ).capitalize()


def _alt(every: dict[str, PausePrediction], chosen: str) -> str:
    def told(one: PausePrediction) -> str:
        running = sum(part.kind == "runs" for part in _parts(one))
        rounds = f"{running} round{'' if running == 1 else 's'}"
        follow = f", {one.left_pages:.0f} pages follow" if one.left_pages else ""
        return (
            f"{NAMES[one.algorithm].capitalize()}: {rounds} while the server runs, a pause of "
            f"{one.pause_ms:.0f} ms{follow}."
        )

    return (
        "A row for each way to move: its rounds over time, and the pause on a scale of powers of "
        f"ten. {' '.join(told(one) for one in every.values())} Pointed out: {NAMES[chosen]}."
    )
