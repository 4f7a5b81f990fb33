"""The turns that a real Linux gave, as stored, and what is worked out from them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from virtlab.datasets import cpu_turns
from virtlab.resources.cpu_cases import CASES
from virtlab.resources.cpu_turns import SETTLED_MS, TRACED, Turns, measured_turns
from virtlab.validate import InvalidInputError

CASE = pytest.mark.parametrize("name", TRACED)


def test_abaabc_by_hand() -> None:
    """The stride order of 3:2:1, in turns of 2 ms: nobody is 2 ms ahead, or more than 2 behind."""
    order = np.array([0, 1, 0, 0, 1, 2])
    start = np.array([0.0, 2, 4, 6, 8, 10])
    turns = Turns(CASES["3:2:1"], order, start, start + 2)
    assert turns.had_ms[-1].tolist() == [6, 4, 2]
    assert turns.lag_ms[0] == pytest.approx([1, -2 / 3, -1 / 3])
    assert turns.lag_ms[-1] == pytest.approx([0, 0, 0])
    assert turns.wait_ms[:2].tolist() == [2, 4]


@CASE
def test_one_runs_at_a_time_and_each_turn_has_a_length(name: str) -> None:
    turns = measured_turns(name)
    assert (turns.length_ms > 0).all()
    assert (turns.start_ms[1:] >= turns.end_ms[:-1] - 0.2).all()
    assert set(turns.process) == set(range(CASES[name].size))


@CASE
def test_the_turns_fill_the_time(name: str) -> None:
    turns = measured_turns(name)
    took = turns.end_ms[-1] - turns.start_ms[0]
    assert 0.9 < turns.length_ms.sum() / took <= 1.001


@CASE
def test_the_parts_are_those_of_the_shares(name: str) -> None:
    turns = measured_turns(name)
    frame = turns.to_frame()
    owed = frame["owed_percent"].to_numpy()
    assert frame["had_percent"].to_numpy() == pytest.approx(owed, abs=3.5)  # with the start
    settled = turns.had_ms[turns.end_ms > SETTLED_MS]
    later = settled[-1] - settled[0]
    assert 100 * later / later.sum() == pytest.approx(owed, abs=1)


@CASE
def test_lags_add_up_to_nothing_and_stay_small(name: str) -> None:
    turns = measured_turns(name)
    assert np.abs(turns.lag_ms.sum(axis=1)).max() < 1e-6
    early, late = np.array_split(np.abs(turns.lag_ms).max(axis=1), 2)
    assert np.median(late) < 3 * np.median(early) + 4  # it does not grow with time


def test_rows_sentences_and_json() -> None:
    turns = measured_turns()
    assert turns.to_frame()["turns"].sum() == len(cpu_turns().query("case == '3:2:1'"))
    data = json.loads(json.dumps(turns.to_json(), allow_nan=False))
    assert f"{data['lag_ms']:.1f} ms from what its shares had earned" in turns.explain()


def test_a_case_without_turns_is_named() -> None:
    with pytest.raises(InvalidInputError, match="name"):
        measured_turns("100:1")
