"""Figures of what translation and VT-x cost (S18): published costs as points, ours as bars.

The axis of the table is logarithmic, for its costs reach from 1 to 15,826 cycles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.collections import PolyCollection

from virtlab.machine.translation_costs.forks import EVENTS
from virtlab.machine.translation_costs.parts import OPERATIONS, PARTS, published
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS, Mark

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from virtlab.machine.translation_costs.forks import ForkEvents
    from virtlab.machine.translation_costs.parts import CostFit
    from virtlab.plots.style import Plate

__all__ = ["COST_WAYS", "draw_costs", "draw_forkwait"]

COST_WAYS = {
    "native": Mark(HOST.colour, "", "", "", "native"),
    "bt": Mark(PAGES["hint"].colour, "", "///", "BT", "translated"),
    "hw": Mark(VMS[0].colour, "", "", "HW", "VT-x of 2005"),
}
_LEAST = 0.8  # cycles at the foot of the axis
_EDGE: dict[str, Any] = {"edgecolor": HARDWARE.colour, "lw": 0.8}


def draw_costs(fit: CostFit, figure: Plate | None = None) -> Plate:
    """Draw seven operations, each natively, translated and with VT-x: their points, our bars.

    Parameters
    ----------
    fit
        The parts.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.translation_costs import fit_costs
    >>> draw_costs(fit_costs()).alt[:76]
    'Bars with published points on a logarithmic axis, cycles natively, translate'
    """
    return style.show_on(figure, _Table, fit)


class _Table:
    """Three bars for each operation; where the published points are does not change."""

    def __init__(self, figure: Plate) -> None:
        self.narrow = figure.narrow
        if self.narrow:
            figure.margins(left=16, right=20, top=134, bottom=54)
        else:
            figure.margins(left=150, right=150, top=98, bottom=56)
        self.axes = axes = figure.subplots()
        axes.set(xscale="log", xlim=(_LEAST, 40_000), ylim=(len(OPERATIONS) - 0.3, -0.52))
        axes.set_xticks([1, 10, 100, 1000, 10_000], ["1", "10", "100", "1,000", "10,000"])
        axes.minorticks_off()
        axes.grid(axis="x")
        axes.set_xlabel("cycles" if self.narrow else "cycles of a 3.8 GHz Pentium 4 (logarithmic)")
        axes.set_yticks(
            [] if self.narrow else range(len(OPERATIONS)), [] if self.narrow else OPERATIONS
        )
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        self.bars = {
            way: PolyCollection([], facecolor=mark.colour, hatch=mark.hatch, **_EDGE)
            for way, mark in COST_WAYS.items()
        }
        for bars in self.bars.values():
            axes.add_collection(bars, autolim=False)
        theirs = [
            (published()["P4", row, way][0], self._middle(k, way))
            for k, row in enumerate(OPERATIONS)
            for way in COST_WAYS
        ]
        (self.points,) = axes.plot(
            *zip(*theirs, strict=True), "o", mfc="white", mec=HARDWARE.colour, mew=1.6,
            ms=5 if self.narrow else 7,
        )  # fmt: skip
        self.words = self._texts(figure)
        _key(figure)
        self.still: object = None
        self.layers: list[tuple[object, list[Artist]]] = []

    def _middle(self, k: int, way: str) -> float:
        """Return where the bar of a way is."""
        high, first = (0.19, 0.02) if self.narrow else (0.25, -0.25)
        return k + first + high * list(COST_WAYS).index(way)

    def _texts(self, figure: Plate) -> list[Text]:
        """Make room for the errors, at the right; on a phone there is none, but for the names."""
        if self.narrow:
            for k, row in enumerate(OPERATIONS):
                self.axes.text(0.85, k - 0.23, row, va="center", fontsize=style.SMALL)
            return []
        spot = (1 - 14 / figure.width_px, 1 - 64 / (100 * figure.get_figheight()))
        head: dict[str, Any] = {"xycoords": "figure fraction", "va": "top", "ha": "right"}
        self.axes.annotate("our error", spot, color=HOST.colour, **head)
        place = self.axes.get_yaxis_transform()
        return [
            self.axes.text(1.19, self._middle(k, way), "", va="center", ha="right",
                           transform=place, fontsize=style.SMALL, color=HOST.colour)
            for k in range(len(OPERATIONS)) for way in ("bt", "hw")
        ]  # fmt: skip

    def show(self, fit: CostFit) -> None:
        """Draw the bars, and say how far each is from its point."""
        half = 0.085 if self.narrow else 0.1125
        for way, bars in self.bars.items():
            verts = []
            for k, row in enumerate(OPERATIONS):
                end, y = max(_LEAST, fit.cost(row, way)), self._middle(k, way)
                verts.append(
                    [(_LEAST, y - half), (end, y - half), (end, y + half), (_LEAST, y + half)]
                )
            bars.set_verts(verts)
        cells = [(row, way) for row in OPERATIONS for way in ("bt", "hw")]
        for words, (row, way) in zip(self.words, cells, strict=False):
            error = 100 * (fit.cost(row, way) / published()["P4", row, way][0] - 1)
            said = f"{error:+.1f}" if abs(error) >= 0.05 else "0.0"
            said = said.replace("-", "\N{MINUS SIGN}")
            words.set_text(f"{COST_WAYS[way].sign} {said} %")
        self.layers = [(object(), [*self.bars.values(), self.points, *self.words])]
        style.finish(self.axes, _costs_title(fit), _costs_alt(fit), slide="S18")


def _costs_title(fit: CostFit) -> str:
    said = fit.summary()
    cells, worst = said["cells"], float(said["worst_error_percent"])
    if worst < 5:
        return f"{len(PARTS)} parts give {cells} cells within {worst} %: VT-x loses at page tables"
    frame = fit.to_frame()
    row, way = frame[["operation", "way"]].iloc[int(frame["error_percent"].abs().argmax())]
    return f"Off by {worst:.0f} % at worst: {row}, {COST_WAYS[str(way)].label}"


def _key(figure: Plate) -> None:
    """Say which bar is which, above the axes, in one line or two."""
    height = figure.get_figheight() * 100
    words = [("■ " + mark.label, mark.colour) for mark in COST_WAYS.values()]
    words.append(("○ published", HARDWARE.colour))
    for number, (text, colour) in enumerate(words):
        if figure.narrow:
            x, y = 16 + 180 * (number % 2), 84 + 22 * (number // 2)
        else:
            x, y = 150 + (0, 110, 250, 410)[number], 64
        spot = (x / figure.width_px, 1 - y / height)
        ink = "#9A6A00" if colour == COST_WAYS["bt"].colour else colour
        axes = figure.axes[0]
        axes.annotate(text, spot, xycoords="figure fraction", va="top", color=ink)


def _costs_alt(fit: CostFit) -> str:
    rows = "; ".join(
        f"{row} "
        + ", ".join(
            f"{published()['P4', row, way][0]:g} (ours {fit.cost(row, way):.0f})"
            for way in COST_WAYS
        )
        for row in OPERATIONS
    )
    said = fit.summary()
    return (
        "Bars with published points on a logarithmic axis, cycles natively, translated and with "
        f"VT-x: {rows}. Worst error {said['worst_error_percent']} %; {said['parts_fitted']} parts "
        f"fitted to {said['cells']} cells, left out and predicted "
        f"{said['worst_left_out_percent']} % at most."
    )


# --- forkwait -------------------------------------------------------------------------------------

_GROUPS = {
    "native": ("natively", HOST),
    "true": ("page faults", Mark(VMS[3].colour, "", "xx")),
    "hidden": ("hidden faults", Mark(VMS[0].colour, "", "")),
    "writes": ("page-table writes", Mark(VMS[2].colour, "", "..")),
    "returns": ("looked-up returns", Mark(PAGES["hint"].colour, "", "///")),
    "rest": ("system calls, switches", Mark("#FFFFFF", "", "")),
}


def draw_forkwait(found: ForkEvents, figure: Plate | None = None) -> Plate:
    """Draw what 40,000 forks spend their seconds on, by one of the mixtures there can be.

    Parameters
    ----------
    found
        The mixtures; the one in the middle is drawn.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.translation_costs import fork_events
    >>> draw_forkwait(fork_events()).alt[:63]
    'Stacked bars of 40,000 forks, seconds: natively 6.0, translated'
    """
    seconds = {way: _spent(found, way) for way in COST_WAYS}

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        if narrow:
            figure.margins(left=16, right=26, top=114, bottom=206)
        else:
            figure.margins(left=130, right=40, top=86, bottom=146)
        axes = figure.subplots()
        axes.set(xlim=(0, 112), ylim=(2.62, -0.5 if narrow else -0.45))
        names = [mark.label for mark in COST_WAYS.values()]
        axes.set_yticks([] if narrow else range(3), [] if narrow else names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("seconds" if narrow else "seconds for 40,000 processes made and awaited")
        for k, way in enumerate(COST_WAYS):
            _stack(axes, seconds[way], k, names[k] if narrow else "")
            theirs = published()["P4", "forkwait", way][0]
            axes.plot([theirs], [k + 0.1 * narrow], "o", mfc="white", mec=HARDWARE.colour, mew=1.8,
                      ms=9, zorder=4)  # fmt: skip
        _groups_key(figure)
        fewest, most = found.exits
        title = f"Faults and page-table writes, {fewest:.0f} to {most:.0f} a fork, take the 36.9 s"
        style.finish(axes, title, _fork_alt(found, seconds), slide="S18")

    return style.draw_on(figure, draw)


def _spent(found: ForkEvents, way: str) -> dict[str, float]:
    """Return seconds by group."""
    natively = published()["P4", "forkwait", "native"][0]
    if way == "native":
        return {"native": natively}
    hz = 1e9 * published()["P4", "clock", "native"][0]
    added = {name: 40_000 * cycles / hz for name, cycles in found.added(way).items()}
    groups = dict(zip(("true", "hidden", "writes", "returns"), map(added.get, EVENTS), strict=True))
    rest = added["syscall"] + added["address space"]
    return {"native": natively, **{k: float(v or 0) for k, v in groups.items()}, "rest": rest}


def _stack(axes: Axes, parts: dict[str, float], k: int, name: str) -> None:
    """Draw one bar of parts, and its sum."""
    left, y, high = 0.0, k + 0.1 * bool(name), 0.5
    for group, seconds in parts.items():
        mark = _GROUPS[group][1]
        axes.barh(y, seconds, height=high, left=left, color=mark.colour, hatch=mark.hatch, **_EDGE)
        left += seconds
    if name:
        axes.text(0, k - 0.3, f"{name}: {left:.1f} s", va="center")
    elif left < 90:
        axes.text(left + 2.2, y, f"{left:.1f} s", va="center", weight="bold")
    else:
        axes.text(left, y - 0.37, f"{left:.1f} s", va="center", ha="right", weight="bold")


def _groups_key(figure: Plate) -> None:
    """Say below the axes which colour is which: boxes, for two of them differ by hatch."""
    height = figure.get_figheight() * 100
    axes = figure.axes[0]
    entries = [(words, mark) for words, mark in _GROUPS.values()]
    for number, (words, mark) in enumerate(entries):
        if figure.narrow:
            x, y = 16.0, 22 + 21 * (len(entries) - number)
        else:
            x, y = 130 + 250.0 * (number % 3), 26 + 28 * (1 - number // 3) + 8
        size = (16 / figure.width_px, 13 / height)
        box = axes.bar(0, 0, color=mark.colour, hatch=mark.hatch, **_EDGE)[0]
        box.set_transform(figure.transFigure)
        box.set_bounds(x / figure.width_px, (y - 6) / height, *size)
        box.set_clip_on(False)
        spot = ((x + 24) / figure.width_px, y / height)
        axes.annotate(words, spot, xycoords="figure fraction", va="center")
    axes.annotate("○ published", (1, 0.88), xycoords="axes fraction", va="center", ha="right")


def _fork_alt(found: ForkEvents, seconds: dict[str, dict[str, float]]) -> str:
    sums = {way: sum(parts.values()) for way, parts in seconds.items()}
    parts = ", ".join(f"{_GROUPS[name][0]} {value:.1f}" for name, value in seconds["bt"].items())
    more = ", ".join(f"{_GROUPS[name][0]} {value:.1f}" for name, value in seconds["hw"].items())
    fewest, most = found.exits
    return (
        f"Stacked bars of 40,000 forks, seconds: natively {sums['native']:.1f}, translated "
        f"{sums['bt']:.1f} ({parts}), with VT-x {sums['hw']:.1f} ({more}); published 6.02, 36.95 "
        f"and 106.4. One of many mixtures; each has {fewest:.0f} to {most:.0f} faults and "
        "page-table writes a fork."
    )
