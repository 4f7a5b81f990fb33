"""A host and its VMs: each second, look, decide, reclaim, run (S24-S26).

What the host can do when memory lacks, in this order:

1. **share** pages of equal content, which costs no VM anything (S27); pages that are about to be
   swapped are looked at first;
2. **balloon** (S28): the guest chooses, and gives what it values least;
3. **swap** (スワップ): the host writes random pages of a VM to its own disk. It always works, and
   the host can't know which pages matter.

Who gives how much is the controller's to say (`virtlab.memory.host.controllers`), up to the VM's
minimum. Targets are divided anew every 15 seconds and when the state changes, from what the host
may give away: its frames, less what it needs itself, less what should stay free, plus what
sharing saves. If a guest needs a frame and none is free, the host swaps at once, from VMs above
their targets first.

Sources: W02; BalancePeriod, ShareScanVM and ShareScanTotal are defaults of the ESX Server 2.5
Administration Guide (2004), p. 355.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.host.controllers import EsxLike
from virtlab.memory.host.machine import MachineMemory
from virtlab.memory.host.view import View
from virtlab.memory.host.vm import Vm
from virtlab.memory.states import HostState
from virtlab.memory.tax import targets
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from virtlab.memory.host.controllers import Controller
    from virtlab.memory.host.spec import HostSpec
    from virtlab.memory.host.view import Orders
    from virtlab.memory.host.vm import VmSpec

    Floats = NDArray[np.float64]

__all__ = ["Host"]

_PORTION = 256  # an emergency takes at least so many pages, not to come again at once


class Host:
    """A running host.

    Parameters
    ----------
    spec
        How it is configured.
    rng
        Where chance comes from.
    controller
        Who decides; as ESX Server does if None.
    checked
        Whether pages hold values, for tests on small hosts.

    Attributes
    ----------
    vms
        Those that run.
    tax_rate, controller
        The controller may be changed at any time, the rate by `tax`.
    machine, memory_state
        Its frames, and its state.
    target
        Of each VM, pages.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.spec import HostSpec
    >>> from virtlab.memory.host.vm import VmSpec
    >>> host = Host(HostSpec(512), np.random.default_rng(1))
    >>> host.power_on(VmSpec("a", GuestSpec(256)))
    >>> host.second()
    >>> host.memory_state.state.label, host.target / PAGES_PER_MIB
    ('high', array([256.]))
    """

    def __init__(
        self,
        spec: HostSpec,
        rng: Generator,
        controller: Controller | None = None,
        *,
        checked: bool = False,
    ) -> None:
        self.spec, self.rng, self.checked = spec, rng, checked
        self.controller: Controller = controller or EsxLike()
        self.tax_rate = spec.tax_rate
        self.machine = MachineMemory(spec.pages, round(spec.own_mib * PAGES_PER_MIB))
        self.machine.reclaim = self._emergency
        self.memory_state = HostState(spec.thresholds)
        self.vms: list[Vm] = []
        self.target: Floats = np.empty(0)
        self.now = 0
        self.blocked: NDArray[np.bool_] = np.empty(0, bool)

    def lacks_mib(self, spec: VmSpec) -> tuple[float, float]:
        """Return what a VM lacks to be admitted: memory, and swap, MiB; 0 if it fits.

        Parameters
        ----------
        spec
            The VM.

        Returns
        -------
        tuple of float
            Memory for minimums and overhead, and swap for maximums less minimums.
        """
        all_specs = [vm.spec for vm in self.vms] + [spec]
        memory = sum(one.min_mib + one.overhead_mib for one in all_specs)
        swap = sum(one.high_mib - one.min_mib for one in all_specs)
        there = self.spec.mib if self.spec.swap_mib is None else self.spec.swap_mib
        own = self.spec.mib * (1 - self.spec.thresholds.aim) - self.spec.own_mib
        return max(memory - own, 0.0), max(swap - there, 0.0)

    def power_on(self, spec: VmSpec) -> None:
        """Start a VM, if what it is promised can be kept.

        Parameters
        ----------
        spec
            The VM.

        Raises
        ------
        InvalidInputError
            If one of this name runs, or memory or swap lacks for it.
        """
        if any(vm.spec.name == spec.name for vm in self.vms):
            raise InvalidInputError("name", spec.name, "the name of no VM that runs")
        memory, swap = self.lacks_mib(spec)
        if memory or swap:
            lacks = f"{memory:.4g} MiB of memory" if memory else f"{swap:.4g} MiB of swap"
            raise InvalidInputError("power on", spec.name, f"a VM that fits: {lacks} are lacking")
        overhead = round(spec.overhead_mib * PAGES_PER_MIB)
        self._emergency(overhead)
        self.machine.fixed += overhead
        # Its kernel's first pages may have to be taken from the others: it counts when it is there.
        started = Vm(spec, self.machine, self.rng, checked=self.checked)
        self.blocked = np.append(self.blocked, False)
        self.target = np.append(self.target, spec.min_mib * PAGES_PER_MIB)
        self.vms.append(started)
        self._balance()

    def power_off(self, name: str) -> None:
        """Stop a VM; all its frames come free.

        Parameters
        ----------
        name
            Of the VM.
        """
        at = self.index(name)
        vm = self.vms.pop(at)
        vm.memory.release()
        self.machine.fixed -= round(vm.spec.overhead_mib * PAGES_PER_MIB)
        self.blocked = np.delete(self.blocked, at)
        self.target = np.delete(self.target, at)
        self._balance()

    def change(self, name: str, **changes: float) -> None:
        """Change what an administrator may change of a running VM.

        Parameters
        ----------
        name
            Of the VM.
        **changes
            shares, min_mib or max_mib.
        """
        vm = self.vms[self.index(name)]
        vm.spec = vm.spec.with_(**changes)
        self._balance()

    def tax(self, rate: float) -> None:
        """Change the tax rate, and divide anew.

        Parameters
        ----------
        rate
            tau, from 0 to below 1.
        """
        self.tax_rate = rate
        self._balance()

    def index(self, name: str) -> int:
        """Return the place of a VM among those that run.

        Parameters
        ----------
        name
            Of the VM.

        Returns
        -------
        int
            From 0.

        Raises
        ------
        InvalidInputError
            If none of that name runs.
        """
        names = [vm.spec.name for vm in self.vms]
        if name not in names:
            raise InvalidInputError("vm", name, "one that runs: " + (", ".join(names) or "none"))
        return names.index(name)

    def second(self) -> None:
        """Let a second pass: look, divide, decide, reclaim, run."""
        passages = self.memory_state.look(self.machine.free / self.machine.pages, self.now)
        if passages or self.now % self.spec.balance_s == 0:
            self._balance()
        if self.vms and self.now % self.controller.period_s == 0:
            self._carry_out(self.controller.control(self.view()))
        for vm, blocked in zip(self.vms, self.blocked, strict=True):
            vm.second(blocked=bool(blocked))
        if self.spec.sharing and self.vms:
            each = min(self.spec.scan_vm_pages_s, self.spec.scan_pages_s // len(self.vms))
            for vm in self.vms:
                vm.memory.scan(each, self.rng)
        self.now += 1

    def _balance(self) -> None:
        """Divide anew what the host may give away."""
        if not self.vms:
            return
        away = self.machine.pages * (1 - self.spec.thresholds.aim) - self.machine.fixed
        low = self._of_each(lambda vm: vm.spec.min_mib * PAGES_PER_MIB)
        found = targets(
            max(away + self.machine.saved, float(low.sum())),
            self._of_each(lambda vm: vm.spec.shares or 0.0),
            self._of_each(lambda vm: vm.estimated_active),
            low,
            self._of_each(lambda vm: vm.spec.high_mib * PAGES_PER_MIB),
            tax_rate=self.tax_rate,
        )
        self.target = np.floor(found.target + 1e-6)

    def _of_each(self, what: Callable[[Vm], float]) -> Floats:
        return np.array([what(vm) for vm in self.vms], np.float64)

    def view(self) -> View:
        """Return what a controller sees.

        Returns
        -------
        View
            The host as it is.
        """
        of_each = self._of_each
        return View(
            second=self.now,
            pages=self.machine.pages,
            free=self.machine.free,
            aim=round(self.machine.pages * self.spec.thresholds.aim),
            state=self.memory_state.state,
            size=of_each(lambda vm: vm.size),
            minimum=of_each(lambda vm: vm.spec.min_mib * PAGES_PER_MIB),
            maximum=of_each(lambda vm: vm.spec.high_mib * PAGES_PER_MIB),
            shares=of_each(lambda vm: vm.spec.shares or 0.0),
            target=self.target,
            allocated=of_each(lambda vm: vm.memory.allocated),
            active=of_each(lambda vm: vm.estimated_active),
            ballooned=of_each(lambda vm: vm.balloon.pages),
            balloon_most=of_each(lambda vm: vm.balloon.most),
            goal=of_each(lambda vm: vm.balloon.goal),
            swapped=of_each(lambda vm: vm.memory.swapped),
            guest_free=of_each(lambda vm: vm.guest.frames.free),
        )

    def _carry_out(self, orders: Orders) -> None:
        """Do what was ordered, as far as minimums allow."""
        written = min(orders.most_written / max(float(orders.swap.sum()), 1), 1)
        for vm, wanted, pages in zip(self.vms, orders.swap, orders.balloon, strict=True):
            spare = max(vm.memory.allocated - vm.minimum, 0)
            vm.memory.swap_out(
                min(int(wanted), spare),
                self.rng,
                share=self.spec.sharing,
                most_written=int(written * wanted),
            )
            vm.balloon.goal = max(round(float(pages)), 0)
        self.blocked = orders.blocked.astype(bool)

    def _emergency(self, wanted: int) -> None:
        """Swap until so many frames are free: above targets first, then above minimums."""
        for floors in (self.target, self._of_each(lambda vm: vm.minimum)):
            running = zip(self.vms, floors, strict=True)
            spare = np.array([max(vm.memory.allocated - floor, 0) for vm, floor in running])
            while self.machine.free < wanted and spare.sum() >= 1:
                lacking = max(wanted - self.machine.free, _PORTION)
                parts = np.minimum(np.ceil(spare * min(lacking / spare.sum(), 1)), spare)
                for vm, part in zip(self.vms, parts, strict=True):
                    vm.memory.swap_out(int(part), self.rng, share=self.spec.sharing)
                spare = np.floor(spare - parts)

    def check(self) -> None:
        """Raise AssertionError unless every page is in one place and every frame is counted."""
        memories = [vm.memory for vm in self.vms]
        for vm in self.vms:
            vm.memory.check()
            vm.guest.check()
            if vm.memory.ballooned != vm.balloon.pages:
                raise AssertionError("driver and host disagree about the balloon")
            if vm.memory.ballooned + vm.memory.swapped > vm.size - vm.minimum:
                raise AssertionError(f"{vm.spec.name} was taken below its minimum")
        shared = sum(memory.shared for memory in memories)
        self.machine.check(shared)
        used = sum(memory.allocated for memory in memories) - self.machine.saved
        if used != self.machine.used or self.machine.free < 0:
            raise AssertionError("frames used and frames counted disagree")
