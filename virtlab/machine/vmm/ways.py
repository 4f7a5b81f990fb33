"""Three ways to run the same kernel: at ring 0, deprivileged, and deprivileged with patches (S17).

- **native**: at ring 0, alone on the machine; what the kernel was written for.
- **deprivileged**: at ring 1 by trap and emulate alone. Popek and Goldberg say when that is enough:
  if each sensitive instruction is privileged. On the i386 some are not, and this way shows what
  happens then: not a crash, but a kernel that goes on and is wrong.
- **patched**: at ring 1, and what could lie is replaced by what traps.

The small kernel of `virtlab.machine.guests` has one such instruction in it, and it is enough: its
timer never comes, its two processes no longer take turns, and no line of the code says so.
`Ways.divergence` names it, with what is different and why. `mirror()` is a kernel that asks the
processor what it is; there every answer is another lie.

What it costs is counted in entries of the VMM. One entry took 2,030 cycles on a Pentium 4 where
Adams and Agesen let `rdtsc` trap and emulated it; a call from translated code to the VMM took 1,254
cycles, and translated code that needed none 216. So `trap_cycles` is an estimate: entries times
2,030, whatever trapped.

To play with: any ELF file for i386; `instructions_per_tick`, so that the timer comes more often;
`max_instructions`: of the small kernel 60,000 are enough to see it go wrong.

Source: K. Adams, O. Agesen, "A comparison of software and hardware techniques for x86
virtualization", ASPLOS 2006, section 3.

Left out: time. A trap takes none here, so that the patched guest can be held against the native one
instruction by instruction; a real guest's clock would show the VMM.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from virtlab.machine.computer import Computer
from virtlab.machine.devices.pit import INSTRUCTIONS_PER_TICK
from virtlab.machine.guests import kernel
from virtlab.machine.image import Image, load
from virtlab.machine.vmm.monitor import Monitor
from virtlab.machine.vmm.outcome import TRAP_CYCLES, WAYS, Way, Ways
from virtlab.validate import integer

if TYPE_CHECKING:
    from virtlab.machine.start import Program
    from virtlab.machine.vmm.events import Wrong

__all__ = ["TRAP_CYCLES", "WAYS", "Way", "Ways", "first_lie", "run_ways"]

_SHOWN_EVERY = 5000
_Source = str | Path | Image


def _program(program: _Source | None, ram_mib: int) -> tuple[Image, str]:
    if isinstance(program, Image):
        return program, "an image"
    path = Path(kernel() if program is None else program)
    return load(path, ram_mib << 20), path.name


def _run(computer: Computer, name: str, limit: int, *, progress: bool) -> Way:
    """Run one of the three, and note when what happened."""
    said: list[int] = []
    entered: list[int] = []
    interrupted: list[int] = []
    monitor = computer if isinstance(computer, Monitor) else None
    ended, now, shown = "", 0, 0
    bar: tqdm[Any] = tqdm(total=limit, desc=name, disable=None if progress else True, leave=False)
    with bar:
        while not (ended := computer.ended):
            if now >= limit:
                ended = "limit"
                break
            step = computer.step()
            said += [now] * (len(computer.uart.output) - len(said))
            if step.kind == "interrupt":
                interrupted.append(now)
            if monitor is not None and monitor.entered > len(entered):
                entered += [now] * (monitor.entered - len(entered))
            now = computer.clock.now
            if now - shown >= _SHOWN_EVERY:
                bar.update(now - shown)
                shown = now
    return _way(computer, name, ended, (said, entered, interrupted))


def _way(computer: Computer, name: str, ended: str, times: tuple[list[int], ...]) -> Way:
    monitor = computer if isinstance(computer, Monitor) else None
    patcher = monitor.patcher if monitor is not None else None
    delivered: dict[str, int] = {}
    for (what, _), often in computer.traps.items():
        delivered[what] = delivered.get(what, 0) + often
    said, entered, interrupted = map(tuple, times)
    return Way(
        name,
        bytes(computer.uart.output),
        ended,
        computer.exit_port.status,
        computer.processor.instructions,
        {} if monitor is None else dict(monitor.entries),
        delivered,
        () if monitor is None else tuple(monitor.wrongs),
        () if patcher is None else tuple(patcher.patches.values()),
        said,
        entered,
        interrupted,
        bytes(computer.memory.data) if patcher is None else patcher.without(),
    )


def run_ways(
    program: _Source | None = None,
    *,
    ram_mib: int = 2,
    max_instructions: int = 400_000,
    instructions_per_tick: int = INSTRUCTIONS_PER_TICK,
    progress: bool = False,
) -> Ways:
    """Run a kernel in the three ways.

    Parameters
    ----------
    program
        An ELF file, or a loaded image; the small kernel if not given, which takes some ten seconds.
    ram_mib
        Memory of each machine, 1 to 3072 MiB.
    max_instructions
        Where each run is stopped.
    instructions_per_tick
        How long a tick of the timer is.
    progress
        Whether to show a bar, on a terminal.

    Returns
    -------
    Ways
        The runs.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the file is no program for i386.

    Examples
    --------
    >>> from virtlab.machine.guests import guest
    >>> run_ways(guest("sieve").path(), max_instructions=3000).divergence is None
    True
    """
    integer("ram_mib", ram_mib, minimum=1, maximum=3072)
    limit = integer("max_instructions", max_instructions, minimum=1)
    image, name = _program(program, ram_mib)
    ticks = integer("instructions_per_tick", instructions_per_tick, minimum=1)
    ways = []
    for way in WAYS:
        computer = (
            Computer(ram_mib, history=0, instructions_per_tick=ticks)
            if way == "native"
            else Monitor(ram_mib, instructions_per_tick=ticks, patch=way == "patched", log_events=0)
        )
        computer.load(image)
        ways.append(_run(computer, way, limit, progress=progress))
    return Ways(name, *ways)


def first_lie(
    program: _Source | Program | None = None, *, ram_mib: int = 2, max_instructions: int = 400_000
) -> Wrong | None:
    """Find the instruction that breaks a kernel: the first that lies to it at ring 1.

    Parameters
    ----------
    program
        An ELF file, an image, or machine code; the small kernel if not given.
    ram_mib
        Memory, 1 to 3072 MiB.
    max_instructions
        How far to look.

    Returns
    -------
    Wrong or None
        None if none was found.

    Examples
    --------
    >>> from virtlab.machine.start import MachineCode
    >>> code = MachineCode(bytes.fromhex("fb 6a02 9d f4"), 0x1000)  # sti; push 2; popf; hlt
    >>> print(first_lie(code).explain())
    POPFD at 0x1003 (0x1003), instruction 2 of the guest, ran at ring 1 and did not trap.
    IF is 1 and should be 0.
    Outside of IOPL, POPF leaves IF as it is, and IOPL unless at ring 0.
    """
    integer("ram_mib", ram_mib, minimum=1, maximum=3072)
    limit = integer("max_instructions", max_instructions, minimum=1)
    monitor = Monitor(ram_mib, log_events=0)
    if program is None or isinstance(program, str | Path | Image):
        program = _program(program, ram_mib)[0]
    monitor.load(program)
    while not monitor.ended and monitor.clock.now < limit and not monitor.wrongs:
        monitor.step()
    return monitor.wrongs[0] if monitor.wrongs else None
