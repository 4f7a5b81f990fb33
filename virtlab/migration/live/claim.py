"""Who has the machine? One write decides, and it can be made only once.

Two processes (two hosts) must never both run the machine, and one of them always must. Messages
alone can't settle that: whoever sends the last one never knows that it arrived. So there is a third
place that both reach, here a folder, in VMware's case the VM's files on shared storage, which only
one host can lock (S31). In it either may make a link called `owner` that points to its name.
Making a link that exists fails: the first wins, whoever dies when.

- The target claims once it has all. From then on the source must not go on.
- The source claims before it goes on by itself, when a migration fails.
- If the claim fails, the other has the machine: give up.

No timeout decides anything: it only says when one tries to claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["claim", "owner"]


def claim(folder: Path, who: str) -> bool:
    """Take the machine, if nobody has.

    Parameters
    ----------
    folder
        A place that all can reach; one for each migration.
    who
        A name.

    Returns
    -------
    bool
        Whether it is ours now. It stays so: a second claim of the same name is granted.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = pathlib.Path(name)
    ...     owner(folder), claim(folder, "target"), claim(folder, "source"), owner(folder)
    ('', True, False, 'target')
    """
    try:
        (folder / "owner").symlink_to(who)  # one system call: it is there with its text, or not
    except FileExistsError:
        return owner(folder) == who
    return True


def owner(folder: Path) -> str:
    """Return who has the machine, or nothing if that is not decided.

    Parameters
    ----------
    folder
        As for `claim`.

    Returns
    -------
    str
        A name, or ''.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = claim(pathlib.Path(name), "target")
    ...     owner(pathlib.Path(name))
    'target'
    """
    try:
        return str((folder / "owner").readlink())
    except FileNotFoundError:
        return ""
