"""What a map of memory pages shows: a state for each page, one byte a page, in groups.

`Pages` says it in counts and in words, and knows the colours: a used page has the colour of its
VM, every other state has its own. `SIGNS` are the second signs, drawn on squares that are large
enough to hold one. The still map (`virtlab.plots.pagemap`) and the moving one
(`virtlab.widgets.pagemap`) both draw from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from virtlab.plots.palette import PAGES, vm_mark
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["SIGNS", "Pages", "Sign", "ink"]
_DARK, _LIGHT = "#1A1A1A", "#FFFFFF"


class Sign(NamedTuple):
    """A small drawing on a square, in units of its side from its centre, y downwards.

    Attributes
    ----------
    lines
        Polylines.
    filled
        Whether they are filled rather than drawn.
    width
        Line width.
    """

    lines: tuple[tuple[tuple[float, float], ...], ...]
    filled: bool = False
    width: float = 0.08


def _ring(x: float, radius: float) -> tuple[tuple[float, float], ...]:
    angles = np.linspace(0, 2 * np.pi, 17)
    points = np.column_stack([x + radius * np.cos(angles), radius * np.sin(angles)]).round(3)
    return tuple((float(px), float(py)) for px, py in points)


def _bar(y: float, half: float = 0.22) -> tuple[tuple[float, float], ...]:
    return ((-half, y), (half, y))


_SQUARE = ((-0.4, -0.4), (0.4, -0.4), (0.4, 0.4), (-0.4, 0.4), (-0.4, -0.4))

# A ring waits for a partner, two linked rings have found one.
SIGNS: dict[str, Sign] = {
    "zero": Sign((_ring(0, 0.15),), filled=True),
    "hint": Sign((_ring(0, 0.2),)),
    "shared": Sign((_ring(-0.13, 0.19), _ring(0.13, 0.19))),
    "ballooned": Sign((_SQUARE,), width=0.16),
    "swapped": Sign(
        (((-0.4, 0.05), (0.05, -0.4)), ((-0.4, 0.4), (0.4, -0.4)), ((-0.05, 0.4), (0.4, -0.05)))
    ),
    "kernel": Sign((tuple((x / 2, y / 2) for x, y in _SQUARE),), filled=True),
    "cold": Sign((_bar(0.0),)),
    "cache": Sign((_bar(-0.14), _bar(0.14))),
    "stale": Sign((((-0.25, -0.25), (0.25, 0.25)),)),
    "fetched": Sign((((0.25, 0.0), (-0.25, 0.0)), ((-0.05, -0.2), (-0.25, 0.0), (-0.05, 0.2)))),
    "wrong": Sign((((0.0, -0.32), (0.32, 0.25), (-0.32, 0.25), (0.0, -0.32)),), filled=True),
    "dirty": Sign((((0.0, -0.46), (0.46, -0.46), (0.46, 0.0), (0.0, -0.46)),), filled=True),
}


def ink(colour: str) -> str:
    """Return the ink that can be read on a colour: near black, or white.

    Parameters
    ----------
    colour
        As #rrggbb.

    Returns
    -------
    str
        As #rrggbb.

    Examples
    --------
    >>> ink("#F0E442"), ink("#333333")
    ('#1A1A1A', '#FFFFFF')
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return _DARK if 0.3 * red + 0.59 * green + 0.11 * blue > 115 else _LIGHT


def _states(values: ArrayLike, kinds: int) -> NDArray[np.uint8]:
    """Check one whole number a page and keep it as one byte."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "uib"):
        raise InvalidInputError("states", values, "a list with one whole number a page")
    if array.size and (array.min() < 0 or array.max() >= kinds):
        worst = int(array.max()) if array.max() >= kinds else int(array.min())
        raise InvalidInputError("states", worst, f"an index into the legend, 0 to {kinds - 1}")
    return array.astype(np.uint8)


class Pages:
    """What a page map shows: a state for each page, in groups. It does not change.

    Parameters
    ----------
    states
        One whole number a page: an index into `legend`. Pages of a group follow one another.
    groups
        Label and number of pages of each VM or process, in order; one group if not given.
    legend
        The states in use, keys of `virtlab.plots.palette.PAGES`; a mapping gives them other labels.

    Attributes
    ----------
    states
        One byte a page.
    labels
        What each entry of the legend is called.

    Raises
    ------
    InvalidInputError
        If a state is not in the legend, or the groups don't add up to the pages.

    Examples
    --------
    >>> pages = Pages([1, 1, 0, 2], [("VM1", 2), ("VM2", 2)], ("free", "used", "shared"))
    >>> pages.counts.loc["VM2"].to_dict()
    {'free': 1, 'used by one VM': 0, 'shared': 1}
    >>> pages.describe(3)
    'page 1 of VM2: shared'
    """

    def __init__(
        self,
        states: ArrayLike,
        groups: Sequence[tuple[str, int]] = (),
        legend: Sequence[str] | Mapping[str, str] = ("free", "used"),
    ) -> None:
        self.legend: tuple[str, ...] = tuple(legend)
        known = tuple(PAGES)
        marks = [PAGES[one_of("legend", key, known)] for key in self.legend]
        renamed = legend if isinstance(legend, Mapping) else {}
        self.labels: tuple[str, ...] = tuple(
            renamed.get(key, mark.label) for key, mark in zip(self.legend, marks, strict=True)
        )
        self.states = _states(states, len(self.legend))
        self.groups: tuple[tuple[str, int], ...] = tuple(
            (str(name), integer("group size", size, minimum=0))
            for name, size in groups or [("memory", self.states.size)]
        )
        total = sum(size for _, size in self.groups)
        if total != self.states.size:
            raise InvalidInputError("groups", total, f"{self.states.size} pages in all")

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Index of the first page of each group."""
        sizes = [size for _, size in self.groups]
        return np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64)])

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Pages by group (rows) and state (columns)."""
        kinds = len(self.legend)
        rows = [
            np.bincount(self.states[start : start + size], minlength=kinds)
            for start, (_, size) in zip(self.starts, self.groups, strict=True)
        ]
        names = [name for name, _ in self.groups]
        return pd.DataFrame(np.array(rows), index=names, columns=list(self.labels))

    def changed(self, indices: ArrayLike, states: ArrayLike) -> Pages:
        """Return the same map with other states at some pages.

        Parameters
        ----------
        indices
            Which pages.
        states
            Their new states, one for all or one each.

        Returns
        -------
        Pages
            A new map.

        Raises
        ------
        InvalidInputError
            If there is no such page or no such state.

        Examples
        --------
        >>> Pages([0, 0, 0]).changed([2], 1).states.tolist()
        [0, 0, 1]
        """
        where = np.asarray(indices, dtype=np.int64).ravel()
        if where.size and (where.min() < 0 or where.max() >= self.states.size):
            worst = int(where.max()) if where.max() >= self.states.size else int(where.min())
            raise InvalidInputError("indices", worst, f"a page, 0 to {self.states.size - 1}")
        copy = self.states.copy()
        copy[where] = _states(np.atleast_1d(np.asarray(states)), len(self.legend))
        return Pages(copy, self.groups, dict(zip(self.legend, self.labels, strict=True)))

    def describe(self, page: int) -> str:
        """Say what one page is; pages count from 0 in each group, as the hardware counts them.

        Parameters
        ----------
        page
            Index into `states`.

        Returns
        -------
        str
            Its number, its group, its state.

        Examples
        --------
        >>> Pages([0, 1]).describe(1)
        'page 1 of memory: used by one VM'
        """
        index = integer("page", page, minimum=0, maximum=self.states.size - 1)
        group = int(np.searchsorted(self.starts, index, side="right")) - 1
        number = index - int(self.starts[group])
        state = self.labels[self.states[index]]
        return f"page {number:,} of {self.groups[group][0]}: {state}"

    def alt(self, title: str = "") -> str:
        """Say the whole map in words: the finding, how many pages, how many in each state.

        Parameters
        ----------
        title
            What the map shows, as a finding.

        Returns
        -------
        str
            The text alternative.

        Examples
        --------
        >>> Pages([0, 1, 1, 1], [("VM1", 2), ("VM2", 2)]).alt("VM2 is full")
        'VM2 is full. Page map of 4 pages in 2 groups: 1 free (25 %), 3 used by one VM (75 %).'
        """
        totals = self.counts.sum()
        pages = max(self.states.size, 1)
        parts = ", ".join(
            f"{count:,} {label} ({100 * count / pages:.3g} %)" for label, count in totals.items()
        )
        groups = f" in {len(self.groups)} groups" if len(self.groups) > 1 else ""
        start = f"{title.rstrip('.')}. " if title else ""
        return f"{start}Page map of {self.states.size:,} pages{groups}: {parts}."

    def colour(self, group: int, state: int) -> str:
        """Return the colour of a state in a group: used pages have their VM's.

        Parameters
        ----------
        group, state
            Indices into `groups` and `legend`.

        Returns
        -------
        str
            As #rrggbb.

        Examples
        --------
        >>> pages = Pages([0, 1], [("VM1", 1), ("VM2", 1)])
        >>> pages.colour(1, 1), pages.colour(1, 0)
        ('#D55E00', '#D9D9D9')
        """
        key = self.legend[state]
        return vm_mark(group).colour if key == "used" else PAGES[key].colour
