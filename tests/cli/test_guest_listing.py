"""`virtlab guest disassemble`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main
from virtlab.machine.guests import guest

if TYPE_CHECKING:
    from collections.abc import Callable

    Virtlab = Callable[..., tuple[int, str, str]]

ISPRIME = str(guest("isprime").path())


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["virtlab", "guest", "disassemble", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_one_column(virtlab: Virtlab) -> None:
    status, out, err = virtlab(ISPRIME, "--start", "isPrime")
    assert (status, err) == (0, "")
    assert out.startswith("isPrime:\n  100218  =  89 f9")
    assert "isPrime: 16 instructions in 1 unit, none for the VMM." in out
    assert "ecx" not in out


def test_side_by_side(virtlab: Virtlab) -> None:
    status, out, _ = virtlab(ISPRIME, "--start", "isPrime", "--side-by-side", "--width", "130")
    assert status == 0
    assert "p-code" in out.splitlines()[0]
    assert "~ CF = COPY 0x0" in out
    assert "if yes: goto prime" in out


def test_without_a_pass(virtlab: Virtlab) -> None:
    with_it = json.loads(virtlab(ISPRIME, "--start", "isPrime", "--json")[1])
    without = json.loads(
        virtlab(ISPRIME, "--start", "isPrime", "--json", "--without", "dead_flags")[1]
    )
    units = json.loads(
        virtlab(ISPRIME, "--start", "isPrime", "--json", "--without", "regions", "--unit", "12")[1]
    )
    assert without["done"] > with_it["done"]
    assert without["put_off"] == 0 < with_it["put_off"]
    assert without["code_bytes"] > with_it["code_bytes"]
    assert (with_it["units"], units["units"]) == (1, 5)


def test_the_processors_own_code(virtlab: Virtlab) -> None:
    pytest.importorskip("llvmlite")
    arguments = (ISPRIME, "--start", "isPrime", "--tier", "assembly")
    status, out, _ = virtlab(*arguments, "--side-by-side", "--width", "130")
    assert status == 0
    assert out.splitlines()[0].endswith("assembly")
    assert "idiv" in out
    assert ".intel_syntax noprefix" in virtlab(*arguments, "--whole")[1]


def test_all_the_code_of_a_unit(virtlab: Virtlab) -> None:
    _, out, _ = virtlab(ISPRIME, "--start", "isPrime", "--whole")
    assert out.startswith("(module\n")
    told = json.loads(virtlab(ISPRIME, "--start", "isPrime", "--whole", "--json")[1])
    assert told == {"tier": "wasm", "code": out.removesuffix("\n")}
    _, ir, _ = virtlab(ISPRIME, "--start", "isPrime", "--whole", "--tier", "llvm")
    assert ir.startswith("define i32 @region(ptr %base)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--start", "nowhere"), "virtlab: start = 'nowhere': must be an address or one of"),
        (("--without", "flags"), "virtlab: --without = 'flags': must be one of dead_flags"),
        (("--unit", "0"), "virtlab: most = 0: must be a whole number from 1 to 4096"),
        (("--side-by-side", "--width", "40"), "virtlab: width = 40: must be a whole number >= 100"),
        (("--tier", "qemu"), "virtlab: tier = 'qemu': must be one of interpreter"),
    ],
)
def test_wrong_words_get_one_clear_line(
    virtlab: Virtlab, arguments: tuple[str, ...], message: str
) -> None:
    status, out, err = virtlab(ISPRIME, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(message)
    assert len(err.splitlines()) == 1
