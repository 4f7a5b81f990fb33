"""Running by a plan, and bytes that are known from elsewhere, against the long way round."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from virtlab.machine import decode, interpreter, planned
from virtlab.machine.decode import Decoder, Instruction
from virtlab.machine.faults import Fault
from virtlab.machine.memory import Memory
from virtlab.machine.pcode import CONST, RAM, REGISTER, UNIQUE, Op, Var
from virtlab.machine.processor import Processor
from virtlab.machine.registers import FLAGS, GENERAL

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIXES = (b"", b"\x66", b"\x67", b"\xf3", b"\xf2", b"\x2e", b"\xf0", b"\x64\x66")
OPCODES = [bytes([k]) for k in range(256)] + [bytes([0x0F, k]) for k in range(256)]
DECODER = Decoder()
EAX, AL, EBX = Var(REGISTER, 0, 4), Var(REGISTER, 0, 1), Var(REGISTER, 12, 4)
MOMENT = Var(UNIQUE, 16, 4)


def candidates(prefix: bytes, seed: int) -> list[bytes]:
    """Return some codes of each opcode; ModRM bytes of all kinds."""
    chosen = random.Random(seed)
    tails = (0x24, 0x25, 0x05, 0x00, 0xFF, 0xC3)
    return [
        prefix
        + opcode
        + bytes(chosen.choice((chosen.randrange(256), chosen.choice(tails))) for _ in range(11))
        for opcode in OPCODES
        for _ in range(4)
    ]


def decoded(address: int, code: bytes) -> Instruction | str:
    """Return an instruction, or why there is none."""
    try:
        return DECODER.decode(address, code)
    except Fault as fault:
        return str(fault)


def processor(seed: int) -> Processor:
    """Return one with random registers and flags, and memory that is not all zero."""
    chosen = random.Random(seed)
    made = Processor(Memory(1 << 16))
    made.memory.data[:] = chosen.randbytes(1 << 16)
    for name in GENERAL:
        made.registers[name] = chosen.choice((chosen.randrange(1 << 16), chosen.randrange(1 << 32)))
    for name in ("CF", "PF", "AF", "ZF", "SF", "DF", "OF"):
        made.registers.set_flag(name, chosen.randrange(2))
    return made


def after(
    run: Callable[[Instruction, Processor], int], instruction: Instruction, seed: int
) -> tuple[object, ...]:
    """Return what an instruction leaves behind; of one that faults, which fault and memory."""
    machine = processor(seed)
    try:
        follows = run(instruction, machine)
    except Fault as fault:
        return str(fault), bytes(machine.memory.data)
    return follows, bytes(machine.registers.data), bytes(machine.memory.data)


@pytest.mark.parametrize("prefix", PREFIXES, ids=lambda prefix: prefix.hex() or "none")
def test_a_plan_does_what_the_interpreter_does(prefix: bytes) -> None:
    found = [decoded(0x1000, code) for code in candidates(prefix, 1)]
    real = [one for one in found if isinstance(one, Instruction)]
    with_plan = [one for one in real if one.plan is not None]
    assert len(with_plan) > len(real) // 3 or prefix == b"\xf0"  # what locks is the interpreter's
    for seed, instruction in enumerate(with_plan):
        expected = after(interpreter.run, instruction, seed)
        assert after(planned.run, instruction, seed) == expected, str(instruction)


@pytest.mark.parametrize("prefix", PREFIXES, ids=lambda prefix: prefix.hex() or "none")
def test_known_bytes_mean_at_another_address_what_decoding_them_there_says(prefix: bytes) -> None:
    chosen = random.Random(2)
    for code in candidates(prefix, 3):
        here, there = chosen.choice((0, 0xFFF0, 0x100000)), chosen.randrange(1 << 32)
        decoded(here, code)
        moved = decoded(there, code)
        alone = _alone(there, code)
        if isinstance(alone, str):
            assert moved == alone
            continue
        assert isinstance(moved, Instruction)
        assert moved.address == there
        assert str(moved) == str(alone)
        assert (moved.code, moved.ops, moved.next) == (alone.code, alone.ops, alone.next)


def _alone(address: int, code: bytes) -> Instruction | str:
    """Return what a decoder says that has seen nothing, and whose process has not."""
    decode._ANYWHERE.clear()
    try:
        return Decoder().decode(address, code)
    except Fault as fault:
        return str(fault)


def test_what_is_known_is_the_same_instruction_with_its_own_address() -> None:
    add = bytes.fromhex("01d8")
    one, other = Decoder().decode(0x1000, add + b"\x90"), Decoder().decode(0x2000, add)
    assert (one.address, other.address, other.next) == (0x1000, 0x2000, 0x2002)
    assert one.ops is other.ops
    jump = bytes.fromhex("eb10")
    assert Decoder().decode(0, jump).ops != Decoder().decode(0x2000, jump).ops


def test_calls_push_their_own_return_address() -> None:
    for code in ("ffd0", "e800000000"):  # call eax; call to what follows
        for address in (0x1000, 0x2000):
            machine = processor(0)
            machine.registers["ESP"], machine.registers["EIP"] = 0x8000, address
            machine.memory.write(address, bytes.fromhex(code))
            machine.step()
            size = len(bytes.fromhex(code))
            pushed = int.from_bytes(machine.memory.read(0x7FFC, 4), "little")
            assert pushed == address + size


def test_known_bytes_do_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "REMEMBERED", 16)
    decode._ANYWHERE.clear()
    decode._FIRST.clear()
    for opcode in (b"\x69\xc0", b"\xb8"):  # imul, which has no form, and mov, which has
        for number in range(40):
            Decoder().decode(0, opcode + number.to_bytes(4, "little"))
            assert 0 < len(decode._ANYWHERE) <= 16
            assert len(decode._FIRST) <= 16


@pytest.mark.parametrize(
    "ops",
    [
        (Op("INT_ZEXT", EAX, (AL,)),),  # a register in two sizes
        (Op("COPY", MOMENT, (EAX,)), Op("COPY", AL, (MOMENT._replace(size=1),))),
        (Op("COPY", EAX, (Var(RAM, 0x1000, 4),)),),  # memory with no load
        (Op("BRANCHIND", None, (Var(CONST, 0x1000, 4),)),),  # no relative jump
        (Op("CPUID", None, ()),),  # a routine's
        (),
    ],
)
def test_what_a_plan_would_not_be_right_for_has_none(ops: tuple[Op, ...]) -> None:
    assert planned.plan(ops) is None


def test_a_register_that_is_written_after_a_jump_is_kept_where_it_jumps() -> None:
    skip = Op("CBRANCH", None, (Var(CONST, 2, 4), Var(REGISTER, FLAGS["CF"][0], 1)))
    ops = (skip, Op("COPY", EAX, (EBX,)), Op("COPY", MOMENT, (EBX,)))
    plan = planned.plan(ops)
    assert plan is not None
    template = DECODER.decode(0x1000, b"\x90")
    made = Instruction(0x1000, b"\x90", "TEST", "", ops, template.encoding)
    for carry, expected in ((0, 7), (1, 5)):
        machine = Processor()
        machine.registers["EAX"], machine.registers["EBX"] = 5, 7
        machine.registers.set_flag("CF", carry)
        assert planned.run(made, machine) == 0x1001
        assert machine.registers["EAX"] == expected


def test_an_access_that_faults_changes_no_register() -> None:
    pop = DECODER.decode(0x1000, bytes.fromhex("58"))
    machine = Processor()
    machine.set_segment(2, machine.segments[2].from_descriptor(0x10, 0x00409200000000FF))
    machine.registers["ESP"] = 0x5000
    before = bytes(machine.registers.data)
    with pytest.raises(Fault):
        planned.run(pop, machine)
    assert bytes(machine.registers.data) == before


def test_an_address_of_16_bits_in_the_code_segment_leaves_its_register_alone() -> None:
    machine = Processor()
    machine.memory.write(0x41000, bytes.fromhex("672e8b07"))  # mov eax, cs:[bx]
    machine.memory.write(0x20, b"abcd")
    machine.registers["EBX"], machine.registers["EIP"] = 0x20, 0x41000
    machine.step()
    assert machine.registers["EAX"] == int.from_bytes(b"abcd", "little")
    assert machine.registers["CS"] == machine.segments[1].selector == 8
