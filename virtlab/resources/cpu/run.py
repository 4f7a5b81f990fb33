"""What the scheduler did: every interval, what each VM got, and how fair it was (S21).

    wanted   time in which a virtual processor had work
    run      time in which it ran
    ready    the rest of what was wanted: it waited, for a processor or because of its maximum
    entitled what `virtlab.resources.allocate` gives those that want to run, at each moment

The error of a VM is the largest distance, at any moment, between what it received and what it was
entitled to, in quanta.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu.entitlement import Entitlement
from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from virtlab.resources.cpu.vms import CpuVM, Event

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CpuRun"]

_US = 1e6
_NAMED = 6


@dataclass(frozen=True, eq=False)
class CpuRun(Result):
    """What `virtlab.resources.cpu.schedule` returns.

    Attributes
    ----------
    vms
        All VMs, also those that were added.
    cpus, seconds, quantum_ms, events
        As given.
    steps
        Which VMs ran, with which settings, from when on.
    vm_of
        The number of the VM of each virtual processor.
    intervals
        One row each time that a virtual processor ran: its number, the physical processor, from
        and to in microseconds; in order of time. Quanta in a row on one processor are one row.
    wants
        One row each time that one wanted to run: its number, from and to in microseconds.

    Examples
    --------
    >>> from virtlab.resources.cpu import CpuVM, schedule
    >>> run = schedule([CpuVM("a", 3), CpuVM("b", 2), CpuVM("c", 1)], seconds=0.12)
    >>> run.letters()
    'ABAABCABAABC'
    >>> run.trace().head(2)["to_s"].tolist()
    [0.01, 0.02]
    """

    vms: tuple[CpuVM, ...]
    cpus: int
    seconds: float
    quantum_ms: float
    steps: tuple[tuple[float, dict[str, CpuVM]], ...]
    events: tuple[Event, ...]
    vm_of: Ints
    intervals: Ints
    wants: Ints

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the VMs."""
        return tuple(vm.name for vm in self.vms)

    def _sum(self, rows: Ints) -> Floats:
        """Add up the time of rows by VM, in seconds."""
        spans = (rows[:, -1] - rows[:, -2]) / _US
        return np.bincount(self.vm_of[rows[:, 0]], spans, len(self.vms)).astype(np.float64)

    @cached_property
    def _by_vm(self) -> tuple[Ints, Ints]:
        """Return the intervals in order of their VMs, and where each VM's begin."""
        owners = self.vm_of[self.intervals[:, 0]]
        order = np.argsort(owners, kind="stable")
        return self.intervals[order], np.searchsorted(owners[order], np.arange(len(self.vms) + 1))

    def _rows(self, vm: int) -> Ints:
        rows, begins = self._by_vm
        return rows[begins[vm] : begins[vm + 1]]

    @property
    def run_s(self) -> Floats:
        """Processor time of each VM, seconds."""
        return self._sum(self.intervals)

    @property
    def ready_s(self) -> Floats:
        """Time in which each VM wanted to run and did not, seconds."""
        return self._sum(self.wants) - self.run_s

    @property
    def percent(self) -> Floats:
        """What each VM got over the whole run, in percent of one processor."""
        return 100 * self.run_s / self.seconds

    @property
    def utilization_percent(self) -> float:
        """How much of all processors was used."""
        return float(self.percent.sum()) / self.cpus

    def received_s(self, vm: int, times_s: Floats) -> Floats:
        """Return how much processor time one VM has had up to some times.

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

        Examples
        --------
        >>> from virtlab.resources.cpu import CpuVM, schedule
        >>> run = schedule([CpuVM("a"), CpuVM("b")], seconds=1)
        >>> run.received_s(0, np.array([0, 0.01, 0.02, 1]))
        array([0.  , 0.01, 0.01, 0.5 ])
        """
        rows = self._rows(vm)
        edges = np.concatenate([rows[:, 2], rows[:, 3]])
        steps = np.repeat([1, -1], len(rows))
        order = np.argsort(edges, kind="stable")
        edges, running = edges[order], np.cumsum(steps[order])
        got = np.concatenate([[0.0], np.cumsum(np.diff(edges) * running[:-1])])
        if len(edges) == 0:
            return np.zeros(len(times_s))
        return np.asarray(np.interp(np.asarray(times_s) * _US, edges, got)) / _US

    @cached_property
    def entitlement(self) -> Entitlement:
        """What each virtual processor was entitled to."""
        return Entitlement(
            self.cpus, self.vms, self.vm_of, self.steps, self.wants, self.seconds * _US
        )

    @property
    def _end(self) -> float:
        return self.seconds * _US

    def entitled_s(self, vm: int, times_s: Floats) -> Floats:
        """Return how much processor time one VM was entitled to up to some times.

        Parameters
        ----------
        vm
            Which, from 0.
        times_s
            When.

        Returns
        -------
        ndarray
            Seconds.

        Examples
        --------
        >>> from virtlab.resources.cpu import CpuVM, schedule
        >>> run = schedule([CpuVM("a"), CpuVM("b")], seconds=1)
        >>> run.entitled_s(0, np.array([0, 0.01, 1]))
        array([0.   , 0.005, 0.5  ])
        """
        return self.entitlement.received_by(np.flatnonzero(self.vm_of == vm).tolist(), times_s)

    def error_quanta(self, vm: int) -> float:
        """Return the largest distance between received and entitled, in quanta.

        Parameters
        ----------
        vm
            Which, from 0.

        Returns
        -------
        float
            Quanta, >= 0.

        Examples
        --------
        >>> from virtlab.resources.cpu import CpuVM, schedule
        >>> big = [CpuVM("big", 100), *(CpuVM(f"s{i}", 1) for i in range(100))]
        >>> round(schedule(big, seconds=4).error_quanta(0), 6)
        50.0
        """
        own = self._rows(vm)[:, 2:].ravel() / _US
        # in between, one virtual processor only falls behind or catches up; of several, some do so
        single = np.count_nonzero(self.vm_of == vm) == 1
        more = np.array([0.0, self.seconds]) if single else self.entitlement.moments_s
        times = np.unique(np.concatenate([own, more]))
        off = np.abs(self.received_s(vm, times) - self.entitled_s(vm, times))
        return float(off.max()) * 1000 / self.quantum_ms

    def letters(self) -> str:
        """Return who had each quantum of the first processor: A for the first VM, '.' for idle.

        Only where all quanta are whole, as with workloads that always compute.

        Examples
        --------
        >>> from virtlab.resources.cpu import CpuVM, schedule
        >>> schedule([CpuVM("a", max_percent=50)], seconds=0.04).letters()
        'A.A.'
        """
        quantum_us = self.quantum_ms * 1000
        out = ["."] * round(self._end / quantum_us)
        for vcpu, _, begin, end in self.intervals[self.intervals[:, 1] == 0].tolist():
            for k in range(round(begin / quantum_us), round(end / quantum_us)):
                out[k] = chr(ord("A") + int(self.vm_of[vcpu]) % 26)
        return "".join(out)

    def trace(self) -> pd.DataFrame:
        """Return every interval in which a virtual processor ran.

        Returns
        -------
        pandas.DataFrame
            Columns name, vcpu (of its VM, from 0), cpu, from_s, to_s; in order of time.
        """
        import pandas as pd

        vcpu, cpu, begin, end = self.intervals.T
        first = np.searchsorted(self.vm_of, self.vm_of)  # the first of each one's VM
        return pd.DataFrame(
            {
                "name": np.array(self.names, dtype=object)[self.vm_of[vcpu]],
                "vcpu": vcpu - first[vcpu],
                "cpu": cpu,
                "from_s": begin / _US,
                "to_s": end / _US,
            }
        )

    def _changes(self, key: int, value: int) -> Ints:
        """Count, by VM, the intervals before which `value` of the same `key` was another."""
        order = np.argsort(self.intervals[:, key], kind="stable")
        keys, values = self.intervals[order, key], self.intervals[order, value]
        changed = (keys[1:] == keys[:-1]) & (values[1:] != values[:-1])
        whose = self.vm_of[self.intervals[order[1:][changed], 0]]
        return np.bincount(whose, minlength=len(self.vms))

    @property
    def switches(self) -> Ints:
        """How often each VM came to a processor on which another had run last."""
        return self._changes(1, 0)

    @property
    def migrations(self) -> Ints:
        """How often each VM's virtual processors came to another processor than before."""
        return self._changes(0, 1)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM, with its settings as they were last."""
        import pandas as pd

        last: dict[str, CpuVM] = {}
        for _, running in self.steps:
            last |= running
        final = [last[name] for name in self.names]
        everyone = range(len(self.vms))
        entitled = [self.entitled_s(vm, np.array([self.seconds]))[0] for vm in everyone]
        return pd.DataFrame(
            {
                "name": self.names,
                "shares": [vm.shares for vm in final],
                "min_percent": [vm.min_percent for vm in final],
                "max_percent": [vm.max_percent for vm in final],
                "run_s": self.run_s,
                "ready_s": self.ready_s,
                "percent": self.percent,
                "entitled_percent": 100 * np.array(entitled) / self.seconds,
                "error_quanta": [self.error_quanta(vm) for vm in everyone],
                "switches": self.switches,
                "migrations": self.migrations,
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how busy the processors were, how fair it was, and what moved."""
        return {
            "seconds": self.seconds,
            "cpus": self.cpus,
            "quantum_ms": self.quantum_ms,
            "utilization_percent": self.utilization_percent,
            "ready_s": float(self.ready_s.sum()),
            "largest_error_quanta": max(map(self.error_quanta, range(len(self.vms))), default=0.0),
            "switches": int(self.switches.sum()),
            "migrations": int(self.migrations.sum()),
        }

    def explain(self) -> str:
        """Say who got how much, how busy the processors were, and who waited longest."""
        pairs = list(zip(self.names, self.percent, strict=True))
        got = ", ".join(f"{name} {percent:.4g}" for name, percent in pairs[:_NAMED])
        more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
        plural = "s" if self.cpus > 1 else ""
        head = (
            f"{self.seconds:g} s on {self.cpus} processor{plural}, "
            f"{self.utilization_percent:.4g} % used; percent of one: {got}{more}."
        )
        ready = self.ready_s
        if not len(ready) or ready.max() <= 0:
            return f"{head} Nobody waited."
        who = int(np.argmax(ready))
        return f"{head} {self.names[who]} waited longest, {ready[who]:.4g} s."

    def percent_between(self, from_s: float, to_s: float) -> Floats:
        """Return what each VM got in a stretch of time, in percent of one processor.

        Parameters
        ----------
        from_s, to_s
            The stretch.

        Returns
        -------
        ndarray
            One number a VM.

        Examples
        --------
        >>> from virtlab.resources.cpu import Change, CpuVM, schedule
        >>> vms = [CpuVM("a"), CpuVM("b")]
        >>> run = schedule(vms, seconds=8, events=[Change(4, "b", shares=3000)])
        >>> run.percent_between(0, 4), run.percent_between(4, 8)
        (array([50., 50.]), array([25., 75.]))
        """
        if not 0 <= from_s < to_s <= self.seconds:
            allowed = f"a stretch of 0 to {self.seconds:g} s"
            raise InvalidInputError("from_s, to_s", (from_s, to_s), allowed)
        ends = np.array([from_s, to_s])
        got = [np.diff(self.received_s(vm, ends))[0] for vm in range(len(self.vms))]
        return 100 * np.array(got) / (to_s - from_s)
