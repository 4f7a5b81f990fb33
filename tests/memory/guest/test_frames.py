"""The frame table: free frames, and which frame is worth least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.guest.frames import (
    ANONYMOUS,
    CACHE_FIRST_S,
    FREE,
    PINNED,
    FrameTable,
)
from virtlab.memory.guest.objects import FILE, NOWHERE, SAVED, ObjectTable
from virtlab.memory.guest.physical import LOST, UNIQUE, ZERO, PhysicalMemory, distinct


def full(touched: list[int], anonymous: list[bool] | None = None) -> FrameTable:
    """Return a table whose frames all hold objects, last touched as said."""
    table = FrameTable(len(touched))
    frames = table.take_free(len(touched))
    table.holds[frames] = np.arange(len(touched))
    table.touched[:] = touched
    if anonymous is not None:
        table.flags[:] = np.where(anonymous, ANONYMOUS, 0)
    return table


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=30))
def test_free_frames_come_and_go_and_none_twice(steps: list[tuple[bool, int]]) -> None:
    table, out = FrameTable(10), np.empty(0, np.int32)
    for taking, count in steps:
        if taking:
            got = table.take_free(count)
            assert got.size == min(count, 10 - out.size)
            table.holds[got] = 0
            out = np.append(out, got)
        else:
            table.put_free(out[:count])
            out = out[count:]
        assert table.free == 10 - out.size
        assert np.unique(out).size == out.size
        table.check()


def test_a_wrong_free_list_is_noticed() -> None:
    table = FrameTable(4)
    table.take_free(2)  # taken, and not said what for
    with pytest.raises(AssertionError, match="free list"):
        table.check()


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60, unique=True), st.integers(1, 20))
def test_the_oldest_leave_in_order_of_age(touched: list[int], wanted: int) -> None:
    table = full(touched)
    expected = np.argsort(touched)[:wanted]
    assert table.oldest(wanted).tolist() == expected.tolist()


def test_cache_goes_a_minute_before_anonymous_pages() -> None:
    touched = [100, 100 - CACHE_FIRST_S + 1, 100 - CACHE_FIRST_S - 1]
    table = full(touched, anonymous=[False, True, True])
    assert table.oldest(3).tolist() == [2, 0, 1]


def test_pinned_and_free_frames_never_leave() -> None:
    table = full([1, 2, 3, 4])
    table.flags[0] = PINNED
    table.put_free(np.array([1], np.int32))
    assert table.oldest(4).tolist() == [2, 3]
    table.fixed = PINNED | ANONYMOUS
    table.flags[2] = ANONYMOUS
    assert table.oldest(4).tolist() == [3]


def test_what_was_touched_since_it_came_on_the_list_is_passed_over() -> None:
    table = full(list(range(64)))
    assert table.oldest(1).tolist() == [0]
    table.holds[0] = FREE
    table.touched[1:3] = 100  # on the list already
    assert table.oldest(1).tolist() == [3]


def test_a_list_of_which_all_was_touched_is_made_anew() -> None:
    table = full(list(range(64)))
    table.holds[table.oldest(1)] = FREE
    table.touched[:8] = 100
    assert table.oldest(2).tolist() == [8, 9]


def test_nothing_is_given_twice_between_two_lists() -> None:
    table = full(list(range(64)))
    first = table.oldest(3)
    table.holds[first] = FREE
    second = table.oldest(30)
    assert not set(first) & set(second)
    assert np.unique(second).size == second.size


def test_an_empty_table_has_nothing_to_give() -> None:
    assert FrameTable(8).oldest(3).size == 0


@given(st.lists(st.integers(-5, 5)))
def test_distinct_is_unique(numbers: list[int]) -> None:
    array = np.array(numbers, np.int32)
    assert np.array_equal(distinct(array), np.unique(array))


class TestObjects:
    def test_a_file_is_saved_and_memory_is_not(self) -> None:
        table = ObjectTable(checked=True)
        file, heap = table.add(2, file=True), table.add(3)
        assert (table.flags[file.all()] == FILE | SAVED).all()
        assert (table.flags[heap.all()] == 0).all()
        assert (table.frame == NOWHERE).all()
        assert table.expected is not None
        assert (table.expected[heap.all()] == 0).all()
        assert np.unique(table.expected[file.all()]).size == 2

    def test_contents_of_an_image_are_common_and_those_of_memory_are_zero(self) -> None:
        table = ObjectTable()
        table.add(1, file=True)
        code, heap = table.add(2, file=True, common=77), table.add(1)
        assert table.content(np.arange(4, dtype=np.int32)).tolist() == [UNIQUE, 77, 78, ZERO]
        assert table.shared_by_all(code.all())
        assert not table.shared_by_all(heap.all())
        table.flags[heap.all()] |= SAVED
        assert table.content(heap.all()).tolist() == [UNIQUE]

    def test_an_empty_image_matches_nothing(self) -> None:
        table = ObjectTable()
        table.add(0, file=True, common=5)
        table.add(3)
        assert not table.shared_by_all(np.arange(3, dtype=np.int32))


class TestPhysicalMemory:
    def test_what_was_written_is_read_until_it_is_withdrawn(self) -> None:
        memory = PhysicalMemory(4, checked=True)
        memory.write(np.array([0, 1]), UNIQUE, np.array([5, 6]))
        memory.write(np.array([1]), UNIQUE)
        assert memory.read(np.arange(4, dtype=np.int32)) == 0
        assert memory.load(np.arange(4, dtype=np.int32)).tolist() == [5, 6, 0, 0]
        memory.withdraw(np.array([1]))
        assert memory.load(np.array([1])).tolist() == [LOST]
        assert memory.content.tolist() == [UNIQUE, ZERO, ZERO, ZERO]

    def test_memory_without_values_has_none_to_load(self) -> None:
        with pytest.raises(TypeError, match="not checked"):
            PhysicalMemory(1).load(np.array([0]))
