"""The walk through the talk, and the lists of chapters and corrections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.course import tour
from virtlab.course.talk import the_talk
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

TALK = the_talk()


@given(slide=st.integers(1, 53))
def test_a_stop_says_where_its_slide_is_taught(slide: int) -> None:
    found = tour.stop(slide)
    assert f"S{slide}" in found.to_frame()["slide"].tolist()
    assert found.chapters[0].title in found.explain()
    assert ("You run it" in found.explain()) == found.chapters[0].built
    assert ".." not in found.explain()


@pytest.mark.parametrize("slide", [0, 54, 1.5, "20"])
def test_there_are_53_slides(slide: int) -> None:
    with pytest.raises(InvalidInputError, match="from 1 to 53"):
        tour.stop(slide)


def test_moving_the_slider_moves_the_mark() -> None:
    walk = tour.walk(20)
    assert "Pointed out: S20, in 05-shares" in walk.picture.alt
    before = walk.picture.png
    walk.set(slide=27)
    assert "Pointed out: S27, in 08-page-sharing" in walk.picture.alt
    assert walk.picture.png != before
    walk.picture.narrow = True
    assert "Pointed out: S27" in walk.picture.alt


def test_rows_of_the_map_are_the_chapters() -> None:
    rows = tour.map_rows()
    assert len(rows) == 16
    assert {row.name for row in rows if row.built} == {
        chapter.name for chapter in TALK.built if chapter.slides
    }
    assert {row.name: row.guests for row in rows if row.guests} == {
        "01-what-is-virtualization": (13,),
        "11-storage": (19,),
    }


@pytest.mark.parametrize("listing", [tour.chapter_list(), tour.correction_list()])
def test_links_lead_to_notebooks_that_are_there(listing: tour.Listing, root: Path) -> None:
    markdown = listing._repr_markdown_()
    links = re.findall(r"\]\(([^)]+)\)", markdown)
    assert links
    assert all((root / "notebooks" / link).is_file() for link in links)
    lines = markdown.splitlines()
    assert len({line.count("|") for line in lines}) == 1, "a cell holds a column mark"
    assert len(lines) == len(listing.rows) + 2
    assert "](" not in repr(listing)
    assert "**" not in repr(listing)


def test_the_list_of_chapters_says_what_is_built() -> None:
    states = [row[-1] for row in tour.chapter_list().rows]
    assert states.count("✔ built") == len(TALK.built)
