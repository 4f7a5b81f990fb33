"""Reading mappings and pages of a process, and saying plainly why one can't be read."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.datasets import PAGE_KINDS
from virtlab.memory.live import procfs
from virtlab.memory.live.procfs import (
    Resident,
    iter_pages,
    mappings,
    parse_smaps,
    process_state,
    resident,
    why_not,
)
from virtlab.memory.pages import PAGE_BYTES
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_linux = pytest.mark.skipif(bool(why_not()), reason=why_not() or "runs")

SMAPS = """\
5638757d2000-5638757d4000 r-xp 00001000 fe:00 260386                     /opt/a b/prog (deleted)
Size:                  8 kB
Rss:                   8 kB
VmFlags: rd ex mr mw me sd
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
Size:               4096 kB
Rss:                   0 kB
VmFlags: rd wr mr mw me ac sd
7f1000000000-7f1000001000 rw-s 00000000 00:05 88                         /dev/dri/card0
Rss:                   4 kB
VmFlags: rd wr sh mr mw me ms io pf
7f1000002000-7f1000003000 rw-s 00000000 00:19 5                          /dev/shm/segment
Rss:                   4 kB
VmFlags: rd wr sh mr mw me ms sd
7fe135097000-7fe135099000 r-xp 00000000 00:00 0                          [vdso]
Rss:                   4 kB
VmFlags: rd ex mr mw me de sd
"""


def test_smaps_gives_ranges_files_and_what_is_resident() -> None:
    program, heap, card, segment, vdso = parse_smaps(SMAPS)
    assert (program.start, program.stop) == (0x5638757D2, 0x5638757D4)
    assert program.name == "/opt/a b/prog (deleted)"
    assert program.of_file
    assert not heap.of_file
    assert heap.name == ""
    assert [one.rss_kib for one in (program, heap, card, segment, vdso)] == [8, 0, 4, 4, 4]


def test_only_what_content_sharing_could_be_about_is_read() -> None:
    readable = {one.name: one.readable for one in parse_smaps(SMAPS)}
    assert readable == {
        "/opt/a b/prog (deleted)": True,
        "": False,  # nothing of it is resident
        "/dev/dri/card0": False,
        "/dev/shm/segment": True,  # noqa: S108 - a name to look up, no file is made
        "[vdso]": False,
    }


def test_no_mappings_in_no_text() -> None:
    assert parse_smaps("") == []


@pytest.fixture
def known() -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """Start a process that fills pages of its own with known contents, and says where they are."""
    script = textwrap.dedent("""
        import ctypes, mmap, sys
        pages = 2000
        memory = mmap.mmap(-1, pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for i in range(1000):                    # 1,000 pages of zeros
            memory[i * 4096] = 0
        for i in range(1000, 1500):              # 500 equal pages
            memory[i * 4096 : (i + 1) * 4096] = b"equal bytes here" * 256
        for i in range(1500, 1800):              # 300 pages like no other
            memory[i * 4096 : i * 4096 + 8] = (2**40 + i).to_bytes(8, "little")
        # 200 pages are never touched
        print(ctypes.addressof(ctypes.c_char.from_buffer(memory)) // 4096, flush=True)
        sys.stdin.read()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            first = int(process.stdout.readline())
            yield process, first, first + 2000
        finally:
            process.kill()


def _within(pages: Resident, first: int, last: int) -> Resident:
    keep = (pages.vpage >= first) & (pages.vpage < last)
    return Resident(pages.vpage[keep], pages.kind[keep])


@needs_linux
def test_resident_are_exactly_the_pages_that_were_written(
    known: tuple[subprocess.Popen[str], int, int],
) -> None:
    process, first, last = known
    own = _within(resident(process.pid), first, last)
    assert np.array_equal(own.vpage, np.arange(first, first + 1800))
    assert {PAGE_KINDS[kind] for kind in own.kind} == {"anonymous"}


@needs_linux
@pytest.mark.parametrize("chunk_pages", [1, 7, 512, 4096])
def test_bytes_are_those_that_were_written(
    known: tuple[subprocess.Popen[str], int, int], chunk_pages: int
) -> None:
    process, first, last = known
    own = _within(resident(process.pid), first, last)
    got = b"".join(bytes(chunk.data) for chunk in iter_pages(process.pid, own, chunk_pages))
    assert got[: 1000 * PAGE_BYTES] == bytes(1000 * PAGE_BYTES)
    assert got[1000 * PAGE_BYTES : 1500 * PAGE_BYTES] == b"equal bytes here" * 256 * 500
    unique = [got[i * PAGE_BYTES : i * PAGE_BYTES + 8] for i in range(1500, 1800)]
    assert unique == [(2**40 + i).to_bytes(8, "little") for i in range(1500, 1800)]


@needs_linux
def test_pages_that_are_gone_are_left_out_and_the_rest_is_right(
    known: tuple[subprocess.Popen[str], int, int],
) -> None:
    process, first, last = known
    own = _within(resident(process.pid), first, last)
    # Page 16 is below what Linux lets anyone map; a hole between and at the end, too.
    holes = Resident(
        np.array([16, first + 1000, first + 1500, 17, first + 1501, 18]), np.zeros(6, np.uint8)
    )
    (chunk,) = iter_pages(process.pid, holes)
    assert (chunk.vpage - first).tolist() == [1000, 1500, 1501]
    words = [bytes(chunk.data[i * PAGE_BYTES :][:8]) for i in range(3)]
    assert words == [b"equal by", *((2**40 + i).to_bytes(8, "little") for i in (1500, 1501))]
    assert own.vpage.size == 1800


@needs_linux
def test_the_three_kinds_of_page(tmp_path: Path) -> None:
    file = tmp_path / "pages"
    file.write_bytes(b"x" * 4 * PAGE_BYTES)
    with file.open("r+b") as opened:
        private = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE)
    for page in range(4):
        assert private[page * PAGE_BYTES] == ord("x")
    private[2 * PAGE_BYTES] = ord("y")  # now this page is a copy of our own
    shared = mmap.mmap(-1, PAGE_BYTES)  # shared anonymous memory: a file to Linux
    shared[0] = 1
    window = ctypes.c_char.from_buffer(private)
    start = ctypes.addressof(window) // PAGE_BYTES
    window_shared = ctypes.c_char.from_buffer(shared)
    start_shared = ctypes.addressof(window_shared) // PAGE_BYTES
    found = resident(os.getpid())
    kinds = [PAGE_KINDS[kind] for kind in _within(found, start, start + 4).kind]
    assert kinds == ["file", "file", "private-dirty", "file"]
    assert [PAGE_KINDS[k] for k in _within(found, start_shared, start_shared + 1).kind] == ["file"]


@needs_linux
def test_resident_pages_are_about_what_the_kernel_says() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            while process_state(process.pid) != "S":
                pass
            said = sum(one.rss_kib for one in mappings(process.pid) if one.readable) // 4
            assert abs(resident(process.pid).vpage.size - said) <= 2  # a zero page is not in Rss
        finally:
            process.kill()


@needs_linux
def test_a_process_that_has_ended() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(InvalidInputError, match="must be the number of a running process"):
        resident(process.pid)
    assert process_state(process.pid) == "X"


@needs_linux
def test_a_zombie_has_no_memory() -> None:
    with subprocess.Popen(["true"]) as process:
        while process_state(process.pid) != "Z":
            pass
        with pytest.raises(InvalidInputError, match="this one has ended"):
            mappings(process.pid)


@needs_linux
def test_a_process_that_ends_while_it_is_read(
    known: tuple[subprocess.Popen[str], int, int],
) -> None:
    process, first, last = known
    own = _within(resident(process.pid), first, last)
    pieces = iter_pages(process.pid, own, chunk_pages=100)
    next(pieces)
    process.kill()
    while process_state(process.pid) != "Z":
        pass
    with pytest.raises(InvalidInputError, match="must be the number of a running process"):
        list(pieces)


@needs_linux
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
def test_another_users_process_is_refused_in_plain_words() -> None:
    script = textwrap.dedent(f"""
        import os
        from virtlab.memory.live.procfs import resident
        os.setgid(65534); os.setuid(65534)
        try:
            resident({os.getpid()})
        except PermissionError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (
        f"process {os.getpid()} belongs to user 0, and you are user 65534: only its own user, or "
        "root, may read its memory"
    )


@needs_linux
def test_ones_own_process_that_may_not_be_read_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "pread", refuse)
    with pytest.raises(PermissionError, match=rf"process {os.getpid()} is yours, but this system"):
        resident(os.getpid())


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert why_not() == (
        "this system (darwin) is not Linux: it does not show the pages of a process"
    )


def test_a_linux_without_pagemap_is_said_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mem").touch()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(procfs, "_PROC", tmp_path)
    assert why_not() == (
        "this Linux does not offer /proc/PID/smaps, /proc/PID/pagemap, which the pages of a "
        "process are read from"
    )


@pytest.mark.parametrize("pid", [0, -1, 1.5, "7", True])
def test_a_pid_is_a_positive_whole_number(pid: object) -> None:
    with pytest.raises(InvalidInputError, match="pid"):
        mappings(pid)  # type: ignore[arg-type] # what a caller may get wrong
