"""The idle memory tax: by hand, against page-by-page revocation, and by properties."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.tax import TaxTargets, cost, idle_cost, shares_per_page, targets, victim
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Case = tuple[float, Floats, Floats, Floats, Floats, float]

ACTIVE = (9.8, 200.4)  # MB that the paper's two VMs used, digitized from its figure 7

# --- the formulas --------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "k"), [(0, 1), (0.5, 2), (0.75, 4), (0.9, 10), (0.99, 100)])
def test_an_idle_page_costs_k(rate: float, k: float) -> None:
    assert idle_cost(rate) == pytest.approx(k, rel=1e-14)
    assert cost([100], active=[30], tax_rate=rate)[0] == pytest.approx(30 + 70 * k)


def test_rho_is_the_papers_formula() -> None:
    shares, pages, fraction = 1000.0, 250.0, 0.2
    k = 4.0
    published = shares / (pages * (fraction + k * (1 - fraction)))
    ours = shares_per_page([shares], [pages], [fraction * pages])
    assert ours[0] == pytest.approx(published, rel=1e-14)


def test_rho_at_the_edges() -> None:
    rho = shares_per_page([10, 0, 0, 10], pages=[0, 0, 5, 5], active=[0, 0, 5, 9])
    assert rho.tolist() == [np.inf, 0, 0, 2]  # more than all pages can't be in use


def test_the_victim_is_who_has_the_fewest_shares_per_page() -> None:
    assert victim([1000, 1000, 1000], [100, 100, 100], [100, 20, 60]) == 1
    assert victim([1000, 500, 1000], [100, 100, 100], 100) == 1
    assert victim([1000, 500], [100, 100], 100, minimum=[0, 100]) == 0
    assert victim([1000, 500], [100, 100], 100, minimum=100) == -1
    assert victim([10], [0], 0) == -1


# --- the published experiment --------------------------------------------------------------------


def test_figure_7_without_tax_is_an_equal_split() -> None:
    assert targets(358, [1, 1], ACTIVE, maximum=256, tax_rate=0).target.tolist() == [179, 179]


def test_figure_7_with_tax() -> None:
    result = targets(344.5, [1, 1], ACTIVE, maximum=256)
    assert result.target == pytest.approx([100.8, 243.7], rel=0.0005)
    # At the precision that the paper's figure can be read to, 0.1 MB.
    assert result.target.round(1) == pytest.approx([101.3, 243.2], rel=0.005)
    assert result.rho[0] == pytest.approx(result.rho[1], rel=1e-14)
    assert result.target[0] - result.target[1] == pytest.approx(0.75 * (9.8 - 200.4))


@given(
    st.floats(0, 200), st.floats(0, 200), st.floats(0, 500), st.sampled_from([0, 0.25, 0.75, 0.99])
)
def test_two_equal_vms_differ_by_a_part_of_what_they_use(
    first: float, second: float, spare: float, rate: float
) -> None:
    """P1 - P2 = (k - 1) / k * (A1 - A2) if both have idle pages."""
    part = 1 - 1 / idle_cost(rate)
    available = first + second + abs(first - second) + spare  # so much that both have
    result = targets(available, [7, 7], [first, second], tax_rate=rate)
    difference = result.target[0] - result.target[1]
    assert difference == pytest.approx(part * (first - second), abs=1e-9 * (1 + available))


# --- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "shares", "active", "low", "high", "expected", "held"),
    [
        (80, [1, 1], [40, 10], 0, 100, [51.25, 28.75], ["level", "level"]),
        (30, [1, 1], [40, 10], 0, 100, [18, 12], ["level", "level"]),  # 1 idle page costs 4
        (80, [1, 1], [40, 10], 35, 100, [45, 35], ["level", "minimum"]),
        (80, [1, 1], [40, 10], 0, [42, 100], [42, 38], ["maximum", "level"]),
        (80, [2, 1], [10, 10], 0, 100, [305 / 6, 175 / 6], ["level", "level"]),
        (300, [1, 1], [40, 10], 0, 100, [100, 100], ["maximum", "maximum"]),
        (80, [1, 0], [40, 40], [0, 20], 100, [60, 20], ["level", "minimum"]),
        (50, [1, 1], [90, 0], 0, [30, 30], [30, 20], ["maximum", "level"]),
        (10, [5], [50], 0, np.inf, [10], ["level"]),
        (0, [1, 1], [5, 5], 0, 10, [0, 0], ["minimum", "minimum"]),
    ],
)
def test_hand_computed(
    available: float,
    shares: list[float],
    active: list[float],
    low: float | list[float],
    high: float | list[float],
    expected: list[float],
    held: list[str],
) -> None:
    result = targets(available, shares, active, low, high)
    assert result.target == pytest.approx(expected, rel=1e-13)
    assert result.held_by.tolist() == held
    assert result.unused == pytest.approx(max(available - sum(expected), 0))


def _page_by_page(case: Case) -> NDArray[np.int64]:
    """Take one page after the other from the victim, until all fits: what the paper describes."""
    available, shares, active, low, high, rate = case
    pages = high.astype(np.int64)
    while pages.sum() > available:
        pages[victim(shares, pages, active, low, rate)] -= 1
    return pages


def test_taking_page_after_page_from_the_victim_gets_to_the_same_targets() -> None:
    rng = np.random.default_rng(5)
    for _ in range(150):
        n = int(rng.integers(1, 6))
        shares = rng.choice([500.0, 1000.0, 2000.0], n)
        high = rng.integers(1, 120, n) * 1.0
        low = np.floor(high * rng.random(n) * 0.6)
        active = np.floor(high * rng.random(n))
        shares, active, low, high = np.array([shares, active, low, high], dtype=np.float64)
        available = float(low.sum() + rng.integers(0, high.sum() - low.sum() + 1))
        rate = float(rng.choice([0, 0.5, 0.75, 0.9]))
        taken = _page_by_page((available, shares, active, low, high, rate))
        result = targets(available, shares, active, low, high, tax_rate=rate)
        assert np.abs(taken - result.target).max() <= 2 * idle_cost(rate)
        assert np.abs(taken - result.target).mean() <= 1.5


# --- properties ----------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> Case:
    amount = st.floats(0, 1000).map(lambda x: 0.0 if x < 1e-3 else x)
    row = st.tuples(st.floats(1, 4000), amount, amount, amount)
    rows = draw(st.lists(row, min_size=1, max_size=8))
    shares, active, low, more = (np.array(column) for column in zip(*rows, strict=True))
    rate = draw(st.sampled_from([0.0, 0.3, 0.75, 0.99]))
    return float(low.sum() + draw(amount)), shares, active, low, low + more, rate


def _run(case: Case, **changed: float) -> TaxTargets:
    available, shares, active, low, high, rate = case
    return targets(available, shares, active, low, high, tax_rate=changed.get("rate", rate))


@given(cases())
def test_rho_is_equal_among_all_between_the_bounds(case: Case) -> None:
    result = _run(case)
    assert (result.target >= result.minimum - 1e-12 * result.target).all()
    assert (result.target <= result.maximum * (1 + 1e-12)).all()
    total = result.target.sum() + result.unused
    assert total == pytest.approx(result.available, rel=1e-9, abs=1e-9)
    scale = 1e-9 * (1 + result.available)
    between = (result.target > result.minimum + scale) & (result.target < result.maximum - scale)
    if between.any():
        rho = result.rho[between]
        np.testing.assert_allclose(rho, rho[0], rtol=1e-6)
        # and nobody at a bound should move: who could give has no smaller rho, nor a larger who
        # could take
        free = result.maximum > result.minimum
        at_minimum = (result.target <= result.minimum) & free
        at_maximum = (result.target >= result.maximum) & free
        assert (result.rho[at_minimum] <= rho[0] * (1 + 1e-6)).all()
        assert (result.rho[at_maximum] >= rho[0] * (1 - 1e-6)).all()


@given(cases(), st.floats(0, 0.98), st.floats(0, 0.98))
def test_a_higher_tax_takes_idle_pages_and_no_active_ones(
    case: Case, one: float, other: float
) -> None:
    low_rate, high_rate = sorted((one, other))
    before, after = _run(case, rate=low_rate), _run(case, rate=high_rate)
    slack = 1e-9 * (1 + before.available)
    used = np.minimum(before.target, before.active)
    assert (np.minimum(after.target, after.active) >= used - slack).all()
    assert (after.target - after.active).clip(0).sum() <= (before.target - before.active).clip(
        0
    ).sum() + slack * len(used)


@given(cases(), st.floats(0, 1000))
def test_who_uses_more_is_not_given_less(case: Case, more: float) -> None:
    before = _run(case)
    busier = case[2].copy()
    busier[0] += more
    after = _run((*case[:2], busier, *case[3:]))
    assert after.target[0] >= before.target[0] - 1e-9 * (1 + before.available)


@given(cases())
def test_without_tax_shares_alone_decide(case: Case) -> None:
    lazy = (*case[:2], 0 * case[2], *case[3:])
    np.testing.assert_allclose(
        _run(case, rate=0).target, _run(lazy, rate=0).target, rtol=1e-7, atol=1e-7
    )


# --- errors and words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((10, [1], [1]), {"tax_rate": 1}, "tax_rate = 1: must be a number from 0 to 1"),
        ((10, [1], [1]), {"tax_rate": -0.1}, "tax_rate"),
        ((10, [1, -1], [1, 1]), {}, r"shares\[1\] = -1.0"),
        ((10, [1, 1], [1, -1]), {}, r"active\[1\] = -1.0"),
        ((10, [1, 1], [1]), {}, "active"),
        ((10, [1, 1], 0, [0, 3], [9, 2]), {}, r"minimum\[1\] = 3.0: must be at most maximum\[1\]"),
        ((10, [1, 1], 0, 6), {}, "sum of minimum = 12.0: .* 2 are lacking"),
        ((-1, [1], 0), {}, "capacity = -1"),
        ((1, [1, 1], 0), {"names": ["a"]}, "one name for each of 2 VMs"),
    ],
)
def test_bad_input_is_named(
    arguments: tuple[object, ...], named: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        targets(*arguments, **named)  # type: ignore[arg-type] # wrong values are the point


def test_a_result_in_words_rows_and_json() -> None:
    result = targets(80, [1, 1], [40, 10], 35, 100, names=["web one", "mail"], unit="MB")
    text = result.explain()
    assert "80 MB are divided at a tax rate of 0.75" in text
    assert "web one gets 45 (89 % in use), mail 35 (29 %) MB." in text
    assert "At their minimum: mail." in text
    frame = result.to_frame()
    assert frame["target_mb"].tolist() == [45, 35]
    assert frame["cost_mb"].tolist() == [60, 110]
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert data["idle_mb"] == 30
    assert data["rows"][1]["held_by"] == "minimum"
    assert "20 MB are left" in targets(120, [1], [1], 0, 100, unit="MB").explain()
    assert targets(5, [], []).explain().endswith("an active one.")
    with pytest.raises(ValueError, match="read-only"):
        result.target[0] = 0


def test_many_vms_are_not_all_listed() -> None:
    text = targets(6400, np.ones(64), np.arange(64)).explain()
    assert len(text) < 400
    assert "VM6" in text
    assert "VM7" not in text
