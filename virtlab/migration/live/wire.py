"""What goes over the link: pages with their numbers, and a few words.

A frame is one letter, a count, and what belongs to it. A page costs its 4,096 bytes and 8 for its
number, as in other hypervisors' streams. The link can be made slower than the machine's own, so
that there is time to look: after each chunk the sender waits until the chunk is due.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.live.memory import PAGE_BYTES

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["CHUNK_PAGES", "FRAME", "PAGE_COST_BYTES", "Pace", "receive", "send_pages", "send_word"]

FRAME = struct.Struct("!cQ")
CHUNK_PAGES = 32
PAGE_COST_BYTES = PAGE_BYTES + 8
_OVERSLEPT_S = 0.002
_AT_ONCE = 60  # pieces of memory that one call of sendmsg takes


class Pace:
    """Holds a sender to a bandwidth.

    Parameters
    ----------
    mib_s
        MiB a second; 0 for what the machine can.

    Attributes
    ----------
    sent_bytes
        All so far.

    Examples
    --------
    >>> pace = Pace(0)
    >>> pace.wait(4096)
    >>> pace.sent_bytes
    4096
    """

    def __init__(self, mib_s: float) -> None:
        self._seconds_a_byte = 1 / (mib_s * 2**20) if mib_s else 0.0
        self._due = 0.0
        self.sent_bytes = 0

    def wait(self, sent: int) -> None:
        """Note that so many bytes were sent, and wait until the link would have taken them.

        Parameters
        ----------
        sent
            Bytes.

        Examples
        --------
        See the class.
        """
        self.sent_bytes += sent
        now = time.monotonic()
        # Time that the link was idle is gone, but for what a sleep may have been too long.
        self._due = max(self._due, now - _OVERSLEPT_S) + sent * self._seconds_a_byte
        if self._due > now:
            time.sleep(self._due - now)


def send_word(link: socket.socket, word: bytes, count: int = 0) -> None:
    """Send a frame without contents.

    Parameters
    ----------
    link
        A connected socket.
    word
        One letter.
    count
        A number that goes with it.

    Examples
    --------
    >>> import socket
    >>> here, there = socket.socketpair()
    >>> send_word(here, b"F", 7)
    >>> FRAME.unpack(receive(there, FRAME.size))
    (b'F', 7)
    >>> here.close(); there.close()
    """
    link.sendall(FRAME.pack(word, count))


def receive(link: socket.socket, size: int) -> bytearray:
    """Receive so many bytes.

    Parameters
    ----------
    link
        A connected socket.
    size
        Bytes.

    Returns
    -------
    bytearray
        All of them.

    Raises
    ------
    ConnectionError
        If the other side is gone.

    Examples
    --------
    >>> import socket
    >>> here, there = socket.socketpair()
    >>> here.close()
    >>> receive(there, 1)
    Traceback (most recent call last):
    ConnectionError: the other side is gone
    >>> there.close()
    """
    data = bytearray(size)
    view = memoryview(data)
    while view:
        got = link.recv_into(view)
        if not got:
            raise ConnectionError("the other side is gone")
        view = view[got:]
    return data


def _runs(pages: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield first page and length of each run of neighbours."""
    ends = np.flatnonzero(np.diff(pages, append=-9) != 1) + 1
    start = 0
    for end in ends.tolist():
        yield int(pages[start]), end - start
        start = end


def send_pages(
    link: socket.socket, memory: memoryview, pages: NDArray[np.int64], pace: Pace
) -> None:
    """Send pages out of the memory as it is, without a copy of our own.

    Parameters
    ----------
    link
        A connected socket.
    memory
        All of the machine's bytes.
    pages
        Page numbers in order.
    pace
        Holds the bandwidth.

    Examples
    --------
    >>> import socket
    >>> here, there = socket.socketpair()
    >>> pace = Pace(0)
    >>> send_pages(here, memoryview(b"a" * 4096 + b"b" * 4096), np.array([1]), pace)
    >>> FRAME.unpack(receive(there, FRAME.size)), receive(there, 8)[-1], receive(there, 4096)[:2]
    ((b'P', 1), 1, bytearray(b'bb'))
    >>> pace.sent_bytes
    4104
    >>> here.close(); there.close()
    """
    for start in range(0, len(pages), CHUNK_PAGES):
        chunk = pages[start : start + CHUNK_PAGES]
        pieces = [memoryview(FRAME.pack(b"P", len(chunk)) + chunk.astype(">i8").tobytes())]
        pieces += [
            memory[first * PAGE_BYTES : (first + count) * PAGE_BYTES]
            for first, count in _runs(chunk)
        ]
        _send_all(link, pieces)
        pace.wait(len(chunk) * PAGE_COST_BYTES)


def _send_all(link: socket.socket, pieces: list[memoryview]) -> None:
    """Send pieces one after the other, with as few calls as it takes."""
    while pieces:
        sent = link.sendmsg(pieces[:_AT_ONCE])
        while pieces and sent >= len(pieces[0]):
            sent -= len(pieces.pop(0))
        if sent:
            pieces[0] = pieces[0][sent:]
