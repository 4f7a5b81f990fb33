"""One migration from start to end: by a QEMU of ours that errs at will, and by the real one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from virtlab.migration.lab import host, machine, runner
from virtlab.migration.lab.cells import MODES, Cell
from virtlab.migration.lab.machine import LabError, Machine, choose_accelerator, why_not
from virtlab.migration.lab.qmp import QmpClosedError
from virtlab.migration.lab.runner import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_qemu = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is QEMU")

MIB = 2**20
CELL = Cell(ram_mib=64, fill_mib=32, working_set_pages=4096, dirty_writes_nominal_per_s=1000)


def children() -> set[str]:
    """Return the processes that we have started and not ended."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return set(listed.read_text().split()) if listed.exists() else set()


@pytest.fixture(autouse=True)
def _nothing_is_left(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Whatever a test does: no process and no folder is left of it."""
    tmp_path_factory.getbasetemp()  # pytest's own folder stands elsewhere
    folder = Path(tempfile.mkdtemp(prefix="vl", dir="/tmp"))  # a socket's path must be short
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = children()
    yield
    assert children() <= before
    assert list(folder.glob("virtlab-*")) == []
    shutil.rmtree(folder)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for what does not come."""
    real = Machine.wait_until_filled
    monkeypatch.setattr(Machine, "wait_until_filled", lambda self: real(self, timeout_s=0.5))


def test_what_qemu_says_stands_in_the_record(fake_qemu: Callable[[str], None]) -> None:
    found = measure(CELL, "tcg", seed=7)
    assert found.run_id == CELL.run_id
    assert (found.outcome, found.total_time_ms, found.downtime_qemu_ms) == ("completed", 321, 12)
    assert (found.transferred_bytes, found.normal_pages, found.duplicate_pages) == (10**6, 240, 10)
    assert (found.dirty_sync_count, found.expected_downtime_last_ms) == (3, 300)
    assert found.qemu_version == "7.2.22"
    assert found.stop_at_ms is not None
    assert 200 < found.stop_at_ms <= found.wall_migrate_to_end_ms
    assert found.downtime_stop_to_resume_ms is not None
    assert 0 < found.downtime_stop_to_resume_ms < 1000
    assert found.dest_alive_writes_per_s is not None
    assert found.dest_alive_writes_per_s > 0
    assert found.guest_max_late_ms == 3.0
    assert found.postcopy_switch_ms is None
    assert found.writer_page_at_start is not None
    assert 0 <= found.writer_page_at_start < 4096
    assert abs(found.started_unix_s - time.time()) < 60


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("broken", "could not open the accelerator"),
        ("refuses", "refused migrate-set-parameters: Parameter is not known"),
        ("small", "more than there is of memory"),
        ("mute", "the guest did not come up in 0.5 s"),
        ("fails", "QEMU failed: the cable is cut"),
        ("silent", "the guest says nothing in the target"),
    ],
)
@pytest.mark.usefixtures("short")
def test_what_goes_wrong_is_said(fake_qemu: Callable[[str], None], how: str, says: str) -> None:
    fake_qemu(how)
    with pytest.raises(LabError, match=says):
        measure(CELL, "tcg")


def test_a_qemu_that_dies_meanwhile_is_told(fake_qemu: Callable[[str], None]) -> None:
    fake_qemu("dies")
    with pytest.raises(QmpClosedError, match="QEMU is gone"):
        measure(CELL, "tcg")


def test_what_does_not_converge_is_called_off(fake_qemu: Callable[[str], None]) -> None:
    fake_qemu("stuck")
    found = measure(CELL, "tcg", timeout_s=0.5)
    assert found.outcome == "not_converged_cancelled"
    assert found.total_time_ms == 250  # as QEMU said last
    assert found.wall_migrate_to_end_ms >= 500
    assert found.downtime_stop_to_resume_ms is found.dest_alive_writes_per_s is None


def test_post_copy_that_is_called_off_keeps_what_was_seen_last(
    fake_qemu: Callable[[str], None],
) -> None:
    fake_qemu("stuck")
    found = measure(replace(CELL, postcopy_at_s=0.15), "tcg", timeout_s=0.5)
    assert found.outcome == "not_converged_cancelled"
    assert found.total_time_ms == 400  # and not what it was before the switch


def test_post_copy_begins_when_it_was_asked_for(fake_qemu: Callable[[str], None]) -> None:
    found = measure(replace(CELL, postcopy_at_s=0.15), "tcg")
    assert found.outcome == "postcopy_completed"
    assert found.postcopy_bytes == 500
    assert found.postcopy_switch_ms is not None
    assert found.postcopy_active_ms is not None
    assert 149 <= found.postcopy_switch_ms < 290  # and not a whole look later
    assert found.postcopy_switch_ms + found.postcopy_active_ms <= found.wall_migrate_to_end_ms + 1


def test_ctrl_c_leaves_nothing(
    fake_qemu: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        assert len(children()) >= 2 or not Path("/proc").is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_migrate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(CELL, "tcg")  # the fixture looks for what is left


def test_a_qemu_that_does_not_end_is_ended(
    fake_qemu: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_GONE_AFTER_S", 0.2)
    with Machine(CELL, "tcg") as started:
        monkeypatch.setattr(started._process, "terminate", lambda: None)


def test_where_there_is_no_qemu_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "install qemu-system-x86" in why_not()
    with pytest.raises(LabError, match="apt install qemu-system-x86"):
        measure(CELL, "tcg")


def test_kvm_is_taken_only_where_our_guest_comes_up_with_it(
    fake_qemu: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("os.access", lambda *_: True)
    assert choose_accelerator() == "kvm"
    fake_qemu("broken")
    assert choose_accelerator() == "tcg"
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert choose_accelerator() == "tcg"
    assert choose_accelerator("kvm") == "kvm"  # who asks for it gets it, or an error


def test_how_busy_the_host_is_comes_from_the_kernels_ticks(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 1 1 1\n")
    clock = host.Clock(stat)
    stat.write_text("cpu  160 0 70 900 60 0 0 10 0 0\ncpu0 1 1 1 1\n")
    assert clock.busy() == host.Busy(busy_pct=45.0, steal_pct=5.0)  # 90 of 200; 10 of 200


def test_waits_of_all_threads_are_added_also_of_those_that_come_and_go(tmp_path: Path) -> None:
    def thread(pid: int, tid: int, waited_ns: int) -> None:
        folder = tmp_path / str(pid) / "task" / str(tid)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(f"123456 {waited_ns} 7\n")

    thread(10, 10, 5_000_000)
    thread(20, 20, 0)
    waiting = host.Waiting([10, 20, 30], tmp_path)
    assert waiting.look() == 0
    thread(10, 10, 7_000_000)  # 2 ms more
    thread(20, 21, 4_000_000)  # one that came meanwhile
    assert waiting.look() == 6
    shutil.rmtree(tmp_path / "20/task/21")
    assert waiting.look() == 6  # it is gone, and what it waited is not
    (tmp_path / "10/task/10/schedstat").write_text("")
    assert waiting.look() == 6


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells waits")
def test_waits_of_a_real_process_grow_where_it_gets_no_processor() -> None:
    waiting = host.Waiting([os.getpid()])
    before = waiting.look()
    assert before is not None
    time.sleep(0.05)
    after = waiting.look()
    assert after is not None
    assert after >= before >= 0


@needs_qemu
@pytest.mark.parametrize("mode", MODES)
def test_a_real_migration_moves_the_guest_and_loses_nothing(mode: str) -> None:
    hot = {"hot_pages": 512, "hot_write_pct": 90} if mode == "hot+round_robin" else {}
    cell = replace(CELL, mode=mode, max_bandwidth_bytes_per_s=128 * MIB, **hot)  # type: ignore[arg-type]
    found = measure(cell, "tcg", seed=11)
    assert found.outcome == "completed"
    # 64 MiB of memory and 130 pages of firmware; 32 MiB are filled, few others are not zero.
    assert found.ram_total_bytes == 64 * MIB + 130 * 4096
    assert found.normal_pages >= 32 * 256
    assert 0 <= 32 * 256 - found.duplicate_pages + 130 <= 150
    # Sent are pages of 4,096 bytes with 8 of header, 9 bytes for one of zeros, and a little.
    pages = 4104 * found.normal_pages + 9 * found.duplicate_pages
    assert 0 <= found.transferred_bytes - pages <= 64 * 1024
    assert found.dest_alive_writes_per_s == pytest.approx(1000, rel=0.3)
    assert found.downtime_stop_to_resume_ms is not None
    assert found.downtime_qemu_ms is not None
    assert found.downtime_stop_to_resume_ms >= found.downtime_qemu_ms - 2


@needs_qemu
def test_the_count_of_writes_goes_on_in_the_target() -> None:
    seen: dict[str, list[int]] = {}
    real = Machine.stop

    def note(self: Machine) -> None:
        seen["target" if self._incoming else "source"] = [each.writes for each in self.reports]
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "stop", note)
        measure(replace(CELL, max_bandwidth_bytes_per_s=128 * MIB), "tcg")
    counts = seen["source"] + seen["target"]
    assert counts == sorted(counts)
    assert seen["target"][0] - seen["source"][-1] <= 1000  # none was lost in the pause


@needs_qemu
def test_a_writer_faster_than_the_link_does_not_converge() -> None:
    cell = replace(CELL, dirty_writes_nominal_per_s=8000, max_bandwidth_bytes_per_s=8 * MIB,
                   downtime_limit_ms=30)  # fmt: skip
    found = measure(cell, "tcg", timeout_s=6)
    assert found.outcome == "not_converged_cancelled"
    assert found.total_time_ms == pytest.approx(6000, abs=500)
    assert found.transferred_bytes > 30 * MIB
    assert threading.active_count() < 10
