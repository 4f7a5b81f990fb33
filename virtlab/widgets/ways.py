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
_SOURCES = {"the stored run": "stored", "this machine, once measured": "here"}
_MEASURE = "Measure here"


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
        With controls program, source and measure.

    Examples
    --------
    >>> app = ways_app()
    >>> app.set(program="crc32").result.program
    'crc32'
    """
    measured: dict[str, Comparison] = {}
    button = buttons("Each way once, two to ten seconds", [_MEASURE])
    source = controls.choice("Measured on", _SOURCES, "stored")

    def compute(*, program: str, source: str, measure: int) -> Comparison:
        del measure  # it counts how often the button was pressed
        return measured[program] if source == "here" and program in measured else stored(program)

    def draw(result: Comparison, figure: Plate) -> None:
        draw_ladder(result, figure)

    app = App(
        controls={
            "program": controls.choice("Program", _PROGRAMS, program),
            "measure": button,
            "source": source,
        },
        compute=compute,
        draw=draw,
    )

    def tell(done: int, total: int, way: str) -> None:
        button.labels = [f"{done + 1} of {total}: {way} …"]

    def measure(_index: int) -> None:
        name = app.controls["program"].value
        button.enabled = [False]
        try:
            measured[name] = compare(name, turns=1, ways=ways, tell=tell)
        finally:
            button.labels, button.enabled = [_MEASURE], [True]
        source.value = "here"

    button.on_press(measure)
    return app
