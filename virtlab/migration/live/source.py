"""The source's side of a migration: the steps that an algorithm is made of.

    send        pages go over the link; the target says when they are there
    quiesce     the server finishes its transaction and holds everything else
    hand_over   the target gets the bitmap of what is left, says that it has all, gets the clients'
                connections, opens the database, and claims the machine
    give_away   pages that were left behind go when they are asked for, or by and by

Until the target has claimed the machine (`virtlab.migration.live.claim`), the source can go on as
if nothing had been; from then on it must not. If the link breaks or is silent for too long, the
source tries to claim the machine for itself: granted, it goes on; refused, the target has it.

The connections are handed over as file descriptors through a Unix socket, which works between two
processes of one machine. Between two machines the connections stay as they are, as they are in the
guest's memory, and it is the address that moves (the talk's step 7).
"""

from __future__ import annotations

import json
import math
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.live.claim import claim
from virtlab.migration.live.wire import (
    FRAME,
    Pace,
    receive,
    send_pages,
    send_word,
)

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from numpy.typing import NDArray

    from virtlab.migration.live.algorithms import Algorithm
    from virtlab.migration.live.memory import OwnedMemory
    from virtlab.migration.live.server import Server
    from virtlab.migration.live.tell import Teller

__all__ = ["SOURCE_STEPS", "Machine", "Move", "migrate"]

# Where a test may kill the source.
SOURCE_STEPS = (
    "connected",
    "in the first round",
    "round sent",
    "quiesced",
    "target has all",
    "descriptors sent",
    "target runs",
    "deleted",
)
_PUSH_PAGES = 8  # pages that go unasked before the source listens again


class Machine:
    """What runs in a process: a memory, a server on it, and the lock between them.

    Parameters
    ----------
    memory
        Its pages.
    server
        Its server.
    lock
        Held while a transaction runs.
    """

    def __init__(self, memory: OwnedMemory, server: Server, lock: threading.Lock) -> None:
        self.memory = memory
        self.server = server
        self.lock = lock


class Move:
    """One migration, seen from the source.

    Parameters
    ----------
    machine
        What moves.
    link
        To the target, over TCP.
    door
        To the target, a Unix socket that takes descriptors.
    link_mib_s
        Bandwidth of the link; 0 for all there is.
    downtime_limit_s
        Pre-copy stops when what is left can be sent in this time.
    most_rounds
        Or after so many rounds.
    tell
        Tells the course's process what happens.

    Attributes
    ----------
    rounds
        How many there were.
    """

    def __init__(
        self,
        machine: Machine,
        link: socket.socket,
        door: socket.socket,
        tell: Teller,
        *,
        link_mib_s: float,
        downtime_limit_s: float,
        most_rounds: int,
    ) -> None:
        self._machine, self._link, self._door, self._tell = machine, link, door, tell
        self._pace = Pace(link_mib_s)
        self._pages_a_s = math.inf
        self._filled = np.zeros(machine.memory.pages, dtype=np.bool_)
        self._quiesced = False
        self.downtime_limit_s = downtime_limit_s
        self.most_rounds = most_rounds
        self.rounds = 0

    def look(self) -> None:
        """Find the pages that are not zeros, while the server runs: it takes some ms.

        Examples
        --------
        >>> Move.look.__name__
        'look'
        """
        with self._machine.lock:
            self._machine.memory.take_dirty()
        self._filled[self._machine.memory.filled_pages()] = True

    def all_pages(self) -> NDArray[np.int64]:
        """Return all pages that are not zeros; from now on the bitmap says what changes.

        Examples
        --------
        >>> Move.all_pages.__name__
        'all_pages'
        """
        self._filled[self.dirty()] = True
        return np.flatnonzero(self._filled)

    def dirty(self) -> NDArray[np.int64]:
        """Return the pages written since the last call.

        Examples
        --------
        >>> Move.dirty.__name__
        'dirty'
        """
        with self._machine.lock:
            return self._machine.memory.take_dirty()

    def dirty_count(self) -> int:
        """Return how many pages were written since the last call of `dirty`.

        Examples
        --------
        >>> Move.dirty_count.__name__
        'dirty_count'
        """
        return self._machine.memory.dirty_count

    def seconds_to_send(self, pages: int) -> float:
        """Return how long so many pages will take, from how long the last round took.

        Examples
        --------
        >>> Move.seconds_to_send.__name__
        'seconds_to_send'
        """
        return pages / self._pages_a_s

    def send(self, pages: NDArray[np.int64]) -> None:
        """Send pages in a round; return when they are there.

        Examples
        --------
        >>> Move.send.__name__
        'send'
        """
        start = time.monotonic()
        view, half = self._machine.memory.view, len(pages) // 2
        send_pages(self._link, view, pages[:half], self._pace)
        if not self.rounds:
            self._tell.step("in the first round")
        send_pages(self._link, view, pages[half:], self._pace)
        send_word(self._link, b"R", self.rounds)
        self._expect(b"A")
        end = time.monotonic()
        if len(pages):
            self._pages_a_s = len(pages) / (end - start)
        self._tell(
            "round", round=self.rounds, pages=len(pages), start=start, end=end,
            quiesced=self._quiesced,
        )  # fmt: skip
        self.rounds += 1
        self._tell.step("round sent")

    def quiesce(self) -> None:
        """Let the server finish its transaction and hold the rest.

        Examples
        --------
        >>> Move.quiesce.__name__
        'quiesce'
        """
        self._machine.server.quiesce()
        self._quiesced = True
        self._tell.step("quiesced")

    def hand_over(self, left: NDArray[np.int64] | None = None) -> None:
        """Let the target take over; then give it what was left, until it has everything.

        Examples
        --------
        >>> Move.hand_over.__name__
        'hand_over'
        """
        left = np.empty(0, dtype=np.int64) if left is None else left
        self._link.sendall(FRAME.pack(b"B", len(left)) + left.astype(">i8").tobytes())
        self._pace.wait(len(left) // 8)  # as a bitmap would cost
        self._expect(b"H")
        self._tell.step("target has all")
        self._send_connections()
        self._tell.step("descriptors sent")
        self._give_away(left)

    def _send_connections(self) -> None:
        """Send the listener and the clients' sockets, with what is under way on each."""
        server = self._machine.server
        sockets = [server.listener, *(one.socket for one in server.connections)]
        state = json.dumps([[one.asked.hex(), one.answer.hex()] for one in server.connections])
        head = struct.pack("!I", len(state))
        socket.send_fds(self._door, [head], [one.fileno() for one in sockets])
        self._door.sendall(state.encode())

    def _give_away(self, left: NDArray[np.int64]) -> None:
        """Send pages that are asked for, and others meanwhile, until the target has all."""
        sent = np.zeros(self._machine.memory.pages, dtype=np.bool_)
        asked = pushed = 0
        while True:
            if pushed >= len(left) or select.select([self._link], [], [], 0)[0]:
                word, page = FRAME.unpack(receive(self._link, FRAME.size))
                if word == b"G":
                    self._tell("left", pages=len(left), asked=asked)
                    return
                if word == b"M":
                    self._tell.step("target runs")
                    continue
                asked += 1
                chunk = np.array([page], dtype=np.int64)
            else:
                chunk = left[pushed : pushed + _PUSH_PAGES]
                pushed += len(chunk)
            chunk = chunk[~sent[chunk]]
            send_pages(self._link, self._machine.memory.view, chunk, self._pace)
            sent[chunk] = True

    @property
    def sent_bytes(self) -> int:
        """All that was sent."""
        return self._pace.sent_bytes

    def _expect(self, wanted: bytes) -> None:
        word, _ = FRAME.unpack(receive(self._link, FRAME.size))
        if word != wanted:
            raise ConnectionError(f"the target said {word!r} where {wanted!r} was due")


def migrate(move: Move, algorithm: Algorithm, folder: Path, tell: Teller) -> bool:
    """Move the machine; if that fails, find out who has it.

    Parameters
    ----------
    move
        The steps.
    algorithm
        Their order.
    folder
        Where the machine is claimed.
    tell
        Tells the course's process what happens.

    Returns
    -------
    bool
        Whether the target has the machine. If not, it is the source's own again.

    Examples
    --------
    >>> migrate.__name__
    'migrate'
    """
    tell.step("connected")
    move.look()
    try:
        algorithm.run(move)
    except OSError as error:  # the link broke, or was silent for too long
        gone = not claim(folder, "source")
        tell("link broke", why=str(error), gone=gone)
        return gone
    tell("sent", bytes=move.sent_bytes)
    return True
