"""One instruction, run at one ring of a small machine: what it did (S17).

The machine is `virtlab.machine.stage`'s, or another of the same kind that differs only in what a
program should not be able to tell (`MOVES`). What it did is the state before and after, or the
fault. `virtlab.machine.rings` runs all probes so, at all rings.

Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from virtlab.machine.decode import Decoder
from virtlab.machine.faults import Fault
from virtlab.machine.processor import Processor
from virtlab.machine.registers import ARITHMETIC, GENERAL
from virtlab.machine.segments import Segment, Table
from virtlab.machine.stage import CODE, HANDLER, LDT, LDT_SELECTOR, TSS, stage
from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from virtlab.machine.probes import Probe

__all__ = ["MOVES", "Outcome", "try_instruction"]

_SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
_TABLES = ("gdtr", "idtr", "ldtr", "tr", "tlb")
_MACHINE = ("cr0", "cr3", "cr4", *_TABLES, "IF", "IOPL", "ring", "halted", "bus")


class _Recorder:
    """A bus that remembers what was asked of it."""

    def __init__(self) -> None:
        self.traffic: list[tuple[str, int, int]] = []

    def read(self, port: int, size: int) -> int:
        self.traffic.append(("in", port, size))
        return 0x5A5A5A5A & (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        del value
        self.traffic.append(("out", port, size))


@dataclass(frozen=True)
class Outcome:
    """What an instruction did at a ring.

    Attributes
    ----------
    probe
        Which.
    ring, iopl
        Where.
    fault
        The exception, as the manual writes it; empty if it ran.
    why
        In words.
    before, after
        The state: registers, flags, memory written, and what the machine is.

    Examples
    --------
    >>> from virtlab.machine.probes import named
    >>> done = try_instruction(named("popf"), ring=1)
    >>> done.fault, done.before["IF"], done.after["IF"]  # it was to be switched off
    ('', 1, 1)
    """

    probe: Probe
    ring: int
    iopl: int
    fault: str
    why: str
    before: dict[str, object]
    after: dict[str, object]

    @property
    def told(self) -> dict[str, object]:
        """What the program can see of it: what changed, but for the machine itself."""
        return {
            key: value
            for key, value in self.after.items()
            if key not in _MACHINE and value != self.before[key]
        }

    @property
    def seen(self) -> dict[str, object]:
        """What a program can read afterwards: registers, flags, memory, and where it is."""
        return {key: self.after[key] for key in (*GENERAL, "flags", "memory", "eip")}

    @property
    def delivered(self) -> bool:
        """Whether a gate of the interrupt table was gone through, as by a trap."""
        return HANDLER <= int(str(self.after["eip"])) < CODE

    @property
    def changed(self) -> dict[str, object]:
        """What it changed in the machine."""
        return {key: self.after[key] for key in _MACHINE if self.after[key] != self.before[key]}


def _state(
    processor: Processor, written: Iterable[tuple[int, bytes]], bus: _Recorder
) -> dict[str, object]:
    registers = processor.registers
    places = sorted({(address, len(old)) for address, old in written})
    hidden = zip(_SEGMENTS, processor.segments, strict=True)
    return {
        **{name: registers[name] for name in GENERAL},
        "flags": registers.eflags & ARITHMETIC,
        "memory": tuple((at, processor.memory.read(at, size).hex()) for at, size in places),
        **{name: (s.base, s.limit, s.access) for name, s in hidden if name not in ("cs", "ss")},
        "eip": registers["EIP"],
        **{name.lower(): registers[name] for name in ("CR0", "CR3", "CR4")},
        "gdtr": processor.gdtr,
        "idtr": processor.idtr,
        "ldtr": processor.ldtr.selector,
        "tr": processor.tr.selector,
        "tlb": tuple(processor.paging.tlb),
        "IF": registers.flag("IF"),
        "IOPL": registers.flag("IOPL"),
        "ring": processor.cpl,
        "halted": processor.halted,
        "bus": tuple(bus.traffic),
    }


@cache
def _decoder() -> Decoder:
    return Decoder()


def try_instruction(
    probe: Probe,
    ring: int,
    iopl: int = 0,
    *,
    moved: bool | str = False,
    kind: type[Processor] = Processor,
) -> Outcome:
    """Run an instruction at a ring.

    Parameters
    ----------
    probe
        Which.
    ring, iopl
        Where.
    moved
        Whether in another machine: tables elsewhere, other selectors, interrupts off. A key of
        `MOVES` moves that part alone.
    kind
        Of the processor: a subclass may do something else.

    Returns
    -------
    Outcome
        What it did.

    Raises
    ------
    InvalidInputError
        If no part of the machine has that name.

    Examples
    --------
    >>> from virtlab.machine.probes import named
    >>> try_instruction(named("cli"), ring=3).fault
    '#GP(0)'
    >>> try_instruction(named("cli"), ring=3, iopl=3).changed
    {'IF': 0}
    >>> try_instruction(named("smsw"), ring=3, moved="CR0").told["EAX"]  # the host's TS
    25
    """
    processor = stage(ring, iopl, _decoder(), kind)
    bus = _Recorder()
    processor.bus = bus
    for part in _parts(moved):
        MOVES[part](processor)
    probe.prepare(processor)
    processor.memory.write(CODE, probe.bytes_at(ring))
    processor.memory.journal = []
    before = _state(processor, (), bus)
    fault, why = "", ""
    try:
        processor.step()
    except Fault as raised:
        fault, _, why = str(raised).partition(": ")
    after = _state(processor, processor.memory.journal or [], bus)
    return Outcome(probe, ring, iopl, fault, why, before, after)


# --- another machine, which a program should not be able to tell ----------------------------------


def _parts(moved: bool | str) -> tuple[str, ...]:  # noqa: FBT001 - as its caller was asked
    if isinstance(moved, str):
        return (one_of("moved", moved, tuple(MOVES)),)
    return tuple(part for part in MOVES if part != "limits") if moved else ()


def _move_gdt(processor: Processor) -> None:
    processor.memory.write(0x1800, processor.memory.read(processor.gdtr.base, 0x60))
    processor.gdtr = Table(0x1800, 0x5F)


def _move_idt(processor: Processor) -> None:
    processor.memory.write(0xB800, processor.memory.read(processor.idtr.base, 0x800))
    processor.idtr = Table(0xB800, 0x7FF)


def _other_ldt(processor: Processor) -> None:
    processor.ldtr = Segment(LDT_SELECTOR, LDT, 0xF, 0x82, big=False)


def _other_task(processor: Processor) -> None:
    processor.tr = Segment(0x50, TSS, 0x67, 0x8B, big=False)


def _set_ts(processor: Processor) -> None:
    processor.registers["CR0"] |= 8


def _interrupts_off(processor: Processor) -> None:
    processor.registers.set_flag("IF", 0)


def _truncate(processor: Processor) -> None:
    """Cut the top 4 MiB off all segments, where a monitor may hide."""
    for entry in range(processor.gdtr.base + 8, processor.gdtr.base + 0x48, 8):
        processor.memory.write(entry, bytes.fromhex("fffb"))


# Parts of the machine, each with another that would do as well. `limits` is not one of those that
# `moved=True` moves: a program may see its segments' limits, but a monitor must change them.
MOVES: dict[str, Callable[[Processor], None]] = {
    "GDTR": _move_gdt,
    "IDTR": _move_idt,
    "LDTR": _other_ldt,
    "TR": _other_task,
    "CR0": _set_ts,
    "IF": _interrupts_off,
    "limits": _truncate,
}
