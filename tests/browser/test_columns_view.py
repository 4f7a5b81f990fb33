"""The columns alone in a page: rows light up together, keys move, nothing is too small."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.alone import Shows, state
from virtlab.widgets.translation import ColumnsApp, columns
from virtlab.widgets.translation_costs import costs_app

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SIZES = (
    "() => [...document.querySelectorAll('.virtlab-columns *')]"
    ".filter(one => [...one.childNodes].some(part => part.nodeType === 3 && part.data.trim()))"
    ".map(one => parseFloat(getComputedStyle(one).fontSize))"
)
_CHOSEN = "() => document.querySelector('[aria-selected=true]').innerText"


@pytest.fixture
def app() -> ColumnsApp:
    return columns("isPrime")


def take(page: Page, app: ColumnsApp) -> None:
    page.evaluate("state => model.take(state)", state(app.view))


@pytest.mark.parametrize("width", [960, 380])
def test_all_that_belongs_to_a_row_stands_in_it(show: Shows, app: ColumnsApp, width: int) -> None:
    page = show(app.view, width)
    row = page.locator(".row", has_text="TEST EDX,EDX")
    for words in ("100228", "ZF"):
        assert words in row.inner_text(), words
    assert re.search(r"^t\d+ = t\d+ & t\d+$", row.inner_text(), re.MULTILINE)
    assert ("85 d2" in row.inner_text()) == (width == 960)
    struck = row.locator(".flag[data-state='put off']").all_inner_texts()
    assert struck == ["CF", "OF", "SF", "PF", "AF"]
    line = row.locator(".flag").first.evaluate("one => getComputedStyle(one).textDecorationLine")
    assert line == "line-through"
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_keys_choose_a_row_and_it_is_told_in_full(show: Shows, app: ColumnsApp) -> None:
    page = show(app.view)
    page.locator("[aria-selected=true]").focus()
    for _ in range(7):
        page.keyboard.press("ArrowDown")
    assert "TEST EDX,EDX" in page.evaluate(_CHOSEN)
    assert page.evaluate("model.get('chosen')") == 7
    detail = page.locator(".virtlab-columns-detail")
    assert detail.locator(".line .op").count() == 10
    assert detail.locator(".op[data-state='put off']").count() == 8
    page.keyboard.press("End")
    assert "RET" in page.evaluate(_CHOSEN)
    box, row = (page.locator(one).bounding_box() for one in (
        ".virtlab-columns-box", "[aria-selected=true]"))  # fmt: skip
    assert box
    assert row
    assert box["y"] <= row["y"] <= box["y"] + box["height"] - row["height"] + 1
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("model.get('chosen')") == 0


def test_pointing_lights_a_row_up_and_a_click_chooses_it(show: Shows, app: ColumnsApp) -> None:
    page = show(app.view)
    row = page.locator(".row", has_text="CDQ")
    colour = "one => getComputedStyle(one).backgroundColor"
    before = row.evaluate(colour)
    row.hover()
    assert row.evaluate(colour) != before
    row.click()
    assert "CDQ" in page.evaluate(_CHOSEN)


def test_jumps_are_drawn_and_the_chosen_ones_are_thicker(show: Shows, app: ColumnsApp) -> None:
    page = show(app.view)
    paths = page.locator(".virtlab-columns-box path")
    assert paths.count() == 3
    page.locator(".row", has_text="JGE prime").click()
    assert page.locator(".virtlab-columns-box path.chosen").count() == 1


def test_without_the_pass_nothing_is_struck_out(show: Shows, app: ColumnsApp) -> None:
    page = show(app.view)
    assert page.locator(".row .flag[data-state='put off']").count() > 3
    app.set(flags=False)
    take(page, app)
    assert page.locator(".row .flag[data-state='put off']").count() == 0
    assert "82 done" in page.locator(".virtlab-columns-bar").inner_text()


@pytest.mark.parametrize("width", [960, 380])
def test_nothing_jumps_when_another_row_is_chosen(show: Shows, app: ColumnsApp, width: int) -> None:
    page = show(app.view, width)
    before = [row.bounding_box() for row in page.locator(".row").all()]
    page.locator(".row").nth(2).click()
    assert [row.bounding_box() for row in page.locator(".row").all()] == before


@pytest.mark.parametrize("width", [960, 380])
def test_assembly_stands_in_its_column_and_all_of_it_below(
    show: Shows, app: ColumnsApp, width: int
) -> None:
    pytest.importorskip("llvmlite")
    app.set(tier="assembly")
    page = show(app.view, width)
    page.locator(".row", has_text="IDIV ESI").click()
    lines = page.locator(".virtlab-columns-detail").inner_text()
    assert re.search(r"^ *\d+  idiv   \w+$", lines, re.MULTILINE)
    assert "jumps say it" in page.locator(".virtlab-columns-legend").inner_text()
    page.locator("summary").click()
    page.wait_for_function("model.get('opened')")
    app.view.opened = True
    take(page, app)
    assert page.locator(".virtlab-columns-whole pre").inner_text().strip().startswith(".intel")
    assert min(page.evaluate(_SIZES)) >= 14
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("width", [960, 380])
def test_text_can_be_read_from_the_back(show: Shows, app: ColumnsApp, width: int) -> None:
    page = show(app.view, width)
    assert min(page.evaluate(_SIZES)) >= 14


def test_a_class_has_a_sign_and_not_only_a_colour(show: Shows) -> None:
    page = show(columns("a kernel sets its flags").set(in_cache=False).view)
    signs = page.locator(".row .sign").all_inner_texts()
    assert signs == ["=", "!", ">"]
    styles = page.locator(".row .sign").evaluate_all(
        "all => all.map(one => getComputedStyle(one).borderTopStyle)"
    )
    assert styles == ["solid", "double", "dashed"]


@pytest.mark.parametrize("width", [366, 292])  # Voila on a phone, and JupyterLab there
@pytest.mark.parametrize("tier", ["wasm", "python"])
def test_on_a_phone_nothing_scrolls_sideways(
    show: Shows, app: ColumnsApp, tier: str, width: int
) -> None:
    app.set(function="the kernel writes a byte", tier=tier)
    for view, box in ((app.view, ".virtlab-columns-box"), (app.answer, ".virtlab-table")):
        page = show(view, width)
        page.wait_for_selector(box)
        wide = page.locator(box).evaluate("one => [one.scrollWidth, one.clientWidth]")
        assert wide[0] <= wide[1], (box, wide)


@pytest.mark.parametrize("width", [366, 292])
def test_on_a_phone_the_costs_fit_too(show: Shows, width: int) -> None:
    page = show(costs_app().answer, width)
    wide = page.locator(".virtlab-table").evaluate("one => [one.scrollWidth, one.clientWidth]")
    assert wide[0] <= wide[1]
