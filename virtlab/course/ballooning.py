"""Exercises of ballooning (chapter 09): who gives what, what it costs, a controller of yours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.memory.ballooning import MEANS, Reclaim, compare, reclaim
from virtlab.memory.experiments.balloon_cost import FIGURE_2
from virtlab.memory.experiments.duel import LACKING_MIB, duel
from virtlab.memory.guest import Balloon, Guest, GuestSpec
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.host.backing import BackedMemory
from virtlab.memory.host.machine import MachineMemory
from virtlab.memory.pressure import Program, under_pressure

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.memory.host.controllers import Controller

__all__ = [
    "cliff",
    "controller",
    "cost",
    "double",
    "free_pages",
    "given",
    "gives",
    "hot_pages",
    "rest",
    "sheet",
]

_QUIET = Reclaim(hot_touches=0, cold_touches=0, cache_touches=0, balloon_most=1.0, pages_per_s=64)


def _given(hot: int = 200, cold: int = 140, cache: int = 60, wanted: int = 210) -> Numeric:
    """Ask how many pages a guest must write when its balloon grows."""

    def draw(rng: np.random.Generator) -> Numeric:
        hot, cold, cache = (int(10 * rng.integers(*span)) for span in ((14, 21), (9, 15), (3, 9)))
        spare = 512 - 24 - hot - cold
        return _given(hot, cold, cache, spare + int(10 * rng.integers(1, cold // 10)))

    spec = replace(_QUIET, hot_pages=hot, cold_pages=cold, cache_pages=cache, wanted_pages=wanted)
    free = spec.free_pages
    return Numeric(
        name="given",
        text=f"A guest of 512 pages has **{free} free** ones, **{cache} with page cache** that "
        f"nobody has changed, {cold} cold and {hot} hot pages of a program, and a kernel. A "
        f"balloon takes **{wanted} pages**. How many pages must the guest write to its swap?",
        unit="pages",
        relative=0.0,
        solve=lambda: reclaim(spec).totals[-1].swap_outs,
        why="Free pages cost nothing, and cache is on a disk already. Only the rest is written.",
        mistakes=[
            Mistake(lambda: wanted, "Not all of them hold something that would be lost."),
            Mistake(lambda: wanted - free, "Clean cache need not be written: a disk has it."),
        ],
        hint="In order: free pages, then cache; what is left to give belongs to programs.",
        variant=draw,
    )


def _filled(size_mib: int, wanted_mib: int, percent: int) -> float:
    """Inflate a balloon as far as it goes; return its size in MiB."""
    guest = Guest(GuestSpec(size_mib))
    balloon = Balloon(guest, BalloonSpec(most=percent / 100, inflate_mib_s=size_mib))
    balloon.goal = wanted_mib * PAGES_PER_MIB
    balloon.poll()
    return balloon.pages / PAGES_PER_MIB


def _rest(size_mib: int = 512, wanted_mib: int = 300, percent: int = 50) -> Numeric:
    """Ask what is left to swap."""

    def draw(rng: np.random.Generator) -> Numeric:
        size, percent = int(128 * rng.integers(2, 9)), int(5 * rng.integers(8, 14))
        most = int(size * percent / 100)
        return _rest(size, most + int(8 * rng.integers(1, 9)), percent)

    return Numeric(
        name="rest",
        text=f"A balloon may take **{percent} %** of the memory configured. The VM has "
        f"**{size_mib} MB**, and the host needs **{wanted_mib} MB** of it. How many MB does the "
        "host have to swap?",
        unit="MB",
        relative=0.002,
        solve=lambda: wanted_mib - _filled(size_mib, wanted_mib, percent),
        why="The balloon stops at its limit, and random pages go for the rest.",
        mistakes=[
            Mistake(
                lambda: wanted_mib * (1 - percent / 100),
                "The limit is a part of the VM's memory, not of what the host needs.",
            ),
        ],
        hint="What can the balloon take at most? The host has to find what lacks.",
        variant=draw,
    )


def _hot_pages(hot: int = 160, wanted: int = 128) -> Numeric:
    """Ask how many hot pages a random choice hits."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _hot_pages(int(16 * rng.integers(4, 21)), int(32 * rng.integers(2, 11)))

    return Numeric(
        name="hot_pages",
        text=f"A host swaps **{wanted} of 512 pages** of a guest, drawn at random. **{hot}** of "
        "the 512 are in use all the time. How many of these does it hit, on average?",
        unit="pages",
        relative=0.01,
        solve=lambda: wanted * hot / 512,
        why="Each page is hit with the same chance. A balloon would have hit none, as long as "
        "anything else is there to give.",
        mistakes=[Mistake(lambda: wanted / 512 * 100, "That is which percent of any page goes.")],
        hint="Any page is as likely as another: what part of all of them is hot?",
        variant=draw,
    )


def _cost(place: int = 0) -> Numeric:
    """Ask for the cost of a balloon in the published figure."""
    size, configured, ballooned = (
        FIGURE_2[key][place] for key in ("size_mb", "configured_mb_s", "ballooned_mb_s")
    )

    def draw(rng: np.random.Generator) -> Numeric:
        return _drawn(*(round(float(x), 2) for x in (10 + 8 * rng.random(), 1 + 4 * rng.random())))

    def _drawn(fast: float, percent: float) -> Numeric:
        return _cost_of(128, fast, round(fast * (1 - percent / 100), 2), draw)

    return _cost_of(size, configured, ballooned, draw)


def _cost_of(
    size: float, configured: float, ballooned: float, draw: Callable[[Any], Numeric]
) -> Numeric:
    return Numeric(
        name="cost",
        text=f"A file server does **{configured} MB/s** in a VM configured with {size:g} MB, and "
        f"**{ballooned} MB/s** in one of 256 MB whose balloon leaves {size:g} MB. How much slower "
        "is the ballooned one, in percent of the other?",
        unit="%",
        relative=0.01,
        solve=lambda: 100 * (1 - ballooned / configured),
        why="Its structures are made for 256 MB: they take room that the other one has for files.",
        mistakes=[
            Mistake(
                lambda: 100 * (configured / ballooned - 1),
                "In percent of the one that was configured so, not of the ballooned one.",
            ),
            Mistake(lambda: configured - ballooned, "That is in MB/s."),
        ],
        hint="By how many MB/s is it slower, and what part is that of the one configured so?",
        variant=draw,
    )


def _ask_double() -> str:
    """Let the host swap out all of a guest that must write then."""
    machine = MachineMemory(5000)
    memory = BackedMemory(16 * PAGES_PER_MIB, machine)
    guest = Guest(GuestSpec(16, swap_mib=64), memory)
    program = guest.anonymous(6)
    guest.touch(program.all(), write=True)
    memory.swap_out(memory.allocated, np.random.default_rng(1))
    before = guest.counters.copy()
    guest.give(guest.frames.free + 1)  # a driver wants one page more than there are free ones
    counted = guest.counters.since(before)
    return {(0, 0): "a", (0, 1): "b", (1, 1): "c"}[counted.double_paging, counted.swap_outs]


def _ask_free_pages() -> str:
    """Take free pages by each means, and see who has waited."""
    spec = Reclaim(hot_pages=100, cold_pages=60, cache_pages=60, wanted_pages=200)
    told = compare(spec).summary()
    free = [means for means in MEANS if told[f"{means}_waited_ms"] == 0]
    return {("balloon",): "b", tuple(MEANS): "a", ("host swap",): "c"}.get(tuple(free), "d")


def _ask_cliff() -> str:
    """Take more than what is cold."""
    found = under_pressure(Program(hot_mib=180, cold_mib=20), 120.0)
    lost = {means: 100 - float(found.percent(means)[found.at]) for means in MEANS}
    ratio = lost["host swap"] / lost["balloon"]
    return "a" if ratio > 1.5 else "c" if ratio < 0.67 else "b"


def _try_gives(gives: Callable[[int, int, int, int], Any]) -> str | None:
    """Hold a student's count against a guest that gives."""
    rng = np.random.default_rng(28)
    for _ in range(20):
        hot, cold, cache = (int(x) for x in rng.integers(40, 150, 3))
        spec = replace(_QUIET, hot_pages=hot, cold_pages=cold, cache_pages=cache)
        spec = replace(spec, wanted_pages=int(rng.integers(0, spec.free_pages + cache + cold)))
        seconds = reclaim(spec).seconds[: spec.back_s]
        kinds = ("free", "cache", "cold")
        wanted = [sum(second.given.get(kind, 0) for second in seconds) for kind in kinds]
        asked = (spec.wanted_pages, spec.free_pages, cache, cold)
        given = gives(*asked)
        try:
            answer = [int(one) for one in given]
        except (TypeError, ValueError):
            return f"`gives{asked}` returned {given!r}: three numbers are wanted."
        if answer != wanted:
            return (
                f"`gives{asked}` returned {answer}; together they should be {asked[0]}, and what "
                "costs least goes first."
            )
    return None


def _try_controller(make: Callable[[], Controller]) -> str | None:
    """Run a student's controller on two VMs, of which one can spare its memory."""
    frame = duel(yours=make()).to_frame().set_index("controller")
    yours = frame.loc["yours"]
    balloons = yours["from_busy_mib"] + yours["from_idle_mib"]
    if balloons > LACKING_MIB + 25:
        return (
            f"The balloons hold {balloons:.0f} MiB, and {LACKING_MIB:.0f} are lacking: don't take "
            "more than `view.lacking` besides what they hold."
        )
    if yours["host_swap_mib"] > 15:
        return (
            f"The balloons hold {balloons:.0f} MiB, {LACKING_MIB:.0f} are lacking: the host had to "
            f"swap {yours['host_swap_mib']:.0f} MiB at random. Ask for `view.lacking` pages "
            "besides `view.ballooned.sum()`."
        )
    if yours["busy_percent"] < 95:
        return (
            f"The busy VM does {yours['busy_percent']:.0f} % of what it could: you took "
            f"{yours['from_busy_mib']:.0f} MiB from it, and {yours['from_idle_mib']:.0f} from the "
            "idle one. What in `view` tells them apart?"
        )
    return None


given = _given()
rest = _rest()
hot_pages = _hot_pages()
cost = _cost()
double = Choice(
    name="double",
    text="The host has swapped out a page of a guest. The guest, short of memory itself, chooses "
    "just this page to evict; it holds a program's data that no disk of the guest has. What must "
    "the disks do?",
    options={
        "a": "Nothing: the page is on a disk already",
        "b": "One write, to the guest's swap",
        "c": "One read from the host's swap, then one write to the guest's",
    },
    solve=_ask_double,
    hints={
        "a": "It is on the host's disk, and the guest knows nothing of that. What will it do?",
        "b": "To write a page, the guest must have it. Where is it?",
    },
    why="This is double paging: read only to be written out again.",
)
free_pages = Choice(
    name="free_pages",
    text="A program has ended, and its 268 pages are free now; only the guest knows it. The host "
    "wants 200 pages back. By which means does the program that still runs not wait at all?",
    options={
        "a": "By each of them: there are more free pages than the host wants",
        "b": "By the balloon alone",
        "c": "By host swap alone",
        "d": "By none: taking memory always costs time",
    },
    solve=_ask_free_pages,
    hints={
        "a": "Can the host see which pages are free?",
        "c": "What does a random choice hit?",
        "d": "Who misses a page that was free?",
    },
    why="To the host a free page looks like any other.",
)
cliff = Choice(
    name="cliff",
    text="A guest of 256 MB runs a program with 180 MB hot and 20 MB cold memory. The host takes "
    "**120 MB**. How does the loss by host swap compare with the loss by a balloon?",
    options={
        "a": "Swapping loses more than half as much again",
        "b": "They lose about the same",
        "c": "The balloon loses more than half as much again",
    },
    solve=_ask_cliff,
    hints={
        "a": "A balloon is better because the guest knows what it can spare. What can this one?",
        "c": "Move the sliders of the curves to this guest, and read them.",
    },
    why="Where all is hot, nobody can choose well: knowing better is worth nothing any more.",
)
gives = Code(
    name="gives",
    text="Write `gives(wanted, free, cache, cold)`: a balloon asks for `wanted` pages of a guest "
    "that has so many free, clean cached and cold ones. Return how many it gives of each, in this "
    "order.",
    test=_try_gives,
    why="It agrees with 20 guests of the course's simulation.",
)
controller = Code(
    name="controller",
    text="Two VMs, one busy, one idle, and a host that lacks memory for both. Write a class "
    "`MyController` with `period_s = 1` and `control(self, view)`, which returns "
    "`Orders(balloon=...)`: how many pages the balloon of each VM should hold. The busy VM must "
    "keep 95 % of its speed, and the host must hardly swap.\n\n`view` has, for each VM, arrays of "
    "pages: `size`, `active` (estimated), `ballooned`, `balloon_most`, `guest_free`; and for the "
    "host `free` and `lacking`.",
    test=_try_controller,
    wants="a class",
    seconds=60.0,
    why="It takes the memory that nobody misses.",
)
sheet = Sheet(
    "ballooning", [given, rest, hot_pages, cost, double, free_pages, cliff, gives, controller]
)
