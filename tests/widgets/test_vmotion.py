"""The film of a migration as a widget: every control changes what is shown, steps lead there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from virtlab.migration.film import PAGE_STATES
from virtlab.widgets.vmotion import ALGORITHMS, compare, steps

if TYPE_CHECKING:
    from virtlab.migration.move import Move


@pytest.mark.parametrize(
    "change",
    [{"pages": 60}, {"rate": 400}, {"pattern": "anywhere"}, {"bandwidth": 512}, {"seed": 9}]
    + [{"algorithm": one} for one in list(ALGORITHMS.values())[2:]],
    ids=str,
)
def test_each_control_makes_another_film(change: dict[str, Any]) -> None:
    player = steps()
    before = player.film.to_frame()
    after = player.set(**change).film.to_frame()
    assert not before.equals(after)
    assert player.controls["frame"].max == len(player.film) - 1


def test_a_step_is_one_click_away() -> None:
    player = steps()
    for step in range(1, 8):
        player.view.asked = {"step": step, "time": step}
        assert player.frame.step == player.view.step == step


def test_pages_fly_only_when_one_goes_on() -> None:
    player = steps().set(frame=5)
    assert not player.view.moving  # a jump: nothing is seen to travel
    player.controls["frame"].step()
    assert np.frombuffer(player.view.moving, "<u4").tolist() == player.frame.moving.tolist()
    player.controls["frame"].step(-1)
    assert not player.view.moving


def test_back_is_where_one_was() -> None:
    player = steps().set(frame=20)
    seen = (player.view.source, player.view.target, player.view.alt)
    player.controls["frame"].step(7)
    player.controls["frame"].step(-7)
    assert (player.view.source, player.view.target, player.view.alt) == seen


def test_what_is_said_is_what_is_shown() -> None:
    player = steps("the talk's, as it tells them").set(frame=1000)  # the last one there is
    wrong = PAGE_STATES.index("wrong")
    shown = np.frombuffer(player.view.target, np.uint8)
    assert (shown == wrong).sum() == player.film.run.wrong_pages > 0
    assert "in no bitmap" in player.answer.sentence
    assert f"{player.film.run.wrong_pages} pages are wrong" in player.view.note


def test_one_that_never_ends_is_said_to_be_given_up() -> None:
    player = steps("pre-copy (QEMU)").set(rate=400, bandwidth=64)
    assert "given up" in player.view.note


class Mine:
    name = "mine"

    def run(self, move: Move) -> None:
        move.create_target()
        move.pause()
        move.send(move.all_pages)
        move.send_state()
        move.resume()
        move.delete_source()
        move.announce()


def test_an_algorithm_of_ones_own_can_be_watched() -> None:
    player = steps(Mine())
    assert player.film.run.algorithm == player.controls["algorithm"].label == "mine"
    assert player.film.run.wrong_pages == 0


def test_without_a_kernel_there_is_a_picture_with_words() -> None:
    bundle, metadata = steps().set(frame=30)._repr_mimebundle_()
    assert "<img alt=" in bundle["text/html"]
    assert "In all:" in bundle["text/html"]
    assert metadata["image/png"]["alt"]
    assert "travel to the target" in bundle["text/plain"]


@pytest.mark.parametrize(
    "change",
    [{"pages": 100}, {"rate": 500}, {"pattern": "anywhere"}, {"bandwidth": 4.0}, {"seed": 3}],
    ids=str,
)
def test_the_contest_answers_to_each_control(change: dict[str, Any]) -> None:
    app = compare()
    before, png = app.result.to_frame(), app.picture.png
    app.set(**change)
    assert not app.result.to_frame().equals(before)
    assert app.picture.png != png


def test_the_contest_says_what_it_shows() -> None:
    app = compare()
    assert app.result.explain() == app.answer.sentence
    for run in app.result.runs:
        assert run.algorithm in app.picture.alt
