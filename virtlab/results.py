"""The one shape of every result: rows, numbers, sentences.

A model returns an object that a figure, a widget, the command line, JSON and an exercise's check
all read in the same way. A subclass is a frozen dataclass that holds arrays and events and says
three things: `to_frame` (tidy rows), `summary` (the numbers a slide would show) and `explain`
(what happened, in sentences). The rest comes from here.
"""

from __future__ import annotations

import html
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "plain"]


def plain(value: object) -> Any:
    """Turn numpy values into what JSON knows; infinity and NaN become None.

    Parameters
    ----------
    value
        A number, text, array, mapping or sequence.

    Returns
    -------
    object
        The same in built-in types.

    Examples
    --------
    >>> plain({"level": np.float64(0.04), "max": np.array([1.0, np.inf])})
    {'level': 0.04, 'max': [1.0, None]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class Result(ABC):
    """What a model returns.

    Examples
    --------
    >>> from virtlab.resources import allocate
    >>> result = allocate(160, shares=[1000, 1000, 1000])
    >>> isinstance(result, Result)
    True
    """

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return the result as tidy rows, units in the column names."""

    @abstractmethod
    def summary(self) -> dict[str, float | int | str]:
        """Return the few numbers that a slide would show, units in the keys."""

    @abstractmethod
    def explain(self) -> str:
        """Return what happened, in one to three plain sentences."""

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`: the summary and the rows, in built-in types.

        Returns
        -------
        dict
            The keys of `summary`, and `rows`, a list of one dict per row of `to_frame`.

        Examples
        --------
        >>> from virtlab.resources import allocate
        >>> allocate(160, shares=[1000, 1000]).to_json()["rows"][0]["allocation"]
        80.0
        """
        rows = self.to_frame().to_dict(orient="records")
        return {**plain(self.summary()), "rows": plain(rows)}

    def _repr_html_(self) -> str:
        """Show the sentences and the rows in a notebook."""
        table = self.to_frame().to_html(
            index=False, border=0, max_rows=20, float_format=lambda value: f"{value:.4g}"
        )
        return f"<p>{html.escape(self.explain())}</p>\n{table}"
