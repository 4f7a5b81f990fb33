"""VMs beside each other: each in its extent, served by its shares, managed from outside."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine.esx.hypervisor import Hypervisor
from virtlab.machine.esx.loads import Load, Then
from virtlab.machine.esx.physical import SECTOR, BlockRequest, PhysicalDisk
from virtlab.machine.esx.request import checksum
from virtlab.machine.esx.vmkernel import VMkernel
from virtlab.machine.esx.vmm import DISKS, Recorded, Task
from virtlab.resources import allocate
from virtlab.resources.disk_policies import Fifo, Units
from virtlab.validate import InvalidInputError

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
