"""Run a scenario, second by second, and write down what happened.

Each second: events, then the host looks at its free memory, divides, decides and reclaims, then
every VM runs, then equal pages are looked for (`virtlab.memory.host.host`). The same scenario and
seed give the same run, to the last page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.counters import Counters
from virtlab.memory.host.controllers import make_controller
from virtlab.memory.host.host import Host
from virtlab.memory.host.run import OF_HOST, OF_VM, MemoryRun
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.memory.host.controllers import Controller
    from virtlab.memory.host.scenario import Event, Scenario
    from virtlab.memory.host.vm import Vm

    Floats = NDArray[np.float32]

__all__ = ["Simulation", "run"]

_LONG_S = 900  # a run of more seconds shows its progress


class Simulation:
    """A scenario that runs.

    Parameters
    ----------
    scenario
        What to run.
    controller
        Who decides, instead of the scenario's: an object of one's own.
    checked
        Whether pages hold values, for tests on small hosts.

    Attributes
    ----------
    host
        The host.
    log
        What happened, and when: events, and VMs that were not admitted.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.scenario import Scenario
    >>> from virtlab.memory.host.spec import HostSpec
    >>> from virtlab.memory.host.vm import VmSpec
    >>> vms = (VmSpec("a", GuestSpec(64)), VmSpec("b", GuestSpec(64), min_mib=300))
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: min_mib = 300: must be at most max_mib, 64
    >>> vms = (VmSpec("a", GuestSpec(64)), VmSpec("b", GuestSpec(64), min_mib=64))
    >>> run(Scenario("too small", 2, HostSpec(160), vms)).log
    ((0, 'a starts'), (0, 'b is refused: 47.2 MiB of memory are lacking'))
    """

    def __init__(
        self, scenario: Scenario, controller: Controller | None = None, *, checked: bool = False
    ) -> None:
        self.scenario = scenario
        rng = np.random.default_rng(scenario.seed)
        controller = controller or make_controller(scenario.controller)
        self.host = Host(scenario.host, rng, controller, checked=checked)
        self.log: list[tuple[int, str]] = []
        self._specs = {vm.name: vm for vm in scenario.vms}
        self._column = {vm.name: i for i, vm in enumerate(scenario.vms)}
        self._before: dict[str, Counters] = {}
        self._killed: dict[str, int] = {}
        shape = (scenario.seconds, len(scenario.vms))
        self._of_vm: dict[str, Floats] = {name: np.zeros(shape, np.float32) for name in OF_VM}
        self._of_host: dict[str, Floats] = {
            name: np.zeros(scenario.seconds, np.float32) for name in OF_HOST
        }
        for name in scenario.at_once:
            self._start(name)

    def second(self) -> None:
        """Let a second pass, and record it."""
        for event in self.scenario.events:
            if event.at_s == self.host.now:
                self._happen(event)
        at = self.host.now
        self.host.second()
        self._record(at)

    def _start(self, name: str) -> None:
        try:
            self.host.power_on(self._specs[name])
        except InvalidInputError as error:
            self.log.append((self.host.now, f"{name} is refused: {error.allowed.split(': ')[-1]}"))
        else:
            self.log.append((self.host.now, f"{name} starts"))

    def _happen(self, event: Event) -> None:
        """Let an event take place."""
        if event.action == "power on":
            self._start(event.vm)
            return
        if event.vm and all(vm.spec.name != event.vm for vm in self.host.vms):
            self.log.append((event.at_s, f"{event.vm} is off"))  # it was refused, or it stopped
            return
        self.log.append((event.at_s, event.words))
        if event.action == "power off":
            self.host.power_off(event.vm)
            self._before.pop(event.vm, None)
            self._killed.pop(event.vm, None)
        elif event.vm:
            self.host.change(event.vm, **event.changes)
        if event.tax_rate is not None:
            self.host.tax(event.tax_rate)
        if event.controller is not None:
            self.host.controller = make_controller(event.controller)

    def _record(self, at: int) -> None:
        host = self.host
        row = {
            "free_mib": host.machine.free / PAGES_PER_MIB,
            "saved_mib": host.machine.saved / PAGES_PER_MIB,
            "zeros_saved_mib": host.machine.saved_zeros / PAGES_PER_MIB,
            "state": float(host.memory_state.state),
            "swap_writes": sum(vm.memory.swap_writes for vm in host.vms),
        }
        for name, value in row.items():
            self._of_host[name][at] = value
        for i, vm in enumerate(host.vms):
            if vm.killed > self._killed.get(vm.spec.name, 0):
                self._killed[vm.spec.name] = vm.killed
                self.log.append((at, f"{vm.spec.name} has no memory left: its program is killed"))
            column = self._column[vm.spec.name]
            values = self._numbers(vm, float(host.target[i]), bool(host.blocked[i]))
            for name, number in values.items():
                self._of_vm[name][at, column] = number

    def _numbers(self, vm: Vm, target: float, blocked: bool) -> dict[str, float]:  # noqa: FBT001 - private
        """Return what is recorded of a VM."""
        now = vm.guest.counters.copy()
        new = now.since(self._before.get(vm.spec.name, Counters()))
        self._before[vm.spec.name] = now
        pages = {
            "allocated_mib": vm.memory.allocated,
            "target_mib": target,
            "active_mib": vm.estimated_active,
            "touched_mib": vm.truly_active,
            "ballooned_mib": vm.memory.ballooned,
            "shared_mib": vm.memory.shared,
            "swapped_mib": vm.memory.swapped,
            "guest_swap_mib": vm.guest.swap_used,
            "guest_free_mib": vm.guest.frames.free,
        }
        return {
            **{name: value / PAGES_PER_MIB for name, value in pages.items()},
            "on": 1.0,
            "guest_faults": new.file_reads + new.swap_ins,
            "host_faults": new.host_faults,
            "double_paging": new.double_paging,
            "operations": vm.operations,
            "blocked": blocked,
        }

    def result(self) -> MemoryRun:
        """Return what was recorded so far.

        Returns
        -------
        MemoryRun
            Rows, numbers and sentences.
        """
        done = self.host.now
        return MemoryRun(
            self.scenario,
            {name: values[:done] for name, values in self._of_vm.items()},
            {name: values[:done] for name, values in self._of_host.items()},
            tuple(self.host.memory_state.passages),
            tuple(self.log),
        )


def run(
    scenario: Scenario, controller: Controller | None = None, *, progress: bool | None = None
) -> MemoryRun:
    """Run a scenario to its end.

    Parameters
    ----------
    scenario
        What to run.
    controller
        Who decides, instead of the scenario's: an object of one's own.
    progress
        Whether to show a bar; None shows one for long runs.

    Returns
    -------
    MemoryRun
        What happened.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.scenario import Scenario
    >>> from virtlab.memory.host.spec import HostSpec
    >>> from virtlab.memory.host.vm import VmSpec
    >>> found = run(Scenario("one VM", 5, HostSpec(256), (VmSpec("VM1", GuestSpec(64)),)))
    >>> found.summary()["worst_state"]
    'high'
    """
    simulation = Simulation(scenario, controller)
    show = scenario.seconds > _LONG_S if progress is None else progress
    hidden = None if show else True  # None: shown on a terminal, not in a file or a notebook
    for _ in tqdm(range(scenario.seconds), disable=hidden, unit="s", leave=False):
        simulation.second()
    return simulation.result()
