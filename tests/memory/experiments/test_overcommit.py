"""Five VMs on 1 GB, against W02 figure 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtlab.memory.experiments import overcommit

if TYPE_CHECKING:
    from virtlab.memory.experiments.overcommit import Overcommit


@pytest.fixture(scope="module")
def found() -> Overcommit:
    return overcommit.overcommit(query_s=760, seconds=1100)


def test_the_host_is_overcommitted_by_more_than_half(found: Overcommit) -> None:
    told = found.summary()
    assert (told["configured_mib"], told["overhead_mib"]) == (1472, 160)


def test_at_boot_zeros_are_shared_and_little_is_written(found: Overcommit) -> None:
    told = found.summary()
    assert told["zero_shared_mib"] == pytest.approx(325, rel=0.2)
    assert float(told["written_mib"]) < 60  # published 35
    assert float(told["peak_allocated_mib"]) > 1024  # more than there is


def test_the_idle_database_falls_to_exactly_its_minimum(found: Overcommit) -> None:
    assert found.summary()["database_minimum_mib"] == 160
    assert (found.run.vm("SQL", "allocated_mib")[300:760] >= 160).all()


def test_a_query_makes_it_grow_at_once(found: Overcommit) -> None:
    memory = found.run.vm("SQL", "allocated_mib")
    assert memory[700:760].max() < 175
    assert memory[760 + 60] > 185
    assert float(found.summary()["database_query_mib"]) > 200


def test_states_are_nearly_always_high_or_soft(found: Overcommit) -> None:
    assert float(found.summary()["high_or_soft_percent"]) > 97


def test_states_never_skip(found: Overcommit) -> None:
    passages = found.run.passages
    assert len(passages) > 2
    assert all(abs(one.after - one.before) == 1 for one in passages)


def test_rows_hold_theirs_beside_ours(found: Overcommit) -> None:
    frame = found.to_frame().set_index("what")
    assert frame.loc["written_mb", "published_mb"] == 35
    assert frame.loc["configured_mb", "ours_mib"] == 1472
    assert "about 200 published" in found.explain()


def test_minimums_and_overheads_fit_at_every_start() -> None:
    scenario = overcommit.scenario()
    needed = sum(vm.min_mib + vm.overhead_mib for vm in scenario.vms)
    assert needed + scenario.host.own_mib <= scenario.host.mib
