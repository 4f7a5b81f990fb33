"""Figures of one program in several ways (S6, S7): a ladder of slowdowns, native at its foot.

The axis is logarithmic, a rung a factor of ten. A bar is the program that was chosen; the thin line
through its end spans all programs of the stored run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from virtlab.machine.ways import WAYS, all_stored
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS, Mark

if TYPE_CHECKING:
    from matplotlib.artist import Artist

    from virtlab.machine.comparison import Comparison
    from virtlab.plots.style import Plate

__all__ = ["draw_ladder"]

_END = 6.3  # the axis reaches 10^6
_TICKS = {0: "1", 1: "10", 2: "100", 3: "1,000", 4: "10,000", 5: "100,000", 6: "1 million"}
_NARROW_TICKS = {0: "1", 2: "100", 4: "10,000", 6: "1 million"}
# Who executes: the processor itself, or software in its place.
_OWN, _INSTEAD = VMS[0], Mark(PAGES["hint"].colour, "", "///", "", "software")


def draw_ladder(found: Comparison, figure: Plate | None = None) -> Plate:
    """Draw how much longer each way takes, and who executes the guest's instructions.

    Parameters
    ----------
    found
        A program in several ways, measured here or stored.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.ways import stored
    >>> draw_ladder(stored("sieve")).alt[:33]
    'Bars on a logarithmic axis, sieve'
    """
    return style.show_on(figure, _Ladder, found)


class _Ladder:
    """A row for each way there is, from native downwards."""

    def __init__(self, figure: Plate) -> None:
        self.figure, self.narrow = figure, figure.narrow
        if self.narrow:
            figure.margins(left=18, right=22, top=72, bottom=62)
        else:
            figure.margins(left=24, right=40, top=64, bottom=64)
        axes = figure.subplots()
        ticks = _NARROW_TICKS if self.narrow else _TICKS
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set(xlim=(-0.03, _END), yticks=[])
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        long = "time for an instruction, as many times as native (logarithmic)"
        axes.set_xlabel("times as long as native" if self.narrow else long)
        edge: dict[str, Any] = {"edgecolor": HARDWARE.colour, "lw": 0.9}
        self.own = PolyCollection([], facecolor=_OWN.colour, alpha=0.75, **edge)
        self.instead = PolyCollection([], facecolor=_INSTEAD.colour, hatch=_INSTEAD.hatch, **edge)
        self.spans = LineCollection([], color=HOST.colour, lw=2)
        for artist in (self.own, self.instead, self.spans):
            axes.add_collection(artist)
        small = style.SMALL
        self.names = [axes.text(0, k + 0.2, "", va="center") for k in range(len(WAYS))]
        self.values = [axes.text(0, k + 0.6, "", va="center", weight="bold", fontsize=1.15 * small)
                       for k in range(len(WAYS))]  # fmt: skip
        self.axes = axes
        self.still: object = None
        self.layers: list[tuple[object, list[Artist]]] = []
        self.others = all_stored()

    def show(self, found: Comparison) -> None:
        """Draw the bars of what was run, and say of the rest why it was not."""
        own: list[Any] = []
        instead: list[Any] = []
        spans: list[Any] = []
        rows = [way for way in WAYS if way.name in found.samples or way.name in found.missing]
        self.still = len(rows)
        self.axes.set_ylim(len(rows), 0)
        for text in (*self.names, *self.values):
            text.set_text("")
        for k, way in enumerate(rows):
            name = f"{way.name}" if self.narrow else f"{way.name}: {way.how}"
            self.names[k].set_text(name)
            if way.name not in found.samples:
                self.values[k].set_text("not here")
                self.values[k].set_x(0.03)
                continue
            slow = found.slowdown(way.name, found.yardstick)
            end = max(0.03, float(np.log10(slow)))
            box = [(0, k + 0.38), (end, k + 0.38), (end, k + 0.82), (0, k + 0.82)]
            (instead if way.any_processor else own).append(box)
            low, high = self._span(way.name)
            if low <= high:
                spans.append([(low, k + 0.6), (high, k + 0.6)])
            else:
                high = end
            self.values[k].set_text(times(slow))
            room = _END - max(end, high) > (2.2 if self.narrow else 0.9)
            self.values[k].set_x(max(end, high) + 0.06 if room else 0.1)
            self.values[k].set_bbox(None if room else {"facecolor": "white", "pad": 2, "lw": 0})
        self.own.set_verts(own)
        self.instead.set_verts(instead)
        self.spans.set_segments(spans)
        moving: list[Artist] = [self.own, self.instead, self.spans, *self.names, *self.values]
        self.layers = [(object(), moving)]
        style.finish(self.axes, _title(found), _alt(found), slide="S6–S7")

    def _span(self, way: str) -> tuple[float, float]:
        """Return the least and the most of all stored programs, as logarithms."""
        slow = [one.slowdown(way) for one in self.others.values() if way in one.samples]
        if not slow:  # nothing is stored of it
            return float("nan"), float("nan")
        return float(np.log10(max(1, min(slow)))), float(np.log10(max(slow)))


def times(slow: float) -> str:
    """Write a factor as one would say it."""
    if slow < 9.95:
        return f"{slow:.2f} ×" if slow < 1.995 else f"{slow:.1f} ×"
    return f"{round(slow, min(0, 2 - int(np.log10(slow)))):,.0f} ×"


def _title(found: Comparison) -> str:
    if "direct" in found.samples and "interpreted" in found.samples and "native" in found.samples:
        rounded = times(found.slowdown("interpreted")).removesuffix(" ×")
        extra = 100 * (found.slowdown("direct") - 1)
        said = f"a monitor adds {max(0, extra):.0f} %, an interpreter takes {rounded} times"
        return f"{found.program}: {said}"
    return f"{found.program}: what each way costs"


def _alt(found: Comparison) -> str:
    rows = "; ".join(
        f"{way.name} ({way.how}) {times(found.slowdown(way.name, found.yardstick))}"
        for way in WAYS
        if way.name in found.samples
    )
    missing = "".join(f" No {way}: {why}." for way, why in found.missing.items())
    return (
        f"Bars on a logarithmic axis, {found.program}: time for an instruction compared with "
        f"{found.yardstick}, 1. {rows}.{missing}"
    )
