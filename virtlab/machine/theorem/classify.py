"""What each instruction is, found by running it in pairs of states (S17).

The paper's definitions, each a question about runs:

- **privileged**: in any state it traps in user mode, and in the same state with supervisor mode it
  does not. States in which it runs beyond the bound (a memory trap) do not count.
- **control-sensitive**: in some state it changes the mode or R, or halts, without a trap.
- **behaviour-sensitive**: two states that differ in what a program should not be able to tell, and
  what it does differs. Where the program lies elsewhere it is *location*-sensitive; where the mode
  is another, *mode*-sensitive.
- **user-sensitive**: one of these, seen in user mode alone.

The states are all of a small world: a program of six words, each number that may matter in them,
both modes and two places in storage. So "for each state" is that world's, while what is found in it
is found: sensitive there is sensitive.

    Theorem 1   a monitor:        each sensitive instruction is privileged
    Theorem 2   it runs itself:   the same, and the monitor needs no clock
    Theorem 3   a hybrid monitor: each user-sensitive instruction is privileged

Source: Popek and Goldberg 1974, sections 3 to 6. The converse of theorem 1 is not claimed there.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from virtlab.machine.theorem.machine import (
    SUPERVISOR,
    USER,
    Instruction,
    Machine,
    Psw,
    word_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Kind", "Run", "classify", "run_one"]

_WINDOW = 6  # words that the program has: the instruction, and what it works on
_BASES = (8, 16)
_VALUES = (0, 1)


@dataclass(frozen=True)
class Kind:
    """What one instruction is.

    Attributes
    ----------
    name
        Of the instruction.
    privileged
        Whether it traps in user mode alone.
    control
        Whether it changes the mode or what there is to use.
    behaviour
        Whether what it does depends on the place or the mode.
    user
        Whether it is sensitive in user mode.
    why
        A run that shows it, in words; empty if it is innocuous.

    Examples
    --------
    >>> Kind("lra", True, False, True, True, "").sensitive
    True
    """

    name: str
    privileged: bool
    control: bool
    behaviour: bool
    user: bool
    why: str = ""

    @property
    def sensitive(self) -> bool:
        """Whether it is control- or behaviour-sensitive."""
        return self.control or self.behaviour


@dataclass(frozen=True)
class Run:
    """An instruction that was run in one state.

    Attributes
    ----------
    before, after
        The PSW.
    words
        The program's words afterwards.
    trap
        Its kind, '' if there was none.
    halted
        Whether the processor stopped.
    """

    before: Psw
    after: Psw
    words: tuple[int, ...]
    trap: str
    halted: bool

    @property
    def controls(self) -> bool:
        """Whether it changed what the program may use, or the mode, without a trap."""
        same = (self.before.mode, *self.before[2:]) == (self.after.mode, *self.after[2:])
        return not self.trap and (not same or self.halted)


def run_one(instructions: Sequence[Instruction], words: Sequence[int], mode: int, base: int) -> Run:
    """Run the instruction that is the first of a program's words.

    Parameters
    ----------
    instructions
        The set.
    words
        The program, which is all it may use.
    mode
        `SUPERVISOR` or `USER`.
    base
        Where it lies.

    Returns
    -------
    Run
        What it did.

    Examples
    --------
    >>> from virtlab.machine.theorem.instructions import SETS, assembled
    >>> done = run_one(SETS["open-lra"], assembled("lra 1 3; 0", "open-lra"), USER, 16)
    >>> done.words, done.trap
    ((32835, 19), '')
    """
    machine = Machine(instructions, base + len(words))
    machine.words[base:] = words
    machine.psw = before = Psw(mode, 0, base, len(words))
    trap = machine.step()
    after = tuple(machine.words[base:])
    return Run(before, machine.psw, after, trap.kind if trap else "", machine.halted)


def _worlds(code: int) -> Iterator[tuple[int, ...]]:
    """Give each program that is one instruction and some data."""
    for a, b in itertools.product(range(_WINDOW + 1), repeat=2):
        for data in itertools.product(_VALUES, repeat=_WINDOW - 1):
            yield (word_of(code, a, b), *data)


def classify(instructions: Sequence[Instruction]) -> tuple[Kind, ...]:
    """Say of each instruction of a set what it is, by running it.

    Parameters
    ----------
    instructions
        The set; a change of one `Instruction` is a new question.

    Returns
    -------
    tuple of Kind
        In the set's order.

    Examples
    --------
    >>> from virtlab.machine.theorem.instructions import SETS
    >>> [kind.name for kind in classify(SETS["jrst"]) if kind.sensitive and not kind.privileged]
    ['jrst']
    """
    return _classify(tuple(instructions))


@cache
def _classify(instructions: tuple[Instruction, ...]) -> tuple[Kind, ...]:
    return tuple(_kind(instructions, code) for code in range(1, len(instructions) + 1))


def _kind(instructions: tuple[Instruction, ...], code: int) -> Kind:
    """Run one instruction everywhere, and look for what the definitions ask."""
    pairs = traps = 0
    found: dict[tuple[str, bool], str] = {}
    for words in _worlds(code):
        runs = {
            (mode, base): run_one(instructions, words, mode, base)
            for mode in (SUPERVISOR, USER)
            for base in _BASES
        }
        first, user = runs[SUPERVISOR, _BASES[0]], runs[USER, _BASES[0]]
        if "memory" not in (first.trap, user.trap):
            pairs += 1
            traps += bool(user.trap) and not first.trap
        for kind, only_user, why in _findings(runs):
            found.setdefault((kind, only_user), why)
    kinds = {kind for kind, _ in found}
    by_user = any(only_user for _, only_user in found)
    why = "; ".join(dict.fromkeys(found.values()))
    return Kind(
        name=instructions[code - 1].name,
        privileged=0 < pairs == traps,
        control="control" in kinds,
        behaviour=bool({"location", "mode"} & kinds),
        user=by_user,
        why=why,
    )


def _findings(runs: dict[tuple[int, int], Run]) -> Iterator[tuple[str, bool, str]]:
    """Say what a program's runs show: kind, whether in user mode alone, and in words."""
    for (mode, _), run in runs.items():
        if run.controls:
            yield "control", mode == USER, _change(run)
    for (one, here), (other, there) in itertools.combinations(runs, 2):
        left, right = runs[one, here], runs[other, there]
        if left.trap or right.trap or left.controls or right.controls:
            continue
        if (left.words, left.after.counter) != (right.words, right.after.counter):
            if one == other:
                yield "location", one == USER, "what it tells depends on where it lies"
            elif here == there:
                yield "mode", False, "what it tells depends on the mode"


def _change(run: Run) -> str:
    """Say what a control-sensitive instruction changed."""
    mode = ("supervisor", "user")[run.before.mode]
    if run.halted:
        return f"it stops the processor in {mode} mode"
    if run.before.mode != run.after.mode:
        return f"in {mode} mode it changes the mode without a trap"
    return f"in {mode} mode it changes R without a trap"
