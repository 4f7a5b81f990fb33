"""A player records when something has changed, and else only shows another moment."""

from __future__ import annotations

from typing import Any

import pytest

from virtlab.widgets import controls
from virtlab.widgets.player import Player


class Counting(Player):
    """Plays as many numbers as a control says, and counts what it is asked."""

    time = "at"

    def __init__(self) -> None:
        self.recorded, self.seen = 0, list[int]()
        self.controls: dict[str, Any] = {
            "length": controls.slider("Length", "", 3, 1, 9, 1),
            "at": controls.player("At", "", 4),
        }
        self._record()
        self._lay_out()

    def _record(self) -> None:
        self.recorded += 1
        self.controls["at"].max = self.controls["length"].value

    def _show(self) -> None:
        self.seen.append(self.controls["at"].value)


def test_it_shows_the_start_at_once() -> None:
    player = Counting()
    assert (player.recorded, player.seen) == (1, [0])


def test_a_move_of_the_time_records_nothing() -> None:
    player = Counting()
    player.controls["at"].value = 2
    assert player.set(at=3) is player
    assert (player.recorded, player.seen) == (1, [0, 2, 3])


def test_another_control_records_and_shows_once() -> None:
    player = Counting()
    player.controls["length"].value = 5
    assert (player.recorded, player.seen) == (2, [0, 0])


def test_several_at_once_are_one_answer_and_the_time_comes_last() -> None:
    player = Counting().set(at=8, length=9)  # 8 is beyond what is played before the length changes
    assert (player.recorded, player.seen) == (2, [0, 8])


def test_after_a_name_that_is_none_it_answers_still() -> None:
    player = Counting()
    with pytest.raises(KeyError):
        player.set(speed=3)
    player.controls["at"].value = 1
    assert player.seen == [0, 1]


def test_a_class_of_its_own_has_to_say_what_is_played() -> None:
    class Empty(Player):
        time = "at"

    with pytest.raises(NotImplementedError):
        Empty()._record()
    with pytest.raises(NotImplementedError):
        Empty()._show()
