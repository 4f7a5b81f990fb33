"""Every notebook gives what it stores; and a number that differs is really seen."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tools import notebooks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Nbval = Callable[[Path], subprocess.CompletedProcess[str]]

NAMES = sorted(path.stem for path in notebooks.NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.notebooks
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_gives_what_it_stores(name: str, nbval: Nbval) -> None:
    done = nbval(notebooks.NOTEBOOKS / f"{name}.ipynb")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def _change(notebook: Any, mime: str, old: str, new: str) -> Any:
    """Return a copy in which one stored output differs; fail if there is none such."""
    changed = copy.deepcopy(notebook)
    outputs = [output for cell in changed.cells for output in cell.get("outputs", [])]
    for output in outputs:
        stored = output.get("data", {}).get(mime, "")
        if re.search(old, stored):
            output["data"][mime] = re.sub(old, new, stored, count=1)
            return changed
    raise AssertionError(f"no {old!r} in {mime}")


TABLE = ("text/html", r">80(\.0*)?</td>", ">81</td>")
ALT = ("text/plain", "80 MB/s each", "81 MB/s each")
ALT_IN_HTML = ("text/html", "80 MB/s each", "81 MB/s each")
VERDICT = ("text/plain", "Not answered", "Right")
PIXELS = ("text/html", r"(base64,)[A-Za-z0-9]{9}", r"\g<1>AAAAAAAAA")
PNG = ("image/png", r"^[A-Za-z0-9]{9}", "AAAAAAAAA")


@pytest.mark.notebooks
@pytest.mark.parametrize(
    ("changes", "failed_cells"),
    [((TABLE, ALT, VERDICT), "3 failed"), ((ALT_IN_HTML,), "1 failed"), ((PIXELS, PNG), "")],
)
def test_a_changed_number_is_seen_and_changed_pixels_are_not(
    changes: tuple[tuple[str, str, str], ...],
    failed_cells: str,
    sample: Any,
    tmp_path: Path,
    nbval: Nbval,
) -> None:
    notebook = sample
    for change in changes:
        notebook = _change(notebook, *change)
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    done = nbval(tmp_path / "changed.ipynb")
    assert failed_cells in done.stdout
    assert (done.returncode != 0) == bool(failed_cells)


def test_notebooks_run_without_a_network() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=notebooks.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no network here" in done.stderr
    code = "import socket; socket.getaddrinfo('localhost', 80); socket.getaddrinfo('a.example', 80)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=notebooks.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "asks for a.example" in done.stderr
