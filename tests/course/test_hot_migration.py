"""Exercises of the live migration: right is right, and each mistake meets its hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from virtlab.course import hot_migration as ask
from virtlab.course.questions import Choice, Numeric
from virtlab.migration.live.algorithms import Deck, PostCopy, PreCopy, StopAndCopy

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.migration.live.algorithms import Steps


def test_answers_by_hand() -> None:
    assert ask.pause.right_answer == pytest.approx(400 * 4104 / 67_108_864 * 1000 + 4)
    assert ask.second_round.right_answer == pytest.approx(500 * (1 - 0.998**600))
    assert ask.stop_rule.right_answer == 4  # 512, 128, 32, 8 are sent; 2 MiB take 21 ms
    assert ask.bit_order.right_answer == "b"
    assert ask.no_return.right_answer == "b"
    assert ask.again.right_answer == "c"


@pytest.mark.parametrize("question", [ask.pause, ask.second_round, ask.stop_rule])
def test_variants_are_their_own_questions(question: Numeric) -> None:
    answers = []
    for seed in range(6):
        made = question.problem(seed)
        assert isinstance(made, Numeric)
        answers.append(made.right_answer)
        assert made.check(made.right_answer).is_right
    assert len(set(map(str, answers))) > 2


def test_mistakes_meet_their_hints() -> None:
    assert "Who answers" in repr(ask.pause.check(24.46))
    assert "dirty already" in repr(ask.second_round.check(600))
    assert "two accounts" in repr(ask.second_round.check(225.7))
    assert "stands still" in repr(ask.stop_rule.check(5))


@pytest.mark.parametrize("question", [ask.bit_order, ask.no_return, ask.again])
def test_choices_take_one_answer(question: Choice) -> None:
    verdicts = {key: question.check(key).is_right for key in question.options}
    assert sum(verdicts.values()) == 1


def twice(_done: dict[str, str], request: str, pay: Callable[[str], str]) -> str:
    return pay(request)


def silent(done: dict[str, str], request: str, pay: Callable[[str], str]) -> str | None:
    if request in done:
        return None
    done[request] = pay(request)
    return done[request]


def test_handle_is_judged_by_what_was_paid() -> None:
    assert "should be made once" in repr(ask.handle.check(twice))
    assert "every request is answered" in repr(ask.handle.check(silent))


class Hybrid:
    name = "hybrid"

    def run(self, move: Steps) -> None:
        move.send(move.all_pages())
        move.send(move.dirty())
        move.quiesce()
        move.hand_over(left=move.dirty())


class Careless:
    def run(self, move: Steps) -> None:
        move.send(move.all_pages())
        move.send(move.dirty())
        move.quiesce()
        move.hand_over()


class Endless:
    def run(self, move: Steps) -> None:
        move.send(move.all_pages())


class TooEarly:
    """Reads the bitmap, and only then lets the transaction that runs finish."""

    def run(self, move: Steps) -> None:
        move.send(move.all_pages())
        move.send(move.dirty())
        left = move.dirty()
        move.quiesce()
        move.hand_over(left=left)


@pytest.mark.parametrize(
    ("way", "hint"),
    [
        (StopAndCopy, "stands still for"),
        (PreCopy, "stands still for"),
        (Deck, "go before"),
        (PostCopy, "go before"),
        (Careless, "are old"),
        (Endless, "never came to"),
        (TooEarly, "are old"),
        (int, "a class with `run(self, move)`"),
    ],
)
def test_a_way_is_judged_by_what_it_does(way: Any, hint: str) -> None:
    assert hint in repr(ask.my_way.check(way))


def test_a_hybrid_is_right() -> None:
    assert ask.my_way.check(Hybrid).is_right
