"""Flags that were put off, made where a function of the wasm tier is left (S18).

What runs next may read any flag, so all have to be there when a region is left for good. To compute
them wherever the way may lead out would be done in each turn of a loop, for the last one only. So
they are put off there too (`virtlab.machine.translation.liveness`), and on the way out the recipe
that is kept says what to make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST
from virtlab.machine.translation.wasm_code import constant, local_get, local_set
from virtlab.machine.translation.wasm_values import computed, times_used

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from virtlab.machine.pcode import Var
    from virtlab.machine.translation.liveness import Recipe

__all__ = ["made"]


def made(
    recipe: Recipe,
    keeps: Sequence[bytes],
    place: Mapping[Var, int],
    new: Callable[[Var], int],
) -> bytes:
    """Make the flags of a recipe.

    Parameters
    ----------
    recipe
        The recipe.
    keeps
        For each of its leaves code that pushes it.
    place
        Locals of flags.
    new
        Makes a local for a value.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> from virtlab.machine.translation.lifting import FLAG_CELLS
    >>> from virtlab.machine.translation.liveness import Recipe
    >>> zf, a, is_zero, zero = FLAG_CELLS[3], Var(2, -1, 4), Var(2, -2, 1), Var(CONST, 0, 4)
    >>> recipe = Recipe({zf: is_zero}, (a,), (Op("INT_EQUAL", is_zero, (a, zero)),))
    >>> made(recipe, [local_get(7)], {zf: 3}, lambda var: 9).hex()  # kept, 0, equal, keep as ZF
    '20074100462103'
    """
    known = dict(zip(recipe.leaves, keeps, strict=False))
    makes = {op.result: op for op in recipe.ops}
    used = [var for op in recipe.ops for var in op.ins * times_used(op)]
    used += recipe.cells.values()

    def code(var: Var) -> bytes:
        if var.space == CONST:
            return constant(var.offset & (1 << 8 * var.size) - 1, var.size)
        return known[var] if var in known else computed(makes[var], code)

    parts = []
    for op in recipe.ops:
        if used.count(op.result) > 1:
            value, local = computed(op, code), new(op.result)
            parts.append(value + local_set(local))
            known[op.result] = local_get(local)
    parts += [code(value) + local_set(place[cell]) for cell, value in recipe.cells.items()]
    return b"".join(parts)
