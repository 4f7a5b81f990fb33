"""The curves under pressure: cases by hand, laws of caches, and a simulation as the judge."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.memory.guest.costs import CPU_S
from virtlab.memory.pressure import HALVES, Program, faults, under_pressure
from virtlab.memory.pressure_check import SMALL, check_pressure, measure
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.memory.pressure import Rates

ROOMY = Program(size_mib=128, hot_mib=20, cold_mib=40)
EVEN = Program(size_mib=64, hot_mib=20, cold_mib=24, hot=0.0, writes=0.0)  # all pages alike

programs = st.builds(
    Program,
    size_mib=st.floats(96, 512),
    hot_mib=st.floats(5, 200),
    cold_mib=st.floats(5, 300),
    hot=st.floats(0, 0.99),
    writes=st.floats(0, 1),
)


def waits(rates: Rates) -> float:
    return float(rates.guest_faults[0] + rates.host_faults[0])


def test_what_fits_never_waits() -> None:
    rates = faults(ROOMY)
    assert waits(rates) == rates.written[0] == rates.double_paging[0] == 0
    assert rates.per_s[0] == pytest.approx(1 / CPU_S)
    assert waits(faults(ROOMY, 40)) == 0  # 117 MiB for 60: a balloon of free pages


def test_if_all_pages_are_alike_a_miss_is_what_does_not_fit() -> None:
    usable, all_mib = EVEN.usable_mib, 44.0
    taken = 20.0
    by_guest = faults(EVEN, taken)
    assert by_guest.guest_faults[0] == pytest.approx(1 - (usable - taken) / all_mib, rel=1e-6)
    assert by_guest.written[0] == 0  # nothing was written: what leaves can be dropped
    idle_kernel = 0.75 * EVEN.kernel_mib
    backed = usable + idle_kernel - taken
    by_host = faults(EVEN, 0, taken)
    missed = 1 - backed / all_mib
    kernel = 0.25 * EVEN.kernel_mib * 256
    rate = missed / (1 - missed) / (all_mib * 256)  # p / (p + rate) = 1 - missed
    assert by_host.host_faults[0] == pytest.approx(missed + kernel * rate, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(programs, st.floats(0, 0.9), st.floats(0, 1))
def test_rates_are_rates(program: Program, part: float, by_balloon: float) -> None:
    taken = part * program.most_mib
    found = faults(program, taken * by_balloon, taken * (1 - by_balloon))
    for rate in (found.guest_faults, found.written, found.double_paging):
        assert 0 <= rate[0] <= 1
    assert found.host_faults[0] >= 0
    assert found.double_paging[0] <= found.written[0] <= found.guest_faults[0] + 1e-12
    assert found.per_s[0] <= 1 / CPU_S


@settings(max_examples=40, deadline=None)
@given(programs, st.sampled_from(list(HALVES)))
def test_who_takes_more_leaves_less(program: Program, means: str) -> None:
    speed = under_pressure(program, 0.0).percent(means)
    assert (np.diff(speed) <= 1e-6).all()
    assert speed[0] == pytest.approx(100)


@settings(max_examples=40, deadline=None)
@given(programs, st.floats(0, 0.9))
def test_an_eviction_by_age_never_misses_more_than_one_at_random(
    program: Program, part: float
) -> None:
    """Gelenbe 1973: for independent touches LRU is at least as good as random."""
    taken = part * program.most_mib
    idle_kernel = 0.75 * program.kernel_mib  # a host gets these for nothing: take as much more
    more = min(taken + idle_kernel, program.most_mib)
    by_age, at_random = faults(program, more - idle_kernel), faults(program, 0, more)
    assert by_age.guest_faults[0] <= waits(at_random) + 1e-9


def test_a_list_in_order_of_use_misses_as_the_formula_says() -> None:
    """A second judge, which shares nothing with the course's guest: ten lines of LRU."""
    program = Program(size_mib=32, hot_mib=6, cold_mib=14, hot=0.8)
    frames = round((program.usable_mib - 6) * 256)
    rng = np.random.default_rng(1)
    hot = rng.random(300_000) < program.hot
    reach = np.where(hot, program.pages[0], program.pages.sum())
    touched = (rng.random(hot.size) * reach).astype(int).tolist()
    kept: OrderedDict[int, None] = OrderedDict()
    missed = 0
    for at, page in enumerate(touched):
        if page in kept:
            kept.move_to_end(page)
            continue
        missed += at >= 100_000
        kept[page] = None
        if len(kept) > frames:
            kept.popitem(last=False)
    expected = faults(program, 6).guest_faults[0]
    assert missed / 200_000 == pytest.approx(expected, rel=0.03)


def test_a_random_choice_misses_as_the_formula_says() -> None:
    """The same for a random choice: a list, and a number drawn. The kernel is left out by hand."""
    program = Program(size_mib=64, hot_mib=12, cold_mib=30, hot=0.8)
    swapped = 24.0
    kernel = program.kernel_mib * 256
    frames = round(64 * 256 - swapped * 256 - 0.25 * kernel)
    rng = np.random.default_rng(1)
    reach = np.where(rng.random(600_000) < program.hot, program.pages[0], program.pages.sum())
    touched = (rng.random(reach.size) * reach).astype(int).tolist()
    drawn = (rng.random(reach.size) * frames).astype(int).tolist()
    kept: list[int] = []
    place: dict[int, int] = {}
    missed = 0
    for at, page in enumerate(touched):
        if page in place:
            continue
        missed += at >= 300_000
        if len(kept) < frames:
            place[page] = len(kept)
            kept.append(page)
        else:
            del place[kept[drawn[at]]]
            kept[drawn[at]] = page
            place[page] = drawn[at]
    miss = missed / 300_000
    found = faults(program, 0, swapped)
    evicted = found.host_faults[0]  # the kernel's own among them, as often as there are of it
    kernel_part = 0.25 * kernel / (0.25 * kernel + frames)
    assert evicted * (1 - kernel_part) == pytest.approx(miss, rel=0.04)


def test_the_simulation_agrees() -> None:
    check = check_pressure((18.0, 36.0))
    assert float(check.summary()["largest_error_points"]) < 1.0
    assert np.abs(check.formula_double - check.simulated_double).max() < 2.5
    assert "6 runs" in check.explain()
    frame = check.to_frame()
    assert frame["means"].tolist() == [means for means in HALVES for _ in range(2)]
    double = frame.set_index("means")["simulated_double_per_1000"]
    assert (double["balloon"] == 0).all()
    assert double["both"].max() > 5


def test_the_simulation_can_disagree() -> None:
    """A formula for another program is off by much: the check is none that always passes."""
    other = faults(Program(size_mib=64, hot_mib=30, cold_mib=28, hot=0.9), 24)
    ours = measure(SMALL, 24, operations=50_000)
    assert abs(float(other.guest_faults[0] / ours.guest_faults[0]) - 1) > 0.5


def test_rows_and_words_look_at_what_is_chosen() -> None:
    found = under_pressure(chosen_mib=80.0)
    told: dict[str, Any] = found.summary()
    assert told["taken_mib"] == 80
    frame = found.to_frame().set_index("means")
    for means in HALVES:
        assert frame.loc[means, "left_percent"] == told[f"{means}_percent"]
    assert "takes 80 of 256 MiB" in found.explain()
    assert f"{told['swap_loses_times']:.1f} times" in found.explain()
    assert "times as much" not in under_pressure(ROOMY, 8.0).explain()
    assert math.isclose(found.percent("balloon")[0], 100)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"size_mib": 8}, "size_mib"),
        ({"hot_mib": 0}, "hot_mib"),
        ({"cold_mib": -1}, "cold_mib"),
        ({"hot": 1.0}, "hot"),
        ({"writes": 1.1}, "writes"),
    ],
)
def test_bad_programs_are_named(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} = "):
        Program(**wrong)


@pytest.mark.parametrize("amounts", [(250.0, 0.0), (0.0, 250.0), (150.0, 100.0), (-1.0, 0.0)])
def test_more_than_there_is_cannot_be_taken(amounts: tuple[float, float]) -> None:
    with pytest.raises(InvalidInputError, match="taken_mib"):
        faults(Program(), *amounts)
