"""The working-set sampler: its error, its averages, and how it follows rises and falls."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.sampling import Sampler, SamplerSettings, standard_error
from virtlab.validate import InvalidInputError


def _first_counts(fraction: float, trials: int, pages: int, rng: np.random.Generator) -> list[int]:
    """Sample real bitmaps of which that part is touched, one period each."""
    counts = []
    for _ in range(trials):
        touched = np.zeros(pages, dtype=bool)
        touched[rng.permutation(pages)[: round(fraction * pages)]] = True
        sampler = Sampler(pages, rng)
        for _ in range(3):
            sampler.see(touched[sampler.sampled], seconds=9)
        counts.append(sampler.counted)
    return counts


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3, 0.5, 0.8])
def test_the_standard_error_is_the_binomials(fraction: float) -> None:
    counts = np.array(_first_counts(fraction, 600, 4000, np.random.default_rng(1)))
    parts = counts / 100
    assert parts.std(ddof=1) == pytest.approx(standard_error(fraction), rel=0.15)
    assert parts.mean() == pytest.approx(
        fraction, abs=4 * standard_error(fraction) / math.sqrt(600)
    )


def test_the_facts_own_figures() -> None:
    assert standard_error(0.1) == pytest.approx(0.03)
    assert standard_error(0.5) == 0.05
    assert standard_error(0.5, samples=400) == 0.025
    assert standard_error(0) == standard_error(1) == 0


def test_a_known_fraction_is_sampled_with_the_same_error() -> None:
    rng = np.random.default_rng(2)
    parts = []
    for _ in range(1000):
        sampler = Sampler(10**6, rng)
        for _ in range(29):
            sampler.see_fraction(0.3)
        parts.append(sampler.counted / 100)
    assert np.std(parts, ddof=1) == pytest.approx(standard_error(0.3), rel=0.15)


def test_the_averages_by_hand() -> None:
    settings = SamplerSettings(samples=4, period_s=10, slow_gain=0.25, fast_gain=0.5)
    sampler = Sampler(8, np.random.default_rng(0), settings)
    assert sampler.estimate == 1  # nothing is known yet
    sampler.see([True, False, False, False], seconds=10)
    assert (sampler.slow, sampler.fast, sampler.periods) == (0.25, 0.25, 1)
    sampler.see([True, True, False, False], seconds=5)
    assert sampler.running == 0.25 + 0.5 * (0.5 - 0.25)
    assert sampler.estimate == 0.375  # within the period already
    sampler.see([True, False, True, False], seconds=5)  # three different ones in all
    assert sampler.fast == 0.25 + 0.5 * (0.75 - 0.25)
    assert sampler.slow == 0.25 + 0.25 * (0.75 - 0.25)
    sampler.see([False] * 4, seconds=10)
    assert (sampler.fast, sampler.slow) == (0.25, 0.28125)
    assert sampler.estimate == 0.28125  # a fall: now the slow one is the largest


def _response(start: float, end: float) -> list[float]:
    """Return the estimate, without noise, at each second after a step."""
    sampler = Sampler(10**6, np.random.default_rng(3), SamplerSettings(samples=20_000))
    for _ in range(1800):
        sampler.see_fraction(start)
    return [sampler.see_fraction(end) for _ in range(1800)]


def test_it_rises_fast_and_falls_slowly() -> None:
    """Half of a step up takes a period, half of a step down the slow average's five."""
    up = int(np.argmax(np.array(_response(0.2, 0.8)) > 0.5))
    down = int(np.argmax(np.array(_response(0.8, 0.2)) < 0.5))
    assert up <= 31
    assert 5 * 30 <= down <= 7 * 30
    assert up * 3 < down


def test_a_rise_shows_within_the_period() -> None:
    rising = _response(0.1, 0.9)
    assert rising[0] > 0.4  # the running average, one second after the step
    sampler = Sampler(10**6, np.random.default_rng(3), SamplerSettings(samples=20_000))
    for _ in range(30):
        sampler.see_fraction(0.1)
    sampler.see_fraction(0.9)
    assert sampler.running > 0.4 > sampler.fast


def test_time_counts_only_while_the_vm_runs() -> None:
    sampler = Sampler(100, np.random.default_rng(4))
    for _ in range(100):
        sampler.see_fraction(0.5, seconds=0)  # it waits
    assert sampler.periods == 0
    for _ in range(30):
        sampler.see_fraction(0.5, seconds=1)
    assert sampler.periods == 1
    sampler.see_fraction(0.5, seconds=45)  # the rest counts towards the next period
    assert sampler.periods == 2
    sampler.see_fraction(0.5, seconds=15)
    assert sampler.periods == 3


def test_each_period_watches_other_pages() -> None:
    sampler = Sampler(10**6, np.random.default_rng(5))
    first = sampler.sampled.copy()
    sampler.see_fraction(0.5, seconds=30)
    assert (sampler.sampled != first).mean() > 0.9
    assert sampler.counted == 0
    assert sampler.sampled.min() >= 0
    assert sampler.sampled.max() < 10**6


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
    st.integers(0, 2**32 - 1),
)
def test_the_estimate_is_a_part_and_the_largest(
    fractions: list[float], slow: float, fast: float, seed: int
) -> None:
    settings = SamplerSettings(samples=10, period_s=2, slow_gain=slow, fast_gain=fast)
    sampler = Sampler(50, np.random.default_rng(seed), settings)
    for fraction in fractions:
        estimate = sampler.see_fraction(fraction)
        assert -1e-12 <= estimate <= 1 + 1e-12
        assert estimate == max(sampler.slow, sampler.fast, sampler.running)


@given(st.integers(0, 2**32 - 1))
def test_a_vm_at_rest_and_one_in_full_use_are_seen_exactly(seed: int) -> None:
    for fraction in (0.0, 1.0):
        sampler = Sampler(1000, np.random.default_rng(seed))
        for _ in range(60):
            sampler.see_fraction(fraction)
        assert sampler.estimate == fraction


def test_the_same_seed_gives_the_same_estimates() -> None:
    def run(seed: int) -> list[float]:
        sampler = Sampler(1000, np.random.default_rng(seed))
        return [sampler.see_fraction(0.4, 10) for _ in range(50)]

    assert run(1) == run(1) != run(2)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"samples": 0}, "samples = 0"),
        ({"period_s": 0}, "period_s = 0: must be above 0"),
        ({"slow_gain": 1.5}, "slow_gain = 1.5"),
        ({"fast_gain": 0}, "fast_gain = 0"),
        ({"initial": 2}, "initial = 2"),
    ],
)
def test_bad_settings_are_named(named: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        SamplerSettings(**named)  # type: ignore[arg-type] # wrong values are the point


def test_bad_input_is_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInputError, match="pages = 0"):
        Sampler(0, rng)
    with pytest.raises(InvalidInputError, match="one answer for each of 100 samples"):
        Sampler(10, rng).see([True])
    with pytest.raises(InvalidInputError, match="seconds = -1"):
        Sampler(10, rng).see_fraction(0.5, seconds=-1)
    with pytest.raises(InvalidInputError, match=r"fraction = 1\.5"):
        Sampler(10, rng).see_fraction(1.5)
    with pytest.raises(InvalidInputError, match="fraction"):
        standard_error(-0.1)
