"""A program that behaves towards the lab as QEMU does, so that its errors can be had at will.

Source and target talk to each other over TCP as the real ones do. What goes wrong is named by the
variable FAKE_QEMU: 'refuses', 'fails', 'dies', 'stuck' (never converges), 'silent' (the guest says
nothing in the target), 'mute' (it never says anything), 'small' (it says what it lacks), 'broken'
(QEMU itself does not start).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from typing import Any

BEHAVIOUR = os.environ.get("FAKE_QEMU", "")
INCOMING = "-incoming" in sys.argv
ACTIVE_S = 0.3


class FakeQemu:
    """One source or target."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.sending = threading.Lock()
        self.status = "none"
        self.asked_after_end = 0
        self.port = 0
        self.postcopy = False

    def send(self, message: dict[str, Any]) -> None:
        with self.sending:
            self.connection.sendall(json.dumps(message).encode() + b"\r\n")

    def event(self, name: str, **data: object) -> None:
        now = time.time()
        at = {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}
        self.send({"event": name, "data": data, "timestamp": at})

    def serve(self) -> None:
        version = {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""}
        self.send({"QMP": {"version": version, "capabilities": ["oob"]}})
        for line in self.connection.makefile():
            order = json.loads(line)
            name = order["execute"].replace("-", "_")
            if name == BEHAVIOUR or (BEHAVIOUR == "refuses" and name == "migrate_set_parameters"):
                self.send({"error": {"class": "GenericError", "desc": "Parameter is not known"}})
                continue
            answer = getattr(self, name, dict)
            self.send({"return": answer(**order.get("arguments", {}))})

    def migrate_set_capabilities(self, **_: object) -> dict[str, Any]:
        return {}

    migrate_set_parameters = migrate_set_capabilities

    def migrate_incoming(self, uri: str) -> dict[str, Any]:
        assert uri == "tcp:127.0.0.1:0"
        server = socket.create_server(("127.0.0.1", 0))
        self.port = server.getsockname()[1]
        threading.Thread(target=self._receive, args=(server,), daemon=True).start()
        return {}

    def _receive(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        if connection.recv(2) == b"go":
            self.event("RESUME")
            if BEHAVIOUR != "silent":
                write_for_ever(4000)

    def migrate(self, uri: str) -> dict[str, Any]:
        self.status = "active"
        port = int(uri.rsplit(":", 1)[1])
        threading.Thread(target=self._copy, args=(port,), daemon=True).start()
        return {}

    def _copy(self, port: int) -> None:
        target = socket.create_connection(("127.0.0.1", port))
        self.event("MIGRATION", status="active")
        time.sleep(ACTIVE_S)
        if BEHAVIOUR == "dies":
            os._exit(1)
        if BEHAVIOUR == "fails":
            self.status = "failed"
        elif BEHAVIOUR != "stuck":
            self.event("STOP")
            target.sendall(b"go")
            self.status = "completed"
        self.event("MIGRATION", status=self.status)

    def migrate_start_postcopy(self) -> dict[str, Any]:
        self.status, self.postcopy = "postcopy-active", True
        self.event("MIGRATION", status=self.status)
        return {}

    def migrate_cancel(self) -> dict[str, Any]:
        self.status = "cancelled"
        return {}

    def query_migrate(self) -> dict[str, Any]:
        if INCOMING:
            return {"socket-address": [{"host": "127.0.0.1", "port": str(self.port)}]}
        if self.status == "failed":
            return {"status": "failed", "error-desc": "the cable is cut"}
        if self.status == "cancelled":
            return {"status": "cancelled"}
        info: dict[str, Any] = {
            "status": self.status,
            "total-time": 400 if self.status == "postcopy-active" else 250,
            "expected-downtime": 300,
            "ram": {"transferred": 1_000_000, "normal": 240, "duplicate": 10, "remaining": 4096,
                    "total": 2**27, "dirty-sync-count": 3, "mbps": 32.0},
        }  # fmt: skip
        if self.status == "completed":  # QEMU adds up a moment after it has said so
            self.asked_after_end += 1
            info["total-time"] = 0 if self.asked_after_end < 3 else 321
            info["downtime"] = 12
            info["ram"]["postcopy-bytes"] = 500 if self.postcopy else 0
        return info


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write_for_ever(writes: int) -> None:
    for tenths in range(100_000):
        say(f"writes {writes + 100 * tenths} tenths {tenths} late 3")
        time.sleep(0.02)  # a guest whose tenths are short: the tests need not wait


def main() -> None:
    if BEHAVIOUR == "broken":
        sys.exit("qemu: could not open the accelerator")
    path = sys.argv[sys.argv.index("-qmp") + 1].removeprefix("unix:").split(",")[0]
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    say("BIOS\nfilled 100 hz 1000000")
    if BEHAVIOUR == "small":
        say("error: fill: more than there is of memory")
    elif BEHAVIOUR != "mute" and not INCOMING:
        threading.Thread(target=write_for_ever, args=(0,), daemon=True).start()
    FakeQemu(server.accept()[0]).serve()


if __name__ == "__main__":
    main()
