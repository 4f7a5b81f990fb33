"""Stride by the level: what each is entitled to is known, and so who is behind (S21).

`virtlab.resources.cpu.scheduler` keeps minimum and maximum by clocks of their own, whatever the
policy, and that is near `allocate` on one processor. It is not on several: two that are owed their
minimum run at once, a third one that would need a whole processor all the time waits, and what it
missed it never gets back. So with `Stride` all go in one order, by when each is **due**: when its
next quantum would be done if it had exactly what `allocate` gives it.

- Who is not bound by minimum or maximum has a pass, as always, and it is due when the virtual time
  gets there: its clock runs at the level (`virtlab.resources.cpu.level`).
- Who is bound has one rate, so its pass is a time already. When the level binds or frees someone,
  its pass goes over to the other clock, and what it is behind stays.
- The earliest is next. Nothing is forgiven while one wants to run, so what is late comes first and
  nobody is late for long: on m processors the rates of all are at most m, and then the delay of
  "earliest deadline first" is bounded (U. Devi, J. Anderson, RTSS 2005).
- Who wakes is neither behind nor ahead, but comes a quantum earlier in the order: sooner, and not
  more. What it was ahead when it fell asleep fades at its rate: it does not gain by naps.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import TYPE_CHECKING, cast

from virtlab.resources.cpu.level import Level
from virtlab.resources.cpu.policies import Stride, Vcpu
from virtlab.resources.cpu.scheduler import Simulation
from virtlab.resources.cpu.slots import slots
from virtlab.resources.cpu.stretch import stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from virtlab.resources.cpu.policies import Policy
    from virtlab.resources.cpu.vms import CpuVM

__all__: list[str] = []


class ByLevel(Simulation):
    """The clock, who waits, who runs, and who is due when."""

    def __init__(
        self,
        vms: Sequence[CpuVM],
        cpus: int,
        quantum_us: int,
        policy: Policy,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(vms, cpus, quantum_us, policy, rng)
        self.stride = cast("Stride", policy)
        self.stride.self_clocked = False
        self.level = Level(cpus, self._move)
        self.joining: Vcpu | None = None
        if type(policy) is Stride:  # not where someone has changed it
            self.quick = stretch if cpus == 1 else slots

    # --- how far behind each is -------------------------------------------------------------------

    def _clock(self, vcpu: Vcpu) -> float:
        """Return what its clock says: the time, or the virtual time."""
        virtual = self.level.advance(self.now)
        return float(self.now) if vcpu.bound else virtual

    def _lag(self, vcpu: Vcpu) -> float:
        """Return what one is behind, microseconds, but for what it runs just now."""
        pass_ = vcpu.base + vcpu.since_us / vcpu.weight
        return self.quantum_us - vcpu.weight * (pass_ - self._clock(vcpu))

    def _place(self, vcpu: Vcpu, lag_us: float, *, early: bool) -> None:
        """Give one the pass of who is that far behind; a quantum earlier in the order if asked."""
        vcpu.base = start = self._clock(vcpu) - lag_us / vcpu.weight
        vcpu.since_us = self.quantum_us  # as if it had just run
        if vcpu.bound and vcpu.weight == vcpu.high < 1:  # at its maximum it makes up for its lag
            vcpu.free_us = max(vcpu.free_us, start)  # and no more
        vcpu.at = start if early else start + self.quantum_us / vcpu.weight

    def _move(self, vcpu: Vcpu, bound: bool, weight: float) -> None:  # noqa: FBT001 - Level asks
        """Let one go over to the other clock: the level has bound it or set it free."""
        if vcpu is self.joining:  # it has no place yet
            self._bind(vcpu, weight, bound=bound)
            return
        lag_us, early = self._lag(vcpu), vcpu.at != vcpu.base + vcpu.since_us / vcpu.weight
        waiting = vcpu.waiting
        if waiting:
            self._unqueue(vcpu)
        self._bind(vcpu, weight, bound=bound)
        self._place(vcpu, lag_us, early=early)
        if waiting:
            self._queue(vcpu)

    @staticmethod
    def _bind(vcpu: Vcpu, weight: float, *, bound: bool) -> None:
        vcpu.bound, vcpu.weight = bound, weight
        vcpu.plain = not bound and vcpu.high >= 1

    def _due_us(self, vcpu: Vcpu) -> float:
        """Return when one that waits is due."""
        if vcpu.bound:
            return vcpu.at
        level = self.level
        behind = level.advance(self.now) - vcpu.at
        return self.now - behind / level.level if level.level > 0 else math.inf

    # --- coming and going -------------------------------------------------------------------------

    def _wake(self, vcpu: Vcpu, work_us: int) -> None:
        if vcpu.on and vcpu.high:
            self._join(vcpu)
            slept_us = self.now - vcpu.slept_us
            debt_us = max(0.0, vcpu.debt_us - self.level.rate(vcpu) * slept_us)
            self._place(vcpu, -debt_us, early=slept_us > 0)
            vcpu.free_us = max(vcpu.free_us, float(self.now))
        super()._wake(vcpu, work_us)

    def _power_on(self, vcpu: Vcpu) -> None:
        vcpu.slept_us = self.now
        super()._power_on(vcpu)

    def _join(self, vcpu: Vcpu) -> None:
        self.level.advance(self.now)
        self.joining = vcpu
        self.level.join(vcpu)
        self.joining = None
        self._bind(vcpu, vcpu.weight, bound=vcpu.bound)

    def _leave(self, vcpu: Vcpu) -> None:
        self.level.advance(self.now)
        self.level.leave(vcpu)

    def _done(self, vcpu: Vcpu) -> None:
        super()._done(vcpu)
        if vcpu.high:
            vcpu.debt_us, vcpu.slept_us = max(0.0, -self._lag(vcpu)), self.now
            self._leave(vcpu)

    def _give(self, vcpu: Vcpu, shares: float, low: float, high: float) -> None:
        """Write new settings down; what one is behind stays."""
        was = bool(vcpu.left_us and vcpu.high)
        lag_us = self._lag(vcpu) if was else 0.0
        if was:
            self._leave(vcpu)
        vcpu.shares, vcpu.low, vcpu.high = shares, low, high
        vcpu.plain = False  # unless it joins
        if vcpu.left_us and high:
            self._join(vcpu)
            self._place(vcpu, lag_us, early=False)

    # --- waiting, running -------------------------------------------------------------------------

    def _wait(self, vcpu: Vcpu, *, woke: bool) -> None:
        if vcpu.high:
            vcpu.waiting = True
            self._queue(vcpu)
            if woke:
                self.woke.append(vcpu)

    def _queue(self, vcpu: Vcpu) -> None:
        vcpu.waiting = True
        if vcpu.bound:
            heappush(self.owed, (vcpu.at, vcpu.index, vcpu))
        else:
            self.policy.add(vcpu, woke=False)

    def _unqueue(self, vcpu: Vcpu) -> None:
        vcpu.waiting = False  # which makes its entry void

    def _first(self) -> Vcpu | None:
        """Return who is due first, and leave it there; None if nobody waits."""
        other = self.stride.first()
        owed = self.owed
        while owed:
            at, _, vcpu = owed[0]
            if vcpu.waiting and vcpu.bound and vcpu.at == at:
                return vcpu if other is None or at <= self._due_us(other) else other
            heappop(owed)
        return other

    def _take(self) -> Vcpu | None:
        vcpu = self._first()
        if vcpu is not None and vcpu.bound:
            heappop(self.owed)
            return vcpu
        return self.policy.take()

    def _loser(self, waking: Vcpu) -> int:
        """Return where the one runs that is due last, if it is due later than who is next."""
        if self._first() is not waking:
            return -1
        now, virtual = self.now, self.level.advance(self.now)
        level = self.level.level or math.inf
        loser, latest = -1, -math.inf
        for cpu, running in enumerate(self.runs):
            if running is not None:
                pass_ = running.at + (now - self.slice_us[cpu]) / running.weight
                due_us = pass_ if running.bound else now + (pass_ - virtual) / level
                if due_us > latest:
                    loser, latest = cpu, due_us
        other = self.runs[loser]
        if other is None or now == self.slice_us[loser]:
            return -1
        if waking.bound or other.bound:
            return loser if self._due_us(waking) + self.quantum_us / 10 < latest else -1
        other.ran_us = now - self.slice_us[loser]
        return loser if self.policy.preempts(waking, other) else -1

    def _account(self, vcpu: Vcpu, ran: int, began: int) -> None:
        vcpu.since_us += ran
        vcpu.at = vcpu.base + vcpu.since_us / vcpu.weight
        self._hold(vcpu, ran, began)
