"""Exercises of memory (chapter 07): add up, admit, tax, follow states, write a controller."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.memory.admission import FREE_PART, VmMemory, admit
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.workloads import WorkingSet
from virtlab.memory.host.scenario import Event, Scenario
from virtlab.memory.host.simulation import run
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.memory.overhead import VMKERNEL_MIB, console_size_mib, overhead_mib
from virtlab.memory.sampling import standard_error
from virtlab.memory.state_log import watch
from virtlab.memory.tax import cost, targets, victim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.memory.host.controllers import Controller
    from virtlab.memory.host.run import MemoryRun

__all__ = [
    "bottle",
    "controller",
    "first_fit",
    "giver",
    "guide",
    "host_of_three",
    "lacking",
    "safety",
    "sheet",
    "states",
]


STARTS_S, _SETTLED_S = 200, 240


def _guide(vms: int = 8, mib: int = 512) -> Numeric:
    """Ask for the guide's sum."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _guide(int(rng.integers(2, 17)), int(512 * rng.choice([1, 2, 3, 4])))

    over = overhead_mib(mib)
    console = console_size_mib(vms)

    def solve() -> float:
        low = VMKERNEL_MIB + console
        asking = [VmMemory(f"VM{i}", mib, mib) for i in range(vms)]
        return admit(asking, low, console_mib=console).guide_mib

    return Numeric(
        name="guide",
        text=f"**{vms} VMs of {mib} MB**, one processor each. The VMkernel takes 24 MB, the "
        f"Service Console {console:g}. A VM's overhead is {over:g} MB. How much memory does the "
        "host need by the **guide's** way, which keeps 6 % of memory and overhead free?",
        unit="MB",
        relative=0.001,
        solve=solve,
        why="24 + console + 1.06 * sum(maximum + overhead).",
        mistakes=[
            Mistake(
                lambda: VMKERNEL_MIB + console + vms * (mib * (1 + FREE_PART) + over),
                "That is the talk's way: the guide keeps 6 % of the overhead free, too.",
            ),
            Mistake(
                lambda: VMKERNEL_MIB + console + vms * (mib + over),
                "Nothing is kept free: where are the 6 %?",
            ),
            Mistake(
                lambda: (1 + FREE_PART) * vms * (mib + over),
                "The host itself needs memory: VMkernel and console.",
            ),
        ],
        hint="VMkernel, console, and 1.06 times maximum and overhead of each VM.",
        variant=draw,
    )


def _lacking(host: int = 1024, low: int = 256, high: int = 384, running: int = 2) -> Numeric:
    """Ask what a VM that is refused lacks."""

    def draw(rng: np.random.Generator) -> Numeric:
        low = int(64 * rng.integers(3, 7))
        high = low + int(64 * rng.integers(1, 3))
        running = int(rng.integers(2, 5))
        used = VMKERNEL_MIB + 192 + running * (low + overhead_mib(high))
        short = int(8 * rng.integers(2, 20))
        return _lacking(int(used + low + overhead_mib(high) - short), low, high, running)

    over = overhead_mib(high)
    vms = [VmMemory(f"VM{i + 1}", low, high) for i in range(running + 1)]
    name = vms[-1].name

    def solve() -> float:
        return float(admit(vms, host, console_mib=192).lacks_ram_mib[-1])

    return Numeric(
        name="lacking",
        text=f"A host has **{host} MB**; VMkernel and console take 24 and 192. {running} VMs run, "
        f"each with minimum {low}, maximum {high} and {over:g} MB of overhead; there is swap "
        f"enough. **{name}**, the same again, is refused. How many MB does it lack?",
        unit="MB",
        relative=0.002,
        solve=solve,
        why="Admission reserves minimum and overhead, for each VM.",
        mistakes=[
            Mistake(
                lambda: VMKERNEL_MIB + 192 + (running + 1) * (high + over) - host,
                "What is above the minimum needs swap, not memory.",
            ),
            Mistake(
                lambda: abs(VMKERNEL_MIB + 192 + (running + 1) * low - host),
                "A VM's overhead has to fit, too.",
            ),
            Mistake(
                lambda: abs(host - VMKERNEL_MIB - 192 - running * (low + over)),
                "That is what is left before it asks. What does it ask for?",
            ),
        ],
        hint="What is left after VMkernel and console? Take minimums and overheads off.",
        variant=draw,
    )


def _bottle(
    available: float = 300, active: Sequence[float] = (40, 160), tax_rate: float = 0.75
) -> Numeric:
    """Ask for a target by the tax."""

    def draw(rng: np.random.Generator) -> Numeric:
        used = [float(10 * rng.integers(2, 9)), float(10 * rng.integers(9, 16))]
        room = float(sum(used) + 10 * rng.integers(14, 25))
        return _bottle(room, used, float(rng.choice([0.5, 0.75, 0.8])))

    def of_both(rate: float) -> list[float]:
        return [float(mib) for mib in targets(available, [1, 1], active, tax_rate=rate).target]

    return Numeric(
        name="bottle",
        text=f"Two VMs of **equal shares** have **{available:g} MB** together. VM1 uses "
        f"{active[0]:g}, VM2 {active[1]:g}. The tax rate is **{tax_rate:g}**. What is VM1's "
        "target?",
        unit="MB",
        solve=lambda: of_both(tax_rate)[0],
        why=lambda: (
            "Both cost the same: VM1 "
            f"{cost([of_both(tax_rate)[0]], [active[0]], tax_rate)[0]:.0f} for its pages, VM2 too."
        ),
        mistakes=[
            Mistake(lambda: available / 2, "That is by shares alone, at a rate of 0."),
            Mistake(lambda: of_both(tax_rate)[1], "That is VM2's."),
            Mistake(
                lambda: available * active[0] / sum(active),
                "Idle memory is taxed, not taken: VM1 keeps some.",
            ),
            Mistake(
                lambda: (available - tax_rate * (active[1] + active[0])) / 2,
                "P1 and P2 differ by (k - 1) / k times what A1 and A2 differ by.",
            ),
        ],
        hint="One level: what do the pages of each cost, idle ones k times? Set them equal.",
        variant=draw,
    )


def _safety(fraction: float = 0.2, samples: int = 100) -> Numeric:
    """Ask for the sampler's error in MB."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _safety(float(rng.integers(1, 10)) / 10, int(100 * rng.choice([1, 2, 4])))

    return Numeric(
        name="safety",
        text=f"A VM of 1,024 MB uses **{100 * fraction:g} %** of its pages. The host draws "
        f"**{samples}** at random and counts those that are touched. How large is the standard "
        "error of one count, in MB?",
        unit="MB",
        relative=0.02,
        solve=lambda: 1024 * standard_error(fraction, samples),
        why="sqrt(f (1 - f) / n) of the VM's memory; its size does not matter for the part.",
        mistakes=[
            Mistake(lambda: 100 * standard_error(fraction, samples), "That is in percent."),
            Mistake(
                lambda: 1024 * fraction * (1 - fraction) / samples,
                "That is the square of it, the variance.",
            ),
        ],
        hint="A count of drawn pages is binomial. What is its error, and of how much memory?",
        variant=draw,
    )


# --- choices -------------------------------------------------------------------------------------

_WATCHED = (0.08, 0.05, 0.03, 0.05, 0.062, 0.07)


def _ask_states() -> str:
    """Let the model follow the free memory of the question."""
    log = watch(_WATCHED, 60 * np.arange(len(_WATCHED)))
    return {"high": "a", "soft": "b", "hard": "c"}[log.to_frame()["state"].tolist()[4]]


def _ask_giver() -> str:
    """Ask the model who gives the next page."""
    who = victim([1000, 2000, 1000], [200, 300, 150], [180, 100, 140], minimum=[0, 0, 0])
    return "abc"[who]


# --- code ----------------------------------------------------------------------------------------


def _try_first_fit(starts: Callable[..., Any]) -> str | None:
    """Hold a student's admission against the model's."""
    rng = np.random.default_rng(23)
    for _ in range(40):
        room, swap = float(rng.integers(300, 1500)), float(rng.integers(0, 900))
        some = [
            VmMemory(f"VM{i}", *sorted(int(32 * n) for n in rng.integers(1, 17, 2)))
            for i in range(int(rng.integers(1, 7)))
        ]
        told = [(vm.min_mib, vm.max_mib, vm.overhead_mib) for vm in some]
        given = starts(room, swap, list(told))
        if given is None:
            return "It returned nothing: end it with `return` and a list."
        wanted = admit(some, room + VMKERNEL_MIB, console_mib=0, swap_mib=swap).admitted.tolist()
        if [bool(fits) for fits in np.atleast_1d(given)] != wanted:
            return (
                f"`starts({room:g}, {swap:g}, {told})` gave {list(given)}; wanted is {wanted}. "
                "Memory for minimum and overhead, swap for what is above the minimum; one that is "
                "refused takes nothing."
            )
    return None


def host_of_three(seconds: int = 300) -> Scenario:
    """Return the host that a student's controller has to run: three VMs of 64 MiB on 150.

    Parameters
    ----------
    seconds
        How long.

    Returns
    -------
    Scenario
        VM3 starts after 200 s, when the host has no room for it.

    Examples
    --------
    >>> sum(vm.guest.size_mib for vm in host_of_three().vms)
    192
    """

    def vm(name: str, mib: float, low: float) -> VmSpec:
        balloon = BalloonSpec(most=0.8)
        return VmSpec(
            name, GuestSpec(64, kernel_mib=2, zeroes=True), WorkingSet(mib, per_s=2000), low,
            overhead_mib=4, balloon=balloon, boot_s=5,
        )  # fmt: skip

    vms = (vm("VM1", 52, 8), vm("VM2", 16, 8), vm("VM3", 40, 16))
    host = HostSpec(150, own_mib=8, sharing=False, swap_mib=1024)
    return Scenario("three VMs", seconds, host, vms, (Event(STARTS_S, "power on", "VM3"),))


@lru_cache(maxsize=1)
def _without() -> MemoryRun:
    """Return what becomes of the host by swapping alone."""
    return run(replace(host_of_three(), controller="swap only"))


def _try_controller(make: Callable[[], Controller]) -> str | None:
    """Let a student's controller run a host, and look at what it took, where, and what it cost."""
    made = make()
    if not isinstance(getattr(made, "period_s", None), int) or made.period_s < 1:
        return "It needs `period_s`, the seconds between two decisions: a whole number from 1."
    found = run(host_of_three(), made)
    half = _SETTLED_S
    free = float(found.of_host["free_mib"][half:].mean())
    aim = found.scenario.host.mib * found.scenario.host.thresholds.aim
    if free < 0.7 * aim:
        return (
            f"From {half} s on {free:.0f} MiB were free on average; {aim:.0f} should be "
            "(`view.aim`, in pages). Order larger balloons: what is there is `view.ballooned`, "
            "what lacks `view.lacking`."
        )
    if free > 3 * aim:
        return f"From {half} s on {free:.0f} MiB lay free, {aim:.0f} should: VMs could have had it."
    swapped = float(found.of_vm["swapped_mib"][half:].sum(axis=1).mean())
    others = float(_without().of_vm["swapped_mib"][half:].sum(axis=1).mean())
    if swapped > 0.5 * others:
        return (
            f"The host still had to swap {swapped:.0f} MiB, against {others:.0f} without a "
            "balloon. Does the balloon grow as soon as VM3 starts?"
        )
    busy, idle = (found.mean(name, "ballooned_mib", half) for name in ("VM1", "VM2"))
    if idle < busy + 2:
        return (
            f"VM1 uses 52 MiB and gave {busy:.0f}, VM2 uses 16 and gave {idle:.0f}: take it where "
            "it is idle. `view.allocated - view.active` is what a VM has and does not use."
        )
    return None


guide = _guide()
lacking = _lacking()
bottle = _bottle()
safety = _safety()
giver = Choice(
    name="giver",
    text="Memory lacks, and the tax rate is 0.75. VM1 has 200 MB, uses 180, 1000 shares. VM2 has "
    "300 MB, uses 100, **2000** shares. VM3 has 150 MB, uses 140, 1000 shares. Who gives the next "
    "page?",
    options={"a": "VM1", "b": "VM2", "c": "VM3"},
    solve=_ask_giver,
    hints={
        "a": "It pays 180 + 4 * 20 = 260 for 1000 shares. And the others?",
        "c": "It has least, and uses nearly all of it.",
    },
    why="VM2 pays 100 + 4 * 200 = 900 for 2000 shares: 450 for each 1000, more than the others.",
)
states = Choice(
    name="states",
    text="A host looks at its free memory once a minute: 8 %, 5 %, 3 %, 5 %, 6.2 %, 7 %. Its "
    "thresholds are 6, 4, 2 and 1 %, and it goes up only when **clearly** more is free than the "
    "higher state's threshold: nearly a percent. In which state is it at **6.2 %**?",
    options={"a": "high", "b": "soft", "c": "hard"},
    solve=_ask_states,
    hints={
        "a": "6.2 % is above 6 %, but not clearly. Why would a host want more than that?",
        "c": "It was never below 2 %.",
    },
    why="It went down to soft below 4 %, and goes up only at 6.9 %: so it does not flap.",
)
first_fit = Code(
    name="first_fit",
    text="Write `starts(room, swap, vms)`: which VMs may start, one after the other? `room` is the "
    "memory that VMkernel and console leave, `swap` the room for swapped pages, `vms` a list of "
    "(minimum, maximum, overhead). Return a list of True and False. One that is refused does not "
    "keep the next from asking.",
    test=_try_first_fit,
    why="It agrees with the course's own on 40 hosts.",
)
controller = Code(
    name="controller",
    text="Write a **controller**: a class with `period_s` and `control(self, view)`, which returns "
    "`Orders(balloon=...)`: how large each VM's balloon should be, in pages. `view` has an entry "
    "for each running VM in `size`, `allocated`, `active`, `ballooned`, and of the host `free`, "
    "`aim` and `lacking`, all in pages.\n\nIt will run a host on which a third VM starts. About "
    "as much memory as `view.aim` should come free, by balloons, and more from who uses less.",
    test=_try_controller,
    wants="a class",
    seconds=20,
    why="It kept the host's memory free, hardly swapped, and took from the idle VM.",
)
sheet = Sheet("memory", [guide, lacking, bottle, giver, safety, states, first_fit, controller])
