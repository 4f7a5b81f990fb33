"""The talk's seven steps (S41-S45), which VMware's patent describes too.

Memory is sent once, while the machine runs and a bitmap notes which pages it writes. The bitmap is
sent, the machine goes on at the target, and dirty pages are fetched from the source when they are
touched; the others come in the background. Each page is sent twice at most, and the pause is

    (device state + bitmap) / bandwidth,  bitmap = a bit for each page,

whatever the machine writes. The price comes after it: until the last page has come, the machine
needs both hosts, and waits for each dirty page that it touches.

As the talk tells it, the machine still runs on the source while the bitmap is copied. A page that
it writes then is in no bitmap: the target takes its old copy for good. `Deck(as_told=True)` does
that, and the result counts the wrong pages. VMware pauses the machine first.

Source: the talk, S41-S45; US patent 7,680,919. The talk announces the machine last; that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.migration.algorithms.pushing import InOrder

if TYPE_CHECKING:
    from virtlab.migration.move import Move

__all__ = ["Deck"]


@dataclass(frozen=True)
class Deck:
    """The talk's seven steps.

    Attributes
    ----------
    as_told
        Whether the machine runs while the bitmap is copied, which loses writes.

    Examples
    --------
    >>> from virtlab.migration.vmotion import migrate
    >>> from virtlab.migration.workloads import RoundRobin
    >>> wide = RoundRobin(working_set_pages=131_072, dirty_pages_s=25_000)
    >>> [migrate(workload=wide, algorithm=Deck(as_told=told)).wrong_pages for told in (True, False)]
    [4, 0]
    """

    as_told: bool = False

    @property
    def name(self) -> str:
        """What it is called."""
        return "the talk's, as told" if self.as_told else "the talk's"

    def run(self, move: Move) -> None:
        """Move the machine."""
        move.create_target()  # step 1
        move.send(move.all_pages)  # step 2: from the start, what is written goes in the bitmap
        if self.as_told:
            dirty = move.sync()
            move.send_bitmap(dirty)  # step 3, and the machine still writes
            move.pause()
        else:
            move.pause()
            dirty = move.sync()
            move.send_bitmap(dirty)  # step 3
        move.send_state()
        move.resume()  # step 4
        move.fetch(dirty, InOrder())  # step 5
        move.delete_source()  # step 6
        move.announce()  # step 7
