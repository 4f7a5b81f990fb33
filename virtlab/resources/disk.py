"""How shares come about in time: a disk queue (S20).

`virtlab.resources.allocate` says what each VM should get. Here a disk of 160 MB/s serves one
request after the other, each VM keeps a few requests outstanding, and a policy
(`virtlab.resources.disk_policies`) chooses whose is next. While all VMs have requests waiting,
start-time fair queueing comes to the allocation, off by no more than a request of each; a VM that
falls idle leaves its part to the others from the next request on; and shares that change take
effect at the next choice. Nothing is reserved and nothing is wasted: the queue is
**work-conserving**.

A request takes command_us + size / bandwidth. What is left out: seeks and rotation (a real disk
is faster on neighbouring sectors, so real queues serve a few requests of one VM in a row before
they switch), several requests in service at once, caches, and reads against writes.

1 MB is 1024 KB here; the talk does not say.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.disk_policies import Policy, Request, StartTimeFair, Units
from virtlab.resources.disk_run import DiskRun
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Change", "Disk", "DiskLoad", "serve"]

_FOREVER = ((0.0, math.inf),)


@dataclass(frozen=True)
class Disk:
    """The device.

    Attributes
    ----------
    bandwidth_mb_s
        Transfer rate, MB/s.
    command_us
        Time of each command besides the transfer, microseconds.

    Examples
    --------
    >>> Disk().seconds(1024)  # 1 MB at 160 MB/s
    0.00625
    """

    bandwidth_mb_s: float = 160.0
    command_us: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if number("bandwidth_mb_s", self.bandwidth_mb_s, minimum=0) == 0:
            raise InvalidInputError("bandwidth_mb_s", self.bandwidth_mb_s, "a number > 0")
        number("command_us", self.command_us, minimum=0)

    def seconds(self, size_kb: float) -> float:
        """Return how long a request of this size is in service.

        Parameters
        ----------
        size_kb
            Its size in KB.

        Returns
        -------
        float
            Seconds.
        """
        return self.command_us * 1e-6 + size_kb / 1024 / self.bandwidth_mb_s


@dataclass(frozen=True)
class DiskLoad:
    """What one VM asks of the disk.

    Attributes
    ----------
    shares
        Its shares at the start, > 0.
    sizes_kb
        Sizes of its requests in KB; each request draws one of them.
    outstanding
        Requests it keeps in the queue while it is busy.
    busy
        Intervals (from, to) in seconds in which it issues requests; idle between them.
    think_ms
        Time between the end of a request and the one issued in its place.
    name
        Its name; VM1, VM2, ... if empty.

    Examples
    --------
    >>> DiskLoad(1000, busy=((0, 4), (6, math.inf))).is_busy(5)
    False
    """

    shares: float = 1000.0
    sizes_kb: tuple[float, ...] = (256.0,)
    outstanding: int = 4
    busy: tuple[tuple[float, float], ...] = _FOREVER
    think_ms: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if number("shares", self.shares, minimum=0) == 0:
            raise InvalidInputError("shares", self.shares, "a number > 0: it would never be served")
        if not self.sizes_kb or min(number("sizes_kb", s, minimum=0) for s in self.sizes_kb) == 0:
            raise InvalidInputError("sizes_kb", self.sizes_kb, "one or more sizes > 0")
        integer("outstanding", self.outstanding, minimum=1)
        number("think_ms", self.think_ms, minimum=0)
        ends = [t for interval in self.busy for t in interval]
        if any(math.isnan(t) for t in ends) or ends != sorted(ends) or min(ends, default=0) < 0:
            raise InvalidInputError("busy", self.busy, "intervals (from, to) in rising order")

    def is_busy(self, time_s: float) -> bool:
        """Return whether it issues requests at this time.

        Parameters
        ----------
        time_s
            Seconds from the start.

        Returns
        -------
        bool
            True inside one of the busy intervals, their start included.
        """
        return any(start <= time_s < end for start, end in self.busy)


@dataclass(frozen=True)
class Change:
    """Someone gives a VM other shares.

    Attributes
    ----------
    at_s
        When.
    vm
        To whom, from 0.
    shares
        The new shares, > 0.

    Examples
    --------
    >>> Change(5, vm=1, shares=2000).shares
    2000
    """

    at_s: float
    vm: int
    shares: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("at_s", self.at_s, minimum=0)
        integer("vm", self.vm, minimum=0)
        if number("shares", self.shares, minimum=0) == 0:
            raise InvalidInputError("shares", self.shares, "a number > 0")


def serve(
    loads: Sequence[DiskLoad],
    *,
    seconds: float = 10.0,
    disk: Disk | None = None,
    policy: Callable[[], Policy] = StartTimeFair,
    units: Units | None = None,
    changes: Sequence[Change] = (),
    seed: int = 0,
) -> DiskRun:
    """Let a disk serve the requests of some VMs for a while.

    Parameters
    ----------
    loads
        What each VM asks; the first is VM1.
    seconds
        How long.
    disk
        The device; 160 MB/s if not given.
    policy
        Class of the policy (`StartTimeFair`, `Fifo`, `RoundRobin`, or yours).
    units
        What a request costs.
    changes
        Shares that change on the way.
    seed
        Of the sizes that are drawn, where a VM has several.

    Returns
    -------
    DiskRun
        Every request served, and what each VM got in time.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the policy chooses a VM that has no request.

    Examples
    --------
    >>> run = serve([DiskLoad(1000), DiskLoad(2000), DiskLoad(1000)])
    >>> run.mb_per_s.round().tolist()
    [40.0, 80.0, 40.0]

    VM3 falls idle after 5 s; the other two take over its part, 1 to 2.

    >>> run = serve([DiskLoad(1000), DiskLoad(2000), DiskLoad(1000, busy=((0, 5),))])
    >>> run.throughput(5.0).pivot(index="from_s", columns="name", values="mb_per_s").round()
    name    VM1    VM2   VM3
    from_s
    0.0    40.0   80.0  40.0
    5.0    53.0  107.0   0.0
    """
    number("seconds", seconds, minimum=0)
    if not loads:
        raise InvalidInputError("loads", loads, "a list of at least one DiskLoad")
    for change in changes:
        integer("change.vm", change.vm, minimum=0, maximum=len(loads) - 1)
    simulation = _Simulation(tuple(loads), disk or Disk(), policy(), units or Units(), seed)
    simulation.schedule(changes)
    simulation.run(seconds)
    return DiskRun(
        tuple(load.name or f"VM{i + 1}" for i, load in enumerate(loads)),
        tuple(loads),
        simulation.disk,
        simulation.units,
        tuple(sorted(changes, key=lambda change: change.at_s)),
        seconds,
        np.array(simulation.served, dtype=np.float64).reshape(-1, 6).T.copy(),
    )


@dataclass
class _Simulation:
    """The queue in motion: requests wait, one is in service, timers bring new ones."""

    loads: tuple[DiskLoad, ...]
    disk: Disk
    policy: Policy
    units: Units
    seed: int
    now: float = 0.0
    served: list[tuple[float, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shares = [float(load.shares) for load in self.loads]
        self.queues: list[deque[Request]] = [deque() for _ in self.loads]
        self.waiting: dict[int, Request] = {}  # the oldest of each queue
        self.in_flight = [0] * len(self.loads)  # waiting, in service, or thought about
        self._rng = np.random.default_rng(self.seed)
        self._order = count()  # timers at the same moment go off in the order they were set
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def schedule(self, changes: Sequence[Change]) -> None:
        """Set the timers that are known from the start."""
        for change in sorted(changes, key=lambda change: change.at_s):
            self._at(change.at_s, partial(self._set_shares, change))
        for vm, load in enumerate(self.loads):
            for start, _ in load.busy:
                self._at(start, partial(self._wake, vm))

    def run(self, seconds: float) -> None:
        """Serve until the time is up; the last request may end after it."""
        while True:
            while self._timers and self._timers[0][0] <= self.now:
                heapq.heappop(self._timers)[2]()
            if self.now >= seconds:
                return
            if self.waiting:
                self._serve_next()
                continue
            self.policy.rest()
            if not self._timers:
                return
            self.now = self._timers[0][0]

    def _at(self, time_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time_s, next(self._order), action))

    def _set_shares(self, change: Change) -> None:
        self.shares[change.vm] = float(change.shares)

    def _wake(self, vm: int) -> None:
        load = self.loads[vm]
        if load.is_busy(self.now):
            for _ in range(load.outstanding - self.in_flight[vm]):
                self.in_flight[vm] += 1
                self._issue(vm)

    def _issue(self, vm: int) -> None:
        sizes = self.loads[vm].sizes_kb
        size = sizes[0] if len(sizes) == 1 else sizes[self._rng.integers(len(sizes))]
        request = Request(vm, size, self.units.of(size), self.now)
        self.queues[vm].append(request)
        self.waiting.setdefault(vm, request)

    def _serve_next(self) -> None:
        vm = self.policy.choose(self.waiting, self.shares)
        if vm not in self.waiting:
            allowed = f"a VM that has a request: one of {sorted(self.waiting)}"
            raise InvalidInputError(f"{type(self.policy).__name__}.choose()", vm, allowed)
        queue = self.queues[vm]
        request = queue.popleft()
        if queue:
            self.waiting[vm] = queue[0]
        else:
            del self.waiting[vm]
        start = self.now
        self.now = start + self.disk.seconds(request.size_kb)
        self.served.append((vm, request.size_kb, request.units, request.issued_s, start, self.now))
        self._follow_up(vm)

    def _follow_up(self, vm: int) -> None:
        """Issue the request that takes the place of the one just done, if the VM is still busy."""
        load = self.loads[vm]
        due = self.now + load.think_ms / 1000
        if not load.is_busy(due):
            self.in_flight[vm] -= 1
        elif load.think_ms:
            self._at(due, partial(self._issue, vm))
        else:
            self._issue(vm)
