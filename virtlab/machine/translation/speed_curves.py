"""Curves of seconds by instructions, and where two of them meet (S6, S7, S18).

`virtlab.machine.translation.speed` measures them, and says what rate, start and break-even are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.results import Result
from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["Curve", "Speeds", "rounded"]


@dataclass(frozen=True)
class Curve:
    """Instructions and seconds of one way to run a program.

    Attributes
    ----------
    name
        Of the tier, or of what was left out.
    instructions, seconds
        By then, at the end of each piece; not of the last one if the program ended in it.
    translations
        Made in the whole run.
    counts
        What the translator counted else in it, by name.

    Examples
    --------
    >>> curve = Curve("wasm", (1000, 3000, 7000), (0.5, 0.6, 0.8), 3)
    >>> round(curve.rate), round(curve.start_s, 2)
    (20000, 0.45)
    """

    name: str
    instructions: tuple[int, ...]
    seconds: tuple[float, ...]
    translations: int
    counts: Mapping[str, int] = field(default_factory=dict)

    def often(self, count: str, other: Curve) -> bool:
        """Return whether something happened more often, or less, than in another run.

        Parameters
        ----------
        count
            Name of what was counted.
        other
            The other run.

        Returns
        -------
        bool
            If it differs by once in a thousand instructions or more.

        Examples
        --------
        >>> one, other = (Curve("", (5000,), (1.0,), 0, {"steps": steps}) for steps in (9, 2))
        >>> one.often("steps", other)
        True
        """
        here, there = (one.counts.get(count, 0) / one.instructions[-1] for one in (self, other))
        return abs(here - there) >= 1e-3

    @property
    def rate(self) -> float:
        """Instructions a second in the last half of what was done, or a little more."""
        done, taken = self.instructions[-1], self.seconds[-1]
        pairs = zip(self.instructions, self.seconds, strict=True)
        before = [(n, spent) for n, spent in pairs if 2 * n <= done]
        n, spent = before[-1] if before else (0, 0.0)
        return (done - n) / max(taken - spent, 1e-9)

    @property
    def start_s(self) -> float:
        """Seconds that it takes longer than at that rate from the start."""
        return max(0.0, self.seconds[-1] - self.instructions[-1] / self.rate)

    def seconds_for(self, instructions: float) -> float:
        """Return what a program of some length takes, by the straight line.

        Parameters
        ----------
        instructions
            How many it does.

        Returns
        -------
        float
            Seconds.

        Examples
        --------
        >>> Curve("interpreter", (1000,), (0.5,), 0).seconds_for(10_000)
        5.0
        """
        return self.start_s + instructions / self.rate


@dataclass(frozen=True)
class Speeds(Result):
    """Ways to run one program, measured.

    Attributes
    ----------
    program
        Which.
    curves
        A way each; the first is what the others are compared with.
    missing
        Why a way could not be run here, by its name.

    Examples
    --------
    >>> slow = Curve("interpreter", (1000, 3000), (0.1, 0.3), 0)
    >>> fast = Curve("wasm", (1000, 201_000), (0.4, 0.6), 5)
    >>> found = Speeds("crc32", (slow, fast), {})
    >>> found.times("wasm"), round(found.break_even("wasm"))
    (100.0, 4030)
    """

    program: str
    curves: tuple[Curve, ...]
    missing: dict[str, str]

    def curve(self, name: str) -> Curve:
        """Return a way by its name.

        Parameters
        ----------
        name
            Of the tier, or of what was left out.

        Returns
        -------
        Curve
            Its instructions and seconds.

        Examples
        --------
        >>> Speeds("crc32", (Curve("interpreter", (1,), (1.0,), 0),), {}).curve("interpreter").rate
        1.0
        """
        names = tuple(one.name for one in self.curves)
        return self.curves[names.index(one_of("name", name, names))]

    def times(self, name: str) -> float:
        """Return how many times as fast as the first way another is.

        Parameters
        ----------
        name
            Which.

        Returns
        -------
        float
            By their rates.

        Examples
        --------
        See the class.
        """
        return round(self.curve(name).rate / self.curves[0].rate, 6)

    def break_even(self, name: str, against: str = "") -> float:
        """Return from how many instructions on a way takes less time than another.

        Parameters
        ----------
        name, against
            Which; the first if none is named.

        Returns
        -------
        float
            0 if it is better from the start, infinity if never.

        Examples
        --------
        See the class.
        """
        fast, slow = self.curve(name), self.curve(against or self.curves[0].name)
        gain = 1 / slow.rate - 1 / fast.rate
        later = fast.start_s - slow.start_s
        if later <= 0:
            return 0.0 if gain >= 0 else float("inf")
        return later / gain if gain > 0 else float("inf")

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each way."""
        import pandas as pd

        rows = [
            {
                "way": one.name,
                "instructions": one.instructions[-1],
                "seconds": one.seconds[-1],
                "million_per_s": one.rate / 1e6,
                "times": self.times(one.name),
                "start_ms": 1e3 * one.start_s,
                "translations": one.translations,
            }
            for one in self.curves
        ]
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return how many times as fast as the first each is."""
        return {
            "program": self.program,
            "yardstick": self.curves[0].name,
            **{f"{one.name}_times": self.times(one.name) for one in self.curves[1:]},
        }

    def explain(self) -> str:
        """Say who is how fast."""
        first = self.curves[0]
        words = [f"{self.program}: {first.name} does {rounded(first.rate)} instructions a second."]
        for one in self.curves[1:]:
            says = f"{one.name}: {rounded(self.times(one.name))} times as many"
            after = self.break_even(one.name)
            if 0 < after < float("inf"):
                says += f", and it pays from {rounded(after)} instructions on"
            words.append(says + ".")
        words += [f"No {name}: {why}." for name, why in self.missing.items()]
        return " ".join(words)


def rounded(amount: float) -> str:
    """Write a measured number with the two digits that are worth something.

    Parameters
    ----------
    amount
        Not less than 0.

    Returns
    -------
    str
        Without an exponent.

    Examples
    --------
    >>> rounded(15312.4), rounded(0.7432), rounded(3.06), rounded(2.1e9)
    ('15,000', '0.74', '3.1', '2,100 million')
    """
    if amount >= 10_000_000:
        return f"{rounded(amount / 1e6)} million"
    return f"{float(f'{amount:.2g}'):,.0f}" if amount >= 10 else f"{amount:.2g}"
