"""The values of one node as WebAssembly: which get a local, which are computed where they are used.

A value that is used once is an expression within the one that uses it. So a node's code does not
follow the guest's instructions one by one; marks, for readers, say which instruction each part is
of (`virtlab.machine.translation.listing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from virtlab.machine.pcode import CONST, PORTS
from virtlab.machine.translation.lifting import Moment
from virtlab.machine.translation.regions import FAULTING
from virtlab.machine.translation.wasm_code import I32, I64, constant, local_get, local_set
from virtlab.machine.translation.wasm_values import computed, from_quotient, quotient, times_used

if TYPE_CHECKING:
    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.lifting import Key, Node
    from virtlab.machine.translation.liveness import Needs

__all__ = ["Part", "Values", "parts_of"]

_DROP = b"\x1a"
_DEEPEST = 30
_DIVISIONS = frozenset({"INT_DIV", "INT_SDIV", "INT_REM", "INT_SREM"})


class Part(NamedTuple):
    """Operations of a node that go back to the same moment if one of them faults.

    Attributes
    ----------
    first, last
        Places of the first and the last that may.
    moment
        What they go back to.
    """

    first: int
    last: int
    moment: Moment


def parts_of(node: Node) -> list[Part]:
    """Divide what may fault in a node, so that few ways back are needed.

    Going back further than to the instruction that faults does no harm, since the interpreter does
    what is between once more, as long as nothing has been stored there: what was loaded before
    could be read differently then. So a part ends with a store.

    Parameters
    ----------
    node
        The node.

    Returns
    -------
    list
        In order.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Node
    >>> parts_of(Node((0, 0)))
    []
    """
    places = [at for at, op in enumerate(node.ops) if op.code in FAULTING]
    stores = {id(node.moments[at]): at for at in reversed(places) if node.ops[at].code == "STORE"}
    # Instructions that store, and may fault after that: they are a part of their own.
    alone = {
        key
        for key, at in stores.items()
        if any(k > at and id(node.moments[k]) == key for k in places)
    }
    # So are those that ask a port: where they leave, code is entered behind them.
    alone |= {id(node.moments[at]) for at in places if node.ops[at].segment == PORTS}
    found: list[Part] = []
    stored = 0
    for at in places:
        moment = node.moments[at]
        key = id(moment)
        if not found and key not in alone and node.key[1] == 0:
            moment = Moment(node.key[0], 0, {})
        ends = stored not in (0, key) or (
            key in alone and found[-1:] and key != id(found[-1].moment)
        )
        if not found or ends:
            found.append(Part(at, at, moment))
            stored = 0
        found[-1] = found[-1]._replace(last=at)
        if node.ops[at].code == "STORE":
            stored = key
    return found


class _Function(Protocol):
    """What a node has to know of the function that it is in."""

    needs: dict[Key, Needs]
    place: dict[Var, int]
    marks: bool

    def local_for(self, var: Var) -> int: ...

    def local(self, kind: int) -> int: ...


class Values:
    """Pushes the values of one node.

    Parameters
    ----------
    function
        Has the locals.
    node
        Which node.

    Attributes
    ----------
    place
        Values that have a local, and its number.

    Examples
    --------
    See `virtlab.machine.translation.wasm.WasmFunction`, which makes one for each node.
    """

    def __init__(self, function: _Function, node: Node) -> None:
        self.function, self.node = function, node
        self.place = dict(function.place)
        self.made_by = {op.out: op for op in node.ops if op.out is not None}
        self.uses: dict[Var, int] = {}
        self.parts = parts_of(node)
        self.quotients: dict[tuple[Var, ...], int] = {}
        self.depth: dict[Var, int] = {}  # of what has no local
        needs = function.needs[node.key]
        for at in needs.hot:
            for var in node.ops[at].ins:
                self.uses[var] = self.uses.get(var, 0) + times_used(node.ops[at])
        later = [*needs.sets.values(), *node.ending]
        later += [value for part in self.parts for value in part.moment.values.values()]
        if needs.recipe is not None:
            later += needs.recipe.leaves
        for var in later:
            self.uses[var] = self.uses.get(var, 0) + 1

    def is_shared(self, op: Op) -> bool:
        """Return whether a value is used more than once, or is made of too much to be written once.

        Flags of one shift after the other are made of one another: hundreds of operations.
        """
        if op.out is None:
            return False
        deep = 1 + max((self.depth.get(var, 0) for var in op.ins), default=0)
        found = self.uses.get(op.out, 0) > 1 or deep > _DEEPEST
        self.depth[op.out] = 0 if found else deep
        return found

    def keep(self, op: Op) -> bytes:
        """Compute a value into a local of its own."""
        code = self._made(op)
        self.place[op.result] = self.function.local_for(op.result)
        return code + local_set(self.place[op.result])

    def code(self, var: Var) -> bytes:
        """Push a value."""
        if var.space == CONST:
            return constant(var.offset & (1 << 8 * var.size) - 1, var.size)
        if var in self.place:
            return local_get(self.place[var])
        return self._made(self.made_by[var])

    def _made(self, op: Op) -> bytes:
        if op.code in _DIVISIONS and op.ins in self.quotients:
            return from_quotient(op, self.code, self.quotients[op.ins])
        return computed(op, self.code)

    def divide(self, op: Op) -> bytes:
        """Compute a quotient that is needed after this, or branch out if there is none."""
        kept = self.function.local(I64 if op.ins[0].size == 8 else I32)
        self.quotients[op.ins[:2]] = kept
        return quotient(op, self.code, kept)

    def mark(self, at: int) -> bytes:
        """Say which instruction the operation at a place is of, if readers want to know."""
        return constant(self.node.address_of(at)) + _DROP if self.function.marks else b""

    def mark_of(self, var: Var) -> bytes:
        """Say which instruction made a value, if readers want to know."""
        if not self.function.marks or var not in self.made_by:
            return b""
        return self.mark(self.node.ops.index(self.made_by[var]))
