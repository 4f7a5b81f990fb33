"""The one shape of every result: rows, numbers, sentences.

A model returns an object that a figure, a widget, the command line, JSON and an exercise's check
all read in the same way. A subclass is a frozen dataclass that holds arrays and events and says
three things: `to_frame` (tidy rows), `summary` (the numbers a slide would show) and `explain`
(what happened, in sentences). The rest comes from here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

__all__ = ["Result", "plain", "table_html"]


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
    >>> import numpy as np
    >>> plain({"level": np.float64(0.04), "max": np.array([1.0, np.inf])})
    {'level': 0.04, 'max': [1.0, None]}
    """
    import numpy as np

    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def table_html(
    frame: pd.DataFrame, max_rows: int = 20, number_format: str | Callable[[float], str] = ".4g"
) -> str:
    """Write rows as an HTML table: words to the left, numbers to the right.

    Parameters
    ----------
    frame
        The rows; the index is left out.
    max_rows
        Longer tables lose their middle.
    number_format
        Format of numbers that are not whole, or a function that writes one.

    Returns
    -------
    str
        A table element.

    Examples
    --------
    >>> import pandas as pd
    >>> print(table_html(pd.DataFrame({"name": ["VM1"], "MB/s": [53.33333]})))
    <table border="0"><thead><tr><th style="text-align:left">name</th>\
<th style="text-align:right">MB/s</th></tr></thead>
    <tbody><tr><td style="text-align:left">VM1</td>\
<td style="text-align:right">53.33</td></tr></tbody></table>
    """
    from html import escape

    import numpy as np

    def cell(value: object) -> str:
        if isinstance(value, int | np.integer) and not isinstance(value, bool):
            return f"{value:,}"
        if not isinstance(value, float | np.floating):
            return escape(str(value))
        if isinstance(number_format, str):
            return format(value, number_format)
        return number_format(float(value))

    def row(tag: str, values: Iterable[object]) -> str:
        cells = (
            f'<{tag} style="text-align:{side}">{cell(value)}</{tag}>'
            for side, value in zip(sides, values, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    sides = ["right" if kind.kind in "iuf" else "left" for kind in frame.dtypes]
    rows = [row("td", values) for values in frame.itertuples(index=False)]
    if len(rows) > max_rows:
        half = max_rows // 2
        rows = [*rows[:half], row("td", ["…"] * len(sides)), *rows[-half:]]
    head = row("th", frame.columns)
    body = "\n".join(rows)
    return f'<table border="0"><thead>{head}</thead>\n<tbody>{body}</tbody></table>'


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
        from html import escape

        return f"<p>{escape(self.explain())}</p>\n{table_html(self.to_frame())}"
