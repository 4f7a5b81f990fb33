"""Move a running machine from one host to another (S39-S45).

A machine that runs writes to its memory while that is copied. Every algorithm answers the same
question: which pages are sent when, and when does the machine stand still? What counts is

    downtime     from the pause on the source to the first instruction on the target,
    total time   from the start until the source is not needed any more,
    bytes sent   pages that were dirty again are sent again,
    slowdown     what the machine does less while it runs: throttled, or waiting for pages.

With W pages written in a stretch of time and a bandwidth of R pages a second, a round of V pages
leaves W(V / R) dirty ones. If that shrinks from round to round, a pre-copy ends; if not, the pause
must take what is left, or pages must follow the machine.

Here memory is really copied, page by page, and at the end compared with what the guest's memory
would be had it never moved. Left out: what the copying costs the processor and the guest's own
traffic, several processors, and disks that move too. `virtlab.migration.levels` compares simpler
models with this one, `virtlab.migration.qemu` predicts real runs.

Sources: the talk, S39-S45; M. Nelson et al., "Fast Transparent Migration for Virtual Machines",
USENIX 2005; Clark et al., NSDI 2005; Hines and Gopalan, VEE 2009; QEMU 7.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.migration.algorithms import Deck
from virtlab.migration.faults import HostDiedError
from virtlab.migration.link import MIB, Link
from virtlab.migration.memory import WORDS_OF_A_PAGE
from virtlab.migration.move import Move
from virtlab.migration.room import GaveUpError
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.migration.workloads import RoundRobin
from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from virtlab.migration.algorithms import Algorithm
    from virtlab.migration.faults import Fault
    from virtlab.migration.log import Event
    from virtlab.migration.workloads import Workload

__all__ = ["DEFAULT_WORKLOAD", "MigrationRun", "migrate", "run_of"]

DEFAULT_WORKLOAD = RoundRobin(working_set_pages=16384, dirty_pages_s=8000)


@dataclass(frozen=True)
class MigrationRun(Result):
    """What came of a migration.

    Attributes
    ----------
    vm, link, algorithm
        What moved, over what, and how (the algorithm's name).
    outcome
        'moved'; 'stayed' on the source, which goes on; 'lost' with a host.
    total_s
        From the start until the source is not needed any more, or until it was given up, s.
    downtime_ms
        How long the machine stood still between the hosts, ms.
    unannounced_ms
        From the pause until the switches were told where it is, ms; NaN if they never were.
    stalled_ms
        How long it stood still on the target, waiting for pages, ms.
    slowdown_ms
        Guest time lost while it ran on the source, to throttling, ms.
    sent_mib
        Bytes on the wire, MiB, with headers, bitmap and state.
    page_copies
        Pages sent, each as often as it went.
    most_copies
        How often the page went that went most often.
    network_faults
        Pages fetched because the machine touched them.
    converged
        Whether it moved, and the algorithm's aim was met (nothing forced the last round).
    wrong_pages
        Pages that differ from what the guest's memory should be, where the machine runs now.
    rounds
        A row for each round (`virtlab.migration.log.Round`).
    events
        What happened when, and which of the seven steps it belongs to.
    history
        Shape (slices, 4): time (s), guest time (s), bytes sent, pages that the target lacks or has
        stale.
    """

    vm: Vm
    link: Link
    algorithm: str
    outcome: str
    total_s: float
    downtime_ms: float
    unannounced_ms: float
    stalled_ms: float
    slowdown_ms: float
    sent_mib: float
    page_copies: int
    most_copies: int
    network_faults: int
    converged: bool
    wrong_pages: int
    rounds: pd.DataFrame = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)
    history: NDArray[np.float64] = field(repr=False)

    @property
    def lost(self) -> bool:
        """Whether the machine is lost."""
        return self.outcome == "lost"

    @property
    def announcements(self) -> int:
        """How often the switches were told."""
        return sum(event.step == 7 for event in self.events)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each round."""
        return self.rounds

    def summary(self) -> dict[str, float | int | str]:
        """Return the numbers of a slide."""
        return {
            "algorithm": self.algorithm,
            "outcome": self.outcome,
            "total_s": self.total_s,
            "downtime_ms": self.downtime_ms,
            "sent_mib": self.sent_mib,
            "rounds": int((self.rounds["phase"] == "running").sum()),
            "converged": self.converged,
            "stalled_ms": self.stalled_ms,
            "slowdown_ms": self.slowdown_ms,
            "network_faults": self.network_faults,
            "wrong_pages": self.wrong_pages,
        }

    def explain(self) -> str:
        """Return what happened, in sentences."""
        if self.outcome == "lost":
            return (
                f"A host died after {self.total_s:.2f} s, when neither had all of the machine: "
                f"it is lost."
            )
        if self.outcome == "stayed":
            why = "The target died" if self.converged else "It was given up"
            return f"{why} after {self.total_s:.2f} s; the machine goes on at the source, whole."
        times = self.sent_mib * MIB / (self.vm.filled_pages * PAGE_BYTES or 1)
        said = [
            (
                f"{self.vm.name} moved in {self.total_s:.2f} s and stood still for "
                f"{self.downtime_ms:.0f} ms; {self.sent_mib:.0f} MiB went over the link, "
                f"{times:.2f} times what was filled."
            )
        ]
        if self.network_faults:
            said.append(
                f"On the target it waited {self.network_faults} times for a page, "
                f"{self.stalled_ms:.0f} ms in all."
            )
        if self.wrong_pages:
            pages = "1 page is" if self.wrong_pages == 1 else f"{self.wrong_pages} pages are"
            said.append(f"{pages} wrong: written on the source, and never sent.")
        return " ".join(said)


def migrate(
    vm: Vm | None = None,
    workload: Workload = DEFAULT_WORKLOAD,
    link: Link | None = None,
    algorithm: Algorithm | None = None,
    *,
    seed: int = 0,
    faults: Sequence[Fault] = (),
    real_bytes: bool = False,
    give_up_s: float = 3600.0,
) -> MigrationRun:
    """Move a machine from one host to another.

    Parameters
    ----------
    vm
        The machine; 512 MiB by default.
    workload
        What it does meanwhile.
    link
        The network; 1 Gbit/s by default.
    algorithm
        One of `virtlab.migration.algorithms`, or your own; the talk's by default.
    seed
        For chance in the workload.
    faults
        What goes wrong.
    real_bytes
        Whether pages are their 4,096 bytes, or eight bytes that stand for them.
    give_up_s
        The longest it may take until the machine runs on the target, s.

    Returns
    -------
    MigrationRun
        What came of it.

    Raises
    ------
    InvalidInputError
        If the workload's pages are not the machine's, or the algorithm leaves it paused.

    Examples
    --------
    >>> run = migrate()
    >>> run.outcome, run.wrong_pages
    ('moved', 0)
    >>> print(run.explain())
    VM1 moved in 4.85 s and stood still for 9 ms; 578 MiB went over the link, 1.13 times what was
    filled. On the target it waited ... times for a page, ... ms in all.
    """
    words = WORDS_OF_A_PAGE if real_bytes else 1
    move = Move(
        vm or Vm(),
        workload,
        link or Link(),
        seed=seed,
        faults=faults,
        words=words,
        give_up_s=give_up_s,
    )
    return run_of(move, algorithm or Deck())


def run_of(move: Move, algorithm: Algorithm) -> MigrationRun:
    """Run an algorithm on a `Move` of your own, and say what came of it.

    Parameters
    ----------
    move
        The machine room.
    algorithm
        What runs in it.

    Returns
    -------
    MigrationRun
        What came of it.

    Examples
    --------
    >>> from virtlab.migration.algorithms import StopAndCopy
    >>> run_of(Move(Vm(ram_mib=4), RoundRobin(64, 100), Link()), StopAndCopy()).outcome
    'moved'
    """
    outcome = "moved"
    try:
        algorithm.run(move)
    except GaveUpError:
        outcome, move.converged = "stayed", False
    except HostDiedError as death:
        stays = death.who == "target" and move.where != "target"
        outcome = "stayed" if stays else "lost"
    if outcome == "moved" and move.where != "target":
        raise InvalidInputError("algorithm", algorithm.name, "one that resumes the machine")
    move.finish()
    return _result(move, algorithm.name, outcome)


def _result(move: Move, name: str, outcome: str) -> MigrationRun:
    """Gather what was written down."""
    ran_on = move.resumed_s if outcome == "moved" else move.now_s
    downtime_s = 0.0 if math.isnan(move.paused_s) else ran_on - move.paused_s
    if outcome == "lost" and not math.isnan(move.resumed_s):
        downtime_s = move.resumed_s - move.paused_s
    here = move.target if move.where == "target" else move.source
    lost_s = move.now_s - move.guest_s - downtime_s - move.stalled_s
    return MigrationRun(
        vm=move.vm,
        link=move.link,
        algorithm=name,
        outcome=outcome,
        total_s=move.now_s,
        downtime_ms=downtime_s * 1000,
        unannounced_ms=(move.announced_s - move.paused_s) * 1000,
        stalled_ms=move.stalled_s * 1000,
        slowdown_ms=max(lost_s, 0.0) * 1000,
        sent_mib=move.sent_bytes / MIB,
        page_copies=int(move.sent_times.sum()),
        most_copies=int(move.sent_times.max()),
        network_faults=move.faults_taken,
        converged=outcome == "moved" and move.converged,
        wrong_pages=int(here.wrong_pages(move.ideal).size) if outcome != "lost" else move.vm.pages,
        rounds=move.log.rounds_frame(),
        events=tuple(move.log.events),
        history=move.log.history(),
    )
