"""The values of one node as LLVM's: each has a name, and its lines come before it is used (S18)."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Protocol

from virtlab.machine.pcode import CONST, REGISTER, UNIQUE, Var
from virtlab.machine.translation import layout
from virtlab.machine.translation.lifting import FLAG_CELLS, Indirect, Leave
from virtlab.machine.translation.liveness import waiting
from virtlab.machine.translation.llvm_values import computed, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from virtlab.machine.pcode import Op
    from virtlab.machine.translation.lifting import Graph, Key, Moment, Node
    from virtlab.machine.translation.liveness import Needs, Recipe
    from virtlab.machine.translation.llvm_values import Lines


__all__ = ["APART", "Recipes", "Values", "label", "made_by", "variable"]

# No instruction at all, but LLVM must not take its block away: else what is chosen on the way
# there (why a function is left, and where) is put into registers on the way that is hot.
APART = 'call void asm sideeffect "", ""() nounwind memory(none)'


class _Function(Protocol):
    """What a node has to know of the function that it is in."""

    lines: Lines

    def get(self, cell: Var) -> str: ...

    def aside(self) -> AbstractContextManager[str]: ...


class Values:
    """Names the values of one node.

    Parameters
    ----------
    function
        Has the lines and the cells.
    node
        Which node.

    Attributes
    ----------
    known
        Values that have a name.
    quotients
        Of what was divided already, to see whether it can be: by (dividend, divisor).

    Examples
    --------
    See `virtlab.machine.translation.llvm.LlvmFunction`, which makes one for each node.
    """

    def __init__(self, function: _Function, node: Node) -> None:
        self.function, self.node = function, node
        self.known: dict[Var, str] = {}
        self.made_by = {op.out: op for op in node.ops if op.out is not None}
        self.quotients: dict[tuple[Var, ...], str] = {}
        self._back_to: Moment | None = None
        self._stored: Moment | None = None
        self._way_out = ""

    def of(self, var: Var) -> str:
        """Return a value's name; its lines come first if there are none yet."""
        if var.space == CONST:
            return number(var.offset, var.size)
        if var not in self.known:
            op = self.made_by.get(var)
            self.known[var] = self.function.get(var) if op is None else self._computed(op)
        return self.known[var]

    def wide(self, var: Var, size: int) -> str:
        """Return a value's name, made so many bytes long."""
        if var.size == size or var.space == CONST:
            return self.of(var)
        return self.function.lines.value(f"zext i{8 * var.size} {self.of(var)} to i{8 * size}")

    def _computed(self, op: Op) -> str:
        quotient = self.quotients.get(op.ins, "")
        if op.code == "INT_SDIV" and quotient:
            return quotient
        lines, kind = self.function.lines, f"i{8 * op.ins[0].size}" if op.ins else ""
        if op.code == "INT_SREM" and quotient:
            product = lines.value(f"mul {kind} {quotient}, {self.of(op.ins[1])}")
            return lines.value(f"sub {kind} {self.of(op.ins[0])}, {product}")
        compared = self._compared(op)
        if compared is not None:
            less = "slt" if op.code == "INT_NOTEQUAL" else "sge"
            a, b = map(self.of, compared)
            kind = f"i{8 * compared[0].size}"
            return lines.value(f"zext i1 {lines.value(f'icmp {less} {kind} {a}, {b}')} to i8")
        return computed(op, self.of, lines)

    def _compared(self, op: Op) -> tuple[Var, ...] | None:
        """Return the numbers, if this compares sign and overflow of a difference: which is less."""
        if op.code not in ("INT_EQUAL", "INT_NOTEQUAL"):
            return None
        made = {found.code: found for var in op.ins if (found := self.made_by.get(var)) is not None}
        overflow, sign = made.get("INT_SBORROW"), made.get("INT_SLESS")
        if overflow is None or sign is None or sign.ins[1][:2] != (CONST, 0):
            return None
        difference = self.made_by.get(sign.ins[0])
        if difference is None or difference.code != "INT_SUB" or difference.ins != overflow.ins:
            return None
        return overflow.ins

    def apart(self, moment: Moment) -> None:
        """Let an instruction that asks a port be left at its start: code is entered behind it."""
        if self._back_to is not moment:
            self._back_to = None

    def way_out(
        self, op: Op, moment: Moment, leave: Callable[[Moment, dict[Var, str]], None]
    ) -> str:
        """Return the label of a block that leaves the function if an operation cannot be done.

        The function may go back further than to the start of that instruction: to any moment since
        when nothing has been stored, for the interpreter will do the same again. So a block of this
        kind is not needed for each operation.
        """
        if self._back_to is None or (self._stored is not None and self._back_to is not moment):
            known = self.known
            with self.function.aside() as label:
                self.known = dict(known)
                leave(moment, {cell: self.of(value) for cell, value in moment.values.items()})
            self.known, self._back_to, self._way_out = known, moment, label
            if self._stored is not moment:
                self._stored = None
        if op.code == "STORE":
            self.has_stored(moment)
        return self._way_out

    def has_stored(self, moment: Moment) -> None:
        """Let nothing go back further than to this instruction from now on."""
        self._stored = moment


class Recipes:
    """The recipes for flags in one function, each kind once.

    Parameters
    ----------
    nodes
        Of the function.
    needs
        What is needed of each.
    first
        Number of the first recipe.

    Attributes
    ----------
    by_number
        Each, from `first` on.
    of
        Number that holds after a node, by its key; 0 if all flags are there. Of a node that sets no
        flag there is none.
    keeps
        Bytes of each value that has to be kept.

    Examples
    --------
    >>> Recipes([], {}).by_number
    {}
    """

    def __init__(self, nodes: Iterable[Node], needs: Mapping[Key, Needs], first: int = 1) -> None:
        self.by_number: dict[int, Recipe] = {}
        self.of: dict[Key, int] = {}
        self._needs, self._number = needs, {0: 0}  # by `id` of the recipe, as `waiting` tells them
        numbers: dict[object, int] = {}
        for node in nodes:
            if any(cell in node.sets for cell in FLAG_CELLS):
                recipe = needs[node.key].recipe
                kind = None if recipe is None else _kind_of(recipe)
                if recipe is not None and kind not in numbers:
                    numbers[kind] = first + len(numbers)
                    self.by_number[numbers[kind]] = recipe
                self.of[node.key] = numbers.get(kind, 0)
                self._number[id(recipe) if recipe else 0] = self.of[node.key]
        leaves = zip_longest(*(recipe.leaves for recipe in self.by_number.values()))
        self.keeps = [max(leaf.size for leaf in each if leaf is not None) for each in leaves]

    def at_exits(self, graph: Graph, entries: Iterable[Key]) -> dict[int, Recipe]:
        """Return those that may hold where the function is left for good.

        Parameters
        ----------
        graph
            The function's.
        entries
            Where it is entered: there all flags are made.

        Returns
        -------
        dict
            Some of `by_number`.

        Examples
        --------
        >>> from virtlab.machine.translation.lifting import Leave, Node
        >>> Recipes([], {}).at_exits({(0, 0): Node((0, 0), end=Leave(5))}, [(0, 0)])
        {}
        """
        held = waiting(graph, self._needs, entries)
        ends = (key for key, node in graph.items() if isinstance(node.end, Leave | Indirect))
        found = {self._number[which] for key in ends for which in held[key]}
        return {number: self.by_number[number] for number in sorted(found - {0})}

    def tell(self, lines: Lines) -> None:
        """Add lines that write down which recipe holds, and what it takes, for `Recipe.follow`.

        Parameters
        ----------
        lines
            Where they are added.

        Examples
        --------
        >>> from virtlab.machine.translation.llvm_values import Lines
        >>> lines = Lines()
        >>> Recipes([], {}).tell(lines)
        >>> lines.text
        []
        """
        sizes = enumerate(self.keeps)
        kept = [(f"keep{k}", f"i{8 * size}", layout.KEPT + 8 * k) for k, size in sizes]
        told = [("recipe", "i32", layout.RECIPE), ("real", "i32", layout.REAL), *kept]
        for name, kind, offset in told if self.by_number else ():
            place = lines.value(f"getelementptr i8, ptr %base, i64 {offset}")
            lines.add(f"store {kind} {lines.value(f'load {kind}, ptr %{name}')}, ptr {place}")


def _kind_of(recipe: Recipe) -> object:
    """Return what is the same for recipes that do the same with other values."""
    names = {leaf: Var(UNIQUE, -1 - at, leaf.size) for at, leaf in enumerate(recipe.leaves)}
    for op in recipe.ops:
        names[op.result] = Var(UNIQUE, -1 - len(names), op.result.size)
    ops = [(op.code, names[op.result], *(names.get(v, v) for v in op.ins)) for op in recipe.ops]
    return tuple(ops), tuple((cell, names.get(v, v)) for cell, v in recipe.cells.items())


def made_by(recipe: Recipe, lines: Lines, keeps: Sequence[int]) -> dict[Var, str]:
    """Add lines that make flags of what was kept in `%keep0`, `%keep1` and so on.

    Parameters
    ----------
    recipe
        For the flags.
    lines
        Where they are added.
    keeps
        Bytes of each.

    Returns
    -------
    dict
        Flag to the name of its value.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op
    >>> from virtlab.machine.translation.lifting import FLAG_CELLS
    >>> from virtlab.machine.translation.liveness import Recipe
    >>> from virtlab.machine.translation.llvm_values import Lines
    >>> a, is_zero = Var(UNIQUE, -1, 8), Var(UNIQUE, -2, 1)
    >>> zero = Op("INT_EQUAL", is_zero, (a, Var(CONST, 0, 8)))
    >>> made_by(Recipe({FLAG_CELLS[3]: is_zero}, (a,), (zero,)), Lines(), [8])
    {Var(space=1, offset=518, size=1): '%v3'}
    """
    names: dict[Var, str] = {}

    def value(var: Var) -> str:
        return number(var.offset, var.size) if var.space == CONST else names[var]

    for at, (leaf, size) in enumerate(zip(recipe.leaves, keeps, strict=False)):
        kind, kept = f"i{8 * size}", lines.value(f"load i{8 * size}, ptr %keep{at}")
        is_whole = leaf.size == size
        names[leaf] = kept if is_whole else lines.value(f"trunc {kind} {kept} to i{8 * leaf.size}")
    for op in recipe.ops:
        names[op.result] = computed(op, value, lines)
    return {cell: value(var) for cell, var in recipe.cells.items()}


def variable(cell: Var) -> str:
    """Return the name of a cell's variable.

    Parameters
    ----------
    cell
        The cell.

    Returns
    -------
    str
        As LLVM may have it.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import FLAG_CELLS
    >>> variable(FLAG_CELLS[0])
    'r512'
    """
    return f"{'r' if cell.space == REGISTER else 't'}{cell.offset}" + (
        "" if cell.space == REGISTER else f"_{cell.size}"
    )


def label(key: Key) -> str:
    """Return the name of a node's block.

    Parameters
    ----------
    key
        Of the node.

    Returns
    -------
    str
        Its address, and which operation if it is in the middle of an instruction.

    Examples
    --------
    >>> label((0x100010, 0)), label((0x100010, 3))
    ('at_100010', 'at_100010_3')
    """
    return f"at_{key[0]:x}" + (f"_{key[1]}" if key[1] else "")
