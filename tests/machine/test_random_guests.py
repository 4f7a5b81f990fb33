"""Small kernels made at random end in every tier as in the interpreter, and in QEMU."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from benchmarks.differential_guests import ends
from benchmarks.random_guests import RandomGuest, random_guest
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


def _elf(guest: RandomGuest) -> bytes:
    """Return a guest as a file for a Multiboot loader."""
    body = struct.pack("<III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF).ljust(16, b"\0")
    body += guest.image
    where = (CODE - 16, CODE - 16, len(body), len(body))
    fields = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, CODE, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    header = struct.pack("<8I", 1, 84, *where, 7, 4)
    return b"\x7fELF\x01\x01\x01".ljust(16, b"\0") + fields + header + body


def in_qemu(guest: RandomGuest, folder: Path) -> tuple[bytes, int]:
    """Return what a guest sends in QEMU, and its exit status."""
    assert QEMU is not None
    (folder / "guest.elf").write_bytes(_elf(guest))
    done = subprocess.run(
        [
            *(QEMU, "-kernel", str(folder / "guest.elf"), "-m", "8", "-accel", "tcg"),
            *("-cpu", "486"),
            *("-nodefaults", "-vga", "std", "-display", "none", "-no-reboot"),
            *("-serial", f"file:{folder / 'serial'}"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return (folder / "serial").read_bytes(), done.returncode


@pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
@pytest.mark.parametrize(("seed", "chunks"), [(1, 2), (4, 2), (103, 4), (115, 4), (132, 4)])
def test_a_random_kernel_ends_as_in_qemu(seed: int, chunks: int, tmp_path: Path) -> None:
    """How often each vector was called, registers at each fault, page tables, and data.

    In the last three a jump into the middle of code meets a coprocessor's opcode, a write is
    refused of what QEMU has read by then, and memory is read where QEMU has a firmware's.
    """
    pytest.importorskip("wasmtime")
    guest = random_guest(seed, chunks=chunks, rounds=3, judged=True)
    computer = Computer(2, history=0, tier="wasm", instructions_per_tick=1)
    guest.put_into(computer)
    run = computer.run(400_000)
    assert in_qemu(guest, tmp_path) == (run.output, run.exit_status)
