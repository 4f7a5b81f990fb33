"""One rule for both models of QEMU: what slows a guest down, and by how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.throttle import AutoConverge


def test_it_takes_a_fifth_then_a_tenth_each_second_time_until_hardly_anything_is_left() -> None:
    rule = AutoConverge()
    steps = [rule.look(float(second), 0.0, 1.0) for second in range(1, 25)]
    assert steps[:6] == pytest.approx([0, 0.2, 0.2, 0.3, 0.3, 0.4])
    assert steps[-1] == 0.99


def test_times_need_not_follow_each_other() -> None:
    rule = AutoConverge()
    assert rule.look(1.0, 4096.0, 1) == 0
    assert rule.look(2.0, 4096.0 * 5, 1) == 0  # a quarter of what was sent: not too much
    assert rule.look(3.0, 4096.0 * 6, 1) == 0.2


def test_half_is_not_more_than_half() -> None:
    rule = AutoConverge()
    assert max(rule.look(float(now), 4096.0 * 2 * now, 1) for now in range(1, 10)) == 0


def test_what_got_dirty_too_early_to_tell_counts_later() -> None:
    rule = AutoConverge()
    for now in (0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4):
        slowed = rule.look(now, 4096.0 * 10 * now, 2)  # 2 of 3 pages in 0.3 s; 8 of 12 in 1.2 s
    assert slowed == 0.2


@given(st.lists(st.tuples(st.floats(0.01, 3), st.floats(0, 1e9), st.floats(0, 1e6)), max_size=60))
def test_it_never_lets_go_nor_takes_all(looks: list[tuple[float, float, float]]) -> None:
    rule = AutoConverge()
    now = sent = last = 0.0
    for seconds, size, pages in looks:
        now, sent = now + seconds, sent + size
        slowed = rule.look(now, sent, pages)
        assert last <= slowed <= 0.99
        last = slowed
