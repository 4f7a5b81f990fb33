"""The room with the two hosts: starts them, lets a machine move, and sees to it that one has it.

The room is the course's own process. It holds the two memories (a process that is killed leaves
its memory, as its page cache outlives a program) and the port for clients, and hears what the hosts
tell. When a host dies it settles who has the machine, by the same claim as the hosts themselves:

| who died | who had claimed the machine | then |
|---|---|---|
| target | not the target | the source notices, and goes on |
| target | the target | a new process goes on, on the target's memory |
| source | nobody | the target claims it if it has all, else it gives up; |
| | | then a new process goes on, on the source's memory |
| source | the target | nothing: the target runs |

Only where pages were left behind (post-copy, and the talk's steps) can the machine be lost: when
one of the two dies before the last page has come. `lost` then says so. If a whole host dies and its
memory with it, so does the machine that it has, as on any host.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from virtlab.migration.live.bank import found
from virtlab.migration.live.claim import claim, owner
from virtlab.migration.live.host import HostSpec
from virtlab.migration.live.memory import OwnedMemory, memory_file

if TYPE_CHECKING:
    from types import TracebackType

    from virtlab.migration.live.setup import Fault, LiveSetup

__all__ = ["Event", "Room"]


@dataclass(frozen=True)
class Event:
    """Something that a host told.

    Attributes
    ----------
    host
        source or target.
    what
        In a word or two; 'dead' when its process has ended.
    time
        When, s.
    more
        What else it said.
    """

    host: str
    what: str
    time: float
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Process:
    """A host's process, seen from the room."""

    popen: subprocess.Popen[bytes]
    control: socket.socket
    dead: bool = False


class Room:
    """Two hosts and a machine. Use it in a `with` statement: it leaves no process behind.

    Parameters
    ----------
    setup
        What moves, over which link.
    seed
        Of the database's contents.
    fault
        A signal that is to hit a host.

    Attributes
    ----------
    events
        All that the hosts told, in order.
    address
        Of the server, for clients.
    restarts
        How often a killed host's machine was started again on its memory.

    Examples
    --------
    >>> from virtlab.migration.live.setup import LiveSetup
    >>> with Room(LiveSetup(archive_mib=0, accounts=10), seed=1) as room:
    ...     room.move("stop")
    'moved'
    """

    def __init__(self, setup: LiveSetup, seed: int, fault: Fault | None = None) -> None:
        self._setup, self._fault = setup, fault
        self._stack = ExitStack()
        self._heard: queue.Queue[Event] = queue.Queue()
        self._hosts: dict[str, _Process] = {}
        self.events: list[Event] = []
        self.restarts = 0
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._files = {host: memory_file(setup.pages) for host in ("source", "target")}
        for file in self._files.values():
            self._stack.callback(os.close, file)
        self._listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.address: tuple[str, int] = self._listener.getsockname()
        found(self.memory("source"), setup.accounts, setup.archive_mib, seed)

    def __enter__(self) -> Self:
        """Start the source."""
        self._door, self._other_door = socket.socketpair()
        self._stack.enter_context(self._door)
        self._stack.enter_context(self._other_door)
        try:
            self._start("source", self._listener, self._door)
            self._wait_for("source", "serving")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what is left."""
        self.close()

    def close(self) -> None:
        """Kill the hosts that are left, and give everything back.

        Examples
        --------
        See the class.
        """
        for host in self._hosts.values():
            with suppress(OSError):
                host.popen.kill()
            host.popen.wait()
            host.control.close()
        self._hosts.clear()
        self._stack.close()

    def memory(self, host: str) -> OwnedMemory:
        """Return a host's memory.

        Parameters
        ----------
        host
            source or target.

        Returns
        -------
        OwnedMemory
            The same bytes that the host has.

        Examples
        --------
        >>> Room.memory.__name__
        'memory'
        """
        return OwnedMemory(self._files[host])

    def _start(self, host: str, listener: socket.socket, door: socket.socket) -> None:
        """Start a host's process; a fault hits the first one only."""
        ours, theirs = socket.socketpair()
        fault = self._fault if self._fault and self._fault.host == host else None
        if host in self._hosts:
            fault = None
            self._hosts[host].control.close()
        spec = HostSpec(
            "source" if host in self._hosts else host, str(self._folder), self._files[host],
            theirs.fileno(), door.fileno(), listener.fileno(),
            die_at=fault.step if fault else "", how=fault.how if fault else 9,
            patience_s=self._setup.patience_s,
        )  # fmt: skip
        with theirs:
            popen = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "virtlab.migration.live.host", spec.to_json()],
                pass_fds=(spec.memory, spec.control, spec.door, spec.listener),
                cwd=Path(__file__).parents[3],
            )
        process = self._hosts[host] = _Process(popen, ours)
        threading.Thread(target=self._listen, args=(host, process), daemon=True).start()

    def _listen(self, host: str, process: _Process) -> None:
        """Put what a host tells into the queue, until it has ended."""
        with suppress(OSError), process.control.makefile("r") as lines:
            for line in lines:
                told = json.loads(line)
                self._heard.put(Event(host, told.pop("what"), told.pop("time"), told))
        process.popen.wait()
        self._heard.put(Event(host, "dead", time.monotonic(), {"pid": process.popen.pid}))

    def _next(self, seconds: float) -> Event | None:
        try:
            event = self._heard.get(timeout=seconds)
        except queue.Empty:
            return None
        self.events.append(event)
        process = self._hosts[event.host]
        process.dead |= event.more.get("pid") == process.popen.pid
        return event

    def _wait_for(self, host: str, what: str, seconds: float = 60) -> Event:
        while True:
            event = self._next(seconds)
            if event is None or (event.host == host and event.what == "dead" != what):
                raise RuntimeError(f"the {host} did not come to '{what}'")
            if (event.host, event.what) == (host, what):
                return event

    def _told(self, host: str, what: str) -> Event | None:
        return next((e for e in self.events if (e.host, e.what) == (host, what)), None)

    def move(self, algorithm: str) -> str:
        """Let the machine move from source to target, and wait until one of them has it for good.

        Parameters
        ----------
        algorithm
            precopy, stop, deck or postcopy.

        Returns
        -------
        str
            moved, stayed, or lost.

        Examples
        --------
        See the class.
        """
        with socket.create_server(("127.0.0.1", 0)) as port:
            self._start("target", port, self._other_door)
            while not self._told("target", "prepared"):
                self._next(60)
                if self._hosts["target"].dead:
                    return "stayed"  # nothing had begun
            self._door.close()  # so that each of the two notices the other's end
            self._other_door.close()
            order = {
                "do": "migrate", "algorithm": algorithm, "port": port.getsockname()[1],
                "settings": {
                    "link_mib_s": self._setup.link_mib_s,
                    "downtime_limit_s": self._setup.downtime_limit_ms / 1000,
                    "most_rounds": self._setup.most_rounds,
                },
            }  # fmt: skip
        self._say("source", order)
        while True:
            settled = self._settled()
            if settled:
                return settled
            if self._next(self._longest_silence()) is None:
                self._end_the_silent()

    def _longest_silence(self) -> float:
        """Return after how long without a sign a host counts as dead: longer than any round."""
        mib = self._setup.pages / 256
        speed = self._setup.link_mib_s or mib
        return 1.5 * self._setup.patience_s + 2 * mib / speed

    def _settled(self) -> str:
        """Return how it ended, or nothing if that is still open."""
        source, target = self._hosts["source"], self._hosts["target"]
        if self._told("source", "goes on"):
            return "stayed"
        if owner(self._folder) == "target":
            return self._settled_there()
        if source.dead and not target.dead and not self._told("source", "connected"):
            target.popen.kill()  # it waits for nobody
        if source.dead and target.dead and claim(self._folder, "source"):
            return self._restart("source", "stayed")
        return ""

    def _settled_there(self) -> str:
        """Return how it ended, once the target has claimed the machine."""
        if self._told("target", "complete") and self._hosts["source"].dead:
            return "moved"
        if not self._hosts["target"].dead:
            return ""
        bitmap = self._told("target", "bitmap")
        nothing_left = bitmap is not None and not bitmap.more["left"]
        if nothing_left or self._told("target", "last page here"):
            return self._restart("target", "moved")
        return "lost"

    def _restart(self, host: str, outcome: str) -> str:
        """Start a new process on the memory that a killed one has left."""
        here, there = socket.socketpair()
        with here, there:
            self._start(host, self._listener, here)
        self.restarts += 1
        self._wait_for(host, "serving")
        return outcome

    def _end_the_silent(self) -> None:
        """Kill who must not have the machine, or else who has it and does nothing."""
        order = ["source", "target"] if owner(self._folder) == "target" else ["target", "source"]
        for host in order:
            if not self._hosts[host].dead:
                self._hosts[host].popen.kill()
                self._wait_for(host, "dead")
                return

    def _say(self, host: str, command: dict[str, Any]) -> None:
        with suppress(OSError):  # it is gone: its end will be noticed
            self._hosts[host].control.sendall(json.dumps(command).encode() + b"\n")

    def end(self, host: str) -> None:
        """Let a host's server finish what it does, and end its process.

        Parameters
        ----------
        host
            source or target.

        Examples
        --------
        >>> Room.end.__name__
        'end'
        """
        self._say(host, {"do": "end"})
        self._wait_for(host, "ended")
