"""Figures of what translation and VT-x cost (S18): published costs as points, ours as bars.

The axis of the table is logarithmic, for its costs reach from 1 to 15,826 cycles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtlab.machine.translation_costs.forks import EVENTS
from virtlab.machine.translation_costs.parts import OPERATIONS, PARTS, published
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS, Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.machine.translation_costs.forks import ForkEvents
    from virtlab.machine.translation_costs.parts import CostFit
    from virtlab.plots.style import Plate

__all__ = ["COST_WAYS", "draw_costs", "draw_forkwait"]

COST_WAYS = {
    "native": Mark(HOST.colour, "", "", "", "native"),
    "bt": Mark(PAGES["hint"].colour, "", "///", "", "translated"),
    "hw": Mark(VMS[0].colour, "", "", "", "VT-x of 2005"),
}
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

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        if narrow:
            figure.margins(left=16, right=20, top=134, bottom=54)
        else:
            figure.margins(left=150, right=30, top=98, bottom=56)
        axes = figure.subplots()
        axes.set(xscale="log", xlim=(0.8, 40_000), ylim=(len(OPERATIONS) - 0.3, -0.52))
        axes.set_xticks([1, 10, 100, 1000, 10_000], ["1", "10", "100", "1,000", "10,000"])
        axes.minorticks_off()
        axes.grid(axis="x")
        axes.set_xlabel("cycles" if narrow else "cycles of a 3.8 GHz Pentium 4 (logarithmic)")
        axes.set_yticks([] if narrow else range(len(OPERATIONS)), [] if narrow else OPERATIONS)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        for k, row in enumerate(OPERATIONS):
            _row(axes, fit, row, k, narrow=narrow)
        _key(figure)
        said = fit.summary()
        cells, worst = said["cells"], said["worst_error_percent"]
        title = f"{len(PARTS)} parts give {cells} cells within {worst} %"
        if float(worst) < 5:
            title = f"{title}: VT-x loses at page tables"
        style.finish(axes, title, _costs_alt(fit), slide="S18")

    return style.draw_on(figure, draw)


def _row(axes: Axes, fit: CostFit, row: str, k: int, *, narrow: bool) -> None:
    """Draw the three bars of an operation, and what was published of each."""
    high, first = (0.19, 0.02) if narrow else (0.25, -0.25)
    if narrow:
        axes.text(0.85, k - 0.23, row, va="center", fontsize=style.SMALL)
    for number, (way, mark) in enumerate(COST_WAYS.items()):
        y = k + first + number * high
        ours = fit.cost(row, way)
        axes.barh(y, ours - 0.8, height=high * 0.9, left=0.8, color=mark.colour, hatch=mark.hatch,
                  **_EDGE)  # fmt: skip
        theirs = published()["P4", row, way][0]
        size = 5 if narrow else 7
        axes.plot([theirs], [y], "o", mfc="white", mec=HARDWARE.colour, mew=1.6, ms=size, zorder=4)


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
