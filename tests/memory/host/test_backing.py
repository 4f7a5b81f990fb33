"""What stands behind a VM's pages, and the machine's frames, on cases that one can count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.guest.physical import UNIQUE, ZERO
from virtlab.memory.host.backing import (
    BACKED,
    BALLOONED,
    SHARED,
    SWAPPED,
    UNTOUCHED,
    BackedMemory,
)
from virtlab.memory.host.machine import HostMemoryError, MachineMemory


def pages(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def memory_of(size: int, frames: int = 100) -> BackedMemory:
    return BackedMemory(size, MachineMemory(frames), checked=True)


class TestMachine:
    def test_what_sharing_saves_is_pages_less_contents(self) -> None:
        machine = MachineMemory(100)
        machine.take(7)
        machine.share(pages(0, 0, 0, 5, 5, 9, 9))
        assert (machine.used, machine.saved) == (3, 4)
        machine.drop(pages(5))
        assert (machine.used, machine.saved) == (3, 3)
        machine.drop(pages(5))  # the last of its content: its frame is free
        assert (machine.used, machine.saved) == (2, 3)
        machine.check(5)

    @given(st.lists(st.integers(0, 6), max_size=30))
    def test_counts_are_those_of_a_dictionary(self, contents: list[int]) -> None:
        machine = MachineMemory(1000)
        machine.take(len(contents))
        machine.share(pages(*contents))
        gone = contents[: len(contents) // 2]
        machine.drop(pages(*gone))
        left = contents[len(contents) // 2 :]
        assert machine.used == len(set(left))
        assert machine.saved == len(left) - len(set(left))
        machine.check(len(left))

    def test_a_copy_needs_a_frame_unless_it_was_the_last(self) -> None:
        machine = MachineMemory(10)
        machine.take(2)
        machine.share(pages(0, 0))
        machine.copy(pages(0))
        assert machine.used == 2
        machine.copy(pages(0))
        assert machine.used == 2

    def test_what_is_not_there_can_not_be_taken(self) -> None:
        machine = MachineMemory(4, fixed=1)
        with pytest.raises(HostMemoryError, match="4 frames wanted, 3 are free"):
            machine.take(4)
        machine.take(3)
        with pytest.raises(HostMemoryError, match="no frame is free"):
            machine.room(1)

    def test_room_is_asked_for_when_it_lacks(self) -> None:
        machine, asked = MachineMemory(4), []

        def reclaim(wanted: int) -> None:
            asked.append(wanted)
            machine.give(2)

        machine.reclaim = reclaim
        machine.take(4)
        assert machine.room(3) == 2
        assert asked == [3]

    @pytest.mark.parametrize("shared", [1, 3])
    def test_wrong_counts_are_noticed(self, shared: int) -> None:
        machine = MachineMemory(10)
        machine.take(2)
        machine.share(pages(0, 0))
        with pytest.raises(AssertionError):
            machine.check(shared)


class TestStates:
    def test_a_page_needs_no_frame_before_it_is_touched(self) -> None:
        memory = memory_of(8)
        assert (memory.allocated, memory.machine.used) == (0, 0)
        memory.read(pages(1, 2, 2))
        assert (memory.allocated, memory.machine.used) == (2, 2)

    def test_the_way_of_a_page_through_the_swap(self) -> None:
        memory = memory_of(1)
        memory.write(pages(0), UNIQUE, 42)
        assert memory.swap_out(1, rng()) == 1
        assert memory.state.tolist() == [SWAPPED]
        assert memory.machine.used == 0
        assert memory.load(pages(0)).tolist() == [42]  # wherever it lies
        assert memory.read(pages(0)) == 1
        assert memory.state.tolist() == [BACKED]
        assert memory.load(pages(0)).tolist() == [42]
        assert memory.swap_writes == 1

    def test_overwriting_a_swapped_page_fetches_it_all_the_same(self) -> None:
        memory = memory_of(2)
        memory.write(pages(0, 1))
        memory.swap_out(2, rng())
        assert memory.write(pages(0, 0), ZERO, 0) == 1
        assert memory.state.tolist() == [BACKED, SWAPPED]

    def test_pages_that_can_be_shared_are_not_written_to_disk(self) -> None:
        memory = memory_of(6)
        memory.write(np.arange(6, dtype=np.int32), pages(0, 0, 0, 7, UNIQUE, UNIQUE), 0)
        assert memory.swap_out(6, rng(), share=True) == 6
        assert memory.state.tolist() == [SHARED] * 4 + [SWAPPED] * 2
        assert memory.machine.used == 2  # one frame of zeros, one of content 7
        assert memory.swap_writes == 2
        assert (memory.shared, memory.swapped, memory.allocated) == (4, 2, 4)

    def test_a_write_ends_the_sharing_of_that_page_alone(self) -> None:
        memory = memory_of(3)
        memory.write(np.arange(3, dtype=np.int32), ZERO, 0)
        memory.scan(50, rng())
        assert (memory.shared, memory.machine.used) == (3, 1)
        assert memory.write(pages(1), UNIQUE, 5) == 0
        assert memory.state.tolist() == [SHARED, BACKED, SHARED]
        assert memory.machine.used == 2
        assert memory.load(pages(0, 1, 2)).tolist() == [0, 5, 0]
        memory.check()
        memory.machine.check(2)

    @pytest.mark.parametrize("before", ["untouched", "backed", "shared", "swapped"])
    def test_the_balloon_frees_whatever_stands_behind(self, before: str) -> None:
        memory = memory_of(2)
        if before != "untouched":
            memory.write(pages(0, 1), ZERO, 0)
        if before == "shared":
            memory.scan(50, rng())
        if before == "swapped":
            memory.swap_out(2, rng())
        memory.withdraw(pages(0, 1))
        assert memory.state.tolist() == [BALLOONED] * 2
        assert memory.machine.used == 0
        memory.machine.check(0)
        memory.hand_back(pages(0))
        assert memory.state.tolist() == [UNTOUCHED, BALLOONED]
        assert memory.load(pages(0)).tolist() == [0]

    def test_a_guest_that_uses_a_ballooned_page_is_a_bug(self) -> None:
        memory = memory_of(2)
        memory.withdraw(pages(0))
        with pytest.raises(AssertionError, match="balloon"):
            memory.read(pages(0))

    def test_all_frames_come_back_when_it_is_off(self) -> None:
        memory = memory_of(8)
        memory.write(np.arange(6, dtype=np.int32), pages(0, 0, 3, 3, UNIQUE, UNIQUE), 0)
        memory.scan(80, rng())
        memory.withdraw(pages(5))
        memory.release()
        assert memory.machine.used == 0
        memory.machine.check(0)

    def test_wrong_counts_are_noticed(self) -> None:
        memory = memory_of(4)
        memory.write(pages(0))
        memory.state[0] = SWAPPED
        with pytest.raises(AssertionError, match="counts"):
            memory.check()


class TestScarcity:
    def test_more_pages_than_frames_still_hold_what_was_written(self) -> None:
        machine = MachineMemory(40)
        memory = BackedMemory(120, machine, checked=True)
        random = rng()

        def reclaim(wanted: int) -> None:
            memory.swap_out(wanted - machine.free, random)

        machine.reclaim = reclaim
        every = np.arange(120, dtype=np.int32)
        memory.write(every, UNIQUE, every.astype(np.int64) * 3)
        assert memory.load(every).tolist() == (every * 3).tolist()
        for _ in range(3):
            memory.read(random.permutation(every))
            memory.write(every[::7], UNIQUE, every[::7].astype(np.int64) * 3)
        assert memory.load(every).tolist() == (every * 3).tolist()
        memory.check()
        assert memory.allocated == machine.used <= 40

    @given(st.integers(0, 300), st.integers(1, 200))
    def test_pages_to_swap_are_drawn_without_repeats(self, wanted: int, backed: int) -> None:
        memory = BackedMemory(200, MachineMemory(500))
        memory.write(np.arange(backed, dtype=np.int32))
        drawn = memory.some_backed(wanted, rng())
        assert drawn.size == min(wanted, backed)
        assert np.unique(drawn).size == drawn.size
        assert (memory.state[drawn] == BACKED).all()

    def test_every_page_is_as_likely_to_go(self) -> None:
        random, counts = rng(), np.zeros(64)
        for _ in range(2000):
            memory = BackedMemory(64, MachineMemory(100))
            memory.write(np.arange(64, dtype=np.int32))
            counts[memory.some_backed(4, random)] += 1
        expected = 2000 * 4 / 64
        assert abs(counts - expected).max() < 5 * np.sqrt(expected)
