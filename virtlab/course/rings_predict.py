"""Exercises of chapter 02 that ask for a prediction: what the processor does."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from virtlab.course.questions import Choice, Mistake, Numeric
from virtlab.machine.probes import named
from virtlab.machine.ring_choice import choose
from virtlab.machine.ring_pages import touch
from virtlab.machine.rings import ring_table
from virtlab.machine.walk.programs import attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["culprit", "error", "frame", "outcome", "page", "pairs"]

_SOME = ("cli", "sti", "popf", "iret", "in", "out", "lgdt", "sgdt", "smsw", "hlt", "mov from cs",
         "mov to cr3", "push cs", "str", "lar kernel")  # fmt: skip
_KINDS = {"works": "It does what it does at ring 0", "faults": "It traps",
          "differs": "It does not trap, and does something else than at ring 0"}  # fmt: skip


def outcome(name: str = "popf", ring: int = 1, iopl: int = 0) -> Choice:
    """Ask what an instruction does at a ring.

    Parameters
    ----------
    name, ring, iopl
        Of a probe, and where.

    Returns
    -------
    Choice
        The question.

    Examples
    --------
    >>> outcome().right_answer
    'differs'
    """

    def draw(rng: np.random.Generator) -> Choice:
        return outcome(str(rng.choice(_SOME)), int(rng.integers(1, 4)), int(rng.integers(4)))

    return Choice(
        name="outcome",
        text=f"`{named(name).text}` at **ring {ring}**, with **IOPL {iopl}**. What happens?",
        options=_KINDS,
        solve=lambda: ring_table().cell(name, ring, iopl),
        hints={
            "works": "At ring 0 a kernel gets what it asked for. Does it here?",
            "faults": "Not each instruction that touches the machine traps. Does this one?",
            "differs": "Then nobody would hear of it. Is it so here?",
        },
        why=lambda: choose(name, ring, iopl).explain(),
        variant=draw,
    )


def pairs(name: str = "in") -> Numeric:
    """Ask at how many pairs of ring and IOPL an instruction traps.

    Parameters
    ----------
    name
        Of a probe.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> pairs().right_answer
    6.0
    """
    asked = ("in", "out", "cli", "sti", "lgdt", "hlt", "clts", "ins", "outs", "mov to cr0")

    def draw(rng: np.random.Generator) -> Numeric:
        return pairs(str(rng.choice(asked)))

    def solve() -> int:
        table = ring_table()
        return sum(table.cell(name, ring, iopl) == "faults" for ring in range(4)
                   for iopl in range(4))  # fmt: skip

    by_iopl = solve() == 6
    wrong = 12 if by_iopl else 6
    hint = (
        "It is not ring 0's alone: rings up to IOPL may do it."
        if by_iopl
        else "IOPL opens ports and the interrupt flag, and this is neither."
    )
    return Numeric(
        name="pairs",
        text=f"Four rings, four values of IOPL: 16 pairs. At how many of them does "
        f"`{named(name).text}` **trap**? (No port is allowed by the task's own map.)",
        relative=0,
        solve=solve,
        why="It traps where the ring's number is above IOPL: 3 + 2 + 1 pairs."
        if by_iopl
        else "It is ring 0's, whatever IOPL says: 3 rings, 4 values.",
        mistakes=[Mistake(lambda: wrong, hint)],
        hint="Draw a table of four rings and four values of IOPL, and mark who traps.",
        variant=draw,
    )


def page(ring: int = 1, *, user: bool = False, writable: bool = True, write: bool = True) -> Choice:
    """Ask what becomes of an access to a page.

    Parameters
    ----------
    ring
        Who asks.
    user, writable
        The page's U/S and R/W bits.
    write
        Whether it is a write.

    Returns
    -------
    Choice
        The question.

    Examples
    --------
    >>> page().right_answer, page(3).right_answer
    ('works', 'faults')
    """

    def draw(rng: np.random.Generator) -> Choice:
        bits = [bool(bit) for bit in rng.integers(0, 2, 3)]
        return page(int(rng.integers(4)), user=bits[0], writable=bits[1], write=bits[2])

    verb = "writes to" if write else "reads"
    return Choice(
        name="page",
        text=f"Paging is on, and CR0's WP is off. **Ring {ring}** {verb} a page whose entry says "
        f"**U/S = {int(user)}** ({'user' if user else 'supervisor'}) and "
        f"**R/W = {int(writable)}**. What happens?",
        options={"works": "It gets what it asked for", "faults": "#PF, a page fault"},
        solve=lambda: (
            "works"
            if touch(ring, user=user, writable=writable, write=write) == "works"
            else "faults"
        ),
        hints={
            "works": "Ring 3 is the only one that the page's bits are about. Is it ring 3?",
            "faults": "Which rings does U/S = 0 keep out: all but 0, or ring 3 alone?",
        },
        why="For paging, rings 0, 1 and 2 are one: supervisor. With WP off they may write to any "
        "page that is there.",
        variant=draw,
    )


_TRAPS = {
    "cli": ("fa", "#GP, which has an error code"),
    "ud2": ("0f0b", "#UD, which has no error code"),
    "div by 0": ("31c9 f7f1", "#DE, which has no error code"),
    "int 0x80": ("cd80", "a call through gate 0x80"),
    "int3": ("cc", "a call through gate 3"),
}


@cache
def _pushed(code: str, ring: int) -> int:
    """Run it, and count the bytes that the trap left on the stack."""
    ride = attempt(bytes.fromhex(code), ring)
    event = ride.events[0]
    moment = ride.go(event.number)
    frame = moment.frame
    return 0 if frame is None else 4 * len(frame.words)


def frame(which: str = "ud2", ring: int = 3) -> Numeric:
    """Ask how much a trap leaves on the stack.

    Parameters
    ----------
    which
        What traps.
    ring
        Where it runs; the handler is at ring 0.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> frame().right_answer, frame("ud2", 0).right_answer
    (20.0, 12.0)
    """

    def draw(rng: np.random.Generator) -> Numeric:
        kinds = [one for one in _TRAPS if one not in ("cli", "int3")]
        return frame(str(rng.choice(kinds)), int(rng.integers(4)))

    code, says = _TRAPS[which]
    right = _pushed(code, ring)
    other = 12 if ring else 20
    return Numeric(
        name="frame",
        text=f"`{which}` runs at **ring {ring}**: {says}. The gate leads to ring 0. How many bytes "
        "does the processor leave on the handler's stack?",
        unit="bytes",
        relative=0,
        solve=lambda: right,
        why="EIP, CS and EFLAGS always; SS and ESP too if the ring changes, for then the stack "
        "does; and an error code for some exceptions. Four bytes each.",
        mistakes=[
            Mistake(
                lambda: other,
                "Does the ring change? Then the old stack's place has to be kept, too."
                if ring
                else "The ring does not change, so the stack stays: is SS:ESP kept then?",
            ),
            Mistake(lambda: right // 4, "That is words. Each has four bytes."),
        ],
        hint="What is needed to come back? Does the ring change, and is there an error code?",
        variant=draw,
    )


def error(vector: int = 0x81) -> Numeric:
    """Ask for the error code of a gate that is refused.

    Parameters
    ----------
    vector
        Of the gate.

    Returns
    -------
    Numeric
        The question.

    Examples
    --------
    >>> hex(int(error().right_answer))
    '0x40a'
    """

    def draw(rng: np.random.Generator) -> Numeric:
        return error(int(rng.integers(0x20, 0x80)))

    def solve() -> int:
        ride = attempt(bytes([0xCD, vector]), ring=3)
        found = ride.go(1).frame
        return 0 if found is None else {name: value for name, _, value in found.words}["error code"]

    return Numeric(
        name="error",
        text=f"Ring 3 does `int {vector:#x}`, whose gate is for ring 0 only. The processor raises "
        "**#GP** instead. Its error code names what was refused: the entry's place in its table, "
        "in bytes, plus 2 for *this is the interrupt table*. What is it?",
        relative=0,
        solve=solve,
        why="A handler can tell from it which gate was asked for: a monitor does so, and gives the "
        "guest the call that it meant.",
        mistakes=[
            Mistake(lambda: vector, "That is the vector. Each entry has eight bytes."),
            Mistake(lambda: 8 * vector, "Nearly: bit 1 says which table it is."),
        ],
        hint="Where in its table does the entry begin? Then say which table it is.",
        variant=draw,
    )


_SAFE = {"cli": "fa", "sti": "fb", "clts": "0f06", "mov eax, cr0": "0f20c0",
         "mov eax, cr3": "0f20d8", "invlpg [0x1000]": "0f013d00100000", "add eax, ebx": "01d8",
         "in al, 0x60": "e460", "mov ebx, 7": "bb07000000", "push eax": "50"}  # fmt: skip
_LIES = {"smsw eax": "0f01e0", "str eax": "0f00c8", "sgdt [0x80400]": "0f010500040800",
         "sidt [0x80400]": "0f010d00040800", "mov eax, cs": "8cc8", "push cs": "0e"}  # fmt: skip
_LETTERS = "abcde"


@cache
def _liars(lines: tuple[str, ...]) -> tuple[int, ...]:
    """Run a few lines as a guest's kernel at ring 1; return which of them lied to it."""
    from virtlab.machine.vmm import Monitor

    code = [bytes.fromhex({**_SAFE, **_LIES}[line]) for line in lines]
    monitor = Monitor(2)
    start = 0x100000
    monitor.load_code(b"".join(code) + b"\xf4", start)
    monitor.run(20)
    places = [start + sum(map(len, code[:k])) for k in range(len(code))]
    return tuple(places.index(wrong.address) for wrong in monitor.wrongs)


def culprit(
    lines: Sequence[str] = ("cli", "mov eax, cr0", "invlpg [0x1000]", "mov eax, cs", "sti"),
) -> Choice:
    """Ask which line of a kernel breaks it under a monitor by traps.

    Parameters
    ----------
    lines
        Five instructions, of which one lies.

    Returns
    -------
    Choice
        The question.

    Examples
    --------
    >>> culprit().right_answer
    'd'
    """
    lines = tuple(lines)

    def draw(rng: np.random.Generator) -> Choice:
        some = [str(one) for one in rng.choice(list(_SAFE), 4, replace=False)]
        some.insert(int(rng.integers(5)), str(rng.choice(list(_LIES))))
        return culprit(some)

    def hint(line: str) -> str:
        if line in ("add eax, ebx", "mov ebx, 7", "push eax"):
            return f"`{line}` touches nothing but registers and the stack: it is the same anywhere."
        return f"At ring 1 `{line}` traps, and the monitor does what the kernel meant."

    return Choice(
        name="culprit",
        text="A guest's kernel runs at **ring 1**, and the monitor does for it whatever traps. "
        f"These five lines are a part of it: `{'; '.join(lines)}`. Which one does **not** do what "
        "the kernel's author meant?",
        options=dict(zip(_LETTERS, lines, strict=True)),
        solve=lambda: _LETTERS[_liars(lines)[0]],
        hints={key: hint(line) for key, line in zip(_LETTERS, lines, strict=True)},
        why="It does not trap, so the monitor is not asked, and the kernel sees the machine below "
        "it.",
        variant=draw,
    )
