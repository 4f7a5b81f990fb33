"""What a host tells the course's process, and where it is to die in a test of faults."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

__all__ = ["Teller"]


class Teller:
    """Sends events, a line of JSON each, with the time on the clock that all processes share.

    Parameters
    ----------
    control
        A socket to the course's process. If that is gone, this process ends too.
    die_at
        A step at which this process kills itself (SIGKILL), or stops (SIGSTOP).
    how
        The signal.

    Examples
    --------
    >>> import socket
    >>> here, there = socket.socketpair()
    >>> Teller(here).step("quiesced")
    >>> event = json.loads(there.recv(200))
    >>> event["what"], event["time"] <= time.monotonic()
    ('quiesced', True)
    >>> here.close(); there.close()
    """

    def __init__(self, control: socket.socket, die_at: str = "", how: int = signal.SIGTERM) -> None:
        self._control, self._die_at = control, die_at
        self._how = how
        self._lock = threading.Lock()

    def __call__(self, what: str, **more: object) -> None:
        """Send an event."""
        line = json.dumps({"what": what, "time": time.monotonic(), **more}) + "\n"
        try:
            with self._lock:
                self._control.sendall(line.encode())
        except OSError:
            os._exit(1)  # nobody is there any more

    def step(self, name: str) -> None:
        """Say that a step is done; this is where a test may kill the process.

        Parameters
        ----------
        name
            One of the steps of source or target.

        Examples
        --------
        See the class.
        """
        self(name)
        if name == self._die_at:
            self._die_at = ""
            os.kill(os.getpid(), self._how)
