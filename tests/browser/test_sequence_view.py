"""The view of a sequence alone in a page: an arrow that moves, a layer that is lit, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.alone import Shows, state
from virtlab.widgets.esx import request

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from virtlab.widgets.esx import RequestPlayer

_DONE = "() => document.querySelector('.virtlab-sequence svg').dataset.progress === '1.00'"
_LIT = "() => document.querySelector('.virtlab-sequence [data-lit=true]').dataset.lane"


@pytest.fixture(scope="module")
def player() -> RequestPlayer:
    return request()


def follow(page: Page, player: RequestPlayer, step: int) -> bool:
    """Show another step; return whether it stood there at once."""
    player.set(step=step)
    taken = f"state => {{ model.take(state); return ({_DONE})(); }}"
    return bool(page.evaluate(taken, state(player.view)))


@pytest.mark.parametrize("width", [960, 380])
def test_the_arrow_moves_and_the_layer_that_acts_is_lit(
    show: Shows, player: RequestPlayer, width: int
) -> None:
    player.set(layers="ata", sectors=1, vms=1, step=2)
    page = show(player.view, width)
    assert follow(page, player, 3) is False
    page.wait_for_function(_DONE)
    assert page.evaluate(_LIT) == "vmm"
    follow(page, player, 4)
    page.wait_for_function(_DONE)
    assert page.evaluate(_LIT) == "vmkernel"
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert page.locator(".virtlab-sequence li").count() == len(player.trace.arrows)


def test_back_and_far_steps_stand_at_once(show: Shows, player: RequestPlayer) -> None:
    player.set(layers="ata", sectors=1, vms=1, step=5)
    page = show(player.view)
    assert follow(page, player, 4)
    assert follow(page, player, 9)
    assert follow(page, player, 0)
    assert page.evaluate(_LIT) == "program"


def test_without_motion_each_step_is_there_at_once(show: Shows, player: RequestPlayer) -> None:
    player.set(layers="ata", sectors=1, vms=1, step=5)
    page = show(player.view, reduced_motion="reduce")
    assert page.get_by_role("button", name="Motion off").is_visible()
    assert follow(page, player, 6)


def test_a_step_is_asked_for_by_keyboard_and_said(show: Shows, player: RequestPlayer) -> None:
    player.set(layers="own", sectors=1, vms=1, step=2)
    page = show(player.view)
    now = page.locator("[aria-current=step]")
    assert now.inner_text().split()[:2] == ["2", "gate"]
    now.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("model.get('asked').step") == 3
    said = page.get_by_role("img").get_attribute("aria-label") or ""
    assert "vmm to guest kernel: gate 0x80" in said


def test_nothing_jumps_when_it_goes_on(show: Shows, player: RequestPlayer) -> None:
    player.set(layers="ata", sectors=1, vms=1, step=0)
    page = show(player.view)
    before = page.locator(".virtlab-sequence").bounding_box()
    for step in (1, 7, 16):
        follow(page, player, step)
        page.wait_for_function(_DONE)
        assert page.locator(".virtlab-sequence").bounding_box() == before


def test_letters_stay_inside_their_boxes(show: Shows, player: RequestPlayer) -> None:
    player.set(layers="ata", sectors=1, vms=1, step=3)
    for width in (960, 640, 380):
        page = show(player.view, width)
        spill = page.evaluate(
            """() => [...document.querySelectorAll('.virtlab-sequence svg text')].filter((text) => {
              const box = text.previousElementSibling.getBoundingClientRect();
              return text.getBoundingClientRect().width > box.width + 1;
            }).map((text) => text.textContent)"""
        )
        assert spill == [], width
