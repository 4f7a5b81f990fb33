"""Instructions taken apart, beside another decoder."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine.encoding import DS, ES, FS, SEGMENTS, SS, encoding
from virtlab.machine.registers import GENERAL, Registers


@pytest.mark.parametrize(
    ("code", "segment", "displacement"),
    [
        ("8b03", DS, 0),  # [ebx]
        ("8b4500", SS, 0),  # [ebp + 0]
        ("8b0500100000", DS, 0x1000),  # [0x1000]: no base at all
        ("8b0424", SS, 0),  # [esp]
        ("8b44ad10", SS, 0x10),  # [ebp + 4 ebp + 16]
        ("8b04ad00100000", DS, 0x1000),  # [4 ebp + 0x1000]: an index is no base
        ("268b4500", ES, 0),
        ("3e648b03", FS, 0),  # the last prefix counts
        ("678b42fe", SS, -2),  # [bp + si - 2]
        ("678b060010", DS, 0x1000),  # [0x1000]
        ("678b4600", SS, 0),  # [bp + 0]
    ],
)
def test_which_segment_a_memory_operand_lies_in(code: str, segment: int, displacement: int) -> None:
    parts = encoding(bytes.fromhex(code))
    assert SEGMENTS[parts.segment] == SEGMENTS[segment]
    assert parts.displacement == displacement


def test_the_parts() -> None:
    parts = encoding(bytes.fromhex("f3660fbcc1aa"))
    assert (parts.prefixes.hex(), hex(parts.opcode), parts.reg, parts.rm) == ("f366", "0xfbc", 0, 1)
    assert parts.operand_size == 2
    assert parts.is_register
    assert parts.rest == b"\xaa"


def test_what_is_cut_off_says_so() -> None:
    for code in ("", "66", "0f", "8b", "8b04"):
        with pytest.raises(IndexError):
            encoding(bytes.fromhex(code))


@settings(deadline=None, max_examples=300)
@given(
    modrm=st.integers(0, 0xBF),
    tail=st.binary(min_size=8, max_size=8),
    values=st.lists(st.integers(0, 0xFFFFFFFF), min_size=8, max_size=8),
    short=st.booleans(),
)
def test_addresses_are_those_of_iced(
    modrm: int,
    tail: bytes,
    values: list[int],
    short: bool,  # noqa: FBT001 - drawn
) -> None:
    iced: Any = pytest.importorskip("iced_x86", reason="iced-x86 is not installed")
    code = (b"\x67" if short else b"") + bytes([0x8B, modrm]) + tail
    registers = Registers()
    for name, value in zip(GENERAL, values, strict=True):
        registers[name] = value
    decoded = next(iter(iced.Decoder(32, code)))
    names = {getattr(iced.Register, name): name for name in GENERAL}
    names |= {getattr(iced.Register, name[1:]): name[1:] for name in GENERAL}
    base, index = names.get(decoded.memory_base), names.get(decoded.memory_index)
    expected = decoded.memory_displacement
    expected += registers[base] if base else 0
    expected += registers[index] * decoded.memory_index_scale if index else 0
    parts = encoding(code)
    assert parts.offset(registers) == expected & (0xFFFF if short else 0xFFFFFFFF)
    segment = next(n for n in SEGMENTS if getattr(iced.Register, n) == decoded.memory_segment)
    assert SEGMENTS[parts.segment] == segment
