"""What all questions have: a text, a check that never raises, a solution, endless variants."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from virtlab.course.verdict import NOT_ANSWERED, Verdict, inline_html, plain_text, wrong
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Question"]

_DRAWS = 100  # of numbers for a variant, until no wrong way leads to the right answer


@dataclass(frozen=True, kw_only=True, repr=False)
class Question(ABC):
    """What all questions have.

    Attributes
    ----------
    name
        How it is called: `ask.NAME`, `virtlab problem CHAPTER NAME`.
    text
        The question, in the course's small markup: `code`, **bold**, blank lines.
    why
        Said with the verdict 'right'; a function, if it costs something to know.
    hint
        Said with a wrong answer that no better hint fits.
    variant
        Makes the same question with other numbers, drawn from a generator.
    seed
        Which variant this is; None for the course's own numbers.
    attempts
        The verdicts so far; 'not answered' is none.
    """

    name: str
    text: str
    why: str | Callable[[], str] = ""
    hint: str = ""
    variant: Callable[[np.random.Generator], Question] | None = None
    seed: int | None = None
    attempts: list[Verdict] = field(default_factory=list, compare=False)

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Check what can be checked without an answer."""
        if not self.name.isidentifier():
            raise InvalidInputError("name", self.name, "a Python name")
        if not self.text.strip():
            raise InvalidInputError("text", self.text, "a question")

    @abstractmethod
    def judge(self, answer: object) -> Verdict:
        """Return the verdict on an answer that was given."""

    @abstractmethod
    def how(self) -> str:
        """Return what an answer looks like, in a few words."""

    def is_blank(self, answer: object) -> bool:
        """Tell whether an answer is still the `...` that the exercise starts from.

        Parameters
        ----------
        answer
            Anything.

        Returns
        -------
        bool
            True for `...`, None and empty text.

        Examples
        --------
        >>> from virtlab.course import Numeric
        >>> Numeric(name="one", text="1?", solve=lambda: 1).is_blank(None)
        True
        """
        return answer is ... or answer is None or (isinstance(answer, str) and not answer.strip())

    def check(self, answer: object = ...) -> Verdict:
        """Check an answer; it counts in the score unless it is `...`.

        Parameters
        ----------
        answer
            A student's answer, of any type.

        Returns
        -------
        Verdict
            Right and why; wrong and a hint; or not answered yet.

        Examples
        --------
        >>> from virtlab.course import Numeric
        >>> question = Numeric(name="half", text="Half of 160?", solve=lambda: 80, unit="MB/s")
        >>> question.check("eighty")
        ✘ Not yet. This wants a number (MB/s); you gave the text 'eighty'.
        >>> len(question.attempts)
        1
        """
        if self.is_blank(answer):
            return NOT_ANSWERED
        verdict = self.judge(answer)
        self.attempts.append(verdict)
        return verdict

    def solution(self, answer: object) -> Verdict:
        """Check the course's own solution: it must be right, and does not count in the score.

        Parameters
        ----------
        answer
            What the solution computed.

        Returns
        -------
        Verdict
            Right, and why.

        Raises
        ------
        AssertionError
            If it is wrong: the course has a mistake, and its tests fail here.

        Examples
        --------
        >>> from virtlab.course import Numeric
        >>> Numeric(name="half", text="Half of 160?", solve=lambda: 80).solution(160 / 2)
        ✔ Right. 80.
        """
        verdict = NOT_ANSWERED if self.is_blank(answer) else self.judge(answer)
        if not verdict.is_right:
            raise AssertionError(f"the solution of {self.name} is not right: {verdict!r}")
        return replace(verdict, is_folded=True)

    def problem(self, seed: int) -> Question:
        """Return the same question with other numbers; the same seed gives the same ones.

        Parameters
        ----------
        seed
            Any whole number >= 0.

        Returns
        -------
        Question
            A question of the same kind and name.

        Raises
        ------
        InvalidInputError
            If the seed is no such number, or this question has no variants.

        Examples
        --------
        See the module's example.
        """
        seed = integer("seed", seed, minimum=0)
        if self.variant is None:
            raise InvalidInputError("question", self.name, "one that has variants")
        rng = np.random.default_rng(seed)
        made = self.variant(rng)
        for _ in range(_DRAWS):
            if made.tells_apart():
                break
            made = self.variant(rng)
        return replace(made, name=self.name, seed=seed, variant=self.variant, attempts=[])

    def tells_apart(self) -> bool:
        """Tell whether who takes a foreseen wrong way gets another answer than the right one.

        Returns
        -------
        bool
            False if such a way is right by chance, as an equal split is where shares are equal.

        Examples
        --------
        >>> from virtlab.course import Mistake, Numeric
        >>> half = Mistake(lambda: 2 / 2, "Half of it.")
        >>> Numeric(name="root", text="Root of 4?", solve=lambda: 2, mistakes=[half]).tells_apart()
        True
        >>> Numeric(name="root", text="Root of 1?", solve=lambda: 1, mistakes=[half]).tells_apart()
        False
        """
        return True

    def explanation(self) -> str:
        """Return why the right answer is right.

        Returns
        -------
        str
            A sentence or two, or ''.

        Examples
        --------
        >>> from virtlab.course import Numeric
        >>> Numeric(name="one", text="1?", solve=lambda: 1, why="It is.").explanation()
        'It is.'
        """
        return self.why() if callable(self.why) else self.why

    def _wrong(self, hint: str) -> Verdict:
        return wrong(" ".join(part for part in (hint, self.hint) if part))

    def _head(self) -> str:
        variant = "" if self.seed is None else f", problem {self.seed}"
        return f"Question {self.name}{variant}"

    def __repr__(self) -> str:
        """Ask, in plain text."""
        return f"{self._head()}\n{plain_text(self.text, '  ')}\n  Answer: {self.how()}"

    def _repr_html_(self) -> str:
        """Ask, in a box that follows the page's theme."""
        return (
            '<div style="border:1px solid #8C8C8C;border-radius:6px;padding:.6em 1em;'
            'max-width:75ch;line-height:1.45">'
            f'<p style="margin:0 0 .4em;opacity:.75">{html.escape(self._head())}</p>'
            f"{inline_html(self.text)}{self._options_html()}"
            f'<p style="margin:0;opacity:.75">Answer: {html.escape(self.how())}</p></div>'
        )

    def _options_html(self) -> str:
        return ""
