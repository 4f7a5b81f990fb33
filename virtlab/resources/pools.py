"""Nested pools: a VM in a resource pool in a pool (S20, and where it went after 2004).

A company has a pool for production and one for tests, each with VMs in it. A pool is divided as a
VM is: it has shares, a minimum and a maximum among its siblings, and what it gets is the capacity
of the level below. So the tree is divided from the top down, by the one rule of
`virtlab.resources.shares`, and the shares of a VM compare it with its siblings only: a VM with
1000 shares in a rich pool may get more than one with 2000 in a poor one.

Two things need care. A pool must be given at least what its children have been promised; and it
can use at most what all its children can use, so that it takes no more, and the rest goes to its
siblings. ESX Server 2 had one level; resource pools came with VMware Infrastructure 3 (2006).

What is left out: expandable minimums, where a pool borrows from the one above at power-on.

Source of the idea: C. Waldspurger, W. Weihl, "Lottery scheduling", OSDI 1994, section 3
(currencies: what a ticket is worth is settled inside the group that issued it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.shares import Allocation, allocate
from virtlab.results import Result
from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["VM", "Node", "Pool", "PoolAllocation", "divide"]

SEPARATOR = " / "


@dataclass(frozen=True)
class Node:
    """What has shares among its siblings: a VM or a pool.

    Attributes
    ----------
    name
        Its name among its siblings.
    shares
        Compared with its siblings only.
    minimum, maximum
        What it gets at least and at most, in the unit of the capacity.
    """

    name: str
    shares: float = 1000.0
    minimum: float = 0.0
    maximum: float = math.inf

    def __post_init__(self) -> None:
        """Check the numbers where they were typed."""
        if not self.name:
            raise InvalidInputError("name", self.name, "a text that is not empty")
        number(f"{self.name}.shares", self.shares, minimum=0)
        number(f"{self.name}.minimum", self.minimum, minimum=0)
        number(f"{self.name}.maximum", self.maximum, minimum=self.minimum, finite=False)


@dataclass(frozen=True)
class VM(Node):
    """A leaf of the tree.

    Examples
    --------
    >>> VM("web", shares=2000).maximum
    inf
    """


@dataclass(frozen=True)
class Pool(Node):
    """A node whose part is divided among its children.

    Attributes
    ----------
    children
        VMs and pools, with different names.

    Examples
    --------
    >>> Pool("test", children=(VM("a"), VM("b"))).names
    ('a', 'b')
    """

    children: tuple[VM | Pool, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check that the children can be told apart and can be served."""
        super().__post_init__()
        if len(set(self.names)) < len(self.names):
            raise InvalidInputError(f"{self.name}.children", self.names, "names that all differ")
        promised = math.fsum(floor(child) for child in self.children)
        if promised > self.maximum:
            raise InvalidInputError(
                f"{self.name}.maximum",
                self.maximum,
                f"at least the minimums of its children, {promised:g}",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the children."""
        return tuple(child.name for child in self.children)


@dataclass(frozen=True, eq=False)
class PoolAllocation(Result):
    """What each VM of a tree gets.

    Attributes
    ----------
    paths
        Path of each VM, from below the root.
    allocation
        What each VM gets.
    steps
        The division of each pool, by its path; '' is the root.
    unit
        Unit of the capacity.

    Examples
    --------
    >>> tree = Pool("host", children=(VM("a"), Pool("p", children=(VM("b"), VM("c")))))
    >>> result = divide(100, tree)
    >>> dict(zip(result.paths, result.allocation, strict=True))
    {'a': 50.0, 'p / b': 25.0, 'p / c': 25.0}
    """

    paths: tuple[str, ...]
    allocation: tuple[float, ...]
    steps: dict[str, Allocation]
    unit: str = ""

    @property
    def unused(self) -> float:
        """What no VM can use."""
        return self.steps[""].capacity - math.fsum(self.allocation)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM: its path, the shares along it, and its part."""
        import pandas as pd

        return pd.DataFrame(
            {
                "vm": self.paths,
                "depth": [path.count(SEPARATOR) for path in self.paths],
                "allocation": self.allocation,
                "percent": [
                    100 * part / (self.steps[""].capacity or 1) for part in self.allocation
                ],
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return capacity, what is left, and how many VMs and pools there are."""
        return {
            "capacity": self.steps[""].capacity,
            "unused": self.unused,
            "vms": len(self.paths),
            "pools": len(self.steps),
            "unit": self.unit,
        }

    def explain(self) -> str:
        """Say how each pool is divided, from the top down."""
        return " ".join(
            f"{path or 'At the top'}: {step.explain()}" for path, step in self.steps.items()
        )


def floor(node: Node) -> float:
    """Return what a node must be given: its minimum, or its children's if that is more.

    Parameters
    ----------
    node
        A VM or a pool.

    Returns
    -------
    float
        In the unit of the capacity.

    Examples
    --------
    >>> floor(Pool("p", minimum=10, children=(VM("a", minimum=8), VM("b", minimum=8))))
    16.0
    """
    if isinstance(node, Pool):
        return max(node.minimum, math.fsum(floor(child) for child in node.children))
    return node.minimum


def ceiling(node: Node) -> float:
    """Return what a node can use: its maximum, or all that its children can use if that is less.

    Parameters
    ----------
    node
        A VM or a pool.

    Returns
    -------
    float
        In the unit of the capacity; never below `floor`.

    Examples
    --------
    >>> ceiling(Pool("p", children=(VM("a", maximum=8), VM("b", shares=0, minimum=2))))
    10.0
    """
    if not isinstance(node, Pool):
        return node.maximum
    usable = math.fsum(
        ceiling(child) if child.shares > 0 else floor(child) for child in node.children
    )
    return max(min(node.maximum, usable), floor(node))


def divide(capacity: float, root: Pool, *, unit: str = "") -> PoolAllocation:
    """Divide a capacity down a tree of pools.

    Parameters
    ----------
    capacity
        What there is at the top, in any unit; shares and bounds of the root itself play no part.
    root
        The host or cluster.
    unit
        Unit of the capacity.

    Returns
    -------
    PoolAllocation
        The part of each VM, and the division of each pool.

    Raises
    ------
    InvalidInputError
        If the minimums exceed the capacity.

    Examples
    --------
    Production has twice the shares of tests, so its one VM gets as much as four test VMs.

    >>> tests = Pool("test", shares=1000, children=tuple(VM(f"t{i}") for i in range(4)))
    >>> production = Pool("production", shares=2000, children=(VM("db"), VM("web", maximum=20)))
    >>> result = divide(150, Pool("host", children=(production, tests)))
    >>> dict(zip(result.paths, result.allocation, strict=True))["production / db"]
    80.0
    """
    steps: dict[str, Allocation] = {}
    leaves = list(_divide(capacity, root, "", unit, steps))
    return PoolAllocation(
        tuple(path for path, _ in leaves), tuple(part for _, part in leaves), steps, unit
    )


def _divide(
    capacity: float, pool: Pool, path: str, unit: str, steps: dict[str, Allocation]
) -> Iterator[tuple[str, float]]:
    """Divide one pool, and yield path and part of each VM below it."""
    step = allocate(
        capacity,
        [child.shares for child in pool.children],
        np.array([floor(child) for child in pool.children]),
        np.array([ceiling(child) for child in pool.children]),
        names=pool.names,
        unit=unit,
    )
    steps[path] = step
    for child, part in zip(pool.children, step.allocation.tolist(), strict=True):
        below = f"{path}{SEPARATOR}{child.name}" if path else child.name
        if isinstance(child, Pool):
            yield from _divide(part, child, below, unit, steps)
        else:
            yield below, part
