"""Instructions made from a form, beside what SLEIGH says of each."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine import decode
from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder, Instruction
from virtlab.machine.faults import Fault
from virtlab.machine.forms import Form, common, head
from virtlab.machine.pcode import CONST, Var

WITHOUT_MODRM = [*range(0x05, 0x40, 8), 0x68, 0xA9, *range(0xB8, 0xC0)]
MODRM = {0x81: range(8), 0xC7: (0,), 0xF7: (0, 1)}  # the middle three bits that have a number
PREFIXES = (b"", b"\x36", b"\x65", b"\x67", b"\xf0", b"\x2e\x26", b"\xf3")
NUMBERS = (0, 1, 4, 8, 15, 31, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _operand(chosen: random.Random) -> bytes:
    """Return the two bits and the three bits of a ModRM byte, and what follows it."""
    mode, rm = chosen.randrange(4), chosen.randrange(8)
    sib = chosen.randrange(256)
    tail = bytes([sib]) if rm == 4 and mode < 3 else b""
    long = mode == 2 or (mode == 0 and (rm == 5 or (rm == 4 and sib & 7 == 5)))
    tail += chosen.choice((b"\x04\0\0\0", chosen.randbytes(4))) if long else b""
    tail += chosen.choice((b"\x04", chosen.randbytes(1))) if mode == 1 else b""
    return bytes([mode << 6 | rm]) + tail


def _bytes(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _heads() -> list[bytes]:
    chosen = random.Random(7)
    found = [bytes([opcode]) for opcode in WITHOUT_MODRM]
    for opcode, middles in MODRM.items():
        for middle in middles:
            for _ in range(12):
                operand = _operand(chosen)
                found.append(bytes([opcode, operand[0] | middle << 3]) + operand[1:])
    return found


HEADS = _heads()


def _forget() -> None:
    decode._ANYWHERE.clear()
    decode._FIRST.clear()


def _from_sleigh(address: int, code: bytes) -> Instruction:
    return Decoder()._decode(address, code)


def _same(one: Instruction, other: Instruction) -> None:
    assert one == other  # address, bytes, words, operations, parts
    assert (one.plan is None) == (other.plan is None)
    if one.plan is not None and other.plan is not None:
        without = [plan._replace(steps=[]) for plan in (one.plan, other.plan)]
        assert without[0] == without[1]
        steps = [[step[:-1] for step in plan.steps] for plan in (one.plan, other.plan)]
        assert steps[0] == steps[1]
        kinds = [[step[-1].code for step in plan.steps] for plan in (one.plan, other.plan)]
        assert kinds[0] == kinds[1]


@pytest.mark.parametrize("begin", HEADS, ids=bytes.hex)
def test_each_kind_has_a_form_and_it_gives_what_sleigh_says(begin: bytes) -> None:
    _forget()
    chosen = random.Random(int.from_bytes(begin, "little"))
    for number in (chosen.getrandbits(32), chosen.getrandbits(32)):
        Decoder().decode(0x1000, begin + _bytes(number) + bytes(4))
    assert isinstance(decode._ANYWHERE.get(begin), Form)
    for number in (*NUMBERS, *(chosen.getrandbits(32) for _ in range(20))):
        code = begin + _bytes(number) + b"\x90\x90"
        made = Decoder().decode(0x1234, code)
        assert made.code == code[:-2]
        _same(made, _from_sleigh(0x1234, code))


@pytest.mark.parametrize("first", [0, 4, 0xFFFFFFFF])
@pytest.mark.parametrize("second", [1, 8, 0x80000000])
def test_it_does_not_matter_which_two_come_first(first: int, second: int) -> None:
    for begin in HEADS[::5]:
        _forget()
        for number in (first, second):
            Decoder().decode(0, begin + _bytes(number))
        assert isinstance(decode._ANYWHERE[begin], Form)
        for number in NUMBERS:
            code = begin + _bytes(number)
            _same(Decoder().decode(8, code), _from_sleigh(8, code))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(HEADS),
    st.sampled_from(PREFIXES),
    st.lists(st.integers(0, 0xFFFFFFFF), min_size=3, max_size=5),
    st.integers(0, 0xFFFFFFF0),
)
def test_prefixes_addresses_and_numbers(
    begin: bytes, prefix: bytes, numbers: list[int], address: int
) -> None:
    for number in numbers:
        code = prefix + begin + _bytes(number) + bytes(3)
        try:
            known: Instruction | str = Decoder().decode(address, code)
        except Fault as fault:
            known = str(fault)
        try:
            alone: Instruction | str = _from_sleigh(address, code)
        except Fault as fault:
            alone = str(fault)
        if isinstance(known, Instruction) and isinstance(alone, Instruction):
            _same(known, alone)
        else:
            assert known == alone


def test_a_number_that_is_cut_off_is_no_instruction() -> None:
    _forget()
    for number in (1, 2):
        Decoder().decode(0, b"\xb8" + _bytes(number))
    assert isinstance(decode._ANYWHERE[b"\xb8"], Form)
    for length in range(1, 5):
        with pytest.raises(Fault, match="#UD"):
            Decoder().decode(0, b"\xb8\x01\x02\x03"[:length])


@pytest.mark.parametrize(
    "begin",
    [
        "83c3",  # add ebx, a byte with a sign
        "66b8",  # mov ax, two bytes
        "66c703",
        "c1e0",  # shl eax, a byte
        "69c3",  # imul eax, ebx, a number that is written with its sign
        "e8",  # call: where it leads depends on where it stands
        "0f85",
        "a1",  # mov eax, [an address]
        "8b83",  # mov eax, [ebx + a number]
    ],
)
def test_others_have_none(begin: str) -> None:
    _forget()
    first = bytes.fromhex(begin)
    for number in (0x11, 0x12345678, 0x7F):
        made = Decoder().decode(0x1000, first + _bytes(number) + bytes(8))
        assert head(made) is None
    assert not any(isinstance(found, Form) for found in decode._ANYWHERE.values())


def _two(begin: str = "81c3") -> list[Instruction]:
    codes = (bytes.fromhex(begin) + _bytes(number) for number in (0x1234, 0x777))
    return [_from_sleigh(0, code) for code in codes]


def test_two_that_differ_in_more_than_their_number_have_no_form() -> None:
    one, other = _two()
    assert common(one, other) is not None
    assert common(one, one) is None
    wrong = [
        replace(other, mnemonic="SUB"),
        replace(other, operands="EBX,-0x777"),
        replace(other, operands="EBX,1911"),
        replace(other, ops=other.ops[:-1]),
        replace(other, ops=(*other.ops[:-1], other.ops[0])),
        replace(other, ops=tuple(op._replace(segment=0) for op in other.ops)),
        replace(other, encoding=other.encoding._replace(modrm=0xC1)),
    ]
    assert all(common(one, each) is None for each in wrong)


def test_a_number_that_becomes_another_one_has_no_form() -> None:
    one, other = _two()
    shown = Var(CONST, 0x777, 4), Var(CONST, 0x778, 4)
    changed = tuple(
        op._replace(ins=tuple(shown[1] if var == shown[0] else var for var in op.ins))
        for op in other.ops
    )
    assert changed != other.ops
    assert common(one, replace(other, ops=changed)) is None


def test_a_form_does_not_change_what_it_was_made_of() -> None:
    _forget()
    decoder = Decoder()
    codes = [bytes.fromhex("81c3") + _bytes(number) for number in (5, 6, 7, 8)]
    made = [decoder.decode(0, code) for code in codes]
    for instruction, code in zip(made, codes, strict=True):
        _same(instruction, _from_sleigh(0, code))
    assert decoder.decode(0, codes[2]) is made[2]


def test_a_program_of_new_numbers_ends_as_it_does_without_forms() -> None:
    chosen = random.Random(3)
    code = b"".join(begin + chosen.randbytes(4) for begin in HEADS[:25] * 8 if begin != b"\x68")
    code = b"".join((code, bytes.fromhex("f4")))
    # What ESP is changed to does not matter: nothing is pushed.
    states = []
    for formed in (True, False):
        _forget()
        computer = Computer(ram_mib=2)
        computer.load_code(code)
        while computer.ended != "halted":
            if not formed:
                _forget()
            computer.step()
        states.append(bytes(computer.processor.registers.data))
        assert any(isinstance(found, Form) for found in decode._ANYWHERE.values()) == formed
    assert states[0] == states[1]
