"""Adams and Agesen's example: which fragments there are, and what is never translated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.translated import needs_wasmtime
from virtlab.machine.translation.fragments import CODE, fragments
from virtlab.machine.translation.passes import ESX, Passes
from virtlab.validate import InvalidInputError

pytestmark = needs_wasmtime


def test_the_code_begins_as_the_published_one() -> None:
    assert CODE[:10] == bytes.fromhex("89 f9 be 02 00 00 00 39 ce 7d")


def test_forty_nine_as_the_paper_has_it() -> None:
    """Section 3.1: four fragments, two continuations that are left, and `prime` never seen."""
    found = fragments(49)
    assert found.answer == 0
    names = [one.name for one in found.fragments]
    assert names == ["isPrime'", "nexti'", "[inc..]'", "notPrime'"]
    assert found.never_ran == (("isPrime'", "prime"), ("[inc..]'", "prime"))
    assert found.untranslated == ("prime",)
    assert [way.to for one in found.fragments for way in one.continuations if way.times] == [
        "nexti",
        "notPrime",
        "[inc..]",
        "nexti",
        "the caller",
    ]


def test_each_fragment_is_what_the_paper_s_is() -> None:
    found = {one.name: one for one in fragments(49).fragments}
    assert found["isPrime'"].code.hex() == "89f9be0200000039ce7d0e"
    assert [len(one.instructions) for one in found.values()] == [4, 5, 3, 2]
    assert found["nexti'"].instructions[2].startswith("IDIV")
    loops = {way.to: way.times for way in found["[inc..]'"].continuations}
    assert loops == {"nexti": 5, "prime": 0}  # 2 does not divide it, and so on until 6
    last = {way.to: way.times for way in found["nexti'"].continuations}
    assert last == {"notPrime": 1, "[inc..]": 5}


@settings(max_examples=25, deadline=None)
@given(number=st.integers(2, 400))
def test_it_is_asked_of_any_number(number: int) -> None:
    found = fragments(number)
    prime = all(number % by for by in range(2, number))
    assert found.answer == int(prime)
    assert found.untranslated == (
        ("nexti", "[inc..]", "notPrime")
        if number == 2
        else ("notPrime",)
        if prime
        else ("[inc..]", "prime")
        if number % 2 == 0
        else ("prime",)
    )
    made = {one.name for one in found.fragments}
    for one in found.fragments:
        for way in one.continuations:
            assert way.translated == (f"{way.to}'" in made)
            assert way.translated or not way.times or way.to == "the caller"


def test_a_region_takes_what_is_never_reached_too() -> None:
    found = fragments(49, passes=Passes())
    assert [one.name for one in found.fragments] == ["isPrime'"]
    assert found.untranslated == ()
    assert [(way.to, way.times) for way in found.fragments[0].continuations] == [("the caller", 1)]


def test_shorter_units_are_more() -> None:
    """A unit that ends because it is full has one way on."""
    found = fragments(49, passes=Passes(regions=False, most=2))
    assert len(found.fragments) > len(fragments(49).fragments)
    assert max(len(one.instructions) for one in found.fragments) == 2
    assert found.answer == 0
    assert "prime" in found.untranslated


@pytest.mark.parametrize("passes", [ESX, Passes()])
def test_what_it_says(passes: Passes) -> None:
    found = fragments(49, passes=passes)
    frame, summary = found.to_frame(), found.summary()
    assert len(frame) == summary["continuations"]
    assert frame["times"].eq(0).sum() == summary["continuations_never_run"]
    assert json.loads(json.dumps(found.to_json()))["fragments"] == len(found.fragments)
    assert "49 is not prime" in found.explain()
    assert ("never translated: prime" in found.explain()) == (passes == ESX)


@pytest.mark.parametrize("number", [1, 0, -7, 100_001, 2.5, "49"])
def test_numbers_it_refuses(number: Any) -> None:
    with pytest.raises(InvalidInputError, match="number"):
        fragments(number)


def test_an_interpreter_makes_no_fragments() -> None:
    with pytest.raises(InvalidInputError, match="tier = 'interpreter': must be one that trans"):
        fragments(49, tier="interpreter")
