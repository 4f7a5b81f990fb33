"""The talk's map says what is true: 53 slides, and of each chapter what exists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import nbformat
import pytest
import typer.main

from tools import notebooks
from virtlab.cli import app
from virtlab.course.talk import Chapter, the_talk
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

TALK = the_talk()
MAP = "00-the-talk"  # a chapter about the talk itself: it has no model
MODELLED = [chapter for chapter in TALK.built if chapter.name != MAP]
TO_COME = [chapter for chapter in TALK.chapters if not chapter.built]


def _name(chapter: Chapter) -> str:
    return chapter.name


def test_every_slide_has_a_home_and_every_chapter_slides() -> None:
    names = [chapter.name for chapter in TALK.chapters]
    assert [slide.number for slide in TALK.slides] == list(range(1, 54))
    assert all(set(slide.chapters) <= set(names) for slide in TALK.slides)
    taught = {number for chapter in TALK.chapters for number in chapter.slides}
    assert taught == set(range(1, 54))
    assert [chapter.name for chapter in TALK.chapters if not chapter.slides] == [MAP]
    assert [name[:2] for name in names] == [f"{n:02}" for n in range(17)]


def test_chapters_have_the_slides_the_course_is_cut_into() -> None:
    assert {chapter.number: chapter.slide_range for chapter in TALK.chapters} == {
        "00": "all",
        "01": "S1-S14",
        "02": "S17",
        "03": "S13, S15-S16",
        "04": "S18",
        "05": "S19-S20",
        "06": "S21-S22",
        "07": "S23-S26",
        "08": "S27",
        "09": "S28",
        "10": "S29-S30",
        "11": "S19, S31",
        "12": "S32-S38",
        "13": "S39-S45",
        "14": "S46",
        "15": "S47-S51, S53",
        "16": "S52",
    }


def test_what_slides_say_fits_a_line_and_is_ours() -> None:
    for slide in TALK.slides:
        assert 10 <= len(slide.says) <= 80, slide.name
        assert slide.says.isascii(), f"{slide.name}: the talk's own words belong into its term"
    assert len({slide.says for slide in TALK.slides}) == 53


@pytest.mark.parametrize("chapter", MODELLED, ids=_name)
def test_a_built_chapter_has_all_that_belongs_to_it(chapter: Chapter, root: Path) -> None:
    topic = chapter.module
    assert chapter.models
    packages = {model.split(".")[1] for model in chapter.models}
    tests = [f"tests/{package}/test_{topic}.py" for package in packages]
    if (root / "virtlab" / topic).is_dir():  # the topic is a whole package: each model has a test
        paths = [model.split(".")[1:] for model in chapter.models]
        tests = ["/".join(["tests", *path[:-1], f"test_{path[-1]}.py"]) for path in paths]
    wanted = [
        f"notebooks/{chapter.name}.ipynb",
        f"notebooks/text/{chapter.name}.md",
        f"virtlab/plots/{topic}.py",
        f"virtlab/widgets/{topic}.py",
        f"virtlab/course/{topic}.py",
        f"benchmarks/{topic}.py",
        *tests,
        *(model.replace(".", "/") + ".py" for model in chapter.models),
    ]
    assert [path for path in wanted if not (root / path).is_file()] == []
    known = typer.main.get_group(app).commands
    assert set(chapter.commands) <= set(known)
    assert chapter.commands


@pytest.mark.parametrize("chapter", TO_COME, ids=_name)
def test_a_chapter_to_come_has_no_notebook(chapter: Chapter, root: Path) -> None:
    assert not (root / f"notebooks/{chapter.name}.ipynb").exists()


def test_each_notebook_is_a_chapter() -> None:
    built = [chapter.name for chapter in TALK.built]
    assert sorted(path.stem for path in notebooks.NOTEBOOKS.glob("*.ipynb")) == built


@pytest.mark.parametrize("chapter", TALK.built, ids=_name)
def test_a_notebook_has_its_chapters_title_and_time(chapter: Chapter) -> None:
    text = (notebooks.TEXT / f"{chapter.name}.md").read_text(encoding="utf-8")
    assert f"\n# {chapter.title}\n" in text
    assert re.search(rf"\*\*Time\*\*: {chapter.minutes} minutes", text)
    missing = [n for n in chapter.slides if not re.search(rf"\bS{n}\b|S\d+(?:-|–|, )S?{n}\b", text)]
    assert missing == [], "slides that the notebook does not name"


@pytest.mark.parametrize("chapter", TALK.built, ids=_name)
def test_a_correction_is_shown_in_its_chapter(chapter: Chapter) -> None:
    notebook = nbformat.read(notebooks.NOTEBOOKS / f"{chapter.name}.ipynb", as_version=4)
    shown = "\n".join(map(notebooks.all_text, notebook.cells))
    missing = [
        row.slide
        for row in TALK.corrections
        if chapter.name in (row.chapter, MAP) and f"{row.claim} | **{row.truth}**" not in shown
    ]
    assert missing == [], "show them with tour.correction_list(CHAPTER)"


def test_corrections_name_a_slide_its_chapter_and_a_source() -> None:
    for row in TALK.corrections:
        slide = TALK.slides[int(row.slide[1:]) - 1]
        chapter = TALK.chapter(row.chapter)
        assert chapter.name in (*slide.chapters, MAP)
        assert len(row.claim) > 20
        assert len(row.truth) > 20
        assert row.source
    slides = [int(row.slide[1:]) for row in TALK.corrections]
    assert slides == sorted(slides)


@pytest.mark.parametrize(
    "name",
    ["08-page-sharing", "08", "8", "page-sharing", "sharing", " Sharing ", "08-page-sharing.ipynb"],
)
def test_a_chapter_is_found_by_many_names(name: str) -> None:
    assert TALK.chapter(name).name == "08-page-sharing"


@pytest.mark.parametrize("name", ["", "17", "share", "S20"])
def test_an_unknown_chapter_is_named_with_those_there_are(name: str) -> None:
    with pytest.raises(InvalidInputError, match="05-shares"):
        TALK.chapter(name)


def test_frames_and_summary_agree() -> None:
    slides, chapters = TALK.to_frame(), TALK.chapters_frame()
    assert len(slides) == TALK.summary()["slides"] == 53
    assert len(chapters) == TALK.summary()["chapters"] == 17
    assert chapters["built"].sum() == TALK.summary()["chapters_built"] == len(TALK.built)
    homes = set(chapters.loc[chapters["built"], "chapter"])
    assert set(slides.loc[slides["built"], "chapter"]) <= homes
    assert len(TALK.corrections_frame()) == TALK.summary()["corrections"]
    assert all(chapter.name in TALK.explain() for chapter in TALK.built)
