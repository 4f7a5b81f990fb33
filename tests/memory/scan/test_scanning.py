"""Scanning in time: rates, histories, writes, the race of two scanners, KSM replayed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.datasets import ksm_rate
from virtlab.memory.frames import HINT, SHARED, STATES, USED, ZEROS
from virtlab.memory.ksm.replay import replay_ksm
from virtlab.memory.pages import savings
from virtlab.memory.programs import PROGRAMS, choose_pages, share_programs
from virtlab.memory.scan.content_memory import ContentMemory
from virtlab.memory.scan.film import film
from virtlab.memory.scan.orders import ORDERS, RandomOrder, SequentialOrder, order_named
from virtlab.memory.scan.race import scan_race
from virtlab.memory.scan.scanning import ESX2, KSM, ScanRate, Writes, scan
from virtlab.validate import InvalidInputError

PAGES_512_MB = 131_072


def test_rates_of_the_guides() -> None:
    assert [ESX2.pages_per_s(vms) for vms in (1, 3, 4, 5, 100)] == [50, 150, 200, 200, 200]
    assert KSM.pages_per_s(1) == KSM.pages_per_s(40) == 5000


def test_a_pass_over_512_mb_takes_44_minutes_and_26_seconds() -> None:
    assert ESX2.pass_s(PAGES_512_MB) / 60 == pytest.approx(43.69, abs=0.01)
    assert KSM.pass_s(PAGES_512_MB) == pytest.approx(26.21, abs=0.01)


def test_simulated_race_has_the_ratio_of_the_formula() -> None:
    race = scan_race(np.arange(PAGES_512_MB) // 2, np.zeros(PAGES_512_MB, dtype=int))
    told = race.summary()
    assert told["pass_ratio"] == pytest.approx(100)
    assert told["all_saved_ratio"] == pytest.approx(50, rel=0.02)  # KSM needs two passes
    esx, ksm = race.histories
    assert esx.time_to(1.0) == pytest.approx(ESX2.pass_s(PAGES_512_MB), rel=0.02)
    assert ksm.reclaimed[ksm.seconds <= KSM.pass_s(PAGES_512_MB)].max() <= PAGES_512_MB * 0.001
    assert "44 min" in race.explain()
    assert "26 s" in race.explain()


def test_pairs_are_found_with_the_square_of_the_pass() -> None:
    pages = 40_000
    memory = ContentMemory(np.arange(pages) // 2)
    history = scan(memory, RandomOrder(np.random.default_rng(3)), 1000, 40, steps=40)
    expected = (history.seconds / 40) ** 2 * pages / 2
    assert np.abs(history.reclaimed - expected).max() < 0.01 * pages


@settings(max_examples=40, deadline=None)
@given(
    contents=st.lists(st.integers(0, 6), min_size=1, max_size=80),
    seed=st.integers(0, 99),
    name=st.sampled_from(ORDERS),
    steps=st.integers(1, 9),
)
def test_a_pass_in_any_order_finds_all(
    contents: list[int], seed: int, name: str, steps: int
) -> None:
    memory = ContentMemory(contents)
    order = order_named(name, np.random.default_rng(seed))
    history = scan(memory, order, 10, seconds=len(contents) / 10, steps=steps)
    predicted = savings(contents, [0] * len(contents))
    assert history.available == predicted.saved
    assert history.reclaimed[-1] == predicted.saved
    assert history.reclaimed[0] == 0
    assert (np.diff(history.reclaimed) >= 0).all()
    assert (history.states.sum(axis=1) == len(contents)).all()


@given(size=st.integers(1, 50), seed=st.integers(0, 9), data=st.data())
def test_a_random_pass_visits_each_page_once(size: int, seed: int, data: st.DataObject) -> None:
    order, fresh = RandomOrder(np.random.default_rng(seed)), np.ones(size, dtype=bool)
    for _ in range(3):
        visited: list[int] = []
        while len(visited) < size:
            count = data.draw(st.integers(1, size))
            pages = order.choose(fresh, count)
            assert 1 <= pages.size <= count
            visited += pages.tolist()
        assert sorted(visited) == list(range(size))


def test_random_passes_begin_anywhere() -> None:
    order, fresh = RandomOrder(np.random.default_rng(1)), np.ones(20, dtype=bool)
    visits = [int(order.choose(fresh, 1)[0]) for _ in range(400 * 20)]
    firsts = visits[::20]
    counts = np.bincount(firsts, minlength=20)
    assert ((counts - 20) ** 2 / 20).sum() < 43.8  # chi-square, 19 degrees of freedom, 0.1 %


def test_the_number_of_steps_changes_nothing() -> None:
    contents = np.random.default_rng(5).integers(0, 300, 1000)
    ends = {
        tuple(
            scan(ContentMemory(contents), SequentialOrder(), 100, 6, steps=steps)
            .states[-1]
            .tolist()
        )
        for steps in (1, 2, 5, 60)
    }
    assert len(ends) == 1


def test_writes_undo_sharing_where_they_fall() -> None:
    memory = ContentMemory(np.zeros(1000, dtype=int))
    memory.visit(np.arange(1000))
    written = np.arange(100)
    Writes(1000, written, np.random.default_rng(1)).happen(memory, 5000)
    states = memory.states()
    assert (states[:100] == USED).all()
    assert (states[100:] == ZEROS).all()
    assert memory.copied == 100
    assert np.unique(memory.contents[:100]).size == 100


def test_a_page_that_is_written_again_and_again_is_never_old_enough() -> None:
    memory, pages = ContentMemory([5], patient=True), np.array([0])
    writes = Writes(1, pages, np.random.default_rng(1))
    for visits in (1, 1, 1, 2):
        writes.happen(memory, 3)
        assert memory.fresh.all()
        for _ in range(visits):
            memory.visit(pages)
        assert not memory.fresh.any()
        assert memory.states().tolist() == [HINT if visits == 2 else USED]


class OneByOne:
    """The rules of both scanners for one page after another, with dictionaries: slow and plain."""

    def __init__(self, contents: list[int], *, patient: bool) -> None:
        self.contents, self.patient = list(contents), patient
        self.fresh = np.ones(len(contents), dtype=bool)
        self.frames: dict[int, set[int]] = {}  # by content: the pages that map to its frame
        self.hints: dict[int, int] = {}  # by content: the page that is its hint
        self.hint_of: dict[int, int] = {}
        self.copied, self.newest = 0, max(contents)

    def write(self, page: int) -> None:
        sharers = self.frames.get(self.contents[page], set())
        self.copied += page in sharers and len(sharers) > 1
        sharers.discard(page)
        self.newest += 1
        self.contents[page], self.fresh[page] = self.newest, True

    def visit(self, page: int) -> None:
        content, fresh = self.contents[page], self.fresh[page]
        self.fresh[page] = False
        sharers = self.frames.setdefault(content, set())
        if page in sharers or self.hint_of.get(page) == content:
            return
        self.drop_hint(page)
        if sharers:
            sharers.add(page)
        elif not (self.patient and fresh):
            other = self.hints.get(content, page)
            self.drop_hint(other)
            if other != page and self.contents[other] == content:
                sharers.update((page, other))
            else:
                self.hints[content], self.hint_of[page] = page, content

    def drop_hint(self, page: int) -> None:
        if page in self.hint_of:
            del self.hints[self.hint_of.pop(page)]

    def states(self) -> list[int]:
        shared = set().union(*self.frames.values())
        return [
            (SHARED if content else ZEROS)
            if page in shared
            else (HINT if page in self.hint_of else USED)
            for page, content in enumerate(self.contents)
        ]

    @property
    def reclaimed(self) -> int:
        return sum(len(sharers) - 1 for sharers in self.frames.values() if sharers)


@settings(max_examples=150)
@given(
    contents=st.lists(st.integers(0, 9), min_size=1, max_size=60),
    patient=st.booleans(),
    name=st.sampled_from(ORDERS),
    rates=st.tuples(st.sampled_from([1, 7, 40, 300]), st.sampled_from([0, 1, 10, 90])),
    steps=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_many_pages_at_once_are_as_one_after_the_other(
    contents: list[int],
    patient: bool,  # noqa: FBT001 - drawn
    name: str,
    rates: tuple[int, int],
    steps: int,
    seed: int,
) -> None:
    visits, writes = rates
    written = np.arange(0, len(contents), 2)
    memory, plain = ContentMemory(contents, patient=patient), OneByOne(contents, patient=patient)
    rng = np.random.default_rng(seed)
    order = order_named(name, np.random.default_rng(seed))
    history = scan(memory, order, visits, steps, Writes(writes, written, rng), steps=steps)
    rng = np.random.default_rng(seed)
    order = order_named(name, np.random.default_rng(seed))
    for row in range(1, steps + 1):
        for page in written[rng.integers(0, written.size, writes)].tolist() if writes else []:
            plain.write(page)
        left = visits
        while left:
            chosen = order.choose(plain.fresh.copy(), left).tolist()
            left -= len(chosen)
            for page in chosen:
                plain.visit(page)
        counted = np.bincount(plain.states(), minlength=len(STATES))
        assert history.states[row].tolist() == counted.tolist()
        assert history.reclaimed[row] == plain.reclaimed
    assert memory.states().tolist() == plain.states()
    assert memory.fresh.tolist() == plain.fresh.tolist()
    assert history.copied == plain.copied


def test_history_tells_times() -> None:
    history = scan(ContentMemory([7] * 100), SequentialOrder(), 50, seconds=4, steps=4)
    assert (history.time_to(0.0), history.time_to(0.4), history.time_to(1.0)) == (0, 1, 2)
    assert history.summary()["passes"] == 2.0
    assert history.to_frame().shape == (5, 8)
    assert "99.0 %" in history.explain()
    short = scan(ContentMemory([7] * 100), SequentialOrder(), 50, seconds=1, steps=4)
    assert math.isinf(short.time_to(1.0))


@pytest.mark.parametrize(
    ("rate", "seconds", "steps", "field"),
    [(-1, 1, 1, "pages_per_s"), (1, -1, 1, "seconds"), (1, 1, 0, "steps")],
)
def test_bad_scans_are_named(rate: float, seconds: float, steps: int, field: str) -> None:
    with pytest.raises(InvalidInputError, match=field):
        scan(ContentMemory([1]), SequentialOrder(), rate, seconds, steps=steps)


def test_bad_rates_and_writes_are_named() -> None:
    with pytest.raises(InvalidInputError, match="total"):
        ScanRate("none", 1, 0)
    with pytest.raises(InvalidInputError, match="pages"):
        Writes(1, np.array([], dtype=int), np.random.default_rng(1))


def test_the_model_follows_the_kernel_visit_by_visit() -> None:
    replay = replay_ksm()
    told = replay.summary()
    assert told["largest_difference_pages"] == 0
    assert told["equal_moments"] == len(ksm_rate())
    assert told["kernel_pages"] == 13_640 + 784


# --- programs ------------------------------------------------------------------------------------


def test_chosen_pages_are_those_of_the_first_copies() -> None:
    pages = choose_pages({"bash": 2, "node": 1})
    assert pages.groupby("vm")["process"].unique().map(list).tolist() == [
        ["bash #0"],
        ["bash #1"],
        ["node #0"],
    ]


def test_one_pass_saves_what_there_is() -> None:
    found = share_programs(dict.fromkeys(PROGRAMS, 1), minutes=5)
    told = found.summary()
    assert told["saved_percent"] == pytest.approx(told["available_percent"])
    assert "inside the talk's 10 to 20 %" in found.explain()
    assert found.to_frame()["program"].tolist() == [*PROGRAMS, "all together"]


def test_writes_cost_savings_and_copies() -> None:
    quiet = share_programs({"pandas": 2}, minutes=10)
    busy = share_programs({"pandas": 2}, minutes=10, writes_per_s=500)
    assert busy.history.reclaimed[-1] < quiet.history.reclaimed[-1]
    assert busy.history.copied > 0
    assert "copies" in busy.explain()


def test_fixed_addresses_save_more_of_the_private_pages() -> None:
    saved = {}
    for random_addresses in (True, False):
        pages = choose_pages({"bash": 4}, random_addresses=random_addresses)
        private = pages[pages["kind"] != "file"]
        found = savings(private["content"], private["vm"])
        saved[random_addresses] = found.percent(found.saved)
    assert saved[False] > 5 * saved[True]


def test_nothing_chosen_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="at least one"):
        share_programs({"bash": 0})
    with pytest.raises(InvalidInputError, match="one of bash"):
        share_programs({"emacs": 1})


# --- the film ------------------------------------------------------------------------------------


def test_a_film_ends_where_a_pass_ends() -> None:
    made = film(vms=3, pages=64, steps=3 * 64)
    last = made.frame(3 * 64)
    shared = int(np.isin(last.states, (SHARED, ZEROS)).sum())
    assert last.summary()["shared_pages"] == shared
    assert USED not in last.states  # all were visited: hint, shared or zero
    assert made.saved[0] == 0
    assert (np.diff(made.saved) >= 0).all()


def test_a_film_tells_what_happened() -> None:
    made = film(vms=4, pages=16, steps=200, writes_per_100=40, seed=4)
    told = made.frame(200).summary()
    writes = sum(event.what in ("written", "copied", "unshared") for event in made.events)
    assert (told["visits"], told["writes"]) == (200 - writes, writes)
    assert told["copies"] == sum(event.what == "copied" for event in made.events) > 0
    films = [made, *(film(4, 16, 200, writes_per_100=40, seed=seed) for seed in range(5, 9))]
    words = " ".join(each.frame(step).explain() for each in films for step in range(201))
    for part in ("own first", "compared in full", "becomes a hint", "this page takes its place"):
        assert part in words
    assert made.frame(200).to_frame()["vm"].tolist() == ["VM1", "VM2", "VM3", "VM4"]


def test_a_film_points_at_the_pages_of_a_frame() -> None:
    made = film(vms=2, pages=16, steps=32)
    shared = int(np.flatnonzero(made.states[32] == SHARED)[0])
    assert "with page" in made.detail(32, shared)
    assert made.detail(0, shared).endswith("for itself alone.")


def test_films_are_made_again_from_their_seed() -> None:
    one, two = (film(seed=3, steps=50, writes_per_100=10) for _ in range(2))
    assert (one.states == two.states).all()
    assert one.events == two.events
