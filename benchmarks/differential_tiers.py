"""Translated code beside Unicorn: whole blocks, in loops, millions of instructions.

    python -m benchmarks.differential --tier wasm --seconds 60 --seed 1

A block is a few random instructions, with short jumps forward, in a loop of some thousand rounds.
Each was first tried in Unicorn, one after the other, so that most rounds get through; registers
that addresses are made of are set anew each round, the others go on. Both run the block from the
same state, and registers, flags and all of memory must then be the same. If Unicorn stops within it
(no memory there, no quotient), it is run again to count its instructions up to there, and ours has
to be the same after exactly as many; so it is for the shorter of the others too.

Flags that the manual leaves undefined cannot be compared: after an instruction that leaves any, a
random one of the others goes into memory, and a comparison then defines them all.

What a tier leaves to the interpreter (callouts, and the rest of a run that ends within a block) is
counted apart: `translated` is what ran in the tier.

Unicorn, a library made of QEMU's translator, and iced-x86 are judges here and nothing else.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from benchmarks.differential import CODE, DATA, DATA_END, RAM, Differential, random_instruction
from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder
from virtlab.machine.encoding import encoding
from virtlab.machine.faults import Fault
from virtlab.machine.registers import GENERAL
from virtlab.machine.translation.llvm_host import LlvmHost

__all__ = ["Block", "TierDifferential", "TierTally", "report"]

ROUNDS, FLAG_LOG = DATA_END + 0x8000, DATA_END + 0x8100
_BASES = {"EBX": 0xBB, "ESP": 0xBC, "EBP": 0xBD, "ESI": 0xBE, "EDI": 0xBF}  # mov, imm32
_FLAGS = 0xCD5
_SET = {"CF": 0x92, "ZF": 0x94, "SF": 0x98, "PF": 0x9A}  # setcc
_COUNTED = {0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3, 0x0FA4, 0x0FA5, 0x0FAC, 0x0FAD}
_SHORT = 100  # rounds of a block whose instructions are counted though it gets through
# After it Unicorn makes CF and AF of a comparison before it from the EAX that it loads, though it
# is to leave them; it does not if flags are there already.
_CMPXCHG8B = 0x0FC7
_FAR = 0x2000  # bytes of code that a block may not exceed


class Block(NamedTuple):
    """A block and how it is run.

    Attributes
    ----------
    start, end
        Its first address, and that of the `hlt` behind it.
    code
        Its bytes.
    rounds
        How often it goes round.
    """

    start: int
    end: int
    code: bytes
    rounds: int


@dataclass
class TierTally:
    """What was tried.

    Attributes
    ----------
    instructions
        How many ran in ours.
    translated
        How many of these in the tier, and not in the interpreter.
    blocks, stopped, counted, skipped
        Blocks; of them, those that Unicorn could not end; those whose instructions were counted;
        those that were not compared, because they wrote on themselves.
    mnemonics
        In how many blocks each was.
    differences
        What differed, in words.
    """

    instructions: int = 0
    translated: int = 0
    blocks: int = 0
    stopped: int = 0
    counted: int = 0
    skipped: int = 0
    mnemonics: Counter[str] = field(default_factory=Counter)
    differences: list[dict[str, Any]] = field(default_factory=list)


class TierDifferential:
    """A computer that translates, and Unicorn.

    Parameters
    ----------
    tier
        Of `virtlab.machine.translation.tiers.TIERS`, not the interpreter.
    seed
        Of all chance.
    decoder
        One that was used before.
    """

    def __init__(self, tier: str, seed: int = 0, decoder: Decoder | None = None) -> None:
        self.judge = Differential(seed, decoder)
        self.uc, self.rng = self.judge.theirs, self.judge.rng
        self.tier, self.decoder = tier, decoder or Decoder()
        self.tally = TierTally()
        self.at = CODE
        self.filling = self.rng.integers(0, 256, RAM, dtype=np.uint8).tobytes()
        self._anew()

    def _anew(self) -> None:
        """Begin with a new computer, and the same memory on both sides."""
        self.ours = Computer(RAM >> 20, history=0, tier=self.tier, decoder=self.decoder)
        translator = self.ours.translator
        if translator is None:
            raise ValueError(f"{self.tier} does not translate")
        self.translator = translator
        translator.heat.hot = 1
        if isinstance(translator.host, LlvmHost):
            translator.host.in_background = False
        self.ours.loaded, self.at = True, CODE
        self.ours.memory.write(0, self.filling)
        self.uc.mem_write(0, self.filling)
        self.uc.ctl_remove_cache(0, RAM)

    # --- a block ----------------------------------------------------------------------------------

    def block(self, length: int, rounds: int) -> Block:
        """Make a block of instructions that Unicorn can do, at least the first time.

        `length` is without those that are added for flags and addresses.
        """
        if self.at + _FAR > DATA - _FAR:
            self._anew()
        start = self.at
        code = b"\xc7\x05" + ROUNDS.to_bytes(4, "little") + rounds.to_bytes(4, "little")
        again = len(code)
        for opcode in _BASES.values():
            place = int(self.rng.integers(DATA + 0x4000, DATA_END - 0x4000)) & ~3
            code += bytes([opcode]) + place.to_bytes(4, "little")
        self._put(start, code)
        self._try(start, start + len(code))
        for _ in range(length):
            piece = self._piece(start + len(code))
            self._put(start + len(code), piece)
            if self._try(start + len(code), start + len(code) + len(piece)):
                code += piece
        code += b"\xff\x0d" + ROUNDS.to_bytes(4, "little")  # dec dword ptr
        code += b"\x0f\x85" + (again - len(code) - 6 & 0xFFFFFFFF).to_bytes(4, "little")  # jnz
        code += b"\xf4"
        self._put(start, code)
        self.at = start + len(code) + int(self.rng.integers(0, 40))
        return Block(start, start + len(code) - 1, code, rounds)

    def _put(self, address: int, code: bytes) -> None:
        self.uc.mem_write(address, code)
        self.uc.ctl_remove_cache(address, address + len(code))

    def _piece(self, address: int) -> bytes:
        """Return an instruction, with what has to be around it."""
        while True:
            words = random_instruction(self.rng)
            try:
                found = self.decoder.decode(address, words[:15])
            except Fault:
                continue
            if self._leads_away(found.code):
                continue
            piece = found.code
            if words[0] in (0xF2, 0xF3) or words[1] in (0xF2, 0xF3):  # a few rounds only
                piece = b"\xb9" + int(self.rng.integers(0, 6)).to_bytes(4, "little") + piece
            if encoding(piece).opcode == _CMPXCHG8B:
                piece = b"\x9c\x9d" + piece  # pushf, popf
            self.tally.mnemonics[found.mnemonic.partition(".")[0]] += 1
            piece += self._defined(found.code)
            if self.rng.random() < 0.15:  # jcc over it
                piece = bytes([0x70 + int(self.rng.integers(16)), len(piece)]) + piece
            return piece

    def _defined(self, code: bytes) -> bytes:
        """Return what shows a defined flag, and then defines all, if there are undefined ones."""
        iced = self.judge.iced
        bits, undefined = iced.RflagsBits, next(iter(iced.Decoder(32, code))).rflags_undefined
        if encoding(code).opcode in _COUNTED:
            undefined |= bits.OF | bits.AF | bits.CF
        if not undefined:
            return b""
        left = [number for name, number in _SET.items() if not undefined & getattr(bits, name)]
        shown = b""
        if left:
            shown = b"\x0f" + bytes([int(self.rng.choice(left)), 0x05])
            shown += (FLAG_LOG + int(self.rng.integers(64))).to_bytes(4, "little")
        compared = int(self.rng.integers(1 << 32)).to_bytes(4, "little")
        return shown + b"\x3d" + compared  # cmp eax

    def _leads_away(self, code: bytes) -> bool:
        """Return whether an instruction may go elsewhere: jumps are made where they are wanted."""
        iced = self.judge.iced
        return bool(next(iter(iced.Decoder(32, code))).flow_control != iced.FlowControl.NEXT)

    def _try(self, start: int, end: int) -> bool:
        """Let Unicorn go on from where it is; take it back if it cannot."""
        kept = self.uc.context_save()
        self.judge.vector = -1
        try:
            self.uc.emu_start(start, end, count=64)
        except self.judge.unicorn.UcError:
            self.uc.context_restore(kept)
            return False
        if self.judge.vector >= 0 or self.uc.reg_read(self.judge.eip) != end:
            self.uc.context_restore(kept)
            return False
        return True

    # --- both -------------------------------------------------------------------------------------

    def _begin(self, state: dict[str, int], start: int) -> None:
        processor = self.ours.processor
        self.ours.shutdown, self.ours.clock.waited = "", 0
        processor.halted, processor.instructions = False, 0
        for name in GENERAL:
            processor.registers[name] = state[name]
            self.uc.reg_write(self.judge.ids[name], state[name])
        processor.registers.eflags = state["EFLAGS"]
        processor.registers["EIP"] = start
        self.uc.reg_write(self.judge.eflags, state["EFLAGS"])

    def _theirs(self, block: Block, before: bytes, state: dict[str, int], *, count: bool) -> int:
        """Run it there, maybe again to count; return how many instructions, or -1."""
        ended = self._emulate(block)
        if ended and not count:
            return -1
        steps = _Steps()
        self._back(before, state)
        self._hooked(block, steps)
        if ended:
            return steps.done
        self._back(before, state)
        self._hooked(block, _Steps(steps.done - 1))  # without the one that it could not do
        return steps.done - 1

    def _back(self, before: bytes, state: dict[str, int]) -> None:
        """Give Unicorn its memory and registers back."""
        self.uc.mem_write(0, before)
        self.uc.ctl_remove_cache(0, RAM)
        for name in GENERAL:
            self.uc.reg_write(self.judge.ids[name], state[name])
        self.uc.reg_write(self.judge.eflags, state["EFLAGS"])

    def _hooked(self, block: Block, steps: _Steps) -> None:
        hook = self.uc.hook_add(self.judge.unicorn.UC_HOOK_CODE, steps.step)
        self._emulate(block)
        self.uc.hook_del(hook)

    def _emulate(self, block: Block) -> bool:
        """Return whether it got through."""
        self.judge.vector = -1
        try:
            self.uc.emu_start(block.start, block.end)
        except self.judge.unicorn.UcError:
            return False
        return self.judge.vector < 0 and self.uc.reg_read(self.judge.eip) == block.end

    def compare(self, block: Block) -> str:
        """Run a block on both from a random state; say what differs, if anything does."""
        state = self.judge.state()
        before = bytes(self.uc.mem_read(0, RAM))
        self.ours.memory.write(0, before)
        self._begin(state, block.start)
        steps = self._theirs(block, before, state, count=block.rounds <= _SHORT)
        ended = self.uc.reg_read(self.judge.eip) == block.end
        translated = self.translator.counts["instructions"]
        run = self.ours.run(max(steps, 1) if not ended else 100_000_000) if steps or ended else None
        done = 0 if run is None else run.instructions
        self.tally.instructions += done
        self.tally.translated += self.translator.counts["instructions"] - translated
        self.tally.blocks += 1
        self.tally.stopped += not ended
        self.tally.counted += steps >= 0
        if bytes(self.uc.mem_read(block.start, len(block.code))) != block.code:
            self.tally.skipped += 1  # QEMU goes on with what it has of an instruction
            return ""
        found = self._different(ended=ended)
        if steps >= 0 and done - ended != steps:
            found.append(f"{done - ended} instructions, theirs {steps}")
        if ended and self.ours.ended != "halted":
            found.append(f"it ended with {self.ours.ended or 'the limit'}")
        return "; ".join(found)

    def _different(self, *, ended: bool) -> list[str]:
        registers, found = self.ours.processor.registers, []
        for name in GENERAL:
            theirs = self.uc.reg_read(self.judge.ids[name])
            if theirs != registers[name]:
                found.append(f"{name} {registers[name]:#x}, theirs {theirs:#x}")
        eip = self.uc.reg_read(self.judge.eip) + ended
        if eip != registers["EIP"]:
            found.append(f"EIP {registers['EIP']:#x}, theirs {eip:#x}")
        flags = (registers.eflags ^ self.uc.reg_read(self.judge.eflags)) & _FLAGS
        if flags and ended:  # within a block some may be undefined
            found.append(f"flags {flags:#x} differ")
        if self.ours.memory.data != self.uc.mem_read(0, RAM):
            mine = np.frombuffer(bytes(self.ours.memory.data), np.uint8)
            other = np.frombuffer(bytes(self.uc.mem_read(0, RAM)), np.uint8)
            found.append(f"memory at {int(np.flatnonzero(mine != other)[0]):#x}")
        return found

    def run(self, seconds: float, limit: int = 10, rounds: int = 10_000) -> TierTally:
        """Try until the time is over, or until so many differ; blocks go round so often at most."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(self.tally.differences) < limit:
            most = {0: 2, 1: _SHORT}.get(self.tally.blocks % 8, rounds)
            length = int(self.rng.integers(4, 40))
            block = self.block(length, int(self.rng.integers(1, most + 1)))
            different = self.compare(block)
            if different:
                self.tally.differences.append({"code": block.code.hex(), "what": different})
                self._anew()
        return self.tally


def report(tier: str, seconds: float, seed: int, limit: int, *, as_json: bool) -> None:
    """Try, and print what was found.

    Parameters
    ----------
    tier
        Which.
    seconds, seed, limit
        As `TierDifferential` takes them.
    as_json
        Print it as JSON.

    Examples
    --------
    >>> report.__name__
    'report'
    """
    tally = TierDifferential(tier, seed).run(seconds, limit)
    if as_json:
        print(json.dumps({**vars(tally), "mnemonics": dict(tally.mnemonics), "tier": tier}))
        return
    for difference in tally.differences:
        print(f"{difference['code']}  {difference['what']}")
    share = tally.translated / max(tally.instructions, 1)
    print(
        f"{tier}: {tally.instructions:,} instructions, {share:.2%} of them translated, in "
        f"{tally.blocks:,} blocks of {len(tally.mnemonics)} mnemonics; {tally.stopped:,} stopped "
        f"within, {tally.counted:,} counted one by one, {tally.skipped:,} left out, "
        f"{len(tally.differences)} differences"
    )


class _Steps:
    """Counts instructions as they begin; each round of a repeated string is one, as in ours."""

    def __init__(self, most: int | None = None) -> None:
        self.most, self.done = most, 0

    def step(self, uc: Any, _address: int, _size: int, _data: Any) -> None:
        """See an instruction begin."""
        if self.done == self.most:
            uc.emu_stop()
        else:
            self.done += 1
