"""How a host reclaims memory: by state, from plenty to emergency (S24-S26).

ESX Server watches how much of its memory is free. Four **states** (状態), each with a threshold in
percent of the host's memory, say how it gets more:

    high  6 %   nothing: there is enough
    soft  4 %   the balloon (S28); pages to disk only where no balloon can
    hard  2 %   pages to disk
    low   1 %   pages to disk, and a VM above its target waits

The host goes down to a state when less is free than that state's threshold, and up to a state only
when clearly more is free than that state's threshold. What "clearly" is, is not published: here it
is `margin`, 0.5 % of memory, and ours. From high to soft and back, free memory must move from below
4 % to above 6.5 %. So a host that hovers about one threshold stays in one state: it doesn't flap.

Free memory may fall past several thresholds between two looks, as when a VM starts. Then the host
passes through every state in between at that one look, in order, and each passage is recorded:
states never skip, and an emergency isn't answered three looks too late. All passages of one look
go the same way, because a free memory that is below a lower threshold isn't above a higher one.

What it leaves out: who gives how much (`virtlab.memory.tax`), and how fast. Targets must aim
at more free memory than it takes to get back to high: `Thresholds.aim`.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from virtlab.results import Result
from virtlab.validate import InvalidInputError, number, vector

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

__all__ = ["HostState", "Passage", "State", "StateLog", "Thresholds", "watch"]

_MARGIN = 0.005  # of the host's memory: our reading of "significantly"


class State(IntEnum):
    """A host's memory state; the higher the number, the less is free.

    Examples
    --------
    >>> State.SOFT.label, State.SOFT.balloons, State.SOFT.swaps
    ('soft', True, False)
    >>> [state.label for state in State if state.swaps]
    ['hard', 'low']
    """

    HIGH = 0
    SOFT = 1
    HARD = 2
    LOW = 3

    @property
    def label(self) -> str:
        """Its name as in the paper."""
        return self.name.lower()

    @property
    def balloons(self) -> bool:
        """Whether the host inflates balloons."""
        return self is State.SOFT

    @property
    def swaps(self) -> bool:
        """Whether the host pages out itself, even where a balloon could do it."""
        return self >= State.HARD

    @property
    def blocks(self) -> bool:
        """Whether a VM above its target waits until it is not."""
        return self is State.LOW


@dataclass(frozen=True)
class Thresholds:
    """At which free memory, as a part of the host's, its state changes.

    Attributes
    ----------
    high, soft, hard, low
        Each state's threshold; they must fall.
    margin
        How far a higher state's threshold must be exceeded to get there. Ours.

    Examples
    --------
    >>> Thresholds().aim
    0.07
    >>> Thresholds(soft=0.07)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: soft = 0.07: must be below high, 0.06
    """

    high: float = 0.06
    soft: float = 0.04
    hard: float = 0.02
    low: float = 0.01
    margin: float = _MARGIN

    def __post_init__(self) -> None:
        """Check that the thresholds fall."""
        above, limit = "high", number("high", self.high, minimum=0, maximum=1)
        for name in ("soft", "hard", "low"):
            value = number(name, getattr(self, name), minimum=0, maximum=1)
            if value >= limit:
                raise InvalidInputError(name, value, f"below {above}, {limit:g}")
            above, limit = name, value
        number("margin", self.margin, minimum=0, maximum=1)

    @property
    def aim(self) -> float:
        """How much targets leave free, so that the host surely gets back to high."""
        return round(self.high + 2 * self.margin, 12)

    def of(self, state: State) -> float:
        """Return a state's own threshold.

        Parameters
        ----------
        state
            The state.

        Returns
        -------
        float
            A part of the host's memory.

        Examples
        --------
        >>> Thresholds().of(State.HARD)
        0.02
        """
        return (self.high, self.soft, self.hard, self.low)[state]


@dataclass(frozen=True)
class Passage:
    """A step from one state to the next.

    Attributes
    ----------
    time_s
        When the host looked.
    before, after
        States that are neighbours.
    free
        Free memory at that look, as a part of the host's.
    """

    time_s: float
    before: State
    after: State
    free: float


@dataclass
class HostState:
    """A host's state, which follows its free memory.

    Call `look` once a tick, before anything is reclaimed, and read `state`; `passages` is the
    whole record.

    Attributes
    ----------
    thresholds
        Where the state changes.
    state
        What it is now; a host begins in high.
    passages
        Each step from a state to its neighbour, in order.

    Examples
    --------
    >>> host = HostState()
    >>> [state.label for state in host.look(0.015, time_s=30)]  # a VM took nearly all there was
    ['soft', 'hard']
    >>> host.look(0.041, time_s=31)  # above soft's 4 %, not clearly: no step
    ()
    >>> host.look(0.046, time_s=32), host.state.label
    ((<State.SOFT: 1>,), 'soft')
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    state: State = State.HIGH
    passages: list[Passage] = field(default_factory=list)

    def look(self, free: float, time_s: float = 0.0) -> tuple[State, ...]:
        """Look at the free memory, and step from state to state as far as it says.

        Parameters
        ----------
        free
            Free memory as a part of the host's, from 0 to 1.
        time_s
            When, for the record.

        Returns
        -------
        tuple
            The states it came to, in order; empty if it stays.

        Raises
        ------
        InvalidInputError
            If `free` is no number from 0 to 1.

        Examples
        --------
        >>> HostState().look(0.039)
        (<State.SOFT: 1>,)
        """
        free = number("free", free, minimum=0, maximum=1)
        came: list[State] = []
        while (after := self._next(free)) is not self.state:
            self.passages.append(Passage(time_s, self.state, after, free))
            self.state = after
            came.append(after)
        return tuple(came)

    def _next(self, free: float) -> State:
        """Return the neighbour that the free memory leads to, or the state as it is."""
        at = self.thresholds
        if self.state is not State.LOW and free < at.of(State(self.state + 1)):
            return State(self.state + 1)
        if self.state is not State.HIGH:
            above = State(self.state - 1)
            if free >= at.of(above) + at.margin:
                return above
        return self.state


@dataclass(frozen=True, eq=False)
class StateLog(Result):
    """The states of a host over time.

    Attributes
    ----------
    time_s, free
        When it looked, and what was free, as a part of its memory.
    state
        The state after each look, as a `State`'s number.
    passages
        Each step from a state to its neighbour.
    thresholds
        Where the state changes.

    Examples
    --------
    >>> print(watch([0.2, 0.03, 0.015, 0.05, 0.07]).explain())
    In 5 looks the host went through 4 steps: high > soft > hard > soft > high.
    """

    time_s: NDArray[np.float64]
    free: NDArray[np.float64]
    state: NDArray[np.int8]
    passages: tuple[Passage, ...]
    thresholds: Thresholds

    def to_frame(self) -> pd.DataFrame:
        """Return one row a look."""
        import pandas as pd

        labels = [State(number).label for number in self.state]
        return pd.DataFrame(
            {"time_s": self.time_s, "free_percent": 100 * self.free, "state": labels}
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how often it stood in each state, in percent of the looks, and the steps."""
        looks = max(self.state.size, 1)
        parts: dict[str, float | int | str] = {
            f"{state.label}_percent": float(100 * (self.state == state).sum() / looks)
            for state in State
        }
        return {"looks": self.state.size, **parts, "steps": len(self.passages)}

    def explain(self) -> str:
        """Say through which states it went."""
        if not self.passages:
            where = State(int(self.state[0])).label if self.state.size else State.HIGH.label
            return f"In {self.state.size} looks the host stayed in {where}."
        steps = self.passages
        route = " > ".join(
            [steps[0].before.label, *(step.after.label for step in steps[:8])]
            + ["…"] * (len(steps) > 8)
        )
        word = "step" if len(steps) == 1 else "steps"
        return f"In {self.state.size} looks the host went through {len(steps)} {word}: {route}."


def watch(
    free: ArrayLike, time_s: ArrayLike | None = None, thresholds: Thresholds | None = None
) -> StateLog:
    """Follow a host's state over a series of looks at its free memory.

    Parameters
    ----------
    free
        Free memory at each look, as a part of the host's, from 0 to 1.
    time_s
        When it looked; once a second if not given.
    thresholds
        Where the state changes; the published ones if not given.

    Returns
    -------
    StateLog
        The state at each look, and all steps.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or there aren't as many times as looks.

    Examples
    --------
    >>> watch([0.2, 0.03, 0.015]).summary()["steps"]
    2
    """
    parts = vector("free", free, minimum=0)
    times = np.arange(parts.size) if time_s is None else time_s
    when = vector("time_s", times, size=parts.size)
    host = HostState(thresholds or Thresholds())
    state = np.empty(parts.size, dtype=np.int8)
    for i, (part, moment) in enumerate(zip(parts.tolist(), when.tolist(), strict=True)):
        host.look(part, moment)
        state[i] = host.state
    return StateLog(when, parts, state, tuple(host.passages), host.thresholds)
