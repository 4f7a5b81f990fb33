"""A guest that gives memory back: no byte is lost, no page counted twice, and the balloon is mild.

Memory is checked: every frame holds a value that stands for its bytes, and a guest that reads
anything else than it wrote raises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.memory.ballooning import COMMON, KERNEL, MEANS, Reclaim, SmallHost, compare, reclaim
from virtlab.memory.guest.balloon import BALLOON_KINDS
from virtlab.memory.host.backing import BACKED, BALLOONED, STATES, SWAPPED, UNTOUCHED
from virtlab.memory.reclaim_film import HELD, Second
from virtlab.validate import InvalidInputError

BALLOON, FREE = HELD.index("balloon"), HELD.index("free")


@st.composite
def specs(draw: st.DrawFn) -> Reclaim:
    pages = draw(st.integers(64, 300))
    most = pages - KERNEL - COMMON
    amounts = st.integers(1, 2 * pages)
    return Reclaim(
        pages=pages,
        hot_pages=draw(st.integers(1, most)),
        cold_pages=draw(amounts),
        cache_pages=draw(amounts),
        wanted_pages=draw(st.integers(0, most)),
        means=draw(st.sampled_from(MEANS)),
        pages_per_s=draw(st.integers(1, 40)),
        balloon_most=draw(st.floats(0, 1)),
        driver=draw(st.sampled_from(BALLOON_KINDS)),
        seconds=30,
        back_s=draw(st.integers(1, 40)),
        hot_touches=draw(st.integers(0, 40)),
        cold_touches=draw(st.integers(0, 10)),
        cache_touches=draw(st.integers(0, 10)),
        seed=draw(st.integers(0, 9)),
    )


@settings(max_examples=60, deadline=None)
@given(specs())
def test_whatever_the_host_does_no_byte_is_lost_and_no_page_counted_twice(spec: Reclaim) -> None:
    host = SmallHost(spec, checked=True)
    limit = spec.balloon_most * spec.pages if spec.driver == "works" else 0
    for _ in range(spec.seconds):
        told = host.second()
        host.guest.check()
        host.memory.check()
        assert host.machine.used == host.memory.allocated
        assert host.machine.free >= 0
        assert host.balloon.pages <= min(limit, spec.wanted_pages)
        assert sum(told.given.values()) <= spec.pages_per_s
        assert told.returned <= 2 * spec.pages_per_s
        assert told.by_program.double_paging <= told.by_program.host_faults
    for region in (host.hot, host.cold, host.cache):  # all that was ever written can be read
        host.guest.touch(region.all())


@settings(max_examples=30, deadline=None)
@given(specs())
def test_both_sides_of_a_picture_agree(spec: Reclaim) -> None:
    film = reclaim(spec)
    pages = film.held.shape[1]
    assert film.held.shape == film.behind.shape == (spec.seconds + 1, spec.pages)
    assert ((film.held == BALLOON) == (film.behind == BALLOONED)).all()
    assert (film.behind[0] == BACKED).all()
    for second in (0, 7, spec.seconds):
        frame = film.frame(second)
        rows = frame.to_frame()
        assert rows["pages"].sum() == pages
        assert (rows[[s for s in STATES if s != "shared"]].sum(axis=1) == rows["pages"]).all()
        if second <= spec.back_s:
            assert int(str(frame.summary()["taken_pages"])) <= spec.wanted_pages


@settings(max_examples=20, deadline=None)
@given(specs(), st.integers(0, 30), st.integers(0, 30))
def test_going_back_gives_the_earlier_picture(spec: Reclaim, one: int, other: int) -> None:
    film = reclaim(spec)
    first, words = film.frame(one).held.copy(), film.frame(one).explain()
    film.frame(other).explain()
    assert (film.frame(one).held == first).all()
    assert film.frame(one).explain() == words
    shorter = reclaim(replace(spec, seconds=max(one, 1)))  # as if the film had ended there
    assert (shorter.held[: one + 1] == film.held[: one + 1]).all()
    assert shorter.frame(one).summary() == film.frame(one).summary()


@settings(max_examples=20, deadline=None)
@given(specs())
def test_the_program_does_the_same_whatever_the_host_does(spec: Reclaim) -> None:
    touches = {film.totals[-1].touches for film in (reclaim(replace(spec, means=m)) for m in MEANS)}
    assert len(touches) == 1


@settings(max_examples=20, deadline=None)
@given(specs())
def test_a_balloon_alone_never_pages_doubly(spec: Reclaim) -> None:
    film = reclaim(replace(spec, means="balloon", driver="works", balloon_most=1.0))
    assert film.totals[-1].host_faults == film.totals[-1].double_paging == 0
    assert not (film.behind == SWAPPED).any()


@pytest.mark.parametrize("driver", ["refuses", "absent"])
@pytest.mark.parametrize("means", MEANS)
def test_without_a_driver_only_swapping_is_left(means: str, driver: str) -> None:
    film = reclaim(Reclaim(means=means, driver=driver))
    swap = reclaim(Reclaim(means="host swap"))
    assert not (film.held == BALLOON).any()
    assert (film.behind == swap.behind).all()
    assert film.frame(50).summary() == swap.frame(50).summary() | {"means": means}


def test_the_guest_gives_free_pages_then_cache_then_what_is_cold() -> None:
    spec = Reclaim(hot_pages=160, cold_pages=200, cache_pages=80, pages_per_s=8)
    seconds = reclaim(spec).seconds
    assert spec.free_pages == 48
    assert [second.given for second in seconds[:6]] == [{"free": 8}] * 6
    assert [second.given for second in seconds[6:9]] == [{"cache": 8}] * 3
    given = {kind: sum(s.given.get(kind, 0) for s in seconds) for kind in HELD}
    assert given["kernel"] == 0
    assert given["hot"] < 5 < given["cold"]
    assert sum(given.values()) == spec.wanted_pages


def test_the_host_hits_what_is_hot_as_often_as_there_is_of_it() -> None:
    spec = Reclaim(means="host swap", pages_per_s=472, wanted_pages=240, hot_touches=0, seed=0)
    taken = np.zeros(len(HELD))
    for seed in range(40):
        first = reclaim(replace(spec, seed=seed, seconds=1)).seconds[0]
        taken += [first.swapped.get(kind, 0) for kind in HELD]
    parts = taken / taken.sum()
    assert parts[HELD.index("hot")] == pytest.approx(spec.hot_pages / spec.pages, abs=0.02)
    assert parts[FREE] == pytest.approx(spec.free_pages / spec.pages, abs=0.02)
    assert taken.sum() == 40 * 240


@pytest.mark.parametrize("seed", range(5))
def test_a_balloon_costs_less_than_swapping(seed: int) -> None:
    told = compare(Reclaim(seed=seed)).summary()
    assert 1.5 * told["balloon_waited_ms"] < told["host swap_waited_ms"]  # type: ignore[operator]
    assert 1.5 * told["balloon_waited_ms"] < told["both_waited_ms"]  # type: ignore[operator]
    assert told["balloon_double_paging"] == told["host swap_double_paging"] == 0
    assert told["both_double_paging"] > 5  # type: ignore[operator]


def test_a_balloon_of_free_pages_costs_nothing() -> None:
    spec = Reclaim(wanted_pages=48)
    frame = reclaim(spec).frame(60)
    assert frame.summary()["taken_pages"] == 48
    assert frame.summary()["waited_ms"] == 0
    swap = reclaim(replace(spec, means="host swap")).frame(60)
    assert float(swap.summary()["waited_ms"]) > 20


def test_a_limited_balloon_leaves_the_rest_to_swap() -> None:
    told = reclaim(Reclaim(balloon_most=0.25)).frame(60).summary()
    assert (told["ballooned_pages"], told["swapped_pages"]) == (128, 112)


def test_what_comes_back_is_free_at_once_and_what_was_swapped_waits() -> None:
    film = reclaim(Reclaim())
    before, after = film.frame(60), film.frame(75)
    assert before.summary()["ballooned_pages"] == 240
    assert after.summary()["ballooned_pages"] == 0
    assert (after.behind == UNTOUCHED).sum() > 100
    swap = reclaim(Reclaim(means="host swap")).frame(75)
    assert int(str(swap.summary()["swapped_pages"])) > 150  # nobody fetches what nobody touches


def test_the_wait_is_the_price_of_the_disk() -> None:
    from virtlab.memory.guest.costs import DISK_S, WRITE_S

    told = reclaim(Reclaim(means="both")).frame(60).summary()
    reads, writes = float(told["disk_reads"]), float(told["disk_writes"])
    assert told["waited_ms"] == pytest.approx(1000 * (reads * DISK_S + writes * WRITE_S), abs=1e-3)


def test_a_second_is_told_in_words() -> None:
    film = reclaim(Reclaim(means="both"))
    assert "48 are free" in film.frame(0).explain()
    assert "The balloon grows by 8 free pages. At random the host swaps" in film.frame(2).explain()
    double = next(i for i, s in enumerate(film.seconds, 1) if s.by_program.double_paging)
    assert "double paging" in film.frame(double).explain()
    assert "gives 16 pages back" in film.frame(62).explain()
    assert "wants nothing any more" in film.frame(75).explain()
    assert reclaim(Reclaim(wanted_pages=0)).frame(3).explain().startswith("The host has what it")


def test_words_agree_with_numbers() -> None:
    film = reclaim(Reclaim(means="both"))
    frame = film.frame(40)
    rows = frame.to_frame().set_index("holds")
    told: dict[str, Any] = frame.summary()
    assert rows["swapped"].sum() == told["swapped_pages"]
    assert rows.loc["balloon", "ballooned"] == told["ballooned_pages"]
    table = compare(film.spec, 40).to_frame().set_index("means")
    assert table.loc["both", "waited_ms"] == told["waited_ms"]
    page = int(np.flatnonzero(frame.behind == SWAPPED)[0])
    assert "the host's swap" in film.detail(40, page)


def test_one_page_is_one_page_in_words() -> None:
    from virtlab.memory.guest.counters import Counters

    one = Second({"cold": 1}, 0, {}, Counters(swap_outs=1), Counters(touches=9, swap_ins=1), 0)
    assert one.host_did == "The balloon grows by 1 cold page. The guest writes 1 to its swap."
    assert one.program_did == "Of 9 touches 1 waits for the guest's disk."


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"pages": 10}, "pages"),
        ({"wanted_pages": 473}, "wanted_pages"),
        ({"hot_pages": 500}, "hot_pages"),
        ({"cold_pages": 0}, "cold_pages"),
        ({"means": "magic"}, "means"),
        ({"driver": "broken"}, "driver"),
        ({"balloon_most": 1.5}, "balloon_most"),
        ({"pages_per_s": 0}, "pages_per_s"),
        ({"seconds": 0}, "seconds"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_input_is_named(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} = "):
        Reclaim(**wrong)


def test_there_is_no_picture_after_the_end() -> None:
    with pytest.raises(InvalidInputError, match="second"):
        reclaim().frame(76)
