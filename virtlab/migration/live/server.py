"""The server: one thread that reads lines from clients, has them executed, and answers.

It can be **quiesced**: it finishes the transaction that runs and touches nothing any more. What its
clients have sent and what it has not yet been able to answer stays, in the kernel's buffers and in
`Connection`, and moves with the machine. So to a client a migration is a pause, not an error.
"""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Connection", "Server"]


@dataclass
class Connection:
    """A client's connection, and what is under way on it.

    Attributes
    ----------
    socket
        The accepted socket.
    asked
        Bytes that were read and not executed yet.
    answer
        Bytes that could not be sent yet.
    """

    socket: socket.socket
    asked: bytes = b""
    answer: bytes = field(default=b"")


class Server:
    r"""Serves clients in a thread of its own.

    Parameters
    ----------
    listener
        A listening socket.
    execute
        Turns a line into an answer.
    lock
        Held while a line is executed.
    connections
        Those that another process has accepted and handed over.

    Attributes
    ----------
    connections
        All that are open.

    Examples
    --------
    >>> import socket, threading
    >>> listener = socket.create_server(("127.0.0.1", 0))
    >>> server = Server(listener, str.upper, threading.Lock())
    >>> server.start()
    >>> with socket.create_connection(listener.getsockname()) as client:
    ...     client.sendall(b"a line\n")
    ...     client.recv(100)
    b'A LINE\n'
    >>> server.close()
    >>> listener.close()
    """

    def __init__(
        self,
        listener: socket.socket,
        execute: Callable[[str], str],
        lock: threading.Lock,
        connections: list[Connection] | None = None,
    ) -> None:
        self.listener = listener
        self.connections = connections or []
        self._execute = execute
        self._lock = lock
        self._held = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, or go on; nothing happens if it runs.

        Examples
        --------
        See the class.
        """
        if self._thread is not None:
            return
        self._held.clear()
        self._bell, self._ear = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    def quiesce(self) -> None:
        """Finish the transaction that runs, and hold all that comes after it.

        Examples
        --------
        See the class.
        """
        if self._thread is None:
            return
        self._held.set()
        self._bell.send(b"!")
        self._thread.join()
        self._bell.close()
        self._ear.close()
        self._thread = None

    def close(self) -> None:
        """Quiesce for good, and close all connections.

        Examples
        --------
        See the class.
        """
        self.quiesce()
        for connection in self.connections:
            connection.socket.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ, None)
            self.listener.settimeout(0)
            selector.register(self.listener, selectors.EVENT_READ, self.listener)
            for connection in list(self.connections):
                self._watch(selector, connection)
            self._loop(selector)

    def _loop(self, selector: selectors.BaseSelector) -> None:
        for connection in list(self.connections):  # what came with them
            self._serve(selector, connection)
        while not self._held.is_set():
            for key, events in selector.select():
                if key.fileobj is self.listener:
                    self._accept(selector)
                elif key.data is not None:
                    self._ready(selector, key.data, events)
                if self._held.is_set():
                    return

    def _watch(self, selector: selectors.BaseSelector, connection: Connection) -> None:
        connection.socket.settimeout(0)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        with suppress(BlockingIOError):
            connection = Connection(self.listener.accept()[0])
            self.connections.append(connection)
            self._watch(selector, connection)

    def _ready(self, selector: selectors.BaseSelector, connection: Connection, events: int) -> None:
        if events & selectors.EVENT_READ:
            try:
                data = connection.socket.recv(65536)
            except BlockingIOError:
                data = None
            except OSError:
                data = b""
            if data == b"":
                self._drop(selector, connection)
                return
            connection.asked += data or b""
        self._serve(selector, connection)

    def _serve(self, selector: selectors.BaseSelector, connection: Connection) -> None:
        """Execute whole lines, then send as much of the answers as goes."""
        while b"\n" in connection.asked and not self._held.is_set():
            line, rest = connection.asked.split(b"\n", 1)
            with self._lock:
                answer = self._execute(line.decode(errors="replace"))
            # Answered and struck off together: no moment shows it as both done and to do.
            connection.asked, connection.answer = rest, connection.answer + answer.encode() + b"\n"
            self._send(connection)
        self._send(connection)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.answer else 0)
        with suppress(KeyError):
            selector.modify(connection.socket, wanted, connection)

    def _send(self, connection: Connection) -> None:
        with suppress(OSError):  # it would block, or the client is gone: reading will tell
            while connection.answer:
                connection.answer = connection.answer[connection.socket.send(connection.answer) :]

    def _drop(self, selector: selectors.BaseSelector, connection: Connection) -> None:
        selector.unregister(connection.socket)
        connection.socket.close()
        self.connections.remove(connection)
