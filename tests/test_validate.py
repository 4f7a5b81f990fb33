"""Bad input is caught where it was typed, and good input comes through unchanged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from virtlab.validate import InvalidInputError, integer, number, one_of, vector

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite)
def test_number_returns_what_it_was_given(value: float) -> None:
    assert number("x", value) == value
    assert number("x", np.float64(value)) == value


@given(finite, finite)
def test_number_refuses_exactly_what_is_below_the_minimum(value: float, minimum: float) -> None:
    if value >= minimum:
        assert number("x", value, minimum=minimum) == value
    else:
        with pytest.raises(InvalidInputError, match="x = "):
            number("x", value, minimum=minimum)


@given(finite, finite)
def test_number_refuses_exactly_what_is_above_the_maximum(value: float, maximum: float) -> None:
    if value <= maximum:
        assert number("x", value, maximum=maximum) == value
    else:
        with pytest.raises(InvalidInputError, match="x = "):
            number("x", value, maximum=maximum)


@pytest.mark.parametrize("value", [True, np.True_, "3", None, [3], 3 + 0j, math.nan, np.nan])
def test_number_refuses_what_is_no_number(value: object) -> None:
    with pytest.raises(InvalidInputError):
        number("x", value, finite=False)


def test_number_takes_infinity_only_where_it_is_allowed() -> None:
    assert number("x", math.inf, finite=False) == math.inf
    with pytest.raises(InvalidInputError, match="x = inf: must be a finite number"):
        number("x", math.inf)


@pytest.mark.parametrize(
    ("minimum", "maximum", "text"),
    [
        (0, 10, "a number from 0 to 10"),
        (0, math.inf, "a number >= 0"),
        (-math.inf, 10, "a finite number <= 10"),
        (-math.inf, math.inf, "a finite number"),
    ],
)
def test_the_error_says_what_is_allowed(minimum: float, maximum: float, text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        number("capacity", "much", minimum=minimum, maximum=maximum)
    assert str(caught.value) == f"capacity = 'much': must be {text}"
    assert (caught.value.field, caught.value.value) == ("capacity", "much")
    assert caught.value.allowed == text


def test_the_error_is_a_value_error_for_those_who_do_not_know_it() -> None:
    with pytest.raises(ValueError, match="must be"):
        number("x", -1, minimum=0)


@given(st.integers(-(2**53), 2**53))
def test_integer_returns_an_int(value: int) -> None:
    for given_as in (value, float(value), np.int64(value), np.float64(value)):
        result = integer("n", given_as)
        assert result == value
        assert type(result) is int


@given(finite)
def test_integer_refuses_fractions(value: float) -> None:
    assume(not value.is_integer())
    with pytest.raises(InvalidInputError, match="must be a whole number"):
        integer("n", value)


@pytest.mark.parametrize("value", [True, "4", math.inf, math.nan, None])
def test_integer_refuses_what_is_no_number(value: object) -> None:
    with pytest.raises(InvalidInputError, match="must be a whole number"):
        integer("n", value)


def test_integer_names_its_range() -> None:
    with pytest.raises(InvalidInputError, match="must be a whole number from 1 to 8"):
        integer("copies", 9, minimum=1, maximum=8)


def test_one_of_knows_its_choices() -> None:
    assert one_of("level", "low", ("low", "high")) == "low"
    with pytest.raises(InvalidInputError, match="level = 'Low': must be one of low, high"):
        one_of("level", "Low", ("low", "high"))


@given(st.lists(finite, max_size=20))
def test_vector_returns_the_numbers(values: list[float]) -> None:
    array = vector("x", values)
    assert array.dtype == np.float64
    assert_array_equal(array, values)


def test_vector_is_a_copy() -> None:
    source = np.ones(3)
    vector("x", source)[0] = 7
    assert_array_equal(source, 1)


def test_vector_repeats_one_number() -> None:
    assert_array_equal(vector("x", 2, size=3), [2, 2, 2])


@pytest.mark.parametrize("values", [[[1.0]], 5.0, ["a"], [[1], [1, 2]], None])
def test_vector_refuses_other_shapes(values: object) -> None:
    with pytest.raises(InvalidInputError, match="a list of numbers"):
        vector("x", values)  # type: ignore[arg-type]  # the wrong types are the test


def test_vector_says_which_length_it_needs() -> None:
    with pytest.raises(InvalidInputError, match="one number or a list of 3 numbers"):
        vector("x", [1, 2], size=3)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.data())
def test_vector_names_the_first_bad_element(values: list[float], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(values) - 1))
    bad = data.draw(st.sampled_from([-1.0, math.nan, math.inf]))
    values[index:] = [bad] * (len(values) - index)
    with pytest.raises(InvalidInputError) as caught:
        vector("x", values, minimum=0)
    assert caught.value.field == f"x[{index}]"


def test_vector_takes_infinity_only_where_it_is_allowed() -> None:
    assert vector("x", [math.inf], finite=False)[0] == math.inf
    with pytest.raises(InvalidInputError, match=r"x\[0\] = inf"):
        vector("x", [math.inf])
