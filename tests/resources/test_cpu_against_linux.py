"""Our scheduler comes to what a real Linux gave, and its turns are as near to what is owed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from virtlab.resources.cpu import Change, RoundRobin, schedule
from virtlab.resources.cpu_against_linux import (
    CaseAgainstLinux,
    against_linux,
    run_case,
    turns_against_linux,
)
from virtlab.resources.cpu_cases import CASES
from virtlab.resources.cpu_measured import measured_shares
from virtlab.resources.cpu_turns import TRACED
from virtlab.validate import InvalidInputError


def test_it_is_within_half_a_point_in_each_case() -> None:
    found = against_linux()
    assert found.off_median < 0.1
    assert found.off < 0.5
    assert len(found.cases) == len(CASES)
    assert found.errors.size == sum(case.linux.size for case in found.cases) == 65
    assert found.summary()["worst_case"] == "one takes naps"


def test_naps_lead_to_a_quarter_though_nobody_told_the_model() -> None:
    case = against_linux("one takes naps").cases[0]
    assert case.predicted[0] == pytest.approx([25, 37.5, 37.5], abs=0.05)
    assert case.linux[0, 0] == pytest.approx(25.3, abs=0.05)
    assert run_case("one takes naps", quantum_ms=10).percent[0] == pytest.approx(25, abs=0.3)


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_what_was_measured(name: str) -> None:
    run = run_case(name)
    case = CASES[name]
    assert run.seconds == case.seconds
    assert run.cpus == 1
    changes = [event for event in run.events if isinstance(event, Change)]
    assert len(changes) == len(run.events)
    edges = np.concatenate([[0], np.cumsum([phase.seconds for phase in case.phases])])
    for k, phase in enumerate(case.phases):
        running = run.steps[np.searchsorted([at_s for at_s, _ in run.steps], edges[k], "right") - 1]
        shares = [running[1][vm.name].shares for vm in run.vms]
        assert shares == list(case.weights(k))
        stopped = [one is None for one in phase.given]
        got = run.percent_between(edges[k], edges[k + 1])
        assert [part < 0.2 for part in got] == stopped  # a quantum that had begun ends


def test_an_unfair_scheduler_would_be_found_out() -> None:
    run = run_case("3:2:1")
    unfair = schedule(run.vms, 1, run.seconds, policy=RoundRobin())
    assert CaseAgainstLinux(measured_shares("3:2:1"), unfair).off > 15


def test_in_rows_words_and_json() -> None:
    found = against_linux()
    rows = found.to_frame()
    assert (rows["error_points"] == rows["ours_percent"] - rows["linux_percent"]).all()
    assert rows["error_points"].abs().max() == pytest.approx(found.off)
    assert "had 25.3 % on Linux, and has 25.0 % here" in found.explain()
    assert "Linux gave 50.2, 33.3, 16.5 %, ours 50.0, 33.3, 16.6 %" in (
        against_linux("3:2:1").cases[0].explain()
    )
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["cases"] == 16
    with pytest.raises(InvalidInputError, match="name = 'x'"):
        against_linux("x")


@pytest.mark.parametrize("name", TRACED)
def test_turns_are_as_long_and_lags_as_small(name: str) -> None:
    both = turns_against_linux(name)
    told = both.summary()
    assert told["ours_median_turn_ms"] == pytest.approx(told["linux_median_turn_ms"], abs=0.2)
    assert both.ours.lag_ms.max() <= 8  # two quanta
    assert both.ours.settled_ms <= both.linux.settled_ms
    assert both.ours.end_ms[-1] == pytest.approx(both.linux.end_ms[-1], abs=20)
    rows = both.to_frame()
    assert rows["ours_had_percent"].tolist() == pytest.approx(rows["owed_percent"], abs=0.5)
    assert rows["linux_had_percent"].tolist() == pytest.approx(rows["owed_percent"], abs=1)
    assert "the longest wait is" in both.explain()
