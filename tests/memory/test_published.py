"""The paper's figures, the talk's claim: what was published, and what the model gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from virtlab.memory.claim import check_claim
from virtlab.memory.pages import savings
from virtlab.memory.published import (
    FIGURE_4,
    FIGURE_5,
    TALK_PERCENT,
    Composition,
    calibrate,
    identical_vms,
    production,
)
from virtlab.memory.scan.content_memory import ContentMemory
from virtlab.validate import InvalidInputError

MADE = Composition(20, 2, 1, 6, 4, repeated_contents_mb=0.5, overlap=0.5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_identical_vms_share_67_and_give_back_60_percent(seed: int) -> None:
    told = identical_vms(seed=seed).summary()
    assert told["shared_percent"] == pytest.approx(67, abs=2)
    assert told["reclaimed_percent"] == pytest.approx(60, abs=2)
    assert told["slope_mb"] == pytest.approx(25.5, rel=0.1)
    assert told["largest_predicted_error_points"] == pytest.approx(0, abs=2)


def test_points_that_are_predicted_were_not_used() -> None:
    spoilt = FIGURE_4.copy()
    spoilt.loc[spoilt["vms"] > 4, ["shared_mb", "reclaimed_mb", "zero_mb"]] = 1.0
    assert calibrate(spoilt) == calibrate(FIGURE_4)


def test_each_further_vm_gives_back_the_same() -> None:
    frame = identical_vms().to_frame()
    steps = np.diff(frame["our_reclaimed_mb"][1:])
    assert np.abs(steps / steps.mean() - 1).max() < 0.1
    assert frame["our_shared_percent"].is_monotonic_increasing or (
        np.abs(np.diff(frame["our_shared_percent"][5:])).max() < 0.5
    )


def test_calibration_finds_a_known_composition() -> None:
    rows = []
    for vms in range(1, 7):
        rest = 1 - MADE.overlap
        shared = vms * 3 + (vms > 1) * vms * 6 + vms * 4 * (1 - rest ** (vms - 1))
        drawn = (vms * MADE.overlap - 1 + rest**vms) * 4 / MADE.overlap
        rows.append(
            {
                "vms": vms,
                "memory_mb": 20 * vms,
                "shared_mb": shared,
                "reclaimed_mb": vms * 3 - 0.5 + (vms - 1) * 6 + drawn,
                "zero_mb": 2 * vms,
            }
        )
    found = calibrate(pd.DataFrame(rows))
    for name in ("memory_mb", "zero_mb", "repeated_mb", "common_mb", "drawn_mb", "overlap"):
        assert getattr(found, name) == pytest.approx(getattr(MADE, name), abs=0.05), name


def test_three_points_do_not_fix_a_composition() -> None:
    with pytest.raises(InvalidInputError, match="up_to"):
        calibrate(up_to=3)


def test_vms_of_a_composition_have_its_parts() -> None:
    contents, owners = MADE.vms(5, np.random.default_rng(1))
    assert np.bincount(owners).tolist() == [20 * 256] * 5
    found = savings(contents, owners)
    assert found.zero_pages == 5 * 2 * 256
    expected = 5 * 3 - 0.5 + 4 * 6 + (5 * 0.5 - 1 + 0.5**5) * 4 / 0.5
    assert found.saved / 256 == pytest.approx(expected, rel=0.02)
    memory = ContentMemory(contents, owners)
    memory.visit(np.random.default_rng(2).permutation(contents.size))
    assert memory.reclaimed == found.saved
    assert memory.shared == found.shared_pages


def test_production_hosts_within_a_tenth_of_a_point() -> None:
    frame = production().to_frame()
    for what in ("shared", "reclaimed"):
        assert frame[f"our_{what}_percent"].to_numpy() == pytest.approx(
            frame[f"{what}_percent"].to_numpy(), abs=0.1
        )
    assert frame["contents_mb"].to_numpy() == pytest.approx([207, 194, 45], abs=0.01)
    assert "4.3 / 2.8 / 3.7" in production().explain()


def test_published_percent_follow_from_published_megabytes() -> None:
    for what in ("shared", "reclaimed"):
        percent = 100 * FIGURE_5[f"{what}_mb"] / FIGURE_5["memory_mb"]
        assert (percent - FIGURE_5[f"{what}_percent"]).abs().max() < 0.1


def test_the_claim_is_a_property_of_the_workload() -> None:
    claim = check_claim()
    told = claim.summary()
    assert claim.claimed == TALK_PERCENT
    saved = claim.to_frame()["random_percent"]
    inside = int(((saved >= 10) & (saved <= 20)).sum())
    assert (told["inside"], told["workloads"]) == (inside, 12)
    assert (told["below"], told["above"]) == ((saved < 10).sum(), (saved > 20).sum())
    frame = claim.to_frame().set_index("workload")
    assert frame.loc["1 copy each of 5 programs", "random_percent"] == pytest.approx(12.9, abs=0.1)
    assert frame.loc["10 identical Linux VMs", "random_percent"] == pytest.approx(59.9, abs=0.1)
    measured = frame[frame["source"] == "measured"]
    assert (measured["private_percent"] < measured["random_percent"]).all()
    assert not (measured["fixed_percent"] < measured["random_percent"]).any()
    assert "property of the workload" in claim.explain()
