"""The talk's S23 to S26, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.memory.experiments import reallocation

if TYPE_CHECKING:
    from virtlab.memory.experiments.reallocation import Reallocation


@pytest.fixture(scope="module")
def found() -> Reallocation:
    return reallocation.reallocation()


def test_while_memory_lasts_each_has_its_maximum(found: Reallocation) -> None:
    before = found.run.at(found.moments["S23"])
    assert before["allocated_mib"].tolist() == [512, 512, 512, 0]


def test_the_slides_come_in_their_order(found: Reallocation) -> None:
    moments = list(found.moments.values())
    assert moments == sorted(moments)
    assert len(set(moments)) == 4


def test_those_that_use_least_are_squeezed_most(found: Reallocation) -> None:
    after = found.run.at(found.moments["S26"]).set_index("vm")
    taken = 512 - after["allocated_mib"]
    assert taken["VM1"] > 1.5 * taken["VM3"]
    assert after["allocated_mib"]["VM4"] > 380


def test_one_stops_at_its_minimum(found: Reallocation) -> None:
    memory = found.run.vm("VM2", "allocated_mib")
    assert memory[reallocation.STARTS_S : reallocation.STOPS_S].min() == 320
    assert memory[found.moments["S26"]] == 320


def test_all_end_at_their_targets(found: Reallocation) -> None:
    """Who may use a little more does so because nobody lacks it: more is free than is aimed at."""
    last = slice(reallocation.STOPS_S - 150, reallocation.STOPS_S)
    of_vm = found.run.of_vm
    may_use = 512 - of_vm["ballooned_mib"] - of_vm["swapped_mib"]
    off = (may_use - of_vm["target_mib"])[last].mean(axis=0)
    assert off.min() > -12  # targets move with the samples
    assert off.max() < 25
    assert np.abs(off[:3]).max() < 12
    aim = found.run.scenario.host.thresholds.aim * found.run.scenario.host.mib
    assert found.run.of_host["free_mib"][last].mean() > aim


def test_memory_is_given_back(found: Reallocation) -> None:
    last = found.run.at(-1)
    assert last["ballooned_mib"].sum() == 0
    squeezed = found.run.at(found.moments["S26"])
    assert (last["allocated_mib"][:3] > squeezed["allocated_mib"][:3]).all()
    assert last["target_mib"][:3].tolist() == [512] * 3


def test_rows_name_the_slides(found: Reallocation) -> None:
    frame = found.to_frame()
    assert frame["slide"].unique().tolist() == ["S23", "S24", "S25", "S26", "given back"]
    assert "minimum is 320" in found.explain()


def test_another_controller_runs_it_too(found: Reallocation) -> None:
    """The one that knows no shares takes from all alike, and needs longer."""
    other = reallocation.reallocation("pressure")
    at = reallocation.STARTS_S + 60
    theirs = other.run.at(at)["allocated_mib"][:3]
    ours = found.run.at(at)["allocated_mib"][:3]
    assert theirs.std() < ours.std()
