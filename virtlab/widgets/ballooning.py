"""Ballooning to play with (S28): a guest that gives memory back, and what the ways to it cost."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import traitlets

from virtlab.memory.ballooning import MEANS, Reclaim, compare, reclaim
from virtlab.memory.guest.balloon import BALLOON_KINDS
from virtlab.memory.pressure import Program, UnderPressure, under_pressure
from virtlab.plots.reclaim import INSIDE, OUTSIDE, draw_pressure, draw_sides, sides, titles
from virtlab.results import Result, table_html
from virtlab.widgets import controls
from virtlab.widgets.app import Answer, App
from virtlab.widgets.pagemap import PageMap
from virtlab.widgets.player import Player

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.memory.reclaim_film import Comparison, ReclaimFilm, ReclaimFrame
    from virtlab.plots.style import Plate

__all__ = ["BalloonPlayer", "balloon", "pressure"]

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


class BalloonPlayer(Player):
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

    time = "second"

    def __init__(self) -> None:
        slider, start = controls.slider, _START
        self.controls: dict[str, Any] = {
            "hot_pages": slider("Hot memory", "pages", start.hot_pages, 40, 320, 20),
            "cold_pages": slider("Cold memory", "pages", start.cold_pages, 20, 320, 20),
            "cache_pages": slider("Page cache", "pages", start.cache_pages, 20, 320, 20),
            "wanted_pages": slider("The host wants back", "pages", start.wanted_pages, 0, 360, 20),
            "means": controls.choice("By", {name: name for name in MEANS}, start.means),
            "pages_per_s": slider("Rate", "pages/s", start.pages_per_s, 2, 32, 2),
            "balloon_most": slider("Largest balloon", "of memory", 0.65, 0.0, 0.9, 0.05),
            "driver": controls.choice("Balloon driver", _DRIVER, start.driver),
            "seed": controls.seed(start.seed),
            "second": controls.player("Time", "s", start.seconds + 1, interval_ms=400),
        }
        self._record()
        self.frame: ReclaimFrame = self.film.frame(0)
        size = [("the guest", start.pages)]
        self.inside, self.outside = (
            PageMap([0] * start.pages, size, legend, detail=self._detail, height=330)
            for legend in (INSIDE, OUTSIDE)
        )
        traitlets.link((self.inside, "cursor"), (self.outside, "cursor"))
        self.answer = Answer()
        pair = widgets.Box([self.inside, self.outside])
        pair.add_class("virtlab-pair")
        self._lay_out(pair, self.answer)

    @property
    def spec(self) -> Reclaim:
        """What the controls say."""
        values = {name: one.value for name, one in self.controls.items() if name != "second"}
        return Reclaim(**values)

    def _record(self) -> None:
        self.film: ReclaimFilm = reclaim(self.spec)

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


def pressure() -> App[UnderPressure]:
    """Make the widget of the curves: what is left of a program's speed, the more is taken.

    Returns
    -------
    App
        With controls size_mib, hot_mib, cold_mib, hot, writes and taken_mib.

    Examples
    --------
    >>> app = pressure()
    >>> round(app.result.summary()["balloon_percent"])
    91
    >>> app.set(hot_mib=160, cold_mib=40, taken_mib=80).result.summary()["swap_loses_times"] < 1.2
    True
    """

    def compute(*, hot_percent: int, write_percent: int, taken_mib: int, **mib: float) -> Any:
        program = Program(hot=hot_percent / 100, writes=write_percent / 100, **mib)
        return under_pressure(program, float(taken_mib))

    def draw(result: UnderPressure, figure: Plate) -> None:
        draw_pressure(result, figure)

    start, slider = Program(), controls.slider
    return App(
        controls={
            "size_mib": slider("Memory of the guest", "MiB", 256, 256, 512, 32),
            "hot_mib": slider("Hot memory", "MiB", round(start.hot_mib), 10, 200, 10),
            "cold_mib": slider("Cold memory", "MiB", round(start.cold_mib), 10, 300, 10),
            "hot_percent": slider("Touches of the hot part", "%", 93, 50, 99, 1),
            "write_percent": slider("Touches that write", "%", 30, 0, 100, 10),
            "taken_mib": slider("Taken by the host", "MiB", 104, 8, 224, 8),
        },
        compute=compute,
        draw=draw,
    )
