"""The target's side of a migration: receive the memory, have all, claim the machine, run it.

    prepare     a memory of zeros, and a port for the source
    receive     pages go to their places; after a round the target says that they are there
    has all     every page is here, or in the bitmap of those that are left
    take over   the clients' connections arrive, the database is opened, the machine is claimed
    run         the server goes on; pages that are missing are asked for, the others come unasked

Before the claim the target may die, or give up when the source is gone: nothing is lost, as the
source (or a new process on its memory) goes on. After the claim the machine is here.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.live.bank import Bank
from virtlab.migration.live.claim import claim
from virtlab.migration.live.memory import PAGE_BYTES, OwnedMemory
from virtlab.migration.live.server import Connection, Server
from virtlab.migration.live.source import Machine
from virtlab.migration.live.wire import FRAME, receive, send_word

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from virtlab.migration.live.tell import Teller

__all__ = ["TARGET_STEPS", "Arrival", "take_over"]

# Where a test may kill the target.
TARGET_STEPS = (
    "in the first round",
    "round here",
    "has all",
    "descriptors here",
    "database open",
    "claimed",
    "serving",
    "said so",
    "last page here",
)
_MOST_DESCRIPTORS = 250  # Linux takes 253 in a message


class Arrival:
    """A machine that arrives.

    Parameters
    ----------
    memory
        Zeros, as large as the source's.
    link
        From the source, over TCP.
    tell
        Tells the course's process what happens.
    """

    def __init__(self, memory: OwnedMemory, link: socket.socket, tell: Teller) -> None:
        self.memory = memory
        self._link, self._tell = link, tell
        self._sending = threading.Lock()
        self._came = threading.Condition()
        self._ours = threading.Event()
        self.broken = False
        self._pages = 0

    def receive(self) -> None:
        """Receive rounds of pages, until the source says that there are no more.

        Examples
        --------
        >>> Arrival.receive.__name__
        'receive'
        """
        view = self.memory.view
        while True:
            word, count = FRAME.unpack(receive(self._link, FRAME.size))
            if word == b"P":
                for page, data in self._frames(count):
                    view[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = data
                self._note(count)
            elif word == b"R":
                send_word(self._link, b"A", count)
                self._tell.step("round here")
            else:
                self.memory.expect(self._numbers(count), self._fetch)
                self._tell("bitmap", left=count)
                self._tell.step("has all")
                send_word(self._link, b"H")
                return

    def _note(self, count: int) -> None:
        if not self._pages:
            self._tell.step("in the first round")
        self._pages += count

    def _numbers(self, count: int) -> NDArray[np.int64]:
        return np.frombuffer(receive(self._link, 8 * count), dtype=">i8").astype(np.int64)

    def _frames(self, count: int) -> list[tuple[int, memoryview]]:
        numbers = self._numbers(count)
        data = memoryview(receive(self._link, count * PAGE_BYTES))
        return [
            (page, data[place * PAGE_BYTES : (place + 1) * PAGE_BYTES])
            for place, page in enumerate(numbers.tolist())
        ]

    def _fetch(self, page: int) -> None:
        """Ask for a page, and wait until it is here: the server stands still, as a guest would."""
        self.say(b"F", page)
        with self._came:
            self._came.wait_for(lambda: self.broken or not self.memory.is_absent(page))
        if self.memory.is_absent(page):
            raise ConnectionError("the source is gone, and with it a page that is needed")

    def say(self, word: bytes, count: int = 0) -> None:
        """Say a word to the source, whichever thread calls."""
        with self._sending:
            send_word(self._link, word, count)

    def follow(self) -> None:
        """Receive in a thread of its own the pages that were left behind."""
        threading.Thread(target=self._follow, name="pages", daemon=True).start()

    def _follow(self) -> None:
        try:
            while self.memory.absent_pages:
                _, count = FRAME.unpack(receive(self._link, FRAME.size))
                for page, data in self._frames(count):
                    self.memory.put(page, data)
                with self._came:
                    self._came.notify_all()
        except OSError:
            self.broken = True
            with self._came:
                self._came.notify_all()
        self._ours.wait()  # for ever, if the machine is not claimed
        if self.broken:
            self._tell("lost", missing=self.memory.absent_pages)
            os._exit(1)
        self._tell.step("last page here")
        with suppress(OSError):  # the source is gone, and not needed any more
            self.say(b"G")
        self._tell("complete")

    def ours(self) -> None:
        """Tell the source that it runs here now.

        Examples
        --------
        >>> Arrival.ours.__name__
        'ours'
        """
        with suppress(OSError):
            self.say(b"M")
        self._tell.step("said so")
        self._ours.set()

    def receive_connections(self, door: socket.socket) -> tuple[socket.socket, list[Connection]]:
        """Receive the listener and the clients' sockets, with what is under way on each."""
        head, descriptors, _, _ = socket.recv_fds(door, 4, _MOST_DESCRIPTORS)
        if len(head) < 4:
            raise ConnectionError("the source is gone")
        state = json.loads(receive(door, struct.unpack("!I", head)[0]))
        listener, *accepted = [socket.socket(fileno=one) for one in descriptors]
        connections = [
            Connection(one, bytes.fromhex(asked), bytes.fromhex(answer))
            for one, (asked, answer) in zip(accepted, state, strict=True)
        ]
        self._tell.step("descriptors here")
        return listener, connections


def take_over(
    memory: OwnedMemory, link: socket.socket, door: socket.socket, folder: Path, tell: Teller
) -> Machine | None:
    """Receive a machine, and run it if it can be claimed.

    Parameters
    ----------
    memory
        Zeros, as large as the source's.
    link, door
        To the source: over TCP for pages, a Unix socket for descriptors.
    folder
        Where the machine is claimed.
    tell
        Tells the course's process what happens.

    Returns
    -------
    Machine or None
        What runs now; None if it stayed where it was.

    Examples
    --------
    >>> TARGET_STEPS[-1]
    'last page here'
    """
    arrival = Arrival(memory, link, tell)
    try:
        arrival.receive()
        listener, connections = arrival.receive_connections(door)
        arrival.follow()
        bank = Bank(memory)
    except OSError as error:
        tell("gave up", why=str(error))
        return None
    tell.step("database open")
    if arrival.broken or not claim(folder, "target"):
        tell("gave up", why="the source is gone, or has claimed the machine")
        return None
    tell.step("claimed")
    lock = threading.Lock()
    machine = Machine(memory, Server(listener, bank.answer, lock, connections), lock)
    machine.server.start()
    tell.step("serving")
    arrival.ours()
    return machine
