"""Small kernels made at random, in the interpreter and in a tier: they must end alike.

    python -m benchmarks.differential_guests --tier wasm --seconds 60

See `benchmarks.random_guests` for what is in them.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time
from typing import TYPE_CHECKING, Any

from benchmarks.random_guests import random_guest
from virtlab.machine.computer import Computer
from virtlab.machine.registers import SIZE
from virtlab.machine.translation.llvm_host import LlvmHost

if TYPE_CHECKING:
    from benchmarks.random_guests import RandomGuest

__all__ = ["ends", "main"]


def ends(guest: RandomGuest, tier: str, hot: int = 1) -> dict[str, Any]:
    """Run a guest; return all that can be seen of how it ends.

    Parameters
    ----------
    guest, tier
        Which, and what runs it.
    hot
        After how many visits code is translated.

    Returns
    -------
    dict
        The same for each tier, but for 'translated'.

    Examples
    --------
    >>> found = ends(random_guest(1, chunks=1, rounds=1), "interpreter")
    >>> found["exit"], found["translated"]
    (('exit', ''), 0)
    """
    computer = Computer(2, history=0, tier=tier, instructions_per_tick=1)
    guest.put_into(computer)
    translator = computer.translator
    if translator is not None:
        translator.heat.hot = hot
        if isinstance(translator.host, LlvmHost):
            translator.host.in_background = False
    run, processor = computer.run(400_000), computer.processor
    return {
        "output": run.output,
        "exit": (run.ended, run.why),
        "counts": (run.instructions, run.waited, run.traps),
        "registers": bytes(processor.registers.data[:SIZE]).hex(),
        "segments": tuple(processor.segments),
        "memory": hashlib.sha256(computer.memory.data).hexdigest(),
        "TLB": dict(processor.paging.tlb),
        "translated": 0 if translator is None else translator.counts["instructions"],
    }


def main() -> None:
    """Compare guest after guest, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", default="wasm")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    end, translated, differ = time.monotonic() + chosen.seconds, 0, 0
    for seed in itertools.count(chosen.seed):
        guest = random_guest(seed, chunks=4)
        expected, found = ends(guest, "interpreter"), ends(guest, chosen.tier)
        translated += found.pop("translated")
        names = [name for name, value in found.items() if value != expected[name]]
        if names:
            differ += 1
            print(f"seed {seed}: {', '.join(names)} differ")
        if time.monotonic() > end:
            break
    print(
        f"{seed - chosen.seed + 1} guests, {translated:,} instructions translated, {differ} differ"
    )


if __name__ == "__main__":
    main()
