"""Exercises of processor scheduling (chapter 06): predict, starve a VM, write a policy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from virtlab.course import cpu_predict as predict
from virtlab.course.cpu_code import try_policy, try_starve
from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.resources.cpu import (
    Contention,
    Cores,
    CpuVM,
    Smp,
    coschedule,
    schedule,
    schedule_threads,
    stride_order,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "added",
    "admission",
    "bind",
    "changed",
    "clients",
    "console",
    "job",
    "lottery",
    "mends",
    "policy",
    "removed",
    "sheet",
    "starve",
    "turn",
    "waste",
]


def _turn(shares: Sequence[int] = (5, 3, 1)) -> Numeric:
    """Ask when the smallest client runs first."""

    def draw(rng: np.random.Generator) -> Numeric:
        first, second = sorted(rng.choice(np.arange(2, 9), 2, replace=False).tolist())[::-1]
        return _turn((int(first), int(second), 1))

    def solve() -> int:
        return int(np.argmax(stride_order(shares, 40) == 2)) + 1

    return Numeric(
        name="turn",
        text=f"Stride on one processor, shares A **{shares[0]}**, B **{shares[1]}**, C "
        f"**{shares[2]}**. Each starts with a pass of 1 / shares, the smallest pass is next, and "
        "if two are equal, the first letter. In which quantum, counted from 1, does **C** run for "
        "the first time?",
        relative=0,
        solve=solve,
        why="C's first pass is 1: until then A and B have every quantum whose pass is at most 1.",
        mistakes=[
            Mistake(lambda: 3, "They do not take turns. Write down the passes, quantum by quantum.")
        ],
        hint="Write the passes of each down, k / shares for its k-th quantum, and sort them.",
        variant=draw,
    )


def _clients(small: int = 100) -> Numeric:
    """Ask for the absolute error of the thesis's example."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _clients(2 * int(rng.integers(10, 100)))

    def solve() -> float:
        vms = [CpuVM("big", small), *(CpuVM(f"s{i}", 1) for i in range(small))]
        return schedule(vms, seconds=0.02 * small, quantum_ms=10).error_quanta(0)

    return Numeric(
        name="clients",
        text=f"{small + 1} clients under stride: one has **{small}** shares, the {small} others "
        "**1** each. How many quanta is the big one ahead of its part when it is furthest ahead?",
        unit="quanta",
        relative=0.02,
        solve=solve,
        why=f"It runs {small} times before any other does, and half of that is its part. Of any "
        "*two* clients none is more than a quantum off; against all of them the error grows with "
        "their number.",
        mistakes=[
            Mistake(lambda: 1, "That holds for any two clients. Who runs before the small ones?"),
            Mistake(lambda: small, "So often it runs at first. But half of these are its part."),
        ],
        hint="How long does the big one run before any other? How long should it have?",
        variant=draw,
    )


def _lottery(part: float = 10, quanta: int = 900) -> Numeric:
    """Ask how much a lottery's result varies."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _lottery(float(5 * rng.integers(1, 10)), int(100 * rng.integers(1, 50)))

    def cv(p: float) -> float:
        return 100 * math.sqrt((1 - p) / (quanta * p))

    return Numeric(
        name="lottery",
        text=f"A lottery holds **{quanta}** draws, and a VM has **{part:g} %** of the shares. By "
        "how many percent of its own mean does what it gets vary from one run to the next? (The "
        "*coefficient of variation*: standard deviation over mean.)",
        unit="%",
        relative=0.02,
        solve=lambda: cv(part / 100),
        why="It wins n p of n draws, with variance n p (1 - p): so the deviation, over n p, is "
        "the root of (1 - p) / (n p). Four times the time halves it.",
        mistakes=[
            Mistake(
                lambda: math.sqrt(quanta * part / 100 * (1 - part / 100)),
                "That is the standard deviation, in draws. Divide by the mean.",
            ),
            Mistake(
                lambda: 100 * (1 - part / 100) / (quanta * part / 100),
                "That is the variance over the square of the mean: take the root.",
            ),
        ],
        hint="Wins are binomial: what is their deviation, and what their mean?",
        variant=draw,
    )


def _waste(cpus: int = 4, one: int = 4, other: int = 2) -> Numeric:
    """Ask what strict co-scheduling uses."""

    def draw(rng: np.random.Generator) -> Numeric:
        count = int(rng.integers(4, 9))
        large = int(rng.integers(count // 2 + 1, count + 1))
        return _waste(count, large, int(rng.integers(count - large + 1, count)))

    def solve() -> float:
        return coschedule([Smp("VM1", one), Smp("VM2", other)], cpus).utilization_percent

    return Numeric(
        name="waste",
        text=f"{cpus} processors. VM1 has **{one}** virtual processors, VM2 **{other}**, all busy, "
        "with equal shares a virtual processor. Rules are strict and no skew is allowed: a VM runs "
        "with all of its virtual processors, or not at all. How much of the host is used?",
        unit="%",
        relative=0.02,
        solve=solve,
        why="The two never fit at once, so they alternate, and what is left beside each is idle.",
        mistakes=[
            Mistake(
                lambda: 100, "There is work enough, but it does not fit: who can run beside whom?"
            )
        ],
        hint="Do they fit beside one another? Draw a few slots, and count.",
        variant=draw,
    )


def _job(kinds: tuple[str, str] = ("compute", "compute"), alone_s: float = 62) -> Numeric:
    """Ask how long a job takes beside another on one core."""

    def draw(rng: np.random.Generator) -> Numeric:
        pair = tuple(str(kind) for kind in rng.choice(("compute", "cache"), 2))
        return _job((pair[0], pair[1]), float(10 * rng.integers(2, 30)))

    def solve() -> float:
        vms = [CpuVM(f"VM{i}", affinity={i}, kind=kind) for i, kind in enumerate(kinds)]
        return float(10 * alone_s / schedule_threads(vms, Cores(2), 10).work_s[0])

    table = Contention()
    speed = table.speed(*kinds)
    return Numeric(
        name="job",
        text=f"A host has two hyperthreaded cores. VM1 ({kinds[0]}) is bound to logical CPU 0, VM2 "
        f"({kinds[1]}) to logical CPU 1; both are always busy, nobody else runs. Here a program "
        f"of the first kind runs at **{speed:g}** of its speed beside one of the second. Alone on "
        f"a core VM1's job takes **{alone_s:g} s**. How long does it take now?",
        unit="s",
        relative=0.02,
        solve=solve,
        why="Logical CPUs 0 and 1 are one core, so both run at the lower speed all the time, and "
        "the other core idles: what the talk warns of.",
        mistakes=[
            Mistake(lambda: alone_s, "That holds if each had a core. Which core is CPU 1 on?"),
            Mistake(lambda: 2 * alone_s, "They do not take turns: both run, each a bit slower."),
            Mistake(lambda: alone_s * speed, "It takes longer, not shorter."),
        ],
        hint="How fast is each, with a busy sibling? Does it ever get a core of its own?",
        variant=draw,
    )


_BOUND = {"a": {1}, "b": {2}, "c": {0}}


def _ask_bind() -> str:
    def work(to: set[int]) -> float:
        vms = [CpuVM("VM1", affinity={0}), CpuVM("VM2", affinity=to)]
        return float(schedule_threads(vms, Cores(2), 5).work_s.sum())

    return max(_BOUND, key=lambda key: work(_BOUND[key]))


_MENDS = {
    "a": [Smp("four", 4), Smp("two", 2, shares=4000)],
    "b": [Smp("four", 4, busy=2), Smp("two", 2)],
    "c": [Smp("four", 4), Smp("two", 3)],
}


def _ask_mends() -> str:
    return next(key for key, vms in _MENDS.items() if coschedule(vms).utilization_percent > 99.9)


turn = _turn()
changed = predict.changed()
added = predict.added()
removed = predict.removed()
console = predict.console()
clients = _clients()
lottery = _lottery()
admission = predict.admission()
waste = _waste()
job = _job()
bind = Choice(
    name="bind",
    text="Two hyperthreaded cores, logical CPUs 0 to 3. VM1 is bound to 0, and is always busy; so "
    "is VM2. Where do you bind **VM2**, so that both together get most done?",
    options={"a": "To logical CPU 1", "b": "To logical CPU 2", "c": "To logical CPU 0"},
    solve=_ask_bind,
    hints={
        "a": "CPUs 0 and 1 are halves of one core, and the other core would idle.",
        "c": "Then they take turns on one half of one core, and the rest of the host idles.",
    },
    why="CPUs 2k and 2k + 1 are one core. Left alone, the scheduler prefers whole idle cores too.",
)
mends = Choice(
    name="mends",
    text="A VM with four and a VM with two virtual processors waste a quarter of four processors "
    "under strict rules. The rules stay. What helps?",
    options={
        "a": "Give the small VM twice the shares",
        "b": "Two of the large VM's virtual processors have nothing to do",
        "c": "Give the small VM a third virtual processor",
    },
    solve=_ask_mends,
    hints={
        "a": "It runs more often then, and each time two processors are idle beside it.",
        "c": "One processor less is idle, in every other slot. Try it: 87.5 %.",
    },
    why="A virtual processor that is idle counts as getting on and needs no place, so both fit at "
    "once. That is why a guest should have no more virtual processors than it uses.",
)
starve = Code(
    name="starve",
    text="Write `settings()`, which returns a list of three `CpuVM`: VM1, VM2, VM3. All always "
    "compute, on one processor. All have **1000 shares**, none has a maximum below 100 %. Yet "
    "**VM3 gets less than 1 %**.",
    test=try_starve,
    why="Minimums come first, and shares divide only what they leave.",
)
policy = Code(
    name="policy",
    text="Write a policy of your own that divides by shares:\n\n`class MyPolicy(Policy)` with "
    "`choose(self, waiting)`, which returns one of those that wait. Each has `shares` and "
    "`used_us`, the time that it had. Who comes back from sleep must not have saved up: "
    "`add(self, vcpu, *, woke)` is called when one begins to wait (call `super().add` too).",
    test=try_policy,
    wants="a class",
    why="It divides by shares within 2 %, and who slept does not lock the others out.",
)
sheet = Sheet(
    "cpu",
    [
        turn,
        changed,
        added,
        removed,
        console,
        admission,
        clients,
        lottery,
        waste,
        mends,
        job,
        bind,
        starve,
        policy,
    ],
)
