"""Widgets of the live migration: moving a control changes what is shown and said."""

from __future__ import annotations

import pytest

from virtlab.migration.hot_migration import ALGORITHM_NAMES
from virtlab.migration.live.stored import stored
from virtlab.widgets.hot_migration import pause_app, replay


def test_the_film_runs_forward_and_back() -> None:
    app = replay()
    assert app.result.stage == "before"
    app.set(time=25)
    there, picture = app.result.summary(), app.picture.version
    app.controls["time"].step(5)
    assert int(app.result.summary()["answered"]) > int(there["answered"])
    assert app.picture.version > picture
    app.controls["time"].step(-5)
    assert app.result.summary() == there
    app.controls["time"].reset()
    assert app.result.stage == "before"


@pytest.mark.parametrize("name", ALGORITHM_NAMES)
def test_each_film_comes_to_its_end(name: str) -> None:
    app = replay().set(way=name)
    app.set(time=app.controls["time"].max)
    assert app.result.stage == "after"
    assert app.result.run.algorithm == name
    assert "pause of" in app.picture.alt


def test_ones_own_run_can_be_seen() -> None:
    app = replay(stored("stop"))
    assert app.controls["way"].labels == ["stop and copy"]
    assert app.set(time=20).result.stage == "pause"


def test_the_pause_answers_to_every_control() -> None:
    app = pause_app()
    assert app.result.algorithm == "precopy"
    for change in (
        {"limit": 1}, {"memory": 64}, {"link": 16}, {"payments": 5000}, {"accounts": 50_000},
        {"way": "stop"}, {"way": "deck"},
    ):  # fmt: skip
        before, picture = app.result.summary(), app.picture.version
        app.set(**change)
        assert app.result.summary() != before, change
        assert app.picture.version > picture


def test_no_control_breaks_it() -> None:
    app = pause_app()
    for name in ("memory", "link", "payments", "accounts", "limit"):
        control = app.controls[name]
        for value in (control.min, control.max):
            app.set(**{name: value})
            assert app.result.pause_ms >= app.result.traffic.hand_over_ms


def test_a_row_is_pressed_and_the_rule_is_dragged() -> None:
    app = pause_app()
    app.picture.gripped = {"name": "way", "value": 2.0, "time": 1}
    assert app.values["way"] == "deck"
    app.set(way="precopy")
    app.picture.gripped = {"name": "rule", "value": 2.0, "time": 2}
    assert app.values["limit"] == 100
    app.picture.gripped = {"name": "rule", "value": 9.0, "time": 3}
    assert app.values["limit"] == 500
    app.picture.gripped = {"name": "rule", "value": -4.0, "time": 4}
    assert app.values["limit"] == 1
