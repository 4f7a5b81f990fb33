"""Virtual hardware: which device of the guest computer stands for which real part (S16).

The talk's list is of 2004: a 440BX chipset, AMD's network card (vlance), an LSI Logic or BusLogic
SCSI adapter, and two parts of VMware's own, a network card (vmxnet) and graphics. Guests have
drivers for the first three anyway; the own ones need drivers that come with the hypervisor, and are
faster.

What this computer has is asked of its bus: every device that is plugged in, and every port that it
answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from virtlab.machine.bus import Bus

__all__ = ["Part", "VirtualHardware", "virtual_hardware"]

# By the device's name on the bus: what it behaves as, and what of the talk's list it stands for.
_PARTS = {
    "interrupt controller": ("two Intel 8259A", "440BX: its south bridge has them"),
    "timer": ("Intel 8254", "440BX: its south bridge has it"),
    "serial port": ("a 16550 serial port", "beside the 440BX; not in the talk's list"),
    "screen": ("the registers of a text screen's cursor", "the own SVGA, but text alone"),
    "disk": ("an ATA disk on the first IDE channel", "LSI Logic or BusLogic SCSI, and a disk"),
    "own disk": ("no real part", "what vmxnet is for the network: made for VMs"),
    "exit port": ("QEMU's isa-debug-exit", "nothing: it ends a run"),
}
_MISSING = ("AMD vlance and vmxnet", "no network card here: chapter 10")


class Part(NamedTuple):
    """One device.

    Attributes
    ----------
    name
        As the bus has it.
    ports
        Which it answers, as one writes them.
    behaves_as
        Which part it imitates.
    stands_for
        What of the talk's list.
    lines
        How many lines its class has.

    Examples
    --------
    >>> virtual_hardware().parts[0].ports
    '0x20-0x21, 0xa0-0xa1'
    """

    name: str
    ports: str
    behaves_as: str
    stands_for: str
    lines: int


def _written(ports: Sequence[int]) -> str:
    """Write ports as ranges."""
    runs: list[list[int]] = [[ports[0]]] if ports else []
    for before, port in pairwise(ports):
        if port == before + 1:
            runs[-1].append(port)
        else:
            runs.append([port])
    words = [hex(r[0]) if len(r) == 1 else f"{r[0]:#x}-{r[-1]:#x}" for r in runs]
    return ", ".join(words)


@dataclass(frozen=True)
class VirtualHardware(Result):
    """What `virtual_hardware` returns.

    Attributes
    ----------
    parts
        The devices, in the order in which they were plugged in.

    Examples
    --------
    >>> virtual_hardware().summary()["devices"]
    7
    """

    parts: tuple[Part, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each device."""
        import pandas as pd

        return pd.DataFrame(self.parts, columns=Part._fields)

    def summary(self) -> dict[str, float | int | str]:
        """Return how many there are."""
        shortest = min(self.parts, key=lambda part: part.lines)
        return {
            "devices": len(self.parts),
            "shortest": shortest.name,
            "shortest_lines": shortest.lines,
        }

    def explain(self) -> str:
        """Say what is there, and what of the talk's list is not."""
        names = ", ".join(part.name for part in self.parts)
        return (
            f"{len(self.parts)} devices answer: {names}. Not there: {_MISSING[0]} ({_MISSING[1]})."
        )


def _lines(device: object) -> int:
    """Count the lines of code of a device's class, without blank ones and words."""
    import ast
    import inspect
    import textwrap

    tree = ast.parse(textwrap.dedent(inspect.getsource(type(device))))
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            node.body = node.body[1:]
    return len(ast.unparse(tree).splitlines())


def virtual_hardware(bus: Bus | None = None) -> VirtualHardware:
    """Ask a bus what is plugged in.

    Parameters
    ----------
    bus
        Of a guest computer; of one with both kinds of disk, if not given.

    Returns
    -------
    VirtualHardware
        Its devices, the ports they answer, and what each stands for.

    Examples
    --------
    >>> print(virtual_hardware().explain())
    7 devices answer: interrupt controller, timer, serial port, screen, exit port, disk, own disk. \
Not there: AMD vlance and vmxnet (no network card here: chapter 10).
    """
    bus = bus or _both_disks()
    found: dict[str, list[int]] = {device.name: [] for device in bus.devices}
    for port in range(0x10000):
        device = bus.at(port)
        if device is not None:
            found[device.name].append(port)
    parts = [
        Part(
            device.name,
            _written(found[device.name]),
            *_PARTS.get(device.name, ("a device of yours", "nothing")),
            _lines(device),
        )
        for device in bus.devices
    ]
    return VirtualHardware(tuple(parts))


def _both_disks() -> Bus:
    from virtlab.machine.computer import Computer
    from virtlab.machine.esx.devices import OwnDisk, VirtualAta

    computer = Computer(1, history=0)
    for disk in (
        VirtualAta(computer.pic, 1, lambda _request: None),
        OwnDisk(computer.pic, computer.memory, 1, lambda _request: None),
    ):
        computer.bus.add(disk)
    return computer.bus
