"""JupyterLab, Voila and a headless Chromium, each started once for all browser tests."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import jupytext
import nbformat
import pytest

from tests.browser.alone import Shows
from tests.browser.reader import FLAGS, SIZE, Desk, Reader
from tests.browser.servers import Server, start_lab, start_voila

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this folder."""
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    reason = "no Chromium here: 'apt install chromium' as root, or 'python3 start.py test' does it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    path = _chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def show(browser: Browser) -> Iterator[Shows]:
    """Return what opens a view in a page of its own."""
    shows = Shows(browser)
    yield shows
    shows.close()


@pytest.fixture(scope="session")
def course(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the notebooks, so that nothing a test does stays; add the sample."""
    folder = tmp_path_factory.mktemp("course")
    for notebook in root.glob("notebooks/*.ipynb"):
        shutil.copy(notebook, folder)
    sample = jupytext.read(root / "tests" / "browser" / "sample.md")
    nbformat.write(sample, folder / "sample.ipynb")
    return folder


@pytest.fixture(scope="session")
def lab(
    browser: Browser, course: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Start JupyterLab on the copy."""
    server = start_lab(course, tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def voila(
    browser: Browser, course: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Start Voila on the copy."""
    home = tmp_path_factory.mktemp("voila")
    server = start_voila(course / "sample.ipynb", home, whole_folder=True)
    yield server
    server.stop()


@pytest.fixture
def presented_sample(browser: Browser, course: Path, tmp_path: Path) -> Iterator[Server]:
    """Present the sample alone, by the course's own command."""
    server = start_voila(course / "sample.ipynb", tmp_path / "voila")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shots(root: Path) -> Path:
    """Return where pictures of pages are kept."""
    return root / ".artifacts" / "screenshots"


@pytest.fixture
def reader(browser: Browser, shots: Path) -> Iterator[Reader]:
    """Open an empty page."""
    context = browser.new_context(viewport=SIZE)
    yield Reader(context.new_page(), shots)
    context.close()


@pytest.fixture(scope="session")
def desk(browser: Browser, shots: Path) -> Iterator[Desk]:
    """Keep a page on which JupyterLab is loaded once."""
    desk = Desk(browser, shots)
    yield desk
    desk.close()


@pytest.fixture
def lab_reader(desk: Desk) -> Reader:
    """Return a reader whose page may have JupyterLab already; a test that succeeds leaves it."""
    return desk.reader()
