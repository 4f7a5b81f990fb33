"""All algorithms on one machine: who stands still, who waits, who sends how much (S39-S45).

No algorithm wins everywhere. Pre-copy pays with bytes and with a pause that grows with what the
machine writes; post-copy pays after the pause, when the machine waits for its pages; the talk's
steps stand between them. `contest` runs them on the same machine, load and link.

Source: `virtlab.migration.algorithms`, each with its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.migration.algorithms import (
    Clark,
    Deck,
    Hybrid,
    PostCopy,
    QemuPreCopy,
    StopAndCopy,
)
from virtlab.migration.move import Move
from virtlab.migration.vmotion import MigrationRun, run_of
from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from virtlab.migration.algorithms import Algorithm
    from virtlab.migration.link import Link
    from virtlab.migration.vm import Vm
    from virtlab.migration.workloads import Workload

    Floats = NDArray[np.float64]

__all__ = ["Contest", "contest", "speed"]

_SLICES = 60  # of a copy of all memory: fine enough to compare, and quick
_MBIT_A_MIB_S = 8 * 2**20 / 1e6


@dataclass(frozen=True, eq=False)
class Contest(Result):
    """What came of each algorithm.

    Attributes
    ----------
    runs
        One for each, in order.
    """

    runs: tuple[MigrationRun, ...] = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each algorithm."""
        return pd.DataFrame(
            {
                "algorithm": [run.algorithm for run in self.runs],
                "outcome": [run.outcome for run in self.runs],
                "total_s": [run.total_s for run in self.runs],
                "downtime_ms": [run.downtime_ms for run in self.runs],
                "waits_ms": [run.stalled_ms for run in self.runs],
                "sent_mib": [run.sent_mib for run in self.runs],
                "wrong_pages": [run.wrong_pages for run in self.runs],
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return who stands still least, who sends least, and who lost pages."""
        moved = [run for run in self.runs if run.outcome == "moved" and not run.wrong_pages]
        if not moved:
            return {"moved": 0, "of": len(self.runs)}
        shortest = min(moved, key=lambda run: run.downtime_ms)
        fewest = min(moved, key=lambda run: run.sent_mib)
        return {
            "moved": len(moved),
            "of": len(self.runs),
            "shortest_pause": shortest.algorithm,
            "shortest_pause_ms": shortest.downtime_ms,
            "least_sent": fewest.algorithm,
            "least_sent_mib": fewest.sent_mib,
        }

    def explain(self) -> str:
        """Say who is best at what, and who fails."""
        told = self.summary()
        said = ["No algorithm moved it whole."]
        if told["moved"]:
            pause = f"{told['shortest_pause']}, {told['shortest_pause_ms']:.0f} ms"
            least = f"{told['least_sent']}, {told['least_sent_mib']:.0f} MiB"
            said = [f"The shortest pause has {pause}; least is sent by {least}."]
        said += [f"{run.algorithm} was given up." for run in self.runs if run.outcome == "stayed"]
        for run in self.runs:
            if run.outcome == "moved" and run.wrong_pages:
                pages = "1 page" if run.wrong_pages == 1 else f"{run.wrong_pages} pages"
                said.append(f"{run.algorithm} has {pages} wrong.")
        return " ".join(said)


def contest(
    vm: Vm,
    workload: Workload,
    link: Link,
    algorithms: Sequence[Algorithm] | None = None,
    *,
    seed: int = 0,
    give_up_s: float = 60.0,
) -> Contest:
    """Move one machine by each of several algorithms.

    Parameters
    ----------
    vm, workload, link
        What moves, what it does meanwhile, and over what.
    algorithms
        Which; all of the course's by default, Clark's with the link's own rates.
    seed
        For chance in the workload, the same for all.
    give_up_s
        The longest it may take until the machine runs on the target, s.

    Returns
    -------
    Contest
        What came of each.

    Raises
    ------
    InvalidInputError
        If there is no algorithm.

    Examples
    --------
    >>> from virtlab.migration.link import Link
    >>> from virtlab.migration.vm import Vm
    >>> from virtlab.migration.workloads import Uniform
    >>> found = contest(Vm(ram_mib=32), Uniform(4000, 2000), Link(bandwidth_mib_s=32))
    >>> found.to_frame().set_index("algorithm")["downtime_ms"].round().astype(int).to_dict()
    {'stop and copy': 1033, 'pre-copy (Clark)': 37, 'pre-copy (QEMU)': 313, \
"the talk's": 31, 'hybrid': 31, 'post-copy': 31}
    """
    if algorithms is None:
        most = link.rate_mib_s * _MBIT_A_MIB_S
        clark = Clark(min_mbit_s=most / 2, max_mbit_s=most, step_mbit_s=most / 16, stop="xen")
        algorithms = (StopAndCopy(), clark, QemuPreCopy(), Deck(), Hybrid(), PostCopy())
    if not algorithms:
        raise InvalidInputError("algorithms", (), "at least one")
    runs = []
    for one in algorithms:
        move = Move(vm, workload, link, seed=seed, give_up_s=give_up_s)
        move.slice_s = max(vm.ram_mib / link.rate_mib_s / _SLICES, move.slice_s)
        runs.append(run_of(move, one))
    return Contest(tuple(runs))


def speed(run: MigrationRun, bins: int = 200) -> tuple[Floats, Floats]:
    """Return how fast the machine runs, as a part of its full speed: what its clients feel.

    Parameters
    ----------
    run
        A migration.
    bins
        Into how many equal stretches of time it is cut.

    Returns
    -------
    edges : ndarray
        Shape (bins + 1,), s.
    speed : ndarray
        Shape (bins,), 0 to 1: guest time over wall time.

    Examples
    --------
    >>> from virtlab.migration.link import Link
    >>> from virtlab.migration.vm import Vm
    >>> from virtlab.migration.vmotion import migrate
    >>> from virtlab.migration.workloads import Uniform
    >>> small, slow = Vm(ram_mib=16), Link(bandwidth_mib_s=16)
    >>> _, felt = speed(migrate(small, Uniform(100, 50), slow, StopAndCopy()))
    >>> float(felt[1:].max())  # but for the first moment it stands still all the time
    0.0
    """
    edges = np.linspace(0.0, run.total_s, bins + 1)
    wall = np.concatenate([[0.0], run.history[:, 0]])
    guest = np.concatenate([[0.0], run.history[:, 1]])
    return edges, np.diff(np.interp(edges, wall, guest)) / np.diff(edges)
