"""What one event costs, what translating costs, and how soon there is a first result.

Parts of `benchmarks.translator`. The programs are a few bytes of machine code each.

- **An event**: a loop with one instruction that somebody has to step in for, against the same loop
  with a plain one instead, after a first run in which all is translated. There are two kinds of
  port. One need not be asked each time (the serial port's status, and what it sends): translated
  code does the access, and the device takes it in when code is left, which is part of what is
  measured. The other must be asked (the timer's counter, and its command): the machine's bus does
  it, in Python. In Unicorn both go to a hook of Python.
- **Translating**: small programs in a fresh machine, with a watch around each of the translator's
  steps; what decoding takes is part of finding the region.
- **First result**: from no machine to the end of a program of 300 instructions: in one process, in
  which a machine has run before, and as a whole process, with all imports, whose modules were
  compiled by a process before, as an installed package's are. Where each instruction
  runs once each run has a program of its own, drawn from a seed: a process remembers which bytes
  it has decoded, and what it remembers of the very same program would not be a first result.
"""

from __future__ import annotations

import gc
import importlib.util
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from benchmarks.translator_engines import Stopwatch, settle, unicorn_machine
from virtlab.machine.computer import Computer
from virtlab.machine.guests import GUESTS
from virtlab.machine.image import load
from virtlab.machine.translation import making
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_code import llvm
from virtlab.machine.translation.tiers import TIERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["events", "first_results", "translation"]

CODE = 0x100000
RAM = 2 << 20
TIMES = 5_000
NEEDS = {"wasm": "wasmtime", "llvm": "llvmlite"}
_NOTHING = 0x80
KINDS = {  # the event, and the port in DX
    "out, taken within": ("ee", 0x3F8),
    "in, answered within": ("ec", 0x3FD),
    "out that must leave": ("ee", 0x43),
    "in that must leave": ("ec", 0x40),
    "read CR0": ("0f20c0", _NOTHING),
    "sti": ("fb", _NOTHING),
}
PLAIN = "89c3", _NOTHING  # mov ebx,eax
# xor eax,eax; mov ecx,49; loop: mov edx,ecx; imul edx,ecx; add eax,edx; xor ebx,edx; dec; jnz; out;
# and a jump to itself, as what lies behind would be translated too.
LOOP = bytes.fromhex("31c0 b931000000 89ca 0fafd1 01d0 31d3 49 75f4 e6f4 ebfe")


def _tiers() -> Iterator[str]:
    for name in TIERS:
        if name not in NEEDS or importlib.util.find_spec(NEEDS[name]):
            yield name


def _has_unicorn() -> bool:
    return importlib.util.find_spec("unicorn") is not None


# --- events ---------------------------------------------------------------------------------------


def _loop(event: str, port: int) -> bytes:
    """Return a loop without end: xor eax,eax; mov dx,port; then the event, dec ecx, jmp back."""
    body = bytes.fromhex(event + "49")
    begin = bytes.fromhex("31c0 66ba") + port.to_bytes(2, "little")
    return begin + body + bytes([0xEB, 256 - len(body) - 2])


def _here(tier: str, event: tuple[str, int]) -> Callable[[], float]:
    """Return what measures a turn of the loop in a tier, in microseconds, all being translated."""
    computer = Computer(2, history=0, tier=tier)
    computer.load_code(_loop(*event), CODE)
    computer.run(3 * 2_000)
    if tier == "llvm":
        leaves = event in (KINDS["out that must leave"], KINDS["in that must leave"])
        computer.run(3 * 2_000 if leaves else 3_000_000)
        settle()

    def turn() -> float:
        with Stopwatch() as watch:
            computer.run(3 * TIMES)
        return 1e6 * watch.taken.cpu_s / TIMES

    return turn


def _in_unicorn(event: tuple[str, int]) -> Callable[[], float]:
    """Return the same for Unicorn; what it runs ends after a number of turns."""
    words, port = event
    code = bytes.fromhex("b9") + TIMES.to_bytes(4, "little") + bytes.fromhex("66ba")
    code += port.to_bytes(2, "little") + bytes.fromhex(words)
    code += bytes.fromhex("49 75") + bytes([256 - len(bytes.fromhex(words)) - 3])
    ram = bytearray(RAM)
    ram[CODE : CODE + len(code)] = code
    emulator = unicorn_machine(bytes(ram), lambda _machine, _port: None)

    def turn() -> float:
        with Stopwatch() as watch:
            emulator.emu_start(CODE, CODE + len(code))
        return 1e6 * watch.taken.cpu_s / TIMES

    return turn


def events(turns: int) -> dict[str, dict[str, float]]:
    """Return what an event costs in each engine, in microseconds, engines in turn."""
    runs: dict[str, dict[str, Callable[[], float]]] = {
        tier: {kind: _here(tier, code) for kind, code in {**KINDS, "": PLAIN}.items()}
        for tier in _tiers()
    }
    if _has_unicorn():
        hooked = {
            **{kind: code for kind, code in KINDS.items() if code[0] in ("ee", "ec")},
            "": PLAIN,
        }
        runs["Unicorn"] = {kind: _in_unicorn(code) for kind, code in hooked.items()}
    taken: dict[str, dict[str, list[float]]] = {
        engine: {kind: [] for kind in by} for engine, by in runs.items()
    }
    for _ in range(turns):
        for engine, by in runs.items():
            for kind, run in by.items():
                taken[engine][kind].append(run())
    return {
        engine: {
            kind: statistics.median(a - b for a, b in zip(times, by[""], strict=True))
            for kind, times in by.items()
            if kind
        }
        for engine, by in taken.items()
    }


# --- translating ----------------------------------------------------------------------------------


class _Watched:
    """Measures the translator's steps by what is put in their places while it is open."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.instructions = 0
        self._put: list[tuple[Any, str, Any]] = []

    def around(self, where: Any, name: str, part: str) -> None:
        """Measure a function of a module or an object as a part."""
        real = getattr(where, name)

        def timed(*given: Any, **named: Any) -> Any:
            begun = time.thread_time()
            found = real(*given, **named)
            self.seconds[part] += time.thread_time() - begun
            if name == "find_region":
                self.instructions += len(found.code)
            return found

        self._put.append((where, name, real))
        setattr(where, name, timed)

    def around_calls(self, function: Any, part: str) -> None:
        """Measure a function wherever another module of the translator's calls it."""
        name = function.__name__
        for module in list(sys.modules.values()):
            is_ours = module.__name__.startswith("virtlab.machine.translation.")
            is_used = is_ours and module.__name__ != function.__module__
            if is_used and vars(module).get(name) is function:
                self.around(module, name, part)

    def undo(self) -> None:
        """Put everything back."""
        for where, name, real in reversed(self._put):
            setattr(where, name, real)

    def per_instruction(self) -> dict[str, float]:
        """Return milliseconds an instruction: in all, and by part."""
        by = {part: 1e3 * s / self.instructions for part, s in self.seconds.items()}
        return {"all": sum(by.values()), **by}


def translation() -> dict[str, dict[str, float]]:
    """Return what an instruction costs to translate, in milliseconds: in all, and by part."""
    return {tier: _translation(tier) for tier in _tiers() if tier != "interpreter"}


def _translation(tier: str) -> dict[str, float]:
    gc.collect()
    gc.freeze()  # what was there before is not for who comes now to look through
    watched = _Watched()
    watched.around(making, "find_region", "decode, find")
    watched.around(making, "lift", "lift")
    watched.around_calls(needs, "flags")
    try:
        for guest in GUESTS:
            computer = Computer(16, history=0, tier=tier)
            computer.load(load(guest.path(), 16 << 20))
            host: Any = computer.translator.host if computer.translator is not None else None
            if tier == "llvm":
                _watch_llvm(watched, host)
            else:
                watched.around(host, "compile", "emit")
                watched.around(host, "install", "wasmtime" if tier == "wasm" else "compile")
            computer.run(10**9)
    finally:
        watched.undo()
        gc.unfreeze()
    return watched.per_instruction()


def _watch_llvm(watched: _Watched, host: Any) -> None:
    """Let LLVM make each region at once, and leave out what the wasm tier does before."""
    host.in_background = False
    if not any(name == "LlvmFunction" for _, name, _ in watched._put):  # noqa: SLF001 - its own
        watched.around_calls(LlvmFunction, "emit")
        watched.around(llvm(), "code", "LLVM")


# --- first result ---------------------------------------------------------------------------------


def _once(seed: int) -> bytes:
    """Return 299 instructions without a jump, on other registers and numbers each, and an exit.

    Of each four: mov r,number; add r,r; sub r,r; imul r,r. The stack pointer is left alone.
    """
    chosen = random.Random(seed)
    code = b""
    for k in range(299):
        one, other = (chosen.choice((0, 1, 2, 3, 5, 6, 7)) for _ in range(2))
        registers = bytes([0xC0 | one << 3 | other])
        if k % 4 == 0:
            code += bytes([0xB8 | one]) + chosen.randbytes(4)
        else:
            code += (b"", b"\x01", b"\x29", b"\x0f\xaf")[k % 4] + registers
    return code + bytes.fromhex("e6f4 ebfe")  # Unicorn ends before the jump, not before its block


_OURS = """
from virtlab.machine.computer import Computer
computer = Computer(2, history=0, tier={tier!r})
computer.load_code(bytes.fromhex({code!r}))
assert computer.run().ended == "exit"
"""
_UNICORN = """
import unicorn, unicorn.x86_const
emulator = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
emulator.mem_map(0, 2 << 20)
emulator.mem_write(0x100000, bytes.fromhex({code!r}))
stop = lambda machine, *_: machine.emu_stop()
emulator.hook_add(unicorn.UC_HOOK_INSN, stop, None, 1, 0, unicorn.x86_const.UC_X86_INS_OUT)
emulator.emu_start(0x100000, 0xFFFFFFFF)
"""


def _fresh(code: bytes, tier: str) -> float:
    with Stopwatch() as watch:
        if tier == "Unicorn":
            ram = bytearray(RAM)
            ram[CODE : CODE + len(code)] = code
            unicorn_machine(bytes(ram)).emu_start(CODE, 0xFFFFFFFF)
        else:
            computer = Computer(2, history=0, tier=tier)
            computer.load_code(code, CODE)
            if computer.run().ended != "exit":
                raise RuntimeError(tier)
    return 1e3 * watch.taken.cpu_s


def _whole_in(cache: str) -> Callable[[bytes, str], float]:
    """Return what measures a whole process on the wall, in milliseconds.

    Modules are found compiled in a folder of its own: whether this process may write beside them
    (PYTHONDONTWRITEBYTECODE) says nothing about what is measured.
    """
    around = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    around.pop("PYTHONDONTWRITEBYTECODE", None)

    def whole(code: bytes, tier: str) -> float:
        text = _UNICORN if tier == "Unicorn" else _OURS
        begun = time.perf_counter()
        program = text.format(code=code.hex(), tier=tier)
        subprocess.run([sys.executable, "-c", program], check=True, env=around)
        return 1e3 * (time.perf_counter() - begun)

    return whole


def first_results(turns: int) -> dict[str, dict[str, float]]:
    """Return milliseconds from nothing to the end of 300 instructions, engines in turn."""
    with tempfile.TemporaryDirectory() as cache:
        return _first_results(turns, _whole_in(cache))


def _first_results(turns: int, whole: Callable[[bytes, str], float]) -> dict[str, dict[str, float]]:
    seeds = itertools.count()
    engines = [*_tiers(), *(["Unicorn"] if _has_unicorn() else [])]
    ways: dict[str, tuple[Callable[[bytes, str], float], Callable[[], bytes], int]] = {
        "in one process, a loop": (_fresh, lambda: LOOP, 5),
        "in one process, each instruction once": (_fresh, lambda: _once(next(seeds)), 3),
        "a whole process, a loop": (whole, lambda: LOOP, 1),
    }
    found: dict[str, dict[str, list[float]]] = {way: {e: [] for e in engines} for way in ways}
    for engine in engines:
        _fresh(LOOP, engine)  # imports, and tables that all machines share
        whole(LOOP, engine)  # modules, compiled
    for _ in range(turns):
        for way, (run, code, repeats) in ways.items():
            for engine in engines:
                found[way][engine].append(
                    statistics.median(run(code(), engine) for _ in range(repeats))
                )
    return {
        way: {engine: statistics.median(times) for engine, times in by.items()}
        for way, by in found.items()
    }
