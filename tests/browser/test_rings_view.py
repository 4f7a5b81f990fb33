"""The stepper alone in a page: rings, code, registers; back is where one came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.alone import Shows, state
from virtlab.widgets.rings import table
from virtlab.widgets.rings_walk import AttemptWalk, KernelWalk, Walk

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SEEN = "() => document.querySelector('.virtlab-stepper').innerText"
_STRIP = "() => document.querySelector('.virtlab-stepper-strip').toDataURL()"
_RUNNING = "() => document.getAnimations().length"


@pytest.fixture(scope="module")
def kernel() -> KernelWalk:
    return KernelWalk()


def go(page: Page, walk: Walk, number: int) -> str:
    """Let the kernel go to a step, and return all words that the page shows then."""
    walk.set(step=number)
    page.evaluate("state => model.take(state)", state(walk.view))
    return str(page.evaluate(_SEEN))


def moving(page: Page, walk: Walk, number: int) -> int:
    """Let the kernel go to a step, and return how many parts begin to move."""
    walk.set(step=number)
    taken = f"state => {{ model.take(state); return ({_RUNNING})(); }}"
    return int(page.evaluate(taken, state(walk.view)))


@pytest.mark.parametrize("width", [960, 380])
def test_it_shows_ring_code_registers_gate_and_stack(
    show: Shows, kernel: KernelWalk, width: int
) -> None:
    kernel.set(step=24_289)
    page = show(kernel.view, width)
    words = page.evaluate(_SEEN)
    for one in ("int 0x80 leads from ring 3 to ring 0", "system_call_entry:", "▶", "PUSH 0x0",
                "◆ CS", "was 0x1b", "IDT 0x80", "TSS ring 0", "Left on the stack"):  # fmt: skip
        assert one in words, one
    assert page.locator("[aria-current=step]").inner_text().split()[1] == "0x100318"
    assert page.locator("svg [data-state=here]").get_attribute("data-ring") == "0"
    assert [page.locator(f"svg [data-ring='{n}']").get_attribute("data-state") for n in (1, 2)] == [
        "unused", "unused",
    ]  # fmt: skip
    assert "ring 0" in (page.get_by_role("img").get_attribute("aria-label") or "")
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_back_shows_what_was_there_before(show: Shows, kernel: KernelWalk) -> None:
    kernel.set(step=24_286)
    page = show(kernel.view)
    seen = {number: go(page, kernel, number) for number in range(24_286, 24_294)}
    assert len(set(seen.values())) == len(seen)
    for number in reversed(seen):
        assert go(page, kernel, number) == seen[number]


def test_an_arrow_moves_when_the_ring_changes_and_only_then(
    show: Shows, kernel: KernelWalk
) -> None:
    kernel.set(step=24_288)
    page = show(kernel.view)
    assert moving(page, kernel, 24_289) == 2  # the processor, and the arrow
    page.wait_for_function("() => document.getAnimations().length === 0")
    assert moving(page, kernel, 24_290) == 0


def test_without_motion_nothing_moves(show: Shows, kernel: KernelWalk) -> None:
    kernel.set(step=24_288)
    page = show(kernel.view, reduced_motion="reduce")
    assert moving(page, kernel, 24_289) == 0


@pytest.mark.parametrize("width", [960, 380])
def test_one_may_point_at_a_moment_of_the_run(show: Shows, kernel: KernelWalk, width: int) -> None:
    page = show(kernel.view, width)
    before = page.evaluate(_STRIP)
    strip = page.locator(".virtlab-stepper-strip")
    box = strip.bounding_box()
    assert box
    strip.click(position={"x": box["width"] / 2, "y": 40})
    number = page.evaluate("model.get('asked').number")
    assert 0.4 * kernel.ride.last < number < 0.6 * kernel.ride.last
    go(page, kernel, number)
    assert page.evaluate(_STRIP) != before


@pytest.mark.parametrize("width", [960, 380])
def test_nothing_jumps_from_step_to_step(show: Shows, kernel: KernelWalk, width: int) -> None:
    kernel.set(step=0)
    page = show(kernel.view, width)
    places: list[Any] = []
    for number in (0, 791, 9_695, 24_289, 93_215, kernel.ride.last):
        go(page, kernel, number)
        places.append(
            [page.locator(f".virtlab-stepper-{one}").bounding_box()
             for one in ("rings", "code", "registers", "tables", "stack")]
        )  # fmt: skip
    assert all(place == places[0] for place in places)


def test_what_does_not_trap_is_marked_by_a_sign(show: Shows) -> None:
    walk = AttemptWalk().set(ring=1)
    walk.controls["code"].typed = "0f01e0"
    page = show(walk.view)
    words = go(page, walk, 1)
    assert "SMSW at ring 1, and no trap" in words
    assert page.locator("svg .how").text_content() == "⚠ no trap"


@pytest.mark.parametrize("width", [960, 380])
def test_text_can_be_read_from_the_back(show: Shows, kernel: KernelWalk, width: int) -> None:
    kernel.set(step=93_215)
    page = show(kernel.view, width)
    sizes = page.evaluate(
        "() => [...document.querySelectorAll('.virtlab-stepper *')]"
        ".filter(one => [...one.childNodes].some(part => part.nodeType === 3 && part.data.trim()))"
        ".map(one => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 14


@pytest.mark.parametrize("width", [960, 380])
def test_a_cell_of_the_table_can_be_pointed_at(show: Shows, width: int) -> None:
    app = table()
    app.picture.narrow = width == 380
    page = show(app.picture, width)
    image = page.locator("img.virtlab-picture[data-version]")
    image.wait_for()
    box = image.bounding_box()
    assert box
    image.click(position={"x": box["width"] / 4, "y": box["height"] / 2})
    picked = page.evaluate("model.get('picked')")
    assert abs(picked["x"] - 0.25) < 0.01
    assert abs(picked["y"] - 0.5) < 0.01
