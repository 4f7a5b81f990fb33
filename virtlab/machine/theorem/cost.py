"""What a monitor by traps would cost: the instructions of a real kernel that trap (S17).

The small kernel boots on our computer and runs its two processes, and each instruction that touches
the machine is counted, with its ring. A monitor would run the kernel at ring 1. Then, on the i386,
what is privileged traps; what breaks the theorem does something else, or is refused if its operand
happens to be ring 0's. On the repaired i386 that traps too, whatever its operands. So the repair's
price is the second number: as many more traps.

This counts traps, not time. What one costs is another question (on a Pentium 4, 2030 cycles for
`rdtsc` by trap and emulation; Adams and Agesen 2006), and page faults that a monitor adds, to see
the guest change its tables, are not counted.

Source: the kernel of `virtlab.machine.guests`; what is what from `virtlab.machine.theorem.i386`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.machine.computer import Computer
from virtlab.machine.guests import kernel
from virtlab.machine.image import load
from virtlab.machine.rings import ring_table
from virtlab.machine.sensitive import routine_of
from virtlab.machine.theorem.i386 import kinds, routines_of
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    from virtlab.machine.history import Step

__all__ = ["TrapCost", "trap_cost"]

_RAM_MIB = 2


@dataclass(frozen=True)
class TrapCost(Result):
    """What a kernel did that a monitor has to take care of.

    Attributes
    ----------
    instructions
        Done in all, by ring.
    counts
        Of what touches the machine: how often, by ring and routine.
    privileged, silent
        Routines of what traps on the i386, and of what breaks the theorem.

    Examples
    --------
    >>> cost = trap_cost(1500)
    >>> cost.kernel_traps, cost.kernel_silent
    (147, 4)
    """

    instructions: dict[int, int]
    counts: dict[tuple[int, str], int]
    privileged: frozenset[str]
    silent: frozenset[str]

    def _kernels(self, routines: frozenset[str]) -> int:
        return sum(n for (ring, name), n in self.counts.items() if ring == 0 and name in routines)

    @property
    def kernel_traps(self) -> int:
        """Instructions of the kernel that would trap at ring 1 of the i386."""
        return self._kernels(self.privileged)

    @property
    def kernel_silent(self) -> int:
        """Those that would not, though they should: on the repaired i386 they trap."""
        return self._kernels(self.silent)

    @property
    def calls(self) -> int:
        """Software interrupts of the processes: both tell the monitor, by a gate or by #GP."""
        return sum(n for (ring, name), n in self.counts.items() if ring == 3 and name == "INT")

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each instruction and ring, the most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: -item[1])
        return pd.DataFrame(
            [
                {
                    "instruction": name,
                    "ring": ring,
                    "times": times,
                    "on the i386": self._outcome(ring, name),
                    "repaired": "traps",
                }
                for (ring, name), times in ordered
            ]
        )

    def _outcome(self, ring: int, name: str) -> str:
        if name in self.privileged or (ring == 3 and name == "INT"):
            return "traps"
        return "not surely"

    def summary(self) -> dict[str, float | int | str]:
        """Return how many instructions there were, and how many trap."""
        return {
            "instructions": sum(self.instructions.values()),
            "kernel_instructions": self.instructions.get(0, 0),
            "kernel_traps": self.kernel_traps,
            "kernel_silent": self.kernel_silent,
            "system_calls": self.calls,
        }

    def explain(self) -> str:
        """Say what traps, and what the repair adds."""
        of = self.instructions.get(0, 0)
        text = f"Of {of:,} instructions of the kernel {self.kernel_traps:,} are privileged"
        if not self.kernel_silent:
            return f"{text}, and none of those that break the theorem was among them."
        more = 100 * self.kernel_silent / max(1, self.kernel_traps)
        return (
            f"{text} and trap at ring 1. {self.kernel_silent:,} break the theorem: on the i386 no "
            f"monitor need hear of them; on the repaired one they trap, {more:.1f} % more traps."
        )


def trap_cost(max_instructions: int = 1_000_000) -> TrapCost:
    """Run the small kernel, and count what touches the machine.

    Parameters
    ----------
    max_instructions
        Stop after so many; it ends by itself after some 166,000.

    Returns
    -------
    TrapCost
        The counts.

    Examples
    --------
    >>> sum(trap_cost(100).instructions.values())
    100
    """
    integer("max_instructions", max_instructions, minimum=1)
    computer = Computer(_RAM_MIB, history=0)
    computer.load(load(kernel(), _RAM_MIB << 20))
    rings: Counter[int] = Counter()
    counts: Counter[tuple[int, str]] = Counter()
    known: dict[str, str | None] = {}
    while not computer.ended and sum(rings.values()) < max_instructions:
        step = computer.step()
        if step.kind != "instruction":
            continue
        rings[step.ring] += 1
        if step.what not in known:
            known[step.what] = _routine(computer, step)
        name = known[step.what]
        if name is not None:
            counts[step.ring, name] += 1
    found = kinds(ring_table())
    privileged = frozenset(kind.name for kind in found if kind.privileged)
    silent = ring_table().violations()
    return TrapCost(dict(rings), dict(counts), routines_of(privileged), routines_of(silent))


def _routine(computer: Computer, step: Step) -> str | None:
    """Return the routine of an instruction that was just done; its words say which it is."""
    processor = computer.processor
    code = processor.read(step.address, 15)
    return routine_of(processor.decoder.decode(step.address, code).encoding)
