"""Buttons: what is pressed is done once, and what can't be done is not."""

from __future__ import annotations

import pytest

from virtlab.validate import InvalidInputError
from virtlab.widgets.buttons import buttons


def test_each_press_is_heard_once() -> None:
    row = buttons("Power", ["On", "Off"])
    heard: list[int] = []
    row.on_press(heard.append)
    for label in ("On", "Off", "Off"):
        row.press(label)
    assert heard == [0, 1, 1]
    assert row.value == 3


def test_a_disabled_button_does_nothing() -> None:
    row = buttons("Power", ["On", "Off"])
    heard: list[int] = []
    row.on_press(heard.append)
    row.enabled = [False, True]
    row.press("On")
    assert heard == []
    row.pressed = {"index": 7, "time": 1}  # none of them
    assert heard == []


def test_labels_can_change_and_unknown_ones_are_refused() -> None:
    row = buttons("Power", ["On", "Off"])
    row.labels = ["Add VM4", "Off"]
    with pytest.raises(InvalidInputError, match="Add VM4"):
        row.press("On")
    for wrong in ([], ["On", "On"]):
        with pytest.raises(InvalidInputError, match="labels"):
            buttons("Power", wrong)
