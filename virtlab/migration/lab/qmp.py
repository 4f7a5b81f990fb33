"""Talking to a hypervisor: QEMU's monitor protocol, QMP, in a page.

A program that manages virtual machines (libvirt, for one) does it by messages like these. Each
message is one JSON object on a line, over a Unix socket:

- QEMU greets: `{"QMP": {"version": ...}}`, and takes nothing but `qmp_capabilities` at first;
- we ask `{"execute": "query-migrate"}`, and get `{"return": ...}` or `{"error": ...}`;
- in between come events, each with the time by the host's clock: `STOP` when the guest is paused,
  `RESUME` when it goes on. A guest's pause in a migration is the RESUME of the target less the
  STOP of the source.

Source: the QEMU Machine Protocol Specification, in QEMU's documentation.

Left out: out-of-band commands, and file descriptors that are passed along.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["Event", "Qmp", "QmpClosedError", "QmpError", "QmpRefusedError"]

_CHUNK_BYTES = 65_536


class QmpError(RuntimeError):
    """What went wrong between QEMU and us."""


class QmpRefusedError(QmpError):
    """QEMU refused a command.

    Parameters
    ----------
    command
        What it was asked.
    kind
        The class of the error, as QEMU names it.
    text
        What QEMU says about it.
    """

    def __init__(self, command: str, kind: str, text: str) -> None:
        super().__init__(f"QEMU refused {command}: {text}")
        self.command = command
        self.kind = kind
        self.text = text


class QmpClosedError(QmpError):
    """QEMU is gone, or says nothing any more."""


@dataclass(frozen=True)
class Event:
    """Something that QEMU tells without being asked.

    Attributes
    ----------
    name
        'STOP', 'RESUME', 'MIGRATION' and others.
    time_s
        When, by the host's clock, s since 1970.
    data
        What else it says.
    """

    name: str
    time_s: float
    data: dict[str, Any] = field(default_factory=dict)


class Qmp:
    r"""One connection to a QEMU.

    Parameters
    ----------
    connection
        A connected stream socket; `Qmp.connect` makes one.
    timeout_s
        Longest time to wait for an answer, s.

    Attributes
    ----------
    version
        QEMU's version: '7.2.22'.
    events
        All events so far, in their order.

    Raises
    ------
    QmpError
        If what answers is no QEMU.

    Examples
    --------
    A QEMU played by three lines of text:

    >>> ours, theirs = socket.socketpair()
    >>> version = {"qemu": {"major": 7, "minor": 2, "micro": 22}}
    >>> for line in ({"QMP": {"version": version}}, {"return": {}}, {"return": {"running": True}}):
    ...     theirs.sendall(json.dumps(line).encode() + b"\n")
    >>> with theirs, Qmp(ours) as qmp:
    ...     qmp.version, qmp.execute("query-status")
    ('7.2.22', {'running': True})
    """

    def __init__(self, connection: socket.socket, *, timeout_s: float = 10) -> None:
        self._socket = connection
        self._timeout_s = timeout_s
        self._rest = b""
        self.events: list[Event] = []
        greeting = self._answer("the connection", time.monotonic() + timeout_s)
        try:
            number = greeting["QMP"]["version"]["qemu"]
            self.version = "{major}.{minor}.{micro}".format(**number)
        except (KeyError, TypeError) as error:
            raise QmpError(f"no QEMU answers, but {greeting!r:.80}") from error
        self.execute("qmp_capabilities")

    @classmethod
    def connect(cls, path: Path, *, timeout_s: float = 10) -> Qmp:
        """Connect to a QEMU that was started with `-qmp unix:PATH,server=on,wait=off`.

        Parameters
        ----------
        path
            The socket; it may take a while to appear.
        timeout_s
            Longest time to wait for it, and later for an answer, s.

        Returns
        -------
        Qmp
            The connection, past the greeting.

        Raises
        ------
        QmpClosedError
            If nothing is there.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(path))
            except OSError as error:
                connection.close()
                if time.monotonic() > deadline:
                    raise QmpClosedError(f"no QEMU listens at {path}") from error
                time.sleep(0.02)
                continue
            try:
                return cls(connection, timeout_s=timeout_s)
            except BaseException:
                connection.close()
                raise

    def execute(self, command: str, **arguments: object) -> Any:
        """Ask QEMU to do something, and wait for its answer.

        Parameters
        ----------
        command
            Its name, as QEMU writes it: 'migrate-set-parameters'.
        arguments
            Its arguments, with '_' for each '-' in a name.

        Returns
        -------
        object
            What QEMU returned: for many commands an empty dict.

        Raises
        ------
        QmpRefusedError
            If QEMU refused.
        QmpClosedError
            If it is gone, or does not answer in time.
        """
        message: dict[str, object] = {"execute": command}
        if arguments:
            message["arguments"] = {
                name.replace("_", "-"): value for name, value in arguments.items()
            }
        self._socket.settimeout(self._timeout_s)
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise QmpClosedError(f"QEMU is gone: {command} could not be sent") from error
        deadline = time.monotonic() + self._timeout_s
        while True:
            answer = self._answer(command, deadline)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                refusal = answer["error"]
                raise QmpRefusedError(command, refusal.get("class", ""), refusal.get("desc", ""))
            self._keep(answer)

    def wait_for(self, name: str, *, timeout_s: float, since: int = 0) -> Event | None:
        """Wait for an event.

        Parameters
        ----------
        name
            Which.
        timeout_s
            Longest time to wait, s; 0 looks at what has come.
        since
            How many of `events` to pass over.

        Returns
        -------
        Event or None
            The first of this name, or None if it did not come in time.

        Raises
        ------
        QmpClosedError
            If QEMU is gone.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            for event in self.events[since:]:
                if event.name == name:
                    return event
            try:
                self._keep(self._message(deadline))
            except TimeoutError:
                return None

    def close(self) -> None:
        """Close the connection; QEMU goes on."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection, also after an error."""
        self.close()

    def _keep(self, message: dict[str, Any]) -> None:
        if "event" in message:
            at = message["timestamp"]
            time_s = at["seconds"] + at["microseconds"] / 1e6
            self.events.append(Event(message["event"], time_s, message.get("data", {})))

    def _answer(self, what: str, deadline: float) -> dict[str, Any]:
        try:
            return self._message(deadline)
        except TimeoutError as error:
            text = f"QEMU is silent: {what} is unanswered after {self._timeout_s:g} s"
            raise QmpClosedError(text) from error

    def _message(self, deadline: float) -> dict[str, Any]:
        """Return the next message; raise TimeoutError at the deadline, a kind of silence."""
        while b"\n" not in self._rest:
            self._socket.settimeout(max(deadline - time.monotonic(), 1e-4))
            try:
                chunk = self._socket.recv(_CHUNK_BYTES)
            except TimeoutError:
                raise
            except OSError as error:
                raise QmpClosedError("QEMU is gone: the connection broke") from error
            if not chunk:
                raise QmpClosedError("QEMU is gone: it closed the connection")
            self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            message = json.loads(line)
        except ValueError as error:
            raise QmpError(f"no QEMU answers, but {line!r:.80}") from error
        if not isinstance(message, dict):
            raise QmpError(f"no QEMU answers, but {line!r:.80}")
        return message
