"""The vmm: one for each VM, its parent, and what stands between the guest and all else (S13, S15).

`Vmm` makes a guest computer, puts virtual devices on its bus, and runs it deprivileged: the guest's
kernel is at ring 1 (`virtlab.machine.vmm`), so each `in`, `out`, `hlt`, `sti` of its driver traps.
The vmm does for the guest what was meant, with the virtual device, and reports what it did. When a
device model has a whole request, the vmm hands that on; when the answer comes, the model raises its
line of the virtual interrupt controller, and the vmm enters the guest's handler.

`Bare` is the same computer with the same driver and nothing below it: no vmm, no VMkernel. Its
kernel is at ring 0, and its ports are the hardware's.

Both report **events**, one at a time, as the guest does its instructions: whoever takes the events
decides when it goes on. `Recorded` reports what another one has reported before.

The guest is `virtlab/machine/driver/`: a kernel with a disk driver, and a program at ring 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from virtlab.machine.computer import Computer
from virtlab.machine.esx.acts import Event
from virtlab.machine.esx.devices import OwnDisk, VirtualAta
from virtlab.machine.esx.physical import SECTOR, BlockRequest
from virtlab.machine.guests import driver
from virtlab.machine.image import load
from virtlab.machine.vmm.monitor import Monitor
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtlab.machine.history import Step
    from virtlab.machine.image import Image

__all__ = ["DISKS", "Bare", "Guest", "Recorded", "Task", "Vmm", "World"]

RAM_MIB = 2
DISKS = ("ata", "own")
_MOST_SECTORS = 16
WAIT, END = "wait", "end"


@dataclass(frozen=True)
class Task:
    """What the guest's program does.

    Attributes
    ----------
    disk
        'ata' or 'own': which driver it uses.
    lba
        First sector of its first request, on its own disk.
    sectors
        Of each request, 1 to 16.
    requests
        How many; each goes on where the last one ended.
    write
        Whether it writes them first, and reads them back.

    Examples
    --------
    >>> Task(sectors=4).words
    (8, 4, 1, 0, 0)
    """

    disk: str = "ata"
    lba: int = 8
    sectors: int = 1
    requests: int = 1
    write: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        one_of("disk", self.disk, DISKS)
        integer("lba", self.lba, minimum=0, maximum=(1 << 28) - 1)
        integer("sectors", self.sectors, minimum=1, maximum=_MOST_SECTORS)
        integer("requests", self.requests, minimum=1)

    @property
    def words(self) -> tuple[int, int, int, int, int]:
        """As the guest's program reads them."""
        return self.lba, self.sectors, self.requests, int(self.write), int(self.disk == "own")


class World(ABC):
    """Whoever takes part in the processor's time and asks for sectors.

    Attributes
    ----------
    name
        What it is called.
    """

    name: str

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """Report what happens, from here on; a 'wait' means: not before `complete` is called."""

    @abstractmethod
    def complete(self, data: bytes) -> None:
        """Answer the oldest request.

        Parameters
        ----------
        data
            What was read.
        """


@cache
def _image() -> Image:
    return load(driver(), RAM_MIB << 20)


class Guest(World):
    """A guest computer that reports what it does.

    Parameters
    ----------
    name
        What it is called.
    task
        What its program does.
    sectors
        Size of its disk.

    Attributes
    ----------
    machine
        The computer.
    disk
        Its device.

    Examples
    --------
    See `Vmm` and `Bare`.
    """

    below: str  # who answers a port
    above: str  # who interrupts
    machine: Computer

    def __init__(self, name: str, task: Task | None = None, sectors: int = 2048) -> None:
        self.name, self.task = name, task or Task()
        self.requests: deque[BlockRequest] = deque()
        machine = self.machine
        if self.task.disk == "own":
            self.disk: VirtualAta | OwnDisk = OwnDisk(
                machine.pic, machine.memory, sectors, self.requests.append
            )
        else:
            self.disk = VirtualAta(machine.pic, sectors, self.requests.append)
        machine.bus.add(self.disk)
        machine.bus.log = []
        machine.load(_image())
        place = _image().symbols["task"].address
        machine.memory.write(place, b"".join(w.to_bytes(4, "little") for w in self.task.words))
        self._counted = 0

    def complete(self, data: bytes) -> None:
        """Let the device have its answer."""
        self.disk.complete(data)

    @property
    def text(self) -> str:
        """What the guest has said so far."""
        return bytes(self.machine.uart.output).decode()

    def events(self) -> Iterator[Event]:
        """Step the guest, and report what is more than an instruction."""
        machine = self.machine
        while (ended := machine.ended) not in ("exit", "shutdown"):
            if ended == "halted":
                yield self._event("kernel", self.below, WAIT, "the guest waits")
                continue
            ring = machine.processor.cpl
            step = machine.step()
            yield from self._of(step, ring)
            machine.bus.log = []
        yield self._event("kernel", self.below, END, machine.ended)

    @abstractmethod
    def trapped(self) -> bool:
        """Return whether the vmm was entered in this step."""

    def _of(self, step: Step, ring: int) -> Iterator[Event]:
        """Make events of a step."""
        after, trapped = self.machine.processor.cpl, self.trapped()
        if step.kind == "interrupt":
            what = step.what.removesuffix(" of a device")
            yield self._event(self.above, "kernel", "inject", what)
        elif ("int 0x80", "instruction") in step.traps:
            yield from self._call(ring)
        elif self.machine.bus.log:
            for access in self.machine.bus.log:
                way = "out" if access.write else "in"
                said = f"{way} {access.port:#x}"
                yield self._event("kernel", self.below, "port", said, ring, access.size)
            while self.requests:
                yield self._hand_on(self.requests.popleft())
        elif trapped:
            yield self._event("kernel", self.below, "privileged", step.what.lower(), ring)
        if after == 3 != ring:
            yield self._event("kernel", "program", "return", "iret", ring)

    def _call(self, ring: int) -> Iterator[Event]:
        yield self._event("program", "kernel", "call", "int 0x80", ring)

    def _hand_on(self, request: BlockRequest) -> Event:
        moved = len(request.data)
        return self._event(self.below, "vmkernel", "submit", str(request), -1, moved, request)

    def _event(
        self,
        source: str,
        target: str,
        kind: str,
        what: str,
        ring: int = -1,
        moved: int = 0,
        request: BlockRequest | None = None,
    ) -> Event:
        """Make an event, with the instructions since the last one."""
        done = self.machine.processor.instructions
        since, self._counted = done - self._counted, done
        return Event(source, target, kind, what, ring, moved, since, request)


class Vmm(Guest):
    r"""The vmm of one VM: makes its guest computer, and runs it at ring 1.

    Parameters
    ----------
    name, task, sectors
        As of `Guest`.

    Examples
    --------
    >>> vmm = Vmm("VM1", Task("own"))
    >>> events = vmm.events()
    >>> asked = next(event for event in events if event.kind == "submit")
    >>> asked.request
    BlockRequest(lba=8, sectors=1, write=False, data=b'')
    >>> next(event for event in events if event.kind == "wait").what
    'the guest waits'
    >>> vmm.complete(b"abcd" * 128)
    >>> [event.what for event in events if event.kind in ("inject", "end")]
    ['interrupt 0x2b', 'exit']
    >>> vmm.text
    'checksum 0x4e87ea10\n'
    """

    below = above = "vmm"

    def __init__(self, name: str, task: Task | None = None, sectors: int = 2048) -> None:
        self.monitor = Monitor(RAM_MIB, history=0, judged=False)
        self.machine = self.monitor
        super().__init__(name, task, sectors)

    def trapped(self) -> bool:
        """Return whether the vmm was entered in this step."""
        traps = any(event.what == "trap" for event in self.monitor.log)
        self.monitor.log.clear()
        return traps

    def _call(self, ring: int) -> Iterator[Event]:
        """Report a system call: all gates are the host's, so the vmm has it first."""
        yield self._event("program", "vmm", "call", "int 0x80", ring)
        yield self._event("vmm", "kernel", "reflect", "gate 0x80 of the guest's own table")


class Bare(Guest):
    """The same computer without layers below it: its kernel is at ring 0.

    Parameters
    ----------
    name, task, sectors
        As of `Guest`.

    Examples
    --------
    >>> bare = Bare("PC", Task("own"))
    >>> next(event for event in bare.events() if event.kind == "port").ring
    0
    """

    below = above = "hardware"

    def __init__(self, name: str, task: Task | None = None, sectors: int = 2048) -> None:
        self.machine = Computer(RAM_MIB, history=0)
        super().__init__(name, task, sectors)

    def trapped(self) -> bool:
        """Return False: there is no vmm."""
        return False


class Recorded(World):
    """A world that does again what was recorded; its answers are not looked at.

    Parameters
    ----------
    name
        What it is called.
    events
        What it reports; a 'wait' waits for the answer to the request before it.

    Examples
    --------
    >>> asked = Event("vmm", "vmkernel", "submit", "read", request=BlockRequest(8, 1))
    >>> world = Recorded("VM1", [asked])
    >>> [event.kind for event in world.events()]
    ['submit']
    """

    def __init__(self, name: str, events: Iterable[Event]) -> None:
        self.name, self._events = name, tuple(events)
        self._asked = self._answers = 0

    def events(self) -> Iterator[Event]:
        """Report it."""
        for event in self._events:
            self._asked += event.kind == "submit"
            if event.kind != WAIT:
                yield event
                continue
            while self._answers < self._asked:
                yield event

    def complete(self, data: bytes) -> None:
        """Count an answer."""
        if len(data) % SECTOR:
            raise InvalidInputError("data bytes", len(data), "whole sectors")
        self._answers += 1
