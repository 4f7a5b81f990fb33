"""Three architectures, and the way of one network packet through each (S8-S10).

Where the virtualization layer stands decides what an I/O has to cross:

1. **Hosted** (S8: Workstation, GSX Server): a process on a general system. The guest's `OUT`
   traps to the monitor, which can't drive the card. It switches *worlds*, back to the host system
   with all its state, where a process hands the packet to the host by a system call.
2. **The system itself** (S9: User Mode Linux, Cooperative Linux): the guest's kernel is a program
   of the host. There is no device to emulate, but each system call of the guest's processes has to
   be turned over to that program.
3. **A dedicated kernel** (S10: ESX Server, Xen) below the monitor has the card's driver itself: no
   world is switched. Only what it has drivers for works.

The figures are those of a 733 MHz Pentium III on a 100 Mb/s Ethernet with Workstation 2.0. A paper
times each crossing of one packet (figure 5) and says where the processor's time goes (table 1).
From these two, `run_io` predicts the rest: what fewer world switches bring (table 3). With *t* the
processor time for a packet, *p* packets a second, and a clock of *f* MHz,

    p = min(what is asked for, what the link takes, 1 / t),    busy = p t,    t = t733 733 / f.

Marked (D) is what follows from the paper's figures by arithmetic: which of the two small pieces of
figure 5 is which (30.65 of 31.63 us are spent outside the monitor); that table 1's percentages of
the monitor's time leave out the world switches; and that a dedicated kernel spares 13.10 us.

Source: Sugerman, Venkitachalam, Lim, *Virtualizing I/O Devices on VMware Workstation's Hosted
Virtual Machine Monitor*, USENIX 2001. User Mode Linux: Dike, Annual Linux Showcase 2000.

Left out: what a byte costs beside what a packet costs (the paper does not tell them apart), disks,
receiving. No source gives the cost of User Mode Linux's switches: it has a path and no sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virtlab.machine.io_paths import (
    ARCHITECTURES,
    DRIVER_US,
    MHZ,
    WORLD_SWITCH_US,
    Architecture,
    Crossing,
)
from virtlab.results import Result
from virtlab.validate import InvalidInputError, number, one_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PUBLISHED", "IoLoad", "IoRun", "Part", "held_against", "run_io"]

_HEADERS, _GAP = 72, 20  # bytes of a packet that are no data; between packets on the wire
_FULL = 1520  # bytes of a full packet, as the paper counts
_PAYLOAD = _FULL - _HEADERS
V2_MBIT_S, LINK_MBIT_S = 64.17, 90.19  # figure 6 at 4096 bytes: Workstation 2.0; native
_V2_US = 8 * _PAYLOAD / V2_MBIT_S  # of processor time for a packet: it was busy all the time
_LINK_BITS = LINK_MBIT_S * (_FULL + _GAP) / _PAYLOAD  # 95.9: what native used of 100
# Table 1: percent of all time; of these, percent of the monitor's time without world switches (D)
_VMM, _NET, _STATUS, _HOST_IRQ, _SEND, _RECEIVE = 77.3, 8.7, 4.0, 3.4, 3.3, 0.8
_SWITCHING, _HANDLED, _ADDRESS, _IRET, _VIRQ = 26.8, 8.3, 8.1, 4.8, 4.6
_SWITCHING_US, _SEND_US = 7.45, 5.2  # one of them, on the average
_LATCHED_US = 0.91  # table 2: an access to the status register that the monitor handles itself
_NOTIFIED_POINTS, _NOTIFIED_MBIT_S = 3.8, 89.67  # table 3: 17.9 to 21.7 %, at figure 6's speed
COMBINED = 2.2  # packets a switch (D): accesses to the interrupt controller, tables 1 and 2
PUBLISHED = (
    ("Workstation 2.0, speed", "Mb/s", 64.0),
    ("Workstation 2.0, idle", "%", 0.0),
    ("ports in the monitor, idle", "%", 2.0),
    ("and sends combined, idle", "%", 17.9),
    ("and interrupts notified, idle", "%", 21.7),
    ("no virtual machine, idle", "%", 86.0),
    ("Workstation 2.0 at 350 MHz, speed", "Mb/s", 25.43),
    ("all three at 350 MHz, speed", "Mb/s", 65.26),
)


@dataclass(frozen=True)
class IoLoad:
    """What is sent, through what.

    Attributes
    ----------
    architecture
        A key of `ARCHITECTURES`: 'native', 'hosted', 'system' or 'dedicated'.
    packet_bytes
        With headers, 100 to 9000.
    packets_per_s
        How many are asked for; as many as go if infinite.
    cpu_mhz
        Clock of a processor that is otherwise the paper's.
    world_switch_us
        One way, at 733 MHz.
    ports_in_monitor
        Whether port accesses that send nothing stay in the monitor (the paper's first improvement).
    batch
        Packets that share a world switch and an interrupt, 1 or more (the second).
    notified
        Whether the host's driver tells of interrupts by shared memory (the third).

    Examples
    --------
    >>> IoLoad("hosted", batch=0.5)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: batch = 0.5: must be a number from 1 to 100
    """

    architecture: str
    packet_bytes: float = _FULL
    packets_per_s: float = math.inf
    cpu_mhz: float = MHZ
    world_switch_us: float = WORLD_SWITCH_US
    ports_in_monitor: bool = False
    batch: float = 1.0
    notified: bool = False

    def __post_init__(self) -> None:
        """Check the input."""
        one_of("architecture", self.architecture, tuple(ARCHITECTURES))
        number("packet_bytes", self.packet_bytes, minimum=100, maximum=9000)
        number("packets_per_s", self.packets_per_s, minimum=0, finite=False)
        number("cpu_mhz", self.cpu_mhz, minimum=1, maximum=100_000)
        number("world_switch_us", self.world_switch_us, minimum=0, maximum=1000)
        number("batch", self.batch, minimum=1, maximum=100)
        if self.packets_per_s == 0:
            raise InvalidInputError("packets_per_s", 0, "more than 0")


@dataclass(frozen=True)
class Part:
    """What a part of the work takes for a packet.

    Attributes
    ----------
    name
        What it is.
    world
        Where: 'guest', 'monitor', 'switch' or 'host'.
    us
        Microseconds of processor time.

    Examples
    --------
    >>> Part("world switches", "switch", 33.8).us
    33.8
    """

    name: str
    world: str
    us: float


@dataclass(frozen=True)
class IoRun(Result):
    """Packets through an architecture.

    Attributes
    ----------
    load
        What was asked for.
    path
        The crossings of one packet, at this clock; `us` is NaN where no source says it.
    parts
        The processor's time for a packet, all that belongs to it; empty where no source says it.
    packets_per_s
        What goes through; NaN where it can't be known.
    limited_by
        'processor', 'link', 'load', or 'unknown'.

    Examples
    --------
    >>> run = run_io(IoLoad("hosted"))
    >>> print(run.explain())
    Hosted: one packet makes 7 steps and takes 31.6 µs. 64.2 Mb/s go through; the processor is the \
limit, 0 % idle.
    """

    load: IoLoad
    path: tuple[Crossing, ...]
    parts: tuple[Part, ...]
    packets_per_s: float
    limited_by: str

    @property
    def architecture(self) -> Architecture:
        """What it went through."""
        return ARCHITECTURES[self.load.architecture]

    @property
    def path_us(self) -> float:
        """Time of one packet's way, there and back; NaN if a step of it is not known."""
        return sum(step.us for step in self.path)

    @property
    def packet_us(self) -> float:
        """Processor time for a packet, with all that belongs to it."""
        return sum(part.us for part in self.parts) if self.parts else math.nan

    @property
    def mbit_s(self) -> float:
        """Data that go through, Mb/s."""
        return 8e-6 * self.packets_per_s * (self.load.packet_bytes - _HEADERS)

    @property
    def idle_percent(self) -> float:
        """What is left of the processor, percent."""
        return max(0.0, 100 - 1e-4 * self.packets_per_s * self.packet_us) + 0 * self.packet_us

    def to_frame(self) -> pd.DataFrame:
        """Return the steps of one packet: where, what crosses, microseconds."""
        import pandas as pd

        return pd.DataFrame(
            {
                "step": range(1, len(self.path) + 1),
                "where": [step.where for step in self.path],
                "what": [step.what for step in self.path],
                "kind": [step.kind for step in self.path],
                "microseconds": [step.us for step in self.path],
            }
        )

    def parts_frame(self) -> pd.DataFrame:
        """Return what the processor's time for a packet goes to.

        Returns
        -------
        pandas.DataFrame
            Columns part, world, microseconds and percent.
        """
        import pandas as pd

        rows = [(one.name, one.world, one.us, 100 * one.us / self.packet_us) for one in self.parts]
        return pd.DataFrame(rows, columns=["part", "world", "microseconds", "percent"])

    def summary(self) -> dict[str, float | int | str]:
        """Return speed, idle time, and the time of one packet."""
        return {
            "architecture": self.load.architecture,
            "steps": len(self.path),
            "path_us": self.path_us,
            "packet_us": self.packet_us,
            "packets_per_s": self.packets_per_s,
            "mbit_s": self.mbit_s,
            "idle_percent": self.idle_percent,
            "limited_by": self.limited_by,
        }

    def explain(self) -> str:
        """Say how one packet goes, and how many go."""
        name = self.architecture.name
        said = f"{name}: one packet makes {len(self.path)} steps"
        if math.isnan(self.path_us):
            return f"{said}; what they cost together, no source says."
        limits = {
            "processor": "the processor is the limit",
            "link": "the link is the limit",
            "load": "that is all that is asked for",
        }
        return (
            f"{said} and takes {self.path_us:.1f} µs. {self.mbit_s:.1f} Mb/s go through; "
            f"{limits[self.limited_by]}, {self.idle_percent:.0f} % idle."
        )


def _of_all(percent: float) -> float:
    """Return microseconds for a packet, of Workstation 2.0's percent of all time."""
    return percent / 100 * _V2_US


# The monitor's time without world switches, percent of all: x = 77.3 - 2 x 4.45 x (x's accesses)
_MONITOR = _VMM / (1 + _SWITCHING / 100 * 2 * WORLD_SWITCH_US / _SWITCHING_US)


def _of_monitor(percent: float) -> float:
    """Return microseconds for a packet, of Workstation 2.0's percent of the monitor's time."""
    return _of_all(_MONITOR * percent / 100)


SENDS = _of_all(_SEND) / _SEND_US  # accesses for a packet that send something
LATCHES = _of_monitor(_SWITCHING) / _SWITCHING_US - SENDS  # and that do not, but switched


def _hosted(load: IoLoad) -> list[Part]:
    """Return the hosted architecture's parts, at 733 MHz."""
    switch, inside, share = 2 * load.world_switch_us, load.ports_in_monitor, 1 / load.batch
    switches = SENDS * share + (0 if inside else LATCHES)
    latch_us = LATCHES * (_LATCHED_US if inside else _SWITCHING_US)
    listed = _SWITCHING + _HANDLED + _ADDRESS + _IRET + _VIRQ
    saved = _NOTIFIED_POINTS / 100 * 8 * _PAYLOAD / _NOTIFIED_MBIT_S if load.notified else 0.0
    rest = 100 - _VMM - _NET - _STATUS - _HOST_IRQ - _SEND - _RECEIVE
    return [
        Part("the guest's own", "guest", _of_monitor(100 - listed)),
        Part("port accesses", "monitor", SENDS * share * _SWITCHING_US + latch_us
             + (0 if inside else _of_monitor(_ADDRESS))),
        Part("virtual interrupts", "monitor", _of_monitor(_HANDLED + _IRET + _VIRQ) * share),
        Part("world switches", "switch", switches * switch),
        Part("device emulation", "host", _of_all(_SEND) + (0 if inside else _of_all(_STATUS))),
        Part("host's driver", "host", _of_all(_NET)),
        Part("host's interrupts", "host", _of_all(_HOST_IRQ + _RECEIVE + rest) - saved),
    ]  # fmt: skip


def _dedicated(load: IoLoad) -> list[Part]:
    """Return what is left without the host's world but its driver: an estimate (D)."""
    hosted = {part.name: part for part in _hosted(replace(load, ports_in_monitor=True))}
    path = ARCHITECTURES["dedicated"].path
    trap_us = SENDS * sum(step.us for step in path if step.world == "monitor")
    return [
        hosted["the guest's own"],
        Part("port accesses", "monitor", trap_us / load.batch + LATCHES * _LATCHED_US),
        hosted["virtual interrupts"],
        replace(hosted["host's driver"], name="its driver"),
        Part("interrupts", "host", _of_all(_HOST_IRQ)),
    ]


def _parts(load: IoLoad) -> list[Part]:
    if load.architecture == "native":
        return [Part("driver", "host", DRIVER_US)]
    if load.architecture == "hosted":
        return _hosted(load)
    return _dedicated(load) if load.architecture == "dedicated" else []


def _step_us(step: Crossing, load: IoLoad) -> float:
    """Return a step's time at this clock, with this world switch, a packet's part of a batch."""
    us = load.world_switch_us / load.batch if step.kind == "world switch" else step.us
    return us * MHZ / load.cpu_mhz


def run_io(load: IoLoad) -> IoRun:
    """Send packets through an architecture.

    Parameters
    ----------
    load
        What, and through which.

    Returns
    -------
    IoRun
        The steps of one packet, what all of it takes, how many go through.

    Examples
    --------
    Where the hosted monitor keeps what it can to itself, sends packets together and hears of
    interrupts cheaply, the link is full and a quarter of the processor is free (published: 21.7 %):

    >>> run = run_io(IoLoad("hosted", ports_in_monitor=True, batch=2.2, notified=True))
    >>> run.limited_by, round(run.mbit_s, 1), round(run.idle_percent, 1)
    ('link', 90.2, 23.4)
    """
    clock = MHZ / load.cpu_mhz
    path = tuple(
        replace(step, us=_step_us(step, load)) for step in ARCHITECTURES[load.architecture].path
    )
    parts = tuple(replace(part, us=part.us * clock) for part in _parts(load))
    if not parts:
        return IoRun(load, path, parts, math.nan, "unknown")
    most = {
        "load": load.packets_per_s,
        "link": _LINK_BITS * 1e6 / 8 / (load.packet_bytes + _GAP),
        "processor": 1e6 / sum(part.us for part in parts),
    }
    limit = min(most, key=lambda name: most[name])
    return IoRun(load, path, parts, most[limit], limit)


def held_against() -> list[tuple[str, str, float, float]]:
    """Return what the paper measured, beside what the model says.

    Returns
    -------
    list of tuple
        Name, unit, published, ours. The first two and the notified interrupts are what the model
        was set by; the others it predicts.

    Examples
    --------
    >>> for name, unit, theirs, ours in held_against()[2:6]:
    ...     print(f"{name}: {theirs:g} {unit}, ours {ours:.1f}")
    ports in the monitor, idle: 2 %, ours 3.7
    and sends combined, idle: 17.9 %, ours 19.6
    and interrupts notified, idle: 21.7 %, ours 23.4
    no virtual machine, idle: 86 %, ours 86.3
    """
    v2, native = IoLoad("hosted"), IoLoad("native")
    inside = replace(v2, ports_in_monitor=True)
    combined = replace(inside, batch=COMBINED)
    best = replace(combined, notified=True)
    ours = [
        run_io(v2).mbit_s,
        *(run_io(load).idle_percent for load in (v2, inside, combined, best, native)),
        *(run_io(replace(load, cpu_mhz=350)).mbit_s for load in (v2, best)),
    ]
    return [(*row, value) for row, value in zip(PUBLISHED, ours, strict=True)]
