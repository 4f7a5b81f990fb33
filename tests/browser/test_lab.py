"""Every notebook in JupyterLab: it runs, its controls answer to keys, all stays on the machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.hands import move_others, move_sliders

if TYPE_CHECKING:
    from tests.browser.reader import Reader
    from tests.browser.servers import Server

_FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
CHAPTERS = sorted(path.name for path in _FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("notebook", [*CHAPTERS, "sample.ipynb"])
def test_notebook(lab_reader: Reader, lab: Server, notebook: str) -> None:
    name, reader = Path(notebook).stem, lab_reader
    reader.open_lab(lab, notebook)
    if notebook in CHAPTERS:  # what is stored is there before anything has run
        reader.page.locator(".jp-OutputArea img").first.wait_for()
        assert reader.errors_shown() == []
        assert reader.images_without_alt() == []
        assert reader.broken_images() == []
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
    reader.leave_lab(lab)


def test_dark_theme_can_be_read(lab_reader: Reader, lab: Server) -> None:
    """Words stand out from the page by 4.5 to 1, and a picture stays on white."""
    reader = lab_reader
    reader.open_lab(lab, "sample.ipynb")
    set_theme = "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
    reader.page.evaluate(set_theme, "JupyterLab Dark")
    reader.page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    try:
        reader.run_all()
        for place in (".virtlab-sentence", ".virtlab-control label", ".virtlab-pagemap-words"):
            colour = reader.page.locator(place).first.evaluate("one => getComputedStyle(one).color")
            page = reader.page.locator(".jp-Notebook").evaluate(
                "one => getComputedStyle(one).backgroundColor"
            )
            assert contrast(colour, page) > 4.5, (place, colour, page)
        background = reader.page.locator("img.virtlab-picture").first.evaluate(
            "one => getComputedStyle(one).backgroundColor"
        )
        assert background == "rgb(255, 255, 255)"
        reader.shoot("sample-dark")
        reader.page.locator(".virtlab-pagemap").first.screenshot(
            path=reader.shots / "sample-dark-map.png"
        )
    finally:
        reader.page.evaluate(set_theme, "JupyterLab Light")
    reader.page.locator("body[data-jp-theme-light=true]").wait_for(state="attached")
    assert reader.complaints == []
    reader.leave_lab(lab)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two CSS colours by WCAG 2.2."""

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in channels
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
