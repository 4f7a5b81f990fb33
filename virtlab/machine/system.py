"""System instructions: those that touch the machine itself (S17, S18).

Some fault at an outer ring (**privileged**): a monitor that runs the guest's kernel there gets the
trap, and can do what the kernel meant. Others do their work, or half of it, and say nothing: `popf`
leaves IF as it was, `sgdt`, `sidt`, `sldt`, `str`, `smsw` and `pushf` tell about the machine that
is really there, `lar`, `lsl`, `verr` and `verw` answer for the ring that really runs. Those are why
an i386 could not be virtualized by traps alone.

Source: Intel SDM, volume 2, the pages of these instructions; volume 3, section 5.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.descriptors import find, load_segment, look_up, mark, raw, visible
from virtlab.machine.encoding import DS, ES, FS, GS, SEGMENTS, SS
from virtlab.machine.faults import Fault
from virtlab.machine.operands import (
    memory_operand,
    pop,
    privileged,
    push,
    read_operand,
    write_operand,
)
from virtlab.machine.segments import NULL

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.processor import Processor

__all__ = ["ROUTINES"]

_PE, _TS, _PG = 1, 8, 1 << 31
_CR4_KNOWN = 0x14  # TSD and PSE, as CPUID says; of no page it is said that it is global (PGE)
_POPPED = 0x244DD5  # flags that POPF may always change
_LAR_KINDS = frozenset({1, 2, 3, 4, 5, 9, 0xB, 0xC})
_LSL_KINDS = frozenset({1, 2, 3, 9, 0xB})


# --- flags ----------------------------------------------------------------------------------------


def _need_iopl(processor: Processor, instruction: Instruction) -> None:
    iopl = processor.registers.flag("IOPL")
    if processor.cpl > iopl:
        raise Fault(13, 0, f"{instruction.mnemonic} at ring {processor.cpl} with IOPL {iopl}")


def _cli(processor: Processor, instruction: Instruction) -> None:
    _need_iopl(processor, instruction)
    processor.registers.set_flag("IF", 0)


def _sti(processor: Processor, instruction: Instruction) -> None:
    _need_iopl(processor, instruction)
    # Interrupts come only after the next instruction, so that `sti; hlt` cannot miss one.
    processor.shadow = not processor.registers.flag("IF")
    processor.registers.set_flag("IF", 1)


def _pushf(processor: Processor, instruction: Instruction) -> None:
    push(processor, processor.registers.eflags & 0xFCFFFF, instruction.encoding.operand_size)


def _popf(processor: Processor, instruction: Instruction) -> None:
    """Change the flags that the ring may change; of the others it says nothing."""
    registers, size = processor.registers, instruction.encoding.operand_size
    value, mask = pop(processor, size), _POPPED
    if processor.cpl == 0:
        mask |= 0x3000
    if processor.cpl <= registers.flag("IOPL"):
        mask |= 0x200
    if size == 2:
        mask &= 0xFFFF
    kept = registers.eflags & ~mask & (0xFFFEFFFF if size == 4 else 0xFFFFFFFF)  # RF goes
    registers.eflags = kept | value & mask


# --- tables ---------------------------------------------------------------------------------------


def _store_table(processor: Processor, instruction: Instruction, base: int, limit: int) -> None:
    segment, offset = memory_operand(processor, instruction)
    if instruction.encoding.operand_size == 2:
        base &= 0xFFFFFF
    processor.store(segment, offset, 2, limit)
    processor.store(segment, offset + 2 & 0xFFFFFFFF, 4, base)


def _sgdt(processor: Processor, instruction: Instruction) -> None:
    _store_table(processor, instruction, processor.gdtr.base, processor.gdtr.limit)


def _sidt(processor: Processor, instruction: Instruction) -> None:
    _store_table(processor, instruction, processor.idtr.base, processor.idtr.limit)


def _load_table(processor: Processor, instruction: Instruction, name: str) -> None:
    segment, offset = memory_operand(processor, instruction)
    privileged(processor, instruction)
    limit = processor.load(segment, offset, 2)
    base = processor.load(segment, offset + 2 & 0xFFFFFFFF, 4)
    if instruction.encoding.operand_size == 2:
        base &= 0xFFFFFF
    processor.set_table(name, base, limit)


def _lgdt(processor: Processor, instruction: Instruction) -> None:
    _load_table(processor, instruction, "gdtr")


def _lidt(processor: Processor, instruction: Instruction) -> None:
    _load_table(processor, instruction, "idtr")


def _selector_size(instruction: Instruction) -> int:
    """Return how many bytes a selector is stored in: in memory always two."""
    return instruction.encoding.operand_size if instruction.encoding.is_register else 2


def _sldt(processor: Processor, instruction: Instruction) -> None:
    write_operand(processor, instruction, _selector_size(instruction), processor.ldtr.selector)


def _str(processor: Processor, instruction: Instruction) -> None:
    write_operand(processor, instruction, _selector_size(instruction), processor.tr.selector)


def _lldt(processor: Processor, instruction: Instruction) -> None:
    privileged(processor, instruction)
    selector = read_operand(processor, instruction, 2)
    if selector & 0xFFFC == 0:
        processor.ldtr = NULL
        return
    segment = look_up(processor, selector)
    if selector & 4 or segment.is_memory or segment.kind != 2:
        raise Fault(13, selector & 0xFFFC, f"selector {selector:#x} names no local table")
    if not segment.present:
        raise Fault(11, selector & 0xFFFC, "the local table is not present")
    processor.ldtr = segment


def _ltr(processor: Processor, instruction: Instruction) -> None:
    privileged(processor, instruction)
    selector = read_operand(processor, instruction, 2)
    if selector & 0xFFFC == 0:
        raise Fault(13, 0, "the null selector names no task state")
    segment = look_up(processor, selector)
    if selector & 4 or segment.is_memory or segment.kind != 9:
        raise Fault(13, selector & 0xFFFC, f"selector {selector:#x} names no free task state")
    if not segment.present:
        raise Fault(11, selector & 0xFFFC, "the task state is not present")
    mark(processor, selector, segment.access | 2)  # busy
    processor.tr = segment


# --- asking about segments ------------------------------------------------------------------------


def _lar(processor: Processor, instruction: Instruction) -> None:
    selector = read_operand(processor, instruction, 2)
    place = find(processor, selector)
    known = place is not None and visible(processor, selector, _LAR_KINDS) is not None
    processor.registers.set_flag("ZF", int(known))
    if known and place is not None:
        rights = raw(processor, place) >> 32
        wide = instruction.encoding.operand_size == 4
        _set_reg(processor, instruction, rights & (0xF0FF00 if wide else 0xFF00))


def _lsl(processor: Processor, instruction: Instruction) -> None:
    segment = visible(processor, read_operand(processor, instruction, 2), _LSL_KINDS)
    processor.registers.set_flag("ZF", int(segment is not None))
    if segment is not None:
        _set_reg(processor, instruction, segment.limit)


def _set_reg(processor: Processor, instruction: Instruction, value: int) -> None:
    size, place = instruction.encoding.operand_size, 4 * instruction.encoding.reg
    value &= (1 << 8 * size) - 1
    processor.registers.data[place : place + size] = value.to_bytes(size, "little")


def _verify(processor: Processor, instruction: Instruction, *, write: bool) -> None:
    segment = visible(processor, read_operand(processor, instruction, 2), frozenset())
    if segment is None:
        found = False
    elif write:
        found = segment.is_stack
    else:
        found = not segment.is_code or bool(segment.access & 2)
    processor.registers.set_flag("ZF", int(found))


def _verr(processor: Processor, instruction: Instruction) -> None:
    _verify(processor, instruction, write=False)


def _verw(processor: Processor, instruction: Instruction) -> None:
    _verify(processor, instruction, write=True)


def _arpl(processor: Processor, instruction: Instruction) -> None:
    """Raise a selector's RPL to that of another."""
    asked = read_operand(processor, instruction, 2)
    place = 4 * instruction.encoding.reg
    other = int.from_bytes(processor.registers.data[place : place + 2], "little") & 3
    lower = asked & 3 < other
    processor.registers.set_flag("ZF", int(lower))
    if lower:
        write_operand(processor, instruction, 2, asked & 0xFFFC | other)


# --- control registers ----------------------------------------------------------------------------


def _smsw(processor: Processor, instruction: Instruction) -> None:
    write_operand(processor, instruction, _selector_size(instruction), processor.registers["CR0"])


def _lmsw(processor: Processor, instruction: Instruction) -> None:
    privileged(processor, instruction)
    old, new = processor.registers["CR0"], read_operand(processor, instruction, 2)
    processor.registers["CR0"] = old & ~0xE | new & 0xE | (old | new) & _PE


def _clts(processor: Processor, instruction: Instruction) -> None:
    privileged(processor, instruction)
    processor.registers["CR0"] &= ~_TS


def _mov_cr(processor: Processor, instruction: Instruction) -> None:
    parts, registers = instruction.encoding, processor.registers
    kind = "CR" if parts.opcode in (0x0F20, 0x0F22) else "DR"
    if kind == "CR" and parts.reg not in (0, 2, 3, 4):
        raise Fault(6, why=f"there is no CR{parts.reg}")
    privileged(processor, instruction)
    name, place = f"{kind}{parts.reg}", 4 * parts.rm
    if parts.opcode in (0x0F20, 0x0F21):
        registers.data[place : place + 4] = registers[name].to_bytes(4, "little")
        return
    value = int.from_bytes(registers.data[place : place + 4], "little")
    if name == "CR4" and value & ~_CR4_KNOWN:
        raise Fault(13, 0, f"CR4 = {value:#x}: of its bits this processor has TSD and PSE only")
    if name == "CR0":
        if value & _PG and not value & _PE:
            raise Fault(13, 0, "paging needs protected mode")
        if not value & _PE:
            raise Fault(13, 0, "real mode is left out of this machine")
        value |= 0x10
    registers[name] = value
    if name in ("CR0", "CR3", "CR4"):
        processor.paging.flush()


def _invlpg(processor: Processor, instruction: Instruction) -> None:
    segment, offset = memory_operand(processor, instruction)
    privileged(processor, instruction)
    processor.paging.flush(processor.segments[segment].base + offset & 0xFFFFFFFF)


def _only_ring_0(processor: Processor, instruction: Instruction) -> None:
    """Do nothing else: INVD and WBINVD are about caches, which are left out."""
    privileged(processor, instruction)


def _hlt(processor: Processor, instruction: Instruction) -> None:
    privileged(processor, instruction)
    processor.halted = True


def _msr(processor: Processor, instruction: Instruction) -> None:
    privileged(processor, instruction)
    raise Fault(13, 0, f"there is no model-specific register {processor.registers['ECX']:#x}")


def _rdtsc(processor: Processor, instruction: Instruction) -> None:
    """Count instructions instead of cycles: so a run replays."""
    if processor.registers["CR4"] & 4:
        privileged(processor, instruction)
    count = processor.instructions
    processor.registers["EAX"], processor.registers["EDX"] = count, count >> 32


def _cpuid(processor: Processor, _instruction: Instruction) -> None:
    leaf, name = processor.registers["EAX"], b"virtlab i386"
    answer = {
        0: (1, *(int.from_bytes(name[k : k + 4], "little") for k in (0, 8, 4))),
        1: (0x500, 0, 0, 0x8118),  # family 5: PSE, TSC, CMPXCHG8B, CMOV
    }.get(leaf, (0, 0, 0, 0))
    for register, value in zip(("EAX", "EBX", "ECX", "EDX"), answer, strict=True):
        processor.registers[register] = value


# --- segment registers ----------------------------------------------------------------------------

_PUSHED = {0x06: ES, 0x0E: 1, 0x16: SS, 0x1E: DS, 0x0FA0: FS, 0x0FA8: GS}
_POPPED_TO = {0x07: ES, 0x17: SS, 0x1F: DS, 0x0FA1: FS, 0x0FA9: GS}
_FAR_TO = {0xC4: ES, 0xC5: DS, 0x0FB2: SS, 0x0FB4: FS, 0x0FB5: GS}


def _load(processor: Processor, number: int, selector: int) -> None:
    load_segment(processor, number, selector)
    if number == SS:
        processor.shadow = True  # so that SS and ESP change together


def _mov_from_segment(processor: Processor, instruction: Instruction) -> None:
    if instruction.encoding.reg > 5:
        raise Fault(6, why="there are six segment registers")
    selector = processor.registers[SEGMENTS[instruction.encoding.reg]]
    write_operand(processor, instruction, _selector_size(instruction), selector)


def _mov_to_segment(processor: Processor, instruction: Instruction) -> None:
    if instruction.encoding.reg > 5:
        raise Fault(6, why="there are six segment registers")
    _load(processor, instruction.encoding.reg, read_operand(processor, instruction, 2))


def _push_segment(processor: Processor, instruction: Instruction) -> None:
    selector = processor.registers[SEGMENTS[_PUSHED[instruction.encoding.opcode]]]
    push(processor, selector, instruction.encoding.operand_size)


def _pop_segment(processor: Processor, instruction: Instruction) -> None:
    selector = pop(processor, instruction.encoding.operand_size) & 0xFFFF
    _load(processor, _POPPED_TO[instruction.encoding.opcode], selector)


def _load_far(processor: Processor, instruction: Instruction) -> None:
    segment, offset = memory_operand(processor, instruction)
    size = instruction.encoding.operand_size
    value = processor.load(segment, offset, size)
    selector = processor.load(segment, offset + size & 0xFFFFFFFF, 2)
    _load(processor, _FAR_TO[instruction.encoding.opcode], selector)
    _set_reg(processor, instruction, value)


ROUTINES: dict[str, Callable[[Processor, Instruction], int | None]] = {
    "ARPL": _arpl,
    "CLI": _cli,
    "CLTS": _clts,
    "CPUID": _cpuid,
    "HLT": _hlt,
    "INVD": _only_ring_0,
    "INVLPG": _invlpg,
    "LAR": _lar,
    "LFAR": _load_far,
    "LGDT": _lgdt,
    "LIDT": _lidt,
    "LLDT": _lldt,
    "LMSW": _lmsw,
    "LSL": _lsl,
    "LTR": _ltr,
    "MOVCR": _mov_cr,
    "MOVFROMSEG": _mov_from_segment,
    "MOVTOSEG": _mov_to_segment,
    "MSR": _msr,
    "POPF": _popf,
    "POPSEG": _pop_segment,
    "PUSHF": _pushf,
    "PUSHSEG": _push_segment,
    "RDTSC": _rdtsc,
    "SGDT": _sgdt,
    "SIDT": _sidt,
    "SLDT": _sldt,
    "SMSW": _smsw,
    "STI": _sti,
    "STR": _str,
    "VERR": _verr,
    "VERW": _verw,
    "WBINVD": _only_ring_0,
}
