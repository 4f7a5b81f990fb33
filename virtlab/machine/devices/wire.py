"""A serial port's wire: what is typed at its other end, and when; what arrives there (S16).

When a key is pressed is input as much as which one. A run with a person at its console can be
repeated if both are written down: `keys` are bytes with the instruction at which each comes.

Left out: the time that a byte takes on the wire.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.machine.bus import Device
from virtlab.machine.devices.pit import Clock
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Key", "Wire", "checked_keys"]


class Key(NamedTuple):
    """A byte that is typed.

    Attributes
    ----------
    time
        When: instructions done and waited.
    byte
        0 to 255.
    """

    time: int
    byte: int


class Wire(Device):
    """A device that sends bytes, and that bytes come to, at certain moments.

    Parameters
    ----------
    clock
        The guest's time; its beginning for ever if not given.
    keys
        (time, byte) of what is typed to come, in order of time.

    Raises
    ------
    InvalidInputError
        If a key's time or byte cannot be.

    Attributes
    ----------
    output
        What the guest has sent.
    input
        What has come, and the guest has not read yet.
    came
        How many of the keys have come.
    """

    def __init__(self, clock: Clock | None = None, keys: Sequence[tuple[int, int]] = ()) -> None:
        self.clock = clock or Clock()
        self.keys, self.came = checked_keys(keys), 0
        self.output = bytearray()
        self.input = b""

    @abstractmethod
    def tell(self) -> None:
        """Interrupt, if somebody wants to be told of what has come."""

    def type(self, text: bytes) -> None:
        """Send bytes to the guest, as a person at the keyboard does."""
        self.input += text
        self.tell()

    def next_event(self) -> int | None:
        """Return when the next key comes; None if none does."""
        return self.keys[self.came].time if self.came < len(self.keys) else None

    def advance(self) -> int:
        """Take the keys that have come by now; return how many."""
        first, now = self.came, self.clock.now
        while self.came < len(self.keys) and self.keys[self.came].time <= now:
            self.came += 1
        if self.came > first:
            self.type(bytes(key.byte for key in self.keys[first : self.came]))
        return self.came - first

    def save(self) -> tuple[Any, ...]:
        """Return its state."""
        return (*super().save(), bytes(self.output))

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go back to a state."""
        super().restore(state[:-1])
        self.output = bytearray(state[-1])


def checked_keys(keys: Sequence[tuple[int, int]], name: str = "keys") -> tuple[Key, ...]:
    """Return keys, if each can be pressed and none comes before the one before it.

    Parameters
    ----------
    keys
        (time, byte) each.
    name
        What they are called in errors.

    Returns
    -------
    tuple of Key
        The same.

    Raises
    ------
    InvalidInputError
        If one cannot.

    Examples
    --------
    >>> checked_keys([(5, 65), (4, 65)])
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: keys[1] time = 4: must be at least 5, the time of the one \
before
    """
    found: list[Key] = []
    for number, (time, byte) in enumerate(keys):
        key = Key(
            integer(f"{name}[{number}] time", time, minimum=0),
            integer(f"{name}[{number}] byte", byte, minimum=0, maximum=255),
        )
        if found and key.time < found[-1].time:
            allowed = f"at least {found[-1].time}, the time of the one before"
            raise InvalidInputError(f"{name}[{number}] time", key.time, allowed)
        found.append(key)
    return tuple(found)
