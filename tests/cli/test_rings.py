"""`virtlab rings`, as a person types it."""

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
        monkeypatch.setattr(sys, "argv", ["virtlab", "rings", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_the_whole_table(virtlab: Virtlab) -> None:
    status, out, err = virtlab()
    assert (status, err) == (0, "")
    row = next(line for line in out.splitlines() if "lgdt" in line)
    assert row.split() == ["lgdt", "[data]", "as", "at", "ring", "0", *["traps"] * 3, "no"]
    assert "26 of 47 instructions trap at ring 3" in out


def test_iopl_opens_ports_and_the_flag(virtlab: Virtlab) -> None:
    _, out, _ = virtlab("--iopl", "3", "--json")
    told = json.loads(out)
    assert told["iopl"] == 3
    rows = {row["instruction"]: row for row in told["rows"]}
    assert rows["cli"]["ring 3"] == "as at ring 0"
    assert rows["lgdt [data]"]["ring 3"] == "traps"


@pytest.mark.parametrize("name", ["popf", "POPF", " popf "])
def test_one_instruction_by_any_of_its_names(virtlab: Virtlab, name: str) -> None:
    status, out, _ = virtlab(name, "--ring", "1")
    assert status == 0
    assert "popf, IF = 0 at ring 1 with IOPL 0 does not trap" in out
    assert "after, at ring 0" in out


def test_one_instruction_as_json(virtlab: Virtlab) -> None:
    _, out, _ = virtlab("mov to cr0", "--json", "--seed", "3")
    told = json.loads(out)
    assert (told["ring"], told["outcome"], told["fault"]) == (3, "traps", "#GP(0)")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "INSTRUCTION = 'nonsense': must be one of add, mov, cli"),
        (("popf", "--ring", "4"), "--ring = 4"),
        (("--iopl", "-1"), "--iopl = -1"),
        (("--ring", "1"), "given with an INSTRUCTION alone"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    virtlab: Virtlab, arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = virtlab(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
