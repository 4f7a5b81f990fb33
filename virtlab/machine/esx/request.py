"""Follow one disk request from a guest's program to the real disk and back (S15).

`trace_request` runs a real guest: its program asks for sectors by `int 0x80`, its driver talks to
ports, each `in` and `out` at ring 1 traps into the vmm, and so on down to bytes of a file and back
up. What the objects noted on the way is the trace. Three ways to ask:

    'ata'      the guest sees an ATA disk, and drives it as it would a real one
    'own'      the guest sees a disk that no factory made, and has a driver for it
    'native'   nothing below the guest: its kernel is at ring 0, the ATA disk is the hardware

The other VMs are there with their requests (`Load`), and VM1 had its turns among them before, so
that its place in the queue is that of a VM with its shares.

A guest does the same instructions whatever the disk takes. So a run can be recorded once and played
again among other neighbours (`record`): a test holds that this is the same, act by act. Widgets use
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from virtlab.machine.esx.acts import NATIVE, Act, Event, Log
from virtlab.machine.esx.loads import Load, Then
from virtlab.machine.esx.physical import SECTOR, PhysicalDisk
from virtlab.machine.esx.trace import RequestTrace
from virtlab.machine.esx.vmkernel import VMkernel
from virtlab.machine.esx.vmm import END, RAM_MIB, WAIT, Bare, Guest, Recorded, Task, Vmm, World
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KINDS", "RequestSetup", "checksum", "demo_disk", "record", "run_bare", "trace_request"]

KINDS = ("ata", "own", "native")
_DISK_SECTORS = 4096  # of each VM: 2 MiB
_MOST_VMS = 4
_TURNS_BEFORE = 6
_OTHERS_SHARES = 1000.0


@dataclass(frozen=True)
class RequestSetup:
    """What is asked, and among whom.

    Attributes
    ----------
    layers
        'ata', 'own' or 'native'.
    sectors
        Of the request, 1 to 16.
    vms
        How many VMs, 1 to 4; natively there is one computer, whatever it says.
    shares
        Of VM1; each other VM has 1000.
    outstanding
        Requests that each other VM keeps waiting, of 4 KB each.
    lba
        First sector, on VM1's disk.
    seed
        Of the others' requests.

    Examples
    --------
    >>> RequestSetup(vms=5)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: vms = 5: must be a whole number from 1 to 4
    """

    layers: str = "ata"
    sectors: int = 1
    vms: int = 1
    shares: float = 1000.0
    outstanding: int = 2
    lba: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        one_of("layers", self.layers, KINDS)
        integer("vms", self.vms, minimum=1, maximum=_MOST_VMS)
        integer("outstanding", self.outstanding, minimum=1, maximum=64)
        integer("seed", self.seed, minimum=0)
        if number("shares", self.shares, minimum=0) == 0:
            raise InvalidInputError("shares", self.shares, "a number > 0")
        Task(sectors=self.sectors)
        integer("lba", self.lba, minimum=0, maximum=_DISK_SECTORS - self.sectors)

    @property
    def task(self) -> Task:
        """What the guest's program is told to do."""
        return Task("own" if self.layers == "own" else "ata", self.lba, self.sectors)


@cache
def _demo_bytes() -> bytes:
    return np.random.default_rng(1974).bytes(_MOST_VMS * _DISK_SECTORS * SECTOR)


def demo_disk() -> PhysicalDisk:
    """Return a disk with something on it: the same random bytes each time.

    Returns
    -------
    PhysicalDisk
        Large enough for four VMs.

    Examples
    --------
    >>> demo_disk().sectors
    16384
    """
    return PhysicalDisk.of(_demo_bytes())


def checksum(data: bytes) -> int:
    """Return what the guest's program says of some bytes.

    Parameters
    ----------
    data
        Whole words of four bytes.

    Returns
    -------
    int
        32 bits: each word added, and the sum rotated by one bit before.

    Examples
    --------
    >>> hex(checksum(bytes.fromhex("01000000 02000000")))
    '0x4'
    """
    total = 0
    for word in np.frombuffer(data, "<u4").tolist():
        total = ((total << 1 | total >> 31) + word) & 0xFFFFFFFF
    return total


def run_bare(world: World, disk: PhysicalDisk, until: Callable[[], bool] = lambda: False) -> Log:
    r"""Run a computer that has the disk for itself: no vmm, no VMkernel.

    Parameters
    ----------
    world
        The computer.
    disk
        Its disk.
    until
        Asked after each event.

    Returns
    -------
    Log
        What it did.

    Examples
    --------
    >>> bare = Bare("PC", Task("own"))
    >>> log = run_bare(bare, demo_disk())
    >>> bare.text == f"checksum {checksum(_demo_bytes()[8 * 512 : 9 * 512]):#010x}\n"
    True
    """
    log = Log(NATIVE)
    for event in world.events():
        if event.kind == END or until():
            break
        if event.request is not None:
            disk.start(event.request, log.now_us)
        elif event.kind == WAIT:
            _finish(world, disk, log)
        else:
            log.add(world.name, event)
    return log


def _finish(world: World, disk: PhysicalDisk, log: Log) -> None:
    """Let time go on to the disk's interrupt."""
    service = disk.service
    if service is None:
        raise InvalidInputError("computer", "halted", "one that waits for its disk")
    data = disk.finish()
    busy = Event("hardware", "hardware", "service", service.words, bytes=len(data))
    log.beside(world.name, busy, service.start_us, service.us)
    world.complete(data)


@cache
def record(layers: str, sectors: int, lba: int) -> tuple[Event, ...]:
    """Run a guest once, and return what it reports up to the end of its request.

    Parameters
    ----------
    layers, sectors, lba
        As in `RequestSetup`.

    Returns
    -------
    tuple of Event
        From power-on to the return to its program.

    Examples
    --------
    >>> [event.kind for event in record("own", 1, 8)][-3:]
    ['privileged', 'privileged', 'return']
    """
    guest = _guest(RequestSetup(layers, sectors, lba=lba))
    events: list[Event] = []
    for event in guest.events():
        events.append(event)
        if event.kind == WAIT:
            guest.complete(bytes(sectors * SECTOR))
        if _is_back(events):
            break
    return tuple(events)


def _is_back(events: list[Event] | list[Act]) -> bool:
    """Return whether the program has got its answer: its second time at ring 3."""
    return events[-1].kind == "return" and sum(event.kind == "return" for event in events) == 2


def _guest(setup: RequestSetup) -> Guest:
    make = Bare if setup.layers == "native" else Vmm
    return make("VM1", setup.task, _DISK_SECTORS)


def trace_request(
    setup: RequestSetup | None = None,
    disk: PhysicalDisk | None = None,
    *,
    recorded: bool = False,
) -> RequestTrace:
    """Follow one request.

    Parameters
    ----------
    setup
        What is asked, and among whom; one sector, alone, if not given.
    disk
        The real disk; `demo_disk()` if not given. VM1's extent is its beginning.
    recorded
        Whether VM1's guest is played again (`record`); then its bytes are not looked at.

    Returns
    -------
    RequestTrace
        All acts, and where the time went.

    Examples
    --------
    >>> trace = trace_request(RequestSetup("own"))
    >>> [arrow.what for arrow in trace.arrows][:3]
    ['int 0x80', "gate 0x80 of the guest's own table", 'out 0x600']
    >>> trace.traps, trace.text.split()[1] == f"{trace.checksum:#010x}"
    (9, True)
    """
    setup, disk = setup or RequestSetup(), disk or demo_disk()
    if recorded:
        guest: World = Recorded("VM1", record(setup.layers, setup.sectors, setup.lba))
    else:
        guest = _guest(setup)
    native = setup.layers == "native"
    log = run_bare(guest, disk) if native else _run_among(guest, disk, setup)
    return _trace(setup, guest, disk, log)


def _run_among(guest: World, disk: PhysicalDisk, setup: RequestSetup) -> Log:
    """Let VM1 have its turns among others, and then ask."""
    kernel = VMkernel(disk)
    sizes = {"memory_mib": RAM_MIB, "sectors": _DISK_SECTORS}
    before = Load("VM1", room=_DISK_SECTORS, outstanding=1, requests=0)
    if setup.vms > 1:
        before = Load("VM1", room=_DISK_SECTORS, outstanding=1, requests=_TURNS_BEFORE)
    kernel.admit(Then(before, guest), shares=setup.shares, **sizes)
    for k in range(1, setup.vms):
        load = Load(
            f"VM{k + 1}", room=_DISK_SECTORS, outstanding=setup.outstanding, seed=setup.seed + k
        )
        kernel.admit(load, shares=_OTHERS_SHARES, **sizes)
    account = kernel.account("VM1")
    kernel.run(until=lambda: account.over)
    return kernel.log


def _trace(setup: RequestSetup, guest: World, disk: PhysicalDisk, log: Log) -> RequestTrace:
    """Cut the request out of the log."""
    mine = [act for act in log.acts if act.vm == guest.name]
    first = next(k for k, act in enumerate(mine) if act.kind == "call")
    last = next(k for k, act in enumerate(mine) if act.kind == "return" and k > first)
    acts = tuple(act._replace(number=k) for k, act in enumerate(mine[first : last + 1], 1))
    begin, end = acts[0].start_us, acts[-1].end_us
    others = tuple(
        act
        for act in log.acts
        if act.vm != guest.name and act.kind == "service" and begin < act.end_us <= end
    )
    text, found = "", 0
    if isinstance(guest, Guest):
        disk.file.seek(setup.lba * SECTOR)
        text, found = guest.text, checksum(disk.file.read(setup.sectors * SECTOR))
    return RequestTrace(setup, guest.name, acts, others, log.costs, text, found)
