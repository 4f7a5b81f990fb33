"""VMs beside each other: their extents, their shares, a console outside, and a guest in QEMU."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.oracle import NO_QEMU, QEMU, boot
from tests.machine.test_guests import compiler, needs_gcc
from virtlab.datasets import changed_files
from virtlab.machine.devices.pic import Pic
from virtlab.machine.esx.devices import OwnDisk, VirtualAta
from virtlab.machine.esx.hypervisor import Hypervisor
from virtlab.machine.esx.loads import Load, Then
from virtlab.machine.esx.parts import virtual_hardware
from virtlab.machine.esx.physical import SECTOR, BlockRequest, PhysicalDisk
from virtlab.machine.esx.request import checksum, run_bare
from virtlab.machine.esx.vmkernel import VMkernel
from virtlab.machine.esx.vmm import DISKS, Bare, Recorded, Task, Vmm
from virtlab.machine.guests import DRIVER, driver
from virtlab.machine.image import load
from virtlab.machine.memory import Memory
from virtlab.resources import allocate
from virtlab.resources.disk_policies import Fifo, Units
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

ROOM = 2048  # sectors of each VM


def random_disk(vms: int, seed: int = 0) -> PhysicalDisk:
    return PhysicalDisk.of(np.random.default_rng(seed).bytes(vms * ROOM * SECTOR))


def contents(disk: PhysicalDisk) -> bytes:
    disk.file.seek(0)
    return disk.file.read()


# --- real guests beside each other ----------------------------------------------------------------


def test_two_guests_read_each_its_own() -> None:
    disk = random_disk(2)
    data = contents(disk)
    host = Hypervisor(disk)
    vmms = [host.console.create(name, Task("ata", 5, 2)) for name in ("VM1", "VM2")]
    host.kernel.run()
    for k, vmm in enumerate(vmms):
        at = (k * ROOM + 5) * SECTOR
        assert vmm.text == f"checksum {checksum(data[at : at + 2 * SECTOR]):#010x}\n"
    assert vmms[0].text != vmms[1].text
    assert contents(disk) == data


@pytest.mark.parametrize("kind", DISKS)
def test_what_a_guest_writes_is_in_its_own_extent_alone(kind: str) -> None:
    disk = random_disk(3)
    before = contents(disk)
    host = Hypervisor(disk)
    host.console.register(Recorded("VM1", []))
    vmm = host.console.create("VM2", Task(kind, 9, 3, requests=2, write=True))
    host.console.register(Load("VM3", room=ROOM, requests=5))
    host.kernel.run()
    after = contents(disk)
    begin, end = (ROOM + 9) * SECTOR, (ROOM + 15) * SECTOR
    assert after[:begin] == before[:begin]
    assert after[end:] == before[end:]
    assert after[begin:end] != before[begin:end]
    total = 0  # the program adds on from request to request
    for word in np.frombuffer(after[begin:end], "<u4").tolist():
        total = ((total << 1 | total >> 31) + word) & 0xFFFFFFFF
    assert vmm.text == f"checksum {total:#010x}\n"
    assert vmm.machine.exit_port.status == 1


@pytest.mark.parametrize("kind", DISKS)
def test_beyond_its_disk_a_guest_gets_an_error_and_no_one_is_asked(kind: str) -> None:
    disk = random_disk(2)
    host = Hypervisor(disk)
    vmm = host.console.create("VM1", Task(kind, ROOM - 1, 2))
    host.kernel.run()
    assert vmm.machine.exit_port.status == 3  # the driver's 'failed' is the program's status
    assert disk.requests == 0


def test_a_vmm_that_asks_for_too_much_is_refused_by_the_kernel() -> None:
    kernel = VMkernel(random_disk(2))
    from virtlab.machine.esx.acts import Event

    liar = [Event("vmm", "vmkernel", "submit", "read", request=BlockRequest(ROOM - 1, 2))]
    kernel.admit(Recorded("VM1", liar), memory_mib=2, sectors=ROOM)
    with pytest.raises(InvalidInputError, match=f"{ROOM} sectors of VM1"):
        kernel.run()
    assert kernel.disk.requests == 0


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(1, 4), st.booleans()),
        max_size=20,
    )
)
def test_extents_keep_vms_apart(asked: list[tuple[int, int, int, bool]]) -> None:
    """Whatever three VMs ask, in any order: what each reads is what it wrote, or was there."""
    room = 64
    before = np.random.default_rng(1).bytes(3 * room * SECTOR)
    expected, kernel = bytearray(before), VMkernel(PhysicalDisk.of(before))
    for vm in range(3):
        kernel.admit(_Script(f"VM{vm}", vm, asked), memory_mib=2, sectors=room)
    kernel.run()
    for vm in range(3):
        world = kernel.account(f"VM{vm}").world
        assert isinstance(world, _Script)
        own = bytearray(before[vm * room * SECTOR : (vm + 1) * room * SECTOR])
        for request, answer in zip(world.requests, world.answers, strict=True):
            part = slice(request.lba * SECTOR, (request.lba + request.sectors) * SECTOR)
            assert answer == (b"" if request.write else bytes(own[part]))
            if request.write:
                own[part] = request.data
        expected[vm * room * SECTOR : (vm + 1) * room * SECTOR] = own
    assert contents(kernel.disk) == bytes(expected)


class _Script(Recorded):
    """A VM that does some requests, one after the other, and keeps the answers."""

    def __init__(self, name: str, vm: int, asked: list[tuple[int, int, int, bool]]) -> None:
        from virtlab.machine.esx.acts import Event

        mine = [(lba, n, write) for who, lba, n, write in asked if who == vm]
        self.requests = [
            BlockRequest(lba, n, write, bytes([vm + k & 255]) * n * SECTOR if write else b"")
            for k, (lba, n, write) in enumerate(mine)
        ]
        self.answers: list[bytes] = []
        wait = Event("kernel", "vmm", "wait", "")
        events = [
            event
            for one in self.requests
            for event in (Event("vmm", "vmkernel", "submit", "", request=one), wait)
        ]
        super().__init__(name, events)

    def complete(self, data: bytes) -> None:
        self.answers.append(data)
        super().complete(data)


# --- shares ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [(1000, 1000), (1000, 2000, 1000), (500, 1000, 4000)])
def test_the_disk_is_shared_by_shares(shares: tuple[int, ...]) -> None:
    kernel = VMkernel(random_disk(len(shares)))
    for k, share in enumerate(shares):
        load = Load(f"VM{k + 1}", room=ROOM, outstanding=8, seed=k)
        kernel.admit(load, memory_mib=2, sectors=ROOM, shares=share)
    kernel.run(until=lambda: kernel.disk.requests >= 700)
    got = np.array([one.moved_bytes for one in kernel.accounts.values()], dtype=float)
    due = allocate(1.0, shares).allocation
    assert got / got.sum() == pytest.approx(due, abs=0.005)


def test_without_shares_the_queue_is_by_arrival() -> None:
    kernel = VMkernel(random_disk(2), policy=Fifo(), units=Units(per_command=1))
    for k, share in enumerate((1000, 4000)):
        load = Load(f"VM{k + 1}", room=ROOM, outstanding=4, seed=k)
        kernel.admit(load, memory_mib=2, sectors=ROOM, shares=share)
    kernel.run(until=lambda: kernel.disk.requests >= 200)
    one, two = (account.requests for account in kernel.accounts.values())
    assert abs(one - two) <= 4


def test_shares_that_change_count_at_once() -> None:
    host = Hypervisor(random_disk(2))
    for k in range(2):
        host.console.register(Load(f"VM{k + 1}", room=ROOM, outstanding=4, seed=k))
    host.kernel.run(until=lambda: host.kernel.disk.requests >= 100)
    before = host.console.statistics()["requests"].tolist()
    host.console.set_shares("VM2", 3000)
    host.kernel.run(until=lambda: host.kernel.disk.requests >= 300)
    after = host.console.statistics()["requests"].tolist()
    assert abs(before[0] - before[1]) <= 2
    assert (after[1] - before[1]) / (after[0] - before[0]) == pytest.approx(3, abs=0.2)
    assert host.console.commands[-1] == "set shares of VM2 to 3000"


def test_the_disk_is_never_idle_while_someone_waits() -> None:
    kernel = VMkernel(random_disk(2))
    for k in range(2):
        kernel.admit(Load(f"VM{k}", room=ROOM, seed=k), memory_mib=2, sectors=ROOM)
    kernel.run(until=lambda: kernel.disk.requests >= 50)
    served = [act for act in kernel.log.acts if act.kind == "service"]
    assert all(two.start_us - one.end_us < 3 for one, two in pairwise(served))


# --- the console ----------------------------------------------------------------------------------


def test_a_name_is_used_once_and_nothing_is_half_done() -> None:
    host = Hypervisor(random_disk(2), memory_mib=3)
    host.console.create("VM1")
    for name, field in (("VM1", "owner"), ("VM2", "MiB")):
        with pytest.raises(InvalidInputError, match=field):
            host.console.create(name)
    assert host.kernel.extents.owners.keys() == {"VM1"}
    assert host.console.commands == ["create VM1"]
    for bad in (0, -5, float("nan")):
        with pytest.raises(InvalidInputError, match="shares"):
            host.console.set_shares("VM1", bad)
    with pytest.raises(InvalidInputError, match="one that is there: VM1"):
        host.console.set_shares("VM7", 1)


def test_a_write_that_is_late_does_not_meet_the_next_owner() -> None:
    from virtlab.machine.esx.acts import Event

    disk = random_disk(1)
    host = Hypervisor(disk)
    old = BlockRequest(0, 1, write=True, data=b"old " * 128)
    asks = Event("vmm", "vmkernel", "submit", "write", request=old)
    host.console.register(Recorded("VM1", [asks, asks, asks]))
    host.kernel.run(until=lambda: disk.service is not None)
    host.console.destroy("VM1")
    assert disk.service is None
    host.console.register(
        Recorded("VM2", [asks._replace(request=BlockRequest(0, 1, write=True, data=b"new " * 128))])
    )
    host.kernel.run()
    assert contents(disk)[:8] == b"new new "
    assert disk.requests == 2


def test_a_vm_goes_and_the_others_go_on() -> None:
    host = Hypervisor(random_disk(3))
    for k in range(3):
        host.console.register(Load(f"VM{k + 1}", room=ROOM, seed=k, requests=40))
    host.kernel.run(until=lambda: host.kernel.disk.requests >= 20)
    host.console.destroy("VM2")
    host.kernel.run()
    assert host.console.statistics()["requests"].tolist() == [40, 40]
    assert host.kernel.extents.free == ROOM


def test_then_hands_answers_to_who_asked() -> None:
    first, second = Load("VM1", requests=3), Load("VM1", requests=2, seed=9)
    kernel = VMkernel(random_disk(1))
    kernel.admit(Then(first, second), memory_mib=2, sectors=ROOM)
    kernel.run()
    assert first.over
    assert second.over
    assert kernel.account("VM1").requests == 5


def test_the_console_reads_how_long_requests_waited() -> None:
    host = Hypervisor(random_disk(2))
    for k in range(2):
        host.console.register(Load(f"VM{k + 1}", room=ROOM, seed=k, outstanding=3, requests=9))
    host.kernel.run()
    waits = {"VM1": 0.0, "VM2": 0.0}
    for act in host.kernel.log.acts:
        waits[act.vm] += act.us if act.kind == "queue" else 0
    found = host.console.statistics()
    assert found["mean_wait_ms"].tolist() == pytest.approx([us / 9000 for us in waits.values()])
    assert found["mean_wait_ms"].min() > 10
    assert found["moved_bytes"].tolist() == [9 * 4096] * 2


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
