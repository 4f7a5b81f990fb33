"""Live migration to play with (S41-S45): the seven steps as a film, and any algorithm in it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from virtlab.migration.algorithms import (
    Clark,
    Deck,
    Hybrid,
    PostCopy,
    QemuPreCopy,
    StopAndCopy,
)
from virtlab.migration.contest import Contest, contest
from virtlab.migration.film import Film, FilmFrame, film
from virtlab.migration.link import Link
from virtlab.migration.vm import Vm
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform
from virtlab.plots.vmotion import draw_contest
from virtlab.plots.vmotion_film import LEGEND, STEP_WORDS, draw_frame, headline, link_words
from virtlab.results import table_html
from virtlab.widgets import controls
from virtlab.widgets.app import Answer, App
from virtlab.widgets.flight import FlightView, Moment
from virtlab.widgets.player import Player

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.migration.algorithms import Algorithm
    from virtlab.migration.workloads import Workload
    from virtlab.plots.style import Plate

__all__ = ["ALGORITHMS", "MigrationPlayer", "compare", "steps"]

# Rates are those of the small link: what Clark's rule adapts must fit into it.
ALGORITHMS: dict[str, Algorithm] = {
    "the talk's seven steps": Deck(),
    "the talk's, as it tells them": Deck(as_told=True),
    "stop and copy": StopAndCopy(),
    "pre-copy (Clark)": Clark(min_mbit_s=4, max_mbit_s=8, step_mbit_s=1, enough_kb=60),
    "pre-copy (QEMU)": QemuPreCopy(),
    "post-copy": PostCopy(),
    "hybrid": Hybrid(),
}
_PATTERNS = ("mostly a hot part", "anywhere", "one after the other")
_LATENCY_MS = 4.0
_PATIENCE_S = 6.0  # a pre-copy that goes on for so long will not end


def _workload(pattern: str, pages: int, rate: int) -> Workload:
    """Make the load that the controls describe."""
    if pattern == "anywhere":
        return Uniform(pages, rate)
    if pattern == "one after the other":
        return RoundRobin(pages, rate)
    return HotCold(pages, rate, hot_pages=max(pages // 8, 1), hot_write_percent=60)


class MigrationPlayer(Player):
    """A small machine that moves: two page maps, the link, the steps, and what is said of each.

    Parameters
    ----------
    algorithm
        A key of `ALGORITHMS`, or an algorithm of your own.

    Attributes
    ----------
    controls
        By name: pages, rate, pattern, bandwidth, algorithm, seed, frame.
    film
        What is played.
    frame
        What is shown now.
    view
        The maps and the link.
    answer
        The sentence and the table under them.

    Examples
    --------
    >>> player = MigrationPlayer()
    >>> player.set(frame=player.film.first_of(4)).frame.where
    'paused'
    >>> player.set(algorithm=StopAndCopy()).film.run.algorithm
    'stop and copy'
    """

    time = "frame"

    def __init__(self, algorithm: str | Algorithm = "the talk's seven steps") -> None:
        choices = dict(ALGORITHMS)
        if not isinstance(algorithm, str):
            choices = {**choices, algorithm.name: algorithm}
            algorithm = algorithm.name
        slider = controls.slider
        self.controls: dict[str, Any] = {
            "pages": slider("The VM uses", "of 256 pages", 200, 20, 240, 20),
            "rate": slider("It writes", "pages/s", 120, 20, 400, 20),
            "pattern": controls.choice("Where", {name: name for name in _PATTERNS}, _PATTERNS[0]),
            "bandwidth": slider("Link", "pages/s", 256, 64, 512, 64),
            "algorithm": controls.choice("How it moves", choices, choices[algorithm]),
            "seed": controls.seed(1),
            "frame": controls.player("Picture", "", 1, interval_ms=320),
        }
        self._record()
        self.frame: FilmFrame = self.film.frame(0)
        self.view = FlightView(STEP_WORDS, LEGEND, ("source", "target"), on_step=self._go_to)
        self.answer = Answer()
        self._lay_out(self.view, self.answer)

    def _record(self) -> None:
        """Film what the controls describe, and let the player know its length."""
        value = {name: control.value for name, control in self.controls.items()}
        self.film: Film = film(
            value["algorithm"],
            _workload(value["pattern"], value["pages"], value["rate"]),
            Link(bandwidth_mib_s=value["bandwidth"] / 256, latency_ms=_LATENCY_MS),
            seed=value["seed"],
            give_up_s=_PATIENCE_S,
        )
        self.controls["frame"].max = len(self.film) - 1

    def _go_to(self, step: int) -> None:
        self.controls["frame"].value = self.film.first_of(step)

    def _show(self) -> None:
        before = self.frame
        self.frame = frame = self.film.frame(self.controls["frame"].value)
        follows = frame.number == before.number + 1
        self.view.show(
            Moment(
                frame.source,
                frame.target,
                moving=frame.moving if follows else (),
                written=frame.written if follows else (),
                how=frame.how,
                where=frame.where,
                step=frame.step,
                deleted=frame.deleted,
                link=link_words(frame),
                title=headline(frame),
                note=self._in_the_end(),
            )
        )
        self.answer.say(frame, _in_words_of_the_legend(frame))

    def _in_the_end(self) -> str:
        """Say what the whole migration comes to."""
        run = self.film.run
        if run.outcome != "moved":
            return f"In the end: {run.explain()}"
        waits = f", and waits {run.stalled_ms:.0f} ms for pages" if run.network_faults else ""
        wrong = f"; {run.wrong_pages} pages are wrong" if run.wrong_pages else ""
        return (
            f"In all: {run.total_s:.2f} s, the VM stands still for {run.downtime_ms:.0f} ms"
            f"{waits}; {run.page_copies} pages sent{wrong}."
        )

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.view.alt}\n{self.frame.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, the still picture, the sentence, the table."""
        live = super()._repr_mimebundle_(**kwargs)
        data, metadata = draw_frame(self.frame)._repr_mimebundle_()
        sentence = html.escape(f"{self.frame.explain()} {self._in_the_end()}")
        still = (
            f"{data['text/html']}<p>{sentence}</p>{table_html(_in_words_of_the_legend(self.frame))}"
        )
        return {**live, **data, "text/html": still, "text/plain": repr(self)}, metadata


def _in_words_of_the_legend(frame: FilmFrame) -> pd.DataFrame:
    """Return how many pages are in which state, named as beside the maps."""
    return frame.to_frame().assign(state=list(LEGEND.values()))


def steps(algorithm: str | Algorithm = "the talk's seven steps") -> MigrationPlayer:
    """Make the film of a migration, at its first picture.

    Parameters
    ----------
    algorithm
        A key of `ALGORITHMS`, or an algorithm of your own.

    Returns
    -------
    MigrationPlayer
        The widget.

    Examples
    --------
    >>> steps("the talk's, as it tells them").film.run.wrong_pages
    2
    """
    return MigrationPlayer(algorithm)


def compare() -> App[Contest]:
    """Make the widget that moves one small machine by every algorithm.

    Returns
    -------
    App
        The widget.

    Examples
    --------
    >>> compare().set(rate=20).result.summary()["shortest_pause"]
    'post-copy'
    """

    def compute(*, pages: int, rate: int, pattern: str, bandwidth: float, seed: int) -> Contest:
        return contest(
            Vm(ram_mib=4, filled_mib=3.5, device_state_kib=16),
            _workload(pattern, pages, rate),
            Link(bandwidth_mib_s=bandwidth, latency_ms=1),
            seed=seed,
            give_up_s=10.0,
        )

    def draw(result: Contest, figure: Plate) -> None:
        draw_contest(result, figure)

    return App(
        controls={
            "pages": controls.slider("The VM uses", "of 1,024 pages", 600, 100, 900, 100),
            "rate": controls.slider("It writes", "pages/s", 120, 20, 500, 20),
            "pattern": controls.choice("Where", {name: name for name in _PATTERNS}, _PATTERNS[0]),
            "bandwidth": controls.slider("Link", "MiB/s", 1.0, 0.5, 4.0, 0.5),
            "seed": controls.seed(1),
        },
        compute=compute,
        draw=draw,
    )
