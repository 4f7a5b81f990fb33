"""Hosts die at every step, links fail: what is lost is what the talk's order of steps says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.algorithms import Algorithm, Clark, Deck, Hybrid, PostCopy, StopAndCopy
from virtlab.migration.faults import Fault
from virtlab.migration.link import Link
from virtlab.migration.move import Move
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import MigrationRun, migrate, run_of
from virtlab.migration.workloads import Uniform
from virtlab.validate import InvalidInputError

VM = Vm(ram_mib=2, device_state_kib=16)
LINK = Link(bandwidth_mib_s=8)
BUSY = Uniform(400, 900)


def run_with(*faults: Fault, algorithm: Algorithm | None = None, seed: int = 0) -> MigrationRun:
    return migrate(VM, BUSY, LINK, algorithm or Deck(), faults=faults, seed=seed)


@pytest.mark.parametrize("as_told", [False, True])
@pytest.mark.parametrize("step", range(1, 8))
def test_the_source_dies_at_each_of_the_seven_steps(step: int, *, as_told: bool) -> None:
    run = run_with(Fault("source", at_step=step), algorithm=Deck(as_told=as_told))
    if step <= 5:  # before: it dies as any machine does; from resume to the last page: lost too
        assert run.outcome == "lost"
        assert run.lost
        assert run.announcements == 0
        assert "lost" in run.explain()
    else:  # the target has every page
        assert run.outcome == "moved"
        assert run.announcements == 1


@pytest.mark.parametrize("step", range(1, 8))
def test_the_target_dies_at_each_of_the_seven_steps(step: int) -> None:
    run = run_with(Fault("target", at_step=step))
    if step <= 4:  # the source has all of it, and goes on
        assert run.outcome == "stayed"
        assert run.wrong_pages == 0
        assert run.announcements == 0
        assert "goes on at the source" in run.explain()
    else:  # the machine was on the target
        assert run.outcome == "lost"


@pytest.mark.parametrize(
    "algorithm", [Clark(min_mbit_s=20, max_mbit_s=80), StopAndCopy(), PostCopy(), Hybrid()]
)
@settings(max_examples=40, deadline=None)
@given(who=st.sampled_from(["source", "target"]), part=st.floats(0, 0.999))
def test_at_any_moment_the_machine_is_whole_somewhere_or_lost(
    algorithm: Algorithm, who: str, part: float
) -> None:
    whole = run_with(algorithm=algorithm)
    resumed_s = next(e.time_s for e in whole.events if e.step == 4)
    at_s = part * whole.total_s
    move = Move(VM, BUSY, LINK, faults=[Fault(who, at_s=at_s)])
    run = run_of(move, algorithm)
    if at_s < resumed_s:
        assert run.outcome == ("lost" if who == "source" else "stayed")
    elif who == "target":
        assert run.outcome in {"lost", "moved"}  # moved: nothing passed in which it could die
    if run.outcome == "stayed":
        assert run.wrong_pages == 0
        assert move.where != "target"
    if run.outcome == "moved":
        assert run.wrong_pages == 0
        assert run.announcements == 1


def test_the_source_is_needed_until_the_last_page() -> None:
    whole = run_with(algorithm=PostCopy())
    resumed_s = next(e.time_s for e in whole.events if e.step == 4)
    for part in (0.01, 0.5, 0.9):
        at_s = resumed_s + part * (whole.total_s - resumed_s)
        assert run_with(Fault("source", at_s=at_s), algorithm=PostCopy()).lost


def test_a_link_that_is_down_for_a_second_costs_a_second() -> None:
    fault = Fault("link", at_s=0.1, for_s=1.0)
    run, whole = run_with(fault, algorithm=StopAndCopy()), run_with(algorithm=StopAndCopy())
    assert run.total_s == pytest.approx(whole.total_s + 1.0)
    assert run.sent_mib == whole.sent_mib


def test_a_link_at_half_its_speed_takes_twice_as_long() -> None:
    fault = Fault("link", at_s=0.0, for_s=100.0, speed=0.5)
    run, whole = run_with(fault, algorithm=StopAndCopy()), run_with(algorithm=StopAndCopy())
    assert run.total_s == pytest.approx(2 * whole.total_s, rel=0.01)


def test_damaged_pages_are_sent_again() -> None:
    fault = Fault("link", at_s=0.0, for_s=100.0, speed=1.0, damaged=0.2)
    for algorithm in (StopAndCopy(), PostCopy(), PostCopy(push="in order")):
        copies = [run_with(fault, algorithm=algorithm, seed=n).page_copies for n in range(20)]
        whole = run_with(algorithm=algorithm).page_copies
        assert np.mean(copies) == pytest.approx(whole / 0.8, rel=0.03)
    run = run_with(fault)  # the talk's: it takes longer, so more pages get dirty as well
    assert run.page_copies > run_with().page_copies / 0.8
    assert run.wrong_pages == 0


def test_a_machine_that_stands_still_while_the_link_is_down_waits() -> None:
    whole = run_with(algorithm=PostCopy())
    fault = Fault("link", at_s=0.05, for_s=1.0)
    run = run_with(fault, algorithm=PostCopy())
    assert run.stalled_ms > whole.stalled_ms + 500


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"who": "switch", "at_s": 1.0}, "who"),
        ({"who": "source"}, "at_s"),
        ({"who": "source", "at_s": 1.0, "at_step": 3}, "at_s"),
        ({"who": "source", "at_step": 8}, "at_step"),
        ({"who": "link", "at_step": 2}, "at_step"),
        ({"who": "link", "at_s": -1.0}, "at_s"),
        ({"who": "link", "at_s": 1.0, "for_s": float("inf")}, "for_s"),
        ({"who": "link", "at_s": 1.0, "speed": 2.0}, "speed"),
        ({"who": "link", "at_s": 1.0, "damaged": 1.0}, "damaged"),
    ],
)
def test_bad_input_is_named(kwargs: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError, match=field):
        Fault(**kwargs)  # type: ignore[arg-type]
