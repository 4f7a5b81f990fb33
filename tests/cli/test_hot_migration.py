"""`virtlab hot-migrate`, as a person runs it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from virtlab.cli import app
from virtlab.validate import InvalidInputError

SMALL = ("hot-migrate", "--clients", "2", "--seconds", "0.4", "--archive-mib", "1",
         "--accounts", "100", "--link-mib-s", "0")  # fmt: skip


def test_json_says_that_nothing_was_lost() -> None:
    ran = CliRunner().invoke(app, [*SMALL, "--algorithm", "stop", "--seed", "3", "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert (told["outcome"], told["lost"], told["doubled"]) == ("moved", 0, 0)
    assert told["rounds"] == len(told["rows"]) == 1
    assert told["transactions"] > 0


def test_a_killed_host_is_survived() -> None:
    ran = CliRunner().invoke(app, [*SMALL, "--kill", "target:has-all"])
    assert ran.exit_code == 0, ran.output
    assert "goes on at the source" in ran.stdout
    assert "none was lost" in ran.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--algorithm", "fly"], "algorithm = 'fly'"),
        (["--kill", "target"], "--kill = 'target'"),
        (["--kill", "moon:claimed"], "fault = 'moon'|moon.*one of source, target"),
        (["--clients", "0"], "clients = 0"),
    ],
)
def test_bad_input_is_named(words: list[str], why: str) -> None:
    ran = CliRunner().invoke(app, [*SMALL, *words])
    assert isinstance(ran.exception, InvalidInputError)
    with pytest.raises(InvalidInputError, match=why):
        raise ran.exception
