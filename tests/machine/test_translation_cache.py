"""The translation cache and the TLB of translated code: what they hold, and when they forget."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.small_guests import DECODER, set_up
from tests.machine.translated import eager
from virtlab.machine.decode import Decoder
from virtlab.machine.memory import PAGE, Memory
from virtlab.machine.processor import Processor
from virtlab.machine.translation.cache import (
    Policy,
    TranslationCache,
    Unit,
    UnitKey,
    flush_all,
    least_used,
    oldest,
)
from virtlab.machine.translation.layout import RAM, READ_TLB, SLOTS
from virtlab.machine.translation.tlb import SoftTlb
from virtlab.validate import InvalidInputError

ACTS = st.lists(
    st.tuples(st.sampled_from(["add", "find", "forget"]), st.integers(0, 5), st.integers(0, 40)),
    max_size=60,
)


@given(acts=ACTS, limit=st.integers(1, 8), policy=st.sampled_from([flush_all, oldest, least_used]))
def test_it_holds_what_was_put_in_and_not_thrown_out(
    acts: list[tuple[str, int, int]], limit: int, policy: Policy
) -> None:
    cache, held = TranslationCache(limit, policy), dict[UnitKey, Unit]()
    for act, page, offset in acts:
        key = UnitKey(page * PAGE + offset, page, 63)
        if act == "find":
            assert cache.find(key) is held.get(key)
        elif act == "forget":
            gone = cache.forget_page(page)
            assert {unit.key for unit in gone} == {k for k in held if k.page == page}
            held = {k: unit for k, unit in held.items() if k.page != page}
        elif key not in held:
            unit = Unit(key, offset, ((offset, 3),))
            for old in cache.add(unit):
                del held[old.key]
            held[key] = unit
        assert {unit.key for unit in cache.units} == held.keys()
        assert cache.pages == {k.page for k in held}
        assert len(cache) <= limit
        known = [o for u in held.values() if u.key.page == page for o, n in u.places]
        if any(o <= offset < o + 3 for o in known):
            assert cache.has_code(page * PAGE + offset, 1)
        elif not known:
            assert not cache.has_code(page * PAGE + offset, 1)


def test_what_has_to_go_is_counted() -> None:
    cache = TranslationCache(4, oldest)
    for at in range(6):
        cache.add(Unit(UnitKey(at, 0, 63), at))
    assert (cache.counts["evictions"], cache.counts["translations"]) == (2, 6)
    assert [unit.slot for unit in cache.units] == [2, 3, 4, 5]
    before = cache.generation
    assert len(cache.forget_page(0)) == 4
    assert cache.generation == before + 1
    with pytest.raises(InvalidInputError, match="limit = 0"):
        TranslationCache(0)


@pytest.mark.parametrize("policy", [flush_all, oldest, least_used])
def test_a_small_cache_only_costs_time(policy: Policy, tier: str) -> None:
    """Six functions on six pages, each called in turn, and room for three."""
    computer = eager(set_up(history=0, tier=tier))
    translator = computer.translator
    assert translator is not None
    translator.cache.limit, translator.cache.policy = 3, policy
    code = "b90a000000 31c0"  # mov ecx, 10; xor eax, eax
    places = [0x110000 + k * PAGE for k in range(6)]
    start = 0x100000
    for k, place in enumerate(places):
        computer.memory.write(place, bytes([0x83, 0xC0, k + 1, 0xC3]))  # add eax, k + 1; ret
        call = start + 7 + 5 * k
        code += "e8" + (place - call - 5 & 0xFFFFFFFF).to_bytes(4, "little").hex()
    code += "49 75df f4"  # dec ecx; jnz; hlt
    computer.load_code(bytes.fromhex(code))
    run = computer.run()
    assert (run.ended, computer.processor.registers["EAX"]) == ("halted", 210)
    assert translator.cache.counts["evictions"] > 0
    assert len(translator.cache) <= 3


# --- the TLB ----------------------------------------------------------------------------------


def tlb_of(pages: int, code: range = range(0)) -> SoftTlb:
    view = memoryview(bytearray(RAM + pages * PAGE))
    processor = Processor(Memory(pages * PAGE, view[RAM:]), decoder=DECODER)
    processor.memory.guarded = frozenset(at // PAGE for at in code)
    cache = TranslationCache()
    for at in code:
        cache.add(Unit(UnitKey(at, at // PAGE, 63), at, ((at % PAGE, 1),)))
    return SoftTlb(view, processor, cache)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4 * PAGE - 1), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2**64 - 1)
        ),
        max_size=30,
    )
)
def test_it_answers_as_memory_does(acts: list[tuple[int, int, int]]) -> None:
    tlb, memory = tlb_of(4), Memory(4 * PAGE)
    for address, size, value in acts:
        cut = value & (1 << 8 * size) - 1
        assert tlb.store(address, size, value) == 0
        memory.write(address, cut.to_bytes(size, "little"))
        if address + size <= 4 * PAGE:
            assert tlb.load(address, size) == cut & (1 << 64) - 1 or size == 8
        assert bytes(tlb.processor.memory.data) == bytes(memory.data)


def test_a_page_with_code_is_never_in_the_table_for_writes() -> None:
    tlb = tlb_of(4, range(0x1100, 0x1180))
    assert tlb.store(0x1000, 4, 1) == 0  # beside the code
    assert not tlb.knows(0x1000, write=True)
    assert tlb.store(0x117D, 4, 1) == tlb.store(0x10FE, 4, 1) == 1
    assert tlb.store(0x2000, 4, 1) == 0
    assert tlb.knows(0x2000, write=True)


def test_what_lies_beyond_memory_or_goes_on_at_zero_is_not_remembered() -> None:
    tlb = tlb_of(2)
    assert tlb.load(0x5000, 4) == 0xFFFFFFFF
    assert not tlb.knows(0x5000, write=False)
    assert tlb.load(0xFFFFFFFE, 4) == -1
    assert tlb.store(0xFFFFFFFE, 4, 0) == 1


def test_an_empty_slot_lets_nothing_through() -> None:
    """Not even what begins in its page and ends in the next."""
    tlb = tlb_of(2)
    tlb.load(0x1000, 1)
    tlb.flush(0x1000)
    for slot in range(SLOTS):
        (page,) = struct.unpack_from("<I", tlb.view, READ_TLB + 8 * slot)
        for address in (slot << 12, (slot << 12) + 0xFFD):
            assert (address + 3) ^ page >= PAGE


# --- nothing grows for ever -------------------------------------------------------------------


def test_recipes_go_with_their_translations() -> None:
    """A program that changes itself is translated again and again, and keeps one set of recipes."""
    computer = eager(set_up(history=0, tier="wasm"))
    # mov ecx, 200; (there) add eax, 1; inc byte [there + 2]; dec ecx; jnz there; hlt
    computer.load_code(bytes.fromhex("b9c8000000 83c001 fe0507001000 49 75f4 f4"))
    computer.run()
    translator = computer.translator
    assert translator is not None
    assert translator.cache.counts["translations"] > 100
    assert len(translator.maker.recipes) < 20


def test_a_decoder_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtlab.machine.decode.REMEMBERED", 10)
    decoder = Decoder()
    for address in range(35):
        assert str(decoder.decode(address, b"\x90")) == "NOP"
    assert len(decoder._known) <= 10


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (lambda _units: [], "0 units of which 0 are held"),
        (lambda units: [units[0], units[0]], "2 units of which 1 are held"),
        (lambda _units: [Unit(UnitKey(5, 0, 63), 1)], "1 units of which 0 are held"),
    ],
)
def test_a_policy_that_chooses_wrongly_is_told(policy: Policy, said: str) -> None:
    cache = TranslationCache(1, policy)
    cache.add(Unit(UnitKey(9, 0, 63), 1))
    with pytest.raises(InvalidInputError, match=f"policy = '{said}"):
        cache.add(Unit(UnitKey(0x1009, 1, 63), 2))
    assert [unit.slot for unit in cache.units] == [1]
    assert cache.counts["evictions"] == 0
