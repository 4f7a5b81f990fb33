"""What each VM was entitled to, at every moment of a run (S21).

At each moment those that want to run are entitled to what `virtlab.resources.allocate` gives them.
Who wants changes with every burst, a hundred thousand times in a run of a thousand VMs, so the
division is not made anew each time: `virtlab.resources.cpu.level` follows it. Virtual processors
with the same settings are one client there, of a **kind**: what each of them would have had since
the start, had it always wanted, is one line for all, and who wanted from one moment to another is
entitled to the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu.level import Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from virtlab.resources.cpu.vms import CpuVM

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__: list[str] = []

_US = 1e6
_LEAVES, _SETTINGS, _JOINS = range(3)  # in this order where they are at one moment


class _Kind:
    """Virtual processors with the same settings, which are parts of a processor."""

    def __init__(self, index: int, unit: tuple[float, float, float]) -> None:
        self.index, self.unit, self.count = index, unit, 0
        self.shares = self.low = self.high = self.weight = 0.0
        self.bound = False
        self.rows: list[tuple[float, float, float, float]] = []  # from, virtual, rate, shares

    def grow(self, by: int) -> None:
        self.count += by
        self.shares, self.low, self.high = (self.count * one for one in self.unit)

    def note(self, now: float, virtual: float) -> None:
        """Write down what one of them gets from now on: a rate, or its shares of the level."""
        each = self.weight / self.count if self.count else 0.0
        rate, shares = (each, 0.0) if self.bound or not self.count else (0.0, each)
        if not self.rows or self.rows[-1][2:] != (rate, shares):
            self.rows.append((now, virtual, rate, shares))


class Entitlement:
    """What each virtual processor was entitled to.

    Parameters
    ----------
    cpus
        Processors.
    vms, vm_of
        The VMs, and the number of the VM of each virtual processor.
    steps
        Which VMs ran, with which settings, from when on, seconds.
    wants
        Who wanted to run, from and to, microseconds.
    end_us
        The end.

    Attributes
    ----------
    moments_s
        When the division changed, seconds; from 0 to the end.
    """

    def __init__(
        self,
        cpus: int,
        vms: Sequence[CpuVM],
        vm_of: Ints,
        steps: Sequence[tuple[float, Mapping[str, CpuVM]]],
        wants: Ints,
        end_us: float,
    ) -> None:
        self.vms, self.owners = vms, vm_of.tolist()
        self.level = Level(cpus, self._moved)
        self.kinds: dict[tuple[float, float, float], _Kind] = {}
        self.of: list[_Kind | None] = [None] * len(self.owners)  # of each that wants
        self.wanting = [False] * len(self.owners)
        self.stints: list[list[tuple[float, float, _Kind]]] = [[] for _ in self.owners]
        self.began = [0.0] * len(self.owners)
        self.running: Mapping[str, CpuVM] = {}
        self.now = 0.0
        line = [(0.0, 0.0)]
        for now, what, which in self._events(steps, wants):
            if now > end_us:
                break
            if now != self.now:
                line.append((now, self.level.advance(now)))
                self.now = now
            if what == _SETTINGS:
                self._set(steps[which][1])
            else:
                self.wanting[which] = what == _JOINS
                self._follow(which)
        self.now = end_us
        if end_us > line[-1][0]:
            line.append((end_us, self.level.advance(end_us)))
        for vcpu, kind in enumerate(self.of):
            if kind is not None:
                self.stints[vcpu].append((self.began[vcpu], end_us, kind))
        times, virtual = np.array(line).T
        self._times, self._virtual = times, virtual
        self.moments_s = times / _US

    @staticmethod
    def _events(
        steps: Sequence[tuple[float, Mapping[str, CpuVM]]], wants: Ints
    ) -> list[tuple[float, int, int]]:
        """Return what happens: when, what, and which step or virtual processor."""
        begins = zip(wants[:, 1].tolist(), [_JOINS] * len(wants), wants[:, 0].tolist(), strict=True)
        ends = zip(wants[:, 2].tolist(), [_LEAVES] * len(wants), wants[:, 0].tolist(), strict=True)
        settings = [(at_s * _US, _SETTINGS, k) for k, (at_s, _) in enumerate(steps)]
        return sorted([*settings, *begins, *ends])

    def _set(self, running: Mapping[str, CpuVM]) -> None:
        """Give all VMs their present settings."""
        changed = [
            vm.name for vm in self.vms if running.get(vm.name) is not self.running.get(vm.name)
        ]
        self.running = running
        for vcpu, owner in enumerate(self.owners):
            if self.vms[owner].name in changed:
                self._follow(vcpu)

    def _kind(self, vcpu: int) -> _Kind | None:
        """Return of which kind one is now; None if it gets nothing, whatever the others do."""
        vm = self.running.get(self.vms[self.owners[vcpu]].name)
        if vm is None or not self.wanting[vcpu]:
            return None
        low = vm.min_percent / vm.vcpus / 100
        high = vm.max_percent / vm.vcpus / 100 if vm.shares else low
        if not high:
            return None
        unit = vm.shares / vm.vcpus, low, high
        return self.kinds.setdefault(unit, _Kind(len(self.kinds), unit))

    def _follow(self, vcpu: int) -> None:
        """Let one leave its kind, and join another, if it has changed."""
        old, new = self.of[vcpu], self._kind(vcpu)
        if old is new:
            return
        if old is not None:
            self._count(old, -1)
            self.stints[vcpu].append((self.began[vcpu], self.now, old))
        if new is not None:
            self._count(new, 1)
            self.began[vcpu] = self.now
        self.of[vcpu] = new

    def _count(self, kind: _Kind, by: int) -> None:
        if kind.count:
            self.level.leave(kind)
        kind.grow(by)
        if kind.count:
            self.level.join(kind)
        kind.note(self.now, self.level.virtual)

    def _moved(self, kind: _Kind, bound: bool, weight: float) -> None:  # noqa: FBT001 - Level asks
        kind.bound, kind.weight = bound, weight
        kind.note(self.now, self.level.virtual)

    def received_by(self, vcpus: Sequence[int], times_s: Floats) -> Floats:
        """Return what some virtual processors together were entitled to up to some times.

        Parameters
        ----------
        vcpus
            Which.
        times_s
            When.

        Returns
        -------
        ndarray
            Seconds.
        """
        times = np.asarray(times_s, dtype=np.float64) * _US
        total = np.zeros(times.shape)
        for vcpu in vcpus:
            stints = [stint for stint in self.stints[vcpu] if stint[1] > stint[0]]
            if stints:
                total += self._one(stints, times)
        return total / _US

    def _one(self, stints: list[tuple[float, float, _Kind]], times: Floats) -> Floats:
        begins, ends = np.array([stint[:2] for stint in stints]).T
        which = np.searchsorted(begins, times, side="right") - 1
        until = np.minimum(times, ends[which])
        kinds = np.array([kind.index for _, _, kind in stints])
        at_begin, at_end, at_times = (np.zeros(len(one)) for one in (begins, ends, until))
        for kind in {kind.index: kind for _, _, kind in stints}.values():
            mine, asked = kinds == kind.index, kinds[which] == kind.index
            at_begin[mine] = self._line(kind, begins[mine])
            at_end[mine] = self._line(kind, ends[mine])
            at_times[asked] = self._line(kind, until[asked])
        before = np.concatenate([[0.0], np.cumsum(at_end - at_begin)])[which]
        return np.where(which < 0, 0.0, before + at_times - at_begin[which])

    def _line(self, kind: _Kind, times: Floats) -> Floats:
        """Return what one of a kind would have had up to some times, microseconds."""
        begins, virtual, rate, shares = np.array(kind.rows).T
        parts = rate[:-1] * np.diff(begins) + shares[:-1] * np.diff(virtual)
        had = np.concatenate([[0.0], np.cumsum(parts)])
        row = np.maximum(np.searchsorted(begins, times, side="right") - 1, 0)
        passed = np.interp(times, self._times, self._virtual) - virtual[row]
        return np.asarray(had[row] + rate[row] * (times - begins[row]) + shares[row] * passed)
