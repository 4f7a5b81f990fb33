"""Grading reads what a student answered, whatever else the notebook does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import nbformat
import pytest

from virtlab.course.grading import Grade, Grades, grade
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

ASK = "from virtlab.course import welcome as ask"


def _hand_in(folder: Path, name: str, *cells: str, solution: str = "") -> Path:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    if solution:
        cell = nbformat.v4.new_code_cell(solution)
        cell.metadata["tags"] = ["solution"]
        notebook.cells.append(cell)
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def _states(one: Grade) -> dict[str, str]:
    return {row["question"]: row["state"] for row in one.rows}


@pytest.mark.notebooks
def test_right_wrong_and_unanswered_are_told_apart(tmp_path: Path) -> None:
    ann = _hand_in(
        tmp_path,
        "ann",
        ASK,
        "ask.equal.check(12)",
        "ask.equal.check(160 / 3)",
        'ask.home.check("a")',
        "1 / 0",
        "def f(capacity, vms): ...\nask.equal_split.check(f)",
        solution='ask.home.check("c")',
    )
    before = ann.read_bytes()
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{}", encoding="utf-8")
    none = _hand_in(tmp_path, "none", "1 + 1")
    grades = grade([ann, broken, none])
    assert _states(grades.grades[0]) == {
        "equal": "right",
        "home": "wrong",
        "equal_split": "not answered",
    }
    assert grades.to_frame()["tries"].tolist() == [2, 1, 0]
    assert grades.summary() == {"notebooks": 3, "ann": 1, "broken": 0, "none": 0}
    assert grades.explain() == (
        "ann: 1 of 3 right. broken: This is not a notebook. none: It holds no questions that ran."
    )
    assert ann.read_bytes() == before


@pytest.mark.notebooks
def test_a_loop_without_end_and_a_dead_python_stop_no_one(tmp_path: Path) -> None:
    loop = _hand_in(tmp_path, "loop", ASK, "ask.equal.check(160 / 3)", "while True: pass")
    dead = _hand_in(tmp_path, "dead", ASK, "import os\nos._exit(1)")
    grades = grade([loop, dead], seconds=6)
    assert _states(grades.grades[0])["equal"] == "right"
    assert grades.grades[1] == Grade("dead", trouble="Its Python died while it ran.")


def test_a_missing_notebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no notebook .*gone\.ipynb"):
        grade([tmp_path / "gone.ipynb"])
    with pytest.raises(InvalidInputError, match="seconds"):
        grade([], seconds=0)


def test_no_notebooks_are_an_empty_table() -> None:
    assert Grades(()).to_frame().empty
    assert Grades(()).summary() == {"notebooks": 0}


def test_two_students_may_hand_in_files_of_one_name(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ann", "bob")]
    for folder in folders:
        folder.mkdir()
        (folder / "05-shares.ipynb").write_text("no notebook", encoding="utf-8")
    grades = grade([folder / "05-shares.ipynb" for folder in folders])
    names = [(folder / "05-shares").as_posix() for folder in folders]
    assert [one.name for one in grades.grades] == names
    assert grades.to_json()["trouble"] == dict.fromkeys(names, "This is not a notebook.")


@pytest.mark.notebooks
def test_ctrl_c_ends_the_grading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_client: object, **_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr("nbclient.NotebookClient.execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grade([_hand_in(tmp_path, "ann", ASK)])
