"""Reading the memory of a running process, page by page, as Linux shows it in `/proc`.

Three files are enough. `/proc/PID/smaps` lists the mappings, with how much of each is resident;
`/proc/PID/pagemap` has 64 bits a page, of which two are read here: 63, the page is present, and
61, it belongs to a file (or to shared memory, which Linux keeps as a file). `/proc/PID/mem` gives
the bytes, a whole run of pages in one call into one buffer that is used again and again, so a
process of any size is read in a few MiB.

A page is of one of three kinds (`virtlab.datasets.PAGE_KINDS`): anonymous; file, which one Linux
keeps once however many processes map it; private-dirty, in the mapping of a file, but the process
has written to it and so has a copy of its own.

Who may read: the user who started the process, if the system is not stricter still (Yama allows
only one's own children), and root.

Sources: the Linux kernel's documentation, `Documentation/filesystems/proc.rst` and
`Documentation/admin-guide/mm/pagemap.rst`.

Left out: pages in swap; mappings of devices and the kernel's own (vdso, vvar, vsyscall), which no
one can share by content. A page that was only read, never written, maps the kernel's one zero
page: it is counted as a page of zeros, though it takes no memory.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from virtlab.datasets import PAGE_KINDS
from virtlab.memory.pages import PAGE_BYTES
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "Chunk",
    "Mapping",
    "Resident",
    "iter_pages",
    "mappings",
    "parse_smaps",
    "process_state",
    "resident",
    "why_not",
]

_CHUNK_PAGES = 512  # 2 MiB a time: large enough that calls cost little, small enough for caches
_PRESENT = np.uint64(1 << 63)
_OF_FILE = np.uint64(1 << 61)
_ENTRIES = 1 << 20  # pagemap entries read at a time: 8 MiB for 4 GiB of addresses
_ANONYMOUS, _FILE, _PRIVATE_DIRTY = range(len(PAGE_KINDS))
_KERNEL_OWN = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Mapping:
    """A range of addresses of a process.

    Attributes
    ----------
    start, stop
        First virtual page, and the one after the last (address / 4,096).
    of_file
        Whether a file is mapped there.
    name
        Path of the file, a name such as '[heap]', or nothing.
    rss_kib
        How much of it is resident, KiB.
    device
        Whether it maps a device's memory, or pages that are no memory at all.
    """

    start: int
    stop: int
    of_file: bool
    name: str
    rss_kib: int
    device: bool

    @property
    def readable(self) -> bool:
        """Whether there are pages in it that content sharing could be about."""
        return self.rss_kib > 0 and not self.device and self.name not in _KERNEL_OWN


@dataclass(frozen=True)
class Resident:
    """The resident pages of a process, in the order of address.

    Attributes
    ----------
    vpage
        Virtual page of each, int64.
    kind
        Index into `PAGE_KINDS` of each, uint8.
    """

    vpage: NDArray[np.int64]
    kind: NDArray[np.uint8]


@dataclass(frozen=True)
class Chunk(Resident):
    """Some pages and their bytes, in `data`; the buffer is used again for the next chunk."""

    data: memoryview


def why_not() -> str:
    """Say why memory of processes can't be read on this system, or nothing if it can.

    Returns
    -------
    str
        A sentence, or ''.

    Examples
    --------
    >>> isinstance(why_not(), str)
    True
    """
    if sys.platform != "linux":
        return f"this system ({sys.platform}) is not Linux: it does not show the pages of a process"
    missing = [name for name in ("smaps", "pagemap", "mem") if not (_PROC / "self" / name).exists()]
    if missing:
        files = ", ".join(f"/proc/PID/{name}" for name in missing)
        return f"this Linux does not offer {files}, which the pages of a process are read from"
    if os.sysconf("SC_PAGE_SIZE") != PAGE_BYTES:
        return f"pages are of {os.sysconf('SC_PAGE_SIZE'):,} bytes here; 4,096 are needed"
    return ""


def process_state(pid: int) -> str:
    """Return the letter of a process's state: R, S, T (stopped), Z (ended), X (gone) and others.

    Parameters
    ----------
    pid
        Number of the process.

    Returns
    -------
    str
        As in `/proc/PID/stat`; X if there is none of that number.

    Examples
    --------
    >>> process_state(2**22 + 1)  # above the largest number that Linux gives
    'X'
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "X"
    return stat.rpartition(") ")[2][0]


@contextmanager
def _named_errors(pid: int) -> Iterator[None]:
    """Turn the system's errors into one sentence about the process."""
    try:
        yield
    except (FileNotFoundError, ProcessLookupError) as error:
        raise InvalidInputError("pid", pid, "the number of a running process") from error
    except PermissionError as error:
        raise PermissionError(_forbidden(pid)) from error


def _forbidden(pid: int) -> str:
    owner = (_PROC / str(pid)).stat().st_uid
    if owner != os.geteuid():
        return (
            f"process {pid} belongs to user {owner}, and you are user {os.geteuid()}: only its own "
            "user, or root, may read its memory"
        )
    return (
        f"process {pid} is yours, but this system lets no one read its memory (a debugger may hold "
        "it, it may have dropped rights, or kernel.yama.ptrace_scope allows only children); "
        "start it as `virtlab pages --copies 1 -- COMMAND`"
    )


def parse_smaps(text: str) -> list[Mapping]:
    """Read the mappings of a process from the text of `/proc/PID/smaps`.

    Parameters
    ----------
    text
        The whole file.

    Returns
    -------
    list of Mapping
        In the order of address.

    Examples
    --------
    >>> found = parse_smaps('''
    ... 00400000-00402000 r--p 00000000 fe:00 17      /bin/a file
    ... Rss:                   8 kB
    ... VmFlags: rd mr mw me
    ... ''')
    >>> found[0].start, found[0].stop, found[0].of_file, found[0].name, found[0].rss_kib
    (1024, 1026, True, '/bin/a file', 8)
    """
    found: list[Mapping] = []
    header: list[str] = []
    rss = 0
    flags: list[str] = []
    for line in [*text.splitlines(), "0-0 end 0 0 0"]:
        first = line.split(" ", 1)[0]
        if first == "Rss:":
            rss = int(line.split()[1])
        elif first == "VmFlags:":
            flags = line.split()[1:]
        elif first and not first.endswith(":"):
            if header:
                found.append(_mapping(header, rss, flags))
            header, rss, flags = line.split(None, 5), 0, []
    return found


def _mapping(header: list[str], rss_kib: int, flags: list[str]) -> Mapping:
    start, stop = (int(part, 16) // PAGE_BYTES for part in header[0].split("-"))
    name = header[5].strip() if len(header) > 5 else ""
    memory = ("/dev/shm/", "/dev/zero")  # noqa: S108 - names to compare with, not files made
    of_device = name.startswith("/dev/") and not name.startswith(memory)
    unreal = of_device or "io" in flags or "pf" in flags
    return Mapping(start, stop, header[4] != "0", name, rss_kib, unreal)


def mappings(pid: int) -> list[Mapping]:
    """Return the mappings of a process.

    Parameters
    ----------
    pid
        Number of the process.

    Returns
    -------
    list of Mapping
        In the order of address.

    Raises
    ------
    InvalidInputError
        If there is no such process, or it has no memory of its own.
    PermissionError
        If this user may not look.

    Examples
    --------
    >>> import os
    >>> bool(why_not()) or any(one.name == "[stack]" for one in mappings(os.getpid()))
    True
    """
    pid = integer("pid", pid, minimum=1)
    with _named_errors(pid):
        found = parse_smaps((_PROC / str(pid) / "smaps").read_text(errors="replace"))
    if not found:
        wanted = "a process with memory: this one has ended, or is a thread of the kernel"
        raise InvalidInputError("pid", pid, wanted)
    return found


def resident(pid: int) -> Resident:
    """Find the resident pages of a process and what kind each is.

    Parameters
    ----------
    pid
        Number of the process.

    Returns
    -------
    Resident
        Virtual pages and kinds.

    Raises
    ------
    InvalidInputError
        If there is no such process.
    PermissionError
        If this user may not look.

    Examples
    --------
    >>> import os
    >>> bool(why_not()) or resident(os.getpid()).vpage.size > 100
    True
    """
    vpages: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    kinds: list[NDArray[np.uint8]] = [np.empty(0, dtype=np.uint8)]
    of_process = [one for one in mappings(pid) if one.readable]
    with _named_errors(pid), (_PROC / str(pid) / "pagemap").open("rb", buffering=0) as pagemap:
        for one in of_process:
            for start in range(one.start, one.stop, _ENTRIES):
                count = min(_ENTRIES, one.stop - start)
                raw = os.pread(pagemap.fileno(), 8 * count, 8 * start)
                entries = np.frombuffer(raw, dtype=np.uint64)
                present = np.flatnonzero(entries & _PRESENT)
                in_cache = (entries[present] & _OF_FILE) != 0
                own = _PRIVATE_DIRTY if one.of_file else _ANONYMOUS
                vpages.append(present + start)
                kinds.append(np.where(in_cache, _FILE, own).astype(np.uint8))
    return Resident(np.concatenate(vpages), np.concatenate(kinds))


def iter_pages(
    pid: int, pages: Resident | None = None, chunk_pages: int = _CHUNK_PAGES
) -> Iterator[Chunk]:
    """Read the resident pages of a process, a few MiB at a time.

    Parameters
    ----------
    pid
        Number of the process; a running one changes while it is read.
    pages
        Which ones, in the order of address; if not given, all that are resident.
    chunk_pages
        Most pages at a time.

    Yields
    ------
    Chunk
        Pages with their bytes. Pages that can't be read (unmapped meanwhile) are left out.

    Raises
    ------
    InvalidInputError
        If there is no such process, or it ends while it is read.
    PermissionError
        If this user may not read it.

    Notes
    -----
    One `preadv` for each run of neighbouring pages, into one buffer of `chunk_pages` pages.

    Examples
    --------
    >>> import os
    >>> bool(why_not()) or sum(chunk.vpage.size for chunk in iter_pages(os.getpid())) > 100
    True
    """
    pages = resident(pid) if pages is None else pages
    buffer = memoryview(bytearray(chunk_pages * PAGE_BYTES))
    with _named_errors(pid), (_PROC / str(pid) / "mem").open("rb", buffering=0) as memory:
        for start in range(0, pages.vpage.size, chunk_pages):
            part = slice(start, start + chunk_pages)
            vpage, kind = pages.vpage[part], pages.kind[part]
            good = _fill(memory.fileno(), vpage, buffer)
            if not good.any() and process_state(pid) in "ZX":
                raise ProcessLookupError(pid)
            if not good.all():
                _pack(buffer, good)
            count = int(good.sum())
            yield Chunk(vpage[good], kind[good], buffer[: count * PAGE_BYTES])


def _fill(memory: int, vpage: NDArray[np.int64], buffer: memoryview) -> NDArray[np.bool_]:
    """Read pages into their places in the buffer; return which ones could be read."""
    good = np.ones(vpage.size, dtype=bool)
    breaks = np.flatnonzero(np.diff(vpage) != 1) + 1
    edges = [0, *breaks.tolist(), vpage.size]
    for first, last in pairwise(edges):
        at = first
        while at < last:
            room = buffer[at * PAGE_BYTES : last * PAGE_BYTES]
            try:
                got = os.preadv(memory, [room], int(vpage[at]) * PAGE_BYTES) // PAGE_BYTES
            except OSError:  # EIO: this page went away since pagemap was read
                got = 0
            at += got
            if at < last:
                good[at] = False
                at += 1
    return good


def _pack(buffer: memoryview, good: NDArray[np.bool_]) -> None:
    """Move the pages that were read to the front."""
    rows = np.frombuffer(buffer, dtype=np.uint8).reshape(-1, PAGE_BYTES)
    rows[: int(good.sum())] = rows[: good.size][good]
