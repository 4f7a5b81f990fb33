"""Stop and copy: pause, send everything, go on.

The simplest, and the longest pause: all of memory / bandwidth, 32 s for 512 MiB at 128 Mbit/s.
No page is sent twice, and nothing can go wrong that would not with a machine that is switched off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtlab.migration.move import Move

__all__ = ["StopAndCopy"]


@dataclass(frozen=True)
class StopAndCopy:
    """Pause, send everything, go on.

    Examples
    --------
    >>> from virtlab.migration.link import Link, mib_s
    >>> from virtlab.migration.vmotion import migrate
    >>> run = migrate(link=Link(bandwidth_mib_s=mib_s(128)), algorithm=StopAndCopy())
    >>> round(run.downtime_ms / 1000)
    34
    """

    @property
    def name(self) -> str:
        """What it is called."""
        return "stop and copy"

    def run(self, move: Move) -> None:
        """Move the machine."""
        move.create_target()
        move.pause()
        move.send(move.all_pages)
        move.send_state()
        move.resume()
        move.announce()
        move.delete_source()
