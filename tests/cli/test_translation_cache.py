"""`virtlab translation-cache`, as a person types it."""

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
        monkeypatch.setattr(sys, "argv", ["virtlab", "translation-cache", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_a_program_that_changes_itself_comes_first(virtlab: Virtlab) -> None:
    status, out, err = virtlab()
    assert (status, err) == (0, "")
    assert "0x102000" in out
    assert "14 invalidated" in out


def test_events_can_be_had_as_json(virtlab: Virtlab) -> None:
    arguments = ("kernel", "--limit", "16", "--policy", "oldest", "--seed", "1", "--json")
    told = json.loads(virtlab(*arguments)[1])
    assert told["limit"] == 16
    assert told["evictions"] > 0
    assert "events" not in told
    told = json.loads(virtlab(*arguments, "--events")[1])
    made = [one for one in told["events"] if one["kind"] == "translate"]
    assert len(made) == told["translations"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("doom",), "program = 'doom': must be one of"),
        (("--limit", "2"), "limit = 2: must be"),
        (("--policy", "newest"), "policy = 'newest': must be one of"),
        (("--instructions", "0"), "instructions = 0: must be"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    arguments: tuple[str, ...], said: str, virtlab: Virtlab
) -> None:
    status, out, err = virtlab(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
