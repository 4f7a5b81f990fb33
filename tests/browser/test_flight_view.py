"""The view of a migration alone in a page: what travels is seen to travel, and all is said too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.alone import Shows, state, stop_clock
from virtlab.widgets.flight import FlightView, Moment

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGES = 252
STEPS = ("prepare", "copy", "copy the bitmap", "run", "fetch", "delete", "announce")
LEGEND = {"free": "not there", "used": "arrived", "dirty": "dirty"}
_DONE = "() => document.querySelector('.virtlab-flight-stage canvas').dataset.progress === '1.00'"
_PIXELS = """() => {
  const canvas = document.querySelector('.virtlab-flight-stage canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return Array.from(new Uint32Array(data.buffer)).reduce((sum, one, i) => (sum * 31 + one) | 0, 7);
}"""


@pytest.fixture
def view() -> FlightView:
    """Make a view in which a part has been copied."""
    view = FlightView(STEPS, LEGEND, names=("host A", "host B"))
    view.show(Moment([1] * PAGES, [0] * PAGES, step=1, title="Nothing has moved"))
    return view


def copied(pages: int) -> Moment:
    """Return the moment at which so many pages have been copied."""
    there = [1] * pages + [0] * (PAGES - pages)
    source = [2, 2] + [1] * (PAGES - 2)
    return Moment(
        source, there, moving=range(pages), written=[0, 1], step=2, title=f"{pages} pages there"
    )


def finished(page: Page) -> None:
    page.wait_for_function(_DONE)


@pytest.mark.parametrize("width", [960, 380])
def test_pages_fly_and_arrive(show: Shows, view: FlightView, width: int) -> None:
    page = show(view, width)
    finished(page)
    before = page.evaluate(_PIXELS)
    stop_clock(page)
    view.show(copied(40))
    at_once = page.evaluate(f"state => {{ model.take(state); return ({_DONE})(); }}", state(view))
    page.clock.run_for(60)
    flying = page.evaluate(_PIXELS)
    page.clock.run_for(2000)
    assert page.evaluate(_DONE)
    after = page.evaluate(_PIXELS)
    assert len({before, flying, after}) == 3
    assert at_once is True  # nothing was drawn yet: the last picture still stands
    overflow = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not overflow


def test_without_motion_pages_are_there_at_once(show: Shows, view: FlightView) -> None:
    page = show(view, reduced_motion="reduce")
    assert page.get_by_role("button", name="Motion off").is_visible()
    view.show(copied(40))
    assert page.evaluate(f"state => {{ model.take(state); return ({_DONE})(); }}", state(view))


def test_the_strip_says_where_it_stands_and_asks_for_another_step(
    show: Shows, view: FlightView
) -> None:
    view.show(copied(40))
    page = show(view)
    now = page.locator("[aria-current=step]")
    assert now.inner_text().split() == ["2", "copy"]
    assert page.locator("[data-state=done]").count() == 1
    page.locator("[aria-current=step]").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("model.get('asked').step") == 3


def test_it_can_be_read_without_being_seen(show: Shows, view: FlightView) -> None:
    view.show(copied(3))
    page = show(view)
    said = page.get_by_role("img").get_attribute("aria-label") or ""
    assert "The VM runs on host A" in said
    assert "host B: 249 not there, 3 arrived, 0 dirty" in said


def test_nothing_jumps_when_it_goes_on(show: Shows, view: FlightView) -> None:
    page = show(view)
    tall = page.locator(".virtlab-flight").bounding_box()
    view.show(copied(200))
    page.evaluate("state => model.take(state)", state(view))
    finished(page)
    assert page.locator(".virtlab-flight").bounding_box() == tall


@pytest.mark.parametrize(("width", "rows"), [(960, 1), (780, 1), (380, 4)])
def test_the_steps_stand_in_rows(show: Shows, view: FlightView, width: int, rows: int) -> None:
    page = show(view, width)
    tops = page.locator(".virtlab-flight-steps > li").evaluate_all(
        "items => items.map(item => Math.round(item.getBoundingClientRect().top))"
    )
    assert len(tops) == len(STEPS)
    assert len(set(tops)) == rows
    style = page.locator(".virtlab-flight-steps").evaluate("one => getComputedStyle(one).listStyle")
    assert "none" in style  # the buttons have the numbers
