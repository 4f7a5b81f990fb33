"""Stretches of pages against one bit a page."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.qemu.dirty import DirtyMap

PAGES = 400
NORMAL, ZERO = (4104.0, 3e-6), (9.0, 3e-7)
ARC = st.tuples(st.integers(0, PAGES - 1), st.integers(0, PAGES))
STEP = st.tuples(st.sampled_from(["write", "bytes", "time"]), ARC, st.floats(0, 1))


class Bits:
    """The same with a bit for each page, taken one at a time."""

    def __init__(self) -> None:
        self.dirty = np.ones(PAGES, dtype=bool)
        self.zero = np.zeros(PAGES, dtype=bool)
        self.zero[300:] = True
        self.pointer = 0

    def write(self, start: int, end: int) -> None:
        self.dirty[start:end] = True
        self.zero[start:end] = False

    def take(self, room_bytes: float, room_s: float) -> tuple[int, float]:
        pages, sent, seconds = 0, 0.0, 0.0
        for page in [*range(self.pointer, PAGES), *range(self.pointer)]:
            if not self.dirty[page]:
                continue
            unit = ZERO if self.zero[page] else NORMAL
            self.dirty[page] = False
            pages, sent, seconds = pages + 1, sent + unit[0], seconds + unit[1]
            self.pointer = (page + 1) % PAGES
            if sent > room_bytes or seconds > room_s:
                break
        else:
            self.pointer = 0
        return pages, sent


def stretches() -> DirtyMap:
    return DirtyMap([0.0, 300.0, float(PAGES)], [1.0, 1.0], [False, True], NORMAL, ZERO)


@given(st.lists(STEP, max_size=40))
@settings(max_examples=300)
def test_stretches_are_bits(steps: list[tuple[str, tuple[int, int], float]]) -> None:
    bits, dirty = Bits(), stretches()
    for what, (start, length), share in steps:
        if what == "write":
            end = min(PAGES, start + length)
            bits.write(start, end)
            dirty.add(start, end, 1.0)
        else:
            # A little more than a round number: whether a limit is just passed is not up to
            # rounding. A page takes microseconds, and a whole number of bytes.
            room = (round(2e6 * share) + 0.5, math.inf)
            if what == "time":
                room = (math.inf, 1e-6 * round(1e3 * share) + 0.37e-6)
            pages, sent = bits.take(*room)
            taken = dirty.take(*room)
            assert math.isclose(taken.pages, pages, abs_tol=1e-6)
            assert math.isclose(taken.sent_bytes, sent, abs_tol=1e-3)
        assert math.isclose(dirty.pages, float(bits.dirty.sum()), abs_tol=1e-6)
        assert dirty.edges == sorted(set(dirty.edges))


@given(
    st.lists(
        st.tuples(st.floats(0, PAGES), st.floats(0, PAGES), st.floats(0, 1), st.floats(0, 9e5)),
        max_size=30,
    )
)
def test_pages_are_never_lost_nor_made(writes: list[tuple[float, float, float, float]]) -> None:
    dirty = stretches()
    for start, end, share, room in writes:
        before = dirty.pages
        dirty.add(start, end, share)
        assert before - 1e-6 <= dirty.pages <= PAGES + 1e-6
        full = dirty.pages
        taken = dirty.take(room)
        assert math.isclose(full, taken.pages + dirty.pages, abs_tol=1e-6)
        assert all(0.0 <= value <= 1.0 for value in dirty.shares)
    dirty.take(math.inf)
    assert dirty.pages == 0.0
    assert not any(dirty.shares)


def test_many_stretches_are_put_together() -> None:
    dirty = stretches()
    dirty.take(math.inf)
    for start in range(0, PAGES, 2):
        dirty.add(start, start + 1, 1.0)
    for start in range(1, PAGES, 2):
        dirty.add(start, start + 1, 1.0)
    assert dirty.pages == PAGES
    assert len(dirty.shares) < 16
    assert dirty.run_length() > PAGES - 16


def test_a_written_page_is_zeros_no_more() -> None:
    dirty = stretches()
    assert dirty.take(math.inf).zero_pages == 100
    dirty.add(300, PAGES, 1.0)
    assert dirty.take(math.inf).zero_pages == 0


def test_the_pointer_goes_on_where_it_was() -> None:
    dirty = stretches()
    dirty.take(4104 * 10 - 1)
    dirty.add(0, 10, 1.0)
    assert dirty.take(4104 * 290 - 1).pages == 290  # pages 10 to 299, not the first ten again
    assert dirty.pages == 110
