"""`virtlab theorem`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main
from virtlab.machine.theorem import cost
from virtlab.machine.theorem.cost import trap_cost

if TYPE_CHECKING:
    from collections.abc import Callable

    Virtlab = Callable[..., tuple[int, str, str]]


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["virtlab", "theorem", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_the_i386_is_asked_first(virtlab: Virtlab) -> None:
    status, out, err = virtlab()
    assert (status, err) == (0, "")
    assert "i386: 19 of 34 sensitive instructions are not privileged" in out
    assert "POPF" in out


@pytest.mark.parametrize(
    ("name", "monitor", "hybrid"),
    [("fixed-i386", "yes", "yes"), ("jrst", "no", "yes"), ("open-lra", "no", "no")],
)
def test_as_json(virtlab: Virtlab, name: str, monitor: str, hybrid: str) -> None:
    status, out, _ = virtlab("--set", name, "--json")
    data = json.loads(out)
    assert status == 0
    assert (data["set"], data["monitor"], data["hybrid_monitor"]) == (name, monitor, hybrid)
    assert {"instruction", "privileged", "breaks", "why"} <= set(data["rows"][0])


def test_a_program_that_can_tell(virtlab: Virtlab) -> None:
    status, out, _ = virtlab("--set", "jrst", "--counterexample")
    assert status == 0
    assert "`jrst 9 0` is another program under this monitor." in out
    status, out, _ = virtlab("--set", "jrst", "--counterexample", "--hybrid")
    assert (status, out) == (0, "No program of one or two instructions can tell.\n")
    status, out, _ = virtlab("--set", "jrst", "--counterexample", "--hybrid", "--json")
    assert json.loads(out) is None
    status, out, _ = virtlab("--set", "open-mode", "--counterexample", "--json")
    assert json.loads(out)["equivalent"] == 0


def test_what_it_would_cost(virtlab: Virtlab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "trap_cost", lambda: trap_cost(1500))
    status, out, _ = virtlab("--cost")
    assert status == 0
    assert "147 are privileged and trap at ring 1. 4 break the theorem" in out


@pytest.mark.parametrize("arguments", [("--set", "pdp-10"), ("--set", "i386", "--counterexample")])
def test_a_set_that_is_none(virtlab: Virtlab, arguments: tuple[str, ...]) -> None:
    status, out, err = virtlab(*arguments)
    assert (status, out) == (2, "")
    assert "must be one of" in err
    assert err.count("\n") == 1
