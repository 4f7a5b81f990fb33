"""Exercises of live migration: right is right, and each mistake meets its hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from virtlab.course import vmotion as ask
from virtlab.course.questions import Choice, Numeric
from virtlab.migration.algorithms import Clark, Deck, Hybrid, InOrder, QemuPreCopy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from virtlab.migration.move import Move


def test_answers_by_hand() -> None:
    assert ask.bitmap.right_answer == 512 * 256 / 8 / 1024
    assert ask.stop_and_copy.right_answer == pytest.approx(448 / 112, rel=0.02)
    assert ask.rounds.right_answer == pytest.approx(1024 / 4**3)
    assert ask.lost_writes.right_answer == "b"
    assert ask.source_dies.right_answer == "c"
    assert ask.steady_pause.right_answer == "b"


@pytest.mark.parametrize(
    "question",
    [question for question in ask.sheet if isinstance(question, Numeric)],
    ids=lambda question: question.name,
)
def test_variants_are_their_own_questions(question: Numeric) -> None:
    variants = [question.problem(seed) for seed in range(5)]
    answers = [variant.right_answer for variant in variants if isinstance(variant, Numeric)]
    assert len(set(map(str, answers))) > 2
    for variant, answer in zip(variants, answers, strict=True):
        assert variant.check(answer).is_right


def test_mistakes_meet_their_hints() -> None:
    assert "byte a page" in repr(ask.bitmap.check(128))
    assert "Mbit/s" in repr(ask.stop_and_copy.check(32))
    assert "What gets dirty" in repr(ask.rounds.check(64))
    assert "every round is shorter" in repr(ask.rounds.check(256))


@pytest.mark.parametrize("question", [ask.lost_writes, ask.source_dies, ask.steady_pause])
def test_choices_take_one_answer(question: Choice) -> None:
    verdicts = {key: question.check(key).is_right for key in question.options}
    assert sum(verdicts.values()) == 1
    assert verdicts[question.right_answer]


def careful(source: Any, target: Any, to_fetch: NDArray[np.bool_]) -> None:
    assert (source[~to_fetch] == target[~to_fetch]).all()


def strict(source: Any, target: Any, _to_fetch: Any) -> None:
    assert (source == target).all()


def blind(source: Any, target: Any, _to_fetch: Any) -> None:
    assert source.size == target.size


def test_an_assertion_must_find_the_bug_and_no_other() -> None:
    assert ask.whole.check(careful).is_right
    assert "nothing is lost" in repr(ask.whole.check(strict)).replace("\n", " ")
    assert "says nothing" in repr(ask.whole.check(blind))


def test_stop_rules_are_judged_by_what_they_cause() -> None:
    assert ask.stop_rule.check(
        lambda dirty, before, _rounds: dirty < 64 or dirty >= before
    ).is_right
    assert "still shrink" in repr(ask.stop_rule.check(lambda _dirty, _before, rounds: rounds == 1))
    for rounds in range(1, 12):  # no fixed number suits all three
        assert not ask.stop_rule.check(
            lambda _dirty, _before, done, most=rounds: done >= most
        ).is_right
    assert "`before`" in repr(ask.stop_rule.check(lambda dirty, _before, _rounds: dirty < 64))
    assert "return True" in repr(ask.stop_rule.check(lambda dirty, _before, _rounds: dirty))


class Silent:
    name = "silent"

    def run(self, move: Move) -> None:
        move.create_target()
        move.send(move.all_pages)
        move.pause()
        dirty = move.sync()
        move.send_bitmap(dirty)
        move.send_state()
        move.resume()
        move.fetch(dirty, InOrder())
        move.delete_source()


class Nameless:
    def run(self, move: Move) -> None:
        Silent().run(move)


class Unresumed:
    name = "unresumed"

    def run(self, move: Move) -> None:
        move.create_target()
        move.pause()


def told() -> Deck:
    return Deck(as_told=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Clark, "What could go after"),
        (QemuPreCopy, "had not moved"),
        (told, "wrong on the target"),
        (Silent, "announce"),
        (Nameless, "a class with `name`"),
        (Unresumed, "machine room says"),
    ],
)
def test_an_algorithm_that_is_not_better_learns_why(make: Any, words: str) -> None:
    assert words in repr(ask.better.check(make)).replace("\n", " ")


def test_memory_that_follows_the_machine_is_better() -> None:
    assert ask.better.check(Hybrid).is_right
