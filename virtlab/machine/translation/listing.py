"""Guest code beside what a translator makes of it: four columns that share an address (S18).

    bytes | i386 | p-code, with what is not computed struck out | translated code

A `Listing` is what the translator does, seen from the guest's instructions. Code is cut into
**units** as the translator would cut it: from the start on, and again after each instruction that
is for the VMM. Of each operation it says what becomes of it:

    done     the translated code does it
    put off  a flag that nobody reads: a recipe is left, should somebody look after all
    dead     a flag that nobody reads and nobody can look for

Left out: segments, which are taken to be flat; what execution has made of code (visits, chaining).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.machine.decode import LONGEST, Decoder, Instruction
from virtlab.machine.faults import Fault
from virtlab.machine.image import Image, Segment
from virtlab.machine.memory import PAGE
from virtlab.machine.pcode import UNIQUE, Op, Var
from virtlab.machine.translation.lifting import Node, lift
from virtlab.machine.translation.listing_code import code_of
from virtlab.machine.translation.liveness import Needs, needs
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.regions import class_of, find_block, find_region
from virtlab.machine.translation.tiers import TIERS
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["CLASSES", "Listing", "Operation", "Row", "listing", "program_of"]

CLASSES = {"IDENT": "=", "control": ">", "callout": "!", "none": "?"}  # and a sign for each
_ENDS = ("BRANCH", "BRANCHIND", "RETURN")
_AWAY = ("IRET", "RETF", "JMPF")  # of callouts, those that lead elsewhere
_HEX = re.compile(r"0x[0-9a-f]+")


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
        'IDENT', 'control' or 'callout'; 'none' if it is no instruction.
    unit
        Number of its unit, from 1; 0 of what is for the VMM.
    operations
        What it means.
    lines
        What was made for it.

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
    >>> add = listing(program_of(bytes.fromhex("01d8 01c8 ebfe")))
    >>> [(row.text, row.kind) for row in add.rows]
    [('ADD EAX,EBX', 'IDENT'), ('ADD EAX,ECX', 'IDENT'), ('JMP 0x1004', 'control')]
    >>> print(add.explain())
    0x1000: 3 instructions in 1 unit, none for the VMM. Of 21 operations 3 are done and 18, all of \
them for flags, are not: nobody reads these.
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

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        return {
            "start": self.title,
            "tier": self.tier,
            "instructions": len(self.rows),
            "units": len({row.unit for row in self.rows if row.unit}),
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
            f"{words} Of {n['operations']} operations {n['done']} are done and {left}, all of them "
            "for flags, are not: nobody reads these."
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
    >>> hex(program_of(b"\\x90", 0x2000).entry)
    '0x2000'
    """
    return Image(address, (Segment(address, bytes(code), len(code), 5),), {}, None)


def listing(
    program: Image,
    start: int | str | None = None,
    passes: Passes | None = None,
    *,
    tier: str = "wasm",
    most: int = 200,
) -> Listing:
    """List code beside its translation.

    Parameters
    ----------
    program
        As `virtlab.machine.image.load` or `program_of` gives it.
    start
        An address or a symbol; where execution begins if not given.
    passes
        What the translator does; everything if not given.
    tier
        One of `virtlab.machine.translation.tiers.TIERS`.
    most
        Instructions to show, at most.

    Returns
    -------
    Listing
        To the end of the function, or as far as the code goes on by itself.

    Raises
    ------
    InvalidInputError
        If the program has no such symbol, no code there, or there is no such tier.

    Examples
    --------
    >>> from virtlab.machine.guests import guest
    >>> from virtlab.machine.image import load
    >>> found = listing(load(guest("isprime").path(), 2 << 20), "isPrime")
    >>> [row.text for row in found.rows][:4]
    ['MOV ECX,EDI', 'MOV ESI,0x2', 'CMP ESI,ECX', 'JGE prime']
    >>> found.rows[0].lines[-1]
    'ecx = edi'
    >>> eager = listing(load(guest("isprime").path(), 2 << 20), "isPrime", Passes(dead_flags=False))
    >>> eager.code_bytes > found.code_bytes
    True
    """
    one_of("tier", tier, TIERS)
    integer("most", most, minimum=1)
    maker = _Maker(program, passes or Passes(), tier)
    first = _address(program, start)
    if maker.fetch(first) is None and not program_bytes(program, first, 1):
        raise InvalidInputError("start", hex(first), "an address in the program's segments")
    return maker.listing(first, most)


def _address(program: Image, start: int | str | None) -> int:
    if start is None:
        return program.entry
    if isinstance(start, int):
        return integer("start", start, minimum=0, maximum=0xFFFFFFFF)
    if start not in program.symbols:
        try:
            return int(start, 0)
        except ValueError:
            known = ", ".join(sorted(program.symbols)) or "none: it has no symbols"
            raise InvalidInputError("start", start, f"an address or one of {known}") from None
    return program.symbols[start].address


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


@dataclass
class _Maker:
    """Makes a listing: rows by address, as units are found."""

    program: Image
    passes: Passes
    tier: str
    decoder: Decoder = field(default_factory=Decoder)
    units: dict[int, int] = field(default_factory=dict)  # address of an instruction to its unit
    states: dict[tuple[int, int], str] = field(default_factory=dict)
    lines: dict[int, list[str]] = field(default_factory=dict)
    code_bytes: int = 0

    def fetch(self, address: int) -> Instruction | None:
        code = program_bytes(self.program, address, LONGEST)
        try:
            return self.decoder.decode(address, code) if code else None
        except Fault:
            return None

    def listing(self, first: int, most: int) -> Listing:
        rows: list[Row] = []
        at, end = first, self._end(first)
        while at < end and len(rows) < most:
            instruction = self.fetch(at)
            if instruction is not None and at not in self.units:
                self._unit(at)
            row = self._none(at) if instruction is None else self._row(instruction)
            rows.append(row)
            at += len(row.code)
            if instruction is None or (
                _leads_away(instruction) and not self._is_reached(first, at)
            ):
                if end > 1 << 32:
                    break
        shown = {row.address for row in rows}
        outside = sum(address not in shown for address in self.units)
        title = self.program.where(first)
        return Listing(title, tuple(rows), self.tier, self.passes, self.code_bytes, outside)

    def _end(self, first: int) -> int:
        """Return where the function ends; beyond all memory if nobody says."""
        for symbol in self.program.symbols.values():
            if symbol.kind == "function" and 0 <= first - symbol.address < symbol.bytes:
                return symbol.address + symbol.bytes
        return 1 << 33

    def _is_reached(self, first: int, at: int) -> bool:
        """Return whether code goes on at an address or after it, without one of another name."""
        names = {symbol.address for symbol in self.program.symbols.values()}
        return any(
            at <= address < at + PAGE and not any(first < name <= address for name in names)
            for address in self.units
        )

    def _unit(self, start: int) -> None:
        """Translate from an address on."""
        page = start // PAGE

        def fetch(address: int) -> Instruction | None:
            return self.fetch(address) if address // PAGE == page else None

        find = find_region if self.passes.regions else find_block
        region = find(start, fetch, self.passes.most)
        if not region.code:
            return
        graph = lift(region)
        needed = needs(graph, drop_dead=self.passes.dead_flags)
        number = max(self.units.values(), default=0) + 1
        for address in region.code:
            self.units.setdefault(address, number)
        for key, node in graph.items():
            self._judge(node, needed[key])
        made = code_of(self.tier, graph, needed, (start, 0), self.program.where)
        self.code_bytes += made.size
        for address, text in made.lines:
            self.lines.setdefault(address if address >= 0 else start, []).append(text)

    def _judge(self, node: Node, needed: Needs) -> None:
        """Say of each operation of a node what becomes of it."""
        recipe = needed.recipe
        put_off = {op.out for op in recipe.ops} if recipe else set()
        ends = [place for _, _, place in node.origins[1:]] + [len(node.ops)]
        for (address, at, first), last in zip(node.origins, ends, strict=True):
            if any(place in needed.hot for place in range(first, last)):
                state = "done"
            elif any(op.out in put_off for op in node.ops[first:last]):
                state = "put off"
            else:
                state = "dead"
            self.states.setdefault((address, at), state)

    def _row(self, instruction: Instruction) -> Row:
        address, kind = instruction.address, class_of(instruction)
        unit = self.units.get(address, 0)
        return Row(
            address,
            instruction.code,
            _name_of(self.program, address),
            self._named(str(instruction)),
            "callout" if not unit else kind,
            unit,
            tuple(self._operations(instruction)),
            tuple(self.lines.get(address, ()))
            if unit
            else (f"call the VMM: {instruction.mnemonic}",),
        )

    def _none(self, at: int) -> Row:
        code = program_bytes(self.program, at, 1) or b"\0"
        return Row(at, code, _name_of(self.program, at), "(no instruction)", "none", 0, (), ())

    def _operations(self, instruction: Instruction) -> Iterator[Operation]:
        names: dict[int, int] = {}
        for at, op in enumerate(instruction.ops):
            state = self.states.get((instruction.address, at), "done")
            yield Operation(self._named(str(_renumbered(op, names))).replace("ram:", ""), state)

    def _named(self, text: str) -> str:
        """Put names of addresses for numbers that are some."""

        def name(found: re.Match[str]) -> str:
            number = int(found[0].removeprefix("ram:"), 16)
            known = self.program.where(number) if number >= PAGE else ""
            return known if known and not known.startswith("0x") else found[0]

        return re.sub(r"ram:[0-9a-f]+", name, _HEX.sub(name, text))


def _name_of(program: Image, address: int) -> str:
    known = program.where(address)
    return "" if known.startswith("0x") or "+" in known else known


def _leads_away(instruction: Instruction) -> bool:
    """Return whether what follows in memory is not what follows in time."""
    last = instruction.ops[-1].code if instruction.ops else ""
    return last in _ENDS or last in _AWAY


def _renumbered(op: Op, names: dict[int, int]) -> Op:
    """Number an instruction's temporaries from 0: what SLEIGH calls them differs by version."""

    def again(var: Var) -> Var:
        if var.space != UNIQUE:
            return var
        return var._replace(offset=names.setdefault(var.offset, len(names)))

    ins = tuple(map(again, op.ins))
    return op._replace(ins=ins, out=again(op.out) if op.out else None)
