"""A file system for SQLite that is our memory: two files, the database and its journal.

SQLite reaches its files through a VFS, a table of functions for open, read, write, and so on. Ours
puts both files into one `OwnedMemory`, so each write of the database is seen page by page:

    page 0: lengths of the two files    then: the journal's pages    then: the database's pages

The **journal** holds the old contents of what a transaction changes. SQLite deletes it to commit;
here that is one write of eight bytes, its length. So at any moment the memory alone says what is
committed: whoever opens the database on it, in this process or in another, rolls back what is
unfinished. That is why a killed process loses no transaction, and why the journal is in the memory
that moves.

Writes to memory happen in the order they are made, which SQLite is told; it then need not ask for
each one to be on disk. Locks do nothing, as one process at a time has the machine.

Source: SQLite's documentation, *The OS Interface*, *Atomic Commit In SQLite* and
*sqlite3_io_methods*. It needs `apsw`, which lets a VFS be written in Python.
"""

from __future__ import annotations

import struct
from itertools import count

import apsw

from virtlab.migration.live.memory import PAGE_BYTES, OwnedMemory
from virtlab.validate import InvalidInputError

__all__ = ["JOURNAL_PAGES", "MemoryVfs", "Region", "database_bytes", "opened"]

JOURNAL_PAGES = 255
_LENGTH = struct.Struct("<Q")
_names = count(1)


class Region:
    r"""A file in the memory: some pages, and a length that is kept on page 0.

    Parameters
    ----------
    memory
        Where it is.
    number
        Which of the lengths on page 0 is its own.
    first_page, pages
        Where it begins, and how long it may become.

    Examples
    --------
    >>> from virtlab.migration.live.memory import memory_file
    >>> region = Region(OwnedMemory(memory_file(8)), 0, 1, 7)
    >>> region.write(b"abc", 2)
    >>> region.length, region.read(10, 0)
    (5, b'\x00\x00abc')
    """

    def __init__(self, memory: OwnedMemory, number: int, first_page: int, pages: int) -> None:
        self._memory = memory
        self._length_at = number * _LENGTH.size
        self._start = first_page * PAGE_BYTES
        self._room = pages * PAGE_BYTES

    @property
    def length(self) -> int:
        """How long the file is, bytes."""
        packed = self._memory.read(self._length_at, _LENGTH.size)
        return int.from_bytes(packed, "little")

    def set_length(self, length: int) -> None:
        """Make the file shorter or longer: one write of eight bytes.

        Parameters
        ----------
        length
            New length, bytes.

        Examples
        --------
        See the class.
        """
        self._memory.write(self._length_at, _LENGTH.pack(length))

    def read(self, amount: int, offset: int) -> bytes:
        """Return bytes, fewer than asked for at the end.

        Parameters
        ----------
        amount, offset
            How many, and from where, bytes.

        Returns
        -------
        bytes
            What is there.

        Examples
        --------
        See the class.
        """
        return self._memory.read(self._start + offset, max(0, min(amount, self.length - offset)))

    def write(self, data: bytes, offset: int) -> None:
        """Write bytes; what lies between the old end and them becomes zeros.

        Parameters
        ----------
        data, offset
            What, and where.

        Raises
        ------
        apsw.FullError
            If the file would grow out of its pages.

        Examples
        --------
        See the class.
        """
        end, length = offset + len(data), self.length
        if end > self._room:
            raise apsw.FullError(f"the machine's memory has no room for {end} bytes")
        if offset > length:
            self._memory.write(self._start + length, bytes(offset - length))
        self._memory.write(self._start + offset, data)
        if end > length:  # after the bytes: a length never promises what is not there
            self.set_length(end)


class _File:
    """What SQLite calls on an open file; the names are SQLite's."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self.xRead = region.read
        self.xWrite = region.write
        self.xTruncate = region.set_length

    def xFileSize(self) -> int:
        return self._region.length

    def xSync(self, flags: int) -> None:
        """Do nothing: memory is as lasting as it gets."""

    def xLock(self, level: int) -> None:
        """Do nothing: nobody else has the machine."""

    def xUnlock(self, level: int) -> None:
        """Do nothing."""

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return PAGE_BYTES

    def xDeviceCharacteristics(self) -> int:
        return (
            apsw.SQLITE_IOCAP_SEQUENTIAL
            | apsw.SQLITE_IOCAP_SAFE_APPEND
            | apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE
        )

    def xClose(self) -> None:
        """Do nothing: the bytes stay."""


class MemoryVfs(apsw.VFS):
    """SQLite's way to the two files in a memory.

    Parameters
    ----------
    memory
        Pages that hold a database or zeros.

    Attributes
    ----------
    vfs_name
        Under which SQLite knows it.

    Examples
    --------
    >>> from virtlab.migration.live.memory import memory_file
    >>> memory = OwnedMemory(memory_file(300))
    >>> database = opened(memory)
    >>> _ = database.execute("create table t(x); insert into t values (42)")
    >>> database.close()
    >>> opened(memory).execute("select x from t").get
    42
    """

    def __init__(self, memory: OwnedMemory) -> None:
        self.vfs_name = f"virtlab-memory-{next(_names)}"
        self._database, self._journal = _regions(memory)
        super().__init__(self.vfs_name, base="")

    def xOpen(self, name: object, flags: list[int]) -> _File:  # type: ignore[override]
        """Open one of the two files; there are no others."""
        flags[1] = flags[0]
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _File(self._database)
        if flags[0] & apsw.SQLITE_OPEN_MAIN_JOURNAL:
            return _File(self._journal)
        raise apsw.CantOpenError(f"{name}: this memory holds a database and its journal only")

    def xDelete(self, name: str, syncdir: bool) -> None:
        """Delete the journal: this commits."""
        self._journal.set_length(0)

    def xAccess(self, pathname: str, flags: int) -> bool:
        """Return whether there is a journal (or a database)."""
        region = self._journal if pathname.endswith("-journal") else self._database
        return not pathname.endswith("-wal") and region.length > 0

    def xFullPathname(self, name: str) -> str:
        """Return the name: there are no folders."""
        return name


def _regions(memory: OwnedMemory) -> tuple[Region, Region]:
    if memory.pages < JOURNAL_PAGES + 2:
        raise InvalidInputError("pages", memory.pages, f"at least {JOURNAL_PAGES + 2}")
    first = 1 + JOURNAL_PAGES
    return Region(memory, 0, first, memory.pages - first), Region(memory, 1, 1, JOURNAL_PAGES)


def opened(memory: OwnedMemory) -> apsw.Connection:
    """Open the database in a memory, and roll back what was left unfinished there.

    Parameters
    ----------
    memory
        Pages that hold a database or zeros.

    Returns
    -------
    apsw.Connection
        It has a page of SQLite on each page of memory, and uses no file anywhere.

    Examples
    --------
    >>> from virtlab.migration.live.memory import memory_file
    >>> opened(OwnedMemory(memory_file(300))).execute("pragma page_size").get
    4096
    """
    vfs = MemoryVfs(memory)
    connection = apsw.Connection("machine.db", vfs=vfs.vfs_name)
    connection.execute(f"pragma page_size = {PAGE_BYTES}")
    connection.execute("pragma temp_store = memory; pragma journal_mode = delete")
    return connection


def database_bytes(memory: OwnedMemory) -> bytes:
    """Return the database as the file that any SQLite reads.

    Parameters
    ----------
    memory
        Pages that hold a database, with nothing unfinished.

    Returns
    -------
    bytes
        The file.

    Examples
    --------
    >>> import sqlite3
    >>> from virtlab.migration.live.memory import memory_file
    >>> memory = OwnedMemory(memory_file(300))
    >>> _ = opened(memory).execute("create table t(x); insert into t values (42)")
    >>> plain = sqlite3.connect(":memory:")
    >>> plain.deserialize(database_bytes(memory))
    >>> plain.execute("select x from t").fetchall()
    [(42,)]
    >>> plain.close()
    """
    database, _ = _regions(memory)
    return database.read(database.length, 0)
