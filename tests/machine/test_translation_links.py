"""Direct exits lead on without a look-up, and no link leads to what is gone (S18)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, DECODER, PAGING_ON, TABLE, map_pages, set_up
from tests.machine.translated import eager, seen
from virtlab.machine.computer import Computer
from virtlab.machine.guests import GUESTS, Guest, kernel
from virtlab.machine.image import load
from virtlab.machine.translation.cache import TranslationCache, oldest
from virtlab.machine.translation.layout import EIP, JUMPS, LINKS
from virtlab.machine.translation.lifting import Leave, Node
from virtlab.machine.translation.links import Exits, Links
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.passes import ESX, Passes
from virtlab.machine.translation.tiers import MISSING, Purpose

if TYPE_CHECKING:
    from virtlab.machine.translation.cache import Policy
    from virtlab.machine.translation.wasm import WasmFunction

HASHED = replace(ESX, chaining=False)
WAYS = [None, ESX, HASHED, Passes(most=3, regions=False)]  # None: interpreted


def ran(tier: str, passes: Passes | None, code: str, limit: int = 10**6) -> dict[str, Any]:
    computer = made(tier, passes, code)
    return seen(computer, computer.run(limit))


def made(tier: str, passes: Passes | None, code: str) -> Computer:
    """Return a computer that translates in some way, or interprets."""
    computer = set_up(history=0, tier=tier if passes else "interpreter", passes=passes)
    computer.load_code(bytes.fromhex(code))
    return eager(computer) if passes else computer


def counts(computer: Computer) -> tuple[int, int]:
    assert computer.translator is not None
    return computer.translator.counts["chained"], computer.translator.counts["hashed"]


# mov ecx, 100; (there) dec ecx; jz out; jmp there; (out) hlt
LOOP = "b964000000 49 7402 ebfb f4"
# mov ecx, 100; (there) call f; dec ecx; jnz there; hlt; (f) ret
CALLS = "b964000000 e804000000 49 75f8 f4 c3"


@pytest.mark.parametrize("tier", ["python", "wasm"])
def test_links_are_counted(tier: str) -> None:
    """By hand: units A mov-dec-jz, B jmp, C dec-jz; as soon as B and C are there B and C alternate.

    A goes to B, which is not there, nor is C after it: three entries. Then C goes to B, which goes
    to C, and so on: 98 times dec, 98 times jmp. C leaves for hlt at last, which is in no cache.
    """
    pytest.importorskip("wasmtime") if tier == "wasm" else None
    computer = made(tier, ESX, LOOP)
    assert computer.run().instructions == 1 + 100 + 100 + 99 + 1
    assert counts(computer) == (98 + 98, 0)
    assert computer.translator is not None
    assert computer.translator.counts["entries"] == 3
    plain = made(tier, HASHED, LOOP)
    plain.run()
    assert counts(plain) == (0, 98 + 98)


@pytest.mark.parametrize("tier", ["python", "wasm"])
def test_returns_are_looked_up(tier: str) -> None:
    """Each turn is call, ret, dec-jnz: the call and the branch are direct, the return is not."""
    pytest.importorskip("wasmtime") if tier == "wasm" else None
    computer = made(tier, ESX, CALLS)
    computer.run()
    chained, hashed = counts(computer)
    assert 95 <= hashed <= 100
    assert 2 * 95 <= chained <= 2 * 100


@pytest.mark.parametrize("one", GUESTS, ids=str)
def test_programs_end_alike_with_links_and_without(one: Guest, tier: str) -> None:
    found = []
    for passes in (ESX, HASHED):
        computer = Computer(16, history=0, tier=tier, decoder=DECODER, passes=passes)
        computer.load(load(one.path(), 16 << 20))
        run = computer.run(120_000)
        found.append((seen(computer, run), counts(computer)))
    (linked, (chained, rest)), (plain, (none, hashed)) = found
    assert linked == plain
    assert none == 0
    assert chained + rest == hashed > 0


@cache
def plain_kernel() -> dict[str, Any]:
    plain = Computer(4, history=0, decoder=DECODER)
    plain.load(load(kernel(), 4 << 20))
    return seen(plain, plain.run(40_000))


@pytest.mark.parametrize("passes", [ESX, Passes()], ids=["blocks", "regions"])
@pytest.mark.parametrize("policy", [oldest, None], ids=["oldest", "all"])
def test_the_kernel_with_a_tiny_cache(passes: Passes, policy: Policy | None, tier: str) -> None:
    """What is evicted is led to no more; processes change page tables and mode."""
    computer = Computer(4, history=0, tier=tier, decoder=DECODER, passes=passes)
    computer.load(load(kernel(), 4 << 20))
    assert computer.translator is not None
    small = TranslationCache(2, policy) if policy else TranslationCache(2)
    computer.translator.cache = small
    computer.translator.attach(computer)
    run = computer.run(40_000)
    assert seen(computer, run) == plain_kernel()
    assert small.counts["evictions"] > 3


def test_a_linked_unit_that_is_written_on(tier: str) -> None:
    """The loop adds a number that it changes itself, in a unit that others are linked to.

    mov ecx, 50; (there) jmp f; (back) inc byte [f + 1]; dec ecx; jnz there; hlt;
    (f) add eax, 1; jmp back
    """
    f = CODE + 0x12
    code = "b932000000 eb0b fe05" + (f + 2).to_bytes(4, "little").hex() + "49 75f5 f4 90"
    code += "83c001 ebf0"
    assert len(bytes.fromhex(code)) == 0x12 + 5
    found = [ran(tier, passes, code) for passes in WAYS]
    assert all(one == found[0] for one in found)
    computer = made(tier, ESX, code)
    before = computer.processor.registers["EAX"]
    computer.run(10**6)
    added = computer.processor.registers["EAX"] - before & 0xFFFFFFFF
    assert added == sum(value - 256 * (value > 127) for value in range(1, 51))


def test_a_page_that_is_mapped_elsewhere(tier: str) -> None:
    """A link to another page is undone when that page means other code.

    Twice twenty calls of page P: first as it is, then mapped to Q.
    """
    page, other = 0x130000, 0x131000
    entry = TABLE + 4 * (page >> 12)
    turn = "b914000000 e8{} 49 75f8"
    begin = bytes.fromhex(PAGING_ON)

    # after each piece comes the next; a call is relative to what follows it
    def calls(at: int) -> str:
        return turn.format((page - (at + 10) & 0xFFFFFFFF).to_bytes(4, "little").hex())

    first = calls(CODE + len(begin))
    at = CODE + len(begin) + 13
    mapping = f"c705{entry.to_bytes(4, 'little').hex()}{(other | 3).to_bytes(4, 'little').hex()}"
    mapping += f"0f013d{page.to_bytes(4, 'little').hex()}"  # invlpg
    second = calls(at + 17)
    code = PAGING_ON + first + mapping + second + "f4"
    found = []
    for passes in WAYS:
        computer = made(tier, passes, code)
        map_pages(computer)
        computer.memory.write(page, bytes.fromhex("83c301 c3"))  # add ebx, 1; ret
        computer.memory.write(other, bytes.fromhex("81c300010000 c3"))  # add ebx, 256; ret
        begun = computer.processor.registers["EBX"]
        found.append(seen(computer, computer.run(10**5)))
        assert computer.processor.registers["EBX"] - begun & 0xFFFFFFFF == 20 * 257
    assert all(one == found[0] for one in found)


# --- any program ----------------------------------------------------------------------------------


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Blocks of some instructions that jump among one another, and one that changes another."""
    size, blocks = 32, draw(st.integers(2, 6))
    plain = ["40", "43", "01d8", "29d0", "0fafc1", "83f005", "90"]
    code = bytearray(b"\xf4" * (size * blocks))
    for number in range(blocks):
        begin = number * size
        body = bytes.fromhex("".join(draw(st.lists(st.sampled_from(plain), max_size=4))))
        if draw(st.booleans()):  # inc byte [a place in a block]: code, perhaps
            at = CODE + draw(st.integers(0, size * blocks - 1))
            body += bytes.fromhex("fe05") + at.to_bytes(4, "little")
        for opcode in ("0f8" + draw(st.sampled_from("45289c")), "e9"):
            to = size * draw(st.integers(0, blocks - 1))
            jump = bytes.fromhex(opcode)
            after = begin + len(body) + len(jump) + 4
            body += jump + (to - after & 0xFFFFFFFF).to_bytes(4, "little")
        code[begin : begin + len(body)] = body
    return bytes(code).hex()


@settings(max_examples=40)
@given(code=programs(), limit=st.integers(1, 600), most=st.sampled_from([1, 3, 12]))
def test_blocks_that_jump_anywhere_and_change_themselves(code: str, limit: int, most: int) -> None:
    pytest.importorskip("wasmtime")
    expected = ran("interpreter", None, code, limit)
    for tier in ("python", "wasm"):
        for chaining in (True, False):
            passes = Passes(regions=False, most=most, chaining=chaining)
            assert ran(tier, passes, code, limit) == expected, (tier, chaining)


# --- the book of links ----------------------------------------------------------------------------


STEPS = ("add", "remove", "lead", "forget", "unlink")


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "lead", "forget", "unlink"]), st.integers(0, 7)
        ),
        max_size=60,
    )
)
def test_no_link_leads_to_what_is_not_there(steps: list[tuple[str, int]]) -> None:
    """Units 1 to 8, two on each of four pages; each has exits to its neighbours."""
    slots: dict[tuple[int, int], int] = {}
    links = Links(slots.__setitem__)
    there: set[int] = set()
    known: dict[int, int] = {}
    address = [0x1000 * (n // 2) + 0x10 * n for n in range(8)]
    for what, n in steps:
        unit = n + 1
        if what == "add" and unit not in there:
            to = {address[other % 8]: (unit, other % 8) for other in (n, n + 1, n + 3)}
            links.add(unit, Exits((n // 2, 63), n // 2, to))
            there.add(unit)
        elif what == "remove":
            links.remove(unit)
            there.discard(unit)
            known = {at: of for at, of in known.items() if of != unit}
        elif what == "lead" and unit in there:
            links.lead(address[n], unit)
            known[address[n]] = unit
        elif what == "forget":
            links.forget()
            known.clear()
        elif what == "unlink":
            links.unlink(address[n])
            known.pop(address[n], None)
        _check(slots, there, {address.index(at) for at in known})


def _check(slots: dict[tuple[int, int], int], there: set[int], known: set[int]) -> None:
    for (source, other), target in slots.items():
        if target:
            assert {source, target} <= there
            assert target == other + 1
            assert (source - 1) // 2 == other // 2 or other in known
    waiting = {(source, other) for source, other in slots if source in there and other in known}
    assert all(slots[one] == one[1] + 1 for one in waiting if one[1] + 1 in there)


def test_slots_are_given_back_and_code_without_goes_by_the_hash_table() -> None:
    pytest.importorskip("wasmtime")
    from virtlab.machine.translation.wasm_host import WasmHost

    host = WasmHost(1 << 20, lambda *_: -1, lambda *_: 1)
    graph = {(0, 0): Node((0, 0), end=Leave(5))}
    exits_at = LINKS + 4 * 5  # behind the reasons

    def compiled() -> WasmFunction:
        return host.compile(graph, needs(graph), (0, 0), 1, Purpose(chains=True))

    many = [compiled() for _ in range(7000)]
    assert many[0].exits.keys() == {5}
    assert many[-1].exits == {}
    for function in (many[0], many[-1]):
        slot = host.install(function)
        host.jump_to(0, slot)
        host.view[EIP] = 0
        assert (host.enter(), host.view[EIP]) == (MISSING, 5)
        host.jump_to(5, slot)  # the first is linked to itself now
        assert any(host.view[exits_at:JUMPS]) == bool(function.exits)
        host.remove(slot)
        host.forget_jumps()
    assert not any(host.view[exits_at:JUMPS])
    assert compiled().exits == many[0].exits
