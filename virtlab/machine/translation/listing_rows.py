"""What a listing of translated code is: a row for each of the guest's instructions (S18).

`virtlab.machine.translation.listing` makes it and says what it means; `listing_text` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.image import Image, Segment
from virtlab.machine.registers import FLAGS
from virtlab.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.machine.translation.passes import Passes

__all__ = ["CLASSES", "Listing", "Operation", "Row", "program_bytes", "program_of"]

CLASSES = {
    "IDENT": "=",
    "control": ">",
    "in-cache": "+",
    "callout": "!",
    "none": "?",
}  # and a sign for each


@dataclass(frozen=True)
class Operation:
    """An operation of p-code, and what becomes of it.

    Attributes
    ----------
    text
        As in Ghidra, with the names of registers.
    state
        'done', 'put off' or 'dead'.

    Examples
    --------
    >>> Operation("CF = INT_CARRY EAX, EBX", "put off").state
    'put off'
    """

    text: str
    state: str


@dataclass(frozen=True)
class Row:
    """An instruction.

    Attributes
    ----------
    address, code
        Where it stands, and its bytes.
    name
        What the symbol table calls this address; '' if nothing.
    text
        As an assembler would write it, with the names of addresses.
    kind
        'IDENT', 'control', 'in-cache' or 'callout'; 'none' if it is no instruction.
    unit
        Number of its unit, from 1; 0 of what is for the VMM.
    operations
        What it means.
    lines
        What was made for it.
    to
        Where it jumps, if its bytes say so; -1 if not.

    Examples
    --------
    >>> Row(0x1000, b"", "", "NOP", "IDENT", 1, (), ()).sign
    '='
    """

    address: int
    code: bytes
    name: str
    text: str
    kind: str
    unit: int
    operations: tuple[Operation, ...]
    lines: tuple[str, ...]
    to: int = -1

    @property
    def sign(self) -> str:
        """A letter for its class."""
        return CLASSES[self.kind]


@dataclass(frozen=True)
class Listing(Result):
    """Guest code beside what a translator makes of it.

    Attributes
    ----------
    title
        Where it begins.
    rows
        In the order of addresses.
    tier
        What it was translated to.
    passes
        Which passes were done.
    code_bytes
        Of the translated code, what enters and leaves it with it; 0 if the tier keeps none.
    outside
        Instructions that belong to the same units and stand elsewhere.

    Examples
    --------
    >>> from virtlab.machine.translation.listing import listing
    >>> add = listing(program_of(bytes.fromhex("01d8 01c8 ebfe")))
    >>> [(row.text, row.kind) for row in add.rows]
    [('ADD EAX,EBX', 'IDENT'), ('ADD EAX,ECX', 'IDENT'), ('JMP 0x1004', 'control')]
    >>> print(add.explain().partition("Of")[0])
    0x1000: 3 instructions in 1 unit, none for the VMM.
    """

    title: str
    rows: tuple[Row, ...]
    tier: str
    passes: Passes
    code_bytes: int
    outside: int

    def count(self, state: str) -> int:
        """Return how many operations have a state.

        Parameters
        ----------
        state
            'done', 'put off' or 'dead'.

        Returns
        -------
        int
            Of all rows.

        Examples
        --------
        >>> from virtlab.machine.translation.listing import listing
        >>> listing(program_of(bytes.fromhex("01d8 01c8 ebfe"))).count("done")
        3
        """
        return sum(one.state == state for row in self.rows for one in row.operations)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each instruction."""
        import pandas as pd

        rows = [
            {
                "address": f"{row.address:#x}",
                "name": row.name,
                "bytes": row.code.hex(" "),
                "instruction": row.text,
                "class": row.kind,
                "unit": row.unit,
                "operations": len(row.operations),
                "done": sum(one.state == "done" for one in row.operations),
                "translated": len(row.lines),
            }
            for row in self.rows
        ]
        return pd.DataFrame(rows)

    def flags(self) -> dict[tuple[int, str], str]:
        """Return what becomes of each flag that an instruction writes.

        Returns
        -------
        dict
            By address and flag: 'done', 'put off' or 'dead'.

        Examples
        --------
        >>> from virtlab.machine.translation.listing import listing
        >>> found = listing(program_of(bytes.fromhex("01d8 40 74fb"))).flags()
        >>> found[0x1000, "ZF"], found[0x1002, "ZF"]
        ('dead', 'done')
        """
        return {
            (row.address, target): one.state
            for row in self.rows
            for one in row.operations
            if (target := one.text.partition(" = ")[0]) in FLAGS
        }

    def by_class(self) -> pd.DataFrame:
        """Return a row for each class of instruction that it has.

        Returns
        -------
        pandas.DataFrame
            Columns 'class', 'how many', 'done', 'put off' and 'dead': of operations.

        Examples
        --------
        >>> from virtlab.machine.translation.listing import listing
        >>> listing(program_of(bytes.fromhex("01d8 01c8 ebfe"))).by_class()
             class  how many  done  put off  dead
        0    IDENT         2     2       ...
        1  control         1     1        0     0
        """
        import pandas as pd

        states = ("done", "put off", "dead")
        found = [
            {
                "class": kind,
                "how many": len(rows),
                **{state: sum(one.state == state for row in rows for one in row.operations)
                   for state in states},
            }
            for kind in CLASSES
            if (rows := [row for row in self.rows if row.kind == kind])
        ]  # fmt: skip
        return pd.DataFrame(found, columns=["class", "how many", *states])

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        return {
            "start": self.title,
            "tier": self.tier,
            "instructions": len(self.rows),
            "units": len({row.unit for row in self.rows if row.unit}),
            "in_cache": sum(row.kind == "in-cache" for row in self.rows),
            "callouts": sum(row.kind == "callout" for row in self.rows),
            "operations": sum(len(row.operations) for row in self.rows),
            "done": self.count("done"),
            "put_off": self.count("put off"),
            "dead": self.count("dead"),
            "guest_bytes": sum(len(row.code) for row in self.rows),
            "code_bytes": self.code_bytes,
        }

    def explain(self) -> str:
        """Say what became of the code."""
        n = self.summary()
        units = f"{n['units']} unit{'s' if n['units'] != 1 else ''}"
        for_vmm = n["callouts"] or "none"
        words = f"{self.title}: {n['instructions']} instructions in {units}, {for_vmm} for the VMM."
        left = int(n["put_off"]) + int(n["dead"])
        if not left:
            return f"{words} All {n['operations']} operations are done."
        return (
            f"{words} Of {n['operations']} operations {n['done']} are done; nobody reads what the "
            f"other {left} make."
        )

    def to_json(self) -> dict[str, object]:
        """Return all of it, for `--json`."""
        return {
            **self.summary(),
            "rows": [
                {
                    "address": row.address,
                    "name": row.name,
                    "bytes": row.code.hex(),
                    "instruction": row.text,
                    "class": row.kind,
                    "unit": row.unit,
                    "operations": [[one.text, one.state] for one in row.operations],
                    "translated": list(row.lines),
                }
                for row in self.rows
            ],
        }


def program_of(code: bytes, address: int = 0x1000) -> Image:
    """Make a program of a few bytes of code.

    Parameters
    ----------
    code
        Machine code, or anything that `bytes` takes.
    address
        Where it is to stand.

    Returns
    -------
    Image
        Without symbols.

    Examples
    --------
    >>> hex(program_of(bytes([0x90]), 0x2000).entry)
    '0x2000'
    """
    return Image(address, (Segment(address, bytes(code), len(code), 5),), {}, None)


def program_bytes(program: Image, address: int, size: int) -> bytes:
    """Return bytes of a program's file.

    Parameters
    ----------
    program
        The program.
    address, size
        Where, and how many.

    Returns
    -------
    bytes
        Fewer where its segment ends.

    Examples
    --------
    >>> program_bytes(program_of(b"abc"), 0x1001, 15)
    b'bc'
    """
    for segment in program.segments:
        if address in segment.filled:
            at = address - segment.address
            return bytes(segment.data[at : at + size])
    return b""
