"""Flags that were put off, made where a function of Python is left for good (S18).

A loop that compares and jumps back sets six flags in each turn, and of these only the last turn's
are ever asked for. So a turn only keeps a recipe (`virtlab.machine.translation.liveness`), and
where the region is left the flags are made:

    recipe = 1, eax
    if eax != 0x1f40:
        continue
    _, kept_1 = recipe
    zf = kept_1 == 0x1f40

Going through the graph shows which recipes can be the last one there. Mostly that is one; if they
are several, the recipe's number is asked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST
from virtlab.machine.translation.lifting import FLAG_CELLS
from virtlab.machine.translation.liveness import waiting
from virtlab.machine.translation.python_conditions import Conditions
from virtlab.machine.translation.python_node import name_of
from virtlab.machine.translation.python_values import REPEATS, expression, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs, Recipe

__all__ = ["Exits", "flag_lines"]

_FLAG_NAMES = frozenset(name_of(cell) for cell in FLAG_CELLS)


def flag_lines(recipe: Recipe, names: Sequence[str]) -> list[str]:
    """Write how flags are made of what was kept for them.

    Parameters
    ----------
    recipe
        Which flags.
    names
        A name or a number for each of its leaves, none of them a flag's.

    Returns
    -------
    list of str
        Lines of Python.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> from virtlab.machine.translation.liveness import Recipe
    >>> a, zero = Var(2, -1, 4), Var(CONST, 0, 4)
    >>> is_zero = Op("INT_EQUAL", Var(2, -2, 1), (a, zero))
    >>> flag_lines(Recipe({FLAG_CELLS[3]: Var(2, -2, 1)}, (a,), (is_zero,)), ["eax"])
    ['zf = eax == 0']
    """
    return _Maker(recipe, names).lines


class _Maker:
    def __init__(self, recipe: Recipe, names: Sequence[str]) -> None:
        conditions = Conditions(recipe.ops, ())
        self.ops = {op.out: conditions.meant(op) for op in recipe.ops if op.out is not None}
        self.names = dict(zip(recipe.leaves, names, strict=True))
        self.lines: list[str] = []
        wanted = Counter(recipe.cells.values())
        for op in reversed(self.ops.values()):
            if wanted[op.result] and op.out not in self.names:
                for var in op.ins:
                    wanted[var] += 2 if op.code in REPEATS else 1
        for op in list(self.ops.values()):
            if wanted[op.result] > 1 and op.out not in self.names:
                name = f"made_{1 + len(self.lines)}"
                self.lines.append(f"{name} = {expression(op, self.words, self.inner)}")
                self.names[op.result] = name
        made = {name_of(cell): self.words(value) for cell, value in recipe.cells.items()}
        self.lines += [f"{name} = {words}" for name, words in made.items()]

    def words(self, var: Var) -> str:
        if var.space == CONST:
            return number(var.offset & (1 << 8 * var.size) - 1)
        if var in self.names:
            return self.names[var]
        return expression(self.ops[var], self.words, self.inner)

    def inner(self, var: Var) -> Op | None:
        return None if var in self.names else self.ops.get(var)


class Exits:
    """Writes what is to be done where a function is left.

    Parameters
    ----------
    graph, needs, start
        Of the region.
    recipes
        All of its recipes, in the order of their numbers.

    Attributes
    ----------
    kept
        By key of a node that leaves the region itself: words for the leaves of its recipe.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> Exits(graph, needs(graph), (0, 0), []).lines((0, 0))
    []
    """

    def __init__(
        self, graph: Graph, needs: Mapping[Key, Needs], start: Key, recipes: Sequence[Recipe]
    ) -> None:
        self.recipes = recipes
        self.numbers = {0: 0, **{id(recipe): 1 + at for at, recipe in enumerate(recipes)}}
        self.last = waiting(graph, needs, [start]) if recipes else {}
        self.kept: dict[Key, tuple[str, ...]] = {}

    def lines(self, key: Key) -> list[str]:
        """Return what makes flags that were put off.

        Parameters
        ----------
        key
            Of the node that leaves.

        Returns
        -------
        list of str
            Lines of Python.

        Examples
        --------
        See the class.
        """
        last = sorted(self.numbers[which] for which in self.last.get(key, ()))
        if not last or last == [0]:
            return []
        if key in self.kept:
            return self._of_words(last[0], self.kept[key])
        if len(last) == 1:
            return self._of_recipe(last[0])
        found: list[str] = []
        for at, which in enumerate(which for which in last if which):
            found.append(f"{'elif' if at else 'if'} recipe[0] == {which}:")
            found += [f"    {line}" for line in self._of_recipe(which)]
        return found

    def _of_recipe(self, which: int) -> list[str]:
        recipe = self.recipes[which - 1]
        names = [f"kept_{at}" for at in range(1, 1 + len(recipe.leaves))]
        first = [f"_, {', '.join(names)} = recipe"] if names else []
        return [*first, *flag_lines(recipe, names)]

    def _of_words(self, which: int, words: Sequence[str]) -> list[str]:
        """Take the words themselves, but for those that would change or be computed twice."""
        names, first = [], []
        for at, each in enumerate(words, start=1):
            plain = each.isidentifier() or each.isdecimal() or each.startswith("0x")
            if plain and each not in _FLAG_NAMES:
                names.append(each)
            else:
                first.append(f"kept_{at} = {each}")
                names.append(f"kept_{at}")
        return [*first, *flag_lines(self.recipes[which - 1], names)]
