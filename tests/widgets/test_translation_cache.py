"""The cache view and its player: the map says what the moment says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.machine.translation.cache_moment import STATES
from virtlab.plots.translation_cache import rows_of
from virtlab.validate import InvalidInputError
from virtlab.widgets.cacheview import CacheView
from virtlab.widgets.translation_cache import CachePlayer, cache_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.translation.cache import Unit


@pytest.fixture(scope="module")
def player() -> CachePlayer:
    return cache_app()


def test_the_map_is_in_the_order_of_addresses(player: CachePlayer) -> None:
    player.set(program="itself", limit=48, policy="flush_all", frame=40)
    view, moment = player.view, player.moment
    order = [unit for _, units in rows_of(player.played) for unit in units]
    names = [player.played.units[unit].name for unit in order]
    assert [unit["name"] for unit in view.units] == names
    assert sorted(names) == names
    assert list(view.states) == [moment.states[unit] for unit in order]
    held = np.frombuffer(view.held, "<u2").tolist()
    assert [order[place] for place in held] == list(moment.held)
    links = np.frombuffer(view.links, "<u2").reshape(-1, 2).tolist()
    assert {(order[a], order[b]) for a, b in links} == moment.links
    path = np.frombuffer(view.path, "<u2").reshape(-1, 3).tolist()
    assert {(order[a], order[b]) for a, b, _ in path} == set(moment.path)


def test_ways_along_a_link_are_marked(player: CachePlayer) -> None:
    player.set(program="fibonacci", limit=48)
    order = [unit for _, units in rows_of(player.played) for unit in units]
    marks = set()
    for frame in range(0, len(player.played), 7):
        player.set(frame=frame)
        for a, b, linked in np.frombuffer(player.view.path, "<u2").reshape(-1, 3).tolist():
            way = order[a], order[b]
            kinds = [e.kind for e in player.moment.events if (e.source, e.unit) == way]
            assert linked == (kinds[-1] == "chained")
            marks.add(linked)
    assert marks == {0, 1}


def test_words_have_the_numbers(player: CachePlayer) -> None:
    player.set(program="itself", limit=48, frame=60)
    counted = np.bincount(player.moment.states, minlength=len(STATES))
    assert f"{counted[1]} there" in player.view.alt
    assert f"{len(player.moment.links)} links" in player.view.alt
    assert player.moment.explain() in repr(player)
    assert player.answer.sentence == player.moment.explain()


def test_another_program_is_another_run(player: CachePlayer) -> None:
    player.set(program="itself", limit=48, frame=3)
    before = player.view.run
    player.set(frame=4)
    assert player.view.run == before
    player.set(program="fibonacci")
    assert player.view.run == before + 1
    assert player.view.title.startswith("fibonacci")
    assert player.controls["frame"].max == len(player.played) - 1


def test_room_and_policy_count(player: CachePlayer) -> None:
    lost = []
    for limit in (64, 24, 8):
        player.set(program="kernel", limit=limit, policy="oldest")
        lost.append(int(player.played.summary()["evictions"]))
    assert lost[0] < lost[1] < lost[2]
    player.set(policy="flush_all")
    assert player.played.policy == "flush_all"


def test_a_step_is_quick(player: CachePlayer) -> None:
    """No promise of speed, only that nothing is recorded anew."""
    player.set(program="kernel", limit=24)
    played = player.played
    began = time.process_time()
    for frame in range(10, 30):
        player.controls["frame"].value = frame
    assert player.played is played
    assert time.process_time() - began < 5


def test_without_a_kernel_there_is_a_picture(player: CachePlayer) -> None:
    data, metadata = player._repr_mimebundle_()
    assert data["image/png"]
    assert "units lost to writes on code" not in data["text/plain"]
    assert "<table" in data["text/html"]
    assert metadata["image/png"]["alt"]


def test_a_policy_of_ones_own_can_be_chosen() -> None:
    def newest(units: Sequence[Unit]) -> Sequence[Unit]:
        return units[-1:]

    player = cache_app("itself", newest).set(limit=8)
    assert player.controls["policy"].label == "yours: newest"
    lost = player.played.summary()["evictions"]
    assert player.set(policy="flush_all").played.summary()["evictions"] != lost


def test_a_start_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"^program = 'doom'"):
        cache_app("doom")


def test_the_view_begins_with_nothing() -> None:
    view = CacheView()
    assert view.moment is None
    assert "CacheView('')" in repr(view)
    assert view.legend[0]["label"] == "not yet translated"
