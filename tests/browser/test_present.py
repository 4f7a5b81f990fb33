"""Every notebook presented by Voila: widgets answer, no code, no solutions, all on the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.browser.hands import move_sliders
from tests.browser.servers import start_voila
from tests.browser.test_lab import CHAPTERS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.reader import Reader
    from tests.browser.servers import Server


@pytest.mark.parametrize("notebook", CHAPTERS)
def test_presented(reader: Reader, voila: Server, course: Path, notebook: str) -> None:
    reader.open_voila(voila, f"/voila/render/{notebook}")
    read(reader, course / notebook)
    reader.leave_voila(voila)


def test_the_course_s_command_presents_one(
    reader: Reader, presented_sample: Server, course: Path
) -> None:
    reader.open_voila(presented_sample)
    read(reader, course / "sample.ipynb")


def test_a_kernel_that_nobody_looks_at_ends(reader: Reader, course: Path, tmp_path: Path) -> None:
    """As when a laptop is closed: the connection goes, and no page says that it is left."""
    # shorter would end it before its page is there
    soon = ("--MappingKernelManager.cull_idle_timeout=20", "--MappingKernelManager.cull_interval=1")
    server = start_voila(course / "sample.ipynb", tmp_path / "voila", *soon)
    try:
        reader.open_voila(server)
        reader.page.locator(".virtlab-app").first.wait_for()
        [kernel] = reader.kernels
        assert server.has_kernel(kernel)
        reader.page.route("**/voila/api/shutdown/**", lambda route: route.abort())
        reader.page.goto("about:blank")
        server.wait(lambda: not server.has_kernel(kernel), "the kernel's end")
    finally:
        server.stop()


def read(reader: Reader, notebook: Path) -> None:
    """Look at a presented notebook, on a projector and on a phone."""
    name = notebook.stem
    reader.page.locator(".virtlab-app").first.wait_for()
    reader.settle()
    for app in reader.widgets()[:1]:
        move_sliders(reader, app)
    assert reader.errors_shown() == []
    assert reader.images_without_alt() == []
    assert reader.page.locator(".jp-InputArea-editor:visible").count() == 0, "code is shown"
    cells = nbformat.read(notebook, as_version=4).cells
    solutions = [cell for cell in cells if "solution" in cell.metadata.get("tags", [])]
    shown = reader.page.locator("#rendered_cells [cell-index]").count()
    assert shown == len(cells) - len(solutions)
    reader.shoot(f"{name}-voila-960")
    reader.page.set_viewport_size({"width": 380, "height": 720})
    reader.settle()
    assert reader.too_wide() == []
    reader.shoot(f"{name}-voila-380")
    assert reader.complaints == []
    assert reader.outside == []
