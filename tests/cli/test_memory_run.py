"""`virtlab memory run`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def virtlab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["virtlab", "memory", "run", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_a_scenario_of_the_course_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("vm4-starts", "--seconds", "30", "--every", "15")
    status, out, err = virtlab(monkeypatch, capsys, *words)
    assert (status, err) == (0, "")
    assert len([line for line in out.splitlines() if " VM1 " in line]) == 2
    assert "Memory was always enough" in out


def test_json_and_a_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(seed: str) -> list[dict[str, object]]:
        words = ("five-vms", "--seconds", "70", "--every", "30", "--seed", seed, "--json")
        status, out, _ = virtlab(monkeypatch, capsys, *words)
        assert status == 0
        found = json.loads(out)
        assert found["vms"] == 5
        assert len(found["rows"]) == 15
        return list(found["rows"])

    assert rows("1") == rows("1")
    assert rows("1") != rows("2")


def test_a_file_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "x"\nseconds = 3\n[host]\nmib = 256\n[[vm]]\nname = "web"\nguest.size_mib = 64\n'
    )
    status, out, _ = virtlab(monkeypatch, capsys, str(path), "--json")
    assert status == 0
    assert json.loads(out)["rows"][0]["vm"] == "web"
    path.write_text(path.read_text().replace("mib = 256", "mib = 0"))
    status, _, err = virtlab(monkeypatch, capsys, str(path))
    assert status == 2
    assert "own.toml: host.mib = 0: must be a number >= 1" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.toml",), "no file nothing.toml"),
        (("vm4-starts", "--controller", "me"), "controller = 'me': must be one of"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    status, _, err = virtlab(monkeypatch, capsys, *words)
    assert status == 2
    assert said in err
    assert len(err.splitlines()) == 1
