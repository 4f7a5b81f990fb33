"""First exercises: one of each kind, to see how they check themselves (chapter 00)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.course.talk import the_talk
from virtlab.resources import allocate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["equal", "equal_split", "home", "sheet"]


def _equal(capacity: float = 160, vms: int = 3) -> Numeric:
    """Ask for an equal split."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _equal(float(10 * rng.integers(8, 41)), int(rng.integers(3, 9)))

    return Numeric(
        name="equal",
        text=f"A disk gives **{capacity:g} MB/s**. {vms} VMs have equal shares, and each wants all "
        "it can get. How much does each get?",
        unit="MB/s",
        solve=lambda: allocate(capacity, shares=[1000] * vms).allocation[0],
        why=f"Each has 1000 of {vms * 1000} shares.",
        mistakes=[
            Mistake(lambda: capacity, "That is the whole disk: each VM wants it, none gets it."),
            Mistake(lambda: capacity / 2, f"That is one of two: there are {vms} VMs."),
        ],
        hint="Equal shares: what there is, by how many ask for it.",
        variant=draw,
    )


def _home(
    slide: int = 27, others: Sequence[str] = ("05-shares", "07-memory", "09-ballooning")
) -> Choice:
    """Ask which chapter is a slide's home."""
    talk = the_talk()
    right = talk.slides[slide - 1].chapters[0]

    def draw(rng: np.random.Generator) -> Choice:
        number = int(rng.integers(1, len(talk.slides) + 1))
        names = [row.name for row in talk.chapters if row.slides and number not in row.slides]
        return _home(number, tuple(rng.choice(names, 3, replace=False)))

    chapters = [talk.chapter(name) for name in sorted({right, *others})]
    letters = "abcd"[: len(chapters)]
    return Choice(
        name="home",
        text=f"Move the slider above to slide {slide}. Which chapter teaches **S{slide}**?",
        options={letter: row.name for letter, row in zip(letters, chapters, strict=True)},
        solve=lambda: letters[[row.name for row in chapters].index(right)],
        hints={
            letter: f"{row.name} teaches {row.slide_range}."
            for letter, row in zip(letters, chapters, strict=True)
        },
        variant=draw,
    )


def _try_equal_split(equal_split: Callable[[float, int], Any]) -> str | None:
    """Hold a student's function against the allocator, on disks and VMs of all sizes."""
    rng = np.random.default_rng(20)
    cases = [
        (160.0, 3),
        *((float(rng.integers(10, 400)), int(rng.integers(1, 30))) for _ in range(20)),
    ]
    for capacity, vms in cases:
        wanted = float(allocate(capacity, shares=np.ones(vms)).allocation[0])
        given = equal_split(capacity, vms)
        if given is None:
            return "It returned nothing: end it with `return` and the number."
        if abs(given - wanted) > 1e-6 * wanted:
            call = f"`equal_split({capacity:g}, {vms})`"
            return f"{call} gave {given:.4g}: is that times {vms} all there is?"
    return None


equal = _equal()
home = _home()
equal_split = Code(
    name="equal_split",
    text="Write a function `equal_split(capacity, vms)` that returns what each of `vms` equal VMs "
    "gets. Replace the `...` in its body, run the cell, and read the verdict.",
    test=_try_equal_split,
    why="It agrees with the course's own allocator on 21 disks.",
)
sheet = Sheet("welcome", [equal, home, equal_split])
