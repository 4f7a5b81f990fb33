"""Which disk request is next? Policies that can be swapped, in ten lines each (S20).

A disk serves one request after the other. Whatever "VM2 gets twice the disk" means, it has to
come out of one choice made again and again: whose request is next. A policy is that choice.

**Start-time fair queueing** keeps an account for each VM. A request of `units` served for a VM
with `shares` moves the VM's account on by units / shares; next is the VM whose account is
furthest behind. A VM that comes back from idling starts where the others are now (the *virtual
time*, the account of the request being served): it has saved up nothing, and owes nothing. Then,
while two VMs both have requests waiting, the service they got per share never differs by more
than one request of each, over any interval:

    |W_f / r_f - W_m / r_m| <= l_f / r_f + l_m / r_m

with W the units served, r the shares and l the largest request. Stride scheduling, by which a CPU
can be shared, is a cousin: it counts quanta of equal length and keeps the same kind of account.

ESX Server counts in **units**: one for each SCSI command, and more in proportion to its size.

Sources: P. Goyal, H. Vin, H. Cheng, "Start-time fair queuing: a scheduling algorithm for
integrated services packet switching networks", SIGCOMM 1996; C. Waldspurger, PhD thesis,
MIT/LCS/TR-667 (1995), chapter 3 (stride); units: ESX Server 2.1 Administration Guide, p. 432.
How many kilobytes make a unit is not published: 64 is our choice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Fifo", "Policy", "Request", "RoundRobin", "StartTimeFair", "Units"]


class Request(NamedTuple):
    """One disk request that waits.

    Attributes
    ----------
    vm
        Whose it is, from 0.
    size_kb
        Bytes moved, in KB of 1024.
    units
        What it costs, in the units that shares are counted in.
    issued_s
        When it was issued.
    """

    vm: int
    size_kb: float
    units: float
    issued_s: float


@dataclass(frozen=True)
class Units:
    """What a request costs: so much for the command, and more with its size.

    Attributes
    ----------
    per_command
        Units of each command, whatever its size.
    kb_per_unit
        Kilobytes that cost one unit more.

    Examples
    --------
    >>> Units().of(4), Units().of(256)
    (1.0625, 5.0)
    >>> Units(per_command=0).of(256)  # bytes alone
    4.0
    """

    per_command: float = 1.0
    kb_per_unit: float = 64.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("per_command", self.per_command, minimum=0)
        if number("kb_per_unit", self.kb_per_unit, minimum=0) == 0:
            raise InvalidInputError("kb_per_unit", self.kb_per_unit, "a number > 0")

    def of(self, size_kb: float) -> float:
        """Return what a request of this size costs.

        Parameters
        ----------
        size_kb
            Its size in KB.

        Returns
        -------
        float
            Units.
        """
        return self.per_command + size_kb / self.kb_per_unit


class Policy(ABC):
    """The choice of the next request. Subclass it, and hand the class to `serve`.

    Examples
    --------
    Always serve VM1 first, and let the others starve:

    >>> class FirstFirst(Policy):
    ...     def choose(self, waiting, shares):
    ...         return min(waiting)
    >>> FirstFirst().choose({2: Request(2, 64, 2, 0.0), 1: Request(1, 64, 2, 0.0)}, [1, 1, 1])
    1
    """

    @abstractmethod
    def choose(self, waiting: Mapping[int, Request], shares: Sequence[float]) -> int:
        """Return the VM whose oldest request is next.

        Parameters
        ----------
        waiting
            The oldest waiting request of each VM that has one, by VM (0 is VM1). Never empty.
        shares
            Present shares of all VMs.

        Returns
        -------
        int
            A key of `waiting`. Its request is served, whatever happens.
        """

    def rest(self) -> None:  # noqa: B027 - most policies have nothing to do here
        """Take note that no request is left; called when the disk falls idle."""


class StartTimeFair(Policy):
    """Next is the VM that got least per share.

    Examples
    --------
    >>> policy, one = StartTimeFair(), {vm: Request(vm, 64, 2, 0.0) for vm in (0, 1)}
    >>> [policy.choose(one, [1000, 2000]) for _ in range(6)]  # VM2 has twice the shares
    [0, 1, 1, 0, 1, 1]
    """

    def __init__(self) -> None:
        self.virtual = 0.0  # where the account of the VM in service stood
        self.finish: defaultdict[int, float] = defaultdict(float)  # the accounts

    def choose(self, waiting: Mapping[int, Request], shares: Sequence[float]) -> int:
        """Return the VM whose account is furthest behind, and book the request on it."""
        start = {vm: max(self.virtual, self.finish[vm]) for vm in waiting}
        vm = min(start, key=start.__getitem__)
        self.virtual = start[vm]
        self.finish[vm] = start[vm] + waiting[vm].units / shares[vm]
        return vm

    def rest(self) -> None:
        """Forget who was ahead: a new busy period begins with all accounts equal."""
        self.virtual = max(self.finish.values(), default=0.0)


class Fifo(Policy):
    """First come, first served: who keeps more requests in the queue gets more.

    Examples
    --------
    >>> Fifo().choose({0: Request(0, 64, 2, 0.2), 1: Request(1, 64, 2, 0.1)}, [1, 1])
    1
    """

    def choose(self, waiting: Mapping[int, Request], shares: Sequence[float]) -> int:
        """Return the VM whose request waits longest."""
        del shares  # it does not know them
        return min(waiting, key=lambda vm: (waiting[vm].issued_s, vm))


class RoundRobin(Policy):
    """One request of each VM in turn: who asks for larger ones gets more.

    Examples
    --------
    >>> policy, one = RoundRobin(), {vm: Request(vm, 64, 2, 0.0) for vm in (0, 1, 2)}
    >>> [policy.choose(one, [1, 1, 1]) for _ in range(4)]
    [0, 1, 2, 0]
    """

    def __init__(self) -> None:
        self.last = -1

    def choose(self, waiting: Mapping[int, Request], shares: Sequence[float]) -> int:
        """Return the next VM after the last one that has a request."""
        del shares
        self.last = min(waiting, key=lambda vm: (vm <= self.last, vm))
        return self.last
