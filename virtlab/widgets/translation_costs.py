"""What a guest does, how often, and how slow it is translated and with VT-x (S18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.translation_costs.parts import CostFit, fit_costs
from virtlab.machine.translation_costs.slowdown import (
    RESTS,
    Load,
    Slowdown,
    fork_load,
    round_trips,
    slowdown,
)
from virtlab.plots.translation_costs import draw_costs
from virtlab.plots.translation_slowdown import draw_slowdown
from virtlab.validate import one_of
from virtlab.widgets import controls
from virtlab.widgets.app import App
from virtlab.widgets.buttons import buttons

if TYPE_CHECKING:
    from virtlab.plots.style import Plate

__all__ = ["costs_app", "parts_app"]

_PROCESSORS = {f"{name}: {cycles:,.0f} cycles": name for name, cycles in round_trips().items()}
_RESTS = {"stays as on the Pentium 4": RESTS[0], "gets cheaper in proportion": RESTS[1]}
_LOADS: dict[str, Load] = {
    "Fork and wait": fork_load(),
    "System calls": Load(syscalls=500_000),
    "Page tables": Load(pte_writes=200_000),
    "Ports": Load(ins=40_000),
    "Nothing": Load(),
}
# Name, label, the largest value, step and how many events one is.
_RATES = (
    ("syscalls", "System calls", 2000, 10, 1e3),
    ("page_faults", "Page faults", 1000, 5, 1e3),
    ("hidden_faults", "Hidden faults", 4000, 10, 1e3),
    ("pte_writes", "Page-table writes", 2000, 10, 1e3),
    ("ins", "in from a port", 400, 2, 1e3),
    ("call_rets", "Calls and returns", 200, 1, 1e6),
)


def costs_app(load: str = "Fork and wait") -> App[Slowdown]:
    """Make the widget: a processor, rates of events, both slowdowns and where they cross.

    Parameters
    ----------
    load
        Where the rates start: 'Fork and wait', 'System calls', 'Page tables', 'Ports' or 'Nothing'.

    Returns
    -------
    App
        With controls processor, rest, preset and one for each rate of `Load`.

    Raises
    ------
    InvalidInputError
        If there is no such load.

    Examples
    --------
    >>> app = costs_app()
    >>> round(app.result.bt, 1), round(app.result.hw, 1)
    (6.1, 17.6)
    >>> app.set(processor="Westmere", rest="in proportion").result.hw < app.result.bt
    True
    """
    row = buttons("Set the rates for", list(_LOADS))
    start = _values(_LOADS[one_of("load", load, tuple(_LOADS))])
    rates = {
        name: controls.slider(label, "k/s" if one == 1e3 else "M/s", start[name], 0, most, step)
        for name, label, most, step, one in _RATES
    }

    def compute(*, processor: str, rest: str, preset: int, **values: int) -> Slowdown:
        del preset  # it counts how often a button was pressed
        each = {name: values[name] * one for name, _, _, _, one in _RATES}
        return slowdown(Load(**each), processor, rest)

    def draw(result: Slowdown, figure: Plate) -> None:
        draw_slowdown(result, figure)

    app = App(
        controls={
            "processor": controls.choice("Processor", _PROCESSORS, "Pentium 4 672"),
            "rest": controls.choice("Other work at an exit", _RESTS, RESTS[0]),
            "preset": row,
            **rates,
        },
        compute=compute,
        draw=draw,
    )
    row.on_press(lambda index: app.set(**_values(list(_LOADS.values())[index])))
    return app


def _values(load: Load) -> dict[str, int]:
    """Return where the sliders stand for a load."""
    return {
        name: min(most, step * round(getattr(load, name) / one / step))
        for name, _, most, step, one in _RATES
    }


# Part, label, the largest value and step; what is checked is a share of the native cost.
_PARTS = (
    ("switch", "BT: switch by a trap", 4000, 10),
    ("callout", "BT: callout", 2000, 10),
    ("emulate", "BT: emulate in the cache", 500, 2),
    ("guest_memory", "Work on guest memory", 1000, 5),
    ("shadow", "Shadow entry", 500, 2),
    ("lookup", "BT: look a return up", 100, 1),
    ("in_line", "BT: a few instructions", 100, 1),
    ("handler", "HW: handle an exit", 6000, 20),
    ("device", "HW: device beyond that", 10_000, 20),
    ("decode", "HW: decode", 6000, 20),
    ("checked", "HW: checked in the guest", 40, 1),
)


def parts_app() -> App[CostFit]:
    """Make the widget in which one fits the table by hand: a slider for each part.

    Returns
    -------
    App
        With controls preset and one for each part; it starts with all parts at 0.

    Examples
    --------
    >>> app = parts_app()
    >>> app.controls["preset"].press("Least squares")
    >>> app.result.summary()["worst_error_percent"]
    1.7
    """
    row = buttons("Set the parts", ["Least squares", "All 0"])
    sliders = {
        name: controls.slider(label, "%" if name == "checked" else "cycles", 0, 0, most, step)
        for name, label, most, step in _PARTS
    }

    def compute(*, preset: int, **values: int) -> CostFit:
        del preset  # it counts how often a button was pressed
        return fit_costs(**{**values, "checked": values["checked"] / 100})

    def draw(result: CostFit, figure: Plate) -> None:
        draw_costs(result, figure)

    app = App(controls={"preset": row, **sliders}, compute=compute, draw=draw)

    def press(index: int) -> None:
        best = {**fit_costs().parts}
        best["checked"] *= 100
        given = {name: step * round(best[name] / step) for name, _, _, step in _PARTS}
        app.set(**(dict.fromkeys(given, 0) if index else given))

    row.on_press(press)
    return app
