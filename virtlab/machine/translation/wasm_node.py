"""The values of one node as WebAssembly: which get a local, which are computed where they are used.

A value that is used once is an expression within the one that uses it. So a node's code does not
follow the guest's instructions one by one; marks, for readers, say which instruction each part is
of (`virtlab.machine.translation.listing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virtlab.machine.pcode import CONST
from virtlab.machine.translation.wasm_code import constant, local_get, local_set
from virtlab.machine.translation.wasm_values import computed, times_used

if TYPE_CHECKING:
    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.lifting import Key, Node
    from virtlab.machine.translation.liveness import Needs

__all__ = ["Values"]

_DROP = b"\x1a"


class _Function(Protocol):
    """What a node has to know of the function that it is in."""

    needs: dict[Key, Needs]
    place: dict[Var, int]
    marks: bool

    def local_for(self, var: Var) -> int: ...


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
        needs = function.needs[node.key]
        for at in needs.hot:
            for var in node.ops[at].ins:
                self.uses[var] = self.uses.get(var, 0) + times_used(node.ops[at])
        later = [*needs.sets.values(), *node.ending]
        later += [value for moment in node.moments.values() for value in moment.values.values()]
        if needs.recipe is not None:
            later += needs.recipe.leaves
        for var in later:
            self.uses[var] = self.uses.get(var, 0) + 1

    def is_shared(self, op: Op) -> bool:
        """Return whether a value is used more than once."""
        return op.out is not None and self.uses.get(op.out, 0) > 1

    def keep(self, op: Op) -> bytes:
        """Compute a value into a local of its own."""
        code = computed(op, self.code)
        self.place[op.result] = self.function.local_for(op.result)
        return code + local_set(self.place[op.result])

    def code(self, var: Var) -> bytes:
        """Push a value."""
        if var.space == CONST:
            return constant(var.offset & (1 << 8 * var.size) - 1, var.size)
        if var in self.place:
            return local_get(self.place[var])
        return computed(self.made_by[var], self.code)

    def mark(self, at: int) -> bytes:
        """Say which instruction the operation at a place is of, if readers want to know."""
        return constant(self.node.address_of(at)) + _DROP if self.function.marks else b""

    def mark_of(self, var: Var) -> bytes:
        """Say which instruction made a value, if readers want to know."""
        if not self.function.marks or var not in self.made_by:
            return b""
        return self.mark(self.node.ops.index(self.made_by[var]))
