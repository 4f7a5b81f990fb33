"""Exercises of ballooning: right is right, and each mistake meets its hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.memory.experiments.test_duel import Alike, IdleFirst
from virtlab.course import ballooning as ask
from virtlab.course.questions import Choice, Numeric
from virtlab.memory.host.view import Orders

if TYPE_CHECKING:
    from virtlab.memory.host.view import View


def test_answers_by_hand() -> None:
    assert ask.given.right_answer == 210 - 88 - 60
    assert ask.rest.right_answer == 300 - 256
    assert ask.hot_pages.right_answer == 40
    assert ask.cost.right_answer == pytest.approx(100 * (11.47 - 10.96) / 11.47)
    assert ask.double.right_answer == "c"
    assert ask.free_pages.right_answer == "b"
    assert ask.cliff.right_answer == "b"


@pytest.mark.parametrize("seed", range(12))
def test_variants_can_be_worked_out_by_hand(seed: int) -> None:
    import re

    one: Any = ask.given.problem(seed)
    free, cache = (int(n) for n in re.findall(r"\*\*(\d+) (?:free|with)", one.text))
    wanted = int(re.findall(r"\*\*(\d+) pages\*\*", one.text)[0])
    assert one.right_answer == wanted - free - cache
    two: Any = ask.rest.problem(seed)
    percent, size, wanted = (int(n) for n in re.findall(r"\*\*(\d+) (?:%|MB)\*\*", two.text))
    assert two.right_answer == pytest.approx(wanted - size * percent / 100, abs=0.01)


@pytest.mark.parametrize("question", list(ask.sheet), ids=lambda question: question.name)
def test_variants_are_their_own_questions(question: Any) -> None:
    if not isinstance(question, Numeric):
        pytest.skip("has no numbers to vary")
    answers = []
    for seed in range(6):
        made = question.problem(seed)
        assert isinstance(made, Numeric)
        answers.append(made.right_answer)
        assert made.check(made.right_answer).is_right
    assert len(set(map(str, answers))) > 2


def test_mistakes_meet_their_hints() -> None:
    assert "a disk has it" in repr(ask.given.check(210 - 88))
    assert "would be lost" in repr(ask.given.check(210))
    assert "what the host needs" in repr(ask.rest.check(150)).replace("\n", " ")
    assert "percent" in repr(ask.hot_pages.check(25))
    assert "configured so" in repr(ask.cost.check(100 * (11.47 / 10.96 - 1))).replace("\n", " ")


@pytest.mark.parametrize("question", [ask.double, ask.free_pages, ask.cliff])
def test_choices_take_one_answer(question: Choice) -> None:
    verdicts = {key: question.check(key).is_right for key in question.options}
    assert sum(verdicts.values()) == 1
    assert verdicts[question.right_answer]


def test_gives_is_judged_by_the_guest() -> None:
    def right(wanted: int, free: int, cache: int, cold: int) -> list[int]:
        del cold
        first = min(wanted, free)
        second = min(wanted - first, cache)
        return [first, second, wanted - first - second]

    assert ask.gives.check(right).is_right
    assert "goes first" in repr(ask.gives.check(lambda wanted, *_: (wanted, 0, 0)))
    assert "three numbers" in repr(ask.gives.check(lambda *_: 7))


class _Steady:
    period_s = 1

    def __init__(self, part: float) -> None:
        self.part = part

    def control(self, view: View) -> Orders:
        return Orders(balloon=np.minimum(self.part * view.size, view.balloon_most))


def test_controllers_are_judged_by_what_they_do() -> None:
    assert ask.controller.check(IdleFirst).is_right
    assert "tells them apart" in repr(ask.controller.check(Alike)).replace("\n", " ")
    assert "at random" in repr(ask.controller.check(lambda: _Steady(0.0))).replace("\n", " ")
    assert "more than" in repr(ask.controller.check(lambda: _Steady(0.75))).replace("\n", " ")
