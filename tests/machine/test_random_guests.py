"""Small kernels made at random end in every tier as in the interpreter, and in QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.differential_guests import ends
from benchmarks.differential_qemu import compared, ours, unasked
from benchmarks.random_guests import random_guest
from benchmarks.random_kernels import CODE, COUNTS, IMAGE_END
from tests.machine.port_scripts import NO_QEMU, QEMU
from virtlab.machine.computer import Computer

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = (1, 2, 6)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_kernel_ends_as_in_the_interpreter(seed: int, tier: str) -> None:
    is_slow = tier == "llvm"  # which compiles each piece at once here
    guest = random_guest(seed, chunks=2 if is_slow else 6)
    expected, found = ends(guest, "interpreter"), ends(guest, tier, hot=2 if is_slow else 1)
    assert found.pop("translated") > expected["counts"][0] // 2
    assert expected.pop("translated") == 0
    assert found == expected


def test_the_kernels_have_what_is_hard() -> None:
    """All together: faults of several kinds, traps, the timer, and calls of the kernel."""
    counts: dict[int, int] = {}
    for seed in SEEDS:
        computer = Computer(2, history=0, instructions_per_tick=1)
        random_guest(seed, chunks=6).put_into(computer)
        run = computer.run(40_000)
        assert run.ended == "exit"
        for vector in range(256):
            word = computer.memory.read(COUNTS + 4 * vector, 4)
            counts[vector] = counts.get(vector, 0) + int.from_bytes(word, "little")
    assert {1, 13, 14, 0x20, 0x81} <= {vector for vector, times in counts.items() if times > 3}
    assert not counts[8]  # and never a double fault


def test_the_same_seed_makes_the_same_kernel() -> None:
    assert random_guest(5) == random_guest(5) != random_guest(6)
    assert len(random_guest(5, judged=True).image) == IMAGE_END - CODE


@pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
@pytest.mark.parametrize(
    ("seed", "chunks"),
    [
        (1, 2),
        (4, 2),
        (103, 4),
        (115, 4),
        (132, 4),
        (164, 4),
        (186, 4),
        (278, 4),
        (455, 4),
        (456, 4),
    ],
)
def test_a_random_kernel_ends_as_in_qemu(seed: int, chunks: int, tmp_path: Path) -> None:
    """How often each vector was called, registers at each fault, page tables, and data.

    In 103 a jump into the middle of code meets a coprocessor's opcode, in 132 memory is read where
    QEMU has a firmware's; in 186 a repeated string instruction is traced; 455 has a CMOV, and 456 a
    selector of the local table; in the others a write is refused of what QEMU has read by then, of
    one page or of two.
    """
    pytest.importorskip("wasmtime")
    assert compared(seed, "wasm", tmp_path, chunks) == ""


@pytest.mark.parametrize(
    ("seed", "why"),
    [(145, "FF /7"), (292, "DS holds no segment"), (464, "writes over itself"), (1, ""), (186, "")],
)
def test_it_is_told_why_a_kernel_cannot_be_compared(seed: int, why: str) -> None:
    assert unasked(random_guest(seed, chunks=4, judged=True)) == why


def test_a_kernel_whose_loop_never_ends_is_seen() -> None:
    """It writes over the instruction that counts."""
    assert ours(random_guest(336, chunks=4, judged=True), "wasm") is None
