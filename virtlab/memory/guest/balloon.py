"""The balloon (バルーン, S28): memory pressure, raised by the server inside the guest.

A driver in the guest polls the server once a second for how large its balloon should be. To
**inflate** it asks its own operating system for pages, as any driver may, and tells the server
which it got; nobody in the guest uses those, so the server may use the machine memory behind them.
To **deflate** it gives them back. What makes it clever is what it does not do: it never chooses.
The guest gives its free pages first, then clean cache, then whatever was not used for longest,
and it knows that better than the server, which can only pick at random.

The driver is limited: in its rate, in its size (ESX Server 2.5: half of the memory configured),
and there may be none, or one that refuses; then only swapping by the host is left.

Sources: W02 section 3; ESX Server 2.5 Administration Guide (2004). The rate is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.validate import number, one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.memory.guest.guest import Guest

    Indices = NDArray[np.int32]

__all__ = ["BALLOON_KINDS", "Balloon", "BalloonSpec"]

BALLOON_KINDS = ("works", "refuses", "absent")


@dataclass(frozen=True)
class BalloonSpec:
    """How a balloon driver behaves.

    Attributes
    ----------
    kind
        'works'; 'refuses', a driver that answers and never inflates; 'absent'.
    most
        Largest balloon, a part of the memory configured.
    inflate_mib_s, deflate_mib_s
        How fast it grows and shrinks.
    starts_s
        Seconds after power-on at which the driver starts.

    Examples
    --------
    >>> BalloonSpec(kind="broken")
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: kind = 'broken': must be one of works, refuses, absent
    """

    kind: str = "works"
    most: float = 0.5
    inflate_mib_s: float = 8.0
    deflate_mib_s: float = 16.0
    starts_s: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        one_of("kind", self.kind, BALLOON_KINDS)
        number("most", self.most, minimum=0, maximum=1)
        number("inflate_mib_s", self.inflate_mib_s, minimum=0)
        number("deflate_mib_s", self.deflate_mib_s, minimum=0)
        number("starts_s", self.starts_s, minimum=0)


class Balloon:
    """The driver at work in a guest.

    Parameters
    ----------
    guest
        The guest that it is in.
    spec
        How it behaves.

    Attributes
    ----------
    goal
        Pages that the server wants; set by the server, read when the driver polls.

    Examples
    --------
    >>> from virtlab.memory.guest import Guest, GuestSpec
    >>> guest = Guest(GuestSpec(64))
    >>> balloon = Balloon(guest, BalloonSpec(inflate_mib_s=4))
    >>> balloon.goal = 40 * PAGES_PER_MIB
    >>> for _ in range(10):
    ...     balloon.poll()
    >>> balloon.pages / PAGES_PER_MIB, balloon.most / PAGES_PER_MIB
    (32.0, 32.0)
    """

    def __init__(self, guest: Guest, spec: BalloonSpec | None = None) -> None:
        self.guest = guest
        self.spec = spec or BalloonSpec()
        self.goal = 0
        self._frames: Indices = np.empty(0, np.int32)

    @property
    def pages(self) -> int:
        """Pages in the balloon."""
        return int(self._frames.size)

    @property
    def most(self) -> int:
        """Pages that it may hold now: none before the driver has started."""
        if self.spec.kind != "works" or self.guest.now < self.spec.starts_s:
            return 0
        return int(self.spec.most * self.guest.spec.pages)

    def poll(self, seconds: float = 1.0) -> None:
        """Ask the server for the goal, and move towards it.

        Parameters
        ----------
        seconds
            Since the last poll.
        """
        gap = min(self.goal, self.most) - self.pages
        if gap > 0:
            step = min(gap, int(self.spec.inflate_mib_s * PAGES_PER_MIB * seconds))
            frames = self.guest.give(step)
            self.guest.memory.withdraw(frames)
            self._frames = np.append(self._frames, frames)
        elif gap < 0:
            step = min(-gap, int(self.spec.deflate_mib_s * PAGES_PER_MIB * seconds))
            frames, self._frames = self._frames[-step:], self._frames[:-step]
            self.guest.memory.hand_back(frames)
            self.guest.take_back(frames)

    def frames(self) -> Indices:
        """Return the frames in the balloon, the oldest first."""
        return self._frames.copy()
