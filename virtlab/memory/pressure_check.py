"""The curves of `virtlab.memory.pressure`, held against a guest that is simulated page by page.

The guest, its memory on the host and all that can happen to a page are those of the simulation;
only the host is simpler: it takes once what it wants, and for each page that it has to fetch then,
another must go. The formulas know nothing of frames, lists and seconds, and the simulation knows
nothing of the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.guest import Balloon, Guest, GuestSpec
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.guest.workloads import HotCold
from virtlab.memory.host.backing import BackedMemory
from virtlab.memory.host.machine import MachineMemory
from virtlab.memory.pressure import HALVES, Program, Rates, faults
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["SMALL", "PressureCheck", "check_pressure", "measure"]

SMALL = Program(size_mib=64, hot_mib=16, cold_mib=42, hot=0.9)
"""A guest that is simulated in a second."""


def measure(
    program: Program,
    ballooned_mib: float = 0.0,
    swapped_mib: float = 0.0,
    *,
    operations: int = 400_000,
    seed: int = 1,
) -> Rates:
    """Simulate a program in a guest from which memory was taken, and count.

    Parameters
    ----------
    program
        The guest and its program.
    ballooned_mib, swapped_mib
        What a balloon takes, and what the host swaps out of the rest.
    operations
        How many are counted; as many come before, so that it settles.
    seed
        Of all chance.

    Returns
    -------
    Rates
        As `virtlab.memory.pressure.faults` gives them, counted.

    Examples
    --------
    >>> from virtlab.memory.pressure import faults
    >>> small = Program(size_mib=32, hot_mib=8, cold_mib=14)
    >>> counted = measure(small, swapped_mib=10, operations=100_000)
    >>> bool(abs(counted.host_faults / faults(small, swapped_mib=10).host_faults - 1) < 0.1)
    True
    """
    turns = integer("operations", operations, minimum=100) // _TURN
    rng = np.random.default_rng(seed)
    spec = GuestSpec(program.size_mib, swap_mib=4 * program.size_mib)
    left = spec.pages - round((ballooned_mib + swapped_mib) * PAGES_PER_MIB)
    machine = MachineMemory(integer("pages left", left, minimum=1))
    memory = BackedMemory(spec.pages, machine)
    machine.reclaim = lambda wanted: _swap(memory, wanted, rng)
    guest = Guest(spec, memory)
    balloon = Balloon(guest, BalloonSpec(most=1.0, inflate_mib_s=program.size_mib))
    balloon.goal = round(ballooned_mib * PAGES_PER_MIB)
    balloon.poll()
    load = HotCold(program.hot_mib, program.cold_mib, program.hot, writes=program.writes)
    region = load.open(guest)
    if swapped_mib:  # the idle kernel must be out, and a random choice would take its time
        memory.swap_out(memory.allocated, rng)
    guest.touch(region.all(), write=True)
    for turn in range(2 * turns):
        if turn == turns:
            before = guest.counters.copy()
        guest.now += 1
        guest.breathe()
        reads, writes = load.next(_TURN, region, rng)
        guest.touch(reads)
        guest.touch(writes, write=True)
    counted, done = guest.counters.since(before), turns * _TURN
    found = (counted.swap_ins, counted.host_faults, counted.double_paging, counted.swap_outs)
    return Rates(*(np.array([count / done]) for count in found))


_TURN = 400  # operations between two ticks of the guest's clock


def _swap(memory: BackedMemory, wanted: int, rng: np.random.Generator) -> None:
    """Take random frames until so many are free."""
    memory.swap_out(wanted - memory.machine.free, rng)


@dataclass(frozen=True, eq=False)
class PressureCheck(Result):
    """Formula and simulation, beside one another.

    Attributes
    ----------
    program
        The guest and its program.
    means, taken_mib
        What was done, and how much was taken; one entry a run.
    formula_percent, simulated_percent
        Throughput, of that with all memory.
    formula_double, simulated_double
        Pages paged doubly in 1,000 operations.
    """

    program: Program
    means: tuple[str, ...]
    taken_mib: Floats
    formula_percent: Floats
    simulated_percent: Floats
    formula_double: Floats
    simulated_double: Floats

    @property
    def off_points(self) -> Floats:
        """How far the formula is off, in percentage points."""
        off: Floats = self.formula_percent - self.simulated_percent
        return off

    def to_frame(self) -> pd.DataFrame:
        """Return one row a run."""
        import pandas as pd

        return pd.DataFrame(
            {
                "means": self.means,
                "taken_mib": self.taken_mib,
                "formula_percent": self.formula_percent,
                "simulated_percent": self.simulated_percent,
                "off_points": self.off_points,
                "formula_double_per_1000": self.formula_double,
                "simulated_double_per_1000": self.simulated_double,
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how many runs there are, and how far the formula is off at most."""
        return {
            "runs": len(self.means),
            "largest_error_points": float(np.abs(self.off_points).max()),
            "largest_error_double_per_1000": float(
                np.abs(self.formula_double - self.simulated_double).max()
            ),
        }

    def explain(self) -> str:
        """Say how far the formula is off."""
        told = self.summary()
        return (
            f"In {told['runs']} runs of a guest of {self.program.size_mib:.0f} MiB the formula is "
            f"off by at most {told['largest_error_points']:.1f} percentage points of throughput, "
            f"and by {told['largest_error_double_per_1000']:.1f} doubly paged pages in 1,000 "
            "operations."
        )


def check_pressure(
    taken_mib: Sequence[float] = (12.0, 24.0, 36.0),
    program: Program = SMALL,
    *,
    operations: int = 200_000,
    seed: int = 1,
) -> PressureCheck:
    """Run the simulation for several amounts and all means, beside the formula.

    Parameters
    ----------
    taken_mib
        What is taken.
    program
        The guest and its program.
    operations
        How many are counted in each run.
    seed
        Of all chance.

    Returns
    -------
    PressureCheck
        Both.

    Examples
    --------
    >>> check_pressure((10.0,), operations=20_000).summary()["runs"]
    3
    """
    runs = [(means, taken) for means in HALVES for taken in taken_mib]
    enough = (
        faults(program).per_s[0],
        measure(program, operations=operations, seed=seed).per_s[0],
    )
    rows = []
    for means, taken in runs:
        amounts = [part * taken for part in HALVES[means]]
        pair = (
            faults(program, *amounts),
            measure(program, *amounts, operations=operations, seed=seed),
        )
        speeds = [100 * one.per_s[0] / all_ for one, all_ in zip(pair, enough, strict=True)]
        rows.append([taken, *speeds, *(1000 * one.double_paging[0] for one in pair)])
    return PressureCheck(program, tuple(means for means, _ in runs), *np.array(rows).T)
