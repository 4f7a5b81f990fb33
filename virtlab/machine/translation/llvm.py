"""The llvm tier: a region as one function of LLVM's intermediate representation (S18).

LLVM is what compilers are made of: it takes simple operations in basic blocks and makes good code
of them, at a price: only hot code comes here.

The graph goes in as it is, a node a block; LLVM has no trouble with loops that have two entrances.
Cells are variables of the function (`alloca`), which LLVM's first pass puts into registers: they
are loaded when the function is entered and stored when it is left. What hardly ever happens, a miss
in the TLB or a fault, is put aside and marked as cold. Flags that were put off are made on the way
out, by code; where it is left early, by the host (`Recipe.follow`): most recipes are for that.

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

from virtlab.machine.pcode import PORTS, REGISTER
from virtlab.machine.translation import layout
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.lifting import FLAG_CELLS, Branch, Jump, Leave
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.llvm_ahead import EVERYWHERE, Ahead
from virtlab.machine.translation.llvm_loops import cells_of, checked, inner_loops, longest_ways
from virtlab.machine.translation.llvm_memory import IN_RAM, RARELY, Flat, Paged, port
from virtlab.machine.translation.llvm_node import APART, Recipes, Values, label, made_by, variable
from virtlab.machine.translation.llvm_values import Lines, cannot_divide
from virtlab.machine.translation.regions import FAULTING
from virtlab.machine.translation.tiers import DONE, EMPTY, FAULT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.lifting import Graph, Key, Moment, Node
    from virtlab.machine.translation.llvm_memory import Way

__all__ = ["LlvmFunction"]


class LlvmFunction:
    """One region, or a part of it.

    Parameters
    ----------
    graph
        Its nodes.
    start
        Where the function is entered.
    asks
        Addresses of what to call when the TLB does not know a page: for reads, for writes.
    way
        To RAM; through a TLB if not given.
    drop_dead
        Whether flags that nobody reads are put off.
    entries
        Where it may be entered besides, by what EIP says; it costs some percent.
    lines
        What takes the text; plain `Lines` if not given.
    first_recipe
        Number of its first recipe.

    Attributes
    ----------
    text
        Its code.
    entries
        All nodes where it may be entered.
    recipes
        For flags that it does not compute.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Node
    >>> function = LlvmFunction({(0, 0): Node((0, 0), end=Leave(5))}, (0, 0), (0, 0))
    >>> function.text.splitlines()[0]
    'define i32 @region(ptr %base) nounwind {'
    """

    def __init__(
        self,
        graph: Graph,
        start: Key,
        asks: tuple[int, int],
        way: Way | None = None,
        *,
        drop_dead: bool = True,
        entries: Collection[Key] = (),
        lines: Lines | None = None,
        first_recipe: int = 1,
    ) -> None:
        self.asks, self.way, self.shape = asks, way or Paged(), Shape(graph, start)
        self.needs = needs(graph, drop_dead=drop_dead, at_exits=False)
        self.nodes = [graph[key] for key in self.shape.order]
        self.looks = checked(self.shape, entries)
        self.ways = longest_ways(self.shape, entries)
        self.entries = sorted({start, *entries})
        flat = self.way if isinstance(self.way, Flat) and not self.way.asks else None
        self.inner = inner_loops(self.shape)
        self.ahead = Ahead(self.shape, self.entries, flat)
        self.cells = sorted(cells_of(self.nodes))
        self.kept = [cell for cell in self.cells if cell.space == REGISTER]
        states = (moment.values for node in self.nodes for moment in node.moments.values())
        self.changed = {c for sets in (*(n.sets for n in self.nodes), *states) for c in sets}
        self.recipes = Recipes(self.nodes, self.needs, first_recipe)
        self.lines, self.cold = lines or Lines(), [""]
        self._enter()
        for node in self.nodes:
            self._node(node)
        self._out()
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
        for keep, size in enumerate(self.recipes.keeps):
            add(f"%keep{keep} = alloca i{8 * size}")
        places = [(f"p_{variable(cell)}", cell.offset) for cell in self.kept]
        for name, offset in [*places, ("p_eip", layout.EIP), ("p_left", layout.LEFT)]:
            add(f"%{name} = getelementptr i8, ptr %base, i64 {offset}")
        for cell in self.kept:
            value = self.lines.value(f"load {_kind(cell)}, ptr %p_{variable(cell)}")
            if cell in FLAG_CELLS:
                value = self.lines.value(f"and i8 {value}, 1")
            add(f"store {_kind(cell)} {value}, ptr %{variable(cell)}")
        add(f"store i32 {self.lines.value('load i32, ptr %p_left')}, ptr %left")
        self.way.begin(self.lines)
        others = (key for key in self.entries if key != self.shape.start)
        cases = "".join(f" i32 {key[0]}, label %{label(key)}" for key in others)
        at = self.lines.value("load i32, ptr %p_eip")
        self._check(EVERYWHERE, at)
        add(f"switch i32 {at}, label %{label(self.shape.start)} [{cases}]")

    def _leave(
        self, address: str, reason: int, values: dict[Var, str] | None = None, back: int = 0
    ) -> None:
        """Leave the function, for an address; `back` instructions were not done after all.

        All ways end in one block: a choice between values costs LLVM less than stores for each.
        """
        values, lines = values or {}, self.lines
        lines.add(APART)
        for cell, value in values.items():
            lines.add(f"store {_kind(cell)} {value}, ptr %{variable(cell)}")
        if back:
            left = lines.value("load i32, ptr %left")
            lines.add(f"store i32 {lines.value(f'add i32 {left}, {back}')}, ptr %left")
        real = sum(1 << k for k, cell in enumerate(FLAG_CELLS) if cell in values)
        for name, what in (("eip", address), ("reason", str(reason)), ("real", str(real))):
            lines.add(f"store i32 {what}, ptr %{name}")
        lines.add(f"br label %{'out' if reason == DONE else 'early'}")

    def _out(self) -> None:
        """Make the flags that were put off, or say how; store what has changed, and return."""
        lines = self.lines
        lines.origin = -2
        lines.text.append("out:")
        made = self.recipes.at_exits(self.shape.graph, self.entries)
        cases = "".join(f" i32 {n}, label %recipe{n}" for n in made)
        lines.add(f"switch i32 {lines.value('load i32, ptr %recipe')}, label %store [{cases}]")
        for number, recipe in made.items():
            lines.text.append(f"recipe{number}:")
            for cell, value in made_by(recipe, lines, self.recipes.keeps).items():
                lines.add(f"store i8 {value}, ptr %{variable(cell)}")
            lines.add("br label %store")
        lines.text.append("early:")
        self.recipes.tell(lines)
        lines.add("br label %store")
        lines.text.append("store:")
        for cell in (cell for cell in self.kept if cell in self.changed):
            lines.add(f"store {_kind(cell)} {self.get(cell)}, ptr %p_{variable(cell)}")
        for name in ("left", "eip"):
            lines.add(f"store i32 {lines.value(f'load i32, ptr %{name}')}, ptr %p_{name}")
        lines.add(f"ret i32 {lines.value('load i32, ptr %reason')}")

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
        >>> function = LlvmFunction({(0, 0): Node((0, 0), end=Leave(5))}, (0, 0), (0, 0))
        >>> name = function.get(FLAG_CELLS[0])
        >>> function.lines.text[-1].endswith("load i8, ptr %r512")
        True
        """
        return self.lines.value(f"load {_kind(cell)}, ptr %{variable(cell)}")

    # --- a node -----------------------------------------------------------------------------------

    def _node(self, node: Node) -> None:
        lines, values, needs = self.lines, Values(self, node), self.needs[node.key]
        lines.text.append(f"{label(node.key)}:")
        starts = {first: address for address, _, first in node.origins}
        lines.origin = starts.get(0, -2)
        self._count(node)
        for at, op in enumerate(node.ops):
            lines.origin = starts.get(at, lines.origin)
            if op.code in FAULTING:
                self._risky(at, op, node, values)
            elif at in needs.hot:
                values.of(op.result)
        lines.origin = starts.get(len(node.ops), lines.origin)
        ending = [values.of(var) for var in node.ending]
        stores = [(_kind(cell), values.of(v), variable(cell)) for cell, v in needs.sets.items()]
        if node.key in self.recipes.of:
            leaves = () if needs.recipe is None else needs.recipe.leaves
            for k, (leaf, size) in enumerate(zip(leaves, self.recipes.keeps, strict=False)):
                stores.append((f"i{8 * size}", values.wide(leaf, size), f"keep{k}"))
            stores.append(("i32", str(self.recipes.of[node.key]), "recipe"))
        for kind, value, name in stores:  # one cell's new value may be another's old one
            lines.add(f"store {kind} {value}, ptr %{name}")
        self._end(node, ending)

    def _count(self, node: Node) -> None:
        lines, way, address = self.lines, self.ways[node.key], str(node.key[0])
        if not way:
            return
        left = lines.value("load i32, ptr %left")
        if node.key in self.looks:
            too_few = lines.value(f"icmp slt i32 {left}, {way}")
            with self.aside() as empty:
                self._leave(address, EMPTY)
            self._unless(too_few, empty)
        self._check(node.key, address)
        if node.count:
            lines.add(f"store i32 {lines.value(f'sub i32 {left}, {node.count}')}, ptr %left")

    def _check(self, key: Key, address: str) -> None:
        """See whether what a stretch reaches that begins here is RAM, and leave if not."""
        if amiss := self.ahead.check(key, self.lines, self.get):
            after = self.lines.name()
            with self.aside() as out:
                self.ahead.ask_exactly(key, self.lines, after)
                self._leave(address, FAULT)
            self._unless(amiss, out, after)

    def _unless(self, condition: str, rare: str, after: str = "") -> str:
        """Go on in a new block, unless something rare is true; return its label."""
        after = after or self.lines.name()
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
        >>> function = LlvmFunction({(0, 0): Node((0, 0), end=Leave(5))}, (0, 0), (0, 0))
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
            ways = ", ".join(f"label %{self._towards(node, to)}" for to in (end.yes, end.no))
            lines.add(f"br i1 {yes}, {ways}")
        elif isinstance(end, Leave):
            self._leave(str(end.address), DONE)
        else:
            out = lines.name()
            cases = " ".join(f"i32 {site[0]}, label %{label(site)}" for site in end.sites)
            lines.add(f"switch i32 {ending[0]}, label %{out} [{cases}]")
            lines.text.append(f"{out}:")
            self._leave(ending[0], DONE)

    def _towards(self, node: Node, to: Key) -> str:
        """Return the label of what leads on: out of a loop, a block in which LLVM can put things.

        What only those need who leave it (how many instructions were done, in this very round) then
        is not computed in each round.
        """
        if to in self.inner.get(node.key, {to}):
            return label(to)
        with self.aside() as edge:
            self.lines.add(APART)
            self.lines.add(f"br label %{label(to)}")
        return edge

    # --- what may fault ---------------------------------------------------------------------------

    def _risky(self, at: int, op: Op, node: Node, values: Values) -> None:
        """Do something that may fault."""
        moment = node.moments[at]
        if place := self.ahead.place(node.key, at, self.lines):
            self._surely(op, place, values, moment)
            return
        if op.segment == PORTS:
            values.apart(moment)
            values.known |= port(op, values.of, self.lines)
            return

        def leave(moment: Moment, state: dict[Var, str]) -> None:
            self._leave(str(moment.address), FAULT, state, node.count - moment.done)

        out = values.way_out(op, moment, leave)
        if op.code == "LOAD":
            values.known[op.result] = self._load(values.of(op.ins[0]), op, out)
        elif op.code == "STORE":
            what = values.of(op.ins[1])
            self._store(values.of(op.ins[0]), what, op.ins[1].size, out)
        else:
            cannot, values.quotients[op.ins[:2]] = cannot_divide(op, values.of, self.lines)
            self._unless(cannot, out)

    def _surely(self, op: Op, place: str, values: Values, moment: Moment) -> None:
        """Reach RAM where that was seen to be possible when the stretch began."""
        if op.code == "LOAD":
            kind = f"i{8 * op.result.size}"
            values.known[op.result] = self.lines.value(f"load {kind}, ptr {place}, align 1{IN_RAM}")
        else:
            what = f"i{8 * op.ins[1].size} {values.of(op.ins[1])}"
            self.lines.add(f"store {what}, ptr {place}, align 1{IN_RAM}")
            values.has_stored(moment)

    def _load(self, address: str, op: Op, out: str) -> str:
        lines, size, kind = self.lines, op.result.size, f"i{8 * op.result.size}"
        table = layout.WRITE_TLB if op.to_change else layout.READ_TLB
        what = size + layout.TO_CHANGE * op.to_change
        hit, miss, after = lines.name(), out, ""
        if self.way.asks:
            after = lines.name()
            with self.aside() as miss:
                asked = f"call preserve_mostcc i64 inttoptr (i64 {self.asks[0]} to ptr)"
                wide = lines.value(f"{asked}(i32 {address}, i32 {what})")
                come_from = self._unless(lines.value(f"icmp slt i64 {wide}, 0"), out)
                found = wide if size == 8 else lines.value(f"trunc i64 {wide} to {kind}")
                lines.add(f"br label %{after}")
        place = self.way.look(lines, address, size, hit, miss, table)
        value = lines.value(f"load {kind}, ptr {place}, align 1{IN_RAM}")
        if not after:
            return value
        lines.add(f"br label %{after}")
        lines.text.append(f"{after}:")
        return lines.value(f"phi {kind} [{value}, %{hit}], [{found}, %{come_from}]")

    def _store(self, address: str, value: str, size: int, out: str) -> None:
        lines, kind = self.lines, f"i{8 * size}"
        hit, miss, after = lines.name(), out, ""
        if self.way.asks:
            after = lines.name()
            with self.aside() as miss:
                wide = value if size == 8 else lines.value(f"zext {kind} {value} to i64")
                asked = f"call preserve_mostcc i32 inttoptr (i64 {self.asks[1]} to ptr)"
                refused = lines.value(f"{asked}(i32 {address}, i32 {size}, i64 {wide})")
                failed = lines.value(f"icmp ne i32 {refused}, 0")
                lines.add(f"br i1 {failed}, label %{out}, label %{after}{RARELY}")
        place = self.way.look(lines, address, size, hit, miss, layout.WRITE_TLB)
        lines.add(f"store {kind} {value}, ptr {place}, align 1{IN_RAM}")
        if after:
            lines.add(f"br label %{after}")
            lines.text.append(f"{after}:")


def _kind(var: Var) -> str:
    return f"i{8 * var.size}"
