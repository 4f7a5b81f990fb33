"""Widgets of page sharing: moving a control changes what is shown and said."""

from __future__ import annotations

import pytest

from virtlab.memory.scan.orders import ORDERS
from virtlab.memory.scan.scanning import KSM
from virtlab.widgets import sharing


@pytest.fixture(scope="module")
def player() -> sharing.ScanPlayer:
    return sharing.ScanPlayer(pages=16, steps=60)


def test_programs_answer_to_every_control() -> None:
    app = sharing.programs()
    quiet = app.result.summary()
    assert quiet["vms"] == 5
    for change, key in (
        ({"minutes": 1}, "seconds"),
        ({"order": ORDERS[1]}, "saved_percent"),
        ({"bash": 3}, "vms"),
        ({"random_addresses": False}, "addresses"),
        ({"scanner": KSM}, "scanner"),
        ({"writes": 200}, "copied"),
    ):
        before, version = app.result.summary(), app.picture.version
        app.set(**change)
        assert app.result.summary()[key] != before[key], change
        assert app.picture.version > version


def test_there_is_always_a_program() -> None:
    app = sharing.programs()
    app.set(bash=0, python=0, sqlite=0, pandas=0, node=0)
    assert app.result.available.owners == 1


def test_the_player_steps_forward_and_back(player: sharing.ScanPlayer) -> None:
    player.set(step=0)
    first = player.map.pages.states.copy()
    player.controls["step"].step(10)
    assert player.frame.step == 10
    assert player.frame.summary()["visits"] == 10
    assert (player.map.pages.states != first).sum() > 0
    assert player.map.cursor == player.film.events[9].page
    player.controls["step"].step(-10)
    assert (player.map.pages.states == first).all()
    player.set(step=60)
    player.controls["step"].reset()
    assert player.frame.step == 0


def test_the_player_shoots_again_when_the_load_changes(player: sharing.ScanPlayer) -> None:
    player.set(step=60, vms=2, writes=30)
    assert len(player.map.pages.groups) == 2
    assert player.frame.summary()["writes"] != 0
    busy = player.map.pages.states.tolist()
    player.set(seed=player.controls["seed"].value + 1)
    assert player.map.pages.states.tolist() != busy
    player.set(vms=3, writes=0, order=ORDERS[1], seed=1)
    assert [event.page for event in player.film.events[:5]] == [0, 1, 2, 3, 4]


def test_the_map_counts_what_the_frame_counts(player: sharing.ScanPlayer) -> None:
    player.set(step=48)
    frame = player.frame.to_frame().set_index("vm")
    shown = player.map.counts
    assert shown["shared"].tolist() == frame["shared"].tolist()
    assert shown["hint"].tolist() == frame["hint"].tolist()
    assert shown["zero"].tolist() == frame["zero"].tolist()
    assert player.answer.sentence == player.frame.explain()


def test_where_no_kernel_runs_there_is_a_picture_and_words(player: sharing.ScanPlayer) -> None:
    data, metadata = player._repr_mimebundle_()
    assert player.frame.explain() in repr(player)
    assert "<img" in data["text/html"]
    assert "<table" in data["text/html"]
    assert "Page map" in metadata["image/png"]["alt"]


def test_a_page_tells_who_has_its_frame(player: sharing.ScanPlayer) -> None:
    player.set(step=0)
    assert "for itself alone" in player.map.describe(3)
