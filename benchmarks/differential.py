"""Our interpreter beside Unicorn, on random instructions and random states.

    python -m benchmarks.differential --seconds 60 [--tier wasm]

Each round makes a few random instructions and a random state, runs both, and compares registers,
flags, memory and faults. Flags that the manual leaves undefined (iced-x86 knows which) are left
out. A round that differs is printed with all that is needed to see it again. With a tier, what is
tried is translated code, block by block (`benchmarks.differential_tiers`).

Unicorn, a library made of QEMU's translator, and iced-x86 are judges here and nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.machine.decode import Decoder
from virtlab.machine.encoding import encoding
from virtlab.machine.faults import Fault
from virtlab.machine.memory import Memory
from virtlab.machine.processor import Processor
from virtlab.machine.registers import ARITHMETIC, GENERAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

__all__ = ["Differential", "Tally", "main", "random_instruction"]

RAM = 4 << 20
CODE, CODE_END = 0x10000, 0x100000
DATA, DATA_END = 0x200000, 0x210000
_FLAGS = ARITHMETIC | 0x400  # and DF

# Opcodes that are no one's privilege, by how many bytes of immediate may follow.
_ONE = [
    *(high << 3 | low for high in range(8) for low in range(6)),
    *(0x27, 0x2F, 0x37, 0x3F, 0x60, 0x61, 0x68, 0x69, 0x6A, 0x6B),
    *range(0x40, 0x60),
    *range(0x70, 0x8C),
    *(0x8D, 0x8F),
    *range(0x90, 0x9A),
    *(0x9E, 0x9F, 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9),
    *range(0xAA, 0xC4),
    *(0xC6, 0xC7, 0xC8, 0xC9, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7),
    *(0xE0, 0xE1, 0xE2, 0xE3, 0xE8, 0xE9, 0xEB, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFC, 0xFD, 0xFE),
    0xFF,
]
_TWO = [
    *range(0x40, 0x50),
    *range(0x80, 0xA0),
    *(0xA3, 0xA4, 0xA5, 0xAB, 0xAC, 0xAD, 0xAF, 0xB0, 0xB1, 0xB3, 0xB6, 0xB7, 0xBA, 0xBB),
    *(0xBC, 0xBD, 0xBE, 0xBF, 0xC0, 0xC1, 0xC7),
    *range(0xC8, 0xD0),
]
_SHIFTS = {0xC0, 0xC1, 0xD2, 0xD3, 0x0FA4, 0x0FA5, 0x0FAC, 0x0FAD}
_STRINGS = {0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF}


def _repairs(opcode: int, prefixes: bytes, rest: bytearray, rng: Generator) -> bytes:
    """Keep an instruction to what both know and the manual defines; return its prefixes.

    What is steered around is Unicorn's (8F, C6 and C7 with a second part of the opcode; F6 /1; what
    RET drops taken for a signed number; ENTER of 16 bits, which changes all of EBP there and only
    BP on a real processor, as was tried), undefined (BSWAP, SHLD and SHRD of 16 bits), or left out
    of ours (operands of PUSH, POP and of bit strings at addresses of 16 bits).
    """
    middle = rest[0] >> 3 & 7
    if opcode in (0x8F, 0xC6, 0xC7):
        rest[0] &= ~0x38
    elif opcode == 0xFF and middle in (3, 5):
        rest[0] ^= 0x10  # far calls and jumps are the system's
    elif opcode in (0xF6, 0xF7) and middle == 1:
        rest[0] ^= 0x08
    elif opcode == 0xC2:
        rest[1] &= 0x7F
    elif opcode == 0x0FC7:
        rest[0] = rest[0] & 0x47 | 0x08  # CMPXCHG8B, which is the only one here
    elif 0xA0 <= opcode <= 0xA3:
        rest[0:4] = int(rng.integers(DATA, DATA_END)).to_bytes(4, "little")
    if opcode in (0x8F, 0xFF, 0x0FA3, 0x0FAB, 0x0FB3, 0x0FBB):
        prefixes = prefixes.replace(b"\x67", b"")
    if opcode == 0xC8:
        prefixes = b""
    undefined = opcode >= 0x0FC8 or opcode in (0x0FA4, 0x0FA5, 0x0FAC, 0x0FAD)
    return b"" if undefined else prefixes


def _one_of(choices: Sequence[int], rng: Generator) -> int:
    """Draw one; `rng.choice` would make an array of them each time."""
    return choices[int(rng.integers(len(choices)))]


def random_instruction(rng: Generator) -> bytes:
    """Return the bytes of an instruction, and more than enough after it.

    Parameters
    ----------
    rng
        Where chance comes from.

    Returns
    -------
    bytes
        20 bytes; the instruction is as many of them as it needs.

    Examples
    --------
    >>> len(random_instruction(np.random.default_rng(1)))
    20
    """
    two = rng.random() < 0.3
    opcode = _one_of(_TWO if two else _ONE, rng)
    prefixes = b"\x66" if rng.random() < 0.2 else b""
    if opcode in _STRINGS and not two and rng.random() < 0.4:
        prefixes += bytes([_one_of((0xF2, 0xF3), rng)])
    if rng.random() < 0.02:
        prefixes += b"\x67"
    rest = bytearray(rng.integers(0, 256, 20, dtype=np.uint8).tobytes())
    if rng.random() < 0.5:
        rest[0] |= 0xC0  # a register, not memory
    elif rest[0] >> 6 == 2 or rest[0] & 7 == 5:  # a displacement of 32 bits: keep it near
        near = int(rng.integers(DATA, DATA_END)) if rest[0] >> 6 == 0 else int(rng.integers(256))
        start = 2 if rest[0] & 7 == 4 else 1
        rest[start : start + 4] = near.to_bytes(4, "little")
    prefixes = _repairs(0x0F00 | opcode if two else opcode, prefixes, rest, rng)
    return (prefixes + (b"\x0f" if two else b"") + bytes([opcode]) + bytes(rest))[:20]


@dataclass
class Tally:
    """What was tried.

    Attributes
    ----------
    instructions
        How many ran in both.
    skipped
        How many could not be compared: they went where there is no memory.
    mnemonics
        How often each ran.
    differences
        What differed, in words.
    """

    instructions: int = 0
    skipped: int = 0
    mnemonics: Counter[str] = field(default_factory=Counter)
    differences: list[dict[str, Any]] = field(default_factory=list)


class Differential:
    """Two processors, and what they are compared by.

    Parameters
    ----------
    seed
        Of all chance.
    """

    def __init__(self, seed: int = 0, decoder: Decoder | None = None) -> None:
        import iced_x86
        import unicorn
        from unicorn import x86_const

        self.rng = np.random.default_rng(seed)
        self.iced: Any = iced_x86
        self.unicorn: Any = unicorn
        self.theirs = self.unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
        self.theirs.mem_map(0, RAM)
        self.theirs.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._wrote)
        self.theirs.hook_add(unicorn.UC_HOOK_INTR, self._interrupted)
        self.ids = {name: getattr(x86_const, f"UC_X86_REG_{name}") for name in GENERAL}
        self.eip, self.eflags = x86_const.UC_X86_REG_EIP, x86_const.UC_X86_REG_EFLAGS
        self.compared = [*self.ids.values(), self.eip, self.eflags]
        self.ours = Processor(Memory(RAM), decoder=decoder or Decoder())
        filling = self.rng.integers(0, 256, RAM, dtype=np.uint8).tobytes()
        self.ours.memory.data[:] = filling
        self.theirs.mem_write(0, filling)
        self.written: list[tuple[int, int]] = []
        self.vector = -1
        self.at = CODE
        self.tally = Tally()

    def _wrote(self, _uc: Any, _access: int, address: int, size: int, *_rest: Any) -> None:
        self.written.append((address, size))

    def _interrupted(self, uc: Any, vector: int, _data: Any) -> None:
        self.vector = vector
        uc.emu_stop()

    def state(self) -> dict[str, int]:
        """Return random registers: numbers, small numbers, and places in the data."""
        rng, state = self.rng, {}
        for name in GENERAL:
            kind = rng.random()
            if name in ("ESP", "EBP") or kind < 0.5:
                state[name] = int(rng.integers(DATA + 0x4000, DATA_END - 0x4000))
            elif kind < 0.6:
                state[name] = int(rng.integers(0, 40))
            elif kind < 0.7:
                state[name] = _one_of((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF), rng)
            else:
                state[name] = int(rng.integers(0, 1 << 32))
        state["EFLAGS"] = int(rng.integers(0, 1 << 12)) & _FLAGS | 2
        return state

    def round(self, length: int = 1) -> None:
        """Try some instructions, one after the other, from one random state.

        Parameters
        ----------
        length
            How many.

        Examples
        --------
        >>> Differential.round.__name__
        'round'
        """
        state = self.state()
        for name in GENERAL:
            self.ours.registers[name] = state[name]
            self.theirs.reg_write(self.ids[name], state[name])
        self.ours.registers.eflags = state["EFLAGS"]
        self.theirs.reg_write(self.eflags, state["EFLAGS"])
        for _ in range(length):
            if not self._one():
                return

    def _one(self) -> bool:
        """Try one instruction; return whether both did it, and alike."""
        if self.at + 32 > CODE_END:
            self.at = CODE
            self.theirs.ctl_remove_cache(CODE, CODE_END)
        code = random_instruction(self.rng)
        address, self.at = self.at, self.at + 32
        self.ours.memory.write(address, code)
        self.theirs.mem_write(address, code)
        self.ours.registers["EIP"] = address
        self.ours.memory.journal = []
        before = {name: self.ours.registers[name] for name in GENERAL}
        before["EFLAGS"] = self.ours.registers.eflags
        ours, mnemonic = -1, "?"
        try:
            mnemonic = self.ours.fetch().mnemonic
            mnemonic = self.ours.step().mnemonic
        except Fault as fault:
            ours = fault.vector
        error = self._theirs(address)
        if error == "skip":
            self._heal()
            self.tally.skipped += 1
            return False
        different = self._compare(code, ours, error, before["ECX"])
        self.tally.instructions += 1
        self.tally.mnemonics[mnemonic.partition(".")[0]] += 1
        if different:
            self.tally.differences.append(
                {"mnemonic": mnemonic, "code": code.hex(), "before": before, "what": different}
            )
        if different or ours >= 0:
            self._heal()
            return False
        return True

    def _theirs(self, address: int) -> str:
        """Run one instruction there; return the error, if any."""
        uc = self.unicorn
        self.written, self.vector = [], -1
        self.theirs.ctl_remove_cache(address, address + 32)
        kept = self.theirs.context_save()
        try:
            self.theirs.emu_start(address, 0xFFFFFFF0, count=1)
        except uc.UcError as error:
            self.theirs.context_restore(kept)
            nowhere = (uc.UC_ERR_READ_UNMAPPED, uc.UC_ERR_WRITE_UNMAPPED, uc.UC_ERR_FETCH_UNMAPPED)
            return "skip" if error.errno in nowhere else "#UD"
        if self.vector >= 0:
            self.theirs.context_restore(kept)
            return f"vector {self.vector}"
        return ""

    def _heal(self) -> None:
        """Make both memories equal again."""
        places = [(a, len(old)) for a, old in self.ours.memory.journal or []] + self.written
        for address, size in places:
            if address + size <= RAM:
                self.theirs.mem_write(address, self.ours.memory.read(address, size))

    def _compare(self, code: bytes, ours: int, error: str, count: int) -> str:
        if ours >= 0 or error:
            said = "" if ours < 0 else "#UD" if ours == 6 else f"vector {ours}"
            return "" if said == error else f"ours {said or 'ran'}, theirs {error or 'ran'}"
        found = []
        *general, eflags = self.theirs.reg_read_batch(self.compared)
        for name, theirs in zip((*GENERAL, "EIP"), general, strict=True):
            if theirs != self.ours.registers[name]:
                found.append(f"{name} {self.ours.registers[name]:#x}, theirs {theirs:#x}")
        mask = _FLAGS & ~self._undefined(code, count)
        mine, theirs = self.ours.registers.eflags, eflags
        if (mine ^ theirs) & mask:
            found.append(f"flags {mine & mask:#x}, theirs {theirs & mask:#x}")
        # What is undefined goes on as the judge has it, or the next instruction would differ.
        self.ours.registers.eflags = mine & mask | theirs & ~mask & _FLAGS
        places = [(a, len(old)) for a, old in self.ours.memory.journal or []] + self.written
        for address, size in places:
            mine_bytes = self.ours.memory.read(address, size)
            their_bytes = bytes(self.theirs.mem_read(address, size))
            if mine_bytes != their_bytes:
                found.append(f"at {address:#x} {mine_bytes.hex()}, theirs {their_bytes.hex()}")
        return "; ".join(found)

    def _undefined(self, code: bytes, ecx: int) -> int:
        """Return the flags that the manual leaves undefined after an instruction."""
        bits, flags = self.iced.RflagsBits, 0
        undefined = next(iter(self.iced.Decoder(32, code))).rflags_undefined
        for name, bit in (("CF", 0), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7), ("OF", 11)):
            if undefined & getattr(bits, name):
                flags |= 1 << bit
        parts = encoding(code)
        if parts.opcode in _SHIFTS:  # what is undefined depends on how far
            by_cl = parts.opcode & 0x0F in (2, 3, 5, 0xD)
            count = (ecx if by_cl else parts.rest[0]) & 31
            size = 1 if parts.opcode in (0xC0, 0xD2) else parts.operand_size
            flags |= 0x800 if count > 1 else 0  # OF
            flags |= 0x10 if count else 0  # AF
            flags |= 0x1 if count >= 8 * size and parts.reg >= 4 else 0  # CF
        return flags

    def run(self, seconds: float = math.inf, limit: int = 10, count: float = math.inf) -> Tally:
        """Try until the time is over, half of it blocks of 24, or until too much differs.

        Parameters
        ----------
        seconds
            How long.
        limit
            How many differences are enough.
        count
            How many instructions are enough: the same ones on each machine, however busy it is.

        Returns
        -------
        Tally
            What was tried.

        Examples
        --------
        >>> Differential.run.__name__
        'run'
        """
        end, tally = time.monotonic() + seconds, self.tally
        while tally.instructions < count and time.monotonic() < end:
            if len(tally.differences) >= limit:
                break
            for _ in range(24):
                self.round()
            self.round(24)
        return tally


def main() -> None:
    """Run, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--tier", default="interpreter")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.tier != "interpreter":
        from benchmarks.differential_tiers import report

        report(chosen.tier, chosen.seconds, chosen.seed, chosen.limit, as_json=chosen.json)
        return
    tally = Differential(chosen.seed).run(chosen.seconds, chosen.limit)
    if chosen.json:
        print(json.dumps({**vars(tally), "mnemonics": dict(tally.mnemonics)}))
        return
    for difference in tally.differences:
        print(f"{difference['mnemonic']:12} {difference['code']}  {difference['what']}")
        print("    before", {k: hex(v) for k, v in difference["before"].items()})
    print(
        f"{tally.instructions:,} instructions of {len(tally.mnemonics)} mnemonics, "
        f"{tally.skipped:,} skipped, {len(tally.differences)} differences"
    )


if __name__ == "__main__":
    main()
