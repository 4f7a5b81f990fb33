"""Translated code beside the emulator that people use, and beside the processor itself.

Eight programs of about a hundred million instructions, each engine in turn, in one run:

- native: the same program as a process of this machine, the physical limit;
- ours: the wasm tier, with memory that could be paged, exact counts of instructions, and a timer
  that may interrupt anywhere; what translating takes is in it;
- Unicorn: without counting, and counting instructions (`emu_start(count=...)`), which ours always
  does. Goal: 6 times as fast as the one that counts;
- the interpreter and the python tier, on the small program, by instruction. What translating takes
  is in the tier's time. Goal: the tier is 30 times as fast as the interpreter.

    python -m benchmarks.translator [--turns 3] [--json]

Processor time throughout. What is missing here (Unicorn, a processor for native i386) is said.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import machine
from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder
from virtlab.machine.guests import GUESTS, Guest
from virtlab.machine.image import load

if TYPE_CHECKING:
    from collections.abc import Callable

RAM_MIB = 16
DECODER = Decoder()


def ours(guest: Guest) -> float:
    """Run the large program in the wasm tier; return seconds."""
    computer = Computer(RAM_MIB, history=0, tier="wasm", decoder=DECODER)
    computer.load(load(guest.path(large=True), RAM_MIB << 20))
    begun = time.process_time()
    run = computer.run(10**9)
    taken = time.process_time() - begun
    if run.ended != "exit":
        raise RuntimeError(run.explain())
    return taken


def interpreter(guest: Guest) -> float:
    """Interpret a part of the small program; return seconds for as many as the large one has."""
    computer = Computer(RAM_MIB, history=0, decoder=DECODER)
    computer.load(load(guest.path(), RAM_MIB << 20))
    begun = time.process_time()
    done = computer.run(20_000).instructions
    return (time.process_time() - begun) / done * guest.large_instructions


def python(guest: Guest) -> float:
    """Run the small program in the python tier; return seconds for as many as the large one has."""
    computer = Computer(RAM_MIB, history=0, tier="python", decoder=DECODER)
    computer.load(load(guest.path(), RAM_MIB << 20))
    begun = time.process_time()
    done = computer.run(10**9).instructions
    return (time.process_time() - begun) / done * guest.large_instructions


def native(guest: Guest) -> float:
    """Run it as a process; return seconds, without what starting one takes."""
    with tempfile.TemporaryDirectory() as folder:
        program = shutil.copy(guest.native_path(large=True), folder)
        Path(program).chmod(0o755)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([program], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def unicorn(guest: Guest, *, counting: bool = False) -> float:
    """Run it in Unicorn; return seconds."""
    uc: Any = importlib.import_module("unicorn")
    x86_const: Any = importlib.import_module("unicorn.x86_const")
    ram = bytearray(RAM_MIB << 20)
    image = load(guest.path(large=True), len(ram))
    image.place(ram)
    emulator = uc.Uc(uc.UC_ARCH_X86, uc.UC_MODE_32)
    emulator.mem_map(0, len(ram))
    emulator.mem_write(0, bytes(ram))

    def out(machine_: Any, port: int, *_: object) -> None:
        if port == 0xF4:
            machine_.emu_stop()

    def ready(*_: object) -> int:
        return 0x60

    emulator.hook_add(uc.UC_HOOK_INSN, out, None, 1, 0, x86_const.UC_X86_INS_OUT)
    emulator.hook_add(uc.UC_HOOK_INSN, ready, None, 1, 0, x86_const.UC_X86_INS_IN)
    emulator.reg_write(x86_const.UC_X86_REG_EAX, 0x2BADB002)
    begun = time.process_time()
    emulator.emu_start(image.entry, 0xFFFFFFFF, count=10**9 if counting else 0)
    return time.process_time() - begun


def counting_unicorn(guest: Guest) -> float:
    """Run it in a Unicorn that counts instructions; return seconds."""
    return unicorn(guest, counting=True)


ENGINES: dict[str, Callable[[Guest], float]] = {
    "native": native,
    "ours": ours,
    "Unicorn": unicorn,
    "Unicorn, counting": counting_unicorn,
    "python": python,
    "interpreter": interpreter,
}


def available() -> tuple[dict[str, Callable[[Guest], float]], list[str]]:
    """Return the engines that run here, and a line for each that does not."""
    engines, missing = dict(ENGINES), []
    try:
        native(GUESTS[0])
    except OSError as error:
        missing.append(f"native: {error}")
        del engines["native"]
    if importlib.util.find_spec("unicorn") is None:
        missing.append("Unicorn: not installed")
        engines = {name: run for name, run in engines.items() if not name.startswith("Unicorn")}
    return engines, missing


def measure(turns: int) -> tuple[dict[str, dict[str, list[float]]], list[str]]:
    """Return seconds by program and engine, engines in turn."""
    engines, missing = available()
    seconds = {guest.name: {name: [0.0] * 0 for name in engines} for guest in GUESTS}
    for _ in range(turns):
        for guest in GUESTS:
            for name, run in engines.items():
                seconds[guest.name][name].append(run(guest))
    return seconds, missing


def means(
    seconds: dict[str, dict[str, list[float]]], beside: str = "ours"
) -> dict[str, dict[str, float]]:
    """Return for each engine how many times as long as one it takes: by program, and in all."""
    found: dict[str, dict[str, float]] = {}
    for name in next(iter(seconds.values())):
        ratios = {
            program: statistics.median(
                a / b for a, b in zip(by_engine[name], by_engine[beside], strict=True)
            )
            for program, by_engine in seconds.items()
        }
        found[name] = {**ratios, "geometric mean": statistics.geometric_mean(ratios.values())}
    return found


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    seconds, missing = measure(chosen.turns)
    ratios = means(seconds)
    if chosen.json:
        print(json.dumps({"seconds": seconds, "times_ours": ratios, "missing": missing}))
        return
    print(machine())
    print(f"{'times as long as ours':24}" + "".join(f"{name:>19}" for name in ratios))
    for program in next(iter(ratios.values())):
        print(f"{program:24}" + "".join(f"{by[program]:19,.2f}" for by in ratios.values()))
    behind = means(seconds, "python")["interpreter"]["geometric mean"]
    print(f"the interpreter takes {behind:,.1f} times as long as the python tier")
    for line in missing:
        print(f"not run: {line}")


if __name__ == "__main__":
    main()
