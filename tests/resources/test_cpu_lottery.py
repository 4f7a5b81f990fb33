"""Lotteries against their laws and against what was published; stride beside them."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.resources.cpu.lottery import PUBLISHED_RATIOS, PublishedRatio, chance
from virtlab.validate import InvalidInputError


@pytest.mark.parametrize("shares", [1, 2, 10])
def test_lotteries_deviate_by_the_law(shares: float) -> None:
    found = chance(shares, 30, runs=120, seed=3)
    deviation = found.lottery.std(axis=0)
    middle, end = 150, 300
    # the standard deviation of 120 runs is itself off by 1/sqrt(240), 6.5 %: four of these
    assert deviation[[middle, end]] == pytest.approx(found.law[[middle, end]], rel=0.26)
    assert abs(found.lottery[:, -1].mean()) < 4 * found.law[-1] / np.sqrt(120)


def test_stride_stays_within_a_quantum() -> None:
    for shares in (1.0, 2.0, 5.0, 20.0):
        assert np.abs(chance(shares, 40, runs=2).stride).max() <= 1 + 1e-9


def test_published_runs_are_as_chance_goes() -> None:
    assert all(abs(run.z) < 4 for run in PUBLISHED_RATIOS)
    by_hand = (600 * 13.42 / 14.42 - 600 * 10 / 11) / np.sqrt(600 * 10 / 11 / 11)
    assert PUBLISHED_RATIOS[1].z == pytest.approx(by_hand)
    assert PublishedRatio(3, 60, 3).z == pytest.approx(0, abs=1e-9)


def test_rows_and_words() -> None:
    found = chance(2, 60, runs=10, seed=1)
    frame = found.to_frame()
    assert frame["seconds"].tolist() == pytest.approx(list(range(6, 61, 6)))
    assert frame["stride_off_quanta"].is_monotonic_increasing
    assert frame["law_quanta"].iloc[-1] == pytest.approx(np.sqrt(600 * 2 / 9))
    assert found.ratios.min() == found.summary()["ratio_lowest"]
    assert "2 : 1 for 60 s: stride is never more than 0.67 quanta" in found.explain()
    assert chance(2, 60, runs=10, seed=1).ratios.tolist() == found.ratios.tolist()


@pytest.mark.parametrize("bad", [{"shares": 0.5}, {"seconds": 0}, {"runs": 1}, {"seconds": 1e9}])
def test_bad_input_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        chance(**bad)  # type: ignore[arg-type] # that is what is tested
