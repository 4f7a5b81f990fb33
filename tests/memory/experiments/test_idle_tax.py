"""The idle memory tax, against W02 figure 7."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from virtlab.memory.experiments import idle_tax
from virtlab.memory.experiments.idle_tax import IdleTax
from virtlab.memory.host.simulation import run
from virtlab.memory.tax import targets


@pytest.fixture(scope="module")
def found() -> IdleTax:
    return idle_tax.idle_tax()


def test_with_shares_alone_both_have_the_same(found: IdleTax) -> None:
    for name in ("VM1", "VM2"):
        assert found.mib(name)[0] == pytest.approx(179, abs=5)


def test_with_the_tax_memory_goes_to_who_uses_it(found: IdleTax) -> None:
    assert found.mib("VM1")[1] == pytest.approx(101.3, abs=5)
    assert found.mib("VM2")[1] == pytest.approx(243.2, abs=5)


def test_throughput_rises_by_more_than_30_percent(found: IdleTax) -> None:
    assert 30 < found.gain_percent < 100


def test_the_simulation_is_where_the_formula_says(found: IdleTax) -> None:
    frame = found.to_frame().set_index("vm")
    active = frame["estimated_active_mib"].to_numpy()
    expected = targets(idle_tax.AVAILABLE_MIB, [1, 1], active, maximum=256).target
    assert np.abs(frame["after_mib"].to_numpy() - expected).max() < 5


def test_the_sampler_sees_what_is_published(found: IdleTax) -> None:
    frame = found.to_frame().set_index("vm")
    assert frame.loc["VM1", "estimated_active_mib"] == pytest.approx(9.8, abs=5)
    assert frame.loc["VM2", "estimated_active_mib"] == pytest.approx(200.4, abs=20)


def test_it_is_so_with_other_seeds_too() -> None:
    for seed in (2, 3):
        scenario = replace(idle_tax.scenario(400, 800), seed=seed)
        found = IdleTax(run(scenario), 400)
        assert float(found.summary()["largest_error_mib"]) < 8  # one run's sampling noise
        assert found.gain_percent > 30


def test_nothing_is_swapped_and_no_state_is_worse_than_hard(found: IdleTax) -> None:
    assert found.run.of_vm["swapped_mib"].max() < 5
    assert found.run.state_seconds()["low"] == 0
