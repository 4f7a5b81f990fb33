"""The engines that `benchmarks.translator` compares: each runs a guest program and says how long.

- native: the same program as a process of this machine, the physical limit.
- qemu-i386: QEMU's user mode, on that process. It has no MMU to stand in for, no devices, and
  counts nothing: what it is compared with has no MMU either.
- Unicorn, and Unicorn counting instructions (`emu_start(count=...)`), which ours always does.
- our tiers: memory that could be paged, exact counts of instructions, a timer that may interrupt
  anywhere. What translating takes is in it, what another thread takes for it too.
- our tiers without MMU (`Computer(mmu=False)`).
- llvm, once warm: the same program again on the same machine, when it has run twice and four
  hundred million instructions were done: what is left when what compiling takes no longer counts,
  as in a run that is long enough. In the second run some code still waits in the wasm tier.
- interpreter, python: on the small program, by instruction.

Each measures two times: of the processor, all threads together, and of the clock on the wall.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder
from virtlab.machine.guests import GUESTS, Guest
from virtlab.machine.image import load
from virtlab.machine.translation.llvm_host import _worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = [
    "BY_INSTRUCTION",
    "ENGINES",
    "UNICORN",
    "Engine",
    "Stopwatch",
    "Taken",
    "available",
    "machine_for",
    "ram_mib",
    "settle",
    "unicorn_machine",
]

SPARE_MIB = 16  # that a machine has beyond a program and its data
MOST_BYTES = 3 << 30  # of a machine's memory
_LIMIT = 10**12  # instructions
_TWICE, _WARM = 2, 380_000_000  # runs, and instructions, after which what is hot is compiled
DECODER = Decoder()


class Taken(NamedTuple):
    """How long something took, in seconds: of the processor, and on the wall."""

    cpu_s: float
    wall_s: float

    def times(self, factor: float) -> Taken:
        """Return as many times that."""
        return Taken(self.cpu_s * factor, self.wall_s * factor)


class Stopwatch:
    """Measures what is done while it is open; `taken` then says how long.

    What engines before have left behind is thrown away first, so that nobody is charged for it.
    """

    taken: Taken

    def __enter__(self) -> Self:
        """Begin."""
        gc.collect()
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self.taken = Taken(time.process_time() - self._cpu, time.perf_counter() - self._wall)


def settle() -> None:
    """Wait until LLVM has nothing more to do: it would be charged to who runs next."""
    _worker().submit(int).result()


def ram_mib(program: Path) -> int:
    """Return how much memory a machine needs for a program, in MiB."""
    segments = load(program, MOST_BYTES).segments
    end = max(one.address + one.memory_bytes for one in segments)
    return -(-end >> 20) + SPARE_MIB


def machine_for(program: Path, tier: str, *, mmu: bool = True) -> Computer:
    """Return a machine with a program, large enough for its data."""
    mib = ram_mib(program)
    computer = Computer(mib, history=0, tier=tier, decoder=DECODER, mmu=mmu)
    computer.load(load(program, mib << 20))
    return computer


def tier(name: str, *, mmu: bool = True) -> Callable[[Guest], Taken]:
    """Return what runs the large program in a tier of ours."""

    def run(guest: Guest) -> Taken:
        computer = machine_for(guest.path(large=True), name, mmu=mmu)
        with Stopwatch() as watch:
            done = computer.run(_LIMIT)
        with Stopwatch() as rest:  # work that was begun counts, though nobody waited for it
            if name == "llvm":
                settle()
        if done.ended != "exit":
            raise RuntimeError(done.explain())
        return Taken(watch.taken.cpu_s + rest.taken.cpu_s, watch.taken.wall_s)

    return run


def warm(*, mmu: bool = True) -> Callable[[Guest], Taken]:
    """Return what runs the large program again where all of it has been translated."""

    def run(guest: Guest) -> Taken:
        computer = machine_for(guest.path(large=True), "llvm", mmu=mmu)
        memory, registers = computer.memory.data, computer.processor.registers.data
        begin = bytes(memory), bytes(registers)
        counts: list[int] = []
        while len(counts) <= _TWICE or sum(counts[:-1]) < _WARM:
            # The same bytes of code: nothing that was made of them has to be forgotten.
            memory[:], registers[:] = begin
            computer.processor.instructions, computer.exit_port.status = 0, None
            with Stopwatch() as watch:
                done = computer.run(_LIMIT)
            settle()
            counts.append(done.instructions)
            if done.ended != "exit" or done.instructions != counts[0]:
                raise RuntimeError(done.explain())
        return watch.taken

    return run


def small(name: str, most: int) -> Callable[[Guest], Taken]:
    """Return what runs the small program; as long as as many instructions as the large one has."""

    def run(guest: Guest) -> Taken:
        computer = machine_for(guest.path(), name)
        with Stopwatch() as watch:
            done = computer.run(most).instructions
        return watch.taken.times(guest.large_instructions / done)

    return run


def process(*before: str) -> Callable[[Guest], Taken]:
    """Return what runs the program's twin as a process of Linux, perhaps through another one."""

    def run(guest: Guest) -> Taken:
        with tempfile.TemporaryDirectory() as folder:
            program = shutil.copy(guest.native_path(large=True), folder)
            Path(program).chmod(0o755)
            used, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([*before, program], check=True, capture_output=True)
            wall, now = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        return Taken(now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime, wall)

    return run


def unicorn_machine(ram: bytes, on_out: Callable[[Any, int], None] | None = None) -> Any:
    """Return a Unicorn with some memory whose serial port is ready, and that ends at port 0xF4."""
    uc: Any = importlib.import_module("unicorn")
    x86: Any = importlib.import_module("unicorn.x86_const")
    emulator = uc.Uc(uc.UC_ARCH_X86, uc.UC_MODE_32)
    emulator.mem_map(0, len(ram))
    emulator.mem_write(0, ram)

    def out(machine: Any, port: int, *_: object) -> None:
        if port == 0xF4:
            machine.emu_stop()
        elif on_out is not None:
            on_out(machine, port)

    def ready(*_: object) -> int:
        return 0x60

    emulator.hook_add(uc.UC_HOOK_INSN, out, None, 1, 0, x86.UC_X86_INS_OUT)
    emulator.hook_add(uc.UC_HOOK_INSN, ready, None, 1, 0, x86.UC_X86_INS_IN)
    return emulator


def unicorn(*, counting: bool) -> Callable[[Guest], Taken]:
    """Return what runs the large program in Unicorn."""

    def run(guest: Guest) -> Taken:
        path = guest.path(large=True)
        ram = bytearray(ram_mib(path) << 20)
        image = load(path, len(ram))
        image.place(ram)
        emulator = unicorn_machine(bytes(ram))
        with Stopwatch() as watch:
            emulator.emu_start(image.entry, 0xFFFFFFFF, count=_LIMIT if counting else 0)
        return watch.taken

    return run


@dataclass(frozen=True)
class Engine:
    """What runs programs.

    Attributes
    ----------
    run
        Runs one.
    missing
        Says what is missing here, or ''.
    """

    run: Callable[[Guest], Taken]
    missing: Callable[[], str]


def _package(name: str) -> Callable[[], str]:
    return lambda: "" if importlib.util.find_spec(name) else f"{name} is not installed"


def _starts(*before: str) -> Callable[[], str]:
    """Return what says why processes for i386 do not run here, if they do not."""

    def missing() -> str:
        if before and shutil.which(before[0]) is None:
            return f"{before[0]} is not installed (Debian: qemu-user)"
        try:
            process(*before)(GUESTS[0])
        except (OSError, subprocess.CalledProcessError) as error:
            return str(error)
        return ""

    return missing


BY_INSTRUCTION = ("interpreter", "python")  # on the small programs
UNICORN = ("Unicorn", "Unicorn counting")
ENGINES = {
    "native": Engine(process(), _starts()),
    "qemu-i386": Engine(process("qemu-i386"), _starts("qemu-i386")),
    "Unicorn": Engine(unicorn(counting=False), _package("unicorn")),
    "Unicorn counting": Engine(unicorn(counting=True), _package("unicorn")),
    "interpreter": Engine(small("interpreter", 20_000), str),
    "python": Engine(small("python", 10**9), str),
    "wasm": Engine(tier("wasm"), _package("wasmtime")),
    "llvm": Engine(tier("llvm"), _package("llvmlite")),
    "llvm, once warm": Engine(warm(), _package("llvmlite")),
    "wasm, no MMU": Engine(tier("wasm", mmu=False), _package("wasmtime")),
    "llvm, no MMU": Engine(tier("llvm", mmu=False), _package("llvmlite")),
    "llvm, once warm, no MMU": Engine(warm(mmu=False), _package("llvmlite")),
}


def available() -> tuple[dict[str, Engine], dict[str, str]]:
    """Return the engines that run here, and for each that does not why."""
    reasons = {name: engine.missing() for name, engine in ENGINES.items()}
    return (
        {name: engine for name, engine in ENGINES.items() if not reasons[name]},
        {name: reason for name, reason in reasons.items() if reason},
    )
