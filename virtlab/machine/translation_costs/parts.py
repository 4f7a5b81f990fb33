"""The table of Adams and Agesen as sums of parts, fitted by least squares (S18).

A cell is what is known (the native cost, the transition of their table 1) and some parts, each a
whole number of times, as said in `RECIPES`: a page fault under BT is the native fault, one switch
and two works on the guest's memory (its page tables are walked, a frame is pushed on its stack).
The parts' costs minimise the sum of squares of relative errors:

    min |D (A p + k - v)|^2,   D = 1/v, A the recipes, k what is known, v the table
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.datasets import translation_costs
from virtlab.results import Result
from virtlab.validate import number, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["OPERATIONS", "PARTS", "RECIPES", "CostFit", "fit_costs", "published", "transition"]

PARTS = ("switch", "callout", "emulate", "guest_memory", "shadow", "lookup", "in_line",
         "handler", "device", "decode", "checked")  # fmt: skip
OPERATIONS = (
    *("syscall", "in", "cr8 write", "call/ret"),
    *("page fault", "divide by zero", "PTE write"),
)
_READS = 10  # of the control block at an exit: section 7.1

# What an operation costs: whether the native cost is paid too, whether there is an exit, the parts.
_Recipe = tuple[bool, bool, dict[str, int]]
RECIPES: Mapping[tuple[str, str], _Recipe] = MappingProxyType(
    {
        ("trap and emulate", "bt"): (False, False, {"switch": 1, "emulate": 1}),
        ("callout", "bt"): (False, False, {"callout": 1, "emulate": 1}),
        ("in the cache", "bt"): (False, False, {"emulate": 1}),
        ("syscall", "bt"): (True, False, {"switch": 1, "emulate": 1}),
        ("in", "bt"): (False, False, {"emulate": 1}),
        ("cr8 write", "bt"): (False, False, {"in_line": 1}),
        ("call/ret", "bt"): (True, False, {"lookup": 1}),
        ("page fault", "bt"): (True, False, {"switch": 1, "guest_memory": 2}),
        ("divide by zero", "bt"): (True, False, {"switch": 1, "guest_memory": 1}),
        ("PTE write", "bt"): (True, False, {"emulate": 1, "shadow": 1}),
        ("syscall", "hw"): (True, False, {}),
        ("in", "hw"): (False, True, {"handler": 1, "device": 1}),
        ("cr8 write", "hw"): (True, False, {"checked": 1}),
        ("call/ret", "hw"): (True, False, {}),
        ("page fault", "hw"): (True, True, {"handler": 1, "guest_memory": 2}),
        ("divide by zero", "hw"): (True, False, {"checked": 1}),
        ("PTE write", "hw"): (
            *(True, True),
            {"handler": 1, "decode": 1, "emulate": 1, "shadow": 1},
        ),
        # Not in their table, but made of the same parts: a fault that the guest never hears of,
        # and a change of address space.
        ("hidden fault", "bt"): (False, False, {"switch": 1, "guest_memory": 1, "shadow": 1}),
        ("hidden fault", "hw"): (False, True, {"handler": 1, "guest_memory": 1, "shadow": 1}),
        ("address space", "bt"): (False, False, {"callout": 1}),
        ("address space", "hw"): (False, True, {"handler": 1}),
    }
)
_TIMED = tuple(RECIPES)[:17]


@cache
def published() -> dict[tuple[str, str, str], tuple[float, str]]:
    """Return the published numbers.

    Returns
    -------
    dict
        By machine, row and way: the value, and how it was read ('text', 'figure' or 'raw data').

    Examples
    --------
    >>> published()["P4", "PTE write", "hw"]
    (12733.0, 'text')
    """
    frame = translation_costs()
    frame = frame[frame["table"] != "boot"]
    keys = zip(frame["machine"], frame["row"], frame["way"], strict=True)
    values = zip(frame["value"].astype(float), frame["reading"], strict=True)
    return dict(zip(keys, values, strict=True))


def transition(machine: str = "P4") -> tuple[float, float]:
    """Return what an exit costs by their table 1.

    Parameters
    ----------
    machine
        'P4' or 'Core'.

    Returns
    -------
    tuple
        Cycles to leave the guest at a page fault and enter it again; cycles of ten reads.

    Examples
    --------
    >>> transition("P4"), transition("Core")
    ((4340.0, 1780.0), (2123.0, 520.0))
    """
    one_of("machine", machine, ("P4", "Core"))
    costs = published()
    both = costs[machine, "VM entry", "hw"][0] + costs[machine, "page fault exit", "hw"][0]
    return both, _READS * costs[machine, "VMCB read", "hw"][0]


def native(operation: str) -> float:
    """Return what an operation costs on the processor itself, cycles of the P4.

    Parameters
    ----------
    operation
        One of `OPERATIONS`; of what only a monitor knows it is 0.

    Returns
    -------
    float
        Cycles.

    Examples
    --------
    >>> native("page fault"), native("hidden fault")
    (1093.0, 0.0)
    """
    return published().get(("P4", operation, "native"), (0.0, ""))[0]


@dataclass(frozen=True)
class CostFit(Result):
    """The parts, and the table made of them.

    Attributes
    ----------
    parts
        Cycles of each part on the P4; 'checked' is a share of the native cost.
    by_hand
        Parts that were given, not fitted.
    left_out
        Each timed cell as predicted from all others, cycles; NaN where a part stands in it alone.

    Examples
    --------
    >>> fit = fit_costs()
    >>> round(fit.parts["switch"]), round(fit.cost("page fault", "bt"))
    (1827, 3929)
    >>> fit.summary()["worst_error_percent"]
    1.7
    """

    parts: Mapping[str, float]
    by_hand: tuple[str, ...]
    left_out: Mapping[tuple[str, str], float]

    def cost(self, operation: str, way: str, exit_cycles: float | None = None) -> float:
        """Return what an operation costs.

        Parameters
        ----------
        operation
            One of the rows of `RECIPES`.
        way
            'native', 'bt' or 'hw'.
        exit_cycles
            Another cost of an exit and entry; the P4's if not given.

        Returns
        -------
        float
            Cycles.

        Examples
        --------
        >>> round(fit_costs().cost("hidden fault", "hw"))
        9818
        """
        one_of("way", way, ("native", "bt", "hw"))
        one_of("operation", operation, tuple(dict.fromkeys(row for row, _ in RECIPES)))
        if way == "native":
            return native(operation)
        pays_native, exits, recipe = RECIPES[operation, way]
        own = native(operation)
        total = own * pays_native
        if exits:
            both, reads = transition()
            total += (both if exit_cycles is None else exit_cycles) + reads
        for part, times in recipe.items():
            total += times * self.parts[part] * (own if part == "checked" else 1)
        return total

    @property
    def degrees_of_freedom(self) -> int:
        """Cells minus fitted parts."""
        return len(_TIMED) - (len(PARTS) - len(self.by_hand))

    @property
    def signs_agree(self) -> int:
        """In how many of the seven operations the same way is the slower one."""
        costs = published()
        return sum(
            (costs["P4", row, "hw"][0] > costs["P4", row, "bt"][0])
            == (self.cost(row, "hw") > self.cost(row, "bt"))
            for row in OPERATIONS
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each cell: theirs, ours, and the error, also with the cell left out."""
        costs = published()
        rows = []
        for row, way in _TIMED:
            theirs, reading = costs["P4", row, way]
            ours = self.cost(row, way)
            rows.append(
                {
                    "operation": row,
                    "way": way,
                    "published": theirs,
                    "read_from": reading,
                    "ours": round(ours, 1),
                    "error_percent": round(100 * (ours / theirs - 1), 2),
                    "left_out_percent": round(100 * (self.left_out[row, way] / theirs - 1), 2),
                }
            )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return the size of the fit and its errors."""
        frame = self.to_frame()
        return {
            "cells": len(frame),
            "parts_fitted": len(PARTS) - len(self.by_hand),
            "degrees_of_freedom": self.degrees_of_freedom,
            "cells_with_a_part_of_their_own": int(frame["left_out_percent"].isna().sum()),
            "worst_error_percent": round(float(frame["error_percent"].abs().max()), 1),
            "worst_left_out_percent": round(float(frame["left_out_percent"].abs().max()), 1),
            "signs_of_seven": self.signs_agree,
        }

    def explain(self) -> str:
        """Say what the fit shows and what it does not."""
        said = self.summary()
        if self.by_hand:
            frame = self.to_frame()
            far = frame.iloc[int(frame["error_percent"].abs().argmax())]
            cell = f"{far['operation']} ({far['way']})"
            return (
                f"{len(self.by_hand)} parts by hand, {said['parts_fitted']} fitted: "
                f"{said['cells']} cells within {said['worst_error_percent']} %. Furthest off is "
                f"{cell}: {far['ours']:,.0f} cycles instead of {far['published']:,.0f}."
            )
        own = said["cells_with_a_part_of_their_own"]
        return (
            f"{said['parts_fitted']} parts give {said['cells']} cells within "
            f"{said['worst_error_percent']} %. {own} cells have a part of their own, so they are "
            f"met whatever is true; each other cell, left out and predicted from the rest, is met "
            f"within {said['worst_left_out_percent']} %. In {self.signs_agree} of 7 operations the "
            "same way wins as in the paper."
        )


def fit_costs(**by_hand: float) -> CostFit:
    """Fit the parts to the table; those that are given stay as they are.

    Parameters
    ----------
    **by_hand
        Cycles of parts that are not to be fitted ('checked': a share of the native cost).

    Returns
    -------
    CostFit
        The parts and the table.

    Raises
    ------
    InvalidInputError
        If there is no such part, or its cost is below 0.

    Examples
    --------
    >>> fit = fit_costs(switch=2000)
    >>> fit.summary()["worst_error_percent"], fit.degrees_of_freedom
    (9.1, 7)
    """
    for part, cycles in by_hand.items():
        one_of("part", part, PARTS)
        number(part, cycles, minimum=0)
    matrix, known, values = _system()
    free = [k for k, part in enumerate(PARTS) if part not in by_hand]
    fixed = np.array([float(by_hand.get(part, 0)) for part in PARTS])
    known = known + matrix @ fixed
    columns = matrix[:, free]
    every = np.arange(len(values))
    fitted = fixed.copy()
    fitted[free] = _solve(columns, known, values, every)
    left_out = {}
    for k, cell in enumerate(_TIMED):
        rest = np.delete(every, k)
        alone = np.linalg.matrix_rank(columns[rest]) < np.linalg.matrix_rank(columns)
        without = _solve(columns, known, values, rest)
        left_out[cell] = float("nan") if alone else float(known[k] + columns[k] @ without)
    parts = {part: float(fitted[k]) for k, part in enumerate(PARTS)}
    return CostFit(MappingProxyType(parts), tuple(by_hand), MappingProxyType(left_out))


def _system() -> tuple[Floats, Floats, Floats]:
    """Return the recipes as a matrix, what is known of each cell, and the table."""
    costs = published()
    matrix, known, values = [], [], []
    for row, way in _TIMED:
        pays_native, exits, recipe = RECIPES[row, way]
        own = native(row)
        known.append(own * pays_native + sum(transition()) * exits)
        matrix.append([recipe.get(part, 0) * (own if part == "checked" else 1.0) for part in PARTS])
        values.append(costs["P4", row, way][0])
    return np.array(matrix), np.array(known), np.array(values)


def _solve(matrix: Floats, known: Floats, values: Floats, rows: NDArray[np.int64]) -> Floats:
    """Minimise the squares of the relative errors."""
    scaled = matrix[rows] / values[rows, None]
    wanted = (values[rows] - known[rows]) / values[rows]
    return np.linalg.lstsq(scaled, wanted, rcond=None)[0].astype(np.float64)
