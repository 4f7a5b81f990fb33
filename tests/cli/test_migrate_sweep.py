"""`virtlab migrate-sweep`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from virtlab.cli import main
from virtlab.cli.migrate_sweep import read_fleet, read_grid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Virtlab = Callable[..., tuple[int, str, str]]

GRID = """
ram_mib = [64, 128]
pattern = "random"
working_set_pages = 4096
level = "page"
dirty_pages_s = {start = 1000, stop = 100000, count = 3, spacing = "log"}
"""


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["virtlab", "migrate-sweep", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(GRID, encoding="utf-8")
    return path


def test_a_table_is_written_and_the_journal_goes(virtlab: Virtlab, grid: Path) -> None:
    out = grid.with_name("table.csv")
    status, said, _ = virtlab(str(grid), "--out", str(out))
    assert status == 0
    assert "6 configurations" in said
    table = pd.read_csv(out)
    assert table["ram_mib"].tolist() == [64, 64, 64, 128, 128, 128]
    assert table["dirty_pages_s"].tolist() == [1000, 10_000, 100_000] * 2
    assert (table["sent_mib"] >= table["ram_mib"]).all()
    assert table["error"].isna().all()
    assert {path.name for path in grid.parent.iterdir()} == {"grid.toml", "table.csv"}


def test_processes_write_the_same_file(virtlab: Virtlab, grid: Path) -> None:
    one, two = (grid.with_name(f"{n}.csv") for n in (1, 2))
    assert virtlab(str(grid), "--out", str(one), "--seed", "3")[0] == 0
    assert virtlab(str(grid), "--out", str(two), "--seed", "3", "--workers", "2")[0] == 0
    assert one.read_bytes() == two.read_bytes()


def test_a_killed_run_goes_on(virtlab: Virtlab, grid: Path) -> None:
    from virtlab.migration import sweep as module
    from virtlab.migration.points import precopy_point

    out = grid.with_name("table.csv")
    journal = grid.with_name("table.csv.journal")
    whole = module.sweep(module.grid(**read_grid(grid)), precopy_point, journal=journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4])[:-5])
    status, said, _ = virtlab(str(grid), "--out", str(out))
    assert status == 0
    assert "2 were read from the journal" in said
    assert pd.read_csv(out)["total_s"].tolist() == pytest.approx(
        whole.to_frame()["total_s"].tolist(), rel=1e-12
    )


def test_json_has_the_rows(virtlab: Virtlab, grid: Path) -> None:
    status, out, err = virtlab(str(grid), "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert told["configurations"] == len(told["rows"]) == 6
    assert told["rows"][0]["rounds"] >= 1


def test_a_wrong_value_is_a_row_and_a_wrong_name_is_an_error(
    virtlab: Virtlab, tmp_path: Path
) -> None:
    path = tmp_path / "grid.toml"
    path.write_text("ram_mib = [64, -1]\nworking_set_pages = 100")
    status, out, _ = virtlab(str(path), "--json")
    assert status == 0
    assert json.loads(out)["errors"] == 1
    path.write_text("ram = 64")
    status, _, err = virtlab(str(path))
    assert status == 2
    assert "parameter = 'ram': must be one of ram_mib" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ram_mib = ", "a TOML file"),
        ("", "one parameter or more"),
        ("ram_mib = []", "ram_mib = []"),
        ("ram_mib = {start = 1, stop = 2, count = 0}", "ram_mib.count"),
        ("ram_mib = {start = 1, count = 2}", "ram_mib.stop"),
        ("ram_mib = {start = 0, stop = 2, count = 2, spacing = 'log'}", "ram_mib.start"),
        ("ram_mib = {start = 0, stop = 2, count = 2, spacing = 'odd'}", "ram_mib.spacing"),
        ("ram_mib = {begin = 0}", "must be one of start, stop, count, spacing"),
    ],
)
def test_a_bad_file_is_told_in_one_line(
    virtlab: Virtlab, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    status, _, err = virtlab(str(path))
    assert status == 2
    assert words in err
    assert err.count("\n") == 1


def test_missing_things_are_named(virtlab: Virtlab, grid: Path) -> None:
    assert "no file" in virtlab("nowhere.toml")[2]
    status, _, err = virtlab(str(grid), "--out", str(grid.parent / "no" / "table.csv"))
    assert (status, "no folder" in err) == (2, True)
    status, _, err = virtlab(str(grid), "--workers", "0")
    assert (status, "--workers" in err) == (2, True)


def test_without_dask_it_says_what_to_install(
    virtlab: Virtlab, grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, err = virtlab(str(grid), "--dask", "tcp://nowhere:8786")
    assert status == 2
    assert "pip install 'virtlab[scale]'" in err


def test_a_range_has_round_numbers(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text("ram_mib = {start = 1, stop = 1000, count = 4, spacing = 'log'}")
    assert read_grid(path) == {"ram_mib": [1.0, 10.0, 100.0, 1000.0]}


FLEET = """name,ram_mib,filled_mib,pattern,working_set_pages,dirty_pages_s,bandwidth_mib_s
web,2048,1500,random,20000,3000,119
db,8192,,hot,400000,60000,119
,512,64,,,100,119
"""


def test_what_a_fleet_would_cost(virtlab: Virtlab, tmp_path: Path) -> None:
    from virtlab.migration.points import precopy_point

    path = tmp_path / "fleet.csv"
    path.write_text(FLEET)
    status, out, err = virtlab(str(path), "--json")
    assert (status, err) == (0, "")
    rows = json.loads(out)["rows"]
    assert [row["name"] for row in rows] == ["web", "db", "VM3"]
    for machine, row in zip(read_fleet(path), rows, strict=True):
        expected = precopy_point(machine, seed=0).summary()
        assert {name: row[name] for name in expected} == expected
    assert rows[2]["sent_mib"] < 100 < rows[0]["total_s"] * 119
    assert virtlab(str(path))[0] == 0


def test_a_bad_fleet_is_told_by_line(virtlab: Virtlab, tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    for text, words in (
        ("ram_mib\n512\nmuch\n", "fleet.csv, line 3, column ram_mib = 'much'"),
        ("ram\n512\n", "line 1, column = 'ram'"),
        ("ram_mib\n", "a header and a row"),
    ):
        path.write_text(text)
        status, _, err = virtlab(str(path))
        assert status == 2
        assert words in err
    assert "no file" in virtlab("nowhere.csv")[2]
