"""How long bytes take: limiter and faults, against sums by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.faults import Fault
from virtlab.migration.link import MIB, Link
from virtlab.migration.wire import Wire

DOWN = Fault("link", at_s=1.0, for_s=2.0)
HALF = Fault("link", at_s=0.5, for_s=1.0, speed=0.5)


def test_without_faults_it_is_bytes_by_rate() -> None:
    wire = Wire(Link(bandwidth_mib_s=10))
    assert wire.seconds(5 * MIB, 3.0) == pytest.approx(0.5)
    assert wire.carried(0.5, 3.0) == pytest.approx(5 * MIB)


def test_a_link_that_is_down_is_waited_for() -> None:
    wire = Wire(Link(bandwidth_mib_s=10), [DOWN])
    assert wire.seconds(5 * MIB, 0.75) == pytest.approx(0.25 + 2.0 + 0.25)
    assert wire.seconds(MIB, 1.5) == pytest.approx(1.5 + 0.1)
    assert wire.carried(2.5, 0.75) == pytest.approx(0.25 * 10 * MIB + 0.25 * 10 * MIB)


def test_the_worst_fault_counts() -> None:
    wire = Wire(Link(bandwidth_mib_s=10), [DOWN, HALF])
    assert [wire.speed(t) for t in (0.2, 0.7, 1.2, 2.9, 3.0)] == [1.0, 0.5, 0.0, 0.0, 1.0]
    assert wire.damaged(1.2) == 0


@given(st.floats(0.1, 40), st.floats(0, 4))
def test_seconds_and_bytes_are_inverse(size_mib: float, start: float) -> None:
    wire = Wire(Link(bandwidth_mib_s=10), [DOWN, HALF])
    seconds = wire.seconds(size_mib * MIB, start)
    assert wire.carried(seconds, start) == pytest.approx(size_mib * MIB)


def test_a_limiter_grants_its_rate_in_the_long_run() -> None:
    wire = Wire(Link(bandwidth_mib_s=100, cap_mib_s=10, quantum_ms=50))
    now, sent = 0.0, 0
    while now < 10:
        if wire.granted(now) > 0:
            wire.used(4104)
            sent += 4104
            now += wire.seconds(4104, now)
        else:
            now = wire.next_grant_s
    assert sent / 10 / MIB == pytest.approx(10, rel=0.01)


def test_a_cap_above_the_link_is_none() -> None:
    wire = Wire(Link(bandwidth_mib_s=10, cap_mib_s=20))
    assert wire.granted(0.0) == float("inf")
    assert wire.granted(0.0, 5.0) > 0
    assert wire.granted(0.0, float("inf")) == float("inf")


def test_only_faults_of_the_link_count() -> None:
    assert Wire(Link(), [Fault("source", at_s=1.0), Fault("link", at_s=1.0)]).faults == []
