"""What there is to be had at a moment: whole cores first, then halves in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from virtlab.resources.cpu.room import Room

CORES = st.sets(st.integers(0, 7))


@given(CORES, st.integers(-1, 15))
def test_an_idle_core_is_its_own_or_the_lowest(whole: set[int], last: int) -> None:
    room = Room(2)
    room.whole |= whole
    cpu = room.core(last, None)
    if not whole:
        assert cpu == -1
    elif last // 2 in whole:
        assert cpu == last
    else:
        assert cpu == 2 * min(whole)


@given(CORES, st.integers(-1, 15), st.sets(st.integers(0, 15), min_size=1))
def test_an_idle_core_where_it_may_be(whole: set[int], last: int, allowed: set[int]) -> None:
    room = Room(2)
    room.whole |= whole
    cpu = room.core(last, allowed)
    may = {one for one in allowed if one // 2 in whole}
    assert (cpu in may) if may else cpu == -1
    if last in may:
        assert cpu == last, "where it was"
    elif any(one // 2 == last // 2 for one in may):
        assert cpu // 2 == last // 2, "or on the same core"


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(-99, 99)), unique_by=lambda at: at[0]))
def test_taking_all_of_it_leaves_nothing(taken: list[tuple[int, int]]) -> None:
    room = Room(2)
    room.whole |= {core for core, _ in taken}
    for core, behind in taken:
        room.take(2 * core, behind)
    assert not room.whole
    assert room.halves == sorted((behind, 2 * core + 1) for core, behind in taken)
    for core, behind in taken:
        room.take(2 * core + 1, behind)
    assert not room


def test_with_one_thread_a_core_has_no_other_half() -> None:
    room = Room(1)
    room.whole |= {0, 1}
    room.take(1, 5)
    assert (room.whole, room.halves) == ({0}, [])
