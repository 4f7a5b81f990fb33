"""The one allocator: hand-computed cases, two independent oracles, and properties."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import daqp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from virtlab.resources import Allocation, allocate
from virtlab.resources.level import _between_kinks, _newton
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Case = tuple[float, Floats, Floats, Floats]

# --- hand-computed -------------------------------------------------------------------------------


def test_the_talks_numbers() -> None:
    before = allocate(160, [1000, 1000, 1000])
    assert before.allocation == pytest.approx([160 / 3] * 3, rel=1e-15)
    after = allocate(160, [1000, 2000, 1000])
    assert after.allocation.tolist() == [40.0, 80.0, 40.0]
    assert after.level == 0.04
    assert after.unused == 0.0


@pytest.mark.parametrize(
    ("capacity", "shares", "low", "high", "expected", "unused"),
    [
        (160, [1000, 2000, 1000], 0, [10, 160, 160], [10, 100, 50], 0),
        (160, [1000, 2000, 1000], [0, 0, 50], np.inf, [110 / 3, 220 / 3, 50], 0),
        (100, [1, 1, 0], [0, 0, 10], np.inf, [45, 45, 10], 0),
        (100, [1, 1], 0, [20, 30], [20, 30], 50),  # nobody can use the rest
        (100, [0, 0], [20, 30], np.inf, [20, 30], 50),
        (0, [1, 2, 3], 0, np.inf, [0, 0, 0], 0),
        (0, [0, 0], 0, 0, [0, 0], 0),
        (10, [5], 0, np.inf, [10], 0),
        (7, [], 0, np.inf, [], 7),
        (60, [1, 2, 3], [10, 20, 30], np.inf, [10, 20, 30], 0),  # the minimums take all
        (30, [1, 1, 1], 10, 10, [10, 10, 10], 0),
        (10, [1, 1e-9], 0, np.inf, [10 / (1 + 1e-9), 1e-8 / (1 + 1e-9)], 0),
        # level 10: VM1 stays at its floor 20, VM2 follows to 10, VM3 is at its lid 5
        (35, [1, 1, 1], [20, 0, 0], [30, 30, 5], [20, 10, 5], 0),
        # the guide's example in percent of one CPU: min 20, max 50, 3000 shares; console 30, 1000
        (100, [3000, 1000], [20, 30], [50, 100], [50, 50], 0),
        (70, [3000, 1000], [20, 30], [50, 100], [40, 30], 0),
    ],
)
def test_hand_computed(
    capacity: float,
    shares: list[float],
    low: object,
    high: object,
    expected: list[float],
    unused: float,
) -> None:
    result = allocate(capacity, shares, low, high)  # type: ignore[arg-type] # lists or numbers
    assert result.allocation == pytest.approx(expected, rel=1e-14, abs=1e-14)
    assert result.unused == pytest.approx(unused, abs=1e-12)


def test_whole_numbers_stay_whole() -> None:
    for parts in ([3, 7, 11], [1000, 3000], [7, 7, 7], [1, 10, 100, 1000]):
        capacity = 12 * sum(parts)
        assert allocate(capacity, parts).allocation.tolist() == [12.0 * part for part in parts]


def test_minimums_that_add_up_only_after_rounding_are_feasible() -> None:
    result = allocate(0.3, [1, 1, 1], minimum=0.1)  # 0.1 + 0.1 + 0.1 > 0.3 in doubles
    assert result.allocation.tolist() == [0.1, 0.1, 0.1]
    assert result.unused == 0.0


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((160, [1, 1], [100, 90]), r"sum of minimum = 190.0: must be at most the capacity \(160\)"),
        ((160, [1, 1], [100, 90]), "30 are lacking"),
        ((-1, [1]), "capacity = -1"),
        ((np.nan, [1]), "capacity"),
        ((np.inf, [1]), "capacity"),
        ((1, [1, -2]), r"shares\[1\] = -2.0"),
        ((1, [1, np.inf]), r"shares\[1\] = inf"),
        ((1, [1, 1e-200]), r"shares\[1\] = 1e-200: must be 0, or from"),
        ((1, ["a"]), "shares"),
        ((1, [[1, 2]]), "shares"),
        ((1, [1, 1], [0, 0, 0]), "minimum"),
        ((1, [1, 1], 0, [1, np.nan]), r"maximum\[1\]"),
        ((9, [1, 1], [0, 3], [9, 2]), r"minimum\[1\] = 3.0: must be at most maximum\[1\] = 2"),
    ],
)
def test_bad_input_is_named(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        allocate(*arguments)  # type: ignore[arg-type] # wrong types are the point


def test_names_must_fit() -> None:
    with pytest.raises(InvalidInputError, match="one name for each of 2 VMs"):
        allocate(1, [1, 1], names=["web"])


# --- what a result says --------------------------------------------------------------------------


def test_result_in_words_rows_and_json() -> None:
    result = allocate(
        100, [1, 1, 0], [0, 0, 10], [20, 30, 100], names=["web", "mail", "spare"], unit="MB/s"
    )
    assert result.held_by.tolist() == ["maximum", "maximum", "minimum"]
    text = result.explain()
    assert "web gets 20, mail 30, spare 10 MB/s." in text
    assert "web, mail are held down by their maximum." in text
    assert "spare is kept up by its minimum." in text
    assert "40 MB/s are left" in text
    frame = result.to_frame()
    assert frame["name"].tolist() == ["web", "mail", "spare"]
    assert frame["allocation"].tolist() == [20, 30, 10]
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert data["allocation"] == [20, 30, 10]
    assert data["unused"] == 40
    assert data["rows"][2]["held_by"] == "minimum"
    assert result.summary()["allocated"] == 60
    spaced = allocate(40, [1, 1], names=["web server", "mail server"])
    assert "web server gets 20, mail server 20." in spaced.explain()


def test_many_vms_are_counted_not_listed() -> None:
    result = allocate(1000, np.ones(100), maximum=np.arange(100))
    assert "among 100 VMs" in result.explain()
    assert len(result.explain()) < 300


def test_a_result_cannot_be_changed() -> None:
    result = allocate(1, [1, 1])
    with pytest.raises(ValueError, match="read-only"):
        result.allocation[0] = 2


def test_input_is_not_changed() -> None:
    shares = np.array([1.0, 2.0])
    allocate(3, shares)
    shares[0] = 5  # still ours, and writeable
    assert shares.tolist() == [5, 2]


def test_touching_a_bound_is_not_being_held_by_it() -> None:
    result = allocate(160, [1000, 2000, 1000], minimum=[40, 0, 0], maximum=[160, 80, 160])
    assert result.held_by.tolist() == ["level"] * 3


# --- oracles -------------------------------------------------------------------------------------


def _random_case(rng: np.random.Generator, largest: int = 12) -> Case:
    """Draw a feasible case; a third with ties, a third over many decades."""
    n = int(rng.integers(1, largest))
    kind = rng.integers(3)
    if kind == 0:  # whole numbers: kinks fall together
        shares = rng.integers(1, 4, n) * 1.0
        low = rng.integers(0, 3, n) * 10.0
        high = low + rng.integers(0, 4, n) * 10.0
    else:
        decades = 1.0 if kind == 1 else 3.0
        shares = 10.0 ** rng.uniform(-decades, decades, n)
        low = np.where(rng.random(n) < 0.4, 0, 10.0 ** rng.uniform(-decades, decades, n))
        high = low + 10.0 ** rng.uniform(-decades, decades, n)
    high[rng.random(n) < 0.2] = np.inf
    top = np.where(np.isinf(high), 3 * low + 10, high).sum()
    capacity = float(low.sum() + rng.random() * (top - low.sum()))
    shares, low, high = np.array([shares, low, high], dtype=np.float64)
    return capacity, shares, low, high


def _quadratic_program(case: Case) -> Floats:
    """Minimise sum x**2 / shares between the bounds, spending the capacity, by a solver."""
    capacity, shares, low, high = case
    root = np.sqrt(shares)  # in z = x / root the Hessian is the identity: well conditioned
    solution, _, flag, _ = daqp.solve(
        np.eye(shares.size),
        np.zeros(shares.size),
        root[None, :].copy(),
        np.append(np.minimum(high, 1e20) / root, capacity),
        np.append(low / root, capacity),
        np.append(np.zeros(shares.size), 5).astype(np.int32),  # 5: the sum is an equality
    )
    assert flag == 1, flag
    return np.asarray(solution * root)


def test_a_quadratic_program_solver_finds_the_same_split() -> None:
    rng = np.random.default_rng(20)
    compared = 0
    for _ in range(4000):
        case = _random_case(rng)
        result = allocate(*case)
        if result.unused > 0 or not np.isfinite(case[0]):
            continue
        compared += 1
        scale = max(case[0], 1.0)
        np.testing.assert_allclose(
            result.allocation, _quadratic_program(case), rtol=0, atol=1e-9 * scale
        )
    assert compared > 3000


def test_no_other_split_is_proportionally_fairer() -> None:
    """Kelly's definition: for any feasible y, the sum of shares * (y - x) / x is at most 0."""
    rng = np.random.default_rng(21)
    compared = 0
    for _ in range(2000):
        capacity, shares, low, high = _random_case(rng)
        low = low + 1e-3  # so that each x > 0
        high = np.maximum(high, low)
        capacity += 1e-3 * shares.size
        x = allocate(capacity, shares, low, high).allocation
        for _ in range(3):  # other splits, by other shares: they too spend what can be spent
            y = allocate(capacity, 10.0 ** rng.uniform(-2, 2, shares.size), low, high).allocation
            gain = shares * (y - x) / x
            assert gain.sum() <= 1e-9 * np.abs(gain).sum() + 1e-12
            compared += not np.allclose(x, y)
    assert compared > 2000  # the others really were other splits


def _check_kkt(case: Case, result: Allocation, rtol: float = 1e-9) -> None:
    """Nothing can be moved from one VM to another so that sum shares * log(x) grows."""
    _, shares, low, high = case
    with np.errstate(divide="ignore"):
        price = shares / result.allocation
    slack = rtol * result.allocation
    may_give = price[(result.allocation > low + slack) & (shares > 0)]
    may_take = price[(result.allocation < high - slack) & (shares > 0)]
    if may_give.size and may_take.size:
        assert may_take.max() <= may_give.min() * (1 + 1e-6)


@pytest.mark.parametrize("n", [1, 2, 17, 1000, 20_000])
@pytest.mark.parametrize("decades", [0.5, 9])
def test_optimality_at_all_sizes_and_scales(n: int, decades: float) -> None:
    rng = np.random.default_rng(n)
    for _ in range(5):
        shares = 10.0 ** rng.uniform(-decades, decades, n)
        low = 10.0 ** rng.uniform(-3, 3, n)
        high = low * 10.0 ** rng.uniform(0, decades, n)
        capacity = float(low.sum() + rng.random() * (high.sum() - low.sum()))
        result = allocate(capacity, shares, low, high)
        _check_kkt((capacity, shares, low, high), result)
        assert result.allocation.sum() == pytest.approx(capacity, rel=1e-12)
        replay = np.clip(result.level * shares, low, high)
        np.testing.assert_allclose(result.allocation, replay, rtol=1e-9, atol=1e-12 * capacity)
        assert result.passes <= 16


def test_the_search_between_kinks_agrees_with_newton() -> None:
    rng = np.random.default_rng(22)
    compared = 0
    for _ in range(1000):
        capacity, shares, low, high = _random_case(rng, largest=40)
        if not low.sum() < capacity < high.sum():
            continue
        level, below, above, _ = _newton(capacity, shares, low, high)
        slow, _ = _between_kinks(capacity, shares, low, high, 0.0, np.inf)
        if below == above:
            compared += 1
            at_newton = np.clip(level * shares, low, high)
            at_kinks = np.clip(slow * shares, low, high)
            np.testing.assert_allclose(at_newton, at_kinks, atol=1e-12 * capacity)
    assert compared > 500


@pytest.mark.parametrize("n", [2, 50, 5000])
def test_a_staircase_that_misleads_newton(n: int) -> None:
    """Each VM follows the level for a short while only: the slope is a bad guide, or none."""
    low = np.arange(n) * 1.0
    shares = np.ones(n)
    low, high = np.array([low, low + 0.5], dtype=np.float64)
    capacity = float(low.sum() + 0.5 * (n // 2) + 0.2)
    _, below, above, _ = _newton(capacity, shares, low, high)
    assert below < above  # Newton alone gives up ...
    result = allocate(capacity, shares, low, high)
    expected = low + 0.5 * (np.arange(n) < n // 2)  # ... the whole does not
    expected[n // 2] += 0.2
    assert result.allocation == pytest.approx(expected, abs=1e-12 * capacity)
    assert result.passes <= 16


# --- properties ----------------------------------------------------------------------------------

_amounts = st.floats(0, 1e4, allow_subnormal=False).map(lambda x: 0.0 if x < 1e-6 else x)
_shares = st.one_of(st.just(0.0), st.floats(1e-9, 1e9), st.sampled_from([1000.0, 2000.0, 500.0]))


@st.composite
def cases(draw: st.DrawFn, smallest: int = 1) -> Case:
    """Draw a feasible case."""
    rows = draw(
        st.lists(
            st.tuples(_shares, _amounts, st.one_of(_amounts, st.just(np.inf))),
            min_size=smallest,
            max_size=12,
        )
    )
    shares, low, more = (np.array(column) for column in zip(*rows, strict=True))
    return float(low.sum() + draw(_amounts)), shares, low, low + more


@given(cases())
def test_spends_the_capacity_within_the_bounds(case: Case) -> None:
    capacity, shares, low, high = case
    result = allocate(*case)
    assert (result.allocation >= low).all()
    assert (result.allocation <= high).all()
    total = result.allocation.sum() + result.unused
    assert total == pytest.approx(capacity, rel=1e-12, abs=1e-9)
    if result.unused:  # nothing is left that anybody could use
        assert (result.allocation == np.where(shares > 0, high, low)).all()


@given(cases())
def test_zero_shares_get_exactly_the_minimum(case: Case) -> None:
    _, shares, low, _ = case
    result = allocate(*case)
    assert (result.allocation[shares == 0] == low[shares == 0]).all()


@given(cases())
def test_the_unclamped_are_served_in_the_ratio_of_their_shares(case: Case) -> None:
    _, shares, low, high = case
    result = allocate(*case)
    inside = (result.allocation > low) & (result.allocation < high)
    ratio = result.allocation[inside] / shares[inside]
    np.testing.assert_allclose(ratio, result.level, rtol=1e-9)


@given(cases(), st.floats(0, 1e4))
def test_more_capacity_takes_from_nobody(case: Case, more: float) -> None:
    capacity, shares, low, high = case
    before = allocate(capacity, shares, low, high).allocation
    after = allocate(capacity + more, shares, low, high).allocation
    assert (after >= before * (1 - 1e-9) - 1e-9).all()


@given(cases(), st.integers(0, 11), st.floats(1, 1e3))
def test_more_shares_never_give_less(case: Case, which: int, factor: float) -> None:
    capacity, shares, low, high = case
    i = which % shares.size
    assume(1e-9 <= shares[i] * factor <= 1e9)
    before = allocate(capacity, shares, low, high).allocation
    richer = shares.copy()
    richer[i] *= factor
    after = allocate(capacity, richer, low, high).allocation
    assert after[i] >= before[i] * (1 - 1e-9) - 1e-9
    others = np.arange(shares.size) != i
    assert (after[others] <= before[others] * (1 + 1e-9) + 1e-9).all()


@given(cases(), st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_only_ratios_of_shares_and_one_unit_matter(case: Case, k: float, unit: float) -> None:
    capacity, shares, low, high = case
    base = allocate(capacity, shares, low, high).allocation
    scaled = allocate(capacity * unit, shares * k, low * unit, high * unit).allocation
    np.testing.assert_allclose(scaled, base * unit, rtol=1e-9, atol=1e-9 * unit)


@given(cases(), st.randoms(use_true_random=False))
def test_order_does_not_matter(case: Case, random: object) -> None:
    capacity, shares, low, high = case
    order = np.arange(shares.size)
    random.shuffle(order)  # type: ignore[attr-defined] # hypothesis hands out a random.Random
    base = allocate(capacity, shares, low, high).allocation[order]
    shuffled = allocate(capacity, shares[order], low[order], high[order]).allocation
    np.testing.assert_allclose(shuffled, base, rtol=1e-9, atol=1e-9)


@given(cases())
def test_equal_vms_get_equal_parts(case: Case) -> None:
    capacity, shares, low, high = (np.concatenate([x, x]) if np.ndim(x) else 2 * x for x in case)
    result = allocate(float(capacity), shares, low, high).allocation
    half = result.size // 2
    assert (result[:half] == result[half:]).all()


def test_what_is_left_beside_zero_shares_is_said_as_it_is() -> None:
    left = allocate(160, [0, 1000], minimum=[20, 0], maximum=[np.inf, 30])
    assert "110 are left, for no VM that has shares can use more." in left.explain()
    full = allocate(160, [0, 1000], minimum=[20, 0], maximum=[20, 30])
    assert "110 are left, for no VM can use more." in full.explain()
