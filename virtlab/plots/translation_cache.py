"""Figures of the translation cache (S18): what is where at a moment, and how it filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.machine.translation.cache_moment import STATES
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS, Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.machine.translation.cache_moment import CacheLog, CacheMoment
    from virtlab.plots.style import Plate

__all__ = ["MARKS", "draw_cache", "rows_of", "said"]

MARKS = {
    "not yet": Mark("#FFFFFF", "", "", "", "not yet translated"),
    "there": Mark(PAGES["cold"].colour, "", "", "", "there"),
    "running": Mark(VMS[0].colour, "", "", "▸", "running"),
    "new": Mark(PAGES["hint"].colour, "", "///", "+", "new"),
    "evicted": Mark(PAGES["free"].colour, "", "\\\\\\", "–", "evicted"),
    "invalidated": Mark(VMS[1].colour, "", "xxx", "×", "invalidated"),
}
_SAID = {"itself": "A program that changes itself", "kernel": "A small kernel that boots"}
_GAP = 1.0  # instructions between two units of a row


def said(program: str) -> str:
    """Return how a title names a program.

    Parameters
    ----------
    program
        As in `virtlab.machine.translation.cache_log.PROGRAMS`.

    Returns
    -------
    str
        A few words.

    Examples
    --------
    >>> said("kernel"), said("isprime")
    ('A small kernel that boots', 'isprime')
    """
    return _SAID.get(program, program)


def rows_of(log: CacheLog) -> list[tuple[str, list[int]]]:
    """Return the units by page, in the order of their addresses.

    Parameters
    ----------
    log
        A recorded run.

    Returns
    -------
    list
        A row for each page: its name, and the numbers of its units.

    Examples
    --------
    >>> from virtlab.machine.translation.cache_moment import CacheLog, UnitSeen
    >>> places = 0x2000, 0x1008, 0x1000
    >>> units = [UnitSeen(at, at >> 12, ("NOP",), 1, direct=True) for at in places]
    >>> rows_of(CacheLog("none", "oldest", 4, tuple(units), (), 0))
    [('page 0x1000', [2, 1]), ('page 0x2000', [0])]
    """
    rows: dict[int, list[int]] = {}
    for number in sorted(range(len(log.units)), key=lambda k: (log.units[k].address, k)):
        rows.setdefault(log.units[number].address >> 12, []).append(number)
    return [(f"page {page << 12:#x}", units) for page, units in rows.items()]


def draw_cache(moment: CacheMoment, figure: Plate | None = None) -> Plate:
    """Draw the units by address as they are at a moment, and how full the cache was up to there.

    Parameters
    ----------
    moment
        Of a recorded run.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.translation.cache_moment import CacheLog, Event, UnitSeen
    >>> units = (UnitSeen(0x1000, 1, ("NOP",) * 5, 5, direct=True),)
    >>> events = (Event(0, "translate", 0), Event(0, "enter", 0), Event(5, "invalidate", 0))
    >>> log = CacheLog("one", "oldest", 4, units, events, 5)
    >>> draw_cache(log.at(1)).alt[:75]
    'Blocks by address, translation units of one: 0 there, 0 running, 1 new, 0 e'
    """

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        if narrow:
            figure.margins(left=54, right=26, top=98, bottom=60)
        else:
            figure.margins(left=84, right=40, top=64, bottom=60)
        upper, lower = figure.subplots(2, 1, height_ratios=(3, 2))
        figure.subplots_adjust(hspace=0.62 if narrow else 0.5)
        _map(upper, moment, narrow=narrow)
        _fill(lower, moment, narrow=narrow)
        style.finish(upper, _title(moment), _alt(moment), slide="S18")

    return style.draw_on(figure, draw)


def _map(axes: Axes, moment: CacheMoment, *, narrow: bool) -> None:
    """Draw a line of blocks for each row that fits, as broad as they have instructions."""
    log = moment.log
    units = [unit for _, row in rows_of(log) for unit in row]
    sizes = np.array([len(log.units[unit].code) + _GAP for unit in units], float)
    lines = max(2, round(np.sqrt(sizes.sum() / (9 if narrow else 22)))) if units else 2
    wide = sizes.sum() / lines + 13
    x, y, shown = 0.0, 0, set()
    for unit, size in zip(units, sizes, strict=True):
        if x + size > wide:
            x, y = 0.0, y + 1
        state = STATES[int(moment.states[unit])]
        mark = MARKS[state]
        edge: dict[str, Any] = {"edgecolor": HARDWARE.colour, "lw": 0.7}
        if state == "not yet":
            edge = {"edgecolor": "#8C8C8C", "lw": 0.7, "ls": ":"}
        axes.bar(x, 0.74, width=size - _GAP, bottom=y, align="edge", color=mark.colour,
                 hatch=mark.hatch, **edge)  # fmt: skip
        shown.add(state)
        x += size
    axes.set(xlim=(0, wide), ylim=(y + 0.95, -0.25), xticks=[], yticks=[])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    _key(axes, narrow=narrow)


def _key(axes: Axes, *, narrow: bool) -> None:
    """Say below the map what each kind of block is."""
    names = [name for name in STATES if name != "not yet"]
    columns = 3 if narrow else 5
    for number, name in enumerate(names):
        mark = MARKS[name]
        spot = (number % columns / columns, -0.1 - 0.17 * (number // columns))
        box = axes.bar(0, 0, color=mark.colour, hatch=mark.hatch, edgecolor=HARDWARE.colour, lw=0.7)
        patch = box[0]
        patch.set_transform(axes.transAxes)
        wide = 0.045 if narrow else 0.02
        patch.set_bounds(spot[0], spot[1] - 0.045, wide, 0.09)
        patch.set_clip_on(False)
        axes.annotate(
            mark.label, (spot[0] + wide * 1.35, spot[1]), xycoords="axes fraction", va="center"
        )


def _fill(axes: Axes, moment: CacheMoment, *, narrow: bool) -> None:
    """Draw how many units the cache held after each frame, and when pages were forgotten."""
    log = moment.log
    moments = [log.at(frame) for frame in range(moment.frame + 1)]
    at = [one.events[-1].at if one.events else 0 for one in moments]
    held = [len(one.held) for one in moments]
    end = max(1, log.instructions)
    axes.step([*at, at[-1]], [*held, held[-1]], where="post", color=VMS[0].colour)
    axes.axhline(log.limit, color=HOST.colour, lw=1.2, ls=(0, (4, 3)))
    axes.annotate(
        f"limit {log.limit}", (0.995, log.limit), xycoords=("axes fraction", "data"),
        ha="right", va="bottom", color=HOST.colour,
    )  # fmt: skip
    for kind, marker, state in (("invalidate", "X", "invalidated"), ("evict", "v", "evicted")):
        hits = [k for k, one in enumerate(moments) if any(e.kind == kind for e in one.events)]
        colour = MARKS[state].colour if kind == "invalidate" else HOST.colour
        axes.plot([at[k] for k in hits], [held[k] for k in hits], marker, color=colour, ms=7)
    axes.set(xlim=(0, end), ylim=(0, 1.3 * log.limit))
    axes.locator_params(axis="x", nbins=4 if narrow else 7)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("instructions" if narrow else "instructions of the guest")
    axes.set_ylabel("units" if narrow else "units in the cache")


def _title(moment: CacheMoment) -> str:
    name, counts = said(moment.log.program), moment.counts
    if counts["invalidate"]:
        return f"{name}: {counts['invalidate']} units lost to writes on code"
    if counts["evict"]:
        return f"{name}: {counts['evict']} units had to leave a full cache"
    return f"{name}: {counts['translate']} units translated, entered {moment.entries:,} times"


def _alt(moment: CacheMoment) -> str:
    count = np.bincount(moment.states, minlength=len(STATES))
    kinds = ", ".join(f"{count[k]} {STATES[k]}" for k in (1, 2, 3, 4, 5, 0))
    now = moment.summary()
    return (
        f"Blocks by address, translation units of {moment.log.program}: {kinds}. Below, a line: "
        f"units in the cache over {now['instructions']:,} instructions, now {now['units']} of "
        f"{now['limit']}; {now['translations']} translated, {now['entries']:,} entered, "
        f"{now['evictions']} evicted, {now['invalidations']} invalidated."
    )
