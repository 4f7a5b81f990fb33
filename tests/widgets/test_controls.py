"""Controls: their values stay in range, and their words are there for everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.validate import InvalidInputError
from virtlab.widgets import controls

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.floats(-1e6, 1e6), st.floats(-1000, 1000), st.floats(0, 1000))
def test_a_slider_stays_in_its_range(wanted: float, low: float, span: float) -> None:
    slider = controls.slider("Load", "%", low, low, low + span, 0.5)
    slider.value = wanted
    assert low <= slider.value <= low + span
    if low <= wanted <= low + span:
        assert slider.value == wanted


def test_whole_numbers_stay_whole() -> None:
    whole = controls.slider("Copies", "", 2, 1, 10, 1)
    broken = controls.slider("Load", "", 0.5, 0, 1, 0.1)
    assert isinstance(whole.value, int)
    assert isinstance(broken.value, float)
    whole.value = 4.0
    assert whole.value == 4
    assert isinstance(whole.value, int)


@pytest.mark.parametrize("wrong", ["much", None, float("nan")])
def test_a_slider_refuses_what_is_no_number(wrong: object) -> None:
    slider = controls.slider("Load", "%", 1, 0, 10, 1)
    with pytest.raises(Exception, match=r"Load|value"):
        slider.value = wrong
    assert slider.value == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: controls.slider("Load", "%", 11, 0, 10, 1),
        lambda: controls.slider("Load", "%", 1, 0, 10, 0),
        lambda: controls.player("Time", "s", frames=0),
        lambda: controls.player("Time", "s", frames=3, value=3),
        lambda: controls.seed(-1),
        lambda: controls.choice("VM2", {"high": 2000}, 1000),
    ],
)
def test_a_start_out_of_range_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError):
        make()


def test_a_player_steps_and_stops_at_its_ends() -> None:
    player = controls.player("Time", "s", frames=3)
    player.step(-1)
    assert player.value == 0
    player.step(5)
    assert player.value == 2
    player.playing = True
    player.reset()
    assert (player.value, player.playing) == (0, False)


def test_a_shorter_run_takes_the_player_with_it() -> None:
    player = controls.player("Time", "s", frames=100, value=80)
    player.max = 9
    assert player.value == 9


def test_words_and_values_of_a_choice_stay_together() -> None:
    choice = controls.choice("VM2", {"high": 2000, "normal": 1000, "low": 500}, 1000)
    seen: list[int] = []
    choice.observe(lambda change: seen.append(change["new"]), names="value")
    choice.index = 2  # as the browser sets it
    assert (choice.value, choice.label) == (500, "low")
    choice.value = 2000
    assert (choice.index, choice.label) == (0, "high")
    assert seen == [500, 2000]
    with pytest.raises(InvalidInputError, match="one of 2000, 1000, 500"):
        choice.value = 3


@pytest.mark.parametrize(
    "control",
    [
        controls.slider("Disk", "MB/s", 1, 0, 2, 1),
        controls.player("Disk", "s", frames=3),
        controls.seed(1, "Disk"),
        controls.choice("Disk", {"one": 1}, 1),
        controls.toggle("Disk", value=True),
    ],
    ids=lambda control: control.kind,
)
def test_the_browser_is_told_label_kind_and_value(control: controls.Slider) -> None:
    state = control.get_state()
    assert state["description"] == "Disk"
    assert f"function {state['kind']}(model, root)" in str(control._esm)
    assert "value" in state or "index" in state
