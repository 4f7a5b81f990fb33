"""`virtlab allocate`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main
from virtlab.cli.shares import read_vms
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path


class Virtlab:
    """Runs the command in this process, which saves a second each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["virtlab", "allocate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    return Virtlab(monkeypatch, capsys)


def test_the_talks_case_as_json(virtlab: Virtlab) -> None:
    status, out, err = virtlab("160", "--shares", "1000,2000,1000", "--json")
    assert (status, err) == (0, "")
    assert out.startswith('{"allocation": [40.0, 80.0, 40.0], ')
    assert json.loads(out)["rows"][1]["name"] == "VM2"


def test_words_bounds_names_and_unit(virtlab: Virtlab) -> None:
    status, out, _ = virtlab(
        *("160", "--shares", "normal,high,normal", "--min", "0,0,50", "--max", "10,,"),
        *("--names", "web, db ,mail", "--unit", "MB/s"),
    )
    assert status == 0
    assert "web gets 10, db 100, mail 50 MB/s." in out
    assert "web is held down by its maximum." in out


def test_one_bound_for_all(virtlab: Virtlab) -> None:
    _, out, _ = virtlab("160", "--shares", "1,1", "--max", "30", "--json")
    data = json.loads(out)
    assert (data["allocation"], data["unused"]) == ([30, 30], 100)


def test_vms_from_a_file(virtlab: Virtlab, tmp_path: Path) -> None:
    file = tmp_path / "vms.csv"
    file.write_text("name,shares,min,max\nVM1,,,\nVM2,high,,\nVM3,normal,,\n", encoding="utf-8")
    status, out, _ = virtlab("160", "--vms", str(file), "--json")
    assert status == 0
    assert json.loads(out)["allocation"] == [40, 80, 40]


def test_columns_in_any_order_and_as_a_spreadsheet_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "vms.csv"
    file.write_bytes("\ufeffMaximum, Shares \r\n80,1500\r\n,low\r\n".encode())
    names, shares, low, high = read_vms(file)
    assert names == ["VM1", "VM2"]
    assert shares == [1500, 500]
    assert low == [0, 0]
    assert high == [80, float("inf")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,shares\na,1\nb,much\n", r"vms.csv, line 3, column shares = 'much': must be a num"),
        ("name,shares,min\na,1,-5\n", r"line 2, column min = '-5': must be a number >= 0"),
        ("name,shares,max\na,1,x\n", r"line 2, column max = 'x'"),
        ("name,min,max\na,50,40\n", r"line 2, column min = 50.0: must be at most its max, 40"),
        ("name,weight\na,1\n", r"line 1, column = 'weight': must be name, shares, min or max"),
        ("name,shares,Shares\na,1,2\n", r"column = 'Shares': .* each once"),
        ("name,shares\na,1,9\n", r"line 2 = 'a,1,9': must be a row with 2 columns"),
        ("name,shares\na\n", r"line 2 = 'a': must be a row with 2 columns"),
        ("name,shares\n", "no rows"),
        ("", "a header and a row"),
    ],
)
def test_a_bad_file_is_named_with_line_column_and_value(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "vms.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        read_vms(file)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "vms.csv"
    file.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InvalidInputError, match="a CSV file in UTF-8"):
        read_vms(file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["160"], "--shares = None: must be given, or --vms, and not both"),
        (["160", "--shares", "1", "--vms", "x.csv"], "and not both"),
        (["160", "--vms", "nowhere.csv"], "no file nowhere.csv"),
        (["160", "--vms", "x.csv", "--min", "5"], "--vms = 'x.csv': must be alone"),
        (["160", "--shares", "1,two"], "--shares[1] = 'two'"),
        (["160", "--shares", "1,1", "--min", "1,2,3"], "one number, or 2 with commas"),
        (["160", "--shares", "1,1", "--max", "1,nan"], "--max[1] = 'nan'"),
        (["160", "--shares", "1,1", "--min", "90"], "20 are lacking"),
        (["160", "--shares", "1,1", "--names", "a"], "one name for each of 2 VMs"),
    ],
)
def test_errors_are_one_line_and_status_2(
    virtlab: Virtlab, arguments: list[str], message: str
) -> None:
    status, out, err = virtlab(*arguments)
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_a_seed_is_taken_and_changes_nothing(virtlab: Virtlab) -> None:
    """A script may pass one seed to every model command."""
    plain = virtlab("160", "--shares", "1000,2000", "--json")
    assert virtlab("160", "--shares", "1000,2000", "--seed", "7", "--json") == plain
    assert plain[0] == 0
