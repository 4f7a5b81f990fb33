"""Exercises of shares (chapter 05): divide, predict, and replace the disk's policy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.resources.disk import DiskLoad, serve
from virtlab.resources.disk_policies import Fifo, Units
from virtlab.resources.pools import VM, Pool, divide
from virtlab.resources.presets import preset
from virtlab.resources.shares import allocate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.resources.disk_policies import Policy

__all__ = [
    "doubled",
    "fifo",
    "idle",
    "policy",
    "pools",
    "ratio",
    "sheet",
    "units",
    "vcpus",
    "water",
    "zero",
]


def _ratio(capacity: float = 240, shares: Sequence[float] = (500, 2500, 1000)) -> Numeric:
    """Ask for a VM's part, with no bounds."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _ratio(
            float(10 * rng.integers(8, 40)), [float(500 * rng.integers(1, 9)) for _ in range(3)]
        )

    words = ", ".join(f"VM{i} {share:g}" for i, share in enumerate(shares, 1))
    return Numeric(
        name="ratio",
        text=f"A disk serves **{capacity:g} MB/s**. Shares: {words}. All three VMs want more than "
        "they get. What does **VM3** get?",
        unit="MB/s",
        solve=lambda: allocate(capacity, shares).allocation[2],
        why="A VM gets its own shares out of all shares.",
        mistakes=[
            Mistake(lambda: capacity / 3, "That is an equal split. What do the shares say?"),
            Mistake(
                lambda: capacity * shares[2] / max(shares),
                "You divided by the largest shares. Divide by all of them together.",
            ),
            Mistake(lambda: allocate(capacity, shares).allocation[1], "That is what VM2 gets."),
        ],
        hint="What part of all shares has VM3?",
        variant=draw,
    )


def _idle(
    capacity: float = 160, shares: Sequence[float] = (1000, 2000, 1000), lid: float = 10
) -> Numeric:
    """Ask who takes over what a VM can't use."""

    def draw(rng: np.random.Generator) -> Numeric:
        some = [float(500 * rng.integers(1, 7)) for _ in range(3)]
        room = float(10 * rng.integers(12, 40))
        return _idle(room, some, float(rng.integers(1, 6)))

    words = ":".join(f"{share:g}" for share in shares)
    full = float(allocate(capacity, shares).allocation[2])
    left = float(allocate(capacity, shares).allocation[0]) - lid
    return Numeric(
        name="idle",
        text=f"{capacity:g} MB/s, shares {words}. **VM1 has little to do: it uses {lid:g} MB/s**, "
        "whatever it may have. What does **VM3** get?",
        unit="MB/s",
        solve=lambda: allocate(capacity, shares, maximum=[lid, math.inf, math.inf]).allocation[2],
        why="What is left is divided again, by the shares of those who can use it.",
        mistakes=[
            Mistake(lambda: full, "Then what VM1 leaves would be lost."),
            Mistake(
                lambda: full + left / 2,
                "The rest is not halved: it too is divided by shares.",
            ),
            Mistake(lambda: full + left, "VM2 wants a part of what VM1 leaves, too."),
        ],
        hint="Take off what VM1 uses. Who divides the rest, and by which shares?",
        variant=draw,
    )


def _vcpus(mhz: float = 6000, vcpus: Sequence[int] = (2, 1, 1)) -> Numeric:
    """Ask what presets come to."""
    levels = ("normal", "high", "low")

    def draw(rng: np.random.Generator) -> Numeric:
        return _vcpus(float(1000 * rng.integers(2, 13)), [int(n) for n in rng.integers(1, 5, 3)])

    def parts(amounts: Sequence[float]) -> float:
        shares = [preset("cpu", *row) for row in zip(levels, amounts, strict=True)]
        return float(allocate(mhz, shares).allocation[0])

    words = ", ".join(
        f"VM{i} {level} with {count} vCPU{'s' if count > 1 else ''}"
        for i, (level, count) in enumerate(zip(levels, vcpus, strict=True), 1)
    )
    return Numeric(
        name="vcpus",
        text=f"Three VMs compete for **{mhz:g} MHz** of processor time. CPU shares: {words}. What "
        "does **VM1** get?",
        unit="MHz",
        solve=lambda: parts(vcpus),
        why="High, normal and low are 2000, 1000 and 500 shares for each virtual processor.",
        mistakes=[
            Mistake(lambda: parts((1, 1, 1)), "CPU shares count for each virtual processor."),
            Mistake(lambda: mhz * vcpus[0] / sum(vcpus), "High, normal and low are 4:2:1."),
        ],
        hint="A VM's shares: the number for its level, times its virtual processors.",
        variant=draw,
    )


def _pools(capacity: float = 160, rich: float = 3000, tests: int = 4) -> Numeric:
    """Ask what a VM in a pool gets."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _pools(
            float(20 * rng.integers(4, 20)),
            float(1000 * rng.integers(1, 9)),
            int(rng.integers(2, 9)),
        )

    def solve() -> float:
        test = Pool("test", 1000, children=tuple(VM(f"t{i}", 2000) for i in range(tests)))
        production = Pool("production", rich, children=(VM("db"),))
        return divide(capacity, Pool("host", children=(production, test))).allocation[-1]

    return Numeric(
        name="pools",
        text=f"Pool *production* has {rich:g} shares and one VM in it, with 1000 shares. Pool "
        f"*test* has 1000 shares and **{tests} VMs with 2000 shares each**. {capacity:g} MB/s are "
        "divided. What does each test VM get?",
        unit="MB/s",
        solve=solve,
        why="Shares compare siblings: first the two pools, then the VMs in one pool.",
        mistakes=[
            Mistake(
                lambda: capacity * 2000 / (1000 + 2000 * tests),
                "A VM's shares don't leave its pool: divide among the pools first.",
            ),
            Mistake(
                lambda: capacity * 1000 / (rich + 1000),
                "That is what the whole pool gets.",
            ),
        ],
        hint="Two steps: what do the two pools get? Then divide inside.",
        variant=draw,
    )


def _fifo(first: int = 2, second: int = 6) -> Numeric:
    """Ask what happens without shares."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _fifo(*(int(n) for n in rng.integers(1, 17, 2)))

    def solve() -> float:
        loads = [DiskLoad(3000, outstanding=first), DiskLoad(1000, outstanding=second)]
        return float(serve(loads, policy=Fifo).mb_per_s[1])

    return Numeric(
        name="fifo",
        text=f"The queue is *first come, first served*. Two VMs with requests of equal size: VM1 "
        f"(3000 shares) keeps **{first}** outstanding, VM2 (1000 shares) **{second}**. The disk "
        "serves 160 MB/s. Predict what **VM2** gets.",
        unit="MB/s",
        relative=0.03,
        solve=solve,
        why="The queue holds requests in that ratio, and it does not know of shares.",
        mistakes=[
            Mistake(lambda: 40, "That is by shares, which this policy does not look at."),
            Mistake(lambda: 80, "They do not take turns: count the requests in the queue."),
        ],
        hint="Next is who asked first: count requests in the queue, not shares.",
        variant=draw,
    )


def _units(small: float = 64, large: float = 256) -> Numeric:
    """Ask what units make of sizes."""

    def draw(rng: np.random.Generator) -> Numeric:
        a, b = rng.choice([4, 16, 32, 64, 128, 256, 512, 1024], 2, replace=False)
        return _units(float(min(a, b)), float(max(a, b)))

    def solve() -> float:
        run = serve([DiskLoad(sizes_kb=(small,)), DiskLoad(sizes_kb=(large,))], seconds=0)
        return float(run.disk.bandwidth_mb_s * _split(small, large, run.units))

    return Numeric(
        name="units",
        text=f"Two VMs with equal shares. VM1's requests are of {small:g} KB, VM2's of **{large:g} "
        "KB**. A request costs one unit, and one more for each 64 KB. Start-time fair queueing, "
        "160 MB/s. What does **VM2** get?",
        unit="MB/s",
        relative=0.02,
        solve=solve,
        why="Both get the same number of units a second; count the bytes that a unit buys.",
        mistakes=[
            Mistake(lambda: 80, "Equal units are not equal bytes. What does a unit buy each VM?"),
            Mistake(
                lambda: 160 * large / (small + large),
                "Then both would have served the same number of requests.",
            ),
            Mistake(lambda: 160 * _split(large, small, Units()), "That is what VM1 gets."),
        ],
        hint="How many units is a request of each size? How many KB does a unit buy?",
        variant=draw,
    )


def _split(small: float, large: float, units: Units) -> float:
    """Return the second VM's part of the bytes, when units are equal."""
    bytes_per_unit = [size / units.of(size) for size in (small, large)]
    return bytes_per_unit[1] / sum(bytes_per_unit)


def _ask_zero() -> str:
    got = allocate(160, [1000, 0], minimum=[0, 20], maximum=[30, math.inf]).allocation[1]
    return {0.0: "a", 20.0: "b", 130.0: "c"}[float(got)]


def _ask_doubled() -> str:
    before, after = (allocate(160, shares).allocation for shares in ((1, 2, 1), (2, 4, 2)))
    return "b" if np.array_equal(before, after) else "a"


def _try_water(divide_it: Callable[..., Any]) -> str | None:
    """Hold a student's division against the model's."""
    rng = np.random.default_rng(20)
    cases: list[tuple[float, list[float], list[float]]] = [
        (160.0, [1000.0, 2000.0, 1000.0], [160.0, 160.0, 160.0]),
        (160.0, [1000.0, 2000.0, 1000.0], [10.0, 160.0, 160.0]),
        (160.0, [1000.0, 2000.0, 1000.0], [10.0, 90.0, 160.0]),
        (100.0, [1.0, 1.0], [20.0, 30.0]),
    ]
    for _ in range(30):
        n = int(rng.integers(1, 7))
        some = [float(500 * k) for k in rng.integers(1, 9, n)]
        cases.append((100.0, some, [float(k) for k in rng.integers(5, 120, n)]))
    for capacity, shares, maximum in cases:
        given = divide_it(capacity, list(shares), list(maximum))
        if given is None:
            return "It returned nothing: end it with `return` and a list."
        wanted = allocate(capacity, shares, maximum=maximum).allocation
        call = f"`divide({capacity:g}, {shares}, {maximum})`"
        if np.shape(given) != wanted.shape:
            return f"{call} gave {given}: one number for each VM is wanted."
        if not np.allclose(np.asarray(given, dtype=float), wanted, atol=1e-6):
            return f"{call} gave {np.round(given, 2).tolist()}. {_why(given, wanted, maximum)}"
    return None


def _why(given: Any, wanted: Any, maximum: Sequence[float]) -> str:
    """Say what is wrong with a division."""
    if (np.asarray(given) > np.asarray(maximum) + 1e-6).any():
        return "Somebody has more than the maximum."
    if sum(given) < sum(wanted) - 1e-6:
        return "Something is left that others could use: divide it again, among those."
    return "Is the rest divided by shares, as often as somebody new meets the maximum?"


def _try_policy(make: Callable[[], Policy]) -> str | None:
    """Let a student's policy serve some VMs, and measure bytes."""
    mixed = [DiskLoad(1000, (64,)), DiskLoad(3000, (256,), 2), DiskLoad(500, (16, 128))]
    run = serve(mixed, seconds=6, policy=make)
    due = allocate(160, [1000, 3000, 500]).allocation
    if np.abs(run.mb_per_s - due).max() > 3:
        got, wanted = (", ".join(f"{rate:.0f}" for rate in rates) for rates in (run.mb_per_s, due))
        return (
            f"Shares 1000:3000:500 with requests of different sizes: it gave {got} MB/s, wanted "
            f"are {wanted}. Count `waiting[vm].size_kb`."
        )
    back = [DiskLoad(busy=((4, math.inf),)), DiskLoad()]
    windows = serve(back, seconds=5, policy=make).throughput(1.0)
    first, second = windows[windows["from_s"] == 4]["mb_per_s"]
    if abs(first - second) > 10:
        return (
            f"VM1 was idle for 4 s and came back. In the next second the two got {first:.0f} and "
            f"{second:.0f} MB/s, and should get 80 each: nobody saves up while idle."
        )
    return None


ratio = _ratio()
idle = _idle()
vcpus = _vcpus()
pools = _pools()
fifo = _fifo()
units = _units()
doubled = Choice(
    name="doubled",
    text="Shares are 1000:2000:1000. An administrator wants to give everybody more and **doubles "
    "all of them**. What changes?",
    options={"a": "All get twice as much", "b": "Nothing", "c": "The host gets less"},
    solve=_ask_doubled,
    hints={"a": "The disk still serves 160 MB/s.", "c": "Shares divide; they don't take."},
    why="Only the ratio of shares means something. A new VM with 1000, though, would get less now.",
)
zero = Choice(
    name="zero",
    text="VM2 has **0 shares** and a minimum of 20 MB/s. VM1 uses 30 of 160 MB/s, all others are "
    "off, and VM2 would like to read as fast as it can. What does VM2 get?",
    options={"a": "Nothing", "b": "20 MB/s", "c": "130 MB/s"},
    solve=_ask_zero,
    hints={"a": "The minimum is for it in any case.", "c": "Which part of the rest is 0 shares?"},
    why="Zero shares mean: exactly the minimum, even on an idle disk (ESX 2.5 guide, p. 353).",
)
water = Code(
    name="water",
    text="Write `divide(capacity, shares, maximum)`: lists in, a list out, one amount a VM. Nobody "
    "gets more than the maximum; what is left over goes to the others, by shares.",
    test=_try_water,
    why="It agrees with the course's own on 34 cases.",
)
policy = Code(
    name="policy",
    text="Write a policy that divides **bytes** by shares, however large the requests are:\n\n"
    "`class MyPolicy(Policy)` with `choose(self, waiting, shares)`. `waiting` holds the oldest "
    "request of each VM that has one, by VM from 0; a request has `size_kb`. Return a VM. Keep "
    "your accounts in `__init__`. Who was idle must not have saved up.",
    test=_try_policy,
    wants="a class",
    why="It divides bytes by shares within 3 MB/s, and whoever comes back starts afresh.",
)
sheet = Sheet("shares", [ratio, idle, doubled, zero, vcpus, pools, fifo, units, water, policy])
