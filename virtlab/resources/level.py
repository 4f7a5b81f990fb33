"""Find the level at which clip(shares * (level - height), low, high) spends the capacity (S20).

The total of the clipped amounts never falls as the level rises, and between two **kinks** (the
levels at which some VM leaves its minimum or meets its maximum) it is a straight line. Three steps
find where it crosses the capacity:

1. Newton's method: from a trial level, follow the slope, which is the sum of the shares of all VMs
   that are not clamped, to where the capacity would be spent. Next to the solution that is exact.
2. Where the slope misleads (the total may have flat stretches): keep two levels with the solution
   between them, and try the middle one of the kinks in between. Half of the kinks fall away each
   time, and with them the VMs that are decided.
3. When it is known who is clamped, one division gives the level, to the last digit.

All amounts at a trial level are wrong on the same side, so together they are wrong by just what
the total misses: a total within 1e-12 of the capacity means amounts within 1e-12 of it.

Only differences of height count, so the lowest vessel stands on the ground here, and the last step
works with how far the heights are from their mean. So a step under all vessels costs no digit;
heights that differ by d round an amount by about 1e-16 * shares * d, and no more.

Source: M. Patriksson, "A survey on the continuous nonlinear resource allocation problem", Eur. J.
Oper. Res. 185 (2008), which calls 1 and 2 pegging and breakpoint search.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["fill"]

_NEWTON_STEPS = 12
_ASKED = 1000  # how many VMs a first guess is made from, where there are many
_NEAR = 1e-12  # of the capacity: near enough for the last, exact step


def fill(
    capacity: float, shares: Floats, low: Floats, high: Floats, height: Floats | None = None
) -> tuple[float, Floats, float]:
    """Find the level that spends a capacity, and what each VM gets at it.

    Parameters
    ----------
    capacity
        What there is to divide, at least the sum of `low`.
    shares
        Shares of each VM, > 0.
    low, high
        Minimum and maximum of each VM.
    height
        Where each vessel's bottom stands, >= 0; None for all on the ground.

    Returns
    -------
    tuple
        The level, the amounts, and how many passes over all VMs it took.

    Examples
    --------
    >>> level, amounts, _ = fill(160.0, np.array([1e3, 2e3, 1e3]), np.zeros(3), np.full(3, 90.0))
    >>> level, amounts.tolist()
    (0.04, [40.0, 80.0, 40.0])
    """
    if shares.size == 0:
        return 0.0, low, 0
    if float(high.sum()) <= capacity:  # every vessel is full to the lid
        lids = high / shares if height is None else high / shares + height
        return float(lids.max()), high.copy(), 1
    if float(low.sum()) >= capacity:  # the floors take all there is
        return 0.0, low.copy(), 1
    ground = 0.0 if height is None else float(height.min())
    if height is not None:
        height = height - ground if float(height.max()) > ground else None
    level, below, above, passes = _newton(capacity, shares, low, high, height)
    if below < above:
        level, more = _between_kinks(capacity, shares, low, high, below, above, height)
        passes += more
    level, amounts = _exact(capacity, level, shares, low, high, height)
    return ground + level, amounts, passes + 1


def _guess(
    capacity: float, shares: Floats, low: Floats, high: Floats, height: Floats | None
) -> float:
    """Return a level to start from: what each share would get, or what a thousand VMs say."""
    everyone = shares.size
    few = slice(None, None, max(everyone // _ASKED, 1))
    asked = shares[few].size
    level = 0.0
    if asked < everyone:
        steps = None if height is None else height[few]
        level = fill(capacity * asked / everyone, shares[few], low[few], high[few], steps)[0]
    return level or capacity / float(shares.sum())


def _wish(level: float, shares: Floats, height: Floats | None, out: Floats) -> Floats:
    """Return shares * (level - height), in memory that is already there."""
    if height is None:
        return np.multiply(shares, level, out=out)
    np.subtract(level, height, out=out)
    return np.multiply(shares, out, out=out)


def _clip(
    level: float,
    shares: Floats,
    low: Floats,
    high: Floats,
    out: Floats,
    height: Floats | None = None,
) -> Floats:
    """Return clip(shares * (level - height), low, high), in memory that is already there."""
    _wish(level, shares, height, out)
    np.maximum(out, low, out=out)
    return np.minimum(out, high, out=out)


def _newton(
    capacity: float, shares: Floats, low: Floats, high: Floats, height: Floats | None = None
) -> tuple[float, float, float, float]:
    """Follow the slope of the total to the level; return it, bounds around it, and the passes.

    No amount falls as the level rises, so at a trial level all amounts are wrong on the same side,
    and added up by just what the total misses. Equal bounds mean: found.
    """
    below, above = 0.0, np.inf
    level = _guess(capacity, shares, low, high, height)
    amounts, wish = np.empty_like(shares), np.empty_like(shares)
    for passes in range(1, _NEWTON_STEPS + 1):
        excess = float(_clip(level, shares, low, high, amounts, height).sum()) - capacity
        if abs(excess) <= _NEAR * capacity:
            return level, level, level, passes
        if excess < 0:
            below = level
        else:
            above = level
        follows = _wish(level, shares, height, wish) == amounts
        slope = float(np.multiply(shares, follows, out=wish).sum())
        if slope * level == 0:  # all are clamped
            break
        down = excess / (slope * level)
        level *= 1 - down if down < 0.5 else math.exp(-down)  # a level stays above 0
        if not below < level < above:
            break
    return level, below, above, passes


def _between_kinks(
    capacity: float,
    shares: Floats,
    low: Floats,
    high: Floats,
    below: float,
    above: float,
    height: Floats | None = None,
) -> tuple[float, float]:
    """Halve the kinks between two levels until none is left; return a level there, and passes.

    A kink is a level at which a VM leaves its minimum or meets its maximum. A VM with no kink
    between the bounds is decided: it stands at its floor, at its lid, or follows the level.
    """
    fixed, following, passes, everyone = 0.0, 0.0, 0.0, shares.size
    with np.errstate(over="ignore"):  # a level out of reach may as well be infinite
        leaves, meets = low / shares, high / shares
        if height is not None:
            leaves, meets = leaves + height, meets + height
    while True:
        floor, lid = leaves >= above, meets <= below
        follows = (leaves <= below) & (meets >= above) & ~floor & ~lid
        fixed += float(low @ floor + high[np.flatnonzero(lid & ~floor)].sum())
        following += float(shares @ follows)
        if height is not None:  # a vessel on a step holds less by its shares times the step
            fixed -= float((shares * height) @ follows)
        undecided = np.flatnonzero(~(floor | lid | follows))
        if undecided.size == 0:
            break
        shares, low, high, leaves, meets = (
            values[undecided] for values in (shares, low, high, leaves, meets)
        )
        height = None if height is None else height[undecided]
        kinks = np.concatenate([leaves[leaves > below], meets[meets < above]])
        level = float(np.partition(kinks, kinks.size // 2)[kinks.size // 2])
        amounts = _clip(level, shares, low, high, np.empty_like(shares), height)
        passes += shares.size / everyone
        if fixed + following * level + float(amounts.sum()) < capacity:
            below = level
        else:
            above = level
    # the total is a straight line between the bounds: one division gives the level
    level = (capacity - fixed) / following if following else below
    return min(max(level, below), above), passes


def _exact(
    capacity: float, level: float, shares: Floats, low: Floats, high: Floats, height: Floats | None
) -> tuple[float, Floats]:
    """Divide what the clamped leave among the others, in one exact proportion.

    Multiplying before dividing keeps whole numbers whole: 160 * 1000 / 4000 is 40 and not nearly.
    Of those that stand on steps, each gets less by its shares times its height over the mean.
    """
    amounts = _clip(level, shares, low, high, np.empty_like(shares), height)
    part = _wish(level, shares, height, np.empty_like(shares))
    follows = part == amounts
    weight = float(np.multiply(shares, follows, out=part).sum())
    if weight == 0:
        return level, amounts
    spare = capacity - float(np.multiply(amounts, ~follows, out=part).sum())
    np.multiply(shares, spare, out=amounts)
    amounts /= weight
    level = spare / weight
    if height is not None:
        lowest = float(height[follows].min())
        step = height - lowest
        mean = float(np.multiply(shares * follows, step, out=part).sum()) / weight
        amounts += shares * (mean - step)
        level += lowest + mean
    return level, _clip(1.0, amounts, low, high, amounts)
