"""One program in several ways, to choose and to measure (S6, S7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.guests import GUESTS
from virtlab.machine.ways import WAYS, compare, stored
from virtlab.plots.ways import draw_ladder
from virtlab.widgets import controls
from virtlab.widgets.app import App
from virtlab.widgets.buttons import buttons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.comparison import Comparison
    from virtlab.machine.ways import Way
    from virtlab.plots.style import Plate

__all__ = ["ways_app"]

_PROGRAMS = {f"{one.name}: {one.does}": one.name for one in GUESTS}
_MEASURE, _STORED = "Measure here", "Show the stored run"


def ways_app(program: str = "sieve", ways: Sequence[Way] = WAYS) -> App[Comparison]:
    """Make the widget: a program, the ladder of its slowdowns, and a button that measures it here.

    Parameters
    ----------
    program
        Where it starts, as in `virtlab.machine.guests.GUESTS`.
    ways
        What the button measures.

    Returns
    -------
    App
        With controls program and measure.

    Examples
    --------
    >>> app = ways_app()
    >>> app.set(program="crc32").result.program
    'crc32'
    """
    measured: dict[str, Comparison] = {}
    row = buttons("Each way once, two to ten seconds", [_MEASURE, _STORED])

    def compute(*, program: str, measure: int) -> Comparison:
        del measure  # it counts how often a button was pressed
        row.enabled = [True, program in measured]
        return measured.get(program) or stored(program)

    def draw(result: Comparison, figure: Plate) -> None:
        draw_ladder(result, figure)

    app = App(
        controls={
            "program": controls.choice("Program", _PROGRAMS, program),
            "measure": row,
        },
        compute=compute,
        draw=draw,
    )

    def tell(done: int, total: int, way: str) -> None:
        row.labels = [f"{done + 1} of {total}: {way} …", _STORED]

    def press(index: int) -> None:
        name = app.controls["program"].value
        if index == 1:
            del measured[name]
            return
        row.enabled = [False, False]
        try:
            measured[name] = compare(name, turns=1, ways=ways, tell=tell)
        finally:
            row.labels, row.enabled = [_MEASURE, _STORED], [True, name in measured]

    row.on_press(press)
    return app
