"""Small kernels made at random, in a tier and in QEMU: they must send the same, and end alike.

    python -m benchmarks.differential_qemu --tier wasm --first 1 --count 100

What the manual leaves open, and what QEMU does not do, is not asked by a guest that is made for a
judge (`benchmarks.random_guests`). But a jump may lead into the middle of an instruction, or code
be written over, and then anything is code. What cannot be compared there is seen by running the
guest here, and told:

- a segment that is none, or ends before: QEMU's translator asks no flat guest for it;
- `FF /7` in memory, which is no instruction: QEMU reads the operand first, which may fault;
- a repeated string instruction that writes over itself: it may go on as what it was, or as what it
  has become;
- a guest whose loop never ends, as its counter is written over: it must not end in QEMU either.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.random_guests import random_guest
from benchmarks.random_kernels import CODE
from virtlab.machine.computer import Computer
from virtlab.machine.encoding import encoding
from virtlab.machine.faults import Fault
from virtlab.machine.translation.llvm_host import LlvmHost

if TYPE_CHECKING:
    from benchmarks.random_guests import RandomGuest

__all__ = ["QEMU", "compared", "in_qemu", "main", "ours", "unasked"]

QEMU = shutil.which("qemu-system-i386") or shutil.which("qemu-system-x86_64")
_MOST = 400_000  # instructions of a guest that ends, and more
_GROUP, _NONE = 0xFF, 7
_SEGMENT = ("holds no segment", "beyond the segment's limit", "cannot be written", "cannot be read")


def in_qemu(guest: RandomGuest, folder: Path, seconds: float = 60) -> tuple[bytes, int] | None:
    """Return what a guest sends in QEMU, and its exit status.

    Parameters
    ----------
    guest
        One that is made for a judge.
    folder
        For files.
    seconds
        After which it is said not to end.

    Returns
    -------
    tuple or None
        None if it does not end.

    Examples
    --------
    >>> in_qemu.__name__
    'in_qemu'
    """
    (folder / "guest.elf").write_bytes(_elf(guest))
    try:
        done = subprocess.run(
            [
                *(str(QEMU), "-kernel", str(folder / "guest.elf"), "-m", "8", "-accel", "tcg"),
                *("-cpu", "486,+cmov"),
                *("-nodefaults", "-vga", "std", "-display", "none", "-no-reboot"),
                *("-serial", f"file:{folder / 'serial'}"),
                *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return (folder / "serial").read_bytes(), done.returncode


def _elf(guest: RandomGuest) -> bytes:
    """Return a guest as a file for a Multiboot loader."""
    body = struct.pack("<III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF).ljust(16, b"\0")
    body += guest.image
    where = (CODE - 16, CODE - 16, len(body), len(body))
    fields = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, CODE, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    header = struct.pack("<8I", 1, 84, *where, 7, 4)
    return b"\x7fELF\x01\x01\x01".ljust(16, b"\0") + fields + header + body


def _computer(guest: RandomGuest, tier: str) -> Computer:
    computer = Computer(2, history=0, tier=tier, instructions_per_tick=1)
    guest.put_into(computer)
    if computer.translator is not None:
        computer.translator.heat.hot = 1
        if isinstance(computer.translator.host, LlvmHost):
            computer.translator.host.in_background = False
    return computer


def ours(guest: RandomGuest, tier: str) -> tuple[bytes, int | None] | None:
    """Return what a guest sends here, and its exit status.

    Parameters
    ----------
    guest, tier
        Which, and what runs it.

    Returns
    -------
    tuple or None
        None if it does not end.

    Examples
    --------
    >>> sent, status = ours(random_guest(1, chunks=1, rounds=1, judged=True), "interpreter")
    >>> len(sent), status
    (37928, 1)
    """
    run = _computer(guest, tier).run(_MOST)
    return (run.output, run.exit_status) if run.ended == "exit" else None


def unasked(guest: RandomGuest) -> str:
    """Say why a guest cannot be compared with QEMU, by what faults here.

    Parameters
    ----------
    guest
        Which.

    Returns
    -------
    str
        Empty if it can.

    Examples
    --------
    >>> unasked(random_guest(1, chunks=1, rounds=1, judged=True))
    ''
    >>> unasked(random_guest(292, chunks=4, judged=True))
    'DS holds no segment'
    """
    computer = _computer(guest, "interpreter")
    processor, found = computer.processor, list[str]()
    step = processor.step

    def watched() -> object:
        place = processor.segments[1].base + processor.registers["EIP"] & 0xFFFFFFFF
        code = processor.memory.read(place, 2)
        try:
            done = step()
        except Fault as fault:
            if fault.vector in (12, 13) and any(words in fault.why for words in _SEGMENT):
                found.append(fault.why)
            elif fault.vector == 6 and _is_read_first(processor.memory.read(place, 15)):
                found.append("FF /7")
            raise
        if ".REP" in done.mnemonic and processor.memory.read(place, 2) != code:
            found.append("writes over itself")
        return done

    processor.step = watched  # type: ignore[method-assign, assignment]
    computer.run(_MOST)
    return found[0] if found else ""


def _is_read_first(code: bytes) -> bool:
    """Return whether QEMU reads an operand of what is no instruction."""
    parts = encoding(code)
    return (parts.opcode, parts.reg, parts.is_register) == (_GROUP, _NONE, False)


def compared(seed: int, tier: str, folder: Path, chunks: int = 4) -> str:
    """Run one guest in both; say what differs.

    Parameters
    ----------
    seed, chunks
        Which guest.
    tier
        Of ours.
    folder
        For files.

    Returns
    -------
    str
        Empty if nothing does; in parentheses, why it cannot be compared.

    Examples
    --------
    >>> compared.__name__
    'compared'
    """
    guest = random_guest(seed, chunks=chunks, judged=True)
    mine = ours(guest, tier)
    theirs = in_qemu(guest, folder, 60 if mine else 10)
    if mine == theirs:
        return "" if mine else "(ends in neither)"
    why = unasked(guest)
    return f"({why})" if why else "differs"


def main() -> None:
    """Compare guest after guest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", default="wasm")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--chunks", type=int, default=4)
    chosen = parser.parse_args()
    if QEMU is None:
        raise SystemExit("there is no QEMU here (Debian: qemu-system-x86)")
    differ = left_out = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(chosen.first, chosen.first + chosen.count):
            found = compared(seed, chosen.tier, Path(folder), chosen.chunks)
            left_out += found.startswith("(")
            differ += found == "differs"
            if found:
                print(f"seed {seed}: {found}", flush=True)
    print(f"{chosen.tier}: {chosen.count} guests, {left_out} left out, {differ} differ")


if __name__ == "__main__":
    main()
