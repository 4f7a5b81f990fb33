"""What flags say after a comparison, as the comparison (S18).

A conditional jump reads flags, each of which says a part of how two numbers compare: that SF and OF
differ means that the first is less, both taken as signed. To compute flags only to put them
together again would be slow, and hard to read; so what they mean is written instead.

Source: Intel SDM, volume 1, appendix B ("EFLAGS condition codes").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from virtlab.machine.pcode import Op, Var

    Meaning = tuple[str, tuple[Var, ...]]

__all__ = ["Conditions"]

# Operation, and what its two parts say: which comparison it is, and whether the other way round.
_TOGETHER = {
    ("INT_NOTEQUAL", "overflow", "sign"): ("INT_SLESS", False),
    ("INT_EQUAL", "overflow", "sign"): ("INT_SLESSEQUAL", True),
    ("BOOL_OR", "below", "same"): ("INT_LESSEQUAL", False),
    ("BOOL_OR", "less", "same"): ("INT_SLESSEQUAL", False),
    ("BOOL_AND", "not less", "not same"): ("INT_SLESS", True),
}
_MEANT = frozenset(code for code, *_ in _TOGETHER)  # all that can mean a comparison
_NOTHING: Meaning = ("", ())


class Conditions:
    """Finds comparisons in a node.

    Parameters
    ----------
    ops
        Of the node.
    kept
        Values that a register holds: to compare these with zero needs no other number.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> a, b, zero = Var(1, 0, 4), Var(1, 4, 4), Var(CONST, 0, 4)
    >>> less, sign, over = (Var(2, -k, 1) for k in (2, 3, 4))
    >>> minus = Op("INT_SUB", Var(2, -1, 4), (a, b))
    >>> ops = [minus, Op("INT_SLESS", sign, (minus.result, zero)), Op("INT_SBORROW", over, (a, b))]
    >>> str(Conditions(ops, ()).meant(Op("INT_NOTEQUAL", less, (over, sign))))
    't-2 = INT_SLESS EAX, ECX'
    """

    def __init__(self, ops: Sequence[Op], kept: Collection[Var]) -> None:
        self.made_by = {op.out: op for op in ops if op.out is not None}
        self.kept = kept

    def meant(self, op: Op) -> Op:
        """Return what an operation means.

        Parameters
        ----------
        op
            Of the node.

        Returns
        -------
        Op
            A comparison, with the same result; the operation itself if it is none.

        Examples
        --------
        See the class.
        """
        if op.code not in _MEANT:
            return op
        (one, pair), (other, same_pair) = (self._says(var) for var in op.ins)
        found = _TOGETHER.get((op.code, min(one, other), max(one, other)))
        if found is not None and pair == same_pair:
            return op._replace(code=found[0], ins=pair[::-1] if found[1] else pair)
        difference = self.made_by.get(op.ins[0])
        if op.code not in ("INT_EQUAL", "INT_NOTEQUAL") or not _is_zero(op.ins[1]):
            return op
        if difference is None or difference.code != "INT_SUB" or difference.out in self.kept:
            return op
        return op._replace(ins=difference.ins)

    def _says(self, var: Var) -> Meaning:
        """Return what a flag says of two numbers that were subtracted, and these."""
        op = self.made_by.get(var)
        if op is None:
            return _NOTHING
        if op.code in ("INT_LESS", "INT_SBORROW"):
            return "below" if op.code == "INT_LESS" else "overflow", op.ins
        if op.code == "BOOL_NEGATE":
            what, pair = self._says(op.ins[0])
            return (f"not {what}", pair) if what == "same" else _NOTHING
        difference = self.made_by.get(op.ins[0])
        if difference is not None and difference.code == "INT_SUB" and _is_zero(op.ins[-1]):
            what = {"INT_EQUAL": "same", "INT_SLESS": "sign"}.get(op.code, "")
            return (what, difference.ins) if what else _NOTHING
        return self._together(op)

    def _together(self, op: Op) -> Meaning:
        if op.code not in ("INT_EQUAL", "INT_NOTEQUAL"):
            return _NOTHING
        (one, pair), (other, same_pair) = (self._says(part) for part in op.ins)
        if {one, other} != {"sign", "overflow"} or pair != same_pair:
            return _NOTHING
        return "less" if op.code == "INT_NOTEQUAL" else "not less", pair


def _is_zero(var: Var) -> bool:
    return var.space == CONST and var.offset == 0
