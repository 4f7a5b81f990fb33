"""Does an instruction lie? It is done twice, and compared (S17).

An instruction that touches the machine and does not trap may do something else at ring 1 than it
does at ring 0. Which ones do is not looked up in a list. From one and the same state the
instruction is done as it is, at ring 1, and then in the guest's world, as the guest's own machine
would do it at ring 0; what the guest can see of both must be the same. A VMM could not do this, for
it is never asked; a model of a processor can.

What is compared is what the guest sees or what its machine is: registers, flags with the IF and
IOPL that it believes to have, segment registers, where it goes on, and memory.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.encoding import SEGMENTS
from virtlab.machine.faults import Fault
from virtlab.machine.history import restore_processor, save_processor
from virtlab.machine.registers import GENERAL
from virtlab.machine.vmm.events import Difference
from virtlab.machine.vmm.host import Deprivileged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.decode import Instruction
    from virtlab.machine.memory import Memory
    from virtlab.machine.processor import Processor

__all__ = ["Seen", "compare", "do_and_judge", "guest_view"]

_MACHINE = ("CR0", "CR2", "CR3", "CR4")
_FLAGS = {"IF": 9, "IOPL": 12, "NT": 14}


@dataclass(frozen=True)
class Seen:
    """What a guest can see, and what its machine is.

    Attributes
    ----------
    values
        By name.
    memory
        By address: what was written.
    """

    values: dict[str, object]
    memory: dict[int, int]


def guest_view(processor: Processor) -> dict[str, object]:
    """Return what the guest's machine is, as far as the guest could tell.

    Parameters
    ----------
    processor
        In the host's world or the guest's; or one that runs a guest at ring 0.

    Returns
    -------
    dict
        General registers, EIP, flags, segment registers, tables and control registers.

    Examples
    --------
    >>> from virtlab.machine.vmm.host import Deprivileged
    >>> processor = Deprivileged()
    >>> processor.cpl, guest_view(processor)["CS"][0], guest_view(processor)["IF"]
    (1, 8, 0)
    """
    if not isinstance(processor, Deprivileged) or processor.in_guest_world:
        return _values(processor)
    before, virtual = save_processor(processor), processor.virtual
    processor.enter()
    view = _values(processor)
    restore_processor(processor, before)
    processor.virtual, processor.in_guest_world = virtual, False
    return view


def _values(processor: Processor) -> dict[str, object]:
    registers = processor.registers
    flags = registers.eflags
    named = {name: flags >> bit & (3 if name == "IOPL" else 1) for name, bit in _FLAGS.items()}
    hidden = zip(SEGMENTS, processor.segments, strict=True)
    tables = ("gdtr", "idtr", "ldtr", "tr")
    return {
        **{name: registers[name] for name in (*GENERAL, "EIP", *_MACHINE)},
        **named,
        "flags": flags & ~sum(1 << bit for bit in _FLAGS.values()) & ~0x3000,
        **{name: (s.selector, s.base, s.limit, s.access) for name, s in hidden},
        **{name.upper(): getattr(processor, name) for name in tables},
        "halted": processor.halted,
    }


@contextmanager
def _journal(memory: Memory) -> Iterator[list[tuple[int, bytes]]]:
    """Note what is written, and leave it to whoever notes already too."""
    outer, memory.journal = memory.journal, []
    noted = memory.journal
    try:
        yield noted
    finally:
        memory.journal = outer
        if outer is not None:
            outer += noted


def _take_back(memory: Memory, written: list[tuple[int, bytes]]) -> None:
    for address, old in reversed(written):
        memory.data[address : address + len(old)] = old


def _bytes(memory: Memory, written: list[tuple[int, bytes]]) -> dict[int, int]:
    places = {at + k for at, old in written for k in range(len(old))}
    return {place: memory.data[place] for place in sorted(places)}


def do_and_judge(
    processor: Deprivileged, name: str, instruction: Instruction
) -> tuple[int | None, tuple[Difference, ...]]:
    """Do an instruction at the ring that runs, and say how that differs from ring 0.

    Parameters
    ----------
    processor
        In the host's world, before the instruction.
    name
        Of the routine that does it.
    instruction
        Which.

    Returns
    -------
    tuple
        Where to go on, or None for the instruction after it; and the differences.

    Raises
    ------
    Fault
        If it traps; then nobody is lied to.

    Examples
    --------
    >>> from virtlab.machine.vmm.host import Deprivileged
    >>> processor = Deprivileged()
    >>> move = processor.decoder.decode(0, bytes.fromhex("8cc8"))  # mov eax, cs
    >>> _, differences = do_and_judge(processor, "MOVFROMSEG", move)
    >>> print(*differences)
    EAX is 0x9 and should be 0x8
    """
    memory, virtual = processor.memory, processor.virtual
    before = save_processor(processor)
    with _journal(memory) as written:
        after = processor.directly(name, instruction)
        processor.registers["EIP"] = instruction.next if after is None else after
        here = Seen(guest_view(processor), _bytes(memory, written))
    done, new = save_processor(processor), list(here.memory.items())
    with _journal(memory) as noted:
        _take_back(memory, written)
        noted.clear()
        restore_processor(processor, before)
        meant = _as_meant(processor, name, instruction)
        _take_back(memory, noted)
        noted.clear()
    restore_processor(processor, done)
    processor.virtual, processor.in_guest_world = virtual, False
    for place, value in new:
        memory.data[place] = value
    return after, compare(here, meant)


def _as_meant(processor: Deprivileged, name: str, instruction: Instruction) -> Seen | Fault:
    """Do it in the guest's world."""
    processor.enter()
    memory = processor.memory
    noted = memory.journal if memory.journal is not None else []
    try:
        after = processor.directly(name, instruction)
    except Fault as fault:
        return fault
    processor.registers["EIP"] = instruction.next if after is None else after
    return Seen(guest_view(processor), _bytes(memory, noted))


def compare(here: Seen, meant: Seen | Fault) -> tuple[Difference, ...]:
    """Return what is not as it should be.

    Parameters
    ----------
    here
        What an instruction did.
    meant
        What it does at ring 0.

    Returns
    -------
    tuple of Difference
        None where all is the same.

    Examples
    --------
    >>> compare(Seen({"EAX": 9}, {}), Seen({"EAX": 8}, {}))
    (Difference(what='EAX', meant='0x8', here='0x9'),)
    >>> compare(Seen({}, {0x10: 1, 0x11: 2}), Seen({}, {0x10: 0, 0x11: 2}))
    (Difference(what='memory at 0x10', meant='00 02', here='01 02'),)
    """
    if isinstance(meant, Fault):
        return (Difference("what happens", str(meant), "no fault"),)
    named = [
        Difference(name, _word(value), _word(here.values[name]))
        for name, value in meant.values.items()
        if here.values[name] != value
    ]
    if here.memory != meant.memory:
        places = sorted({*here.memory, *meant.memory})
        texts = [
            " ".join(f"{seen[place]:02x}" if place in seen else "--" for place in places)
            for seen in (meant.memory, here.memory)
        ]
        named.append(Difference(f"memory at {places[0]:#x}", *texts))
    return tuple(named)


def _word(value: object) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:#x} (base {value[1]:#x}, limit {value[2]:#x}, access {value[3]:#x})"
    if not isinstance(value, int):
        return str(value)
    return hex(value) if value > 1 else str(int(value))
