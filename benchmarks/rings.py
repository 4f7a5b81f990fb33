"""How fast is a walk through a guest? Steps forward and back, leaps, and what keeping them costs.

A step forward is raced without notes, with the notes that take it back, and beside Unicorn, which
is asked for one instruction at a time, as a debugger would. A leap goes to any step of the small
kernel's run; the least that it could take is one copy of the machine's memory. All in one run.

    python -m benchmarks.rings
"""

from __future__ import annotations

import argparse
import importlib
import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import machine, race
from virtlab.machine.computer import Computer
from virtlab.machine.walk.programs import kernel_ride

if TYPE_CHECKING:
    from collections.abc import Callable

CODE, STEPS = 0x1000, 200
LOOP = bytes.fromhex("69c00d661900 055ff36e3c 42 ebf2")  # imul, add, inc, jmp: a generator


def steppers() -> dict[str, Callable[[], object]]:
    """Return functions that do `STEPS` steps each."""
    found: dict[str, Callable[[], object]] = {}
    for name, history in (("step, no notes", 0), ("step, with notes", 1000)):
        computer = Computer(2, history=history)
        computer.load_code(LOOP, CODE)
        found[name] = lambda computer=computer: [computer.step() for _ in range(STEPS)]  # type: ignore[misc]
    both = Computer(2, history=1000)
    both.load_code(LOOP, CODE)

    def there_and_back() -> None:
        for _ in range(STEPS):
            both.step()
        for _ in range(STEPS):
            both.step_back()

    found["step, with notes, and back"] = there_and_back
    return {**found, **_unicorn()}


def _unicorn() -> dict[str, Callable[[], object]]:
    """Return Unicorn's, if it is installed."""
    try:
        unicorn: Any = importlib.import_module("unicorn")
        x86_const: Any = importlib.import_module("unicorn.x86_const")
    except ModuleNotFoundError:
        return {}
    engine: Any = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    engine.mem_map(0, 0x10000)
    engine.mem_write(CODE, LOOP)
    engine.reg_write(x86_const.UC_X86_REG_EIP, CODE)

    def run() -> None:
        for _ in range(STEPS):
            engine.emu_start(engine.reg_read(x86_const.UC_X86_REG_EIP), 0, count=1)

    return {"Unicorn, one at a time": run}


def leaps(count: int) -> None:
    """Print how long it takes to go to any step, and to the one before."""
    ride = kernel_ride()
    chance = random.Random(17)
    memory = ride.computer.memory.data
    for name, targets in {
        "to any step": [chance.randrange(ride.last + 1) for _ in range(count)],
        "one step back": [-1] * count,
        "one step on": [1] * count,
    }.items():
        times = []
        for target in targets:
            number = target if name == "to any step" else ride.number + target
            number = min(max(number, 0), ride.last)
            begun = time.perf_counter()
            ride.go(number)
            times.append(1000 * (time.perf_counter() - begun))
        middle, slow = np.percentile(times, [50, 90])
        print(f"{name:14} median {middle:7.2f} ms, p90 {slow:7.2f} ms")
    begun = time.perf_counter()
    for _ in range(20):
        bytes(memory)
    print(f"one copy of the memory: {1000 * (time.perf_counter() - begun) / 20:.2f} ms")


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=9, help="how often each contender runs")
    turns = parser.parse_args().turns
    print(machine(), end="\n\n")
    print(race(f"{STEPS} steps of a loop of four instructions", steppers(), turns=turns))
    leaps(100)


if __name__ == "__main__":
    main()
