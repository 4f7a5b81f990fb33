"""The llvm tier: a region as one function of LLVM's intermediate representation (S18).

LLVM is what compilers are made of: it takes simple operations in basic blocks and makes good code
of them, at a price: to compile a region takes as long as to interpret many thousand instructions.
So only hot code comes here.

The graph goes in as it is, a node a block; LLVM has no trouble with loops that have two entrances.
Cells are variables of the function (`alloca`), which LLVM's first pass puts into registers: they
are loaded when the function is entered and stored when it is left. What hardly ever happens, a miss
in the TLB or a fault, is put aside and marked as cold.

**Counting**. A check at each node, as the wasm tier has it, costs a branch each time. Here it is
made where a loop begins: if what is left is less than the longest way to the next such place takes,
the function is left there, `EMPTY`, and a tier that checks more often does the rest. On the way
each node takes what it has done, which LLVM adds up. So the count is exact, as everywhere.

Source: Lattner and Adve, "LLVM: A Compilation Framework for Lifelong Program Analysis &
Transformation" (CGO 2004).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtlab.machine.pcode import REGISTER
from virtlab.machine.translation import layout
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.lifting import FLAG_CELLS, Branch, Jump, Leave, is_cell
from virtlab.machine.translation.liveness import Needs
from virtlab.machine.translation.llvm_loops import checked, longest_ways
from virtlab.machine.translation.llvm_memory import IN_RAM, RARELY, Paged
from virtlab.machine.translation.llvm_node import Values, label, variable
from virtlab.machine.translation.llvm_values import Lines, cannot_divide
from virtlab.machine.translation.regions import FAULTING
from virtlab.machine.translation.tiers import DONE, EMPTY, FAULT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.lifting import Graph, Key, Moment, Node
    from virtlab.machine.translation.liveness import Recipe
    from virtlab.machine.translation.llvm_memory import Way

__all__ = ["LlvmFunction"]


class LlvmFunction:
    """One region, or a part of it.

    Parameters
    ----------
    graph
        What is taken; a node that is `Leave` but was none in the region is where it is left.
    needs
        Of the region.
    start
        Where the function is entered.
    first_recipe
        Number of the region's first recipe, from 1.
    asks
        Addresses of what to call when the TLB does not know a page: for reads, for writes.
    way
        To RAM; through a TLB if not given.
    whole
        The region's graph, if a part is taken.

    Attributes
    ----------
    text
        Its code.
    recipes
        For flags that it does not compute, in the order of their numbers.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> function = LlvmFunction(graph, needs(graph), (0, 0), 1, (0, 0))
    >>> function.text.splitlines()[0]
    'define i32 @region(ptr %base) nounwind {'
    """

    def __init__(
        self,
        graph: Graph,
        needs: dict[Key, Needs],
        start: Key,
        first_recipe: int,
        asks: tuple[int, int],
        way: Way | None = None,
        whole: Graph | None = None,
    ) -> None:
        self.needs, self.asks, self.way = needs, asks, way or Paged()
        self.first_recipe = first_recipe
        self.whole = graph if whole is None else whole
        self.recipes = [need.recipe for need in needs.values() if need.recipe is not None]
        self.shape = Shape(graph, start)
        self.nodes = [graph[key] for key in self.shape.order]
        self.looks, self.ways = checked(self.shape), longest_ways(self.shape)
        self.cells = sorted(_cells_of(self.nodes))
        self.kept = [cell for cell in self.cells if cell.space == REGISTER]
        self.changed = {cell for node in self.nodes for cell in node.sets}
        for node in self.nodes:
            self.changed.update(*(moment.values for moment in node.moments.values()))
        used = [needs[node.key].recipe for node in self.nodes if node is self.whole[node.key]]
        self.keeps = max((len(recipe.leaves) for recipe in used if recipe is not None), default=0)
        self.lines, self.cold, self.leaves_early = Lines(), [""], False
        self._enter()
        for node in self.nodes:
            self._node(node)
        if self.leaves_early:
            self._early()
        body = "\n".join([*self.lines.text, *self.cold])
        self.text = f"define i32 @region(ptr %base) nounwind {{\n{body}\n}}\n"

    # --- in and out -------------------------------------------------------------------------------

    def _enter(self) -> None:
        add = self.lines.add
        for cell in self.cells:
            add(f"%{variable(cell)} = alloca {_kind(cell)}")
        for name in ("left", "recipe", "eip", "reason", "real"):
            add(f"%{name} = alloca i32")
        add("store i32 0, ptr %recipe")
        for keep in range(self.keeps):
            add(f"%keep{keep} = alloca i64")
        places = [(f"p_{variable(cell)}", cell.offset) for cell in self.kept]
        places += [("p_eip", layout.EIP), ("p_left", layout.LEFT), ("p_recipe", layout.RECIPE)]
        places += [("p_real", layout.REAL)]
        places += [(f"p_keep{keep}", layout.KEPT + 8 * keep) for keep in range(self.keeps)]
        for name, offset in places:
            add(f"%{name} = getelementptr i8, ptr %base, i64 {offset}")
        for cell in self.kept:
            value = self.lines.value(f"load {_kind(cell)}, ptr %p_{variable(cell)}")
            if cell in FLAG_CELLS:
                value = self.lines.value(f"and i8 {value}, 1")
            add(f"store {_kind(cell)} {value}, ptr %{variable(cell)}")
        add(f"store i32 {self.lines.value('load i32, ptr %p_left')}, ptr %left")
        self.way.begin(self.lines)
        add(f"br label %{label(self.shape.start)}")

    def _leave(self, address: str) -> None:
        """Store what has changed, and return: go on at an address."""
        self.lines.add(f"store i32 {address}, ptr %p_eip")
        self._write_back()
        self.lines.add(f"ret i32 {DONE}")

    def _leave_early(
        self, address: int, reason: int, values: dict[Var, str] | None = None, back: int = 0
    ) -> None:
        """Return, before some instruction; `back` instructions were not done after all.

        All ways out that are hardly ever taken end in one block: what is stored there is a choice
        between values, which costs LLVM less than a block of stores for each.
        """
        values, lines = values or {}, self.lines
        for cell, value in values.items():
            lines.add(f"store {_kind(cell)} {value}, ptr %{variable(cell)}")
        if back:
            left = lines.value("load i32, ptr %left")
            lines.add(f"store i32 {lines.value(f'add i32 {left}, {back}')}, ptr %left")
        real = sum(1 << k for k, cell in enumerate(FLAG_CELLS) if cell in values)
        for name, number_ in (("eip", address), ("reason", reason), ("real", real)):
            lines.add(f"store i32 {number_}, ptr %{name}")
        lines.add("br label %early")
        self.leaves_early = True

    def _early(self) -> None:
        lines = self.lines
        lines.text.append("early:")
        self._write_back()
        names = [("eip", "i32")]
        if self.recipes:
            names += [("real", "i32"), ("recipe", "i32")]
            names += [(f"keep{keep}", "i64") for keep in range(self.keeps)]
        for name, kind in names:
            value = lines.value(f"load {kind}, ptr %{name}")
            lines.add(f"store {kind} {value}, ptr %p_{name}")
        lines.add(f"ret i32 {lines.value('load i32, ptr %reason')}")

    def _write_back(self) -> None:
        for cell in self.kept:
            if cell in self.changed:
                self.lines.add(f"store {_kind(cell)} {self.get(cell)}, ptr %p_{variable(cell)}")
        self.lines.add(f"store i32 {self.lines.value('load i32, ptr %left')}, ptr %p_left")

    def get(self, cell: Var) -> str:
        """Return the value that a cell has now.

        Parameters
        ----------
        cell
            Which.

        Returns
        -------
        str
            Its name.

        Examples
        --------
        >>> from virtlab.machine.translation.lifting import Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
        >>> function = LlvmFunction(graph, needs(graph), (0, 0), 1, (0, 0))
        >>> name = function.get(FLAG_CELLS[0])
        >>> function.lines.text[-1].endswith("load i8, ptr %r512")
        True
        """
        return self.lines.value(f"load {_kind(cell)}, ptr %{variable(cell)}")

    # --- a node -----------------------------------------------------------------------------------

    def _node(self, node: Node) -> None:
        lines, values = self.lines, Values(self, node)
        is_outside = self.whole[node.key] is not node
        needs = Needs(frozenset(), {}, None) if is_outside else self.needs[node.key]
        lines.text.append(f"{label(node.key)}:")
        self._count(node)
        for at, op in enumerate(node.ops):
            if op.code in FAULTING:
                self._risky(op, node, node.moments[at], values)
            elif at in needs.hot:
                values.of(op.result)
        ending = [values.of(var) for var in node.ending]
        stores = [(_kind(cell), values.of(v), variable(cell)) for cell, v in needs.sets.items()]
        if self.recipes and any(cell in node.sets for cell in FLAG_CELLS):
            leaves = () if needs.recipe is None else needs.recipe.leaves
            stores += [("i64", values.wide(leaf), f"keep{k}") for k, leaf in enumerate(leaves)]
            stores.append(("i32", str(self._number(needs.recipe)), "recipe"))
        for kind, value, name in stores:  # one cell's new value may be another's old one
            lines.add(f"store {kind} {value}, ptr %{name}")
        self._end(node, ending)

    def _number(self, recipe: Recipe | None) -> int:
        if recipe is None:
            return 0
        return self.first_recipe + next(k for k, r in enumerate(self.recipes) if r is recipe)

    def _count(self, node: Node) -> None:
        lines, way = self.lines, self.ways[node.key]
        if not way:
            return
        left = lines.value("load i32, ptr %left")
        if node.key in self.looks:
            too_few = lines.value(f"icmp slt i32 {left}, {way}")
            with self.aside() as empty:
                self._leave_early(node.key[0], EMPTY)
            self._unless(too_few, empty)
        if node.count:
            fewer = lines.value(f"sub i32 {left}, {node.count}")
            lines.add(f"store i32 {fewer}, ptr %left")

    def _unless(self, condition: str, rare: str) -> str:
        """Go on in a new block, unless something rare is true; return its label."""
        after = self.lines.name()
        self.lines.add(f"br i1 {condition}, label %{rare}, label %{after}{RARELY}")
        self.lines.text.append(f"{after}:")
        return after

    @contextmanager
    def aside(self) -> Iterator[str]:
        """Put lines into a block of its own, out of the way.

        Yields
        ------
        str
            Its label.

        Examples
        --------
        >>> from virtlab.machine.translation.lifting import Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
        >>> function = LlvmFunction(graph, needs(graph), (0, 0), 1, (0, 0))
        >>> with function.aside() as label:
        ...     function.lines.add("ret i32 0")
        >>> function.cold[-2:] == [f"{label}:", "  ret i32 0"]
        True
        """
        main, name = self.lines.text, self.lines.name()
        self.lines.text = [f"{name}:"]
        yield name
        self.cold += self.lines.text
        self.lines.text = main

    def _end(self, node: Node, ending: list[str]) -> None:
        end, lines = node.end, self.lines
        if isinstance(end, Jump):
            lines.add(f"br label %{label(end.to)}")
        elif isinstance(end, Branch):
            yes = lines.value(f"icmp ne i8 {ending[0]}, 0")
            lines.add(f"br i1 {yes}, label %{label(end.yes)}, label %{label(end.no)}")
        elif isinstance(end, Leave):
            if self.whole[node.key] is node:
                self._leave(str(end.address))
            else:  # the rest of the region relies on flags not being needed there
                self._leave_early(end.address, EMPTY)
        else:
            out = lines.name()
            cases = " ".join(f"i32 {site[0]}, label %{label(site)}" for site in end.sites)
            lines.add(f"switch i32 {ending[0]}, label %{out} [{cases}]")
            lines.text.append(f"{out}:")
            self._leave(ending[0])

    # --- what may fault ---------------------------------------------------------------------------

    def _risky(self, op: Op, node: Node, moment: Moment, values: Values) -> None:
        """Do something that may fault."""

        def leave(moment: Moment, state: dict[Var, str]) -> None:
            self._leave_early(moment.address, FAULT, state, node.count - moment.done)

        out = values.way_out(op, moment, leave)
        if op.code == "LOAD":
            values.known[op.result] = self._load(values.of(op.ins[0]), op.result.size, out)
        elif op.code == "STORE":
            what = values.of(op.ins[1])
            self._store(values.of(op.ins[0]), what, op.ins[1].size, out)
        else:
            cannot, values.quotients[op.ins[:2]] = cannot_divide(op, values.of, self.lines)
            self._unless(cannot, out)

    def _load(self, address: str, size: int, out: str) -> str:
        lines, kind = self.lines, f"i{8 * size}"
        hit, after = lines.name(), lines.name()
        with self.aside() as miss:
            asked = f"call preserve_mostcc i64 inttoptr (i64 {self.asks[0]} to ptr)"
            wide = lines.value(f"{asked}(i32 {address}, i32 {size})")
            come_from = self._unless(lines.value(f"icmp slt i64 {wide}, 0"), out)
            found = wide if size == 8 else lines.value(f"trunc i64 {wide} to {kind}")
            lines.add(f"br label %{after}")
        place = self.way.look(lines, address, size, hit, miss, layout.READ_TLB)
        value = lines.value(f"load {kind}, ptr {place}, align 1{IN_RAM}")
        lines.add(f"br label %{after}")
        lines.text.append(f"{after}:")
        return lines.value(f"phi {kind} [{value}, %{hit}], [{found}, %{come_from}]")

    def _store(self, address: str, value: str, size: int, out: str) -> None:
        lines, kind = self.lines, f"i{8 * size}"
        hit, after = lines.name(), lines.name()
        with self.aside() as miss:
            wide = value if size == 8 else lines.value(f"zext {kind} {value} to i64")
            asked = f"call preserve_mostcc i32 inttoptr (i64 {self.asks[1]} to ptr)"
            refused = lines.value(f"{asked}(i32 {address}, i32 {size}, i64 {wide})")
            failed = lines.value(f"icmp ne i32 {refused}, 0")
            lines.add(f"br i1 {failed}, label %{out}, label %{after}{RARELY}")
        place = self.way.look(lines, address, size, hit, miss, layout.WRITE_TLB)
        lines.add(f"store {kind} {value}, ptr {place}, align 1{IN_RAM}")
        lines.add(f"br label %{after}")
        lines.text.append(f"{after}:")


def _kind(var: Var) -> str:
    return f"i{8 * var.size}"


def _cells_of(nodes: list[Node]) -> set[Var]:
    found: set[Var] = set()
    for node in nodes:
        found.update(node.sets, node.sets.values(), node.ending)
        found.update(var for op in node.ops for var in op.ins)
        found.update(*(moment.values for moment in node.moments.values()))
    return {var for var in found if is_cell(var)}
