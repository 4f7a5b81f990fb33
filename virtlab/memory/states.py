"""How a host reclaims memory: by state, from plenty to emergency (S24-S26).

ESX Server watches how much of its memory is free. Four **states** (状態), each with a threshold in
percent of the host's memory, say how it gets more:

    high  6 %   nothing: there is enough
    soft  4 %   the balloon (S28); pages to disk only where no balloon can
    hard  2 %   pages to disk
    low   1 %   pages to disk, and a VM above its target waits

The host goes down to a state at once when less is free than that state's threshold, and up to a
state only when clearly more is free than that state's threshold. What "clearly" is, is not
published. Two things are meant by it here, and both are ours:

    by how much   nine tenths of `margin`, which is 1 % of memory: 6.9 % to get back to high
    for how long  `calm_s`, ten seconds without a break

Both are needed. Targets **aim** at `margin` above high, 7 %, so a host that reclaims as fast as its
VMs ask comes back to 7 % after every second, whatever they ask: if that were enough to be in high,
where nothing is reclaimed, it would be in soft again a few seconds later, and so on as long as they
ask. With calm asked for, it goes up when VMs ask for less than a tenth of `margin` a second, and at
that rate it takes half a minute from 6.9 % down to 4 %.

To **flap** is to come back to a state within `calm_s` of leaving it. A host that leaves a state
downwards can't: the way back takes that long. One that leaves it upwards can, but only if demand
rises by then, as when a VM starts; then soft is what it should be in.

Free memory may fall past several thresholds between two looks, as when a VM starts. Then the host
passes through every state in between at that one look, in order, and each passage is recorded:
states never skip, and an emergency isn't answered three looks too late. Upwards it takes one step
a look.

What it leaves out: who gives how much (`virtlab.memory.tax`), and how fast. States over time are
in `virtlab.memory.state_log`.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from virtlab.validate import InvalidInputError, number

__all__ = ["HostState", "Passage", "State", "Thresholds"]

_MARGIN, _CALM_S = 0.01, 10  # our reading of "significantly": part of memory, and seconds
_NEARLY = 0.9  # of the margin is enough to go up: what is aimed at is not always met to the page


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
        How far above high targets aim; nine tenths of it above a higher state's threshold are
        enough to get there. Ours.
    calm_s
        For how long, seconds. Ours.

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
    calm_s: float = _CALM_S

    def __post_init__(self) -> None:
        """Check that the thresholds fall."""
        above, limit = "high", number("high", self.high, minimum=0, maximum=1)
        for name in ("soft", "hard", "low"):
            value = number(name, getattr(self, name), minimum=0, maximum=1)
            if value >= limit:
                raise InvalidInputError(name, value, f"below {above}, {limit:g}")
            above, limit = name, value
        number("margin", self.margin, minimum=0, maximum=1)
        number("calm_s", self.calm_s, minimum=0)

    @property
    def aim(self) -> float:
        """How much targets leave free, so that the host surely gets back to high."""
        return round(self.high + self.margin, 12)

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

    def up(self, state: State) -> float:
        """Return how much must be free to come up to a state.

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
        >>> Thresholds().up(State.HIGH)
        0.069
        """
        return round(self.of(state) + _NEARLY * self.margin, 12)


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
    >>> host.look(0.05, time_s=32)  # clearly, but for how long?
    ()
    >>> host.look(0.05, time_s=42), host.state.label
    ((<State.SOFT: 1>,), 'soft')
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    state: State = State.HIGH
    passages: list[Passage] = field(default_factory=list)
    _since: dict[State, float] = field(default_factory=dict, repr=False)

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
        for state in State:  # since when has so much been free that it could be in this state?
            if free < self.thresholds.up(state):
                self._since.pop(state, None)
            else:
                self._since.setdefault(state, time_s)
        came: list[State] = []
        while self.state is not State.LOW and free < self._of_next():
            came.append(self._step(1, time_s, free))
        if not came and self._calm(time_s):
            came.append(self._step(-1, time_s, free))
        return tuple(came)

    def _of_next(self) -> float:
        """Return the threshold of the next lower state."""
        return self.thresholds.of(State(self.state + 1))

    def _calm(self, time_s: float) -> bool:
        """Return whether enough has been free for long enough to go up."""
        if self.state is State.HIGH:
            return False
        since = self._since.get(State(self.state - 1))
        return since is not None and time_s - since >= self.thresholds.calm_s

    def _step(self, way: int, time_s: float, free: float) -> State:
        """Go to a neighbour."""
        after = State(self.state + way)
        self.passages.append(Passage(time_s, self.state, after, free))
        self.state = after
        return after
