"""From ring to ring: interrupts, exceptions, gates, far jumps and returns (S5-S7, S17).

A program gets into an inner ring only where the kernel has put a **gate**: `int 0x80` looks up gate
0x80 of the interrupt table, checks that the program may use it (its ring is at most the gate's),
takes the stack of the inner ring from the task's state, and pushes there where to come back to. A
fault comes the same way, with no question whether it may. IRET is the way back, and drops what the
outer ring may not have.

Source: Intel SDM, volume 3, sections 5.8 and 6.12; volume 2, "INT n", "IRET", "CALL", "RET", "JMP".

Left out: task gates and task switches, 16-bit gates and call gates with parameters, virtual 8086
mode; where a guest would need one, it gets #GP, and the words say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.descriptors import (
    drop_inner_segments,
    find,
    look_up,
    mark,
    raw,
    stack_segment,
)
from virtlab.machine.encoding import CS, SS
from virtlab.machine.faults import Fault, fault_name
from virtlab.machine.operands import memory_operand, pop, push
from virtlab.machine.segments import Segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.processor import Processor

__all__ = ["ROUTINES", "deliver"]

_INTERRUPT_GATE, _TRAP_GATE, _CALL_GATE = 0xE, 0xF, 0xC
_NT = 0x4000
_POPPED = 0x244DD5  # flags that IRET and POPF may always change


def deliver(
    processor: Processor, vector: int, *, code: int | None = None, software: bool = False
) -> None:
    """Go to the handler of an interrupt or exception.

    Parameters
    ----------
    processor
        Which; EIP is what the handler comes back to.
    vector
        Number of the gate, 0 to 255.
    code
        Error code, of an exception that has one.
    software
        Whether an instruction asked for it, so that the gate's ring counts.

    Raises
    ------
    Fault
        If that cannot be done. Then nothing has changed but memory below the stack's top.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> from virtlab.machine.segments import Table
    >>> processor = Processor()
    >>> processor.idtr = Table(0x1000, 7)
    >>> deliver(processor, 0x80, software=True)
    Traceback (most recent call last):
    virtlab.machine.faults.Fault: #GP(0x402): int 0x80: the interrupt table has no such gate
    """
    before, segments = bytes(processor.registers.data), list(processor.segments)
    try:
        _deliver(processor, vector, code, software=software)
    except Fault:
        processor.registers.data[:] = before
        processor.segments = segments
        raise


def _deliver(processor: Processor, vector: int, code: int | None, *, software: bool) -> None:
    target, offset, kind = _gate(processor, vector, software=software)
    registers = processor.registers
    flags, old_cs, old_eip = registers.eflags, registers["CS"], registers["EIP"]
    inner = not target.conforming and target.dpl < processor.cpl
    if inner:
        _inner_stack(processor, target.dpl)
    elif not target.conforming and target.dpl > processor.cpl:
        why = f"{fault_name(vector)}: its handler's ring, {target.dpl}, is not an inner one"
        raise Fault(13, target.selector & 0xFFFC, why)
    ring = processor.cpl if target.conforming else target.dpl
    # What is pushed on the new stack is pushed with the new ring's rights.
    processor.set_segment(CS, _at_ring(target, ring))
    for value in (flags, old_cs, old_eip, *([] if code is None else [code])):
        push(processor, value, 4)
    _check_limit(target, offset)
    _mark_loaded(processor, target, *([processor.segments[SS]] if inner else []))
    registers["EIP"] = offset
    for flag in ("TF", "NT", "RF", "VM", *(["IF"] if kind == _INTERRUPT_GATE else [])):
        registers.set_flag(flag, 0)


def _gate(processor: Processor, vector: int, *, software: bool) -> tuple[Segment, int, int]:
    """Return a gate's code segment, offset and kind, if it may be used."""
    error = 8 * vector + 2 + (0 if software else 1)
    name = f"{fault_name(vector)}:"
    if 8 * vector + 7 > processor.idtr.limit:
        raise Fault(13, error, f"{name} the interrupt table has no such gate")
    gate = raw(processor, processor.idtr.base + 8 * vector)
    access = gate >> 40 & 0xFF
    if access & 0x1F not in (_INTERRUPT_GATE, _TRAP_GATE):
        raise Fault(13, error, f"{name} what stands in the interrupt table is no gate of 32 bits")
    if software and access >> 5 & 3 < processor.cpl:
        why = f"{name} the gate is for ring {access >> 5 & 3}, not for ring {processor.cpl}"
        raise Fault(13, error, why)
    if not access & 0x80:
        raise Fault(11, error, f"{name} the gate is not present")
    selector = gate >> 16 & 0xFFFF
    if selector & 0xFFFC == 0:
        raise Fault(13, 0 if software else 1, f"{name} the gate has no code segment")
    target = look_up(processor, selector)
    if not target.is_code or target.dpl > processor.cpl:
        raise Fault(13, selector & 0xFFFC, f"{name} the gate leads to no code of an inner ring")
    if not target.present:
        raise Fault(11, selector & 0xFFFC, f"{name} the handler's segment is not present")
    return target, gate & 0xFFFF | gate >> 32 & 0xFFFF0000, access & 0xF


def _at_ring(segment: Segment, ring: int) -> Segment:
    """Return a code segment with the ring that runs in its selector."""
    selector = segment.selector & 0xFFFC | ring
    return Segment(selector, segment.base, segment.limit, segment.access, segment.big)


def _inner_stack(processor: Processor, ring: int) -> None:
    """Change to the stack that the task's state has for a ring, and push the old one's place."""
    place = 4 + 8 * ring
    if not processor.tr.access or place + 5 > processor.tr.limit:
        raise Fault(10, processor.tr.selector & 0xFFFC, f"no task state has a stack of ring {ring}")
    found = processor.read(processor.tr.base + place, 6)
    esp, selector = int.from_bytes(found[:4], "little"), int.from_bytes(found[4:], "little")
    segment = stack_segment(processor, selector, ring, vector=10)
    old_ss, old_esp = processor.registers["SS"], processor.registers["ESP"]
    cs = processor.segments[CS]
    processor.set_segment(CS, _at_ring(cs, ring))  # to push with its rights
    processor.set_segment(SS, segment)
    processor.registers["ESP"] = esp
    push(processor, old_ss, 4)
    push(processor, old_esp, 4)


def _mark_loaded(processor: Processor, *loaded: Segment) -> None:
    """Mark segments as accessed in their table; last of all, when nothing can fault any more."""
    for segment in loaded:
        mark(processor, segment.selector, segment.access | 1)


def _check_limit(segment: Segment, offset: int) -> None:
    if offset > segment.limit:
        raise Fault(13, 0, f"EIP {offset:#x} is beyond the segment's limit, {segment.limit:#x}")


# --- instructions ---------------------------------------------------------------------------------


def _int(processor: Processor, instruction: Instruction, vector: int) -> int:
    processor.registers["EIP"] = instruction.next
    deliver(processor, vector, software=True)
    return processor.registers["EIP"]


def _int_n(processor: Processor, instruction: Instruction) -> int:
    return _int(processor, instruction, instruction.encoding.rest[0])


def _int3(processor: Processor, instruction: Instruction) -> int:
    return _int(processor, instruction, 3)


def _into(processor: Processor, instruction: Instruction) -> int | None:
    return _int(processor, instruction, 4) if processor.registers.flag("OF") else None


def _bound(processor: Processor, instruction: Instruction) -> None:
    """Check that an index lies between two numbers in memory."""
    parts, size = instruction.encoding, instruction.encoding.operand_size
    segment, offset = memory_operand(processor, instruction)
    place = 4 * parts.reg
    words = [
        int.from_bytes(processor.registers.data[place : place + size], "little"),
        processor.load(segment, offset, size),
        processor.load(segment, offset + size & 0xFFFFFFFF, size),
    ]
    half = 1 << 8 * size - 1
    index, low, high = (word - 2 * half if word >= half else word for word in words)
    if not low <= index <= high:
        raise Fault(5, why=f"{index} is not from {low} to {high}")


def _code_target(processor: Processor, selector: int, *, gate: bool = False) -> Segment:
    """Return the code segment that a far jump or call may go to, at the same ring."""
    if selector & 0xFFFC == 0:
        raise Fault(13, 0, "a far jump to the null selector")
    target = look_up(processor, selector)
    if not target.is_code:
        raise Fault(13, selector & 0xFFFC, f"selector {selector:#x} names no code, nor a gate here")
    wrong = target.dpl > processor.cpl if target.conforming or gate else target.dpl != processor.cpl
    if wrong or (not target.conforming and not gate and target.rpl > processor.cpl):
        why = f"from ring {processor.cpl} there is no jump to code of ring {target.dpl}"
        raise Fault(13, selector & 0xFFFC, why)
    if not target.present:
        raise Fault(11, selector & 0xFFFC, "the code segment is not present")
    return target


def _far_pointer(processor: Processor, instruction: Instruction) -> tuple[int, int]:
    """Return selector and offset of a far jump's operand."""
    parts, size = instruction.encoding, instruction.encoding.operand_size
    if parts.opcode in (0x9A, 0xEA):
        offset = int.from_bytes(parts.rest[:size], "little")
        return int.from_bytes(parts.rest[size : size + 2], "little"), offset
    segment, place = memory_operand(processor, instruction)
    offset = processor.load(segment, place, size)
    return processor.load(segment, place + size & 0xFFFFFFFF, 2), offset


def _through_gate(processor: Processor, selector: int) -> tuple[Segment, int] | None:
    """Return code segment and offset if a selector names a call gate that may be used."""
    if selector & 0xFFFC == 0:
        return None
    gate = look_up(processor, selector)
    if gate.is_memory or gate.kind != _CALL_GATE:
        return None
    place = selector & 0xFFFC
    if max(gate.rpl, processor.cpl) > gate.dpl:
        why = f"a call gate for ring {gate.dpl}, asked for by {max(gate.rpl, processor.cpl)}"
        raise Fault(13, place, why)
    if not gate.present:
        raise Fault(11, place, "the call gate is not present")
    found = raw(processor, find(processor, selector) or 0)
    if found >> 32 & 0x1F:
        raise Fault(13, place, "call gates with parameters are left out of this machine")
    target = _code_target(processor, found >> 16 & 0xFFFF, gate=True)
    return target, found & 0xFFFF | found >> 32 & 0xFFFF0000


def _jump_far(processor: Processor, instruction: Instruction) -> int:
    selector, offset = _far_pointer(processor, instruction)
    through = _through_gate(processor, selector)
    target, offset = through or (_code_target(processor, selector), offset)
    if not target.conforming and target.dpl != processor.cpl:
        raise Fault(13, target.selector & 0xFFFC, "a jump through a gate stays in its ring")
    _check_limit(target, offset)
    _mark_loaded(processor, target)
    processor.set_segment(CS, _at_ring(target, processor.cpl))
    return offset


def _call_far(processor: Processor, instruction: Instruction) -> int:
    selector, offset = _far_pointer(processor, instruction)
    through = _through_gate(processor, selector)
    target, offset = through or (_code_target(processor, selector), offset)
    size = 4 if through else instruction.encoding.operand_size
    old_cs = processor.registers["CS"]
    ring = processor.cpl if target.conforming else target.dpl
    inner = ring < processor.cpl
    if inner:
        _inner_stack(processor, ring)
    push(processor, old_cs, size)
    push(processor, instruction.next, size)
    _check_limit(target, offset)
    _mark_loaded(processor, target, *([processor.segments[SS]] if inner else []))
    processor.set_segment(CS, _at_ring(target, ring))
    return offset


def _return_to(processor: Processor, selector: int, offset: int) -> Segment:
    """Return the code segment that a far return or IRET goes back to."""
    if selector & 0xFFFC == 0:
        raise Fault(13, 0, "a return to the null selector")
    target = look_up(processor, selector)
    ring = selector & 3
    right = target.dpl <= ring if target.conforming else target.dpl == ring
    if not target.is_code or not right or ring < processor.cpl:
        why = f"from ring {processor.cpl} there is no return to selector {selector:#x}"
        raise Fault(13, selector & 0xFFFC, why)
    if not target.present:
        raise Fault(11, selector & 0xFFFC, "the code segment is not present")
    _check_limit(target, offset)
    return target


def _return_outwards(processor: Processor, target: Segment, size: int, drop: int) -> None:
    """Go on at an outer ring, with its stack."""
    esp, ss = pop(processor, size), pop(processor, size) & 0xFFFF
    stack = stack_segment(processor, ss, target.rpl)
    _mark_loaded(processor, target, stack)
    processor.set_segment(CS, target)
    processor.set_segment(SS, stack)
    processor.registers["ESP"] = esp + drop
    drop_inner_segments(processor)


def _return_far(processor: Processor, instruction: Instruction) -> int:
    parts, size = instruction.encoding, instruction.encoding.operand_size
    drop = int.from_bytes(parts.rest[:2], "little") if parts.opcode == 0xCA else 0
    offset, selector = pop(processor, size), pop(processor, size) & 0xFFFF
    target = _return_to(processor, selector, offset)
    processor.registers["ESP"] += drop
    if target.rpl > processor.cpl:
        _return_outwards(processor, target, size, drop)
    else:
        _mark_loaded(processor, target)
        processor.set_segment(CS, target)
    return offset


def _iret(processor: Processor, instruction: Instruction) -> int:
    registers, size = processor.registers, instruction.encoding.operand_size
    if registers.eflags & _NT:
        raise Fault(13, 0, "IRET with NT set is a task switch, which is left out of this machine")
    offset, selector = pop(processor, size), pop(processor, size) & 0xFFFF
    flags = pop(processor, size)
    if flags & 0x20000 and processor.cpl == 0 and size == 4:
        raise Fault(13, 0, "virtual 8086 mode is left out of this machine")
    target = _return_to(processor, selector, offset)
    mask = _POPPED | 0x10000  # RF too
    if processor.cpl <= registers.flag("IOPL"):
        mask |= 0x200
    if processor.cpl == 0:
        mask |= 0x3000
    if size == 2:
        mask &= 0xFFFF
    if target.rpl > processor.cpl:
        _return_outwards(processor, target, size, 0)
    else:
        _mark_loaded(processor, target)
        processor.set_segment(CS, target)
    registers.eflags = registers.eflags & ~mask | flags & mask
    return offset


ROUTINES: dict[str, Callable[[Processor, Instruction], int | None]] = {
    "BOUND": _bound,
    "CALLF": _call_far,
    "INT": _int_n,
    "INT3": _int3,
    "INTO": _into,
    "IRET": _iret,
    "JMPF": _jump_far,
    "RETF": _return_far,
}
