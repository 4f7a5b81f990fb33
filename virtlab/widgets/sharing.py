"""Page sharing to play with (S27): programs in VMs, and a page map that a scanner walks through."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.memory.frames import STATES
from virtlab.memory.programs import PROGRAMS, ProgramSharing, share_programs
from virtlab.memory.scan.film import Film, FilmFrame, film
from virtlab.memory.scan.orders import ORDERS, order_named
from virtlab.memory.scan.scanning import ESX2, KSM, ScanRate
from virtlab.plots.pagemap import draw_pagemap
from virtlab.plots.sharing import draw_programs
from virtlab.results import table_html
from virtlab.widgets import controls
from virtlab.widgets.app import Answer, App
from virtlab.widgets.pagemap import PageMap
from virtlab.widgets.player import Player

if TYPE_CHECKING:
    from virtlab.plots.style import Plate

__all__ = ["ScanPlayer", "programs", "scanner"]

_SCANNERS = {
    "ESX Server 2: 50 pages/s a VM, 200 in all": ESX2,
    "KSM: 5,000 pages/s": KSM,
    "fast: 20,000 pages/s": ScanRate("fast", 20_000.0, 20_000.0),
}


def programs(copies: int = 1) -> App[ProgramSharing]:
    """Make the widget: which programs run, in how many VMs each, and what a scanner saves.

    Parameters
    ----------
    copies
        VMs of each program at the start.

    Returns
    -------
    App
        The widget.

    Examples
    --------
    >>> app = programs()
    >>> round(app.result.summary()["available_percent"], 1)
    12.9
    >>> app.set(bash=4, python=0, sqlite=0, pandas=0, node=0).result.available.owners
    4
    """

    def compute(
        *,
        random_addresses: bool,
        writes: int,
        scanner: ScanRate,
        order: str,
        minutes: int,
        seed: int,
        **vms: int,
    ) -> ProgramSharing:
        return share_programs(
            vms,
            random_addresses=random_addresses,
            scanner=scanner,
            writes_per_s=writes,
            minutes=minutes,
            order=order_named(order, np.random.default_rng(seed)),
            seed=seed,
        )

    def draw(result: ProgramSharing, figure: Plate) -> None:
        draw_programs(result, figure)

    return App(
        controls={
            # At least one VM: the first program's slider does not go to 0.
            **{
                name: controls.slider(
                    f"VMs with {name}", "", copies, int(name == PROGRAMS[0]), 4, 1
                )
                for name in PROGRAMS
            },
            "random_addresses": controls.toggle("Random addresses", value=True),
            "writes": controls.slider("Writes", "pages/s", 0, 0, 500, 10),
            "scanner": controls.choice("Scanner", _SCANNERS, ESX2),
            "order": controls.choice("Scan order", {name: name for name in ORDERS}, ORDERS[0]),
            "seed": controls.seed(1),
            "minutes": controls.slider("Time", "min", 10, 1, 30, 1),
        },
        compute=compute,
        draw=draw,
    )


class ScanPlayer(Player):
    """A page map in which a scanner walks: hints, shared pages, zeros, and copies on write.

    Parameters
    ----------
    pages
        Pages of each VM.
    steps
        Length of the film, in visits and writes.

    Attributes
    ----------
    controls
        By name: vms, writes, order, seed, step.
    film
        What is played.
    frame
        What is shown now.
    map
        The page map.
    answer
        The sentence and the table under it.

    Examples
    --------
    >>> player = ScanPlayer(pages=16, steps=20)
    >>> player.frame.step
    0
    >>> player.set(step=20).frame.summary()["visits"]
    20
    """

    time = "step"

    def __init__(self, pages: int = 64, steps: int = 400) -> None:
        self._pages, self._steps = pages, steps
        self.controls: dict[str, Any] = {
            "vms": controls.slider("VMs", "", 3, 1, 6, 1),
            "writes": controls.slider("Writes", "of 100 events", 0, 0, 50, 5),
            "order": controls.choice("Scan order", {name: name for name in ORDERS}, ORDERS[0]),
            "seed": controls.seed(1),
            "step": controls.player("Step", "", steps + 1, interval_ms=150),
        }
        self._record()
        self.frame: FilmFrame = self.film.frame(0)
        self.map = PageMap(
            self.frame.states - 1, self.film.groups, STATES[1:], detail=self._detail, height=300
        )
        self.answer = Answer()
        self._lay_out(self.map, self.answer)

    def _record(self) -> None:
        self.film: Film = film(
            vms=self.controls["vms"].value,
            pages=self._pages,
            steps=self._steps,
            writes_per_100=self.controls["writes"].value,
            order=self.controls["order"].value,
            seed=self.controls["seed"].value,
        )

    def _show(self) -> None:
        self.frame = self.film.frame(self.controls["step"].value)
        told = self.frame.summary()
        title = (
            f"{told['visits']} visits, {told['writes']} writes: {told['saved_percent']:.1f} % saved"
        )
        # In the map 'used' is the first state; a page that is free has no place in this film.
        self.map.update(self.frame.states - 1, self.film.groups, title)
        if self.frame.step:
            self.map.cursor = self.film.events[self.frame.step - 1].page
        self.answer.say(self.frame)

    def _detail(self, page: int) -> str:
        return self.film.detail(self.frame.step, page)

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.map.alt}\n{self.frame.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, the still map, the sentence and the table."""
        live = super()._repr_mimebundle_(**kwargs)
        data, metadata = draw_pagemap(self.map.pages, self.map.title)._repr_mimebundle_()
        sentence = html.escape(self.frame.explain())
        still = f"{data['text/html']}<p>{sentence}</p>{table_html(self.frame.to_frame())}"
        return {**live, **data, "text/html": still, "text/plain": repr(self)}, metadata


def scanner() -> ScanPlayer:
    """Make the page map that a scanner walks through, at the first step.

    Returns
    -------
    ScanPlayer
        The widget.

    Examples
    --------
    >>> scanner().set(step=200).frame.summary()["saved_pages"] > 20
    True
    """
    return ScanPlayer()
