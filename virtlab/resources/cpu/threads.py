"""The scheduler on hyperthreaded cores: logical CPUs 2k and 2k + 1 are one core (S22).

The loop is `virtlab.resources.cpu.scheduler`'s. What is new is that places differ, and that what
one gets depends on who is beside it:

- Who is alone on a core runs at speed 1 and is charged all of its time; two are charged half of it
  each, and run at the speeds that `virtlab.resources.cpu.contention` gives. When one of them comes
  or goes, the other goes on at its new speed, and the end of its burst is timed anew.
- The policy says who runs. Of those, who is furthest **behind** has the first choice: what
  `allocate` entitles it to, of whole cores, less what it was charged. A wholly idle core is
  better than half of one; and of halves, the one beside who is least behind.
- With stride, one that is behind by more than two quanta is next: a pass forgets what it missed.
- Who wakes is neither behind nor ahead, but comes a quantum earlier: sooner, and not more. If it
  finds no place, it pushes out who is least behind, if that is half a quantum less.
- Nobody sits down beside one that is further behind than itself by more than a quantum: its
  sibling stays halted, and it catches up. So shares hold even where there is a logical CPU for
  everyone, and where three share two cores, who is alone rotates.
- `sharing` shuts the sibling as well, and changes no entitlement. One that needs a core of its own
  and finds halves only has one kept free, beside who is less behind than it is.
- With `quarantine` a VM beside which others run at a quarter of their speed or less, for 50 ms in
  all, is moved out of their way: its sharing becomes none, or internal. These two are chosen.

Time goes in microseconds and work in thousandths of them: both are whole, and nothing is lost.

What is left out: entitlement knows nothing of affinity, so who is bound to too little stays behind
(by four quanta at most: more is forgiven); moving costs nothing.

Sources: vSphere Resource Management 4.0, "Hyperthreading" (modes, charge, quarantine); VMware
knowledge base 326271 (whole cores first).
"""

from __future__ import annotations

from heapq import heappush
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu.contention import GRAIN, KINDS
from virtlab.resources.cpu.places import fit, places
from virtlab.resources.cpu.policies import Stride, Vcpu
from virtlab.resources.cpu.room import Room
from virtlab.resources.cpu.scheduler import Simulation
from virtlab.resources.shares import allocate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from virtlab.resources.cpu.contention import Cores
    from virtlab.resources.cpu.policies import Policy
    from virtlab.resources.cpu.vms import CpuVM

__all__ = ["Threaded"]

_KEPT = 4  # quanta that one may be behind or ahead: the rest is forgiven
_LATE = 2  # quanta
_SLOW = GRAIN // 4  # a speed that is noticed
_NOTICED_US = 50_000


class Threaded(Simulation):
    """The clock, who waits, and who runs beside whom.

    Examples
    --------
    >>> from virtlab.resources.cpu import Cores, CpuVM, Stride
    >>> vms = [CpuVM("a"), CpuVM("b")]
    >>> it = Threaded(vms, Cores(1), 10_000, Stride(), np.random.default_rng(0))
    >>> it.run([(0.0, {vm.name: vm for vm in vms})], 20_000)
    >>> it.intervals().tolist()
    [[0, 0, 0, 20000], [1, 1, 0, 20000]]
    >>> it.halves.tolist()  # charged, in half microseconds
    [20000, 20000]
    """

    def __init__(
        self,
        vms: Sequence[CpuVM],
        machine: Cores,
        quantum_us: int,
        policy: Policy,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(vms, machine.logical, quantum_us, policy, rng)
        if isinstance(policy, Stride):
            policy.self_clocked = True  # it may have been used by the level before
        self.machine, self.threads = machine, machine.threads
        self.speeds = machine.contention.matrix.tolist()
        self.kind = [KINDS.index(vms[vcpu.vm].kind) for vcpu in self.vcpus]
        self.sharing = ["any"] * len(vms)
        self.places: list[frozenset[int]] = [frozenset()] * len(vms)
        self.given: list[tuple[str, frozenset[int]] | None] = [None] * len(vms)
        self.busy = [False] * len(self.runs)
        self.seen_us = [0] * machine.cpus  # up to when work and charge are counted
        count = len(self.vcpus)
        self.halves = np.zeros(count, dtype=np.int64)  # charge, in half microseconds
        self.slice_halves = [0] * count  # up to the start of the present quantum
        self.grains = [0] * count  # work done beyond left_us, in thousandths
        self.due_us = np.zeros(count)
        self.wanting, self.early = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        self.slept_us = [-1] * count
        self.flowed_us = self.step = 0
        self.known: dict[tuple[int, bytes], NDArray[np.float64]] = {}
        self.harm_us = [0] * len(vms)
        self.quarantined: list[tuple[int, int]] = []  # VM, and when

    # --- what each is entitled to, and how far behind it is ---------------------------------------

    def _flow(self) -> None:
        """Add up what each was entitled to until now, before anything changes that."""
        passed = self.now - self.flowed_us
        if passed:
            key = self.step, self.wanting.tobytes()
            if key not in self.known:
                self.known[key] = self._rates()
            self.due_us += self.known[key] * passed
            self.flowed_us = self.now

    def _rates(self) -> NDArray[np.float64]:
        """Divide the cores among those that want to run."""
        rates = np.zeros(len(self.vcpus))
        who = np.flatnonzero(self.wanting)
        if who.size:
            some = [self.vcpus[index] for index in who]
            parts = np.array([(v.shares, 100 * v.low, 100 * v.high) for v in some]).T
            rates[who] = allocate(100 * self.machine.cpus, *parts).allocation / 100
        return rates

    def _behind(self, vcpu: Vcpu) -> int:
        """Return how far one is behind its entitlement, microseconds; `_flow` was called."""
        index = vcpu.index
        halves = int(self.halves[index])
        if vcpu.cpu >= 0 and self.runs[vcpu.cpu] is vcpu and self.busy[vcpu.cpu]:
            since = self.now - self.seen_us[vcpu.cpu // self.threads]
            halves += since * (1 if self._beside(vcpu.cpu) else 2)
        return round(float(self.due_us[index]) - halves / 2)

    def _urgent(self, vcpu: Vcpu) -> int:
        """Return the same for one that waits; who woke comes a quantum earlier."""
        return self._behind(vcpu) + (self.quantum_us if self.early[vcpu.index] else 0)

    def _forgive(self, vcpu: Vcpu, most_us: float) -> None:
        """Keep one within bounds of its entitlement."""
        charged, bound = self.halves[vcpu.index] / 2, _KEPT * self.quantum_us
        behind = self.due_us[vcpu.index] - charged
        self.due_us[vcpu.index] = charged + max(-bound, min(behind, most_us))

    def _want(self, vcpu: Vcpu, *, wants: bool) -> None:
        self._flow()
        self.wanting[vcpu.index] = wants
        if not wants:
            self.slept_us[vcpu.index] = self.now
        elif self.slept_us[vcpu.index] < self.now:  # who slept has saved up nothing
            self._forgive(vcpu, 0.0)
            self.early[vcpu.index] = True

    # --- someone changes something ----------------------------------------------------------------

    def _set(self, running: dict[str, CpuVM]) -> None:
        """Give VMs their places too; who may not stay where it is goes at once."""
        self._flow()
        self.step += 1
        for name, vm in running.items():
            vcpus = self.of[name]
            number = vcpus[0].vm
            sharing = vm.sharing
            if sharing == "internal" and vm.vcpus == 1:
                sharing = "none"
            new = sharing, places(vm, self.machine)
            if new == self.given[number]:  # and if it is in quarantine, it stays there
                continue
            self.given[number] = new
            self.sharing[number], self.places[number] = new
            for cpu in [cpu for vcpu in vcpus for cpu in self._busy_of(vcpu)]:
                self.ends[self.until_us[cpu]].remove(cpu)
                self._stop(cpu)
        super()._set(running)

    def _power_off(self, vcpu: Vcpu) -> None:
        super()._power_off(vcpu)
        self._want(vcpu, wants=False)

    def _wake(self, vcpu: Vcpu, work_us: int) -> None:
        if vcpu.on:
            self._want(vcpu, wants=True)
        super()._wake(vcpu, work_us)

    # --- who runs where ---------------------------------------------------------------------------

    def _beside(self, cpu: int) -> Vcpu | None:
        """Return who runs on the other half of the core."""
        other = cpu ^ 1
        return self.runs[other] if self.threads == 2 and self.busy[other] else None

    def _dispatch(self) -> None:
        """Give the free logical CPUs away, first to who is furthest behind."""
        self._flow()
        room, refused = self._room(), list[Vcpu]()
        stride = self.policy if isinstance(self.policy, Stride) else None
        served = stride.virtual if stride else 0.0
        while room:
            turn = self._late() if stride else []
            while len(turn) < len(self.free) and (vcpu := self._take()) is not None:
                vcpu.waiting = False
                turn.append(vcpu)
            if not turn:
                break
            behind = {vcpu.index: self._urgent(vcpu) for vcpu in turn}
            for vcpu in sorted(turn, key=lambda vcpu: -behind[vcpu.index]):
                cpu = self._place(vcpu, behind[vcpu.index], room)
                if cpu < 0:
                    refused.append(vcpu)
                else:
                    self.free.remove(cpu)
                    self._start(vcpu, cpu)
                    served = max(served, vcpu.at)
        if stride:  # only asked, and not served: the others' passes are not behind that
            stride.virtual = served
        for vcpu in reversed(refused):
            vcpu.waiting = True
            if vcpu.shares:
                self.policy.back(vcpu)
            if vcpu.low:
                heappush(self.owed, (vcpu.owed_us, vcpu.index, vcpu))

    def _late(self) -> list[Vcpu]:
        """Return those that woke, or wait and are behind by more than a pass remembers."""
        far_us = self.due_us - self.halves / 2 > _LATE * self.quantum_us
        far = [self.vcpus[index] for index in np.flatnonzero(self.wanting & (far_us | self.early))]
        late = [vcpu for vcpu in far if vcpu.waiting]
        for vcpu in late:
            self._unqueue(vcpu)
        return late

    def _room(self) -> Room:
        """Return what there is to be had; nobody can be beside one that shares with none."""
        room = Room(self.threads)
        for cpu in self.free:
            other = self._beside(cpu)
            if other is None:
                room.whole.add(cpu // self.threads)
            elif self.sharing[other.vm] != "none":
                room.add_half(cpu, self._behind(other))
        return room

    def _place(self, vcpu: Vcpu, behind: int, room: Room) -> int:
        """Choose among the free logical CPUs, and take it; -1 if there is none to be had."""
        allowed = self.places[vcpu.vm]
        anywhere = len(allowed) == len(self.runs)
        cpu = room.core(vcpu.cpu, None if anywhere else allowed)
        if cpu < 0:
            cpu = self._half(vcpu, behind, room)
        if cpu >= 0:
            if self.sharing[vcpu.vm] == "none":
                room.whole.discard(cpu // self.threads)
            else:
                room.take(cpu, behind)
        return cpu

    def _half(self, vcpu: Vcpu, behind: int, room: Room) -> int:
        """Choose a half of a core; one that needs a whole one has a half kept free."""
        mode, allowed = self.sharing[vcpu.vm], self.places[vcpu.vm]
        best, at_most = -1, behind + self.quantum_us
        for its, cpu in room.halves:
            if its > at_most:
                break
            other = self.runs[cpu ^ 1]
            if cpu not in allowed or other is None:
                continue
            if fit(mode, self.sharing[other.vm], same_vm=vcpu.vm == other.vm):
                if cpu == vcpu.cpu or best < 0:  # where it was, if that is as good
                    best, at_most = cpu, its
            elif mode != "any" and best < 0 and its < behind:
                room.take(cpu, 0)
                break
        return best

    def _preempt(self) -> None:
        """Let those that woke and found no place push out who is ahead."""
        woke, self.woke = self.woke, []
        self._flow()
        for vcpu in woke:
            cpu = self._loser(vcpu) if vcpu.waiting else -1
            if cpu >= 0:
                self.ends[self.until_us[cpu]].remove(cpu)
                self._stop(cpu)
                self._unqueue(vcpu)
                self.free.remove(cpu)
                self._start(vcpu, cpu)

    def _loser(self, waking: Vcpu) -> int:
        """Return where the one runs that is least behind, if that is half a quantum less."""
        mode, least, found = self.sharing[waking.vm], self._urgent(waking), -1
        by_level = isinstance(self.policy, Stride)
        least -= self.quantum_us // 2 if by_level else 0
        for cpu in self.places[waking.vm]:
            running, other = self.runs[cpu], self._beside(cpu)
            if not self.busy[cpu] or running is None or self.slice_us[cpu] == self.now:
                continue
            if other and not fit(mode, self.sharing[other.vm], same_vm=waking.vm == other.vm):
                continue
            running.ran_us = self.now - self.slice_us[cpu]
            if not by_level and self.policy.preempts(waking, running):
                return cpu
            if by_level and self._behind(running) < least:
                least, found = self._behind(running), cpu
        return found

    # --- running ----------------------------------------------------------------------------------

    def _on(self, core: int) -> Iterator[tuple[int, Vcpu, Vcpu | None, int]]:
        """Give each that runs on a core: its logical CPU, itself, who is beside it, its speed."""
        for cpu in range(core * self.threads, (core + 1) * self.threads):
            vcpu = self.runs[cpu]
            if self.busy[cpu] and vcpu is not None:
                other = self._beside(cpu)
                column = -1 if other is None else self.kind[other.index]
                yield cpu, vcpu, other, self.speeds[self.kind[vcpu.index]][column]

    def _settle(self, core: int) -> None:
        """Count the work and the charge of those on a core until now."""
        passed, self.seen_us[core] = self.now - self.seen_us[core], self.now
        if not passed:
            return
        for _, vcpu, other, speed in self._on(core):
            index = vcpu.index
            done = self.grains[index] + speed * passed
            whole = min(done // GRAIN, vcpu.left_us)
            vcpu.left_us -= whole
            self.grains[index] = done - GRAIN * whole if vcpu.left_us else 0
            self.halves[index] += passed * (2 if other is None else 1)
            if self.machine.quarantine and other is not None and speed <= _SLOW:
                self._notice(other, passed)

    def _notice(self, vcpu: Vcpu, passed_us: int) -> None:
        """Take note that others hardly get on beside one."""
        vm = vcpu.vm
        self.harm_us[vm] += passed_us
        if self.harm_us[vm] >= _NOTICED_US and self.sharing[vm] == "any":
            several = sum(other.vm == vm for other in self.vcpus) > 1
            self.sharing[vm] = "internal" if several else "none"
            self.quarantined.append((vm, self.now))

    def _time(self, core: int) -> None:
        """Time anew when those on a core will stop: at the end of the quantum or the burst."""
        for cpu, vcpu, _, speed in self._on(core):
            left = GRAIN * vcpu.left_us - self.grains[vcpu.index]
            until = min(self.slice_us[cpu] + self.quantum_us, self.now - (-left // speed))
            was = self.until_us[cpu]
            if was in (until, self.now):  # now: it is about to stop
                continue
            if was > self.now:
                self.ends[was].remove(cpu)
            self.until_us[cpu] = until
            if until not in self.ends and until not in self.timers:
                heappush(self.moments, until)
            self.ends[until].append(cpu)

    def _start(self, vcpu: Vcpu, cpu: int) -> None:
        now, core = self.now, cpu // self.threads
        self._settle(core)
        if self.runs[cpu] is not vcpu or self.until_us[cpu] != now:
            self._record(cpu)
            self.runs[cpu], self.from_us[cpu] = vcpu, now
        vcpu.cpu = cpu
        self.early[vcpu.index] = False
        self.busy[cpu], self.slice_us[cpu], self.until_us[cpu] = True, now, -1
        self.slice_halves[vcpu.index] = int(self.halves[vcpu.index])
        self._time(core)

    def _stop(self, cpu: int, *, ended: bool = False) -> None:
        """Charge who ran for its part of the core; who is beside it goes on at another speed."""
        vcpu = self.runs[cpu]
        if vcpu is None:  # pragma: no cover - a busy processor has someone
            raise AssertionError(cpu)
        core = cpu // self.threads
        self._settle(core)
        self.busy[cpu], self.until_us[cpu] = False, self.now
        self.free.append(cpu)
        self._time(core)
        self._charge(vcpu, self.slice_us[cpu])
        if not vcpu.left_us:
            self._done(vcpu)
            self._want(vcpu, wants=False)
        if ended:
            return
        if vcpu.left_us:
            self._hold_or_wait(vcpu, woke=False)
        else:
            self._next_burst(vcpu)

    def _charge(self, vcpu: Vcpu, began_us: int) -> None:
        """Charge a slice: to the policy, and to the clocks of minimum and maximum."""
        whole = int(self.halves[vcpu.index]) // 2 - self.slice_halves[vcpu.index] // 2
        vcpu.used_us += whole
        self._account(vcpu, whole, began_us)
        self._flow()
        self._forgive(vcpu, _KEPT * self.quantum_us)
