"""The tool that measures the ways: a row for each run, and what came out can be read back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tools import measure_ways
from virtlab.datasets import ways as stored_runs
from virtlab.machine.comparison import Comparison, Sample

if TYPE_CHECKING:
    from pathlib import Path


def made(program: str, missing: dict[str, str] | None = None) -> Comparison:
    runs = (Sample(1000, 0.25, 3, 0.125), Sample(1000, 0.5, 3, 0.125))
    return Comparison(program, {"native": runs, "direct": runs}, missing or {}, "a machine")


def test_a_row_for_each_run_with_the_columns_of_what_is_stored() -> None:
    rows = pd.DataFrame(measure_ways.rows(made("sieve")))
    assert list(rows.columns) == list(stored_runs().columns)
    assert rows["turn"].tolist() == [0, 1, 0, 1]
    assert rows["seconds"].tolist() == [0.25, 0.5, 0.25, 0.5]


def test_it_writes_what_it_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure_ways, "compare", lambda name, **_: made(name))
    words = ["measure_ways", "--programs", "sieve", "crc32", "--into", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    measure_ways.main()
    table = pd.read_csv(tmp_path / "ways.csv")
    assert table.groupby("program").size().to_dict() == {"crc32": 4, "sieve": 4}
    assert "sieve on a machine" in capsys.readouterr().out


def test_programs_that_were_not_measured_stay_as_they_are_in_the_order_of_the_course(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = stored_runs()
    before.to_csv(tmp_path / "ways.csv", index=False)
    monkeypatch.setattr(measure_ways, "compare", lambda name, **_: made(name))
    words = ["measure_ways", "--programs", "crc32", "--into", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    measure_ways.main()
    table = pd.read_csv(tmp_path / "ways.csv")
    others = table[table["program"] != "crc32"].reset_index(drop=True)
    assert others.equals(before[before["program"] != "crc32"].reset_index(drop=True))
    assert table["program"].unique().tolist() == measure_ways.NAMES
    assert table.groupby("program").size()["crc32"] == 4


def test_it_stores_nothing_where_a_way_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = {"translated": "there is no QEMU here"}
    monkeypatch.setattr(measure_ways, "compare", lambda name, **_: made(name, missing))
    words = ["measure_ways", "--programs", "sieve", "--into", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="no QEMU"):
        measure_ways.main()
    assert not (tmp_path / "ways.csv").exists()
