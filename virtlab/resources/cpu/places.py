"""Who may run where: affinity, and who may sit beside whom (S22).

A VM is **bound** to logical CPUs by its affinity. Two that are bound to the two halves of one core
are bound to half a core each, and that is where the talk's warning comes from. What cannot be is
refused before anything runs: a logical CPU that is not there, or a minimum that the cores a VM is
bound to cannot keep. Of minimums together those are added up that lie within the cores of one VM;
cores that overlap otherwise are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.resources.cpu.contention import Cores
    from virtlab.resources.cpu.vms import CpuVM, Event

__all__ = ["any_bound", "check_places", "fit", "places"]


def any_bound(vms: Sequence[CpuVM], events: Sequence[Event]) -> bool:
    """Return whether any VM is, or will be, bound to some logical CPUs.

    Parameters
    ----------
    vms, events
        As `schedule` takes them.

    Returns
    -------
    bool
        Whether places matter.

    Examples
    --------
    >>> from virtlab.resources.cpu.vms import Change, CpuVM
    >>> any_bound([CpuVM("a")], []), any_bound([CpuVM("a")], [Change(1, "a", affinity={0})])
    (False, True)
    """
    later = (getattr(event, "vm", event) for event in events)
    return any(getattr(one, "affinity", None) is not None for one in (*vms, *later))


def places(vm: CpuVM, machine: Cores) -> frozenset[int]:
    """Return the logical CPUs that a VM may run on.

    Parameters
    ----------
    vm
        The VM.
    machine
        Its cores.

    Returns
    -------
    frozenset of int
        Never empty.

    Raises
    ------
    InvalidInputError
        If it is bound to one that is not there.

    Examples
    --------
    >>> from virtlab.resources.cpu import Cores, CpuVM
    >>> sorted(places(CpuVM("a", affinity={1, 3}), Cores(2, threads=2)))
    [1, 3]
    """
    everywhere = frozenset(range(machine.logical))
    if vm.affinity is None:
        return everywhere
    chosen = frozenset(vm.affinity)
    if not chosen <= everywhere:
        allowed = f"of the logical CPUs 0 to {machine.logical - 1}"
        raise InvalidInputError(f"{vm.name}.affinity", sorted(chosen), allowed)
    return chosen


def check_places(running: Sequence[CpuVM], machine: Cores) -> None:
    """Refuse what cannot be.

    Parameters
    ----------
    running
        The VMs that run together.
    machine
        Its cores.

    Raises
    ------
    InvalidInputError
        If one is bound to what is not there, or the minimums of those that are bound to the same
        cores are more than these have.

    Examples
    --------
    >>> from virtlab.resources.cpu import Cores, CpuVM
    >>> vms = [CpuVM("a", min_percent=70, affinity={0}), CpuVM("b", min_percent=70, affinity={1})]
    >>> check_places(vms, Cores(2, threads=1))
    >>> check_places(vms, Cores(1, threads=2))
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: b.affinity = [1]: must be logical CPUs whose 1 core can \
keep the minimums of those bound to it: 140 of 100
    """
    cores = [frozenset(cpu // machine.threads for cpu in places(vm, machine)) for vm in running]
    for vm, mine in zip(running, cores, strict=True):
        if vm.affinity is None:
            continue  # all of them together: admission has seen to that
        within = [
            other.min_percent for other, its in zip(running, cores, strict=True) if its <= mine
        ]
        if sum(within) > 100 * len(mine) * (1 + 1e-9):
            plural = "s" if len(mine) > 1 else ""
            allowed = (
                f"logical CPUs whose {len(mine)} core{plural} can keep the minimums of those "
                f"bound to {'them' if plural else 'it'}: {sum(within):g} of {100 * len(mine)}"
            )
            last = [v for v, its in zip(running, cores, strict=True) if its <= mine][-1]
            raise InvalidInputError(f"{last.name}.affinity", sorted(last.affinity or ()), allowed)


def fit(sharing: str, other_sharing: str, *, same_vm: bool) -> bool:
    """Return whether two may run on one core.

    Parameters
    ----------
    sharing, other_sharing
        'any', 'none' or 'internal', of each.
    same_vm
        Whether both are of one VM.

    Returns
    -------
    bool
        The rule is the same from either side.

    Examples
    --------
    >>> fit("any", "any", same_vm=False), fit("internal", "internal", same_vm=False)
    (True, False)
    >>> fit("internal", "internal", same_vm=True), fit("none", "none", same_vm=True)
    (True, False)
    """
    rules = {sharing, other_sharing}
    return "none" not in rules and (same_vm or "internal" not in rules)
