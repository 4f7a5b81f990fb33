"""`virtlab translation-costs`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    Virtlab = Callable[..., tuple[int, str, str]]


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["virtlab", "translation-costs", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_the_table_comes_first(virtlab: Virtlab) -> None:
    status, out, err = virtlab()
    assert (status, err) == (0, "")
    assert "11 parts give 17 cells within 1.7 %" in out
    assert "1.273e+04" in out


@pytest.mark.parametrize("what", ["table", "fork", "boot", "core", "load"])
def test_each_is_one_json_object(what: str, virtlab: Virtlab) -> None:
    status, out, _ = virtlab(what, "--json", "--seed", "3")
    told = json.loads(out)
    assert status == 0
    assert told["rows"]
    assert len(told) > 4


def test_parts_and_rates_are_taken(virtlab: Virtlab) -> None:
    _, out, _ = virtlab("--part", "switch=2000", "--part", "emulate=100", "--json")
    assert json.loads(out)["degrees_of_freedom"] == 8
    _, out, _ = virtlab(
        *("load", "--pte-writes", "1e5", "--processor", "Westmere", "--rest", "in proportion"),
        "--json",
    )
    said = json.loads(out)
    assert said["exit_cycles"] == 761
    assert 1 < said["bt_times_native"] < said["hw_times_native"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dance",), "what = 'dance': must be one of"),
        (("--part", "switch"), "--part = 'switch': must be a part and its cycles"),
        (("--part", "trap=1"), "part = 'trap': must be one of"),
        (("load", "--syscalls", "-1"), "syscalls = -1"),
        (("load", "--processor", "Itanium"), "processor = 'Itanium'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    arguments: tuple[str, ...], said: str, virtlab: Virtlab
) -> None:
    status, out, err = virtlab(*arguments)
    assert status == 2
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
