"""The machine of Popek and Goldberg's paper, small enough to be known by heart (S17).

A state is (E, M, P, R): storage, mode, program counter, and the relocation-bounds register
R = (base, bound). An address a of a program is E[base + a] if a < bound, and a memory trap if not.
Mode, counter and R together are the PSW. A trap is one step: the PSW goes to E[0..3], a new one
comes from E[4..7], and nothing else changes; so the control program, in supervisor mode, finds out
what happened.

    a word that is an instruction:  code * 4096 + a * 64 + b

There are no registers: instructions work in storage. What each does is said once, as a function of
the machine (`virtlab.machine.theorem.instructions`); who calls it is the processor (`Machine.step`)
or the interpreter in a monitor (`virtlab.machine.theorem.monitor`).

Source: G. Popek, R. Goldberg, "Formal requirements for virtualizable third generation
architectures", CACM 17 (7), 1974, section 2. The paper's PSW fits one word, at 0 and at 1; the
state of a processor that is halted is ours, so that programs can end. Left out, as there: input and
output, interrupts, a clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "FIRST",
    "SUPERVISOR",
    "USER",
    "WORDS",
    "Computer",
    "Instruction",
    "Machine",
    "Psw",
    "Trap",
    "word_of",
]

SUPERVISOR, USER = 0, 1
WORDS = 1 << 18  # a word is a number below this
FIRST = 8  # where programs begin: behind the two PSWs of traps


class Psw(NamedTuple):
    """Mode, program counter and relocation-bounds register.

    Attributes
    ----------
    mode
        `SUPERVISOR` or `USER`.
    counter
        Address of the next instruction, as the program counts.
    base, bound
        Where the program's words lie, and how many it has.

    Examples
    --------
    >>> str(Psw(USER, 8, 64, 16))
    'user, at 8, words 64 to 79'
    """

    mode: int
    counter: int
    base: int
    bound: int

    def __str__(self) -> str:
        """Write it as a sentence would."""
        mode = "user" if self.mode == USER else "supervisor"
        return f"{mode}, at {self.counter}, words {self.base} to {self.base + self.bound - 1}"


class Trap(Exception):  # noqa: N818 - the field's word; it is not an error of this program
    """What ends an instruction that may not be done.

    Parameters
    ----------
    kind
        'memory': an address beyond the bound. 'privileged': an instruction that only the
        supervisor may do. 'call': a program asks for its control program. 'unknown': no
        instruction.

    Examples
    --------
    >>> Trap("memory").kind
    'memory'
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class Instruction:
    """One instruction of a set.

    Attributes
    ----------
    name
        As a program is written.
    does
        What it does to a machine, with its operands a and b: returns the new PSW, or None if
        only the counter moves on. It reads and writes by `load` and `store`, and may trap as long
        as it has written nothing.
    privileged
        Whether this processor refuses it in user mode.
    says
        In words.
    """

    name: str
    does: Callable[[Computer, int, int], Psw | None]
    privileged: bool = False
    says: str = ""


def word_of(code: int, a: int = 0, b: int = 0) -> int:
    """Return an instruction as it stands in storage.

    Parameters
    ----------
    code
        Its number in its set, from 1.
    a, b
        Operands, 0 to 63.

    Returns
    -------
    int
        The word.

    Examples
    --------
    >>> word_of(1, 9, 5)
    4677
    """
    return integer("code", code, minimum=1, maximum=63) << 12 | (a & 63) << 6 | b & 63


class Computer(ABC):
    """What a program finds: a real machine, or one that a monitor makes.

    Attributes
    ----------
    instructions
        Its set, by code from 1.
    psw
        Mode, counter, base and bound.
    size
        Words of storage.
    halted
        Whether it has stopped.
    """

    def __init__(self, instructions: Sequence[Instruction], size: int) -> None:
        self.instructions = tuple(instructions)
        self.size = integer("size", size, minimum=FIRST)
        self.psw = Psw(SUPERVISOR, FIRST, 0, size)
        self.halted = False

    @abstractmethod
    def read(self, address: int) -> int:
        """Return a word of its storage, by its place from 0 and not through R."""

    @abstractmethod
    def write(self, address: int, value: int) -> None:
        """Change a word of its storage, by its place."""

    @abstractmethod
    def step(self) -> Trap | None:
        """Do one instruction; return the trap if there is one, which then waits for `deliver`."""

    def storage(self) -> tuple[int, ...]:
        """Return all its words."""
        return tuple(self.read(place) for place in range(self.size))

    def _place(self, address: int) -> int:
        place = self.psw.base + address
        if not (0 <= address < self.psw.bound and place < self.size):
            raise Trap("memory")
        return place

    def load(self, address: int) -> int:
        """Return a word, as a program does: through R."""
        return self.read(self._place(address))

    def store(self, address: int, value: int) -> None:
        """Change a word, as a program does."""
        self.write(self._place(address), value % WORDS)

    def perform(self) -> Trap | None:
        """Do one instruction by its definition; this is the processor, and the interpreter."""
        if self.halted:
            return None
        try:
            self.psw = self._next_psw()
        except Trap as trap:
            return trap
        return None

    def _next_psw(self) -> Psw:
        """Fetch, ask whether it may be done, and do it."""
        code, operands = divmod(self.load(self.psw.counter), 4096)
        if not 0 < code <= len(self.instructions):
            raise Trap("unknown")
        instruction = self.instructions[code - 1]
        if instruction.privileged and self.psw.mode == USER:
            raise Trap("privileged")
        psw = instruction.does(self, operands >> 6, operands & 63)
        return psw or self.psw._replace(counter=self.psw.counter + 1)

    def deliver(self) -> None:
        """Swap the PSW: what every trap does."""
        for place, part in enumerate(self.psw):
            self.write(place, part % WORDS)
        mode, *rest = (self.read(place) for place in range(4, 8))
        self.psw = Psw(mode & 1, *rest)

    def run(self, steps: int) -> int:
        """Do instructions and their traps until it halts; return how many.

        Parameters
        ----------
        steps
            At most so many.
        """
        for done in range(steps):
            if self.halted:
                return done
            if self.step() is not None:
                self.deliver()
        return steps


class Machine(Computer):
    """A real machine.

    Parameters
    ----------
    instructions
        Its set.
    program
        The words from `FIRST` on; the rest is 0.
    size
        Words of storage.

    Examples
    --------
    >>> from virtlab.machine.theorem.instructions import SETS, assembled
    >>> machine = Machine(SETS["third-generation"], size=32)
    >>> for place, word in enumerate(assembled("set 20 5; add 20 20; halt"), FIRST):
    ...     machine.write(place, word)
    >>> machine.run(10), machine.read(20)
    (3, 10)
    """

    def __init__(self, instructions: Sequence[Instruction], size: int = 64) -> None:
        super().__init__(instructions, size)
        self.words = [0] * size

    def read(self, address: int) -> int:
        """Return a word."""
        return self.words[address]

    def write(self, address: int, value: int) -> None:
        """Change a word."""
        self.words[address] = value

    def step(self) -> Trap | None:
        """Do one instruction."""
        return self.perform()
