"""The cache view alone in a page: blocks come and go, and all is said too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.alone import Shows, state, stop_clock
from virtlab.machine.translation.cache_log import record_cache
from virtlab.widgets.cacheview import CacheView

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from virtlab.machine.translation.cache_moment import CacheLog

_DONE = (
    "() => document.querySelector('.virtlab-cache canvas[data-progress]')?.dataset.progress"
    " === '1.00'"
)
_SPY = """() => {
  window.drawn = { words: [], blocks: [] };
  const [write, rect] = [CanvasRenderingContext2D.prototype.fillText, Path2D.prototype.rect];
  CanvasRenderingContext2D.prototype.fillText = function (words, x, y) {
    window.drawn.words.push([words, x, y, this.measureText(words).width]);
    return write.call(this, words, x, y);
  };
  Path2D.prototype.rect = function (...box) {
    window.drawn.blocks.push(box);
    return rect.apply(this, box);
  };
}"""
_PIXELS = """() => {
  const canvas = document.querySelector('.virtlab-cache-body canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return Array.from(new Uint32Array(data.buffer)).reduce((sum, one, i) => (sum * 31 + one) | 0, 7);
}"""


@pytest.fixture(scope="module")
def log() -> CacheLog:
    return record_cache("itself")


def at(log: CacheLog, frame: int) -> CacheView:
    view = CacheView()
    view.show(log.at(frame))
    return view


def told(page: Page, view: CacheView) -> None:
    page.evaluate("state => model.take(state)", state(view))
    page.wait_for_function(_DONE)


@pytest.mark.parametrize("width", [960, 380])
def test_a_step_is_seen_to_happen(show: Shows, log: CacheLog, width: int) -> None:
    view = at(log, 3)
    page = show(view, width)
    page.wait_for_function(_DONE)
    before = page.evaluate(_PIXELS)
    stop_clock(page)
    view.show(log.at(4))
    page.evaluate("state => model.take(state)", state(view))
    page.clock.run_for(90)
    growing = page.evaluate(_PIXELS)
    page.clock.run_for(2000)
    assert page.evaluate(_DONE)
    after = page.evaluate(_PIXELS)
    assert len({before, growing, after}) == 3
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_without_motion_it_is_there_at_once(show: Shows, log: CacheLog) -> None:
    view = at(log, 3)
    page = show(view, reduced_motion="reduce")
    assert page.get_by_role("button", name="Motion off").is_visible()
    view.show(log.at(4))
    assert page.evaluate(f"state => {{ model.take(state); return ({_DONE})(); }}", state(view))


def test_keys_walk_over_the_units(show: Shows, log: CacheLog) -> None:
    view = at(log, 20)
    page = show(view)
    stage = page.get_by_role("application")
    stage.focus()
    words = page.get_by_role("status")
    assert "Point at a block" in words.inner_text()
    page.keyboard.press("ArrowRight")
    assert words.inner_text().startswith("0x100000, ")
    assert "MOV ECX,0x28" in words.inner_text()
    assert page.evaluate("model.get('cursor')") == 0
    page.keyboard.press("ArrowDown")
    assert words.inner_text().startswith("0x101000, ")
    assert "looked up each time" in words.inner_text()  # it ends with a return
    page.keyboard.press("End")
    assert words.inner_text().startswith("0x10300f, ")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert words.inner_text().startswith("0x100000, ")
    page.keyboard.press("Escape")
    assert page.evaluate("model.get('cursor')") == -1


def test_a_pointer_finds_a_block_on_the_map_and_in_the_cache(show: Shows, log: CacheLog) -> None:
    view = at(log, 20)
    page = show(view)
    page.wait_for_function(_DONE)
    canvas = page.locator(".virtlab-cache-body canvas")
    canvas.hover(position={"x": 12, "y": 50})
    words = page.get_by_role("status")
    assert words.inner_text().startswith("0x100000, ")
    page.keyboard.press("Escape")
    box = canvas.bounding_box()
    assert box
    canvas.hover(position={"x": 4, "y": box["height"] - 12})
    assert words.inner_text().startswith("0x100000, ")  # what was made first stands first


def test_it_can_be_read_without_being_seen(show: Shows, log: CacheLog) -> None:
    view = at(log, 30)
    page = show(view)
    said = page.get_by_role("application").get_attribute("aria-label") or ""
    assert log.at(30).explain() in said
    cells = page.locator(".virtlab-cache-counts td").all_inner_texts()
    assert [int(cell.replace(",", "")) for cell in cells] == list(log.at(30).counters.values())


def test_nothing_jumps_when_it_goes_on(show: Shows, log: CacheLog) -> None:
    view = at(log, 0)
    page = show(view)
    place = page.locator(".virtlab-cache").bounding_box()
    for frame in (5, 21, len(log) - 1):
        view.show(log.at(frame))
        told(page, view)
        assert page.locator(".virtlab-cache").bounding_box() == place


def test_another_run_has_other_units(show: Shows, log: CacheLog) -> None:
    view = at(log, 30)
    page = show(view)
    page.wait_for_function(_DONE)
    view.show(record_cache("fibonacci", 16, "oldest").at(30))
    told(page, view)
    page.get_by_role("application").focus()
    page.keyboard.press("ArrowRight")
    name = page.get_by_role("status").inner_text().split(",")[0]
    assert name == view.units[0]["name"]
    assert "fibonacci" in page.locator(".virtlab-pagemap-title").inner_text()


@pytest.mark.parametrize("width", [960, 380, 292])  # a page, a phone, JupyterLab on a phone
@pytest.mark.parametrize("program", ["itself", "kernel", "quicksort"])
def test_a_page_s_name_lies_on_no_block(show: Shows, program: str, width: int) -> None:
    view = CacheView()
    view.show(record_cache(program).at(9))
    page = show(view, width, reduced_motion="reduce")
    page.evaluate(_SPY)
    page.evaluate("state => model.take(state)", state(view))
    drawn = page.evaluate("window.drawn")
    names = [one for one in drawn["words"] if one[0].startswith("page ")]
    assert len(names) == len(view.rows)
    for words, x, y, wide in names:
        for left, top, across, high in drawn["blocks"]:
            if top < 20:  # of the key, on canvases of its own
                continue
            apart = x + wide < left or x > left + across or y + 7 < top or y - 7 > top + high
            assert apart, (words, x, y, left, top)
