"""Two computers that must end alike: one interprets, the other translates."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.differential import DATA, DATA_END, random_instruction
from tests.machine.small_guests import DECODER
from virtlab.machine.computer import Computer
from virtlab.machine.devices.pit import INSTRUCTIONS_PER_TICK
from virtlab.machine.faults import Fault
from virtlab.machine.image import load
from virtlab.machine.registers import GENERAL, SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

    from virtlab.machine.guest_run import GuestRun
    from virtlab.machine.translation.passes import Passes

needs_wasmtime = pytest.mark.usefixtures("wasmtime")
needs_llvmlite = pytest.mark.usefixtures("llvmlite")


def seen(computer: Computer, run: GuestRun) -> dict[str, Any]:
    """Return all that a guest, or who watches it, could see after a run."""
    processor = computer.processor
    return {
        "output": run.output,
        "exit": (run.ended, run.exit_status, run.why),
        "counts": (run.instructions, run.waited, run.traps),
        "registers": bytes(processor.registers.data[:SIZE]).hex(),
        "segments": tuple(processor.segments),
        "tables": (processor.gdtr, processor.idtr, processor.ldtr, processor.tr),
        "memory": hashlib.sha256(computer.memory.data).hexdigest(),
        "TLB": dict(processor.paging.tlb),
    }


@cache
def interpreted(path: Path, tick: int = INSTRUCTIONS_PER_TICK) -> dict[str, Any]:
    """Return how a program ends in the interpreter, with 4 MiB: seconds, so once for all tests."""
    computer = Computer(4, history=0, decoder=DECODER, instructions_per_tick=tick)
    computer.load(load(path, 4 << 20))
    return seen(computer, computer.run())


def eager(computer: Computer) -> Computer:
    """Let a computer translate whatever it sees, the first time."""
    assert computer.translator is not None
    computer.translator.heat.hot = 1
    return computer


class RandomBlocks:
    """Random instructions, run from random states on both computers.

    Attributes
    ----------
    translating
        The computer that translates.
    instructions
        How many were done.
    """

    CODE, RAM_MIB = 0x10000, 4

    def __init__(
        self, seed: int, passes: Passes | None = None, *, tier: str = "wasm", mmu: bool = True
    ) -> None:
        self.rng = np.random.default_rng(seed)
        filling = self.rng.integers(0, 256, self.RAM_MIB << 20, dtype=np.uint8).tobytes()
        self.interpreting, self.translating = (
            Computer(self.RAM_MIB, history=0, tier=one, decoder=DECODER, passes=passes, mmu=mmu)
            for one in ("interpreter", tier)
        )
        eager(self.translating)
        for computer in (self.interpreting, self.translating):
            computer.memory.data[:] = filling
            computer.loaded = True
        self.instructions = 0

    def block(self, length: int) -> tuple[int, bytes]:
        """Put a block somewhere into memory; return where, and its bytes. It ends with hlt."""
        start = at = self.CODE + int(self.rng.integers(0, 0xC00))
        code = b""
        for _ in range(length):
            words = random_instruction(self.rng)
            if 0x70 <= words[0] < 0x80:  # branches stay in the block, mostly
                words = bytes([words[0], int(self.rng.integers(0, 12))]) + bytes(18)
            try:
                found = DECODER.decode(at, words[:15])
            except Fault:
                continue
            code += found.code
            at += len(found.code)
        code += b"\xf4"
        for computer in (self.interpreting, self.translating):
            computer.memory.write(start, code)
        return start, code

    def compare(self, start: int, state: dict[str, int], limit: int) -> dict[str, Any]:
        """Run from a state on both; return what differs."""
        found: list[dict[str, Any]] = []
        self.interpreting.memory.journal = []
        for computer in (self.interpreting, self.translating):
            _begin(computer, start, state)
            run = computer.run(limit)
            registers = bytes(computer.processor.registers.data[:SIZE]).hex()
            found.append({"end": (run.ended, run.why, run.instructions, run.waited, registers)})
        journal, self.interpreting.memory.journal = self.interpreting.memory.journal, None
        for address, old in journal:
            for computer, ended in zip((self.interpreting, self.translating), found, strict=True):
                ended[f"{address:#x}"] = computer.memory.read(address, len(old)).hex()
        self.instructions += found[0]["end"][2]
        return {k: (one, found[1][k]) for k, one in found[0].items() if one != found[1][k]}

    def same_memory(self) -> bool:
        return bytes(self.interpreting.memory.data) == bytes(self.translating.memory.data)


def random_state(rng: Generator) -> dict[str, int]:
    """Return registers: numbers, small numbers, and places in the data."""
    state = {}
    for name in GENERAL:
        kind = rng.random()
        if name in ("ESP", "EBP") or kind < 0.55:
            state[name] = int(rng.integers(DATA + 0x4000, DATA_END - 0x4000))
        elif kind < 0.75:
            state[name] = int(rng.choice([0, 1, 7, 31, 32, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
        else:
            state[name] = int(rng.integers(0, 1 << 32))
    return {**state, "eflags": int(rng.integers(0, 1 << 12)) & 0xCD5 | 2}


def _begin(computer: Computer, start: int, state: dict[str, int]) -> None:
    processor = computer.processor
    computer.shutdown, computer.clock.waited = "", 0
    processor.halted, processor.instructions = False, 0
    for name in GENERAL:
        processor.registers[name] = state[name]
    processor.registers.eflags = state["eflags"]
    processor.registers["EIP"], processor.registers["CR2"] = start, 0
