"""Post-copy: the machine first, its memory after it; and a hybrid of both.

Post-copy pauses the machine, sends the state of its processor, and resumes it on the target, where
it has no memory yet: pages are fetched when they are touched, and pushed meanwhile. Every page goes
exactly once, and the pause does not depend on what the machine writes. A hybrid sends memory once
before, as the talk does, so that less is lacking afterwards.

Source: M. Hines, K. Gopalan, VEE 2009. Left out: their dynamic self-ballooning, which has the
guest give back its free pages before it moves; here `Vm.filled_mib` says how much is filled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.algorithms.pushing import Bubbling, InOrder, NoPush, Pushing
from virtlab.validate import integer, number, one_of

if TYPE_CHECKING:
    from virtlab.migration.move import Move

__all__ = ["Hybrid", "PostCopy"]

_PUSHING: dict[str, type[Pushing]] = {
    "bubbling": Bubbling,
    "in order": InOrder,
    "none": NoPush,
}


@dataclass(frozen=True)
class PostCopy:
    """The machine first, its memory after it.

    Attributes
    ----------
    push
        'bubbling', 'in order', or 'none': which pages are pushed.
    patience_s
        With 'none': after so long on demand alone, s, the rest is pushed in order.

    Examples
    --------
    >>> from virtlab.migration.vm import Vm
    >>> from virtlab.migration.vmotion import migrate
    >>> from virtlab.migration.workloads import Uniform
    >>> run = migrate(Vm(ram_mib=64), Uniform(4096, 2000), algorithm=PostCopy())
    >>> run.page_copies == run.vm.pages  # each page once
    True
    """

    push: str = "bubbling"
    patience_s: float = 10.0

    def __post_init__(self) -> None:
        """Check the input."""
        one_of("push", self.push, tuple(_PUSHING))
        number("patience_s", self.patience_s, minimum=0)

    @property
    def name(self) -> str:
        """What it is called."""
        return "post-copy"

    def run(self, move: Move) -> None:
        """Move the machine."""
        move.create_target()
        move.pause()
        move.send_state()
        move.resume()
        move.announce()
        wait_s = self.patience_s if self.push == "none" else np.inf
        rest = move.fetch(move.all_pages, _PUSHING[self.push](), for_s=wait_s)
        if rest.size:
            move.fetch(rest, InOrder())
        move.delete_source()


@dataclass(frozen=True)
class Hybrid:
    """Some rounds of pre-copy, then post-copy of what is dirty.

    Attributes
    ----------
    rounds
        Rounds of pre-copy.
    push
        As in `PostCopy`, without 'none'.

    Examples
    --------
    >>> from virtlab.migration.vmotion import migrate
    >>> from virtlab.migration.workloads import RoundRobin
    >>> busy = RoundRobin(working_set_pages=4096, dirty_pages_s=8000)
    >>> round(migrate(workload=busy, algorithm=Hybrid()).downtime_ms, 1)
    8.6
    """

    rounds: int = 1
    push: str = "bubbling"

    def __post_init__(self) -> None:
        """Check the input."""
        integer("rounds", self.rounds, minimum=1)
        one_of("push", self.push, ("bubbling", "in order"))

    @property
    def name(self) -> str:
        """What it is called."""
        return "hybrid"

    def run(self, move: Move) -> None:
        """Move the machine."""
        move.create_target()
        todo = move.all_pages
        for _ in range(self.rounds):
            move.send(todo)
            todo = move.sync()
        move.pause()
        todo = move.join(todo, move.sync())
        move.send_bitmap(todo)
        move.send_state()
        move.resume()
        move.announce()
        move.fetch(todo, _PUSHING[self.push]())
        move.delete_source()
