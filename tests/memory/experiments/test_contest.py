"""Balloon, host swap and both on one workload: the order and the factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtlab.memory.experiments import balloon_cost, contest

if TYPE_CHECKING:
    from virtlab.memory.experiments.contest import Contest


@pytest.fixture(scope="module")
def found() -> Contest:
    return contest.contest()


def test_the_order(found: Contest) -> None:
    speed = found.to_frame().set_index("way")["operations_s"]
    assert speed["enough"] > speed["balloon"] > speed["swap"]
    assert speed["swap"] >= 0.98 * speed["both"]


def test_the_factor(found: Contest) -> None:
    told = found.summary()
    assert 3 < float(told["swap_loses_times"]) < 10
    assert float(told["balloon_percent"]) > 90
    assert float(told["swap_percent"]) < 90


def test_all_have_the_same_memory(found: Contest) -> None:
    frame = found.to_frame().set_index("way").drop("enough")
    assert frame["allocated_mib"].to_numpy() == pytest.approx(contest.LEFT_MIB, rel=0.07)


def test_only_both_page_doubly(found: Contest) -> None:
    pages = found.to_frame().set_index("way")["double_paging_s"]
    assert pages["both"] > 5
    assert pages[["enough", "balloon"]].max() == 0


def test_the_order_holds_on_a_file_server_too() -> None:
    told = contest.contest(balloon_cost.SERVER, seconds=200).summary()
    assert float(told["balloon_percent"]) > float(told["swap_percent"])
