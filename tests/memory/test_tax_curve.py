"""Targets as the tax rises, and the paper's figure 7 beside the formula."""

from __future__ import annotations

import json

import numpy as np
import pytest

from virtlab.memory.tax import targets
from virtlab.memory.tax_curve import FIGURE_7, figure_7, tax_curve
from virtlab.validate import InvalidInputError


def test_the_formula_reproduces_figure_7() -> None:
    result = figure_7()
    assert result.formula_mb[0] == pytest.approx([179, 179], abs=3)
    assert result.formula_mb[1] == pytest.approx([101.3, 243.2], abs=1)
    assert np.abs(result.error_percent).max() == pytest.approx(0.5, abs=0.05)
    assert result.published_mb.tolist() == [list(row) for row in FIGURE_7.values()]
    assert result.formula_mb.sum(axis=1) == pytest.approx(result.published_mb.sum(axis=1))


def test_figure_7_in_rows_and_json() -> None:
    data = json.loads(json.dumps(figure_7().to_json(), allow_nan=False))
    assert data["idle_formula_mb"] == pytest.approx(100.8, abs=0.05)
    assert data["busy_formula_mb"] == pytest.approx(243.7, abs=0.05)
    assert [row["load"] for row in data["rows"]] == ["idle", "busy"] * 2


def test_each_point_of_a_curve_is_a_target() -> None:
    curve = tax_curve(300, [2, 1, 1], [50, 150, 10], 20, 200, rates=[0, 0.75, 0.99])
    for rate, row in zip(curve.rates, curve.target, strict=True):
        alone = targets(300, [2, 1, 1], [50, 150, 10], 20, 200, tax_rate=float(rate))
        assert row.tolist() == alone.target.tolist()
    assert curve.names == ("VM1", "VM2", "VM3")


def test_a_curve_runs_from_equal_parts_to_what_is_in_use() -> None:
    curve = tax_curve(300, [1, 1], [10, 200])
    assert curve.rates[[0, -1]].tolist() == [0, 0.99]
    assert curve.target[0].tolist() == [150, 150]
    assert curve.target[-1] == pytest.approx([55, 245], abs=1)  # idle memory is halved
    assert (np.diff(curve.target[:, 0]) <= 0).all()
    assert curve.target.sum(axis=1) == pytest.approx(300)
    assert (curve.target[:, 1] >= 150).all()


def test_a_curve_in_words_rows_and_json() -> None:
    curve = tax_curve(300, [1, 1], [0, 200], rates=[0.5, 0.9], names=["web one", "db"], unit="MB")
    first, last = curve.explain().split(". ", 1)
    assert first == "At a rate of 0.5 web one gets 100 and db 200 MB"
    assert last == "At a rate of 0.9 web one gets 60 (-40) and db 240 (+40) MB."
    frame = curve.to_frame()
    assert frame["name"].tolist() == ["web one", "db"] * 2
    assert frame["tax_rate"].tolist() == [0.5, 0.5, 0.9, 0.9]
    data = json.loads(json.dumps(curve.to_json(), allow_nan=False))
    assert data["web one_first_mb"] == pytest.approx(100)
    assert data["last_rate"] == 0.9


@pytest.mark.parametrize(
    ("rates", "message"),
    [([0, 1], "tax_rate = 1.0"), ([-0.1], r"rates\[0\]"), ("x", "rates")],
)
def test_bad_rates_are_named(rates: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        tax_curve(300, [1, 1], 0, rates=rates)  # type: ignore[arg-type] # wrong values are the point
