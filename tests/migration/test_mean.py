"""One alone in plain floats is one of thousands, and the mean of what bits do."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from virtlab.migration.hands import Hand, Hands, in_orders
from virtlab.migration.huge import StopRule, precopy
from virtlab.migration.link import MIB, Link
from virtlab.migration.mean import MeanRun, at_random, in_order, precopy_mean
from virtlab.migration.means import precopy_means
from virtlab.migration.turns import in_turn
from virtlab.migration.vm import Vm
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform, Zipf
from virtlab.validate import InvalidInputError


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    pages = draw(st.integers(5000, 2_000_000))
    working = draw(st.integers(1, pages))
    return {
        "ram_mib": pages / 256,
        "filled_mib": draw(st.sampled_from([pages, pages // 2, 0])) / 256,
        "working_set_pages": working,
        "first_page": draw(st.integers(0, pages - working)),
        "dirty_pages_s": draw(st.floats(0, 300_000)),
        "hot_pages": draw(st.sampled_from([0, 1, working // 8, working])),
        "hot_write_percent": draw(st.floats(0, 100)),
        "bandwidth_mib_s": draw(st.floats(10, 3000)),
        "cap_mib_s": draw(st.floats(10, 3000)),
        "downtime_limit_ms": draw(st.sampled_from([0, 50, 300, 3000])),
        "max_rounds": draw(st.integers(0, 30)),
        "look_ms": draw(st.sampled_from([0.0, 100.0])),
    }


def alone(case: dict[str, Any]) -> MeanRun:
    """Work one of them out by itself."""
    place = (case["working_set_pages"], case["dirty_pages_s"], case["first_page"])
    hot = case["hot_pages"]
    writer = HotCold(*place, hot, case["hot_write_percent"]) if hot else Uniform(*place)
    vm = Vm(ram_mib=case["ram_mib"], filled_mib=case["filled_mib"])
    link = Link(bandwidth_mib_s=case["bandwidth_mib_s"], cap_mib_s=case["cap_mib_s"])
    rule = StopRule(case["downtime_limit_ms"], case["max_rounds"], case["look_ms"])
    return precopy_mean(vm, writer, link, rule)


@settings(max_examples=300, deadline=None)
@given(cases())
def test_one_alone_is_one_of_thousands(case: dict[str, Any]) -> None:
    ours, all_of_them = alone(case), precopy_means(**case)
    assume(ours.rounds == all_of_them.rounds[0])  # else a rounding decided; see the next test
    assert ours.total_s == pytest.approx(all_of_them.total_s[0], rel=1e-12, abs=1e-12)
    assert ours.sent_mib == pytest.approx(all_of_them.sent_mib[0], rel=1e-12, abs=1e-12)
    assert ours.downtime_ms == pytest.approx(all_of_them.downtime_ms[0], rel=1e-9, abs=1e-6)
    assert ours.converged == all_of_them.converged[0]


def test_hardly_ever_does_a_rounding_decide() -> None:
    differ = 0
    for rate in range(1000, 61_000, 200):
        case: dict[str, Any] = {
            "ram_mib": 2048,
            "filled_mib": 1500,
            "working_set_pages": 300_000,
            "first_page": 5000,
            "dirty_pages_s": rate,
            "hot_pages": 20_000,
            "hot_write_percent": 70,
            "bandwidth_mib_s": 500,
            "cap_mib_s": 200,
            "downtime_limit_ms": 300,
            "max_rounds": 30,
            "look_ms": 100.0,
        }
        differ += alone(case).rounds != precopy_means(**case).rounds[0]
    assert differ <= 3


@pytest.mark.parametrize(
    "writer",
    [
        Uniform(2**20, 90_000),
        Uniform(2**19, 150_000, first_page=1000),
        RoundRobin(2**20, 130_000, phase=0.4),
        RoundRobin(2**18, 400_000, first_page=2**19),  # faster than the link
        HotCold(2**21, 160_000, hot_pages=2**16, hot_write_percent=80),
    ],
)
def test_the_mean_is_within_a_thousandth_of_bits(
    writer: Uniform | RoundRobin | HotCold,
) -> None:
    vm, link, rule = Vm(ram_mib=16_384, filled_mib=15_000), Link(bandwidth_mib_s=1000), StopRule()
    page, mean = precopy(vm, writer, link, rule), precopy_mean(vm, writer, link, rule)
    assert mean.converged == page.converged
    assert abs(mean.total_s - page.total_s) < 1e-3 * page.total_s + 0.1  # a look more or less
    assert abs(mean.sent_mib - page.sent_mib) < 1e-3 * page.sent_mib + 100


def test_without_looks_it_is_within_a_thousandth_of_bits() -> None:
    vm, link, rule = Vm(ram_mib=16_384), Link(bandwidth_mib_s=1000), StopRule(look_ms=0)
    endless = Uniform(2**21, 400_000)
    for writer in (RoundRobin(2**21, 130_000, phase=0.4), Uniform(2**21, 150_000), endless):
        page, mean = precopy(vm, writer, link, rule), precopy_mean(vm, writer, link, rule)
        assert mean.total_s == pytest.approx(page.total_s, rel=1e-3)
        assert mean.sent_mib == pytest.approx(page.sent_mib, rel=1e-3)
        assert mean.rounds == len(page.rounds) - 1


def round_by_round(vm: Vm, writer: RoundRobin, link: Link, rule: StopRule) -> tuple[float, int]:
    """Return seconds with the guest running and rounds, as the text of the module says it."""
    pages_s = link.rate_mib_s * MIB / link.page_bytes
    rest = link.rate_mib_s * MIB * rule.downtime_limit_ms / 1000 // 4096
    looked = pages_s * rule.look_ms / 1000
    left, behind, looks, rounds = float(vm.pages), float(vm.pages - writer.pages), 0, 0
    while left > rest and rounds < rule.max_rounds:
        step = math.ceil((left - rest) / looked - 1e-9)
        looks, rounds, left = looks + step, rounds + 1, left - step * looked
        behind = min(behind, left)
        written = writer.dirty_pages_s * step * rule.look_ms / 1000
        left = left + written if written < writer.pages else behind + writer.pages
    return looks * rule.look_ms / 1000, rounds


@settings(max_examples=200, deadline=None)
@given(
    st.integers(100_000, 3_000_000),
    st.floats(0.05, 0.9),
    st.floats(0, 1.2),
    st.integers(0, 30),
    st.sampled_from([100.0, 300.0, 2000.0]),
)
def test_a_hand_needs_no_rounds(
    pages: int, part: float, speed: float, most: int, limit_ms: float
) -> None:
    """Its sum of all rounds is the sum round by round, where it holds; else rounds are gone by."""
    vm, link, rule = Vm(ram_mib=pages / 256), Link(bandwidth_mib_s=300), StopRule(limit_ms, most)
    pages_s = link.rate_mib_s * MIB / link.page_bytes
    writer = RoundRobin(int(part * pages), speed * pages_s)
    rest = link.rate_mib_s * MIB * limit_ms / 1000 // 4096
    writes = writer.dirty_pages_s / pages_s
    behind = pages - writer.pages
    found = in_turn(pages, behind, writer.pages, 0, writes, rest, pages_s / 10, most)
    if found:
        seconds, rounds = round_by_round(vm, writer, link, rule)
        assume(rounds == found[1])  # else a rounding decided
        assert found[0] / pages_s == pytest.approx(seconds, rel=1e-9, abs=1e-9)
        run = precopy_mean(vm, writer, link, rule)
        assert (run.rounds, run.total_s - run.downtime_ms / 1000) == pytest.approx(
            (rounds, seconds), rel=1e-9, abs=1e-9
        )
    else:
        assert writer.pages + rest > pages or speed > 0.999 * part * (1 - speed)


@settings(max_examples=300, deadline=None)
@given(
    st.floats(0.1, 0.9),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(2, 60),
    st.sampled_from([1.0, 3.0, 17.5]),
)
def test_where_a_hand_needs_no_rounds_it_meets_nothing(
    part: float, phase: float, share: float, look: float, looks: float
) -> None:
    """Followed page by page, it sends the same: it writes less than its set in the first round."""
    pages, rest = 10_000.0, look * looks
    working = min(part * pages, pages - rest)
    at, writes = phase * working // 1, share * working / pages
    found = in_turn(pages, pages - working, working, at, writes, rest, look, 30)
    if not found:
        return
    regions = (0, 0, working, pages - working, 0)
    sent, rounds, left, _ = in_order(
        regions, (0, 0, Hand(working, at, writes)), rest, look, 30, 0.01
    )
    assume(rounds == found[1])  # else a rounding decided
    assert (sent, left) == pytest.approx((found[0], found[2]), rel=1e-9, abs=1e-5)


def test_where_a_hand_needs_no_rounds_it_is_the_page_level() -> None:
    """As long as it does not come round to what is left over, there is nothing else to know."""
    vm, link, rule = Vm(ram_mib=65_536), Link(bandwidth_mib_s=1000), StopRule()
    for phase in (0.0, 0.3, 0.8):
        for speed in (20_000, 60_000, 110_000):
            writer = RoundRobin(vm.pages // 3, speed, phase=phase)
            page, mean = precopy(vm, writer, link, rule), precopy_mean(vm, writer, link, rule)
            assert mean.rounds == len(page.rounds) - 1
            assert mean.total_s == pytest.approx(page.total_s, rel=1e-5)
            assert mean.sent_mib == pytest.approx(page.sent_mib, rel=1e-5)


@pytest.mark.parametrize("zeros_mib", [0, 700, 9000])
def test_a_hand_that_comes_to_what_is_left_over_is_the_page_level(zeros_mib: int) -> None:
    """What is left lies in its set, at the end of memory or before zeros that are sent at once."""
    vm, link = Vm(ram_mib=16_384, filled_mib=16_384 - zeros_mib), Link(bandwidth_mib_s=1000)
    for look_ms, phase in ((100, 0.0), (100, 0.4), (100, 0.9), (0, 0.4), (450, 0.95)):
        for part, speed in ((4, 20_000), (2, 110_000), (4, 160_000), (4, 240_000), (4, 400_000)):
            pages = vm.filled_pages // part
            writer = RoundRobin(pages, speed, vm.filled_pages - pages, phase)
            rule = StopRule(look_ms=look_ms, max_rounds=12)
            page, mean = precopy(vm, writer, link, rule), precopy_mean(vm, writer, link, rule)
            assert mean.rounds == len(page.rounds) - 1
            assert mean.total_s == pytest.approx(page.total_s, rel=1e-5)
            assert mean.sent_mib == pytest.approx(page.sent_mib, rel=1e-5)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 1000),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 700)), max_size=8),
)
def test_a_hand_is_a_set_of_pages(pages: int, phase: float, turns: list[tuple[float, int]]) -> None:
    at = int(phase * pages)
    hand, to_send = Hand(pages, at, writes=2.0), set(range(pages))
    for part, sent in turns:
        kept = int(part * len(to_send))
        to_send = set(sorted(to_send)[len(to_send) - kept :])
        to_send |= {(at + i) % pages for i in range(2 * sent)}
        at += 2 * sent
        assert hand.turn(kept, sent) == len(to_send)
        low, stands, top = int(hand.low), int(hand.at), int(hand.top)
        assert {*range(low, stands), *range(top, pages)} == to_send
        assert 0 <= low <= stands <= top <= pages


@st.composite
def followed(draw: st.DrawFn) -> tuple[float, ...]:
    """Return pages before, of the set, behind it and of zeros; hand and speed; rest, look, most."""
    working = draw(st.integers(1, 10_000))
    return (
        draw(st.integers(0, 10_000)),
        working,
        draw(st.sampled_from([0, 0, 17, 3000])),
        draw(st.sampled_from([0, 0, 1, 300, 90_000])),
        draw(st.integers(0, working)),
        draw(st.floats(0, 1.5)),
        draw(st.floats(0, 3000)),
        draw(st.sampled_from([0.0, 1.0, 17.3, 900.0])),
        draw(st.integers(0, 30)),
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(followed(), min_size=1, max_size=8))
def test_thousands_of_hands_are_one_hand_each(several: list[tuple[float, ...]]) -> None:
    """To the last digit: both do the same operations in the same order."""
    columns = np.array(several, dtype=np.float64).T
    before, working, behind, zeros, at, writes, rest, look, most = columns
    hands, short = Hands.at_start(working, at, writes), 0.0123
    found = in_orders(behind, zeros, before + working + behind, hands, rest, look, most, short)
    for i, one in enumerate(several):
        regions = one[0], 0.0, one[1], one[2], one[3]
        hand = Hand(*(float(value) for value in (one[1], one[4], one[5])))
        alone = in_order(regions, (0, 0, hand), one[6], one[7], int(one[8]), short)
        assert tuple(array[i] for array in found) == alone


def test_it_says_what_it_found() -> None:
    good = precopy_mean(Vm(ram_mib=64), Uniform(1000, 100))
    bad = precopy_mean(Vm(), Uniform(2**17, 90_000), rule=StopRule(max_rounds=3))
    assert "the rest fits" in good.explain()
    assert "the rounds are used up" in bad.explain()
    assert good.to_frame().iloc[0].to_dict() == good.summary()
    assert json.loads(json.dumps(bad.to_json()))["rounds"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((Vm(ram_mib=64), Uniform(16384, 1, first_page=1)), "workload: its last page = 16384"),
        ((Vm(), Zipf(100, 1)), "Uniform, HotCold or RoundRobin"),
        ((Vm(), Uniform(100, 1), Link(resend_ratio=0.5)), "link.resend_ratio = 0.5"),
    ],
)
def test_what_it_has_no_formula_for_is_refused(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        precopy_mean(*arguments)


@settings(max_examples=300, deadline=None)
@given(
    before=st.integers(0, 10**6),
    working=st.integers(1, 10**6),
    behind=st.integers(0, 10**6),
    writes=st.floats(0, 5),
    look=st.floats(10, 10**5),
    looks=st.floats(1, 20),
    most=st.integers(0, 40),
)
def test_the_short_way_for_one_set_is_the_long_one(
    before: int, working: int, behind: int, writes: float, look: float, looks: float, most: int
) -> None:
    missed = -writes / working
    short = at_random(before, working, behind, missed, looks * look, look, most)
    regions = (before, 0, working, behind, 0)
    long = in_order(regions, (0.0, missed, None), looks * look, look, most, 0.01)
    assume(short[1] == long[1])  # else a rounding decided
    assert short == pytest.approx(long, rel=1e-12, abs=1e-6)
