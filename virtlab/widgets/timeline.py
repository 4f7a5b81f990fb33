"""Processors over time: who runs, and what each has had beside what it was entitled to (S21).

`TimelineView` draws a run on which time goes on: above, a row for each VM and one for each
processor, with a bar for each turn; below, the processors' whole time as bands, one a VM, with the
entitlement dashed. The browser moves it smoothly between two frames; the kernel is asked for
nothing while it does. It knows no model: what it shows, it is told.

>>> import numpy as np
>>> rows = [Row("VM1", "#0072B2", "1000 shares"), Row("VM2", "#D55E00", "1000 shares")]
>>> view = TimelineView(seconds=2.0, frame_s=0.1)
>>> turns = np.array([[0, 0, 0, 1_000_000], [1, 0, 1_000_000, 2_000_000]])
>>> view.show(Scene(rows, 1, turns, turns[:, [0, 2, 3]], np.zeros((101, 2)), title="In turn"))
>>> view.alt
'In turn. VM1: 1000 shares. VM2: 1000 shares.'
"""

from __future__ import annotations

import pathlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from virtlab.plots.pages import ink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.integer[Any]]

__all__ = ["Row", "Scene", "TimelineView"]

_HERE = pathlib.Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """A VM, as it is shown.

    Attributes
    ----------
    name
        Its name.
    colour
        Its colour.
    note
        Its settings, in few words.
    short
        The same where there is room for one number.
    on
        Whether it runs.
    chosen
        Whether the controls are about it.

    Examples
    --------
    >>> Row("VM1", "#0072B2").on
    True
    """

    name: str
    colour: str
    note: str = ""
    short: str = ""
    on: bool = True
    chosen: bool = False


@dataclass(frozen=True, eq=False)
class Scene:
    """What a `TimelineView` shows.

    Attributes
    ----------
    rows
        The VMs.
    cpus
        Physical processors.
    turns
        One row a turn: VM, processor, from and to in microseconds; in order of time.
    wants
        One row each time that a VM wanted to run: VM, from and to in microseconds.
    due_s
        What each VM was entitled to, up to moments that are equally far apart over all the time,
        in seconds: shape (moments, VMs).
    events
        When something was changed, seconds, and a few words.
    title
        The finding.

    Examples
    --------
    See the module's example.
    """

    rows: Sequence[Row]
    cpus: int
    turns: Numbers
    wants: Numbers
    due_s: NDArray[np.floating[Any]]
    events: Sequence[tuple[float, str]] = ()
    title: str = ""


class TimelineView(anywidget.AnyWidget):
    """A run of processors, on which time goes on.

    Parameters
    ----------
    seconds
        How long the run is.
    frame_s
        Seconds from one frame to the next.
    on_pick
        Called with what a reader points at: {'row': number of a VM} or {'at_s': a moment}.

    Attributes
    ----------
    frame
        The frame that is shown; the browser sets it.
    alt
        What is shown, in words.

    Examples
    --------
    See the module's example.
    """

    _esm = "\n".join(
        (_HERE / name).read_text(encoding="utf-8") for name in ("pagemap-paint.js", "timeline.js")
    )
    _css = _HERE / "virtlab.css"

    version = traitlets.Int(0).tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    playing = traitlets.Bool(default_value=False).tag(sync=True)
    interval_ms = traitlets.Int(100).tag(sync=True)
    seconds = traitlets.Float(1.0).tag(sync=True)
    frame_s = traitlets.Float(0.1).tag(sync=True)
    window_s = traitlets.Float(2.0).tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    cpus = traitlets.Int(1).tag(sync=True)
    turns = traitlets.Bytes(b"").tag(sync=True)  # four numbers each, four bytes a number
    wants = traitlets.Bytes(b"").tag(sync=True)  # three numbers each
    due = traitlets.Bytes(b"").tag(sync=True)  # four-byte floats
    events: Any = traitlets.List().tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    asked: Any = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        seconds: float,
        frame_s: float,
        on_pick: Callable[[dict[str, Any]], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seconds=seconds, frame_s=frame_s, **kwargs)
        self._on_pick = on_pick
        self.observe(self._asked, names="asked")

    def show(self, scene: Scene) -> None:
        """Show a run, in one message.

        Parameters
        ----------
        scene
            What to show.

        Examples
        --------
        See the module's example.
        """
        with self.hold_sync():
            self.rows = [{**asdict(row), "ink": ink(row.colour)} for row in scene.rows]
            self.cpus = scene.cpus
            self.turns = np.ascontiguousarray(scene.turns, dtype="<i4").tobytes()
            self.wants = np.ascontiguousarray(scene.wants, dtype="<i4").tobytes()
            self.due = np.ascontiguousarray(scene.due_s, dtype="<f4").tobytes()
            self.events = [[float(at_s), words] for at_s, words in scene.events]
            self.say(scene.title, scene.rows)
            self.version += 1

    def say(self, title: str, rows: Sequence[Row]) -> None:
        """Change the words alone.

        Parameters
        ----------
        title
            The finding.
        rows
            The VMs.

        Examples
        --------
        >>> view = TimelineView(1.0, 0.1)
        >>> view.say("Nobody runs", [Row("VM1", "#0072B2", on=False)])
        >>> view.alt
        'Nobody runs. VM1: off.'
        """
        self.title = title
        said = [f"{row.name}: {row.note if row.on else 'off'}." for row in rows]
        self.alt = " ".join([f"{title}.", *said])

    def _asked(self, change: Any) -> None:
        if self._on_pick is not None and change["new"]:
            self._on_pick(dict(change["new"]))

    def __repr__(self) -> str:
        """Say it in words: traitlets would print the bytes."""
        return f"TimelineView({self.alt!r})"
