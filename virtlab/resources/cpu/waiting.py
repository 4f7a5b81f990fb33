"""Who wants to run, who waits, and who is next: the clocks of minimum and maximum (S21).

A minimum is a clock: a client that ran t is owed more t / minimum after it was owed that, so one
that waits has been owed time since `owed_us`. Whoever is owed is next, the earliest first, whatever
the policy. A maximum is a clock too: a client that ran t may run again t / maximum after it began;
until then it is held back (`free_us`). Else the policy chooses. So a minimum is a promise to those
that want to run, and what is not wanted is lent; a maximum is a lid even where processors idle; and
shares decide all that lies between. Zero shares are a maximum that equals the minimum.

The idea of one clock for each of the three is mClock's (A. Gulati, A. Merchant, P. Varman, OSDI
2010), which is for disks. It keeps bounds with any policy. On several processors it does not come
to what `allocate` says; for that, see `virtlab.resources.cpu.by_level`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from virtlab.resources.cpu.policies import Policy, Vcpu
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from virtlab.resources.cpu.vms import CpuVM

__all__: list[str] = []

_US = 1_000_000
_SAVED = 4  # quanta that a maximum allows one to make up for, after having waited


class Waiting:
    """The virtual processors, what they want, and what is going to happen."""

    def __init__(
        self, vms: Sequence[CpuVM], quantum_us: int, policy: Policy, rng: np.random.Generator
    ) -> None:
        self.quantum_us, self.policy, self.rng = quantum_us, policy, rng
        self.now = 0
        self.of: dict[str, list[Vcpu]] = {}
        self.vcpus: list[Vcpu] = []
        for number_, vm in enumerate(vms):
            indices = range(len(self.vcpus), len(self.vcpus) + vm.vcpus)
            self.of[vm.name] = [Vcpu(index, number_) for index in indices]
            self.vcpus += self.of[vm.name]
        self.workloads = [vm.workload for vm in vms for _ in range(vm.vcpus)]
        self.ends: defaultdict[int, list[int]] = defaultdict(list)  # processors by end of slice
        self.timers: defaultdict[int, list[Callable[[], None]]] = defaultdict(list)
        self.moments: list[int] = []
        self.owed: list[tuple[float, int, Vcpu]] = []  # those with a minimum that wait
        self.woke: list[Vcpu] = []  # those that came to wait at this moment
        self.preempting = type(policy).preempts is not Policy.preempts
        self.wants: list[tuple[int, int, int]] = []
        policy.start(quantum_us, rng)

    def _at(self, time_us: int, action: Callable[[], None]) -> None:
        if time_us not in self.timers and time_us not in self.ends:
            heappush(self.moments, time_us)
        self.timers[time_us].append(action)

    def _next_burst(self, vcpu: Vcpu) -> None:
        """Ask the workload when it wants to run again."""
        workload = self.workloads[vcpu.index]
        for _ in range(1_000_000):
            begin_s, work_s = workload.burst(vcpu.bursts, self.now / _US, self.rng)
            vcpu.bursts += 1
            work_us = round(work_s * _US)
            if work_us > 0:
                break
        else:
            raise InvalidInputError("workload", workload, "one that has work now and then")
        begin_us = max(self.now, round(begin_s * _US))
        if begin_us == self.now:
            self._wake(vcpu, work_us)
        else:
            self._at(begin_us, partial(self._wake, vcpu, work_us))

    def _wake(self, vcpu: Vcpu, work_us: int) -> None:
        if not vcpu.on:  # powered off in its sleep
            return
        vcpu.left_us, vcpu.want_us = work_us, self.now
        vcpu.owed_us = max(vcpu.owed_us, float(self.now))
        self._hold_or_wait(vcpu, woke=True)

    def _hold_or_wait(self, vcpu: Vcpu, *, woke: bool) -> None:
        if vcpu.free_us > self.now:
            vcpu.held = True
            self._at(math.ceil(vcpu.free_us), partial(self._release, vcpu))
        else:
            vcpu.held = False
            self._wait(vcpu, woke=woke)

    def _release(self, vcpu: Vcpu) -> None:
        """Let one wait again whose maximum held it back, unless it is held longer by now."""
        if vcpu.held and vcpu.left_us:
            self._hold_or_wait(vcpu, woke=True)

    def _wait(self, vcpu: Vcpu, *, woke: bool) -> None:
        if vcpu.high == 0:
            return
        if woke and self.preempting:
            self.woke.append(vcpu)
        if vcpu.shares:
            self.policy.add(vcpu, woke=woke)
        vcpu.waiting = True
        if vcpu.low:
            heappush(self.owed, (vcpu.owed_us, vcpu.index, vcpu))
            if not vcpu.shares and vcpu.owed_us > self.now:
                self._at(math.ceil(vcpu.owed_us), _nothing)  # a moment to look again

    def _unqueue(self, vcpu: Vcpu) -> None:
        vcpu.waiting = False
        if vcpu.shares:
            self.policy.remove(vcpu)

    # --- next, and afterwards ---------------------------------------------------------------------

    def _take(self) -> Vcpu | None:
        """Return who is next, by its minimum or by the policy."""
        owed = self.owed
        while owed and owed[0][0] <= self.now:
            due_us, _, vcpu = heappop(owed)
            if vcpu.waiting and vcpu.owed_us == due_us and vcpu.low:
                self._unqueue(vcpu)
                return vcpu
        return self.policy.take()

    def _done(self, vcpu: Vcpu) -> None:
        """Take note that one wants no more."""
        self.wants.append((vcpu.index, vcpu.want_us, self.now))

    def _account(self, vcpu: Vcpu, ran: int, began: int) -> None:
        """Charge one to the policy, and move the clocks of its minimum and maximum on."""
        if vcpu.shares:
            self.policy.charge(vcpu, ran)
        if vcpu.low:
            most = self.now + self.quantum_us / vcpu.low
            vcpu.owed_us = min(vcpu.owed_us + ran / vcpu.low, most)
        self._hold(vcpu, ran, began)

    def _hold(self, vcpu: Vcpu, ran: int, began: int) -> None:
        """Move the clock of a maximum on."""
        if 0 < vcpu.high < 1:
            saved = began - _SAVED * self.quantum_us / vcpu.high
            vcpu.free_us = max(vcpu.free_us, saved) + ran / vcpu.high


def _nothing() -> None:
    """Do nothing: the moment itself is what matters."""
