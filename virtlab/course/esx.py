"""Exercises of the layers (chapter 03): count traps, find a sector, say who is asked, build one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.course.esx_code import try_device, try_ports
from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.machine.esx.hypervisor import Hypervisor
from virtlab.machine.esx.physical import HP97560, SECTOR, PhysicalDisk
from virtlab.machine.esx.ranges import Ranges
from virtlab.machine.esx.request import RequestSetup, trace_request

if TYPE_CHECKING:
    import numpy as np

    from virtlab.machine.esx.trace import RequestTrace

__all__ = [
    "console",
    "crossings",
    "device",
    "first",
    "own",
    "ports",
    "sector",
    "service",
    "sheet",
    "traps",
    "turn",
]

_MIB = 2**20 // SECTOR  # sectors


def _trace(layers: str = "ata", sectors: int = 1) -> RequestTrace:
    return trace_request(RequestSetup(layers, sectors), recorded=True)


def _traps(sectors: int = 4) -> Numeric:
    """Ask how many port accesses a request takes."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _traps(int(rng.integers(2, 9)))

    return Numeric(
        name="traps",
        text=f"A guest reads **{sectors} sectors** in one command from what it takes for an ATA "
        "disk. Its driver writes 6 registers. Then, for each sector, it is interrupted, reads the "
        "status, moves 512 bytes through the data port, 4 at a time, and writes an end of "
        "interrupt to both controllers. How many times does it use a port?",
        unit="accesses",
        relative=0.0,
        solve=lambda: sum(act.kind == "port" for act in _trace("ata", sectors).acts),
        why="6 for the command, and 1 + 128 + 2 for each sector; each of them traps at ring 1.",
        mistakes=[
            Mistake(lambda: 6 + 128 * sectors, "Status and ends of interrupt are accesses too."),
            Mistake(lambda: 6 + 515 * sectors, "The data port moves 4 bytes at a time."),
            Mistake(
                lambda: 137 * sectors,
                "The command is written once, whatever the number of sectors.",
            ),
        ],
        hint="First the accesses of the command, then those of each sector, words included.",
        variant=draw,
    )


def _service(distance: int = 100, sectors: int = 8) -> Numeric:
    """Ask how long the disk works."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _service(int(rng.integers(1, 1500)), int(2 ** rng.integers(0, 6)))

    disk = HP97560

    def solve() -> float:
        transfer = sectors / disk.sectors * disk.turn_ms
        return disk.controller_ms + disk.seek_ms(distance) + disk.turn_ms / 2 + transfer

    return Numeric(
        name="service",
        text=f"How many ms does the model's disk take for **{sectors} sectors**, **{distance} "
        "cylinders** away? Controller 2.2 ms; seek 3.24 + 0.4 √d below 383 cylinders, 8 + 0.008 d "
        "from there on; 4002 turns a minute, and say half a turn of waiting; 72 sectors a track.",
        unit="ms",
        relative=0.01,
        solve=solve,
        why=lambda: (
            f"Half a turn alone is {disk.turn_ms / 2:.1f} ms; the bytes themselves take "
            f"{sectors / disk.sectors * disk.turn_ms:.1f} ms."
        ),
        mistakes=[
            Mistake(lambda: solve() - disk.turn_ms / 2, "You left out the wait for the sector."),
            Mistake(lambda: solve() + disk.turn_ms / 2, "A whole turn is the worst case."),
            Mistake(lambda: solve() - disk.controller_ms, "The controller takes its time too."),
        ],
        hint="Controller, seek, half a turn in the mean, and the sectors that pass by.",
        variant=draw,
    )


def _sector(sizes: tuple[int, int, int] = (4, 2, 6), new: int = 3, lba: int = 100) -> Numeric:
    """Ask where a sector is on the real disk."""

    def draw(rng: np.random.Generator) -> Numeric:
        first, second, third = (int(n) for n in rng.integers(1, 9, 3))
        return _sector((first, second, third), int(rng.integers(1, 9)), int(rng.integers(0, 2000)))

    def solve() -> int:
        extents = Ranges(64 * _MIB, "sectors")
        for k, size in enumerate(sizes):
            extents.give(f"VM{k + 1}", size * _MIB)
        extents.take("VM1")
        return extents.give("VM4", new * _MIB).begin + lba

    return Numeric(
        name="sector",
        text=f"The console creates VM1, VM2 and VM3 with disks of **{sizes[0]}, {sizes[1]} and "
        f"{sizes[2]} MiB**, destroys VM1, and creates VM4 with **{new} MiB**. Each extent is the "
        f"first gap that is long enough. Which sector of the real disk is sector **{lba}** of "
        "VM4's? A MiB is 2,048 sectors.",
        unit="",
        relative=0.0,
        solve=solve,
        why="The VMkernel adds where the extent begins; the guest cannot know it.",
        mistakes=[
            Mistake(
                lambda: (sum(sizes) if new <= sizes[0] else 0) * _MIB + lba,
                "Is the gap that VM1 has left long enough for VM4?",
            ),
            Mistake(lambda: solve() - lba + lba * SECTOR + 1, "Sectors, not bytes."),
        ],
        hint="Where on the real disk does this VM's extent begin?",
        variant=draw,
    )


def _crossings(disk_us: int = 100) -> Numeric:
    """Ask what part the layers have where the disk is fast."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _crossings(int(10 * rng.integers(2, 100)))

    def layers() -> float:
        trace = _trace()
        return trace.parts_us(len(trace.acts))["traps and crossings"]

    return Numeric(
        name="crossings",
        text="In the trace of one sector from an ATA disk, traps and crossings take 78.9 µs, "
        f"beside 16.9 ms of the disk. Now put a disk below that answers in **{disk_us} µs**. What "
        "percent of the time is traps and crossings then? (Leave out the guest's own "
        "instructions.)",
        unit="%",
        relative=0.01,
        solve=lambda: 100 * layers() / (layers() + disk_us),
        why="What nobody noticed beside an arm that moves is most of the time beside a fast disk: "
        "that is why disks made for VMs exist.",
        mistakes=[
            Mistake(lambda: 100 * layers() / disk_us, "Of the disk's time; asked is: of all time."),
            Mistake(lambda: layers() / (layers() + disk_us), "In percent."),
        ],
        hint="Traps and crossings stay as they are, the disk gets faster. What is all of it then?",
        variant=draw,
    )


def _ask_own() -> str:
    one, four = (_trace("own", n).traps for n in (1, 4))
    return "b" if one == four else "a" if four > one else "c"


def _ask_first() -> str:
    """Look who is told of the disk's interrupt."""
    arrows = _trace().arrows
    told = next(arrow.target for arrow in arrows if arrow.kind == "interrupt")
    return {"kernel": "a", "vmm": "b", "vmkernel": "c"}[told]


def _ask_console() -> str:
    """Let a VM run on a host whose console is gone."""
    host = Hypervisor(PhysicalDisk.of(bytes(8192 * SECTOR)))
    vmm = host.console.create("VM1")
    kernel = host.kernel
    del host
    kernel.run()
    return "b" if vmm.text.startswith("checksum") else "a"


def _ask_turn() -> str:
    waits = {
        shares: trace_request(RequestSetup(vms=3, shares=shares), recorded=True).waited_us
        for shares in (500, 1000)
    }
    ratio = waits[500] / waits[1000]
    return "a" if ratio < 1.3 else "b" if ratio < 4 else "c"


traps = _traps()
service = _service()
sector = _sector()
crossings = _crossings()
own = Choice(
    name="own",
    text="With our own disk, a request of one sector traps 9 times. And one of four sectors?",
    options={"a": "About 4 times as often", "b": "9 times too", "c": "Less often"},
    solve=_ask_own,
    hints={
        "a": "Who moves the data, the driver or the device?",
        "c": "What is said to the device for a larger request, and what need not be said?",
    },
    why="The device moves the data itself; a description of a request is as long for any size.",
)
first = Choice(
    name="first",
    text="The disk has read a sector for VM1. Just now VM2's guest is running. The disk interrupts "
    "the processor. Who is told first?",
    options={"a": "VM2's kernel, which is running", "b": "VM1's vmm", "c": "The VMkernel"},
    solve=_ask_first,
    hints={
        "a": "Whose interrupt table does the processor have while a guest runs?",
        "b": "It will be told. But who knows whose request it was?",
    },
    why="Hardware belongs to the VMkernel. It looks whose request it was, and tells VM1's vmm.",
)
console = Choice(
    name="console",
    text="The Service Console crashes while VM1 waits for its disk. What happens to VM1's request?",
    options={
        "a": "It is lost: the console has to tell VM1",
        "b": "It goes on as if nothing was, and so does VM1",
        "c": "VM1 is stopped until the console is back",
    },
    solve=_ask_console,
    hints={
        "a": "Look for the console in the sequence.",
        "c": "Which of the objects that run a VM asks the console for anything?",
    },
    why="The model was run with its console thrown away. Only making and changing VMs has to wait.",
)
turn = Choice(
    name="turn",
    text="Two busy VMs with 1000 shares each keep the disk busy. VM1's shares go from 1000 to 500. "
    "How long does a request of VM1 wait in the queue now?",
    options={"a": "As long as before", "b": "About twice as long", "c": "Ten times as long"},
    solve=_ask_turn,
    hints={
        "a": "Its turn comes when its account is furthest behind; now that moves twice as far.",
        "c": "Count how many requests of others are served for each one of VM1's.",
    },
    why="Half the shares, half the turns: about twice as many requests of others come between.",
)
device = Code(
    name="device",
    text="Write a device: class `Adder(Device)` with the two ports 0x510 and 0x511. A byte "
    "written to 0x510 is added to a sum; reading 0x511 gives the sum modulo 256; any write to "
    "0x511 sets it to 0. Give it `name`, `ports` and `kept`, so that a step can be taken back.",
    test=try_device,
    why="A guest used it by `in` and `out`, and its state could be taken back. Any virtual "
    "hardware is made like that.",
)
ports = Code(
    name="ports",
    text="Write a vmm's handler that makes every ATA disk read only: class `ReadOnly`, made with "
    "the guest's `bus`, with `read(port, size)` and `write(port, size, value)`. All goes through "
    "to `bus`, but for the commands 0x30 and 0x31 (WRITE SECTORS) to port 0x1F7: these are lost.",
    test=try_ports,
    seconds=30.0,
    why="A real guest ran under it, twice. It could read, and what it wrote is nowhere.",
)
sheet = Sheet(
    "esx",
    [traps, own, service, sector, first, console, turn, crossings, device, ports],
)
