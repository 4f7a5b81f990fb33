"""Questions that check themselves: a number, a choice, a piece of code.

The right answer is never typed: `solve` asks the model for it. A wrong answer gets a hint that
fits the error, an unanswered one (`...`) is no error, and nothing a student writes makes a check
raise. `problem(seed)` gives the same question with other numbers, without end.

In a notebook an exercise is three cells: the question (`ask.vm2`), the answer
(`answer = ...` and `ask.vm2.check(answer)`), and, folded away, a solution that ends in
`ask.vm2.solution(answer)`: it must be right, or it raises, and it does not count in the score.

Examples
--------
>>> from virtlab.resources import allocate
>>> def vm2_share(capacity=160.0, shares=(1000, 2000, 1000)):
...     return Numeric(
...         name="vm2",
...         text=f"{capacity:g} MB/s, shares {shares}: how much does VM2 get?",
...         unit="MB/s",
...         solve=lambda: allocate(capacity, shares).allocation[1],
...         why="A VM gets its shares out of all shares.",
...         mistakes=[Mistake(lambda: capacity / 3, "That is an equal split: see the shares.")],
...         variant=lambda rng: vm2_share(10 * rng.integers(8, 40), 500 * rng.integers(1, 9, 3)),
...     )
>>> vm2 = vm2_share()
>>> vm2.check(...)
… Not answered yet.
>>> vm2.check(53.33)
✘ Not yet. That is an equal split: see the shares.
>>> vm2.check(80)
✔ Right. 80 MB/s. A VM gets its shares out of all shares.
>>> vm2.problem(seed=7).right_answer == vm2.problem(seed=7).right_answer
True
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from virtlab.course.hints import is_empty, run_hint
from virtlab.course.numeric import Mistake, Numeric
from virtlab.course.question import Question
from virtlab.course.verdict import Verdict, plain_text, right
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Choice", "Code", "Mistake", "Numeric", "Question"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Choice(Question):
    """A question with a few answers to choose from.

    Attributes
    ----------
    options
        Key (a letter or a short word) and text of each.
    solve
        Asks the model for the key of the right one.
    hints
        What to say to who takes this option, for each that may be wrong.

    Examples
    --------
    >>> faster = Choice(
    ...     name="more",
    ...     text="VM2 goes from 1000 to 2000 shares. What does VM1 get?",
    ...     options={"a": "more", "b": "less"},
    ...     solve=lambda: "b",
    ...     hints={"a": "The disk did not get faster."},
    ... )
    >>> faster
    Question more
      VM2 goes from 1000 to 2000 shares. What does VM1 get?
        a  more
        b  less
      Answer: one of "a", "b"
    >>> faster.check("a")
    ✘ Not yet. The disk did not get faster.
    >>> faster.check("less").is_right
    True
    """

    options: Mapping[str, str]
    solve: Callable[[], str]
    hints: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        """Check that each option but the right one has its hint."""
        super().__post_init__()
        if len(self.options) < 2:
            raise InvalidInputError("options", dict(self.options), "at least two options")
        unknown = set(self.hints) - set(self.options)
        if unknown or len(set(self.options) - set(self.hints)) > 1:
            raise InvalidInputError(
                "hints", sorted(self.hints), "for all options, or all but the right one"
            )

    @property
    def right_answer(self) -> str:
        """The key of the right option, as the model tells it."""
        key = self.solve()
        if key not in self.options:
            raise InvalidInputError("solve()", key, "one of " + ", ".join(self.options))
        return key

    def how(self) -> str:
        """Return what an answer looks like.

        Returns
        -------
        str
            The keys.

        Examples
        --------
        See the class's example.
        """
        return "one of " + ", ".join(f'"{key}"' for key in self.options)

    def judge(self, answer: object) -> Verdict:
        """Return the verdict on an answer: a key or an option's text, in capitals or not.

        Parameters
        ----------
        answer
            Of any type.

        Returns
        -------
        Verdict
            Right, or wrong with the option's hint.

        Examples
        --------
        See the class's example.
        """
        key = self._key(answer)
        if key is None:
            return self._wrong(f"This wants {self.how()}, in quotes.")
        if key == self.right_answer:
            return right(f"{self.options[key].rstrip('.')}. {self.explanation()}".strip())
        return self._wrong(self.hints.get(key, ""))

    def _key(self, answer: object) -> str | None:
        if not isinstance(answer, str):
            return None
        said = answer.strip().strip("\"'.)").casefold()
        for key, text in self.options.items():
            if said in (key.casefold(), text.strip().rstrip(".").casefold()):
                return key
        return None

    def __repr__(self) -> str:
        """Ask, with the options."""
        width = max(map(len, self.options))
        rows = "\n".join(f"    {key:<{width}}  {text}" for key, text in self.options.items())
        body = plain_text(self.text, "  ")
        return f"{self._head()}\n{body}\n{rows}\n  Answer: {self.how()}"

    def _options_html(self) -> str:
        rows = "".join(
            f"<li><code>{html.escape(key)}</code>&ensp;{html.escape(text)}</li>"
            for key, text in self.options.items()
        )
        return f'<ul style="margin:.2em 0 .6em;list-style:none;padding-left:1em">{rows}</ul>'


@dataclass(frozen=True, kw_only=True, repr=False)
class Code(Question):
    """A question whose answer is a function (or a class) that is run.

    Attributes
    ----------
    test
        Calls what it is given; returns None if it does its job, a hint if not. An exception and
        an endless loop become hints by themselves.
    seconds
        Time the test may take.
    wants
        What the answer is: a function or a class.

    Examples
    --------
    >>> def test(half):
    ...     return None if half(160) == 80 else "Half of 160 is not what it returns."
    >>> question = Code(name="half", text="Write `half(capacity)`.", test=test)
    >>> question.check(lambda capacity: capacity / 2)
    ✔ Right.
    >>> question.check(lambda capacity: capacity / 3)
    ✘ Not yet. Half of 160 is not what it returns.
    >>> def half(capacity): ...
    >>> question.check(half)
    … Not answered yet.
    """

    test: Callable[[Any], str | None]
    seconds: float = 10.0
    wants: str = "a function"

    kind: ClassVar[str] = "code"

    def how(self) -> str:
        """Return what an answer looks like.

        Returns
        -------
        str
            That it is a function, or a class.

        Examples
        --------
        >>> Code(name="half", text="Write it.", test=lambda half: None).how()
        'a function (give its name, without brackets)'
        """
        return f"{self.wants} (give its name, without brackets)"

    def is_blank(self, answer: object) -> bool:
        """Tell whether it is still `...`, or a function whose body is.

        Parameters
        ----------
        answer
            Anything.

        Returns
        -------
        bool
            True if nothing was written yet.

        Examples
        --------
        See the class's example.
        """
        return super().is_blank(answer) or is_empty(answer)

    def judge(self, answer: object) -> Verdict:
        """Return the verdict on a function.

        Parameters
        ----------
        answer
            Of any type.

        Returns
        -------
        Verdict
            Right, or wrong with a hint.

        Examples
        --------
        See the class's example.
        """
        if not callable(answer):
            kind = type(answer).__name__
            return self._wrong(f"This wants {self.how()}; you gave something of type {kind}.")
        hint = run_hint(self.test, answer, self.seconds)
        return right(self.explanation()) if hint is None else self._wrong(hint)
