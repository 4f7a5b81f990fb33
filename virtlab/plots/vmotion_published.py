"""Published migrations beside ours: theirs as points, ours as a line or bars, the error said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from virtlab.migration.published import HINES
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.migration.published import Hines, Replayed
    from virtlab.plots.style import Plate

__all__ = ["draw_clark", "draw_hines"]

_OURS = PAGES["used"]
_POST, _PRE = VMS[2], VMS[0]


def draw_clark(result: Replayed, figure: Plate | None = None) -> Plate:
    """Draw what each round of a published pre-copy sent: its points, our line.

    Parameters
    ----------
    result
        Theirs and ours.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.migration.published import replay
    >>> draw_clark(replay("mmuncher")).alt
    'Line chart with published points, MB sent in each round of MMuncher, theirs and ours: \
255.4 and 264.9, 44.0 and 27.5, 116.0 and 116.2, paused 222.5 and 216.6. Pause 3500 ms published, \
3471 ms ours; total 28 s and 28.8 s.'
    """
    frame = result.to_frame()
    said = result.summary()

    def draw(figure: Plate) -> None:
        figure.margins(left=84 if figure.narrow else 96, top=96 if figure.narrow else 78)
        axes = figure.subplots()
        at = np.arange(len(frame))
        axes.plot(at, frame["ours_mb"].interpolate(), color=_OURS.colour, lw=1, ls=":")
        axes.plot(at, frame["ours_mb"], color=_OURS.colour)
        ink = HARDWARE.colour
        axes.plot(at, frame["published_mb"], "o", mfc="white", mec=ink, mew=1.8, ms=9)
        axes.set(yscale="log", ylabel="sent, MB")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlim(-0.4, len(frame) - 0.6)
        axes.set_xticks(at, _names(len(frame) - 1, narrow=figure.narrow))
        axes.axvspan(len(frame) - 1.5, len(frame), fc="#EEEEEE", ec="none", zorder=0)
        axes.set_xlabel("round")
        _clark_words(axes, result, narrow=figure.narrow)
        title = f"{said['downtime_ms']:.0f} ms of pause, published {said['published_downtime_ms']}"
        title = f"{title.removesuffix('.0')} ms: {result.published.title}"
        style.finish(axes, title, _clark_alt(result), slide="S42")

    return style.draw_on(figure, draw)


def _names(rounds: int, *, narrow: bool) -> list[str]:
    """Name the rounds; on a phone there is no room for each."""
    shown = [n for n in range(1, rounds + 1) if not narrow or (n % 2 and n < rounds)]
    return [*(str(n) if n in shown else "" for n in range(1, rounds + 1)), "pause"]


def _clark_words(axes: Axes, result: Replayed, *, narrow: bool) -> None:
    """Say which is which, and the two totals."""
    said = result.summary()
    off = 100 * (float(said["sent_mb"]) / float(said["published_sent_mb"]) - 1)
    late = 100 * (float(said["total_s"]) / float(said["published_total_s"]) - 1)
    error = f"sent {off:+.1f} %,{chr(10) if narrow else ' '}total time {late:+.1f} %"
    lines = (
        ("○ published", HARDWARE.colour),
        ("— ours, page by page", _OURS.colour),
        (error, HOST.colour),
    )
    for number, (words, colour) in enumerate(lines):
        axes.annotate(
            words,
            (0.27 if narrow else 0.42, 0.97 - number * (0.075 if narrow else 0.08)),
            xycoords="axes fraction",
            va="top",
            color=colour,
        )


def _clark_alt(result: Replayed) -> str:
    said = result.summary()
    rounds = [
        f"{'paused ' if name == 'paused' else ''}{_or_none(theirs)} and {_or_none(ours)}"
        for name, theirs, ours in result.to_frame().itertuples(index=False, name=None)
    ]
    return (
        f"Line chart with published points, MB sent in each round of {result.published.title}, "
        f"theirs and ours: {', '.join(rounds)}. Pause {said['published_downtime_ms']:.0f} ms "
        f"published, {said['downtime_ms']:.0f} ms ours; total {said['published_total_s']:.0f} s "
        f"and {said['total_s']:.1f} s."
    )


def _or_none(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.1f}"


def draw_hines(result: Hines, figure: Plate | None = None) -> Plate:
    """Draw pages sent and total time of post-copy and pre-copy: bars ours, points published.

    Parameters
    ----------
    result
        Theirs and ours.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.migration.published import replay_hines
    >>> draw_hines(replay_hines()).alt[:75]
    'Bars with published points, post-copy and pre-copy of four workloads: thous'
    """
    frame = result.to_frame()

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        figure.margins(left=56 if narrow else 70, right=14, top=132 if narrow else 104, bottom=74)
        shape = (2, 1) if narrow else (1, 2)
        panels = figure.subplots(*shape)
        figure.subplots_adjust(wspace=0.16, hspace=0.85)
        for axes, column, scale, title in (
            (panels[0], "pages", 1000, "pages sent, thousands"),
            (panels[1], "total_s", 1, "total time, s"),
        ):
            for k, (name, mark) in enumerate((("post-copy", _POST), ("pre-copy", _PRE))):
                mine = frame[frame["algorithm"] == name]
                at = np.arange(len(mine)) + (k - 0.5) * 0.4
                edge = "white" if mark.hatch else mark.colour
                values = mine[column].to_numpy() / scale
                axes.bar(at, values, 0.38, fc=mark.colour, ec=edge, hatch=mark.hatch, lw=0)
                theirs = mine[f"published_{column}"].to_numpy() / scale
                axes.plot(at, theirs, "o", mfc="white", mec=HARDWARE.colour, mew=1.8, ms=8)
            axes.set_title(title, loc="left")
            axes.set_ylim(0, 1.07 * frame[[column, f"published_{column}"]].to_numpy().max() / scale)
            short = ["SPEC-\nweb", "kernel\nbuild", "Bit-\nTorrent", "Net-\nPerf"]
            axes.set_xticks(range(len(HINES)), short)
        _hines_key(panels[0], narrow=narrow)
        title = "Post-copy sends each page once: fewer pages, and done sooner"
        style.finish(panels[0], title, _hines_alt(result), slide="S44")

    return style.draw_on(figure, draw)


def _hines_key(axes: Axes, *, narrow: bool) -> None:
    """Name the two colours and the points, above the first panel."""
    words = (
        ("▩ post-copy", _POST.colour),
        ("■ pre-copy", _PRE.colour),
        ("○ published", HARDWARE.colour),
    )
    for number, (word, colour) in enumerate(words):
        axes.annotate(
            word,
            (number * (0.34 if narrow else 0.36), 1.0),
            xytext=(0, 26),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            color=colour,
        )


def _hines_alt(result: Hines) -> str:
    rows = [
        f"{row['workload']} by {row['algorithm']} {row['published_pages'] / 1000:.0f} and "
        f"{row['pages'] / 1000:.0f}, {row['published_total_s']:.1f} and {row['total_s']:.1f}"
        for row in result.to_json()["rows"]
    ]
    return (
        "Bars with published points, post-copy and pre-copy of four workloads: thousands of pages, "
        f"published and ours, then seconds, published and ours. {'; '.join(rows)}."
    )
