"""Chapter 04's question on the ways out of a unit: which are linked, and which are looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.course.questions import Choice
from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder
from virtlab.machine.guests import guest
from virtlab.machine.image import load
from virtlab.machine.translation.lifting import lift
from virtlab.machine.translation.links import direct_exits
from virtlab.machine.translation.passes import ESX
from virtlab.machine.translation.regions import find_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd

    from virtlab.machine.decode import Instruction
    from virtlab.machine.translation.passes import Passes

__all__ = ["exits", "links"]

# What a unit may end with: as one writes it, and its bytes.
_ENDS = {
    "jmp next": "eb10",
    "jnz back": "75f0",
    "loop back": "e2f0",
    "call function": "e800010000",
    "call edi": "ffd7",
    "call [eax + 8]": "ff5008",
    "ret": "c3",
    "jmp eax": "ffe0",
    "jmp [table + 4*edx]": "ff2495e0031000",
}
_START = 0x1000


def exits(programs: Sequence[str], passes: Passes = ESX) -> pd.DataFrame:
    """Count how execution went from unit to unit, in the small programs.

    Parameters
    ----------
    programs
        As in `virtlab.machine.guests.GUESTS`.
    passes
        Of the translator; if not given, units as Adams and Agesen had them.

    Returns
    -------
    pandas.DataFrame
        A row for each program: instructions, exits along a link, exits that were looked up in the
        hash table, and how many of these there are for 1000 instructions.

    Examples
    --------
    >>> exits(["sieve", "fibonacci"])["looked up"].tolist()
    [0, 13520]
    """
    import pandas as pd

    rows = {}
    for name in programs:
        computer = Computer(4, history=0, tier="python", passes=passes)
        computer.load(load(guest(name).path(), 4 << 20))
        done = computer.run().instructions
        counts = {} if computer.translator is None else computer.translator.counts
        rows[name] = {
            "instructions": done,
            "along a link": counts["chained"],
            "looked up": counts["hashed"],
            "looked up, of 1000": round(1000 * counts["hashed"] / done, 1),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _linked(code: str) -> int:
    """Return how many exits of a unit are direct ones that ends with this instruction."""
    decoder, data = Decoder(), bytes.fromhex("40" + code) + bytes(30)  # inc eax before it

    def fetch(address: int) -> Instruction:
        return decoder.decode(address, data[address - _START :][:15])

    return len(direct_exits(lift(find_block(_START, fetch))))


def links(end: str = "jmp [table + 4*edx]") -> Choice:
    """Ask how many exits of a unit can be linked.

    Parameters
    ----------
    end
        What the unit ends with.

    Returns
    -------
    Choice
        Its variants end with another instruction.

    Examples
    --------
    >>> links("ret").solve(), links("jnz back").solve()
    ('0', '2')
    """

    def draw(rng: np.random.Generator) -> Choice:
        return links(str(rng.choice(list(_ENDS))))

    return Choice(
        name="links",
        text=f"A unit ends with `{end}`. How many of its exits can be **linked**, so that from the "
        "second time on the next unit is entered without a look-up?",
        options={
            "0": "none: where it goes is looked up each time",
            "1": "one",
            "2": "two",
        },
        solve=lambda: str(_linked(_ENDS[end])),
        hints={
            "0": "Is the address where it goes on in the instruction itself, so that it never "
            "changes?",
            "1": "From how many places can execution go on, and is each of them an address that "
            "the instruction says?",
            "2": "Which two? An exit can be linked if its address is in the code. One that is in a "
            "register, in a table or on the stack may be another one each time.",
        },
        why="A link is a promise that an exit always leads to the same address. A return breaks "
        "it, and so does whatever takes its target from a register or from memory.",
        variant=draw,
    )
