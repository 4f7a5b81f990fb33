"""How fast is `allocate`? Against general solvers, and against the least work there is.

At 1,000 VMs a general quadratic program solver does the same job. cvxpy is measured twice, with
two of its solvers: as a person calls it (the problem stated, translated and solved), and with the
problem made once, where only the capacity changes from call to call: the fairer number, which
leaves out the translation and lets the solver start from the last answer. Clarabel and DAQP are
also called without cvxpy around them.

At 1,000,000 VMs the yardstick is one pass: np.clip(level * shares, minimum, maximum).sum(), which
any method has to do a few times. Four kinds of input: mild (shares and bounds as people set
them), no bounds, ties, and cruel (shares and bounds over many decades).

    python -m benchmarks.shares
"""

from __future__ import annotations

import argparse
import warnings
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import machine, race
from virtlab.resources import allocate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Case = tuple[float, Floats, Floats, Floats]

KINDS = ("mild", "no bounds", "ties", "cruel")


def case(kind: str, n: int, rng: np.random.Generator) -> Case:
    """Return capacity, shares, minimum and maximum of n VMs.

    Parameters
    ----------
    kind
        One of `KINDS`.
    n
        How many VMs.
    rng
        Where the numbers are drawn from.

    Returns
    -------
    tuple
        What `allocate` takes.
    """
    shares: NDArray[Any] = 100.0 * rng.integers(1, 20, n)
    low: NDArray[Any]
    more: NDArray[Any]
    low, more = rng.uniform(0, 50, n), rng.uniform(0, 200, n)
    if kind == "no bounds":
        low, more = np.zeros(n), np.full(n, np.inf)
    elif kind == "ties":
        shares, low, more = (1.0 * rng.integers(*ends, n) for ends in ((1, 4), (0, 3), (0, 3)))
    elif kind == "cruel":
        shares, low = 10 ** rng.uniform(-9, 9, n), 10 ** rng.uniform(-3, 3, n)
        more = low * 10 ** rng.uniform(0, 6, n)
    room = float(np.where(np.isinf(more), 100, more).sum())
    capacity = float(low.sum() + rng.uniform(0.2, 0.8) * room)
    shares, low, high = np.array([shares, low, low + more], dtype=np.float64)
    return capacity, shares, low, high


def solvers(problem: Case) -> dict[str, Callable[[], Floats]]:
    """Return general solvers for one case, by name.

    Parameters
    ----------
    problem
        Capacity, shares, minimum, maximum, all finite.

    Returns
    -------
    dict
        Functions that return the allocation.
    """
    return {**_cvxpy(problem), "clarabel alone": _clarabel(problem), "daqp alone": _daqp(problem)}


def _cvxpy(problem: Case) -> dict[str, Callable[[], Floats]]:
    import cvxpy

    cp: Any = cvxpy  # its types leave out most of what it exports

    capacity, shares, low, high = problem
    n = shares.size

    def stated() -> tuple[Any, Any, Any]:
        x, spend = cp.Variable(n), cp.Parameter(nonneg=True)
        floor, lid = cp.Parameter(n), cp.Parameter(n)
        weight = cp.Parameter(n, nonneg=True)
        goal = cp.Minimize(cp.sum_squares(cp.multiply(weight, x)))
        rules = [cp.sum(x) == spend, x >= floor, x <= lid]
        spend.value, floor.value, lid.value = capacity, low, high
        weight.value = 1 / np.sqrt(shares)
        return cp.Problem(goal, rules), x, spend

    def contenders(solver: str) -> dict[str, Callable[[], Floats]]:
        once, nudges = stated(), cycle([1.0, 1.01, 0.99])

        def solve(made: tuple[Any, Any, Any]) -> Floats:
            made[0].solve(solver=solver)
            return np.asarray(made[1].value)

        def again() -> Floats:
            once[2].value = capacity * next(nudges)
            return solve(once)

        return {
            f"cvxpy, {solver}, problem made once": again,
            f"cvxpy, {solver}, from scratch": lambda: solve(stated()),
        }

    return {**contenders("OSQP"), **contenders("CLARABEL")}


def _clarabel(problem: Case) -> Callable[[], Floats]:
    import clarabel
    from scipy import sparse

    capacity, shares, low, high = problem
    n = shares.size
    one = sparse.identity(n, format="csc")
    rows = sparse.vstack([np.ones((1, n)), -one, one], format="csc")
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(2 * n)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False

    def solve() -> Floats:
        hessian = sparse.diags(1 / shares, format="csc")
        bounds = np.concatenate([[capacity], -low, high])
        made = clarabel.DefaultSolver(hessian, np.zeros(n), rows, bounds, cones, settings)
        return np.asarray(made.solve().x)

    return solve


def _daqp(problem: Case) -> Callable[[], Floats]:
    import daqp

    capacity, shares, low, high = problem
    n = shares.size
    sense = np.append(np.zeros(n), 5).astype(np.int32)  # 5: the last row is an equality

    def solve() -> Floats:
        root = np.sqrt(shares)
        upper, lower = np.append(high / root, capacity), np.append(low / root, capacity)
        x, *_ = daqp.solve(np.eye(n), np.zeros(n), root[None, :].copy(), upper, lower, sense)
        return np.asarray(x * root)

    return solve


def against_solvers(n: int, turns: int) -> None:
    """Print the race against general solvers, and how far their answers are from ours.

    Parameters
    ----------
    n
        How many VMs.
    turns
        How often each runs.
    """
    problem = case("mild", n, np.random.default_rng(20))
    ours = allocate(*problem).allocation
    general = solvers(problem)
    print(race(f"{n:,} VMs", {"allocate": lambda: allocate(*problem), **general}, turns=turns))
    for name, solve in general.items():
        if "once" not in name:  # that one's capacity changes
            off = np.abs(solve() - ours).max() / problem[0]
            print(f"  {name}: largest difference {off:.1e} of the capacity")
    print()


def one_pass(level: float, shares: Floats, low: Floats, high: Floats) -> float:
    """Clip and sum once.

    Parameters
    ----------
    level
        A level.
    shares, low, high
        Of each VM.

    Returns
    -------
    float
        The total at that level.
    """
    return float(np.clip(level * shares, low, high).sum())


def against_one_pass(n: int, turns: int) -> None:
    """Print the race against one clip-and-sum pass, and the passes that were counted.

    Parameters
    ----------
    n
        How many VMs.
    turns
        How often each runs.
    """
    for kind in KINDS:
        problem = case(kind, n, np.random.default_rng(21))
        result = allocate(*problem)

        contenders: dict[str, Callable[[], object]] = {
            "one pass": partial(one_pass, result.level, *problem[1:]),
            "allocate": partial(allocate, *problem),
        }
        title = f"{n:,} VMs, {kind}: {result.passes:.3g} passes counted"
        print(race(title, contenders, turns=turns))


def main() -> None:
    """Run both races."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=11, help="how often each contender runs")
    turns = parser.parse_args().turns
    print(machine(), end="\n\n")
    against_one_pass(1_000_000, turns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # solvers warn of their own doings
        against_solvers(1000, turns)


if __name__ == "__main__":
    main()
