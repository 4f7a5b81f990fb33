"""Our guest: the program belongs to its source, and does what it is told in a real QEMU."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.migration.lab import guest
from virtlab.migration.lab.cells import MODES, Cell
from virtlab.migration.lab.guest import PROGRAM, Report, changed_since_built, parse, rate_per_s
from virtlab.migration.lab.machine import LabError, Machine, why_not

if TYPE_CHECKING:
    from pathlib import Path

needs_qemu = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is QEMU")

SMALL = Cell(ram_mib=64, fill_mib=32, working_set_pages=1000, dirty_writes_nominal_per_s=5000)


def test_the_program_was_built_from_the_source_that_is_here() -> None:
    assert changed_since_built() == []
    sums = PROGRAM.with_name("SHA256SUMS").read_text(encoding="utf-8")
    there = {path.name for path in PROGRAM.parent.iterdir()} - {"SHA256SUMS"}
    assert {line.split("  ")[1] for line in sums.splitlines()} == there


def test_a_changed_source_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "program"
    shutil.copytree(PROGRAM.parent, copy)
    monkeypatch.setattr(guest, "PROGRAM", copy / "guest.elf")
    assert changed_since_built() == []
    with (copy / "guest.c").open("a") as source:
        source.write("/* another */\n")
    assert changed_since_built() == ["guest.c"]


def test_the_program_is_an_elf_with_a_multiboot_header() -> None:
    data = PROGRAM.read_bytes()
    assert data[:7] == b"\x7fELF\x01\x01\x01"  # 32 bits, little-endian
    assert struct.unpack_from("<HH", data, 16) == (2, 3)  # a program, for the 80386
    at = data.index(struct.pack("<I", 0x1BADB002))
    assert at < 8192  # the loader looks no further
    assert sum(struct.unpack_from("<III", data, at)) % 2**32 == 0


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc to build the guest with")
def test_the_source_builds_without_a_warning(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "virtlab/migration/lab/program"
    shutil.copytree(PROGRAM.parent, copy)
    (copy / "guest.elf").unlink()
    (tmp_path / "tools").mkdir()
    script = shutil.copy(root / "tools/build_guests.py", tmp_path / "tools")
    if (
        "elf_i386"
        not in subprocess.run(["ld", "-V"], capture_output=True, text=True, check=False).stdout
    ):
        pytest.skip("the linker here makes no 32-bit programs")
    subprocess.run([sys.executable, script, "lab"], check=True, capture_output=True)
    assert (copy / "guest.elf").read_bytes()[:4] == b"\x7fELF"


def test_lines_that_are_no_reports_are_passed_over() -> None:
    assert parse("writes 12 tenths 3 late 4\n", 5.0) == Report(5.0, 12, 0.3, 4)
    for line in (
        "",
        "SeaBIOS",
        "writes 12 tenths",
        "xwrites 1 tenths 1 late 1",
        "writes -1 tenths",
    ):
        assert parse(line, 5.0) is None


def test_a_rate_takes_two_reports() -> None:
    one = Report(1.0, 100, 0.1, 0)
    assert rate_per_s([]) is rate_per_s([one]) is rate_per_s([one, one]) is None


@pytest.mark.parametrize("mode", MODES)
@needs_qemu
def test_it_writes_at_its_rate_and_keeps_it(mode: str) -> None:
    hot = {"hot_pages": 100, "hot_write_pct": 90} if mode == "hot+round_robin" else {}
    cell = Cell(
        ram_mib=64, fill_mib=32, working_set_pages=1000, mode=mode,
        dirty_writes_nominal_per_s=5000, **hot,  # type: ignore[arg-type]  # whole numbers
    )  # fmt: skip
    with Machine(cell, "tcg") as machine:
        machine.wait_until_filled()
        reports = machine.wait_for_reports(20, timeout_s=20)
    first, last = reports[0], reports[-1]
    # By its own clock the count is exact: what is due at a tenth, and what one look at it can miss.
    assert last.guest_s - first.guest_s >= 1
    assert abs(last.writes - 5000 * last.guest_s) <= 5000 * 0.1 + last.late_writes
    rate = rate_per_s(reports)
    assert rate is not None
    assert rate == pytest.approx(5000, rel=0.25)  # by ours, on a machine that may be busy


def pages_of(machine: Machine, path: Path) -> list[bytes]:
    """Return the pages that the guest filled, from a dump of its memory."""
    size = 32 * 2**20
    machine.qmp.execute("stop")
    machine.qmp.execute("pmemsave", val=16 * 2**20, size=size, filename=str(path))
    data = path.read_bytes()
    assert len(data) == size
    return [data[at : at + 4096] for at in range(0, size, 4096)]


@needs_qemu
def test_no_page_is_of_zeros_and_the_working_set_alone_changes(tmp_path: Path) -> None:
    with Machine(SMALL, "tcg") as machine:
        machine.wait_until_filled()
        before = pages_of(machine, tmp_path / "before")
        machine.qmp.execute("cont")
        machine.wait_for_reports(8, timeout_s=20)
        after = pages_of(machine, tmp_path / "after")
    assert len(set(before[1000:])) == len(before) - 1000  # each another content
    assert bytes(4096) not in before
    assert before[1000:] == after[1000:]
    changed = sum(one != other for one, other in zip(before[:1000], after[:1000], strict=True))
    assert changed == 1000  # 5000 a second in turn, for at least half a second


@needs_qemu
def test_hot_pages_get_their_share_of_the_writes(tmp_path: Path) -> None:
    cell = Cell(ram_mib=64, fill_mib=32, working_set_pages=8000, mode="hot+round_robin",
                hot_pages=500, hot_write_pct=90, dirty_writes_nominal_per_s=5000)  # fmt: skip
    with Machine(cell, "tcg", seed=3) as machine:
        machine.wait_until_filled()
        before = pages_of(machine, tmp_path / "before")
        machine.qmp.execute("cont")
        first, *_, last = machine.wait_for_reports(8, timeout_s=20)
        after = pages_of(machine, tmp_path / "after")
    changed = [one != other for one, other in zip(before, after, strict=True)]
    assert sum(changed[:500]) >= 480  # by chance: hardly one is missed by 3,600 writes
    cold = sum(changed[500:8000])
    least = (last.writes - first.writes) / 10
    assert least <= cold <= least * 3 + 500  # a tenth of the writes, none of them twice
    assert not any(changed[8000:])


@needs_qemu
def test_a_guest_that_lacks_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "fill=60 ws=1 rate=0"
    monkeypatch.setattr("virtlab.migration.lab.machine.command_line", lambda *_: line)
    with Machine(SMALL, "tcg") as machine, pytest.raises(LabError, match="more than there is"):
        machine.wait_until_filled()
