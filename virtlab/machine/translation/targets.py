"""Where jumps lead whose instruction does not say it: through tables, and what was seen (S18).

A `switch` jumps through a table of addresses, a call of a function that a variable names leads to
where the variable says. The translator cannot know what it will be, but it can guess: from the
table itself, and from where the interpreter went when it was there. A guess costs a comparison: if
what the guest has computed is one of the guesses, execution goes on in the same region, registers
and all; if not, the region is left and the address is looked up in the hash table, as for any
other. So a wrong guess is never an error, and the guest may change its table when it likes. A call
that comes to lead elsewhere than it was seen to is translated anew, with one guess more.

Source: Hölzle, Chambers and Ungar, "Optimizing Dynamically-Typed Object-Oriented Languages With
Polymorphic Inline Caches" (ECOOP 1991), who keep what was seen in the code itself in this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.decode import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction

__all__ = ["SEEN", "TABLE", "Targets", "table_of"]

SEEN = 8  # places that one jump was seen to lead to, at most
TABLE = 64  # entries of a table that are looked at, at most
_GROUP, _JUMP = 0xFF, 4  # FF /4: jmp to what an operand says
_SIB, _NO_BASE, _BY_FOUR = 4, 5, 2  # [displacement + 4 * register]


class Targets:
    """Remembers where execution was seen to go on.

    Examples
    --------
    >>> targets = Targets()
    >>> [targets.saw(0x1000, to) for to in (0x2000, 0x3000, 0x2000)]
    [True, True, True]
    >>> [hex(address) for address in targets.seen(0x1000)], targets.seen(0x1001)
    (['0x2000', '0x3000'], ())
    """

    def __init__(self) -> None:
        self._seen: dict[int, dict[int, None]] = {}

    def saw(self, at: int, to: int) -> bool:
        """Note that an instruction led somewhere; return whether it is kept.

        Parameters
        ----------
        at
            Its address.
        to
            What came next. Of one instruction the first `SEEN` are kept.

        Returns
        -------
        bool
            If not, there are too many already.

        Examples
        --------
        See the class.
        """
        if len(self._seen) >= REMEMBERED:
            self._seen.clear()
        places = self._seen.setdefault(at, {})
        if len(places) < SEEN:
            places[to] = None
        return to in places

    def seen(self, at: int) -> tuple[int, ...]:
        """Return where an instruction led, each place once, the first first.

        Parameters
        ----------
        at
            Its address.

        Returns
        -------
        tuple
            Addresses.

        Examples
        --------
        See the class.
        """
        return tuple(self._seen.get(at, ()))


def table_of(instruction: Instruction, read: Callable[[int, int], bytes]) -> tuple[int, ...]:
    """Return what stands in the table that an instruction jumps through.

    Compilers put a table's entries one after another, and all lead into the same function: so it
    is read up to the first entry that leads to another page than the jump is on.

    Parameters
    ----------
    instruction
        Decoded.
    read
        Gives so many bytes at an address, or fewer where they are not known.

    Returns
    -------
    tuple
        Addresses, each once; none if it is no `jmp [table + 4 * register]`.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> jump = Decoder().decode(0x1000, bytes.fromhex("ff249500200000"))  # jmp [0x2000 + 4 edx]
    >>> table = b"".join(to.to_bytes(4, "little") for to in (0x1010, 0x1020, 0x1010, 77))
    >>> [hex(to) for to in table_of(jump, lambda at, size: table[at - 0x2000 :][:size])]
    ['0x1010', '0x1020']
    """
    parts = instruction.encoding
    by_table = (
        (parts.opcode, parts.reg, parts.rm) == (_GROUP, _JUMP, _SIB)
        and parts.modrm >> 6 == 0
        and parts.sib >> 6 == _BY_FOUR
        and parts.sib & 7 == _NO_BASE
        and not parts.prefixes
    )
    if not by_table:
        return ()
    found: dict[int, None] = {}
    first = parts.displacement & 0xFFFFFFFF
    for at in range(first, first + 4 * TABLE, 4):
        entry = read(at, 4)
        to = int.from_bytes(entry, "little")
        if len(entry) < 4 or to >> 12 != instruction.address >> 12:
            break
        found[to] = None
    return tuple(found)
