"""Figures of shares (S20): bars between brackets, and vessels filled to one level."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.patches import Rectangle

from virtlab.plots import style
from virtlab.plots.grips import knob
from virtlab.plots.palette import HARDWARE, HOST, vm_mark
from virtlab.validate import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from virtlab.plots.palette import Mark
    from virtlab.plots.style import Plate
    from virtlab.resources.shares import Allocation

__all__ = ["PAPER", "draw_allocation", "draw_vessels", "finding"]

MOST = 12
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 2.0, "alpha": 0.9}
_STEPS = (1.0, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def finding(result: Allocation) -> str:
    """Return what an allocation shows, as a title.

    Parameters
    ----------
    result
        What `allocate` returned.

    Returns
    -------
    str
        One short line.

    Examples
    --------
    >>> from virtlab.resources import allocate
    >>> finding(allocate(160, [1000, 2000, 1000], unit="MB/s"))
    'VM2 gets 80 of 160 MB/s, 2 times what VM1 gets'
    >>> finding(allocate(160, [1000, 1000], unit="MB/s"))
    'Each VM gets 80 of 160 MB/s'
    >>> finding(allocate(160, [1000, 1000], maximum=50, unit="MB/s"))
    'Nobody can use the last 60 MB/s'
    """
    unit = f" {result.unit}" if result.unit else ""
    if result.unused:
        return f"Nobody can use the last {result.unused:.3g}{unit}"
    order = np.argsort(result.allocation, kind="stable")
    most, least = (
        int(np.flatnonzero(result.allocation == result.allocation.max())[0]),
        int(order[0]),
    )
    high, low = float(result.allocation[most]), float(result.allocation[least])
    if high - low <= 1e-9 * high:
        return f"Each VM gets {high:.3g} of {result.capacity:g}{unit}"
    times = f", {high / low:.3g} times what {result.labels[least]} gets" if low else ""
    return f"{result.labels[most]} gets {high:.3g} of {result.capacity:g}{unit}{times}"


def draw_allocation(result: Allocation, figure: Plate | None = None) -> Plate:
    """Draw each VM's part as a bar, between brackets at its minimum and maximum.

    Parameters
    ----------
    result
        What `allocate` returned, of at most 12 VMs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources import allocate
    >>> draw_allocation(allocate(160, [1000, 2000, 1000], unit="MB/s")).alt
    'Bar chart of 160 MB/s divided among 3 VMs. VM1: 1000 shares, gets 40 MB/s. \
VM2: 2000 shares, gets 80 MB/s. VM3: 1000 shares, gets 40 MB/s.'
    """
    integer("vms", result.shares.size, minimum=1, maximum=MOST)

    def draw(plate: Plate) -> None:
        axes = plate.subplots()
        top = _round_up(1.12 * max(result.allocation.max(), result.minimum.max(), 1e-9))
        for i in range(result.shares.size):
            _bar(axes, result, i, top)
            _brackets(axes, i, float(result.minimum[i]), float(result.maximum[i]), top)
        axes.set_ylim(0, top)
        axes.set_xlim(-0.6, result.shares.size - 0.4)
        _vm_axis(axes, result, np.arange(result.shares.size, dtype=np.float64), plate)
        _unit(axes, plate, result.unit or "allocation")
        _bar_knobs(axes, result, top, narrow=plate.narrow)
        style.finish(axes, finding(result), _alt("Bar chart of", result), "S20")

    return style.draw_on(figure, draw)


def draw_vessels(result: Allocation, figure: Plate | None = None) -> Plate:
    """Draw each VM as a vessel as wide as its shares: its area is what the VM gets.

    Parameters
    ----------
    result
        What `allocate` returned, of at most 12 VMs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources import allocate
    >>> figure = draw_vessels(allocate(160, [1000, 2000], maximum=[20, 160], unit="MB/s"))
    >>> print(figure.alt)
    Vessels as wide as the shares, for 160 MB/s divided among 2 VMs. VM1: 1000 shares, gets 20 \
MB/s, held down by its maximum. VM2: 2000 shares, gets 140 MB/s. The level is 70 MB/s per 1000 \
shares.
    """
    integer("vms", result.shares.size, minimum=1, maximum=MOST)

    def draw(plate: Plate) -> None:
        axes = plate.subplots()
        view = _view(result, plate)
        for i in np.flatnonzero(result.shares > 0):
            _vessel(axes, result, int(i), view)
        for i in np.flatnonzero(result.shares == 0):
            _amount(axes, view.left[i], 0.02 * view.top, float(result.allocation[i]), "bottom")
        _level_line(axes, result, view)
        _vm_axis(axes, result, view.left + view.width / 2, plate)
        axes.set_ylim(0, view.top)
        axes.set_xlim(-0.02 * view.right, view.right * 1.02)
        unit = result.unit or "capacity"
        _unit(axes, plate, f"{unit} per {view.per:g} shares")
        _vessel_knobs(axes, result, view)
        alt = _alt("Vessels as wide as the shares, for", result)
        level = f" The level is {result.level * view.per:.4g} {unit} per {view.per:g} shares."
        style.finish(axes, finding(result), alt + level, "S20")

    return style.draw_on(figure, draw)


def _bar_knobs(axes: Axes, result: Allocation, top: float, *, narrow: bool) -> None:
    """Let a reader pull at a bar, and at the brackets beside it."""
    for i, name in enumerate(result.labels):
        low, high, amount = (
            float(some[i]) for some in (result.minimum, result.maximum, result.allocation)
        )
        if high == 0:  # idle
            continue
        seen = min(high, top)
        knob(axes, f"minimum{i + 1}", f"{name}'s minimum", (i - 0.36, low), "y", low)
        knob(axes, f"maximum{i + 1}", f"{name}'s maximum", (i + 0.36, seen), "y", seen)
        if top < high < np.inf:
            word = "" if narrow else "max "
            axes.text(i, top, f"↑ {word}{high:g}", ha="center", va="center", color=HOST.colour)
        if low < amount < high:  # else no number of shares moves it
            words = f"what {name} gets: how many shares does it take?"
            shares = f"shares{i + 1}"
            at = (i + 0.2, amount)
            knob(axes, f"amount{i + 1}", words, at, "y", amount, control=shares)


def _vessel_knobs(axes: Axes, result: Allocation, view: _View) -> None:
    """Let a reader move a vessel's wall, its floor's mark and its lid."""
    for i, name in enumerate(result.labels):
        shares, right = float(result.shares[i]), view.left[i] + view.width[i]
        at = (right, 0.9 * view.top)
        knob(axes, f"shares{i + 1}", f"{name}'s shares: how wide", at, "x", shares)
        if shares == 0 or result.maximum[i] == 0:
            continue
        each, base = shares / view.per, view.per * float(result.height[i])
        low = float(result.minimum[i])
        high = min(float(result.maximum[i]), (view.top - base) * each)
        for word, x, value in (("minimum", view.left[i], low), ("maximum", right, high)):
            place = (x, base + value / each)
            words = f"{name}'s {word}"
            knob(axes, f"{word}{i + 1}", words, place, "y", value, per_unit=each)


class _View(NamedTuple):
    """Where the vessels stand, and how high the picture is."""

    left: NDArray[np.float64]
    width: NDArray[np.float64]
    right: float
    per: float  # shares that one unit of height is for
    top: float
    px: float  # pixels that a share is wide


def _view(result: Allocation, plate: Plate) -> _View:
    total = float(result.shares.sum()) or 1.0
    gap, least = 0.05 * total, (0.12 if plate.narrow else 0.07) * total
    width = result.shares
    slot = np.maximum(width, least)  # room for the words under a thin vessel
    left = np.cumsum(slot + gap) - gap - (slot + width) / 2
    per = 10.0 ** np.floor(np.log10(result.shares.max() or 1.0))
    some = result.shares > 0
    heights = per * (result.height[some] + result.allocation[some] / result.shares[some])
    highest = max(heights.max(initial=0.0), per * result.level, 1e-9)
    right = float(slot.sum() + gap * (slot.size - 1))
    px = plate.width_px * (plate.subplotpars.right - plate.subplotpars.left) / right
    return _View(left, width, right, float(per), _round_up(1.3 * highest), px)


def _vessel(axes: Axes, result: Allocation, i: int, view: _View) -> None:
    """Draw walls, floor, lid and water of one vessel."""
    mark, left, width = vm_mark(i), view.left[i], view.width[i]
    per_share, base = view.per / result.shares[i], view.per * result.height[i]
    height = result.allocation[i] * per_share
    floor, lid = base + result.minimum[i] * per_share, base + result.maximum[i] * per_share
    sides, middle = [left, left + width], left + width / 2
    axes.add_patch(_water(left, width, base, height, mark))
    closed = lid <= 0.92 * view.top  # else the lid is out of sight
    axes.vlines(sides, base, lid if closed else view.top, color=HARDWARE.colour, lw=2.5)
    axes.plot(sides, [base, base], color=HARDWARE.colour, lw=4)
    if result.minimum[i] > 0:
        axes.plot(sides, [floor, floor], color=HARDWARE.colour, lw=2, ls=(0, (4, 2)))
        if width * view.px > 64:
            under = floor - base > 0.08 * view.top
            y = floor + (-0.012 if under else 0.012) * view.top
            where = "top" if under else "bottom"
            _note(axes, middle, y, f"min {result.minimum[i]:.3g}", where)
    if closed and result.maximum[i] > 0:
        axes.plot(sides, [lid, lid], color=HARDWARE.colour, lw=6)
        _note(axes, middle, lid + 0.02 * view.top, f"max {result.maximum[i]:.3g}", "bottom")
    inside = height > 0.16 * view.top
    above = view.top * (0.1 if 0 < lid - base < 1.02 * height else 0.02)
    y = base + (0.4 * height if inside else height + above)
    rotation = 0 if width * view.px > 46 else 90
    amount = float(result.allocation[i])
    _amount(axes, middle, y, amount, "center" if inside else "bottom", rotation)


def _water(left: float, width: float, base: float, height: float, mark: Mark) -> Rectangle:
    return Rectangle(
        (left, base),
        width,
        height,
        facecolor=mark.colour,
        hatch=mark.hatch,
        edgecolor="white",
        lw=0,
    )


def _note(axes: Axes, x: float, y: float, words: str, where: str) -> None:
    axes.text(
        x,
        y,
        words,
        ha="center",
        va=where,
        fontsize=10.5,
        color=HARDWARE.colour,
        zorder=4,
        bbox={**PAPER, "pad": 1.0},
    )


def _level_line(axes: Axes, result: Allocation, view: _View) -> None:
    """Draw the one level at which all would stand that have neither floor nor lid in the way."""
    level = result.level * view.per
    if result.level == 0 or result.unused:
        return
    axes.axhline(level, color=HARDWARE.colour, lw=1.5, ls=(0, (6, 3)), zorder=3)
    axes.annotate(
        f"level {level:.3g}",
        (0, level),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        color=HARDWARE.colour,
        zorder=6,
        bbox={**PAPER, "pad": 1.0},
    )


def _bar(axes: Axes, result: Allocation, i: int, top: float) -> None:
    """Draw one VM's bar, its amount inside where a lid is in the way."""
    amount, mark = float(result.allocation[i]), vm_mark(i)
    axes.bar(i, amount, 0.56, color=mark.colour, hatch=mark.hatch, edgecolor="white", lw=0)
    under_lid = amount > 0.93 * result.maximum[i] > 0
    inside = under_lid and amount > 0.16 * top
    y = amount + top * (-0.02 if inside else 0.1 if under_lid else 0.02)
    if result.minimum[i] > 0.97 * amount > 0:
        y = amount + 0.045 * top  # above the bracket's ends
    _amount(axes, i, y, amount, "top" if inside else "bottom")


def _amount(axes: Axes, x: float, y: float, amount: float, where: str, rotation: int = 0) -> None:
    axes.text(
        x,
        y,
        f"{amount:.3g}",
        ha="center",
        va=where,
        weight="bold",
        fontsize=13,
        bbox=PAPER,
        zorder=5,
        rotation=rotation,
    )


def _unit(axes: Axes, plate: Plate, words: str) -> None:
    """Name the upright axis: beside it, or above it where there is little room."""
    if plate.narrow:
        plate.margins(left=52, right=14, top=94)
        axes.annotate(
            words,
            (14 / plate.width_px, 1),
            xycoords=("figure fraction", "axes fraction"),
            xytext=(0, 8),
            textcoords="offset points",
            fontsize=10.5,
        )
    else:
        axes.set_ylabel(words)


def _brackets(axes: Axes, x: float, low: float, high: float, top: float) -> None:
    """Draw a bracket up from the minimum and one down from the maximum, with their values."""
    tip = 0.03 * top
    for bound, into, words, where in (
        (low, tip, f"min {low:.3g}", "top"),
        (high, -tip, f"max {high:.3g}", "bottom"),
    ):
        if bound == 0 or bound > top:  # no minimum, out of sight, or idle
            continue
        xs, ys = (
            [x - 0.36, x - 0.36, x + 0.36, x + 0.36],
            [bound + into, bound, bound, bound + into],
        )
        axes.plot(xs, ys, color=HARDWARE.colour, lw=2.5, solid_joinstyle="miter", zorder=3)
        room = bound - 0.015 * top if where == "top" else bound + 0.015 * top
        _note(axes, x, room, words, where)


def _vm_axis(axes: Axes, result: Allocation, centres: NDArray[np.float64], plate: Plate) -> None:
    """Write name and shares under each VM."""
    word = "" if plate.narrow or result.shares.size > 6 else " shares"
    labels = [
        f"{name}\n{shares:g}{word}"
        for name, shares in zip(result.labels, result.shares, strict=True)
    ]
    axes.set_xticks(centres, labels)
    axes.tick_params(axis="x", length=0)


def _round_up(value: float) -> float:
    """Return the next round number, so that an axis seldom changes while a slider moves."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * min(step for step in _STEPS if step * power >= value * (1 - 1e-12)))


def _alt(kind: str, result: Allocation) -> str:
    """Say in words what a figure of an allocation shows."""
    unit = f" {result.unit}" if result.unit else ""
    words = {"minimum": ", kept up by its minimum", "maximum": ", held down by its maximum"}
    words |= {"height": ", kept dry by its height"}
    rows = [
        f"{name}: {shares:g} shares, gets {amount:.4g}{unit}{words.get(held, '')}."
        for name, shares, amount, held in zip(
            result.labels, result.shares, result.allocation, result.held_by, strict=True
        )
    ]
    rest = f" {result.unused:.4g}{unit} are left." if result.unused else ""
    head = f"{kind} {result.capacity:g}{unit} divided among {result.shares.size} VMs."
    return f"{head} {' '.join(rows)}{rest}"
