"""Which values of a node get a name in Python, and which are written where they are used (S18).

Going back through a node shows when each value is used. One that is used once is written there; one
that a register holds after its instruction has that register's name; others get their own.
What is read from memory may only wait for its use if nothing else comes between that may fault.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST
from virtlab.machine.translation.lifting import CELLS, FLAG_CELLS, Moment, is_cell
from virtlab.machine.translation.python_conditions import Conditions
from virtlab.machine.translation.python_values import REPEATS

if TYPE_CHECKING:
    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.lifting import Node
    from virtlab.machine.translation.liveness import Needs

__all__ = ["NodePlan"]

_CARRIES_ON = frozenset({"COPY", "INT_ZEXT"})  # no work: written where they are used


class NodePlan:
    """What becomes of each operation of a node.

    Parameters
    ----------
    node, needs
        The node.
    recipe
        Number of its recipe; 0 if all flags that it sets are there; None if its region has none.

    Attributes
    ----------
    parts
        For each instruction: its first operation, what was so before it, and its words.
    changes
        For each instruction: the registers and flags that it changes, and their values.
    modes
        For each operation that is needed: 'stands', 'name', 'cell' or 'inline'.
    first_to_change
        For an instruction: the register that has to be changed before others, because memory is
        read for it.
    last
        When each value is needed last, as a place in the node's operations.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> from virtlab.machine.translation.lifting import Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> total = Var(2, -1, 4)
    >>> add = Op("INT_ADD", total, (CELLS[0], CELLS[1]))
    >>> node = Node((0x1000, 0), [add], sets={CELLS[0]: total})
    >>> NodePlan(node, needs({node.key: node})[node.key], None).modes
    {0: 'cell'}
    """

    def __init__(self, node: Node, needs: Needs, recipe: int | None) -> None:
        self.node, self.needs, self.ops = node, needs, node.ops
        self.made_by = {op.out: at for at, op in enumerate(node.ops) if op.out is not None}
        self._cut()
        conditions = Conditions(node.ops, self.assigned)
        self.ops = [conditions.meant(op) for op in node.ops]
        self.recalled = self._recalled()
        self.times: defaultdict[Var, list[float]] = defaultdict(list)
        self.modes: dict[int, str] = {}
        self.first_to_change: dict[int, Var] = {}
        self._plan(recipe)

    def _cut(self) -> None:
        """Find where instructions begin, and what each changes at its end."""
        node = self.node
        parts = [(at, moment, str(it)) for at, moment, it in node.instructions]
        if not parts or parts[0][0] > 0:
            parts.insert(0, (0, Moment(node.key[0], -1, {}), ""))
        self.parts, self.first = parts, [at for at, _, _ in parts]
        self.first_at = [*self.first[1:], len(self.ops)]
        after = [moment.values for _, moment, _ in parts[1:]] + [node.sets]
        self.changes: list[dict[Var, Var]] = []
        for (_, moment, _), values in zip(parts, after, strict=True):
            new = {c: v for c, v in values.items() if c in CELLS and moment.values.get(c) != v}
            self.changes.append({c: v for c, v in new.items() if self._is_wanted(c, v)})
        self.assigned = {
            value: (part, cell)
            for part, changes in reversed(list(enumerate(self.changes)))
            for cell, value in changes.items()
        }

    def _is_wanted(self, cell: Var, value: Var) -> bool:
        if cell in FLAG_CELLS:
            return self.needs.sets.get(cell) == value
        at = self.made_by.get(value)
        return at is None or at in self.needs.hot

    def part_of(self, at: float) -> int:
        """Return which instruction an operation is of."""
        return bisect_right(self.first, at) - 1

    def _end(self, part: int) -> float:
        return self.first_at[part] - 0.5

    def _plan(self, recipe: int | None) -> None:
        """Find when each value is used, and so which need a name, going back."""
        over = float(len(self.ops))
        for part, changes in enumerate(self.changes):
            for value in changes.values():
                self.times[value].append(self._end(part))
        later = [*self.node.ending]
        later += [v for c, v in self.needs.sets.items() if c not in CELLS]
        if recipe and self.needs.recipe is not None:
            later += self.needs.recipe.leaves
        for value in later:
            self.times[value].append(over)
        for at in sorted(self.needs.hot, reverse=True):
            op = self.ops[at]
            self.modes[at] = mode = self._mode(at, op)
            when = self.times[op.result] if mode == "inline" and op.out else [float(at)]
            if mode == "cell":
                when = [self._end(self.part_of(at))]
            for var in op.ins:
                self.times[var] += when * (2 if op.code in REPEATS else 1)
        self.last = {var: max(times) for var, times in self.times.items() if times}
        for at, moment in self.node.moments.items():
            for value in moment.values.values():
                self._recall(value, at)

    def _mode(self, at: int, op: Op) -> str:
        """Decide: 'stands' by itself, gets a 'name', is a 'cell', or is written 'inline'."""
        if op.out is None:
            return "stands"
        times, part = self.times[op.out], self.part_of(at)
        end = self._end(part)
        is_cell_at_end = self.assigned.get(op.out, (-1,))[0] == part
        if op.code == "LOAD":
            return "inline" if self._may_wait(at, op.out, part, end) else "name"
        if op.code in _CARRIES_ON and not is_cell_at_end:
            return "inline"
        if is_cell_at_end and min(times) >= end:
            return "cell"
        if len(times) <= 1 and (not times or times[0] <= end or self._keeps(op, part, times[0])):
            return "inline"
        return "name"

    def _may_wait(self, at: int, value: Var, part: int, end: float) -> bool:
        """Return whether memory may be read only where the value is used: nothing comes between."""
        times = self.times[value]
        if len(times) != 1 or times[0] > end or value in self.recalled:
            return False
        if any(at < k < times[0] for k in self.node.moments):
            return False
        if times[0] < end:
            return True
        # It is a part of a register's new value: that has to come before all others.
        changes = self.changes[part]
        mine = next((c for c, v in changes.items() if value in self._made_of(v)), None)
        if mine is None:
            return False
        before = self.parts[part][1].values.get(mine, mine)
        self.first_to_change[part] = mine
        return not any(before in self._made_of(v) for c, v in changes.items() if c != mine)

    def _made_of(self, var: Var) -> set[Var]:
        found, todo = {var}, [var]
        while todo:
            at = self.made_by.get(todo.pop())
            new = set(self.ops[at].ins) - found if at is not None else set()
            found |= new
            todo += new
        return found

    def _recalled(self) -> set[Var]:
        """Return what a fault may have to make registers and flags of."""
        found: set[Var] = set()
        todo = [v for moment in self.node.moments.values() for v in moment.values.values()]
        while todo:
            var = todo.pop()
            if var not in found:
                found.add(var)
                if var not in self.assigned and var in self.made_by:
                    todo += self.ops[self.made_by[var]].ins
        return found

    def _keeps(self, op: Op, part: int, until: float) -> bool:
        """Return whether all that an operation takes is still there at a later instruction."""
        changed = [c for changes in self.changes[part : self.part_of(until)] for c in changes]
        for var in op.ins:
            made = self.made_by.get(var)
            if is_cell(var) and var in changed:
                return False
            if made is not None:
                born, cell = self.assigned.get(var, (-1, None))
                if cell is None and self.part_of(made) < part < self.part_of(until):
                    return False  # or flags of many instructions would be written as one
                if cell is None and not self._keeps(self.ops[made], part, until):
                    return False
                again = self.changes[max(born + 1, part) : self.part_of(until)]
                if cell is not None and (born > part or any(cell in c for c in again)):
                    return False
        return True

    def _has_name(self, var: Var) -> bool:
        at = self.made_by.get(var)
        return at is None or self.modes.get(at) in ("name", "cell")

    def _recall(self, var: Var, at: float) -> None:
        """Keep what a value is made of until an operation that may fault."""
        seen, todo = {var}, [var]
        while todo:
            now = todo.pop()
            if now.space == CONST:
                continue
            if self._has_name(now):
                self.last[now] = max(self.last.get(now, -1.0), at)
            else:
                new = set(self.ops[self.made_by[now]].ins) - seen
                seen |= new
                todo += new
