"""Programs in a guest: what they touch, how fast they get on, and the balloon beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.datasets import touched_seconds
from virtlab.memory.guest import Balloon, Guest, GuestSpec
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.costs import CPU_S, DISK_S
from virtlab.memory.guest.phases import Phases
from virtlab.memory.guest.traces import Trace
from virtlab.memory.guest.workloads import (
    FileServer,
    HotCold,
    Idle,
    Work,
    WorkingSet,
    Workload,
)
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from virtlab.memory.guest.objects import Region

LOADS: list[Workload] = [
    Idle(),
    WorkingSet(10),
    HotCold(5, 20),
    FileServer(5, 20),
    Trace("json_churn"),
    Phases(((2, Idle()), (3, WorkingSet(5)))),
]


def guest(mib: float = 64) -> Guest:
    return Guest(GuestSpec(mib))


def rng() -> Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("load", LOADS, ids=lambda load: type(load).__name__)
def test_a_workload_touches_its_own_and_as_much_as_asked(load: Workload) -> None:
    for part in load.parts:
        where = part.open(guest())
        count = 400 if not isinstance(part, Trace) else 400 // part.copies
        reads, writes = part.next(count, where, rng())
        objects = np.concatenate([reads, writes])
        assert objects.size == count
        assert objects.min() >= where.start
        assert objects.max() < where.stop


@pytest.mark.parametrize("load", LOADS, ids=lambda load: type(load).__name__)
def test_the_same_seed_gives_the_same_run(load: Workload) -> None:
    def run(seed: int) -> tuple[list[int], int]:
        where = guest(48)
        work = Work(where, load, np.random.default_rng(seed))
        return [work.second() for where.now in range(1, 12)], where.counters.touches

    assert run(5) == run(5)


class TestWork:
    def test_with_all_in_memory_the_processor_is_the_limit(self) -> None:
        work = Work(guest(), WorkingSet(4), rng())
        for _ in range(3):
            work.second()
        assert work.second() == pytest.approx(1 / CPU_S, rel=0.01)

    def test_a_workload_does_no_more_than_it_wants(self) -> None:
        work = Work(guest(), WorkingSet(4, per_s=100), rng())
        assert [work.second() for _ in range(3)] == [100, 100, 100]

    def test_time_adds_up(self) -> None:
        """Processor time and waiting fill the seconds, to within the last one."""
        where = guest(32)
        work = Work(where, FileServer(30, 300), rng())
        done = sum(work.second() for where.now in range(1, 201))
        spent = done * CPU_S + where.counters.waited_s
        assert spent == pytest.approx(200, rel=0.02)

    def test_one_that_waits_long_does_nothing_meanwhile(self) -> None:
        @dataclass(frozen=True)
        class Slow(WorkingSet):
            @property
            def cpu_s(self) -> float:
                return 2.5

        work = Work(guest(), Slow(1), rng())
        assert [work.second() for _ in range(6)] == [1, 0, 1, 0, 0, 1]

    def test_a_program_that_ends_leaves_its_memory_and_not_its_files(self) -> None:
        where = guest(64)
        work = Work(where, WorkingSet(20), rng())
        for where.now in range(5):
            work.second()
        free = where.frames.free
        work.end()
        assert where.frames.free > free
        where.check()

    def test_a_load_of_ones_own_takes_a_few_lines(self) -> None:
        class Loop(Workload):
            """Reads a file from end to end, again and again."""

            per_s = 256.0

            def open(self, guest: Guest) -> Region:
                self.at_page = 0
                return guest.file(3)

            def next(
                self, count: int, region: Region, rng: Generator
            ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
                del rng
                pages = (self.at_page + np.arange(count, dtype=np.int32)) % region.pages
                self.at_page += count
                return pages + np.int32(region.start), np.empty(0, np.int32)

        where = guest()
        work = Work(where, Loop(), rng())
        for where.now in range(1, 7):
            work.second()
        assert where.counters.file_reads == 3 * 256


class TestShapes:
    def test_most_touches_go_to_the_hot_part(self) -> None:
        load = HotCold(hot_mib=10, cold_mib=30, hot=0.9)
        where = load.open(guest())
        objects = np.concatenate(load.next(40_000, where, rng())) - where.start
        assert (objects < 2560).mean() == pytest.approx(0.9 + 0.1 / 4, abs=0.01)
        assert (objects.size, objects.max() < 40 * 256) == (40_000, True)

    def test_popularity_falls_to_37_percent(self) -> None:
        load = FileServer(popularity_mib=10, files_mib=100)
        where = load.open(guest())
        reads, writes = load.next(50_000, where, rng())
        assert writes.size == 0
        assert (reads - where.start >= 2560).mean() == pytest.approx(np.exp(-1), abs=0.01)

    def test_the_miss_ratio_falls_exponentially_with_the_cache(self) -> None:
        """What makes figure 2's curve: equal steps of cache divide the misses alike."""

        def misses(mib: float) -> float:
            where = Guest(GuestSpec(mib, kernel_mib=0, structures=0))
            load = FileServer(popularity_mib=8, files_mib=100)
            region = load.open(where)
            random, before = rng(), 0
            for where.now in range(1, 161):
                before = where.counters.file_reads if where.now == 81 else before
                where.touch(load.next(1500, region, random)[0])
            return (where.counters.file_reads - before) / (80 * 1500)

        first, second, third = (misses(mib) for mib in (12, 18, 24))
        assert first / second == pytest.approx(second / third, rel=0.15)
        assert first / second == pytest.approx(np.exp(6 / 8), rel=0.15)

    def test_writes_are_the_part_that_was_said(self) -> None:
        load = WorkingSet(4, writes=0.25)
        reads, writes = load.next(400, load.open(guest()), rng())
        assert (reads.size, writes.size) == (300, 100)

    def test_phases_follow_one_another_and_begin_again(self) -> None:
        load = Phases(((2, Idle()), (1, WorkingSet(3))))
        kinds = [type(load.at(second)).__name__ for second in range(6)]
        assert kinds == ["Idle", "Idle", "WorkingSet"] * 2
        assert load.parts == (Idle(), WorkingSet(3))

    def test_a_measured_program_keeps_its_pace(self) -> None:
        trace = Trace("pandas_groupby")
        work = Work(guest(128), trace, rng())
        done = [work.second() for _ in range(10)]
        assert np.mean(done) == pytest.approx(
            touched_seconds("pandas_groupby").sum() / 60, rel=0.01
        )

    def test_a_measured_program_falls_behind_where_memory_lacks(self) -> None:
        where = guest(48)
        work = Work(where, Trace("redis_set", copies=2), rng())
        done = [work.second() for where.now in range(1, 30)]
        assert np.mean(done[-10:]) < 0.5 * Trace("redis_set", copies=2).per_s


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Idle(mib=-1), "mib"),
        (lambda: Idle(every_s=0), "every_s"),
        (lambda: WorkingSet(10, per_s=0), "per_s"),
        (lambda: WorkingSet(10, writes=2), "writes"),
        (lambda: HotCold(10, 0), "cold_mib"),
        (lambda: HotCold(10, 10, hot=1.2), "hot"),
        (lambda: FileServer(0), "popularity_mib"),
        (lambda: Phases(()), "phases"),
        (lambda: Phases(((0, Idle()),)), "phases"),
        (lambda: Trace("doom"), "program"),
        (lambda: Trace("redis_set", copies=0), "copies"),
    ],
)
def test_a_wrong_number_is_an_error_that_names_it(make: object, field: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidInputError, match=f"^{field}"):
        make()


class TestBalloon:
    def test_it_moves_at_its_rate_and_no_further_than_its_maximum(self) -> None:
        where = guest(64)
        balloon = Balloon(where, BalloonSpec(most=0.5, inflate_mib_s=4, deflate_mib_s=8))
        balloon.goal = 64 * 256
        sizes = []
        for _ in range(10):
            balloon.poll()
            sizes.append(balloon.pages / 256)
        assert sizes == [4, 8, 12, 16, 20, 24, 28, 32, 32, 32]
        balloon.goal = 10 * 256
        for _ in range(4):
            balloon.poll()
            sizes.append(balloon.pages / 256)
        assert sizes[10:] == [24, 16, 10, 10]
        where.check()

    @pytest.mark.parametrize("kind", ["refuses", "absent"])
    def test_without_a_willing_driver_nothing_moves(self, kind: str) -> None:
        balloon = Balloon(guest(), BalloonSpec(kind=kind))
        balloon.goal = 1000
        balloon.poll()
        assert (balloon.pages, balloon.most) == (0, 0)

    def test_a_driver_that_has_not_started_does_nothing(self) -> None:
        where = guest()
        balloon = Balloon(where, BalloonSpec(starts_s=10))
        balloon.goal = 1000
        balloon.poll()
        assert balloon.pages == 0
        where.now = 10
        balloon.poll()
        assert balloon.pages == 1000

    def test_it_takes_what_the_guest_values_least(self) -> None:
        """Free pages cost nothing; then cold cache goes, and what is in use stays."""
        where = Guest(GuestSpec(64, kernel_mib=0, structures=0))
        cold, hot = where.file(20), where.anonymous(20)
        where.touch(cold.all())
        where.now = 100
        where.touch(hot.all(), write=True)
        balloon = Balloon(where, BalloonSpec(most=1, inflate_mib_s=64))
        balloon.goal = 24 * 256
        balloon.poll()
        assert where.counters.dropped == 0  # all were free
        balloon.goal = 44 * 256
        balloon.poll()
        assert where.counters.dropped == 20 * 256
        assert where.counters.swap_outs == 0
        assert (where.objects.frame[hot.all()] >= 0).all()
        balloon.goal = 46 * 256
        balloon.poll()
        assert where.counters.swap_outs == 2 * 256  # now it hurts

    def test_frames_of_the_balloon_are_out_of_use(self) -> None:
        where = guest(32)
        balloon = Balloon(where, BalloonSpec(inflate_mib_s=32))
        balloon.goal = 4096
        balloon.poll()
        where.touch(where.anonymous(30).all(), write=True)
        assert not np.isin(where.objects.frame, balloon.frames()).any()

    def test_a_ballooned_guest_is_a_bit_slower_than_a_smaller_one(self) -> None:
        """W02 figure 2 in small: the structures of the configured size stay."""

        def done(mib: float, ballooned: float) -> float:
            where = guest(mib)
            balloon = Balloon(where, BalloonSpec(most=1, inflate_mib_s=256))
            work = Work(where, FileServer(20, 200), rng())
            balloon.goal = round(ballooned * 256)
            total = 0
            for where.now in range(1, 90):
                balloon.poll()
                total += work.second() * (where.now > 40)
            return total

        small, squeezed, large = done(48, 0), done(128, 80), done(128, 0)
        assert squeezed < small < large
        assert squeezed > 0.85 * small


def test_the_disk_has_one_price() -> None:
    assert DISK_S > 3 * CPU_S  # a miss costs a few operations: figure 2's slope
