"""How slow a guest is translated and with VT-x, by what an exit costs (S18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from virtlab.machine.translation_costs.slowdown import round_trips
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE
from virtlab.plots.translation_costs import COST_WAYS

if TYPE_CHECKING:
    from matplotlib.artist import Artist

    from virtlab.machine.translation_costs.slowdown import Slowdown
    from virtlab.plots.style import Plate

__all__ = ["draw_slowdown"]


def draw_slowdown(found: Slowdown, figure: Plate | None = None) -> Plate:
    """Draw both slowdowns by what an exit costs, with the processors there were.

    Parameters
    ----------
    found
        The guest's load, and the processor chosen.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.translation_costs import slowdown
    >>> from virtlab.machine.translation_costs.slowdown import fork_load
    >>> draw_slowdown(slowdown(fork_load(), "Westmere", "in proportion")).alt[:66]
    'Two lines, times native by cycles of an exit and entry: translated'
    """
    return style.show_on(figure, _Lines, found)


class _Lines:
    """A flat line of BT, a rising one of HW, the processors on it, and where they cross."""

    def __init__(self, figure: Plate) -> None:
        self.figure, self.narrow = figure, figure.narrow
        if self.narrow:
            figure.margins(left=62, right=22, top=96, bottom=66)
        else:
            figure.margins(left=84, right=40, top=70, bottom=66)
        axes = figure.subplots()
        axes.set(xlim=(0, 4700), ylim=(0.5, 2))
        axes.set_xticks([0, 1000, 2000, 3000, 4000], ["0", "1,000", "2,000", "3,000", "4,000"])
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y")
        axes.set_ylabel("times native")
        long = "cycles to leave the guest and enter it again"
        axes.set_xlabel("cycles of an exit and entry" if self.narrow else long)
        self.bt = axes.axhline(1, color=COST_WAYS["bt"].colour, ls=(0, (5, 2)))
        (self.hw,) = axes.plot([0, 4700], [1, 1], color=COST_WAYS["hw"].colour)
        (self.models,) = axes.plot(
            [], [], "o", mfc="white", mec=COST_WAYS["hw"].colour, mew=1.6, ms=8
        )
        (self.chosen,) = axes.plot([], [], "o", color=COST_WAYS["hw"].colour, ms=11)
        (self.cross,) = axes.plot([], [], "X", color=HARDWARE.colour, ms=11)
        self.drop = LineCollection([], color=HARDWARE.colour, lw=1, ls=":")
        axes.add_collection(self.drop)
        room: dict[str, Any] = {
            "facecolor": "white",
            "edgecolor": "none",
            "pad": 1.5,
            "alpha": 0.85,
        }
        self.words = {
            key: axes.text(0, 0, "", va="center", bbox=room)
            for key in ("bt", "hw", "chosen", "cross")
        }
        self.words["bt"].set_color("#9A6A00")
        self.words["hw"].set_color(COST_WAYS["hw"].colour)
        self.axes = axes
        self.still: object = None
        self.layers: list[tuple[object, list[Artist]]] = []

    def show(self, found: Slowdown) -> None:
        """Move the lines, and the axis only when it has to be another one."""
        ends = found.at(0), found.at(4700)
        low, high = min(1.0, found.bt, *ends), max(1.0, found.bt, *ends)
        low, high = _limits(low, high)
        self.still = (low, high)
        self.axes.set_ylim(low, high)
        self.bt.set_ydata([found.bt, found.bt])
        self.hw.set_ydata(ends)
        trips = np.array(list(round_trips().values()))
        self.models.set_data(trips, [found.at(float(cycles)) for cycles in trips])
        self.chosen.set_data([found.exit_cycles], [found.hw])
        crosses = found.cross == found.cross and found.cross <= 4700
        self.cross.set_data([found.cross] if crosses else [], [found.bt] if crosses else [])
        self.drop.set_segments([[(found.cross, low), (found.cross, found.bt)]] if crosses else [])
        self._say(found, low, high, crosses=crosses)
        lines: list[Artist] = [self.drop, self.bt, self.hw, self.models, self.chosen, self.cross]
        self.layers = [(object(), [*lines, *self.words.values()])]
        style.finish(self.axes, _slow_title(found), _slow_alt(found), slide="S18")

    def _say(self, found: Slowdown, low: float, high: float, *, crosses: bool) -> None:
        """Write beside each thing what it is, where nothing else is."""
        step = (high - low) * (0.055 if self.narrow else 0.06)
        right = 4680.0
        above = found.hw > found.bt
        self.words["bt"].set_text(f"translated: {found.bt:.2f} ×")
        at_right = found.at(right)
        near = abs(at_right - found.bt) < 3 * step
        side = -1 if at_right > found.bt or (near and above) else 1
        self.words["bt"].set(position=(right, _inside(found.bt + side * step, low, high, step)))
        self.words["bt"].set_horizontalalignment("right")
        name = "" if self.narrow else f" on {found.processor}"
        self.words["chosen"].set_text(f"VT-x{name}: {found.hw:.2f} ×")
        left = found.exit_cycles > 2300
        up = _inside(found.hw + (1 if above else -1) * 1.5 * step, low, high, step)
        self.words["chosen"].set(position=(found.exit_cycles, up), ha="right" if left else "left")
        self.words["hw"].set_text("")
        self.words["cross"].set_text(f"equal at {found.cross:,.0f}" if crosses else "")
        if crosses:
            where = "right" if found.cross > 2800 else "left"
            self.words["cross"].set(position=(found.cross, low + step), ha=where)


def _inside(y: float, low: float, high: float, step: float) -> float:
    return min(max(y, low + step), high - step)


def _limits(low: float, high: float) -> tuple[float, float]:
    """Return limits of which there are few, so that the axis seldom moves."""
    tops = (1.2, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
    room = high + 0.08 * (high - 1)
    top = next((one for one in tops if one >= room), 2 ** np.ceil(np.log2(room)))
    bottom = 1 - 0.1 * (top - 1) if low >= 1 - 0.05 * (top - 1) else np.floor(low * 5) / 5 - 0.1
    return float(bottom), float(top)


def _slow_title(found: Slowdown) -> str:
    where = f"{found.exit_cycles:,.0f} cycles an exit"
    if abs(found.hw / found.bt - 1) < 0.01:
        return f"Both as slow, at {where}"
    better, worse = sorted((found.bt, found.hw))
    name = "VT-x" if found.hw < found.bt else "Translation"
    return f"{name} wins at {where}: {better:.2f} × native, not {worse:.2f}"


def _slow_alt(found: Slowdown) -> str:
    cross = "they do not cross" if found.cross != found.cross else f"equal at {found.cross:,.0f}"
    points = ", ".join(
        f"{name} ({cycles:,.0f} cycles) {found.at(cycles):.2f}"
        for name, cycles in round_trips().items()
    )
    return (
        f"Two lines, times native by cycles of an exit and entry: translated {found.bt:.2f} "
        f"everywhere, VT-x from {found.at(0):.2f} at no cycles; {points}. Chosen: "
        f"{found.processor}, {found.hw:.2f}; {cross}."
    )
