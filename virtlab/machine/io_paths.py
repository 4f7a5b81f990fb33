"""The architectures as data: their layers, and the steps of one packet through each (S8-S10).

Times are microseconds on a 733 MHz Pentium III: figure 5 of Sugerman et al., USENIX 2001. `us` is
NaN where no source says it. That the driver's 17.55 us are the same in every architecture is the
paper's assumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ARCHITECTURES",
    "DRIVER_US",
    "MHZ",
    "SENDS_IT",
    "WORLD_SWITCH_US",
    "Architecture",
    "Crossing",
]

MHZ = 733.0
WORLD_SWITCH_US, DRIVER_US = 4.45, 17.55
_TRAP_US, _RETURN_US = 0.57, 0.41
_APP_US, _APP_AFTER_US = 1.23, 2.97
_UNKNOWN = math.nan


@dataclass(frozen=True)
class Crossing:
    """A step of one packet.

    Attributes
    ----------
    where
        The layer that works: one of the architecture's.
    world
        'guest', 'monitor', 'host' or 'switch' between two of them.
    kind
        'trap', 'world switch', 'system call', 'driver', 'process' or 'return'.
    what
        What happens, in a few words.
    us
        How long it takes; NaN if no source says it.

    Examples
    --------
    >>> ARCHITECTURES["hosted"].path[1].kind
    'world switch'
    """

    where: str
    world: str
    kind: str
    what: str
    us: float


@dataclass(frozen=True)
class Layer:
    """A box in the drawing of an architecture.

    Attributes
    ----------
    name
        What it is.
    world
        Whose colour it has: 'guest', 'monitor', 'host' or 'hardware'.
    row
        From 0, the hardware, upwards.
    column, columns
        Where it begins and ends, in parts of the width from 0 to 1.
    mode
        In which ring it runs, where that is known.

    Examples
    --------
    >>> Layer("host system", "host", 1, (0.0, 0.5), "ring 0").mode
    'ring 0'
    """

    name: str
    world: str
    row: int
    columns: tuple[float, float]
    mode: str


@dataclass(frozen=True)
class Architecture:
    """One of the talk's three, or none.

    Attributes
    ----------
    name, slide, examples
        What it is called, where the talk shows it, products and projects of that kind.
    layers
        What stands on what.
    path
        The steps of one packet that a guest sends, and back.

    Examples
    --------
    >>> [one.slide for one in ARCHITECTURES.values()]
    ['S4', 'S8', 'S9', 'S10']
    """

    name: str
    slide: str
    examples: str
    layers: tuple[Layer, ...]
    path: tuple[Crossing, ...]


_ALL = (0.0, 1.0)
_HARDWARE = Layer("network card", "hardware", 0, _ALL, "")
SENDS_IT = "hands the packet to its driver, and that to the card"

ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType(
    {
        "native": Architecture(
            "No virtual machine",
            "S4",
            "one computer, one system",
            (
                _HARDWARE,
                Layer("system, driver", "host", 1, _ALL, "ring 0"),
                Layer("program", "guest", 2, _ALL, "ring 3"),
            ),
            (Crossing("system, driver", "host", "driver", SENDS_IT, DRIVER_US),),
        ),
        "hosted": Architecture(
            "Hosted",
            "S8",
            "Workstation, GSX Server",
            (
                _HARDWARE,
                Layer("host system", "host", 1, (0.0, 0.56), "ring 0"),
                Layer("monitor", "monitor", 1, (0.58, 1.0), "ring 0"),
                Layer("VMApp", "host", 2, (0.0, 0.56), "ring 3"),
                Layer("guest", "guest", 2, (0.58, 1.0), "ring 1, 3"),
            ),
            (
                Crossing("monitor", "monitor", "trap", "OUT traps, and is looked at", _TRAP_US),
                Crossing("host system", "switch", "world switch", "all state saved, the host's "
                         "restored", WORLD_SWITCH_US),
                Crossing("VMApp", "host", "process", "emulates the card", _APP_US),
                Crossing("host system", "host", "system call", SENDS_IT, DRIVER_US),
                Crossing("VMApp", "host", "process", "what is left to do", _APP_AFTER_US),
                Crossing("monitor", "switch", "world switch", "and back", WORLD_SWITCH_US),
                Crossing("guest", "monitor", "return", "goes on behind the OUT", _RETURN_US),
            ),
        ),
        "system": Architecture(
            "The system itself",
            "S9",
            "User Mode Linux",
            (
                _HARDWARE,
                Layer("host system", "host", 1, _ALL, "ring 0"),
                Layer("guest kernel", "monitor", 2, (0.0, 0.48), "ring 3"),
                Layer("its process", "guest", 2, (0.52, 1.0), "ring 3"),
            ),
            (
                Crossing("host system", "host", "trap", "stops the process at its system call",
                         _UNKNOWN),
                Crossing("guest kernel", "monitor", "process", "is told, and does the call",
                         _UNKNOWN),
                Crossing("host system", "host", "system call", SENDS_IT, DRIVER_US),
                Crossing("its process", "guest", "return", "is let go on", _UNKNOWN),
            ),
        ),
        "dedicated": Architecture(
            "A dedicated kernel",
            "S10",
            "ESX Server, Xen",
            (
                _HARDWARE,
                Layer("kernel, driver", "host", 1, _ALL, "ring 0"),
                Layer("monitor", "monitor", 2, _ALL, "ring 0"),
                Layer("guest", "guest", 3, _ALL, "ring 1, 3"),
            ),
            (
                Crossing("monitor", "monitor", "trap", "OUT traps, and is looked at", _TRAP_US),
                Crossing("kernel, driver", "host", "driver", SENDS_IT, DRIVER_US),
                Crossing("guest", "monitor", "return", "goes on behind the OUT", _RETURN_US),
            ),
        ),
    }
)  # fmt: skip
