"""Three words for numbers, and what each number is in the guides."""

from __future__ import annotations

import pytest

from virtlab.resources import allocate, preset
from virtlab.resources.presets import ESX25_RANGE, LEVELS, RESOURCES, read_shares
from virtlab.validate import InvalidInputError


@pytest.mark.parametrize("resource", RESOURCES)
def test_high_normal_low_are_four_two_one(resource: str) -> None:
    low, normal, high = (preset(resource, level, 3) for level in LEVELS)
    assert (high / low, normal / low) == (4, 2)
    assert high <= ESX25_RANGE[1]


@pytest.mark.parametrize(
    ("resource", "level", "amount", "shares"),
    [
        ("cpu", "low", 1, 500),
        ("cpu", "normal", 2, 2000),
        ("cpu", "high", 1, 2000),
        ("memory", "low", 512, 2560),
        ("memory", "normal", 256, 2560),  # ESX 2.5 guide, p. 353
        ("memory", "normal", 1024, 10240),
        ("memory", "high", 1, 20),
        ("disk", "low", 1, 500),
        ("disk", "normal", 1, 1000),
        ("disk", "high", 1, 2000),
    ],
)
def test_numbers_of_the_guides(resource: str, level: str, amount: float, shares: float) -> None:
    assert preset(resource, level, amount) == shares


def test_the_talks_second_case_in_words() -> None:
    shares = [preset("disk", level) for level in ("normal", "high", "normal")]
    assert allocate(160, shares).allocation.tolist() == [40, 80, 40]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tape", "high"), "resource = 'tape': must be one of cpu, memory, disk"),
        (("cpu", "max"), "level = 'max': must be one of low, normal, high"),
        (("cpu", "high", -1), "amount = -1"),
    ],
)
def test_unknown_words(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        preset(*arguments)  # type: ignore[arg-type] # wrong types are the point


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf", "", "1,5"])
def test_typed_shares_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInputError, match="or low, normal, high"):
        read_shares("shares", text)


def test_typed_shares() -> None:
    assert read_shares("shares", "HIGH", "memory", 100) == 2000
    assert read_shares("shares", "0") == 0
