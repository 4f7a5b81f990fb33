"""Widgets of ballooning: moving a control changes what is shown and said."""

from __future__ import annotations

import pytest

from virtlab.memory.ballooning import MEANS
from virtlab.widgets import ballooning


@pytest.fixture(scope="module")
def player() -> ballooning.BalloonPlayer:
    return ballooning.BalloonPlayer()


def test_every_control_changes_what_is_shown(player: ballooning.BalloonPlayer) -> None:
    start = player.spec
    player.set(second=50)
    for change in (
        {"hot_pages": 240},
        {"cold_pages": 100},
        {"cache_pages": 200},
        {"wanted_pages": 100},
        {"means": "both"},
        {"pages_per_s": 2},
        {"balloon_most": 0.2},
        {"driver": "refuses"},
        {"seed": 5},
    ):
        before = player.frame.summary(), player.frame.held.tolist()
        version = player.answer.version
        player.set(**change)
        assert (player.frame.summary(), player.frame.held.tolist()) != before, change
        assert player.answer.version > version
        (name,) = change
        player.set(**{name: getattr(start, name)})
    assert player.spec == start


def test_it_steps_forward_and_back(player: ballooning.BalloonPlayer) -> None:
    player.set(second=10, means="both")
    inside, outside = (one.pages.states.copy() for one in (player.inside, player.outside))
    sentence = player.answer.sentence
    player.controls["second"].step(5)
    assert player.frame.second == 15
    assert (player.inside.pages.states != inside).any()
    assert (player.outside.pages.states != outside).any()
    player.controls["second"].step(-5)
    assert (player.inside.pages.states == inside).all()
    assert (player.outside.pages.states == outside).all()
    assert player.answer.sentence == sentence
    player.controls["second"].reset()
    assert player.frame.second == 0


def test_maps_and_words_count_what_the_frame_counts(player: ballooning.BalloonPlayer) -> None:
    player.set(second=45, means="both")
    told = player.frame.summary()
    assert player.inside.counts["balloon"].item() == told["ballooned_pages"]
    assert player.outside.counts["given up"].item() == told["ballooned_pages"]
    assert player.outside.counts["host swap"].item() == told["swapped_pages"]
    assert player.answer.sentence == player.frame.explain()
    for means in MEANS:
        assert f">{means}</td>" in player.answer.table


def test_both_maps_point_at_the_same_page(player: ballooning.BalloonPlayer) -> None:
    player.set(second=45)
    player.inside.cursor = 500
    assert player.outside.cursor == 500
    assert player.inside.describe(500).startswith("page 500 of the guest: balloon. Inside: ")
    assert player.outside.describe(500).startswith("page 500 of the guest: given up. Inside: ")


def test_where_no_kernel_runs_there_is_a_picture_and_words(
    player: ballooning.BalloonPlayer,
) -> None:
    data, metadata = player._repr_mimebundle_()
    assert player.frame.explain() in repr(player)
    assert "<img" in data["text/html"]
    assert "<table" in data["text/html"]
    assert "Inside: " in metadata["image/png"]["alt"]
    assert "Outside: " in metadata["image/png"]["alt"]


def test_any_controls_together_are_a_guest(player: ballooning.BalloonPlayer) -> None:
    highest = {
        name: one.max
        for name, one in player.controls.items()
        if hasattr(one, "max") and name not in ("second", "balloon_most")
    }
    player.set(**highest, second=60)
    assert int(str(player.frame.summary()["taken_pages"])) <= player.spec.wanted_pages
