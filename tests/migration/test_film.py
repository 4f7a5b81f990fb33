"""The film of a migration: it shows what the machine room did, and nothing else."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.algorithms import (
    Clark,
    Deck,
    Hybrid,
    PostCopy,
    QemuPreCopy,
    StopAndCopy,
)
from virtlab.migration.film import PAGE_STATES, Film, FilmFrame, ScaleModel, film
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.migration.algorithms import Algorithm

ALGORITHMS: dict[str, Algorithm] = {
    "talk": Deck(),
    "told": Deck(as_told=True),
    "stop": StopAndCopy(),
    "clark": Clark(min_mbit_s=4, max_mbit_s=8, step_mbit_s=1, enough_kb=60),
    "qemu": QemuPreCopy(),
    "postcopy": PostCopy(),
    "hybrid": Hybrid(),
}
WORKLOADS = [Uniform(200, 60), RoundRobin(200, 60), HotCold(200, 90, 20, 80)]


def counts(frame: FilmFrame, host: str) -> dict[str, int]:
    return dict(zip(frame.to_frame()["state"], frame.to_frame()[host], strict=True))


@given(st.sampled_from(sorted(ALGORITHMS)), st.sampled_from(WORKLOADS), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_every_picture_shows_every_page_once(name: str, workload: Any, seed: int) -> None:
    shown = film(ALGORITHMS[name], workload, seed=seed)
    for number, frame in enumerate(shown.frames):
        assert frame.number == number
        for host in ("source", "target"):
            assert sum(counts(frame, host).values()) == 256
        assert counts(frame, "source")["absent"] == counts(frame, "source")["stale"] == 0
        assert counts(frame, "target")["dirty"] == 0
    times = [frame.time_s for frame in shown.frames]
    assert times == sorted(times)
    steps = [frame.step for frame in shown.frames]
    assert max(steps) == 7


@given(st.sampled_from(sorted(ALGORITHMS)), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_the_end_agrees_with_the_run(name: str, seed: int) -> None:
    shown = film(ALGORITHMS[name], seed=seed)
    last = shown.frame(-1)
    assert counts(last, "target")["absent"] == counts(last, "target")["stale"] == 0
    assert last.summary()["wrong_pages"] == shown.run.wrong_pages
    assert last.summary()["fetched_pages"] == shown.run.network_faults
    assert last.sent_mib == pytest.approx(shown.run.sent_mib)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_travels_is_there_after_it(name: str) -> None:
    shown = film(ALGORITHMS[name])
    for before, frame in itertools.pairwise(shown.frames):
        absent = PAGE_STATES.index("absent")
        assert not (frame.target[frame.moving] == absent).any()
        if name in ("stop", "postcopy"):  # each page goes once; others may send one again
            assert (before.target[frame.moving] == absent).all()


def test_a_paused_machine_writes_nothing() -> None:
    for algorithm in ALGORITHMS.values():
        for frame in film(algorithm).frames:
            if frame.where == "paused":
                assert not frame.written.size
                assert "stands still" in frame.explain()


def test_steps_can_be_found() -> None:
    shown = film()
    assert [shown.frame(shown.first_of(step)).step for step in range(1, 8)] == list(range(1, 8))
    assert shown.first_of(1) == 1
    short = film(StopAndCopy())
    assert short.first_of(5) > short.first_of(4)  # it has no step 5: the next one there is
    with pytest.raises(InvalidInputError, match="step = 8"):
        shown.first_of(8)
    with pytest.raises(InvalidInputError, match="number"):
        shown.frame(len(shown))


def test_the_same_seed_is_the_same_film() -> None:
    one, other, third = (film(seed=seed) for seed in (4, 4, 5))

    def picture(shown: Film) -> list[bytes]:
        return [frame.source.tobytes() + frame.target.tobytes() for frame in shown.frames]

    assert picture(one) == picture(other) != picture(third)


def test_the_talks_bug_can_be_seen() -> None:
    told = film(Deck(as_told=True))
    wrong = [frame.count("target", "wrong") for frame in told.frames]
    assert wrong[0] == 0 < wrong[-1] == told.run.wrong_pages
    assert "in no bitmap" in told.frame(-1).explain()
    assert film(Deck()).frame(-1).count("target", "wrong") == 0


def test_words_say_what_the_picture_shows() -> None:
    shown = film()
    fetched = next(frame for frame in shown.frames if frame.how == "fetched")
    assert f"touches page {fetched.moving[0]}," in fetched.explain()
    copied = shown.frame(3)
    assert copied.explain().startswith(f"{copied.moving.size} pages, ")
    assert f"writes {copied.written.size} pages" in copied.explain()


def test_a_film_of_one_that_never_ends_is_bounded() -> None:
    busy = film(QemuPreCopy(downtime_limit_ms=20), Uniform(200, 2000), give_up_s=4.0)
    assert busy.run.outcome == "stayed"
    assert len(busy) <= 2000
    assert busy.frame(-1).where == "source"


def test_a_scale_model_has_a_bitmap_that_can_be_seen() -> None:
    assert ScaleModel(ram_mib=1, bitmap_kib=2).bitmap_bytes == 2048
    with pytest.raises(InvalidInputError, match="pages_a_frame"):
        film(pages_a_frame=0)
