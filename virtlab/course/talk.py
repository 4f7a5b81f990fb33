"""The talk's map: every slide, its chapter, what is built, and where the talk is corrected.

All of it is read from `talk.toml` beside this module, the one place that says what is built.
Slides are numbered in the talk's own order, S1 to S53, and told in our words.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Chapter", "Correction", "Slide", "Talk", "the_talk"]

_FILE = Path(__file__).with_name("talk.toml")


@dataclass(frozen=True)
class Slide:
    """One slide of the talk.

    Attributes
    ----------
    number
        From 1, in the talk's order.
    says
        What it says, in our words.
    chapters
        Names of the chapters that teach it; the first is its home.
    term
        The word the talk uses, in Japanese; '' if there is none to keep.
    """

    number: int
    says: str
    chapters: tuple[str, ...]
    term: str = ""

    @property
    def name(self) -> str:
        """How notebooks and figures call it: 'S20'."""
        return f"S{self.number}"


@dataclass(frozen=True)
class Chapter:
    """One chapter of the course.

    Attributes
    ----------
    name
        Number and topic: '05-shares'; its notebook is called so.
    title
        What you do in it.
    minutes
        Time it takes.
    learn
        What you can do after it.
    built
        Whether it is there.
    slides
        Numbers of the slides it teaches.
    models, commands
        Modules it shows, and commands of `virtlab` that belong to it.
    topic
        Name of its modules, where that is not the name of the notebook.
    """

    name: str
    title: str
    minutes: int
    learn: tuple[str, ...]
    built: bool = False
    slides: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    topic: str = ""

    @property
    def number(self) -> str:
        """Its two digits."""
        return self.name[:2]

    @property
    def module(self) -> str:
        """Name of its module in `virtlab.course`, `virtlab.plots` and `virtlab.widgets`."""
        return self.topic or self.name[3:].replace("-", "_")

    @property
    def slide_range(self) -> str:
        """Its slides in short: 'S13, S15-S16'; 'all' for the map, which shows them all.

        Examples
        --------
        >>> the_talk().chapter("03").slide_range
        'S13, S15-S16'
        """
        if not self.slides:
            return "all"
        runs: list[list[int]] = []
        for number in self.slides:
            if runs and runs[-1][-1] == number - 1:
                runs[-1].append(number)
            else:
                runs.append([number])
        return ", ".join(f"S{run[0]}" if len(run) == 1 else f"S{run[0]}-S{run[-1]}" for run in runs)


@dataclass(frozen=True)
class Correction:
    """A claim of the talk that sources don't bear out.

    Attributes
    ----------
    slide, chapter
        Where the talk says it, and where the course shows what is so.
    claim, truth
        What the talk says, and what is so.
    source
        Where that is from.
    """

    slide: str
    chapter: str
    claim: str
    truth: str
    source: str


@dataclass(frozen=True)
class Talk(Result):
    """The talk, its chapters and its corrections.

    Attributes
    ----------
    title, english, about
        The talk's title, in Japanese and in English, and its subject.
    slides, chapters, corrections
        In the talk's order.

    Examples
    --------
    >>> len(the_talk().slides)
    53
    """

    title: str
    english: str
    about: str
    slides: tuple[Slide, ...]
    chapters: tuple[Chapter, ...]
    corrections: tuple[Correction, ...]

    @property
    def built(self) -> tuple[Chapter, ...]:
        """The chapters that are there."""
        return tuple(chapter for chapter in self.chapters if chapter.built)

    def chapter(self, name: str) -> Chapter:
        """Return a chapter by its name, number or topic.

        Parameters
        ----------
        name
            For instance '05-shares', '05', '5' or 'shares'.

        Returns
        -------
        Chapter
            It.

        Raises
        ------
        InvalidInputError
            If there is no such chapter; the error lists those there are.

        Examples
        --------
        >>> the_talk().chapter("shares").name == the_talk().chapter("5").name == "05-shares"
        True
        """
        wanted = name.strip().lower().removesuffix(".ipynb").removesuffix(".md")
        for chapter in self.chapters:
            names = {chapter.name, chapter.number, str(int(chapter.number)), chapter.name[3:]}
            if wanted in names | {chapter.module}:
                return chapter
        known = ", ".join(chapter.name for chapter in self.chapters)
        raise InvalidInputError("chapter", name, f"one of {known}")

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each slide.

        Returns
        -------
        pandas.DataFrame
            Slide, chapter, whether that is built, what the slide says, its term.

        Examples
        --------
        >>> the_talk().to_frame().query("slide == 'S20'")["chapter"].item()
        '05-shares'
        """
        import pandas as pd

        built = {chapter.name for chapter in self.built}
        return pd.DataFrame(
            {
                "slide": [slide.name for slide in self.slides],
                "chapter": [slide.chapters[0] for slide in self.slides],
                "built": [slide.chapters[0] in built for slide in self.slides],
                "says": [slide.says for slide in self.slides],
                "term": [slide.term for slide in self.slides],
            }
        )

    def chapters_frame(self) -> pd.DataFrame:
        """Return a row for each chapter.

        Returns
        -------
        pandas.DataFrame
            Name, title, slides, minutes, whether it is built.

        Examples
        --------
        >>> the_talk().chapters_frame().columns.tolist()
        ['chapter', 'title', 'slides', 'minutes', 'built']
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "chapter": [chapter.name for chapter in self.chapters],
                "title": [chapter.title for chapter in self.chapters],
                "slides": [chapter.slide_range for chapter in self.chapters],
                "minutes": [chapter.minutes for chapter in self.chapters],
                "built": [chapter.built for chapter in self.chapters],
            }
        )

    def corrections_frame(self) -> pd.DataFrame:
        """Return a row for each correction.

        Returns
        -------
        pandas.DataFrame
            Slide, claim, truth, source, chapter.

        Examples
        --------
        >>> "S27" in the_talk().corrections_frame()["slide"].tolist()
        True
        """
        import pandas as pd

        columns = ["slide", "claim", "truth", "source", "chapter"]
        return pd.DataFrame([vars(row) for row in self.corrections])[columns]

    def summary(self) -> dict[str, float | int | str]:
        """Return how much there is.

        Returns
        -------
        dict
            Slides and chapters, and how many of them are built; corrections.

        Examples
        --------
        >>> the_talk().summary()["slides"]
        53
        """
        return {
            "slides": len(self.slides),
            "slides_built": int(self.to_frame()["built"].sum()),
            "chapters": len(self.chapters),
            "chapters_built": len(self.built),
            "corrections": len(self.corrections),
        }

    def explain(self) -> str:
        """Return how far the course has come.

        Returns
        -------
        str
            A sentence or two.

        Examples
        --------
        >>> print(the_talk().explain())
        53 slides in 17 chapters. Built so far: 00-the-talk...
        """
        ready = ", ".join(chapter.name for chapter in self.built)
        return f"{len(self.slides)} slides in {len(self.chapters)} chapters. Built so far: {ready}."


@cache
def the_talk() -> Talk:
    """Return the talk, read from its file.

    Returns
    -------
    Talk
        Slides, chapters, corrections.

    Examples
    --------
    >>> [chapter.name for chapter in the_talk().chapters][5]
    '05-shares'
    """
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    slides = tuple(
        Slide(number, row["says"], tuple(row["chapters"]), row.get("term", ""))
        for number, row in enumerate(data["slide"], start=1)
    )
    chapters = []
    for row in data["chapter"]:
        lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
        taught = tuple(slide.number for slide in slides if row["name"] in slide.chapters)
        chapters.append(Chapter(**{**row, **lists, "slides": taught}))
    corrections = tuple(Correction(**row) for row in data["correction"])
    return Talk(**data["talk"], slides=slides, chapters=tuple(chapters), corrections=corrections)
