"""The guest programs: built from the sources that are here, and right, as a real QEMU runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import combinations, permutations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.machine.oracle import (
    EXPECTED,
    NO_QEMU,
    QEMU,
    WAYS_TO_PLACE_QUEENS,
    boot,
    expected,
    size_of,
)
from tests.machine.small_guests import DECODER
from virtlab.machine import guests
from virtlab.machine.guests import FOLDER, GUESTS, NATIVE, Guest, changed_since_built, guest
from virtlab.machine.image import load
from virtlab.machine.translation.listing import program_bytes
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.decode import Instruction

needs_qemu = pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
BY_NAME = pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
MIB = 2**20
SHARED = {"say", "say_number", "say_hex", "report", "_start", "stack_top"}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the programs that a test may spoil."""
    folder = tmp_path / "virtlab/machine/program"
    shutil.copytree(FOLDER, folder)
    monkeypatch.setattr(guests, "FOLDER", folder)
    return folder


def test_the_programs_were_built_from_the_sources_that_are_here() -> None:
    assert changed_since_built() == []


def test_every_change_since_the_build_is_told(copy: Path) -> None:
    assert changed_since_built() == []
    with (copy / "guest.h").open("a") as source:
        source.write("/* another */\n")
    (copy / "sieve.elf").unlink()
    (copy / "new.c").write_text("int main(void) { return 0; }\n")
    assert changed_since_built() == ["guest.h", "new.c", "sieve.elf"]


def test_each_program_is_there_in_both_sizes_with_its_source() -> None:
    sources = {p.stem for p in FOLDER.iterdir() if p.suffix in {".c", ".S"}}
    sources -= {"start", "start-linux", "guest"}
    assert {one.name for one in GUESTS} == sources == set(EXPECTED)
    built = {one.path(large=large) for one in GUESTS for large in (False, True)}
    assert built == set(FOLDER.glob("*.elf"))
    native = {one.native_path(large=large) for one in GUESTS for large in (False, True)}
    assert native == set(NATIVE.glob("*.elf"))
    for one in GUESTS:
        assert one.source.is_file()
        assert one.path().stat().st_size < 4096  # they travel in the package
        assert size_of(one, large=False) < size_of(one, large=True)


def test_the_two_sizes_are_one_program() -> None:
    for one in GUESTS:
        small, large = (load(one.path(large=large), 32 * MIB) for large in (False, True))
        assert small.entry == large.entry
        assert small.symbols.keys() == large.symbols.keys()


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@BY_NAME
def test_what_is_measured_natively_stands_where_it_stands_in_the_guest(
    one: Guest,
    large: bool,  # noqa: FBT001
) -> None:
    """The same code at another place may take a third longer, and would be compared with itself."""
    guests_own = load(one.path(large=large), 32 * MIB).symbols
    native = load(one.native_path(large=large), 32 * MIB).symbols
    functions = {name for name, what in guests_own.items() if what.kind == "function"} - SHARED
    assert "main" in functions
    for name in functions:
        assert native[name].address == guests_own[name].address, name
        assert native[name].bytes == guests_own[name].bytes, name


def test_a_small_run_is_for_an_interpreter_and_a_large_one_for_a_benchmark() -> None:
    for one in GUESTS:
        assert 50_000 <= one.instructions <= 500_000
        assert 50_000_000 <= one.large_instructions <= 200_000_000


def test_an_unknown_program_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(InvalidInputError, match="quicksort"):
        guest("bogosort")


def test_isprime_begins_with_the_bytes_of_the_paper() -> None:
    image = load(guest("isprime").path(), 2 * MIB)
    code = image.segments[0]
    function = image.symbols["isPrime"]
    at = function.address - code.address
    body = code.data[at : at + function.bytes]
    assert body.startswith(bytes.fromhex("89f9 be02000000 39ce 7d"))
    assert body.count(b"\xc3") == 2  # ret: the prime, and the one that is none
    # Where the paper's blocks begin, but for the one after `jz`, which has no label.
    names = ("isPrime", "nexti", "prime", "notPrime")
    offsets = [image.symbols[name].address - function.address for name in names]
    assert offsets == [0, 11, 25, 31]
    assert image.where(function.address + 11) == "nexti"


def instructions_of(one: Guest) -> Iterator[Instruction]:
    """Yield each instruction of a program's own functions."""
    image = load(one.path(), 2 * MIB)
    for name, function in image.symbols.items():
        if function.kind != "function" or name in SHARED:
            continue
        at = function.address
        while at < function.address + function.bytes:
            yield DECODER.decode(at, program_bytes(image, at, 15))
            at += len(DECODER.decode(at, program_bytes(image, at, 15)).code)


@pytest.mark.parametrize(("code", "only"), [("BRANCHIND", "bytecode"), ("CALLIND", "tree")])
def test_one_program_jumps_and_one_calls_where_only_its_data_say(code: str, only: str) -> None:
    """The compiler may turn a table into comparisons, and a pointer that it knows into a call."""
    found = [
        one.name
        for one in GUESTS
        if any(op.code == code for each in instructions_of(one) for op in each.ops)
    ]
    assert found == [only]


def test_digits_divides_two_words_by_one_and_carries() -> None:
    found = {one.mnemonic for one in instructions_of(guest("digits"))}
    assert {"DIV", "MUL", "ADC"} <= found


@pytest.mark.parametrize("size", range(1, 9))
def test_the_known_ways_to_place_queens_are_those_that_trying_all_finds(size: int) -> None:
    ways = sum(
        all(abs(row[a] - row[b]) != b - a for a, b in combinations(range(size), 2))
        for row in permutations(range(size))
    )
    assert ways == WAYS_TO_PLACE_QUEENS[size]


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@BY_NAME
@needs_qemu
def test_qemu_says_what_python_works_out(one: Guest, large: bool) -> None:  # noqa: FBT001
    output, status = boot(one.path(large=large))
    assert output == expected(one, large=large)
    assert status == 1  # main's 0, times two and one


@BY_NAME
def test_unicorn_counts_as_many_instructions(one: Guest) -> None:
    unicorn = pytest.importorskip("unicorn", reason="Unicorn, which counts them, is not here")
    x86 = pytest.importorskip("unicorn.x86_const")
    image = load(one.path(), 2 * MIB)
    ram = bytearray(2 * MIB)
    image.place(ram)
    machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    machine.mem_map(0, len(ram))
    machine.mem_write(0, bytes(ram))
    said: list[str] = []
    count = [0]

    def step(*_: object) -> None:
        count[0] += 1

    def out(_: object, port: int, _size: int, value: int, _data: object) -> None:
        if port == 0xF4:
            said.append(f"exit {value}")
            machine.emu_stop()
        else:
            said.append(chr(value))

    def is_ready(*_: object) -> int:
        return 0x20

    machine.hook_add(unicorn.UC_HOOK_CODE, step)
    machine.hook_add(unicorn.UC_HOOK_INSN, out, None, 1, 0, x86.UC_X86_INS_OUT)
    machine.hook_add(unicorn.UC_HOOK_INSN, is_ready, None, 1, 0, x86.UC_X86_INS_IN)
    machine.emu_start(image.entry, 0xFFFFFFFF)
    assert "".join(said) == expected(one) + "exit 0"
    assert count[0] == one.instructions


def compiler() -> str:
    """Return the version of a gcc that makes 32-bit programs; '' without one."""
    if shutil.which("gcc") is None or shutil.which("ld") is None:
        return ""
    known = subprocess.run(["ld", "-V"], capture_output=True, text=True, check=False).stdout
    target = subprocess.run(["gcc", "-dumpmachine"], capture_output=True, text=True, check=True)
    if "elf_i386" not in known or "x86_64" not in target.stdout:
        return ""
    said = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


needs_gcc = pytest.mark.skipif(not compiler(), reason="no gcc here that makes 32-bit programs")


@pytest.fixture
def tool(root: Path, copy: Path) -> Path:
    """Return the build script, beside a copy of the programs."""
    (copy.parents[2] / "tools").mkdir()
    return Path(shutil.copy(root / "tools/build_guests.py", copy.parents[2] / "tools"))


@needs_gcc
def test_the_sources_build_without_a_warning_to_the_same_bytes(tool: Path, copy: Path) -> None:
    for elf in copy.glob("*.elf"):
        elf.unlink()
    subprocess.run([sys.executable, tool, "machine"], check=True, capture_output=True)
    assert changed_since_built() == []
    assert {p.name for p in copy.iterdir()} == {p.name for p in FOLDER.iterdir()}
    for one in GUESTS:
        load(copy / one.path().name, 32 * MIB)
    native = copy.with_name("native")
    assert {p.name for p in native.iterdir()} == {p.name for p in NATIVE.iterdir()}
    if re.search(r"\(Debian 12\.2\.0-", compiler()):  # another compiler may choose other code
        assert (copy / "SHA256SUMS").read_bytes() == (FOLDER / "SHA256SUMS").read_bytes()
        assert (native / "SHA256SUMS").read_bytes() == (NATIVE / "SHA256SUMS").read_bytes()


@needs_gcc
@needs_qemu
def test_a_size_of_ones_own(tool: Path, copy: Path, tmp_path: Path) -> None:
    into = tmp_path / "own sizes"
    words = ["machine", "--size", "30", "--into", str(into)]
    subprocess.run([sys.executable, tool, *words], check=True, capture_output=True)
    assert changed_since_built() == []  # what is committed stays as it is
    assert boot(into / "fibonacci.elf") == ("Fibonacci(30) = 832040\n", 1)
    assert boot(into / "shellsort.elf") == (EXPECTED["shellsort"](30), 1)


@pytest.mark.parametrize("words", ["--size 5", "--into x", "lab --size 5 --into x"])
def test_a_size_without_a_folder_is_refused(root: Path, words: str) -> None:
    run = subprocess.run(
        [sys.executable, root / "tools/build_guests.py", *words.split()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "--size and --into go together" in run.stderr
