"""JupyterLab and Voila on loopback, for the browser tests: started, asked, stopped."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tools import notebooks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START_SECONDS = 120


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def private(environment: dict[str, str], home: Path) -> dict[str, str]:
    """Keep a server away from the user's own settings, and from the network."""
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    own = {name: str(home / folder) for name, folder in places.items()}
    return {**environment, **own, "PYTHONPATH": notebooks.environment()["PYTHONPATH"]}


@dataclass
class Server:
    """A running server."""

    url: str
    token: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, path: str) -> Any:
        """Return what the server says at a path, read as JSON."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}{path}", headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Wait until something is so; fail with the server's own words."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if done():
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.1)
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise TimeoutError(f"waited for {what}; the server said:\n{tail}")

    def has_kernel(self, kernel: str) -> bool:
        """Return whether a kernel of this id is there."""
        try:
            self.ask(f"/api/kernels/{kernel}")
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def end_presented(self, kernel: str) -> None:
        """End a kernel of Voila's, as its page would; who asks has to send its own cookie twice."""
        proof = secrets.token_hex(16)
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/voila/api/shutdown/{kernel}",
            headers={"Cookie": f"_xsrf={proof}", "X-XSRFToken": proof},
            method="POST",
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310

    def ready_kernel(self, notebook: str) -> bool:
        """Return whether the page's websocket is up and the kernel idle.

        The toolbar says idle before the websocket is up, so it can't be asked.
        """
        return any(
            session["path"] == notebook
            and session["kernel"]["connections"] >= 1
            and session["kernel"]["execution_state"] == "idle"
            for session in self.ask("/api/sessions")
        )

    def stop(self) -> None:
        """End it and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(
    command: list[str], environment: dict[str, str], home: Path, folder: Path
) -> subprocess.Popen[bytes]:
    """Start a server in a folder; what it says goes to a file."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "log.txt").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=private(environment, home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def start_lab(folder: Path, home: Path) -> Server:
    """Start JupyterLab on a folder, by the command that the course uses."""
    from virtlab.course import lab

    port, token = free_port(), secrets.token_hex(16)
    options = (
        "--no-browser",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",
    )
    process = start(lab.command(folder, "", *options), lab.environment(), home, folder)
    server = Server(f"http://127.0.0.1:{port}", token, process, home / "log.txt")
    server.wait(lambda: "started" in server.ask("/api/status"), "JupyterLab")
    return server


def start_voila(notebook: Path, home: Path, *more: str, whole_folder: bool = False) -> Server:
    """Start Voila on a notebook, by the command that the course uses; or on its whole folder."""
    from virtlab.course import present

    port = free_port()
    options = (
        "--no-browser",
        f"--port={port}",
        "--Voila.port_retries=0",
        f"--base_url={os.sep}",
        *more,
    )
    command = present.command(notebook, *options)
    if whole_folder:
        command[command.index(str(notebook))] = str(notebook.parent)
    process = start(command, present.environment(), home, notebook.parent)
    server = Server(f"http://127.0.0.1:{port}", "", process, home / "log.txt")

    def listening() -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True

    server.wait(listening, "Voila")
    return server
