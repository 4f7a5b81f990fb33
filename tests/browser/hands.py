"""What a reader's hands do to a widget, by keys alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import ElementHandle

    from tests.browser.reader import Reader


def move_sliders(reader: Reader, app: ElementHandle) -> None:
    """Move each slider: a new picture each time; at one place at least, other words too."""
    place = reader.place(app)
    for slider in app.query_selector_all("input[type=range], [role=slider]"):
        words = reader.state(app)["words"]
        at_end = slider.evaluate("one => Number(one.value) >= Number(one.max)")
        state = reader.press(app, slider, "ArrowLeft" if at_end else "ArrowRight")
        if state["words"] == words:  # a step may be too small to matter: go further
            state = reader.press(app, slider, "Home" if at_end else "End")
        if state["words"] == words:
            state = reader.press(app, slider, "End" if at_end else "Home")
        assert state["words"] != words, slider.evaluate("one => one.outerHTML")
        assert reader.place(app) == place, "the picture jumped"


def move_others(reader: Reader, app: ElementHandle) -> None:
    """Change each drop-down and check box."""
    for choice in app.query_selector_all("select"):
        last = choice.evaluate("one => one.selectedIndex === one.options.length - 1")
        reader.press(app, choice, "ArrowUp" if last else "ArrowDown")
    for box in app.query_selector_all("input[type=checkbox]"):
        reader.press(app, box, "Space")
