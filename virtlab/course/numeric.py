"""Questions whose answer is a number, or a short list of numbers, within an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from virtlab.course import hints
from virtlab.course.question import Question
from virtlab.course.verdict import Verdict, right, wrong
from virtlab.validate import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

__all__ = ["Mistake", "Numeric"]


@dataclass(frozen=True)
class Mistake:
    """A wrong way to a number, and what to say to who took it.

    Attributes
    ----------
    gives
        Computes what one gets that way.
    hint
        What to look at next.

    Examples
    --------
    >>> Mistake(lambda: 160 / 3, "An equal split.").hint
    'An equal split.'
    """

    gives: Callable[[], ArrayLike]
    hint: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Numeric(Question):
    """A question whose answer is a number, or a short list of numbers, within an interval.

    Attributes
    ----------
    solve
        Asks the model for the right number or numbers.
    unit
        Its unit; '' for a plain count.
    relative, absolute
        How far off an answer may be: a part of the right one, plus an amount.
    mistakes
        Wrong ways that are often taken; the first that fits gives the hint.

    Examples
    --------
    >>> half = Numeric(name="half", text="Half of 160 MB/s?", solve=lambda: 80, unit="MB/s")
    >>> half
    Question half
      Half of 160 MB/s?
      Answer: a number, in MB/s, within 1 %
    >>> half.check(0.08)
    ✘ Not yet. Your answer is 1,000 times too small. Is the unit off by a thousand?
    """

    solve: Callable[[], ArrayLike]
    unit: str = ""
    relative: float = 0.01
    absolute: float = 0.0
    mistakes: Sequence[Mistake] = ()

    kind: ClassVar[str] = "number"

    def __post_init__(self) -> None:
        """Check the interval too."""
        super().__post_init__()
        number("relative", self.relative, minimum=0, maximum=1)
        number("absolute", self.absolute, minimum=0)

    @property
    def right_answer(self) -> float | list[float]:
        """The number or numbers, as the model computes them."""
        numbers = hints.as_numbers(self.solve())
        return float(numbers[0]) if numbers.size == 1 else [float(value) for value in numbers]

    def how(self) -> str:
        """Return what an answer looks like.

        Returns
        -------
        str
            For instance 'a number, in MB/s, within 1 %'.

        Examples
        --------
        >>> Numeric(name="two", text="Both?", solve=lambda: [1, 2], relative=0, absolute=1).how()
        'a list of 2 numbers, give or take 1'
        """
        size = hints.as_numbers(self.solve()).size
        unit = f", in {self.unit}" if self.unit else ""
        near = f", within {100 * self.relative:g} %" if self.relative else ""
        near += f", give or take {self.absolute:g}" if self.absolute else ""
        return f"{_numbers_word(size)}{unit}{near}"

    def judge(self, answer: object) -> Verdict:
        """Return the verdict on an answer.

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
        >>> Numeric(name="half", text="Half of 160?", solve=lambda: 80).judge(160 / 2)
        ✔ Right. 80.
        """
        wanted = hints.as_numbers(self.solve())
        unit = f" ({self.unit})" if self.unit else ""
        try:
            given = hints.as_numbers(answer, self.unit)
        except hints.NotNumbersError as error:
            return self._wrong(f"This wants {_numbers_word(wanted.size)}{unit}; you gave {error}.")
        if given.size != wanted.size:
            return self._wrong(
                f"This wants {_numbers_word(wanted.size)}{unit}; you gave {given.size}."
            )
        near = self._near(given, wanted)
        if near.all():
            value = ", ".join(hints.figure(value) for value in wanted)
            suffix = f" {self.unit}" if self.unit else ""
            return right(f"{value}{suffix}. {self.explanation()}".strip())
        for mistake in self.mistakes:
            taken = hints.as_numbers(mistake.gives())
            if taken.size == given.size and self._near(given, taken).all():
                return wrong(mistake.hint)
        if not (self.relative or self.absolute or self._is_whole(given)) and self._is_whole(wanted):
            return self._wrong("A whole number is wanted.")
        return self._wrong(hints.number_hint(given, wanted, near))

    def tells_apart(self) -> bool:
        """Tell whether each foreseen mistake leads to another number.

        Returns
        -------
        bool
            False if one of them leads to the right one.

        Examples
        --------
        See `Question.tells_apart`.
        """
        wanted = hints.as_numbers(self.solve())
        taken = [hints.as_numbers(mistake.gives()) for mistake in self.mistakes]
        return not any(one.size == wanted.size and self._near(one, wanted).all() for one in taken)

    @staticmethod
    def _is_whole(numbers: np.ndarray[Any, Any]) -> bool:
        return bool((np.abs(numbers - np.round(numbers)) <= 1e-9 * np.abs(numbers)).all())

    def _near(self, given: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> Any:
        # The last term forgives the rounding of floats where no interval is asked for.
        allowed = self.absolute + (self.relative + 1e-12) * np.abs(wanted)
        return np.abs(given - wanted) <= allowed


def _numbers_word(size: int) -> str:
    return "a number" if size == 1 else f"a list of {size} numbers"
