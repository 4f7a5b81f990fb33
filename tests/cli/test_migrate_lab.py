"""`virtlab migrate-lab`: a table, JSON, and plain words where it can't run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tests.migration.lab.examples import record
from virtlab.cli import app
from virtlab.migration.lab import lab
from virtlab.migration.lab.cells import Cell, grid
from virtlab.migration.lab.record import Record, append, read
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = CliRunner()


@pytest.fixture
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(cell: Cell, accelerator: str, *, seed: int, timeout_s: float) -> Record:
        return record(cell=cell)

    monkeypatch.setattr(lab, "measure", measure)
    monkeypatch.setattr(lab, "why_not", lambda: "")


@pytest.mark.usefixtures("_measured")
def test_it_prints_a_row_for_each_run_and_a_sentence() -> None:
    result = RUNNER.invoke(app, ["migrate-lab"])
    assert result.exit_code == 0
    for cell in grid("small"):
        assert cell.run_id in result.stdout
    assert "6 of 6 migrations completed, 6 of 6 on a calm machine." in result.stdout
    assert "predicted_total_s" in result.stdout


@pytest.mark.usefixtures("_measured")
def test_json_and_the_file_hold_the_same_runs(tmp_path: Path) -> None:
    out = tmp_path / "lab.csv"
    result = RUNNER.invoke(app, ["migrate-lab", "--json", "--out", str(out), "--seed", "3"])
    answer = json.loads(result.stdout)
    assert answer["migrations"] == 6
    assert answer["convergence_right_pct"] > 0
    assert [row["run_id"] for row in answer["rows"]] == [row.run_id for row in read(out)]


def test_the_stored_runs_need_no_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = RUNNER.invoke(app, ["migrate-lab", "--stored", "--json"])
    answer = json.loads(result.stdout)
    assert answer["migrations"] == len(answer["rows"]) == 84
    assert answer["total_error_pct_median"] < 1
    assert "predicted_total_s" in answer["rows"][0]


def test_without_qemu_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = RUNNER.invoke(app, ["migrate-lab"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("The home lab needs QEMU")
    assert "apt install qemu-system-x86" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--cells", "huge"], "cells"),
        (["--accelerator", "hvf"], "accelerator"),
        (["--attempts", "0"], "attempts"),
    ],
)
def test_bad_input_is_named(arguments: list[str], field: str) -> None:
    result = RUNNER.invoke(app, ["migrate-lab", *arguments])
    assert isinstance(result.exception, InvalidInputError)
    assert result.exception.field == field


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "diary.csv"
    out.write_text("day,what\n1,rain\n")
    result = RUNNER.invoke(app, ["migrate-lab", "--out", str(out)])
    assert isinstance(result.exception, InvalidInputError)
    assert out.read_text() == "day,what\n1,rain\n"


def test_a_full_file_needs_no_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    out = tmp_path / "lab.csv"
    for cell in grid("small"):
        append(out, record(cell=cell))
    assert RUNNER.invoke(app, ["migrate-lab", "--out", str(out)]).exit_code == 0
