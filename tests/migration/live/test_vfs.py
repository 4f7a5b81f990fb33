"""The VFS: our memory holds what SQLite would hold, and the dirty bitmap misses no write."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.live.memory import PAGE_BYTES, OwnedMemory, memory_file
from virtlab.migration.live.vfs import (
    JOURNAL_PAGES,
    MemoryVfs,
    Region,
    database_bytes,
    opened,
)
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

Program = list[tuple[str, tuple[Any, ...]]]
CREATE: Program = [("create table t(k integer primary key, x)", ())]

keys = st.integers(0, 40)
words = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=50)
statements = st.one_of(
    st.tuples(
        st.just("insert or replace into t values (?, zeroblob(?))"),
        st.tuples(keys, st.integers(0, 9000)),
    ),
    st.tuples(st.just("update t set x = ? || k where k > ?"), st.tuples(words, keys)),
    st.tuples(st.just("delete from t where k < ?"), st.tuples(keys)),
    st.tuples(
        st.sampled_from([
            *("vacuum", "reindex", "begin", "commit", "rollback"),
            "create index if not exists i on t(x)", "drop index if exists i",
            "create table if not exists u as select * from t", "drop table if exists u",
        ]),
        st.just(()),
    ),
)  # fmt: skip


def new_memory(pages: int = 2000) -> OwnedMemory:
    file = memory_file(pages)
    memory = OwnedMemory(file)
    os.close(file)  # the mapping stays
    return memory


def run_on(execute: Callable[..., object], program: Program) -> list[str]:
    """Run statements; return which of them were refused."""
    refused = []
    for statement, values in program:
        try:
            execute(statement, values)
        except (apsw.Error, sqlite3.Error):
            refused.append(statement)
    return refused


@settings(max_examples=60, deadline=None)
@given(st.lists(statements, max_size=25))
def test_any_sql_leaves_what_plain_sqlite_would(program: Program) -> None:
    plain = sqlite3.connect(":memory:", isolation_level=None)
    memory = new_memory()
    ours = opened(memory)
    assert run_on(ours.execute, CREATE + program) == run_on(plain.execute, CREATE + program)
    if plain.in_transaction:
        ours.execute("commit")
        plain.execute("commit")
    there = sqlite3.connect(":memory:")
    there.deserialize(database_bytes(memory))
    assert list(there.iterdump()) == list(plain.iterdump())
    assert there.execute("pragma integrity_check").fetchone() == ("ok",)
    there.close()
    plain.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(statements, max_size=6), max_size=6))
def test_a_copy_made_of_dirty_pages_alone_is_the_memory(rounds: list[Program]) -> None:
    memory, copy = new_memory(), new_memory()
    database = opened(memory)
    for program in [CREATE, *rounds]:
        run_on(database.execute, program)
        for page in memory.take_dirty().tolist():
            place = slice(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
            copy.view[place] = memory.view[place]
    assert copy.view == memory.view


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8 * PAGE_BYTES - 1), st.integers(0, 9000))))
def test_the_bitmap_is_exact(writes: list[tuple[int, int]]) -> None:
    memory = new_memory(11)
    expected = set()
    for start, length in writes:
        memory.write(start, b"x" * length)
        expected |= {byte // PAGE_BYTES for byte in range(start, start + length)}
    assert memory.dirty_count == len(expected)
    assert memory.take_dirty().tolist() == sorted(expected)
    assert memory.dirty_count == 0


def test_whoever_opens_a_memory_rolls_back_what_is_unfinished() -> None:
    memory = new_memory()
    database = opened(memory)
    database.execute("pragma cache_size = 2")  # so that unfinished pages are written early
    database.execute("create table t(x); begin")
    for _ in range(30):
        database.execute("insert into t values (zeroblob(3000))")
    before = len(database_bytes(memory))
    assert before > 20 * 3000  # written, but not committed
    other = opened(memory)  # as a new process would, on the memory of a killed one
    assert other.execute("select count(*) from t").get == 0
    assert other.execute("pragma integrity_check").get == "ok"
    assert len(database_bytes(memory)) < before


def test_at_any_write_of_a_transaction_the_memory_is_before_or_after_it() -> None:
    """As if the process were killed between any two writes."""
    memory = new_memory(300)
    database = opened(memory)
    database.execute("create table t(k integer primary key, x)")
    for _ in range(8):
        database.execute("insert into t(x) values (zeroblob(2000))")
    images: list[bytes] = []
    write = memory.write

    def write_and_look(start: int, data: bytes) -> None:
        write(start, data)
        images.append(bytes(memory.view))

    memory.write = write_and_look  # type: ignore[assignment, method-assign]
    database.execute("pragma cache_size = 2; update t set x = 'new'")
    seen = []
    for image in images:
        copy = new_memory(300)
        copy.view[:] = image
        rows = opened(copy).execute("select x from t").fetchall()
        seen.append(rows.count(("new",)))
    assert set(seen) == {0, 8}
    assert seen == sorted(seen)
    assert seen.count(8) == 1  # the very last write, the journal's length, commits
    before, after = (int.from_bytes(image[8:16], "little") for image in images[-2:])
    assert before > after == 0


def test_a_database_that_outgrows_its_memory_says_so_and_stays_whole() -> None:
    database = opened(new_memory(JOURNAL_PAGES + 12))
    database.execute("create table t(x)")
    for _ in range(20):
        try:
            database.execute("insert into t values (zeroblob(4000))")
        except apsw.FullError:
            break
    else:
        pytest.fail("twenty pages went into eleven")
    assert database.execute("pragma integrity_check").get == "ok"
    assert 0 < database.execute("select count(*) from t").get < 20


def test_there_is_no_third_file() -> None:
    vfs = MemoryVfs(new_memory())
    with pytest.raises(apsw.CantOpenError, match="its journal only"):
        vfs.xOpen("other", [apsw.SQLITE_OPEN_TEMP_DB, 0])
    assert not vfs.xAccess("machine.db-wal", 0)


def test_a_memory_too_small_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"pages = 3: must be at least 257"):
        opened(new_memory(3))


def test_a_gap_in_a_file_is_zeros() -> None:
    region = Region(new_memory(8), 0, 1, 7)
    region.write(b"old old old", 0)
    region.set_length(2)
    region.write(b"new", 6)
    assert region.read(99, 0) == b"ol\0\0\0\0new"


def test_writing_past_the_end_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="fits in 20 pages"):
        new_memory(20).write(20 * PAGE_BYTES - 1, b"ab")


def test_an_absent_page_is_fetched_before_it_is_read_or_written() -> None:
    memory = new_memory(20)
    asked = []

    def fetch(page: int) -> None:
        asked.append(page)
        assert memory.put(page, bytes([page]) * PAGE_BYTES)

    memory.expect(np.array([3, 4, 7]), fetch)
    memory.write(4 * PAGE_BYTES - 1, b"ab")
    assert asked == [3, 4]
    assert memory.read(4 * PAGE_BYTES - 2, 4) == b"\3ab\4"
    assert memory.absent_pages == 1
    assert not memory.put(3, bytes(PAGE_BYTES))  # too late: it is here, and written
    assert memory.read(4 * PAGE_BYTES - 1, 1) == b"a"
