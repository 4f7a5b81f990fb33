"""What is found again by all at once, when a page has been looked up again (S18)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.machine.llvm_pool import at_once
from tests.machine.small_guests import CODE, PAGING_ON, TABLE, map_pages, set_up
from tests.machine.translated import seen
from virtlab.machine.memory import PAGE
from virtlab.machine.translation.cache import TranslationCache, Unit, UnitKey, oldest
from virtlab.machine.translation.deprivilege import Rights
from virtlab.machine.translation.passes import Passes

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer

TURNS, UNITS = 200, 15
KEYS = st.builds(
    UnitKey,
    st.sampled_from([0x1000, 0x1008, 0x5008]),
    st.sampled_from([1, 2]),
    st.sampled_from([63, 127]),
    st.sampled_from([Rights.KERNEL, Rights.INTERRUPTS]),
)


def switching(tier: str) -> Computer:
    """Return a kernel that loads CR3 each turn, and then goes through units of its one page."""
    passes = Passes(regions=False, chaining=False)
    computer = set_up(history=0, tier=tier, passes=None if tier == "interpreter" else passes)
    map_pages(computer)
    code = bytes.fromhex(PAGING_ON) + b"\xb9" + struct.pack("<I", TURNS)
    begin, code = len(code), code + bytes.fromhex("0f20d8 0f22d8")  # mov eax, cr3; mov cr3, eax
    for _ in range(UNITS):  # push the next one's address; ret
        code += b"\x68" + struct.pack("<I", CODE + len(code) + 6) + b"\xc3"
    computer.load_code(code + bytes([0x49, 0x75, 256 - (len(code) + 3 - begin), 0xF4]))
    computer.processor.registers["ESP"] = 0x90000
    return at_once(computer)


def test_after_a_switch_a_page_is_looked_up_once_and_not_each_unit(tier: str) -> None:
    computer, like = switching(tier), switching("interpreter")
    assert computer.translator is not None
    assert seen(computer, computer.run()) == seen(like, like.run())
    counts, cache = computer.translator.counts, computer.translator.cache.counts
    assert cache["translations"] >= UNITS
    assert counts["entries"] < 3 * TURNS
    assert cache["hits"] < 2 * TURNS


def test_what_another_page_has_there_is_not_found(tier: str) -> None:
    """The page after the code's is one of two, by turns; each has its functions."""
    ends = []
    for one in (tier, "interpreter"):
        computer = set_up(history=0, tier=one)
        map_pages(computer)
        entry = TABLE + 4 * (CODE // PAGE + 1)
        # (loop) xor dword [entry], 0x3000; mov eax, cr3; mov cr3, eax; call +0, +8; dec ecx; jnz
        loop = b"\x81\x35" + struct.pack("<II", entry, 0x3000) + bytes.fromhex("0f20d80f22d8")
        begin = bytes.fromhex(PAGING_ON) + b"\xb9" + struct.pack("<I", TURNS)
        for function in (PAGE, PAGE + 8):
            loop += b"\xe8" + struct.pack("<I", function - len(begin + loop) - 5)
        code = begin + loop + b"\x49\x0f\x85" + struct.pack("<i", -len(loop) - 7) + b"\xf4"
        page = CODE // PAGE + 1
        for place, add in ((page, 1), (page ^ 3, 16)):
            for at in (0, 8):  # add edx, so much; ret
                computer.memory.write(PAGE * place + at, bytes([0x83, 0xC2, add << at // 4, 0xC3]))
        computer.load_code(code)
        computer.processor.registers["ESP"] = 0x90000
        ends.append(seen(at_once(computer), computer.run()))
    assert ends[0] == ends[1]


@given(st.lists(KEYS, unique=True, min_size=1))
def test_beside_one_are_those_that_are_valid_when_it_is(keys: list[UnitKey]) -> None:
    cache = TranslationCache()
    for key in keys:
        cache.add(Unit(key, 1))
    found = {unit.key for unit in cache.beside(keys[0])}
    page = keys[0].address // PAGE
    assert found == {k for k in keys[1:] if k.address // PAGE == page and k[1:] == keys[0][1:]}


def test_what_was_not_looked_up_since_others_went_is_not_among_them() -> None:
    """Else a policy would take for unused what is found without being looked up."""
    keys = [UnitKey(0x1000 + at, 1, 63) for at in range(5)]
    cache = TranslationCache(4, oldest)
    for key in keys:
        cache.add(Unit(key, 1))  # the last takes the place of the first
    assert [unit.key for unit in cache.beside(keys[3])] == [keys[4]]
    cache.find(keys[1])
    assert [unit.key for unit in cache.beside(keys[3])] == [keys[1], keys[4]]
