"""`virtlab memory`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "name,min_mib,max_mib,vcpus\n"
SLIDE = HEADER + "VM1,512,512,2\nVM2,512,512,2\nVM3,512,512,2\n"


class Virtlab:
    """Runs the command in this process, which saves a second each."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._file = folder / "vms.csv"

    def __call__(self, content: str, *arguments: str) -> tuple[int, str, str]:
        self._file.write_text(content, encoding="utf-8")
        line = ["virtlab", "memory", "admit", "--vms", str(self._file), *arguments]
        self._monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def admit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Virtlab:
    return Virtlab(monkeypatch, capsys, tmp_path)


def test_the_talks_slide_as_json(admit: Virtlab) -> None:
    status, out, err = admit(SLIDE, "--host-mib", "2048", "--json")
    assert (status, err) == (0, "")
    data = json.loads(out)
    assert (data["talk_mib"], data["guide_mib"]) == (2036.2, 2047.7)
    assert data["fits"] == ["VM1", "VM2", "VM3"]
    assert data["lacks"] == []
    assert data["console_mib"] == 192


def test_what_lacks_is_said(admit: Virtlab) -> None:
    status, out, _ = admit(SLIDE, "--host-mib", "1024", "--console-mib", "200", "--json")
    assert status == 0
    data = json.loads(out)
    assert data["fits"] == ["VM1"]
    assert data["lacks"] == [
        {"name": "VM2", "ram_mib": 576 - (800 - 576), "swap_mib": 0},
        {"name": "VM3", "ram_mib": 576 - (800 - 576), "swap_mib": 0},
    ]
    assert data["guide_fits"] is False
    assert data["guide_lacks_mib"] == pytest.approx(2047.68 + 8 - 1024)


def test_a_table_and_sentences_for_people(admit: Virtlab) -> None:
    status, out, _ = admit(SLIDE, "--host-mib", "1024")
    assert status == 0
    assert "lacks_ram_mib" in out
    assert "VM1 starts" in out
    assert "VM2 doesn't: it lacks 344 MB of memory." in out


def test_swap_and_columns_in_any_order(admit: Virtlab) -> None:
    _, out, _ = admit(
        "max_mib,MIN_MIB\n512,128\n", *("--host-mib", "1024", "--swap-mib", "300"), "--json"
    )
    data = json.loads(out)
    assert data["lacks"] == [{"name": "VM1", "ram_mib": 0, "swap_mib": 84}]
    assert data["rows"][0]["vcpus"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "a,1,2,1\nb,few,2,1\n", "vms.csv, line 3, column min_mib = 'few': must be a num"),
        (HEADER + "a,1,-2,1\n", "line 2, column max_mib = '-2': must be a number >= 0"),
        (HEADER + "a,1,0,1\n", "line 2, column max_mib = 0.0: must be above 0"),
        (HEADER + "a,1,inf,1\n", "line 2, column max_mib = inf"),
        (HEADER + "a,3,2,1\n", "line 2, column min_mib = 3.0: must be at most max_mib, 2"),
        (HEADER + "a,,2,1\n", "line 2, column min_mib = '': must be a number >= 0"),
        (HEADER + "a,1,2,4\n", "line 2, column vcpus = 4: must be a whole number from 1 to 2"),
        (HEADER + "a,1,2,1.5\n", "line 2, column vcpus = 1.5"),
        (HEADER + "a,1,2,1\na,1,2,1\n", "line 3, column name = 'a': must be another for each VM"),
        (HEADER + "a,1,2\n", "line 2 = 'a,1,2': must be a row with 4 columns"),
        ("name,max_mib\na,2\n", "line 1 = 'name,max_mib': must be a header with min_mib and max"),
        (
            "name,shares\na,2\n",
            "line 1, column = 'shares': must be name, min_mib, max_mib or vcpus",
        ),
        (HEADER, "no rows"),
        ("", "a header and a row"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(admit: Virtlab, content: str, message: str) -> None:
    status, out, err = admit(content, "--host-mib", "2048")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host-mib", "100"], "host_mib = 100.0: must be at least 216"),
        (["--host-mib", "-1"], "host_mib = -1.0"),
        (["--host-mib", "2048", "--console-mib", "801"], "console_mib = 801.0"),
        (["--host-mib", "2048", "--swap-mib", "nan"], "swap_mib = nan"),
    ],
)
def test_bad_options_are_one_line(admit: Virtlab, arguments: list[str], message: str) -> None:
    status, _, err = admit(SLIDE, *arguments)
    assert status == 2
    assert err.count("\n") == 1
    assert message in err


def test_a_file_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["virtlab", "memory", "admit", "--vms", "nowhere.csv", "--host-mib", "2048"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "virtlab: no file nowhere.csv\n"
