"""Copies of a program, started to be looked at: how they start, settle, stop and always end.

Each copy is started by a few lines of Python that then become the program (`exec`): they switch
address randomisation on or off for this process alone (`personality`), and ask the kernel to kill
the copy if virtlab itself dies. Randomisation matters to page sharing, as an address inside a page
makes its content differ from that of its copy elsewhere.

A copy has settled when neither its resident memory nor its processor time has changed for a while;
its children count as well, as many programs are scripts that start the real one. Then all copies
are stopped (SIGSTOP), so that what is read is one moment.

Source: the Linux manual pages personality(2) and prctl(2).

Left out: what the children of a program have in memory is not read.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tqdm import tqdm

from virtlab.memory.live.interrupts import undoable
from virtlab.memory.live.procfs import process_state, why_not
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["children", "copies_running"]

# Becomes the program. A word on the pipe is why it could not; exec closes the pipe without one.
_LAUNCHER = """
import ctypes, os, signal, sys
pipe, aslr, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
os.set_inheritable(pipe, False)
try:
    libc = ctypes.CDLL(None)
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: die with the one who started it
    libc.personality.argtypes = [ctypes.c_ulong]
    flag, now = 0x0040000, libc.personality(0xFFFFFFFF)  # ADDR_NO_RANDOMIZE
    if bool(now & flag) == (aslr == "on") and libc.personality(now ^ flag) == -1:
        raise PermissionError("personality")
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores these, and exec would pass that on
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execvp(command[0], command)
except OSError as error:
    os.write(pipe, (error.strerror or str(error)).encode())
    os._exit(1)
"""
_STEP_S = 0.25
_QUIET_STEPS = 4  # a second without change
_LONGEST_S = 10.0  # a program that never rests is looked at all the same


@dataclass
class _Copy:
    """A program that was started, and what it wrote to standard error."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f"; its last words: {lines[-1].strip()}" if lines else ""


@contextmanager
def copies_running(
    command: Sequence[str], copies: int, *, aslr: bool = True, settle_s: float | None = None
) -> Iterator[list[int]]:
    """Start copies of a program, wait until they have settled, and stop them.

    Parameters
    ----------
    command
        Program and its arguments.
    copies
        How many.
    aslr
        Whether their addresses are random.
    settle_s
        How long to wait, s; if not given, until nothing changes for a second, at most 10 s.

    Yields
    ------
    list of int
        Numbers of the stopped processes; they are killed at the end, whatever happens.

    Raises
    ------
    InvalidInputError
        If there is no such program, or a copy ends by itself.
    PermissionError
        If the program may not be started, or the system keeps randomisation as it is.

    Examples
    --------
    >>> if not why_not():
    ...     with copies_running(["sleep", "60"], 2, settle_s=0.1) as pids:
    ...         print(len(pids), {process_state(pid) for pid in pids})
    2 {'T'}
    """
    copies = integer("copies", copies, minimum=1, maximum=1000)
    if settle_s is not None:
        settle_s = number("settle", settle_s, minimum=0, maximum=86400)
    _check(command)
    started: list[_Copy] = []
    with undoable():
        try:
            for _ in range(copies):
                _start(command, started, aslr=aslr)
            _settle(command, started, settle_s)
            _stop(command, started)
            yield [one.process.pid for one in started]
        finally:
            _end(started)


def _check(command: Sequence[str]) -> None:
    if why_not():
        raise InvalidInputError("command", shlex.join(command), f"given on Linux: {why_not()}")
    if not command:
        raise InvalidInputError("command", "", "a program and its arguments")
    if shutil.which(command[0]) is None:
        if Path(command[0]).is_file():
            raise PermissionError(f"{command[0]} is a file, but not one that can be run")
        raise InvalidInputError("command", command[0], "a program that is installed")


def _start(command: Sequence[str], started: list[_Copy], *, aslr: bool) -> None:
    reader, writer = os.pipe()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(writer), "on" if aslr else "off"]
    try:
        process = subprocess.Popen(  # noqa: S603 - the person's own command is what this is for
            [*launcher, *command],
            pass_fds=(writer,),
            stdin=subprocess.PIPE,  # open and silent: a program that reads it waits
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # so that its children can be ended with it
        )
        started.append(_Copy(process, errors))
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        problem = answer.read().decode(errors="replace")
    if problem == "personality":
        state = "on" if aslr else "off"
        raise PermissionError(
            f"this system does not let a program switch address randomisation {state} "
            "(the rules of a container may forbid it)"
        )
    if problem:
        raise PermissionError(f"{command[0]} can't be started: {problem}")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that these have.

    Parameters
    ----------
    pid
        Number of the process.

    Returns
    -------
    list of int
        Their numbers; empty where the kernel does not tell.

    Examples
    --------
    >>> children(2**22 + 1)
    []
    """
    found: list[int] = []
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(word) for word in file.read_text().split()]
    return found + [further for one in found for further in children(one)]


def _activity(pid: int) -> tuple[int, ...]:
    """Return what changes while a program is at work: resident pages and processor ticks."""
    seen: list[int] = []
    for one in [pid, *children(pid)]:
        with suppress(OSError):  # it ended between two looks
            resident = int(Path(f"/proc/{one}/statm").read_text().split()[1])
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(") ")[2].split()
            seen += [one, resident, int(fields[11]) + int(fields[12])]
    return tuple(seen)


def _settle(command: Sequence[str], started: list[_Copy], settle_s: float | None) -> None:
    """Wait until nothing changes, or as long as was said."""
    deadline = time.monotonic() + (_LONGEST_S if settle_s is None else settle_s)
    before: list[tuple[int, ...]] = []
    quiet = 0
    with tqdm(bar_format="waiting for the program: {elapsed}", delay=2, disable=None) as clock:
        while time.monotonic() < deadline and (settle_s is not None or quiet < _QUIET_STEPS):
            time.sleep(min(_STEP_S, max(deadline - time.monotonic(), 0)))
            _all_alive(command, started)
            now = [_activity(one.process.pid) for one in started]
            quiet = quiet + 1 if now == before else 0
            before = now
            clock.update()
    _all_alive(command, started)


def _all_alive(command: Sequence[str], started: list[_Copy]) -> None:
    for one in started:
        status = one.process.poll()
        if status is not None:
            how = f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
            wanted = f"a program that keeps running: it {how}{one.last_words()}"
            raise InvalidInputError("command", shlex.join(command), wanted)


def _stop(command: Sequence[str], started: list[_Copy]) -> None:
    for one in started:
        os.killpg(one.process.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 5
    while any(process_state(one.process.pid) not in "TZ" for one in started):
        if time.monotonic() > deadline:  # in a system call that can't be interrupted: still enough
            break
        time.sleep(0.01)
    _all_alive(command, started)


def _end(started: list[_Copy]) -> None:
    """Kill all copies and their children, then take note of each one's end."""
    for one in started:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(one.process.pid, signal.SIGKILL)
    for one in started:
        with suppress(subprocess.TimeoutExpired):
            one.process.wait(timeout=10)
        if one.process.stdin is not None:
            one.process.stdin.close()
        one.errors.close()
