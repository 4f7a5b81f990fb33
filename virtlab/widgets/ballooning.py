"""Ballooning to play with (S28): a guest that gives memory back, and what the ways to it cost."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import traitlets

from virtlab.memory.ballooning import MEANS, Reclaim, compare, reclaim
from virtlab.memory.guest.balloon import BALLOON_KINDS
from virtlab.plots.reclaim import INSIDE, OUTSIDE, draw_sides, sides, titles
from virtlab.results import Result, table_html
from virtlab.widgets import controls
from virtlab.widgets.app import Answer
from virtlab.widgets.pagemap import PageMap

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.memory.reclaim_film import Comparison, ReclaimFilm, ReclaimFrame

__all__ = ["BalloonPlayer", "balloon"]

_START = Reclaim()
_DRIVER = dict(zip(("works", "refuses", "there is none"), BALLOON_KINDS, strict=True))


class _Told(Result):
    """What is said under the maps: the last second, and all means beside one another."""

    def __init__(self, frame: ReclaimFrame, compared: Comparison) -> None:
        self.frame, self.compared = frame, compared

    def to_frame(self) -> pd.DataFrame:
        return self.compared.to_frame()

    def summary(self) -> dict[str, float | int | str]:
        return self.frame.summary()

    def explain(self) -> str:
        return self.frame.explain()


class BalloonPlayer(widgets.VBox):
    """The frames of a guest from inside and from outside, while a host takes some of them back.

    Attributes
    ----------
    controls
        By name: the fields of `Reclaim` that it sets, and second.
    film
        What is played.
    frame
        What is shown now.
    inside, outside
        The two maps; they share a cursor.
    answer
        The sentence and the table under them.

    Examples
    --------
    >>> player = BalloonPlayer()
    >>> player.set(second=40).frame.summary()["ballooned_pages"]
    240
    >>> player.set(means="host swap").frame.summary()["ballooned_pages"]
    0
    """

    def __init__(self) -> None:
        slider, start = controls.slider, _START
        self.controls: dict[str, Any] = {
            "hot_pages": slider("Hot memory", "pages", start.hot_pages, 40, 320, 20),
            "cold_pages": slider("Cold memory", "pages", start.cold_pages, 20, 320, 20),
            "cache_pages": slider("Page cache", "pages", start.cache_pages, 20, 320, 20),
            "wanted_pages": slider("The host wants back", "pages", start.wanted_pages, 0, 360, 20),
            "means": controls.choice("By", {name: name for name in MEANS}, start.means),
            "pages_per_s": slider("Rate", "pages/s", start.pages_per_s, 2, 32, 2),
            "balloon_most": slider("Largest balloon, part of memory", "", 0.65, 0.0, 0.9, 0.05),
            "driver": controls.choice("Balloon driver", _DRIVER, start.driver),
            "seed": controls.seed(start.seed),
            "second": controls.player("Time", "s", start.seconds + 1, interval_ms=400),
        }
        self.film: ReclaimFilm = self._shoot()
        self.frame: ReclaimFrame = self.film.frame(0)
        size = [("the guest", start.pages)]
        self.inside, self.outside = (
            PageMap([0] * start.pages, size, legend, detail=self._detail, height=330)
            for legend in (INSIDE, OUTSIDE)
        )
        traitlets.link((self.inside, "cursor"), (self.outside, "cursor"))
        self.answer = Answer()
        row = widgets.Box(list(self.controls.values()))
        row.add_class("virtlab-controls")
        pair = widgets.Box([self.inside, self.outside])
        pair.add_class("virtlab-pair")
        super().__init__([row, pair, self.answer])
        self.add_class("virtlab-app")
        self._paused = False
        self._show()
        for name, control in self.controls.items():
            control.observe(self._stepped if name == "second" else self._changed, names="value")

    @property
    def spec(self) -> Reclaim:
        """What the controls say."""
        values = {name: one.value for name, one in self.controls.items() if name != "second"}
        return Reclaim(**values)

    def set(self, **values: Any) -> BalloonPlayer:
        """Move controls by name, and answer once.

        Parameters
        ----------
        **values
            New values by the name of the control.

        Returns
        -------
        BalloonPlayer
            This one, for chaining.

        Examples
        --------
        See the class.
        """
        self._paused = True
        try:
            for name, value in values.items():
                self.controls[name].value = value
        finally:
            self._paused = False
        self._changed(None)
        return self

    def _shoot(self) -> ReclaimFilm:
        return reclaim(self.spec)

    def _changed(self, _change: object) -> None:
        if not self._paused:
            self.film = self._shoot()
            self._show()

    def _stepped(self, _change: object) -> None:
        if not self._paused:
            self._show()

    def _show(self) -> None:
        self.frame = self.film.frame(self.controls["second"].value)
        maps, heads = sides(self.frame), titles(self.frame)
        for shown, pages, head in zip((self.inside, self.outside), maps, heads, strict=True):
            shown.update(pages.states, title=head)
        self.answer.say(_Told(self.frame, compare(self.film.spec, self.frame.second)))

    def _detail(self, page: int) -> str:
        return self.film.detail(self.frame.second, page)

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.inside.alt}\n{self.outside.alt}\n{self.frame.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, both still maps, the sentence and the table."""
        live = super()._repr_mimebundle_(**kwargs)
        data, metadata = draw_sides(self.frame)._repr_mimebundle_()
        sentence = html.escape(self.frame.explain())
        table = table_html(compare(self.film.spec, self.frame.second).to_frame())
        still = f"{data['text/html']}<p>{sentence}</p>{table}"
        return {**live, **data, "text/html": still, "text/plain": repr(self)}, metadata


def balloon() -> BalloonPlayer:
    """Make the two maps of a guest whose host wants memory back, at the start.

    Returns
    -------
    BalloonPlayer
        The widget.

    Examples
    --------
    >>> balloon().set(driver="refuses", second=40).frame.summary()["swapped_pages"]
    240
    """
    return BalloonPlayer()
