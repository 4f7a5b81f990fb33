"""A walk through the talk, slide by slide: the first widget a student moves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.course.talk import Chapter, Slide, the_talk
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.plots.style import Plate
    from virtlab.plots.talk import Row
    from virtlab.widgets.app import App

__all__ = ["Listing", "Stop", "chapter_list", "correction_list", "map_rows", "stop", "walk"]


@dataclass(frozen=True)
class Stop(Result):
    """Where one slide stands in the course.

    Attributes
    ----------
    slide
        The slide.
    chapters
        The chapters that teach it, its home first.

    Examples
    --------
    >>> stop(20).summary()["chapter"]
    '05-shares'
    """

    slide: Slide
    chapters: tuple[Chapter, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return the slides of the home chapter.

        Returns
        -------
        pandas.DataFrame
            Slide, what it says, its term.

        Examples
        --------
        >>> stop(20).to_frame()["slide"].tolist()
        ['S19', 'S20']
        """
        import pandas as pd

        slides = [the_talk().slides[number - 1] for number in self.chapters[0].slides]
        return pd.DataFrame(
            {
                "slide": [slide.name for slide in slides],
                "says": [slide.says for slide in slides],
                "term": [slide.term for slide in slides],
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return slide, home chapter and whether that is built.

        Returns
        -------
        dict
            Three entries.

        Examples
        --------
        >>> stop(1).summary()["slide"]
        'S1'
        """
        home = self.chapters[0]
        return {"slide": self.slide.name, "chapter": home.name, "built": home.built}

    def explain(self) -> str:
        """Return what the slide says and where it is taught.

        Returns
        -------
        str
            Two sentences.

        Examples
        --------
        >>> stop(38).explain()
        'S38 says: And what about the peaks? Still to come, in chapter 12, ...'
        """
        home = self.chapters[0]
        told = f"chapter {home.number}, {home.title}"
        where = f"You run it in {told}." if home.built else f"Still to come, in {told}."
        says = self.slide.says if self.slide.says.endswith("?") else f"{self.slide.says}."
        return f"{self.slide.name} says: {says} {where}"


def stop(slide: int) -> Stop:
    """Return where a slide stands in the course.

    Parameters
    ----------
    slide
        Its number, from 1.

    Returns
    -------
    Stop
        The slide and its chapters.

    Raises
    ------
    InvalidInputError
        If the talk has no such slide.

    Examples
    --------
    >>> [chapter.name for chapter in stop(19).chapters]
    ['05-shares', '11-storage']
    """
    talk = the_talk()
    found = talk.slides[integer("slide", slide, minimum=1, maximum=len(talk.slides)) - 1]
    return Stop(found, tuple(talk.chapter(name) for name in found.chapters))


def map_rows() -> list[Row]:
    """Return the chapters as `virtlab.plots.talk.draw` wants them.

    Returns
    -------
    list of Row
        A row for each chapter that has slides.

    Examples
    --------
    >>> map_rows()[0].name
    '01-what-is-virtualization'
    """
    from virtlab.plots.talk import Row

    talk = the_talk()
    rows = []
    for chapter in talk.chapters:
        if not chapter.slides:
            continue
        homes = {number: talk.slides[number - 1].chapters[0] for number in chapter.slides}
        guests = tuple(number for number, home in homes.items() if home != chapter.name)
        rows.append(Row(chapter.name, chapter.title, chapter.slides, chapter.built, guests))
    return rows


def walk(slide: int = 20) -> App[Stop]:
    """Make the widget: a slider over all slides, and the map, where the slide is pointed out.

    Parameters
    ----------
    slide
        Where to start.

    Returns
    -------
    App
        The widget.

    Examples
    --------
    >>> walk().set(slide=27).result.summary()["chapter"]
    '08-page-sharing'
    """
    from virtlab.plots import talk
    from virtlab.widgets import controls
    from virtlab.widgets.app import App

    def draw(result: Stop, figure: Plate) -> None:
        talk.draw(map_rows(), result.slide.number, figure)

    last = len(the_talk().slides)
    return App(
        controls={"slide": controls.slider("Slide", "", slide, 1, last, 1)},
        compute=stop,
        draw=draw,
    )


@dataclass(frozen=True)
class Listing:
    """A table that shows itself with links in a notebook, and as text elsewhere.

    Attributes
    ----------
    head
        Column headings.
    rows
        Cells, in the notebook's Markdown.

    Examples
    --------
    >>> print(Listing(("chapter",), (("[05](05-shares.ipynb)",),))._repr_markdown_())
    | chapter |
    |:---|
    | [05](05-shares.ipynb) |
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        """Give the rows as text, a line each."""
        bare = [re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", "  ".join(row)) for row in self.rows]
        return "\n".join(line.replace("**", "").rstrip() for line in bare)

    def _repr_markdown_(self) -> str:
        lines = [self.head, (":---",) * len(self.head), *self.rows]
        return (
            "\n".join("| " + " | ".join(line) + " |" for line in lines)
            .replace("| :---", "|:---")
            .replace(":--- |", ":---|")
        )


def _link(chapter: Chapter, text: str) -> str:
    return f"[{text}]({chapter.name}.ipynb)" if chapter.built else text


def chapter_list() -> Listing:
    """Return the course's contents, with links to what is built.

    Returns
    -------
    Listing
        A row for each chapter.

    Examples
    --------
    >>> len(chapter_list().rows)
    17
    """
    rows = [
        (
            _link(chapter, f"{chapter.number} {chapter.title}"),
            chapter.slide_range,
            f"{chapter.minutes} min",
            "✔ built" if chapter.built else "to come",
        )
        for chapter in the_talk().chapters
    ]
    return Listing(("chapter", "slides", "time", ""), tuple(rows))


def correction_list(chapter: str = "") -> Listing:
    """Return where sources say otherwise than the talk.

    Parameters
    ----------
    chapter
        Only those that this chapter shows; all without it.

    Returns
    -------
    Listing
        A row for each correction.

    Examples
    --------
    >>> correction_list().rows[-1][0]
    'S43, chapter [13](13-vmotion.ipynb)'
    >>> correction_list("sharing").rows[0][1]
    'Page sharing typically saves 10 to 20 % of memory.'
    """
    talk = the_talk()
    wanted = talk.chapter(chapter).name if chapter else ""
    rows = []
    for row in talk.corrections:
        found = talk.chapter(row.chapter)
        if wanted in ("", found.name):
            where = f"{row.slide}, chapter {_link(found, found.number)}"
            rows.append((where, row.claim, f"**{row.truth}** ({row.source})"))
    return Listing(("slide", "the talk says", "what is so"), tuple(rows))
