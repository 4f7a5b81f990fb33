"""The host's memory states: each threshold by hand, and that they never skip and never flap."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.state_log import StateLog, shortest_return_s, watch
from virtlab.memory.states import HostState, State, Thresholds
from virtlab.validate import InvalidInputError

HIGH, SOFT, HARD, LOW = State


@pytest.mark.parametrize(
    ("start", "free", "end"),
    [
        (HIGH, 0.04, HIGH),  # between 4 and 6 % it stays what it was
        (HIGH, 0.0399, SOFT),
        (SOFT, 0.0689, SOFT),
        (SOFT, 0.069, HIGH),
        (SOFT, 0.02, SOFT),
        (SOFT, 0.0199, HARD),
        (HARD, 0.0489, HARD),
        (HARD, 0.049, SOFT),
        (HARD, 0.01, HARD),
        (HARD, 0.0099, LOW),
        (LOW, 0.0289, LOW),
        (LOW, 0.029, HARD),
        (LOW, 0.0, LOW),
        (HIGH, 1.0, HIGH),
        (HIGH, 0.0, LOW),
        (LOW, 1.0, HARD),  # upwards it goes step by step
    ],
)
def test_each_threshold(start: State, free: float, end: State) -> None:
    host = HostState(Thresholds(calm_s=0), start)
    host.look(free)
    assert host.state is end


def test_it_goes_up_after_ten_seconds_without_a_break() -> None:
    host = HostState(state=SOFT)
    frees = [0.07] * 9 + [0.0689] + [0.07] * 10
    assert [host.look(free, time_s) for time_s, free in enumerate(frees)] == [()] * 20
    assert host.look(0.069, time_s=20) == (HIGH,)
    assert host.look(0.039, time_s=21) == (SOFT,)  # downwards at once


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
    assert host.look(0.5, time_s=8) == ()
    assert [host.look(0.5, time_s=at) for at in (17, 18, 19, 20, 21)] == [
        (),
        (HARD,),
        (SOFT,),
        (HIGH,),
        (),
    ]


def test_the_published_thresholds() -> None:
    at = Thresholds()
    assert [at.of(state) for state in State] == [0.06, 0.04, 0.02, 0.01]
    assert [at.up(state) for state in State] == [0.069, 0.049, 0.029, 0.019]
    host = HostState(state=LOW)
    for second in range(13):
        host.look(at.aim, second)
    assert host.state is HIGH  # who aims there gets back, from anywhere


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"soft": 0.06}, "soft = 0.06: must be below high, 0.06"),
        ({"hard": 0.05}, "hard = 0.05: must be below soft, 0.04"),
        ({"low": -0.1}, "low"),
        ({"high": 1.5}, "high"),
        ({"margin": -0.1}, "margin"),
        ({"calm_s": -1}, "calm_s"),
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
    log = watch([0.2, 0.05, 0.03, 0.07, 0.07, 0.05], time_s=[0, 15, 30, 45, 60, 75])
    assert log.to_frame()["state"].tolist() == ["high", "high", "soft", "soft", "high", "high"]
    assert log.explain() == "In 6 looks the host went through 2 steps: high > soft > high."
    data = json.loads(json.dumps(log.to_json(), allow_nan=False))
    assert data["soft_percent"] == pytest.approx(100 / 3)
    assert data["rows"][2]["time_s"] == 30
    assert watch([0.5, 0.5]).explain() == "In 2 looks the host stayed in high."
    assert "1 step: high > soft" in watch([0.03]).explain()
    restless = watch([0, 1, 1, 1, 0, 1, 1, 1], thresholds=Thresholds(calm_s=0))
    assert "12 steps" in restless.explain()
    assert "…" in restless.explain()
    assert watch([]).explain() == "In 0 looks the host stayed in high."


# --- never skip, never flap ----------------------------------------------------------------------

_looks = st.lists(st.floats(0, 0.12), min_size=1, max_size=60)


@st.composite
def thresholds(draw: st.DrawFn) -> Thresholds:
    drawn = draw(st.lists(st.integers(1, 100), min_size=4, max_size=4, unique=True))
    high, soft, hard, low = (value / 1000 for value in sorted(drawn, reverse=True))
    margin, calm_s = draw(st.floats(0, 0.02)), draw(st.integers(0, 6))
    return Thresholds(high, soft, hard, low, margin, calm_s)


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
            band = at.up(upper) - at.of(lower)
            assert abs(one.free - other.free) >= band - 1e-12


@given(
    thresholds(), st.floats(0, 0.1), st.lists(st.floats(0, 0.999), min_size=1, max_size=60), _looks
)
def test_within_a_band_states_never_flap(
    at: Thresholds, base: float, wobble: list[float], before: list[float]
) -> None:
    """Whatever was before: free memory that stays in a band leads one way only."""
    bands = [at.up(a) - at.of(b) for a, b in pairwise(State)]
    host = HostState(at)
    for second, free in enumerate(before):
        host.look(free, second)
    seen = len(host.passages)
    for second, part in enumerate(wobble, start=len(before)):
        host.look(base + part * min(bands), second)
    assert len({step.after - step.before for step in host.passages[seen:]}) <= 1
    assert len(host.passages) - seen <= 3


@given(_looks, thresholds())
def test_going_up_takes_calm_and_a_step_a_look(free: list[float], at: Thresholds) -> None:
    log = watch(free, thresholds=at)
    ups = [step for step in log.passages if step.after < step.before]
    assert len({step.time_s for step in ups}) == len(ups)
    for step in ups:
        calm = (log.time_s >= step.time_s - at.calm_s) & (log.time_s <= step.time_s)
        assert log.free[calm].size == at.calm_s + 1
        assert (log.free[calm] >= at.up(step.after)).all()


@given(_looks, thresholds())
def test_a_state_left_downwards_is_not_back_before_calm(free: list[float], at: Thresholds) -> None:
    steps = watch(free, thresholds=at).passages
    for i, step in enumerate(steps):
        if step.after > step.before:
            back = [other.time_s for other in steps[i + 1 :] if other.after is step.before]
            assert min(back, default=1e9) - step.time_s >= at.calm_s


@given(_looks, thresholds())
def test_the_state_is_no_higher_than_the_free_memory_allows(
    free: list[float], at: Thresholds
) -> None:
    log = watch(free, thresholds=at)
    for part, state in zip(log.free, (State(number) for number in log.state), strict=True):
        if state is not LOW:
            assert part >= at.of(State(state + 1))


@given(_looks, thresholds())
def test_who_has_enough_for_long_enough_is_in_high(free: list[float], at: Thresholds) -> None:
    enough = [at.up(HIGH)] * (int(at.calm_s) + 4)
    assert watch(free + enough, thresholds=at).state[-1] == HIGH


# --- returns ------------------------------------------------------------------------------------


def test_the_shortest_return_by_hand() -> None:
    log = watch([0.1, 0.03, 0.07, 0.07, 0.03], time_s=[0, 10, 20, 35, 41])
    steps = [(step.time_s, step.after.label) for step in log.passages]
    assert steps == [(10, "soft"), (35, "high"), (41, "soft")]
    assert shortest_return_s(log.passages) == 6  # soft was left at 35; high at 10, back at 35
    assert shortest_return_s(log.passages[:2]) == 25
    assert shortest_return_s(log.passages[:1]) == float("inf")
