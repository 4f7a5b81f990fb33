"""Exercises of chapter 04 on costs: why forkwait takes 36.9 s, and which monitor wins where (S18).

Made by functions, for the chapter to place: `forkwait`, `most`, `events`, `break_even`, `free`,
`boot` and `alone`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.machine.translation_costs import Load, boot_check, fit_costs, fork_events, slowdown
from virtlab.machine.translation_costs.forks import EVENTS, FORKS, KNOWN, round_cycles
from virtlab.machine.translation_costs.parts import published

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

__all__ = ["alone", "boot", "break_even", "events", "forkwait", "free", "most"]

_HZ = 1e9 * published()["P4", "clock", "native"][0]


def _added(operation: str, way: str) -> float:
    """Return what an operation costs more than natively, by the published table."""
    costs = published()
    return costs["P4", operation, way][0] - costs["P4", operation, "native"][0]


def _hidden(way: str) -> float:
    return fit_costs().cost("hidden fault", way)


def forkwait(
    true: int = 140, hidden: int = 590, writes: int = 180, pairs: int = 24_800, way: str = "bt"
) -> Numeric:
    """Ask how long 40,000 forks take, given what each consists of.

    Parameters
    ----------
    true, hidden, writes, pairs
        Events of a round: page faults, hidden ones, page-table writes, pairs of call and return.
    way
        'bt' or 'hw'.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> round(forkwait().right_answer, 1)
    37.0
    """

    def draw(rng: np.random.Generator) -> Numeric:
        counts = (int(rng.integers(lo, hi)) for lo, hi in ((50, 400), (250, 900), (20, 500)))
        some, more, written = counts
        kind = str(rng.choice(["bt", "hw"]))
        return forkwait(some, more, written, 100 * int(rng.integers(90, 400)), kind)

    events = {"page fault": true, "PTE write": writes, "call/ret": pairs}

    def cycles(way: str) -> float:
        known = sum(times * _added(name, way) for name, times in events.items())
        return known + hidden * round(_hidden(way)) + 3 * _added("syscall", way)

    def seconds(way: str) -> float:
        return FORKS * (round_cycles()["native"] + cycles(way)) / _HZ

    def natively() -> float:
        costs = published()
        times = {**events, "syscall": 3}
        return sum(n * costs["P4", name, "native"][0] for name, n in times.items())

    other = {"bt": "hw", "hw": "bt"}[way]
    said = {"bt": "a translating monitor", "hw": "a monitor on VT-x of 2005"}[way]
    return Numeric(
        name="forkwait",
        text=f"`forkwait` makes 40,000 processes and takes 6.02 s natively at 3.8 GHz. Under "
        f"{said} each round has **{true}** page faults, **{hidden}** hidden ones (natively none, "
        f"here {_hidden(way):,.0f} cycles each), **{writes}** writes into page tables, "
        f"**{pairs:,}** pairs of call and return, and 3 system calls. Take the other costs from "
        "the table of seven operations. How many seconds does it take?",
        unit="s",
        relative=0.02,
        solve=lambda: seconds(way),
        why="Each event adds its cost beyond the native one. Hidden faults weigh most: natively "
        "there are none.",
        hint="Work in cycles of one round: natively 6.02 s times 3.8e9, by 40,000. To this each "
        "event adds what it costs more than natively.",
        mistakes=[
            Mistake(
                lambda: seconds(way) + FORKS * natively() / _HZ,
                "What an event costs natively is in the 6.02 s already.",
            ),
            Mistake(lambda: FORKS * cycles(way) / _HZ, "That is what is added. To what?"),
            Mistake(lambda: seconds(other), "Those are the costs of the other monitor."),
            Mistake(
                lambda: seconds(way) - FORKS * hidden * _hidden(way) / _HZ,
                "You left out the hidden faults.",
            ),
        ],
        variant=draw,
    )


def most() -> Choice:
    """Ask what most of the 36.9 s is.

    Returns
    -------
    Choice
        The question.

    Examples
    --------
    >>> most().right_answer
    'c'
    """

    def solve() -> str:
        found = fork_events()
        added = found.added("bt")
        groups = {
            "a": added["syscall"],
            "b": added["call/ret"],
            "c": sum(added[name] for name in EVENTS[:3]),
        }
        return max(groups, key=lambda key: groups[key])

    return Choice(
        name="most",
        text="`forkwait` takes 6.0 s natively and 36.9 s translated. What is most of the "
        "difference?",
        options={
            "a": "System calls: each goes through the monitor",
            "b": "Returns, each of which is looked up in a hash table",
            "c": "Page faults and writes into page tables: shadow page tables have to follow",
            "d": "Translating the code of fork",
        },
        solve=solve,
        hints={
            "a": "How many system calls does a round have, and what does each cost more?",
            "b": "They cost 40 cycles each. How many could there be in 150 µs of a kernel?",
            "d": "How often is the same code translated in 40,000 rounds?",
        },
        why="Every fork builds an address space and every exit destroys one, and the monitor "
        "builds and destroys a second, the shadow, that the processor really uses.",
    )


def break_even() -> Numeric:
    """Ask how many system calls make good for a write into a page table.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> round(break_even().right_answer, 1)
    6.0
    """
    calls, writes = _added("syscall", "bt"), _added("PTE write", "hw") - _added("PTE write", "bt")
    return Numeric(
        name="break_even",
        text="A program makes system calls and its kernel writes into page tables, nothing else "
        "that is sensitive. How many system calls must there be for each such write, so that "
        "both monitors are equally slow on the Pentium 4? Take the table of seven operations.",
        unit="",
        relative=0.03,
        solve=lambda: writes / calls,
        why="In a boot of Windows XP there is about one. Only what hardly ever touches its page "
        "tables was faster with VT-x in 2005: 2D graphics, a web server in one address space.",
        mistakes=[
            Mistake(lambda: calls / writes, "That is writes for each system call."),
            Mistake(
                lambda: (
                    published()["P4", "PTE write", "hw"][0]
                    / published()["P4", "PTE write", "bt"][0]
                ),
                "You compared the write under both; a system call's cost is what pays for it.",
            ),
        ],
    )


def free() -> Choice:
    """Ask whether free exits would have let VT-x win at forkwait.

    Returns
    -------
    Choice
        The question.

    Examples
    --------
    >>> free().right_answer
    'b'
    """

    def solve() -> str:
        middle = fork_events().middle
        load = Load(
            syscalls=middle["syscall"],
            page_faults=middle["page fault"],
            hidden_faults=middle["hidden fault"],
            pte_writes=middle["PTE write"],
            address_spaces=middle["address space"],
            call_rets=middle["call/ret"],
        )
        found = slowdown(load)
        return "a" if found.at(0) < found.bt else "b"

    return Choice(
        name="free",
        text="Suppose that leaving and entering a guest cost nothing at all, and all else stayed "
        "as it was on the Pentium 4. Would `forkwait` be faster with VT-x than translated?",
        options={"a": "Yes: exits are what VT-x pays for", "b": "No, not even then"},
        solve=solve,
        hints={
            "a": "At an exit the monitor knows nothing. It reads the control block, decodes the "
            "instruction, and does the work. Which of that is the exit itself?",
            "b": "Look at `slowdown(...).at(0)`.",
        },
        why="What has to be found out anew at each exit is more than the exit. What helped in the "
        "end was to have no exits: page tables in two levels, done by the processor.",
    )


def boot(bar: float = 0.107) -> Numeric:
    """Ask for a bar of VT-x from the bar of translation.

    Parameters
    ----------
    bar
        Seconds that page-table writes added under BT.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> round(boot().right_answer, 1)
    3.5
    """

    def draw(rng: np.random.Generator) -> Numeric:
        return boot(round(float(rng.uniform(0.02, 0.5)), 3))

    ratio = _added("PTE write", "hw") / _added("PTE write", "bt")
    return Numeric(
        name="boot",
        text=f"While a guest boots, writes into page tables add **{bar:g} s** under the "
        "translating monitor (391 cycles each, natively 1). The same guest boots with VT-x (12,733 "
        "cycles). What do they add there?",
        unit="s",
        relative=0.02,
        solve=lambda: bar * ratio,
        why=lambda: (
            f"The guest does the same, so the number is the same: {bar * _HZ / 390 / 1e6:.2f} "
            "million. For Windows XP the figure says 0.107 s and "
            f"{boot_check().bars['PTE write', 'hw']:.2f} s."
        ),
        mistakes=[Mistake(lambda: bar / ratio, "It is dearer with VT-x, not cheaper.")],
        variant=draw,
    )


def alone() -> Choice:
    """Ask what an error of 0.0 % says of a cell with a part of its own.

    Returns
    -------
    Choice
        The question.

    Examples
    --------
    >>> alone().right_answer
    'c'
    """

    def solve() -> str:
        return "c" if math.isnan(fit_costs().left_out["PTE write", "hw"]) else "a"

    return Choice(
        name="alone",
        text="The model meets the 12,733 cycles of a page-table write under VT-x with an error of "
        "0.0 %. What does that say?",
        options={
            "a": "That the model is right about decoding an instruction",
            "b": "That eleven parts are enough for a kernel",
            "c": "Nothing: `decode` stands in this cell alone and takes what is left",
        },
        solve=solve,
        hints={
            "a": "Would the error be another if the cell said 20,000?",
            "b": "In how many cells does each part stand?",
        },
        why="What tests a model is what it was not free to meet: cells that it predicts from "
        "others, a boot of Windows, a later processor.",
    )


def events() -> Code:
    """Ask for a mixture of events that explains all three times of forkwait.

    Returns
    -------
    Code
        The question.

    Examples
    --------
    >>> middle = fork_events().middle
    >>> events().check(lambda: middle).is_right
    True
    >>> events().check(lambda: {**middle, "hidden fault": 0}).is_right
    False
    """
    return Code(
        name="events",
        text="Explain forkwait yourself: write `events()`, which returns a dictionary that says "
        f"how often a round does each of {', '.join(f'`{name}`' for name in EVENTS)} (3 system "
        "calls and 2 changes of address space are there already). Within 2 % it has to give "
        "36.95 s translated and 106.4 s with VT-x, and what happens natively too must fit "
        "into 6.02 s.",
        test=_try_events,
        hint="Which events cost VT-x more than translation, which cost translation alone, and "
        "which cost nothing natively? A table of `fit_costs().cost(event, way)` tells.",
        why="Yours is one of many: see `fork_events()` for how few and how many of each there can "
        "be. None is without hidden faults.",
    )


def _try_events(write: Callable[[], Any]) -> str | None:
    """Return a hint if a mixture does not give the three times."""
    given = write()
    if not isinstance(given, dict):
        return f"It should return a dictionary; it returned {type(given).__name__}."
    counts: dict[str, float] = {**KNOWN, **dict.fromkeys(EVENTS, 0.0)}
    for name, times in given.items():
        if name not in counts:
            return f"There is no event {name!r}."
        if not isinstance(times, int | float) or not 0 <= times <= 1e9:
            return f"{name}: {times!r} is no number of events."
        counts[name] = max(counts[name], times) if name in KNOWN else times
    return _misses(counts)


def _misses(counts: Mapping[str, float]) -> str | None:
    fit, spent = fit_costs(), round_cycles()
    own = {name: fit.cost(name, "native") for name in counts}
    natively = sum(times * own[name] for name, times in counts.items())
    if natively > 1.01 * spent["native"]:
        most = max(counts, key=lambda name: counts[name] * own[name])
        return (
            f"Natively that takes {FORKS * natively / _HZ:.2f} s, more than 6.02 s; most of it is "
            f"each {most}. Which events cost nothing natively?"
        )
    for way, said in (("hw", "with VT-x"), ("bt", "translated")):
        added = sum(times * (fit.cost(name, way) - own[name]) for name, times in counts.items())
        seconds, wanted = (FORKS * cycles / _HZ for cycles in (spent["native"] + added, spent[way]))
        if abs(seconds / wanted - 1) > 0.02:
            return f"That gives {seconds:.1f} s {said}; it took {wanted:.1f} s."
    return None
