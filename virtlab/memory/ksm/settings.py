"""The settings of KSM, the kernel's own page sharing: changed for a while, always put back.

KSM (kernel samepage merging) is steered by files in `/sys/kernel/mm/ksm`, for the whole system, so
only root may write them. `changed` writes some and puts the old values back when its block ends:
in order, after an error, after Ctrl-C, and after SIGTERM. Two checks at the same time would put
back each other's values; a lock on the file `run` keeps the second out.

Source: the Linux kernel's documentation, `Documentation/admin-guide/mm/ksm.rst`.

Left out: a SIGKILL, after which nothing can be put back.
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.memory.live.interrupts import undoable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FOLDER", "changed", "read", "read_all", "why_no_ksm"]

FOLDER = Path("/sys/kernel/mm/ksm")
# Put back in this order: the scan ends first and starts last; the advisor guards pages_to_scan.
_RESTORED = ("max_page_sharing", "use_zero_pages", "smart_scan", "sleep_millisecs", "pages_to_scan")


def why_no_ksm() -> str:
    """Say why the kernel's KSM can't be asked here, or nothing if it can.

    Returns
    -------
    str
        A sentence, or ''.

    Examples
    --------
    >>> isinstance(why_no_ksm(), str)
    True
    """
    if not (FOLDER / "run").exists():
        return f"this system has no KSM ({FOLDER} is not there): it takes Linux built with it"
    if not Path("/proc/self/ksm_merging_pages").exists():
        return "this kernel does not count KSM's pages by process: Linux 5.19 or later does"
    if not os.access(FOLDER / "run", os.W_OK):
        return "KSM is set for the whole system, so only root may switch it on"
    return ""


def read(name: str) -> str:
    """Return a setting or a counter of KSM.

    Parameters
    ----------
    name
        Name of the file in `/sys/kernel/mm/ksm`.

    Returns
    -------
    str
        Its value; of a choice written as '[none] scan-time', the one that is chosen.

    Raises
    ------
    FileNotFoundError
        If this kernel has none of that name.

    Examples
    --------
    >>> bool(why_no_ksm()) or read("run") in "012"
    True
    """
    text = (FOLDER / name).read_text().strip()
    chosen = re.search(r"\[(.+?)\]", text)
    return chosen[1] if chosen else text


def read_all() -> dict[str, str]:
    """Return all settings and counters of KSM.

    Returns
    -------
    dict
        Name and value of each; empty where there is no KSM.

    Examples
    --------
    >>> bool(why_no_ksm()) or "pages_to_scan" in read_all()
    True
    """
    if not FOLDER.is_dir():
        return {}
    return {path.name: read(path.name) for path in sorted(FOLDER.iterdir())}


def _write(name: str, value: object) -> None:
    (FOLDER / name).write_text(f"{value}\n")


@contextmanager
def changed(**values: int) -> Iterator[None]:
    """Let KSM scan with other settings, and put the old ones back at the end, whatever happens.

    Parameters
    ----------
    **values
        Settings by the names of their files; those that this kernel has not are left out.

    Yields
    ------
    None
        With KSM scanning.

    Raises
    ------
    PermissionError
        If KSM is not there, not ours to write, or another check is using it.

    Notes
    -----
    `max_page_sharing` can only be changed while KSM shares nothing. If it does, for someone else,
    that value stays; if it does not, all that was merged in the block is unmerged at the end.

    Examples
    --------
    >>> if not why_no_ksm():  # doctest: +SKIP
    ...     with changed(pages_to_scan=1000):
    ...         print(read("pages_to_scan"), read("run"))
    1000 1
    """
    problem = why_no_ksm()
    if problem:
        raise PermissionError(problem)
    with _alone(), undoable():
        old = read_all()
        alone = old["pages_shared"] == "0"
        try:
            if old.get("advisor_mode", "none") != "none":
                _write("advisor_mode", "none")
            for name, value in values.items():
                if name in old and (alone or name != "max_page_sharing"):
                    _write(name, value)
            _write("run", 1)
            yield
        finally:
            _restore(old, alone=alone)


@contextmanager
def _alone() -> Iterator[None]:
    import fcntl  # not on Windows

    with (FOLDER / "run").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PermissionError("another check is asking KSM: wait until it has ended") from error
        yield


def _restore(old: dict[str, str], *, alone: bool) -> None:
    """Put all settings back; a second Ctrl-C has to wait until it is done."""
    ends = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        _write("run", 2 if alone else 0)  # 2 also unmerges, which frees max_page_sharing
        for name in _RESTORED:
            if name in old and read(name) != old[name]:
                with suppress(OSError):  # one that refuses must not keep the others
                    _write(name, old[name])
        if read_all().get("advisor_mode") != old.get("advisor_mode"):
            _write("advisor_mode", old["advisor_mode"])
        _write("run", old["run"])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
