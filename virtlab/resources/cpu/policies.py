"""Whose turn is it? Policies that can be swapped, in ten lines each (S21).

A processor is given away for a **quantum** at a time. "VM2 has twice the shares" has to come out
of one choice made again and again: which of those that wait is next. A policy is that choice.

**Stride** keeps a `pass` for each client and chooses the smallest; a client that ran `t` seconds
moves its pass on by t / shares. Of any two clients that both always wait, neither is ever more
than one quantum from its part of what the two got. A newcomer's first pass is a quantum / shares,
as if it had just run. **Lottery** draws: a client with p of all shares wins with chance p, so that
of n quanta it gets np, with variance np(1 - p), and waits for its first one 1/p quanta in the
mean. **Round robin** knows no shares.

Two rules of stride that keeps its own clock are not in the thesis but in all that follow it. Who
comes back from waiting starts no further back than where the others are now (`virtual`): it has
saved up nothing. And what a minimum gave a client is not held against it later: its pass runs
ahead by one quantum at most. `schedule` gives it a better clock, the level of `allocate`, and needs
neither (`virtlab.resources.cpu.by_level`).

Sources: C. Waldspurger, W. Weihl, "Lottery scheduling", OSDI 1994; C. Waldspurger, PhD thesis,
MIT/LCS/TR-667 (1995), chapter 3; the virtual time of start-time fair queueing: P. Goyal, H. Vin,
H. Cheng, SIGCOMM 1996.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Lottery", "Policy", "RoundRobin", "Stride", "Vcpu"]


class Vcpu:
    """A virtual processor, as the scheduler and a policy see it.

    Attributes
    ----------
    index
        Its number, from 0.
    vm
        The number of its VM.
    shares
        Its part of its VM's shares, > 0 where a policy sees it.
    used_us
        Processor time it has had, microseconds.
    waiting
        Whether it waits for a processor.
    at
        Its place, for the policy: stride's pass. `base` and `since_us` are where its pass was
        last set, and what it has used since.
    low, high
        Minimum and maximum, parts of one processor.
    owed_us, free_us
        The moment at which its minimum wants it to run again, and its maximum allows it to.
    held
        Whether its maximum holds it back.
    left_us
        Work left of its burst.
    bursts
        Bursts that it began.
    cpu
        Where it ran last; -1 for nowhere.
    ran_us
        What it has run of its present quantum, where `Policy.preempts` is asked.
    bound, weight
        Whether its minimum or maximum decides what it is entitled to, and that rate; else its
        shares (`virtlab.resources.cpu.level`).
    debt_us, slept_us
        What it was ahead when it fell asleep, and when that was.

    Examples
    --------
    >>> Vcpu(0, 0, 1000).used_us
    0
    """

    __slots__ = (
        "at", "base", "bound", "bursts", "cpu", "debt_us", "free_us", "held", "high", "index",
        "left_us", "low", "on", "owed_us", "plain", "ran_us", "shares", "since_us", "slept_us",
        "used_us", "vm", "waiting", "want_us", "weight",
    )  # fmt: skip

    def __init__(self, index: int, vm: int, shares: float = 1.0) -> None:
        self.index, self.vm, self.shares = index, vm, shares
        self.low, self.high = 0.0, 1.0
        self.used_us = self.left_us = self.bursts = self.since_us = self.want_us = self.ran_us = 0
        self.at = self.base = self.owed_us = self.free_us = self.debt_us = 0.0
        self.weight = shares
        self.cpu, self.slept_us = -1, 0
        self.waiting = self.on = self.bound = self.held = False
        self.plain = True  # no minimum, no maximum, some shares, not bound: the usual case


class Policy:
    """The choice of the next virtual processor. Subclass it, and hand an instance to `schedule`.

    Examples
    --------
    Next is who had least, whatever its shares:

    >>> class Least(Policy):
    ...     def choose(self, waiting):
    ...         return min(waiting, key=lambda vcpu: vcpu.used_us)
    >>> policy, clients = Least(), [Vcpu(0, 0), Vcpu(1, 1)]
    >>> clients[0].used_us = 5
    >>> for vcpu in clients:
    ...     policy.add(vcpu, woke=True)
    >>> policy.take().index
    1
    """

    def __init__(self) -> None:
        self.clients: list[Vcpu] = []  # those that wait, in the order in which they came

    def choose(self, waiting: Sequence[Vcpu]) -> Vcpu:
        """Return one of those that wait.

        Parameters
        ----------
        waiting
            Never empty; in the order in which they came.

        Returns
        -------
        Vcpu
            Which is next.
        """
        return waiting[0]

    def start(self, quantum_us: int, rng: np.random.Generator) -> None:
        """Begin a run.

        Parameters
        ----------
        quantum_us
            Longest time between two choices, microseconds.
        rng
            Where chance comes from.
        """
        del quantum_us, rng
        self.clients = []

    def add(self, vcpu: Vcpu, *, woke: bool) -> None:
        """Let one wait.

        Parameters
        ----------
        vcpu
            Which.
        woke
            Whether it comes back from sleep; else from a processor.
        """
        del woke
        self.clients.append(vcpu)

    def remove(self, vcpu: Vcpu) -> None:
        """Take one out that leaves, or that its minimum lets go first.

        Parameters
        ----------
        vcpu
            Which; it waits.
        """
        self.clients.remove(vcpu)

    def take(self) -> Vcpu | None:
        """Return the next and let it go; None if none waits."""
        if not self.clients:
            return None
        vcpu = self.choose(self.clients)
        self.clients.remove(vcpu)
        return vcpu

    def back(self, vcpu: Vcpu) -> None:
        """Let one wait on, first of all, that was taken and found no place.

        Parameters
        ----------
        vcpu
            Which.
        """
        self.clients.insert(0, vcpu)

    def preempts(self, waking: Vcpu, running: Vcpu) -> bool:
        """Return whether one that comes to wait pushes out one that runs, whose rest comes later.

        Parameters
        ----------
        waking
            It wakes, or its maximum lets it go on; it waits.
        running
            It has run `running.ran_us` of its quantum.

        Returns
        -------
        bool
            False, if a policy says nothing else: quanta end when they end.
        """
        del waking, running
        return False

    def charge(self, vcpu: Vcpu, ran_us: int) -> None:
        """Take note that one ran.

        Parameters
        ----------
        vcpu
            Which; its `used_us` is up to date.
        ran_us
            How long, microseconds.
        """


class RoundRobin(Policy):
    """One quantum each in turn: shares count for nothing.

    Examples
    --------
    >>> policy = RoundRobin()
    >>> policy.add(Vcpu(0, 0, 9000), woke=True)
    >>> policy.add(Vcpu(1, 1, 1000), woke=True)
    >>> policy.take().index
    0
    """


class Lottery(Policy):
    """Next is who wins a draw in which each share is a ticket.

    Examples
    --------
    >>> policy = Lottery()
    >>> policy.start(10_000, np.random.default_rng(1))
    >>> policy.choose([Vcpu(0, 0, 1000), Vcpu(1, 1, 3000)]).index
    1
    """

    def start(self, quantum_us: int, rng: np.random.Generator) -> None:
        """Begin a run."""
        super().start(quantum_us, rng)
        self.rng = rng

    def choose(self, waiting: Sequence[Vcpu]) -> Vcpu:
        """Draw a ticket."""
        tickets = np.cumsum([vcpu.shares for vcpu in waiting])
        drawn = self.rng.random() * tickets[-1]
        return waiting[int(np.searchsorted(tickets, drawn, side="right"))]


class Stride(Policy):
    """Next is who has the smallest pass; the heap makes that fast.

    Examples
    --------
    >>> policy, order = Stride(), []
    >>> policy.start(10_000, np.random.default_rng(0))
    >>> for vcpu in (Vcpu(0, 0, 3), Vcpu(1, 1, 2), Vcpu(2, 2, 1)):
    ...     policy.add(vcpu, woke=True)
    >>> for _ in range(6):
    ...     vcpu = policy.take()
    ...     order.append("ABC"[vcpu.index])
    ...     vcpu.cpu = 0
    ...     policy.charge(vcpu, 10_000)
    ...     policy.add(vcpu, woke=False)
    >>> "".join(order)
    'ABAABC'
    """

    self_clocked = True  # the virtual time is the furthest pass that was served

    def start(self, quantum_us: int, rng: np.random.Generator) -> None:
        """Begin a run."""
        del rng
        self.quantum_us = quantum_us
        self.virtual = 0.0  # the furthest pass that was served
        self.heap: list[tuple[float, int, Vcpu]] = []

    def add(self, vcpu: Vcpu, *, woke: bool) -> None:
        """Let one wait; who was asleep, or could not run enough, has saved up nothing."""
        if self.self_clocked:
            self._pull(vcpu, woke=woke)
        vcpu.waiting = True
        heappush(self.heap, (vcpu.at, vcpu.index, vcpu))

    def _pull(self, vcpu: Vcpu, *, woke: bool) -> None:
        """Pull a pass up to where the others are."""
        stride = self.quantum_us / vcpu.shares
        least = self.virtual if woke else self.virtual - stride
        if vcpu.cpu < 0 and vcpu.used_us == 0:
            least = self.virtual + stride  # a newcomer is in the middle of the others' passes
        if vcpu.at < least:
            vcpu.at = vcpu.base = least
            vcpu.since_us = 0

    def remove(self, vcpu: Vcpu) -> None:
        """Leave its entry in the heap: it is void once the client no longer waits."""

    def rescale(self, vcpu: Vcpu, shares: float) -> None:
        """Let one that gets other shares wait as many quanta of its own as before.

        Parameters
        ----------
        vcpu
            Which.
        shares
            Its new shares; it still has the old ones.
        """
        vcpu.base = self.virtual + (vcpu.at - self.virtual) * vcpu.shares / shares
        vcpu.at, vcpu.since_us = vcpu.base, 0

    def first(self) -> Vcpu | None:
        """Return the client with the smallest pass, and leave it there; None if none waits."""
        heap = self.heap
        while heap:
            at, _, vcpu = heap[0]
            if vcpu.waiting and vcpu.at == at and vcpu.shares and not vcpu.bound:
                return vcpu
            heappop(heap)
        return None

    def take(self) -> Vcpu | None:
        """Return the client with the smallest pass."""
        heap = self.heap
        while heap:
            at, _, vcpu = heappop(heap)
            if vcpu.waiting and vcpu.at == at and vcpu.shares and not vcpu.bound:
                if self.self_clocked:
                    self.virtual = max(self.virtual, at)
                return vcpu
        return None

    def back(self, vcpu: Vcpu) -> None:
        """Let one wait on with the pass it has."""
        vcpu.waiting = True
        heappush(self.heap, (vcpu.at, vcpu.index, vcpu))

    def preempts(self, waking: Vcpu, running: Vcpu) -> bool:
        """Return whether it would be next, if the running one had to wait a tenth of a quantum ago.

        Without that tenth, those that are level would push each other out all the time.
        """
        before_us = running.ran_us - self.quantum_us / 10
        return waking.at < running.at + before_us / running.shares

    def charge(self, vcpu: Vcpu, ran_us: int) -> None:
        """Move the pass on by time / shares."""
        if self.self_clocked and vcpu.at > self.virtual:  # its minimum let it run before its turn
            vcpu.base = self.virtual
            vcpu.since_us = 0
        # one division of whole numbers: equal parts tie exactly, as 2/2 and 3/3 do
        vcpu.since_us += ran_us
        vcpu.at = vcpu.base + vcpu.since_us / vcpu.shares
