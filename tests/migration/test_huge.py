"""Large machines: by hand, against the engine that moves pages, against runs that were measured."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.algorithms import QemuPreCopy
from virtlab.migration.huge import LEVELS, HugeRun, StopRule, precopy
from virtlab.migration.link import MIB, Link
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import migrate
from virtlab.migration.workloads import Curve, HotCold, RoundRobin, Uniform, Workload, Zipf
from virtlab.migration.written import stretches
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ITS_END = StopRule(look_ms=0)
LINK = Link(bandwidth_mib_s=100, latency_ms=0)

# --- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_stop_and_copy_is_memory_over_bandwidth(level: str) -> None:
    vm = Vm(ram_mib=512, filled_mib=448, device_state_kib=0)
    run = precopy(vm, RoundRobin(100, 1000), LINK, StopRule(max_rounds=0), level=level)
    size = 448 * 256 * 4104 + 64 * 256 * 9
    assert run.downtime_ms == pytest.approx(1000 * size / (100 * MIB))
    assert run.total_s == pytest.approx(run.downtime_ms / 1000)
    assert run.sent_mib == pytest.approx(size / MIB)
    assert not run.converged


@pytest.mark.parametrize("level", LEVELS)
def test_round_robin_is_the_geometric_series(level: str) -> None:
    link = Link(bandwidth_mib_s=100, latency_ms=0, page_header_bytes=0)
    vm = Vm(ram_mib=1024, device_state_kib=0)
    writer = RoundRobin(vm.pages, 25_600 / 2)  # half of what the link carries
    run = precopy(
        vm, writer, link, StopRule(downtime_limit_ms=0, look_ms=0, max_rounds=6), level=level
    )
    sizes = run.to_frame()["sent_mib"]
    assert sizes.to_numpy() == pytest.approx(1024 / 2 ** np.arange(7), abs=0.02)


@pytest.mark.parametrize("level", LEVELS)
def test_a_round_at_random_leaves_what_the_formula_says(level: str) -> None:
    vm, writer = Vm(ram_mib=4096), Uniform(2**19, 50_000)
    run = precopy(vm, writer, LINK, StopRule(max_rounds=1, downtime_limit_ms=0), level=level)
    seconds = run.rounds[0].seconds
    expected = 2**19 * -math.expm1(-50_000 * seconds / 2**19)
    assert run.rounds[1].to_send_pages == pytest.approx(expected, rel=0.003)


def test_the_limiter_is_off_while_the_machine_stands() -> None:
    vm, writer = Vm(ram_mib=256, device_state_kib=0), RoundRobin(4096, 2000)
    capped = precopy(vm, writer, replace(LINK, cap_mib_s=50))
    assert capped.downtime_ms == pytest.approx(1000 * capped.rounds[-1].sent_bytes / (100 * MIB))
    assert sum(step.sent_bytes for step in capped.rounds[:-1]) / MIB == pytest.approx(
        50 * capped.rounds[-1].start_s
    )


def test_what_is_sent_again_may_be_smaller() -> None:
    vm, writer = Vm(ram_mib=512), Uniform(2**16, 15_000)
    plain, packed = (precopy(vm, writer, replace(LINK, resend_ratio=r)) for r in (1.0, 0.25))
    assert packed.sent_mib < plain.sent_mib
    assert packed.rounds[0].sent_bytes == pytest.approx(plain.rounds[0].sent_bytes)


# --- properties ----------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> tuple[Vm, Workload, Link, StopRule]:
    pages = draw(st.integers(200, 5000))
    vm = Vm(ram_mib=pages / 256, filled_mib=draw(st.integers(0, pages)) / 256)
    size = draw(st.integers(1, pages))
    first = draw(st.integers(0, pages - size))
    rate = draw(st.floats(0, 20_000))
    kind = draw(st.sampled_from(["turn", "random", "hot", "zipf"]))
    writer: Workload = {
        "turn": RoundRobin(size, rate, first, draw(st.floats(0, 1))),
        "random": Uniform(size, rate, first),
        "hot": HotCold(size, rate, first, draw(st.integers(1, size)), draw(st.floats(0, 100))),
        "zipf": Zipf(size, rate, first),
    }[kind]
    link = Link(bandwidth_mib_s=draw(st.floats(1, 200)), resend_ratio=draw(st.floats(0.1, 1)))
    rule = StopRule(
        draw(st.floats(0, 500)), draw(st.integers(0, 12)), draw(st.sampled_from([0, 100]))
    )
    return vm, writer, link, rule


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(LEVELS), st.integers(0, 5))
def test_what_holds_for_every_migration(
    case: tuple[Vm, Workload, Link, StopRule], level: str, seed: int
) -> None:
    vm, writer, link, rule = case
    run = precopy(*case, level=level, seed=seed)
    assert run.rounds[0].to_send_pages == vm.pages
    assert sum(step.sent_pages for step in run.rounds) >= vm.pages - 1e-6 * vm.pages
    assert (
        run.sent_mib
        >= link.wire_bytes(vm.filled_pages, vm.pages - vm.filled_pages) / MIB * 0.999999
    )
    assert len(run.rounds) - 1 <= rule.max_rounds
    assert run.converged or len(run.rounds) - 1 == rule.max_rounds
    for before, after in zip(run.rounds, run.rounds[1:], strict=False):
        left = before.to_send_pages - before.sent_pages
        slack = 2 + 1e-9 * vm.pages  # a page that is half sent
        assert -1e-6 <= before.written_pages <= writer.pages + 1e-6
        assert max(left, before.written_pages) - slack <= after.to_send_pages
        assert after.to_send_pages <= left + before.written_pages + slack
        assert after.start_s == pytest.approx(before.start_s + before.seconds)
        assert before.sent_bytes <= before.seconds * link.rate_mib_s * MIB * (1 + 1e-9) + 1e-6
    if run.converged:
        pages = run.rounds[-1].to_send_pages
        assert pages * 4096 <= link.rate_mib_s * MIB * rule.downtime_limit_ms / 1000 + 1e-6
    assert precopy(*case, level=level, seed=seed) == run


@settings(max_examples=40, deadline=None)
@given(st.floats(100, 4000), st.floats(1.1, 4), st.sampled_from(LEVELS))
def test_more_dirt_or_less_bandwidth_is_never_faster(rate: float, more: float, level: str) -> None:
    vm, rule = Vm(ram_mib=32), StopRule(max_rounds=1, downtime_limit_ms=0, look_ms=0)

    def moved(dirty: float, bandwidth: float) -> HugeRun:
        return precopy(vm, RoundRobin(8192, dirty), Link(bandwidth), rule, level=level)

    base = moved(rate, 50)
    assert moved(rate * more, 50).total_s >= base.total_s - 1e-6
    assert moved(rate, 50 / more).total_s > base.total_s


# --- the two levels, and the engine that moves pages -------------------------------------------


def big() -> Iterator[tuple[Vm, Workload, Link]]:
    link = Link(bandwidth_mib_s=1000)
    for vm in (Vm(ram_mib=16_384, filled_mib=15_000), Vm(ram_mib=8192)):
        pages = vm.filled_pages
        yield vm, Uniform(pages, 90_000), link
        yield vm, Uniform(pages // 3, 150_000, first_page=1000), link
        yield vm, RoundRobin(pages // 2, 130_000, phase=0.4), link
        yield vm, HotCold(pages, 160_000, hot_pages=pages // 16, hot_write_percent=80), link
        yield vm, Uniform(pages, 400_000), link  # does not converge


@pytest.mark.parametrize(("vm", "writer", "link"), list(big()))
def test_the_mean_is_within_a_thousandth(vm: Vm, writer: Workload, link: Link) -> None:
    page, mean = (precopy(vm, writer, link, AT_ITS_END, level=level) for level in LEVELS)
    assert page.total_s == pytest.approx(mean.total_s, rel=1e-3)
    assert page.sent_mib == pytest.approx(mean.sent_mib, rel=1e-3)
    assert page.converged == mean.converged
    for one, other in zip(page.rounds[:4], mean.rounds[:4], strict=False):
        scatter = 6 * math.sqrt(other.to_send_pages)
        assert one.to_send_pages == pytest.approx(other.to_send_pages, abs=scatter + 1)


def test_a_look_is_a_tenth_of_a_second_off_at_most_a_round() -> None:
    """What is found a look earlier at one level makes a difference that large machines forget."""
    vm = Vm(ram_mib=2**17)
    for writer in (Uniform(vm.pages, 200_000), HotCold(vm.pages, 400_000, 0, 2**20, 90)):
        link = Link(bandwidth_mib_s=1200)
        page, mean = (precopy(vm, writer, link, level=level) for level in LEVELS)
        assert page.total_s == pytest.approx(mean.total_s, rel=3e-3)
        for one, other in zip(page.rounds[:3], mean.rounds[:3], strict=True):
            assert abs(one.seconds - other.seconds) < 0.1 + 1e-9


def test_rounds_scatter_around_their_mean() -> None:
    vm, writer = Vm(ram_mib=64), Uniform(8192, 4000)
    rule = StopRule(max_rounds=1)
    mean = precopy(vm, writer, LINK, rule, level="mean").rounds[0]
    counts = [
        precopy(vm, writer, LINK, rule, seed=seed).rounds[0].written_pages for seed in range(300)
    ]
    chance = mean.written_pages / 8192
    sigma = math.sqrt(8192 * chance * (1 - chance))
    assert abs(np.mean(counts) - mean.written_pages) < 4 * sigma / math.sqrt(300)
    assert 0.8 < np.std(counts) / sigma < 1.25


SMALL: list[tuple[Vm, Workload]] = [
    (Vm(ram_mib=128, filled_mib=100), Uniform(16384, 8000)),
    (Vm(ram_mib=128), RoundRobin(16384, 12_000, phase=0.3)),
    (Vm(ram_mib=128), HotCold(32768, 9000, hot_pages=4096, hot_write_percent=80)),
    (Vm(ram_mib=128), Zipf(32768, 20_000)),
    (Vm(ram_mib=128), Curve(4000, 0.3, 32768)),
]


@pytest.mark.parametrize(("vm", "writer"), SMALL, ids=lambda part: type(part).__name__)
def test_it_tells_what_the_engine_tells(vm: Vm, writer: Workload) -> None:
    """That engine goes slice by slice and knows the version of each page."""
    seeds = range(3)
    theirs = [
        migrate(vm, writer, LINK, QemuPreCopy(), seed=s, give_up_s=60).summary() for s in seeds
    ]
    ours = [precopy(vm, writer, LINK, seed=s).summary() for s in seeds]
    mine, yours = (
        {name: np.mean([float(run[name]) for run in runs]) for name in ours[0]}
        for runs in (ours, theirs)
    )
    assert mine["rounds"] == pytest.approx(yours["rounds"], abs=0.4)
    assert mine["total_s"] == pytest.approx(yours["total_s"], rel=0.01)
    assert mine["sent_mib"] == pytest.approx(yours["sent_mib"], rel=0.01)
    assert mine["downtime_ms"] == pytest.approx(yours["downtime_ms"], abs=12)


# --- where the writes fall -----------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([Uniform(500, 300), HotCold(500, 300, 7, 50, 90.0), HotCold(20, 9, 0, 20)]),
    st.floats(0, 20),
)
def test_chances_add_up_to_what_the_workload_says(writer: Workload, seconds: float) -> None:
    total = sum(p * (high - low) for low, high, p in stretches(writer, 0, seconds))
    assert total == pytest.approx(writer.distinct(seconds), rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.floats(0, 1), st.floats(0, 30), st.floats(0, 8))
def test_a_hand_that_goes_round_is_where_it_is(
    pages: int, phase: float, start: float, seconds: float
) -> None:
    writer = RoundRobin(pages, 7.0, first_page=100, phase=phase)
    listed = writer.writes(start, start + seconds, np.random.default_rng())
    found = [page for low, high, _ in stretches(writer, start, start + seconds)
             for page in range(low, high)]  # fmt: skip
    assert sorted(found) == listed.tolist()


# --- size, words, errors -------------------------------------------------------------------------


def test_a_large_machine_takes_little_more_than_its_bitmap() -> None:
    vm = Vm(ram_mib=2**16)  # 64 GiB: 2 MiB of bits
    tracemalloc.start()
    precopy(vm, Uniform(vm.pages, 300_000), Link(bandwidth_mib_s=3000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * MIB


def test_it_says_what_happened() -> None:
    good = precopy(Vm(ram_mib=64), RoundRobin(1000, 100), LINK)
    assert "because what was left fits the downtime limit" in good.explain()
    bad = precopy(Vm(ram_mib=512), Uniform(2**17, 90_000), LINK, StopRule(max_rounds=3))
    assert "because the rounds were used up" in bad.explain()
    frame = bad.to_frame()
    assert frame["running"].tolist() == [True, True, True, False]
    assert frame["sent_mib"].sum() == pytest.approx(bad.sent_mib)
    assert bad.summary()["converged"] is False
    assert bad.to_json()["rows"][0]["round"] == 1
    assert precopy(Vm(ram_mib=64), RoundRobin(9, 1), LINK, progress=True) == precopy(
        Vm(ram_mib=64), RoundRobin(9, 1), LINK
    )


def test_bad_input_is_named() -> None:
    vm = Vm(ram_mib=64)
    with pytest.raises(InvalidInputError, match="within the 16384 pages of VM1"):
        precopy(vm, Uniform(16384, 1, first_page=1))
    with pytest.raises(InvalidInputError, match="level"):
        precopy(vm, Uniform(10, 1), level="both")
    for field in ("downtime_limit_ms", "max_rounds", "look_ms"):
        with pytest.raises(InvalidInputError, match=field):
            StopRule(**{field: -1})
