"""The idle memory tax: shares decide who gets memory, but idle pages cost their owner more (S24).

With shares alone, a VM that sleeps on its memory keeps it, while a busy one pages. ESX Server
therefore compares VMs by **shares per page**, and counts an idle page k times:

    rho = S / (P * (f + k * (1 - f))),    k = 1 / (1 - tau),

for a VM of S shares and P pages of which the fraction f is in use (**active**). tau is the **tax
rate** (税率), 0.75 unless set: an idle page costs as much as four active ones. At tau = 0 shares
alone decide; as tau goes to 1, every idle page can be taken. Where memory lacks, a page is taken
from the VM with the smallest rho. Done page after page, rho becomes equal among all VMs that are
neither at their minimum nor at their maximum: that is the **target** (割り当て目標) of each.

Written with A = f * P active pages, what P pages cost is C = A + k * (P - A), and rho = S / C. Turn
it round, and at one level C / S of all VMs a VM has

    P = level * S                        up to A, and from there
    P = A + (level - A / S) * S / k,

which is two vessels of `virtlab.resources.allocate`: one for the active pages, as wide as the
shares, with its lid at A; and one k times narrower for the idle pages, on a step at A / S. So
targets are found by the allocator that divides everything else, and rho is 1 / level.

Two VMs of equal shares that both have idle pages end up at P1 - P2 = (k - 1) / k * (A1 - A2).

What it leaves out: A is an estimate (`virtlab.memory.sampling`); how pages are taken is the
balloon's and the pager's work; and a VM's frames that are shared (S27) count in full here.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 5.
The two vessels are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.shares import allocate
from virtlab.results import Result
from virtlab.validate import InvalidInputError, number, vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["TAX_RATE", "TaxTargets", "cost", "idle_cost", "shares_per_page", "targets", "victim"]

TAX_RATE = 0.75  # the default of ESX Server: an idle page costs four times an active one
_HIGHEST_RATE = 1 - 1e-9  # at 1 an idle page would cost infinitely much


def idle_cost(tax_rate: float = TAX_RATE) -> float:
    """Return k = 1 / (1 - tau): how many active pages an idle page costs as much as.

    Parameters
    ----------
    tax_rate
        tau, from 0 to below 1.

    Returns
    -------
    float
        k, at least 1.

    Raises
    ------
    InvalidInputError
        If the rate is out of range.

    Examples
    --------
    >>> idle_cost(0.75), idle_cost(0)
    (4.0, 1.0)
    """
    return 1 / (1 - number("tax_rate", tax_rate, minimum=0, maximum=_HIGHEST_RATE))


def cost(pages: ArrayLike, active: ArrayLike, tax_rate: float = TAX_RATE) -> Floats:
    """Return what a VM's memory costs it: its active pages, and k for each idle one.

    Parameters
    ----------
    pages
        What each VM has, in any unit of memory.
    active
        How much of it is in use, in the same unit; what exceeds `pages` does not count.
    tax_rate
        tau, from 0 to below 1.

    Returns
    -------
    ndarray
        The cost of each VM, in the same unit.

    Raises
    ------
    InvalidInputError
        If a number is out of range.

    Examples
    --------
    >>> cost([100, 100], active=[100, 20]).tolist()
    [100.0, 340.0]
    """
    held = vector("pages", pages, minimum=0)
    used = np.minimum(vector("active", active, size=held.size, minimum=0), held)
    return used + idle_cost(tax_rate) * (held - used)


def shares_per_page(
    shares: ArrayLike, pages: ArrayLike, active: ArrayLike, tax_rate: float = TAX_RATE
) -> Floats:
    """Return rho = shares / cost of each VM: the smallest is the next to give a page.

    Parameters
    ----------
    shares
        Shares of each VM.
    pages, active
        What each VM has, and how much of it is in use, in one unit of memory.
    tax_rate
        tau, from 0 to below 1.

    Returns
    -------
    ndarray
        rho of each VM; infinite for one that has shares and no page.

    Raises
    ------
    InvalidInputError
        If a number is out of range.

    Examples
    --------
    >>> shares_per_page([1000, 1000], pages=[100, 100], active=[100, 20]).round(2).tolist()
    [10.0, 2.94]
    """
    price = cost(pages, active, tax_rate)
    share = vector("shares", shares, size=price.size, minimum=0)
    rho = np.full(price.size, np.inf)
    with np.errstate(over="ignore"):  # next to nothing costs next to nothing: rho is infinite
        np.divide(share, price, out=rho, where=price > 0)
    return np.where(share == 0, 0.0, rho)


def victim(
    shares: ArrayLike,
    pages: ArrayLike,
    active: ArrayLike,
    minimum: ArrayLike = 0.0,
    tax_rate: float = TAX_RATE,
) -> int:
    """Return which VM gives the next page: the one of smallest rho that is above its minimum.

    Parameters
    ----------
    shares
        Shares of each VM.
    pages, active, minimum
        What each VM has, how much of it is in use, and what it keeps in any case, in one unit.
    tax_rate
        tau, from 0 to below 1.

    Returns
    -------
    int
        Index of the VM, or -1 if all are at their minimum.

    Raises
    ------
    InvalidInputError
        If a number is out of range.

    Examples
    --------
    >>> victim([1000, 1000], pages=[100, 100], active=[100, 20])
    1
    >>> victim([1000, 1000], pages=[100, 100], active=[100, 20], minimum=[0, 100])
    0
    """
    rho = shares_per_page(shares, pages, active, tax_rate)
    held = vector("pages", pages, minimum=0)
    gives = held > vector("minimum", minimum, size=held.size, minimum=0)
    return int(np.argmin(np.where(gives, rho, np.inf))) if gives.any() else -1


@dataclass(frozen=True, eq=False)
class TaxTargets(Result):
    """How much memory each VM should have.

    Attributes
    ----------
    available, tax_rate
        What there was to divide, and tau.
    target, cost
        What each VM should have, and what that costs, in the unit of `available`.
    rho
        Shares per page, idle pages counted k times; equal where `held_by` is 'level'.
    active_fraction
        f: how much of the target is in use, from 0 to 1.
    unused
        What is left because all are at their maximum.
    shares, active, minimum, maximum, names, unit
        As given; without names they are VM1, VM2 and so on.

    Examples
    --------
    >>> result = targets(344.5, shares=[1, 1], active=[9.8, 200.4], maximum=256)
    >>> result.rho.round(6).tolist()
    [0.002676, 0.002676]
    >>> print(result.explain())
    344.5 MiB are divided at a tax rate of 0.75: an idle page costs 4 times an active one. \
VM1 gets 100.8 (10 % in use), VM2 243.7 (82 %) MiB.
    """

    available: float
    tax_rate: float
    target: Floats
    rho: Floats
    active_fraction: Floats
    cost: Floats
    unused: float
    shares: Floats
    active: Floats
    minimum: Floats
    maximum: Floats
    names: tuple[str, ...] = ()
    unit: str = "MiB"

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each VM: as given, or VM1, VM2, ..."""
        return self.names or tuple(f"VM{i}" for i in range(1, self.shares.size + 1))

    @property
    def held_by(self) -> NDArray[np.str_]:
        """What decides each VM's target: 'level' (rho), 'minimum' or 'maximum'."""
        near = 1e-9 * np.maximum(self.target, 1e-300)
        held = np.where(self.target - self.minimum <= near, "minimum", "level")
        return np.where(self.maximum - self.target <= near, "maximum", held)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM."""
        import pandas as pd

        unit = self.unit.lower()
        return pd.DataFrame(
            {
                "name": self.labels,
                "shares": self.shares,
                f"minimum_{unit}": self.minimum,
                f"maximum_{unit}": self.maximum,
                f"active_{unit}": self.active,
                f"target_{unit}": self.target,
                "active_fraction": self.active_fraction,
                f"cost_{unit}": self.cost,
                "rho": self.rho,
                "held_by": self.held_by,
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return what there was and is left, the rate, and how much is idle in all."""
        unit = self.unit.lower()
        idle = np.maximum(self.target - self.active, 0)
        return {
            f"available_{unit}": self.available,
            f"unused_{unit}": self.unused,
            "tax_rate": self.tax_rate,
            "idle_cost": idle_cost(self.tax_rate),
            f"idle_{unit}": float(idle.sum()),
            "vms": self.shares.size,
        }

    def explain(self) -> str:
        """Say what an idle page costs, and who gets how much."""
        head = (
            f"{self.available:g} {self.unit} are divided at a tax rate of {self.tax_rate:g}: "
            f"an idle page costs {idle_cost(self.tax_rate):.4g} times an active one."
        )
        rows = zip(self.labels, self.target, self.active_fraction, strict=True)
        first = chain([(" gets", " in use")], repeat(("", "")))
        words = [
            f"{name}{verb} {target:.4g} ({100 * used:.0f} %{more})"
            for (verb, more), (name, target, used) in zip(first, rows, strict=False)
        ]
        words = words[:6] + ["…"] * (len(words) > 6)
        if not words:
            return head
        held = self.held_by
        bounds = "".join(
            f" At their {bound}: {', '.join(np.array(self.labels)[held == bound])}."
            for bound in ("minimum", "maximum")
            if 0 < (held == bound).sum() <= 6
        )
        rest = f" {self.unused:.4g} {self.unit} are left." if self.unused else ""
        return f"{head} {', '.join(words)} {self.unit}.{bounds}{rest}"


def targets(
    available: float,
    shares: ArrayLike,
    active: ArrayLike,
    minimum: ArrayLike = 0.0,
    maximum: ArrayLike = np.inf,
    *,
    tax_rate: float = TAX_RATE,
    names: Sequence[str] = (),
    unit: str = "MiB",
) -> TaxTargets:
    """Divide memory so that rho is equal among the VMs between minimum and maximum.

    A host calls it when it balances, every 15 seconds or when its state changes, with what the
    VMs may have in all and the sampler's estimates: `targets(free + held, shares, active,
    minimum, maximum).target`. With pages as the unit, round the targets down.

    Parameters
    ----------
    available
        Memory for all VMs together, in any unit, at least the sum of the minimums.
    shares
        Shares of each VM.
    active
        What each VM uses, in the same unit; more than its maximum counts as its maximum.
    minimum, maximum
        What each VM has at least and at most: one number for all, or one a VM.
    tax_rate
        tau, from 0 (shares alone) to below 1.
    names, unit
        For tables and sentences.

    Returns
    -------
    TaxTargets
        Target, rho, active fraction and cost of each VM.

    Raises
    ------
    InvalidInputError
        If a number is out of range, a minimum exceeds its maximum, or the minimums together
        exceed what is available.

    Notes
    -----
    Time O(n), that of `allocate` with two vessels a VM.

    Examples
    --------
    Figure 7 of the paper: an idle VM and a busy one of equal shares, without the tax and with it.

    >>> targets(358, [1, 1], active=[9.8, 200.4], tax_rate=0).target.tolist()
    [179.0, 179.0]
    >>> targets(344.5, [1, 1], active=[9.8, 200.4]).target.round(1).tolist()
    [100.8, 243.7]
    """
    share = vector("shares", shares, minimum=0)
    used = vector("active", active, size=share.size, minimum=0)
    low = vector("minimum", minimum, size=share.size, minimum=0)
    high = vector("maximum", maximum, size=share.size, minimum=0, finite=False)
    if (low > high).any():
        i = int(np.argmax(low > high))
        raise InvalidInputError(f"minimum[{i}]", float(low[i]), f"at most maximum[{i}]")
    if names and len(names) != share.size:
        raise InvalidInputError("names", tuple(names), f"one name for each of {share.size} VMs")
    target, unused = _pour(available, share, np.minimum(used, high), low, high, tax_rate)
    price = cost(target, used, tax_rate)
    rho = shares_per_page(share, target, used, tax_rate)
    fraction = np.ones(share.size)
    np.divide(np.minimum(used, target), target, out=fraction, where=target > 0)
    for array in (target, rho, fraction, price, share, used, low, high):
        array.flags.writeable = False
    return TaxTargets(
        float(available), float(tax_rate), target, rho, fraction, price, unused,
        share, used, low, high, tuple(names), unit,
    )  # fmt: skip


def _pour(
    available: float, share: Floats, used: Floats, low: Floats, high: Floats, tax_rate: float
) -> tuple[Floats, float]:
    """Fill two vessels a VM, one for its active pages and one for its idle ones."""
    step = np.zeros(share.size)
    np.divide(used, share, out=step, where=share > 0)
    poured = allocate(
        available,
        np.concatenate([share, share / idle_cost(tax_rate)]),
        np.concatenate([np.minimum(low, used), np.maximum(low - used, 0)]),
        np.concatenate([used, high - used]),
        height=np.concatenate([0 * step, step]),
    )
    return poured.allocation[: share.size] + poured.allocation[share.size :], poured.unused
