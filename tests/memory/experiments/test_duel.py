"""Controllers on two VMs, one of which can spare its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from virtlab.memory.experiments.duel import LACKING_MIB, SIZE_MIB, Duel, duel, scenario
from virtlab.memory.host.view import Orders

if TYPE_CHECKING:
    from virtlab.memory.host.view import View


@dataclass
class Alike:
    period_s: int = 1

    def control(self, view: View) -> Orders:
        wanted = view.lacking + view.ballooned.sum()
        return Orders(balloon=wanted * view.size / view.size.sum())


@dataclass
class IdleFirst:
    period_s: int = 1

    def control(self, view: View) -> Orders:
        wanted = view.lacking + view.ballooned.sum()
        goals = np.zeros(view.size.size)
        for vm in np.argsort(view.active / view.size):
            goals[vm] = min(wanted - goals.sum(), view.balloon_most[vm])
        return Orders(balloon=goals)


@pytest.fixture(scope="module")
def found() -> Duel:
    return duel(alike=Alike(), idle_first=IdleFirst(), swap="swap only")


def test_who_looks_who_is_idle_hurts_nobody(found: Duel) -> None:
    told = found.summary()
    assert float(told["idle_first_percent"]) > 98
    assert float(told["alike_percent"]) < 70
    assert float(told["swap_percent"]) < 98
    assert told["enough_percent"] == 100


def test_memory_comes_from_where_the_controller_said(found: Duel) -> None:
    rows: dict[str, Any] = {row["controller"]: row for row in found.to_frame().to_dict("records")}
    alike, first, swap = (rows[name] for name in ("alike", "idle_first", "swap"))
    assert alike["from_busy_mib"] == pytest.approx(alike["from_idle_mib"])
    assert first["from_busy_mib"] < 1
    assert swap["host_swap_mib"] > 35
    assert swap["from_busy_mib"] == swap["from_idle_mib"] == 0
    for row in (alike, first, swap):
        taken = row["from_busy_mib"] + row["from_idle_mib"] + row["host_swap_mib"]
        assert taken >= LACKING_MIB - 1
    assert "40 MiB less" in found.explain()


def test_the_host_lacks_what_is_said() -> None:
    one = scenario(10.0)
    assert one.host.mib - one.host.own_mib == 2 * SIZE_MIB - 10
