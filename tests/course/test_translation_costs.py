"""Exercises on costs: answers by other ways, and mixtures that almost do it."""

from __future__ import annotations

from typing import Any

import pytest

from virtlab.course import translation_costs as ask
from virtlab.machine.translation_costs import fork_events


def test_forkwait_by_hand() -> None:
    natively = 6.02 * 3.8e9 / 40_000
    added = 140 * 2834 + 590 * 2505 + 180 * 390 + 24_800 * 40 + 3 * 2058
    question = ask.forkwait()
    assert question.check(40_000 * (natively + added) / 3.8e9).is_right
    assert question.right_answer == pytest.approx(36.95, rel=0.02)
    assert "To what?" in repr(question.check(40_000 * added / 3.8e9))
    for seed in range(6):
        drawn: Any = question.problem(seed)
        assert drawn.right_answer > 6.02
        assert drawn.check(drawn.right_answer).is_right


def test_forkwait_with_vt_x_too() -> None:
    added = 140 * 10_149 + 590 * 9818 + 180 * 12_732 + 3 * 3
    assert ask.forkwait(way="hw").right_answer == pytest.approx(
        6.02 + 40_000 * added / 3.8e9, rel=0.001
    )


@pytest.mark.parametrize(
    ("question", "answer"), [(ask.most, "c"), (ask.free, "b"), (ask.alone, "c")]
)
def test_choices_are_asked_of_the_model(question: Any, answer: str) -> None:
    asked = question()
    assert asked.right_answer == answer
    for key in asked.options:
        verdict = asked.check(key)
        assert verdict.is_right == (key == answer)


def test_break_even_by_hand() -> None:
    assert ask.break_even().check((12_733 - 391) / (2300 - 242)).is_right
    assert not ask.break_even().check(0.167).is_right
    assert not ask.break_even().check(32.6).is_right


def test_the_bar_of_a_boot_by_hand() -> None:
    assert ask.boot().right_answer == pytest.approx(0.107 * 12_732 / 390)
    assert "1.04 million" in repr(ask.boot().check(3.49))
    drawn: Any = ask.boot().problem(5)
    bar = float(drawn.text.split("**")[1].removesuffix(" s"))
    assert drawn.check(bar * 32.65).is_right


@pytest.mark.parametrize("corner", range(4))
def test_every_corner_is_an_explanation(corner: int) -> None:
    found = fork_events()
    names = ("page fault", "hidden fault", "PTE write", "call/ret")
    mixture = dict(zip(names, found.corners[corner].tolist(), strict=True))
    assert ask.events().check(lambda: mixture).is_right


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        (7, "a dictionary"),
        ({"page faults": 3}, "no event 'page faults'"),
        ({"page fault": -3}, "no number of events"),
        ({"page fault": "many"}, "no number of events"),
        ({"page fault": 940}, "more than 6.02 s"),
        ({"hidden fault": 100}, "with VT-x; it took 106.4 s"),
        ({"hidden fault": 968}, "translated; it took 37.0 s"),
    ],
)
def test_a_mixture_that_does_not_do_gets_its_hint(mixture: Any, said: str) -> None:
    verdict = ask.events().check(lambda: mixture)
    assert not verdict.is_right
    assert said in repr(verdict)


def test_an_empty_answer_is_no_error() -> None:
    def events() -> dict[str, float]: ...  # type: ignore[empty-body]

    assert "Not answered" in repr(ask.events().check(events))
