"""Code that LLVM makes in another thread, and that comes late, or too late."""

from __future__ import annotations

import struct
from typing import NoReturn

import pytest

from tests.machine.llvm_pool import LOOP, LaterPool, host, short
from tests.machine.small_guests import set_up, with_timer
from tests.machine.test_translation import MIXED
from tests.machine.translated import eager, needs_llvmlite, seen
from virtlab.machine.computer import Computer
from virtlab.machine.guests import guest
from virtlab.machine.image import load
from virtlab.machine.translation import llvm_host
from virtlab.machine.translation.layout import LEFT
from virtlab.machine.translation.llvm_region import Region
from virtlab.machine.translation.passes import Passes

pytestmark = needs_llvmlite
AGAIN, SECOND = 0x100005, 0x100009


def test_what_is_hot_goes_to_llvm_and_is_entered_in_the_middle(pool: LaterPool) -> None:
    computer = eager(set_up(history=0, tier="llvm"))
    computer.load_code(bytes.fromhex(LOOP))
    computer.run(2000)
    assert len(pool.jobs) == 1
    region = next(iter(host(computer)._regions.values()))
    assert not region.codes
    assert pool.work() == 1
    computer.run(2000)
    assert list(region.codes) == [(0x100005, 0)]  # the loop, not where the unit begins
    assert computer.translator is not None
    before = computer.translator.counts["entries"]
    computer.run(100_000)
    assert computer.translator.counts["entries"] - before < 10  # and not one for each slice
    assert computer.processor.registers["ECX"] == 100_000 - 104_000 // 2


def test_one_piece_of_code_has_all_the_loops_that_belong_together(pool: LaterPool) -> None:
    computer = eager(set_up(history=0, tier="llvm"))
    # (outer) mov ecx, 50; (inner) dec ecx; jnz inner; inc eax; jmp outer
    computer.load_code(bytes.fromhex("b932000000 49 75fd 40 ebf5"))
    computer.run(2000)
    assert pool.work() == 1
    computer.run(2000)
    region = next(iter(host(computer)._regions.values()))
    assert set(region.codes) == {(0x100000, 0), (0x100005, 0)}
    assert len(set(region.codes.values())) == 1
    computer.run(1_000_000)
    assert not pool.jobs
    done = computer.processor.instructions
    assert computer.processor.registers["EAX"] - 0x2BADB002 == (done + 1) // 103


def shared_loop(pool: LaterPool, monkeypatch: pytest.MonkeyPatch) -> tuple[Computer, list[int]]:
    """Return a computer where a second region reaches a loop that LLVM has made for the first.

    And a list that gets how many instructions each run of machine code has done.
    """
    computer = eager(set_up(history=0, tier="llvm"))
    # mov ecx, 1000; (loop) dec ecx; jnz loop; hlt
    # (second) mov ecx, 300; dec ecx; jnz back; mov ecx, 0x10000000; jmp loop
    first, second = "b9e8030000 49 75fd f4", "b92c010000 49 75fd b900000010 ebed"
    computer.load_code(bytes.fromhex(first + second))
    computer.run(1000)
    assert pool.work() == 1
    computer.run()
    assert computer.processor.halted
    computer.processor.halted = False
    computer.processor.registers["EIP"] = SECOND
    monkeypatch.setattr(llvm_host, "WORTH", 1 << 40)  # and nothing else is ever worth it
    done: list[int] = []
    run = host(computer)._driver.run

    def noted(view: memoryview) -> int:
        (before,) = struct.unpack_from("<i", view, LEFT)
        reason = run(view)
        done.append(before - struct.unpack_from("<i", view, LEFT)[0])
        return reason

    monkeypatch.setattr(host(computer)._driver, "run", noted)
    return computer, done


def test_a_loop_that_llvm_has_is_left_to_it_whichever_region_leads_there(
    pool: LaterPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer, done = shared_loop(pool, monkeypatch)
    computer.run(2000)  # in a copy of the loop, for a slice
    (second,) = (one for one in host(computer)._regions.values() if one.start[0] >= SECOND)
    assert second.leaves == {(AGAIN, 0)}
    before = sum(done)
    computer.run(100_000)
    assert sum(done) - before > 99_000
    assert computer.processor.registers["ECX"] == 0x10000000 - (102_000 - 602) // 2
    assert not pool.jobs  # none of it was compiled twice


def test_a_loop_whose_machine_code_is_given_up_is_the_regions_own_again(
    pool: LaterPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer, done = shared_loop(pool, monkeypatch)
    computer.run(2000)
    host(computer)._leads_away(AGAIN)
    assert not any(one.leaves for one in host(computer)._regions.values())
    done.clear()
    computer.run(100_000)
    computer.processor.registers["EIP"] = SECOND
    computer.run(100_000)
    assert sum(done) == 0
    assert computer.processor.registers["ECX"] == 0x10000000 - (100_000 - 602) // 2


def test_llvm_waits_until_it_pays(pool: LaterPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm_host, "WORTH", 5000)  # for each of two instructions
    computer = eager(set_up(history=0, tier="llvm"))
    computer.load_code(bytes.fromhex(LOOP))
    computer.run(9000)
    assert not pool.jobs
    computer.run(2000)
    assert len(pool.jobs) == 1


def test_code_that_is_written_on_while_it_is_compiled_is_never_run(pool: LaterPool) -> None:
    computer = eager(set_up(history=0, tier="llvm"))
    computer.load_code(bytes.fromhex("40 ebfd"))  # inc eax; again
    computer.run(1000)
    futures = [job[0] for job in pool.jobs]
    assert futures
    computer.memory.write(0x100000, b"\x43")  # inc ebx
    assert pool.work() == 0 or all(future.cancelled() for future in futures)
    before = computer.processor.registers["EAX"]
    computer.run(5000)
    assert computer.processor.registers["EAX"] - before <= 1
    assert computer.processor.registers["EBX"] >= 2000
    pool.work()
    computer.run(5000)
    assert computer.processor.registers["EBX"] >= 4000


def test_code_that_was_begun_before_it_was_written_on_is_thrown_away(pool: LaterPool) -> None:
    """A job that cannot be cancelled any more ends after its unit has gone."""
    computer = eager(set_up(history=0, tier="llvm"))
    computer.load_code(bytes.fromhex("40 ebfd"))
    computer.run(1000)
    begun, pool.jobs = pool.jobs, []
    assert all(future.set_running_or_notify_cancel() for future, _, _ in begun)
    computer.memory.write(0x100000, b"\x43")
    for future, function, arguments in begun:
        future.set_result(function(*arguments))
    before = computer.processor.registers["EAX"]
    computer.run(5000)
    assert computer.processor.registers["EAX"] - before <= 1
    assert computer.processor.registers["EBX"] >= 2000


def test_machine_code_is_left_when_a_device_or_a_debugger_writes_on_it(pool: LaterPool) -> None:
    computer = eager(set_up(history=0, tier="llvm"))
    computer.load_code(bytes.fromhex("40 ebfd"))
    computer.run(1000)
    pool.work()
    computer.run(1000)
    assert host(computer).knows(0x100000)
    computer.memory.write(0x100000, b"\x43")
    assert not host(computer).knows(0x100000)
    before = computer.processor.registers["EAX"]
    computer.run(1000)
    assert computer.processor.registers["EAX"] == before


@pytest.mark.parametrize("size", [1, 7, 50, 333])
def test_slices_of_any_size_change_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With LLVM really working in another thread, whenever it gets there."""
    short(monkeypatch, size)
    ends = []
    for tier in ("llvm", "interpreter"):
        computer = set_up(history=0, tier=tier)
        computer.load_code(bytes.fromhex(MIXED))
        if tier == "llvm":
            eager(computer)
        ends.append([seen(computer, computer.run(2500)) for _ in range(3)])
    assert ends[0] == ends[1]


def test_a_timer_that_comes_often_does_not_keep_llvm_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice may be made of several runs; and what is left before each event is done exactly."""
    ends = []
    found = LaterPool()
    monkeypatch.setattr(llvm_host, "_worker", lambda: found)
    short(monkeypatch, 700)
    for tier in ("llvm", "interpreter"):
        computer = with_timer(150, "40 01c8 ebfb", history=0, tier=tier)  # without end
        if tier == "llvm":
            eager(computer)
        runs = []
        for _ in range(4):
            runs.append(seen(computer, computer.run(2500)))
            found.work()
        ends.append(runs)
        if tier == "llvm":
            regions = host(computer)._regions.values()
            assert any(region.codes for region in regions)
    assert ends[0] == ends[1]


def test_code_that_soon_comes_back_is_given_up(
    pool: LaterPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks by themselves, one of which LLVM has: each turn would lead through Python twice."""
    computer = set_up(history=0, tier="llvm", passes=Passes(regions=False))
    # (there) inc eax; dec ecx; jmp next; nop; (next) inc ebx; jmp there
    computer.load_code(bytes.fromhex("40 49 eb01 90 43 ebf8"))
    before = computer.processor.registers["EBX"]
    computer.run(2000)
    assert pool.work()
    monkeypatch.setattr(llvm_host, "_worker", LaterPool)
    calls = 0
    run = host(computer)._driver.run

    def counted(view: memoryview) -> int:
        nonlocal calls
        calls += 1
        return run(view)

    monkeypatch.setattr(host(computer)._driver, "run", counted)
    short(monkeypatch, 1_000_000)
    computer.run(1_000_000)
    assert calls < 2000
    assert any(region.given_up for region in host(computer)._regions.values())
    assert computer.processor.instructions == 1_002_000
    eax, ebx = (computer.processor.registers[name] for name in ("EAX", "EBX"))
    assert eax - 0x2BADB002 == (1_002_000 + 4) // 5
    assert ebx - before in (1_002_000 // 5, 1_002_000 // 5 + 1)


def test_where_code_leads_to_a_unit_may_begin_however_it_was_entered(pool: LaterPool) -> None:
    """A slice ends anywhere; what comes next must not stay with the interpreter for good."""
    computer = Computer(16, history=0, tier="llvm", passes=Passes(regions=False))
    computer.load(load(guest("fibonacci").path(large=True), 16 << 20))
    computer.run(200_000)
    assert not pool.jobs or pool.work()
    assert computer.translator is not None
    before = computer.translator.counts["steps"]
    computer.run(400_000)
    assert computer.translator.counts["steps"] - before < 100_000


class OneByOne(dict[int, Region]):
    """A dictionary that nobody may go through."""

    def values(self) -> NoReturn:
        raise AssertionError

    items = __iter__ = values


def test_to_enter_code_no_other_region_is_looked_at(pool: LaterPool) -> None:
    """A kernel has hundreds, and is entered some thousand times a second: it took a third of it."""
    computer = eager(Computer(ram_mib=2, history=0, tier="llvm"))
    computer.load_code(bytes.fromhex(LOOP))
    host(computer)._regions = OneByOne()
    for _ in range(20):
        computer.run(1000)
        computer.translator.host.forget_jumps()  # type: ignore[union-attr]
        pool.work()
    computer.run()
    codes = [region.codes for _, region in dict.items(host(computer)._regions)]
    assert any(codes)
    assert computer.processor.registers["ECX"] == 0
