"""A guest by itself: faults, eviction, swap, what a driver gets, what a kernel keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.memory.guest import ContentLostError, Guest, GuestSpec, OutOfMemoryError
from virtlab.memory.guest.costs import DISK_S, WRITE_S
from virtlab.memory.guest.counters import Counters
from virtlab.memory.guest.physical import PhysicalMemory
from virtlab.validate import InvalidInputError

PAGE = 1 / 256


def guest_of(
    pages: int, *, kernel: int = 0, swap: int | None = None, checked: bool = True, image: int = 0
) -> Guest:
    spec = GuestSpec(
        pages * PAGE,
        kernel_mib=kernel * PAGE,
        structures=0,
        swap_mib=None if swap is None else swap * PAGE,
        image=1 if image else 0,
        image_mib=image * PAGE,
    )
    return Guest(spec, PhysicalMemory(pages, checked=checked))


def one_by_one(guest: Guest, objects: list[int], *, write: bool = False) -> None:
    """Touch objects, each in a second of its own."""
    for number in objects:
        guest.now += 1
        guest.touch(np.array([number], np.int32), write=write)


class TestFaults:
    def test_a_file_is_read_once_while_it_fits(self) -> None:
        guest = guest_of(8)
        file = guest.file(8 * PAGE)
        one_by_one(guest, [*file.all(), *file.all()])
        assert guest.counters.file_reads == 8
        assert guest.counters.touches == 16

    def test_lru_is_the_worst_for_a_loop_that_just_does_not_fit(self) -> None:
        guest = guest_of(8)
        file = guest.file(9 * PAGE)
        one_by_one(guest, [*file.all()] * 3)
        assert guest.counters.file_reads == 27
        assert guest.counters.dropped == 27 - 8

    @given(st.lists(st.integers(0, 11), max_size=80), st.integers(1, 10))
    def test_faults_are_those_of_lru(self, objects: list[int], frames: int) -> None:
        guest = guest_of(frames)
        guest.file(12 * PAGE)
        one_by_one(guest, objects)
        kept: list[int] = []  # the oracle: an ordered list, the oldest first
        faults = 0
        for number in objects:
            if number in kept:
                kept.remove(number)
            else:
                faults += 1
                kept = kept[-frames + 1 :] if frames > 1 else []
            kept.append(number)
        assert guest.counters.file_reads == faults

    def test_new_memory_is_zeros_and_costs_no_disk(self) -> None:
        guest = guest_of(8)
        guest.touch(guest.anonymous(4 * PAGE).all())
        assert guest.counters.zero_fills == 4
        assert guest.counters.waited_s == 0

    def test_a_page_touched_twice_at_once_faults_once(self) -> None:
        guest = guest_of(8)
        file = guest.file(2 * PAGE)
        guest.touch(np.array([0, 0, 1, 0], np.int32) + file.start)
        assert guest.counters.file_reads == 2

    def test_more_objects_than_frames_in_one_touch(self) -> None:
        guest = guest_of(16)
        memory = guest.anonymous(30 * PAGE)
        guest.touch(memory.all(), write=True)
        guest.touch(memory.all())
        guest.check()
        assert guest.counters.zero_fills == 30


class TestEviction:
    def test_clean_pages_are_dropped_and_dirty_ones_written(self) -> None:
        guest = guest_of(4)
        file = guest.file(8 * PAGE)
        one_by_one(guest, [0, 1], write=True)
        one_by_one(guest, [2, 3, 4, 5, 6, 7])
        assert guest.counters.file_writes == 2
        assert guest.counters.dropped == 2
        one_by_one(guest, [0, 1])  # checked memory: they are what was written
        assert file.pages == 8

    def test_an_anonymous_page_goes_to_swap_and_comes_back(self) -> None:
        guest = guest_of(2)
        guest.anonymous(3 * PAGE)
        one_by_one(guest, [0, 1, 2], write=True)
        assert guest.swap_used == 1
        assert guest.counters.swap_outs == 1
        one_by_one(guest, [0])
        assert guest.counters.swap_ins == 1

    def test_a_page_in_swap_that_was_not_changed_is_not_written_again(self) -> None:
        guest = guest_of(1, swap=2)
        guest.anonymous(2 * PAGE)
        one_by_one(guest, [0, 1], write=True)
        one_by_one(guest, [0, 1, 0, 1])
        assert guest.counters.swap_outs == 2
        assert guest.counters.dropped == 3
        assert guest.swap_used == 2

    def test_cache_goes_before_programs(self) -> None:
        guest = guest_of(4)
        heap, file = guest.anonymous(2 * PAGE), guest.file(4 * PAGE)
        one_by_one(guest, [*heap.all()], write=True)
        one_by_one(guest, [*file.all()])
        assert guest.swap_used == 0
        assert (guest.objects.frame[heap.all()] >= 0).all()

    def test_a_full_swap_is_out_of_memory(self) -> None:
        guest = guest_of(3, swap=2)
        guest.anonymous(8 * PAGE)
        with pytest.raises(OutOfMemoryError, match="swap used: 2"):
            one_by_one(guest, list(range(8)), write=True)
        guest.check()

    def test_with_a_full_swap_files_still_come_and_go(self) -> None:
        guest = guest_of(4, swap=0)
        heap, file = guest.anonymous(3 * PAGE), guest.file(5 * PAGE)
        one_by_one(guest, [*heap.all()], write=True)
        one_by_one(guest, [*file.all()] * 2)
        assert guest.counters.file_reads == 10
        one_by_one(guest, [*heap.all()])
        guest.check()

    def test_what_a_program_leaves_is_free_again(self) -> None:
        guest = guest_of(2, swap=2)
        heap = guest.anonymous(4 * PAGE)
        one_by_one(guest, [*heap.all()], write=True)
        guest.discard(heap)
        assert (guest.swap_used, guest.frames.free) == (0, 2)
        one_by_one(guest, [*heap.all()])  # zeros again
        guest.check()


class TestKernel:
    def test_the_kernel_grows_with_what_is_configured_and_never_leaves(self) -> None:
        small, large = GuestSpec(128), GuestSpec(256)
        extra = large.kernel_pages - small.kernel_pages
        assert extra == pytest.approx(0.045 * 128 * 256, abs=1)
        guest = guest_of(8, kernel=3)
        file = guest.file(20 * PAGE)
        one_by_one(guest, [*file.all()] * 2)
        assert (guest.objects.frame[guest.kernel.all()] >= 0).all()

    def test_boot_loads_the_code_and_zeroes_what_is_free(self) -> None:
        spec = GuestSpec(
            64 * PAGE,
            kernel_mib=4 * PAGE,
            structures=0,
            image=2,
            image_mib=10 * PAGE,
            zeroes=True,
        )
        guest = Guest(spec)
        guest.memory.content[:] = -1
        for _ in range(7):
            guest.boot(7)
        assert guest.counters.file_reads == 10
        assert np.count_nonzero(guest.memory.content == 0) == 64 - 4 - 10
        common = guest.memory.content[guest.memory.content > 0]
        assert sorted(common) == list(range(1 + 2 * 65_536, 11 + 2 * 65_536))

    def test_nobody_writes_an_image(self) -> None:
        guest = guest_of(16, image=4)
        with pytest.raises(InvalidInputError, match="image"):
            guest.touch(guest.image.all(), write=True)


class TestGiving:
    def test_free_frames_are_given_first_then_the_oldest(self) -> None:
        guest = guest_of(8)
        file = guest.file(6 * PAGE)
        one_by_one(guest, [*file.all()])
        given_away = guest.give(4)
        assert given_away.size == 4
        assert guest.frames.free == 0
        assert (guest.objects.frame[file.all()] < 0).tolist() == [True, True] + [False] * 4
        guest.take_back(given_away)
        assert guest.frames.free == 4
        guest.check()

    def test_a_guest_that_can_give_no_more_gives_less(self) -> None:
        guest = guest_of(8, kernel=3, swap=0)
        guest.touch(guest.anonymous(2 * PAGE).all(), write=True)
        assert guest.give(8).size == 3

    def test_frames_that_were_given_are_not_used(self) -> None:
        guest = guest_of(8)
        gone = guest.give(5)
        guest.memory.withdraw(gone)
        file = guest.file(9 * PAGE)
        one_by_one(guest, [*file.all()] * 2)
        assert not np.isin(guest.objects.frame, gone).any()


class TestChecks:
    def test_a_lost_byte_is_noticed(self) -> None:
        guest = guest_of(4)
        heap = guest.anonymous(1 * PAGE)
        guest.touch(heap.all(), write=True)
        guest.memory.write(guest.objects.frame[heap.all()], -1, 12345)
        with pytest.raises(ContentLostError):
            guest.touch(heap.all())

    @pytest.mark.parametrize("what", ["frame", "holds", "swap_used"])
    def test_a_table_that_is_wrong_is_noticed(self, what: str) -> None:
        guest = guest_of(4)
        guest.touch(guest.anonymous(2 * PAGE).all(), write=True)
        if what == "frame":
            guest.objects.frame[[0, 1]] = guest.objects.frame[[1, 0]]
        elif what == "holds":
            guest.frames.holds[guest.objects.frame[0]] = 1
        else:
            guest.swap_used += 1
        with pytest.raises(AssertionError):
            guest.check()

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("size_mib", 0),
            ("kernel_mib", -1),
            ("structures", 1.5),
            ("image", 100),
            ("image_mib", 300),
            ("swap_mib", -1),
            ("kernel_mib", 64),
        ],
    )
    def test_a_wrong_number_is_an_error_that_names_it(self, field: str, value: float) -> None:
        given_values = {"size_mib": 64, field: value}
        with pytest.raises(InvalidInputError, match=field if value != 64 else "size_mib"):
            GuestSpec(**given_values)  # type: ignore[arg-type] # on purpose


def test_time_is_what_the_counters_say() -> None:
    counted = Counters(file_reads=3, swap_ins=4, host_faults=5, file_writes=6, swap_outs=7)
    assert counted.waited_s == pytest.approx(12 * DISK_S + 13 * WRITE_S)
    later = Counters(file_reads=10, swap_ins=4, host_faults=5, file_writes=6, swap_outs=7)
    assert later.since(counted) == Counters(file_reads=7)
    assert later.copy() == later


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 39), st.booleans(), st.booleans()), min_size=1, max_size=120),
    st.integers(3, 30),
)
def test_no_byte_is_lost_whatever_is_touched(
    steps: list[tuple[int, bool, bool]], frames: int
) -> None:
    guest = guest_of(frames, kernel=1, swap=40)
    regions = [guest.anonymous(40 * PAGE), guest.file(40 * PAGE)]
    for number, is_file, write in steps:
        guest.now += number % 2
        guest.touch(regions[is_file].all()[number : number + 1], write=write)
        guest.check()
    for region in regions:
        guest.touch(region.all())
