"""How code is judged in chapter 03: a device on a real bus, a vmm's handler under a real guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtlab.machine.bus import Device
from virtlab.machine.computer import Computer
from virtlab.machine.esx.physical import SECTOR, PhysicalDisk
from virtlab.machine.esx.request import checksum, run_bare
from virtlab.machine.esx.vmm import Task, Vmm
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["try_device", "try_ports"]

_ADD, _TOTAL = 0x510, 0x511
# mov dx,0x510; mov al,200; out dx,al; mov al,100; out dx,al; inc dx; in al,dx; mov ebx,eax; hlt
_PROGRAM = "66ba1005 b0c8 ee b064 ee 6642 ec 89c3 f4"


def _device_problem(made: Any) -> str | None:
    """Say what a device lacks before it is plugged in."""
    if not isinstance(made, Device):
        return "It should be a class that derives from `Device`."
    if not getattr(made, "name", ""):
        return "It needs a `name`, for the log."
    if sorted(getattr(made, "ports", ())) != [_ADD, _TOTAL]:
        return "Its `ports` should be 0x510 and 0x511."
    return None


def try_device(make: Callable[[], Device]) -> str | None:
    """Plug a student's device into a computer, and let a guest use it.

    Parameters
    ----------
    make
        The class.

    Returns
    -------
    str or None
        A hint; None if it adds up, can be read, cleared, and taken back.

    Examples
    --------
    >>> from virtlab.machine.devices.exit_port import ExitPort
    >>> try_device(ExitPort)
    'Its `ports` should be 0x510 and 0x511.'
    """
    made = make()
    problem = _device_problem(made)
    if problem:
        return problem
    computer = Computer(2, history=100)
    try:
        computer.bus.add(made)
    except InvalidInputError as error:
        return str(error)
    computer.load_code(bytes.fromhex(_PROGRAM))
    computer.run(100)
    total = computer.processor.registers["EBX"] & 0xFF
    if total != (200 + 100) % 256:
        return f"A guest wrote 200 and 100 to port 0x510, and read {total} at 0x511, not 44."
    bus = computer.bus
    bus.write(_TOTAL, 1, 0)
    if bus.read(_TOTAL, 1) != 0:
        return "A write to port 0x511 should set the sum to 0."
    bus.write(_ADD, 1, 7)
    kept = made.save()
    bus.write(_ADD, 1, 9)
    made.restore(kept)
    if bus.read(_TOTAL, 1) != 7:
        return "After `save`, a write and `restore` the sum should be as before: what is in `kept`?"
    return None


def try_ports(make: Callable[[Any], Any]) -> str | None:
    """Put a student's handler between a guest and its devices.

    Parameters
    ----------
    make
        The class; gets the bus.

    Returns
    -------
    str or None
        A hint; None if the guest can read, and cannot write.

    Examples
    --------
    >>> try_ports(lambda bus: bus)  # lets all through
    'The guest has written to the disk.'
    """
    data = bytes(range(256)) * 2 * 64
    wanted = f"checksum {checksum(data[8 * SECTOR : 9 * SECTOR]):#010x}\n"
    vmm, disk = Vmm("VM1", Task(), 64), PhysicalDisk.of(data)
    vmm.monitor.ports = make(vmm.monitor.bus)
    _run(vmm, disk)
    if vmm.text != wanted:
        return f"A guest that only reads said {vmm.text!r}, not {wanted!r}: let the rest through."
    vmm, disk = Vmm("VM1", Task(write=True), 64), PhysicalDisk.of(data)
    vmm.monitor.ports = make(vmm.monitor.bus)
    _run(vmm, disk)
    disk.file.seek(0)
    if disk.file.read() != data:
        return "The guest has written to the disk."
    return None


def _run(vmm: Vmm, disk: PhysicalDisk) -> None:
    """Run a guest to its end, or until it waits for what does not come."""
    waits = 0

    def enough() -> bool:
        nonlocal waits
        waits = waits + 1 if vmm.machine.ended == "halted" and disk.service is None else 0
        return waits > 0

    run_bare(vmm, disk, until=enough)
