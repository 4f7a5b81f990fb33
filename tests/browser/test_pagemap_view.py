"""The moving map alone in a page, with a stand-in for the kernel: pixels, keys, motion."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.browser.alone import Shows, state, stop_clock
from virtlab.plots import style
from virtlab.widgets.pagemap import PageMap

if TYPE_CHECKING:
    from playwright.sync_api import Page

LEGEND = ("free", "used", "shared", "swapped")
_DONE = "() => document.querySelector('.virtlab-pagemap-stage canvas').dataset.progress === '1.00'"


@pytest.fixture
def pages() -> PageMap:
    """Make a map of three VMs, one state after another."""
    groups = [("VM1", 40), ("VM2", 40), ("VM3", 40)]
    return PageMap(np.repeat([0, 1, 2, 3, 0, 1], 20), groups, LEGEND, title="Three VMs")


def canvas(page: Page) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the pixels of the squares."""
    url = page.locator(".virtlab-pagemap-stage canvas").first.evaluate("one => one.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def count(page: Page, colour: str) -> int:
    """Return how many opaque pixels have a colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)] + [255]
    return int((canvas(page) == wanted).all(axis=2).sum())


def words(page: Page) -> str:
    """Return what is said of the page under the cursor."""
    return page.locator(".virtlab-pagemap-words").inner_text()


@pytest.mark.parametrize(("width", "ratio"), [(960, 1), (960, 2), (380, 3)])
def test_each_page_has_its_colour(show: Shows, pages: PageMap, width: int, ratio: int) -> None:
    page = show(pages, width, device_scale_factor=ratio)
    free = count(page, style.PAGES["free"].colour)
    assert free > 20 * 60 * ratio**2
    for colour in (style.vm_mark(0).colour, style.vm_mark(2).colour):
        assert count(page, colour) == pytest.approx(free / 2, rel=0.05)  # 20 pages against 40
    drawn, shown = page.locator(".virtlab-pagemap-stage canvas").first.evaluate(
        "one => [one.width, one.getBoundingClientRect().width]"
    )
    assert drawn == pytest.approx(ratio * shown, abs=1), "a pixel for each of the screen"


def test_keys_walk_over_the_pages(show: Shows, pages: PageMap) -> None:
    page = show(pages)
    page.keyboard.press("Tab")
    for _ in LEGEND:
        page.keyboard.press("Tab")  # past the legend's buttons
    walk = [
        ("ArrowRight", "page 0 of VM1: free"),
        ("ArrowRight", "page 1 of VM1: free"),
        ("End", "page 39 of VM1: used by one VM"),
        ("ArrowRight", "page 0 of VM2: shared"),
        ("ArrowLeft", "page 39 of VM1: used by one VM"),
        ("PageDown", "page 0 of VM2: shared"),
        ("ArrowDown", "page 35 of VM2: swapped"),
        ("ArrowUp", "page 0 of VM2: shared"),
        ("PageUp", "page 0 of VM1: free"),
        ("ArrowLeft", "page 0 of VM1: free"),
    ]
    for key, said in walk:
        page.keyboard.press(key)
        if key == "ArrowDown":  # a row further, however long a row is
            assert words(page).startswith("page ")
            assert "VM2: swapped" in words(page) or "VM2: shared" in words(page)
        else:
            assert words(page) == said, key
    page.wait_for_function("model.saved && model.get('cursor') === 0")


def test_the_mouse_shows_the_page_below_it(show: Shows, pages: PageMap) -> None:
    page = show(pages)
    box = page.locator(".virtlab-pagemap-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 70, box["y"] + 15)
    page.wait_for_function(
        "document.querySelector('.virtlab-pagemap-words').textContent.includes('VM1')"
    )
    assert words(page).endswith("VM1: free")


def test_the_kernels_detail_is_added_to_its_page_only(show: Shows, pages: PageMap) -> None:
    page = show(pages)
    page.evaluate("model.set('cursor', 45)")
    assert words(page) == "page 5 of VM2: shared"
    page.evaluate("model.set('detail', { page: 44, text: 'too late' })")
    assert words(page) == "page 5 of VM2: shared"
    page.evaluate("model.set('detail', { page: 45, text: 'Seen twice.' })")
    assert words(page) == "page 5 of VM2: shared. Seen twice."


def test_the_legend_picks_out_a_state(show: Shows, pages: PageMap) -> None:
    page = show(pages, reduced_motion="reduce")
    button = page.get_by_role("button", name="shared 20")
    before = count(page, style.PAGES["free"].colour)
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert count(page, style.PAGES["free"].colour) == 0, "the others are faint"
    assert count(page, style.PAGES["shared"].colour) > 0
    button.press("Enter")
    assert count(page, style.PAGES["free"].colour) == before


def test_a_change_fades_in_and_ends_in_the_new_colour(show: Shows, pages: PageMap) -> None:
    page = show(pages)
    before = count(page, style.PAGES["shared"].colour)
    stop_clock(page)
    pages.change(range(20), 2)
    page.evaluate("state => model.take(state)", state(pages))
    page.clock.run_for(100)
    assert count(page, style.PAGES["shared"].colour) == before, "half way it is neither"
    page.clock.run_for(300)
    page.wait_for_function(_DONE)
    assert count(page, style.PAGES["shared"].colour) > 1.8 * before
    assert count(page, style.PAGES["free"].colour) > 0


@pytest.mark.parametrize("how", ["setting", "button"])
def test_motion_can_be_stopped(show: Shows, pages: PageMap, how: str) -> None:
    page = show(pages, reduced_motion="reduce" if how == "setting" else "no-preference")
    button = page.get_by_role("button", name="Motion")
    if how == "button":
        button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    pages.change(range(20), 2)
    at_once = page.evaluate(f"state => {{ model.take(state); return ({_DONE})(); }}", state(pages))
    assert at_once
    assert count(page, style.PAGES["free"].colour) < count(page, style.PAGES["shared"].colour)


def test_a_view_that_missed_a_change_asks_for_all(show: Shows, pages: PageMap) -> None:
    page = show(pages)
    pages.change([0], 1)
    pages.change([1], 1)
    page.evaluate("state => model.take(state)", state(pages))
    assert page.evaluate("model.sent") == [{"ask": "all"}]


def test_nothing_jumps_when_states_change(show: Shows) -> None:
    pages = PageMap([0] * 5_000, [("VM1", 2_000), ("VM2", 3_000)], LEGEND)
    page = show(pages, 380)
    boxes = (
        "() => [...document.querySelectorAll('.virtlab-pagemap, .virtlab-pagemap > *')]"
        ".map(one => JSON.stringify(one.getBoundingClientRect()))"
    )
    before = page.evaluate(boxes)
    pages.update([1, 2] * 2_500)
    page.evaluate("state => model.take(state)", state(pages))
    page.wait_for_function(_DONE)
    assert page.evaluate(boxes) == before


def test_a_million_pages_are_drawn_with_a_magnifier(show: Shows) -> None:
    million = PageMap(np.tile([1, 1, 1, 2], 250_000), [("VM1", 400_000), ("VM2", 600_000)], LEGEND)
    page = show(million)
    assert page.locator(".virtlab-pagemap-lens").is_visible()
    page.evaluate("model.set('cursor', 999999)")
    assert words(page) == "page 599,999 of VM2: shared"
    box = page.locator(".virtlab-pagemap-stage").bounding_box()
    assert box is not None
    assert box["height"] < 400


def test_words_and_counts_are_there_for_screen_readers(show: Shows, pages: PageMap) -> None:
    page = show(pages)
    stage = page.get_by_role("application")
    label = stage.get_attribute("aria-label") or ""
    assert label.startswith(pages.alt)
    assert page.locator(".virtlab-pagemap-words").get_attribute("aria-live") == "polite"
    page.get_by_text("Counts as a table").click()
    rows = page.get_by_role("row").all_inner_texts()
    cells = [row.split() for row in rows]
    assert cells[1:] == [
        ["VM1", "20", "20", "0", "0"],
        ["VM2", "0", "0", "20", "20"],
        ["VM3", "20", "20", "0", "0"],
        ["all", "40", "40", "20", "20"],
    ]
