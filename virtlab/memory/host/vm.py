"""A VM on a host: its guest, its balloon, its program, and what the host believes of it.

`VmSpec` is what an administrator writes down: memory configured, minimum and maximum, shares.
`Vm` is the running thing; a second of its time is one call.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.balloon import Balloon, BalloonSpec
from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.guest import Guest, OutOfMemoryError
from virtlab.memory.guest.workloads import Idle, Work
from virtlab.memory.host.backing import BackedMemory
from virtlab.memory.sampling import Sampler, SamplerSettings
from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from numpy.random import Generator

    from virtlab.memory.guest.spec import GuestSpec
    from virtlab.memory.guest.workloads import Workload
    from virtlab.memory.host.machine import MachineMemory

__all__ = ["ACTIVE_S", "Vm", "VmSpec"]

ACTIVE_S = 30
"""A page is truly active if it was touched in so many seconds, a sampling period."""

_COUNT_S = 5
_NORMAL = 10.0  # shares a MiB at 'normal'


@dataclass(frozen=True)
class VmSpec:
    """How a VM is configured.

    Attributes
    ----------
    name
        Of the VM.
    guest
        Its guest, which says how much memory it takes for its own.
    workload
        What runs in it.
    min_mib, max_mib
        What it has in any case and at most, MiB; the maximum is all that is configured if None.
    shares
        Of memory; 10 for each MiB configured if None.
    overhead_mib
        What the host needs to run it.
    balloon
        Its balloon driver.
    boot_s
        Seconds until its guest has started and the workload begins.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> spec = VmSpec("web", GuestSpec(256), min_mib=128)
    >>> spec.shares, spec.max_mib
    (2560.0, 256.0)
    """

    name: str
    guest: GuestSpec
    workload: Workload = field(default_factory=Idle)
    min_mib: float = 0.0
    max_mib: float | None = None
    shares: float | None = None
    overhead_mib: float = 54.0
    balloon: BalloonSpec = field(default_factory=BalloonSpec)
    boot_s: int = 0

    def __post_init__(self) -> None:
        """Fill in what was left out, and check."""
        size = float(self.guest.size_mib)
        if self.max_mib is None:
            object.__setattr__(self, "max_mib", size)
        if self.shares is None:
            object.__setattr__(self, "shares", _NORMAL * size)
        number("overhead_mib", self.overhead_mib, minimum=0)
        number("boot_s", self.boot_s, minimum=0)
        number("shares", self.shares, minimum=0)
        number("max_mib", self.max_mib, minimum=1 / PAGES_PER_MIB, maximum=size)
        low = number("min_mib", self.min_mib, minimum=0)
        if low > self.high_mib:
            raise InvalidInputError("min_mib", self.min_mib, f"at most max_mib, {self.high_mib:g}")

    @property
    def high_mib(self) -> float:
        """The maximum, MiB."""
        return float(self.max_mib if self.max_mib is not None else self.guest.size_mib)

    def with_(self, **changes: float) -> VmSpec:
        """Return the spec with other numbers.

        Parameters
        ----------
        **changes
            Fields and their new values.

        Returns
        -------
        VmSpec
            A copy, checked.
        """
        return replace(self, **changes)  # type: ignore[arg-type]  # the fields are numbers


class Vm:
    """A running VM.

    Parameters
    ----------
    spec
        How it is configured.
    machine
        Where its frames come from.
    rng
        Where chance comes from.
    checked
        Whether its pages hold values, for tests.

    Attributes
    ----------
    memory, guest, balloon, sampler
        What it is made of.
    operations
        What its program did in the last second.
    killed
        How often its program was killed because the guest had no memory left.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.machine import MachineMemory
    >>> vm = Vm(VmSpec("a", GuestSpec(64)), MachineMemory(30_000), np.random.default_rng(1))
    >>> vm.second(blocked=False)
    >>> vm.memory.allocated > 0
    True
    """

    def __init__(
        self, spec: VmSpec, machine: MachineMemory, rng: Generator, *, checked: bool = False
    ) -> None:
        self.spec, self._rng = spec, rng
        self.memory = BackedMemory(spec.guest.pages, machine, checked=checked)
        self.guest = Guest(spec.guest, self.memory)
        self.balloon = Balloon(self.guest, spec.balloon)
        self.sampler = Sampler(spec.guest.pages, rng, SamplerSettings())
        self.operations = self.killed = 0
        self._truly = (-_COUNT_S, 0)
        self._work: Work | None = None

    @property
    def size(self) -> int:
        """Pages configured."""
        return self.spec.guest.pages

    @property
    def minimum(self) -> int:
        """Pages that can't be taken from it."""
        return round(self.spec.min_mib * PAGES_PER_MIB)

    @property
    def estimated_active(self) -> float:
        """Pages in use, as the sampler estimates."""
        return self.sampler.estimate * self.size

    @property
    def truly_active(self) -> int:
        """Pages in use, which no host knows: touched in the last 30 seconds. Counted every 5 s."""
        now = self.guest.now
        if self._truly[0] <= now - _COUNT_S:
            touched = np.count_nonzero(self.guest.frames.touched > now - ACTIVE_S)
            self._truly = now, int(touched)
        return self._truly[1]

    def second(self, *, blocked: bool) -> None:
        """Let a second pass.

        Parameters
        ----------
        blocked
            Whether the host makes the VM wait; its balloon driver still works.
        """
        self.guest.now += 1
        may = max(self.size - self.minimum - self.memory.swapped, 0)
        self.balloon.goal = min(self.balloon.goal, may)
        self.balloon.poll()
        self.operations = 0
        if blocked:
            return
        try:
            self._run()
        except OutOfMemoryError:  # as a real guest does: the program is killed, and starts again
            self.killed += 1
            if self._work is not None:
                self._work.end()
                self._work = None
        self.sampler.see(self.guest.frames.touched[self.sampler.sampled] == self.guest.now)

    def _run(self) -> None:
        """Let the operating system start, and then run with the program."""
        if self.guest.booted < self.spec.boot_s:
            self.guest.boot(self.spec.boot_s)
            return
        if self._work is None:
            self._work = Work(self.guest, self.spec.workload, self._rng)
        self.guest.breathe()
        self.operations = self._work.second()
