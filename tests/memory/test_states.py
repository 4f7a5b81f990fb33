"""The host's memory states: each threshold by hand, and that they never skip and never flap."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.states import HostState, State, StateLog, Thresholds, watch
from virtlab.validate import InvalidInputError

HIGH, SOFT, HARD, LOW = State


@pytest.mark.parametrize(
    ("start", "free", "end"),
    [
        (HIGH, 0.04, HIGH),  # between 4 and 6 % it stays what it was
        (HIGH, 0.0399, SOFT),
        (SOFT, 0.0649, SOFT),
        (SOFT, 0.065, HIGH),
        (SOFT, 0.02, SOFT),
        (SOFT, 0.0199, HARD),
        (HARD, 0.0449, HARD),
        (HARD, 0.045, SOFT),
        (HARD, 0.01, HARD),
        (HARD, 0.0099, LOW),
        (LOW, 0.0249, LOW),
        (LOW, 0.025, HARD),
        (LOW, 0.0, LOW),
        (HIGH, 1.0, HIGH),
        (HIGH, 0.0, LOW),
        (LOW, 1.0, HIGH),
    ],
)
def test_each_threshold(start: State, free: float, end: State) -> None:
    host = HostState(state=start)
    host.look(free)
    assert host.state is end


def test_what_a_state_does() -> None:
    assert [state.balloons for state in State] == [False, True, False, False]
    assert [state.swaps for state in State] == [False, False, True, True]
    assert [state.blocks for state in State] == [False, False, False, True]
    assert [state.label for state in State] == ["high", "soft", "hard", "low"]


def test_a_fall_past_all_thresholds_passes_through_all_states_at_one_look() -> None:
    host = HostState()
    assert host.look(0.005, time_s=7) == (SOFT, HARD, LOW)
    assert [(step.before, step.after) for step in host.passages] == [
        (HIGH, SOFT),
        (SOFT, HARD),
        (HARD, LOW),
    ]
    assert {step.time_s for step in host.passages} == {7}
    assert host.look(0.5, time_s=8) == (HARD, SOFT, HIGH)


def test_the_published_thresholds() -> None:
    at = Thresholds()
    assert [at.of(state) for state in State] == [0.06, 0.04, 0.02, 0.01]
    host = HostState(state=LOW)
    host.look(at.aim)
    assert host.state is HIGH  # who aims there gets back, from anywhere


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"soft": 0.06}, "soft = 0.06: must be below high, 0.06"),
        ({"hard": 0.05}, "hard = 0.05: must be below soft, 0.04"),
        ({"low": -0.1}, "low"),
        ({"high": 1.5}, "high"),
        ({"margin": -0.1}, "margin"),
    ],
)
def test_bad_thresholds_are_named(named: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Thresholds(**named)


@pytest.mark.parametrize("free", [-0.1, 1.1, float("nan"), "much"])
def test_a_bad_look_is_named(free: object) -> None:
    with pytest.raises(InvalidInputError, match="free"):
        HostState().look(free)  # type: ignore[arg-type] # wrong values are the point


def test_looks_and_times_must_be_as_many() -> None:
    with pytest.raises(InvalidInputError, match="time_s"):
        watch([0.1, 0.2], time_s=[1])


def test_a_log_in_words_rows_and_json() -> None:
    log = watch([0.2, 0.05, 0.03, 0.05, 0.07, 0.05], time_s=[0, 15, 30, 45, 60, 75])
    assert log.to_frame()["state"].tolist() == ["high", "high", "soft", "soft", "high", "high"]
    assert log.explain() == "In 6 looks the host went through 2 steps: high > soft > high."
    data = json.loads(json.dumps(log.to_json(), allow_nan=False))
    assert data["soft_percent"] == pytest.approx(100 / 3)
    assert data["rows"][2]["time_s"] == 30
    assert watch([0.5, 0.5]).explain() == "In 2 looks the host stayed in high."
    assert "1 step: high > soft" in watch([0.03]).explain()
    assert "…" in watch([0.0, 1.0, 0.0, 1.0]).explain()
    assert watch([]).explain() == "In 0 looks the host stayed in high."


# --- never skip, never flap ----------------------------------------------------------------------

_looks = st.lists(st.floats(0, 0.12), min_size=1, max_size=60)


@st.composite
def thresholds(draw: st.DrawFn) -> Thresholds:
    drawn = draw(st.lists(st.integers(1, 100), min_size=4, max_size=4, unique=True))
    high, soft, hard, low = (value / 1000 for value in sorted(drawn, reverse=True))
    return Thresholds(high, soft, hard, low, margin=draw(st.floats(0, 0.02)))


def _route(log: StateLog) -> list[State]:
    """Return all states in order, and check that each step begins where the last one ended."""
    route = [HIGH]
    for step in log.passages:
        assert step.before is route[-1]
        route.append(step.after)
    return route


@given(_looks, thresholds())
def test_states_never_skip(free: list[float], at: Thresholds) -> None:
    log = watch(free, thresholds=at)
    assert all(abs(a - b) == 1 for a, b in pairwise(_route(log)))
    assert _route(log)[-1] == log.state[-1]


@given(_looks, thresholds())
def test_all_steps_of_one_look_go_one_way(free: list[float], at: Thresholds) -> None:
    log = watch(free, thresholds=at)
    for time in set(log.time_s):
        ways = {step.after - step.before for step in log.passages if step.time_s == time}
        assert len(ways) <= 1


@given(_looks, thresholds())
def test_a_step_back_takes_a_move_across_the_band(free: list[float], at: Thresholds) -> None:
    log = watch(free, thresholds=at)
    for one, other in pairwise(log.passages):
        if one.before is other.after:  # there and back: what a flap would be
            upper, lower = sorted((one.before, one.after))
            band = at.of(upper) + at.margin - at.of(lower)
            assert abs(one.free - other.free) >= band - 1e-12


@given(
    thresholds(), st.floats(0, 0.1), st.lists(st.floats(0, 0.999), min_size=1, max_size=60), _looks
)
def test_within_a_band_states_never_flap(
    at: Thresholds, base: float, wobble: list[float], before: list[float]
) -> None:
    """Whatever was before: free memory that stays in a band leads one way only."""
    bands = [at.of(a) + at.margin - at.of(b) for a, b in pairwise(State)]
    host = HostState(at)
    for free in before:
        host.look(free)
    seen = len(host.passages)
    for part in wobble:
        host.look(base + part * min(bands))
    assert len({step.after - step.before for step in host.passages[seen:]}) <= 1
    assert len(host.passages) - seen <= 3


@given(_looks, thresholds())
def test_the_state_is_one_that_the_free_memory_allows(free: list[float], at: Thresholds) -> None:
    log = watch(free, thresholds=at)
    for part, state in zip(log.free, (State(number) for number in log.state), strict=True):
        if state is not LOW:
            assert part >= at.of(State(state + 1))
        if state is not HIGH:
            assert part < at.of(State(state - 1)) + at.margin
