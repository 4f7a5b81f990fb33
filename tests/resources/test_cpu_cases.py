"""The cases that are measured: what they say of shares, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.resources.cpu_cases import BIN_S, CASES, Case, Phase, nice_weight
from virtlab.validate import InvalidInputError

# The own table of the kernel (sched_prio_to_weight in kernel/sched/core.c), level 0 to 19.
KERNEL = (
    1024,
    820,
    655,
    526,
    423,
    335,
    272,
    215,
    172,
    137,
    110,
    87,
    70,
    56,
    45,
    36,
    29,
    23,
    18,
    15,
)


def test_the_formula_of_nice_is_the_kernel_s_table() -> None:
    ours = [nice_weight(level) for level in range(20)]
    assert ours == pytest.approx(KERNEL, rel=0.025)


@given(st.integers(-20, 18))
def test_a_nice_level_is_a_quarter_more(level: int) -> None:
    assert nice_weight(level) == pytest.approx(1.25 * nice_weight(level + 1))


@pytest.mark.parametrize("level", [-21, 20, float("nan")])
def test_a_level_that_is_not_there_is_refused(level: float) -> None:
    with pytest.raises(InvalidInputError, match="nice"):
        nice_weight(level)


BY_HAND = {
    "equal shares": [[100 / 3] * 3],
    "twice the shares": [[25, 50, 25]],
    "3:2:1": [[50, 100 / 3, 50 / 3]],
    "100:1": [[10000 / 101, 100 / 101]],
    "10 against ten": [[50, *[5] * 10]],
    "a share is changed": [[100 / 3] * 3, [25, 50, 25]],
    "one joins": [[50, 50, 0], [100 / 3] * 3],
    "one leaves": [[100 / 3] * 3, [50, 50, 0]],
    "a maximum": [[37.5, 25, 37.5]],
    "all at a maximum": [[20, 50]],
    "one blocks half of the time": [[100 / 3] * 3, [0, 50, 50]],
    "one takes naps": [[25, 37.5, 37.5]],
}


@pytest.mark.parametrize("name", list(BY_HAND))
def test_what_the_shares_say_is_as_worked_out_by_hand(name: str) -> None:
    model = CASES[name].model()
    found = model[np.sort(np.unique(model, axis=0, return_index=True)[1])]
    assert found == pytest.approx(np.array(BY_HAND[name]))


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_no_more_than_the_cpu_is_given_and_all_of_it_where_it_is_wanted(case: Case) -> None:
    total = case.model().sum(axis=1)
    assert case.model().shape == (round(case.seconds / BIN_S), case.size)
    assert total == pytest.approx(70 if case.name == "all at a maximum" else 100)


def test_a_nap_simulated_gets_what_the_formula_says() -> None:
    """A fluid CPU, in steps of 20 µs: one works 5 ms and sleeps 5 ms, two always work."""
    step, worked, asleep = 0.02, 0.0, 0.0
    had = np.zeros(3)
    for _ in range(40_000):
        awake = np.array([asleep <= 0, True, True])
        part = step * awake / awake.sum()
        had += part
        worked += part[0]
        asleep -= step
        if worked >= 5:
            worked, asleep = 0.0, 5.0
    assert 100 * had / had.sum() == pytest.approx(CASES["one takes naps"].model()[0], abs=0.3)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Phase(0.7, (1.0,)), "seconds"),
        (lambda: Phase(1, ()), "given"),
        (lambda: Case("x", "wishes", (Phase(1, (1.0,)),)), "way"),
        (lambda: Case("x", "shares", (Phase(1, (1.0,)), Phase(1, (1.0, 2.0)))), "given"),
        (lambda: Case("x", "shares", (Phase(1, (1.0,)),), (50.0, 50.0)), "maximum_percent"),
    ],
)
def test_bad_input_is_named(make: object, field: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidInputError, match=field):
        make()
