"""Loops that go through several units are machine code as a whole, or not at all (S18)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.machine.llvm_pool import LaterPool, host, short
from tests.machine.small_guests import CODE, set_up
from tests.machine.translated import eager, needs_llvmlite, seen
from virtlab.machine.memory import PAGE
from virtlab.machine.translation import llvm_host
from virtlab.machine.translation.lifting import Leave, Node
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.llvm_region import Region
from virtlab.machine.translation.llvm_visits import Visits, led_to, place_of
from virtlab.machine.translation.wasm import WasmFunction

if TYPE_CHECKING:
    import pytest

    from virtlab.machine.computer import Computer

pytestmark = needs_llvmlite
PAGES = 4
TABLE = 0x800  # where in the code the functions' addresses are


def function(number: int) -> bytes:
    """Return what one of the functions does: add edx, number; xor edx, ecx; imul edx, 7; ret."""
    return bytes([0x83, 0xC2, number, 0x31, 0xCA, 0x6B, 0xD2, 0x07, 0xC3])


def pointers(turns: int) -> bytes:
    """Return a loop that calls four functions by pointers, each on a page of its own."""
    code = bytearray(PAGE * (PAGES + 1))
    begin = b"\xb9" + struct.pack("<I", turns) + b"\x31\xd2"  # mov ecx, turns; xor edx, edx
    loop = b"\x89\xc8\x83\xe0\x03\xff\x14\x85" + struct.pack("<I", CODE + TABLE)  # call [... + eax]
    loop += b"\x49\x75" + bytes([256 - len(loop) - 3]) + b"\xf4"  # dec ecx; jnz; hlt
    code[: len(begin + loop)] = begin + loop
    for number in range(PAGES):
        at = PAGE * (number + 1) + 16 * number
        code[at : at + 9] = function(number)
        code[TABLE + 4 * number : TABLE + 4 * number + 4] = struct.pack("<I", CODE + at)
    return bytes(code)


def expected(turns: int) -> int:
    """Return what is in edx at the end."""
    edx = 0
    for ecx in range(turns, 0, -1):
        edx = 7 * (edx + ecx % PAGES ^ ecx) & 0xFFFFFFFF
    return edx


def made(tier: str, turns: int) -> Computer:
    computer = set_up(history=0, tier=tier)
    computer.load_code(pointers(turns))
    return computer


def calls_of(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that notes how many instructions are left each time machine code is called."""
    calls: list[int] = []
    run = host(computer)._driver.run

    def counted(view: memoryview) -> int:
        calls.append(1)
        return run(view)

    monkeypatch.setattr(host(computer)._driver, "run", counted)
    return calls


def with_code(computer: Computer) -> set[int]:
    """Return on which pages machine code begins that may be entered."""
    regions = host(computer)._regions.values()
    return {
        region.address(key) // PAGE
        for region in regions
        for key, code in region.codes.items()
        if code not in region.given_up
    }


def test_what_a_loop_calls_on_other_pages_is_compiled_too(
    pool: LaterPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the loop is found to be hot, is left at each call, and given up for good."""
    turns = 60_000
    computer = eager(made("llvm", turns))
    for _ in range(200):
        computer.run(1000)
        pool.work()
    assert with_code(computer) == {CODE // PAGE + k for k in range(PAGES + 1)}
    assert not host(computer)._aside
    calls = calls_of(computer, monkeypatch)
    short(monkeypatch, 1_000_000)
    computer.run()
    assert computer.processor.registers["EDX"] == expected(turns)
    assert len(calls) < 20  # the loop goes from machine code to machine code


def test_code_is_not_entered_while_what_it_leads_to_is_compiled(
    pool: LaterPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 60_000
    computer = eager(made("llvm", turns))
    until_set_aside(computer, pool)
    assert any(one.given_up for one in regions(computer))
    waiting = len(pool.jobs)
    calls = calls_of(computer, monkeypatch)
    done = computer.processor.instructions
    computer.run(50_000)  # LLVM takes its time
    assert len(pool.jobs) == waiting >= 1
    assert len(calls) < 600  # once a slice, and not twice for each of five thousand turns
    assert computer.processor.instructions - done == 50_000
    assert pool.work() == waiting
    computer.run(40)  # not yet 64 visits
    assert not host(computer)._aside
    assert not any(one.given_up for one in regions(computer))
    computer.run()
    assert computer.processor.registers["EDX"] == expected(turns)


def until_set_aside(computer: Computer, pool: LaterPool) -> None:
    """Run until there is machine code, and then until it is not entered since other is awaited."""
    for _ in range(100):
        if not any(one.codes for one in regions(computer)):
            pool.work()
        computer.run(200)
    assert host(computer)._aside


def regions(computer: Computer) -> list[Region]:
    return list(host(computer)._regions.values())


def test_what_does_not_pay_is_visited_until_it_does(
    pool: LaterPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function of four instructions costs four times WORTH: so many visits at 20,000 each."""
    computer = eager(made("llvm", 10**6))
    for _ in range(100):
        if not any(one.codes for one in regions(computer)):
            computer.run(500)
            pool.work()
    monkeypatch.setattr(llvm_host, "WORTH", 10**9)
    computer.run(20_000)
    assert not pool.jobs
    assert not any(one.given_up for one in regions(computer))
    monkeypatch.setattr(llvm_host, "WORTH", 1000)
    computer.run(20_000)
    assert pool.jobs
    assert all(one.given_up for one in regions(computer) if one.codes)


def test_it_ends_as_in_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """With LLVM working in its thread, slices that end anywhere, functions that are changed."""
    short(monkeypatch, 333)
    ends = []
    for tier in ("interpreter", "llvm"):
        computer = made(tier, 3000)
        if tier == "llvm":
            eager(computer)
        found = []
        for step in range(30):
            found.append(seen(computer, computer.run(500)))
            computer.memory.write(CODE + PAGE + 2, bytes([step]))  # the first one adds that
        ends.append([*found, seen(computer, computer.run())])
    assert ends[0] == ends[1]


def test_a_unit_that_goes_while_others_wait_for_it(pool: LaterPool) -> None:
    """Its job is cancelled; nothing else would ever say that the wait is over."""
    turns = 60_000
    computer = eager(made("llvm", turns))
    until_set_aside(computer, pool)
    for page in range(1, PAGES + 1):
        computer.memory.write(CODE + PAGE * page + 16 * (page - 1) + 2, bytes([page - 1]))
    computer.run(40)
    assert not host(computer)._aside or any(one.awaited for one in regions(computer))
    for _ in range(200):
        computer.run(1000)
        pool.work()
    assert with_code(computer) == {CODE // PAGE + k for k in range(PAGES + 1)}
    computer.run()
    assert computer.processor.registers["EDX"] == expected(turns)


# --- the parts ------------------------------------------------------------------------------------


def region(at: int, size: int = 1) -> Region:
    graph = {(at, 0): Node((at, 0), count=size, end=Leave(at + 1))}
    return Region(WasmFunction(graph, needs(graph), (at, 0)), graph, needs(graph), (at, 0), 1)


@given(st.dictionaries(st.integers(0, 9), st.integers(1, 64)), st.sets(st.integers(0, 9)))
def test_units_are_charged_with_what_visits_cost(ends: dict[int, int], there: set[int]) -> None:
    """Only if at least half of the visits ended at one of them."""
    units = {at: region(at) for at in there}
    found = led_to(units.values(), ends)
    known = sum(times for at, times in ends.items() if at in there)
    if 2 * known < sum(ends.values()):
        assert not found
    else:
        assert {one.start[0] for one in found} == there & set(ends)
    for at, unit in units.items():
        assert unit.spent[at, 0] == (20_000 * ends[at] if unit in found else 0)


def test_what_is_compiled_or_being_compiled_is_not_charged() -> None:
    one, other = region(1), region(2)
    one.codes[1, 0] = other.awaited[2, 0] = None  # type: ignore[assignment]  # nobody looks
    assert led_to([one, other], {1: 5, 2: 5}) == []
    assert not one.spent
    assert not other.spent


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40_000), st.integers(0, 5))))
def test_visits_are_judged_by_what_they_did_on_average(steps: list[tuple[int, int, int]]) -> None:
    visits = Visits()
    held: dict[int, list[tuple[int, int]]] = {}
    for address, done, end in steps * 20:
        mine = held.setdefault(address, [])
        mine.append((done, end))
        short_ones = sum(one for one, _ in mine) < 20_000 * 64
        assert visits.are_too_short(address, done, end) == (len(mine) == 64 and short_ones)
        if len(mine) == 64:
            counted = {at: sum(one == at for _, one in mine) for at in {at for _, at in mine}}
            assert visits.ends(address) == (counted if short_ones else {})
            held[address] = []


def test_the_largest_region_is_taken_that_is_not_compiled_there() -> None:
    small, large = region(1), region(0)
    large.graph[0, 0].end = Leave(9)
    graph = {(0, 0): Node((0, 0), end=Leave(1)), **small.graph}
    assert place_of([small, large], 1) == (small, (1, 0))
    assert place_of([small, large], 5) == (None, (5, 0))
    assert len(graph) == 2
