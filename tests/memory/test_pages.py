"""Identity of contents: hashes, numbers, and what sharing saves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.hashing import (
    PAGE_BYTES,
    ZERO,
    Contents,
    as_pages,
    collision_chance,
    duplicated,
    hash_pages,
)
from virtlab.memory.pages import savings
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from virtlab.memory.hashing import PageBytes

letters = st.lists(st.sampled_from([b"\0", b"a", b"b", b"c", b"d"]), max_size=20)


def pages_of(names: list[bytes]) -> bytes:
    return b"".join(name * PAGE_BYTES for name in names)


def test_each_hash_is_xxh3_of_its_page() -> None:
    rng = np.random.default_rng(1)
    buffer = rng.bytes(5 * PAGE_BYTES)
    expected = [
        xxhash.xxh3_64_intdigest(buffer[i : i + PAGE_BYTES]) for i in range(0, len(buffer), 4096)
    ]
    assert hash_pages(buffer).tolist() == expected
    assert hash_pages(memoryview(bytearray(buffer))).tolist() == expected
    assert hash_pages(np.frombuffer(buffer, dtype=np.int32)).tolist() == expected


def test_nothing_has_no_hashes() -> None:
    assert hash_pages(b"").size == 0
    assert as_pages(b"").shape == (0, 512)
    assert Contents().intern(b"").size == 0


def test_half_a_page_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="whole number of pages"):
        hash_pages(bytes(PAGE_BYTES + 1))


@given(st.lists(st.integers(0, 12), max_size=60))
def test_duplicated_agrees_with_a_counter(values: list[int]) -> None:
    found, counts = duplicated(np.array(values, dtype=np.uint64))
    expected = {value: count for value, count in sorted(Counter(values).items()) if count > 1}
    assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == expected
    assert found.tolist() == sorted(found.tolist())


@given(st.lists(letters, max_size=4))
def test_numbers_are_equal_just_where_bytes_are(calls: list[list[bytes]]) -> None:
    contents = Contents()
    numbers = [n for call in calls for n in contents.intern(pages_of(call)).tolist()]
    names = [name for call in calls for name in call]
    assert len(set(zip(numbers, names, strict=True))) == len(set(names)) == len(set(numbers))
    assert all(
        (number == ZERO) == (name == b"\0") for number, name in zip(numbers, names, strict=True)
    )
    for number, name in zip(numbers, names, strict=True):
        assert contents.page(number) == name * PAGE_BYTES
    assert len(contents) == len(set(names) | {b"\0"})


def all_the_same(buffer: PageBytes) -> NDArray[np.uint64]:
    return np.full(len(as_pages(buffer)), 7, dtype=np.uint64)


def two_hashes(buffer: PageBytes) -> NDArray[np.uint64]:
    return hash_pages(buffer) % np.uint64(2)


@pytest.mark.parametrize("bad_hash", [all_the_same, two_hashes])
@given(calls=st.lists(letters, max_size=4))
def test_numbers_stay_exact_under_a_bad_hash(
    bad_hash: Callable[[PageBytes], NDArray[np.uint64]], calls: list[list[bytes]]
) -> None:
    good, bad = Contents(), Contents(hash_function=bad_hash)
    exact: dict[int, int] = {}
    for call in calls:
        for left, right in zip(
            good.intern(pages_of(call)).tolist(), bad.intern(pages_of(call)).tolist(), strict=True
        ):
            assert exact.setdefault(left, right) == right
    assert len(good) == len(bad)
    assert len(set(exact.values())) == len(exact)


def test_pages_that_differ_in_one_bit_are_different() -> None:
    page = bytearray(PAGE_BYTES)
    buffers = []
    for byte in (0, 1, 2047, 4095):
        other = bytearray(page)
        other[byte] = 1
        buffers.append(bytes(other))
    assert len(set(Contents().intern(b"".join(buffers)).tolist())) == 4


def test_many_pages_are_compared_in_parts() -> None:
    rng = np.random.default_rng(2)
    kinds = rng.integers(0, 50, 5000)
    buffer = np.repeat(kinds.astype(np.uint64), 512).tobytes()
    numbers = Contents().intern(buffer)
    for kind in range(50):
        assert np.unique(numbers[kinds == kind]).size == 1
    assert np.unique(numbers).size == 50
    assert (numbers[kinds == 0] == ZERO).all()


def test_collision_chance_of_the_paper() -> None:
    assert collision_chance(2**24) < 1e-4  # 'less than 0.01 % for 64 GB'
    assert 0.3 < collision_chance(2**32) < 0.5
    assert collision_chance(0) == collision_chance(1) == 0
    assert collision_chance(23, bits=8) == pytest.approx(1 - np.exp(-23 * 22 / 512))


def test_savings_by_hand() -> None:
    # VM 0: zero, zero, code, code, own; VM 1: zero, code, own; VM 2: code
    found = savings([0, 0, 5, 5, 8, 0, 5, 9, 5], [0, 0, 0, 0, 0, 1, 1, 1, 2])
    assert (found.zero, found.within, found.across) == (2, 1, 2)
    assert (found.distinct, found.pages, found.owners) == (4, 9, 3)
    assert found.shared_pages == 7
    assert found.zero_pages == 3
    assert found.percent(found.saved) == pytest.approx(500 / 9)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=50))
def test_every_page_is_saved_once_or_kept(pairs: list[tuple[int, int]]) -> None:
    contents = [content for content, _ in pairs]
    owners = [owner for _, owner in pairs]
    found = savings(contents, owners)
    assert found.saved == len(pairs) - len(set(contents))
    assert found.distinct + found.saved == found.pages
    assert found.zero == max(contents.count(0) - 1, 0)
    solid = {pair for pair in pairs if pair[0]}
    assert found.across == len(solid) - len({content for content, _ in solid})
    assert found.shared_pages == sum(1 for c in contents if contents.count(c) > 1)
    assert found.to_frame()["pages"].sum() == found.pages


def test_savings_take_a_mask_of_zero_pages() -> None:
    found = savings([3, 3, 4, 4], [0, 1, 0, 1], zero=[True, True, False, False])
    assert (found.zero, found.within, found.across) == (1, 0, 1)


def test_savings_of_nothing() -> None:
    found = savings([], [])
    assert (found.pages, found.saved, found.percent(0)) == (0, 0, 0.0)


def test_lengths_must_agree() -> None:
    with pytest.raises(InvalidInputError, match="same length"):
        savings([1, 2], [0])


def test_words_and_numbers_agree() -> None:
    found = savings([0, 0, 7, 7], [0, 1, 0, 1])
    assert "saves 2 pages, 50.0 %" in found.explain()
    assert found.summary()["saved_percent"] == 50.0
    assert found.to_json()["rows"][0]["kind"] == "saved: zero"
