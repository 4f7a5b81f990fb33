"""The statements of one node as Python, instruction by instruction (S18).

A register has the same name everywhere, and gets its new value at the end of the instruction that
changes it. So where an instruction faults, all registers still are what they were before it. What
something needs later, after its register has changed, is kept under another name first.

Flags that nobody reads are not computed. If one is asked for after all, because an instruction
faults or the time is over, it is made from what is kept (`virtlab.machine.translation.liveness`);
a `Place` says how, by line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.pcode import CONST, PORTS, REGISTER, Var
from virtlab.machine.registers import FLAGS, PLACES
from virtlab.machine.translation.layout import ANSWERED, TO_CHANGE, WAITING
from virtlab.machine.translation.lifting import CELLS, FLAG_CELLS, Indirect, Leave, is_cell
from virtlab.machine.translation.liveness import Recipe
from virtlab.machine.translation.python_plan import NodePlan
from virtlab.machine.translation.python_values import added, expression, number, within

if TYPE_CHECKING:
    from virtlab.machine.pcode import Op
    from virtlab.machine.translation.lifting import Node
    from virtlab.machine.translation.liveness import Needs

__all__ = ["NodeWriter", "Place", "Statement", "name_of"]

_NAMES = {Var(REGISTER, at, size): name.lower() for name, (at, size) in PLACES.items()}
_NAMES |= {Var(REGISTER, at, 1): name.lower() for name, (at, _, _) in FLAGS.items()}
_NAMES[Var(REGISTER, FLAGS["IF"][0], 1)] = "if_"
_NAMES |= {Var(REGISTER, ANSWERED, 4): "answered", Var(REGISTER, WAITING, 4): "waiting"}
_DIVIDED = ("INT_SDIV", "INT_SREM")
_ALIGNED = {1: (0xFFFFF000, 0, 0xFFF), 2: (0xFFFFF001, 1, 0x7FF), 4: (0xFFFFF003, 2, 0x3FF)}


class Place(NamedTuple):
    """What the machine's state is, if code stops at a line.

    Attributes
    ----------
    address
        Of the instruction that is next.
    back
        How many instructions were counted and not done.
    changed
        Registers and flags that this node has changed by then.
    recipe
        How to make those of them that their names do not hold.
    names
        Of the values that it takes.
    """

    address: int
    back: int = 0
    changed: frozenset[Var] = frozenset()
    recipe: Recipe | None = None
    names: tuple[str, ...] = ()


@dataclass
class Statement:
    """A line of Python.

    Attributes
    ----------
    words
        Python.
    address
        Of the guest's instruction that it is of.
    place
        If it may stop: where that would be.
    """

    words: str
    address: int
    place: Place | None = None


def name_of(cell: Var) -> str:
    """Name a cell.

    Parameters
    ----------
    cell
        A register, a flag, or what an instruction keeps between two of its parts.

    Returns
    -------
    str
        Its name.

    Examples
    --------
    >>> [name_of(cell) for cell in CELLS[:9]]
    ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'cf']
    """
    kind = "register" if cell.space == REGISTER else "part"
    return _NAMES.get(cell) or f"{kind}_{cell.offset:x}"


class NodeWriter(NodePlan):
    """Writes one node.

    Parameters
    ----------
    node, needs
        The node.
    recipe
        Number of its recipe; 0 if all flags that it sets are there; None if its region has none.

    Attributes
    ----------
    statements
        All but its end.
    kept
        Words for the leaves of its recipe, if the region is left at its end.

    Examples
    --------
    See `virtlab.machine.translation.python.PythonFunction`.
    """

    def __init__(self, node: Node, needs: Needs, recipe: int | None) -> None:
        super().__init__(node, needs, recipe)
        self.holder: dict[Var, str] = {}
        self.kept: tuple[str, ...] | None = None
        self.statements: list[Statement] = []
        self.names, self.asks = 0, False  # whether the line that is being written reads memory
        self._write(recipe)

    # --- writing ----------------------------------------------------------------------------------

    def _write(self, recipe: int | None) -> None:
        for part, (first, moment, words) in enumerate(self.parts):
            self.moment, self.at = moment, float(first)
            if words:
                self._say(f"# {moment.address:#x}  {words}")
            for at in range(first, self.first_at[part]):
                self.at = float(at)
                self._operation(at)
            self.at = self._end(part)
            self._keep(list(self.changes[part]))
            self._assign(dict(self.changes[part]))
        self.at = float(len(self.ops))
        if recipe is not None and any(cell in self.node.sets for cell in FLAG_CELLS):
            leaves = self.needs.recipe.leaves if recipe and self.needs.recipe else ()
            values = tuple(self.words(leaf) for leaf in leaves)
            if recipe and self._leaves:
                self.kept = values
            elif values:
                self._say(f"recipe = {recipe}, {', '.join(values)}")
            else:
                self._say(f"recipe = ({recipe},)")
        rest = {c: v for c, v in self.needs.sets.items() if c not in CELLS}
        self.ending = tuple(self.words(var) for var in self.node.ending)
        if rest and self.ending:
            self._say(f"following = {self.ending[0]}")
            self.ending = ("following",)
        self._assign(dict(rest))
        for var in (var for var in rest if var.space == REGISTER):
            self._say(f"set_register({var.offset:#x}, {var.size}, {name_of(var)})")

    @property
    def _leaves(self) -> bool:
        """Whether the region is left at its end, whatever is so then."""
        end = self.node.end
        return isinstance(end, Leave) or (isinstance(end, Indirect) and not end.sites)

    def _say(self, words: str, *, may_fail: bool = False) -> None:
        place = self._place() if may_fail or self.asks else None
        self.statements.append(Statement(words, self.moment.address, place))
        self.asks = False

    def _operation(self, at: int) -> None:
        op, mode = self.ops[at], self.modes.get(at)
        if mode == "name" and op.out not in self.holder:
            name = self._new_name()
            self._say(f"{name} = {self._made(at)}")
            self.holder[op.result] = name
        elif op.code == "STORE":
            size, address = op.ins[1].size, op.ins[0]
            value = self.words(op.ins[1])
            if op.segment == PORTS:
                self._say(f"ring[{self.words(address)}] = {value}")
            elif size == 8:
                self._say(f"store({self.words(address)}, 8, {value})", may_fail=True)
            else:
                where = self._memory("write", address, size, "to")
                self._say(f"{where} = {value}", may_fail=True)
        elif mode == "stands":
            self._checked(op)

    def _new_name(self) -> str:
        self.names += 1
        return f"t{self.names}"

    def _checked(self, op: Op) -> None:
        """Stop if there is no quotient; a signed one, which is long to compute, is kept."""
        one, other, quotient = op.ins
        bits = f"{8 * one.size}, {8 * quotient.offset}"
        values = f"({self.words(one)}, {self.words(other)}, {bits})"
        if op.code != "CHECK_SIGNED_DIVIDE":
            self._say(f"check_quotient{values}", may_fail=True)
            return
        names = [self._new_name() for _ in _DIVIDED]
        self._say(f"{', '.join(names)} = divided{values}", may_fail=True)
        for made in self.ops:
            if made.code in _DIVIDED and made.ins == (one, other):
                self.holder[made.result] = names[_DIVIDED.index(made.code)]

    def _keep(self, cells: list[Var]) -> None:
        """Keep values under another name that are needed after their register changes."""
        for cell in cells:
            name = name_of(cell)
            held = [v for v, last in self.last.items() if last > self.at and self._named(v) == name]
            if held:
                self.names += 1
                kept = f"old_{name}_{self.names}"
                self._say(f"{kept} = {name}")
                self.holder.update(dict.fromkeys(held, kept))

    def _named(self, var: Var) -> str | None:
        found = self.holder.get(var)
        return name_of(var) if found is None and is_cell(var) else found

    def _assign(self, left: dict[Var, Var]) -> None:
        """Give cells their new values, each once no other needs its old one."""
        while left:
            free = [
                cell
                for cell, value in left.items()
                if not any(name_of(cell) in self._reads(left[c], value) for c in left if c != cell)
            ]
            first = self.first_to_change.get(self.part_of(self.at))
            cells = [first] if first in free else self._most_used(free, left) or list(left)
            values = [self.words(left[cell]) for cell in cells]
            names = [name_of(cell) for cell in cells]
            if names != values:  # `lea esi, [esi]` fills a gap
                self._say(f"{', '.join(names)} = {', '.join(values)}")
            for cell in cells:
                self._held(cell, left.pop(cell))

    def _most_used(self, free: list[Var], left: dict[Var, Var]) -> list[Var]:
        """Choose the one that most others are made of."""
        used = {cell: sum(left[cell] in self._below(v) for v in left.values()) for cell in free}
        return sorted(free, key=used.__getitem__)[-1:]

    def _held(self, cell: Var, value: Var) -> None:
        name = name_of(cell)
        self.holder = {var: held for var, held in self.holder.items() if held != name}
        if value.space != CONST and (value not in self.holder and not is_cell(value)):
            self.holder[value] = name

    def _below(self, var: Var, known: Var | None = None) -> set[Var]:
        """Return the values that a value is made of, as far as they have no name yet."""
        found: set[Var] = set()
        todo = [var]
        while todo:
            now = todo.pop()
            if now != known and now not in self.holder and now in self.made_by:
                todo += self.ops[self.made_by[now]].ins
                found.update(self.ops[self.made_by[now]].ins)
        return found

    def _reads(self, var: Var, known: Var) -> set[str | None]:
        """Return the names that a value is made of, once another has its name."""
        return {self._named(v) for v in {var, *self._below(var, known)} if v != known}

    # --- values -----------------------------------------------------------------------------------

    def words(self, var: Var) -> str:
        """Write a value: a number, a name, or what makes it."""
        if var.space == CONST:
            return number(var.offset & (1 << 8 * var.size) - 1)
        name = self._named(var)
        return self._made(self.made_by[var]) if name is None else name

    def _inner(self, var: Var) -> Op | None:
        at = self.made_by.get(var)
        return self.ops[at] if at is not None and self._named(var) is None else None

    def _made(self, at: int) -> str:
        op = self.ops[at]
        if op.code != "LOAD":
            return expression(op, self.words, self._inner)
        if op.segment == PORTS:
            return f"port_map[{self.words(op.ins[0])}]"
        size = op.result.size
        table, what = ("write", 8 + TO_CHANGE) if op.to_change else ("read", 8)
        words = self.words(op.ins[0]) if size == 8 else ""
        found = f"load({words}, {what})" if words else self._memory(table, op.ins[0], size, "at")
        self.asks = True
        return found

    def _memory(self, table: str, address: Var, size: int, name: str) -> str:
        """Write where some bytes are, by the tables of `python_host`."""
        page, shift, last = _ALIGNED[size]
        if address.space == CONST:
            where = address.offset & 0xFFFFFFFF
            return f"{table}{size}[{where & page:#x}][{where >> shift & last}]"
        words = self._address(address)
        if not words.isidentifier():
            self._say(f"{name} = {words}")
            words = name
        by = f"{words} >> {shift} & {last:#x}" if shift else f"{words} & {last:#x}"
        return f"{table}{size}[{words} & {page:#x}][{by}]"

    def _address(self, var: Var) -> str:
        """Write an address, of which only the lower 32 bits count: no mask."""
        op = self._inner(var)
        if op is not None and op.code in ("INT_ADD", "INT_SUB", "INT_MULT"):
            sign = {"INT_ADD": "+", "INT_SUB": "-", "INT_MULT": "*"}[op.code]
            one, other = (within(self._address(part)) for part in op.ins)
            if op.code == "INT_MULT" and other == "1":
                return one
            if op.code != "INT_ADD":
                return f"{one} {sign} {other}"
            first, last = op.ins
            is_swapped = first.space == CONST
            return added(other, first, one) if is_swapped else added(one, last, other)
        return self.words(var)

    def _place(self) -> Place:
        """Say what is so if this fails: as it was before the instruction."""
        moment = self.moment
        cells = {
            cell: value
            for cell, value in moment.values.items()
            if self._named(value) != name_of(cell)
        }
        recipe, names = self._recipe(cells)
        back = self.node.count - moment.done
        return Place(moment.address, back, frozenset(moment.values), recipe, names)

    def _recipe(self, cells: dict[Var, Var]) -> tuple[Recipe | None, tuple[str, ...]]:
        used: set[int] = set()
        leaves: dict[Var, str] = {}
        todo = list(cells.values())
        while todo:
            var = todo.pop()
            if var.space == CONST or var in leaves:
                continue
            name = self._named(var)
            if name is not None:
                leaves[var] = name
            elif self.made_by[var] not in used:
                used.add(self.made_by[var])
                todo += self.ops[self.made_by[var]].ins
        ops = tuple(self.ops[at] for at in sorted(used))
        recipe = Recipe(cells, tuple(leaves), ops) if cells else None
        return recipe, tuple(leaves.values())
