"""What came of a schedule on hyperthreaded cores: time, charge and work (S22).

    run      time in which a virtual processor had a logical CPU
    charged  the part of a core's time that it paid for: all when alone, half when beside another
    work     what it got done: time x speed, in seconds of a whole core

`percent`, `received_s` and the error count what was charged, for that is what shares divide. All
of it follows from who ran where and when; nothing of the simulator's own accounts is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu.contention import GRAIN, KINDS
from virtlab.resources.cpu.run import CpuRun
from virtlab.validate import number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from virtlab.resources.cpu.contention import Cores
    from virtlab.resources.cpu.vms import CpuVM

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Place", "ThreadedRun"]

_US = 1e6
_NAMED = 6


@dataclass(frozen=True)
class Place:
    """A logical CPU at a moment.

    Attributes
    ----------
    cpu, core
        Its number, and its core's.
    state
        'runs'; 'halted', while someone waits or could run there: it is kept free for who is on
        the other half; or 'idle'.
    vm
        The number of the VM that runs; -1 for none.
    vcpu
        Which of its virtual processors, from 0; -1 for none.
    name
        Of the VM that runs; of the VM that it is kept free for, if it is halted; else empty.
    speed
        Of who runs; 0 if nobody does.

    Examples
    --------
    >>> Place(1, 0, "halted", -1, -1, "db", 0.0).name
    'db'
    """

    cpu: int
    core: int
    state: str
    vm: int
    vcpu: int
    name: str
    speed: float


@dataclass(frozen=True, eq=False)
class ThreadedRun(CpuRun):
    """What `schedule` returns where logical CPUs are not cores.

    Attributes
    ----------
    machine
        The cores.
    quarantined
        VMs that were moved out of the others' way: name, and when, seconds.

    Examples
    --------
    >>> from virtlab.resources.cpu import Cores, CpuVM, schedule_threads
    >>> two = [CpuVM("a", affinity={0}), CpuVM("b", affinity={1})]
    >>> run = schedule_threads(two, Cores(2), seconds=1)
    >>> run.run_s, run.charged_s, run.work_s
    (array([1., 1.]), array([0.5, 0.5]), array([0.62, 0.62]))
    """

    machine: Cores
    quarantined: tuple[tuple[str, float], ...]

    @property
    def threads(self) -> int:
        """Logical CPUs of a core."""
        return self.machine.threads

    @cached_property
    def segments(self) -> Ints:
        """One row each time that one ran beside the same one: it, logical CPU, from, to, beside.

        Times are in microseconds; beside is the other virtual processor, -1 if it was alone. In
        order of core and time.
        """
        parts = [self._of_core(core) for core in range(self.cpus)]
        return np.concatenate([*parts, np.zeros((0, 5), dtype=np.int64)])

    def _of_core(self, core: int) -> Ints:
        first = core * self.threads
        halves = [
            self.intervals[self.intervals[:, 1] == cpu]
            for cpu in range(first, first + self.threads)
        ]
        edges = np.unique(np.concatenate([half[:, 2:].ravel() for half in halves]))
        if not edges.size:
            return np.zeros((0, 5), dtype=np.int64)
        begin, end = edges[:-1], edges[1:]
        who = []
        for half in halves:
            at = np.searchsorted(half[:, 2], begin, side="right") - 1
            runs = (at >= 0) & (half[at, 3] > begin) if len(half) else np.zeros(len(at), bool)
            who.append(np.where(runs, half[at, 0], -1) if len(half) else np.full(len(at), -1))
        rows = []
        for thread, mine in enumerate(who):
            other = who[1 - thread] if self.threads == 2 else np.full(len(mine), -1)
            cpu = np.full(len(mine), first + thread)
            rows.append(np.stack([mine, cpu, begin, end, other], axis=1)[mine >= 0])
        both = np.concatenate(rows).astype(np.int64)
        return both[np.argsort(both[:, 2], kind="stable")]

    @cached_property
    def grains(self) -> Ints:
        """Speed in each row of `segments`, in thousandths."""
        kinds = np.array([KINDS.index(self.vms[vm].kind) for vm in self.vm_of], dtype=np.int64)
        mine, beside = self.segments[:, 0], self.segments[:, 4]
        columns = np.where(beside < 0, len(KINDS), kinds[beside])
        return np.asarray(self.machine.contention.matrix[kinds[mine], columns])

    @cached_property
    def halves(self) -> Ints:
        """Charge in each row of `segments`, in halves of a core."""
        return np.where(self.segments[:, 4] < 0, 2, 1)

    def _weighed(self, keys: Ints, weights: Ints, size: int) -> Floats:
        """Add up weighed time by key; whole numbers, so that nothing is rounded away."""
        spans = (self.segments[:, 3] - self.segments[:, 2]) * weights
        return np.bincount(keys, spans, size) / _US

    @property
    def run_s(self) -> Floats:
        """Time in which each VM's virtual processors ran, seconds."""
        whole = np.ones(len(self.segments), dtype=np.int64)
        return self._weighed(self._owners, whole, len(self.vms))

    @property
    def charged_s(self) -> Floats:
        """Core time that each VM was charged, seconds."""
        return self._weighed(self._owners, self.halves, len(self.vms)) / 2

    @property
    def work_s(self) -> Floats:
        """What each VM got done, seconds of a whole core."""
        return self._weighed(self._owners, self.grains, len(self.vms)) / GRAIN

    @cached_property
    def _owners(self) -> Ints:
        return self.vm_of[self.segments[:, 0]]

    @cached_property
    def _segments_of(self) -> list[Ints]:
        """The rows of `segments` of each VM, found once for all."""
        order = np.argsort(self._owners, kind="stable")
        starts = np.searchsorted(self._owners[order], np.arange(1, len(self.vms)))
        bounds = zip([0, *starts], [*starts, len(order)], strict=True)
        return [order[start:end] for start, end in bounds]

    @property
    def percent(self) -> Floats:
        """What each VM was charged over the whole run, in percent of one core."""
        return 100 * self.charged_s / self.seconds

    @property
    def logical_utilization_percent(self) -> float:
        """How much of all logical CPUs was used."""
        return 100 * float(self.run_s.sum()) / (self.machine.logical * self.seconds)

    def _over_time(self, vm: int, times_s: Floats, weights: Ints) -> Floats:
        """Add up weighed time of one VM up to some times."""
        mine = self._segments_of[vm]
        rows, parts = self.segments[mine], weights[mine]
        if not len(rows):
            return np.zeros(len(times_s))
        edges = np.concatenate([rows[:, 2], rows[:, 3]])
        order = np.argsort(edges, kind="stable")
        edges, rates = edges[order], np.cumsum(np.concatenate([parts, -parts])[order])
        got = np.concatenate([[0.0], np.cumsum(np.diff(edges) * rates[:-1])])
        return np.asarray(np.interp(np.asarray(times_s) * _US, edges, got)) / _US

    def received_s(self, vm: int, times_s: Floats) -> Floats:
        """Return how much core time one VM was charged up to some times.

        Parameters
        ----------
        vm
            Which, from 0.
        times_s
            When.

        Returns
        -------
        ndarray
            Seconds, never falling.
        """
        return self._over_time(vm, times_s, self.halves) / 2

    def done_s(self, vm: int, times_s: Floats) -> Floats:
        """Return how much work one VM has done up to some times.

        Parameters
        ----------
        vm
            Which, from 0.
        times_s
            When.

        Returns
        -------
        ndarray
            Seconds of a whole core, never falling.
        """
        return self._over_time(vm, times_s, self.grains) / GRAIN

    def error_quanta(self, vm: int) -> float:
        """Return the largest distance between charged and entitled, in quanta.

        Parameters
        ----------
        vm
            Which, from 0.

        Returns
        -------
        float
            Quanta, >= 0.
        """
        rows = self.segments[self._segments_of[vm]]
        times = np.unique(np.concatenate([rows[:, 2:4].ravel() / _US, self.entitlement.moments_s]))
        off = np.abs(self.received_s(vm, times) - self.entitled_s(vm, times))
        return float(off.max()) * 1000 / self.quantum_ms

    # --- cores ------------------------------------------------------------------------------------

    @property
    def core_s(self) -> Floats:
        """Of each core, seconds in which none, one or both of its logical CPUs ran."""
        cores, paired = self.segments[:, 1] // self.threads, self.segments[:, 4] >= 0
        one = self._weighed(cores, np.where(paired, 0, 1), self.cpus)
        both = self._weighed(cores, np.where(paired, 1, 0), self.cpus) / 2
        none = np.maximum(self.seconds - (one + both), 0.0)
        return np.stack([none, one, both], axis=1)

    def cores(self) -> pd.DataFrame:
        """Return one row a core.

        Returns
        -------
        pandas.DataFrame
            Columns core, logical_cpus, none_percent, one_percent, both_percent, work_s.
        """
        import pandas as pd

        none, one, both = 100 * self.core_s.T / self.seconds
        of_core = self.segments[:, 1] // self.threads
        first = np.arange(self.cpus) * self.threads
        named = [f"{cpu}, {cpu + 1}" if self.threads == 2 else str(cpu) for cpu in first]
        return pd.DataFrame(
            {
                "core": np.arange(self.cpus),
                "logical_cpus": named,
                "none_percent": none,
                "one_percent": one,
                "both_percent": both,
                "work_s": self._weighed(of_core, self.grains, self.cpus) / GRAIN,
            }
        )

    def moment(self, at_s: float) -> list[Place]:
        """Return who runs where at a moment.

        Parameters
        ----------
        at_s
            When.

        Returns
        -------
        list of Place
            One a logical CPU.
        """
        number("at_s", at_s, minimum=0, maximum=self.seconds)
        now = min(at_s * _US, self._end - 1)
        begun = (self.segments[:, 2] <= now) & (now < self.segments[:, 3])
        rows = dict(zip(self.segments[begun, 1].tolist(), np.flatnonzero(begun), strict=True))
        wants = (self.wants[:, 1] <= now) & (now < self.wants[:, 2])
        waiting = set(self.wants[wants, 0].tolist()) - set(self.segments[begun, 0].tolist())
        return [
            self._place(cpu, rows, now, waits=bool(waiting)) for cpu in range(self.machine.logical)
        ]

    def _place(self, cpu: int, rows: dict[int, int], now_us: float, *, waits: bool) -> Place:
        core = cpu // self.threads
        if cpu in rows:
            row = rows[cpu]
            vcpu = int(self.segments[row, 0])
            vm = int(self.vm_of[vcpu])
            first = int(np.searchsorted(self.vm_of, vm))
            speed = float(self.grains[row] / GRAIN)
            return Place(cpu, core, "runs", vm, vcpu - first, self.names[vm], speed)
        if self.threads == 2 and (cpu ^ 1) in rows:
            name = self.names[self.vm_of[self.segments[rows[cpu ^ 1], 0]]]
            running = [now for at_s, now in self.steps if at_s * _US <= now_us][-1]
            alone = running[name].sharing != "any" or any(
                name == out and at_s * _US <= now_us for out, at_s in self.quarantined
            )
            if waits or alone:
                return Place(cpu, core, "halted", -1, -1, name, 0.0)
        return Place(cpu, core, "idle", -1, -1, "", 0.0)

    # --- rows, numbers, sentences -----------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM, with its settings as they were last."""
        frame = super().to_frame()
        ran = self.run_s
        speed = np.divide(self.work_s, ran, out=np.zeros_like(ran), where=ran > 0)
        more = {"charged_s": self.charged_s, "work_s": self.work_s, "speed": speed}
        first, rest = frame.loc[:, :"max_percent"], frame.loc[:, "ready_s":]
        kinds = [vm.kind for vm in self.vms]
        sharing = [self._last(name).sharing for name in self.names]
        return first.assign(sharing=sharing, kind=kinds, run_s=ran, **more).join(rest)

    def _last(self, name: str) -> CpuVM:
        return next(running[name] for _, running in reversed(self.steps) if name in running)

    def summary(self) -> dict[str, float | int | str]:
        """Return how busy cores and logical CPUs were, what was done, and how fair it was."""
        none, one, both = 100 * self.core_s.sum(axis=0) / (self.seconds * self.cpus)
        return {
            **super().summary(),
            "threads": self.threads,
            "logical_utilization_percent": self.logical_utilization_percent,
            "cores_none_percent": float(none),
            "cores_one_percent": float(one),
            "cores_both_percent": float(both),
            "work_s": float(self.work_s.sum()),
            "quarantined": ", ".join(f"{name} at {at:g} s" for name, at in self.quarantined),
        }

    def explain(self) -> str:
        """Say who got how much, how the cores were used, and what was done."""
        _, one, both = 100 * self.core_s.sum(axis=0) / (self.seconds * self.cpus)
        pairs = list(zip(self.names, self.work_s, strict=True))
        done = ", ".join(f"{name} {work:.4g}" for name, work in pairs[:_NAMED])
        more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
        moved = "".join(
            f" {name} slowed others down and has had a core of its own since {at:.3g} s."
            for name, at in self.quarantined
        )
        return (
            f"{super().explain()} Of the cores' time {both:.4g} % had two on one core and "
            f"{one:.4g} % one alone; core seconds of work done: {done}{more}.{moved}"
        )
