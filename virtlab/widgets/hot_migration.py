"""A live migration to play with (S46): a measured one as a film, and the pause of any other."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from virtlab.migration.live.predict import PausePrediction, Traffic, predict_pause
from virtlab.migration.live.replay import Moment, moment
from virtlab.migration.live.stored import stored
from virtlab.plots.hot_migration import NAMES, draw_moment
from virtlab.plots.hot_migration_pause import WAYS, draw_prediction
from virtlab.widgets import controls
from virtlab.widgets.app import App

if TYPE_CHECKING:
    from virtlab.migration.live.outcome import HotMigration
    from virtlab.plots.style import Plate

__all__ = ["pause_app", "replay"]

_FRAME_S = 0.01
_BEFORE_S, _AFTER_S = 0.1, 0.2
_WAYS = MappingProxyType({words: name for name, words in NAMES.items()})
_PREDICTED = MappingProxyType({NAMES[name]: name for name in WAYS})


def replay(run: HotMigration | None = None) -> App[Moment]:
    """Make the film of a run: what clients waited, and what the hosts did, up to a moment.

    Parameters
    ----------
    run
        One that you have measured; the stored ones to choose from if not given.

    Returns
    -------
    App
        The widget.

    Examples
    --------
    >>> app = replay()
    >>> app.result.stage
    'before'
    >>> app.set(way="stop", time=30).result.stage
    'pause'
    """
    ways = dict(_WAYS) if run is None else {NAMES[run.algorithm]: run.algorithm}
    runs = {name: stored(name) for name in ways.values()} if run is None else {run.algorithm: run}
    longest = max(one.total_s - one.begin_s for one in runs.values())
    frames = round((_BEFORE_S + longest + _AFTER_S) / _FRAME_S) + 1

    def compute(*, way: str, time: int) -> Moment:
        return moment(runs[way], time * _FRAME_S - _BEFORE_S)

    def draw(result: Moment, figure: Plate) -> None:
        draw_moment(result.run, result.at_s, figure)

    return App(
        controls={
            "way": controls.choice("Way to move", ways, next(iter(ways.values()))),
            "time": controls.player("Frame", "x 10 ms", frames, per_frame=1.0, interval_ms=100),
        },
        compute=compute,
        draw=draw,
    )


def pause_app() -> App[PausePrediction]:
    """Make the widget of the model: memory, load, link and way, and the pause that follows.

    Returns
    -------
    App
        The widget.

    Examples
    --------
    >>> app = pause_app()
    >>> slow = app.result.pause_ms
    >>> app.set(link=512).result.pause_ms < slow
    True
    """

    def compute(
        *, memory: int, link: int, payments: int, accounts: int, way: str, limit: int
    ) -> PausePrediction:
        traffic = Traffic(
            memory_mib=memory,
            payments_s=payments,
            accounts=accounts,
            link_mib_s=link,
            downtime_limit_ms=limit,
            most_rounds=8,
        )
        return predict_pause(traffic, way)

    def draw(result: PausePrediction, figure: Plate) -> None:
        draw_prediction(result, figure)

    return App(
        controls={
            "memory": controls.slider("Memory", "MiB", 32, 8, 512, 8),
            "link": controls.slider("Link", "MiB/s", 64, 4, 1024, 4),
            "payments": controls.slider("Load", "payments/s", 1500, 0, 20_000, 100),
            "accounts": controls.slider("Accounts", "", 6000, 100, 100_000, 100),
            "way": controls.choice("Way to move", dict(_PREDICTED), "precopy"),
            "limit": controls.slider("Stop rule", "ms left", 10, 1, 500, 1),
        },
        compute=compute,
        draw=draw,
        pulls={
            "way": lambda row: {"way": WAYS[round(row)]},
            "rule": lambda power: {"limit": min(max(10**power, 1), 500)},
        },
    )
