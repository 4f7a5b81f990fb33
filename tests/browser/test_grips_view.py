"""A picture's knobs and tiles under a hand: what is dragged is told, and shows what it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.alone import Shows, state
from virtlab.plots import style
from virtlab.plots.grips import knob, tile
from virtlab.widgets.picture import Picture

if TYPE_CHECKING:
    from playwright.sync_api import Page

# What an App has around a picture: two of its controls.
_APP = """() => {
  const root = document.getElementById("root");
  root.className = "virtlab-app";
  for (const key of ["low", "right"]) {
    const control = root.appendChild(document.createElement("div"));
    control.className = "virtlab-control";
    control.dataset.key = key;
    control.innerHTML = "<input type=range>";
  }
}"""
_TOLD = "() => [model.state.gripped.name, model.state.gripped.value]"


class Bar:
    """A figure with a value that goes up, one that goes to the right, and a tile."""

    def __init__(self) -> None:
        self.low = 4.0
        self.shown: tuple[str, ...] = ("low", "right", "slide")

    def __call__(self, figure: style.Plate) -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 1), ylim=(0, 10))
        if "low" in self.shown:
            knob(axes, "low", "the minimum", (0.5, self.low), "y", self.low)
        if "right" in self.shown:
            knob(axes, "pull", "the wall", (0.2, 9), "x", 100, per_unit=1000, control="right")
        tile(axes, "slide", "S20", (0.8, 0.5), (0.1, 2), 20)
        style.finish(axes, "Grips", "Grips.")


@pytest.fixture(params=[960, 380])
def page(show: Shows, request: pytest.FixtureRequest) -> Page:
    page = show(Picture(Bar()), request.param)
    page.evaluate(_APP)
    page.wait_for_function("() => document.querySelector('img').naturalWidth > 0")
    page.locator(".virtlab-knob").first.wait_for()
    return page


def middle(page: Page, name: str) -> tuple[float, float]:
    box = page.locator(f"[data-name={name}]").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def height(page: Page) -> float:
    box = page.locator(".virtlab-stage").bounding_box()
    assert box is not None
    return box["height"]


def told(page: Page) -> list[Any]:
    page.wait_for_function("() => model.state.gripped?.name")
    return list(page.evaluate(_TOLD))


def test_a_knob_goes_with_the_hand_and_says_its_value(page: Page) -> None:
    x, y = middle(page, "low")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y - 0.3 * height(page), steps=3)  # aside counts for nothing
    assert middle(page, "low") == pytest.approx((x, y - 0.3 * height(page)), abs=1.5)
    page.mouse.up()
    name, value = told(page)
    assert name == "low"
    assert value == pytest.approx(4 + 3, abs=0.05)


def test_a_value_that_is_not_taken_goes_back(page: Page) -> None:
    at = middle(page, "low")
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0], at[1] - 50)
    page.mouse.up()  # no new picture comes: it was a step too small, say
    assert middle(page, "low") == pytest.approx(at, abs=1)


def test_while_it_is_held_no_picture_takes_it_away(page: Page) -> None:
    bar = Bar()
    x, y = middle(page, "low")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 40)
    held = middle(page, "low")
    bar.low, bar.shown = 9.0, ("slide",)
    page.evaluate("state => model.take(state)", state(Picture(bar)) | {"version": 8})
    page.wait_for_function("() => document.querySelector('img').dataset.version === '8'")
    assert middle(page, "low") == pytest.approx(held, abs=1)
    assert page.locator("[data-name=pull]").count() == 0
    page.mouse.up()
    page.wait_for_function("() => !document.querySelector('[data-name=low]')")


def test_what_was_dragged_can_be_put_right_by_keys(page: Page) -> None:
    page.mouse.move(*middle(page, "pull"))
    page.mouse.down()
    page.mouse.up()
    focus = page.evaluate("() => document.activeElement.closest('[data-key]')?.dataset.key")
    assert focus == "right"


def test_a_control_lights_its_knob_up_and_a_knob_its_control(page: Page) -> None:
    lit = "name => document.querySelector(name).classList.contains('virtlab-linked')"
    page.locator("[data-key=right] input").focus()
    assert page.evaluate(lit, "[data-name=pull]")
    assert not page.evaluate(lit, "[data-name=low]")
    page.locator("[data-key=low] input").focus()
    assert page.evaluate(lit, "[data-name=low]")
    assert not page.evaluate(lit, "[data-name=pull]")
    page.mouse.move(*middle(page, "pull"))
    assert page.evaluate(lit, "[data-key=right]")
    page.mouse.move(1, 1)
    assert not page.evaluate(lit, "[data-key=right]")


def test_a_tile_is_pressed(page: Page) -> None:
    page.mouse.click(*middle(page, "slide"))
    assert told(page) == ["slide", 20]


def test_a_finger_finds_a_knob(page: Page) -> None:
    """What can be touched is 32 px wide at least, and no screen reader is told of it twice."""
    x, y = middle(page, "low")
    for aside in (-15, 15):
        found = page.evaluate(
            "([x, y]) => document.elementFromPoint(x, y).dataset.name", [x + aside, y]
        )
        assert found == "low"
    assert page.locator("[data-name=low]").get_attribute("aria-hidden") == "true"
    assert page.locator("[data-name=low]").get_attribute("title") == "the minimum"
