"""How fast each tier is, and what each pass is worth: measured while a program runs (S6, S7, S18).

A translator pays first and is fast later. So one number does not do: what is measured is a curve,
the seconds that a program has taken by the time it has done so many instructions. Its end is
nearly straight, and the slope of that end is the **rate**; what it lies above a straight line
through zero is the **start**, paid once for interpreting and translating.

    seconds(n) = start + n / rate

Two curves meet where the faster tier has paid off its start: the **break-even**. For a shorter
program the slower tier is the better choice.

    break-even of b against a = (start_b - start_a) / (1 / rate_a - 1 / rate_b)

Time is processor time of the whole process, with what compiles in the background. A run is done in
pieces, each twice as long as the one before, until it has had its time.

Left out: memory that a cache of code takes from the guest; programs whose code changes all the
time, which never come to the straight end.
"""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from virtlab.machine.guests import guest, locks
from virtlab.machine.image import load
from virtlab.machine.translation.passes import ESX, Passes
from virtlab.machine.translation.speed_curves import Curve, Speeds
from virtlab.machine.translation.tiers import TIERS
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.machine.computer import Computer

    Tell = Callable[[int, int, str], object]

__all__ = ["ALL", "can_run", "ladder", "measure", "worth"]

_RAM_MIB = 16
_FIRST = 1_000  # instructions of the first piece
_LONG_RUN, _SHORT_RUN = 1 << 27, 20_000_000
ALL = "all passes"


def measure(
    program: str,
    tier: str,
    passes: Passes | None = None,
    *,
    seconds: float = 1.0,
    most: int = _LONG_RUN,
    name: str = "",
) -> Curve:
    """Run a program in one way for a while.

    Parameters
    ----------
    program
        As in `virtlab.machine.guests.GUESTS`, or 'locks', a kernel that does little but to switch
        interrupts off and on; the large one of its two sizes is run.
    tier
        One of `virtlab.machine.translation.tiers.TIERS`.
    passes
        What the translator does; everything if not given.
    seconds
        Of processor time, 0.01 to 60: a piece that may take longer is not begun.
    most
        Instructions after which no piece is begun.
    name
        What the curve is called; the tier if not given.

    Returns
    -------
    Curve
        How far it came, and when.

    Raises
    ------
    InvalidInputError
        If there is no such program or tier, or what the tier needs is not installed.

    Examples
    --------
    >>> curve = measure("crc32", "interpreter", seconds=0.01)
    >>> curve.instructions[0], curve.rate > 1000
    (1000, True)
    """
    from virtlab.machine.computer import Computer

    number("seconds", seconds, minimum=0.01, maximum=60)
    integer("most", most, minimum=1)
    path = locks(large=True) if program == "locks" else guest(program).path(large=True)
    image = load(path, _RAM_MIB << 20)
    computer = Computer(_RAM_MIB, history=0, tier=tier, passes=passes)
    computer.load(image)
    found = _pieces(computer, seconds, most)
    translator = computer.translator
    made = 0 if translator is None else translator.cache.counts["translations"]
    counts = {} if translator is None else dict(translator.counts)
    return Curve(name or tier, tuple(found), tuple(found.values()), made, counts)


def _pieces(computer: Computer, seconds: float, most: int) -> dict[int, float]:
    """Run piece by piece; return seconds by instructions."""
    found: dict[int, float] = {}
    size, spent, begun = _FIRST, 0.0, time.process_time()
    while True:
        ended = computer.run(size).ended
        before, spent = spent, time.process_time() - begun
        if ended == "limit" or not found:  # its end is new code, which would count as slow
            found[computer.processor.instructions] = spent
        too_long = spent + 2 * (spent - before) > seconds
        if ended != "limit" or too_long or computer.processor.instructions >= most:
            return found
        size *= 2


def can_run(tier: str) -> str:
    """Return why a tier cannot run here.

    Parameters
    ----------
    tier
        One of `virtlab.machine.translation.tiers.TIERS`.

    Returns
    -------
    str
        '' if it can.

    Examples
    --------
    >>> can_run("interpreter")
    ''
    """
    from virtlab.machine.computer import Computer

    try:
        Computer(1, history=0, tier=tier)
    except InvalidInputError as error:
        return str(error)
    return ""


def ladder(
    program: str = "crc32",
    tiers: Sequence[str] = TIERS,
    *,
    seconds: float = 0.7,
    progress: bool = False,
    tell: Tell | None = None,
) -> Speeds:
    """Measure a program in each tier, one after the other.

    Parameters
    ----------
    program
        As in `virtlab.machine.guests.GUESTS`.
    tiers
        Which; the others are compared with the first.
    seconds
        For each.
    progress
        Whether to show a bar.
    tell
        Called before each with how many are done, how many there are, and which is next.

    Returns
    -------
    Speeds
        A curve for each tier that can run here.

    Examples
    --------
    >>> ladder("crc32", ["interpreter"], seconds=0.01).curves[0].name
    'interpreter'
    """
    missing = {tier: why for tier in tiers if (why := can_run(tier))}
    able = [tier for tier in tiers if tier not in missing]
    curves = []
    for done, tier in enumerate(tqdm(able, disable=None if progress else True, leave=False)):
        if tell is not None:
            tell(done, len(able), tier)
        curves.append(measure(program, tier, seconds=seconds))
    return Speeds(program, tuple(curves), missing)


# What a pass does where it has something to do, by what the translator counts.
_SEEN_IN = {
    "without guesses": "hashed",
    "without chaining": "chained",
    "without in cache": "steps",
    "without ports": "coalesced",
}


def worth(
    program: str = "crc32",
    tier: str = "wasm",
    *,
    turns: int = 3,
    progress: bool = False,
    tell: Tell | None = None,
) -> Speeds:
    """Measure what each pass of the translator is worth: everything, then without each in turn.

    Parameters
    ----------
    program
        As in `virtlab.machine.guests.GUESTS`, or 'locks'.
    tier
        That translates.
    turns
        How often each way runs, in turns; the best run of each counts, as the others were
        disturbed.
    progress, tell
        As `ladder` has them.

    Returns
    -------
    Speeds
        The first curve is that of all passes; less than 1 times as fast is what a pass is worth.
        One that has next to nothing to do in the program is left out.

    Examples
    --------
    >>> found = worth("crc32", turns=1)
    >>> [one.name for one in found.curves][:3]
    ['all passes', 'without dead flags', 'without regions']
    """
    ways = _ways()
    order = [name for _ in range(integer("turns", turns, minimum=1)) for name in ways]
    runs: dict[str, list[Curve]] = {name: [] for name in ways}
    for done, name in enumerate(tqdm(order, disable=None if progress else True, leave=False)):
        if tell is not None:
            tell(done, len(order), name)
        run = measure(program, tier, ways[name], seconds=20, most=_SHORT_RUN, name=name)
        runs[name].append(run)
    best = {name: max(found, key=lambda one: one.rate) for name, found in runs.items()}
    idle = {name for name, count in _SEEN_IN.items() if not best[name].often(count, best[ALL])}
    return Speeds(program, tuple(run for name, run in best.items() if name not in idle), {})


def _ways() -> dict[str, Passes]:
    """Return all passes, and all but each."""
    every = Passes()
    switches = [one.name for one in fields(Passes) if getattr(every, one.name) is True]
    off: dict[str, Any] = {name: {name: False} for name in switches}
    left_out = {
        f"without {name.replace('_', ' ')}": replace(every, **off[name]) for name in switches
    }
    return {ALL: every, **left_out, "units of at most 12, as ESX": ESX}
