"""Which entries of the processor's tables a step went through (S17).

To change the ring the processor looks in three tables that the kernel has made: in the **IDT** for
the gate, in the **GDT** for the code that the gate leads to, and in the **TSS** for the stack of
the inner ring. What it found there is shown with the rights that it checked.

Source: Intel SDM, volume 3, sections 3.4.5, 6.11, 6.12 and 7.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.encoding import CS, SS
from virtlab.machine.faults import NAMES
from virtlab.machine.walk.lines import peek

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.computer import Computer
    from virtlab.machine.history import Step
    from virtlab.machine.processor import Processor
    from virtlab.machine.segments import Segment
    from virtlab.machine.walk.lines import Names

__all__ = ["Entry", "Frame", "entries_of", "frame_of", "vector_of"]

_VECTORS = {name: vector for vector, name in NAMES.items()}
_SYSTEM = {2: "local descriptor table", 9: "task state", 11: "task state, in use"}
_OUTER, _SAME = ("EIP", "CS", "EFLAGS", "ESP", "SS"), ("EIP", "CS", "EFLAGS")
_SEGMENTS = ("ES", "CS", "SS", "DS", "FS", "GS")


@dataclass(frozen=True)
class Entry:
    """An entry of a table.

    Attributes
    ----------
    table
        'IDT', 'GDT', 'LDT' or 'TSS'.
    place
        Which: a vector or a selector, as one writes it.
    says
        What stands there, in words.

    Examples
    --------
    >>> Entry("GDT", "0x1b", "code of ring 3").table
    'GDT'
    """

    table: str
    place: str
    says: str


@dataclass(frozen=True)
class Frame:
    """What a change of rings left on a stack, or took from it.

    Attributes
    ----------
    pushed
        Whether it was left there.
    words
        Name, linear address and value, the highest address first.
    stacks
        SS and ESP before and after, as one writes them.

    Examples
    --------
    >>> Frame(True, (("EIP", 0x7FFC, 0x5001),), ("0x10:0x8000", "0x10:0x7ffc")).pushed
    True
    """

    pushed: bool
    words: tuple[tuple[str, int, int], ...]
    stacks: tuple[str, str]


def vector_of(step: Step) -> int | None:
    """Return through which gate a step went.

    Parameters
    ----------
    step
        Which.

    Returns
    -------
    int or None
        The vector; None if it delivered nothing.

    Examples
    --------
    >>> from virtlab.machine.history import Step
    >>> vector_of(Step(0, 0, 3, "CLI", "trap", "#GP(0)", (("#GP", "exception"),)))
    13
    """
    if not step.traps:
        return None
    name = step.traps[-1][0]
    return _VECTORS[name] if name in _VECTORS else int(name.split()[1], 16)


def entries_of(computer: Computer, step: Step, names: Names) -> tuple[Entry, ...]:
    """Return the entries that a step went through.

    Parameters
    ----------
    computer
        After the step.
    step
        Which.
    names
        Of places.

    Returns
    -------
    tuple of Entry
        In the order in which the processor looks.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> ride = attempt(bytes.fromhex("cd80"), ring=3)
    >>> for entry in ride.go(1).entries:
    ...     print(entry.table, entry.place, entry.says)
    IDT 0x80 interrupt gate to 0x8:handler of int 0x80; int n from rings 0 to 3
    GDT 0x8 code of ring 0, all 4 GB
    TSS ring 0 its stack: 0x10:0x9000
    """
    if step.undo is None:
        return ()
    return tuple(_entries(computer.processor, step, names))


def _entries(processor: Processor, step: Step, names: Names) -> Iterator[Entry]:
    undo = step.undo
    if undo is None:
        return
    vector = vector_of(step)
    if vector is not None:
        gate = int.from_bytes(peek(processor, processor.idtr.base + 8 * vector, 8), "little")
        yield Entry("IDT", f"{vector:#x}", _gate(gate, names))
    before = undo.processor.segments
    for number, name in enumerate(_SEGMENTS):
        old, new = before[number], processor.segments[number]
        if old.selector != new.selector and (vector is None or number == CS):
            into = "" if number == CS else f", into {name}"
            yield Entry("GDT" if not new.selector & 4 else "LDT", f"{new.selector:#x}",
                        _descriptor(new) + into)  # fmt: skip
    task = processor.tr
    if task.selector != undo.processor.tables[3].selector:
        yield Entry("GDT", f"{task.selector:#x}", f"{_descriptor(task)}, into TR")
    if vector is not None and processor.cpl < step.ring:
        ring = processor.cpl
        found = peek(processor, task.base + 4 + 8 * ring, 6)
        esp, ss = int.from_bytes(found[:4], "little"), int.from_bytes(found[4:], "little")
        yield Entry("TSS", f"ring {ring}", f"its stack: {ss:#x}:{esp:#x}")


def _gate(gate: int, names: Names) -> str:
    access, offset = gate >> 40 & 0xFF, gate & 0xFFFF | gate >> 32 & 0xFFFF0000
    kind = {0xE: "interrupt gate", 0xF: "trap gate"}.get(access & 0x1F, "no gate of 32 bits")
    ring = access >> 5 & 3
    who = "ring 0 only" if ring == 0 else f"rings 0 to {ring}"
    return f"{kind} to {gate >> 16 & 0xFFFF:#x}:{names.say(offset)}; int n from {who}"


def _descriptor(segment: Segment) -> str:
    if segment.selector & 0xFFFC == 0:
        return "nothing: the null selector"
    if not segment.is_memory:
        return _SYSTEM.get(segment.kind, "of the system's")
    what = "code" if segment.is_code else "data"
    room = (
        "all 4 GB"
        if (segment.base, segment.limit) == (0, 0xFFFFFFFF)
        else f"{segment.base:#x}, limit {segment.limit:#x}"
    )
    return f"{what} of ring {segment.dpl}, {room}"


def frame_of(computer: Computer, step: Step) -> Frame | None:
    """Return what a step left on the stack, or took from it, to go to another place.

    Parameters
    ----------
    computer
        After the step.
    step
        Which.

    Returns
    -------
    Frame or None
        Of a trap, an interrupt, an `int n` and an IRET; None of all others.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> frame = attempt(bytes.fromhex("cd80"), ring=3).go(1).frame
    >>> frame.stacks, [name for name, _, _ in frame.words]
    (('0x43:0x8000', '0x10:0x8fec'), ['SS', 'ESP', 'EFLAGS', 'CS', 'EIP'])
    """
    if step.undo is None or computer.shutdown:
        return None
    processor, old = computer.processor, step.undo.processor
    esp_before = int.from_bytes(old.registers[16:20], "little")
    ss_before = old.segments[SS]
    stacks = (
        f"{ss_before.selector:#x}:{esp_before:#x}",
        f"{processor.segments[SS].selector:#x}:{processor.registers['ESP']:#x}",
    )
    if step.what.startswith("IRET") and step.kind == "instruction":
        names = _OUTER if processor.cpl > step.ring else _SAME
        words = _words(processor, ss_before.base + esp_before, names)
        return Frame(pushed=False, words=words, stacks=stacks)
    vector = vector_of(step)
    if vector is None:
        return None
    names = _OUTER if processor.cpl < step.ring else _SAME
    pushed = [at for at, _, _ in step.undo.written]
    error = ("error code",) if step.kind == "trap" and _has_code(step, vector) else ()
    where = processor.segments[SS].base + processor.registers["ESP"]
    words = _words(processor, where, (*error, *names))
    return Frame(pushed=True, words=words, stacks=stacks) if pushed else None


def _has_code(step: Step, vector: int) -> bool:
    from virtlab.machine.faults import WITH_ERROR_CODE

    return vector in WITH_ERROR_CODE and step.traps[-1][1] == "exception"


def _words(
    processor: Processor, low: int, names: tuple[str, ...]
) -> tuple[tuple[str, int, int], ...]:
    found = [
        (name, low + 4 * k, int.from_bytes(peek(processor, low + 4 * k, 4), "little"))
        for k, name in enumerate(names)
    ]
    return tuple(reversed(found))
