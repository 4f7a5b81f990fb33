"""The widget of the architectures: each control changes what is shown and said."""

from __future__ import annotations

import pytest

from virtlab.machine.architectures import COMBINED, IoLoad, run_io
from virtlab.machine.io_paths import ARCHITECTURES
from virtlab.widgets.architectures import PacketAt, architectures_app


def test_every_control_changes_words_and_picture() -> None:
    app = architectures_app()
    for change in (
        {"step": 2},
        {"cpu_mhz": 350},
        {"world_switch_us": 9.0},
        {"packet_bytes": 500},
        {"ports_in_monitor": True},
        {"notified": True},
        {"batch": COMBINED},
        {"packets_per_s": 1000},
        {"architecture": "dedicated"},
    ):
        before, version = repr(app), app.picture.version
        app.set(**change)
        assert repr(app) != before, change
        assert app.picture.version > version


def test_it_shows_what_the_model_says() -> None:
    app = architectures_app()
    app.set(ports_in_monitor=True, notified=True, batch=COMBINED)
    load = IoLoad(
        "hosted", ports_in_monitor=True, notified=True, batch=COMBINED, packets_per_s=10_000
    )
    assert app.result.run == run_io(load)


def test_a_packet_goes_step_by_step_there_and_back() -> None:
    app = architectures_app()
    step = app.controls["step"]
    step.reset()
    assert app.result.step == 0
    assert "has a packet to send" in app.result.explain()
    said = set()
    for _ in range(7):
        step.step()
        said.add(app.result.explain())
    assert len(said) == 7
    step.step(-1)
    assert app.result.step == 6
    assert app.result.summary()["step"] == 6


@pytest.mark.parametrize("key", list(ARCHITECTURES))
def test_the_player_ends_where_the_way_ends(key: str) -> None:
    app = architectures_app()
    app.set(architecture=key)
    steps = len(ARCHITECTURES[key].path)
    assert app.controls["step"].max == steps
    assert app.result.step == steps
    assert len(app.result.to_frame()) == steps
    assert PacketAt(app.result.run, 0).to_json()["step"] == 0
