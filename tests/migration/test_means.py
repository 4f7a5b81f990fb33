"""Thousands at once are what each is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.hands import in_orders
from virtlab.migration.huge import HugeRun, StopRule, precopy
from virtlab.migration.link import Link
from virtlab.migration.mean import precopy_mean
from virtlab.migration.means import precopy_means
from virtlab.migration.points import dirty_against_bandwidth, precopy_point
from virtlab.migration.sweep import sweep
from virtlab.migration.vm import Vm
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform, Workload
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def alone(case: dict[str, Any]) -> HugeRun:
    """Run one of them by `precopy`."""
    pages, hot = case["working_set_pages"], case["hot_pages"]
    writer: Workload = Uniform(pages, case["dirty_pages_s"], case["first_page"])
    if hot:
        percent = case["hot_write_percent"]
        writer = HotCold(pages, case["dirty_pages_s"], case["first_page"], hot, percent)
    vm = Vm(ram_mib=case["ram_mib"], filled_mib=case["filled_mib"])
    link = Link(bandwidth_mib_s=case["bandwidth_mib_s"], cap_mib_s=case["cap_mib_s"])
    rule = StopRule(case["downtime_limit_ms"], case["max_rounds"], case["look_ms"])
    return precopy(vm, writer, link, rule, level="mean")


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    pages = draw(st.integers(5000, 200_000))
    working = draw(st.integers(1, pages))
    return {
        "ram_mib": pages / 256,
        "filled_mib": draw(st.integers(0, pages)) / 256,
        "working_set_pages": working,
        "first_page": draw(st.integers(0, pages - working)),
        "dirty_pages_s": draw(st.floats(0, 50_000)),
        "hot_pages": draw(st.sampled_from([0, 1, working // 8, working])),
        "hot_write_percent": draw(st.floats(0, 100)),
        "bandwidth_mib_s": draw(st.floats(10, 500)),
        "cap_mib_s": draw(st.floats(10, 500)),
        "downtime_limit_ms": draw(st.sampled_from([0, 50, 300])),
        "max_rounds": draw(st.integers(0, 10)),
        "look_ms": 0.0,
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(cases(), min_size=1, max_size=6))
def test_each_is_what_it_is_alone(several: list[dict[str, Any]]) -> None:
    columns = {name: [case[name] for case in several] for name in several[0]}
    result = precopy_means(**columns)
    for i, case in enumerate(several):
        run = alone(case)
        close = abs(run.rounds[-1].to_send_pages - _rest(case)) < 2  # a page more or less decides
        if close:
            continue
        assert result.rounds[i] == len(run.rounds) - 1
        assert result.converged[i] == run.converged
        assert result.total_s[i] == pytest.approx(run.total_s, rel=1e-6, abs=1e-5)
        assert result.sent_mib[i] == pytest.approx(run.sent_mib, rel=1e-6, abs=0.01)
        assert result.downtime_ms[i] == pytest.approx(run.downtime_ms, rel=1e-5, abs=0.05)


def _rest(case: dict[str, Any]) -> float:
    rate = min(case["bandwidth_mib_s"], case["cap_mib_s"])
    return float(rate * 256 * case["downtime_limit_ms"] / 1000)


_HAND = ("working_set_pages", "dirty_pages_s", "first_page", "phase")


@st.composite
def turning(draw: st.DrawFn) -> dict[str, Any]:
    case = draw(cases())
    pages, working = case["ram_mib"] * 256, case["working_set_pages"]
    places = st.sampled_from([0, case["first_page"], int(pages) - working])
    return {
        **case,
        "filled_mib": draw(st.sampled_from([case["ram_mib"], case["filled_mib"]])),
        "first_page": draw(places),
        "pattern": draw(st.sampled_from(["round-robin", "round-robin", "random", "hot"])),
        "phase": draw(st.floats(0, 1)),
        "max_rounds": draw(st.integers(0, 30)),
        "look_ms": draw(st.sampled_from([0.0, 10.0, 100.0])),
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(turning(), min_size=1, max_size=8))
def test_one_that_goes_round_is_what_it_is_alone(several: list[dict[str, Any]]) -> None:
    """To the last round, as both do the same operations in the same order."""
    columns = {name: [case[name] for case in several] for name in several[0]}
    result = precopy_means(**columns)
    for i, case in enumerate(several):
        if case["pattern"] != "round-robin":
            continue
        run = precopy_mean(
            Vm(ram_mib=case["ram_mib"], filled_mib=case["filled_mib"]),
            RoundRobin(*(case[name] for name in _HAND)),
            Link(bandwidth_mib_s=case["bandwidth_mib_s"], cap_mib_s=case["cap_mib_s"]),
            StopRule(case["downtime_limit_ms"], case["max_rounds"], case["look_ms"]),
        )
        assert (result.rounds[i], result.converged[i]) == (run.rounds, run.converged)
        assert result.total_s[i] == pytest.approx(run.total_s, rel=1e-12)
        assert result.sent_mib[i] == pytest.approx(run.sent_mib, rel=1e-12)
        assert result.downtime_ms[i] == pytest.approx(run.downtime_ms, rel=1e-12)


@given(st.lists(turning(), min_size=2, max_size=4))
@settings(max_examples=30, deadline=None)
def test_patterns_do_not_disturb_each_other(several: list[dict[str, Any]]) -> None:
    together = precopy_means(**{name: [case[name] for case in several] for name in several[0]})
    for i, case in enumerate(several):
        one = precopy_means(**case)
        assert one.total_s[0] == pytest.approx(together.total_s[i], rel=1e-12)
        assert one.rounds[0] == together.rounds[i]


def test_most_that_go_round_need_no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a whole grid, few come to what is left over."""
    followed: list[int] = []

    def counted(behind: NDArray[np.float64], *arguments: Any) -> Any:
        followed.append(behind.size)
        return in_orders(behind, *arguments)

    monkeypatch.setattr("virtlab.migration.means.in_orders", counted)
    points = dirty_against_bandwidth(pattern="round-robin", first_page=0, working_set_pages=2**15)
    result = precopy_means(**{name: [point[name] for point in points] for name in points[0]})
    assert 0 < sum(followed) < 0.1 * result.rounds.size
    frame = result.to_frame()
    slow = frame["dirty_pages_s"] < 0.9 * 256 * frame["bandwidth_mib_s"]
    assert set(frame["pattern"]) == {"round-robin"}
    assert frame["converged"][slow].all()


def test_a_grid_at_once_is_the_sweep() -> None:
    points = dirty_against_bandwidth(30, 20)
    columns = {name: [point[name] for point in points] for name in points[0]}
    ours, theirs = precopy_means(**columns).to_frame(), sweep(points, precopy_point).to_frame()
    assert set(ours.columns) == set(theirs.columns)
    same = (ours["rounds"] == theirs["rounds"]) & (ours["converged"] == theirs["converged"])
    assert same.mean() > 0.97  # at the edge, a look earlier or later
    for name in ("total_s", "sent_mib"):
        off = np.abs(ours[name] / theirs[name] - 1)[same]
        assert off.median() < 1e-6
        assert off.quantile(0.98) < 1e-2


def test_arrays_are_broadcast() -> None:
    rates, links = np.array([[1000.0], [9000.0]]), np.array([50.0, 100.0, 200.0])
    result = precopy_means(dirty_pages_s=rates, bandwidth_mib_s=links)
    assert result.parameters["dirty_pages_s"].tolist() == [1000] * 3 + [9000] * 3
    assert result.total_s[:3].tolist() == sorted(result.total_s[:3], reverse=True)
    assert result.summary()["configurations"] == 6
    assert "6 configurations" in result.explain()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"ram": 1}, "parameter"),
        ({"ram_mib": [1, -1]}, r"ram_mib\[1\]"),
        ({"ram_mib": 0}, r"ram_mib\[0\]"),
        ({"bandwidth_mib_s": [5, 0]}, r"bandwidth_mib_s\[1\]"),
        ({"working_set_pages": 10**6}, r"working_set_pages\[0\]"),
        ({"hot_pages": 16385}, r"hot_pages\[0\]"),
        ({"hot_pages": 1, "hot_write_percent": 101}, r"hot_write_percent\[0\]"),
        ({"pattern": ["hot", "zipf"]}, "pattern = 'zipf'"),
        ({"pattern": "round-robin", "phase": 1.5}, r"phase\[0\]"),
        ({"ram_mib": [512, 512], "dirty_pages_s": [1, 2, 3]}, "arrays of one shape"),
    ],
)
def test_bad_input_is_named(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        precopy_means(**parameters)
