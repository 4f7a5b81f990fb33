"""`PageMap`: up to a million pages that one can watch change, hover over and walk through by keys.

The kernel sends one byte a page, or only the pages that changed; the browser draws them on a
canvas, fades what changed, counts in the legend, and says in words what is under the cursor.

>>> pages = PageMap([1, 1, 0, 0], [("VM1", 2), ("VM2", 2)], ("free", "used", "shared"))
>>> pages.change([0, 2], 2)
>>> pages.alt
'Page map of 4 pages in 2 groups: 1 free (25 %), 1 used by one VM (25 %), 2 shared (50 %).'
>>> pages.describe(2)
'page 0 of VM2: shared'
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from virtlab.plots.pagemap import draw_pagemap
from virtlab.plots.pages import SIGNS, Pages, ink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

__all__ = ["PageMap"]

_HERE = pathlib.Path(__file__).parent


class PageMap(anywidget.AnyWidget):
    """A map of pages in a notebook, which shows what changes.

    Parameters
    ----------
    states, groups, legend
        What to show, as in `virtlab.plots.pages.Pages`.
    title
        What the map shows, as a finding.
    detail
        Called with the index of the page under the cursor; returns a sentence on it, or ''.
    height
        Most pixels that the squares may take; small maps take less.

    Attributes
    ----------
    pages
        What it shows now.
    cursor
        Index of the page under the cursor; -1 before there is one. It can be set.
    alt
        The whole map in words.

    Examples
    --------
    See the module's example.
    """

    # Two files a person can read, one module for the browser: there is no bundler to join them.
    _esm = "\n".join(
        (_HERE / name).read_text(encoding="utf-8") for name in ("pagemap-paint.js", "pagemap.js")
    )
    _css = _HERE / "virtlab.css"

    # `base` is a whole map, of version `base_version`; `delta` leads from the version before
    # `version` to it: four bytes an index, little-endian, then one byte a state.
    base = traitlets.Bytes(b"").tag(sync=True)
    base_version = traitlets.Int(0).tag(sync=True)
    delta = traitlets.Bytes(b"").tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)
    groups: Any = traitlets.List().tag(sync=True)
    legend: Any = traitlets.List().tag(sync=True)
    counts_by_group: Any = traitlets.List().tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    cursor = traitlets.Int(-1).tag(sync=True)
    detail: Any = traitlets.Dict().tag(sync=True)
    height = traitlets.Int(360).tag(sync=True)

    def __init__(
        self,
        states: ArrayLike,
        groups: Sequence[tuple[str, int]] = (),
        legend: Sequence[str] | Mapping[str, str] = ("free", "used"),
        title: str = "",
        detail: Callable[[int], str] | None = None,
        height: int = 360,
    ) -> None:
        self.pages = Pages(states, groups, legend)
        self._detail = detail
        super().__init__(title=title, height=height, legend=self._legend())
        self._send_all()
        self.observe(self._pointed, names="cursor")
        self.on_msg(self._asked)

    @property
    def counts(self) -> pd.DataFrame:
        """Pages by group (rows) and state (columns)."""
        return self.pages.counts

    def update(
        self,
        states: ArrayLike,
        groups: Sequence[tuple[str, int]] | None = None,
        title: str | None = None,
    ) -> None:
        """Show other states; only what differs travels to the browser.

        Parameters
        ----------
        states
            A state for each page.
        groups
            Other groups; as before if not given.
        title
            Another finding; as before if not given.

        Raises
        ------
        InvalidInputError
            As in `Pages`.

        Examples
        --------
        >>> pages = PageMap([0, 0])
        >>> pages.update([0, 1])
        >>> pages.counts.sum().tolist()
        [1, 1]
        """
        old = self.pages
        names = dict(zip(old.legend, old.labels, strict=True))
        self.pages = Pages(states, old.groups if groups is None else groups, names)
        self.title = self.title if title is None else title
        if self.pages.groups == old.groups:
            self._send_changes(np.flatnonzero(self.pages.states != old.states))
        else:
            self.cursor = -1
            self._send_all()

    def change(self, indices: ArrayLike, states: ArrayLike) -> None:
        """Change the states of some pages.

        Parameters
        ----------
        indices
            Which pages.
        states
            Their new states: one for all, or one each.

        Raises
        ------
        InvalidInputError
            If there is no such page or no such state.

        Examples
        --------
        See the module's example.
        """
        self.pages = self.pages.changed(indices, states)
        self._send_changes(np.unique(np.asarray(indices, dtype=np.int64)))

    def describe(self, page: int) -> str:
        """Say what one page is, with its detail if there is one.

        Parameters
        ----------
        page
            Index into the states.

        Returns
        -------
        str
            As `Pages.describe`.

        Examples
        --------
        See the module's example.
        """
        text = self.pages.describe(page)
        more = self._detail(page) if self._detail is not None else ""
        return f"{text}. {more}" if more else text

    def _legend(self) -> list[dict[str, Any]]:
        """Describe each state to the browser: words, colour, ink, sign."""
        entries = []
        for state, key in enumerate(self.pages.legend):
            colour = self.pages.colour(0, state)
            sign = SIGNS.get(key)
            entries.append(
                {
                    "label": self.pages.labels[state],
                    "colour": colour,
                    "ink": ink(colour),
                    "own": key == "used",
                    "sign": sign._asdict() if sign else None,
                }
            )
        return entries

    def _send_all(self) -> None:
        used = self.pages.legend.index("used") if "used" in self.pages.legend else 0
        with self.hold_sync():
            self.groups = [
                {"label": name, "size": size, "colour": self.pages.colour(group, used)}
                for group, (name, size) in enumerate(self.pages.groups)
            ]
            self.version += 1
            self.base = self.pages.states.tobytes()
            self.base_version = self.version
            self.delta = b""
            self._send_words()

    def _send_changes(self, changed: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        if 5 * changed.size >= self.pages.states.size:
            self._send_all()
            return
        with self.hold_sync():
            self.version += 1
            self.delta = changed.astype("<u4").tobytes() + self.pages.states[changed].tobytes()
            self._send_words()

    def _send_words(self) -> None:
        self.counts_by_group = self.pages.counts.to_numpy().tolist()
        self.alt = self.pages.alt(self.title)
        self._say_detail()

    def _pointed(self, _change: object) -> None:
        self._say_detail()

    def _say_detail(self) -> None:
        if self._detail is not None and 0 <= self.cursor < self.pages.states.size:
            self.detail = {"page": self.cursor, "text": self._detail(self.cursor)}

    def _asked(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        """Send the whole map to a view that missed a change (the page was loaded again)."""
        if content.get("ask") == "all":
            self._send_all()

    def __repr__(self) -> str:
        """Say it in words: traitlets would print the bytes."""
        return f"PageMap({self.alt!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view, and the still map with its words where no kernel runs."""
        live = super()._repr_mimebundle_(**kwargs)
        bundle, metadata = draw_pagemap(self.pages, self.title)._repr_mimebundle_()
        table = self.counts.to_html(border=0)
        bundle = {**bundle, "text/html": f"{bundle['text/html']}{table}"}
        if live is None:
            return bundle, metadata
        return {**live[0], **bundle}, {**live[1], **metadata}
