"""The level of `allocate`, kept up to date while clients come and go (S21).

`virtlab.resources.allocate` pours a capacity into vessels: client i gets clip(level * shares, low,
high), with the one level that spends it. Here the vessels change one at a time, and the level
follows: it is known at which levels someone leaves its minimum (low / shares) or meets its maximum
(high / shares); in order, these **kinks** are a list, and the level stands between two of them.
Whoever comes or goes moves it by a few of them as a rule, instead of a new search among all.

Who is at its minimum or maximum is **bound**: its rate is that number, whatever the level does.
Who is not gets level * shares. So the **virtual time**, which runs on by level * dt, is one clock
for all that are not bound: what each was entitled to is its shares times what that clock moved on.
It is the virtual time of generalised processor sharing, with a floor and a lid.

Sources: A. Parekh, R. Gallager, "A generalized processor sharing approach to flow control",
IEEE/ACM Trans. Networking 1 (1993); for kinks see `virtlab.resources.level`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Level"]

_LEAVES, _MEETS = 0, 1  # its minimum, its maximum
_ROUNDING = 1e-9  # of a processor


class _Client(Protocol):
    """Whoever has shares and bounds, and is told whether they bind, and its weight."""

    index: int
    shares: float
    low: float
    high: float
    bound: bool
    weight: float


class Level:
    """The level, and the virtual time, for clients that come and go.

    A client has attributes index, shares, low and high (parts of a processor, high > 0). It is
    given `bound`, and `weight`: its rate if it is bound, else its shares.

    Parameters
    ----------
    capacity
        Processors.
    moved
        Called as moved(client, bound, weight) when another one's coming or going binds or frees a
        client; it has to set the two.

    Examples
    --------
    >>> from virtlab.resources.cpu.policies import Vcpu
    >>> level, a, b = Level(1), Vcpu(0, 0, 3000), Vcpu(1, 1, 1000)
    >>> a.high = 0.5
    >>> level.join(b)
    >>> level.join(a)
    >>> level.rate(a), level.rate(b)
    (0.5, 0.5)
    """

    def __init__(
        self, capacity: float, moved: Callable[[Any, bool, float], None] | None = None
    ) -> None:
        self.capacity = float(capacity)
        self.moved = moved or _set
        self.level = 0.0
        self.virtual, self.since = 0.0, 0.0  # virtual time, and when that was
        self._points: list[tuple[float, int, int, Any]] = []  # kinks, in rising order
        self._below = 0  # how many of them are below the level
        self._slope, self._fixed = 0.0, 0.0  # shares of those not bound, rates of those bound
        self._free = self._bound = 0  # how many these are

    def advance(self, now: float) -> float:
        """Let time pass; return the virtual time.

        Parameters
        ----------
        now
            The time, in any unit; never before the last one.

        Returns
        -------
        float
            In that unit, times parts of a processor, by shares.
        """
        if self._free:
            self.virtual += self.level * (now - self.since)
        self.since = now
        return self.virtual

    def rate(self, client: _Client) -> float:
        """Return what one gets, in parts of a processor.

        Parameters
        ----------
        client
            Which; it has joined.

        Returns
        -------
        float
            What `allocate` says.
        """
        return client.weight if client.bound else self.level * client.shares

    def join(self, client: _Client) -> None:
        """Let one in.

        Parameters
        ----------
        client
            Which.
        """
        client.bound, client.weight = False, client.shares
        if not client.shares:
            client.bound, client.weight = True, client.low
        else:
            if client.low and not self._insert(client, _LEAVES):
                client.bound, client.weight = True, client.low
            if self._insert(client, _MEETS):
                client.bound, client.weight = True, client.high
        self._count(client, 1)
        self._settle()

    def leave(self, client: _Client) -> None:
        """Let one out.

        Parameters
        ----------
        client
            Which; its shares and bounds are those it joined with.
        """
        if client.shares:
            for kind in (_LEAVES, _MEETS) if client.low else (_MEETS,):
                place = bisect_left(self._points, self._kink(client, kind))
                del self._points[place]
                self._below -= place < self._below
        self._count(client, -1)
        self._settle()

    @staticmethod
    def _kink(client: _Client, kind: int) -> tuple[float, int, int, Any]:
        part = client.low if kind == _LEAVES else client.high
        return part / client.shares, client.index, kind, client

    def _insert(self, client: _Client, kind: int) -> bool:
        """Put a kink in its place; return whether the level is above it."""
        kink = self._kink(client, kind)
        place = bisect_left(self._points, kink)
        below = place < self._below or (place == self._below and kink[0] <= self.level)
        insort(self._points, kink)
        self._below += below
        return below

    def _count(self, client: _Client, times: int) -> None:
        """Count one in or out; sums of none are 0 to the last digit."""
        if client.bound:
            self._bound += times
            self._fixed = self._fixed + times * client.weight if self._bound else 0.0
        else:
            self._free += times
            self._slope = self._slope + times * client.weight if self._free else 0.0

    def _settle(self) -> None:
        """Move the level over kinks until it spends the capacity: up, or else down."""
        points, rose = self._points, False
        while self._below < len(points) and self._wanted(points[self._below][0]) > 0:
            self._cross(points[self._below], up=True)
            self._below += 1
            rose = True
        while not rose and self._below and self._wanted(points[self._below - 1][0]) < 0:
            self._below -= 1
            self._cross(points[self._below], up=False)
        if self._free:
            self.level = max(0.0, (self.capacity - self._fixed) / self._slope)
        elif self._below:
            self.level = points[self._below - 1][0]

    def _wanted(self, level: float) -> float:
        """Return what would be left at a level; nothing if that is rounding alone."""
        left = self.capacity - self._fixed - self._slope * level
        return left if abs(left) > _ROUNDING else 0.0

    def _cross(self, point: tuple[float, int, int, Any], *, up: bool) -> None:
        _, _, kind, client = point
        self._count(client, -1)
        bound = up == (kind == _MEETS)
        rate = client.low if kind == _LEAVES else client.high
        self.moved(client, bound, rate if bound else client.shares)
        self._count(client, 1)


def _set(client: _Client, bound: bool, weight: float) -> None:  # noqa: FBT001 - a callback
    """Do what is asked of `moved`, and no more."""
    client.bound, client.weight = bound, weight
