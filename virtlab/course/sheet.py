"""The sheet of a chapter: all its questions, and how far a student has come."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtlab.results import Result
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from virtlab.course.question import Question

__all__ = ["Score", "Sheet", "load_sheet", "loaded_scores"]

_LOADED: dict[str, Sheet] = {}  # every sheet that this process made, for `virtlab grade`


@dataclass(frozen=True)
class Score(Result):
    """How far a student has come with a sheet.

    Attributes
    ----------
    chapter
        Name of the sheet.
    states
        'right', 'wrong' or 'not answered', by the question's name; the last try counts.
    kinds
        The question's kind, by its name.
    tries
        How often it was answered, by its name.

    Examples
    --------
    >>> Score("shares", {"vm2": "right"}, {"vm2": "number"}, {"vm2": 2}).explain()
    'shares: 1 of 1 right.'
    """

    chapter: str
    states: Mapping[str, str]
    kinds: Mapping[str, str]
    tries: Mapping[str, int]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each question.

        Returns
        -------
        pandas.DataFrame
            Question, kind, state, tries.

        Examples
        --------
        >>> Score("shares", {"vm2": "right"}, {"vm2": "number"}, {"vm2": 2}).to_frame()
          question    kind  state  tries
        0      vm2  number  right      2
        """
        import pandas as pd

        rows = [
            {"question": name, "kind": self.kinds[name], "state": state, "tries": self.tries[name]}
            for name, state in self.states.items()
        ]
        return pd.DataFrame(rows, columns=["question", "kind", "state", "tries"])

    def summary(self) -> dict[str, float | int | str]:
        """Return the counts.

        Returns
        -------
        dict
            Chapter; questions that are right, wrong, not answered; tries.

        Examples
        --------
        >>> score = Score("shares", {"vm2": "right"}, {"vm2": "number"}, {"vm2": 2})
        >>> score.summary()["right"]
        1
        """
        states = list(self.states.values())
        return {
            "chapter": self.chapter,
            "questions": len(states),
            "right": states.count("right"),
            "wrong": states.count("wrong"),
            "not_answered": states.count("not answered"),
            "tries": sum(self.tries.values()),
        }

    def explain(self) -> str:
        """Return the score in a sentence.

        Returns
        -------
        str
            How many are right, and what is left.

        Examples
        --------
        >>> score = Score("shares", {"vm2": "wrong"}, {"vm2": "number"}, {"vm2": 1})
        >>> score.explain()
        'shares: 0 of 1 right. To do: vm2.'
        """
        open_ones = [name for name, state in self.states.items() if state != "right"]
        done = len(self.states) - len(open_ones)
        rest = f" To do: {', '.join(open_ones)}." if open_ones else ""
        return f"{self.chapter}: {done} of {len(self.states)} right.{rest}"

    def __repr__(self) -> str:
        """Show the sentence and the rows."""
        return f"{self.explain()}\n{self.to_frame().to_string(index=False)}"


class Sheet:
    """All questions of a chapter, by name.

    Parameters
    ----------
    chapter
        Name of the chapter's topic, for instance 'shares'.
    questions
        Its questions, in the notebook's order.

    Raises
    ------
    InvalidInputError
        If two questions have one name.

    Examples
    --------
    >>> from virtlab.course.questions import Numeric
    >>> sheet = Sheet("halves", [Numeric(name="half", text="Half of 160?", solve=lambda: 80)])
    >>> sheet["half"].check(80).is_right
    True
    >>> sheet.score()
    halves: 1 of 1 right.
    question   kind state  tries
        half number right      1
    """

    def __init__(self, chapter: str, questions: Sequence[Question]) -> None:
        self.chapter = chapter
        self._questions = {question.name: question for question in questions}
        if len(self._questions) != len(questions):
            names = [question.name for question in questions]
            raise InvalidInputError("questions", names, "questions of different names")
        _LOADED[chapter] = self

    def __iter__(self) -> Iterator[Question]:
        """Go through the questions in order."""
        return iter(self._questions.values())

    def __len__(self) -> int:
        """Count the questions."""
        return len(self._questions)

    def __getitem__(self, name: str) -> Question:
        """Return a question by its name; the error lists those there are."""
        return self._questions[one_of("question", name, tuple(self._questions))]

    def score(self) -> Score:
        """Return how far the student has come; the last try of each question counts.

        Returns
        -------
        Score
            A row for each question.

        Examples
        --------
        See the class's example.
        """
        states, tries = {}, {}
        for question in self:
            tried = question.attempts
            states[question.name] = tried[-1].outcome if tried else "not answered"
            tries[question.name] = len(tried)
        kinds = {question.name: question.kind for question in self}
        return Score(self.chapter, states, kinds, tries)

    def reset(self) -> None:
        """Forget all tries.

        Examples
        --------
        >>> Sheet("nothing", []).reset()
        """
        for question in self:
            question.attempts.clear()

    def __repr__(self) -> str:
        """Show the score."""
        return repr(self.score())

    def _repr_html_(self) -> str:
        return self.score()._repr_html_()


def loaded_scores() -> list[dict[str, Any]]:
    """Return the scores of all sheets that this process has loaded, in built-in types.

    Returns
    -------
    list of dict
        What `Score.to_json` gives, one for each chapter.

    Examples
    --------
    >>> isinstance(loaded_scores(), list)
    True
    """
    return [sheet.score().to_json() for sheet in _LOADED.values()]


def load_sheet(chapter: str) -> Sheet:
    """Return the sheet of a chapter.

    Parameters
    ----------
    chapter
        Its name, number or topic: '05-shares', '5' or 'shares'.

    Returns
    -------
    Sheet
        Its questions.

    Raises
    ------
    InvalidInputError
        If there is no such chapter, or it has no questions yet.

    Examples
    --------
    >>> [question.name for question in load_sheet("welcome")]
    ['equal', 'home', 'equal_split']
    """
    from virtlab.course.talk import the_talk

    found = the_talk().chapter(chapter)
    if not found.built:
        built = ", ".join(one.name for one in the_talk().built)
        raise InvalidInputError("chapter", found.name, f"one that is built: {built}")
    sheet: Sheet = importlib.import_module(f"virtlab.course.{found.module}").sheet
    return sheet
