"""Controllers: who decides which VM gives memory, and how (S24-S26).

`EsxLike` does as ESX Server: targets by shares and idle tax; what is above a target is reclaimed
by the balloon in state soft, by the host's swap where no balloon can or is fast enough, and in
hard and low by swap at once; in low, VMs above their target wait. In high nothing new is reclaimed
for the host's sake. Two things go on: a balloon grows to the goal that it was given in soft, up to
its VM's target, or a host whose VMs ask for more would be in soft again soon after; and where a VM
is below its target, balloons of those above theirs pay for it. That is how we read the paper's
rebalancing, when a VM starts and from time to time; without it, memory would stay where it was
first.

`PressureLike` works in the manner of a production controller for Linux hosts. It knows no shares
and no targets. Below 20 % of free memory all guests shrink towards what they use plus a reserve
that gets smaller with the pressure; below 5 % the reserve is negative and guests have to swap;
above 20 % all grow. No step is more than 5 % of a guest's memory, and none less than 0.25 % is
made. The host's own swap is left to the emergency.

Write your own: a class with `control`, ten lines or so.

    class Alike:
        period_s = 5
        def control(self, view):
            "Each balloon takes the same part of its VM."
            part = view.lacking / view.size.sum() + view.ballooned.sum() / view.size.sum()
            return Orders(balloon=part * view.size)

Sources: W02 section 6.3; the thresholds of the second are those of oVirt's Memory Overcommitment
Manager (its balloon rules), the code is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.host.view import Orders
from virtlab.memory.states import State
from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from virtlab.memory.host.view import View

    Floats = NDArray[np.float64]

__all__ = ["CONTROLLERS", "Controller", "EsxLike", "PressureLike", "SwapOnly", "make_controller"]


class Controller(Protocol):
    """Decides, once every `period_s` seconds."""

    @property
    def period_s(self) -> int:
        """Seconds between two decisions."""

    def control(self, view: View) -> Orders:
        """Decide.

        Parameters
        ----------
        view
            The host as it is.

        Returns
        -------
        Orders
            What should be done.
        """


@dataclass(frozen=True)
class EsxLike:
    """Targets, states, the balloon first.

    Attributes
    ----------
    swap_mib_s
        How fast the host writes to its swap, all VMs together. Ours.
    late
        With less than this part of memory free, balloons are not fast enough even in soft, and
        the host swaps too; a quarter of the way from hard to soft. Ours.
    period_s
        Seconds between two decisions.

    Examples
    --------
    >>> EsxLike().swap_mib_s
    16.0
    """

    swap_mib_s: float = 16.0
    late: float = 0.025
    period_s: int = 1

    def control(self, view: View) -> Orders:
        """Reclaim what is above the targets, as the state demands; give to who is below."""
        most = np.maximum(view.size - view.target - view.swapped, 0)
        back = np.maximum(view.ballooned - most, 0)  # what VMs below their targets should get
        given = _at_most(back, max(view.free - view.aim, 0))
        able = np.maximum(np.minimum(view.balloon_most, most) - view.ballooned, 0)
        if view.state is State.HIGH:  # nothing new for the host, but others are owed
            asked = np.clip(view.goal - view.ballooned, 0, able)
            owed = max(float(back.sum() - given.sum() - asked.sum()), 0)
            return Orders(view.ballooned - given + asked + _at_most(able - asked, owed))
        balloon = view.ballooned - given + able
        at_once = view.state.swaps or view.free_part < self.late
        swap = view.excess if at_once else np.maximum(view.excess - able, 0)
        blocked = (view.excess > 0) & view.state.blocks
        return Orders(balloon, _at_most(swap, view.lacking), blocked, self._most_written)

    @property
    def _most_written(self) -> float:
        return self.swap_mib_s * PAGES_PER_MIB


def _at_most(amounts: Floats, limit: float) -> Floats:
    """Return amounts, all cut by one factor if their sum exceeds the limit."""
    total = float(amounts.sum())
    return amounts * (limit / total) if total > limit else amounts


@dataclass(frozen=True)
class SwapOnly(EsxLike):
    """The same targets and states, but balloons are never used: what a host without them does.

    Examples
    --------
    >>> SwapOnly().period_s
    1
    """

    def control(self, view: View) -> Orders:
        """Reclaim what is above the targets by swapping."""
        nothing = np.zeros(view.size.size)
        if view.state is State.HIGH:
            return Orders(nothing)
        blocked = (view.excess > 0) & view.state.blocks
        return Orders(nothing, _at_most(view.excess, view.lacking), blocked, self._most_written)


@dataclass(frozen=True)
class PressureLike:
    """Thresholds of pressure, small steps, no targets.

    Attributes
    ----------
    pressure, critical
        Parts of the host's memory; with less free there is pressure, and critical pressure.
    guest_reserve
        Part of its memory that a guest should have free when there is just no pressure.
    largest_step, smallest_step
        Parts of a guest's memory.
    period_s
        Seconds between two decisions.

    Examples
    --------
    >>> PressureLike().pressure
    0.2
    """

    pressure: float = 0.20
    critical: float = 0.05
    guest_reserve: float = 0.20
    largest_step: float = 0.05
    smallest_step: float = 0.0025
    period_s: int = 10

    def control(self, view: View) -> Orders:
        """Shrink all guests under pressure, let all grow without."""
        has = view.size - view.ballooned
        if view.free_part < self.pressure:
            reserve = self._reserve(view.free_part) * has
            wanted = np.maximum(has - view.guest_free + reserve, (1 - self.largest_step) * has)
            wanted = np.minimum(wanted, has)
        else:
            wanted = np.minimum((1 + self.largest_step) * has, view.size)
        large_enough = np.abs(wanted - has) > self.smallest_step * has
        return Orders(view.size - np.where(large_enough, wanted, has))

    def _reserve(self, free_part: float) -> float:
        if free_part <= self.critical:
            return free_part - self.critical
        return self.guest_reserve * free_part / self.pressure


CONTROLLERS: dict[str, Callable[[], Controller]] = {
    "esx": EsxLike,
    "pressure": PressureLike,
    "swap only": SwapOnly,
}


def make_controller(name: str) -> Controller:
    """Return a controller by its name in a scenario.

    Parameters
    ----------
    name
        'esx', 'pressure' or 'swap only'.

    Returns
    -------
    Controller
        With its default numbers.

    Examples
    --------
    >>> make_controller("pressure").period_s
    10
    """
    return CONTROLLERS[one_of("controller", name, tuple(CONTROLLERS))]()
