"""A program that touches more and less, on real page numbers, seen by the sampler."""

from __future__ import annotations

import json

import numpy as np
import pytest

from virtlab.memory.sampling import SamplerSettings, standard_error
from virtlab.memory.sampling_run import STEPS_MIB, SamplingRun, sample_steps
from virtlab.validate import InvalidInputError


@pytest.fixture(scope="module")
def run() -> SamplingRun:
    return sample_steps()


def test_what_is_in_use_is_what_was_asked_for(run: SamplingRun) -> None:
    levels = run.touched_mib.reshape(len(STEPS_MIB), -1)
    assert (levels == levels[:, :1]).all()
    assert levels[:, 0].tolist() == [size + 15 for size in STEPS_MIB]


def test_the_estimate_is_the_largest_average(run: SamplingRun) -> None:
    most = np.maximum(np.maximum(run.slow_mib, run.fast_mib), run.running_mib)
    assert (run.estimate_mib == most).all()
    assert (run.estimate_mib <= run.vm_mib).all()


def test_rises_follow_the_fast_average_and_falls_the_slow_one(run: SamplingRun) -> None:
    """Largest of all: the fast one or the running one while it rises, the slow one in the fall."""
    rising = slice(330, 1800)
    quick = np.maximum(run.fast_mib, run.running_mib)
    assert (run.estimate_mib == quick)[rising].mean() > 0.8
    falling = slice(1830, 2100)
    assert (run.estimate_mib == run.slow_mib)[falling].mean() > 0.9


def test_rises_are_followed_faster_than_the_fall(run: SamplingRun) -> None:
    *rises, fall = [run.followed_s(i) for i in range(6)]
    assert max(rises) <= 75
    assert 3 * max(rises) < fall < 400
    told = run.summary()
    assert told["rise_followed_s"] == np.median(rises)
    assert told["fall_followed_s"] == fall


def test_at_rest_the_error_is_the_samplings() -> None:
    """The fast average of gain 1/2 has a third of a count's variance; the largest is above."""
    settings = SamplerSettings(initial=0.0)
    runs = [
        sample_steps((200,), np.random.default_rng(seed), step_s=900, settings=settings)
        for seed in range(12)
    ]
    truth = runs[0].touched_mib[0]
    error = standard_error(truth / 512) * 512
    last = np.array([run.fast_mib[-1] for run in runs])
    assert abs(last.mean() - truth) < 3 * error / np.sqrt(3 * 12)
    assert last.std(ddof=1) == pytest.approx(error / np.sqrt(3), rel=0.6)


def test_steady_use_has_no_change_to_follow() -> None:
    run = sample_steps((100,), step_s=120)
    assert "rise_followed_s" not in run.summary()
    assert run.explain().startswith("On average")
    with pytest.raises(InvalidInputError, match="change"):
        run.followed_s(0)


def test_a_change_that_is_too_short_is_never_followed() -> None:
    run = sample_steps((0, 200, 0), np.random.default_rng(1), step_s=4)
    assert run.followed_s(1) == np.inf


def test_the_same_seed_gives_the_same_run() -> None:
    one, other = (sample_steps((0, 50), np.random.default_rng(9), step_s=60) for _ in range(2))
    assert (one.estimate_mib == other.estimate_mib).all()


def test_rows_and_json(run: SamplingRun) -> None:
    frame = run.to_frame()
    assert len(frame) == 300 * len(STEPS_MIB)
    assert frame["time_s"].iloc[[0, -1]].tolist() == [1, 2400]
    short = sample_steps((0, 50), step_s=60)
    assert json.loads(json.dumps(short.to_json(), allow_nan=False))["samples_per_period"] == 100


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        (([600],), {}, "steps_mib = 600.0: must be at most 497"),
        (([-1],), {}, r"steps_mib\[0\]"),
        (([1],), {"step_s": 0}, "step_s = 0"),
        (([1],), {"vm_mib": 0}, "vm_mib = 0"),
        (([1],), {"background_mib": 600}, "background_mib = 600"),
    ],
)
def test_bad_input_is_named(
    arguments: tuple[list[float]], named: dict[str, int], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        sample_steps(*arguments, **named)  # type: ignore[arg-type] # wrong values are the point
