"""A bit a page, against Python's own sets; draws against the chance they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.bitmap import _CHUNK, PageBits
from virtlab.validate import InvalidInputError

PAGES = 2 * _CHUNK + 77
places = st.one_of(st.integers(0, 200), st.integers(_CHUNK - 99, _CHUNK + 99), st.just(PAGES))
ranges = st.tuples(places, places).map(lambda pair: (min(pair), max(pair)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), ranges), max_size=6), ranges)
def test_it_counts_and_finds_as_a_set_does(
    steps: list[tuple[bool, tuple[int, int]]], of: tuple[int, int]
) -> None:
    bits, mask = PageBits(PAGES), np.zeros(PAGES, dtype=bool)
    for put_in, (first, stop) in steps:
        (bits.fill if put_in else bits.clear)(first, stop)
        mask[first:stop] = put_in
    pages = np.flatnonzero(mask)
    assert np.array_equal(bits.to_pages(), pages)
    assert bits.count() == pages.size
    assert bits.count(*of) == np.count_nonzero(mask[of[0] : of[1]])
    for rank in {1, pages.size // 2, pages.size} - {0}:
        expected = pages[rank - 1] + 1 if rank <= pages.size else PAGES
        assert bits.after(rank) == expected
        assert bits.count(0, bits.after(rank)) == min(rank, pages.size)
    assert bits.after(0) == 0
    assert bits.after(pages.size + 1) == PAGES


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, PAGES - 1), max_size=40), ranges)
def test_pages_join_what_is_there(pages: set[int], there: list[int]) -> None:
    bits = PageBits(PAGES)
    bits.fill(*there)
    bits.add(np.array(sorted(pages), dtype=np.int64))
    assert set(bits.to_pages().tolist()) == pages | set(range(*there))


@settings(max_examples=60, deadline=None)
@given(ranges, st.sampled_from([0.0, 1e-7, 1e-3, 0.05, 0.07, 0.5, 0.999, 1.0]), st.integers(0, 99))
def test_writes_stay_in_their_range_and_are_counted(
    of: tuple[int, int], chance: float, seed: int
) -> None:
    bits = PageBits(PAGES)
    hits = bits.write_at_random(*of, chance, np.random.default_rng(seed))
    assert hits == bits.count() == bits.count(*of)
    assert bits.write_at_random(*of, 1.0, np.random.default_rng(seed)) == of[1] - of[0]


@pytest.mark.parametrize("chance", [0.0005, 0.01, 0.06, 0.0626, 0.3, 0.7, 1 - 1 / 512, 0.99999])
def test_hits_are_binomial(chance: float) -> None:
    rng, pages, runs = np.random.default_rng(11), 40_003, 400
    counts = [PageBits(pages).write_at_random(0, pages, chance, rng) for _ in range(runs)]
    sigma = np.sqrt(pages * chance * (1 - chance))
    assert abs(np.mean(counts) - pages * chance) < 4 * sigma / np.sqrt(runs)
    assert 0.8 < np.std(counts) / sigma < 1.2


@pytest.mark.parametrize("chance", [0.03, 0.4])
def test_every_page_is_as_likely_and_neighbours_know_nothing_of_each_other(chance: float) -> None:
    rng, pages, runs = np.random.default_rng(5), 4096, 2000
    masks = np.zeros((runs, pages), dtype=bool)
    for row in masks:
        bits = PageBits(pages)
        bits.write_at_random(0, pages, chance, rng)
        row[bits.to_pages()] = True
    sigma = np.sqrt(chance * (1 - chance) / runs)
    assert np.abs(masks.mean(axis=0) - chance).max() < 5 * sigma
    together = (masks[:, :-1] & masks[:, 1:]).mean()
    assert together == pytest.approx(chance**2, abs=5 * chance / np.sqrt(masks.size))


def test_a_tebibyte_takes_32_mib() -> None:
    assert PageBits(2**40 // 4096).nbytes == 32 * 2**20


def test_what_is_not_there_is_refused() -> None:
    bits, rng = PageBits(100), np.random.default_rng()
    with pytest.raises(InvalidInputError, match="within 0 to 100"):
        bits.fill(90, 101)
    with pytest.raises(InvalidInputError, match="within 0 to 100"):
        bits.add(np.array([3, 100]))
    with pytest.raises(InvalidInputError, match="chance"):
        bits.write_at_random(0, 10, 1.5, rng)
    with pytest.raises(InvalidInputError, match="pages"):
        PageBits(0)
