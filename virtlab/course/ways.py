"""Exercises of the first chapter: name it, predict it, find the limit, write a monitor's part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.machine.architectures import COMBINED, IoLoad, run_io
from virtlab.machine.comparison import Comparison, Sample
from virtlab.machine.guests import GUESTS
from virtlab.machine.io_paths import ARCHITECTURES, MHZ
from virtlab.machine.ways import stored

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "break_even",
    "budget",
    "combine",
    "driver",
    "handle",
    "interpreted",
    "limit",
    "sheet",
    "slowdown",
    "switches",
    "term",
    "wire",
]

_FAMILIES = {"i386": "x86", "x86-64": "x86", "ARM": "ARM", "PowerPC": "PowerPC"}
_DATA, _STATUS, _EXIT, _READY, _OPEN = 0x3F8, 0x3FD, 0xF4, 0x20, 0xFF


def _term(guest: str = "i386", host: str = "x86-64", how: str = "interpreter") -> Choice:
    """Ask for the talk's word."""

    def draw(rng: np.random.Generator) -> Choice:
        pick = [str(rng.choice(list(_FAMILIES))) for _ in range(2)]
        return _term(
            pick[0], pick[1], str(rng.choice(["interpreter", "interpreter that keeps its work"]))
        )

    same = _FAMILIES[guest] == _FAMILIES[host]
    return Choice(
        name="term",
        text=f"A program for **{guest}** runs on a processor of kind **{host}**, by an {how}. "
        "What does the talk (S6) call that?",
        options={"a": "simulation (擬態)", "b": "emulation (模倣)"},
        solve=lambda: "a" if same else "b",
        hints={
            "a": "Simulation offers the same architecture in software. Is it the same here?",
            "b": "Emulation offers another architecture in software. Is it another here?",
        },
        why="The word depends on the two architectures; the price depends on who executes.",
        variant=draw,
    )


def _interpreted(program: str = "crc32", native_ms: int = 20) -> Numeric:
    """Ask what an interpreter makes of a time."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _interpreted(str(rng.choice([one.name for one in GUESTS])), int(rng.integers(2, 90)))

    slow = stored(program).slowdown("interpreted")
    return Numeric(
        name="interpreted",
        text=f"In the stored run the interpreter takes **{slow:,.0f} times** as long as native for "
        f"`{program}`. A run takes {native_ms} ms natively. How many minutes does the interpreter "
        "take?",
        unit="min",
        solve=lambda: native_ms * slow / 60_000,
        why="That is why the interpreter gets the small programs.",
        mistakes=[
            Mistake(lambda: native_ms * slow / 1000, "That is in seconds."),
            Mistake(lambda: native_ms / slow / 60_000, "It takes longer, not shorter."),
        ],
        hint="The native time, times the slowdown; then in the unit that is asked for.",
        variant=draw,
    )


def _budget(percent: int = 5, trap_us: int = 12, native_s: int = 2) -> Numeric:
    """Ask how many traps a guest may make."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _budget(*(int(rng.integers(*ends)) for ends in ((1, 30), (2, 40), (1, 20))))

    return Numeric(
        name="budget",
        text=f"A program takes {native_s} s natively. Under a monitor each trap costs "
        f"**{trap_us} µs**. How often may it trap, if it may take at most **{percent} %** longer?",
        unit="",
        solve=lambda: percent / 100 * native_s / (trap_us * 1e-6),
        why="The price of direct execution is that of its traps, and of nothing else.",
        mistakes=[
            Mistake(lambda: native_s / (trap_us * 1e-6), "Then it would take twice as long."),
            Mistake(lambda: percent / 100 / (trap_us * 1e-6), "That is how often in a second."),
        ],
        hint="How much time may be lost? How many traps fit into that?",
        variant=draw,
    )


def _break_even(program: str = "matrix", trap_us: int = 12) -> Numeric:
    """Ask from how many traps on a translator is the better choice."""

    def draw(rng: np.random.Generator) -> Numeric:
        name = str(rng.choice([one.name for one in GUESTS]))
        return _break_even(name, int(rng.integers(2, 40)))

    slow = stored(program).slowdown("translated")
    return Numeric(
        name="break_even",
        text=f"QEMU's translator takes **{slow:.2f} times** as long as native for `{program}`, "
        f"whatever the program does. A trap to a monitor costs **{trap_us} µs**. From how many "
        "traps in each second of native time on is the translator faster than direct execution?",
        unit="",
        solve=lambda: (slow - 1) / (trap_us * 1e-6),
        why="A kernel that traps all the time is better translated: chapter 04 does that.",
        mistakes=[
            Mistake(
                lambda: slow / (trap_us * 1e-6),
                "Direct execution takes the native second as well: only the rest is for traps.",
            ),
            Mistake(lambda: 1 / (trap_us * 1e-6), "Then direct takes 2 times as long: and QEMU?"),
        ],
        hint="What does each of the two lose in a second of native time? Set them equal.",
        variant=draw,
    )


def _switches(switch_us: float = 4.45, batch: int = 1) -> Numeric:
    """Ask what part of a packet's way is world switches."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _switches(round(float(rng.uniform(1, 12)), 2), int(rng.integers(1, 5)))

    def run() -> Any:
        return run_io(IoLoad("hosted", world_switch_us=switch_us, batch=batch))

    def solve() -> float:
        steps = [one.us for one in run().path if one.kind == "world switch"]
        return float(100 * sum(steps) / run().path_us)

    rest = run().path_us - sum(one.us for one in run().path if one.kind == "world switch")
    shared = f", and {batch} packets share each of them" if batch > 1 else ""
    return Numeric(
        name="switches",
        text=f"A packet of a hosted VM needs {rest:.2f} µs without its two world switches. One "
        f"switch takes **{switch_us:g} µs**{shared}. What part of the packet's way are its world "
        "switches, in percent?",
        unit="%",
        solve=solve,
        why="There and back: two of them.",
        mistakes=[
            Mistake(
                lambda: 100 * (switch_us / batch) / (rest + switch_us / batch),
                "There is the way back, too.",
            ),
            Mistake(
                lambda: 100 * 2 * switch_us / batch / rest, "In percent of all, switches included."
            ),
        ],
        hint="Add up the whole way first; a packet switches there and back.",
        variant=draw,
    )


def _wire(mhz: int = 350) -> Numeric:
    """Ask how long it takes until a packet is on the wire at another clock."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _wire(int(50 * rng.integers(4, 60)))

    def until(clock: float) -> float:
        path = run_io(IoLoad("hosted", cpu_mhz=clock)).path
        last = next(k for k, one in enumerate(path) if one.kind == "system call")
        return sum(one.us for one in path[: last + 1])

    return Numeric(
        name="wire",
        text=f"At {MHZ:g} MHz a hosted packet is on the wire after the first four steps: "
        f"0.57 + 4.45 + 1.23 + 17.55 µs. How long would it take at **{mhz} MHz**, if the clock "
        "were all that differs?",
        unit="µs",
        solve=lambda: until(mhz),
        why="Cycles stay, and a cycle gets longer or shorter. A slower memory would cost more.",
        mistakes=[
            Mistake(lambda: until(MHZ), "That is at 733 MHz."),
            Mistake(lambda: until(MHZ) * mhz / MHZ, "A slower clock takes longer, not shorter."),
        ],
        hint="Which steps come before it is on the wire? Add these, then change the clock.",
        variant=draw,
    )


_LIMITS = {
    "processor": "the processor: it is busy all the time",
    "link": "the link: it is full",
    "load": "neither: all that is asked for goes through",
}


def _limit(mhz: int = 733, packets: int = 10_000, *, improved: bool = False) -> Choice:
    """Ask what keeps more packets from going through."""

    def draw(rng: np.random.Generator) -> Choice:
        return _limit(
            int(rng.choice([350, 733, 1400, 2800])),
            int(rng.choice([1000, 3000, 10_000])),
            improved=bool(rng.integers(2)),
        )

    def run() -> Any:
        batch = COMBINED if improved else 1.0
        return run_io(IoLoad("hosted", packets_per_s=packets, cpu_mhz=mhz, batch=batch,
                             ports_in_monitor=improved, notified=improved))  # fmt: skip

    kind = "with all three improvements" if improved else "as Workstation 2.0"
    return Choice(
        name="limit",
        text=f"A hosted VM, {kind}, on a processor of **{mhz} MHz**: a packet takes "
        f"{run().packet_us:.0f} µs of it in all. The link takes 7,786 packets a second; "
        f"**{packets:,}** are asked for. What is the limit?",
        options=_LIMITS,
        solve=lambda: str(run().limited_by),
        hints={
            "processor": "How many times do those microseconds fit into a second?",
            "link": "Do as many packets reach the link as it takes?",
            "load": "Can both, processor and link, do as many as are asked for?",
        },
        why="The least of the three numbers: what is asked for, what the link takes, 1 / t.",
        variant=draw,
    )


def _combine(idle: int = 15) -> Numeric:
    """Ask how many packets have to share a switch."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _combine(int(rng.integers(7, 27)))

    def at(batch: int) -> float:
        return run_io(IoLoad("hosted", ports_in_monitor=True, batch=batch)).idle_percent

    def solve() -> int:
        return next(batch for batch in range(1, 101) if at(batch) >= idle)

    return Numeric(
        name="combine",
        text="A hosted VM keeps port accesses in the monitor, and packets share their world switch "
        "and their interrupt. How many must share one, at least, so that "
        f"**{idle} %** of the processor is idle at 733 MHz? Use the widget, or `run_io`.",
        unit="packets",
        relative=0.0,
        solve=solve,
        why="The first few bring most: what is shared by n packets costs each 1/n of it.",
        mistakes=[
            Mistake(lambda: solve() - 1, f"That leaves {at(solve() - 1):.1f} % idle."),
            Mistake(lambda: solve() + 1, "One packet fewer is enough."),
        ]
        if solve() > 1
        else (),
        hint="Ask the model: one packet a switch, then two, until `idle_percent` is enough.",
        variant=draw,
    )


def _drives() -> str:
    """Find the architecture whose driver is the host system's own, with a monitor beside it."""
    return next(
        key
        for key, one in ARCHITECTURES.items()
        if any(step.kind == "world switch" for step in one.path)
    )


def _try_handle(handle: Callable[[str, int, int, list[str]], Any]) -> str | None:
    """Let a guest speak through a student's monitor, and look where nothing is."""
    for text in ("A", "primes below 8000: 1007\n"):
        output: list[str] = []
        hint = _speak(handle, text, output) or _elsewhere(handle, output)
        if hint:
            return hint
    return None


def _speak(handle: Callable[..., Any], text: str, output: list[str]) -> str | None:
    """Say a text, as the guest programs do: look at the status, write a letter."""
    for letter in text:
        status = handle("in", _STATUS, 0, output)
        if not isinstance(status, int) or not status & _READY:
            return (
                f"The guest reads port {_STATUS:#x} until bit 5 ({_READY:#x}) is set; "
                f"it got {status!r} and would wait for ever."
            )
        if handle("out", _DATA, ord(letter), output) == "exit":
            return f"A write to {_DATA:#x} is a letter, and no end."
    if output != list(text):
        return f"The guest wrote {text!r}, and `output` is {output}."
    return None


def _elsewhere(handle: Callable[..., Any], output: list[str]) -> str | None:
    """Use ports where nothing is, and the one that ends the guest."""
    if handle("in", 0x1234, 0, output) != _OPEN:
        return f"Nothing is at port 0x1234: a read gives {_OPEN:#x}, all bits set."
    before = list(output)
    if handle("out", 0x80, 65, output) == "exit" or output != before:
        return "Nothing is at port 0x80: a write there does nothing."
    if handle("out", _EXIT, 0, output) != "exit":
        return f"A write to port {_EXIT:#x} ends the guest: return 'exit'."
    return None


def _try_slowdown(slowdown: Callable[[list[float], list[float]], Any]) -> str | None:
    """Hold a student's ratio against the model's."""
    rng = np.random.default_rng(6)
    cases = [([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]), ([1.0, 9.0, 1.2], [3.0, 27.0, 3.7])]
    for turns in (3, 5, 7):
        speed = rng.uniform(1, 4, turns)  # how busy the machine was in that turn
        cases.append((speed.tolist(), (speed * rng.uniform(2, 6, turns)).tolist()))
    for native, other in cases:
        samples = {
            "native": tuple(Sample(1, s) for s in native),
            "other": tuple(Sample(1, s) for s in other),
        }
        wanted = Comparison("", samples, {}, "").slowdown("other")
        given = slowdown(list(native), list(other))
        if not isinstance(given, int | float | np.number):
            return "Return a number."
        if abs(given - wanted) > 1e-9 * wanted:
            return (
                f"For native {np.round(native, 2).tolist()} and {np.round(other, 2).tolist()} it "
                f"gave {given:.4g}, and {wanted:.4g} is wanted: a ratio for each turn, then the "
                "median of them."
            )
    return None


term = _term()
interpreted = _interpreted()
budget = _budget()
break_even = _break_even()
switches = _switches()
wire = _wire()
limit = _limit()
combine = _combine()
driver = Choice(
    name="driver",
    text="A sound card has a driver for Windows and none for anything else. In which architecture "
    "can a VM use it?",
    options={
        "hosted": "a process on a general system (S8), here Windows",
        "dedicated": "a dedicated kernel (S10)",
        "none": "in neither",
    },
    solve=_drives,
    hints={
        "dedicated": "Who has the driver there? The kernel itself, and it is not Windows.",
        "none": "In one of them an ordinary process of the host does the I/O.",
    },
    why="The world switch buys that: behind it is a system with all its drivers.",
)
handle = Code(
    name="handle",
    text="Write the part of a monitor that a trap calls: `handle(instruction, port, value, "
    'output)`. For `"in"` it returns the byte that the guest reads: `0x20` from the serial line\'s '
    f'status, `{_STATUS:#x}`, and `0xff` from a port where nothing is. For `"out"` it appends the '
    f"letter `chr(value)` to the list `output` if the port is `{_DATA:#x}`, and returns "
    f'`"exit"` if it is `{_EXIT:#x}`; to other ports it does nothing.',
    test=_try_handle,
    why="A guest that says 25 letters has spoken through it.",
)
slowdown = Code(
    name="slowdown",
    text="Write `slowdown(native, other)`: two lists of seconds, turn by turn. Return how many "
    "times as long the other way takes, so that a turn in which the machine was busy does no harm: "
    "a ratio for each turn, then their median.",
    test=_try_slowdown,
    why="A busy moment slows both ways of its turn, and falls out of their ratio.",
)
sheet = Sheet(
    "ways",
    [term, interpreted, budget, break_even, switches, wire, limit, combine, driver, handle,
     slowdown],
)  # fmt: skip
