"""The lecturers' page has every built chapter, its time and its goals, and commands that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from typer.main import get_group

from virtlab.cli import app
from virtlab.course.talk import Chapter, the_talk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def page(root: Path) -> str:
    text = (root / "notebooks" / "for-lecturers.md").read_text(encoding="utf-8")
    return " ".join(text.split())


@pytest.mark.parametrize("chapter", the_talk().built, ids=lambda chapter: chapter.name)
def test_each_built_chapter_has_its_time_and_goals(chapter: Chapter, page: str) -> None:
    assert f"### {chapter.name}: {chapter.title} ({chapter.minutes} minutes)" in page
    assert f"After it, students can {'; '.join(chapter.learn)}." in page


def test_it_names_no_chapter_that_is_not_there(page: str) -> None:
    built = [chapter.name for chapter in the_talk().built]
    assert re.findall(r"### (\d\d-[\w-]+):", page) == built


def test_its_commands_exist(page: str) -> None:
    commands = set(re.findall(r"virtlab ([a-z]+)", page))
    assert commands >= {"present", "problem", "grade", "doctor", "lab"}
    assert commands <= set(get_group(app).commands)
