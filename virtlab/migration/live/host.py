"""A process that runs the machine, or waits for it: `python -m virtlab.migration.live.host`.

It gets what it needs as descriptors and one line of JSON (`HostSpec`), is told what to do over its
control socket, and tells there what happens. When that socket closes, as the course's process is
gone, it ends: nothing is left behind.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from virtlab.migration.live.algorithms import named
from virtlab.migration.live.bank import Bank
from virtlab.migration.live.claim import claim
from virtlab.migration.live.memory import OwnedMemory
from virtlab.migration.live.server import Server
from virtlab.migration.live.source import Machine, Move, migrate
from virtlab.migration.live.target import take_over
from virtlab.migration.live.tell import Teller

__all__ = ["HostSpec", "main"]


@dataclass(frozen=True)
class HostSpec:
    """What a host is started with.

    Attributes
    ----------
    role
        source or target.
    folder
        Where the machine is claimed.
    memory, control, door, listener
        Descriptors: of the memory, to the course's process, to the other host, of the port for
        clients (the source's) or for the source (the target's).
    die_at, how
        A step at which to be hit by a signal, and its number; for tests.
    patience_s
        How long the source waits for the target, s.

    Examples
    --------
    >>> HostSpec("source", "/tmp/x", 3, 4, 5, 6).die_at
    ''
    """

    role: str
    folder: str
    memory: int
    control: int
    door: int
    listener: int
    die_at: str = ""
    how: int = 9
    patience_s: float = 10.0

    def to_json(self) -> str:
        """Return it as one line.

        Examples
        --------
        >>> HostSpec("source", "/tmp/x", 3, 4, 5, 6).to_json()[:17]
        '{"role": "source"'
        """
        return json.dumps(asdict(self))


class _Host:
    """One process."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self.control = socket.socket(fileno=spec.control)
        self.tell = Teller(self.control, spec.die_at, spec.how)
        self.memory = OwnedMemory(spec.memory)
        self.listener = socket.socket(fileno=spec.listener)
        self.door = socket.socket(fileno=spec.door)

    def run(self) -> None:
        machine = self._begin() if self.spec.role == "source" else self._arrive()
        if machine is None:
            return
        for line in self.control.makefile("r"):
            command = json.loads(line)
            if command["do"] == "end":
                machine.server.close()
                self.tell("ended")
                return
            if self._migrate(machine, command):
                self.tell.step("deleted")
                return
            machine.server.start()
            self.tell("goes on")

    def _begin(self) -> Machine:
        lock = threading.Lock()
        server = Server(self.listener, Bank(self.memory).answer, lock)
        server.start()
        self.tell("serving")
        return Machine(self.memory, server, lock)

    def _arrive(self) -> Machine | None:
        self.tell("prepared")
        link, _ = self.listener.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return take_over(self.memory, link, self.door, Path(self.spec.folder), self.tell)

    def _migrate(self, machine: Machine, command: dict[str, Any]) -> bool:
        patience = self.spec.patience_s
        try:
            link = socket.create_connection(("127.0.0.1", command["port"]), timeout=patience)
        except OSError as error:
            self.tell("link broke", why=str(error), gone=False)
            return not claim(Path(self.spec.folder), "source")
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.door.settimeout(patience)
        with link:
            move = Move(machine, link, self.door, self.tell, **command["settings"])
            way = named(command["algorithm"])
            return migrate(move, way, Path(self.spec.folder), self.tell)


def main(line: str) -> None:
    """Run a host until it is told to end, or its machine has gone.

    Parameters
    ----------
    line
        A `HostSpec` as JSON.

    Examples
    --------
    >>> main.__name__
    'main'
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the course's process
    host = _Host(HostSpec(**json.loads(line)))

    def fall(trouble: threading.ExceptHookArgs) -> None:
        host.tell("fell", why=repr(trouble.exc_value))
        os._exit(1)

    threading.excepthook = fall
    host.run()
    os._exit(0)  # a thread may still wait for what never comes


if __name__ == "__main__":
    main(sys.argv[1])
