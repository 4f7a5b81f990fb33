"""Vessels on steps: `allocate` with heights, by hand, against a solver, and by properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import daqp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.resources import allocate
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Case = tuple[float, Floats, Floats, Floats, Floats]


@pytest.mark.parametrize(
    ("capacity", "shares", "low", "high", "height", "expected", "level"),
    [
        (100, [1, 1], 0, np.inf, [0, 30], [65, 35], 65),
        (30, [1, 1], 0, np.inf, [0, 30], [30, 0], 30),  # the level just gets to the second
        (20, [1, 1], 0, np.inf, [0, 30], [20, 0], 20),  # it stays dry
        (20, [1, 1], [0, 5], np.inf, [0, 30], [15, 5], 15),  # dry, but for its minimum
        (100, [1, 1], 0, [20, np.inf], [0, 30], [20, 80], 110),
        (100, [1, 1], 0, np.inf, 30, [50, 50], 80),  # a step under all changes nothing
        (90, [2, 1], 0, np.inf, [0, 15], [70, 20], 35),
        (90, [2, 1], 0, [50, np.inf], [0, 15], [50, 40], 55),
        (10, [1, 0], [0, 4], np.inf, [7, 0], [6, 4], 13),  # no shares: exactly the minimum
        (50, [1, 1, 1], 0, np.inf, [0, 0, 1e12], [25, 25, 0], 25),
        # two VMs of 40 and 10 in use, idle pages four times as dear: each is two vessels
        (80, [1, 1, 0.25, 0.25], 0, [40, 10, 60, 90], [0, 0, 40, 10], [40, 10, 11.25, 18.75], 85),
    ],
)
def test_hand_computed(
    capacity: float,
    shares: list[float],
    low: object,
    high: object,
    height: object,
    expected: list[float],
    level: float,
) -> None:
    result = allocate(capacity, shares, low, high, height=height)  # type: ignore[arg-type] # lists or numbers
    assert result.allocation.tolist() == expected
    assert result.level == level
    assert result.unused == 0


def test_all_lids_met() -> None:
    result = allocate(100, [1, 2], maximum=[10, 20], height=[0, 30])
    assert (result.allocation.tolist(), result.unused, result.level) == ([10, 20], 70, 40)


@pytest.mark.parametrize(
    ("height", "message"),
    [
        ([0, -1], r"height\[1\] = -1.0: must be a number >= 0"),
        ([0, np.inf], r"height\[1\] = inf"),
        ([0, np.nan], r"height\[1\] = nan"),
        ([0, 1e101], r"height\[1\] = 1e\+101: must be a number from 0 to 1e\+100"),
        ([0, 1, 2], "height"),
    ],
)
def test_a_bad_height_is_named(height: list[float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        allocate(1, [1, 1], height=height)


def test_who_stays_dry_is_said() -> None:
    result = allocate(20, [1, 1], height=[0, 30])
    assert result.held_by.tolist() == ["level", "height"]
    assert "VM2 is kept dry by its height." in result.explain()
    assert result.to_frame()["height"].tolist() == [0, 30]
    assert "height" not in allocate(20, [1, 1]).to_frame()
    with pytest.raises(ValueError, match="read-only"):
        result.height[0] = 1


def test_a_step_of_any_size_under_all_costs_no_digit() -> None:
    capacity, shares, high = 160.0, np.array([3.0, 7, 11]), np.array([20.0, np.inf, np.inf])
    plain = allocate(capacity, shares, maximum=high)
    for step in (1.0, 1e9, 1e60):
        lifted = allocate(capacity, shares, maximum=high, height=step)
        assert lifted.allocation.tolist() == plain.allocation.tolist()
        assert lifted.level == step + plain.level


def _case(rng: np.random.Generator) -> Case:
    """Draw a feasible case, a half with whole numbers, where kinks fall together."""
    n = int(rng.integers(1, 12))
    if rng.random() < 0.5:
        shares, low = rng.integers(1, 4, n) * 1.0, rng.integers(0, 3, n) * 10.0
        high, height = low + rng.integers(0, 4, n) * 10.0, rng.integers(0, 5, n) * 10.0
    else:
        shares = 10.0 ** rng.uniform(-1, 1, n)
        low = np.where(rng.random(n) < 0.5, 0, 10.0 ** rng.uniform(-1, 1, n))
        high = low + 10.0 ** rng.uniform(-1, 1, n)
        height = np.where(rng.random(n) < 0.3, 0, 10.0 ** rng.uniform(-2, 2, n))
    high[rng.random(n) < 0.2] = np.inf
    top = np.where(np.isinf(high), 3 * low + 10, high).sum()
    capacity = float(low.sum() + rng.random() * (top - low.sum()))
    shares, low, high, height = np.array([shares, low, high, height], dtype=np.float64)
    return capacity, shares, low, high, height


def test_a_quadratic_program_solver_finds_the_same_split() -> None:
    """Minimise sum (x + shares * height)**2 / (2 * shares): its slope in x is the level."""
    rng = np.random.default_rng(23)
    compared = 0
    for _ in range(2000):
        capacity, shares, low, high, height = _case(rng)
        result = allocate(capacity, shares, low, high, height=height)
        if result.unused > 0:
            continue
        compared += 1
        root = np.sqrt(shares)  # in z = x / root the Hessian is the identity
        solution, _, flag, _ = daqp.solve(
            np.eye(root.size),
            root * height,
            root[None, :].copy(),
            np.append(np.minimum(high, 1e20) / root, capacity),
            np.append(low / root, capacity),
            np.append(np.zeros(root.size), 5).astype(np.int32),  # 5: the sum is an equality
        )
        assert flag == 1
        np.testing.assert_allclose(result.allocation, solution * root, rtol=0, atol=1e-7)
    assert compared > 1500


@pytest.mark.parametrize("n", [2, 17, 1000, 20_000])
@pytest.mark.parametrize("decades", [0.5, 9])
def test_exact_in_a_bounded_number_of_passes(n: int, decades: float) -> None:
    rng = np.random.default_rng(n)
    for _ in range(5):
        shares = 10.0 ** rng.uniform(-decades, decades, n)
        low = np.where(rng.random(n) < 0.5, 0, 10.0 ** rng.uniform(-3, 3, n))
        high = low + 10.0 ** rng.uniform(-3, 3, n)
        height = 10.0 ** rng.uniform(-decades, decades, n)
        capacity = float(low.sum() + rng.random() * (high.sum() - low.sum()))
        result = allocate(capacity, shares, low, high, height=height)
        assert result.passes <= 16
        replay = np.clip(shares * (result.level - height), low, high)
        rounding = 4e-16 * shares * (height + result.level)  # of the difference in the replay
        inside = (result.allocation > low) & (result.allocation < high)
        missed = abs(result.allocation.sum() - capacity)
        assert missed <= 1e-12 * capacity + rounding[inside].sum()
        assert (np.abs(result.allocation - replay) <= 1e-9 * capacity + rounding).all()


_amounts = st.floats(0, 1e4).map(lambda x: 0.0 if x < 1e-6 else x)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a feasible case with heights."""
    row = st.tuples(st.floats(1e-3, 1e3), _amounts, _amounts | st.just(np.inf), _amounts)
    rows = draw(st.lists(row, min_size=1, max_size=10))
    shares, low, more, height = (np.array(column) for column in zip(*rows, strict=True))
    return float(low.sum() + draw(_amounts)), shares, low, low + more, height


@given(cases())
def test_spends_the_capacity_within_the_bounds(
    case: Case,
) -> None:
    capacity, shares, low, high, height = case
    result = allocate(capacity, shares, low, high, height=height)
    assert (result.allocation >= low).all()
    assert (result.allocation <= high).all()
    assert result.allocation.sum() + result.unused == pytest.approx(capacity, rel=1e-9, abs=1e-9)
    inside = (result.allocation > low) & (result.allocation < high)
    surface = result.allocation[inside] / shares[inside] + height[inside]
    np.testing.assert_allclose(surface, result.level, rtol=1e-9)
    if not result.unused:  # who is dry or full stands beside the level, not across it
        scale = 1e-9 * max(result.level, 1.0)
        at_floor = (result.allocation == low) & (low < high)
        assert (low[at_floor] / shares[at_floor] + height[at_floor] >= result.level - scale).all()


@given(cases(), st.integers(0, 9), st.floats(0, 1e4))
def test_a_higher_step_never_gives_more(case: Case, which: int, step: float) -> None:
    capacity, shares, low, high, height = case
    i = which % shares.size
    before = allocate(capacity, shares, low, high, height=height).allocation
    height[i] += step
    after = allocate(capacity, shares, low, high, height=height).allocation
    slack = 1e-9 * (1 + capacity)
    assert after[i] <= before[i] + slack
    others = np.arange(shares.size) != i
    assert (after[others] >= before[others] - slack).all()


@given(cases())
def test_heights_of_zero_change_no_bit(case: Case) -> None:
    capacity, shares, low, high, height = case
    plain = allocate(capacity, shares, low, high)
    zero = allocate(capacity, shares, low, high, height=0 * height)
    assert zero.allocation.tolist() == plain.allocation.tolist()
    assert (zero.level, zero.passes) == (plain.level, plain.passes)
