"""The python tier: a region as one function of Python, to be read (S18).

Registers and flags are variables with their own names, nodes are statements under the guest's
instructions, control flow is `while` and `if`. All state comes in as arguments and goes out as a
tuple of the same shape, so that one function can hand over to the next:

    def at_00100000(eip, left, eax, ecx, ..., of):
        while True:
            if left < 2: raise Empty
            left -= 2
            # 0x100005  DEC ECX
            ecx = (ecx - 1) & 0xffffffff
            # 0x100006  JNZ 0x100005
            if ecx == 0:
                return 0x100008, left, eax, ecx, ..., of

Nothing in it says what is to be done where memory cannot be read or the time is over: whatever
stops it is an exception, and a table says for the line at which that happened what the machine's
state is. Translators to machine code keep such a table too, by the address of their code.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from types import CodeType
from typing import TYPE_CHECKING

from virtlab.machine.memory import PAGE
from virtlab.machine.pcode import REGISTER
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.lifting import CELLS
from virtlab.machine.translation.links import direct_exits
from virtlab.machine.translation.python_control import Block, Choice, Loop, Way, negated
from virtlab.machine.translation.python_exits import Exits
from virtlab.machine.translation.python_node import NodeWriter, Place, Statement, name_of
from virtlab.machine.translation.python_shape import arranged
from virtlab.machine.translation.tiers import Purpose

if TYPE_CHECKING:
    from virtlab.machine.pcode import Var
    from virtlab.machine.translation.lifting import Graph, Key, Node
    from virtlab.machine.translation.liveness import Needs, Recipe

__all__ = ["STATE", "PythonFunction"]

STATE = ("eip", "left", *(name_of(cell) for cell in CELLS))
_REST = ", ".join(STATE[1:])


class PythonFunction:
    r"""One region.

    Parameters
    ----------
    graph, needs
        Of the region.
    start
        Where it is entered.
    purpose
        What it will be run for, for its host to know.

    Attributes
    ----------
    source
        Python.
    lines
        Address of an instruction of the guest to the lines that it became, from 1.
    places
        Line to what the machine's state is if the function stops there.
    made
        Recipes for flags that it does not compute; the variable `recipe` says which, from 1.
    exits
        Where it may lead that can be linked.
    page
        Linear page that it is made from.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder, Instruction
    >>> from virtlab.machine.translation.lifting import lift
    >>> from virtlab.machine.translation.liveness import needs
    >>> from virtlab.machine.translation.regions import find_region
    >>> code = bytes.fromhex("b907000000 49 75fd c3")  # mov ecx, 7; dec ecx; jnz; ret
    >>> def fetch(address: int) -> Instruction:
    ...     return Decoder().decode(address, code[address:] + bytes(15))
    >>> graph = lift(find_region(0, fetch))
    >>> print("\n".join(PythonFunction(graph, needs(graph), (0, 0)).source.splitlines()[1:7]))
        if left < 1: raise Empty
        left -= 1
        # 0x0  MOV ECX,0x7
        ecx = 7
        while True:
            if left < 2: raise Empty
    """

    recipes: tuple[Recipe, ...] = ()  # it makes all flags itself before it comes back

    def __init__(
        self,
        graph: Graph,
        needs: dict[Key, Needs],
        start: Key,
        purpose: Purpose | None = None,
    ) -> None:
        self.needs, self.purpose, self.page = needs, purpose or Purpose(), start[0] // PAGE
        self.exits = direct_exits(graph) if self.purpose.chains else []
        self.made = [need.recipe for need in needs.values() if need.recipe is not None]
        self._numbers = {id(recipe): 1 + at for at, recipe in enumerate(self.made)}
        self._written: dict[Key, tuple[list[Statement], tuple[str, ...]]] = {}
        self.lines: defaultdict[int, list[int]] = defaultdict(list)
        self.places: dict[int, Place] = {}
        self.name = f"at_{start[0]:08x}"
        self._text = [f"def {self.name}({', '.join(STATE)}):"]
        if self.made:
            self._text.append("    recipe = (0,)")
        for cell in sorted(_read(graph)):
            self._text.append(f"    {name_of(cell)} = register({cell.offset:#x}, {cell.size})")
        self._exits = Exits(graph, needs, start, self.made)
        self._print(arranged(Shape(graph, start), self._write, self._leave), 1)
        self.source = "\n".join(self._text) + "\n"

    @cached_property
    def code(self) -> CodeType:
        """Its source, compiled."""
        around = compile(self.source, f"<{self.name}>", "exec")
        return next(part for part in around.co_consts if isinstance(part, CodeType))

    def _write(self, node: Node) -> tuple[list[Statement], tuple[str, ...]]:
        if node.key not in self._written:
            need = self.needs[node.key]
            number = self._numbers.get(id(need.recipe), 0) if self.made else None
            writer = NodeWriter(node, need, number)
            self._written[node.key] = [*_count(node), *writer.statements], writer.ending
            if writer.kept is not None:
                self._exits.kept[node.key] = writer.kept
        return self._written[node.key]

    def _leave(self, target: str, key: Key) -> list[str]:
        return [*self._exits.lines(key), f"return {target}, {_REST}"]

    def _print(self, parts: Block, depth: int) -> None:
        """Write parts, each at its depth."""
        for part in parts:
            if isinstance(part, Statement):
                self._line(part.words, depth)
                line = len(self._text)
                self.lines[part.address].append(line)
                if part.place is not None:
                    self.places[line] = part.place
            elif isinstance(part, Way):
                if part.asked:
                    self._line(f"way = {part.to}", depth)
            elif isinstance(part, Loop):
                self._line("while True:", depth)
                self._print(part.inside, depth + 1)
            else:
                self._choice(part, depth)

    def _choice(self, part: Choice, depth: int, begin: str = "if") -> None:
        condition, yes, no = part.condition, part.yes, part.no
        if not _says_something(yes):
            condition, yes, no = negated(condition), no, []
        if not _says_something(yes):
            return
        self._line(f"{begin} {condition}:", depth)
        self._print(yes, depth + 1)
        if len(no) == 1 and isinstance(no[0], Choice) and _says_something(no[0].yes):
            self._choice(no[0], depth, "elif")
        elif _says_something(no):
            self._line("else:", depth)
            self._print(no, depth + 1)

    def _line(self, words: str, depth: int) -> None:
        self._text.append("    " * depth + words)


def _read(graph: Graph) -> set[Var]:
    """Return the registers that it reads besides those that all functions hand over."""
    places = (var for node in graph.values() for op in node.ops for var in op.ins)
    return {var for var in places if var.space == REGISTER} - set(CELLS)


def _says_something(parts: Block) -> bool:
    return any(
        part.asked
        if isinstance(part, Way)
        else _says_something([*part.yes, *part.no])
        if isinstance(part, Choice)
        else True
        for part in parts
    )


def _count(node: Node) -> list[Statement]:
    """Take a node's instructions from what is left, or stop if that is too little."""
    address, counted = node.key[0], []
    if node.count and node.key[1] == 0:
        counted.append(Statement(f"if left < {node.count}: raise Empty", address, Place(address)))
    if node.count:
        counted.append(Statement(f"left -= {node.count}", address))
    return counted
