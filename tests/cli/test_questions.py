"""`virtlab problem` asks and checks; `virtlab grade` prints a table or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from typer.testing import CliRunner

from virtlab.cli import app
from virtlab.course.sheet import load_sheet

if TYPE_CHECKING:
    from pathlib import Path

RUN = CliRunner()


def _json(*arguments: str) -> dict[str, Any]:
    done = RUN.invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    told: dict[str, Any] = json.loads(done.output)
    return told


def test_without_a_name_all_questions_are_listed() -> None:
    told = _json("problem", "welcome")
    assert [row["question"] for row in told["questions"]] == ["equal", "home", "equal_split"]
    done = RUN.invoke(app, ["problem", "0"])
    assert "equal_split" in done.output
    assert "--seed N" in done.output


def test_a_seed_asks_the_same_as_the_notebook() -> None:
    told = _json("problem", "welcome", "equal", "--seed", "7")
    assert told["text"] == load_sheet("welcome")["equal"].problem(7).text
    assert told["seed"] == 7
    assert told == _json("problem", "00", "equal", "--seed", "7")
    assert told != _json("problem", "00", "equal", "--seed", "8")
    assert "right_answer" not in told
    assert "outcome" not in told


def test_the_answer_it_tells_is_right() -> None:
    for seed in ("1", "2", "3"):
        answer = _json("problem", "welcome", "equal", "--seed", seed, "--solve")["right_answer"]
        told = _json("problem", "welcome", "equal", "--seed", seed, "--answer", str(answer))
        assert told["outcome"] == "right"
        key = _json("problem", "welcome", "home", "--seed", seed, "--solve")["right_answer"]
        told = _json("problem", "welcome", "home", "--seed", seed, "--answer", key)
        assert told["outcome"] == "right"
        assert key in told["options"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [("53.3", "✔ Right."), ("53.3 MB/s", "✔ Right."), ("80", "one of two"), ("x", "✘ Not yet.")],
)
def test_an_answer_is_checked(answer: str, said: str) -> None:
    done = RUN.invoke(app, ["problem", "welcome", "equal", "--answer", answer])
    assert done.exit_code == 0
    assert said in done.output


@pytest.mark.parametrize("answer", ["2,667", "2,667 MHz", "2666.67"])
def test_a_number_may_have_its_thousands_apart(answer: str) -> None:
    assert _json("problem", "shares", "vcpus", "--answer", answer)["outcome"] == "right"


def test_code_is_answered_in_the_notebook() -> None:
    told = _json("problem", "welcome", "equal_split", "--solve", "--answer", "[1, 2]")
    assert told["right_answer"] == "see the notebook"
    assert told["outcome"] == "wrong"


@pytest.mark.notebooks
def test_grades_are_a_table_or_json(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook()
    source = "from virtlab.course import welcome as ask\nask.equal.check(160 / 3)"
    notebook.cells = [nbformat.v4.new_code_cell(source)]
    nbformat.write(notebook, tmp_path / "ann.ipynb")
    told = _json("grade", str(tmp_path / "ann.ipynb"))
    assert told["ann"] == 1
    assert told["rows"][0] == {
        "name": "ann",
        "chapter": "welcome",
        "question": "equal",
        "state": "right",
        "tries": 1,
    }
