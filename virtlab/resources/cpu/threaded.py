"""Let VMs share hyperthreaded cores: the call that begins it (S22)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu.places import check_places
from virtlab.resources.cpu.policies import Policy, Stride
from virtlab.resources.cpu.threaded_run import ThreadedRun
from virtlab.resources.cpu.threads import Threaded
from virtlab.resources.cpu.vms import Add, plan
from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.resources.cpu.contention import Cores
    from virtlab.resources.cpu.vms import CpuVM, Event

__all__ = ["schedule_threads"]

_US = 1_000_000


def schedule_threads(
    vms: Sequence[CpuVM],
    machine: Cores,
    seconds: float = 60.0,
    events: Sequence[Event] = (),
    *,
    quantum_ms: float = 10.0,
    policy: Policy | None = None,
    seed: int = 0,
) -> ThreadedRun:
    """Let VMs share cores with one or two logical CPUs each.

    Parameters
    ----------
    vms, seconds, events, quantum_ms, policy, seed
        As in `schedule`. The policy says who runs; where, what each is entitled to.
    machine
        The cores.

    Returns
    -------
    ThreadedRun
        Every interval, what was charged, and what was done.

    Raises
    ------
    InvalidInputError
        If a number is wrong, a name unknown, a minimum cannot be kept, or a VM is bound to what
        is not there.

    Examples
    --------
    Three on two cores: who is alone on one takes turns, and entitlement is kept.

    >>> from virtlab.resources.cpu import Cores, CpuVM
    >>> three = [CpuVM("a"), CpuVM("b"), CpuVM("c")]
    >>> run = schedule_threads(three, Cores(2), seconds=6)
    >>> run.percent.round(1), run.work_s.round(2)
    (array([66.7, 66.7, 66.7]), array([4.48, 4.48, 4.48]))
    """
    for field, value in (("seconds", seconds), ("quantum_ms", quantum_ms)):
        if round(1000 * number(field, value, minimum=0)) == 0:
            raise InvalidInputError(field, value, "a number of at least 0.001")
    steps = plan(vms, events, machine.cpus)
    for _, running in steps:
        check_places(list(running.values()), machine)
    everyone = (*vms, *(event.vm for event in events if isinstance(event, Add)))
    quantum_us, rng = round(quantum_ms * 1000), np.random.default_rng(seed)
    simulation = Threaded(everyone, machine, quantum_us, policy or Stride(), rng)
    simulation.run(steps, round(seconds * _US))
    return ThreadedRun(
        vms=everyone,
        cpus=machine.cpus,
        seconds=float(seconds),
        quantum_ms=float(quantum_ms),
        steps=tuple(steps),
        events=tuple(sorted(events, key=lambda event: event.at_s)),
        vm_of=np.array([vcpu.vm for vcpu in simulation.vcpus], dtype=np.int64),
        intervals=simulation.intervals(),
        wants=np.array(simulation.wants, dtype=np.int64).reshape(-1, 3),
        machine=machine,
        quarantined=tuple((everyone[vm].name, at / _US) for vm, at in simulation.quarantined),
    )
