"""One running QEMU with our guest in it: started, listened to, and always ended.

QEMU is a process like any other. Its guest's serial port is the process's own output, so what the
guest says is read from a pipe; orders are given by QMP (`virtlab.migration.lab.qmp`).
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from virtlab.migration.lab.cells import Cell
from virtlab.migration.lab.guest import PROGRAM, Report, command_line, parse
from virtlab.migration.lab.qmp import Qmp, QmpError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["ACCELERATORS", "LabError", "Machine", "choose_accelerator", "find_qemu", "why_not"]

ACCELERATORS = ("auto", "kvm", "tcg")

_PROGRAMS = ("qemu-system-x86_64", "qemu-system-i386")
_GONE_AFTER_S = 5


class LabError(RuntimeError):
    """Why a migration could not be measured."""


def find_qemu() -> str | None:
    """Return where QEMU for x86 is.

    Returns
    -------
    str or None
        Its path; None where there is none.

    Examples
    --------
    >>> find_qemu() is None or "qemu-system" in find_qemu()
    True
    """
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def why_not() -> str:
    """Return why the home lab can't run here.

    Returns
    -------
    str
        '' if it can; else a sentence that says what to install.

    Examples
    --------
    >>> why_not() == "" or why_not().startswith("The home lab")
    True
    """
    if not hasattr(socket, "AF_UNIX") or os.name != "posix":
        return "The home lab needs Linux or macOS: on Windows, run it in WSL."
    if find_qemu() is None:
        return (
            "The home lab needs QEMU, and there is no qemu-system-x86_64 here: install "
            "qemu-system-x86 (Debian, Ubuntu: apt install qemu-system-x86; Fedora: dnf install "
            "qemu-system-x86; macOS: brew install qemu)."
        )
    return ""


def choose_accelerator(wanted: str = "auto") -> str:
    """Return what runs the guest: the processor itself (KVM), or QEMU's translator (TCG).

    Parameters
    ----------
    wanted
        One of `ACCELERATORS`; 'auto' takes KVM where our guest comes up with it, as a machine may
        have `/dev/kvm` and yet run no guest.

    Returns
    -------
    str
        'kvm' or 'tcg'.

    Examples
    --------
    >>> choose_accelerator("tcg")
    'tcg'
    """
    if wanted != "auto":
        return wanted
    if platform.machine() not in {"x86_64", "AMD64"} or not os.access(
        "/dev/kvm", os.R_OK | os.W_OK
    ):
        return "tcg"
    probe = Cell(ram_mib=64, fill_mib=1, working_set_pages=1)
    try:
        with Machine(probe, "kvm") as machine:
            machine.wait_until_filled(timeout_s=8)
    except (LabError, QmpError):
        return "tcg"
    return "kvm"


class Machine:
    """A QEMU with our guest.

    Parameters
    ----------
    cell
        The guest's memory and load.
    accelerator
        'kvm' or 'tcg'.
    incoming
        Whether it waits for a guest that comes by migration, and starts none.
    seed
        Of the guest's chance.

    Attributes
    ----------
    seed
        As above.
    qmp
        The connection to its monitor, inside a `with` block.
    reports
        What the guest said so far; a thread appends to it.

    Raises
    ------
    LabError
        If there is no QEMU, or it does not start.

    Examples
    --------
    >>> with Machine(Cell(dirty_writes_nominal_per_s=8000), "tcg") as machine:  # doctest: +SKIP
    ...     machine.wait_until_filled()
    ...     machine.qmp.execute("query-status")
    {'status': 'running', 'singlestep': False, 'running': True}
    """

    qmp: Qmp
    _folder: tempfile.TemporaryDirectory[str]
    _process: subprocess.Popen[str]
    _listener: threading.Thread
    _complaints: Path

    def __init__(
        self, cell: Cell, accelerator: str, *, incoming: bool = False, seed: int = 1
    ) -> None:
        self._cell = cell
        self._accelerator = accelerator
        self._incoming = incoming
        self.seed = seed
        self.reports: list[Report] = []
        self._said: list[str] = []  # what is no report

    @property
    def pid(self) -> int:
        """QEMU's process."""
        return self._process.pid

    def arguments(self, qemu: str, monitor: Path) -> list[str]:
        """Return QEMU's command.

        Parameters
        ----------
        qemu
            The program.
        monitor
            Where its QMP socket will be.

        Returns
        -------
        list of str
            Program and arguments: a machine `pc` with one processor, and nothing else.

        Examples
        --------
        >>> Machine(Cell(), "tcg").arguments("qemu", Path("qmp.sock"))[:5]
        ['qemu', '-machine', 'pc', '-accel', 'tcg']
        """
        return [
            *(qemu, "-machine", "pc", "-accel", self._accelerator, "-smp", "1"),
            *("-m", str(self._cell.ram_mib), "-no-user-config", "-nodefaults", "-display", "none"),
            *("-serial", "stdio", "-qmp", f"unix:{monitor},server=on,wait=off"),
            *("-kernel", str(PROGRAM), "-append", command_line(self._cell, self.seed)),
            *(("-incoming", "defer") if self._incoming else ()),
        ]

    def __enter__(self) -> Self:
        """Start QEMU and connect to its monitor."""
        qemu = find_qemu()
        if qemu is None:
            raise LabError(why_not())
        # A socket's path has about 100 characters at most, so it stands in a folder of its own.
        self._folder = tempfile.TemporaryDirectory(prefix="virtlab-")
        monitor = Path(self._folder.name) / "qmp"
        self._complaints = Path(self._folder.name) / "stderr"
        with self._complaints.open("w") as complaints:
            self._process = subprocess.Popen(  # noqa: S603 - a program that we looked up, no shell
                [*_dies_with_us(), *self.arguments(qemu, monitor)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                errors="replace",
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self._wait_until(monitor.exists, 10, "QEMU did not start")
            self.qmp = Qmp.connect(monitor)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End QEMU, also after an error."""
        self.stop()

    def wait_until_filled(self, timeout_s: float = 60) -> None:
        """Wait until the guest has filled its memory and begun to write.

        Parameters
        ----------
        timeout_s
            Longest time to wait, s.

        Raises
        ------
        LabError
            If it does not, or says why it can't.
        """
        self._wait_until(lambda: bool(self.reports), timeout_s, "the guest did not come up")

    def wait_for_reports(self, count: int, timeout_s: float) -> list[Report]:
        """Wait until the guest has said a number of things from now on.

        Parameters
        ----------
        count
            How many reports; ten are a second.
        timeout_s
            Longest time to wait, s.

        Returns
        -------
        list of Report
            These, or fewer if time ran out.
        """
        first = len(self.reports)
        deadline = time.monotonic() + timeout_s
        while len(self.reports) < first + count and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.reports[first:]

    def stop(self) -> None:
        """End QEMU and remove what it left; a second time does nothing."""
        if hasattr(self, "qmp"):
            self.qmp.close()
        self._process.terminate()
        try:
            self._process.wait(_GONE_AFTER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_GONE_AFTER_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def _listen(self) -> None:
        """Note what the guest says, and when; ends with QEMU."""
        for line in self._process.stdout or ():
            report = parse(line, time.time())
            if report is None:
                self._said.append(line.strip())
            else:
                self.reports.append(report)

    def _wait_until(self, done: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            told = [line for line in self._said if "error:" in line]
            if told:
                raise LabError(f"{otherwise}: it says {told[0].partition('error: ')[2]!r}")
            if self._process.poll() is not None:
                complaint = self._complaints.read_text(errors="replace").strip() or "nothing"
                raise LabError(f"{otherwise}: QEMU ended, and says {complaint!r:.300}")
            if time.monotonic() > deadline:
                raise LabError(f"{otherwise} in {timeout_s:g} s")
            time.sleep(0.02)


def _dies_with_us() -> list[str]:
    """Return what makes Linux end QEMU when we are killed and can't end it ourselves."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv and platform.system() == "Linux" else []
