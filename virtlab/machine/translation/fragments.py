"""What is translated, and what never is: Adams and Agesen's example, unit by unit (S18).

A translator takes a **unit**: at most 12 instructions, and not beyond one that may lead elsewhere.
What it makes of it is a compiled code **fragment**. A fragment ends in **continuations**, one for
each address that may be next: the first time that one is gone to, the translator is asked, and
makes the next fragment. So what is never reached is never translated, and it is never asked whether
bytes are code or data.

Adams and Agesen show it with a function that tries all divisors: `isPrime(49)` leaves at 7, so the
block that says "prime" is never seen. The function here is our own, of the same shape and with the
same first bytes; it runs through the same translator as any guest.

Which continuations ran is what an interpreter saw that ran the same code.

Source: Adams and Agesen (ASPLOS 2006), section 3.1; their code is of 64 bits.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.computer import Computer
from virtlab.machine.decode import LONGEST, Decoder
from virtlab.machine.memory import PAGE
from virtlab.machine.translation.passes import ESX
from virtlab.machine.translation.regions import find_block, successors
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.machine.decode import Instruction
    from virtlab.machine.translation.passes import Passes

__all__ = ["CODE", "Continuation", "Fragment", "Fragments", "fragments"]

# The number is in EDI, the answer in EAX.
CODE = bytes.fromhex(
    "89f9 be02000000 39ce 7d0e"  # isPrime:  mov ecx, edi; mov esi, 2; cmp esi, ecx; jge prime
    "89c8 99 f7fe 85d2 740b"  # nexti:    mov eax, ecx; cdq; idiv esi; test edx, edx; jz notPrime
    "46 39ce 7cf2"  # [inc..]:  inc esi; cmp esi, ecx; jl nexti
    "b801000000 c3"  # prime:    mov eax, 1; ret
    "31c0 c3"  # notPrime: xor eax, eax; ret
)
_START, _STACK, _BACK = 0x100000, 0x180000, 0x101000
_NAMES = {0: "isPrime", 11: "nexti", 20: "[inc..]", 25: "prime", 31: "notPrime"}
_MOST = 10_000_000  # instructions of a run


@dataclass(frozen=True)
class Continuation:
    """A way out of a fragment.

    Attributes
    ----------
    to
        Name of the block it leads to; 'the caller' of a return.
    times
        How often it was taken.
    translated
        Whether there is a fragment there.
    """

    to: str
    times: int
    translated: bool


@dataclass(frozen=True)
class Fragment:
    """A unit that was translated.

    Attributes
    ----------
    name
        Of the block it begins with, with a prime.
    address, code
        Where the unit stands, and its bytes.
    instructions
        In words.
    continuations
        Its ways out.
    """

    name: str
    address: int
    code: bytes
    instructions: tuple[str, ...]
    continuations: tuple[Continuation, ...]


@dataclass(frozen=True)
class Fragments(Result):
    """What a translator made of a function, and what not.

    Attributes
    ----------
    number, answer
        What was asked, and what came of it.
    fragments
        In the order in which they were made.
    untranslated
        Names of the blocks that were never reached.

    Examples
    --------
    See `fragments`.
    """

    number: int
    answer: int
    fragments: tuple[Fragment, ...]
    untranslated: tuple[str, ...]

    @property
    def never_ran(self) -> tuple[tuple[str, str], ...]:
        """Continuations that were never taken: (fragment, block)."""
        return tuple(
            (one.name, way.to)
            for one in self.fragments
            for way in one.continuations
            if not way.times
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each continuation."""
        import pandas as pd

        rows = [
            {
                "fragment": one.name,
                "address": f"{one.address:#x}",
                "instructions": "; ".join(one.instructions),
                "continuation": way.to,
                "times": way.times,
                "translated": way.translated,
            }
            for one in self.fragments
            for way in one.continuations
        ]
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        return {
            "number": self.number,
            "answer": self.answer,
            "fragments": len(self.fragments),
            "instructions_translated": sum(len(one.instructions) for one in self.fragments),
            "continuations": sum(len(one.continuations) for one in self.fragments),
            "continuations_never_run": len(self.never_ran),
            "blocks_never_translated": len(self.untranslated),
        }

    def explain(self) -> str:
        """Say what was made, and what not."""
        said = "is prime" if self.answer else "is not prime"
        names = " ".join(one.name for one in self.fragments)
        ways = " and ".join(f"from {one} to {to}" for one, to in self.never_ran) or "none"
        blocks = ", ".join(self.untranslated) or "none"
        return (
            f"{self.number} {said}. Fragments, in the order they were made: {names}. "
            f"Continuations that never ran: {ways}. Blocks never translated: {blocks}."
        )


def fragments(number: int = 49, *, passes: Passes = ESX, tier: str = "wasm") -> Fragments:
    """Ask whether a number is prime, and return what was translated for that.

    Parameters
    ----------
    number
        From 2 to 100,000.
    passes
        How the translator works; as Adams and Agesen's if not given.
    tier
        What it translates to.

    Returns
    -------
    Fragments
        Made by the guest computer's translator, which translates what it reaches at once.

    Raises
    ------
    InvalidInputError
        If the number is out of range, or the tier does not translate.

    Examples
    --------
    >>> found = fragments(49)
    >>> [one.name for one in found.fragments], found.untranslated
    (["isPrime'", "nexti'", "[inc..]'", "notPrime'"], ('prime',))
    >>> found.never_ran
    (("isPrime'", 'prime'), ("[inc..]'", 'prime'))
    """
    integer("number", number, minimum=2, maximum=100_000)
    computer = _computer(number, tier, passes)
    translator = computer.translator
    if translator is None:
        raise InvalidInputError("tier", tier, "one that translates")
    translator.heat.hot = 1
    computer.run(_MOST)
    taken, blocks = _taken(number), _blocks(computer.processor.decoder)
    units = sorted(translator.cache.units, key=lambda unit: unit.born)
    made = [
        tuple(_at(computer.processor.decoder, unit.key.page * PAGE + at) for at, _ in unit.places)
        for unit in units
    ]
    begun = {unit.key.address for unit in units}
    inside = {one.address for unit in made for one in unit}
    return Fragments(
        number,
        computer.processor.registers["EAX"],
        tuple(_fragment(unit, taken, begun, whole=passes.regions) for unit in made),
        tuple(_name(block) for block in blocks if block not in inside),
    )


def _computer(number: int, tier: str, passes: Passes | None = None) -> Computer:
    """Return a computer that has just called the function; where it returns to, it halts."""
    computer = Computer(2, history=0, tier=tier, passes=passes)
    computer.load_code(CODE, _START)
    computer.memory.write(_BACK, b"\xf4")
    computer.memory.write(_STACK, struct.pack("<I", _BACK))
    computer.processor.registers["ESP"] = _STACK
    computer.processor.registers["EDI"] = number
    return computer


def _taken(number: int) -> Counter[tuple[int, int]]:
    """Return which instruction was followed by which, and how often."""
    computer, found = _computer(number, "interpreter"), Counter[tuple[int, int]]()
    at = computer.address
    while at != _BACK:
        computer.step()
        found[at, computer.address] += 1
        at = computer.address
    return found


def _at(decoder: Decoder, address: int) -> Instruction:
    code = CODE[address - _START :][:LONGEST]
    return decoder.decode(address, code + bytes(LONGEST - len(code)))


def _blocks(decoder: Decoder) -> list[int]:
    """Return where each block of the function begins, reached or not."""
    found, todo = set[int](), [_START]
    while todo:
        at = todo.pop()
        if at not in found:
            found.add(at)
            block = find_block(at, lambda address: _at(decoder, address))
            todo += successors([*block.code.values()][-1])
    return sorted(found)


def _fragment(
    unit: tuple[Instruction, ...], taken: Counter[tuple[int, int]], begun: set[int], *, whole: bool
) -> Fragment:
    """Return a unit with its ways out; in a region (`whole`) a jump may stay inside."""
    inside, ways = {one.address for one in unit}, Counter[int]()
    for one in unit:
        for to in dict.fromkeys((*successors(one), *(to for at, to in taken if at == one.address))):
            if to not in inside or (to != one.next and not whole):
                ways[to] += taken[one.address, to]
    out = tuple(Continuation(_name(to), times, to in begun) for to, times in ways.items())
    code, words = b"".join(one.code for one in unit), tuple(str(one) for one in unit)
    return Fragment(_name(unit[0].address) + "'", unit[0].address, code, words, out)


def _name(address: int) -> str:
    if address == _BACK:
        return "the caller"
    return _NAMES.get(address - _START, f"{address:#x}")
