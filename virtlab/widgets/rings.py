"""Rings to play with (S17): a kernel to walk through, bytes to try, and the whole table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.probes import PROBES
from virtlab.machine.ring_choice import BESIDE, RingChoice, choose, differences
from virtlab.plots.rings import cell_at, draw_ring_choice
from virtlab.widgets import controls
from virtlab.widgets.app import App
from virtlab.widgets.rings_walk import AttemptWalk, KernelWalk

if TYPE_CHECKING:
    from virtlab.plots.style import Plate

__all__ = ["attempt", "kernel", "table"]


def kernel() -> KernelWalk:
    """Make the walk through the small kernel, at its first system call.

    Returns
    -------
    KernelWalk
        The widget; it takes some seconds the first time, for the kernel runs to its end.

    Examples
    --------
    >>> kernel().moment.how
    'int 0x80'
    """
    return KernelWalk()


def attempt() -> AttemptWalk:
    """Make the walk through a few bytes, at a ring of one's choice.

    Returns
    -------
    AttemptWalk
        The widget.

    Examples
    --------
    >>> attempt().set(step=1).moment.how
    '#GP'
    """
    return AttemptWalk()


def table(instruction: str = "popf") -> App[RingChoice]:
    """Make the table of signs: choose a cell, an IOPL, and whose table it is held against.

    Parameters
    ----------
    instruction
        Chosen at the start.

    Returns
    -------
    App
        The widget.

    Examples
    --------
    >>> app = table().set(ring=0)
    >>> app.result.kind
    'works'
    """
    names = {probe.text: probe.name for probe in PROBES}
    for one in BESIDE:
        differences(one, 0)  # now, and not when a reader asks: a repaired processor runs all of it

    def compute(*, iopl: int, instruction: str, ring: int, beside: str) -> RingChoice:
        return choose(instruction, ring, iopl, beside)

    def draw(result: RingChoice, figure: Plate) -> None:
        draw_ring_choice(result, figure)

    app = App(
        controls={
            "iopl": controls.slider("IOPL", "", 0, 0, 3, 1),
            "instruction": controls.choice("Instruction", names, instruction),
            "ring": controls.slider("Ring", "", 3, 0, 3, 1),
            "beside": controls.choice("Held against", {one: one for one in BESIDE}, BESIDE[0]),
        },
        compute=compute,
        draw=draw,
    )

    def point(x: float, y: float) -> None:
        found = cell_at(app.picture.figure, x, y)
        if found is not None:
            app.set(instruction=found[0], ring=found[1])

    app.picture.on_pick(point)
    return app
