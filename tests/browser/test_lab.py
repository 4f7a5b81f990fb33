"""Every notebook in JupyterLab: it runs, its controls answer to keys, all stays on the machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import ElementHandle

    from tests.browser.reader import Reader
    from tests.browser.servers import Server

_FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
CHAPTERS = sorted(path.name for path in _FOLDER.glob("*.ipynb"))


def move_sliders(reader: Reader, app: ElementHandle) -> None:
    """Move each slider: a new picture each time; at one place at least, other words too."""
    sliders = app.query_selector_all("input[type=range], [role=slider]")
    for slider in sliders:
        words = reader.state(app)["words"]
        at_end = slider.evaluate("one => Number(one.value) >= Number(one.max)")
        state = reader.press(app, slider, "ArrowLeft" if at_end else "ArrowRight")
        if state["words"] == words:  # a step may be too small to matter: go further
            state = reader.press(app, slider, "Home" if at_end else "End")
        if state["words"] == words:
            state = reader.press(app, slider, "End" if at_end else "Home")
        assert state["words"] != words, slider.evaluate("one => one.outerHTML")


def move_others(reader: Reader, app: ElementHandle) -> None:
    """Change each drop-down and check box."""
    for choice in app.query_selector_all("select"):
        last = choice.evaluate("one => one.selectedIndex === one.options.length - 1")
        reader.press(app, choice, "ArrowUp" if last else "ArrowDown")
    for box in app.query_selector_all("input[type=checkbox]"):
        reader.press(app, box, "Space")


@pytest.mark.parametrize("notebook", [*CHAPTERS, "sample.ipynb"])
def test_notebook(reader: Reader, lab: Server, notebook: str) -> None:
    name = Path(notebook).stem
    reader.open_lab(lab, notebook)
    reader.run_all()
    assert reader.errors_shown() == []
    for app in reader.widgets():
        move_sliders(reader, app)
        move_others(reader, app)
    assert reader.images_without_alt() == []
    assert reader.controls_without_name() == []
    assert reader.too_wide() == []
    reader.shoot(f"{name}-960")
    reader.page.set_viewport_size({"width": 380, "height": 720})
    reader.settle()
    assert reader.too_wide() == []
    reader.shoot(f"{name}-380")
    assert reader.errors_shown() == []
    assert reader.complaints == []
    assert reader.outside == []
