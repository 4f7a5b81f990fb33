"""Exercises of chapter 06 that ask for a prediction: what each VM gets after something changed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from virtlab.course.questions import Mistake, Numeric
from virtlab.resources.cpu import CpuVM, claims

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["added", "admission", "changed", "console", "removed"]


def _entitled(vms: Sequence[CpuVM], cpus: int = 1) -> list[float]:
    """Return what VMs are entitled to, percent of one processor."""
    return list(claims({vm.name: vm for vm in vms}, cpus).values())


def _plain(shares: Sequence[float]) -> list[float]:
    return _entitled([CpuVM(f"VM{i}", share) for i, share in enumerate(shares, 1)])


def _in_words(shares: Sequence[float]) -> str:
    return ", ".join(f"VM{i} {share:g}" for i, share in enumerate(shares, 1))


def changed(
    before: Sequence[float] = (1000, 1000, 1000), which: int = 2, after: float = 3000
) -> Numeric:
    """Ask for all parts once shares have changed.

    Parameters
    ----------
    before, which, after
        Shares of three VMs, the VM whose shares change, and what they become.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> changed().kind
    'number'
    """

    def draw(rng: np.random.Generator) -> Numeric:
        some = [float(500 * k) for k in rng.integers(1, 7, 3)]
        vm = int(rng.integers(1, 4))
        return changed(some, vm, float(some[vm - 1] * rng.integers(2, 5)))

    new = [after if i == which else share for i, share in enumerate(before, 1)]
    return Numeric(
        name="changed",
        text=f"One processor, three VMs that always compute; shares: {_in_words(before)}. At 4 s "
        f"**VM{which}'s shares become {after:g}**. What does each VM get from then on? Give a list "
        "of three, VM1 first.",
        unit="%",
        relative=0.02,
        solve=lambda: _plain(new),
        why="All shares are compared anew from the next quantum on; nobody gets back what was.",
        mistakes=[
            Mistake(lambda: _plain(before), "That is what they got before."),
            Mistake(
                lambda: [
                    part * after / before[which - 1] if i == which else part
                    for i, part in enumerate(_plain(before), 1)
                ],
                "Together that is more than the processor has. Divide by all shares there are now.",
            ),
        ],
        hint="Each VM's new shares, out of all new shares.",
        variant=draw,
    )


def added(shares: Sequence[float] = (1000, 2000, 1000), new: float = 2000) -> Numeric:
    """Ask for all parts once a VM has come.

    Parameters
    ----------
    shares, new
        Shares of three VMs, and of the one that comes.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> added().kind
    'number'
    """

    def draw(rng: np.random.Generator) -> Numeric:
        some = [float(500 * k) for k in rng.integers(1, 7, 3)]
        return added(some, float(500 * rng.integers(1, 7)))

    return Numeric(
        name="added",
        text=f"One processor, three VMs that always compute; shares: {_in_words(shares)}. At 4 s "
        f"**VM4 is added, with {new:g} shares**. What does each of the four get? Give a list, VM1 "
        "first.",
        unit="%",
        relative=0.02,
        solve=lambda: _plain([*shares, new]),
        why="Each of the others gives the same part of what it had, so their ratio stays.",
        mistakes=[
            Mistake(
                lambda: [*_plain(shares), 100 * new / sum(shares)],
                "Nobody gave anything: that is more than the processor has.",
            ),
            Mistake(
                lambda: [*(0.75 * part for part in _plain(shares)), 25],
                "A newcomer gets no fixed quarter: its shares count as all others do.",
            ),
        ],
        hint="Each VM's shares, out of all there are now: the new one's count too.",
        variant=draw,
    )


def removed(shares: Sequence[float] = (1000, 1000, 2000), lid: float = 30) -> Numeric:
    """Ask who takes what a VM leaves, when one has a maximum.

    Parameters
    ----------
    shares, lid
        Shares of three VMs, of which the third goes; the first one's maximum, percent.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> removed().kind
    'number'
    """

    def draw(rng: np.random.Generator) -> Numeric:
        some = [float(500 * k) for k in rng.integers(1, 7, 3)]
        alone = 100 * some[0] / (some[0] + some[1])
        return removed(some, float(max(5, 5 * math.floor(alone * rng.uniform(0.3, 0.9) / 5))))

    def solve() -> float:
        return _entitled([CpuVM("VM1", shares[0], max_percent=lid), CpuVM("VM2", shares[1])])[1]

    return Numeric(
        name="removed",
        text=f"One processor, three VMs that always compute; shares: {_in_words(shares)}. **VM1 "
        f"has a maximum of {lid:g} %**. Now VM3 is removed. What does **VM2** get?",
        unit="%",
        relative=0.02,
        solve=solve,
        why="VM1 cannot take its part of what VM3 leaves, so VM2 takes that too: nothing is "
        "wasted while somebody may have it.",
        mistakes=[
            Mistake(
                lambda: 100 * shares[1] / (shares[0] + shares[1]),
                "By shares alone. But what does VM1's maximum leave?",
            ),
            Mistake(lambda: 100 * shares[1] / sum(shares), "That is what VM2 had before."),
        ],
        hint="Who is left, and who of them may not have more?",
        variant=draw,
    )


def console(low: float = 20, high: float = 50, shares: float = 3000, kept: float = 30) -> Numeric:
    """Ask the administration guide's example.

    Parameters
    ----------
    low, high, shares, kept
        Bounds and shares of the VM, and the console's minimum, percent.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> console().kind
    'number'
    """

    def draw(rng: np.random.Generator) -> Numeric:
        return console(
            float(5 * rng.integers(1, 5)),
            float(5 * rng.integers(9, 15)),
            float(1000 * rng.integers(1, 4)),
            float(5 * rng.integers(4, 9)),
        )

    def guide() -> list[float]:
        return _entitled([CpuVM("VM", shares, low, high), CpuVM("console", 1000, kept)])

    by_shares = 100 * shares / (shares + 1000)
    surplus = low + (100 - low - kept) * shares / (shares + 1000)
    return Numeric(
        name="console",
        text=f"The guide's example. One processor. A VM has a minimum of **{low:g} %**, a maximum "
        f"of **{high:g} %** and **{shares:g}** shares; the **service console** a minimum of "
        f"**{kept:g} %** and 1000 shares. Both have work without end. What does the VM get?",
        unit="%",
        relative=0.02,
        solve=lambda: guide()[0],
        why="Shares say what each would get; minimum and maximum correct that, and the rest goes "
        "to whoever may have it.",
        mistakes=[
            mistake
            for value, mistake in (
                (by_shares, Mistake(lambda: by_shares, "By shares alone. Is that inside bounds?")),
                (low, Mistake(lambda: low, "That is what it has in any case. It may have more.")),
                (
                    surplus,
                    Mistake(
                        lambda: surplus,
                        "You gave both their minimum and divided the rest by shares. In this model "
                        "shares count from zero: minimum and maximum only cut off.",
                    ),
                ),
            )
            if abs(value - guide()[0]) > 0.05 * value
        ],
        hint="First by shares alone. Whom do the bounds correct, and who has the rest?",
        variant=draw,
    )


def admission(cpus: int = 2, kept: Sequence[float] = (50, 60, 40), asked: float = 70) -> Numeric:
    """Ask how much is lacking.

    Parameters
    ----------
    cpus, kept, asked
        Processors, minimums of three VMs, and what a fourth one asks for, percent.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> admission().kind
    'number'
    """

    def draw(rng: np.random.Generator) -> Numeric:
        some = [float(5 * k) for k in rng.integers(9, 13, 3)]
        free = 200 - sum(some)
        return admission(2, some, free + float(rng.choice([3, 4, 6, 7, 8, 9, 11, 12])))

    def solve() -> float:
        return asked + sum(kept) - 100 * cpus

    words = ", ".join(f"VM{i} {low:g} %" for i, low in enumerate(kept, 1))
    return Numeric(
        name="admission",
        text=f"A host has {cpus} processors. Minimums of the VMs that run: {words}. **VM4 asks for "
        f"a minimum of {asked:g} %** and is refused. By how many percent of one processor are "
        "minimums too large?",
        unit="%",
        solve=solve,
        why="Minimums are promised to all at once, so they must fit together, whatever is used "
        "just now.",
        mistakes=[
            Mistake(lambda: asked + sum(kept) - 100, "There are two processors: 200 %."),
            Mistake(lambda: 100 * cpus - sum(kept), "That is what is free. What is lacking?"),
        ],
        hint="Add up what is promised; each processor has 100 % to promise.",
        variant=draw,
    )
