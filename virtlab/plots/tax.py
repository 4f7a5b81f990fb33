"""Figures of the idle memory tax (S24): bottles, the paper's experiment, the rate as it rises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.memory.tax import idle_cost
from virtlab.plots import style
from virtlab.plots.grips import knob
from virtlab.plots.palette import HARDWARE, HOST, vm_mark
from virtlab.validate import integer, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.memory.tax import TaxTargets
    from virtlab.memory.tax_curve import Figure7, TaxCurve
    from virtlab.plots.style import Plate

__all__ = ["draw_bottles", "draw_figure_7", "draw_tax_curve"]

_MOST_VMS = 6
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9}
_LOADS = ("idle", "busy")


def draw_figure_7(result: Figure7, figure: Plate | None = None) -> Plate:
    """Draw figure 7 of the paper: its amounts as points, the formula's as lines.

    Parameters
    ----------
    result
        Published and ours.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.tax_curve import figure_7
    >>> print(draw_figure_7(figure_7()).alt)
    Bars up to what is in use, lines at the formula's targets, points as published, in MB. Without \
tax: VM1, idle, 9.8 in use, 179.0 (published 178.9); VM2, busy, 200.4 in use, 179.0 (179.1). Tax \
rate 0.75: VM1 100.8 (101.3); VM2 243.7 (243.2). The largest error is 0.5 %.
    """

    def draw(figure: Plate) -> None:
        figure.margins(
            left=56 if figure.narrow else 90, right=16, top=112 if figure.narrow else 84, bottom=74
        )
        axes = figure.subplots()
        places = [0.0, 1.0, 2.6, 3.6]
        for i, x in enumerate(places):
            _vm_bar(axes, result, x, i // 2, i % 2, narrow=figure.narrow)
        axes.set_xticks(places, [f"VM{i % 2 + 1}\n{_LOADS[i % 2]}" for i in range(4)])
        axes.tick_params(axis="x", length=0)
        for middle, rate in zip((0.5, 3.1), result.rates, strict=True):
            words = "no tax" if rate == 0 else f"tax {'' if figure.narrow else 'rate '}{rate:g}"
            axes.annotate(words, (middle, 290), ha="center", weight="bold")
        axes.set(ylim=(0, 310), xlim=(-0.7, 4.3))
        axes.set_ylabel("" if figure.narrow else "memory, MB")
        words = "MB; line: formula, point: paper,\nfilled: in use"
        axes.annotate(
            words if figure.narrow else words.replace("\n", " ").removeprefix("MB; "),
            (0, 1),
            xycoords="axes fraction",
            xytext=(-30 if figure.narrow else 0, 4),
            textcoords="offset points",
            color=HOST.colour,
        )
        worst = result.summary()["largest_error_percent"]
        title = f"The formula meets the paper's figure 7 within {worst:.1f} %"
        style.finish(axes, title, _figure_7_alt(result), slide="S24")

    return style.draw_on(figure, draw)


def _vm_bar(axes: Axes, result: Figure7, x: float, row: int, vm: int, *, narrow: bool) -> None:
    """Draw what a VM has, how much of it is in use, our line and the published point."""
    mark, ours = vm_mark(vm), float(result.formula_mb[row, vm])
    theirs, error = float(result.published_mb[row, vm]), float(result.error_percent[row, vm])
    used = min(result.active_mb[vm], ours)
    axes.bar(x, ours, 0.8, color=mark.colour, alpha=0.18, lw=0)
    axes.bar(x, used, 0.8, color=mark.colour, hatch=mark.hatch, edgecolor="white", lw=0)
    axes.plot([x - 0.46, x + 0.46], [ours, ours], color=mark.colour, lw=4, solid_capstyle="butt")
    axes.plot([x], [theirs], mark.marker, mfc="white", mec=HARDWARE.colour, mew=1.8, zorder=5)
    axes.annotate(
        f"{ours:.1f}" if narrow else f"{ours:.1f}\n({error:+.1f} %)".replace("-", "−"),
        (x, max(ours, theirs)),
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
        zorder=6,
    )


def _figure_7_alt(result: Figure7) -> str:
    """Say in words what the figure shows."""
    first, last = result.formula_mb, result.published_mb
    idle, busy = result.active_mb
    return (
        "Bars up to what is in use, lines at the formula's targets, points as published, in MB. "
        f"Without tax: VM1, idle, {idle:g} in use, {first[0, 0]:.1f} (published {last[0, 0]:.1f}); "
        f"VM2, busy, {busy:g} in use, {first[0, 1]:.1f} ({last[0, 1]:.1f}). Tax rate "
        f"{result.rates[-1]:g}: VM1 {first[-1, 0]:.1f} ({last[-1, 0]:.1f}); VM2 {first[-1, 1]:.1f} "
        f"({last[-1, 1]:.1f}). The largest error is {np.abs(result.error_percent).max():.1f} %."
    )


def draw_tax_curve(curve: TaxCurve, figure: Plate | None = None) -> Plate:
    """Draw what each VM gets as the tax rate rises, and how much of it is in use.

    Parameters
    ----------
    curve
        Targets at each rate, of at most 6 VMs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.tax_curve import tax_curve
    >>> print(draw_tax_curve(tax_curve(344.5, [1, 1], active=[9.8, 200.4], maximum=256)).alt)
    Line chart of what each VM gets of 344.5 MiB against the tax rate, 0 to 0.99. VM1 uses 9.8: \
172.2 at first, 88.5 at last; VM2 uses 200.4: 172.2 at first, 256.0 at last.
    """
    integer("vms", len(curve.names), minimum=1, maximum=_MOST_VMS)

    def draw(figure: Plate) -> None:
        figure.margins(
            left=56 if figure.narrow else 90,
            right=84 if figure.narrow else 150,
            top=112 if figure.narrow else 70,
            bottom=62,
        )
        axes = figure.subplots()
        top = 1.12 * max(float(curve.target.max()), min(float(curve.active.max()), 1e300))
        axes.set(xlim=(0, 1), ylim=(0, top))
        for i in range(len(curve.names)):
            mark = vm_mark(i)
            axes.plot(curve.rates, curve.target[:, i], color=mark.colour, zorder=3)
            axes.plot(
                curve.rates[:: max(curve.rates.size // 6, 1)],
                curve.target[:: max(curve.rates.size // 6, 1), i],
                mark.marker,
                color=mark.colour,
                zorder=4,
            )
            axes.axhline(curve.active[i], color=mark.colour, lw=1.4, ls=(0, (2, 2)))
        _end_labels(axes, curve, figure, top)
        if curve.rates[-1] > 0.75:
            axes.axvline(0.75, color=HOST.colour, lw=1, ls=":")
            axes.annotate("ESX: 0.75 ", (0.75, 0.95 * top), ha="right", color=HOST.colour)
        axes.set_xlabel("tax rate" if figure.narrow else "tax rate: 0 shares alone, 1 no idle page")
        axes.set_ylabel("" if figure.narrow else f"memory, {curve.unit}")
        if figure.narrow:
            axes.annotate(
                f"{curve.unit}; dotted: in use",
                (0, 1),
                xycoords="axes fraction",
                xytext=(-28, 6),
                textcoords="offset points",
                color=HOST.colour,
            )
        style.finish(axes, _curve_title(curve), _curve_alt(curve), slide="S24")

    return style.draw_on(figure, draw)


def _end_labels(axes: Axes, curve: TaxCurve, figure: Plate, top: float) -> None:
    """Name each line at its end, and each dotted line, as far apart as words need."""
    words = [
        (amount, f"{name} {amount:.0f}", i)
        for i, (name, amount) in enumerate(zip(curve.names, curve.target[-1].tolist(), strict=True))
    ]
    if not figure.narrow:
        words += [
            (float(used), f"in use {used:.3g}", i) for i, used in enumerate(curve.active.tolist())
        ]
    step, place = 19 * top / (figure.bbox.height - 132), -np.inf
    for y, text, i in sorted(words):
        place = max(y, place + step)
        axes.annotate(
            text,
            (curve.rates[-1], y),
            xytext=(1.03, place),
            va="center",
            color=vm_mark(i).colour,
            annotation_clip=False,
            weight="normal" if text.startswith("in use") else "bold",
        )


def draw_bottles(result: TaxTargets, figure: Plate | None = None) -> Plate:
    """Draw each VM as a bottle: as wide as its shares, and k times narrower for idle pages.

    Areas are memory. All bottles are filled to one level, so a VM with much in use gets much.

    Parameters
    ----------
    result
        Targets of at most 6 VMs, all with shares.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.tax import targets
    >>> print(draw_bottles(targets(344.5, [1, 1], active=[9.8, 200.4], maximum=256)).alt)
    Bottles as wide as the shares, with necks 4 times narrower, for 344.5 MiB. VM1: 9.8 in use and \
91 idle, 100.8 in all. VM2: 200.4 in use and 43.3 idle, 243.7 in all. They stand at one level, \
373.7 MiB per share.
    """
    integer("vms", result.shares.size, minimum=1, maximum=_MOST_VMS)
    number("shares", float(result.shares.min()), minimum=1e-100)

    def draw(figure: Plate) -> None:
        figure.margins(left=62 if figure.narrow else 96, right=18, top=98, bottom=62)
        axes = figure.subplots()
        surface = result.cost / result.shares
        follows = surface[result.held_by == "level"]
        level = float(follows.max(initial=0.0)) or float(surface.max())
        top = 1.2 * max(level, float(surface.max()), 1e-9)
        total = float(result.shares.sum())
        gap = 0.12 * total
        centres = np.cumsum(result.shares + gap) - gap - result.shares / 2
        for i, x in enumerate(centres.tolist()):
            _bottle(axes, result, i, x, top)
        if follows.size:
            axes.axhline(level, color=HARDWARE.colour, lw=1.5, ls=(0, (6, 3)), zorder=5)
        axes.set(ylim=(0, top), xlim=(-gap, total + gap * result.shares.size))
        pairs = zip(result.labels, result.target, strict=True)
        axes.set_xticks(centres, [f"{name}\n{amount:.4g}" for name, amount in pairs])
        for i, x in enumerate(centres.tolist()):
            _bottle_knobs(axes, result, i, x, top)
        if follows.size:
            at = (total + 0.85 * gap * result.shares.size, level)
            words = "the level: how much memory is that?"
            knob(axes, "level", words, at, "y", level, control="available")
        axes.tick_params(axis="x", length=0)
        unit = f"{result.unit} per share, idle (light) × {idle_cost(result.tax_rate):.3g}"
        axes.annotate(
            unit,
            (14 / figure.width_px, 1),
            xycoords=("figure fraction", "axes fraction"),
            xytext=(0, 8),
            textcoords="offset points",
            color=HOST.colour,
        )
        style.finish(axes, _bottles_title(result), _bottles_alt(result, level), slide="S24")

    return style.draw_on(figure, draw)


def _bottle(axes: Axes, result: TaxTargets, i: int, x: float, top: float) -> None:
    """Draw body, neck, floor, lid and water of one bottle."""
    mark, shares, k = vm_mark(i), float(result.shares[i]), idle_cost(result.tax_rate)
    target, used = float(result.target[i]), float(min(result.active[i], result.maximum[i]))
    body, neck, shoulder = shares / 2, shares / 2 / k, used / shares
    wet = min(target, used) / shares
    idle = max(target - used, 0.0)
    look: dict[str, Any] = {"color": mark.colour, "edgecolor": "white", "lw": 0}
    axes.bar(x, wet, 2 * body, hatch=mark.hatch, **look)
    axes.bar(x, idle / (2 * neck), 2 * neck, bottom=shoulder, alpha=0.35, **look)

    def height(amount: float) -> float:
        return min(amount, used) / shares + max(amount - used, 0.0) / (2 * neck)

    lid = min(height(float(result.maximum[i])), top)
    for side in (-1, 1):
        xs = [x, x + side * body, x + side * body, x + side * neck, x + side * neck]
        axes.plot(xs, [0, 0, shoulder, shoulder, lid], color=HARDWARE.colour, lw=2.5, zorder=4)
    if lid < top:
        axes.plot([x - neck, x + neck], [lid, lid], color=HARDWARE.colour, lw=6, zorder=4)
    if result.minimum[i] > 0:
        low = height(float(result.minimum[i]))
        half = body if result.minimum[i] <= used else neck
        dash = (0, (4, 2))
        axes.plot([x - half, x + half], [low, low], color=HARDWARE.colour, lw=2, ls=dash, zorder=4)
    for amount, y in ((target - idle, wet / 2), (idle, shoulder + idle / (4 * neck))):
        if amount >= 0.5 and (y - shoulder * (y > shoulder)) > 0.035 * top:
            axes.text(x, y, f"{amount:.3g}", ha="center", va="center", bbox=_PAPER, zorder=6)


def _bottle_knobs(axes: Axes, result: TaxTargets, i: int, x: float, top: float) -> None:
    """Let a reader move a bottle's shoulder, its wall and its neck."""
    name, shares = result.labels[i], float(result.shares[i])
    used, neck = float(result.active[i]), shares / 2 / idle_cost(result.tax_rate)
    shoulder = min(used, float(result.maximum[i])) / shares
    number_of = i + 1
    at = (x - shares / 2, min(shoulder, top))
    knob(axes, f"active{number_of}", f"what {name} uses", at, "y", used, per_unit=shares)
    at = (x + shares / 2, 0.0)
    knob(axes, f"shares{number_of}", f"{name}'s shares", at, "x", shares, per_unit=2)
    if shoulder < 0.8 * top:
        at = (x + neck, 0.25 * shoulder + 0.75 * top)
        words = "the neck: the tax rate"
        knob(axes, "tax_rate", words, at, "x", result.tax_rate, per_unit=-2 / shares)


def _bottles_title(result: TaxTargets) -> str:
    """Say who has most idle memory left, and who has least."""
    idle = np.maximum(result.target - result.active, 0)
    most = int(np.argmax(idle))
    if idle[most] < 0.5:
        return "No VM keeps idle memory"
    return (
        f"At a tax rate of {result.tax_rate:g}, {result.labels[most]} keeps "
        f"{idle[most]:.3g} {result.unit} idle"
    )


def _bottles_alt(result: TaxTargets, level: float) -> str:
    """Say in words what the figure shows."""
    words = {"minimum": ", at its minimum", "maximum": ", at its maximum", "level": ""}
    rows = " ".join(
        f"{name}: {min(used, target):.4g} in use and {max(target - used, 0):.3g} idle, "
        f"{target:.4g} in all{words[held]}."
        for name, used, target, held in zip(
            result.labels, result.active, result.target, result.held_by.tolist(), strict=True
        )
    )
    return (
        f"Bottles as wide as the shares, with necks {idle_cost(result.tax_rate):.3g} times "
        f"narrower, for {result.available:g} {result.unit}. {rows} They stand at one level, "
        f"{level:.4g} {result.unit} per share."
    )


def _curve_title(curve: TaxCurve) -> str:
    """Say who gains most by the tax, and who loses."""
    change = curve.target[-1] - curve.target[0]
    gains, loses = int(np.argmax(change)), int(np.argmin(change))
    if change[gains] < 0.5:
        return "The tax changes nothing here"
    return (
        f"The tax takes {-change[loses]:.0f} {curve.unit} from {curve.names[loses]}, and "
        f"{curve.names[gains]} gets {change[gains]:.0f} more"
    )


def _curve_alt(curve: TaxCurve) -> str:
    """Say in words what the figure shows."""
    rows = "; ".join(
        f"{name} uses {used:g}: {first:.1f} at first, {last:.1f} at last"
        for name, used, first, last in zip(
            curve.names, curve.active, curve.target[0], curve.target[-1], strict=True
        )
    )
    return (
        f"Line chart of what each VM gets of {curve.available:g} {curve.unit} against the tax "
        f"rate, {curve.rates[0]:g} to {curve.rates[-1]:g}. {rows}."
    )
