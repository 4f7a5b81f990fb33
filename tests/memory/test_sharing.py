"""Page sharing: what a guest reads never changes, and what is found is what there is to find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from virtlab.memory.frames import (
    FRAME_ENTRY_BYTES,
    FREE,
    HINT,
    SHARED,
    STATES,
    USED,
    ZEROS,
    RefCounts,
    table_percent,
)
from virtlab.memory.hashing import PAGE_BYTES, Contents
from virtlab.memory.pages import savings
from virtlab.memory.scan.content_memory import ContentMemory
from virtlab.memory.scan.orders import NewPagesFirst, RandomOrder, SequentialOrder
from virtlab.memory.sharing import SharedMemory
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.memory.scan.orders import ScanOrder

A, B, ZERO_PAGE = b"a" * PAGE_BYTES, b"b" * PAGE_BYTES, bytes(PAGE_BYTES)
fills = st.sampled_from([b"\0", b"a", b"b", b"c"])


def weak_hash(page: bytes) -> int:
    return page[0] % 2


class Guests(RuleBasedStateMachine):
    """Two VMs that write, lose and read pages while a scanner visits, beside plain bytes."""

    @staticmethod
    def hash_page(page: bytes) -> int:
        return xxhash.xxh3_64_intdigest(page)

    @initialize(images=st.tuples(*[st.lists(fills, min_size=1, max_size=5)] * 2))
    def start(self, images: tuple[list[bytes], ...]) -> None:
        self.plain = {
            (vm, page): fill * PAGE_BYTES
            for vm, image in enumerate(images)
            for page, fill in enumerate(image)
        }
        self.memory = SharedMemory(
            [b"".join(f * PAGE_BYTES for f in image) for image in images],
            hash_page=self.hash_page,
            count_bits=2,
        )
        self.contents = Contents()
        numbers = self.contents.intern(b"".join(self.plain.values()))
        self.by_number = ContentMemory(numbers, self.memory.owners)
        self.keys = list(self.plain)

    @rule(data=st.data(), fill=fills, short=st.booleans())
    def write(self, data: st.DataObject, fill: bytes, short: bool) -> None:  # noqa: FBT001 - drawn
        vm, page = data.draw(st.sampled_from(self.keys))
        new = fill * (3 if short else PAGE_BYTES)
        self.memory.write(vm, page, new)
        self.plain[vm, page] = new + self.plain[vm, page][len(new) :]
        content = self.contents.intern(self.plain[vm, page])
        self.by_number.write(np.array([self.memory.number(vm, page)]), content)

    @rule(data=st.data())
    def write_what_no_other_has(self, data: st.DataObject) -> None:
        vm, page = data.draw(st.sampled_from(self.keys))
        self.own = getattr(self, "own", 0) + 1
        new = b"own" + self.own.to_bytes(8, "big") + bytes(PAGE_BYTES - 11)
        self.memory.write(vm, page, new)
        self.plain[vm, page] = new
        self.by_number.write_own(np.array([self.memory.number(vm, page)] * 2))

    @rule(data=st.data())
    def visit_a_stretch(self, data: st.DataObject) -> None:
        pages = len(self.keys)
        ring = np.array(data.draw(st.permutations(range(pages))))
        start, stop = sorted(data.draw(st.tuples(*[st.integers(0, pages)] * 2)))
        for page in ring[start:stop].tolist():
            self.memory.visit(page)
        self.by_number.visit_stretch(ring, start, stop)

    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        vm, page = data.draw(st.sampled_from(self.keys))
        self.memory.free(vm, page)
        self.plain[vm, page] = ZERO_PAGE
        self.by_number.free(np.array([self.memory.number(vm, page)]))

    @rule(data=st.data())
    def visit_some(self, data: st.DataObject) -> None:
        order = data.draw(st.lists(st.sampled_from(range(len(self.keys))), unique=True))
        for page in order:
            self.memory.visit(page)
        self.by_number.visit(np.array(order, dtype=np.int64))

    @invariant()
    def guests_read_what_they_wrote(self) -> None:
        for (vm, page), expected in self.plain.items():
            assert self.memory.read(vm, page) == expected

    @invariant()
    def frames_add_up(self) -> None:
        mapped = int((self.memory.states() != FREE).sum())
        assert self.memory.frames_used + self.memory.reclaimed == mapped
        assert self.memory.frames_used >= len(set(self.plain.values()) - {ZERO_PAGE})


class GoodHash(Guests):
    """With a hash that does not collide, both models agree page by page."""

    @invariant()
    def numbers_agree_with_bytes(self) -> None:
        assert self.by_number.states().tolist() == self.memory.states().tolist()
        counted = np.bincount(self.memory.states(), minlength=len(STATES))
        assert self.by_number.state_counts().tolist() == counted.tolist()
        assert self.by_number.reclaimed == self.memory.reclaimed
        assert self.by_number.frames_used == self.memory.frames_used
        assert self.by_number.shared == self.memory.shared
        assert self.by_number.fresh.tolist() == self.memory.fresh.tolist()

    @rule()
    def a_quiet_pass_finds_all_there_is(self) -> None:
        pages = np.arange(len(self.keys))
        for page in pages.tolist():
            self.memory.visit(page)
        self.by_number.visit(pages)
        mapped = self.memory.states() != FREE
        numbers = self.contents.intern(b"".join(self.plain.values()))[mapped]
        predicted = savings(numbers, self.memory.owners[mapped])
        assert self.memory.reclaimed == predicted.saved
        assert self.memory.shared == predicted.shared_pages
        assert self.memory.frames_used == predicted.distinct


class BadHash(Guests):
    """With a hash that collides all the time, guests still read what they wrote."""

    @staticmethod
    def hash_page(page: bytes) -> int:
        return weak_hash(page)


TestGoodHash = GoodHash.TestCase
TestBadHash = BadHash.TestCase
for case in (TestGoodHash, TestBadHash):
    case.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_life_of_a_hint_by_hand() -> None:
    memory = SharedMemory([A + B, A])
    assert memory.visit(0).what == "hint"
    assert memory.visit(0).what == "still a hint"
    memory.write(0, 0, b"x")  # a hint stays writable: no copy
    assert memory.read(0, 0) == b"x" + A[1:]
    assert memory.visit(2).what == "stale hint replaced"
    assert [STATES[state] for state in memory.states()] == ["used", "used", "hint"]


def test_copy_on_write_by_hand() -> None:
    memory = SharedMemory([A, A, A])
    assert [memory.visit(page).what for page in range(3)] == ["hint", "shared", "shared"]
    assert (memory.frames_used, memory.shared, memory.reclaimed) == (1, 3, 2)
    assert memory.visit(1).what == "already shared"
    assert memory.write(1, 0, b"z", offset=4095).what == "copied"
    assert memory.read(1, 0) == A[:-1] + b"z"
    assert memory.read(0, 0) == memory.read(2, 0) == A
    assert memory.write(0, 0, b"z").what == "copied"
    assert memory.write(2, 0, b"z").what == "unshared"  # nobody else maps it: no copy
    assert memory.frames_used == 3


def test_freed_pages_read_zeros_and_come_back() -> None:
    memory = SharedMemory([A, A])
    memory.free(0, 0)
    memory.free(0, 0)
    assert (memory.read(0, 0), memory.frames_used) == (ZERO_PAGE, 1)
    assert memory.visit(0).what == "free"
    assert memory.write(0, 0, b"a").what == "allocated"
    assert memory.read(0, 0) == b"a" + ZERO_PAGE[1:]


def test_equal_hash_of_different_pages_is_a_collision_not_a_share() -> None:
    memory = SharedMemory([b"a" * PAGE_BYTES + b"c" * PAGE_BYTES], hash_page=weak_hash)
    assert [memory.visit(0).what, memory.visit(1).what] == ["hint", "collision"]
    assert memory.reclaimed == 0


def test_states_tell_zero_pages_apart() -> None:
    memory = SharedMemory([ZERO_PAGE + A, ZERO_PAGE + A + B])
    for page in range(5):
        memory.visit(page)
    assert memory.states().tolist() == [ZEROS, SHARED, ZEROS, SHARED, HINT]
    assert SharedMemory([A]).states().tolist() == [USED]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda memory: memory.read(2, 0), "vm"),
        (lambda memory: memory.read(0, 1), "page"),
        (lambda memory: memory.write(0, 0, b"ab", offset=4095), "offset"),
        (lambda memory: memory.write(0, 0, b"a", offset=-1), "offset"),
        (lambda memory: memory.visit(9), "page"),
    ],
)
def test_bad_addresses_are_named(call: Callable[[SharedMemory], object], field: str) -> None:
    with pytest.raises(InvalidInputError, match=field):
        call(SharedMemory([A, B]))


def test_lists_of_contents_and_owners_have_one_length() -> None:
    with pytest.raises(InvalidInputError, match="same length"):
        ContentMemory([1, 2], [0])


def test_reference_counts_overflow_at_the_zero_pages_of_256_mib() -> None:
    counts = RefCounts(2)
    counts.add(0, 2**16 - 2)
    assert not counts.overflow
    counts.add(0, 2)  # 65,536 pages of 4 KiB
    assert (counts[0], counts[1], counts.overflow) == (2**16, 0, {0: 2**16})
    counts.add(0, -3)
    assert (counts[0], counts.overflow) == (2**16 - 3, {})
    with pytest.raises(InvalidInputError, match="reference count"):
        counts.add(1, -1)


def test_the_table_takes_less_than_half_a_percent() -> None:
    assert table_percent() == pytest.approx(100 * 16 / 4096)
    assert FRAME_ENTRY_BYTES == 16
    assert table_percent() < 0.5


def test_a_patient_scanner_needs_two_passes() -> None:
    memory = ContentMemory([7, 7, 8, 0, 0], patient=True)
    pages = np.arange(5)
    memory.visit(pages)
    assert memory.reclaimed == 0
    memory.visit(pages)
    assert memory.reclaimed == 2
    memory.write(np.array([2]), np.array([7]))
    memory.visit(pages)  # a page that equals a shared one joins at once
    assert memory.reclaimed == 3


@pytest.mark.parametrize("name", ["random", "sequential", "new first"])
@given(count=st.integers(1, 7), seed=st.integers(0, 99))
def test_every_order_sees_every_page(name: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    orders: dict[str, ScanOrder] = {
        "random": RandomOrder(rng),
        "sequential": SequentialOrder(),
        "new first": NewPagesFirst(rng),
    }
    order, fresh = orders[name], np.ones(10, dtype=bool)
    seen: list[int] = []
    while len(seen) < 10:
        pages = order.choose(fresh, count)
        assert 1 <= pages.size <= count
        assert np.unique(pages).size == pages.size
        fresh[pages] = False
        seen += pages.tolist()
    assert sorted(seen[:10]) == list(range(10))


def test_new_pages_come_first() -> None:
    order = NewPagesFirst(np.random.default_rng(1))
    fresh = np.zeros(100, dtype=bool)
    fresh[[5, 50]] = True
    assert sorted(order.choose(fresh, 10).tolist()) == [5, 50]


def test_content_memory_by_hand() -> None:
    memory = ContentMemory([7, 7, 0, 9, 0, 7], [0, 0, 0, 1, 1, 1])
    memory.visit(np.array([0, 3]))
    assert memory.states().tolist() == [HINT, USED, USED, HINT, USED, USED]
    memory.visit(np.array([5, 2]))
    assert memory.states().tolist() == [SHARED, USED, HINT, HINT, USED, SHARED]
    memory.write(np.array([0, 3]), np.array([40, 41]))  # 0 leaves; 3's hint goes stale
    assert (memory.copied, memory.shared, memory.reclaimed) == (1, 0, 0)
    memory.write(np.array([5]), np.array([42]))  # the last one: no copy
    assert memory.copied == 1
