"""The time line alone in a page: time runs by itself, and one may point at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.alone import Shows, state, stop_clock
from virtlab.widgets.cpu_live import LivePlayer

if TYPE_CHECKING:
    from playwright.sync_api import Page

_PIXELS = """() => {
  const canvas = document.querySelector('.virtlab-timeline-stage canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return Array.from(new Uint32Array(data.buffer)).reduce((sum, one, i) => (sum * 31 + one) | 0, 7);
}"""


@pytest.fixture
def player() -> LivePlayer:
    """Make a player in which something has been changed."""
    return LivePlayer().set(time=40, shares=2000).set(time=70).press("Add VM4").set(time=90)


def opened(show: Shows, player: LivePlayer, width: int = 960, **options: str) -> Page:
    player.view.frame = 90
    page = show(player.view, width, **options)
    stop_clock(page)
    return page


@pytest.mark.parametrize("width", [960, 380])
def test_it_glides_while_it_plays_and_asks_for_nothing(
    show: Shows, player: LivePlayer, width: int
) -> None:
    page = opened(show, player, width)
    pictures = [page.evaluate(_PIXELS)]
    page.evaluate("model.take({ playing: true, interval_ms: 400, frame: 91 })")
    for _ in range(3):
        page.clock.run_for(60)
        pictures.append(page.evaluate(_PIXELS))
    assert len(set(pictures)) == 4
    assert page.evaluate("model.sent") == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_a_step_is_there_at_once(show: Shows, player: LivePlayer) -> None:
    page = opened(show, player)
    before = page.evaluate(_PIXELS)
    after = page.evaluate(f"() => {{ model.take({{ frame: 91 }}); return ({_PIXELS})(); }}")
    assert after != before
    page.clock.run_for(100)
    assert page.evaluate(_PIXELS) == after


def test_without_motion_nothing_glides(show: Shows, player: LivePlayer) -> None:
    page = opened(show, player, reduced_motion="reduce")
    take = "model.take({ playing: true, interval_ms: 400, frame: 91 })"
    after = page.evaluate(f"() => {{ {take}; return ({_PIXELS})(); }}")
    page.clock.run_for(100)
    assert page.evaluate(_PIXELS) == after


@pytest.mark.parametrize("width", [960, 380])
def test_one_may_point_at_a_row_and_at_a_moment(
    show: Shows, player: LivePlayer, width: int
) -> None:
    page = opened(show, player, width)
    stage = page.locator(".virtlab-timeline-stage")
    box = stage.bounding_box()
    assert box
    stage.click(position={"x": 20, "y": 28 + 40 * 2 + 10})
    assert page.evaluate("model.get('asked').row") == 2
    stage.click(position={"x": box["width"] / 2, "y": box["height"] - 80})
    assert 4 < page.evaluate("model.get('asked').at_s") < 14


def test_it_can_be_read_without_being_seen(show: Shows, player: LivePlayer) -> None:
    page = opened(show, player)
    said = page.get_by_role("img").get_attribute("aria-label") or ""
    assert "VM2: 2000 shares. VM3: 1000 shares. VM4: 1000 shares." in said
    player.press("Remove VM4")
    page.evaluate("state => model.take(state)", state(player.view))
    said = page.get_by_role("img").get_attribute("aria-label") or ""
    assert "VM4: off." in said


def test_nothing_jumps_when_something_is_changed(show: Shows, player: LivePlayer) -> None:
    page = opened(show, player)
    tall = page.locator(".virtlab-timeline").bounding_box()
    player.set(shares=500, maximum=20)
    page.evaluate("state => model.take(state)", state(player.view))
    assert page.locator(".virtlab-timeline").bounding_box() == tall
