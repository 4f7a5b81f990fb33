"""Figures of translation (S6, S7, S18): tiers by a program's length, and what passes are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.machine.translation.speed_curves import rounded
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS, Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.machine.translation.speed_curves import Curve, Speeds
    from virtlab.plots.style import Plate

__all__ = ["TIER_MARKS", "draw_tiers", "draw_worth"]

TIER_MARKS = {
    "interpreter": HOST,
    "python": Mark(PAGES["hint"].colour, "s", "//", "p", "python"),
    "wasm": Mark(VMS[0].colour, "o", "", "w", "wasm"),
    "llvm": Mark(VMS[2].colour, "^", "..", "l", "llvm"),
}
_LEAST, _MOST = 3.0, 8.3  # powers of ten of instructions
_SHORT, _LONG = -3.0, 1.3  # and of seconds
_POWERS = {3: "1,000", 4: "10,000", 5: "100,000", 6: "1 million", 7: "10 million", 8: "100 million"}
_FEW = {3: "1,000", 5: "100,000", 7: "10 million"}
_DARK = {PAGES["hint"].colour: "#8A5A00"}  # for words, which need more contrast
_SECONDS = {-3: "1 ms", -2: "10 ms", -1: "0.1 s", 0: "1 s", 1: "10 s"}


def draw_tiers(found: Speeds, figure: Plate | None = None) -> Plate:
    """Draw how long a program takes in each tier, by how many instructions it does.

    Parameters
    ----------
    found
        Tiers, as `virtlab.machine.translation.speed.ladder` measures them.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.translation.speed_curves import Curve, Speeds
    >>> slow = Curve("interpreter", (1000, 3000), (0.1, 0.3), 0)
    >>> fast = Curve("wasm", (1000, 201_000), (0.4, 0.6), 5)
    >>> draw_tiers(Speeds("crc32", (slow, fast), {})).alt[:38]
    'Lines, both axes logarithmic: seconds '
    """

    def draw(plate: Plate) -> None:
        right = 24 if plate.narrow else 216
        plate.margins(left=86, right=right, bottom=66, top=74)
        axes = plate.subplots()
        ticks = _FEW if plate.narrow else _POWERS
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_yticks(list(_SECONDS), list(_SECONDS.values()))
        axes.set(xlim=(_LEAST, _MOST), ylim=(_SHORT, _LONG))
        axes.set_xlabel("instructions" if plate.narrow else "instructions that the program does")
        axes.set_ylabel("processor time")
        axes.grid()
        for curve in found.curves:
            _line(axes, curve)
        _break_even(axes, found)
        _labels(axes, found, narrow=plate.narrow)
        style.finish(axes, _tiers_title(found), _tiers_alt(found), slide="S6–S7")

    return style.draw_on(figure, draw)


def _line(axes: Axes, curve: Curve) -> None:
    mark = TIER_MARKS.get(curve.name, HARDWARE)
    along = np.linspace(_LEAST, _MOST, 120)
    model = np.log10([curve.seconds_for(10**x) for x in along])
    axes.plot(along, model, color=mark.colour, lw=1.6)
    measured = np.log10(np.maximum(curve.seconds, 1e-9))
    axes.plot(np.log10(curve.instructions), measured, mark.marker, color=mark.colour, ms=7)


def _end(curve: Curve) -> tuple[float, float]:
    """Return where a line leaves the figure."""
    last = np.log10(curve.seconds_for(10**_MOST))
    if last <= _LONG:
        return _MOST, float(last)
    instructions = (10**_LONG - curve.start_s) * curve.rate
    return float(np.log10(max(instructions, 10**_LEAST))), _LONG


def _labels(axes: Axes, found: Speeds, *, narrow: bool) -> None:
    """Write beside each line what it is: where it leaves the figure, and never one on another."""
    step = 0.42 if narrow else 0.24
    free = _SHORT
    for curve, x, y in sorted(((one, *_end(one)) for one in found.curves), key=lambda one: one[2]):
        ink = TIER_MARKS.get(curve.name, HARDWARE).colour
        leaves_above = x < _MOST
        place = y - 0.16 if leaves_above else max(y, free)
        free = place + step
        beside = narrow or leaves_above
        up = step if narrow and not leaves_above else 0
        axes.annotate(
            curve.name if narrow else f"{curve.name}: {rounded(curve.rate)}/s",
            (x, y),
            xytext=(x - (0.28 if leaves_above else 0.06), place + up)
            if beside
            else (_MOST + 0.12, place),
            ha="right" if beside else "left",
            va="top" if leaves_above else "center",
            color=_DARK.get(ink, ink),
            weight="bold",
            annotation_clip=False,
        )


def _break_even(axes: Axes, found: Speeds) -> None:
    first = found.curves[0]
    for curve in found.curves[1:]:
        after = found.break_even(curve.name)
        if 10**_LEAST < after < 10**_MOST:
            y = float(np.log10(first.seconds_for(after)))
            axes.plot([np.log10(after)], [y], "X", color=HARDWARE.colour, ms=11, zorder=5)


def _tiers_title(found: Speeds) -> str:
    fastest = max(found.curves, key=lambda one: one.rate)
    first = found.curves[0]
    if fastest is first:
        return f"{found.program}: {first.name} only"
    after = found.break_even(fastest.name)
    times = rounded(found.times(fastest.name))
    if 0 < after < float("inf"):
        return f"{found.program}: {fastest.name} is {times} times as fast, once it has begun"
    return f"{found.program}: {fastest.name} is {times} times as fast as {first.name}"


def _tiers_alt(found: Speeds) -> str:
    return (
        "Lines, both axes logarithmic: seconds of processor time by instructions, measured points "
        f"and a straight end. {found.explain()}"
    )


def draw_worth(found: Speeds, figure: Plate | None = None) -> Plate:
    """Draw how fast the translator is without each of its passes.

    Parameters
    ----------
    found
        As `virtlab.machine.translation.speed.worth` measures it.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.translation.speed_curves import Curve, Speeds
    >>> every = Curve("all passes", (1000, 201_000), (0.4, 0.6), 5)
    >>> less = Curve("without regions", (1000, 101_000), (0.4, 0.6), 9)
    >>> draw_worth(Speeds("crc32", (every, less), {})).alt
    'Bars: speed of translated code, crc32. all passes: 100 %; without regions: 50 %.'
    """

    def draw(plate: Plate) -> None:
        plate.margins(left=24, right=40, bottom=62, top=74)
        axes = plate.subplots()
        shares = {one.name: 100 * found.times(one.name) for one in found.curves}
        most = max(shares.values())
        axes.set(xlim=(0, 1.16 * most), ylim=(len(shares), 0), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_xlabel("% of the speed with all passes")
        for k, (name, share) in enumerate(shares.items()):
            mark = VMS[0] if k == 0 else PAGES["hint"]
            hatch = "" if k == 0 else "///"
            axes.barh(k + 0.64, share, 0.42, color=mark.colour, hatch=hatch,
                      edgecolor=HARDWARE.colour, lw=0.9, alpha=0.85)  # fmt: skip
            axes.text(0, k + 0.24, name, va="center")
            axes.text(share + 0.01 * most, k + 0.64, f"{share:.0f} %", va="center", weight="bold")
        rows = "; ".join(f"{name}: {share:.0f} %" for name, share in shares.items())
        alt = f"Bars: speed of translated code, {found.program}. {rows}."
        style.finish(axes, _worth_title(found), alt, slide="S18")

    return style.draw_on(figure, draw)


def _worth_title(found: Speeds) -> str:
    left_out = [one for one in found.curves[1:] if one.name.startswith("without")]
    if not left_out:
        return f"{found.program}: {found.curves[0].name}"
    worst = min(left_out, key=lambda one: one.rate)
    share = 100 * found.times(worst.name)
    return f"{found.program}: {worst.name} it is {share:.0f} % as fast"
