"""Every notebook keeps the rules; and each rule, when broken, is named."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tests.notebooks.conftest import sample_text
from tools import notebooks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = sorted(path.stem for path in notebooks.TEXT.glob("*.md"))


@pytest.mark.parametrize("name", NAMES)
def test_text_and_notebook_keep_the_rules(name: str) -> None:
    assert notebooks.check(name) == []


def test_each_notebook_has_its_text() -> None:
    assert sorted(path.stem for path in notebooks.NOTEBOOKS.glob("*.ipynb")) == NAMES


def _cell(notebook: Any, part: str) -> Any:
    return next(cell for cell in notebook.cells if part in cell.source)


def _figure(notebook: Any) -> Any:
    return next(out for out in _cell(notebook, "def draw").outputs if "image/png" in out.data)


def _edit_source(notebook: Any) -> None:
    _cell(notebook, "Halve a disk").source += "\nEdited in the notebook alone."


def _drop_tag(notebook: Any) -> None:
    _cell(notebook, "solution(").metadata.pop("tags")


def _unfold(notebook: Any) -> None:
    _cell(notebook, "solution(").metadata.pop("jupyter")


def _drop_cell(notebook: Any) -> None:
    notebook.cells.pop()


def _not_executed(notebook: Any) -> None:
    _cell(notebook, "def half").execution_count = None


def _error(notebook: Any) -> None:
    output = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    _cell(notebook, "def half").outputs = [output]


def _warning(notebook: Any) -> None:
    output = nbformat.v4.new_output("stream", name="stderr", text="a warning")
    _cell(notebook, "def half").outputs = [output]


def _live_view(notebook: Any) -> None:
    _figure(notebook).data["application/vnd.jupyter.widget-view+json"] = {}


def _own_path(notebook: Any) -> None:
    output = nbformat.v4.new_output("stream", name="stdout", text="read /home/someone/data.csv")
    _cell(notebook, "def half").outputs = [output]


def _no_alt(notebook: Any) -> None:
    _figure(notebook).metadata["image/png"]["alt"] = " "


def _no_alt_html(notebook: Any) -> None:
    figure = _figure(notebook)
    figure.data["text/html"] = figure.data["text/html"].replace("alt=", "title=")


def _answered(notebook: Any) -> None:
    _cell(notebook, "ask.q3.check").outputs = []


@pytest.mark.notebooks
@pytest.mark.parametrize(
    ("break_rule", "said"),
    [
        (_edit_source, "differs from the text"),
        (_drop_tag, "differs from the text"),
        (_unfold, "differs from the text"),
        (_drop_cell, "cells, notebook"),
        (_not_executed, "was not executed"),
        (_error, "ends in ValueError"),
        (_warning, "writes to stderr"),
        (_live_view, "stores a live view"),
        (_own_path, "absolute path"),
        (_no_alt, "image without alt text"),
        (_no_alt_html, "<img> without alt text"),
        (_answered, "does not start as 'Not answered yet'"),
    ],
)
def test_a_broken_notebook_is_named(
    break_rule: Callable[[Any], None], said: str, sample: Any, shelf: Path
) -> None:
    notebook = copy.deepcopy(sample)
    break_rule(notebook)
    (shelf / "text" / "99-half.md").write_text(sample_text(), encoding="utf-8")
    nbformat.write(notebook, shelf / "99-half.ipynb")
    assert said in "\n".join(notebooks.check("99-half"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## Try it", "## Play", "no section '## Try it'"),
        ("## Try it", "## Look inside\n\n## Try it", "another order"),
        ("# Halve a disk", "Halve a disk", "not exactly one title"),
        ("**You need**", "You need", "no '**You need**'"),
        ("Solution (unfold)", "Solved", "no line 'Solution (unfold)'"),
        ("ask.q5.solution(2.5)", "2.5", "exercise q5 has no solution"),
        ("ask.q5.check(answer)", "answer", "solution of q5, which is not asked"),
        ("ask.q5.check(answer)", "answer", "5 exercises, at least 6"),
    ],
)
def test_a_text_that_breaks_a_rule_is_named(old: str, new: str, said: str, shelf: Path) -> None:
    text = sample_text()
    assert old in text
    (shelf / "text" / "99-half.md").write_text(text.replace(old, new), encoding="utf-8")
    notebook = notebooks.from_text("99-half")
    found = notebooks.section_problems(notebook) + notebooks.exercise_problems(notebook)
    assert said in "\n".join(found)


def test_a_cell_keeps_its_id_when_others_change(shelf: Path) -> None:
    path = shelf / "text" / "99-half.md"
    path.write_text(sample_text(), encoding="utf-8")
    before = {cell.source: cell.id for cell in notebooks.from_text("99-half").cells}
    path.write_text(sample_text().replace("# Halve a disk", "# Halve the disk"), encoding="utf-8")
    after = {cell.source: cell.id for cell in notebooks.from_text("99-half").cells}
    same = set(before) & set(after)
    assert len(same) == len(before) - 1
    assert all(before[source] == after[source] for source in same)
    ids = [cell.id for cell in notebooks.from_text("99-half").cells]
    assert len(ids) == len(set(ids))


def test_a_solution_and_its_line_can_be_left_out_together(shelf: Path) -> None:
    path = shelf / "text" / "99-half.md"
    path.write_text(sample_text().replace("\nSolution (", "\nTry.\n\nSolution ("), encoding="utf-8")
    cells = notebooks.from_text("99-half").cells
    left = "\n".join(cell.source for cell in cells if "solution" not in notebooks.tags(cell))
    assert "olution" not in left
    assert left.count("Try.") == 6
    folded = [cell for cell in cells if cell.get("metadata", {}).get("jupyter")]
    assert len(folded) == 6
    assert all(cell.source.splitlines()[0] == "# Solution" for cell in folded)


def test_a_new_text_has_all_sections_and_is_not_overwritten(shelf: Path) -> None:
    assert notebooks.new("77-new-topic") == 0
    text = (shelf / "text" / "77-new-topic.md").read_text(encoding="utf-8")
    assert all(f"## {section}" in text for section in notebooks.SECTIONS)
    assert "from virtlab.course import new_topic as ask" in text
    assert notebooks.new("77-new-topic") == 1


def test_a_text_without_a_notebook_is_named(shelf: Path) -> None:
    (shelf / "text" / "99-half.md").write_text(sample_text(), encoding="utf-8")
    assert notebooks.check("99-half") == ["there is no notebook: build it"]
