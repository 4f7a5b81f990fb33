"""Shares: one rule that divides anything there is too little of (S19, S20).

Processor time, memory, disk and network are all divided in the same way. A VM has **shares**
(シェア), a **minimum** (最小) that it gets in any case and a **maximum** (最大) that it never
exceeds. Picture each VM as a vessel: as wide as its shares, with a floor and a lid. Pour the
capacity in, and it stands at one level in all of them:

    allocation = clip(level * shares, minimum, maximum),  with the level that spends the capacity.

So the VMs between floor and lid are served in the ratio of their shares, and what a VM can't use
goes to the others by the same rule. It is the point of (weighted) proportional fairness: among
all ways to spend the capacity, it maximises the sum of shares * log(allocation). It is also the
point nearest, in the weighted square distance, to the plain split by shares.

A vessel may also stand on a step, its **height**: then it stays dry until the level gets there,

    allocation = clip(shares * (level - height), minimum, maximum).

So one thing can be served before another. In `virtlab.memory.tax` a VM is two vessels: its pages in
use on the ground, and above them a narrow one, for its idle pages.

How the level is found is in `virtlab.resources.level`.

What it leaves out: time. How a device that serves one request after the other comes to this
split is in `virtlab.resources.disk`.

Sources: shares, minimum and maximum as in VMware ESX Server 2.5, Administration Guide (2004),
pp. 332 and 353 (0 shares: exactly the minimum). Proportional fairness: F. Kelly, A. Maulloo,
D. Tan, "Rate control for communication networks", J. Oper. Res. Soc. 49 (1998). The problem and
its algorithms: M. Patriksson, "A survey on the continuous nonlinear resource allocation problem",
Eur. J. Oper. Res. 185 (2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.resources.level import fill
from virtlab.results import Result, plain
from virtlab.validate import InvalidInputError, number, vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Allocation", "allocate"]

_ROUNDING = 1e-12  # of the capacity: what is left by rounding alone is not called unused
_LARGEST = 1e100  # keeps sums and quotients of inputs inside the range of a double
_SMALLEST = 1e-100
_NAMED = 6  # more VMs than this are counted in a sentence, not listed


@dataclass(frozen=True, eq=False)
class Allocation(Result):
    """What each VM gets, and at which level.

    Attributes
    ----------
    capacity
        What there was to divide.
    allocation
        What each VM gets, in the unit of the capacity.
    level
        Capacity per share; `clip(shares * (level - height), minimum, maximum)` is the allocation.
    unused
        What no VM can use, because all are at their maximum or have no shares.
    shares, minimum, maximum, height
        As given, one number a VM.
    passes
        How often all amounts were added up to find the level; half of them count one half.
    names
        Names of the VMs; empty for VM1, VM2 and so on.
    unit
        Unit of the capacity, for tables and sentences.

    Examples
    --------
    >>> result = allocate(160, shares=[1000, 2000, 1000], unit="MB/s")
    >>> result.level, result.unused
    (0.04, 0.0)
    >>> print(result.explain())
    160 MB/s are divided as 1000:2000:1000. VM1 gets 40, VM2 80, VM3 40 MB/s.
    """

    capacity: float
    allocation: Floats
    level: float
    unused: float
    shares: Floats
    minimum: Floats
    maximum: Floats
    height: Floats
    passes: float
    names: tuple[str, ...] = ()
    unit: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each VM: as given, or VM1, VM2, ..."""
        return self.names or tuple(f"VM{i}" for i in range(1, self.shares.size + 1))

    @property
    def held_by(self) -> NDArray[np.str_]:
        """What decides each VM's part: 'level', 'minimum' or 'maximum'; 'height' if it is dry.

        Examples
        --------
        >>> allocate(90, shares=[1, 1, 0], minimum=[50, 0, 10]).held_by.tolist()
        ['minimum', 'level', 'minimum']
        """
        wish = self.shares * (self.level - self.height)
        slack = 1e-9 * self.allocation  # a VM that just touches its bound follows the level
        held = np.where(wish < self.allocation - slack, "minimum", "level")
        held = np.where((wish < 0) & (self.allocation == 0), "height", held)
        full = (wish > self.allocation + slack) | (self.unused > 0)
        return np.where(self.shares == 0, "minimum", np.where(full, "maximum", held))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM; its height only where one stands on a step."""
        import pandas as pd

        steps = {"height": self.height} if self.height.any() else {}
        return pd.DataFrame(
            {
                "name": self.labels,
                "shares": self.shares,
                "minimum": self.minimum,
                "maximum": self.maximum,
                **steps,
                "allocation": self.allocation,
                "held_by": self.held_by,
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return capacity, what is spent and left, and the level."""
        return {
            "capacity": self.capacity,
            "allocated": self.capacity - self.unused,
            "unused": self.unused,
            "level": self.level,
            "vms": self.shares.size,
            "unit": self.unit,
            "passes": self.passes,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the allocation first, then the summary and the rows.

        Examples
        --------
        >>> allocate(160, shares=[1000, 2000, 1000]).to_json()["allocation"]
        [40.0, 80.0, 40.0]
        """
        return {"allocation": plain(self.allocation), **super().to_json()}

    def explain(self) -> str:
        """Say who gets how much, who is clamped, and what is left."""
        unit = f" {self.unit}" if self.unit else ""
        if self.shares.size > _NAMED:
            divided = f"{self.capacity:g}{unit} are divided among {self.shares.size:,} VMs."
            parts = f"They get {self.allocation.min():.4g} to {self.allocation.max():.4g}{unit}."
        else:
            ratio = ":".join(f"{value:g}" for value in self.shares)
            divided = f"{self.capacity:g}{unit} are divided as {ratio}."
            pairs = zip(self.labels, self.allocation, strict=True)
            words = [
                f"{name}{'' if i else ' gets'} {amount:.4g}"
                for i, (name, amount) in enumerate(pairs)
            ]
            parts = f"{', '.join(words)}{unit}."
        idle = ((self.shares == 0) & (self.allocation < self.maximum)).any()
        who = "no VM that has shares" if idle else "no VM"
        rest = f" {self.unused:.4g}{unit} are left, for {who} can use more." if self.unused else ""
        return f"{divided} {parts}{self._clamped()}{rest}"

    def _clamped(self) -> str:
        """Say who is held by a minimum or a maximum, or stays dry."""
        sentence = ""
        held_by, labels = self.held_by, self.labels
        for bound, words in (
            ("minimum", "kept up by"),
            ("maximum", "held down by"),
            ("height", "kept dry by"),
        ):
            who = [name for name, held in zip(labels, held_by, strict=True) if held == bound]
            if who:
                some = ", ".join(who) if len(who) <= _NAMED else f"{len(who):,} VMs"
                verb = "is" if len(who) == 1 else "are"
                its = "its" if len(who) == 1 else "their"
                sentence += f" {some} {verb} {words} {its} {bound}."
        return sentence


def allocate(
    capacity: float,
    shares: ArrayLike,
    minimum: ArrayLike = 0.0,
    maximum: ArrayLike = np.inf,
    *,
    height: ArrayLike = 0.0,
    names: Sequence[str] = (),
    unit: str = "",
) -> Allocation:
    """Divide a capacity by shares, between minimum and maximum.

    Parameters
    ----------
    capacity
        What there is to divide, in any unit, >= 0.
    shares
        Shares of each VM: 0, or from 1e-100 to 1e100. Only their ratio matters. A VM with zero
        shares gets exactly its minimum.
    minimum, maximum
        What each VM gets at least and at most, in the unit of the capacity: one number for all,
        or one a VM. The maximum may be infinite.
    height
        At which level each VM begins to be served, from 0 to 1e100, in capacity per share.
    names
        Names of the VMs, for tables and sentences.
    unit
        Unit of the capacity, for tables and sentences.

    Returns
    -------
    Allocation
        The part of each VM, the level, and what is left.

    Raises
    ------
    InvalidInputError
        If a number is out of range, a minimum exceeds its maximum, or the minimums together
        exceed the capacity (the error names the shortfall).

    Notes
    -----
    Time O(n): 3 to 7 passes over the VMs as a rule, and never more than 16 (12 of Newton's,
    3 between the kinks, because half of them fall away each time, and the last).

    Examples
    --------
    The talk's slide: 160 MB/s of disk bandwidth, then VM2 goes from 1000 to 2000 shares.

    >>> allocate(160, shares=[1000, 1000, 1000]).allocation.round(1).tolist()
    [53.3, 53.3, 53.3]
    >>> allocate(160, shares=[1000, 2000, 1000]).allocation.tolist()
    [40.0, 80.0, 40.0]

    VM1 is nearly idle and can use 10 MB/s; the others take over what it leaves, 2 to 1.

    >>> allocate(160, shares=[1000, 2000, 1000], maximum=[10, 160, 160]).allocation.tolist()
    [10.0, 100.0, 50.0]

    VM2 begins where VM1 has 30: of 100 it gets 30 less.

    >>> allocate(100, shares=[1, 1], height=[0, 30]).allocation.tolist()
    [65.0, 35.0]

    >>> allocate(160, shares=[1, 1], minimum=[100, 90])
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: sum of minimum = 190.0: must be at most the capacity \
(160): 30 are lacking
    """
    capacity = number("capacity", capacity, minimum=0, maximum=_LARGEST)
    share, low, high, takes = _checked(shares, minimum, maximum)
    steps = _checked_height(height, share.size)
    if names and len(names) != share.size:
        raise InvalidInputError("names", tuple(names), f"one name for each of {share.size} VMs")
    reserved = float(low.sum())
    if reserved > capacity * (1 + _ROUNDING):
        lacking = f"at most the capacity ({capacity:g}): {reserved - capacity:g} are lacking"
        raise InvalidInputError("sum of minimum", reserved, lacking)
    lifted = steps if steps.any() else None
    if takes.all():
        level, allocation, passes = fill(capacity, share, low, high, lifted)
    else:  # who has no shares gets exactly the minimum, whatever the level
        spare = capacity - float(low[~takes].sum())
        lifted = None if lifted is None else lifted[takes]
        level, amounts, passes = fill(spare, share[takes], low[takes], high[takes], lifted)
        allocation = low.copy()
        allocation[takes] = amounts
    left = capacity - float(allocation.sum())
    unused = left if left > _ROUNDING * capacity else 0.0
    for array in (allocation, share, low, high, steps):
        array.flags.writeable = False
    return Allocation(
        capacity, allocation, level, unused, share, low, high, steps, passes, tuple(names), unit
    )


def _checked(
    shares: ArrayLike, minimum: ArrayLike, maximum: ArrayLike
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Return the inputs as arrays of one length, and who has shares; or say what is wrong."""
    share = vector("shares", shares, minimum=0)
    low = vector("minimum", minimum, size=share.size, minimum=0)
    high = vector("maximum", maximum, size=share.size, minimum=0, finite=False)
    takes = share >= _SMALLEST
    if not (takes.all() or takes[share > 0].all()) or share.max(initial=0) > _LARGEST:
        i = int(np.argmax((share > _LARGEST) | (~takes & (share > 0))))
        raise InvalidInputError(f"shares[{i}]", float(share[i]), "0, or from 1e-100 to 1e100")
    if (low > high).any():
        i = int(np.argmax(low > high))
        allowed = f"at most maximum[{i}] = {high[i]:g}"
        raise InvalidInputError(f"minimum[{i}]", float(low[i]), allowed)
    return share, low, high, takes


def _checked_height(height: ArrayLike, size: int) -> Floats:
    """Return the heights as an array, or say what is wrong."""
    steps = vector("height", height, size=size, minimum=0)
    if steps.max(initial=0) > _LARGEST:
        i = int(np.argmax(steps))
        raise InvalidInputError(f"height[{i}]", float(steps[i]), "a number from 0 to 1e+100")
    return steps
