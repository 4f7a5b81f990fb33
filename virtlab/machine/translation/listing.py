"""Guest code beside what a translator makes of it: four columns that share an address (S18).

    bytes | i386 | p-code, with what is not computed struck out | translated code

A `Listing` is what the translator does, seen from the guest's instructions. Code is cut into
**units** as the translator would cut it: from the start on, and again after each instruction that
is for the VMM. Of each operation it says what becomes of it:

    done     the translated code does it
    put off  a flag that nobody reads: a recipe is left, should somebody look after all
    dead     a flag that nobody reads and nobody can look for

What touches the machine itself and is done in the cache all the same is of a class of its own,
`in-cache`; code is taken to run at ring 0.

Left out: segments, which are taken to be flat; what execution has made of code (visits, chaining).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

from virtlab.machine.decode import LONGEST, Decoder, Instruction
from virtlab.machine.faults import Fault
from virtlab.machine.memory import PAGE
from virtlab.machine.pcode import RAM, UNIQUE, Op, Var
from virtlab.machine.sensitive import routine_of
from virtlab.machine.translation.deprivilege import Rights, deprivileged
from virtlab.machine.translation.lifting import Node, lift
from virtlab.machine.translation.listing_code import FORMS, STATE, code_of, whole_code
from virtlab.machine.translation.listing_rows import Listing, Operation, Row, program_bytes
from virtlab.machine.translation.liveness import Needs, needs
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.regions import BRANCHES, class_of, find_block, find_region
from virtlab.machine.translation.targets import table_of
from virtlab.machine.translation.tiers import MAKES_FLAGS
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.image import Image
    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.regions import Region

__all__ = ["count_classes", "listing", "program_bytes", "unit_code"]

_ENDS = ("BRANCH", "BRANCHIND", "RETURN")
_AWAY = ("IRET", "RETF", "JMPF")  # of callouts, those that lead elsewhere
_COUNTED = ("IDENT", "control", "in-cache", "callout")
_HEX, _IN_RAM = re.compile(r"(?:0x|ram:)[0-9a-f]+"), re.compile(r"ram:[0-9a-f]+")
_STATE = re.compile(rf"\b(?:{'|'.join(STATE)})\b")
_IN_BRACKETS = re.compile(r"\[[^]]*\]")


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
        One of `virtlab.machine.translation.listing_code.FORMS`: a tier, or 'assembly' for what
        the llvm tier's code is in the end.
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
    integer("most", most, minimum=1)
    maker, first = _begin(program, start, passes, tier)
    return maker.listing(first, most)


def unit_code(
    program: Image, start: int | str | None = None, passes: Passes | None = None, tier: str = "wasm"
) -> str:
    """Write all the code of one unit, in the language of the tier.

    Parameters
    ----------
    program, start, passes, tier
        As `listing` takes them.

    Returns
    -------
    str
        With what a listing leaves out; '' if what stands there is for the VMM.

    Raises
    ------
    InvalidInputError
        As `listing` does; if it is to be assembly, also if `llvmlite` is not installed.

    Examples
    --------
    >>> from virtlab.machine.translation.listing_rows import program_of
    >>> print(unit_code(program_of(bytes.fromhex("b807000000 ebfe"))).splitlines()[0])
    (module
    """
    maker, first = _begin(program, start, passes, tier)
    return maker.whole(first)


def _begin(
    program: Image, start: int | str | None, passes: Passes | None, tier: str
) -> tuple[_Maker, int]:
    maker = _Maker(program, passes or Passes(), one_of("tier", tier, FORMS))
    first = _address(program, start)
    if maker.fetch(first) is None and not program_bytes(program, first, 1):
        raise InvalidInputError("start", hex(first), "an address in the program's segments")
    return maker, first


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


def count_classes(program: Image, passes: Passes | None = None) -> dict[str, int]:
    """Count the instructions of all functions by class.

    Parameters
    ----------
    program
        With symbols that say how long its functions are.
    passes
        What the translator does; everything if not given.

    Returns
    -------
    dict
        'IDENT', 'control', 'in-cache' and 'callout' to how many.

    Examples
    --------
    >>> from virtlab.machine.guests import guest
    >>> from virtlab.machine.image import load
    >>> counts = count_classes(load(guest("isprime").path(), 2 << 20))
    >>> counts["in-cache"], counts["callout"] < counts["control"] < counts["IDENT"]
    (12, True)
    """
    maker, found = _Maker(program, passes or Passes(), "interpreter"), dict.fromkeys(_COUNTED, 0)
    for symbol in program.symbols.values():
        at, end = symbol.address, symbol.address + symbol.bytes
        while symbol.kind == "function" and at < end:
            instruction = maker.fetch(at)
            if instruction is None:
                break
            found[_kind(instruction)] += 1
            at = instruction.next
    return found


@cache
def _decoder() -> Decoder:
    """Return the decoder that all listings share: to make one takes a tenth of a second."""
    return Decoder()


@dataclass
class _Maker:
    """Makes a listing: rows by address, as units are found."""

    program: Image
    passes: Passes
    tier: str
    decoder: Decoder = field(default_factory=_decoder)
    units: dict[int, int] = field(default_factory=dict)  # address of an instruction to its unit
    states: dict[tuple[int, int], str] = field(default_factory=dict)
    lines: dict[int, list[str]] = field(default_factory=dict)
    code_bytes: int = 0

    def fetch(self, address: int) -> Instruction | None:
        code = program_bytes(self.program, address, LONGEST)
        try:
            found = self.decoder.decode(address, code) if code else None
        except Fault:
            return None
        if not found or not self.passes.in_cache:
            return found
        return deprivileged(found, Rights.KERNEL, ports=self.passes.ports)

    def listing(self, first: int, most: int) -> Listing:
        rows: list[Row] = []
        at, end = first, self._end(first)
        while at < end and len(rows) < most and program_bytes(self.program, at, 1):
            instruction = self.fetch(at)
            if instruction is not None and at not in self.units:
                self._unit(at)
            row = self._none(at) if instruction is None else self._row(instruction)
            rows.append(row)
            at += len(row.code)
            if end > 1 << 32 and (instruction is None or self._ends(instruction, first)):
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

    def _ends(self, instruction: Instruction, first: int) -> bool:
        """Return whether nothing of the same name goes on after an instruction."""
        last = instruction.ops[-1].code if instruction.ops else ""
        if last not in _ENDS and last not in _AWAY:
            return False
        names = [one.address for one in self.program.symbols.values() if one.address > first]
        beyond = min(names, default=first + PAGE)
        return not any(instruction.next <= address < beyond for address in self.units)

    def region(self, start: int) -> Region:
        """Return what the translator takes together, from an address on."""
        page = start // PAGE

        def fetch(address: int) -> Instruction | None:
            return self.fetch(address) if address // PAGE == page else None

        if not self.passes.regions:
            return find_block(start, fetch, self.passes.most)
        if not self.passes.guesses:
            return find_region(start, fetch, self.passes.most)
        read = partial(program_bytes, self.program)
        return find_region(start, fetch, self.passes.most, guess=lambda jump: table_of(jump, read))

    def whole(self, start: int) -> str:
        """Return all the code of what begins at an address."""
        region = self.region(start)
        if not region.code:
            return ""
        graph = self.passes.made(lift(region))
        return whole_code(self.tier, graph, self._needs(graph), (start, 0), self.program.where)

    def _needs(self, graph: Graph) -> dict[Key, Needs]:
        """Return what of each node is needed, as the tier's code has it."""
        late = self.tier in MAKES_FLAGS
        return needs(graph, drop_dead=self.passes.dead_flags, at_exits=not late)

    def _unit(self, start: int) -> None:
        """Translate from an address on."""
        region = self.region(start)
        if not region.code:
            return
        graph = self.passes.made(lift(region))
        # What is made on the way out is done, too.
        needed = needs(graph, drop_dead=self.passes.dead_flags)
        number = max(self.units.values(), default=0) + 1
        for address in region.code:
            self.units.setdefault(address, number)
        for key, node in graph.items():
            self._judge(node, needed[key])
        made = code_of(self.tier, graph, self._needs(graph), (start, 0), self.program.where)
        self.code_bytes += made.size
        for address, text in made.lines:
            self.lines.setdefault(address if address >= 0 else start, []).append(text)

    def _judge(self, node: Node, needed: Needs) -> None:
        """Say of each operation of a node what becomes of it."""
        recipe = needed.recipe
        put_off = {op.out for op in recipe.ops} if recipe else set()
        starts = [place for _, _, place in node.origins] + [len(node.ops)]
        for (address, at, first), last in zip(node.origins, starts[1:], strict=True):
            if first == last:  # a branch, which is always done
                continue
            if any(place in needed.hot for place in range(first, last)):
                state = "done"
            elif any(op.out in put_off for op in node.ops[first:last]):
                state = "put off"
            else:
                state = "dead"
            self.states.setdefault((address, at), state)

    def _row(self, instruction: Instruction) -> Row:
        address, kind = instruction.address, _kind(instruction)
        unit = self.units.get(address, 0)
        return Row(
            address,
            instruction.code,
            _name_of(self.program, address),
            self._text(instruction),
            "callout" if not unit else kind,
            unit,
            tuple(self._operations(instruction)),
            tuple(self.lines.get(address, ()))
            if unit
            else (f"call the VMM: {instruction.mnemonic}",),
            next((op.ins[0].offset for op in instruction.ops if _is_jump(op)), -1),
        )

    def _none(self, at: int) -> Row:
        code = program_bytes(self.program, at, 1)
        return Row(at, code, _name_of(self.program, at), "(no instruction)", "none", 0, (), ())

    def _operations(self, instruction: Instruction) -> Iterator[Operation]:
        names: dict[int, int] = {}
        for at, op in enumerate(instruction.ops):
            state = self.states.get((instruction.address, at), "done")
            yield Operation(self._operation(_renumbered(op, names)), state)

    def _text(self, instruction: Instruction) -> str:
        """Write an instruction with the names of the addresses in it."""
        if class_of(instruction) == "control":
            return _HEX.sub(self._name, str(instruction))
        return _IN_BRACKETS.sub(lambda one: _HEX.sub(self._name, one[0]), str(instruction))

    def _operation(self, op: Op) -> str:
        text = _STATE.sub(lambda found: STATE[found[0]], str(op))
        return (_HEX if op.code in BRANCHES else _IN_RAM).sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        number = int(found[0].removeprefix("ram:"), 16)
        known = self.program.where(number) if number >= PAGE else "0x"
        return f"{number:#x}" if known.startswith("0x") else known


def _kind(instruction: Instruction) -> str:
    """Return the class of an instruction, as the translator sees it."""
    kind = class_of(instruction)
    return "in-cache" if kind == "IDENT" and routine_of(instruction.encoding) else kind


def _name_of(program: Image, address: int) -> str:
    known = program.where(address)
    return "" if known.startswith("0x") or "+" in known else known


def _is_jump(op: Op) -> bool:
    """Return whether an operation leads to an address that its instruction says."""
    return op.code in BRANCHES and op.ins[0].space == RAM


def _renumbered(op: Op, names: dict[int, int]) -> Op:
    """Count an instruction's temporaries from 0: what SLEIGH calls them differs by version."""

    def again(var: Var) -> Var:
        if var.space != UNIQUE:
            return var
        return var._replace(offset=names.setdefault(var.offset, len(names)))

    ins = tuple(map(again, op.ins))
    return op._replace(ins=ins, out=again(op.out) if op.out else None)
