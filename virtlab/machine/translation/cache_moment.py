"""What a translation cache held at each moment of a recorded run (S18).

A `CacheLog` is a run cut into frames, so that one can play it: at most one translation comes in a
frame, with all that had to go for it, or a page is forgotten, or known code runs for a while.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GONE", "STATES", "CacheLog", "CacheMoment", "Event", "UnitSeen"]

STATES = ("not yet", "there", "running", "new", "evicted", "invalidated")
NOT_YET, THERE, RUNNING, NEW, EVICTED, INVALIDATED = range(6)
GONE = {"evict": EVICTED, "invalidate": INVALIDATED}
_ENTERS = ("enter", "lookup", "link", "chained")
_WORDS = {
    "translate": "translated",
    "evict": "evicted",
    "invalidate": "invalidated",
    "enter": "looked up after the VMM",
    "lookup": "looked up after an indirect exit",
    "link": "looked up, and linked",
    "chained": "entered along a link",
}
_FRAMES = 240  # of a run, about


class Event(NamedTuple):
    """Something that happened to the cache.

    Attributes
    ----------
    at
        Instructions done before it.
    kind
        'translate', 'evict', 'invalidate'; and of a unit that is entered, how it was found:
        'enter' (after the interpreter or the VMM), 'lookup' (from an indirect exit), 'link' (from a
        direct one, which is linked now) or 'chained' (along a link: nobody was asked).
    unit
        Which, a number in `CacheLog.units`.
    source
        The unit that led there; -1 for none.

    Examples
    --------
    >>> Event(120, "chained", 3, 2).kind
    'chained'
    """

    at: int
    kind: str
    unit: int
    source: int = -1


@dataclass(frozen=True)
class UnitSeen:
    """A translation unit, as the map shows it.

    Attributes
    ----------
    address
        Linear address of its first instruction.
    page
        The physical page that it was made from.
    code
        Its instructions, as an assembler would write them.
    bytes
        How long they are.
    direct
        Whether where it ends leads to fixed addresses, so that it can be chained.

    Examples
    --------
    >>> UnitSeen(0x101004, 257, ("RET",), 1, direct=False).name
    '0x101004'
    """

    address: int
    page: int
    code: tuple[str, ...]
    bytes: int
    direct: bool

    @property
    def name(self) -> str:
        """Its address, as one writes it."""
        return f"{self.address:#x}"


@dataclass(frozen=True, eq=False)
class CacheMoment(Result):
    """The cache after a frame.

    Attributes
    ----------
    log
        The run.
    frame
        Which, from 0: nothing has happened yet.
    states
        Of each unit, an index into `STATES`.
    held
        Units in the cache, the first made first.
    links
        Pairs (from, to) that are chained.
    counts
        Up to here: 'translate', 'evict', 'invalidate', 'enter', 'lookup', 'link', 'chained'.
    made
        How often each unit was translated.
    events
        Of this frame.

    Examples
    --------
    >>> moment = CacheLog("none", "oldest", 4, (), (), 0).at(0)
    >>> moment.explain()
    'The cache is empty, with room for 4 units: no code has run yet.'
    """

    log: CacheLog
    frame: int
    states: NDArray[np.uint8]
    held: tuple[int, ...]
    links: frozenset[tuple[int, int]]
    counts: Counter[str]
    made: Counter[int]
    events: tuple[Event, ...]

    @property
    def entries(self) -> int:
        """How often a unit was entered."""
        return sum(self.counts[kind] for kind in _ENTERS)

    @property
    def path(self) -> tuple[tuple[int, int], ...]:
        """Ways that were gone in this frame, from unit to unit, each once, in order."""
        ways = ((e.source, e.unit) for e in self.events if e.kind in _ENTERS and e.source >= 0)
        return tuple(dict.fromkeys(ways))

    @property
    def counters(self) -> dict[str, int]:
        """What happened up to here, in words, and how often."""
        counts = self.counts
        return {
            "translated": counts["translate"],
            "entered": self.entries,
            "along a link, nobody asked": counts["chained"],
            "looked up after a direct exit": counts["link"],
            "looked up after an indirect exit": counts["lookup"],
            "looked up after the VMM": counts["enter"],
            "evicted": counts["evict"],
            "invalidated": counts["invalidate"],
            "in the cache": len(self.held),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each event of the frame."""
        units = self.log.units
        return pd.DataFrame(
            [
                {
                    "instruction": event.at,
                    "what": _WORDS[event.kind],
                    "unit": units[event.unit].name,
                    "from": units[event.source].name if event.source >= 0 else "",
                }
                for event in self.events
            ],
            columns=["instruction", "what", "unit", "from"],
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return the counters."""
        chained = self.counts["chained"]
        return {
            "instructions": self.events[-1].at if self.events else 0,
            "translations": self.counts["translate"],
            "entries": self.entries,
            "chained_percent": round(100 * chained / max(1, self.entries), 1),
            "evictions": self.counts["evict"],
            "invalidations": self.counts["invalidate"],
            "units": len(self.held),
            "limit": self.log.limit,
        }

    def explain(self) -> str:
        """Say what just happened."""
        if not self.events:
            return f"The cache is empty, with room for {self.log.limit} units: no code has run yet."
        parts = [self._gone(kind) for kind in ("invalidate", "evict")]
        new = [event.unit for event in self.events if event.kind == "translate"]
        if new:
            parts.append(self._translated(new[0]))
        ran = Counter(event.kind for event in self.events if event.kind in _ENTERS)
        if ran.total() and not new:
            units = len({event.unit for event in self.events if event.kind in _ENTERS})
            many = f"{units} known units run" if units > 1 else "A known unit runs"
            parts.append(
                f"{many}, {_times(ran.total())}: {ran['chained']:,} of the ways along a link, "
                f"{ran.total() - ran['chained']:,} looked up."
            )
        return " ".join(part for part in parts if part)

    def _gone(self, kind: str) -> str:
        gone = [event.unit for event in self.events if event.kind == kind]
        if not gone:
            return ""
        units = "1 unit has" if len(gone) == 1 else f"{len(gone)} units have"
        if kind == "evict":
            return f"The cache was full ({self.log.limit}): {units} to go, by {self.log.policy}."
        page = self.log.units[gone[0]].page
        why = f"The guest wrote on page {page:#x}, which holds code"
        return f"{why}: {units} to go, for what was made of it may be wrong."

    def _translated(self, unit: int) -> str:
        seen = self.log.units[unit]
        count = len(seen.code)
        size = f"{count} instructions" if count > 1 else "1 instruction"
        again = f", for the {_ordinal(self.made[unit])} time" if self.made[unit] > 1 else ""
        return f"Code at {seen.name} is met that is not there: {size} translated{again}."


@dataclass(frozen=True, eq=False)
class CacheLog(Result):
    """A recorded run.

    Attributes
    ----------
    program, policy, limit
        What ran, and the cache that it ran in.
    units
        All units that were ever made, in the order in which they were first made.
    events
        All that happened, in order.
    instructions
        How many the guest did.

    Examples
    --------
    >>> units = (UnitSeen(0x1000, 1, ("NOP",), 1, direct=True),)
    >>> events = (Event(0, "translate", 0), Event(0, "enter", 0))
    >>> log = CacheLog("none", "oldest", 4, units, events, 1)
    >>> len(log), log.at(1).held
    (2, (0,))
    """

    program: str
    policy: str
    limit: int
    units: tuple[UnitSeen, ...]
    events: tuple[Event, ...]
    instructions: int

    @cached_property
    def cuts(self) -> tuple[int, ...]:
        """Where each frame ends: a number of events."""
        entered = sum(event.kind in _ENTERS for event in self.events)
        most = max(4, -(-entered // _FRAMES))
        cuts, since, made, gone = [0], 0, False, False
        for number, event in enumerate(self.events):
            going = event.kind in GONE
            starts = (
                (event.kind == "translate" and (made or since > 0))
                or (going and (since > 0 or (made and not gone)))
                or since >= most
            )
            if starts and number > cuts[-1]:
                cuts.append(number)
                since, made, gone = 0, False, False
            since += event.kind in _ENTERS and not made
            made, gone = made or event.kind == "translate", gone or going
            if made and event.kind in _ENTERS:
                cuts.append(number + 1)
                since, made, gone = 0, False, False
        if cuts[-1] < len(self.events):
            cuts.append(len(self.events))
        return tuple(cuts)

    def __len__(self) -> int:
        """Return how many frames there are, the empty one before all with them."""
        return len(self.cuts)

    @cached_property
    def _moments(self) -> tuple[CacheMoment, ...]:
        """Go through the run once."""
        held: dict[int, None] = {}
        links: set[tuple[int, int]] = set()
        counts, made = Counter[str](), Counter[int]()
        states = np.zeros(len(self.units), np.uint8)
        found = [
            CacheMoment(self, 0, states.copy(), (), frozenset(), counts.copy(), made.copy(), ())
        ]
        for frame, (begin, end) in enumerate(zip(self.cuts, self.cuts[1:], strict=False), 1):
            states[np.isin(states, (RUNNING, NEW))] = THERE
            for event in self.events[begin:end]:
                counts[event.kind] += 1
                if event.kind == "translate":
                    held[event.unit] = None
                    made[event.unit] += 1
                    states[event.unit] = NEW
                elif event.kind in GONE:
                    del held[event.unit]
                    states[event.unit] = GONE[event.kind]
                    links = {link for link in links if event.unit not in link}
                elif states[event.unit] != NEW:
                    states[event.unit] = RUNNING
                if event.kind == "link":
                    links.add((event.source, event.unit))
            found.append(
                CacheMoment(
                    self, frame, states.copy(), tuple(held), frozenset(links), counts.copy(),
                    made.copy(), self.events[begin:end],
                )
            )  # fmt: skip
        return tuple(found)

    def at(self, frame: int) -> CacheMoment:
        """Return the cache after a frame.

        Parameters
        ----------
        frame
            From 0, before anything happened, to the last.

        Returns
        -------
        CacheMoment
            What it holds, and what has just happened.

        Raises
        ------
        InvalidInputError
            If there is no such frame.

        Examples
        --------
        See the class.
        """
        return self._moments[integer("frame", frame, minimum=0, maximum=len(self) - 1)]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each unit: where it is, and how often it was made, entered and lost."""
        counts: dict[str, Counter[int]] = {
            kind: Counter(e.unit for e in self.events if e.kind == kind)
            for kind in (*_ENTERS, "translate", *GONE)
        }
        return pd.DataFrame(
            [
                {
                    "address": unit.name,
                    "page": f"{unit.page:#x}",
                    "instructions": len(unit.code),
                    "translated": counts["translate"][k],
                    "entered": sum(counts[kind][k] for kind in _ENTERS),
                    "evicted": counts["evict"][k],
                    "invalidated": counts["invalidate"][k],
                }
                for k, unit in enumerate(self.units)
            ]
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return the counters at the end."""
        return {**self.at(len(self) - 1).summary(), "instructions": self.instructions}

    def explain(self) -> str:
        """Say how the whole run went."""
        said = self.summary()
        return (
            f"{self.program} did {self.instructions:,} instructions in {said['entries']:,} "
            f"entries of {len(self.units)} units, translated {said['translations']:,} times; "
            f"{said['chained_percent']} % of the entries were along a link. The cache holds "
            f"{said['units']} of {self.limit}; {said['evictions']:,} evicted ({self.policy}), "
            f"{said['invalidations']:,} invalidated."
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"
