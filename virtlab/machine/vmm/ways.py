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
`max_instructions`.

Source: K. Adams, O. Agesen, "A comparison of software and hardware techniques for x86
virtualization", ASPLOS 2006, section 3.

Left out: time. A trap takes none here, so that the patched guest can be held against the native one
instruction by instruction; a real guest's clock would show the VMM.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from virtlab.machine.computer import Computer
from virtlab.machine.devices.pit import INSTRUCTIONS_PER_TICK
from virtlab.machine.guests import kernel
from virtlab.machine.image import Image, load
from virtlab.machine.running import Interruptible
from virtlab.machine.vmm.monitor import Monitor
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtlab.machine.start import Program
    from virtlab.machine.vmm.events import Wrong
    from virtlab.machine.vmm.patching import Patch

__all__ = ["TRAP_CYCLES", "WAYS", "Way", "Ways", "first_lie", "run_ways"]

TRAP_CYCLES = 2030  # to trap and emulate rdtsc on a Pentium 4 of 3.8 GHz
WAYS = ("native", "deprivileged", "patched")
_SHOWN_EVERY = 5000
_Source = str | Path | Image


@dataclass(frozen=True)
class Way:
    """One of the three runs.

    Attributes
    ----------
    name
        One of `WAYS`.
    output
        What the kernel said.
    ended, exit_status
        As of a `GuestRun`; 'limit' if it was stopped.
    instructions
        How many the guest did; those done for it by the VMM count too.
    entries
        Why the VMM was entered, to how often; empty for the native run.
    delivered
        What the guest's handlers were called for, to how often.
    wrongs
        Instructions that lied to it.
    patches
        Instructions that were replaced.
    said_at, entered_at, interrupted_at
        The guest's time of each byte of the output, each entry of the VMM, and each interrupt of a
        device.
    memory
        The guest's at the end, without the patches.
    """

    name: str
    output: bytes
    ended: str
    exit_status: int | None
    instructions: int
    entries: Mapping[str, int]
    delivered: Mapping[str, int]
    wrongs: tuple[Wrong, ...] = field(repr=False)
    patches: tuple[Patch, ...] = field(repr=False)
    said_at: tuple[int, ...] = field(repr=False)
    entered_at: tuple[int, ...] = field(repr=False)
    interrupted_at: tuple[int, ...] = field(repr=False)
    memory: bytes = field(repr=False)

    @property
    def lines(self) -> list[str]:
        """The output, line by line."""
        return self.output.decode("utf-8", "replace").splitlines()

    @property
    def total_entries(self) -> int:
        """How often the VMM was entered."""
        return sum(self.entries.values())

    @property
    def trap_cycles(self) -> int:
        """What that would cost, if each entry took `TRAP_CYCLES`."""
        return self.total_entries * TRAP_CYCLES


@dataclass(frozen=True)
class Ways(Result):
    """The three runs, side by side.

    Attributes
    ----------
    program
        What was run.
    native, deprivileged, patched
        The runs.

    Examples
    --------
    >>> from virtlab.machine.guests import mirror
    >>> ways = run_ways(mirror())
    >>> ways.patched.output == ways.native.output, ways.deprivileged.output == ways.native.output
    (True, False)
    >>> print(ways.divergence.explain())
    MOV DX,CS at main+0xf0 (0x100380), instruction 293 of the guest, ran at ring 1 and did not trap.
    EDX is 0x9 and should be 0x8.
    The low two bits of CS and SS are the ring that runs, and it is 1.
    >>> ways.first_line("deprivileged")
    (1, 'mov from cs: 00000008', 'mov from cs: 00000009')
    """

    program: str
    native: Way
    deprivileged: Way
    patched: Way

    @property
    def all(self) -> tuple[Way, Way, Way]:
        """The runs, in order."""
        return self.native, self.deprivileged, self.patched

    @property
    def divergence(self) -> Wrong | None:
        """The first instruction that did something else than at ring 0; None if none did."""
        return self.deprivileged.wrongs[0] if self.deprivileged.wrongs else None

    def way(self, name: str) -> Way:
        """Return a run.

        Parameters
        ----------
        name
            One of `WAYS`.

        Returns
        -------
        Way
            It.
        """
        return self.all[WAYS.index(name)]

    def first_byte(self, name: str) -> int | None:
        """Return the number of the first byte of the output that differs from the native run's.

        Parameters
        ----------
        name
            Of the run.

        Returns
        -------
        int or None
            None if they are equal.
        """
        pairs = zip_longest(self.way(name).output, self.native.output)
        return next((at for at, (here, there) in enumerate(pairs) if here != there), None)

    def first_line(self, name: str) -> tuple[int, str, str] | None:
        """Return the first line of the output that differs from the native run's.

        Parameters
        ----------
        name
            Of the run.

        Returns
        -------
        tuple or None
            Its number from 0, the native line, and this one; None if all are equal.
        """
        pairs = zip_longest(self.native.lines, self.way(name).lines, fillvalue="")
        return next(((at, *pair) for at, pair in enumerate(pairs) if pair[0] != pair[1]), None)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each way."""
        return pd.DataFrame(
            [
                {
                    "way": way.name,
                    "ended": way.ended,
                    "instructions": way.instructions,
                    "vmm_entries": way.total_entries,
                    "entries_per_1000_instructions": round(
                        1000 * way.total_entries / max(way.instructions, 1), 2
                    ),
                    "estimated_trap_cycles": way.trap_cycles,
                    "interrupts": len(way.interrupted_at),
                    "instructions_that_lied": len(way.wrongs),
                    "patched_instructions": len(way.patches),
                    "lines_as_native": self._same_lines(way),
                    "lines": len(way.lines),
                }
                for way in self.all
            ]
        )

    def _same_lines(self, way: Way) -> int:
        return sum(a == b for a, b in zip(way.lines, self.native.lines, strict=False))

    def traps_frame(self) -> pd.DataFrame:
        """Return why the VMM was entered: a row for each reason, a column for each way.

        Returns
        -------
        pandas.DataFrame
            The most frequent first.
        """
        reasons = {name for way in self.all for name in way.entries}
        rows = [
            {"reason": name, **{way.name: way.entries.get(name, 0) for way in self.all[1:]}}
            for name in reasons
        ]
        frame = pd.DataFrame(rows, columns=["reason", *WAYS[1:]])
        return frame.sort_values([*WAYS[1:], "reason"], ascending=[False, False, True]).reset_index(
            drop=True
        )

    def lines_frame(self) -> pd.DataFrame:
        """Return what each way said, line beside line.

        Returns
        -------
        pandas.DataFrame
            Columns of the three ways, and `same`.
        """
        rows = zip_longest(*(way.lines for way in self.all), fillvalue="")
        frame = pd.DataFrame(list(rows), columns=list(WAYS))
        return frame.assign(same=(frame["native"] == frame["deprivileged"]))

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        wrong, differs = self.divergence, self.first_line("deprivileged")
        return {
            "program": self.program,
            "instructions": self.native.instructions,
            **{f"{way.name}_entries": way.total_entries for way in self.all[1:]},
            "instructions_that_lied": len(self.deprivileged.wrongs),
            "first_lie": "" if wrong is None else f"{wrong.instruction} at {wrong.symbol}",
            "first_lie_at_instruction": -1 if wrong is None else wrong.step,
            "first_other_line": -1 if differs is None else differs[0] + 1,
            "patched_instructions": len(self.patched.patches),
            "patched_says_the_same": int(self.patched.output == self.native.output),
        }

    def explain(self) -> str:
        """Say where the deprivileged run goes wrong, and whether patches help."""
        wrong, differs = self.divergence, self.first_line("deprivileged")
        if wrong is None:
            return "By trap and emulate the kernel runs as at ring 0: nothing in it lies at ring 1."
        kinds = len({one.address for one in self.deprivileged.wrongs})
        lies = f"{kinds} instruction{'s' if kinds > 1 else ''}"
        said = (
            "what it says is the same all the same"
            if differs is None
            else f"what it says is another thing from line {differs[0] + 1} on"
        )
        count = len(self.patched.patches)
        same = self.first_byte("patched") is None
        helped = "says what it says at ring 0" if same else "still says something else"
        return (
            f"At ring 1 {lies} did not trap and did something else, first {wrong.instruction} at "
            f"{wrong.symbol}; {said}.\nWith {count} instruction{'s' if count > 1 else ''} patched "
            f"it {helped}, for {self.patched.total_entries:,} entries of the VMM in "
            f"{self.patched.instructions:,} instructions."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the summary, the rows, each way's output and reasons, and the first lie."""
        wrong = self.divergence
        return {
            **super().to_json(),
            "output": {way.name: way.lines for way in self.all},
            "entries": {way.name: dict(way.entries) for way in self.all[1:]},
            "divergence": None if wrong is None else wrong.explain(),
        }


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
    with bar, Interruptible() as ctrl_c:
        while not (ended := computer.ended):
            if now >= limit or ctrl_c.came:
                ended = "interrupted" if ctrl_c.came else "limit"
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
            else Monitor(ram_mib, instructions_per_tick=ticks, patch=way == "patched")
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
