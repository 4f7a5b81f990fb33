"""The scheduler: virtual processors take turns on physical ones, moment by moment (S21).

At each moment something ends (a quantum, a burst, a pause) or someone changes something. Who ran
is charged; who wants to run waits; and each free processor takes the next that waits:

1. one whose minimum or maximum says that it is due (`virtlab.resources.cpu.waiting`; with
   `Stride`, `virtlab.resources.cpu.by_level`);
2. else the policy's choice (`virtlab.resources.cpu.policies`), by shares;
3. else it idles, until a minimum or a maximum lets someone run.

A quantum may be broken off: who wakes, or is let go by its maximum, pushes another out if the
policy says so (`Policy.preempts`), whose rest comes later. What comes out of stride, over time, is
`virtlab.resources.allocate` of those that want to run, within half a point of a processor.

What is left out: changing costs no time; caches do not make one processor better than the next,
but who can stay on the one where it was does. The virtual processors of one VM are scheduled one
by one.
"""

from __future__ import annotations

from array import array
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.resources.cpu.places import any_bound
from virtlab.resources.cpu.policies import Stride
from virtlab.resources.cpu.run import CpuRun
from virtlab.resources.cpu.vms import Add, plan
from virtlab.resources.cpu.waiting import Waiting
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.resources.cpu.policies import Policy, Vcpu
    from virtlab.resources.cpu.vms import CpuVM, Event

__all__ = ["schedule"]

_US = 1_000_000


def schedule(
    vms: Sequence[CpuVM],
    cpus: int = 1,
    seconds: float = 60.0,
    events: Sequence[Event] = (),
    *,
    threads: int = 1,
    quantum_ms: float = 10.0,
    policy: Policy | None = None,
    seed: int = 0,
) -> CpuRun:
    """Let VMs share processors for a while.

    Parameters
    ----------
    vms
        Those that run from the start.
    cpus
        Physical processors.
    seconds
        How long.
    events
        `Change`, `Add` and `Remove`, in any order.
    threads
        Logical CPUs of a processor; with 2, or with affinity, see `schedule_threads`.
    quantum_ms
        Longest time between two choices, milliseconds.
    policy
        Who is next; `Stride` if not given.
    seed
        Of the chance in workloads and policy.

    Returns
    -------
    CpuRun
        Every interval in which a virtual processor ran, and what comes of them.

    Raises
    ------
    InvalidInputError
        If a number is wrong, a name unknown, or a minimum cannot be kept.

    Examples
    --------
    >>> from virtlab.resources.cpu.vms import Change, CpuVM
    >>> run = schedule([CpuVM("a", 1000), CpuVM("b", 3000)], seconds=8)
    >>> run.percent.round(9).tolist()
    [25.0, 75.0]
    >>> guide = [CpuVM("vm", 3000, 20, 50), CpuVM("console", 1000, 30)]
    >>> schedule(guide, seconds=10).percent.round().tolist()
    [50.0, 50.0]
    """
    if threads != 1 or any_bound(vms, events):
        from virtlab.resources.cpu import Cores, schedule_threads

        more: Any = {"quantum_ms": quantum_ms, "policy": policy, "seed": seed}
        return schedule_threads(vms, Cores(cpus, threads), seconds, events, **more)
    integer("cpus", cpus, minimum=1)
    for field, value in (("seconds", seconds), ("quantum_ms", quantum_ms)):
        if round(1000 * number(field, value, minimum=0)) == 0:
            raise InvalidInputError(field, value, "a number of at least 0.001")
    steps = plan(vms, events, cpus)
    everyone = (*vms, *(event.vm for event in events if isinstance(event, Add)))
    from virtlab.resources.cpu.by_level import ByLevel  # it builds on this module

    policy, rng = policy or Stride(), np.random.default_rng(seed)
    loop = ByLevel if isinstance(policy, Stride) else Simulation
    simulation = loop(everyone, cpus, round(quantum_ms * 1000), policy, rng)
    simulation.run(steps, round(seconds * _US))
    return CpuRun(
        vms=everyone,
        cpus=cpus,
        seconds=float(seconds),
        quantum_ms=float(quantum_ms),
        steps=tuple(steps),
        events=tuple(sorted(events, key=lambda event: event.at_s)),
        vm_of=np.array([vcpu.vm for vcpu in simulation.vcpus], dtype=np.int64),
        intervals=simulation.intervals(),
        wants=np.array(simulation.wants, dtype=np.int64).reshape(-1, 3),
    )


class Simulation(Waiting):
    """The clock, who waits, and who runs."""

    def __init__(
        self,
        vms: Sequence[CpuVM],
        cpus: int,
        quantum_us: int,
        policy: Policy,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(vms, quantum_us, policy, rng)
        self.free = list(range(cpus))
        self.runs: list[Vcpu | None] = [None] * cpus  # who runs, or ran last, and from when
        self.from_us, self.until_us = [0] * cpus, [0] * cpus  # ... to when
        self.slice_us = [0] * cpus  # start of the present quantum
        self.quick: Callable[[Any, int], None] | None = None  # the loop in short, if there is one
        self.trace = array("q")

    def run(self, steps: Sequence[tuple[float, dict[str, CpuVM]]], end_us: int) -> None:
        """Go from moment to moment until the end."""
        for at_s, running in steps:
            self._at(round(at_s * _US), partial(self._set, running))
        ends, timers, moments = self.ends, self.timers, self.moments
        quick = self.quick
        while moments:
            now = heappop(moments)
            if now >= end_us:
                break
            self.now = now
            for cpu in ends.pop(now, ()):
                self._stop(cpu)
            for action in timers.pop(now, ()):
                action()
            if self.free:
                self._dispatch()
                if self.woke:
                    self._preempt()
                if quick and not self.free and not self.owed:
                    quick(self, end_us)
            elif self.woke:
                self._preempt()
        self._end(end_us)

    def _end(self, end_us: int) -> None:
        """Break off what runs, and write down what is open."""
        self.now = end_us
        for cpu in range(len(self.runs)):
            if cpu not in self.free:
                self._stop(cpu, ended=True)
            self._record(cpu)
        for vcpu in self.vcpus:
            if vcpu.on and vcpu.left_us:
                self.wants.append((vcpu.index, vcpu.want_us, end_us))

    def intervals(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Return every interval: virtual processor, processor, from, to; in order of time."""
        rows = np.frombuffer(self.trace, dtype=np.int64).reshape(-1, 4)
        return rows[np.lexsort((rows[:, 1], rows[:, 2]))]

    # --- someone changes something ----------------------------------------------------------------

    def _set(self, running: dict[str, CpuVM]) -> None:
        """Power VMs on and off, and give them their present settings."""
        for name, vcpus in self.of.items():
            for vcpu in vcpus:
                if name not in running:
                    if vcpu.on:
                        self._power_off(vcpu)
                    continue
                self._settings(vcpu, running[name])
                if not vcpu.on:
                    self._power_on(vcpu)

    def _settings(self, vcpu: Vcpu, vm: CpuVM) -> None:
        """Give one its part; what its pass is ahead of the others by is counted anew."""
        shares = vm.shares / vm.vcpus
        low, high = vm.min_percent / vm.vcpus / 100, vm.max_percent / vm.vcpus / 100
        if not shares:
            high = low  # the minimum and no more
        if (shares, low, high) == (vcpu.shares, vcpu.low, vcpu.high):
            return
        if vcpu.waiting:
            self._unqueue(vcpu)
        if low != vcpu.low:
            vcpu.owed_us = float(self.now)
        if vcpu.free_us > self.now:  # its maximum holds it back: for how long, by the new one
            more = vcpu.high / high if high else 1.0
            vcpu.free_us = self.now + (vcpu.free_us - self.now) * (more if high < 1 else 0.0)
        self._give(vcpu, shares, low, high)
        if vcpu.left_us and not self._busy_of(vcpu):
            self._hold_or_wait(vcpu, woke=True)

    def _give(self, vcpu: Vcpu, shares: float, low: float, high: float) -> None:
        """Write new settings down."""
        if shares and vcpu.shares and isinstance(self.policy, Stride):
            self.policy.rescale(vcpu, shares)
        vcpu.shares, vcpu.low, vcpu.high = shares, low, high
        vcpu.plain = shares > 0 and not low and high >= 1

    def _busy_of(self, vcpu: Vcpu) -> list[int]:
        """Return the processor that one runs on, if it does."""
        return [c for c, who in enumerate(self.runs) if who is vcpu and c not in self.free]

    def _power_on(self, vcpu: Vcpu) -> None:
        vcpu.on, vcpu.free_us = True, float(self.now)
        self._next_burst(vcpu)

    def _power_off(self, vcpu: Vcpu) -> None:
        for cpu in self._busy_of(vcpu):
            self.ends[self.until_us[cpu]].remove(cpu)
            self._stop(cpu, ended=True)
        if vcpu.waiting:
            self._unqueue(vcpu)
        if vcpu.left_us:
            self._done(vcpu)
        vcpu.on, vcpu.held, vcpu.left_us = False, False, 0

    # --- running ----------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Give the free processors away; who can stay where it was does."""
        chosen: list[Vcpu] = []
        free = self.free
        take = self._take if self.owed else self.policy.take
        for _ in free:
            vcpu = take()
            if vcpu is None:
                break
            vcpu.waiting = False
            chosen.append(vcpu)
        if len(chosen) == len(free) == 1:
            self._start(chosen[0], free.pop())
            return
        homes, movers = set(free), []
        for vcpu in chosen:
            if vcpu.cpu in homes:  # no migration
                homes.remove(vcpu.cpu)
                self._start(vcpu, vcpu.cpu)
            else:
                movers.append(vcpu)
        left = sorted(homes)
        for vcpu, cpu in zip(movers, left, strict=False):
            self._start(vcpu, cpu)
        self.free = left[len(movers) :]

    def _preempt(self) -> None:
        """Let those that woke, and found no free processor, push others out."""
        woke, self.woke = self.woke, []
        for vcpu in woke:
            if not vcpu.waiting or self.free:
                continue
            cpu = self._loser(vcpu)
            if cpu >= 0:
                self.ends[self.until_us[cpu]].remove(cpu)
                self._stop(cpu)
                self._dispatch()

    def _loser(self, waking: Vcpu) -> int:
        """Return on which processor one is pushed out; -1 for none."""
        preempts = self.policy.preempts
        for cpu, running in enumerate(self.runs):
            if running is not None:
                running.ran_us = self.now - self.slice_us[cpu]
                if running.ran_us and preempts(waking, running):
                    return cpu
        return -1

    def _start(self, vcpu: Vcpu, cpu: int) -> None:
        now = self.now
        if self.runs[cpu] is not vcpu or self.until_us[cpu] != now:
            if self.runs[cpu] is not None:
                self._record(cpu)
            self.runs[cpu] = vcpu
            self.from_us[cpu] = now
        vcpu.cpu = cpu
        self.slice_us[cpu] = now
        left = vcpu.left_us
        until = now + min(left, self.quantum_us)
        self.until_us[cpu] = until
        if until not in self.ends and until not in self.timers:
            heappush(self.moments, until)
        self.ends[until].append(cpu)

    def _record(self, cpu: int) -> None:
        """Write down the interval that a processor has ended."""
        vcpu = self.runs[cpu]
        if vcpu is not None:
            self.trace.extend((vcpu.index, cpu, self.from_us[cpu], self.until_us[cpu]))
            self.runs[cpu] = None

    def _stop(self, cpu: int, *, ended: bool = False) -> None:
        """Charge who ran for it; it waits, sleeps, or is held back by its maximum."""
        vcpu, now, began = self.runs[cpu], self.now, self.slice_us[cpu]
        if vcpu is None:  # pragma: no cover - a busy processor has someone
            raise AssertionError(cpu)
        self.until_us[cpu] = now
        self.free.append(cpu)
        ran = now - began
        vcpu.used_us += ran
        vcpu.left_us -= ran
        if vcpu.plain:
            self.policy.charge(vcpu, ran)
        else:
            self._account(vcpu, ran, began)
        if not vcpu.left_us:
            self._done(vcpu)
        if ended:
            return
        if not vcpu.left_us:
            self._next_burst(vcpu)
        elif vcpu.plain:
            vcpu.waiting = True
            self.policy.add(vcpu, woke=False)
        else:
            self._hold_or_wait(vcpu, woke=False)
