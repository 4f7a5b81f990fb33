"""The network between the hosts: bytes, seconds, parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.link import MIB, Link, mib_s
from virtlab.validate import InvalidInputError


def test_pages_take_what_qemu_was_measured_to_send() -> None:
    link = Link()
    assert link.wire_bytes(1) == 4104
    assert link.wire_bytes(0, zero=1) == 9
    assert link.wire_bytes(2, zero=3, again=1) == 3 * 4104 + 27


def test_a_page_sent_again_may_be_shorter() -> None:
    assert Link(resend_ratio=0.25).wire_bytes(1, again=1) == 4104 + 8 + 1024


def test_the_slower_of_limiter_and_link_counts() -> None:
    assert Link(bandwidth_mib_s=100, cap_mib_s=64).rate_mib_s == 64
    assert Link(bandwidth_mib_s=32, cap_mib_s=64).rate_mib_s == 32
    assert Link(bandwidth_mib_s=32).seconds(64 * MIB) == 2.0


def test_units() -> None:
    assert mib_s(8 * 1.048576) == pytest.approx(1)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=6))
def test_parts_of_a_shared_link_add_up_to_it(shares: list[float]) -> None:
    parts = Link(bandwidth_mib_s=120).divided(shares)
    assert sum(part.rate_mib_s for part in parts) == pytest.approx(120)
    rates = [part.rate_mib_s / share for part, share in zip(parts, shares, strict=True)]
    assert max(rates) == pytest.approx(min(rates))


def test_who_wants_less_leaves_the_rest() -> None:
    small, large = Link(bandwidth_mib_s=100).divided([1, 1], wanted_mib_s=[10, 1000])
    assert (small.bandwidth_mib_s, large.bandwidth_mib_s) == (10, 90)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bandwidth_mib_s", 0),
        ("cap_mib_s", -3),
        ("quantum_ms", 0),
        ("latency_ms", -1),
        ("page_header_bytes", 2.5),
        ("zero_page_bytes", -1),
        ("resend_ratio", 1.5),
    ],
)
def test_bad_input_is_named(field: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=field):
        Link(**{field: value})  # type: ignore[arg-type]
