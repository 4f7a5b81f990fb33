"""Two machines and the link between them: pages leave, travel, arrive (S41-S45).

`FlightView` shows one moment of a migration: the pages of the source and of the target, which of
them travel, which the guest has just written, where the guest runs, and which step it is. It knows
no model: what it shows, it is told.

>>> view = FlightView(("prepare", "copy", "run"), ("kept", "sent"), names=("A", "B"))
>>> view.show(Moment([0, 0], [0, 1], moving=[1], step=2, where="source", title="One of two"))
>>> view.alt
'One of two. Step 2 of 3: copy. The VM runs on A. A: 2 kept, 0 sent. B: 1 kept, 1 sent.'
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from virtlab.plots.pages import SIGNS, ink
from virtlab.plots.palette import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

__all__ = ["FlightView", "Moment"]

_HERE = pathlib.Path(__file__).parent
_RUNS = {
    "source": "The VM runs on {0}.",
    "target": "The VM runs on {1}.",
    "paused": "It is paused.",
}
_PLAIN = "#FFFFFF"  # of a state that the palette does not know: no colour but white


@dataclass(frozen=True, eq=False)
class Moment:
    """What a `FlightView` shows.

    Attributes
    ----------
    source, target
        A state for each page: an index into the legend.
    moving
        Pages that travelled since the moment before.
    written
        Pages that the guest wrote since then, where it runs.
    how
        'sent' for pages that the source sends, 'fetched' for those that the target asked for.
    where
        Where the guest runs: 'source', 'paused' or 'target'.
    step
        The step, from 1; 0 before the first.
    deleted
        Whether the source is gone.
    link
        Words at the link, a line each.
    title, note
        The finding, and what happens just now.

    Examples
    --------
    See the module's example.
    """

    source: ArrayLike
    target: ArrayLike
    moving: ArrayLike = ()
    written: ArrayLike = ()
    how: str = "sent"
    where: str = "source"
    step: int = 0
    deleted: bool = False
    link: tuple[str, ...] = ()
    title: str = ""
    note: str = ""


class FlightView(anywidget.AnyWidget):
    """The pages of two machines, and what travels between them.

    Parameters
    ----------
    steps
        What the steps are called, in a few words each.
    legend
        States, keys of `virtlab.plots.palette.PAGES`; a mapping gives them other labels.
    names
        What the two machines are called.
    on_step
        Called with the number of a step that a reader asks to see.

    Attributes
    ----------
    moment
        What it shows now; None before the first.
    alt
        The same in words.

    Examples
    --------
    See the module's example.
    """

    _esm = "\n".join(
        (_HERE / name).read_text(encoding="utf-8") for name in ("pagemap-paint.js", "flight.js")
    )
    _css = _HERE / "virtlab.css"

    version = traitlets.Int(0).tag(sync=True)
    source = traitlets.Bytes(b"").tag(sync=True)
    target = traitlets.Bytes(b"").tag(sync=True)
    moving = traitlets.Bytes(b"").tag(sync=True)  # page numbers, four bytes each, little-endian
    written = traitlets.Bytes(b"").tag(sync=True)
    how = traitlets.Unicode("sent").tag(sync=True)
    where = traitlets.Unicode("source").tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    deleted = traitlets.Bool(default_value=False).tag(sync=True)
    link: Any = traitlets.List().tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    steps: Any = traitlets.List().tag(sync=True)
    names: Any = traitlets.List().tag(sync=True)
    legend: Any = traitlets.List().tag(sync=True)
    counts: Any = traitlets.List().tag(sync=True)  # of each state: at the source, at the target
    asked: Any = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        steps: Sequence[str],
        legend: Sequence[str] | Mapping[str, str],
        names: tuple[str, str] = ("source", "target"),
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        labels = dict(legend) if isinstance(legend, Mapping) else {key: key for key in legend}
        entries = [_entry(key, label) for key, label in labels.items()]
        super().__init__(steps=list(steps), names=list(names), legend=entries)
        self.moment: Moment | None = None
        self._on_step = on_step
        self.observe(self._asked, names="asked")

    def show(self, moment: Moment) -> None:
        """Show a moment, in one message.

        Parameters
        ----------
        moment
            What to show.

        Examples
        --------
        See the module's example.
        """
        self.moment = moment
        sides = [np.asarray(side, dtype=np.uint8) for side in (moment.source, moment.target)]
        counts = np.array([np.bincount(side, minlength=len(self.legend)) for side in sides])
        with self.hold_sync():
            self.source, self.target = (side.tobytes() for side in sides)
            self.moving = np.asarray(moment.moving, dtype="<u4").tobytes()
            self.written = np.asarray(moment.written, dtype="<u4").tobytes()
            self.how, self.where, self.step = moment.how, moment.where, moment.step
            self.deleted, self.link = moment.deleted, list(moment.link)
            self.title, self.note = moment.title, moment.note
            self.counts = counts.T.tolist()
            self.alt = self._in_words(moment, counts.tolist())
            self.version += 1

    def _in_words(self, moment: Moment, counts: list[list[int]]) -> str:
        """Say all that is seen."""
        parts = [f"{moment.title}."] if moment.title else []
        if moment.step:
            name = self.steps[moment.step - 1]
            parts.append(f"Step {moment.step} of {len(self.steps)}: {name}.")
        parts.append(_RUNS[moment.where].format(*self.names))
        for name, row in zip(self.names, counts, strict=True):
            kinds = zip(row, self.legend, strict=True)
            counted = ", ".join(f"{count:,} {kind['label']}" for count, kind in kinds)
            parts.append(f"{name}: {counted}.")
        return " ".join(parts)

    def _asked(self, change: Any) -> None:
        if self._on_step is not None and change["new"]:
            self._on_step(int(change["new"]["step"]))

    def __repr__(self) -> str:
        """Say it in words: traitlets would print the bytes."""
        return f"FlightView({self.alt!r})"


def _entry(key: str, label: str) -> dict[str, Any]:
    """Describe a state to the browser: words, colour, ink, sign."""
    colour = PAGES[key].colour if key in PAGES else _PLAIN
    sign = SIGNS.get(key)
    return {
        "label": label,
        "colour": colour,
        "ink": ink(colour),
        "own": False,
        "sign": sign._asdict() if sign else None,
    }
