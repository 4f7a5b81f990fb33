"""The wasm tier: a region as one function of WebAssembly (S18).

Cells are locals (`virtlab.machine.translation.wasm_edges`). A value that is used once is computed
where it is used; others get a local. Each node first takes its instructions from what is **left**,
or leaves if that is too little: so an interrupt of the timer comes after exactly as many
instructions as in the interpreter.

Memory is reached through a software TLB, or directly (`virtlab.machine.translation.wasm_memory`).
What that cannot do asks the VMM, which looks in the guest's page tables. If it cannot be done, the
function is left at the start of that instruction, and the interpreter does it again, fault and all.

It returns why: `DONE` (go on at EIP), `FAULT` (let the interpreter do one), `EMPTY` (nothing left).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.memory import PAGE
from virtlab.machine.pcode import PORTS
from virtlab.machine.translation import layout
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.lifting import FLAG_CELLS, Branch, Indirect, Jump, Leave
from virtlab.machine.translation.liveness import waiting
from virtlab.machine.translation.regions import FAULTING
from virtlab.machine.translation.tiers import DONE, EMPTY, FAULT, Purpose
from virtlab.machine.translation.wasm_code import (
    I32,
    I64,
    block_of,
    constant,
    local_get,
    local_set,
    module,
    unsigned_leb,
)
from virtlab.machine.translation.wasm_edges import Edges
from virtlab.machine.translation.wasm_memory import Paged, load_code, store_code
from virtlab.machine.translation.wasm_node import Values
from virtlab.machine.translation.wasm_values import (
    ELSE,
    END,
    operator,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from virtlab.machine.pcode import Op
    from virtlab.machine.translation.lifting import Graph, Key, Moment, Node
    from virtlab.machine.translation.liveness import Needs, Recipe
    from virtlab.machine.translation.wasm_memory import Way

    Go = Callable[[Key, int], bytes]

__all__ = ["FUNCTIONS", "MEMORY", "TABLE", "WasmFunction", "wasm_module"]

_BR, _BR_TABLE = b"\x0c", b"\x0e"
_PORT_LOAD, _PORT_STORE = b"\x2f\x00", b"\x36\x00"  # 16 and 32 bits
_UNREACHABLE = b"\x00"
_REGION, _ASKED = ((), (I32,)), [((I32, I32), (I64,)), ((I32, I32, I64), (I32,))]
_ASK = [("load", b"\x00\x01"), ("store", b"\x00\x02")]
MEMORY = ("memory", b"\x02\x03\x01" + unsigned_leb(65536))  # to be shared between stores
_FEW = 3  # sites that are tried one after another
FUNCTIONS = 8192  # of the table, that of all; a known size saves a check
TABLE = (
    "table",
    b"\x01\x70\x01" + unsigned_leb(FUNCTIONS) * 2,
)


def wasm_module(functions: Iterable[WasmFunction]) -> bytes:
    """Put functions into a module.

    Parameters
    ----------
    functions
        Of regions.

    Returns
    -------
    bytes
        It wants 'memory' of the VMM, and 'load' and 'store' before if it asks.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> wasm_module([WasmFunction(graph, needs(graph), (0, 0))])[1:4]
    b'asm'
    """
    functions = list(functions)
    bodies = [(function.locals, function.code) for function in functions]
    if any(function.way.asks for function in functions):
        return module([_REGION, *_ASKED], [*_ASK, MEMORY], bodies, of_type=0, first=2)
    return module([_REGION], [MEMORY], bodies, of_type=0, first=0)


class WasmFunction(Edges):
    """One region.

    Parameters
    ----------
    graph, needs
        Of the region.
    start
        Where it is entered.
    first_recipe
        Number of its first recipe, from 1.
    way
        To RAM; through a TLB if not given.
    exits
        As `virtlab.machine.translation.wasm_edges.Edges` takes them; none if not given.
    purpose
        What it will be run for, for its host to know.
    marks
        Whether the code says which instruction each part is of, for readers: by pushing the
        instruction's address and dropping it.

    Attributes
    ----------
    code, locals
        The function's body, and the types of its locals.
    recipes
        For flags that it does not compute, in the order of their numbers.
    page
        Linear page that it is made from.

    Examples
    --------
    See `wasm_module`.
    """

    def __init__(
        self,
        graph: Graph,
        needs: dict[Key, Needs],
        start: Key,
        first_recipe: int = 1,
        way: Way | None = None,
        *,
        exits: Mapping[int, int] | None = None,
        purpose: Purpose | None = None,
        marks: bool = False,
    ) -> None:
        recipes = [need.recipe for need in needs.values() if need.recipe is not None]
        super().__init__(graph, recipes, exits or {})
        self.graph, self.needs, self.marks = graph, needs, marks
        self.first_recipe, self.way = first_recipe, way or Paged()
        self.purpose, self.page = purpose or Purpose(), start[0] // PAGE
        self.shape = Shape(graph, start)
        self.condition, self.target, self.next = (self.local(I32) for _ in range(3))
        around: list[tuple[str, Key | None]] = [("flags", None), ("exit", None)]
        inner = self._tree(start, around) if self.shape.nests else self._switch()
        inner = block_of("block") + inner + _UNREACHABLE + END + self.flags(self._put_off())
        self.code = self.enter() + block_of("block") + inner + END + self.exit()

    def _put_off(self) -> dict[int, Recipe]:
        """Return which recipes may be kept where the region is left for good."""
        found = waiting(self.graph, self.needs, [self.shape.start])
        ends = (key for key, node in self.graph.items() if isinstance(node.end, Leave | Indirect))
        kept = set().union(*(found[key] for key in ends))
        return {n: one for n, one in enumerate(self.recipes, self.first_recipe) if id(one) in kept}

    # --- a node -----------------------------------------------------------------------------------

    def _node(self, node: Node, depth: int) -> bytes:
        """Code of a node, without its end; it is so many blocks within the outermost."""
        needs = self.needs[node.key]
        values = Values(self, node)
        begin = {part.first for part in values.parts}
        end = {part.last: part for part in values.parts}
        parts = [values.mark(0), self._count(node, depth)]
        for at, op in enumerate(node.ops):
            if at in begin:  # a way back, and around it
                parts.append(block_of("block") + block_of("block"))
            if op.code in FAULTING:
                parts += values.mark(at), self._risky(op, values)
            elif at in needs.hot and values.is_shared(op):
                parts += values.mark(at), values.keep(op)
            if at in end:
                back = self._back(node, end[at].moment, values, depth + 1)
                parts.append(_BR + b"\x01" + END + back + END)
        parts.append(values.mark(len(node.ops)))
        if isinstance(node.end, Branch):
            parts.append(values.code(node.end.condition) + local_set(self.condition))
        if isinstance(node.end, Indirect):
            parts.append(values.code(node.end.target) + local_set(self.target))
        # All at once: one cell's new value may be another's old one.
        targets = [self.place[cell] for cell in needs.sets]
        parts += [values.mark_of(value) + values.code(value) for value in needs.sets.values()]
        if self.recipes and any(cell in node.sets for cell in FLAG_CELLS):
            leaves = () if needs.recipe is None else needs.recipe.leaves
            parts += [self.keep(k, leaf, values.code(leaf)) for k, leaf in enumerate(leaves)]
            parts.append(constant(self._number(needs.recipe)))
            targets += [*self.keeps[: len(leaves)], self.recipe]
        parts += [local_set(target) for target in reversed(targets)]
        return b"".join([*parts, values.mark(len(node.ops))])

    def _back(self, node: Node, moment: Moment, values: Values, depth: int) -> bytes:
        """Go back to a moment of a node, and leave."""
        cells = list(moment.values)
        code = b"".join(values.code(moment.values[cell]) for cell in cells)
        code += b"".join(local_set(self.place[cell]) for cell in reversed(cells))
        if back := node.count - moment.done:
            code += local_get(self.left) + constant(back) + operator("add", 4)
            code += local_set(self.left)
        if self.recipes:
            real = sum(1 << k for k, cell in enumerate(FLAG_CELLS) if cell in cells)
            code += constant(real) + local_set(self.real)
        return code + self.leave(moment.address, FAULT, depth)

    def _number(self, recipe: Recipe | None) -> int:
        if recipe is None:
            return 0
        return self.first_recipe + next(k for k, r in enumerate(self.recipes) if r is recipe)

    def _count(self, node: Node, depth: int) -> bytes:
        if not node.count:
            return b""
        code = b""
        if node.key[1] == 0:
            too_few = local_get(self.left) + constant(node.count) + operator("lt_s", 4)
            leave = self.leave(node.key[0], EMPTY, depth + 1)
            code = too_few + block_of("if") + leave + END
        fewer = local_get(self.left) + constant(node.count) + operator("sub", 4)
        return code + fewer + local_set(self.left)

    def _risky(self, op: Op, values: Values) -> bytes:
        """Do something that may fault; if so, branch out of the block around."""
        if op.segment == PORTS:
            return self._port(op, values)
        if op.code == "LOAD":
            where, size = values.code(op.ins[0]), op.result.size
            result = values.place[op.result] = self.local_for(op.result)
            return load_code(
                self.way, where, size, result, self.wide, self.local, to_change=op.to_change
            )
        if op.code == "STORE":
            where, value = (values.code(var) for var in op.ins)
            size, kept = op.ins[1].size, self.local_for(op.ins[1])
            return store_code(self.way, where, size, value, kept, self.local)
        return values.divide(op)

    def _port(self, op: Op, values: Values) -> bytes:
        """Reach a table of ports: an index is never beyond its end."""
        index = values.code(op.ins[0])
        if op.code == "LOAD":
            result = values.place[op.result] = self.local_for(op.result)
            at = index + constant(1) + operator("shl", 4)
            return at + _PORT_LOAD + unsigned_leb(layout.PORT_MAP) + local_set(result)
        at = index + constant(layout.RING_SIZE - 1) + operator("and", 4)
        at += constant(2) + operator("shl", 4)
        return at + values.code(op.ins[1]) + _PORT_STORE + unsigned_leb(layout.RING)

    # --- the graph --------------------------------------------------------------------------------

    def _tree(self, key: Key, around: list[tuple[str, Key | None]]) -> bytes:
        """Return the code of a node and all that it dominates."""
        after = [child for child in self.shape.children[key] if child in self.shape.merges]
        if key in self.shape.loops:
            return block_of("loop") + self._within(key, after, [("loop", key), *around]) + END
        return self._within(key, after, around)

    def _within(self, key: Key, after: list[Key], around: list[tuple[str, Key | None]]) -> bytes:
        if after:
            last = max(after, key=self.shape.number.__getitem__)
            rest = [child for child in after if child != last]
            inner = self._within(key, rest, [("block", last), *around])
            return block_of("block") + inner + END + self._tree(last, around)

        def go(to: Key, depth: int) -> bytes:
            inside = [("if", None)] * depth + around
            if self.shape.goes_back(key, to):
                return _BR + unsigned_leb(inside.index(("loop", to)))
            if to in self.shape.merges:
                return _BR + unsigned_leb(inside.index(("block", to)))
            return self._tree(to, inside)

        return self._node(self.graph[key], len(around) - 2) + self._end(
            self.graph[key], go, len(around) - 2
        )

    def _switch(self) -> bytes:
        """All nodes in one loop around a table, for a graph that is not reducible."""
        order, number = self.shape.order, self.shape.number
        code = block_of("loop") + block_of("block") * (len(order) + 1)
        table = [unsigned_leb(1 + at) for at in range(len(order))]
        code += local_get(self.next) + _BR_TABLE + unsigned_leb(len(table)) + b"".join(table)
        code += unsigned_leb(1) + END
        for at, key in enumerate(order):
            outside = len(order) - 1 - at

            def go(to: Key, depth: int, outside: int = outside) -> bytes:
                choose = constant(number[to]) + local_set(self.next)
                return choose + _BR + unsigned_leb(outside + depth)

            code += END + self._node(self.graph[key], outside + 1)
            code += self._end(self.graph[key], go, outside + 1)
        return code + END

    def _end(self, node: Node, go: Go, depth: int) -> bytes:
        """Code of a node's end; `go` goes to a node from within so many ifs."""
        end = node.end
        if isinstance(end, Jump):
            return go(end.to, 0)
        if isinstance(end, Branch):
            begin = local_get(self.condition) + block_of("if")
            return begin + go(end.yes, 1) + ELSE + go(end.no, 1) + END
        if isinstance(end, Leave):
            return self.leave(end.address, DONE, depth)
        code = self._choose(sorted(end.sites), go, 0)
        return code + self.leave(local_get(self.target), DONE, depth)

    def _choose(self, sites: list[Key], go: Go, depth: int) -> bytes:
        """Go to the site that is the target, found by halves if there are many; or go on."""
        if len(sites) > _FEW:
            half = len(sites) // 2
            code = local_get(self.target) + constant(sites[half][0]) + operator("lt_u", 4)
            code += block_of("if") + self._choose(sites[:half], go, depth + 1)
            return code + ELSE + self._choose(sites[half:], go, depth + 1) + END
        code = b""
        for site in sites:
            is_it = local_get(self.target) + constant(site[0]) + operator("eq", 4)
            code += is_it + block_of("if") + go(site, depth + 1) + END
        return code
