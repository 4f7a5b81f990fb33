"""The question on a unit's exits, and the table of those that were looked up."""

from __future__ import annotations

import pytest

from tests.machine.oracle import expected
from virtlab.course import translation as ask
from virtlab.course.translation_exits import _ENDS, _linked, exits, links
from virtlab.machine.guests import guest
from virtlab.machine.translation.passes import Passes

TAKEN = {"jmp": 1, "jnz": 2, "loop": 2, "call": 1, "ret": 0}  # where an address is said


@pytest.mark.parametrize("end", _ENDS)
def test_what_can_be_linked_is_what_the_instruction_says_itself(end: str) -> None:
    name, _, target = end.partition(" ")
    says = target in ("next", "back", "function")
    assert _linked(_ENDS[end]) == (TAKEN[name] if says else 0)


@pytest.mark.parametrize("seed", range(9))
def test_each_wrong_answer_gets_a_hint(seed: int) -> None:
    question = ask.links.problem(seed)
    right = question.right_answer  # type: ignore[attr-defined]
    assert question.check(right).is_right
    for answer in {"0", "1", "2"} - {right}:
        verdict = question.check(answer)
        assert not verdict.is_right
        assert question.hints[answer] in verdict.message  # type: ignore[attr-defined]


def test_each_number_of_links_is_asked_for() -> None:
    assert {links(end).solve() for end in _ENDS} == {"0", "1", "2"}


def test_an_interpreter_in_the_guest_is_looked_up_once_for_each_of_its_instructions() -> None:
    table = exits(["sieve", "bytecode"]).T.to_dict()
    for name, row in table.items():
        assert row["instructions"] == guest(str(name)).instructions - 1
    bytecode, sieve = table["bytecode"], table["sieve"]
    done = int(expected(guest("bytecode")).split()[-1])
    assert 0.99 * done < bytecode["looked up"] <= done  # the first ones were interpreted
    asked = 1000 * bytecode["looked up"] / bytecode["instructions"]
    assert bytecode["looked up, of 1000"] == pytest.approx(asked, abs=0.06)
    assert (sieve["looked up"], sieve["looked up, of 1000"]) == (0, 0)
    assert sieve["along a link"] > 10_000


def test_regions_that_take_the_targets_along_look_up_less() -> None:
    plain, guessed = (
        exits(["bytecode"], Passes(guesses=guesses))["looked up"].item()
        for guesses in (False, True)
    )
    assert guessed < 0.1 * plain
