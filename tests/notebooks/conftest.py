"""A notebook that keeps all rules, to be broken one rule at a time; and nbval as we run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tools import notebooks

if TYPE_CHECKING:
    from collections.abc import Callable

_EXERCISE = """
```{{code-cell}} ipython3
ask.{name}
```

```{{code-cell}} ipython3
answer = ...
ask.{name}.check(answer)
```

Solution (unfold)

```{{code-cell}} ipython3
:tags: [solution]

ask.{name}.solution({value})
```
"""
_FIGURE = """
```{code-cell} ipython3
from virtlab.plots import style

def draw(figure):
    style.finish(figure.subplots(), "Half each", "Two bars, 80 MB/s each.")

style.draw_on(None, draw)
```

```{code-cell} ipython3
allocate(160, shares=[1000, 2000, 1000])
```
"""
_START = """# Halve a disk

- **You will do**: a little.
- **You will learn**: little.
- **You need**: nothing.
- **Time**: 1 minute.

```{code-cell} ipython3
from types import SimpleNamespace
from virtlab.course import Numeric
from virtlab.resources import allocate

def half(n):
    return Numeric(name=f"q{n}", text="Half?", solve=lambda: allocate(n, [1, 1]).allocation[0])

ask = SimpleNamespace(**{f"q{n}": half(n) for n in range(6)})
```
"""


def sample_text() -> str:
    """Return the text of a notebook that keeps every rule."""
    exercises = "".join(_EXERCISE.format(name=f"q{n}", value=n / 2) for n in range(6))
    inside = {"The model": _FIGURE, "Exercises": exercises}
    sections = (f"\n## {name}\n{inside.get(name, '')}" for name in notebooks.SECTIONS)
    return _START + "".join(sections)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Build that notebook once; return it as stored."""
    folder = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as patch:
        _use(folder, patch)
        (notebooks.TEXT / "99-half.md").write_text(sample_text(), encoding="utf-8")
        assert notebooks.build("99-half") == 0
        return nbformat.read(notebooks.NOTEBOOKS / "99-half.ipynb", as_version=4)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder of notebooks, and let the build script work there."""
    _use(tmp_path, monkeypatch)
    return tmp_path


def _use(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(notebooks, "NOTEBOOKS", folder)
    patch.setattr(notebooks, "TEXT", folder / "text")
    patch.setattr(notebooks, "ROOT", folder)
    patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    notebooks.TEXT.mkdir()


@pytest.fixture
def nbval(root: Path) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Compare a notebook's stored outputs with new ones, offline, as CI does."""
    path = os.pathsep.join([str(root / "tools" / "offline"), os.environ.get("PYTHONPATH", "")])
    environment = {**notebooks.environment(), "PYTHONPATH": path}

    def run(notebook: Path) -> subprocess.CompletedProcess[str]:
        settings = ("-c", str(root / "tests/notebooks/nbval.ini"), f"--rootdir={notebook.parent}")
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *settings, str(notebook)],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
