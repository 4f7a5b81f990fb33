"""Programs are loaded as binutils reads them, and a file that lies is refused in one line."""

from __future__ import annotations

import mmap
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.elves import Elf
from virtlab.machine.guests import GUESTS, guest
from virtlab.machine.image import MAX_FILE_BYTES, Image, Segment, load, parse
from virtlab.migration.lab.guest import PROGRAM
from virtlab.validate import InvalidInputError

MIB = 2**20
RAM = 32 * MIB
PROGRAMS = [one.path(large=large) for one in GUESTS for large in (False, True)] + [PROGRAM]
BY_NAME = pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
REAL = guest("quicksort").path().read_bytes()


def readelf(option: str, path: Path) -> str:
    if shutil.which("readelf") is None:
        pytest.skip("there is no readelf here to compare with")
    words = ["readelf", "-W", option, str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@BY_NAME
def test_segments_and_entry_are_what_readelf_says(path: Path) -> None:
    image = load(path, RAM)
    entry = re.search(r"Entry point address:\s+(\S+)", readelf("-h", path))
    assert entry is not None
    assert image.entry == int(entry[1], 16)
    row = r"^  LOAD +" + r"0x(\w+) " * 5 + r"([RWE ]+) 0x"
    lines = re.findall(row, readelf("-l", path), re.MULTILINE)
    data = path.read_bytes()
    for (*numbers, flags), segment in zip(lines, image.segments, strict=True):
        offset, _, address, file_bytes, memory_bytes = (int(number, 16) for number in numbers)
        assert (segment.address, segment.memory_bytes) == (address, memory_bytes)
        assert segment.data == data[offset : offset + file_bytes]
        theirs = "".join(
            own if their in flags else "-" for their, own in zip("RWE", "rwx", strict=True)
        )
        assert segment.access == theirs


@BY_NAME
def test_symbols_are_what_readelf_says(path: Path) -> None:
    kinds = {"FUNC": "function", "OBJECT": "data", "NOTYPE": "label"}
    rows = re.findall(
        r"^ +\d+: ([0-9a-f]{8}) +(\w+) (FUNC|OBJECT|NOTYPE) +\w+ +\w+ +\d+ (\S+)$",
        readelf("-s", path), re.MULTILINE,
    )  # fmt: skip
    theirs = {name: (int(at, 16), int(size, 0), kinds[kind]) for at, size, kind, name in rows}
    ours = {s.name: (s.address, s.bytes, s.kind) for s in load(path, RAM).symbols.values()}
    assert ours == theirs
    assert bool(ours) == (path != PROGRAM)  # the home lab's guest is stripped


@BY_NAME
def test_each_program_has_a_multiboot_header(path: Path) -> None:
    header = load(path, RAM).multiboot
    assert header is not None
    magic, flags, checksum = struct.unpack_from("<III", path.read_bytes(), header.offset)
    assert (magic, flags) == (0x1BADB002, header.flags)
    assert (magic + flags + checksum) % 2**32 == 0


@BY_NAME
def test_memory_holds_the_file_then_zeros_and_else_what_was_there(path: Path) -> None:
    image = load(path, RAM)
    ram = bytearray(b"\xaa") * RAM
    image.place(ram)
    at = 0
    for segment in image.segments:
        assert not ram[at : segment.address].strip(b"\xaa")
        assert ram[segment.address : segment.filled.stop] == segment.data
        assert not any(ram[segment.filled.stop : segment.end])
        at = segment.end
    assert at == image.end
    assert not ram[at:].strip(b"\xaa")


def test_memory_may_be_any_that_can_be_written() -> None:
    image = parse(REAL, RAM)
    plain = bytearray(2 * MIB)
    image.place(plain)
    array = np.zeros(MIB // 2, dtype=np.uint32)
    image.place(array.data)
    assert array.tobytes() == plain
    with mmap.mmap(-1, 2 * MIB) as mapped:
        image.place(memoryview(mapped))
        assert mapped[:] == plain  # and its pages are let go: else closing it fails


def test_memory_that_will_not_do_is_refused() -> None:
    image = parse(REAL, RAM)
    with pytest.raises(InvalidInputError, match="can be written"):
        image.place(memoryview(bytes(2 * MIB)))
    with pytest.raises(InvalidInputError, match="in one piece"):
        image.place(memoryview(bytearray(4 * MIB))[::2])
    small = bytearray(MIB)
    with pytest.raises(InvalidInputError, match=r"ram bytes = 1048576: must be an integer >= "):
        image.place(small)
    assert not any(small)


def test_a_program_fits_or_it_does_not() -> None:
    end = parse(REAL, RAM).end
    assert parse(REAL, end).end == end
    with pytest.raises(InvalidInputError, match=rf"p_paddr \+ p_memsz = {end:#x}: must be at most"):
        parse(REAL, end - 1)
    for ram in (0, -1, 2**32 + 1, 1.5, "much", True):
        with pytest.raises(InvalidInputError, match="ram_bytes"):
            parse(REAL, ram)  # type: ignore[arg-type]  # what someone may type


def test_an_address_is_named_as_far_as_it_has_a_name() -> None:
    image = load(guest("isprime").path(), RAM)
    function, stack = image.symbols["isPrime"], image.symbols["stack_top"]
    assert image.where(function.address) == "isPrime"
    assert image.where(function.address + 7) == "isPrime+0x7"
    assert image.where(function.address + 12) == "nexti+0x1"  # the label is nearer
    end = image.symbols["_start"].address + image.symbols["_start"].bytes
    assert image.where(end) == hex(end)  # between two functions
    assert image.where(stack.address) == hex(stack.address)  # after the last segment
    for outside in (0, 0xFFFFF, 2**32 - 1, -1):
        assert image.where(outside) == hex(outside)
    stripped = load(PROGRAM, RAM)
    assert stripped.where(stripped.entry) == hex(stripped.entry)


def test_a_result_like_every_other() -> None:
    image = parse(REAL, RAM)
    frame = image.to_frame()
    assert frame["address"].tolist() == [0x100000, 0x101000]
    assert frame["access"].tolist() == ["r-x", "rw-"]
    assert image.summary()["end"] == image.end
    assert image.summary()["multiboot"] == "yes"
    assert "(_start), in segment 0" in image.explain()
    bare = Elf(multiboot=False).image()
    assert "No Multiboot header" in bare.explain()
    assert bare.explain().startswith("Execution begins at 0x100000, in segment 0.")
    assert bare.summary()["multiboot"] == "no"


def test_a_segment_says_what_may_be_done_with_it() -> None:
    one = Segment(4096, b"\x90", 16, 7)
    assert (one.access, one.executable, one.end) == ("rwx", True, 4112)
    assert one.filled == range(4096, 4097)
    assert Segment(0, b"", 1, 2).access == "-w-"


def refused(text: str, path: Path | str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        load(path, RAM)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refused("path = .*a file that is there", tmp_path / "none.elf")
    refused("path = .*a file that is there", tmp_path)
    refused("path", "a\0b")
    if Path("/dev/zero").exists():
        refused("a file that is there", "/dev/zero")
    (tmp_path / "empty.elf").touch()
    refused("file size = 0: must be an integer from 52", tmp_path / "empty.elf")
    with (tmp_path / "large.elf").open("wb") as file:
        file.write(REAL)
        file.truncate(MAX_FILE_BYTES + 1)
    refused("file size = 16777217: must be an integer from 52 to 16777216", tmp_path / "large.elf")
    with (tmp_path / "large.elf").open("r+b") as file:
        file.truncate(MAX_FILE_BYTES)
    assert load(tmp_path / "large.elf", RAM) == parse(REAL, RAM)


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.elf"
    path.write_bytes(REAL)

    def no(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", no)
    refused("a file that can be read .*Permission denied", path)


def accepted(data: bytes, ram_bytes: int = RAM) -> Image | None:
    """Return the image, or None where it is refused in one line; any other error fails the test."""
    try:
        image = parse(data, ram_bytes)
    except InvalidInputError as refusal:
        said = str(refusal)
    else:
        said = ""
    assert "\n" not in said
    assert len(said) < 200
    if said:
        return None
    at = 0
    for segment in image.segments:
        assert at <= segment.address < segment.end <= ram_bytes
        assert len(segment.data) <= segment.memory_bytes
        at = segment.end
    assert any(s.executable and image.entry in s.filled for s in image.segments)
    image.explain()
    image.where(image.entry)
    return image


SPOTS = st.one_of(
    st.integers(0, 115),  # the header, and the program headers
    st.integers(len(REAL) - 280, len(REAL) - 1),  # the section headers
    st.integers(0, len(REAL) - 1),
)
BYTES = st.one_of(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]), st.integers(0, 255))


@settings(max_examples=500)
@given(st.lists(st.tuples(SPOTS, BYTES), min_size=1, max_size=8), st.integers(0, len(REAL)))
def test_a_spoilt_file_is_an_image_or_refused(spoilt: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(REAL)
    for at, byte in spoilt:
        data[at] = byte
    accepted(bytes(data))
    accepted(bytes(data[:cut]))


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_noise_is_refused(noise: bytes) -> None:
    assert accepted(noise) is None
    accepted(REAL[:52] + noise)
    accepted(REAL[:16] + noise + REAL[16 + len(noise) :])


WORDS = st.one_of(
    st.sampled_from([0, 1, 2, 32, 52, 0x100000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 4096),
)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(4, 28), WORDS), min_size=1, max_size=4))
def test_any_number_in_a_field_is_an_image_or_refused(spoilt: list[tuple[int, int]]) -> None:
    data = bytearray(REAL)
    for word, value in spoilt:  # entry, tables, counts, and both program headers
        struct.pack_into("<I", data, 4 * word, value)
    accepted(bytes(data), 2**32)


def test_the_worst_files_are_refused_soon() -> None:
    """The largest file that is all symbol names, and one whose every symbol has a long name."""
    names = b"\0" + b"n" * (MAX_FILE_BYTES - 2 * MIB)
    endless = Elf(names=names, symbols=[(1, 0x100000, 0, 2, 1)] * 65000).pack()
    long = Elf(
        names=b"\0" + b"n" * 1024 + b"\0",
        symbols=[(1 + n % 1024, 0x100000, 0, 2, 1) for n in range(65000)],
    ).pack()
    start = time.process_time()
    assert accepted(endless) is None
    image = accepted(long)
    assert image is not None
    assert len(image.symbols) == 1024
    assert time.process_time() - start < 10  # a guard against quadratic work, not a speed
