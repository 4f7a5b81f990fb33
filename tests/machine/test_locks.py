"""A kernel that takes locks: that they hold, in every tier, and what it costs to ask the VMM."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.machine.small_guests import DECODER
from tests.machine.translated import needs_wasmtime, seen
from virtlab.machine.computer import Computer
from virtlab.machine.guests import locks
from virtlab.machine.image import load
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.speed import can_run, measure
from virtlab.machine.translation.tiers import TIERS


@cache
def locks_run(tier: str, passes: Passes | None = None) -> tuple[dict[str, Any], Computer]:
    computer = Computer(2, history=0, tier=tier, decoder=DECODER, passes=passes)
    computer.load(load(locks(), 2 << 20))
    return seen(computer, computer.run(60_000)), computer


@pytest.mark.parametrize("tier", TIERS[1:])
def test_a_kernel_that_takes_locks(tier: str) -> None:
    if can_run(tier):
        pytest.skip(can_run(tier))
    found, computer = locks_run(tier)
    assert found == locks_run("interpreter")[0]
    assert computer.translator is not None
    assert computer.translator.counts["instructions"] > 50_000


@needs_wasmtime
def test_its_locks_are_why_the_vmm_is_asked() -> None:
    """Five sensitive instructions in a round; what is left are the timer's: `out` and `iret`."""
    with_it, without = (
        locks_run("wasm", Passes(in_cache=on))[1].processor.callouts for on in (True, False)
    )
    assert without > 10 * with_it


@needs_wasmtime
def test_the_locks_hold() -> None:
    computer = Computer(2, history=0, tier="wasm", decoder=DECODER)
    computer.load(load(locks(), 2 << 20))
    run = computer.run()
    assert run.text == "locks: rounds 20000\nlocks: the sum is 1000000\nlocks: they held\n"
    assert (run.ended, run.exit_status) == ("exit", 1)
    assert run.traps["int 0x20", "device"] > 300


def test_a_lock_that_does_not_hold_would_be_seen() -> None:
    """The same kernel without its `cli`: a tick comes between the two steps of a move."""
    computer = Computer(2, history=0, decoder=DECODER, tier="python")
    image = load(locks(), 2 << 20)
    computer.load(image)
    main = image.symbols["main"]
    at, locked = main.address, 0
    while at < main.address + main.bytes:
        one = DECODER.decode(at, computer.memory.read(at, 15))
        if one.mnemonic == "CLI":
            computer.memory.write(at, b"\x90")
            locked += 1
        at = one.next
    assert locked == 3
    assert "they did not hold" in computer.run(600_000).text


@needs_wasmtime
def test_its_speed_can_be_measured_as_that_of_a_program() -> None:
    curve = measure("locks", "wasm", seconds=0.01)
    assert (curve.name, curve.instructions[0]) == ("wasm", 1000)
