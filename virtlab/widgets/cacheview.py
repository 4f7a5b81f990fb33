"""The translation cache as a map: blocks that come, are found again, and have to go (S18).

`CacheView` draws the units of a recorded run twice: where their code stands in the guest's memory,
and in the cache, in the order in which they were made. Curves are links: exits that go to the next
unit directly. It is told one moment after another, and moves from each to the next.

>>> from virtlab.machine.translation.cache_moment import CacheLog, Event, UnitSeen
>>> units = (UnitSeen(0x1000, 1, ("NOP", "JMP 0x1000"), 3, direct=True),)
>>> events = (Event(0, "translate", 0), Event(0, "enter", 0), Event(2, "link", 0, 0))
>>> view = CacheView()
>>> view.show(CacheLog("loop", "oldest", 4, units, events, 4).at(1))
>>> view.alt
'Code at 0x1000 is met that is not there: 2 instructions translated. 1 of 4 units in the cache: \
0 there, 0 running, 1 new. 0 not yet translated, 0 evicted, 0 invalidated. 0 links.'
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from virtlab.machine.translation.cache_moment import STATES
from virtlab.plots.pages import ink
from virtlab.plots.translation_cache import MARKS, rows_of, said

if TYPE_CHECKING:
    from virtlab.machine.translation.cache_moment import CacheLog, CacheMoment

__all__ = ["CacheView"]

_HERE = pathlib.Path(__file__).parent


class CacheView(anywidget.AnyWidget):
    """A map of the translation cache.

    Attributes
    ----------
    moment
        What it shows now; None before the first.
    cursor
        Number of the unit that a reader points at, in the order of addresses; -1 for none.
    alt
        What is shown, in words.

    Examples
    --------
    See the module's example.
    """

    _esm = "\n".join(
        (_HERE / name).read_text(encoding="utf-8") for name in ("pagemap-paint.js", "cacheview.js")
    )
    _css = _HERE / "virtlab.css"

    version = traitlets.Int(0).tag(sync=True)
    run = traitlets.Int(0).tag(sync=True)  # another one has other units
    units: Any = traitlets.List().tag(sync=True)  # in the order of addresses
    rows: Any = traitlets.List().tag(sync=True)  # a page each: words, first unit, how many
    legend: Any = traitlets.List().tag(sync=True)
    limit = traitlets.Int(1).tag(sync=True)
    states = traitlets.Bytes(b"").tag(sync=True)  # a byte a unit
    held = traitlets.Bytes(b"").tag(sync=True)  # two bytes a unit, the first made first
    links = traitlets.Bytes(b"").tag(sync=True)  # from, to
    path = traitlets.Bytes(b"").tag(sync=True)  # from, to, 1 for along a link
    counts: Any = traitlets.List().tag(sync=True)  # words and number
    title = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    cursor = traitlets.Int(-1).tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        legend = [
            {
                "label": MARKS[state].label,
                "colour": MARKS[state].colour,
                "ink": ink(MARKS[state].colour),
                "sign": MARKS[state].sign,
            }
            for state in STATES
        ]
        super().__init__(legend=legend, **kwargs)
        self.moment: CacheMoment | None = None
        self._log: CacheLog | None = None
        self._place = np.zeros(0, np.int64)  # of each unit, in the order of addresses

    def show(self, moment: CacheMoment) -> None:
        """Show a moment, in one message.

        Parameters
        ----------
        moment
            What to show.

        Examples
        --------
        See the module's example.
        """
        with self.hold_sync():
            if moment.log is not self._log:
                self._start(moment.log)
            self.moment = moment
            order = np.argsort(self._place)
            self.states = moment.states[order].tobytes()
            self.held = self._pack(moment.held)
            self.links = self._pack(sorted(moment.links))
            self.path = self._path(moment)
            self.counts = [list(pair) for pair in moment.counters.items()]
            self.alt = _alt(moment)
            self.version += 1

    def _start(self, log: CacheLog) -> None:
        """Send the units of another run."""
        self._log = log
        rows = rows_of(log)
        order = [unit for _, units in rows for unit in units]
        self._place = np.empty(len(order), np.int64)
        self._place[order] = np.arange(len(order))
        self.units = [
            {
                "name": log.units[unit].name,
                "size": len(log.units[unit].code),
                "code": "; ".join(log.units[unit].code),
                "direct": log.units[unit].direct,
            }
            for unit in order
        ]
        first, sent = 0, []
        for words, units in rows:
            sent.append({"label": words, "first": first, "size": len(units)})
            first += len(units)
        self.rows, self.limit, self.cursor = sent, log.limit, -1
        self.title = f"{said(log.program)}: {len(log.units)} units of code, room for {log.limit}"
        self.run += 1

    def _pack(self, numbers: Any) -> bytes:
        flat = np.asarray(numbers, np.int64).reshape(-1)
        return self._place[flat].astype("<u2").tobytes()

    def _path(self, moment: CacheMoment) -> bytes:
        along = {(e.source, e.unit): e.kind == "chained" for e in moment.events}
        ways = [
            (self._place[a], self._place[b], along[a, b]) for a, b in moment.path if (a, b) in along
        ]
        return np.asarray(ways, np.int64).reshape(-1).astype("<u2").tobytes()

    def __repr__(self) -> str:
        """Say it in words: traitlets would print the bytes."""
        return f"CacheView({self.alt!r})"


def _alt(moment: CacheMoment) -> str:
    """Say all that is seen."""
    count = np.bincount(moment.states, minlength=len(STATES))
    held = ", ".join(f"{count[k]} {MARKS[STATES[k]].label}" for k in (1, 2, 3))
    gone = ", ".join(f"{count[k]} {MARKS[STATES[k]].label}" for k in (0, 4, 5))
    return (
        f"{moment.explain()} {len(moment.held)} of {moment.log.limit} units in the cache: {held}. "
        f"{gone}. {len(moment.links)} links."
    )
