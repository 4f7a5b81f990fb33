"""A VM of several virtual processors: do they run together? Strict and relaxed (S21).

A guest with several processors expects all of them to get on: one that waits for a lock held by
another that does not run burns its time. So ESX 2 runs them together, **strict co-scheduling**. It
keeps a **skew** for each: how far it is behind its siblings. While no skew is over a threshold they
may run one by one; once one is, the whole VM stops, and starts again only when there are free
processors for all of them at once; then they count as level. Free processors that do not suffice
stay idle. ESX 3 is **relaxed**: over the threshold only those that are ahead stop, and who is
behind may run alone. A virtual processor that is idle counts as getting on, in both.

Time goes in slots of one quantum, in which all that were chosen run. VMs are taken in the order of
their passes (stride, counted in processor time), and a VM that does not fit is passed over. With a
threshold of 0, strict means always together: a 4-way and a 2-way VM with equal shares a virtual
processor then take turns on 4 processors, and a quarter of the time is wasted.

What is left out: the guest's locks themselves; what a skew costs in the guest; ESX's threshold is
not published, so it is an argument.

Source: VMware communities, "Co-scheduling SMP VMs in VMware ESX Server".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["CoRules", "CoRun", "Smp", "compare_rules", "coschedule"]

MODES = ("strict", "relaxed")


@dataclass(frozen=True)
class Smp:
    """A VM with several virtual processors.

    Attributes
    ----------
    name
        Its name.
    vcpus
        Virtual processors.
    busy
        How many of them have work; all if not given. The others idle.
    shares
        Of the VM, > 0; 1000 a virtual processor if not given.

    Examples
    --------
    >>> Smp("db", 4).shares, Smp("db", 4, busy=1).busy
    (4000.0, 1)
    """

    name: str
    vcpus: int = 1
    busy: int = -1
    shares: float = -1.0

    def __post_init__(self) -> None:
        """Check the numbers, and fill in what was not given."""
        integer(f"{self.name}.vcpus", self.vcpus, minimum=1)
        if self.busy == -1:
            object.__setattr__(self, "busy", self.vcpus)
        if self.shares == -1.0:
            object.__setattr__(self, "shares", 1000.0 * self.vcpus)
        integer(f"{self.name}.busy", self.busy, minimum=0, maximum=self.vcpus)
        if number(f"{self.name}.shares", self.shares, minimum=0) == 0:
            raise InvalidInputError(f"{self.name}.shares", self.shares, "a number > 0")


@dataclass(frozen=True, eq=False)
class CoRun(Result):
    """What `coschedule` returns.

    Attributes
    ----------
    vms, cpus, mode, threshold
        As given.
    ran
        One row a slot, one column a VM: how many of its virtual processors ran.
    skew
        The largest skew that each VM ever had, in slots.

    Examples
    --------
    >>> run = coschedule([Smp("four", 4), Smp("two", 2)], cpus=4)
    >>> run.ran[:4].tolist(), run.utilization_percent
    ([[4, 0], [0, 2], [4, 0], [0, 2]], 75.0)
    """

    vms: tuple[Smp, ...]
    cpus: int
    mode: str
    threshold: int
    ran: NDArray[np.int64]
    skew: NDArray[np.int64]

    @property
    def utilization_percent(self) -> float:
        """How much of the processors' time was used."""
        return 100 * float(self.ran.sum()) / (self.cpus * len(self.ran))

    @property
    def percent(self) -> NDArray[np.float64]:
        """What each VM got, in percent of one processor."""
        return np.asarray(100 * self.ran.mean(axis=0))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM."""
        import pandas as pd

        return pd.DataFrame(
            {
                "name": [vm.name for vm in self.vms],
                "vcpus": [vm.vcpus for vm in self.vms],
                "busy": [vm.busy for vm in self.vms],
                "shares": [vm.shares for vm in self.vms],
                "percent": self.percent,
                "largest_skew_slots": self.skew,
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how busy the processors were, and under which rule."""
        return {
            "mode": self.mode,
            "threshold_slots": self.threshold,
            "cpus": self.cpus,
            "slots": len(self.ran),
            "utilization_percent": self.utilization_percent,
        }

    def explain(self) -> str:
        """Say how much was used and who got what."""
        got = ", ".join(
            f"{vm.name} {part:.4g}" for vm, part in zip(self.vms, self.percent, strict=True)
        )
        return (
            f"{self.mode.capitalize()} co-scheduling on {self.cpus} processors uses "
            f"{self.utilization_percent:.4g} % of them; percent of one: {got}."
        )


def coschedule(
    vms: Sequence[Smp],
    cpus: int = 4,
    slots: int = 600,
    *,
    mode: str = "strict",
    threshold: int = 0,
) -> CoRun:
    """Let VMs with several virtual processors share physical ones.

    Parameters
    ----------
    vms
        The VMs.
    cpus
        Physical processors.
    slots
        How long, in quanta.
    mode
        'strict' (ESX 2) or 'relaxed' (ESX 3).
    threshold
        The skew in slots that is allowed.

    Returns
    -------
    CoRun
        Who ran in each slot.

    Raises
    ------
    InvalidInputError
        If a number is wrong, or, under strict rules, a VM can never fit.

    Examples
    --------
    >>> vms = [Smp("four", 4), Smp("two", 2)]
    >>> [coschedule(vms, mode=mode).utilization_percent for mode in ("strict", "relaxed")]
    [75.0, 100.0]
    """
    integer("cpus", cpus, minimum=1)
    integer("slots", slots, minimum=1)
    integer("threshold", threshold, minimum=0)
    strict = one_of("mode", mode, MODES) == "strict"
    for vm in vms:
        if strict and vm.busy > cpus:
            allowed = f"at most {cpus} processors, or it never runs"
            raise InvalidInputError(f"{vm.name}.busy", vm.busy, allowed)
    gangs = [_Gang(vm, np.zeros(vm.busy, dtype=np.int64)) for vm in vms]
    ran = np.zeros((slots, len(gangs)), dtype=np.int64)
    for slot in range(slots):
        free = cpus
        for number_ in sorted(range(len(gangs)), key=lambda k: (gangs[k].at, k)):
            count = gangs[number_].run(free, threshold, strict=strict)
            ran[slot, number_] = count
            free -= count
    skew = np.array([gang.worst for gang in gangs], dtype=np.int64)
    return CoRun(tuple(vms), cpus, mode, threshold, ran, skew)


@dataclass(frozen=True, eq=False)
class CoRules(Result):
    """The same VMs under both rules: what `compare_rules` returns.

    Attributes
    ----------
    strict, relaxed
        A run each.

    Examples
    --------
    >>> print(compare_rules([Smp("four", 4), Smp("two", 2)]).explain())
    With no skew allowed strict rules use 75 % of 4 processors, relaxed ones 100 %. Percent of one \
processor, strict and relaxed: four 200 and 267, two 100 and 133.
    """

    strict: CoRun
    relaxed: CoRun

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM: what it got, and its largest skew, under both rules."""
        strict, relaxed = self.strict.to_frame(), self.relaxed.to_frame()
        frame = strict[["name", "vcpus", "busy", "shares"]].copy()
        for column in ("percent", "largest_skew_slots"):
            short = column.removeprefix("largest_")
            frame[f"strict_{short}"] = strict[column]
            frame[f"relaxed_{short}"] = relaxed[column]
        return frame

    def summary(self) -> dict[str, float | int | str]:
        """Return how busy the processors were under each rule."""
        return {
            "cpus": self.strict.cpus,
            "threshold_slots": self.strict.threshold,
            "strict_utilization_percent": self.strict.utilization_percent,
            "relaxed_utilization_percent": self.relaxed.utilization_percent,
        }

    def explain(self) -> str:
        """Say how much each rule uses, and who got what."""
        used = f"{self.strict.utilization_percent:.3g} % of {self.strict.cpus} processors"
        pairs = zip(self.strict.vms, self.strict.percent, self.relaxed.percent, strict=True)
        got = ", ".join(f"{vm.name} {one:.0f} and {other:.0f}" for vm, one, other in pairs)
        more, slots = self.relaxed.utilization_percent, self.strict.threshold
        skew = f"a skew of {slots} slot{'s' if slots > 1 else ''}" if slots else "no skew"
        return (
            f"With {skew} allowed strict rules use {used}, relaxed ones {more:.3g} %. "
            f"Percent of one processor, strict and relaxed: {got}."
        )


def compare_rules(
    vms: Sequence[Smp], cpus: int = 4, slots: int = 600, *, threshold: int = 0
) -> CoRules:
    """Run the same VMs under strict and under relaxed rules.

    Parameters
    ----------
    vms, cpus, slots, threshold
        As for `coschedule`.

    Returns
    -------
    CoRules
        Both runs.

    Raises
    ------
    InvalidInputError
        As `coschedule` does.

    Examples
    --------
    >>> compare_rules([Smp("four", 4), Smp("two", 2)]).summary()["strict_utilization_percent"]
    75.0
    """
    strict = coschedule(vms, cpus, slots, threshold=threshold)
    return CoRules(strict, coschedule(vms, cpus, slots, mode="relaxed", threshold=threshold))


@dataclass
class _Gang:
    """The busy virtual processors of one VM, and how far each is behind."""

    vm: Smp
    behind: NDArray[np.int64]
    at: float = 0.0
    worst: int = 0
    stopped: bool = field(default=False)

    def run(self, free: int, threshold: int, *, strict: bool) -> int:
        """Run who may in this slot; return how many did."""
        size = len(self.behind)
        together = strict and (threshold == 0 or self.stopped)
        if not size or not free or (together and free < size):
            return 0
        may = np.arange(size)
        if not strict and self.behind.max() > threshold:
            may = np.flatnonzero(self.behind > 0)  # who is ahead waits
        chosen = may[np.argsort(-self.behind[may], kind="stable")][:free]
        self.behind += 1
        self.behind[chosen] -= 1
        if strict and len(chosen) == size and self.stopped:
            self.behind[:] = 0  # all start at once, level again
        self.behind -= self.behind.min()
        self.stopped = bool(self.behind.max() > threshold)
        self.worst = max(self.worst, int(self.behind.max()))
        self.at += len(chosen) / self.vm.shares
        return len(chosen)
