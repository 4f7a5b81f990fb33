"""The same code is not translated again and again; long functions are translated whole (S18)."""

from __future__ import annotations

import struct
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, set_up
from tests.machine.translated import eager, seen
from virtlab.machine.memory import PAGE
from virtlab.machine.pcode import REGISTER, Var
from virtlab.machine.translation.cache import TranslationCache, Unit, UnitKey
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.deprivilege import Rights
from virtlab.machine.translation.heat import limit_for
from virtlab.machine.translation.lifting import Branch, Graph, Jump, Leave, Node
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.regions import LIMIT

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer

CALLS = 80  # of itself in one function
MIX = bytes.fromhex("8d444007 31c2 c1c203")  # lea eax, [eax + 2 * eax + 7]; xor edx, eax; rol edx
LONG = 3 + 4 * CALLS + 2  # instructions of the function


def recursive() -> bytes:
    """Return a guest whose function calls itself from many places, two deep: each a return site."""
    body = b"".join(b"\xe8" + struct.pack("<i", -at - 5) + MIX for at in _places())
    skip = b"\x85\xc9\x0f\x84" + struct.pack("<i", len(body) + 2) + b"\x49"
    function = skip + body + b"\x41\xc3"  # test ecx, ecx; jz out; dec ecx; ...; inc ecx; out: ret
    begin = b"\xb9\x02\0\0\0\xe8\x03\0\0\0\xf4\xeb\xfd"  # mov ecx, 2; call; hlt
    return begin + function


def _places() -> list[int]:
    return [9 + (5 + len(MIX)) * k for k in range(CALLS)]


def made(tier: str, code: bytes, passes: Passes | None = None) -> Computer:
    computer = set_up(history=0, tier=tier, passes=passes)
    computer.load_code(code)
    return computer


@cache
def interpreted(code: bytes) -> dict[str, Any]:
    computer = made("interpreter", code)
    return seen(computer, computer.run(10**6))


def times_translated(computer: Computer) -> Counter[int]:
    assert computer.translator is not None
    units = computer.translator.cache.units
    return Counter(offset for unit in units for offset, _ in unit.places)


@pytest.mark.parametrize("hot", [1, 4])
def test_a_function_that_is_too_long_is_translated_a_few_times(tier: str, hot: int) -> None:
    """Each of its eighty return sites had a unit of 256 instructions before: some 20,000."""
    computer = made(tier, recursive())
    assert computer.translator is not None
    computer.translator.heat.hot = hot
    assert seen(computer, computer.run(10**6)) == interpreted(recursive())
    times = times_translated(computer)
    assert len(times) >= LONG
    assert times.total() <= 3 * LONG
    assert max(len(unit.places) for unit in computer.translator.cache.units) >= LONG


def test_what_it_was_made_from_may_change(tier: str) -> None:
    """A number in the middle of the function is written over after each call: by what it gave."""
    where = 24 + 9 + 5 + 3  # what begins, test-jz-dec, the first call, and what leads lea's number
    call = b"\xb9\x02\0\0\0\xe8\x09\0\0\0\xa2" + struct.pack("<I", CODE + where)
    code = b"\xbd\x05\0\0\0" + call + b"\x4d\x75\xee\xf4" + recursive()[13:]
    assert code[where] == 7
    computer = eager(made(tier, code))
    assert seen(computer, computer.run(10**6)) == interpreted(code)
    assert computer.translator is not None
    assert computer.translator.cache.counts["invalidations"] >= 5
    assert times_translated(computer).total() <= 3 * LONG


@given(st.integers(0, 9), st.integers(1, 4096))
def test_a_limit_grows_once_and_then_shrinks(times: int, limit: int) -> None:
    if limit < LIMIT:
        assert limit_for(times, limit) == limit
        return
    assert limit_for(0, limit) == limit_for(2, limit) == limit
    assert limit_for(1, limit) == 4 * limit
    assert limit_for(times + 3, limit) == limit // 4


KEYS = st.builds(
    UnitKey,
    st.sampled_from([0x1000, 0x1004, 0x1ABC, 0x5004]),
    st.sampled_from([1, 7]),
    st.sampled_from([63, 127]),
    st.sampled_from([Rights.KERNEL, Rights.INTERRUPTS]),
)
PLACES = st.lists(st.sampled_from([0, 4, 8, 0xABC]), unique=True)


@given(
    st.lists(st.one_of(st.tuples(KEYS, PLACES), st.sampled_from([1, 7]))),
    st.integers(1, 6),
    KEYS,
)
def test_how_often_an_instruction_was_translated(
    steps: list[Any], limit: int, key: UnitKey
) -> None:
    """Counted by looking at each unit that is held, whatever came and went."""
    held = TranslationCache(limit)
    for slot, step in enumerate(steps):
        if isinstance(step, int):
            held.forget_page(step)
        elif held.find(step[0]) is None:
            held.add(Unit(step[0], slot, tuple((at, 1) for at in step[1])))
    alike = (key.address // PAGE, *key[1:])
    wanted = sum(
        (key.address % PAGE, 1) in unit.places
        for unit in held.units
        if (unit.key.address // PAGE, *unit.key[1:]) == alike
    )
    assert held.times(key) == wanted


def chain(length: int) -> Graph:
    """Return nodes each of which leads to the next one, or out."""
    condition = Var(REGISTER, 0, 1)
    graph: Graph = {
        (at, 0): Node((at, 0), end=Branch(condition, (at + 1, 0), (9999, 0)))
        for at in range(length)
    }
    return {**graph, (length, 0): Node((length, 0), end=Leave(length)), (9999, 0): Node((9999, 0))}


def test_what_is_nested_too_deep_is_no_tree() -> None:
    """By hand: a block for each node of the chain, and one around the node that all lead to."""
    assert Shape(chain(148), (0, 0)).nests
    assert not Shape(chain(149), (0, 0)).nests
    assert Shape(chain(149), (0, 0)).is_reducible
    line: Graph = {(at, 0): Node((at, 0), end=Jump((at + 1, 0))) for at in range(400)}
    assert not Shape({**line, (400, 0): Node((400, 0))}, (0, 0)).nests


@pytest.mark.parametrize("branches", [100, 140, 250, 600])
def test_branches_in_branches(tier: str, branches: int) -> None:
    """Each one leads out: in the code of the one before it, deeper than Python calls functions."""
    ways = b"".join(
        b"\x0f\x84" + struct.pack("<i", 6 * (branches - at - 1) + 7) for at in range(branches)
    )  # jz out
    back = b"\x49\x0f\x85" + struct.pack("<i", -len(ways) - 7)  # dec ecx; jnz
    code = b"\xb9\x28\0\0\0\x85\xc9" + ways + back + b"\xf4"
    computer = eager(made(tier, code, Passes(most=1024)))
    run = seen(computer, computer.run(10**6))
    assert run == interpreted(code)
    assert run["counts"][0] == 2 + 40 * (branches + 2) + 1
