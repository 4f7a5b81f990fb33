"""Neighbours: VMs of which only the disk requests matter (S13, S20).

A `Load` is a vmm whose guest we do not look at: it keeps some requests in the queue, as a busy
guest does. `Then` is a VM that was such a one for a while, and is another world from then on: so
its account at the disk (`virtlab.resources.disk_policies`) is that of a VM that had its turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.machine.esx.acts import Event
from virtlab.machine.esx.physical import BlockRequest
from virtlab.machine.esx.vmm import WAIT, World
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Load", "Then"]


class Load(World):
    """A VM that keeps some requests waiting.

    Parameters
    ----------
    name
        What it is called.
    room
        Sectors of its disk; its requests begin at random ones.
    sectors
        Of each request.
    outstanding
        How many it keeps waiting.
    requests
        After how many it is over; never, if not given.
    seed
        Of the places.

    Examples
    --------
    >>> load = Load("VM2", room=100, sectors=8, outstanding=2)
    >>> events = load.events()
    >>> [next(events).kind for _ in range(3)]
    ['submit', 'submit', 'wait']
    >>> load.complete(bytes(8 * 512))
    >>> next(events).kind
    'submit'
    """

    def __init__(
        self,
        name: str,
        *,
        room: int = 2048,
        sectors: int = 8,
        outstanding: int = 4,
        requests: int | None = None,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.room = integer("room", room, minimum=sectors)
        self.sectors = integer("sectors", sectors, minimum=1)
        self.left = None if requests is None else integer("requests", requests, minimum=0)
        self._due = integer("outstanding", outstanding, minimum=1)
        self._open = 0
        self._rng = np.random.default_rng(seed)

    def events(self) -> Iterator[Event]:
        """Ask, wait, ask again."""
        while True:
            while self._due and self.left != 0:
                self._due -= 1
                self._open += 1
                self.left = None if self.left is None else self.left - 1
                lba = int(self._rng.integers(self.room - self.sectors + 1))
                request = BlockRequest(lba, self.sectors)
                yield Event("vmm", "vmkernel", "submit", str(request), request=request)
            if self.left == 0 and not self._open:
                return
            yield Event("kernel", "vmm", WAIT, "the guest waits")

    def complete(self, data: bytes) -> None:
        """Take an answer, which makes room for another request."""
        del data
        self._open -= 1
        self._due += 1

    @property
    def over(self) -> bool:
        """Whether it has asked for all that it wanted, and got it."""
        return self.left == 0 and not self._open


class Then(World):
    """First one world, then another, under one name.

    Parameters
    ----------
    first
        What is over at some time.
    second
        What comes then.

    Examples
    --------
    >>> both = Then(Load("VM1", requests=0), Load("VM1", requests=1))
    >>> [event.kind for event, _ in zip(both.events(), range(2))]
    ['submit', 'wait']
    """

    def __init__(self, first: Load, second: World) -> None:
        self.name, self.first, self.second = second.name, first, second

    def events(self) -> Iterator[Event]:
        """Report the first, then the second."""
        yield from self.first.events()
        yield from self.second.events()

    def complete(self, data: bytes) -> None:
        """Hand it to whoever asked."""
        (self.second if self.first.over else self.first).complete(data)
