"""Guests on the real processor under a monitor: they say what QEMU's say, and get no further."""

from __future__ import annotations

import platform
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.machine.oracle import expected
from virtlab.machine.computer import Computer
from virtlab.machine.direct import linux_elf, run_direct, run_native, why_not
from virtlab.machine.guests import GUESTS, Guest, guest, kernel
from virtlab.machine.image import load, parse
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

here = pytest.mark.skipif(bool(why_not()), reason=f"no direct execution here: {why_not()}")
BY_NAME = pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
MIB = 2**20


def program(code: str, tmp_path: Path) -> Path:
    """Return a guest of a few bytes at 1 MiB."""
    data = bytes.fromhex(code)
    at, size = 0x100000, len(data)
    head = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, at, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    head += struct.pack("<8I", 1, 84, at, at, size, size, 5, 4)
    path = tmp_path / "guest.elf"
    path.write_bytes(head + data)
    return path


@here
@BY_NAME
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_it_says_what_python_works_out(one: Guest, large: bool) -> None:  # noqa: FBT001
    run = run_direct(one.path(large=large))
    native = run_native(one.name, large=large)
    assert run.output == native.output == expected(one, large=large)
    assert (run.ended, run.status, native.ended, native.status) == ("exit", 0, "exit", 0)
    assert native.traps == {}
    assert native.monitor_s == 0


@here
@BY_NAME
def test_it_traps_once_for_each_access_that_the_guest_computer_sees(one: Guest) -> None:
    run = run_direct(one.path())
    letters = len(run.output)
    assert run.traps == {"in": letters, "out": letters + 1}  # one more: the exit


@here
def test_the_interpreter_says_the_same() -> None:
    computer = Computer(2, history=0)
    computer.load(load(guest("fibonacci").path(), 2 * MIB))
    assert computer.run(1_000_000).text == run_direct(guest("fibonacci").path()).output


@pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
@pytest.mark.parametrize("large", [False, True])
def test_linux_gets_the_same_bytes_at_the_same_addresses(one: Guest, large: bool) -> None:  # noqa: FBT001
    image = load(one.path(large=large), 64 * MIB)
    elf = linux_elf(image)
    again = parse(elf, 64 * MIB)
    assert again.segments == image.segments
    assert again.entry == image.entry
    first = struct.unpack_from("<II", elf, 52 + 4)
    assert first[0] % 4096 == first[1] % 4096  # as Linux wants it


# What a guest may try: exit(0) and fork by Linux's own call, a bad address, an endless loop, hlt.
@here
@pytest.mark.parametrize(
    ("code", "ended", "why"),
    [
        ("31c0 40 31db cd80", "refused", "a system call"),  # exit(0)
        ("b802000000 cd80 ebfe", "refused", "a system call"),  # fork
        ("0f34", "refused", "a"),  # sysenter
        ("a100000000", "refused", "a fault at 0x100000"),
        ("ffe0", "refused", "a fault"),  # to where nothing is
        ("0f0b", "refused", "SIGILL"),
        ("31c9 f7f1", "refused", "SIGFPE"),
        ("0f0115 00001000", "refused", "a fault"),  # lgdt
        ("f4", "halted", ""),
        ("cc", "refused", "SIGTRAP"),
    ],
)
def test_a_guest_does_no_more_than_a_guest_may(
    code: str, ended: str, why: str, tmp_path: Path
) -> None:
    run = run_direct(program(code, tmp_path))
    assert run.ended == ended
    assert run.why.startswith(why)
    assert run.output == ""
    assert run.explain()


@here
def test_an_endless_guest_is_ended(tmp_path: Path) -> None:
    run = run_direct(program("ebfe", tmp_path), max_seconds=1)
    assert run.ended == "limit"
    assert 0.5 < run.guest_s < 5
    assert "limit" in run.explain()


@here
def test_ports_answer_as_the_machine_s(tmp_path: Path) -> None:
    """An unknown port reads as all ones; a letter goes out; 7 is the exit's value."""
    code = "66ba3412 ec 66bafd03 ec 66baf803 b041 ee 66baf400 b807000000 ef"
    run = run_direct(program(code, tmp_path))
    assert (run.output, run.ended, run.status) == ("A", "exit", 7)
    assert run.traps == {"in": 2, "out": 2}
    assert run.to_frame()["traps"].tolist() == [2, 2]
    assert run.summary()["traps"] == 4


@here
def test_a_kernel_is_refused_at_its_first_privileged_instruction() -> None:
    run = run_direct(kernel())
    assert run.ended == "refused"
    assert "byte 0xf" in run.why  # lgdt begins with 0f 01
    image = load(kernel(), 64 * MIB)
    assert int(run.why.split()[3].rstrip(","), 16) in range(
        image.segments[0].address, image.segments[0].end
    )


@pytest.mark.parametrize(
    ("machine", "system", "words"),
    [
        ("aarch64", "Linux", "can only be emulated"),
        ("AMD64", "Windows", "needs Linux"),
        ("arm64", "Darwin", "this processor is arm64"),
    ],
)
def test_elsewhere_it_says_in_plain_words_why_not(
    machine: str, system: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "system", lambda: system)
    why_not.cache_clear()
    try:
        assert words in why_not()
        with pytest.raises(RuntimeError, match=words):
            run_direct(guest("sieve").path())
        with pytest.raises(RuntimeError, match=words):
            run_native("sieve")
    finally:
        monkeypatch.undo()
        why_not.cache_clear()


def test_where_a_process_cannot_be_held_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "monitor")

    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(subprocess, "run", refuse)
    why_not.cache_clear()
    try:
        assert "a container may forbid it" in why_not()
    finally:
        monkeypatch.undo()
        why_not.cache_clear()


def test_bad_input_is_named(tmp_path: Path) -> None:
    text = tmp_path / "text.elf"
    text.write_text("no program")
    with pytest.raises(InvalidInputError):
        run_direct(text)
    with pytest.raises(InvalidInputError, match="max_seconds"):
        run_direct(guest("sieve").path(), max_seconds=0)
    with pytest.raises(InvalidInputError, match="quicksort"):
        run_native("bogosort")
