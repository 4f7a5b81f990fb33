"""Answers of any type get a verdict: right ones are right, wrong ones get a hint that fits."""

from __future__ import annotations

import decimal
import fractions
import importlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.course import Choice, Code, Mistake, Numeric, Question
from virtlab.resources import allocate
from virtlab.validate import InvalidInputError


def _half(capacity: float = 160.0) -> Numeric:
    return Numeric(
        name="half",
        text=f"Half of **{capacity:g}** MB/s?",
        unit="MB/s",
        solve=lambda: allocate(capacity, [1, 1]).allocation[0],
        why="Two equal VMs.",
        hint="Think of two.",
        mistakes=[Mistake(lambda: capacity, "That is all of it.")],
        variant=lambda rng: _half(float(rng.integers(2, 10_000))),
    )


HALF = _half()
BOTH = Numeric(name="both", text="Both?", solve=lambda: allocate(160, [1, 3]).allocation)
PICK = Choice(
    name="pick",
    text="Which?",
    options={"a": "more", "b": "less."},
    solve=lambda: "b",
    hints={"a": "The disk did not get faster."},
)


def _test_half(half: Any) -> str | None:
    return None if half(10) == 5 and half(160) == 80 else "Try 160."


CODE = Code(name="code", text="Write `half`.", test=_test_half, seconds=0.3)


class Hostile:
    """An answer that raises whenever it is touched."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError

    def __array__(self, *_: object) -> Any:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:  # hypothesis needs it
        return 0

    def __float__(self) -> float:
        raise RuntimeError


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.binary(),
    st.decimals(),
    st.fractions(),
    st.dates(),
    st.lists(st.one_of(st.floats(), st.text(), st.none())),
    st.dictionaries(st.text(), st.integers()),
    st.sets(st.integers()),
    st.builds(object),
    st.just(Hostile()),
    st.just(Hostile),
    st.just(len),
    st.just(np.zeros((3, 3))),
    st.just(np.array("text")),
    st.just(pd.DataFrame({"a": [1]})),
    st.just(pd.Series([], dtype=float)),
    st.just(10**400),
    st.just(...),
)


@given(answer=ANYTHING)
@pytest.mark.parametrize("question", [HALF, BOTH, PICK, CODE], ids=lambda one: one.name)
def test_no_answer_makes_a_check_raise(question: Question, answer: object) -> None:
    verdict = question.check(answer)
    assert verdict.outcome in ("right", "wrong", "not answered")
    assert repr(verdict)
    assert verdict._repr_html_().startswith("<div")
    if verdict.outcome == "wrong":
        assert verdict.message


@pytest.mark.parametrize(
    "answer",
    [
        80,
        80.0,
        "80",
        " 80 MB/s ",
        [80],
        np.float32(80),
        np.array(80),
        np.array([80]),
        pd.Series([80.0]),
        fractions.Fraction(160, 2),
        decimal.Decimal(80),
        80.79,
        79.21,
    ],
    ids=repr,
)
def test_a_right_number_is_right_in_whatever_type(answer: object) -> None:
    verdict = HALF.check(answer)
    assert verdict.is_right
    assert verdict.message == "80 MB/s. Two equal VMs."


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (80.81, "Close, but a little too large"),
        (79.1, "Close, but a little too small"),
        (160, "That is all of it."),
        (-80, "The sign"),
        (80_000, "1,000 times too large"),
        (0.08, "1,000 times too small"),
        (80 / 1024**2, "Bytes or MB?"),
        (640, "Bits or bytes?"),
        (8000, "A fraction or percent?"),
        (8, "decimal point"),
        (1 / 80, "upside down"),
        (0, "Too small"),
        (90, "Too large."),
        (7_000_000, "More than ten times too large"),
        (1, "More than ten times too small"),
        (True, "you gave True or False"),
        ("eighty", "you gave the text 'eighty'"),
        ("8 Gbit", "you gave the text '8 Gbit'"),
        ("80 %", "you gave the text"),
        ("80,0", "decimals take a point"),
        ("80,0,0", "you gave the text"),
        ([80, 80], "you gave 2"),
        ([], "the list is empty"),
        (float("nan"), "not a number"),
        (float("inf"), "infinite"),
        (10**400, "too large to work with"),
        (lambda: 80, "call it"),
        ({"half": 80}, "something of type dict"),
    ],
)
def test_a_wrong_number_gets_the_hint_that_fits(answer: object, hint: str) -> None:
    verdict = HALF.check(answer)
    assert verdict.outcome == "wrong"
    assert hint in verdict.message
    assert (
        "80" not in verdict.message.replace(str(answer), "").replace("80 MB/s", "")
        or "times" in verdict.message
    )


def test_a_list_is_judged_number_by_number() -> None:
    assert BOTH.right_answer == [40.0, 120.0]
    assert BOTH.check((40, 120)).is_right
    assert "another order" in BOTH.check([120, 40]).message
    assert "second number: Too large." in BOTH.check([40, 150]).message
    assert "a list of 2 numbers; you gave 1" in BOTH.check(40).message


@given(
    right=st.floats(-1e9, 1e9).filter(lambda x: abs(x) > 1e-6),
    relative=st.floats(0, 0.2),
    absolute=st.floats(0, 10),
    off=st.floats(0, 3),
)
def test_the_interval_is_what_it_says(
    right: float, relative: float, absolute: float, off: float
) -> None:
    allowed = relative * abs(right) + absolute
    question = Numeric(
        name="x", text="x?", solve=lambda: right, relative=relative, absolute=absolute
    )
    if abs(off - 1) > 1e-6 and allowed > 1e-6 * abs(right):
        assert question.check(right + off * allowed).is_right == (off < 1)
    assert question.check(right).is_right


@pytest.mark.parametrize("blank", [..., None, "", "  "], ids=repr)
@pytest.mark.parametrize("question", [HALF, PICK, CODE], ids=lambda one: one.name)
def test_unanswered_is_neither_wrong_nor_a_try(question: Question, blank: object) -> None:
    before = len(question.attempts)
    assert repr(question.check(blank)) == "… Not answered yet."
    assert len(question.attempts) == before


@pytest.mark.parametrize("answer", ["b", "B", " b) ", '"b"', "less", "Less."])
def test_an_option_can_be_named_by_letter_or_text(answer: str) -> None:
    assert PICK.check(answer).is_right


@pytest.mark.parametrize(
    ("answer", "hint"), [("a", "did not get faster"), ("c", 'one of "a", "b"'), (1, "in quotes")]
)
def test_a_wrong_option_gets_its_own_hint(answer: object, hint: str) -> None:
    assert hint in PICK.check(answer).message


def test_a_solution_must_be_right_and_does_not_count() -> None:
    question = _half()
    shown = question.solution(80)
    assert shown.is_right
    assert "<details>" in shown._repr_html_()
    assert "<details>" not in question.check(80)._repr_html_()
    assert len(question.attempts) == 1
    with pytest.raises(AssertionError, match="the solution of half is not right"):
        question.solution(81.9)
    with pytest.raises(AssertionError, match="Not answered yet"):
        question.solution(...)


@given(seed=st.integers(0, 2**63))
def test_a_seed_gives_one_problem_and_its_answer_is_right(seed: int) -> None:
    problem, again = HALF.problem(seed), HALF.problem(seed)
    assert problem.text == again.text
    assert isinstance(problem, Numeric)
    assert problem.check(problem.right_answer).is_right
    assert problem.check(float(np.ravel(problem.right_answer)[0]) * 1.5).outcome == "wrong"
    assert f"problem {seed}" in repr(problem)
    assert problem.problem(seed).text == problem.text


def test_seeds_give_different_problems_that_do_not_count() -> None:
    question = _half()
    assert len({question.problem(seed).text for seed in range(50)}) > 40
    question.problem(1).check(1)
    assert question.attempts == []


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(InvalidInputError, match="seed"):
        HALF.problem(seed)


def test_a_question_without_variants_says_so() -> None:
    with pytest.raises(InvalidInputError, match="one that has variants"):
        BOTH.problem(1)


def test_a_question_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="name"):
        Numeric(name="two words", text="?", solve=lambda: 1)
    with pytest.raises(InvalidInputError, match="text"):
        Numeric(name="x", text=" ", solve=lambda: 1)
    with pytest.raises(InvalidInputError, match="relative"):
        Numeric(name="x", text="?", solve=lambda: 1, relative=2)
    with pytest.raises(InvalidInputError, match="hints"):
        Choice(name="x", text="?", options={"a": "1", "b": "2", "c": "3"}, solve=lambda: "a")
    with pytest.raises(InvalidInputError, match="two options"):
        Choice(name="x", text="?", options={"a": "1"}, solve=lambda: "a")
    wrong_key = Choice(
        name="x", text="?", options={"a": "1", "b": "2"}, solve=lambda: "z", hints={"a": "no"}
    )
    with pytest.raises(InvalidInputError, match=r"solve\(\)"):
        wrong_key.check("a")


def test_questions_show_themselves_without_trusting_their_text() -> None:
    question = Numeric(name="x", text="Is `a<b` **so**?\n\nOr not?", solve=lambda: 1)
    page = question._repr_html_()
    assert "<code>a&lt;b</code>" in page
    assert "<b>so</b>" in page
    assert page.count("<p ") == 4
    assert "Is `a<b` so?" in repr(question)
    picked = PICK._repr_html_()
    assert "<code>a</code>&ensp;more" in picked


def test_long_text_is_wrapped_for_a_terminal() -> None:
    question = Numeric(name="x", text="word " * 100, solve=lambda: 1)
    assert max(map(len, repr(question).splitlines())) <= 88


@pytest.mark.parametrize("text", ["2,667", "2,667 MHz", "2666.67", "+2,666.67"])
def test_a_number_may_be_written_as_the_course_writes_it(text: str) -> None:
    question = Numeric(name="mhz", text="MHz?", unit="MHz", solve=lambda: 8000 / 3)
    assert question.check(text).is_right
    assert question.check(8000 / 3).message.startswith("2,667 MHz")


def test_where_a_count_is_wanted_a_fraction_is_told_so() -> None:
    count = Numeric(name="rounds", text="How many?", relative=0, solve=lambda: 4)
    assert "whole number" in count.check(3.37).message
    assert "Too small" in count.check(3).message
    assert count.check(4).is_right
    assert "whole" not in HALF.check(79.05).message


def test_no_variant_takes_a_wrong_way_for_right() -> None:
    def shares_of(first: int, second: int) -> Numeric:
        return Numeric(
            name="two",
            text=f"100 MB/s, shares {first}:{second}: what does the first get?",
            solve=lambda: 100 * first / (first + second),
            mistakes=[Mistake(lambda: 50, "That is an equal split.")],
            variant=lambda rng: shares_of(*(int(n) for n in rng.integers(1, 3, 2))),
        )

    asked = [shares_of(1, 2).problem(seed) for seed in range(30)]
    assert {one.text for one in asked} == {shares_of(1, 2).text, shares_of(2, 1).text}


def test_where_no_variant_tells_a_wrong_way_from_the_right_one_it_still_asks() -> None:
    def one() -> Numeric:
        return Numeric(
            name="one",
            text="1 * 1?",
            solve=lambda: 1,
            mistakes=[Mistake(lambda: 1 / 1, "Not divided.")],
            variant=lambda _rng: one(),
        )

    assert not one().tells_apart()
    assert one().problem(1).check(1).is_right


TOPICS = ("welcome", "ways", "rings", "esx", "translation", "shares", "cpu", "memory", "sharing",
          "ballooning", "vmotion", "hot_migration")  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS)
def test_a_number_that_no_mistake_explains_gets_more_than_a_direction(topic: str) -> None:
    """'Too large' alone leaves a student where he was."""
    module = importlib.import_module(f"virtlab.course.{topic}")
    asked = [one for one in vars(module).values() if isinstance(one, Numeric)]
    assert asked
    for question in asked:
        right = question.right_answer
        some = right if isinstance(right, list) else [right]
        wrong = [round(1.37 * value) + 3 for value in some]
        verdict = question.judge(wrong if isinstance(right, list) else wrong[0])
        assert verdict.outcome == "wrong"
        assert len(verdict.message.split()) >= 6, (question.name, verdict.message)
