"""Is a virtual machine the same machine? One program, bare and under a monitor, side by side (S17).

The paper asks three things of a monitor, and each is looked at here:

- **equivalence**: after each instruction the guest's storage and PSW are what they would be on the
  bare machine;
- **resource control**: no word of the host but the guest's has changed;
- **efficiency**: how many instructions the host did by itself.

Where the theorem says that there is no such monitor, `counterexample` looks for the shortest
program that shows it: all of one instruction, then all of two, and so on.

Source: Popek and Goldberg 1974, section 4.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.machine.theorem.instructions import SETS, disassembled
from virtlab.machine.theorem.machine import (
    FIRST,
    SUPERVISOR,
    USER,
    Computer,
    Machine,
    Psw,
    word_of,
)
from virtlab.machine.theorem.monitor import Hybrid, Monitor
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MONITORS", "SIZE", "Beside", "Moment", "counterexample", "run_beside", "virtual"]

SIZE = 64  # words of the guest
MONITORS: dict[str, type[Monitor]] = {"monitor": Monitor, "hybrid": Hybrid}
_CANARY = 0x2A5A5
_HANDLER, _USER_PSW = 32, 40
# What a guest finds beside its program: where traps lead (to `halt`), and a PSW of user mode.
_AROUND = {
    **dict(enumerate(Psw(SUPERVISOR, _HANDLER, 0, SIZE), 4)),
    **dict(enumerate(Psw(USER, FIRST + 1, 0, SIZE), _USER_PSW)),
}


@dataclass(frozen=True)
class Moment:
    """What both machines are after a step.

    Attributes
    ----------
    instruction
        What the bare machine did.
    trap
        What trapped there, and under the monitor; '' for nothing.
    bare, virtual
        The PSW.
    same
        Whether the whole state is the same.
    words
        Those that differ: place, bare, virtual. A program can read them.
    halted
        Whether each has stopped.
    """

    instruction: str
    trap: tuple[str, str]
    bare: Psw
    virtual: Psw
    same: bool
    words: tuple[tuple[int, int, int], ...]
    halted: tuple[bool, bool]

    @property
    def seen(self) -> bool:
        """Whether a program can find out: storage differs, or one has stopped and one not."""
        return bool(self.words) or self.halted[0] != self.halted[1]

    @property
    def difference(self) -> str:
        """What a program can find out, in words."""
        told = [f"E[{place}] is {one}, and {two} here" for place, one, two in self.words]
        if self.halted[0] != self.halted[1]:
            told.append("one has stopped, the other has not")
        return "; ".join(told)


@dataclass(frozen=True)
class Beside(Result):
    """A program on the bare machine, and under a monitor.

    Attributes
    ----------
    name, monitor, depth
        The instruction set, the kind of monitor, and how many lie one upon the other.
    words
        The program.
    moments
        Each step, up to the end or to what shows the difference.
    direct, interpreted
        Instructions of the guest that its host did, and that its monitor did.
    escaped
        Whether a word of the host's that is not the guest's has changed.

    Examples
    --------
    >>> from virtlab.machine.theorem.instructions import assembled
    >>> beside = run_beside(assembled("jrst 9; halt", "jrst"), "jrst")
    >>> beside.equivalent, run_beside(beside.words, "jrst", "hybrid").equivalent
    (False, True)
    """

    name: str
    monitor: str
    depth: int
    words: tuple[int, ...]
    moments: tuple[Moment, ...] = field(repr=False)
    direct: int
    interpreted: int
    escaped: bool

    @property
    def equivalent(self) -> bool:
        """Whether each state was the same."""
        return all(moment.same for moment in self.moments)

    @property
    def seen(self) -> bool:
        """Whether the program could find out."""
        return any(moment.seen for moment in self.moments)

    @property
    def program(self) -> str:
        """The program, as one reads it."""
        return disassembled(list(self.words), self.name)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each step."""
        rows = [
            {
                "step": step,
                "instruction": moment.instruction,
                "trap": moment.trap[0],
                "bare": str(moment.bare),
                "virtual trap": moment.trap[1],
                "virtual": str(moment.virtual),
                "same": "yes" if moment.same else moment.difference or "no",
            }
            for step, moment in enumerate(self.moments, 1)
        ]
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return whether they are equal, and who did the work."""
        return {
            "equivalent": int(self.equivalent),
            "steps": len(self.moments),
            "direct": self.direct,
            "interpreted": self.interpreted,
            "escaped": int(self.escaped),
        }

    def explain(self) -> str:
        """Say whether the virtual machine is the machine, and where it is not."""
        done = f"{self.direct} instructions ran directly and {self.interpreted} by the monitor"
        if self.equivalent:
            return f"After each of {len(self.moments)} steps both are the same; {done}."
        step = next(k for k, moment in enumerate(self.moments, 1) if not moment.same)
        wrong = self.moments[step - 1]
        told = self.moments[-1].difference or "the program has not seen it yet"
        believed = f" The monitor believes: {wrong.virtual}." if wrong.bare != wrong.virtual else ""
        return (
            f"`{self.program}` is another program under this monitor. After step {step}, "
            f"`{wrong.instruction}`, the bare machine is in: {wrong.bare}.{believed} "
            f"After step {len(self.moments)}: {told}."
        )


def virtual(name: str, monitor: str = "monitor", depth: int = 1) -> tuple[Machine, Monitor]:
    """Make a virtual machine of `SIZE` words.

    Parameters
    ----------
    name
        Of the instruction set.
    monitor
        'monitor' or 'hybrid'.
    depth
        How many monitors, one upon the other.

    Returns
    -------
    tuple
        The real machine, whose words the guest has not got are filled with a number; and the
        innermost guest.

    Examples
    --------
    >>> real, guest = virtual("third-generation", depth=2)
    >>> real.size, guest.size, guest.host.place
    (96, 64, 8)
    """
    instructions = SETS[one_of("name", name, tuple(SETS))]
    kind = MONITORS[one_of("monitor", monitor, tuple(MONITORS))]
    real = Machine(instructions, SIZE + 16 * integer("depth", depth, minimum=1, maximum=8))
    real.words = [_CANARY] * real.size
    guest = kind(real, 8, real.size - 16)
    while guest.size > SIZE:
        guest = kind(guest, 8, guest.size - 16)
    return real, guest


def run_beside(
    words: Sequence[int], name: str, monitor: str = "monitor", depth: int = 1, steps: int = 60
) -> Beside:
    """Run a program on the bare machine and under a monitor.

    Parameters
    ----------
    words
        The program, from word 8 on. Traps lead to word 32, where there is `halt`; at word 40 lies
        a PSW of user mode that goes on at word 9.
    name
        Of the instruction set.
    monitor
        'monitor', or 'hybrid'.
    depth
        How many monitors, one upon the other.
    steps
        At most so many.

    Returns
    -------
    Beside
        What both did.

    Raises
    ------
    InvalidInputError
        If it is too long.

    Examples
    --------
    >>> from virtlab.machine.theorem.instructions import assembled
    >>> words = assembled("set 20 0; add 20 20; jz 20 12; halt; lra 21 9; halt")
    >>> print(run_beside(words, "third-generation", depth=3).explain())
    After each of 5 steps both are the same; 3 instructions ran directly and 2 by the monitor.
    """
    if len(words) > SIZE - FIRST:
        raise InvalidInputError("words", len(words), f"at most {SIZE - FIRST} words")
    bare = Machine(SETS[one_of("name", name, tuple(SETS))], SIZE)
    real, guest = virtual(name, monitor, depth)
    for machine in (bare, guest):
        _fill(machine, words, name)
    moments: list[Moment] = []
    for _ in range(integer("steps", steps, minimum=0)):
        if bare.halted or (moments and moments[-1].seen):
            break
        moments.append(_both(bare, guest, name))
    low, high = 8 * depth, 8 * depth + SIZE
    outside = real.words[:low] + real.words[high:]
    escaped = any(word != _CANARY for word in outside)
    done = (guest.direct, guest.interpreted, escaped)
    return Beside(name, monitor, depth, tuple(words), tuple(moments), *done)


def _fill(machine: Computer, words: Sequence[int], name: str) -> None:
    """Put a program into storage, and around it what it needs."""
    code = [instruction.name for instruction in SETS[name]].index("halt") + 1
    inside = {**_AROUND, _HANDLER: word_of(code), **dict(enumerate(words, FIRST))}
    for place in range(machine.size):
        machine.write(place, inside.get(place, 0))


def _both(bare: Machine, guest: Monitor, name: str) -> Moment:
    """Do a step of both."""
    place = bare.psw.base + bare.psw.counter
    word = bare.read(place) if bare.psw.counter < bare.psw.bound and place < bare.size else 0
    traps = []
    for machine in (bare, guest):
        trap = machine.step()
        traps.append(trap.kind if trap else "")
        if trap:
            machine.deliver()
    pairs = zip(bare.storage(), guest.storage(), strict=True)
    words = tuple((place, one, two) for place, (one, two) in enumerate(pairs) if one != two)
    halted = bare.halted, guest.halted
    same = not words and halted[0] == halted[1] and bare.psw == guest.psw
    text = disassembled([word], name)
    return Moment(text, (traps[0], traps[1]), bare.psw, guest.psw, same, words, halted)


def counterexample(name: str, monitor: str = "monitor", longest: int = 2) -> Beside | None:
    """Look for the shortest program that finds out that it runs under a monitor.

    Parameters
    ----------
    name
        Of the instruction set.
    monitor
        'monitor' or 'hybrid'.
    longest
        Try all programs of so many instructions; each more takes some fifty times as long.

    Returns
    -------
    Beside or None
        The first that does; None if there is none among them.

    Examples
    --------
    >>> counterexample("jrst").program
    'jrst 9 0'
    >>> counterexample("jrst", "hybrid", longest=1) is None
    True
    """
    codes = range(1, len(SETS[one_of("name", name, tuple(SETS))]) + 1)
    for length in range(1, integer("longest", longest, minimum=1, maximum=4) + 1):
        for words in itertools.product(_few(codes), repeat=length):
            beside = run_beside(words, name, monitor, steps=8)
            if beside.seen:
                return beside
    return None


def _few(codes: Sequence[int]) -> Iterator[int]:
    """Give each instruction with the operands that matter here: its neighbour, data, the PSW."""
    for code, a, b in itertools.product(codes, (FIRST + 1, 20, _USER_PSW), (0, FIRST + 1)):
        yield word_of(code, a, b)
