"""How code is judged in chapter 06: it runs in the same scheduler as the course's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.resources.cpu import CpuVM, OnOff, Policy, schedule
from virtlab.resources.shares import allocate

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["try_policy", "try_starve"]


def try_starve(settings: Callable[[], Any]) -> str | None:
    """Run a student's settings, and look at what VM3 gets.

    Parameters
    ----------
    settings
        Returns three VMs.

    Returns
    -------
    str or None
        A hint; None if VM3 starves.

    Examples
    --------
    >>> try_starve(lambda: [CpuVM("VM1", 1000), CpuVM("VM2", 1000), CpuVM("VM3", 1000)])
    'VM3 gets 33 %. What comes before shares?'
    """
    vms = settings()
    if not isinstance(vms, list | tuple) or not all(isinstance(vm, CpuVM) for vm in vms):
        return "It should return a list of three `CpuVM`."
    if [vm.name for vm in vms] != ["VM1", "VM2", "VM3"]:
        return "The three are called VM1, VM2 and VM3, in this order."
    if any(vm.shares != 1000 for vm in vms):
        return "All three should have 1000 shares."
    if any(vm.max_percent < 100 for vm in vms):
        return "No maximum may be below 100 %."
    got = schedule(vms, seconds=20).percent[2]
    return None if got < 1 else f"VM3 gets {got:.0f} %. What comes before shares?"


def try_policy(make: Callable[[], Policy]) -> str | None:
    """Let a student's policy schedule some VMs.

    Parameters
    ----------
    make
        The class.

    Returns
    -------
    str or None
        A hint; None if it divides by shares, and nobody saves up.

    Examples
    --------
    >>> from virtlab.resources.cpu import RoundRobin, Stride
    >>> print(try_policy(RoundRobin))
    Shares 1000:3000:500: it gave 33.3 : 33.3 : 33.3 %, wanted are 22.2 : 66.7 : 11.1 %.
    >>> try_policy(Stride)
    """
    made: Any = make()
    if not isinstance(made, Policy):
        return "It should be a class that derives from `Policy`."
    shares = [1000.0, 3000.0, 500.0]
    run = schedule([CpuVM(f"VM{i}", s) for i, s in enumerate(shares)], seconds=12, policy=made)
    due = allocate(100, shares).allocation
    if np.abs(run.percent - due).max() > 2:
        got, wanted = (" : ".join(f"{part:.1f}" for part in parts) for parts in (run.percent, due))
        return f"Shares 1000:3000:500: it gave {got} %, wanted are {wanted} %."
    sleeper = CpuVM("VM1", workload=OnOff(on_s=0.5, off_s=3.0))
    run = schedule([sleeper, CpuVM("VM2"), CpuVM("VM3")], seconds=6, policy=make())
    came = np.sort(run.wants[run.vm_of[run.wants[:, 0]] == 0][:, 1])[1] / 1e6
    after = run.percent_between(came, came + 0.6)
    if np.ptp(after) > 15:
        words = " : ".join(f"{part:.0f}" for part in after)
        return (
            f"VM1 slept for 3 s and came back. In the next 0.6 s the three got {words} %, and "
            "should get a third each: nobody saves up while asleep."
        )
    return None
