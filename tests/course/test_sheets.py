"""Every question of every chapter: the model's answer is right, others are wrong, seeds work."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import virtlab.course
from virtlab.course import Choice, Code, Numeric, Question, Sheet
from virtlab.course.sheet import load_sheet, loaded_scores
from virtlab.course.talk import the_talk
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.course.talk import Chapter

NOTEBOOKS = Path(__file__).parents[2] / "notebooks" / "text"


def _sheets() -> Iterator[Sheet]:
    for found in pkgutil.iter_modules(virtlab.course.__path__):
        sheet = getattr(importlib.import_module(f"virtlab.course.{found.name}"), "sheet", None)
        if isinstance(sheet, Sheet):
            yield sheet


SHEETS = list(_sheets())
QUESTIONS = [
    pytest.param(question, id=f"{sheet.chapter}-{question.name}")
    for sheet in SHEETS
    for question in sheet
]
SEEDS = (None, 0, 1, 2, 3, 7)


def _variants(question: Question) -> Iterator[Question]:
    for seed in SEEDS:
        if seed is None:
            yield question
        elif question.variant is not None:
            yield question.problem(seed)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_model_is_right_and_what_is_near_is_not(question: Question) -> None:
    for variant in _variants(question):
        if isinstance(variant, Numeric):
            right = np.atleast_1d(variant.right_answer)
            assert variant.judge(variant.right_answer).is_right
            assert not variant.judge(right * 1.5 + 1).is_right
        elif isinstance(variant, Choice):
            outcomes = [variant.judge(key).is_right for key in variant.options]
            assert outcomes.count(True) == 1
            assert all(variant.judge(key).message for key in variant.options)
        else:
            assert isinstance(variant, Code)
            assert not variant.judge(lambda *_args, **_kwargs: None).is_right
            assert not variant.judge(lambda *_args, **_kwargs: -1.5).is_right


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_foreseen_mistake_is_wrong_and_gets_its_hint(question: Question) -> None:
    if not isinstance(question, Numeric):
        return
    for mistake in question.mistakes:
        verdict = question.judge(mistake.gives())
        assert verdict.outcome == "wrong", mistake.hint
        assert verdict.message == mistake.hint


@pytest.mark.parametrize("question", QUESTIONS)
def test_variants_ask_other_things_and_the_same_for_the_same_seed(question: Question) -> None:
    if question.variant is None:
        return
    texts = {question.problem(seed).text for seed in range(20)}
    assert len(texts) > 5
    assert question.problem(11).text == question.problem(11).text
    assert {type(question.problem(seed)) for seed in range(5)} == {type(question)}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_variant_takes_a_foreseen_mistake_for_right(question: Question) -> None:
    assert question.tells_apart()
    for variant in _variants(question):
        assert variant.tells_apart(), variant


@pytest.mark.parametrize("chapter", the_talk().built, ids=lambda chapter: chapter.name)
def test_a_sheet_lists_its_questions_in_the_notebooks_order(chapter: Chapter) -> None:
    text = (NOTEBOOKS / f"{chapter.name}.md").read_text("utf-8")
    places = [text.index(f"ask.{question.name}.check(") for question in load_sheet(chapter.name)]
    assert places == sorted(places)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_reads_as_text_and_as_a_page(question: Question) -> None:
    for variant in _variants(question):
        assert repr(variant).startswith("Question ")
        assert variant.text.strip()[0] not in "<&"
        assert "<script" not in variant._repr_html_()


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.chapter)
def test_each_question_can_be_asked_by_its_name(sheet: Sheet) -> None:
    module = importlib.import_module(f"virtlab.course.{sheet.chapter}")
    assert [getattr(module, one.name) for one in sheet] == list(sheet)
    kinds = {one.kind for one in sheet}
    assert {"number", "choice", "code"} == kinds


@pytest.mark.parametrize("chapter", the_talk().built, ids=lambda chapter: chapter.name)
def test_each_built_chapter_has_its_sheet(chapter: object) -> None:
    name = getattr(chapter, "name")  # noqa: B009 - pytest hands it over as an object
    assert load_sheet(name).chapter == the_talk().chapter(name).module


def _sheet() -> Sheet:
    one = Numeric(name="one", text="One?", solve=lambda: 1)
    two = Choice(
        name="two", text="?", options={"a": "2", "b": "3"}, solve=lambda: "a", hints={"b": "No."}
    )
    return Sheet("test", [one, two])


def test_the_last_try_counts() -> None:
    sheet = _sheet()
    assert sheet.score().explain() == "test: 0 of 2 right. To do: one, two."
    sheet["one"].check(1)
    sheet["one"].check(...)
    sheet["two"].check("b")
    frame = sheet.score().to_frame().set_index("question")
    assert frame["state"].to_dict() == {"one": "right", "two": "wrong"}
    assert frame["tries"].to_dict() == {"one": 1, "two": 1}
    sheet["two"].check("a")
    sheet["one"].check(2)
    assert sheet.score().summary() == {
        "chapter": "test",
        "questions": 2,
        "right": 1,
        "wrong": 1,
        "not_answered": 0,
        "tries": 4,
    }
    assert "1 of 2 right" in sheet._repr_html_()
    assert next(one for one in loaded_scores() if one["chapter"] == "test")["right"] == 1
    sheet.reset()
    assert sheet.score().summary()["not_answered"] == 2


def test_a_solution_is_no_try() -> None:
    sheet = _sheet()
    sheet["one"].solution(1)
    assert sheet.score().summary()["tries"] == 0


def test_a_sheet_names_its_questions() -> None:
    sheet = _sheet()
    assert len(sheet) == 2
    with pytest.raises(InvalidInputError, match="one of one, two"):
        sheet["three"]
    with pytest.raises(InvalidInputError, match="different names"):
        Sheet("twice", [sheet["one"], sheet["one"]])


def test_a_chapter_to_come_has_no_sheet() -> None:
    with pytest.raises(InvalidInputError, match="one that is built"):
        load_sheet("16")
    with pytest.raises(InvalidInputError, match="chapter = 'nonsense'"):
        load_sheet("nonsense")
