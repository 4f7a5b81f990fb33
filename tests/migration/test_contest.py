"""All algorithms on one machine: the order that theory wants, and what clients feel."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.migration.algorithms import Deck, PostCopy, QemuPreCopy, StopAndCopy
from virtlab.migration.contest import contest, speed
from virtlab.migration.link import Link
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import migrate
from virtlab.migration.workloads import Uniform
from virtlab.validate import InvalidInputError

VM = Vm(ram_mib=16, filled_mib=14, device_state_kib=64)
LINK = Link(bandwidth_mib_s=16)
LOAD = Uniform(3000, 2000)


def test_the_price_of_each_is_where_theory_puts_it() -> None:
    found = contest(VM, LOAD, LINK).to_frame().set_index("algorithm")
    pause, sent, waits = found["downtime_ms"], found["sent_mib"], found["waits_ms"]
    assert pause["stop and copy"] == pause.max()
    assert pause["post-copy"] < 20 < pause["pre-copy (QEMU)"] < 400
    assert sent["stop and copy"] == pytest.approx(sent["post-copy"], rel=0.01)  # each page once
    assert sent["pre-copy (QEMU)"] > sent["the talk's"] > sent["post-copy"]
    assert waits["post-copy"] > waits["the talk's"] > waits["pre-copy (QEMU)"] == 0
    assert (found["wrong_pages"] == 0).all()


def test_coarse_slices_change_little() -> None:
    for algorithm in (StopAndCopy(), QemuPreCopy(), Deck(), PostCopy()):
        coarse = contest(VM, LOAD, LINK, [algorithm]).runs[0]
        fine = migrate(VM, LOAD, LINK, algorithm)
        assert coarse.total_s == pytest.approx(fine.total_s, rel=0.08)
        assert coarse.downtime_ms == pytest.approx(fine.downtime_ms, rel=0.2)


def test_one_that_loses_pages_is_not_called_the_best() -> None:
    wide = Vm(ram_mib=128, filled_mib=0)
    found = contest(wide, Uniform(32_000, 25_000), LINK, [Deck(as_told=True), StopAndCopy()])
    assert found.runs[0].wrong_pages > 0
    assert found.summary()["shortest_pause"] == "stop and copy"
    assert "wrong" in found.explain()


def test_none_that_moves_is_said() -> None:
    busy = contest(VM, Uniform(3500, 9000), LINK, [QemuPreCopy()], give_up_s=5)
    assert busy.explain() == ("No algorithm moved it whole. pre-copy (QEMU) was given up.")
    with pytest.raises(InvalidInputError, match="algorithms"):
        contest(VM, LOAD, LINK, [])


@pytest.mark.parametrize("algorithm", [StopAndCopy(), Deck(), PostCopy(), QemuPreCopy()])
def test_speed_adds_up_to_guest_time(
    algorithm: StopAndCopy | Deck | PostCopy | QemuPreCopy,
) -> None:
    run = migrate(VM, LOAD, LINK, algorithm)
    edges, felt = speed(run, 77)
    assert ((felt >= -1e-9) & (felt <= 1 + 1e-9)).all()
    ran = float(felt @ np.diff(edges))
    lost = (run.downtime_ms + run.stalled_ms + run.slowdown_ms) / 1000
    assert ran == pytest.approx(run.total_s - lost, abs=1e-6)
