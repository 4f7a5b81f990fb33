"""The driver calls what the table has, wherever in the table it is (S18)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, set_up
from tests.machine.translated import eager, needs_wasmtime, seen
from virtlab.machine.memory import PAGE
from virtlab.machine.translation import wasm_store
from virtlab.machine.translation.layout import CHAINED, EIP, HASHED, JUMPS, RAM, SLOTS
from virtlab.machine.translation.tiers import DONE, FAULT, MISSING
from virtlab.machine.translation.wasm import FUNCTIONS, MEMORY
from virtlab.machine.translation.wasm_code import I32, constant, module, unsigned_leb
from virtlab.machine.translation.wasm_store import Instances
from virtlab.machine.translation.wasm_values import END

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = needs_wasmtime
_EDGE = wasm_store._FORETOLD  # the first place that is not called by its number
_NOTES = 0x100  # where functions note that they ran: a byte each
_STORE, _STORE_BYTE = b"\x36\x02", b"\x3a\x00"
PLACES = st.one_of(
    st.sampled_from([1, 2, _EDGE - 1, _EDGE, _EDGE + 1, FUNCTIONS - 1]),
    st.integers(1, FUNCTIONS - 1),
)


def instances() -> Instances:
    return Instances(RAM, lambda _address, _size: -1, lambda _address, _size, _value: 1)


def function(note: int, returned: int, eip: int | None = None) -> bytes:
    """Return a function that notes that it ran, and where in the guest to go on."""
    code = constant(0) + constant(1) + _STORE_BYTE + unsigned_leb(_NOTES + note)
    if eip is not None:
        code += constant(0) + constant(eip) + _STORE + unsigned_leb(EIP)
    code += constant(returned) + END
    return module([((), (I32,))], [MEMORY], [((), code)], of_type=0, first=0)


def counted(found: Instances) -> tuple[int, int]:
    return struct.unpack_from("<II", found.view, CHAINED)


def jump(found: Instances, address: int, place: int) -> None:
    at = JUMPS + 8 * ((address ^ address >> 12) % SLOTS)
    struct.pack_into("<II", found.view, at, address, place)


@settings(max_examples=25, deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=20, unique=True))
def test_links_lead_from_place_to_place(places: Sequence[int]) -> None:
    """Each function says which comes next; the last one that something is to be done."""
    found = instances()
    jump(found, 0, places[0])
    for number, place in enumerate(places):
        last = number == len(places) - 1
        found.put(place, function(number, -FAULT if last else places[number + 1]), asks=False)
    assert found.run() == FAULT
    assert sum(found.view[_NOTES : _NOTES + 32]) == len(places)
    assert counted(found) == (len(places) - 1, 0)


@settings(max_examples=25, deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=20, unique=True))
def test_the_hash_table_leads_from_place_to_place(places: Sequence[int]) -> None:
    """Each function says only at which address the guest goes on; nothing is at the last one."""
    found = instances()
    for number, place in enumerate(places):
        jump(found, number, place)
        found.put(place, function(number, -DONE, number + 1), asks=False)
    assert found.run() == MISSING
    assert struct.unpack_from("<I", found.view, EIP) == (len(places),)
    assert sum(found.view[_NOTES : _NOTES + 32]) == len(places)
    assert counted(found) == (0, len(places) - 1)
    assert HASHED == CHAINED + 4


@pytest.mark.parametrize("place", [1, _EDGE - 1, _EDGE, FUNCTIONS - 1])
def test_what_is_put_into_a_place_again_is_called(place: int) -> None:
    found = instances()
    jump(found, 0, place)
    for reason in (FAULT, MISSING, FAULT):
        found.put(place, function(0, -reason), asks=False)
        assert found.run() == reason
        found.take(place)


def test_place_0_stands_for_what_is_missing() -> None:
    found = instances()
    jump(found, 0, 7)
    found.put(7, function(1, 0, 5), asks=False)
    jump(found, 5, 0)
    assert found.run() == MISSING
    assert counted(found) == (0, 1)


def many(functions: int, turns: int) -> bytes:
    """Return a loop that calls functions by pointers, thirty of them on each of some pages."""
    pages = 1 + -(-functions // 30)
    code, table = bytearray(PAGE * (pages + 1)), PAGE * pages
    begin = b"\xb9" + struct.pack("<I", turns) + b"\x31\xd2\x31\xf6"  # mov ecx; xor edx; xor esi
    loop = b"\xff\x14\xb5" + struct.pack("<I", CODE + table)  # call [table + 4 * esi]
    loop += b"\x46\x81\xfe" + struct.pack("<I", functions) + b"\x75\x02\x31\xf6"  # inc; wrap around
    loop += b"\x49\x75" + bytes([256 - len(loop) - 3]) + b"\xf4"  # dec ecx; jnz; hlt
    code[: len(begin + loop)] = begin + loop
    for number in range(functions):
        at = PAGE * (1 + number // 30) + 100 * (number % 30)
        code[at : at + 7] = b"\x83\xc2" + bytes([number % 100]) + b"\x6b\xd2\x07\xc3"
        code[table + 4 * number : table + 4 * number + 4] = struct.pack("<I", CODE + at)
    return bytes(code)


def test_more_functions_than_are_called_by_number(tier: str) -> None:
    """By hand: edx = 7 * (edx + number % 100) for one function after another."""
    functions, turns = 90, 2000
    ends = []
    for name in ("interpreter", tier):
        computer = set_up(history=0, tier=name)
        computer.load_code(many(functions, turns))
        if name != "interpreter":
            eager(computer)
        ends.append(seen(computer, computer.run()))
    edx = 0
    for turn in range(turns):
        edx = 7 * (edx + turn % functions % 100) & 0xFFFFFFFF
    assert computer.processor.registers["EDX"] == edx
    assert ends[0] == ends[1]
    assert computer.translator is not None
    assert len(computer.translator.cache) > _EDGE


def test_the_driver_is_compiled_once() -> None:
    one, other = instances(), instances()
    assert one._driver is other._driver
    one.view[_NOTES] = 1
    assert other.view[_NOTES] == 0
