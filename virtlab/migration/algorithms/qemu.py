"""Pre-copy as QEMU does it, page by page: a limit for the pause decides when to stop.

Pages go in the order of their addresses, a window of 100 ms at a time. After each window QEMU asks
whether the rest would go within the limit: threshold = measured bandwidth x downtime limit. If
so it looks at the bitmap, and if it still would, the machine is paused and the rest goes without
a limiter. When all pages are sent it looks at the bitmap as well. What is still unsent when it
looks is not dirtied twice, which is why a round may end before all its pages have gone.

A machine that writes faster than the link carries never gets there. **Auto-converge** then takes
its processor away, step by step (`virtlab.migration.throttle`).

Source: QEMU 7.2, `migration/migration.c` and `ram.c`. `virtlab.migration.qemu` predicts real runs,
and faster; this one is to be read, and to be tried on every workload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.throttle import AutoConverge
from virtlab.migration.vm import PAGE_BYTES
from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from virtlab.migration.move import Move
    from virtlab.migration.room import Pages

__all__ = ["QemuPreCopy"]

_WINDOW_S = 0.1


@dataclass(frozen=True)
class QemuPreCopy:
    """Pre-copy with a limit for the pause.

    Attributes
    ----------
    downtime_limit_ms
        How long the pause may be, ms.
    auto_converge
        Whether a machine that writes too fast is slowed down.

    Examples
    --------
    >>> from virtlab.migration.vmotion import migrate
    >>> from virtlab.migration.workloads import Uniform
    >>> run = migrate(workload=Uniform(16384, 8000), algorithm=QemuPreCopy())
    >>> run.converged, run.downtime_ms < 350
    (True, True)
    """

    downtime_limit_ms: float = 300.0
    auto_converge: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        if number("downtime_limit_ms", self.downtime_limit_ms, minimum=0) == 0:
            raise InvalidInputError("downtime_limit_ms", self.downtime_limit_ms, "a number > 0")

    @property
    def name(self) -> str:
        """What it is called."""
        return "pre-copy (QEMU)"

    def run(self, move: Move) -> None:
        """Move the machine."""
        move.create_target()
        rule = AutoConverge() if self.auto_converge else None
        todo, bandwidth = move.all_pages, 0.0
        while True:
            sent, start_s = move.sent_bytes, move.now_s
            todo = move.send(todo, seconds=_WINDOW_S)
            seconds = move.now_s - start_s
            if seconds > 0.99 * _WINDOW_S or not bandwidth:  # a part of a window tells nothing
                bandwidth = (move.sent_bytes - sent) / max(seconds, 1e-9)
            threshold = bandwidth * self.downtime_limit_ms / 1000
            if todo.size == 0 or _size(todo) < threshold:
                before, todo = todo.size, move.join(todo, move.sync())
                if rule:
                    move.throttle = rule.look(move.now_s, move.sent_bytes, todo.size - before)
                if _size(todo) < threshold:
                    break
        move.pause()
        move.send(move.join(todo, move.sync()), rate_mib_s=np.inf)
        move.send_state()
        move.resume()
        move.announce()
        move.delete_source()


def _size(pages: Pages) -> int:
    """Return how much is pending, in bytes."""
    return int(pages.size) * PAGE_BYTES
