"""A sequence between layers that one steps through: arrows that move, one after the other (S15).

`SequenceView` knows no model: lanes, arrows and the step it is told.

>>> lanes = [Lane("a", "guest", "g", "#0072B2"), Lane("b", "vmm", "v", "#4D4D4D")]
>>> view = SequenceView()
>>> view.show(lanes, [Step("a", "b", "out", "out", "0.5 µs", traps=True)], 1, title="One trap")
>>> view.alt
'One trap. Step 1 of 1, guest to vmm: out, 0.5 µs.'
"""

from __future__ import annotations

import pathlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Lane", "SequenceView", "Step"]

_HERE = pathlib.Path(__file__).parent


@dataclass(frozen=True)
class Lane:
    """A layer.

    Attributes
    ----------
    key
        What arrows call it.
    name, short
        What readers call it; where there is little room.
    colour
        As #rrggbb.

    Examples
    --------
    See the module's example.
    """

    key: str
    name: str
    short: str
    colour: str


@dataclass(frozen=True)
class Step:
    """An arrow.

    Attributes
    ----------
    source, target
        Keys of lanes; the same, if a layer works for itself.
    label, short
        What it is; where there is little room.
    time
        What it took, in words.
    times
        How many it stands for.
    traps
        Whether it traps.

    Examples
    --------
    See the module's example.
    """

    source: str
    target: str
    label: str
    short: str
    time: str
    times: int = 1
    traps: bool = False


class SequenceView(anywidget.AnyWidget):
    """Lanes and arrows, in a browser.

    Parameters
    ----------
    on_step
        Called with the number of a step that a reader asks to see.

    Attributes
    ----------
    step
        How many arrows are done.
    alt
        What is seen, in words.

    Examples
    --------
    See the module's example.
    """

    _esm = _HERE / "sequence.js"
    _css = _HERE / "virtlab.css"

    version = traitlets.Int(0).tag(sync=True)
    lanes: Any = traitlets.List().tag(sync=True)
    arrows: Any = traitlets.List().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    asked: Any = traitlets.Dict().tag(sync=True)

    def __init__(self, on_step: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._on_step = on_step
        self.observe(self._asked, names="asked")

    def show(
        self,
        lanes: Sequence[Lane],
        arrows: Sequence[Step],
        step: int,
        *,
        title: str = "",
        note: str = "",
    ) -> None:
        """Show a step, in one message.

        Parameters
        ----------
        lanes, arrows
            All of them.
        step
            How many arrows are done.
        title, note
            The finding, and words under the picture.

        Examples
        --------
        See the module's example.
        """
        integer("step", step, minimum=0, maximum=len(arrows))
        names = {lane.key: lane.name for lane in lanes}
        said = f"{title}. Step {step} of {len(arrows)}"
        if step:
            now = arrows[step - 1]
            said += f", {names[now.source]} to {names[now.target]}: {now.label}, {now.time}"
        with self.hold_sync():
            self.lanes, self.arrows = (
                [asdict(one) for one in lanes],
                [asdict(one) for one in arrows],
            )
            self.step, self.title, self.note, self.alt = step, title, note, f"{said}."
            self.version += 1

    def _asked(self, change: Any) -> None:
        if self._on_step is not None and change["new"]:
            self._on_step(int(change["new"]["step"]))

    def __repr__(self) -> str:
        """Say it in words."""
        return f"SequenceView({self.alt!r})"
