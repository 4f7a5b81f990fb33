"""Memory that is really copied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.memory import WORDS_OF_A_PAGE, PageMemory, resend_ratio
from virtlab.validate import InvalidInputError

SIZES = pytest.mark.parametrize("words", [1, WORDS_OF_A_PAGE])


@SIZES
def test_a_page_is_zeros_until_it_is_written(words: int) -> None:
    memory = PageMemory(10, filled=6, words=words)
    pages = np.arange(10)
    assert memory.zero(pages).tolist() == [False] * 6 + [True] * 4
    memory.write(np.array([9]), 1)
    assert not memory.zero(np.array([9]))[0]
    assert len(np.unique(memory.words[:6])) == 6 * words  # no two words are equal


@SIZES
def test_copies_are_equal_until_one_is_written(words: int) -> None:
    memory = PageMemory(20, filled=15, words=words)
    other = memory.copy()
    assert other.wrong_pages(memory).size == 0
    memory.write(np.array([3, 17]), 5)
    assert other.wrong_pages(memory).tolist() == [3, 17]
    other.put(np.array([3, 17]), *memory.take(np.array([3, 17])))
    assert other.wrong_pages(memory).size == 0
    assert other.version.tolist() == memory.version.tolist()


@SIZES
@pytest.mark.parametrize("pages", [[4], [3, 4, 5, 6], [3, 9, 1, 6], [], [7, 2]])
def test_pages_are_taken_over_whatever_their_order(words: int, pages: list[int]) -> None:
    source, target = PageMemory(12, 10, words), PageMemory(12, 0, words)
    source.write(np.arange(12), 3)
    target.copy_from(source, np.array(pages, dtype=np.int64))
    assert target.wrong_pages(source).tolist() == sorted(set(range(12)) - set(pages))
    assert target.version[pages].tolist() == [1] * len(pages)


@SIZES
def test_a_page_with_one_word_at_its_end_is_not_zero(words: int) -> None:
    memory = PageMemory(3, words=words)
    memory.words[1, -1] = 1
    assert memory.zero(np.arange(3)).tolist() == [True, False, True]


def test_what_was_taken_is_a_copy() -> None:
    memory = PageMemory(4, filled=4)
    words, _ = memory.take(np.array([1]))
    memory.write(np.array([1]), 1)
    assert words[0, 0] != memory.words[1, 0]


@SIZES
@given(writes=st.lists(st.integers(1, 40), min_size=2, max_size=12))
def test_a_write_that_is_lost_is_never_hidden_by_later_ones(words: int, writes: list[int]) -> None:
    right, wrong = PageMemory(1, filled=1, words=words), PageMemory(1, filled=1, words=words)
    page = np.array([0])
    right.write(page, 99)  # the other never sees this one
    for stamp in writes:
        right.write(page, stamp)
        wrong.write(page, stamp)
    assert wrong.wrong_pages(right).tolist() == [0]


@SIZES
def test_the_same_writes_give_the_same_contents(words: int) -> None:
    one, two = PageMemory(8, 8, words), PageMemory(8, 8, words)
    for stamp in range(1, 50):
        for memory in (one, two):
            memory.write(np.array([stamp % 8]), stamp)
    assert one.wrong_pages(two).size == 0


def test_a_page_is_4096_bytes() -> None:
    assert PageMemory(3, words=WORDS_OF_A_PAGE).words[0].nbytes == 4096


def test_resending_costs_what_changed() -> None:
    memory = PageMemory(100, filled=100, words=WORDS_OF_A_PAGE)
    before = memory.words.copy()
    assert resend_ratio(before, memory.words) == pytest.approx(2 / 4096)
    for stamp in range(1, 65):
        memory.write(np.arange(100), stamp)
    ratio = resend_ratio(before, memory.words)
    assert 64 * 8 / 4096 * 0.95 < ratio < 64 * 12 / 4096  # 64 words of 8 bytes, and lengths
    rng = np.random.default_rng(0)
    other = rng.integers(0, 2**63, (100, 512), dtype=np.uint64)
    assert resend_ratio(other, memory.words) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"pages": 0}, "pages"),
        ({"pages": 2, "filled": 3}, "filled"),
        ({"pages": 2, "words": 0}, "words"),
    ],
)
def test_bad_input_is_named(kwargs: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInputError, match=field):
        PageMemory(**kwargs)


def test_contents_of_other_shapes_have_no_ratio() -> None:
    with pytest.raises(InvalidInputError, match="new"):
        resend_ratio(np.zeros((2, 4), dtype=np.uint64), np.zeros((2, 5), dtype=np.uint64))
