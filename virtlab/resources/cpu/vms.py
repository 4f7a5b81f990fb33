"""VMs that ask for processors, what may happen to them, and whether they are let in (S21).

Minimum and maximum are percent of one physical processor: 0 to 100 for a VM with one virtual
processor, 0 to 200 with two. Shares divide what lies between. A VM is powered on only if its
minimum can be kept, together with those that run already: **admission**. A minimum that is not
used is lent to the others.

Source: ESX Server 2.1 Administration Guide, pp. 388-392.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from virtlab.resources.cpu.contention import KINDS
from virtlab.resources.cpu.workloads import Compute, Workload
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["SHARING", "Add", "Change", "CpuVM", "Event", "Remove", "admit", "plan"]

SHARING = ("any", "none", "internal")


def _affinity(field: str, cpus: Iterable[int] | None) -> frozenset[int] | None:
    """Return a set of logical CPUs, checked."""
    if cpus is None:
        return None
    chosen = frozenset(integer(field, cpu, minimum=0) for cpu in cpus)
    if not chosen:
        raise InvalidInputError(field, set(), "one logical CPU or more")
    return chosen


def _word(value: Any, key: str) -> str:
    """Say a new setting in short."""
    if key == "affinity":
        return " ".join(map(str, sorted(value)))
    return str(value) if key == "sharing" else f"{value:g}{' %' if '_' in key else ''}"


@dataclass(frozen=True)
class CpuVM:
    """A VM, as the scheduler sees it.

    Attributes
    ----------
    name
        Its name; events call it by it.
    shares
        Its shares, >= 0; with 0 it gets its minimum and no more.
    min_percent, max_percent
        Bounds, in percent of one physical processor. No maximum given: 100 a virtual processor.
    vcpus
        Virtual processors; each has an equal part of shares and bounds.
    workload
        What each of its virtual processors has to do.
    sharing
        Of a hyperthreaded core: with 'any' other VM, 'internal' (its own virtual processors
        alone; with only one of them that is none), or 'none' (its sibling is halted).
    affinity
        The logical CPUs that it may run on; all if not given.
    kind
        What it is like beside another: 'compute', 'cache', 'self-modifying'.

    Examples
    --------
    >>> CpuVM("db", vcpus=2).max_percent
    200.0
    >>> CpuVM("db", min_percent=120)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: db.min_percent = 120: must be a number from 0 to 100
    """

    name: str
    shares: float = 1000.0
    min_percent: float = 0.0
    max_percent: float = -1.0
    vcpus: int = 1
    workload: Workload = field(default_factory=Compute)
    sharing: str = "any"
    affinity: Iterable[int] | None = None
    kind: str = "compute"

    def __post_init__(self) -> None:
        """Check the numbers, and fill in the maximum."""
        if not self.name or "." in self.name:
            raise InvalidInputError("name", self.name, "a word without a dot")
        most = 100.0 * integer(f"{self.name}.vcpus", self.vcpus, minimum=1)
        if self.max_percent == -1.0:
            object.__setattr__(self, "max_percent", most)
        number(f"{self.name}.shares", self.shares, minimum=0)
        number(f"{self.name}.max_percent", self.max_percent, minimum=0, maximum=most)
        low = number(f"{self.name}.min_percent", self.min_percent, minimum=0, maximum=most)
        if low > self.max_percent:
            allowed = f"at most its max_percent, {self.max_percent:g}"
            raise InvalidInputError(f"{self.name}.min_percent", self.min_percent, allowed)
        one_of(f"{self.name}.sharing", self.sharing, SHARING)
        one_of(f"{self.name}.kind", self.kind, KINDS)
        object.__setattr__(self, "affinity", _affinity(f"{self.name}.affinity", self.affinity))


@dataclass(frozen=True)
class Change:
    """Someone gives a VM other shares, bounds or places.

    Attributes
    ----------
    at_s
        When.
    name
        Which VM.
    shares, min_percent, max_percent, sharing, affinity
        The new ones; None leaves one as it is.

    Examples
    --------
    >>> event = Change(30, "vm2", shares=3000)
    >>> event.to(CpuVM("vm2")).shares, event.label
    (3000, 'vm2.shares = 3000')
    """

    at_s: float
    name: str
    shares: float | None = None
    min_percent: float | None = None
    max_percent: float | None = None
    sharing: str | None = None
    affinity: Iterable[int] | None = None

    def __post_init__(self) -> None:
        """Check the time."""
        number("at_s", self.at_s, minimum=0)

    def to(self, vm: CpuVM) -> CpuVM:
        """Return the VM as it is after the change.

        Parameters
        ----------
        vm
            As it was.

        Returns
        -------
        CpuVM
            As it is.
        """
        return replace(vm, **self._new)

    @property
    def _new(self) -> dict[str, Any]:
        keys = ("shares", "min_percent", "max_percent", "sharing", "affinity")
        return {key: getattr(self, key) for key in keys if getattr(self, key) is not None}

    @property
    def label(self) -> str:
        """What happens, in short: 'vm2.shares = 3000'."""
        words = [f"{key.partition('_')[0]} = {_word(new, key)}" for key, new in self._new.items()]
        return f"{self.name}.{', '.join(words)}"


@dataclass(frozen=True)
class Add:
    """A VM is powered on.

    Attributes
    ----------
    at_s
        When.
    vm
        Which.

    Examples
    --------
    >>> Add(20, CpuVM("vm4")).name
    'vm4'
    """

    at_s: float
    vm: CpuVM

    def __post_init__(self) -> None:
        """Check the time."""
        number("at_s", self.at_s, minimum=0)

    @property
    def name(self) -> str:
        """Name of the VM."""
        return self.vm.name

    @property
    def label(self) -> str:
        """What happens, in short: '+ vm4'."""
        return f"+ {self.name}"


@dataclass(frozen=True)
class Remove:
    """A VM is powered off.

    Attributes
    ----------
    at_s
        When.
    name
        Which VM.

    Examples
    --------
    >>> Remove(40, "vm3").at_s
    40
    """

    at_s: float
    name: str

    def __post_init__(self) -> None:
        """Check the time."""
        number("at_s", self.at_s, minimum=0)

    @property
    def label(self) -> str:
        """What happens, in short: '- vm3'."""
        return f"- {self.name}"


Event = Change | Add | Remove


def admit(vm: CpuVM, running: Sequence[CpuVM], cpus: int) -> None:
    """Power a VM on, or refuse it.

    Parameters
    ----------
    vm
        The VM.
    running
        The others, which run already.
    cpus
        Physical processors.

    Raises
    ------
    InvalidInputError
        If its minimum cannot be kept beside theirs; the error says how much is lacking.

    Examples
    --------
    >>> admit(CpuVM("b", min_percent=60), [CpuVM("a", min_percent=30)], cpus=1)
    >>> admit(CpuVM("b", min_percent=80), [CpuVM("a", min_percent=30)], cpus=1)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: b.min_percent = 80: must be at most 70, what is not \
reserved yet: 10 are lacking, and it is not powered on
    """
    free = 100 * cpus - sum(other.min_percent for other in running)
    lacking = vm.min_percent - free
    if lacking > 1e-9 * cpus:
        allowed = (
            f"at most {free:g}, what is not reserved yet: {lacking:g} are lacking, "
            "and it is not powered on"
        )
        raise InvalidInputError(f"{vm.name}.min_percent", vm.min_percent, allowed)


def plan(
    vms: Sequence[CpuVM], events: Sequence[Event], cpus: int
) -> list[tuple[float, dict[str, CpuVM]]]:
    """Return which VMs run, with which settings, from when on; refuse what is not admissible.

    Parameters
    ----------
    vms
        Running from the start.
    events
        What happens, in any order.
    cpus
        Physical processors.

    Returns
    -------
    list
        Moments in rising order, each with the VMs by name; the first is 0.

    Raises
    ------
    InvalidInputError
        If a name is unknown or taken, or a minimum cannot be kept.

    Examples
    --------
    >>> steps = plan([CpuVM("a")], [Add(2, CpuVM("b")), Remove(3, "a")], cpus=1)
    >>> [(at_s, list(running)) for at_s, running in steps]
    [(0.0, ['a']), (2.0, ['a', 'b']), (3.0, ['b'])]
    """
    counts = Counter([vm.name for vm in vms] + [e.name for e in events if isinstance(e, Add)])
    name, count = counts.most_common(1)[0] if counts else ("", 0)
    if count > 1:
        raise InvalidInputError("name", name, "the name of one VM only")
    running: dict[str, CpuVM] = {}
    for vm in vms:
        if vm.min_percent:  # without one it is always let in
            admit(vm, list(running.values()), cpus)
        running[vm.name] = vm
    steps = [(0.0, dict(running))]
    for event in sorted(events, key=lambda event: event.at_s):
        if isinstance(event, Add):
            admit(event.vm, list(running.values()), cpus)
            running[event.name] = event.vm
        elif event.name not in running:
            allowed = f"a VM that runs at {event.at_s:g} s: one of {', '.join(running) or 'none'}"
            raise InvalidInputError("name", event.name, allowed)
        elif isinstance(event, Change):
            changed = event.to(running[event.name])
            others = [vm for name, vm in running.items() if name != event.name]
            admit(changed, others, cpus)
            running[event.name] = changed  # in its old place
        else:
            del running[event.name]
        steps.append((float(event.at_s), dict(running)))
    return steps
