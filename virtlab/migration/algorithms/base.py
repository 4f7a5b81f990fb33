"""What an algorithm is: a name, and what it does with a `Move`.

Everything that takes time or costs bytes is a method of the `Move`, so an algorithm is about ten
lines. This one sends all pages, and those that got dirty meanwhile while the machine is paused:

    class OneRound:
        name = "one round"

        def run(self, move):
            move.create_target()
            move.send(move.all_pages)
            move.pause()
            move.send(move.sync())
            move.send_state()
            move.resume()
            move.delete_source()
            move.announce()

Whether it moved the machine whole is not for it to say: `migrate` compares the two memories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from virtlab.migration.move import Move

__all__ = ["Algorithm"]


class Algorithm(Protocol):
    """One way to move a machine."""

    @property
    def name(self) -> str:
        """What it is called in tables and figures."""
        ...

    def run(self, move: Move) -> None:
        """Move the machine."""
        ...
