"""`virtlab guest ways`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main
from virtlab.machine.guests import kernel, mirror

if TYPE_CHECKING:
    from collections.abc import Callable

    Virtlab = Callable[..., tuple[int, str, str]]


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["virtlab", "guest", "ways", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_a_kernel_in_three_ways(virtlab: Virtlab) -> None:
    status, out, err = virtlab(str(mirror()))
    assert (status, err) == (0, "")
    assert "MOV DX,CS at main+0xf0 (0x100380), instruction 293 of the guest, ran at ring 1" in out
    assert "SMSW (patched)" in out
    assert "line 2, native:       mov from cs: 00000008\n" in out
    assert "line 2, deprivileged: mov from cs: 00000009\n" in out


def test_the_small_kernel_is_what_is_run_if_nothing_is_named(virtlab: Virtlab) -> None:
    status, out, _ = virtlab("--max-instructions", "9700", "--json")
    data = json.loads(out)
    assert status == 0
    assert data["program"] == kernel().name
    assert data["first_lie"].startswith("IRETD at leave")
    assert [row["ended"] for row in data["rows"]] == ["limit"] * 3
    assert data["output"]["patched"] == data["output"]["native"]


def test_where_nothing_lies_it_says_so(virtlab: Virtlab) -> None:
    status, out, _ = virtlab("--max-instructions", "1000")
    assert status == 0
    assert "nothing in it lies at ring 1" in out
    assert "line 1" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["/no/such.elf"], "path = '/no/such.elf': must be a file that is there"),
        (["--ram-mib", "0"], "--ram-mib = 0"),
        (["--max-instructions", "0"], "--max-instructions = 0"),
    ],
)
def test_bad_input_gets_one_line(virtlab: Virtlab, arguments: list[str], says: str) -> None:
    status, out, err = virtlab(*arguments)
    assert status != 0
    assert out == ""
    assert says in err
    assert len(err.strip().splitlines()) == 1
