"""What a step did, and how to take it back (S5, S17).

Before each step the computer's state is noted, but for memory: of that, what each write overwrote.
To go back is to put the old bytes in again, the last first, and then the registers. Devices are
noted only in a step that touches one, and the TLB only when it has changed.

The notes are also the answer to "what just happened": which registers changed, which memory, what
trapped, and why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from virtlab.machine.faults import Fault
from virtlab.machine.registers import GENERAL, Registers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from virtlab.machine.bus import Access
    from virtlab.machine.computer import Computer
    from virtlab.machine.decode import Instruction
    from virtlab.machine.processor import Processor
    from virtlab.machine.segments import Segment, Table

__all__ = [
    "Done",
    "ProcessorState",
    "Step",
    "Undo",
    "name_next",
    "noted_step",
    "restore_processor",
    "save_processor",
    "take_back",
    "told",
]

# What a step did, before anyone asks for words: the first seven of a `Step`.
Done: TypeAlias = "tuple[int, int, int, Instruction | str, str, str, tuple[tuple[str, str], ...]]"

_SHOWN = (*GENERAL, "CS", "SS", "DS", "ES", "FS", "GS", "CR0", "CR2", "CR3", "CR4")


class ProcessorState(NamedTuple):
    """All that a processor holds.

    Attributes
    ----------
    registers, segments, tables, tlb
        Bytes; the six segments; GDTR, IDTR, LDTR and TR; and what paging remembers.
    counts
        Instructions, whether it is halted, whether interrupts wait for one more instruction, and
        walks through page tables.
    """

    registers: bytes
    segments: tuple[Segment, ...]
    tables: tuple[Table, Table, Segment, Segment]
    tlb: Mapping[int, tuple[int, int]]
    counts: tuple[int, bool, bool, int]


def save_processor(processor: Processor, last: ProcessorState | None = None) -> ProcessorState:
    """Note what a processor holds.

    Parameters
    ----------
    processor
        Which.
    last
        An earlier note: what is equal in it is shared.

    Returns
    -------
    ProcessorState
        The note.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> before = save_processor(processor)
    >>> processor.registers["EAX"] = 7
    >>> restore_processor(processor, before)
    >>> processor.registers["EAX"]
    0
    """
    paging = processor.paging
    shared = last is not None and last.tlb == paging.tlb
    return ProcessorState(
        bytes(processor.registers.data),
        tuple(processor.segments),
        (processor.gdtr, processor.idtr, processor.ldtr, processor.tr),
        last.tlb if last is not None and shared else dict(paging.tlb),
        (processor.instructions, processor.halted, processor.shadow, paging.walks),
    )


def restore_processor(processor: Processor, state: ProcessorState) -> None:
    """Take a processor back.

    Parameters
    ----------
    processor
        Which.
    state
        What `save_processor` noted.

    Examples
    --------
    See `save_processor`.

    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> restore_processor(processor, save_processor(processor))
    """
    processor.registers.data[:] = state.registers
    processor.segments = list(state.segments)
    processor.gdtr, processor.idtr, processor.ldtr, processor.tr = state.tables
    processor.paging.tlb = dict(state.tlb)
    processor.instructions, processor.halted, processor.shadow, processor.paging.walks = (
        state.counts
    )


def name_next(processor: Processor) -> str:
    r"""Return the instruction that is next, as words, if it can be read at all.

    Parameters
    ----------
    processor
        Whose; it is left as it is.

    Returns
    -------
    str
        As an assembler would write it.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> name_next(processor)
    'ADD byte ptr [EAX],AL'
    >>> processor.memory.write(0, b"\x0f\x0b")
    >>> name_next(processor)
    'what is no instruction, or cannot be read'
    """
    before = save_processor(processor)
    try:
        return str(processor.fetch())
    except Fault:
        return "what is no instruction, or cannot be read"
    finally:
        restore_processor(processor, before)


def take_back(computer: Computer, undo: Undo) -> None:
    """Take a step of a computer back.

    Parameters
    ----------
    computer
        Which.
    undo
        Of its last step.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> computer.load_code(bytes.fromhex("90 90"))
    >>> take_back(computer, computer.step().undo)
    >>> computer.processor.instructions
    0
    """
    for address, old, _ in reversed(undo.written):
        computer.memory.data[address : address + len(old)] = old
    restore_processor(computer.processor, undo.processor)
    if undo.devices is not None:
        computer.bus.restore(undo.devices)
    computer.clock.waited, computer.shutdown = undo.waited, undo.shutdown
    if computer.bus.log is not None:
        del computer.bus.log[undo.logged :]


def noted_step(computer: Computer, do: Callable[[], Step]) -> Step:
    """Do a step and note how to take it back; if it is interrupted, take it back.

    Parameters
    ----------
    computer
        Which.
    do
        Does the step.

    Returns
    -------
    Step
        With its notes.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> computer.load_code(bytes.fromhex("90 90"))
    >>> step = computer.step()  # which calls it
    >>> step.undo.processor.counts[0], computer.processor.instructions
    (0, 1)
    """
    bus, memory = computer.bus, computer.memory
    last = computer.history[-1].undo if computer.history else None
    before = save_processor(computer.processor, last.processor if last else None)
    log = bus.log if bus.log is not None else []
    waited, shutdown, logged = computer.clock.waited, computer.shutdown, len(log)
    memory.journal, bus.keeps, bus.before = [], True, None
    done = None
    try:
        done = do()
    finally:
        journal, memory.journal, bus.keeps = memory.journal, None, False
        written = tuple((at, old, memory.read(at, len(old))) for at, old in journal or ())
        undo = Undo(before, bus.before, written, waited, shutdown, logged)
        if done is None:
            take_back(computer, undo)
    after = bytes(computer.processor.registers.data)
    return replace(done, accesses=tuple(log[logged:]), undo=undo, after=after)


class Undo(NamedTuple):
    """What takes one step back.

    Attributes
    ----------
    processor, devices
        Their state before; of devices None if none was touched.
    written
        (address, what was there, what is there), in the order of the writes.
    waited, shutdown, logged
        The clock's, the computer's, and how long the bus's log was.
    """

    processor: ProcessorState
    devices: tuple[tuple[Any, ...], ...] | None
    written: tuple[tuple[int, bytes, bytes], ...]
    waited: int
    shutdown: str
    logged: int


@dataclass(frozen=True)
class Step:
    """One step of the computer.

    Attributes
    ----------
    time, address, ring
        When it began, in instructions; its linear address, and the ring that ran.
    what
        The instruction as an assembler writes it, or what happened instead of one.
    kind
        'instruction', 'trap', 'interrupt', 'wait' (halted until the next event) or 'halted'.
    why
        What trapped, and why; empty for an instruction that was done.
    traps
        (name, how it came about) of what was delivered.
    accesses
        To ports, if the bus keeps a log.
    undo
        What takes it back; None if no history is kept.
    after
        The registers' bytes after it; empty if no history is kept.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> computer.load_code(bytes.fromhex("b82a000000"))
    >>> print(computer.step().explain())
    0x100000 at ring 0: MOV EAX,0x2a
    EAX 0x2badb002 -> 0x2a
    """

    time: int
    address: int
    ring: int
    what: str
    kind: str
    why: str
    traps: tuple[tuple[str, str], ...] = ()
    accesses: tuple[Access, ...] = ()
    undo: Undo | None = None
    after: bytes = b""

    def changes(self) -> dict[str, tuple[int, int]]:
        """Return which registers changed, EIP apart: name to before and after."""
        if self.undo is None:
            return {}
        before, after = _registers(self.undo.processor.registers), _registers(self.after)
        named = [(name, before[name], after[name]) for name in _SHOWN]
        named.append(("EFLAGS", before.eflags, after.eflags))
        return {name: (old, new) for name, old, new in named if old != new}

    def explain(self) -> str:
        """Say what it did, what trapped and why."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.address:#x} at ring {self.ring}: {self.what}"
        if self.why:
            yield self.why
        for name, (old, new) in self.changes().items():
            yield f"{name} {old:#x} -> {new:#x}"
        for address, old_bytes, new_bytes in self.undo.written if self.undo else ():
            yield f"memory {address:#x}: {old_bytes.hex(' ')} -> {new_bytes.hex(' ')}"
        yield from map(str, self.accesses)


def told(done: Done) -> Step:
    """Put into words what a step did.

    Parameters
    ----------
    done
        When, where and at which ring; the instruction, or what happened instead; what kind of step
        it was, why, and what was delivered.

    Returns
    -------
    Step
        Without notes.

    Examples
    --------
    >>> told((0, 0x1000, 3, "halted", "halted", "", ())).what
    'halted'
    """
    when, where, ring, what, kind, why, traps = done
    return Step(when, where, ring, str(what), kind, why, traps)


def _registers(data: bytes) -> Registers:
    registers = Registers()
    registers.data[:] = data
    return registers
