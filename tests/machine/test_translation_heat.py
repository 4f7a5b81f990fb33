"""Code that changes all the time is interpreted, and functions that are gone take no room."""

from __future__ import annotations

import ctypes
import gc
import struct
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, set_up
from tests.machine.translated import needs_llvmlite, needs_wasmtime, seen
from virtlab.machine.registers import SIZE
from virtlab.machine.translation import wasm_store
from virtlab.machine.translation.cache import UnitKey
from virtlab.machine.translation.heat import Heat
from virtlab.machine.translation.layout import EIP, LEFT
from virtlab.machine.translation.lifting import Leave, Node
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.tiers import MISSING
from virtlab.machine.translation.wasm_host import WasmHost
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer

TURNS = 2000


def changing(tier: str, turns: int) -> Computer:
    """Return a computer whose program adds up a number that it counts up in its own code."""
    computer = set_up(history=0, tier=tier, tick=1000)
    code = b"\xb9" + struct.pack("<I", turns)  # mov ecx
    code += b"\xff\x05" + struct.pack("<I", CODE + 0x21)  # inc: the number below
    code += b"\xe9" + struct.pack("<i", 0x20 - 16)  # jmp over the rest of this block
    code = code.ljust(0x20, b"\x90")
    code += bytes.fromhex("b800000000 01c3 49 0f85 d8ffffff f4")  # mov eax; add ebx; dec ecx; jnz
    computer.load_code(code.replace(bytes.fromhex("d8ffffff"), struct.pack("<i", 5 - 0x2E)))
    return computer


@needs_wasmtime
@needs_llvmlite
@pytest.mark.parametrize("tier", ["python", "wasm", "llvm"])
def test_code_that_changes_in_each_turn_is_interpreted(tier: str) -> None:
    translated, plain = changing(tier, TURNS), changing("interpreter", TURNS)
    before = plain.processor.registers["EBX"]
    ends = seen(translated, translated.run()), seen(plain, plain.run())
    assert ends[0] == ends[1]
    assert plain.processor.registers["EBX"] - before == TURNS * (TURNS + 1) // 2
    assert translated.translator is not None
    counts = translated.translator.cache.counts
    assert 3 < counts["invalidations"] < 20  # else as many as turns


@needs_wasmtime
def test_a_page_that_programs_are_loaded_into_is_translated_again_and_again() -> None:
    loop = bytes.fromhex("bb00000000 b9e8030000 43 49 75fc f4")  # count EBX up 1000 times
    computer = set_up(history=0, tier="wasm", tick=1000)
    assert computer.translator is not None
    for loaded in range(30):
        program = loop.replace(b"\xbb\0", bytes([0xBB, loaded]), 1)
        computer.memory.write(CODE, program)
        computer.processor.halted = False
        computer.processor.registers["EIP"] = CODE
        steps = computer.translator.counts["steps"]
        computer.run()
        assert computer.processor.registers["EBX"] == loaded + 1000
        assert loaded > 4 or computer.translator.counts["steps"] - steps < 100
    counts = computer.translator.cache.counts
    assert counts["invalidations"] >= 8
    computer.processor.halted = False
    computer.processor.registers["EIP"] = CODE
    computer.memory.write(CODE + 6, struct.pack("<I", 50_000))
    before = computer.translator.counts["instructions"]
    computer.run()
    assert computer.translator.counts["instructions"] - before > 3 * 45_000  # of all three thousand


@given(
    hot=st.integers(2, 6),
    events=st.lists(st.sampled_from(["visit", "change"]), max_size=60),
)
def test_what_is_needed_grows_with_changes_up_to_a_bound(hot: int, events: list[str]) -> None:
    heat, key, other = Heat(hot), UnitKey(0x1000, 1, 63), UnitKey(0x2000, 2, 63)
    visits, changes = 0, 0
    for event in events:
        if event == "change":
            heat.changed([key])
            visits, changes = 0, changes + 1
        else:
            visits += 1
            assert heat.is_hot(key) == (visits >= hot * 2 ** min(max(changes - 1, 0), 8))
    assert [heat.is_hot(other) for _ in range(hot)] == [False] * (hot - 1) + [True]


@given(changes=st.integers(0, 40))
def test_with_one_visit_all_is_translated_whatever_changes(changes: int) -> None:
    heat, key = Heat(1), UnitKey(0x1000, 1, 63)
    for _ in range(changes):
        heat.changed([key])
    assert heat.is_hot(key)
    assert heat.has_run(UnitKey(5, 0, 63))


def test_what_is_less_than_one_visit_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="hot = 0"):
        Heat(0)


# --- functions that are gone --------------------------------------------------------------------


def going_to(address: int) -> dict[tuple[int, int], Node]:
    """Return a region that goes on at an address."""
    return {(0, 0): Node((0, 0), end=Leave(address))}


def host() -> WasmHost:
    return WasmHost(1 << 20, lambda *_: -1, lambda *_: 1)


def function(machine: WasmHost, address: int) -> int:
    graph = going_to(address)
    return machine.install(machine.compile(graph, needs(graph), (0, 0), 1))


@needs_wasmtime
def test_what_is_needed_moves_and_what_is_not_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm_store, "MOST_DEAD", 5)
    machine = host()
    instances = machine._instances
    first = weakref.ref(instances._store)
    place = ctypes.addressof(ctypes.c_char.from_buffer(machine.view))
    machine.jump_to(0, function(machine, 0x1234))
    machine.view[SIZE + 100] = 77
    for _ in range(30):
        machine.remove(function(machine, 9))
    gc.collect()
    assert first() is None
    assert instances._made < 12
    assert ctypes.addressof(ctypes.c_char.from_buffer(machine.view)) == place
    machine.view[EIP : EIP + 4] = bytes(4)
    machine.view[LEFT : LEFT + 4] = struct.pack("<i", 10)
    assert machine.enter() == MISSING
    assert struct.unpack_from("<I", machine.view, EIP)[0] == 0x1234
    assert machine.view[SIZE + 100] == 77


@needs_wasmtime
def test_more_functions_than_wasmtime_makes_in_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm_store, "MOST_DEAD", 50)
    machine = host()
    lasting = [function(machine, 0x100 + k) for k in range(40)]
    for _ in range(400):
        machine.remove(function(machine, 9))
    assert machine._instances._made <= 2 * 41 + 51
    for k, slot in enumerate(lasting):
        machine.jump_to(0x40, slot)
        machine.view[EIP : EIP + 4] = struct.pack("<I", 0x40)
        machine.view[LEFT : LEFT + 4] = struct.pack("<i", 10)
        assert machine.enter() == MISSING
        assert struct.unpack_from("<I", machine.view, EIP)[0] == 0x100 + k


@needs_wasmtime
@needs_llvmlite
@pytest.mark.parametrize("tier", ["wasm", "llvm"])
def test_a_guest_runs_on_while_its_code_moves(tier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm_store, "MOST_DEAD", 3)
    translated, plain = changing(tier, 60), changing("interpreter", 60)
    assert translated.translator is not None
    translated.translator.heat.hot = 1  # in each turn
    ends = seen(translated, translated.run()), seen(plain, plain.run())
    assert ends[0] == ends[1]
    assert translated.translator.cache.counts["invalidations"] > 20
