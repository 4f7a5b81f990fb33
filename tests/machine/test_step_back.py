"""Stepping back: from anywhere, by any number of steps, to exactly what was."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.port_scripts import (
    CODE,
    PIC_SET_UP,
    TABLES,
    In,
    Interrupts,
    Out,
    Step,
    program,
    tables,
)
from tests.machine.small_guests import EXIT, PAGING_ON, handle, map_pages, with_timer
from virtlab.machine.computer import Computer
from virtlab.machine.history import save_processor
from virtlab.validate import InvalidInputError


def everything(computer: Computer) -> tuple[Any, ...]:
    """Return all that a computer is."""
    return (
        save_processor(computer.processor),
        zlib.crc32(computer.memory.data),
        computer.bus.save(),
        computer.clock.now,
        computer.ended,
        dict(computer.traps),
        list(computer.bus.log or ()),
    )


def devices(seed: int) -> Computer:
    """Return a computer that does random accesses to all its devices, with interrupts."""
    chance = random.Random(seed)
    script: list[Step] = [*PIC_SET_UP, Out(0x21, 0), Out(0xA1, 0), Out(0x3F9, 3)]
    script += [Out(0x43, 0x34), Out(0x40, 150), Out(0x40, 0)]
    ports = [0x20, 0x21, 0x40, 0x3F8, 0x3FA, 0x3FD, 0x3D4, 0x3D5, 0x1F7, 0x1F2, 0x80]
    for _ in range(60):
        port = chance.choice(ports)
        script.append(chance.choice((In(port), Interrupts(), Out(0x20, 0x20))))
        if port in (0x3F8, 0x3D4, 0x3D5):
            script.append(Out(port, chance.randrange(256)))
        if chance.random() < 0.1:
            script += [Out(0x1F6, 0xE0), Out(0x1F2, 1), Out(0x1F3, 0), Out(0x1F7, 0x30)]
            script += [Out(0x1F0, chance.randrange(1 << 32), 4)] * 128
    computer = Computer(ram_mib=4, disk=bytes(2048), instructions_per_tick=1)
    computer.bus.log = []
    computer.memory.write(TABLES, tables())
    computer.load_code(program(script), CODE)
    return computer


def paging(seed: int) -> Computer:
    """Return a computer with paging, a timer, halts, page faults and calls of the kernel."""
    rest = PAGING_ON + "a1 fcff1f00 0f013d00101000 cd80 f4 0f0b 60 61 ebeb"
    computer = with_timer(50 + seed % 100, rest)
    map_pages(computer)
    handle(computer, 14, "830424 00 83442404 05 83c404 cf")  # go on after it
    handle(computer, 0x80, "0f20d8 0f22d8 cf")
    handle(computer, 6, "83042402 cf")
    return computer


def run_and_go_back(computer: Computer, steps: int, back: list[int]) -> None:
    states = [everything(computer)]
    for number in back:
        for _ in range(steps):
            if computer.ended:
                break
            computer.step()
            states.append(everything(computer))
        for _ in range(min(number, len(states) - 1)):
            computer.step_back()
            states.pop()
            assert everything(computer) == states[-1]


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000), st.integers(1, 80), st.lists(st.integers(0, 100), max_size=4))
def test_with_devices(seed: int, steps: int, back: list[int]) -> None:
    run_and_go_back(devices(seed), steps, back)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000), st.integers(1, 80), st.lists(st.integers(0, 100), max_size=4))
def test_with_paging_and_faults(seed: int, steps: int, back: list[int]) -> None:
    run_and_go_back(paging(seed), steps, back)


def test_the_guests_do_what_they_are_there_for() -> None:
    computer = paging(0)
    run = computer.run(600)
    assert {"#PF", "#UD", "int 0x20", "int 0x80"} <= {name for name, _ in run.traps}, run.explain()
    assert run.waited > 20
    computer = devices(1)
    assert computer.run(100_000).traps
    assert computer.disk is not None
    assert computer.disk.written


@pytest.mark.parametrize("make", [devices, paging])
def test_to_the_very_beginning(make: Any) -> None:
    computer = make(3)
    before = everything(computer)
    for _ in range(700):
        computer.step()
    there = everything(computer)
    for _ in range(700):
        computer.step_back()
    assert everything(computer) == before
    for _ in range(700):
        computer.step()
    assert everything(computer) == there


def test_history_is_bounded() -> None:
    computer = Computer(ram_mib=2, history=5)
    computer.load_code(b"\x90" * 20)
    for _ in range(20):
        computer.step()
    assert [computer.step_back().time for _ in range(5)] == [19, 18, 17, 16, 15]
    with pytest.raises(InvalidInputError, match="history"):
        computer.step_back()


def test_without_history_nothing_is_kept_and_all_is_the_same() -> None:
    kept, plain = paging(1), paging(1)
    plain.history = type(plain.history)(maxlen=0)
    for _ in range(600):
        kept.step()
        plain.step()
    assert everything(kept) == everything(plain)
    assert not plain.history


def test_a_step_that_is_interrupted_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = with_timer(50, EXIT)
    for _ in range(10):
        computer.step()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(computer.bus, "write", interrupted)
    while computer.processor.fetch().mnemonic != "OUT":
        computer.step()
    before = everything(computer)
    with pytest.raises(KeyboardInterrupt):
        computer.step()
    assert everything(computer) == before


def test_a_step_says_what_it_did() -> None:
    computer = Computer(ram_mib=2)
    computer.bus.log = []
    computer.load_code(bytes.fromhex("b801000000 a300001800 e680 f4"))
    for _ in range(4):
        computer.step()
    said = [step.explain() for step in computer.history]
    assert said[0] == "0x100000 at ring 0: MOV EAX,0x1\nEAX 0x2badb002 -> 0x1"
    assert "memory 0x180000: 00 00 00 00 -> 01 00 00 00" in said[1]
    assert "out 0x80 <- 0x1 (nobody)" in said[2]
    assert said[3].endswith("HLT")
    assert computer.history[1].changes() == {}
