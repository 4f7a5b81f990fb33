"""The devices that are virtual only, and the guest that drives them: in QEMU it says the same."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.machine.oracle import NO_QEMU, QEMU, boot
from tests.machine.test_guests import compiler, needs_gcc
from virtlab.datasets import changed_files
from virtlab.machine.devices.pic import Pic
from virtlab.machine.esx.devices import OwnDisk, VirtualAta
from virtlab.machine.esx.parts import virtual_hardware
from virtlab.machine.esx.physical import SECTOR, BlockRequest, PhysicalDisk
from virtlab.machine.esx.request import run_bare
from virtlab.machine.esx.vmm import DISKS, Bare, Task, Vmm
from virtlab.machine.guests import DRIVER, driver
from virtlab.machine.image import load
from virtlab.machine.memory import Memory
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path


def contents(disk: PhysicalDisk) -> bytes:
    disk.file.seek(0)
    return disk.file.read()


# --- the devices ----------------------------------------------------------------------------------


def test_an_ata_disk_is_busy_until_its_answer_and_remembers_how_to_go_back() -> None:
    asked: list[BlockRequest] = []
    pic = Pic()
    disk = VirtualAta(pic, 16, asked.append)
    for port, value in ((0x1F2, 2), (0x1F3, 3), (0x1F4, 0), (0x1F5, 0), (0x1F6, 0xE0)):
        disk.write(port, 1, value)
    before = disk.save()
    disk.write(0x1F7, 1, 0x20)
    assert asked == [BlockRequest(3, 2)]
    assert disk.read(0x3F6, 1) == 0x80
    assert disk.read(0x1F0, 2) == 0
    disk.complete(b"a" * SECTOR + b"b" * SECTOR)
    got = b"".join(disk.read(0x1F0, 4).to_bytes(4, "little") for _ in range(256))
    assert got == b"a" * SECTOR + b"b" * SECTOR
    assert disk.read(0x1F7, 1) == 0x50
    disk.restore(before)
    assert disk.save() == before


def test_our_disk_takes_one_request_at_a_time_and_says_no() -> None:
    asked: list[BlockRequest] = []
    memory = Memory(8192)
    disk = OwnDisk(Pic(), memory, 16, asked.append)
    for lba, sectors, status in ((15, 2, disk.failed), (0, 0, disk.failed), (3, 1, disk.busy)):
        memory.write(64, struct.pack("<4I", lba, sectors, 1024, 0))
        disk.write(0x600, 4, 64)
        assert disk.status == status
    disk.write(0x600, 4, 64)  # it is busy
    disk.write(0x601, 1, 64)  # not its port
    assert asked == [BlockRequest(3, 1)]
    assert disk.read(0x602, 1) == 0


def test_the_table_of_parts_is_asked_of_the_bus() -> None:
    hardware = virtual_hardware()
    parts = {part.name: part for part in hardware.parts}
    assert parts["own disk"].ports == "0x600-0x603"
    assert parts["disk"].ports == "0x1f0-0x1f7, 0x3f6"
    assert "440BX" in parts["timer"].stands_for
    assert all(10 < part.lines < 100 for part in hardware.parts)
    assert parts["own disk"].lines < 45
    machine = Vmm("VM1", Task("own")).machine
    assert {part.name for part in virtual_hardware(machine.bus).parts} == {
        device.name for device in machine.bus.devices
    }
    assert hardware.summary()["devices"] == len(hardware.to_frame())


# --- the guest ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DISKS)
def test_the_same_guest_with_and_without_a_monitor(kind: str) -> None:
    data = np.random.default_rng(3).bytes(64 * SECTOR)
    said, ports = [], []
    for make in (Vmm, Bare):
        guest = make("x", Task(kind, 2, 3, requests=2, write=True), 64)
        log = run_bare(guest, PhysicalDisk.of(data))
        said.append(guest.text)
        ports.append([act.what for act in log.acts if act.kind == "port"])
    assert said[0] == said[1]
    assert ports[0] == ports[1]


@pytest.mark.parametrize(
    "named", [{"disk": "scsi"}, {"sectors": 0}, {"sectors": 17}, {"requests": 0}, {"lba": -1}]
)
def test_a_task_is_checked(named: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(named))):
        Task(**named)  # type: ignore[arg-type] # bad on purpose


def test_the_driver_does_nothing_that_gives_ring_1_away() -> None:
    from virtlab.machine.vmm.monitor import Monitor

    monitor = Monitor(2)
    monitor.bus.add(VirtualAta(monitor.pic, 64, lambda _request: None))
    monitor.load(load(driver(), 2 << 20))
    assert monitor.run(5000).ended == "halted"  # it waits for its sector
    assert {wrong.routine for wrong in monitor.wrongs} <= {"IRET"}


@pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
@pytest.mark.parametrize(("sectors", "requests", "write"), [(1, 1, 0), (4, 3, 0), (2, 2, 1)])
def test_qemus_disk_gives_the_driver_the_same(
    tmp_path: Path, sectors: int, requests: int, write: int
) -> None:
    image = load(driver(), 2 << 20)
    task = struct.pack("<5I", 7, sectors, requests, write, 0)
    elf = bytearray(driver().read_bytes())
    at = elf.index(struct.pack("<5I", 0, 1, 1, 0, 0))
    elf[at : at + len(task)] = task
    assert image.symbols["task"].bytes == len(task)
    (tmp_path / "driver.elf").write_bytes(elf)
    data = np.random.default_rng(5).bytes(64 * SECTOR)
    (tmp_path / "disk").write_bytes(data)
    drive = ("-drive", f"file={tmp_path / 'disk'},format=raw,if=ide,index=0")
    output, status = boot(tmp_path / "driver.elf", more=drive)
    vmm = Vmm("VM1", Task("ata", 7, sectors, requests, bool(write)), 64)
    disk = PhysicalDisk.of(data)
    run_bare(vmm, disk)
    assert (output.replace("\r", ""), status) == (vmm.text, 1)
    assert (tmp_path / "disk").read_bytes() == contents(disk)


@needs_gcc
def test_the_driver_builds_to_the_same_bytes(root: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        from pathlib import Path

        home = Path(folder)
        copy = home / "virtlab/machine/driver"
        shutil.copytree(DRIVER, copy)
        shutil.copytree(DRIVER.parent / "kernel", home / "virtlab/machine/kernel")
        (copy / "driver.elf").unlink()
        (home / "tools").mkdir()
        tool = shutil.copy(root / "tools/build_guests.py", home / "tools")
        subprocess.run([sys.executable, tool, "driver"], check=True, capture_output=True)
        assert changed_files(copy) == []
        if re.search(r"\(Debian 12\.2\.0-", compiler()):
            assert (copy / "SHA256SUMS").read_bytes() == (DRIVER / "SHA256SUMS").read_bytes()
