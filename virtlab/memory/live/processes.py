"""What page sharing would save among real processes (S27): read, count, compare.

Their resident pages are read (`virtlab.memory.live.procfs`), each gets the number of its content
(`virtlab.memory.pages`), and what sharing saves is counted (`virtlab.memory.live.process_savings`).

Equal hashes are compared in full up to 1 GiB of resident memory, which takes one copy of each
content. Above that only hashes are kept and their equality counts, at a chance of one wrong pair
that `virtlab.memory.pages.collision_chance` gives (8e-6 for 64 GB).

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section 4.

Left out: what a whole VM has besides (its kernel, its page cache), and that pages change: a count
is of one moment, and pages that change often are not worth sharing.
"""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from virtlab.datasets import PAGE_KINDS, process_pages
from virtlab.memory.live.copies import children, copies_running
from virtlab.memory.live.interrupts import undoable
from virtlab.memory.live.process_savings import ProcessSavings
from virtlab.memory.live.procfs import Resident, iter_pages, process_state, resident, why_not
from virtlab.memory.pages import PAGE_BYTES, ZERO, Contents, hash_pages
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["copies", "measured", "read_processes", "running"]

_IN_FULL_MIB = 1024
_RANDOM, _FIXED = "random", "fixed"


def read_processes(
    pids: Sequence[int], names: Sequence[str] | None = None, in_full_mib: float = _IN_FULL_MIB
) -> pd.DataFrame:
    """Read the resident pages of processes and number their contents.

    Parameters
    ----------
    pids
        Numbers of the processes: of the same user, or any if you are root.
    names
        What to call them; program and number if not given.
    in_full_mib
        Up to how much resident memory of all, MiB, equal hashes are compared in full.

    Returns
    -------
    pandas.DataFrame
        `process`, `kind`, `vpage`, `content` and `zero`, as in `virtlab.datasets.process_pages`.

    Raises
    ------
    InvalidInputError
        If one does not run, or ends while it is read.
    PermissionError
        If this user may not read one.

    Notes
    -----
    Reads in pieces of 2 MiB. A running process changes while it is read.

    Examples
    --------
    >>> import os
    >>> bool(why_not()) or len(read_processes([os.getpid()])) > 100
    True
    """
    pids = _checked(pids)
    where = {pid: resident(pid) for pid in pids}
    labels = [_name(pid) for pid in pids] if names is None else list(names)
    total = sum(pages.vpage.size for pages in where.values())
    contents = Contents() if total * PAGE_BYTES <= in_full_mib * 2**20 else None
    parts = list(_read(where, contents, total))
    if not parts:
        raise InvalidInputError("pid", pids[0], "a process with resident pages")
    owner, kind, vpage, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    content = values.astype(np.int64) if contents else _by_hash(values)
    return pd.DataFrame(
        {
            "process": pd.Categorical.from_codes(owner, pd.Index(labels)),
            "kind": pd.Categorical.from_codes(kind.astype(np.int64), pd.Index(PAGE_KINDS)),
            "vpage": vpage,
            "content": content,
            "zero": content == ZERO,
        }
    )


def _read(
    where: dict[int, Resident], contents: Contents | None, total: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint64]]]:
    """Yield owner, kind, virtual page, and number of content (or its hash) of each page."""
    with tqdm(
        total=total, unit="page", unit_scale=True, delay=1, disable=None, leave=False
    ) as progress:
        for owner, (pid, pages) in enumerate(where.items()):
            for chunk in iter_pages(pid, pages):
                numbers = contents.intern(chunk.data) if contents else hash_pages(chunk.data)
                owners = np.full(chunk.vpage.size, owner, dtype=np.int64)
                yield owners, chunk.kind, chunk.vpage, numbers.astype(np.uint64)
                progress.update(chunk.vpage.size)


def _by_hash(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return numbers of contents by their hashes alone."""
    numbers = np.unique(hashes, return_inverse=True)[1].astype(np.int64) + 1
    numbers[hashes == hash_pages(bytes(PAGE_BYTES))[0]] = ZERO
    return numbers


def _checked(pids: Sequence[int]) -> list[int]:
    found = [integer("pid", pid, minimum=1) for pid in dict.fromkeys(pids)]
    if not found:
        raise InvalidInputError("pid", "", "the number of a running process")
    if why_not():
        raise InvalidInputError("pid", found[0], f"given on Linux: {why_not()}")
    return found


def _name(pid: int) -> str:
    """Return the program's name with the process's number, as names are not unique."""
    with suppress(OSError):
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} ({pid})"
    return str(pid)


@contextmanager
def _stopped(pids: Sequence[int]) -> Iterator[None]:
    """Stop processes that run, and let them go on afterwards, whatever happens."""
    if os.getpid() in pids:
        raise InvalidInputError("pid", os.getpid(), "another process: this one is virtlab itself")
    mine: list[int] = []
    with undoable():
        try:
            for pid in pids:
                if process_state(pid) not in "TtZX":
                    mine.append(pid)
                    os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in mine:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGCONT)


def running(pids: Sequence[int], *, stop: bool = False) -> ProcessSavings:
    """Count what sharing would save among processes that run.

    Parameters
    ----------
    pids
        Their numbers.
    stop
        Whether to stop them while they are read, so that the count is of one moment.

    Returns
    -------
    ProcessSavings
        One group, in both views.

    Raises
    ------
    InvalidInputError
        If one does not run.
    PermissionError
        If this user may not read one.

    Examples
    --------
    >>> import os
    >>> bool(why_not()) or running([os.getpid()]).savings("all").pages > 100
    True
    """
    pids = _checked(pids)
    with _stopped(pids) if stop else nullcontext():
        pages = read_processes(pids)
    names = ", ".join(pages["process"].cat.categories)
    note = (
        "They were stopped while they were read."
        if stop
        else "They ran on while they were read, so pages that change may be missed or count double;"
        " --stop stops them for that time."
    )
    return ProcessSavings({"all": pages}, "processes", names, (note,))


def copies(
    command: Sequence[str], n: int, *, aslr: bool | None = None, settle_s: float | None = None
) -> ProcessSavings:
    """Start copies of a program, stop them, and count what sharing would save among them.

    Parameters
    ----------
    command
        Program and its arguments.
    n
        How many copies.
    aslr
        Random addresses (True), fixed ones (False), or first the one and then the other.
    settle_s
        How long to wait before they are stopped, s; if not given, until they are at rest.

    Returns
    -------
    ProcessSavings
        A group 'random' and a group 'fixed', each in both views.

    Raises
    ------
    InvalidInputError
        If there is no such program, or it ends by itself.
    PermissionError
        If the system forbids to start or read it, or to fix addresses.

    Examples
    --------
    >>> if not why_not():
    ...     found = copies(["sleep", "60"], 2, aslr=True, settle_s=0.2)
    ...     print(found.savings("random").owners)
    2
    """
    groups: dict[str, pd.DataFrame] = {}
    notes: dict[str, None] = {}  # a set that keeps the order
    for random in (True, False) if aslr is None else (aslr,):
        try:
            with copies_running(command, n, aslr=random, settle_s=settle_s) as pids:
                names = [f"{Path(command[0]).name} #{i}" for i in range(len(pids))]
                groups[_RANDOM if random else _FIXED] = read_processes(pids, names)
                if any(children(pid) for pid in pids):
                    notes["The program has started others: these are not counted."] = None
        except PermissionError as error:
            if not groups:
                raise
            notes[f"Only random addresses were looked at: {error}."] = None
    if _RANDOM in groups and not _system_randomises():
        notes["This system gives no random addresses (kernel.randomize_va_space = 0)."] = None
    what = f"{n} {'copy' if n == 1 else 'copies'} of `{shlex.join(command)}`"
    return ProcessSavings(groups, "addresses", what, tuple(notes))


def _system_randomises() -> bool:
    with suppress(OSError):
        return Path("/proc/sys/kernel/randomize_va_space").read_text().strip() != "0"
    return True


def measured(reason: str = "No process was looked at.") -> ProcessSavings:
    """Count what sharing saves in the measured pages that travel with the package.

    Parameters
    ----------
    reason
        Sentence that says why stored pages are counted.

    Returns
    -------
    ProcessSavings
        A group for each of 7 programs: two copies of it.

    Examples
    --------
    >>> found = measured().savings("node")
    >>> found.pages, found.owners
    (26053, 2)
    """
    groups = {
        str(program): pages
        for program, pages in process_pages().groupby("program", observed=True, sort=False)
    }
    notes = (reason, "These pages were measured for this course and stored.")
    return ProcessSavings(groups, "program", "2 copies of each program", notes)
