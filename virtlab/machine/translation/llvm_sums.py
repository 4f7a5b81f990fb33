"""Numbers that a node computes, as sums of registers and a constant (S18).

Each is followed through additions, subtractions, and products with constants: what it is then is a
sum of registers as they were where the following began, each so many times, and a constant. What is
computed otherwise, or read from memory, is not known.

Source: Gupta, "Optimizing Array Bound Checks Using Flow Analysis" (LOPLAS 1993).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.pcode import CONST, PORTS, REGISTER
from virtlab.machine.translation.lifting import is_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.lifting import Node

    Terms = tuple[tuple[Var, int], ...]
    Known = dict[Var, "Sum | None"]

__all__ = ["Sum", "followed"]

_MASK = 0xFFFFFFFF


class Sum(NamedTuple):
    """A number of 32 bits: registers, each so many times, and a constant.

    Attributes
    ----------
    terms
        (register, how many times), in order.
    constant
        What is added.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import CELLS
    >>> Sum.of(CELLS[0]).plus(Sum((), 4)).times(2)
    Sum(terms=((Var(space=1, offset=0, size=4), 2),), constant=8)
    """

    terms: Terms
    constant: int

    @classmethod
    def of(cls, register: Var) -> Sum:
        """Return a register as it is."""
        return cls(((register, 1),), 0)

    def plus(self, other: Sum, times: int = 1) -> Sum:
        """Add another, so many times."""
        terms = dict(self.terms)
        for register, factor in other.terms:
            terms[register] = terms.get(register, 0) + times * factor & _MASK
        left = tuple(sorted((register, factor) for register, factor in terms.items() if factor))
        return Sum(left, self.constant + times * other.constant & _MASK)

    def times(self, factor: int) -> Sum:
        """Multiply."""
        return Sum((), 0).plus(self, factor)


def followed(node: Node, known: Known) -> Iterator[tuple[int, Sum]]:
    """Follow numbers through a node, change what is known; give accesses with known addresses.

    Parameters
    ----------
    node
        Which.
    known
        What cells are where it begins; where it ends, once all was given.

    Yields
    ------
    int
        Place of a LOAD or STORE in the node's operations.
    Sum
        Its address.

    Examples
    --------
    >>> from virtlab.machine.pcode import CONST, Op, Var
    >>> from virtlab.machine.translation.lifting import CELLS, Node
    >>> place, four = Var(2, -1, 4), Var(CONST, 4, 4)
    >>> ops = [Op("INT_ADD", place, (CELLS[4], four)), Op("LOAD", Var(2, -2, 4), (place,))]
    >>> [(at, address.constant) for at, address in followed(Node((0, 0), ops), {})]
    [(1, 4)]
    """
    made: Known = {}

    def of(var: Var) -> Sum | None:
        if var.size != 4:  # bytes of an address
            return None
        if var.space == CONST:
            return Sum((), var.offset & _MASK)
        if is_cell(var):
            return known.get(var, Sum.of(var) if var.space == REGISTER else None)
        return made.get(var)

    for at, op in enumerate(node.ops):
        if op.code in ("LOAD", "STORE"):
            address = of(op.ins[0]) if op.segment != PORTS else None
            if address is not None:
                yield at, address
        elif op.out is not None:
            made[op.out] = _computed(op, of)
    known.update({cell: of(value) for cell, value in node.sets.items() if cell.space == REGISTER})


def _computed(op: Op, of: Callable[[Var], Sum | None]) -> Sum | None:
    if op.code not in ("COPY", "INT_ADD", "INT_SUB", "INT_MULT"):
        return None
    ins = [found for var in op.ins if (found := of(var)) is not None]
    if len(ins) < len(op.ins):
        return None
    if op.code == "COPY":
        return ins[0]
    a, b = ins
    if op.code != "INT_MULT":
        return a.plus(b, 1 if op.code == "INT_ADD" else -1)
    if a.terms and b.terms:
        return None
    return a.times(b.constant) if a.terms else b.times(a.constant)
