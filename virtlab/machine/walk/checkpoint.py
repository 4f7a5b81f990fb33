"""A computer, kept whole: what a run can be brought back to without being begun anew (S17).

The history takes single steps back; a checkpoint takes a leap. It holds what the history's notes
hold, and all of memory, packed: most of a small guest's memory is zeros.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.machine.history import ProcessorState, restore_processor, save_processor

if TYPE_CHECKING:
    from collections import Counter

    from virtlab.machine.computer import Computer

__all__ = ["Checkpoint", "bring_back", "keep"]


class Checkpoint(NamedTuple):
    """All that a computer is at one moment; `keep` makes one.

    `memory` is packed; `waited` and `shutdown` are the clock's and the computer's, `logged` how
    long the bus's log is.
    """

    processor: ProcessorState
    memory: bytes
    devices: tuple[tuple[Any, ...], ...]
    waited: int
    shutdown: str
    traps: Counter[tuple[str, str]]
    logged: int


def keep(computer: Computer) -> Checkpoint:
    """Note all that a computer is.

    Parameters
    ----------
    computer
        Which.

    Returns
    -------
    Checkpoint
        The note.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> computer.load_code(bytes.fromhex("b82a000000 90"))
    >>> kept = keep(computer)
    >>> _ = computer.step()
    >>> bring_back(computer, kept)
    >>> hex(computer.processor.registers["EAX"]), computer.processor.instructions
    ('0x2badb002', 0)
    """
    return Checkpoint(
        save_processor(computer.processor),
        zlib.compress(computer.memory.data, 1),
        computer.bus.save(),
        computer.clock.waited,
        computer.shutdown,
        computer.traps.copy(),
        len(computer.bus.log or ()),
    )


def bring_back(computer: Computer, kept: Checkpoint) -> None:
    """Make a computer what it was; its history is empty then.

    Parameters
    ----------
    computer
        The one that was noted.
    kept
        What `keep` noted of it.

    Examples
    --------
    See `keep`.

    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2)
    >>> bring_back(computer, keep(computer))
    """
    computer.memory.data[:] = zlib.decompress(kept.memory)
    restore_processor(computer.processor, kept.processor)
    computer.bus.restore(kept.devices)
    computer.clock.waited, computer.shutdown = kept.waited, kept.shutdown
    computer.traps = kept.traps.copy()
    if computer.bus.log is not None:
        del computer.bus.log[kept.logged :]
    computer.history.clear()
