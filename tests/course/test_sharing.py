"""Exercises of page sharing: right is right, and each mistake meets its hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from virtlab.course import sharing as ask
from virtlab.course.questions import Choice, Numeric
from virtlab.memory.scan.orders import NewPagesFirst, RandomOrder, SequentialOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray


def test_answers_by_hand() -> None:
    assert ask.frames.right_answer == 7
    assert ask.clones.right_answer == pytest.approx(100 * (5999 + 9 * 4400) / 100_000)
    assert ask.table.right_answer == 256
    assert ask.first_pass.right_answer == pytest.approx(8 * 131_072 / 200 / 60)
    assert ask.collision.right_answer == "b"
    assert ask.hint_write.right_answer == "c"


def _variant(question: Numeric, seed: int) -> Numeric:
    made = question.problem(seed)
    assert isinstance(made, Numeric)
    return made


@pytest.mark.parametrize("question", list(ask.sheet), ids=lambda question: question.name)
def test_variants_are_their_own_questions(question: Any) -> None:
    if not isinstance(question, Numeric):
        pytest.skip("has no numbers to vary")
    answers = [_variant(question, seed).right_answer for seed in range(6)]
    assert len(set(map(str, answers))) > 2
    for seed, answer in enumerate(answers):
        assert question.problem(seed).check(answer).is_right


def test_mistakes_meet_their_hints() -> None:
    assert "has to stay" in repr(ask.frames.check(10))
    assert "one copy" in repr(ask.clones.check(50)).casefold()
    assert "seconds" in repr(ask.first_pass.check(ask.first_pass.right_answer * 60))
    assert "together" in repr(ask.first_pass.check(131_072 / 50 / 60))
    assert "GB" in repr(ask.table.check(0.25))


@pytest.mark.parametrize("question", [ask.collision, ask.hint_write])
def test_choices_take_one_answer(question: Choice) -> None:
    verdicts = {key: question.check(key).is_right for key in question.options}
    assert sum(verdicts.values()) == 1
    assert verdicts[question.right_answer]


def test_saved_pages_is_judged_by_the_model() -> None:
    assert ask.saved_pages.check(lambda contents: len(contents) - len(set(contents))).is_right
    assert not ask.saved_pages.check(len).is_right
    assert "returned nothing" in repr(ask.saved_pages.check(lambda contents: contents.sort()))


class Stuck:
    def choose(self, _fresh: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        return np.arange(count)


class Twice:
    def choose(self, _fresh: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        return np.zeros(count, dtype=np.int64)


def test_scan_orders_are_judged_by_what_they_do() -> None:
    def new_first() -> NewPagesFirst:
        return NewPagesFirst(np.random.default_rng(1))

    assert ask.scan_order.check(new_first).is_right
    assert "starts late" in repr(ask.scan_order.check(SequentialOrder))
    assert not ask.scan_order.check(lambda: RandomOrder(np.random.default_rng(2))).is_right
    assert "of 40 pages" in repr(ask.scan_order.check(Stuck))
    assert "different" in repr(ask.scan_order.check(Twice))
