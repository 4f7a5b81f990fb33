"""Take the README's picture: the course in JupyterLab, in headless Chromium.

    python tools/readme_picture.py

It runs chapter 08 on a copy, scrolls to the scanner's page map, and writes
`notebooks/images/readme.png`. Nothing in the picture is drawn by hand.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the browser tests' reader and servers are used here too

from tests.browser.reader import FLAGS, Reader  # noqa: E402 - found by the line above
from tests.browser.servers import start_lab  # noqa: E402

NOTEBOOK = "08-page-sharing.ipynb"
TARGET = ROOT / "notebooks" / "images" / "readme.png"


def main() -> None:
    """Open the notebook, run it, and keep the part of the page that shows the widget."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        course = Path(folder) / "course"
        course.mkdir()
        shutil.copy(ROOT / "notebooks" / NOTEBOOK, course)
        lab = start_lab(course, Path(folder) / "lab")
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            reader = Reader(page, Path(folder))
            reader.open_lab(lab, NOTEBOOK)
            reader.run_all()
            page.get_by_text("A scanner in a page map").last.scroll_into_view_if_needed()
            app = reader.widgets()[0]
            app.evaluate("one => one.scrollIntoView({block: 'center'})")
            reader.settle()
            TARGET.parent.mkdir(exist_ok=True)
            page.screenshot(path=TARGET)
            browser.close()
        finally:
            lab.stop()
    Image.open(TARGET).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(TARGET)
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
